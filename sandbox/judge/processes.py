"""The processes that verdicts come from: threads, each with jails of its own (`jails.py`).

    processes = Processes(repository, limits, suite)
    replies = processes.each(processes.ask_forked, [(request,), ...])     # each in some thread
    processes.close()

A jail may fail: it cannot be started, or it dies. Then all of the work is tried again in fresh
jails, TRIES times in all. After that a HarnessError stands where its result would. Once the
processes are being closed nothing is tried again.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from sandbox.errors import HarnessError
from sandbox.jail.choice import jail_notice
from sandbox.judge.jails import CLOSING, Jails
from sandbox.judge.settings import Limits, Suite
from sandbox.repo import Repository
from sandbox.tasks.task import Task

TRIES, GIVEN_UP = 3, "the jail failed three times"
"""How often a verdict is tried where jails fail, and what is said in the end."""
SUITE_REPORT_MB = 64
"""Longest report of a whole suite: which test calls which function."""
GROWTH_KB, GROWTH_DESCRIPTORS = 64 << 10, 8
"""A process that takes many requests and holds so much more than after its first leaks, and is
replaced."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def nobody_listens(done: int, total: int) -> None:
    """Progress that nobody wants to hear of."""


class Processes:
    """Threads with jails of their own. Whatever asks a jail is called in one of them."""

    def __init__(self, repository: Repository, limits: Limits, suite: Suite) -> None:
        self.repository, self.limits, self.suite = repository, limits, suite
        self.jails = Jails(repository, suite)
        self._thread = threading.local()
        # The jails die with the thread that started them, so the threads live as long as the judge
        # does.
        self._pool = ThreadPoolExecutor(limits.jails, thread_name_prefix="judge")

    @property
    def closing(self) -> bool:
        """Whether the jails are being ended: then nothing is tried again."""
        return self.jails.closing

    def close(self) -> None:
        """End the jails; what they were doing is given up."""
        self.stop()
        # Nothing is cancelled, for who waits for it would wait for ever: what has not begun fails.
        self._pool.shutdown(wait=True)
        self.jails.close()

    def stop(self) -> None:
        """Give up what the jails are doing: whoever waits for them gets a HarnessError. `close` is
        still to be called."""
        self.jails.stop()

    # ------------------------------------------------------------------------------ work in threads

    def each(
        self, work: Callable[..., Result], rows: Iterable[tuple]
    ) -> list[Result | HarnessError]:
        """What `work` gives for each row of arguments, or the HarnessError of `tried`."""
        futures = [self.submit(self._tried_row, work, row) for row in rows]
        return [future.result() for future in futures]

    def _tried_row(self, work: Callable[..., Result], row: tuple) -> Result | HarnessError:
        return self.tried(work, *row)

    def submit(
        self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> "Future[Result]":
        """Let a thread that has jails of its own do the work. Raises HarnessError where there is
        none any more."""
        try:
            return self._pool.submit(work, *args, **kwargs)
        except RuntimeError as error:  # it is shut down, or can start no thread
            raise HarnessError(CLOSING if self.closing else f"{error}.") from None

    def tried(
        self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result | HarnessError:
        """What `work` gives, tried again with fresh jails where this thread's fail; a HarnessError
        with the reason, to stand in its place, where they have failed TRIES times. Raises
        HarnessError where the judge is being closed."""
        reason = ""
        for _ in range(TRIES):
            try:
                return work(*args, **kwargs)
            except HarnessError as error:
                if self.closing:
                    raise HarnessError(CLOSING) from None
                self.jails.discard_all()
                reason = " ".join(str(error).split()).rstrip(".")
        return HarnessError(f"{GIVEN_UP}: {reason}")

    def count_from(self, seconds: float) -> None:
        """Begin to count the processor time of this thread's jails at so much."""
        self._thread.cpu = seconds

    def count(self, reply: dict) -> None:
        """Add what a reply reports that it took."""
        self._thread.cpu = self.counted + reply.get("cpu", 0.0)

    @property
    def counted(self) -> float:
        """Processor time since `count_from`, seconds."""
        return getattr(self._thread, "cpu", 0.0)

    # ------------------------------------------------------------------------------------- requests

    def request(self, task: Task, files: dict[str, str]) -> dict:
        """A request for the task's tests with these files in the tree, and with the tests in it
        that were made for the task."""
        return {
            "files": {**task.test_files, **files},
            "ids": list(task.tests),
            "timeout": self.limits.timeout + 10 * task.test_seconds,
        }

    def complete(self, request: dict) -> dict:
        """The request as a jail takes it."""
        return {
            "memory_mb": self.limits.memory_mb,
            "path": list(self.repository.path),
            "files": {},
            "timeout": self.limits.timeout,
            **request,
        }

    def ask(
        self, tier: str, request: dict, on_progress: Callable[[int, int], None] = nobody_listens
    ) -> dict:
        """Ask this thread's jail of the tier. One that fails, or holds much more than it did at
        first, is given up afterwards."""
        jail = self.jails.of_thread(tier)
        try:
            reply = jail.ask(self.complete(request), on_progress)
        except BaseException:  # it may be in the middle of an answer
            self.jails.discard(tier)
            raise
        self.count(reply)
        if jail.has_grown(reply, GROWTH_KB, GROWTH_DESCRIPTORS):
            self.jails.discard(tier)
        return reply

    def ask_in_process(self, request: dict) -> dict:
        """Ask this thread's `in-process` jail, and another where that one fails."""
        try:
            return self.ask("in-process", request)
        except HarnessError:
            if self.closing:
                raise
            return self.ask("in-process", request)

    def ask_forked(
        self, request: dict, on_progress: Callable[[int, int], None] = nobody_listens
    ) -> dict:
        """Ask this thread's `forked` jail; where it fails, a fresh process repeats what was asked.
        The reply, and the "tier" that gave it."""
        try:
            return {**self.ask("forked", request, on_progress), "tier": "forked"}
        except HarnessError:
            if self.closing:
                raise
            return self.ask_fresh(request)

    def ask_fresh(self, request: dict) -> dict:
        """The reply of a process in a jail of its own, and its "tier"."""
        with self.jails.fresh() as jail:
            reply = jail.ask(self.complete(request))
        self.count(reply)
        return {**reply, "tier": "fresh"}


def wants_fresh(task: Task) -> bool:
    """Whether a fork of a process with a history is not good enough to confirm an edit."""
    return not task.hard and (task.split == "heldout" or bool(jail_notice()))
