"""The jails of the judge's threads.

A thread keeps a jail of each tier that takes more than one request (`sandbox/jail/jail.py` says
what the tiers are), opens it when it is first wanted, and gives it up where it fails or grows. A
`fresh` process has a jail that ends with its one request.

    jails = Jails(repository, suite)
    jails.of_thread("forked").ask(request)     # raises HarnessError
    with jails.fresh() as jail: ...
    jails.stop()                               # from another thread: what they are doing fails
    jails.close()
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sandbox.errors import HarnessError
from sandbox.jail.choice import open_jail
from sandbox.jail.jail import Jail
from sandbox.judge.settings import Suite
from sandbox.repo import Repository

CLOSING = "The judge is being closed."
KEPT_TIERS = ("in-process", "forked")
"""Tiers whose jails take more than one request."""


class Jails:
    """All jails that are open, and which thread has which."""

    def __init__(self, repository: Repository, suite: Suite) -> None:
        self.open: list[Jail] = []
        self.closing = False
        self._path, self._suite = repository.path, suite
        self._layout = repository.layout(suite.preload)
        self._lock = threading.Lock()
        self._thread = threading.local()

    def of_thread(self, tier: str) -> Jail:
        """This thread's jail of the tier. Raises HarnessError where it cannot be started, or where
        the judge is being closed."""
        mine = self._of_this_thread()
        if tier not in mine:
            mine[tier] = self._start(tier)
        return mine[tier]

    @contextmanager
    def fresh(self) -> Iterator[Jail]:
        """A jail for one request. Raises HarnessError as `of_thread`."""
        jail = self._start("fresh")
        try:
            yield jail
        finally:
            self._end(jail)

    def discard(self, tier: str) -> None:
        """Give up this thread's jail of the tier, if there is one."""
        jail = self._of_this_thread().pop(tier, None)
        if jail is not None:
            self._end(jail)

    def discard_all(self) -> None:
        """Give up the jails of this thread."""
        for tier in KEPT_TIERS:
            self.discard(tier)

    def stop(self) -> None:
        """Kill what is in all jails: whoever waits for them gets a HarnessError, and no jail is
        opened any more. `close` is still to be called."""
        self.closing = True
        with self._lock:
            for jail in self.open:
                jail.kill()

    def close(self) -> None:
        """End all jails, once no thread uses them any more."""
        for jail in self.open:
            jail.close()

    def _of_this_thread(self) -> dict[str, Jail]:
        jails: dict[str, Jail] = self._thread.__dict__.setdefault("jails", {})
        return jails

    def _start(self, tier: str) -> Jail:
        if self.closing:
            raise HarnessError(CLOSING)
        started: list[Jail] = []

        def on_start(jail: Jail) -> None:
            started.append(jail)
            self._started(jail)

        try:
            if tier != "in-process":
                return open_jail(self._layout, tier, (), self._path, on_start)
            layout = replace(self._layout, given=self._suite.given)
            files = (*self._suite.test_files, *self._suite.given)
            return open_jail(layout, tier, files, self._path, on_start)
        except BaseException as error:
            # It has closed itself; nobody is to look after it any more.
            with self._lock:
                self.open = [jail for jail in self.open if jail not in started]
            if isinstance(error, OSError):
                raise HarnessError(f"The jail cannot be started: {error}.") from None
            raise

    def _started(self, jail: Jail) -> None:
        """From now on `stop` finds it."""
        with self._lock:
            self.open.append(jail)
        if self.closing:
            jail.kill()

    def _end(self, jail: Jail) -> None:
        with self._lock:
            self.open.remove(jail)
        jail.close()
