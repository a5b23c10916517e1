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
from dataclasses import dataclass, replace

from sandbox.source import CODING, UTF_8, indentation, parse, reindent
from sandbox.tasks.reply_lines import (
    MARKS,
    Fence,
    Lines,
    Spent,
    paths_in,
    says_a_path_alone,
    unindented,
)

PROSE, THINKING, PYTHON, BROKEN = "prose", "thinking", "python", "broken"
OTHER, OPEN, CHANGE = "other", "open", "change"
"""`python` parses, `broken` does not; `other` is a fenced block of another language; `open` is the
first line alone of what has no end, and what follows is read by itself."""

_NAMES = r"(?:think(?:ing)?|thoughts?|reasoning)"
_OPENS = re.compile(rf"<{_NAMES}(?:\s[^<>\n]*)?>|\[THINK\]", re.IGNORECASE)
_CLOSES = re.compile(rf"(?:</{_NAMES}\s*>|\[/THINK\])(?!['\"\\]|`(?!``))", re.IGNORECASE)
"""Not one that is quoted."""
_TAGS = re.compile(rf"{_OPENS.pattern}|({_CLOSES.pattern})", re.IGNORECASE)
_PYTHON = re.compile(r"i?py(?:thon)?[-_ ]?(?:[23](?:\.\d+)*)?")
_DOCUMENT = re.compile(r"(?:markdown|md)\b", re.IGNORECASE)


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


class _Reader:
    """Reads one reply from its first line to its last."""

    def __init__(self, reply: str) -> None:
        self.lines = Lines(reply)
        self.parts: list[Part] = []
        self.thought = 0
        """Parts that turned out to be thinking, from the first one on."""
        self.prose: list[str] = []
        self.inside: Fence | None = None
        """A fence around what is being read: a document, or SEARCH/REPLACE blocks."""

    def read(self) -> list[Part]:
        at = 0
        while at < len(self.lines):
            try:
                at = self._step(at)
            except Spent:
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
        closer = Fence.closing(line) if self.inside else None
        if self.inside and closer and self.inside.is_closed_by(closer, strictly=True):
            self.inside = None
        elif (mark := MARKS["search"].fullmatch(line)) is not None:
            return self._change(at, mark)
        elif (fence := Fence.of(line)) is not None:
            return self._fenced(at, fence)
        self.prose.append(line)
        return at + 1

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
                self._add(Part(THINKING, self.lines.text(at, end) + line[:stop]))
                return self._go_on(end, stop)
        self._add(Part(THINKING, self.lines.text(at, len(self.lines))))
        return len(self.lines)

    def _thought_so_far(self, at: int, stop: int) -> int:
        """All before this place was thinking."""
        self._add(Part(THINKING, self.lines[at][:stop]))
        self.thought, self.inside = len(self.parts), None
        return self._go_on(at, stop)

    def _go_on(self, at: int, stop: int) -> int:
        """The rest of a line is a line by itself."""
        rest = self.lines[at][stop:]
        if not rest.strip():
            self.parts[-1] = Part(THINKING, self.parts[-1].text + rest)
            return at + 1
        self.lines[at] = rest
        return at

    # --------------------------------------------------------------------------------------- blocks

    def _fenced(self, at: int, fence: Fence) -> int:
        """Read a block that this fence opens, or its first line alone."""
        lines, part = self.lines, None
        last = lines.closer(at, fence, strictly=True) or lines.closer(at, fence, strictly=False)
        ends = (lines.closer_outside_strings(at, fence), last) if is_python(fence.info) else ()
        for end in dict.fromkeys(filter(None, ends)):
            part = _python(lines, at, end, fence)
            if part.kind == PYTHON:
                self._add(part)
                return end + 1
        if last is None:
            self._add(Part(OPEN, lines[at]))
            return at + 1
        part = part or Part(OTHER, lines.text(at, last + 1), lines.text(at + 1, last))
        if self._must_look_into(at, last, fence):
            self._add(replace(part, text=lines[at]))
            return at + 1
        self._add(part)
        return last + 1

    def _must_look_into(self, at: int, end: int, fence: Fence) -> bool:
        """Whether a block that is no Python holds something that is to be read by itself: it is a
        whole document, or SEARCH/REPLACE blocks stand in it, or it was meant to end earlier."""
        self.lines.spend_on(at, end)
        inner = self.lines[at + 1 : end]
        python = [
            other
            for other in filter(None, map(Fence.of, inner))
            if other.info and is_python(other.info)
        ]
        is_document = _DOCUMENT.match(fence.info) or not fence.info and python
        meant_to_end = any(fence.is_closed_by(other, strictly=False) for other in python)
        if any(MARKS["search"].fullmatch(line) for line in inner) or is_document:
            self.inside = None if meant_to_end and not fence.info else fence
            return True
        return meant_to_end or is_python(fence.info) and any(map(_unopened, inner))

    def _change(self, at: int, mark: re.Match) -> int:
        """Read the SEARCH/REPLACE block that begins in this line, or that line alone where the
        block has no end."""
        lines, indent = self.lines, mark[1]
        if (places := lines.change(at, mark)) is None:
            self._add(Part(OPEN, lines[at]))
            return at + 1
        dividers, end = places
        lines.spend_on(at, end, times=len(dividers))
        changes = tuple(
            (lines.dedented(indent, at + 1, divider), lines.dedented(indent, divider + 1, end))
            for divider in reversed(dividers)
        )
        paths, alone = lines.paths_above(at)
        above = self.prose.pop() if self.prose and not Fence.of(self.prose[-1]) else ""
        text = above + lines.text(at, end + 1)
        self._add(Part(CHANGE, text, paths=paths, path_alone=alone, changes=changes))
        return end + 1


def _python(lines: Lines, at: int, end: int, fence: Fence) -> Part:
    """The block between two lines, as Python."""
    lines.spend_on(at, end)
    inner = [unindented(line, fence.width) for line in lines[at + 1 : end]]
    text, content = lines.text(at, end + 1), "".join(inner)
    paths, alone = paths_in(fence.info), True
    if not paths:
        first = next((line.strip() for line in inner if line.strip()), "")
        is_named = first[:1] == "#" and says_a_path_alone(first)
        paths, alone = (paths_in(first), True) if is_named else lines.paths_above(at)
    try:
        code = module_of(content)
    except SyntaxError as error:
        line = f" (line {error.lineno})" if error.lineno else ""
        return Part(BROKEN, text, content, "", f"{error.msg}{line}", paths, alone)
    return Part(PYTHON, text, content, code, "", paths, alone)


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
