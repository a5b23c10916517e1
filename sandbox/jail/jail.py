"""One jail with a process in it that answers requests, whatever the jail is made of.

    with open_jail(layout) as jail:      # `choice.py`: bubblewrap's, or else that of Landlock
        reply = jail.ask({"ids": [...], "files": {...}, "timeout": 10.0})

A jail is of one of three tiers, which is what the process in it has loaded beforehand:

- `forked`: pytest is loaded, nothing of the project; each request runs in a fork, with any edit;
- `in-process`: the tests of `files` are collected; each request changes functions' code in a fork,
  or is answered {"unsupported": reason};
- `fresh`: as forked, with nothing loaded but pytest itself; for a single request.

`inside/zygote.py` is that process, and says what the frames between it and this class hold.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

from sandbox.errors import HarnessError
from sandbox.jail.cgroup import open_group
from sandbox.jail.connection import Connection
from sandbox.jail.layout import INSIDE, Layout, open_temporary_folder
from sandbox.judge.figures import is_progress, processor_seconds, seconds_of
from sandbox.source import as_sent

REPORT_MB = 2
"""Longest report of a verdict, MiB; a request that surveys a whole suite asks for more."""
OWN_KEYS = {"timeout", "died", "harness", "progress", "ask", "entered", "cpu", "held", "tier"}
"""Keys of a reply that come from the jail itself, and never from the code that was run."""
LEAST_TASKS, MOST_TASKS, TASKS_PER_CORE = 128, 512, 4
WRITABLE, KEEPERS = 3, 2
"""Of a request: file systems of `Layout.scratch_mb` that it may fill; processes that are none of
the tests'."""
START_SECONDS = 60.0
OVERTIME = 15.0
"""Seconds after a request's own time, which the zygote keeps, before the zygote counts as dead."""


@dataclass(frozen=True)
class Launch:
    """How a jail is started."""

    command: list[str]
    environment: dict[str, str]
    config: dict[str, Any]
    """What its first process is told of its surroundings (`inside/zygote.py`)."""


def tasks_allowed() -> int:
    """How many processes and threads together a request may have. More on a machine of many cores:
    numerical libraries start a thread for each of them, in each process."""
    cores = len(os.sched_getaffinity(0))
    return min(MOST_TASKS, max(LEAST_TASKS, TASKS_PER_CORE * cores))


@cache
def fixed_addresses() -> tuple[str, ...]:
    """What starts a command with the same memory addresses each time (personality(2)), where that
    may be had; some containers forbid it. What is hashed by its address, as None is before Python
    3.12, then lies in one order in every jail: the names of parametrised tests can hang on it."""
    setarch = shutil.which("setarch")
    command = (setarch, "-R") if setarch else ()
    if not command or subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        return ()
    return command


def _as_sent(files: dict[str, str]) -> dict[str, str]:
    """What is inside writes texts as UTF-8: so the bytes are those of the file's own encoding."""
    return {path: as_sent(text) for path, text in files.items()}


