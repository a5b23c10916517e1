"""Ctrl-C: a loop ends between two steps, everything else ends at once.

    with GracefulShutdown(interruption, announce) as shutdown:
        for ...:
            ...               # a step, and its record on the disk
            shutdown.check()  # raises KeyboardInterrupt where it was requested

The command line hands in what shows a person that it was heard.
"""

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType

GRACE = 10.0
"""Seconds in which an interrupted command may end undisturbed."""


class Interruption:
    """Ctrl-C where nothing can be finished first. What ends because of it has GRACE seconds in
    which another one does not cut it off; later ones are heard, for a library may have kept the
    KeyboardInterrupt to itself."""

    def __init__(self) -> None:
        self.began: float | None = None

    def hear(self, number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
        """As a signal's handler."""
        if self.began is None or time.monotonic() > self.began + GRACE:
            self.begin()

    def begin(self) -> None:
        self.began = time.monotonic()
        raise KeyboardInterrupt


def _silent() -> None:
    """Announce nothing."""


class GracefulShutdown:
    """While a loop is at work that can stop between two steps: the first Ctrl-C lets it finish the
    step that it is at, the second stops it at once."""

    def __init__(
        self, interruption: Interruption | None = None, announce: Callable[[], None] = _silent
    ) -> None:
        """`announce` is called in the signal's handler when the first Ctrl-C is heard."""
        self.requested = False
        self._interruption, self._announce = interruption or Interruption(), announce

    def __enter__(self) -> "GracefulShutdown":
        self._before = signal.getsignal(signal.SIGINT)
        # A shell that started it in the background wants it left alone.
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raises KeyboardInterrupt where the person wants an end."""
        if self.requested:
            self._interruption.begin()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            self._interruption.hear()
        else:
            self.requested = True
            self._announce()
