"""The processes that verdicts come from: threads, each with jails of its own.

    processes = Processes(repository, limits, preload, test_files)
    replies = processes.each(processes.ask_forked, [(request,), ...])     # each in some thread
    processes.close()

A thread keeps a jail of each tier that takes more than one request (`bubblewrap.Jail` says what the
tiers are), opens it when it is first wanted, and gives it up where it fails or grows. A `fresh`
process has a jail that ends with its one request.

A jail may fail: it cannot be started, or it dies. Then all of the work is tried again in fresh
jails, TRIES times in all. After that a HarnessError stands where its result would. Once the
processes are being closed nothing is tried again.
"""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sandbox.errors import HarnessError
from sandbox.jail.bubblewrap import Jail
from sandbox.jail.landlock import jail_notice, open_jail
from sandbox.repo import Repository
from sandbox.tasks.task import Task

TRIES, GIVEN_UP = 3, "the jail failed three times"
"""How often a verdict is tried where jails fail, and what is said in the end."""
CLOSING = "The judge is being closed."
SUITE_REPORT_MB = 64
"""Longest report of a whole suite: which test calls which function."""
GROWTH_KB, GROWTH_DESCRIPTORS = 64 << 10, 8
"""A process that takes many requests and holds so much more than after its first leaks, and is
replaced."""


@dataclass(frozen=True)
class Limits:
    """What a judged run may use."""

    workers: int = 0
    """Jails at the same time; 0: one per CPU core."""
    timeout: float = 10.0
    """Seconds beside ten times what the named tests took on the intact tree."""
    memory_mb: int = 2048
    """Memory of all processes of one verdict together, MiB."""
    recheck: float = 0.02
    """Share of the fast verdicts that a fresh process repeats."""

    @property
    def jails(self) -> int:
        return self.workers or len(os.sched_getaffinity(0))


def nobody_listens(done: int, total: int) -> None:
    """Progress that nobody wants to hear of."""


class Processes:
    """Threads with jails of their own. Whatever asks a jail is called in one of them."""

    def __init__(
        self,
        repository: Repository,
        limits: Limits,
        preload: tuple[str, ...],
        test_files: tuple[str, ...],
    ) -> None:
        """`preload`: modules that a `forked` jail may load beforehand; `test_files`: files that an
        `in-process` jail collects."""
        self.repository, self.limits, self.test_files = repository, limits, test_files
        self.closing, self.jails = False, []
        self._layout = repository.layout(preload)
        self._lock = threading.Lock()
        self._local = threading.local()
        # The jails die with the thread that started them, so the threads live as long as the judge
        # does.
        self._pool = ThreadPoolExecutor(limits.jails, thread_name_prefix="judge")

    def close(self) -> None:
        """End the jails; what they were doing is given up."""
        self.stop()
        # Nothing is cancelled, for who waits for it would wait for ever: what has not begun fails.
        self._pool.shutdown(wait=True)
        for jail in self.jails:
            jail.close()

    def stop(self) -> None:
        """Give up what the jails are doing: whoever waits for them gets a HarnessError. `close` is
        still to be called."""
        self.closing = True
        with self._lock:
            for jail in self.jails:
                jail.kill()

    # ------------------------------------------------------------------------------ work in threads

    def each(self, work: Callable, rows: Iterable[tuple]) -> list:
        """What `work` gives for each row of arguments, or the HarnessError of `tried`."""
        futures = [self.submit(self.tried, work, *row) for row in rows]
        return [future.result() for future in futures]

    def submit(self, work: Callable, *args) -> Future:
        """Let a thread that has jails of its own do the work. Raises HarnessError where there is
        none any more."""
        try:
            return self._pool.submit(work, *args)
        except RuntimeError as error:  # it is shut down, or can start no thread
            raise HarnessError(CLOSING if self.closing else f"{error}.") from None

    def tried(self, work: Callable, *args):
        """What `work` gives, tried again with fresh jails where this thread's fail; a HarnessError
        with the reason, to stand in its place, where they have failed TRIES times. Raises
        HarnessError where the judge is being closed."""
        for _ in range(TRIES):
            try:
                return work(*args)
            except HarnessError as error:
                if self.closing:
                    raise HarnessError(CLOSING) from None
                self.discard_jails()
                reason = " ".join(str(error).split()).rstrip(".")
        return HarnessError(f"{GIVEN_UP}: {reason}")

    def count_from(self, seconds: float) -> None:
        """Begin to count the processor time of this thread's jails at so much."""
        self._local.cpu = seconds

    def count(self, reply: dict) -> None:
        """Add what a reply says that it took."""
        self._local.cpu = self.counted + reply.get("cpu", 0.0)

    @property
    def counted(self) -> float:
        """Processor time since `count_from`, seconds."""
        return getattr(self._local, "cpu", 0.0)

    # ------------------------------------------------------------------------------------- requests

    def request(self, task: Task, files: dict[str, str]) -> dict:
        """A request for the task's tests with these files in the tree."""
        return {
            "files": files,
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
        jail = self.jail(tier)
        try:
            reply = jail.ask(self.complete(request), on_progress)
        except BaseException:  # it may be in the middle of an answer
            self._discard_jail(tier)
            raise
        self.count(reply)
        memory_kb, descriptors = reply.get("held", jail.held)
        jail.held = jail.held or (memory_kb, descriptors)
        if memory_kb > jail.held[0] + GROWTH_KB or descriptors > jail.held[1] + GROWTH_DESCRIPTORS:
            self._discard_jail(tier)
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
        if self.closing:
            raise HarnessError(CLOSING)
        jail = self._open_jail("fresh", [])
        try:
            reply = jail.ask(self.complete(request))
        finally:
            self._end_jail(jail)
        self.count(reply)
        return {**reply, "tier": "fresh"}

    # ---------------------------------------------------------------------------------------- jails

    def jail(self, tier: str) -> Jail:
        """This thread's jail of the tier."""
        mine = self._local.__dict__.setdefault("jails", {})
        if tier not in mine:
            if self.closing:
                raise HarnessError(CLOSING)
            files = list(self.test_files) if tier == "in-process" else []
            mine[tier] = self._open_jail(tier, files)
        return mine[tier]

    def discard_jails(self) -> None:
        """Give up the jails of this thread."""
        for tier in ("in-process", "forked"):
            self._discard_jail(tier)

    def _open_jail(self, tier: str, files: list[str]) -> Jail:
        begun: list[Jail] = []

        def on_start(jail: Jail) -> None:
            begun.append(jail)
            self._started(jail)

        try:
            return open_jail(self._layout, tier, files, self.repository.path, on_start)
        except BaseException as error:
            # It has closed itself; nobody is to look after it any more.
            with self._lock:
                self.jails = [jail for jail in self.jails if jail not in begun]
            if isinstance(error, OSError):
                raise HarnessError(f"The jail cannot be started: {error}.") from None
            raise

    def _started(self, jail: Jail) -> None:
        """From now on `stop` finds it."""
        with self._lock:
            self.jails.append(jail)
        if self.closing:
            jail.kill()

    def _end_jail(self, jail: Jail) -> None:
        with self._lock:
            self.jails.remove(jail)
        jail.close()

    def _discard_jail(self, tier: str) -> None:
        jail = self._local.__dict__.get("jails", {}).pop(tier, None)
        if jail is not None:
            self._end_jail(jail)


def wants_fresh(task: Task) -> bool:
    """Whether a fork of a process with a history is not good enough to confirm an edit."""
    return not task.hard and (task.split == "heldout" or bool(jail_notice()))
