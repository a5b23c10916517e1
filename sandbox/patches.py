"""Unified diffs, made and applied in memory.

    patch = make(before, after, "m.py")
    apply({"m.py": before}, patch)                   # ours: strictly, at the lines that it names

Exactness is wanted of our own: a gold edit that applies somewhere else would be another edit.

    for section in sections(text_of(data)):          # a person's, as programs and people leave it
        path = section.path(is_file)
        text = fit(text, section.hunks, path)

Of a person's patch this may be otherwise: words, fences and e-mail headers around it, colours, the
names' prefixes (`a/` and `b/`, those of `diff.mnemonicPrefix`, none, two folders), its line ends
(those of the file are kept), and the place, where its lines stand in the file exactly once. Never
its content: every line of context and every line that goes must be there as it is. What is more
than a change of a file's text (renames, modes, binary files, new files) is refused.
"""

import codecs
import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.source import decode

HUNK = re.compile(r"^@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
NO_NEWLINE = "\\ No newline at end of file"
COLOUR = re.compile(r"\x1b\[[0-9;]*[mK]|\x1b\]8;[^\x07\x1b]*(?:\x07|\x1b\\)")
COLOURED = re.compile(r"^\x1b\[[0-9;]*[mK]", re.MULTILINE)
"""A line that begins with a colour: those of a patch begin with a sign."""
PREFIXES = ("a", "b", "i", "w", "c", "o", "1", "2")
"""Folders that git puts before names and that are none, whatever its settings are."""
STAMP = re.compile(r"\s+(\d{4}-\d\d-\d\d[ T]\d\d:|\((revision|working copy|nonexistent)).*$")
"""What other programs write behind a name."""
HEADERS = {
    "rename ": "renames a file",
    "copy ": "copies a file",
    "old mode ": "changes the mode of a file",
    "new file mode ": "creates a file",
    "deleted file mode ": "deletes a file",
    "GIT binary patch": "changes a binary file",
    "index ": "",
    "new mode ": "",
    "similarity index ": "",
    "dissimilarity index ": "",
}
"""{how a line of git's header begins: what it asks for that an edit cannot do}"""
OUTSIDE = re.compile(r"Binary files .* differ$|Submodule \S+ [0-9a-f]{7,}")
"""Lines with which programs speak of a change that they do not show."""
ENCODED = re.compile(
    r"^Content-Transfer-Encoding: *(quoted-printable|base64)", re.MULTILINE | re.IGNORECASE
)
OTHER_FORMS = {
    r"^@@@ |^diff --(cc|combined) ": "it is the combined diff of a merge; compare with one parent",
    r"^\*{3} .*\n--- .*\n\*{15}": "it is a context diff; make a unified one with diff -u",
    r"^\d+(,\d+)?[acd]\d+(,\d+)?\r?$": "it is a plain diff; make a unified one with diff -u",
    r"^[ \t>]+(diff --git |--- .*\n[ \t>]+\+\+\+ )": "its lines are indented or quoted",
    r"^@@": "it has a hunk that does not say which lines it is about",
}
"""{how a text looks: what to say of it where no unified diff is in it}"""
MAX_LOST = 20
"""Blank lines that a hunk may have lost at its end."""
TEXT_ALONE = "and an edit changes the text of files that are there, and nothing else"


class PatchError(ValueError):
    """The patch cannot be read or does not apply; `str(error)` says where."""


@dataclass
class Hunk:
    """One place that a patch changes."""

    number: int
    """The line of the patch in which it begins."""
    old: int
    """Its first line before, from 1; where it has no lines before, the line that it comes after."""
    new: int
    """The same afterwards."""
    changes: list[tuple[str, str]] = field(default_factory=list)
    """(" ", "-" or "+", the line with its end)"""
    added: int = 0
    """Blank lines of context at its end that the patch has lost, as far as can be told."""

    def lines(self, *signs: str) -> list[str]:
        return [line for sign, line in self.changes if sign in signs]


@dataclass(frozen=True)
class Section:
    """What a patch does to one file."""

    old: str
    """The file's name before and after, as the patch has them."""
    new: str
    hunks: list[Hunk] = field(default_factory=list)

    def path(self, is_file: Callable[[str], bool]) -> str:
        """The file that is meant. `is_file` tells whether a path of the repository is one. Which
        names have a prefix is told by both of them, and by what files there are; no other part of a
        name is ever left away. Raises PatchError where they are names of two files."""
        old, new = _plain_name(self.old), _plain_name(self.new)
        (before, old_rest), (after, new_rest) = old.partition("/")[::2], new.partition("/")[::2]
        if "/dev/null" in (old, new):
            what, first, name, rest = (
                ("creates", after, new, new_rest)
                if old == "/dev/null"
                else ("deletes", before, old, old_rest)
            )
            name = rest if first in PREFIXES else name
            raise PatchError(f"the patch {what} {name}, {TEXT_ALONE}")
        prefixed = before in PREFIXES and after in PREFIXES
        if old == new:
            return new_rest if prefixed and not is_file(new) and new_rest else new
        same = old_rest == new_rest != "" and not {before, after} & {"", ".."}
        if same and prefixed and is_file(new_rest):
            return new_rest
        there = {name for name in (old, new) if is_file(name)}
        if same and not there:
            return new_rest
        if prefixed and not there:
            there = {name for name in (old_rest, new_rest) if is_file(name)}
        if len(there) != 1:
            raise PatchError(f"the patch has two names for a file, {old} and {new}, {TEXT_ALONE}")
        return there.pop()


def make(before: str, after: str, path: str) -> str:
    """The unified diff that turns `before` into `after` (git's form, `a/` and `b/` prefixes)."""
    out = []
    for line in difflib.unified_diff(_split(before), _split(after), f"a/{path}", f"b/{path}"):
        out.append(line if line.endswith("\n") else f"{line}\n{NO_NEWLINE}\n")
    return "".join(out)


def make_new(text: str, path: str) -> str:
    """The unified diff that adds a file."""
    return make("", text, path).replace(f"--- a/{path}", "--- /dev/null", 1)


def paths(patch: str) -> list[str]:
    """The files that a patch of ours changes."""
    return [section.new.removeprefix("b/") for section in sections(patch)]


def apply(files: dict[str, str], patch: str, reverse: bool = False) -> dict[str, str]:
    """The files that a patch of ours changes, or with `reverse` as they were before. `files` holds
    the text of each file that the patch names; a new file may be absent. Raises PatchError."""
    texts = {}
    for section in sections(patch):
        path = section.new.removeprefix("b/")
        texts[path] = _apply_hunks(files.get(path, ""), section.hunks, path, reverse)
    return texts


def _apply_hunks(text: str, hunks: list[Hunk], path: str, reverse: bool) -> str:
    lines = _split(text)
    gone, come = ("+", "-") if reverse else ("-", "+")
    out, position = [], 0
    for hunk in hunks:
        start = hunk.new if reverse else hunk.old
        old = hunk.lines(" ", gone)
        at = start - 1 if old else start
        if at < position or lines[at : at + len(old)] != old:
            raise PatchError(f"the patch does not apply to {path} at line {start}")
        out += lines[position:at] + hunk.lines(" ", come)
        position = at + len(old)
    return "".join(out + lines[position:])


# ------------------------------------------------------------------------------------------ texts


def text_of(data: bytes) -> str:
    """The text of a patch or a reply as a file has it: UTF-8, other bytes kept as surrogates, or
    UTF-16, which some shells of Windows write."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def line_end(text: str) -> str:
    """How most of its lines end: CR LF or LF."""
    return "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"


def _split(text: str) -> list[str]:
    """The lines with their ends."""
    parts = text.split("\n")
    return [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _bare(lines: list[str]) -> list[str]:
    """The lines, all of them with the same end; one that has none stays without."""
    return [
        f"{line[:-2]}\n" if line.endswith("\r\n") else line.removesuffix("\r") for line in lines
    ]


def _plain_name(name: str) -> str:
    """A name as git quotes it, or as other programs write it."""
    if len(name) > 1 and name[0] == name[-1] == '"':

        def byte(match: re.Match) -> bytes:
            code = match[1].decode()
            named = dict(zip("abtnvfr", b"\a\b\t\n\v\f\r"))
            return bytes([int(code, 8) & 255 if code.isdigit() else named.get(code, ord(code))])

        raw = name[1:-1].encode("utf-8", "surrogateescape")
        return decode(re.sub(rb"\\([0-7]{3}|[\x20-\x7e])", byte, raw))
    return STAMP.sub("", name).removeprefix("./")


# ------------------------------------------------------------------------------------------ reading


def sections(patch: str) -> list[Section]:
    """What the unified diff in this text does, file by file, in its order. Raises PatchError."""
    if "\x1b" in patch and COLOURED.search(patch):
        patch = COLOUR.sub("", patch)
    reader = _Reader(patch.split("\n"))
    for number in range(len(reader.lines)):
        reader.read(number)
    reader.end_hunk()
    if not reader.sections or any(not section.hunks for section in reader.sections):
        forms = [OTHER_FORMS[form] for form in OTHER_FORMS if re.search(form, patch, re.MULTILINE)]
        raise PatchError(forms[0] if forms else "it is not a complete unified diff")
    return reader.sections


class _Reader:
    """Goes through the lines of a patch once."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.sections: list[Section] = []
        self._left_old = self._left_new = 0
        """Lines that the hunk has yet to come."""
        self._last = -1
        """Number of the last line that belonged to a hunk."""
        self._in_header = self._crlf = False

    def read(self, number: int) -> None:
        line = self.lines[number]
        if line.startswith("\\") and self._last == number - 1 >= 0:
            return self._end_without_newline(number)
        if self._left_old > 0 or self._left_new > 0:
            if self._take(number, line.removesuffix("\r") if self._crlf else line):
                return
        self.end_hunk()
        line = line.removesuffix("\r")
        following = self.lines[number + 1] if number + 1 < len(self.lines) else ""
        if match := HUNK.match(line):
            self._begin_hunk(number, match)
        elif line.startswith("--- ") and following.startswith("+++ "):
            old, new = (text[4:].split("\t")[0].strip() for text in (line, following))
            self.sections.append(Section(old, new))
            self._in_header = False
        else:
            self._read_header(number, line)

    def _begin_hunk(self, number: int, match: re.Match) -> None:
        if not self.sections:
            raise PatchError(
                f"line {number + 1} of the patch is a hunk without a file: the lines "
                "--- and +++ are missing"
            )
        old, self._left_old, new, self._left_new = (
            int(g) if g is not None else 1 for g in match.groups()
        )
        self.sections[-1].hunks.append(Hunk(number + 1, old, new))
        self._last, self._crlf = number, self.lines[number].endswith("\r")

    def _take(self, number: int, line: str) -> bool:
        """Whether the line is one of the hunk's; an editor may have taken the blank that is all of
        a line of context."""
        sign = " " if line in ("", "\r") else line[0]
        if sign not in " +-":
            return False
        self._left_old -= sign in " -"
        self._left_new -= sign in " +"
        hunk = self.sections[-1].hunks[-1]
        hunk.changes.append((sign, line[1:] + "\n" if line != "\r" else "\r\n"))
        # The last one is no line: it is what stands behind the last line's end.
        hunk.added += number == len(self.lines) - 1 and line == ""
        self._last = number
        return True

    def end_hunk(self) -> None:
        """A hunk that is over before it has all its lines may have lost blank ones at its end."""
        if not (self._left_old or self._left_new):
            return
        hunk = self.sections[-1].hunks[-1]
        if self._left_old != self._left_new or self._left_old > MAX_LOST:
            raise PatchError(
                f"the hunk in line {hunk.number} of the patch has more or fewer lines than it says"
            )
        hunk.changes += [(" ", "\n")] * self._left_old
        hunk.added += self._left_old
        self._left_old = self._left_new = 0

    def _end_without_newline(self, number: int) -> None:
        hunk = self.sections[-1].hunks[-1]
        if not hunk.changes:
            raise PatchError(f"line {number + 1} of the patch is out of place")
        sign, text = hunk.changes[-1]
        hunk.changes[-1] = (sign, text.removesuffix("\n"))
        self._last = number

    def _read_header(self, number: int, line: str) -> None:
        """Of git's lines before the names some ask for what an edit cannot do."""
        if line.startswith("diff --git "):
            self._in_header = True
            return
        start = next((start for start in HEADERS if line.startswith(start)), "")
        self._in_header &= start != ""
        what = HEADERS[start] if self._in_header else ""
        if OUTSIDE.match(line):
            what = "changes what it does not show"
        if what:
            raise PatchError(f"the patch {what} (line {number + 1}: {line}), {TEXT_ALONE}")


def hint(patch: str) -> str:
    """What else a person should know of a patch that is not taken."""
    match = ENCODED.search(patch)
    return f" (it is in an e-mail that is {match[1]}; save it as plain text)" if match else ""


# ------------------------------------------------------------------------------------------ placing


def fit(text: str, hunks: list[Hunk], path: str) -> str:
    """The text with a person's hunks in their places; see the module's docstring. Raises
    PatchError."""
    lines, end = _split(text), line_end(text)
    bare = _bare(lines)
    placed = sorted(
        ((_place(hunk, lines, bare, path), hunk) for hunk in hunks), key=lambda place: place[0]
    )
    shifted = any(hunk.lines(" ", "-") and at != hunk.old - 1 for at, hunk in placed)
    out, position = [], 0
    for at, hunk in placed:
        old = hunk.lines(" ", "-")
        if not old and shifted:
            raise PatchError(
                f"the patch does not apply to {path} at line {hunk.old}: other places "
                "of it have moved, and this one has no line of context that tells "
                "where it is now; make it with context (git diff -U3)"
            )
        if at < position:
            raise PatchError(f"the patch changes line {at + 1} of {path} twice")
        exact = lines[at : at + len(old)] == old if old else end == "\n"
        out += lines[position:at]
        position = at
        for sign, line in hunk.changes:
            if sign == "+":
                out.append(line if exact else _with_end(line, end))
                continue
            if sign == " ":
                out.append(lines[position])  # with the file's own end
            position += 1
    out += lines[position:]
    if any(not line.endswith("\n") for line in out[:-1]):
        raise PatchError(
            f"the patch does not apply to {path}: a line that is to be the last one "
            "of the file would stand within it"
        )
    return "".join(out)


def _with_end(line: str, end: str) -> str:
    bare = _bare([line])[0]
    return bare.removesuffix("\n") + end if bare.endswith("\n") else bare


def _place(hunk: Hunk, lines: list[str], bare: list[str], path: str) -> int:
    """The index of its first line in the file: where it says, else where its lines stand alone."""
    old = _bare(hunk.lines(" ", "-"))
    if not old:
        if hunk.old > len(lines):
            raise PatchError(
                f"the patch does not apply to {path} at line {hunk.old}: the file has "
                f"{len(lines)} lines"
            )
        return hunk.old
    at, count = hunk.old - 1, len(old)
    if at >= 0 and bare[at : at + count] == old:
        return at
    places = [i for i in range(len(bare) - count + 1) if bare[i : i + count] == old]
    if len(places) == 1:
        return places[0]
    raise PatchError(
        f"the patch does not apply to {path} at line {hunk.old}: " + _why(hunk, old, bare, places)
    )


def _why(hunk: Hunk, old: list[str], bare: list[str], places: list[int]) -> str:
    if places:
        named = ", ".join(str(place + 1) for place in places[:5])
        return (
            f"its lines stand there in {len(places)} places (lines {named}), and none of them "
            "is where it says; make it with more context (git diff -U10)"
        )
    if hunk.added:
        return f"the hunk in line {hunk.number} of the patch is cut off"
    new, at = _bare(hunk.lines(" ", "+")), max(hunk.old - 1, 0)
    if new and any(bare[i : i + len(new)] == new for i in range(len(bare) - len(new) + 1)):
        return "what it would make of it is there already; is it the wrong way round?"
    there = bare[at : at + len(old)]
    wrong = next((i for i, line in enumerate(there) if line != old[i]), len(there))
    if wrong == len(there):
        return f"the file has {len(bare)} lines"
    line, wanted = there[wrong].rstrip("\n"), old[wrong].rstrip("\n")
    more = " (only blanks differ)" if line.split() == wanted.split() else ""
    return f"line {at + wrong + 1} is {line!r:.80} and in the patch {wanted!r:.80}{more}"
