"""What who replies may ask of a project's files, in the place of an answer:

    READ path           # the first lines of a file
    READ path:10-40
    SEARCH text         # the lines that hold it

    if question := asked(reply):
        text = answered(question, files)         # {path: text}: all that there is to ask about

A question is a reply of one line. Paths are looked up among the files as they are written; nothing
is opened. What is not among them is not there, whatever lies in the folder: no answer tells why.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.jsonl import valid
from sandbox.tasks.replies import without_thinking

MAX_LINES = 40
"""Of a file that one answer shows."""
MAX_COLUMNS = 120
"""Of each of them, and of what is searched for."""
MAX_MATCHES = 10
"""Places that a search shows."""
READ = re.compile(r"READ +(\S.*?)(?::(\d{1,9})(?:-(\d{1,9}))?)?")
SEARCH = re.compile(r"SEARCH +(\S.*)")
NO_FILE, NO_LINE = "There is no such file.", "No line has this."


@dataclass(frozen=True)
class Read:
    path: str
    first: int = 1
    last: int = MAX_LINES
    """Lines count from 1, ends included."""


@dataclass(frozen=True)
class Search:
    text: str


def asked(reply: str) -> Read | Search | None:
    """The question that a reply is, thinking left aside; None where it is none."""
    line = without_thinking(reply)[1].strip()
    if match := READ.fullmatch(line):
        path, first, last = match.groups()
        begin = max(1, int(first or 1))
        return Read(path, begin, int(last) if last else begin + MAX_LINES - 1)
    match = SEARCH.fullmatch(line)
    return Search(match[1][:MAX_COLUMNS]) if match else None


def answered(question: Read | Search, files: Mapping[str, str]) -> str:
    """The answer: plain text, of the same files always the same."""
    if isinstance(question, Read):
        return _read(question, files)
    return _search(question.text, files)


def _read(question: Read, files: Mapping[str, str]) -> str:
    if question.path not in files:
        return NO_FILE
    lines = _lines(files[question.path])
    last = min(question.last, question.first + MAX_LINES - 1, len(lines))
    shown = lines[question.first - 1 : last]
    if not shown:
        return f"{question.path} has {len(lines)} lines."
    head = f"{question.path}:{question.first}-{last} of {len(lines)} lines"
    return "\n".join([head, *(line[:MAX_COLUMNS] for line in shown)])


def _search(text: str, files: Mapping[str, str]) -> str:
    found = [
        f"{path}:{number}: {line.strip()[:MAX_COLUMNS]}"
        for path in sorted(files)
        for number, line in enumerate(_lines(files[path]), 1)
        if text in line
    ]
    if not found:
        return NO_LINE
    more = len(found) - MAX_MATCHES
    return "\n".join([*found[:MAX_MATCHES], *([f"... and {more} more"] if more > 0 else [])])


def _lines(text: str) -> list[str]:
    printable = (
        "".join(c if c.isprintable() else " " for c in line)
        for line in valid(text).removesuffix("\n").split("\n")
    )
    return [line.rstrip() for line in printable]
