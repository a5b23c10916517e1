"""A teacher whose replies a person pastes: `--teacher folder:DIR`. What a chat answered to the
prompt of a task stands in DIR/INSTANCE_ID.txt.

    client = FolderClient(endpoint)
    client.missing(["blank-calc.core.add"])       # those to which nothing was pasted
    reply = await client.send({}, "blank-calc.core.add")

`bootstrap --dry-run` writes the prompts to RUN/prompts, under the same names. An empty file says
that there will be no reply. A file that is changed is another reply.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from recipes.teachers.client import Fault
from recipes.teachers.endpoint import Endpoint
from recipes.teachers.ledger import NOT_COUNTED, Reply


class FolderClient:
    """Reads the replies of one folder."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.folder = endpoint.folder

    async def close(self) -> None:
        """Nothing stays open."""

    def missing(self, tasks: Iterable[str]) -> list[str]:
        """Those of these tasks that have no file."""
        return [task for task in tasks if not self._file(task).is_file()]

    def beside(self, task: str) -> str:
        """What an answer depends on beside the request: what stands in its file."""
        return hashlib.sha256(self._read(task)).hexdigest()

    async def send(self, body: dict, task: str) -> Reply:
        """What was pasted. Raises Fault where that is nothing."""
        text = self._read(task).decode("utf-8", "replace")
        if not text.strip():
            words = f"nothing was pasted into {self._file(task).name}"
            raise Fault(words, billed=False, again=False, particular=True)
        return Reply(text, "", "stop", *NOT_COUNTED)

    def _read(self, task: str) -> bytes:
        try:
            return self._file(task).read_bytes()
        except OSError:
            return b""

    def _file(self, task: str) -> Path:
        return self.folder / f"{task}.txt"
