"""The lines of a reply: where fences close, where marks of SEARCH/REPLACE blocks stand, which files
are named; and the budget that reading them draws on.

    lines = Lines(reply)
    lines.closer(at, fence, strictly=True)         # the line below `at` that closes the fence
    lines.change(at, mark)                         # where the SEARCH/REPLACE block divides and ends
    lines.paths_above(at)                          # the files that a block here may be about
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

_FENCE = re.compile(r"([ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(`{3,}|~{3,})([^\n]*)")
_CLOSER = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t\r]*\n?")
MARKS = {
    name: re.compile(rf"([ \t]*)({sign}{{5,9}}){word}[ \t\r]*\n?")
    for name, sign, word in (
        ("search", "<", " SEARCH>?"),
        ("divider", "=", ""),
        ("replace", ">", " REPLACE"),
    )
}
_STRING = re.compile(r"#|'''|\"\"\"|'(?:\\.|[^'\\\n])*'?|\"(?:\\.|[^\"\\\n])*\"?")
_STRING_ENDS = {
    quote: re.compile(rf"(?:\\.|[^\\{quote[0]}]|{quote[0]}(?!{quote[1:]}))*{quote}", re.DOTALL)
    for quote in ("'''", '"""')
}
_PATH = re.compile(r"[\w./\\+-]*\w\.py\b(?![\w./\\-]*\w)")
_WORDS_OF_A_PATH = re.compile(
    r"\b(?:in|the|file|filename|filepath|path|title|python|edit|update)\b", re.IGNORECASE
)
_LOOK_UP, _LONG_LINE = 3, 400
"""Lines above a block in which its file may be named; characters of a line that names none."""
WORK = 16
"""Characters that may be looked at for each character of a reply."""
WAYS = 8
"""In which one SEARCH/REPLACE block is cut, at most."""


@dataclass(frozen=True)
class Fence:
    """The line that opens or closes a block."""

    indent: str
    run: str
    info: str

    @property
    def width(self) -> int:
        return len(self.indent.expandtabs(4))

    @classmethod
    def closing(cls, line: str) -> "Fence | None":
        """The fence of a line that may close a block."""
        match = _CLOSER.fullmatch(line)
        return cls(match[1], match[2], "") if match else None

    @classmethod
    def of(cls, line: str) -> "Fence | None":
        """The fence of a line that may open one."""
        match = _FENCE.match(line) if "```" in line or "~~~" in line else None
        if match is None or (match[2][0] == "`" and "`" in match[3]):
            return None
        return cls(match[1], match[2], match[3].strip())

    def is_closed_by(self, closer: "Fence", strictly: bool) -> bool:
        alike = closer.run[0] == self.run[0] and len(closer.run) >= len(self.run)
        return alike and (not strictly or closer.width <= self.width + 3)


class Spent(Exception):
    """The budget."""


