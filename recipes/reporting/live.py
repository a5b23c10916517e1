"""The one line of a terminal that is drawn again and again: a bar of progress, or how a loop
stands. tqdm draws it, not more often than ten times a second, and asks for the width each time.

    line = Bar("probing", done=0, total=40)
    line = LoopLine(standing)            # of `events.Standing`
    line.show("probing", done=3, total=40)
    line.clear(); ...; line.refresh()    # around a sentence
    line.close()
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm
from tqdm.utils import disp_len, disp_trim

from recipes.events import Standing
from recipes.reporting.terminal import columns_of
from recipes.reporting.times import duration

PARTS = ("{desc} {n_fmt}/{total_fmt}", "{remaining} left", "{rate_fmt}")
"""Of a bar, as tqdm fills them in; the most important first."""
LEAST_BAR = 8
"""Columns that the bar itself takes, or there is none."""
ERASE = "\x1b[K"
"""From the cursor to the end of the line (ECMA-48, EL)."""
SPARE = 2
"""Columns that stay free, for the ^C that a terminal echoes: it would begin another line."""
BETWEEN = " | "


class Bar(tqdm):
    """So many of all steps are done. The rate and the time that is left go by the steps since it
    was opened: what was done before a run was cut off took no time of this one."""

    def __init__(self, what: str, done: int, total: int | None) -> None:
        super().__init__(
            desc=what,
            total=total,
            initial=done,
            file=sys.stderr,
            leave=False,
            smoothing=0,
            miniters=1,
        )

    def show(self, what: str, done: int, total: int) -> None:
        self.total = total
        self.update(done - self.n)

    def parts(self) -> list[tuple[str, ...]]:
        """As `fitted` takes them."""
        facts = super().format_dict
        told = [self.format_meter(**{**facts, "ncols": None, "bar_format": p}) for p in PARTS]
        return [(told[0],), *((part.strip(), "") for part in told[1:])]

    @property
    def format_dict(self) -> dict[str, Any]:
        """What tqdm draws, in the width of this moment."""
        width = room()
        text = fitted(self.parts(), width)
        has_bar = self.total is not None and width - disp_len(text) >= LEAST_BAR + len(" ||")
        drawn = "{desc} |{bar}|" if has_bar else "{desc}"
        return {**super().format_dict, "ncols": width, "prefix": text, "bar_format": drawn}

    @staticmethod
    def status_printer(file: Any) -> Any:
        """As tqdm's own, which covers an older text with blanks: those of a line that was drawn
        before the terminal became narrower would not fit."""

        def draw(text: str) -> None:
            file.write(f"\r{text}{ERASE}")
            file.flush()

        return draw


class LoopLine(Bar):
    """How a loop stands, the time that is left, and the step that it is at."""

    def __init__(self, standing: Standing) -> None:
        self._take(standing)
        self._step: tuple[str, ...] = ("",)
        super().__init__("", 0, None)

    def _take(self, standing: Standing) -> None:
        left = standing.seconds_left
        self._parts, self._ends = standing.parts, None if left is None else time.monotonic() + left

    def stand(self, standing: Standing) -> None:
        self._take(standing)
        self.refresh()

    def show(self, what: str, done: int, total: int) -> None:
        self._step = (f"{what} {done}/{total}", f"{done}/{total}", "")
        self.update(1)

    def parts(self) -> list[tuple[str, ...]]:
        """With those that change by the moment."""
        first, *others = self._parts
        return [first, *self._left(), *others, self._step]

    def _left(self) -> list[tuple[str, ...]]:
        """Nothing where it was expected to be over by now: then nobody knows."""
        if self._ends is None or self._ends <= time.monotonic():
            return []
        about = duration(max(1.0, self._ends - time.monotonic()))
        return [(f"{about} left", about)]


def room() -> int:
    """Columns of standard error's terminal that a line may take."""
    return max(1, columns_of(sys.stderr) - SPARE)


def fitted(parts: Sequence[tuple[str, ...]], width: int) -> str:
    """The parts in one line of at most `width` columns. Each is given in versions, the longest
    first and "" where it can be left out. As many are shortened as have to be, the last part first
    and one version at a time; what room that leaves goes back, to the last part first. What is too
    long even so is cut."""
    chosen = [0] * len(parts)

    def fits() -> bool:
        return disp_len(_joined(parts, chosen)) <= width

    backwards = range(len(parts) - 1, -1, -1)
    for version in range(1, max(map(len, parts), default=0)):
        for place in backwards:
            if not fits():
                chosen[place] = min(version, len(parts[place]) - 1)
    for place in backwards:
        while chosen[place]:
            chosen[place] -= 1
            if not fits():
                chosen[place] += 1
                break
    return disp_trim(_joined(parts, chosen), width)


def _joined(parts: Sequence[tuple[str, ...]], chosen: list[int]) -> str:
    return BETWEEN.join(part[n] for part, n in zip(parts, chosen) if part[n])
