"""A model's reply, taken apart into prose, thinking, fenced code and SEARCH/REPLACE blocks.

    for part in read(reply):                       # in their order; together they are the reply
        part.kind, part.text, part.content         # "python", as it stands, without the fences
    thought, answer = without_thinking(reply)

**Thinking** is what stands between `<think>` and `</think>` (or tags like these): all that follows
where it is never closed, all that is before where it is never opened, because the template did
that. A tag counts where a model puts one: it begins a line, or ends one, or touches the answer
behind it; what code or prose says of such tags counts for nothing.

**Fences** are those of CommonMark: three or more backticks or tildes, closed by as many or more of
the same. A block of Python is closed by the first such line that no string of its code holds, so a
docstring may show fences of its own. A line may be indented, or begin an item of a list.

**SEARCH/REPLACE blocks** have marks of five to nine characters, with blanks behind them or not, in
a fence or bare. Marks of the length of the first one count before others, so a block can hold other
marks; what is between them is cut where a mark divides it (`Part.changes`: in as many ways as there
are such lines).

Whatever a model writes is read in a time that its length bounds: what looks far ahead draws on a
budget, and where that is spent the rest is prose.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sandbox.source import CODING, UTF_8, indentation, parse, reindent

PROSE, THINKING, PYTHON, BROKEN, OTHER, OPEN, CHANGE = (
    "prose",
    "thinking",
    "python",
    "broken",
    "other",
    "open",
    "change",
)
"""`python` parses, `broken` does not; `other` is a fenced block of another language; `open` is the
first line alone of what has no end, and what follows is read by itself."""

_NAMES = r"(?:think(?:ing)?|thoughts?|reasoning)"
_OPENS = re.compile(rf"<{_NAMES}(?:\s[^<>\n]*)?>|\[THINK\]", re.IGNORECASE)
_CLOSES = re.compile(rf"(?:</{_NAMES}\s*>|\[/THINK\])(?!['\"\\]|`(?!``))", re.IGNORECASE)
"""Not one that is quoted."""
_TAGS = re.compile(rf"{_OPENS.pattern}|({_CLOSES.pattern})", re.IGNORECASE)
_FENCE = re.compile(r"([ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(`{3,}|~{3,})([^\n]*)")
_CLOSER = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t\r]*\n?")
_MARKS = {
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
_PYTHON = re.compile(r"i?py(?:thon)?[-_ ]?(?:[23](?:\.\d+)*)?")
_DOCUMENT = re.compile(r"(?:markdown|md)\b", re.IGNORECASE)
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
class Part:
    """A stretch of a reply."""

    kind: str
    text: str
    """As it stands, marks and tags included."""
    content: str = ""
    """What is between the fences, without their indentation."""
    code: str = ""
    """The same as Python reads it, where it does."""
    fault: str = ""
    """Why Python does not."""
    paths: tuple[str, ...] = ()
    """The files that are named where the block begins, or right above it."""
    path_alone: bool = False
    """Whether that line says nothing else."""
    changes: tuple[tuple[str, str], ...] = ()
    """(search text, replacement): the ways to read a SEARCH/REPLACE block, the longest search text
    first: if the file has it, with what may be a mark in it, it was meant."""


def read(reply: str) -> list[Part]:
    """The parts of a reply, in their order; their texts together are the reply."""
    return _Reader(reply).read()


def without_thinking(reply: str) -> tuple[str, str]:
    """(what was thought, without the tags; the rest: the reply itself where nothing was)."""
    parts = read(reply)
    thoughts = [part.text for part in parts if part.kind == THINKING]
    if not thoughts:
        return "", reply
    rest = "".join(part.text for part in parts if part.kind != THINKING)
    return "\n".join(map(untagged, thoughts)).strip(), rest.lstrip("\n")


def untagged(thought: str) -> str:
    """Thinking without the tags around it."""
    return _TAGS.sub("", thought).strip()


def is_python(info: str) -> bool:
    """Whether what stands behind a fence says that a block is Python, or nothing."""
    words = [word for word in re.findall(r"[\w.+#/\\-]+", info.lower()) if word.strip("#-+")]
    first = words[0].removeprefix("language-").removeprefix("lang-") if words else ""
    if info.lstrip().startswith("{"):  # attributes: {.python #id}
        return any(_PYTHON.fullmatch(word.lstrip(".")) for word in words) or not words
    if not first or _PYTHON.fullmatch(first) or first.endswith(".py"):
        return True
    return first in ("title", "file", "filename", "path", "name") and any(
        word.endswith(".py") for word in words
    )


@dataclass(frozen=True)
class _Fence:
    indent: str
    run: str
    info: str

    @property
    def width(self) -> int:
        return len(self.indent.expandtabs(4))

    @classmethod
    def of(cls, line: str) -> "_Fence | None":
        found = _FENCE.match(line) if "```" in line or "~~~" in line else None
        if found is None or (found[2][0] == "`" and "`" in found[3]):
            return None
        return cls(found[1], found[2], found[3].strip())

    def is_closed_by(self, closer: "_Fence", strictly: bool) -> bool:
        alike = closer.run[0] == self.run[0] and len(closer.run) >= len(self.run)
        return alike and (not strictly or closer.width <= self.width + 3)


class _Spent(Exception):
    """The budget."""


class _Reader:
    """Reads one reply from its first line to its last."""

    def __init__(self, reply: str) -> None:
        self.lines = re.findall(r"[^\n]*\n|[^\n]+", reply)
        self.left = WORK * (len(reply) + 1000)
        self.parts: list[Part] = []
        self.thought = 0
        """Parts that turned out to be thinking, from the first one on."""
        self.prose: list[str] = []
        self.inside: _Fence | None = None
        """A fence around what is being read: a document, or SEARCH/REPLACE blocks."""
        self.closers: list[tuple[int, _Fence]] = []
        self.marks: dict[str, dict[tuple[str, int], list[int]]] = {
            name: defaultdict(list) for name in _MARKS
        }
        for at, line in enumerate(self.lines):
            if found := _CLOSER.fullmatch(line):
                self.closers.append((at, _Fence(found[1], found[2], "")))
            for name, mark in _MARKS.items():
                if found := mark.fullmatch(line):
                    self.marks[name][found[1], len(found[2])].append(at)
        self.closers_at = [at for at, _ in self.closers]

    def read(self) -> list[Part]:
        at = 0
        while at < len(self.lines):
            try:
                at = self._step(at)
            except _Spent:
                self.prose += self.lines[at:]
                break
        self._end_prose()
        if self.thought:
            text = "".join(part.text for part in self.parts[: self.thought])
            self.parts[: self.thought] = [Part(THINKING, text)]
        return self.parts

    def _step(self, at: int) -> int:
        """Read what begins in this line; the number of the next one."""
        line = self.lines[at]
        if (tag := _OPENS.match(line.lstrip(" \t"))) is not None:
            return self._thinking(at, len(line) - len(line.lstrip(" \t")) + tag.end())
        if (end := _unopened(line)) is not None:
            return self._thought_so_far(at, end)
        if (
            self.inside
            and (closer := _CLOSER.fullmatch(line))
            and self.inside.is_closed_by(_Fence(closer[1], closer[2], ""), strictly=True)
        ):
            self.inside = None
        elif (mark := _MARKS["search"].fullmatch(line)) is not None:
            return self._change(at, mark)
        elif (fence := _Fence.of(line)) is not None:
            return self._fenced(at, fence)
        self.prose.append(line)
        return at + 1

    def _spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise _Spent

    def _end_prose(self) -> None:
        if self.prose:
            self.parts.append(Part(PROSE, "".join(self.prose)))
            self.prose = []

    def _add(self, part: Part) -> None:
        self._end_prose()
        self.parts.append(part)

    # ------------------------------------------------------------------------------------- thinking

    def _thinking(self, at: int, start: int) -> int:
        """Thinking that is opened in this line, up to its own end or that of the reply."""
        for end in range(at, len(self.lines)):
            line = self.lines[end]
            if (stop := _closing(line, start if end == at else 0)) is not None:
                self._add(Part(THINKING, "".join(self.lines[at:end]) + line[:stop]))
                return self._go_on(end, stop)
        self._add(Part(THINKING, "".join(self.lines[at:])))
        return len(self.lines)

    def _thought_so_far(self, at: int, stop: int) -> int:
        """All before this place was thinking."""
        self._add(Part(THINKING, self.lines[at][:stop]))
        self.thought, self.inside = len(self.parts), None
        return self._go_on(at, stop)

    def _go_on(self, at: int, stop: int) -> int:
        """The rest of a line is a line by itself."""
        if not self.lines[at][stop:].strip():
            self.parts[-1] = Part(THINKING, self.parts[-1].text + self.lines[at][stop:])
            return at + 1
        self.lines[at] = self.lines[at][stop:]
        return at

    # --------------------------------------------------------------------------------------- fences

    def _fenced(self, at: int, fence: _Fence) -> int:
        """Read a block that this fence opens, or its first line alone."""
        last = self._closer(at, fence, strictly=True) or self._closer(at, fence, strictly=False)
        python, part = is_python(fence.info), None
        ends = (self._outside_strings(at, fence), last) if python else ()
        for end in dict.fromkeys(filter(None, ends)):
            part = self._python(at, end, fence)
            if part.kind == PYTHON:
                self._add(part)
                return end + 1
        if last is None:
            self._add(Part(OPEN, self.lines[at]))
            return at + 1
        part = part or Part(
            OTHER, "".join(self.lines[at : last + 1]), "".join(self.lines[at + 1 : last])
        )
        looked_into = self._must_look_into(at, last, fence)
        self._add(replace(part, text=self.lines[at]) if looked_into else part)
        return at + 1 if looked_into else last + 1

    def _closer(self, at: int, fence: _Fence, strictly: bool) -> int | None:
        """The first line below that closes the fence."""
        for index in range(bisect_left(self.closers_at, at + 1), len(self.closers)):
            self._spend(8)
            if fence.is_closed_by(self.closers[index][1], strictly):
                return self.closers[index][0]
        return None

    def _outside_strings(self, at: int, fence: _Fence) -> int | None:
        """The first line below that closes the fence and is in no string of the code."""
        quote = ""
        for number in range(at + 1, len(self.lines)):
            line, position = self.lines[number], 0
            self._spend(len(line))
            if (
                not quote
                and (found := _CLOSER.fullmatch(line))
                and fence.is_closed_by(_Fence(found[1], found[2], ""), strictly=False)
            ):
                return number
            while True:
                if quote:
                    if (end := _STRING_ENDS[quote].match(line, position)) is None:
                        break
                    quote, position = "", end.end()
                if (found := _STRING.search(line, position)) is None or found[0] == "#":
                    break
                position = found.end()
                quote = found[0] if found[0] in _STRING_ENDS else ""
        return None

    def _python(self, at: int, end: int, fence: _Fence) -> Part:
        """The block between two lines, as Python."""
        self._spend(sum(map(len, self.lines[at:end])))
        lines = [_unindented(line, fence.width) for line in self.lines[at + 1 : end]]
        text, content = "".join(self.lines[at : end + 1]), "".join(lines)
        paths, alone = _paths_in(fence.info), True
        if not paths:
            first = next((line.strip() for line in lines if line.strip()), "")
            named = first[:1] == "#" and _says_a_path_alone(first)
            paths, alone = (_paths_in(first), True) if named else self._paths_above(at)
        try:
            code = module_of(content)
        except SyntaxError as error:
            line = f" (line {error.lineno})" if error.lineno else ""
            return Part(BROKEN, text, content, "", f"{error.msg}{line}", paths, alone)
        return Part(PYTHON, text, content, code, "", paths, alone)

    def _must_look_into(self, at: int, end: int, fence: _Fence) -> bool:
        """Whether a block that is no Python holds something that is to be read by itself: it is a
        whole document, or SEARCH/REPLACE blocks stand in it, or it was meant to end earlier."""
        self._spend(sum(map(len, self.lines[at:end])))
        inner = self.lines[at + 1 : end]
        python = [
            other
            for other in filter(None, map(_Fence.of, inner))
            if other.info and is_python(other.info)
        ]
        is_document = _DOCUMENT.match(fence.info) or not fence.info and python
        meant_to_end = any(fence.is_closed_by(other, strictly=False) for other in python)
        if any(_MARKS["search"].fullmatch(line) for line in inner) or is_document:
            self.inside = None if meant_to_end and not fence.info else fence
            return True
        return meant_to_end or is_python(fence.info) and any(_unopened(line) for line in inner)

    # ------------------------------------------------------------------------------- SEARCH/REPLACE

    def _change(self, at: int, found: re.Match) -> int:
        """Read the SEARCH/REPLACE block that begins in this line, or that line alone where the
        block has no end."""
        indent, size = found[1], len(found[2])
        others = tuple(n for n in range(5, 10) if n != size)
        stop = self._next("search", indent, (size,), at + 1, len(self.lines))
        end = self._next("replace", indent, (size,), at + 1, stop)
        if end == stop:
            end = self._next("replace", indent, others, at + 1, stop)
        dividers = self._between(indent, (size,), at, end) or self._between(indent, others, at, end)
        if end == stop or not dividers:
            self._add(Part(OPEN, self.lines[at]))
            return at + 1
        self._spend(len(dividers) * sum(map(len, self.lines[at:end])))
        changes = tuple(
            (self._dedented(indent, at + 1, divider), self._dedented(indent, divider + 1, end))
            for divider in reversed(dividers)
        )
        paths, alone = self._paths_above(at)
        above = self.prose.pop() if self.prose and not _Fence.of(self.prose[-1]) else ""
        self._add(
            Part(
                CHANGE,
                above + "".join(self.lines[at : end + 1]),
                paths=paths,
                path_alone=alone,
                changes=changes,
            )
        )
        return end + 1

    def _dedented(self, indent: str, first: int, end: int) -> str:
        lines = (line.removeprefix(indent) for line in self.lines[first:end])
        return "".join(lines).replace("\r\n", "\n")

    def _next(self, mark: str, indent: str, sizes: tuple[int, ...], start: int, stop: int) -> int:
        """The first line from `start` on that is such a mark; `stop` where none is before that."""
        found = stop
        for size in sizes:
            places = self.marks[mark].get((indent, size), ())
            index = bisect_left(places, start)
            found = min(found, places[index]) if index < len(places) else found
        return found

    def _between(self, indent: str, sizes: tuple[int, ...], first: int, last: int) -> list[int]:
        """The lines that divide a block, WAYS of them at most."""
        found = []
        while len(found) < WAYS:
            first = self._next("divider", indent, sizes, first + 1, last)
            if first == last:
                break
            found.append(first)
        return found

    def _paths_above(self, at: int) -> tuple[tuple[str, ...], bool]:
        """The files named on the nearest line above that says anything, a fence left out unless it
        names one; and whether that line says nothing else."""
        while at > 0 and not self.lines[at - 1].strip():
            at -= 1
        for line in reversed(self.lines[max(0, at - _LOOK_UP) : at]):
            fence = _Fence.of(line)
            if paths := _paths_in(fence.info if fence else line):
                return paths, bool(fence) or _says_a_path_alone(line)
            if line.strip() and not fence:
                break
        return (), False


def mark_sizes(lines: Iterable[str]) -> set[int]:
    """How long the marks of SEARCH/REPLACE blocks are that stand in these lines."""
    found = (mark.fullmatch(line) for line in lines for mark in _MARKS.values())
    return {len(match[2]) for match in found if match and not match[1]}


def module_of(content: str) -> str:
    """Python code as a module: without indentation, and without a coding line, for the reply has an
    encoding of its own. Raises SyntaxError where it is none."""
    code = content.removeprefix("\ufeff")
    if coding := CODING.match(code):
        code = code[: coding.start(1)] + UTF_8 + code[coding.end(1) :]
    if indentation(code):
        parse(f"if 1:\n{code}\n")
        code = reindent(code, "")
    parse(code)
    return code


def _unindented(line: str, width: int) -> str:
    """The line without so many columns of blanks at its beginning, as far as it has them."""
    at = 0
    while at < len(line) and width > 0 and line[at] in " \t":
        width -= 4 if line[at] == "\t" else 1
        at += 1
    return line[at:]


def _closing(line: str, start: int) -> int | None:
    """Where the tag ends that ends thinking; None where there is none in this line, or only one
    whose beginning is in it, too."""
    opened = 0
    for tag in _TAGS.finditer(line, start):
        opened += -1 if tag[1] else 1
        if opened < 0:
            return tag.end()
    return None


def _unopened(line: str) -> int | None:
    """Where a tag ends that ends thinking which the template began; None where there is none."""
    if "/" not in line or (stop := _closing(line, 0)) is None:
        return None
    begins = re.fullmatch(rf"\s*{_CLOSES.pattern}", line[:stop], re.IGNORECASE)
    touches = line[stop : stop + 1].isalnum() or line[stop:].startswith(("```", "~~~"))
    return stop if begins or touches or not line[stop:].strip() else None


def _paths_in(line: str) -> tuple[str, ...]:
    return tuple(_PATH.findall(line)) if ".py" in line and len(line) < _LONG_LINE else ()


def _says_a_path_alone(line: str) -> bool:
    rest = _PATH.sub("", line, count=1) if _paths_in(line) else line
    return rest != line and not re.search(r"\w", _WORDS_OF_A_PATH.sub("", rest))