class Jail(ABC):
    """One jail with the process in it that answers requests. Use it as a context manager."""

    def __init__(
        self,
        layout: Layout,
        tier: str = "forked",
        files: tuple[str, ...] = (),
        path: tuple[str, ...] = (),
        on_start: Callable[["Jail"], None] = lambda jail: None,
    ) -> None:
        """`tier`, `files`: as above; `path`: the import path of the tests. `on_start` is given the
        jail as soon as it can be killed, before it is ready. Raises HarnessError if it cannot be
        started."""
        self._stage = Path(
            tempfile.mkdtemp(prefix="coldstart-jail-", dir=self._parent_folder(layout))
        )
        self._diagnostics: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._began = time.monotonic()
        self._asked_at = self._deadline = self._began
        self._held_at_first: tuple[int, int] | None = None
        self._scratch_mb = layout.scratch_mb
        self.group = open_group()
        try:
            self._stage.chmod(0o755)
            self._diagnostics = tempfile.TemporaryFile()
            launch = self._prepare(layout, path)
            command = [*fixed_addresses(), *launch.command]
            self._process = subprocess.Popen(
                self.group.entering(command) if self.group else command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._diagnostics,
                env=launch.environment,
                cwd="/",
                start_new_session=True,
            )
            self._connection = Connection(self._process, self._diagnostics)
            on_start(self)
            self._send(
                {
                    "scratch_mb": layout.scratch_mb,
                    "tasks": tasks_allowed(),
                    "tier": tier,
                    "files": list(files),
                    "given": _as_sent(layout.given),
                    "preload": list(layout.preload),
                    **launch.config,
                }
            )
            self.ready = self._receive(time.monotonic() + START_SECONDS)
            if self.ready.get("ready") is not True:
                raise HarnessError("The jail's first word was not that it is ready.")
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------------------------------- requests

    def ask(
        self, request: dict, on_progress: Callable[[int, int], None] = lambda done, total: None
    ) -> dict:
        """Run one request ({"files", "ids", "path", "args", "timeout", "memory_mb", ...}, see
        inside/runner.py).

        Returns the runner's reply, or {"timeout": True}, or {"died": text}: those are the fault of
        the code that was run. An `in-process` jail may return {"unsupported": reason} instead.
        Raises HarnessError where the jail itself failed.
        """
        self.start(request)
        while "progress" in (reply := self.receive()):
            if is_progress(reply["progress"]):
                on_progress(*reply["progress"])
        return reply

    def start(self, request: dict) -> None:
        """Begin a request that is a conversation: `receive` its questions and `answer` them until
        `receive` gives its reply."""
        self._asked_at = time.monotonic()
        self._deadline = self._asked_at + request["timeout"] + OVERTIME
        if self.group:
            # What lies in the writable folders is in memory, too.
            writable = WRITABLE * self._scratch_mb
            try:
                self.group.limit(request["memory_mb"] + writable, KEEPERS + tasks_allowed())
            except OSError as error:
                raise HarnessError(f"The jail cannot be limited: {error}.") from None
        body = json.dumps({**request, "files": _as_sent(request.get("files", {}))}).encode()
        self._send(
            {
                "timeout": request["timeout"],
                "memory_mb": request["memory_mb"],
                "asks": "worker" in request or "stub" in request,
                "progress": request.get("progress", False),
                "report_mb": request.get("report_mb", REPORT_MB),
                "size": len(body),
            },
            body,
        )

    def receive(self) -> dict:
        """The next question ({"ask": ...}), {"progress": [done, total]}, or the reply. Raises
        HarnessError where the jail itself failed."""
        message = self._receive(self._deadline)
        if not message.keys() & {"ask", "progress"}:  # the reply: what it took comes behind it
            message.update(self._receive(self._deadline))
        if "harness" in message:
            raise HarnessError(f"The jail could not prepare a test run: {message['harness']}.")
        report = {
            key: value for key, value in message.pop("report", {}).items() if key not in OWN_KEYS
        }
        return {**report, **message, **self._figures(report, message)}

    def answer(self, answer: Any) -> None:
        """Answer the question that was received last; None: there are no more calls."""
        self._send({"answer": answer})

    def has_grown(self, reply: dict, memory_kb: int, descriptors: int) -> bool:
        """Whether its first process holds more than so much above what it did after the first
        request."""
        kb, open_now = reply.get("held", self._held_at_first or (0, 0))
        if self._held_at_first is None:
            self._held_at_first = (kb, open_now)
        kb_at_first, open_at_first = self._held_at_first
        return kb > kb_at_first + memory_kb or open_now > open_at_first + descriptors

    def _figures(self, report: dict, message: dict) -> dict[str, Any]:
        """The figures of a reply, each as it is or, where that cannot be true, as it was here."""
        now = time.monotonic()
        figures: dict[str, Any] = {}
        if "times" in report:
            outcomes = report.get("outcomes")
            tests = outcomes if isinstance(outcomes, dict) else {}
            figures["times"] = seconds_of(report["times"], tests, now - self._asked_at)
        if "cpu" in message:
            figures["cpu"] = processor_seconds(message["cpu"], now - self._began)
        return figures

    def _send(self, message: dict, body: bytes = b"") -> None:
        assert self._connection is not None
        self._connection.send(message, body)

    def _receive(self, deadline: float) -> dict:
        assert self._connection is not None
        return self._connection.receive(deadline)

    # ------------------------------------------------------------------------------------ beginning

    def _parent_folder(self, layout: Layout) -> Path:
        """Where this jail's own folder is to be."""
        return open_temporary_folder()

    @abstractmethod
    def _prepare(self, layout: Layout, path: tuple[str, ...]) -> Launch:
        """Fill this jail's own folder (`self._stage`), and say how it is started."""

    def _copy_inside(self) -> Path:
        """A copy of the code that runs inside, where an ordinary user can read it."""
        inside = self._stage / "inside"
        shutil.copytree(INSIDE, inside, ignore=shutil.ignore_patterns("__pycache__"))
        for path in [inside, *inside.iterdir()]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return inside

    # --------------------------------------------------------------------------------------- ending

    def kill(self) -> None:
        """Kill everything in the jail; whoever waits for an answer gets a HarnessError. `close` is
        still to be called."""
        if (process := self._process) is not None:  # another thread may be closing it
            _kill(process)

    def close(self) -> None:
        """Kill everything in the jail. Safe to call twice."""
        if self._process is not None:
            _kill(self._process)
            self._process.wait()
            if self._connection is not None:
                self._connection.close()
            self._process = None
        if self.group:
            self.group.close()
        if self._diagnostics is not None:
            self._diagnostics.close()
        # In this process's mount namespace the stage holds empty folders and copies only: the binds
        # were private.
        shutil.rmtree(self._stage, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it and all that it has started. bubblewrap's second process is told of the end of the
    first only once it is set up: before, it would live on with the other ends of our pipes. It may
    have left the group by then, so it is looked up as a child of the first, which is stopped for
    that: a child of a stopped process keeps its number, even when it ends."""
    if process.returncode is not None:  # its number may be another process's by now
        return
    with suppress(OSError):
        os.kill(process.pid, signal.SIGSTOP)
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        for child in map(int, listed.split()):
            os.kill(child, signal.SIGKILL)
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
