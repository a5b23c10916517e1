"""Why things are left out: how often each reason was given, and what for."""

from collections import Counter
from collections.abc import Iterable

NAMED = 5
"""Names that a person is shown for one reason."""


class Reasons(Counter[str]):
    """{reason: how often it was given}; in `names` what for, where the reason does not say that
    itself."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, list[str]] = {}

    def add(self, reason: str, name: str = "") -> None:
        self[reason] += 1
        if name:
            self.names.setdefault(reason, []).append(name)

    def take(self, counts: dict[str, int], names: dict[str, list[str]]) -> None:
        """Add what somebody else has counted."""
        self.update(counts)
        for reason, more in names.items():
            self.names.setdefault(reason, []).extend(more)


def counted(counts: dict[str, int]) -> str:
    """`3 x this, 1 x that`"""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} x {reason}" for reason, count in ordered)


def listed(words: Iterable[object]) -> str:
    """`a, b and c`, of one at least."""
    *most, last = map(str, words)
    return f"{', '.join(most)} and {last}" if most else last


def name_lines(names: dict[str, list[str]]) -> list[str]:
    """For each reason a line with what it was given for, the first NAMED of many."""
    from sandbox.project import shown  # it takes a while to load, and --help is quick

    lines = []
    for reason, of_one in names.items():
        more = f" and {len(of_one) - NAMED} more" if len(of_one) > NAMED else ""
        lines.append(f"  {reason}: {', '.join(map(shown, of_one[:NAMED]))}{more}")
    return lines


def in_words(counts: dict[str, int], names: dict[str, list[str]]) -> str:
    """All of it, for the end of a sentence."""
    return "\n".join([f"{counted(counts) or 'there is none'}.", *name_lines(names)])