class Lines(list[str]):
    """The lines of one reply, and what may still be looked at."""

    def __init__(self, reply: str) -> None:
        super().__init__(re.findall(r"[^\n]*\n|[^\n]+", reply))
        self._left = WORK * (len(reply) + 1000)
        self._closers: list[tuple[int, Fence]] = []
        self._marks: dict[str, dict[tuple[str, int], list[int]]] = {
            name: defaultdict(list) for name in MARKS
        }
        for at, line in enumerate(self):
            if (fence := Fence.closing(line)) is not None:
                self._closers.append((at, fence))
            for name, mark in MARKS.items():
                if match := mark.fullmatch(line):
                    self._marks[name][match[1], len(match[2])].append(at)
        self._closers_at = [at for at, _ in self._closers]

    def text(self, first: int, end: int) -> str:
        return "".join(self[first:end])

    def spend(self, amount: int) -> None:
        """Raises Spent where so much is not left."""
        self._left -= amount
        if self._left < 0:
            raise Spent

    def spend_on(self, first: int, end: int, times: int = 1) -> None:
        """Spend what it takes to look at these lines so many times."""
        self.spend(times * sum(map(len, self[first:end])))

    # --------------------------------------------------------------------------------------- fences

    def closer(self, at: int, fence: Fence, strictly: bool) -> int | None:
        """The first line below that closes the fence."""
        for index in range(bisect_left(self._closers_at, at + 1), len(self._closers)):
            self.spend(8)
            if fence.is_closed_by(self._closers[index][1], strictly):
                return self._closers[index][0]
        return None

    def closer_outside_strings(self, at: int, fence: Fence) -> int | None:
        """The first line below that closes the fence and is in no string of the code."""
        quote = ""
        for number in range(at + 1, len(self)):
            line = self[number]
            self.spend(len(line))
            closer = None if quote else Fence.closing(line)
            if closer is not None and fence.is_closed_by(closer, strictly=False):
                return number
            quote = _open_string(line, quote)
        return None

    # ------------------------------------------------------------------------------- SEARCH/REPLACE

    def change(self, at: int, mark: re.Match) -> tuple[list[int], int] | None:
        """(the lines that may divide it, the line that ends it) of the SEARCH/REPLACE block whose
        first mark stands in this line; None where it has no end, or nothing divides it."""
        indent, size = mark[1], len(mark[2])
        others = tuple(n for n in range(5, 10) if n != size)
        stop = self._next("search", indent, (size,), at + 1, len(self))
        end = self._next("replace", indent, (size,), at + 1, stop)
        if end == stop:
            end = self._next("replace", indent, others, at + 1, stop)
        dividers = self._dividers(indent, (size,), at, end)
        dividers = dividers or self._dividers(indent, others, at, end)
        return (dividers, end) if end != stop and dividers else None

    def dedented(self, indent: str, first: int, end: int) -> str:
        """The text of these lines without the indentation of their block."""
        lines = (line.removeprefix(indent) for line in self[first:end])
        return "".join(lines).replace("\r\n", "\n")

    def _next(self, mark: str, indent: str, sizes: tuple[int, ...], start: int, stop: int) -> int:
        """The first line from `start` on that is such a mark; `stop` where none is before that."""
        first = stop
        for size in sizes:
            places = self._marks[mark].get((indent, size), [])
            index = bisect_left(places, start)
            first = min(first, places[index]) if index < len(places) else first
        return first

    def _dividers(self, indent: str, sizes: tuple[int, ...], first: int, last: int) -> list[int]:
        """The lines that divide a block, WAYS of them at most."""
        dividers: list[int] = []
        while len(dividers) < WAYS:
            first = self._next("divider", indent, sizes, first + 1, last)
            if first == last:
                break
            dividers.append(first)
        return dividers

    # ---------------------------------------------------------------------------------------- paths

    def paths_above(self, at: int) -> tuple[tuple[str, ...], bool]:
        """The files named on the nearest line above that says anything, a fence left out unless it
        names one; and whether that line says nothing else."""
        while at > 0 and not self[at - 1].strip():
            at -= 1
        for line in reversed(self[max(0, at - _LOOK_UP) : at]):
            fence = Fence.of(line)
            if paths := paths_in(fence.info if fence else line):
                return paths, bool(fence) or says_a_path_alone(line)
            if line.strip() and not fence:
                break
        return (), False


def _open_string(line: str, quote: str) -> str:
    """The quotes of the string that is open behind this line, `quote` those of the one that is open
    before it; "" for none."""
    position = 0
    while True:
        if quote:
            if (end := _STRING_ENDS[quote].match(line, position)) is None:
                return quote
            quote, position = "", end.end()
        if (string := _STRING.search(line, position)) is None or string[0] == "#":
            return ""
        position = string.end()
        quote = string[0] if string[0] in _STRING_ENDS else ""


def mark_sizes(lines: Iterable[str]) -> set[int]:
    """How long the marks of SEARCH/REPLACE blocks are that stand in these lines."""
    matches = (mark.fullmatch(line) for line in lines for mark in MARKS.values())
    return {len(match[2]) for match in matches if match and not match[1]}


def unindented(line: str, width: int) -> str:
    """The line without so many columns of blanks at its beginning, as far as it has them."""
    at = 0
    while at < len(line) and width > 0 and line[at] in " \t":
        width -= 4 if line[at] == "\t" else 1
        at += 1
    return line[at:]


def paths_in(line: str) -> tuple[str, ...]:
    return tuple(_PATH.findall(line)) if ".py" in line and len(line) < _LONG_LINE else ()


def says_a_path_alone(line: str) -> bool:
    rest = _PATH.sub("", line, count=1) if paths_in(line) else line
    return rest != line and not re.search(r"\w", _WORDS_OF_A_PATH.sub("", rest))
