"""A teacher that is a program: `--teacher command:'CMD'`. The prompt goes to its standard input,
what it writes to its standard output is the reply.

    client = CommandClient(endpoint, seconds=600)
    reply = await client.send(endpoint.body(messages, 0.2, 0), "blank-calc.core.add")  # raises Fault

Any command-line client or script: what it asks, and with whose account, is its own affair. It runs
without a shell, in an empty folder, with a limit of time and of what it may write, and with none of
the keys that coldstart was given. A conversation of several turns is one text.
"""

import asyncio
import os
import shlex
import signal
import tempfile
from contextlib import suppress

from recipes.teachers.client import Fault
from recipes.teachers.endpoint import COMMAND, Endpoint
from recipes.teachers.ledger import NOT_COUNTED, Reply

LONGEST = 1 << 20
"""Bytes of a reply, at most."""
HEADS = {"assistant": "Your answer was:", "user": "To that was said:"}
"""What stands before a turn, from the second on."""


class CommandClient:
    """Runs the program once for each request."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        """`seconds`: after which it is ended."""
        self.endpoint, self._seconds = endpoint, seconds
        self._words = shlex.split(endpoint.base_url.removeprefix(COMMAND))

    async def close(self) -> None:
        """Nothing stays open."""

    def beside(self, task: str) -> str:
        """What an answer depends on beside the request: nothing that is known here."""
        return ""

    async def send(self, body: dict, task: str) -> Reply:
        """What the program answers. Raises Fault."""
        with tempfile.TemporaryDirectory(prefix="coldstart-teacher-") as folder:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._words,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    cwd=folder,
                    start_new_session=True,
                    limit=LONGEST,
                )
            except OSError as error:
                raise Fault(f"it cannot be run ({error.strerror})", billed=False) from None
            try:
                async with asyncio.timeout(self._seconds):
                    said, wrong = await process.communicate(as_text(body).encode())
            except TimeoutError:
                raise Fault(f"no end after {self._seconds:.0f} seconds", billed=False) from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            last = wrong.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
            raise Fault(
                f"it ended with {process.returncode}" + (last and f": {last}"), billed=False
            )
        if not said.strip():
            raise Fault("an empty reply", billed=False, particular=True)
        if len(said) > LONGEST:
            raise Fault(f"a reply of more than {LONGEST >> 20} MiB", billed=False, particular=True)
        return Reply(said.decode("utf-8", "replace"), "", "stop", *NOT_COUNTED)


def as_text(body: dict) -> str:
    """The conversation of a request as one text."""
    first, *rest = body["messages"]
    parts = [first["content"]]
    parts += [f"{HEADS[turn['role']]}\n\n{turn['content']}" for turn in rest]
    return "\n\n".join(parts) + "\n"
