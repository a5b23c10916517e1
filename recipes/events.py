"""What happens in a run, as plain data. Learning code hands events to `session.emit`; the command
line shows them.

    session.emit(Progress("probing", 3, 40))
    session.emit(Note("The jail is Landlock's."))

`str(event)` is what a person reads.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something that a person may want to know."""


@dataclass(frozen=True)
class Progress(Event):
    """`done` of `total` steps of `what` are done."""

    what: str
    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.what} {self.done}/{self.total}"


@dataclass(frozen=True)
class Note(Event):
    """A sentence of a part that has no event of its own."""

    text: str

    def __str__(self) -> str:
        return self.text


Emit = Callable[[Event], None]
"""What events are handed to."""
