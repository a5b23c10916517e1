"""What there is to say of a climb, as events of the run (`events.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipes.events import Event, Tone
from recipes.reporting import tables, times

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.learning.reinforce import CycleResult

NAMED = 4
"""Thawed tasks that a terminal has the names of."""


@dataclass(frozen=True)
class CycleDone(Event):
    """A cycle has ended."""

    result: CycleResult
    metrics: dict
    """Its line of metrics.jsonl."""
    best: bool
    """Whether its checkpoint is the best so far."""

    def __str__(self) -> str:
        from recipes.learning.reinforce import in_words

        measured = tables.heldout_words(self.metrics, self.best)
        return "; ".join([in_words(self.result), *([measured] if measured else [])])

    @property
    def news(self) -> str:
        """Where it is the best so far by what was measured, or was undone."""
        from recipes.learning.reinforce import undone_in_words

        said = [undone_in_words(self.result)] if self.result.rolled_back else []
        if self.best and (measured := tables.heldout_words(self.metrics, self.best)):
            said.append(measured)
        return f"cycle {self.result.cycle}: {'; '.join(said)}" if said else ""

    @property
    def tone(self) -> Tone:
        return "bad" if self.result.rolled_back else "good"


@dataclass(frozen=True)
class Thawed(Event):
    """A cycle has solved tasks for training that the student had never solved in this run."""

    cycle: int
    tasks: dict[str, str]
    """{instance_id: its sort}"""

    def __str__(self) -> str:
        return self._words(len(self.tasks))

    @property
    def news(self) -> str:
        return self._words(NAMED)

    def _words(self, named: int) -> str:
        names = [f"{name} ({sort})" for name, sort in self.tasks.items()]
        more = f" and {len(names) - named} more" if len(names) > named else ""
        return f"cycle {self.cycle} solved for the first time: {', '.join(names[:named])}{more}"

    @property
    def tone(self) -> Tone:
        return "good"


@dataclass(frozen=True)
class TimeAhead(Event):
    """How long climbing will take."""

    seconds: float
    """Of a cycle."""
    cycles: int
    """That are left."""
    source: str
    """What that was measured by."""

    def __str__(self) -> str:
        return (
            f"About {times.duration(self.seconds)} a cycle on this machine, and "
            f"{times.duration(self.seconds * self.cycles)} for the {self.cycles} that are left "
            f"(by {self.source})."
        )

    @property
    def news(self) -> str:
        """It is in the line that is drawn."""
        return ""


@dataclass(frozen=True)
class Alarm(Event):
    """What is learned may be to please the verdict (`reporting/alarm.py`)."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def tone(self) -> Tone:
        return "bad"
