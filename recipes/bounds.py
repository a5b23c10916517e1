"""What the value of a setting must be, said in the type of its field.

lora_rank: Positive[int] = 16
heldout: Share = 0.2
style: Annotated[str, OneOf(("blocks", "body"))] = "blocks"

reason(hints["lora_rank"], 0)    # "must be more than 0, not 0"; "" where nothing is wrong
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Protocol, TypeVar

Value = TypeVar("Value")


class Bound(Protocol):
    """One thing that a value must be."""

    def reason(self, value: Any) -> str:
        """What it must be, after the name of the setting, where it is not; else empty."""


@dataclass(frozen=True)
class MoreThan:
    """A number above this one."""

    limit: float

    def reason(self, value: float) -> str:
        return "" if value > self.limit else f"must be more than {self.limit}, not {value!r}"


@dataclass(frozen=True)
class AtLeast:
    """This number or more."""

    limit: float
    why: str = ""
    """Said in place of the value."""

    def reason(self, value: float) -> str:
        if value >= self.limit:
            return ""
        return f"must be {self.limit} or more" + (
            self.why and f": {self.why}" or f", not {value!r}"
        )


@dataclass(frozen=True)
class ShareUpTo:
    """A share of this much or less."""

    limit: float

    def reason(self, value: float) -> str:
        if value <= self.limit:
            return ""
        return f"is a share and must not be more than {self.limit}, not {value!r}"


@dataclass(frozen=True)
class OneOf:
    """One of these texts, or a list of some of them."""

    allowed: tuple[str, ...]

    def reason(self, value: str | tuple[str, ...]) -> str:
        if set(value if isinstance(value, tuple) else (value,)) <= set(self.allowed):
            return ""
        return f"must be {' or '.join(self.allowed)}, not {value!r}"


class NotEmpty:
    """A list with something in it."""

    def reason(self, value: tuple) -> str:
        return "" if value else "must not be empty"


class Word:
    """A word that may name a file."""

    def reason(self, value: str) -> str:
        if re.fullmatch(r"[A-Za-z][\w-]*", value):
            return ""
        return f"must be a word of letters, digits, - and _, not {value!r}"


class Day:
    """A day, or no text."""

    def reason(self, value: str) -> str:
        try:
            date.fromisoformat(value or "2000-01-01")
        except ValueError:
            return f"must be a day such as 2025-01-31, not {value!r}"
        return ""


Positive = Annotated[Value, MoreThan(0)]
NotNegative = Annotated[Value, AtLeast(0)]
Share = Annotated[float, AtLeast(0), ShareUpTo(1)]
Several = Annotated[tuple[Value, ...], NotEmpty()]


def reason(hint: Any, value: Any) -> str:
    """What is wrong with the value of a field of this type, after the name of the setting; empty if
    nothing is."""
    bounds: tuple[Bound, ...] = getattr(hint, "__metadata__", ())
    return next((said for bound in bounds if (said := bound.reason(value))), "")
