"""The problem statement of a task, written without a model: what a person would be told who is to
mend it.

It is made of what fails (names and assertion messages of the tests that may be shown, as pytest
gives them in the broken state), the first line of the docstring, and for `revert` the commit's
message. It never holds a line of the gold edit, of a hidden test or of a twin: a line of a message
that contains one is left out, and a commit message that contains one is left out as a whole. (Lines
of fewer than MIN_SECRET characters, `else:` and the like, and lines that the broken file holds
anyway, give nothing away.)

Of a commit message stay subject and text: fenced and indented code, diffs and trailers
(`Signed-off-by:` and the like) are cut.
"""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from sandbox.node_ids import function_of
from sandbox.source import FUNCTIONS, find, parse, read_text, reads_as_python, source_of
from sandbox.tasks import Task
from sandbox.twins import readable_tests, test_texts

MIN_SECRET = 8
MAX_TESTS = 5
"""Failing tests that are named."""
MAX_LINES, MAX_COLUMNS = 6, 200
"""Of the message of each."""
MAX_MESSAGE = 1500
"""Characters of a commit message."""
WORD = re.compile(r"[A-Za-z_]\w*")
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
FENCE = re.compile(r"^[ \t]*(```|~~~).*?(^[ \t]*\1[^\n]*$|\Z)", re.DOTALL | re.MULTILINE)
CODE_LINE = re.compile(
    r"( {4}|\t|diff --git |index [0-9a-f]+\.\.|--- |\+\+\+ |@@ |[+-](?! \S)|>>> |\.\.\. )"
)
TRAILER = re.compile(
    r"(?i)([a-z]+(-[a-z]+)*-(by|to|id)|cc|fixes|closes|refs|see|link|bug|issue|conflicts)\s*:\s*\S|\(cherry picked from "
)


def statement(task: Task, tree: Path, failures: dict[str, str], message: str = "") -> str:
    """The statement for a task whose tests are known. `failures` is pytest's text for the failing
    tests of the broken state, `message` the commit's for `revert`."""
    if task.kind == "blank":
        return (
            f"The body of `{task.function}` in `{task.file}` is missing. Write it so that its "
            "tests pass."
        )
    secret = secrets(task, tree)
    parts = [_opening(task)]
    if task.kind == "mutate" and (first := _docstring(task, tree)):
        parts.append(f"What it should do: {first}")
    if task.kind == "revert" and (said := described(message, secret)):
        parts.append(
            "It was described so:\n\n"
            + "\n".join(f"> {line}".rstrip() for line in said.split("\n"))
        )
    if fails := what_fails(task, failures, secret):
        parts.append(f"What fails:\n\n{fails}")
    return "\n\n".join(parts)


def _opening(task: Task) -> str:
    functions = _listed(
        f"`{name}` in `{file}`" for file, names in task.named.items() for name in names
    )
    if task.kind == "mutate":
        return (
            f"{functions} does not do what it should, and tests of it fail. Find the mistake "
            "and mend it."
        )
    if task.kind == "revert":
        place = _listed(f"`{file}`" for file in task.files) if task.files else functions
        return f"A change is missing from {place}. Make it, so that the tests pass."
    return (
        "Tests fail in this repository. Mend the code, not the tests. What they call is, among "
        f"other things, {functions}."
    )


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _docstring(task: Task, tree: Path) -> str:
    """The first line of the function's docstring; "" where it has none."""
    text = ast.get_docstring(find(read_text(tree / task.file), task.function).node) or ""
    return text.strip().partition("\n")[0].strip()


def what_fails(task: Task, failures: dict[str, str], secret: list[str]) -> str:
    """A list of the tests that may be shown and what pytest says of them."""
    entries = []
    for test in task.shown[:MAX_TESTS]:
        said = [line for line in _assertion(failures.get(test, "")) if not _holds(line, secret)]
        entries.append("\n  ".join([f"- `{test}`" + (":" if said else ""), *said]))
    return "\n".join(entries)


def _assertion(text: str) -> list[str]:
    """The lines that pytest marks with an E, without what differs from run to run."""
    lines = [line[1:].strip() for line in text.split("\n") if line.startswith("E ")]
    return [ADDRESS.sub("0x...", line)[:MAX_COLUMNS] for line in lines if line][:MAX_LINES]


def described(message: str, secret: Iterable[str] = ()) -> str:
    """Subject and text of a commit message, without code, diffs and trailers; "" where it says a
    secret or nothing."""
    kept: list[str] = []
    for line in FENCE.sub("", message.replace("\r\n", "\n")).split("\n"):
        if not CODE_LINE.match(line) and not TRAILER.match(line.strip()):
            kept.append(line.rstrip())
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()[:MAX_MESSAGE].rstrip()
    return "" if _holds(text, secret) else text


# ------------------------------------------------------------------------------- what is never said


def secrets(task: Task, tree: Path) -> list[str]:
    """Lines that no prompt may hold: of the gold edit, of hidden tests and of twins, where the
    broken files and the tests that may be shown do not hold them themselves. Whitespace counts as
    one space."""
    hidden = sorted(set(map(function_of, task.tests)) - set(map(function_of, task.shown)))
    twins = task.twin_files(tree)
    changed = _lines(twins.values()) - _lines(read_text(tree / path) for path in twins)
    told = _lines([*task.broken(tree).values(), *sources_of_tests(task.shown, tree)])
    # Of a file that cannot be taken apart nobody knows which lines are a hidden test's.
    texts = [text for text, _ in test_texts(task.tests, tree).values()]
    unread = [text for text in texts if not reads_as_python(text)]
    tests = [*sources_of_tests(hidden, tree), *unread]
    return sorted((_lines([*task.gold(tree).values(), *tests]) | changed) - told)


def sources_of_tests(tests: Iterable[str], tree: Path) -> list[str]:
    """The source of each test function that these node ids stand for, once."""
    found = []
    for text, names in readable_tests(tests, tree).values():
        found += [
            source_of(text, function)
            for name in names
            if (function := find(text, name)) is not None
        ]
    return found


def helpers_of_tests(shown: Iterable[str], hidden: Iterable[str], tree: Path) -> list[str]:
    """The source of what the shown tests name of their own files (tables of cases, fixtures, helper
    functions), once, and not of what a hidden test names, too: that may say what it expects."""
    others = set(WORD.findall("\n".join(sources_of_tests(hidden, tree))))
    found = []
    for text, names in readable_tests(shown, tree).values():
        wanted = (
            set(
                WORD.findall(
                    "\n".join(source_of(text, f) for name in names if (f := find(text, name)))
                )
            )
            - others
        )
        lines = text.replace("\r", "").split("\n")
        for node in parse(text).body if wanted else ():
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            if _defined(node) & wanted and not any(
                name.split(".")[0] in _defined(node) for name in names
            ):
                found.append("\n".join(lines[first - 1 : node.end_lineno]))
    return list(dict.fromkeys(found))


def _defined(node: ast.stmt) -> set[str]:
    """Names that a statement of a module defines, where it is an assignment or a function and no
    test."""
    if isinstance(node, FUNCTIONS):
        return set() if node.name.startswith("test") else {node.name}
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return set()


def _lines(texts: Iterable[str]) -> set[str]:
    lines = (" ".join(line.split()) for text in texts for line in text.split("\n"))
    return {line for line in lines if len(line) >= MIN_SECRET}


def _holds(text: str, secret: Iterable[str]) -> bool:
    text = " ".join(text.split())
    return any(line in text for line in secret)
