"""How a climb stands, for the one line of a terminal that is drawn again and again; from the run's
files alone.

    standing(run, last=50, stage="", until=None)    # an event for the screen
"""

from __future__ import annotations

import time
from statistics import fmean
from typing import TYPE_CHECKING

from recipes import phases
from recipes.events import Standing
from recipes.reporting.tables import grouped, read_probes
from recipes.reporting.times import cycle_seconds
from sandbox.tasks.task import SORTS

if TYPE_CHECKING:
    from recipes.runfolder.run import Run

FIGURES = ("reward", "warm", "held out")
"""Mean reward of the last cycle; its groups that were warm, of all; held-out pass@1 as it was
measured last."""


def standing(
    run: Run, last: int, stage: str = "", until: float | None = None, expected: float | None = None
) -> Standing:
    """A climb that is to end with cycle `last`, or at `until` of the monotonic clock. `stage`: what
    a person calls the present one, where there are several; `expected`: seconds of a cycle, for as
    long as the run has none."""
    metrics = run.read("metrics.jsonl")
    number = len(metrics)
    seconds = cycle_seconds(run) or expected
    left = None if seconds is None else seconds * max(0, last - number)
    if until is not None:
        left = min(x for x in (left, max(0.0, until - time.monotonic())) if x is not None)
    of = f"{number} of {last} cycles", f"{number}/{last} cycles", f"{number}/{last}"
    parts = [(f"{of[0]} ({stage})", *of) if stage else of]
    shown = {name: found for name in SORTS if (found := _figures(run, metrics, name, stage))}
    for sort, figures in shown.items():
        full, short = _in_words(sort, figures)
        # Hard tasks count: the others are left out first, and cycles are put shorter first.
        tight, tightest = (text.replace(" 0.", " .") for text in (full, short))
        whole = full, tight, tight, tightest
        parts.append(whole if sort == next(iter(shown)) else (full, short, ""))
    return Standing(tuple(parts), left)


def _figures(run: Run, metrics: list[dict], sort: str, stage: str) -> dict[str, str]:
    """{of FIGURES: it}, as far as they are known."""
    found: dict[str, str] = {}
    newest = metrics[-1] if metrics else {}
    if (reward := newest.get(f"reward/{sort}")) is not None:
        found["reward"] = f"{reward:.2f}"
    if groups := newest.get(f"groups/{sort}"):
        found["warm"] = f"{newest[f'groups/{sort}/used']}/{groups}"
    of_stage = (m for m in reversed(metrics) if m.get("stage", "") == stage)
    measured = (m.get(f"heldout/{sort}") for m in of_stage)
    heldout = next((value for value in measured if value is not None), None)
    if heldout is None and not stage:  # on other draws, but it is what is known
        probes = grouped(run, read_probes(run, phases.bootstrapped()))[f"heldout_{sort}"]
        heldout = fmean(p.resolved / p.k for p in probes) if probes else None
    if heldout is not None:
        found["held out"] = f"{heldout:.2f}"
    return found


def _in_words(sort: str, figures: dict[str, str]) -> tuple[str, str]:
    """With the names of the figures, and without."""
    named = ", ".join(f"{name} {figures[name]}" for name in FIGURES if name in figures)
    bare = ", ".join(figures[name] for name in FIGURES if name in figures)
    return f"{sort}: {named}", f"{sort}: {bare}"
