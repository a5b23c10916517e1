"""The repository's own code, in the words of a reply."""

import difflib
from pathlib import Path

from sandbox.judge.search_replace import occurrences
from sandbox.source import body_of, find, read_text, reindent, source_of
from sandbox.tasks.fim import Around
from sandbox.tasks.kinds import kind_of
from sandbox.tasks.prompts import fenced
from sandbox.tasks.reply_lines import mark_sizes
from sandbox.tasks.styles import is_bare_body, is_middle
from sandbox.tasks.task import Task

MARK_SIZES = (7, 8, 9, 6, 5)
"""Of the marks of a SEARCH/REPLACE block; another one where the lines in it hold such marks."""


def gold_reply(task: Task, tree: Path, style: str) -> str:
    """The repository's own code as a model would have answered: what the reference teacher says. ""
    where nobody knows the answer."""
    words = kind_of(task.kind).fixed(task)
    if task.files:
        blocks = _search_replace(task.broken(tree), task.gold(tree))
        return f"{words}\n\n{blocks}" if blocks else ""
    intact = read_text(tree / task.file)
    function = find(intact, task.function)
    assert function is not None  # the task was made of it
    if is_middle(style, task):
        return Around.of(task.broken(tree)[task.file], task.function).middle_of(intact)
    if is_bare_body(style, task):
        return body_of(intact, function)
    return f"{words}\n\n{fenced(reindent(source_of(intact, function), ''))}\n"


def _search_replace(broken: dict[str, str], gold: dict[str, str]) -> str:
    """The change from `broken` to `gold` as SEARCH/REPLACE blocks; "" where these cannot say it."""
    blocks = [block for path in sorted(gold) for block in _blocks(path, broken[path], gold[path])]
    known = [block for block in blocks if block is not None]
    return "\n".join(known) if len(known) == len(blocks) else ""


def _blocks(path: str, before: str, after: str) -> list[str | None]:
    """The file's blocks from the last to the first, each with as many lines around it as make it
    unmistakable; None where none do."""
    lines, new = before.replace("\r", "").split("\n"), after.replace("\r", "").split("\n")
    if lines[-1] != new[-1]:
        return [None]  # a block is made of whole lines, and behind the last line end is none
    rest, _ = lines.pop(), new.pop()
    blocks: list[str | None] = []
    for tag, i1, i2, j1, j2 in reversed(difflib.SequenceMatcher(None, lines, new).get_opcodes()):
        if tag == "equal":
            continue
        text, first, last = "\n".join([*lines, rest]), i1, i2
        while not _stands_once(text, lines[first:last]) and (first > 0 or last < len(lines)):
            first, last = max(0, first - 1), min(len(lines), last + 1)
        search, replace = lines[first:last], lines[first:i1] + new[j1:j2] + lines[i2:last]
        size = next((n for n in MARK_SIZES if n not in mark_sizes(search + replace)), 0)
        marks = f"{'<' * size} SEARCH", "=" * size, f"{'>' * size} REPLACE"
        block = "\n".join([path, marks[0], *search, marks[1], *replace, marks[2], ""])
        blocks.append(block if size and _stands_once(text, search) else None)
        lines[i1:i2] = new[j1:j2]
    return blocks


def _stands_once(text: str, lines: list[str]) -> bool:
    block = "".join(line + "\n" for line in lines)
    return occurrences(text, block) == 1
