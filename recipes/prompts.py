"""Task -> chat messages: what the student and the teacher are shown, and told to write.

`body`: signature and docstring of the function, answered with its bare body; a task about whole files (`Task.files`) cannot be put
so, and has `blocks` for its style in any case. `blocks`: the problem, the broken code, the tests that may be shown, and the reply
format of `sandbox/edits.py`. Neither ever holds the gold edit, a hidden test or a twin.
"""
import difflib
from pathlib import Path

from sandbox.source import Function, body_of, find, head_of, read_text, reindent, source_of
from sandbox.statements import sources_of_tests
from sandbox.tasks import Task

MAX_FILE_CHARACTERS = 24_000
"""Longer files are shown as the functions in question with their surroundings; shared by the files of a prompt."""

REPLY_FORMAT = """Answer with a few words of reason and then one fenced python block that holds the whole function \
`{function}` (with its signature), and any new helper functions and imports it needs. Nothing else of the file. \
For an edit elsewhere in the file use a SEARCH/REPLACE block under the file's path instead:

{file}
<<<<<<< SEARCH
the lines as they are now
=======
the lines as they should be
>>>>>>> REPLACE"""
FILES_FORMAT = """Answer with a few words of reason and then, for each place that must change, a SEARCH/REPLACE block under the \
file's path. The lines to search for must stand in the file exactly once:

{file}
<<<<<<< SEARCH
the lines as they are now
=======
the lines as they should be
>>>>>>> REPLACE

A function that is to be replaced as a whole may instead stand in a fenced python block (with its signature). \
You may change {files}, and no other file."""
MAX_FILES_NAMED = 12


def messages(task: Task, tree: Path, style: str) -> list[dict[str, str]]:
    """The conversation that the model is to continue: [{"role", "content"}]."""
    broken = task.broken(tree)
    if style == "body" and not task.files:
        text = broken[task.file]
        return [{"role": "user", "content": reindent(head_of(text, find(text, task.function)), "") + "\n"}]
    parts = [task.problem_statement]
    for path, names in task.named.items():
        parts.append(f"`{path}`:\n```python\n{_excerpt(broken[path], names, MAX_FILE_CHARACTERS // len(task.named))}\n```")
    if tests := shown_tests(task, tree):
        parts.append(f"Some of the tests that must pass:\n```python\n{tests}\n```")
    if task.files:
        more = " and other files that the tests run" if len(task.files) > MAX_FILES_NAMED else ""
        files = ", ".join(task.files[:MAX_FILES_NAMED]) + more
        parts.append(FILES_FORMAT.format(file=task.file, files=files))
    else:
        parts.append(REPLY_FORMAT.format(function=task.function, file=task.file))
    return [{"role": "user", "content": "\n\n".join(parts)}]


def gold_reply(task: Task, tree: Path, style: str) -> str:
    """The repository's own code as a model would have answered: what the reference teacher says. "" where nobody knows the answer."""
    if task.files:
        return _search_replace(task.broken(tree), task.gold(tree))
    intact = read_text(tree / task.file)
    function = find(intact, task.function)
    if style == "body":
        return body_of(intact, function)
    words = f"The body of `{task.function}` is filled in." if task.kind == "blank" else f"`{task.function}` is mended."
    return f"{words}\n\n```python\n{reindent(source_of(intact, function), '')}\n```\n"


def shown_tests(task: Task, tree: Path) -> str:
    """Source of the test functions that may be shown, without repetition."""
    return "\n\n".join(dict.fromkeys(reindent(source, "") for source in sources_of_tests(task.shown, tree)))


def _excerpt(text: str, names: list[str], room: int) -> str:
    """The file, or where it is longer than `room` characters the lines around these functions; cuts are marked."""
    text = text.replace("\r", "")
    if len(text) <= room:
        return text.strip("\n")
    lines = text.split("\n")
    chosen: set[int] = set()
    functions = [f for name in names if (f := find(text, name)) is not None]
    for function in functions:
        chosen |= _around(lines, function, room // len(functions))
    # Of what the broken state has lost nothing can be shown; the file's beginning then stands for it.
    chosen = chosen or set(range(_fitting(lines, room)))
    shown = []
    for number in sorted(chosen):
        if number and number - 1 not in chosen:
            shown.append("# ...")
        shown.append(lines[number])
    return "\n".join(shown + (["# ..."] if max(chosen) < len(lines) - 1 else []))


def _around(lines: list[str], function: Function, room: int) -> set[int]:
    """Indices of the function's lines and of those before and after it that fit in the room."""
    first, last = function.first - 1, function.last
    size = sum(len(line) + 1 for line in lines[first:last])
    while (first > 0 or last < len(lines)) and size < room:
        if first > 0:
            first -= 1
            size += len(lines[first]) + 1
        if last < len(lines):
            size += len(lines[last]) + 1
            last += 1
    return set(range(first, last))


def _fitting(lines: list[str], room: int) -> int:
    """How many lines from the first on fit in the room."""
    count = 0
    while count < len(lines) and (room := room - len(lines[count]) - 1) >= 0:
        count += 1
    return count


def _search_replace(broken: dict[str, str], gold: dict[str, str]) -> str:
    """The change from `broken` to `gold` as SEARCH/REPLACE blocks; "" where these cannot say it."""
    blocks = [block for path in sorted(gold) for block in _blocks(path, broken[path], gold[path])]
    return "" if None in blocks or not blocks else "The change is made again.\n\n" + "\n".join(blocks)


def _blocks(path: str, before: str, after: str) -> list[str | None]:
    """The file's blocks from the last to the first, each with as many lines around it as make it unmistakable; None where none do."""
    lines, new = before.replace("\r", "").split("\n"), after.replace("\r", "").split("\n")
    if lines[-1] != new[-1]:
        return [None]                              # a block is made of whole lines, and what is behind the last line end is none
    rest, _ = lines.pop(), new.pop()
    blocks: list[str | None] = []
    for tag, i1, i2, j1, j2 in reversed(difflib.SequenceMatcher(None, lines, new).get_opcodes()):
        if tag == "equal":
            continue
        text, first, last = "\n".join([*lines, rest]), i1, i2
        while not _stands_once(text, lines[first:last]) and (first > 0 or last < len(lines)):
            first, last = max(0, first - 1), min(len(lines), last + 1)
        search, replace = lines[first:last], lines[first:i1] + new[j1:j2] + lines[i2:last]
        blocks.append("\n".join([path, "<<<<<<< SEARCH", *search, "=======", *replace, ">>>>>>> REPLACE", ""])
                      if _stands_once(text, search) else None)
        lines[i1:i2] = new[j1:j2]
    return blocks


def _stands_once(text: str, lines: list[str]) -> bool:
    block = "".join(line + "\n" for line in lines)
    return bool(block.strip()) and text.count(block) == 1
