"""The problem statement of a task, written without a model: what a person would be told who is to
mend it.

Each kind of task writes its own (`kinds/`), from what is here: what fails (names and assertion
messages of the tests that may be shown, as pytest gives them in the broken state), and `secrets`.
It never holds a line of the gold edit, of a hidden test or of a twin: a line of a message that
contains one is left out. (Lines of fewer than MIN_SECRET characters, `else:` and the like, and
lines that the broken file holds anyway, give nothing away.)
"""

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sandbox.judge.twins import NOTHING, readable_tests, test_texts
from sandbox.node_ids import function_of
from sandbox.reasons import listed
from sandbox.source import FUNCTIONS, find, parse, read_text, reads_as_python, source_of
from sandbox.tasks.assertions import assertion_of
from sandbox.tasks.task import Task

MIN_SECRET = 8
MAX_TESTS = 5
"""Failing tests that are named."""
MAX_LINES = 6
"""Of the message of each."""
WORD = re.compile(r"[A-Za-z_]\w*")


def in_parts(parts: list[str], task: Task, failures: dict[str, str], secret: Iterable[str]) -> str:
    """The statement of a kind that says what fails: its parts, and that. `failures` is pytest's
    text for the failing tests of the broken state."""
    if fails := what_fails(task, failures, secret):
        parts = [*parts, f"What fails:\n\n{fails}"]
    return "\n\n".join(parts)


def functions_in_words(task: Task) -> str:
    return listed(f"`{name}` in `{file}`" for file, names in task.named.items() for name in names)


def what_fails(task: Task, failures: dict[str, str], secret: Iterable[str]) -> str:
    """A list of the tests that may be shown and what pytest says of them."""
    entries = []
    for test in task.shown[:MAX_TESTS]:
        said = assertion_of(failures.get(test, ""))[:MAX_LINES]
        lines = [line for line in said if not holds(line, secret)]
        entries.append("\n  ".join([f"- `{test}`" + (":" if lines else ""), *lines]))
    return "\n".join(entries)


# ------------------------------------------------------------------------------- what is never said


def secrets(task: Task, tree: Path) -> list[str]:
    """Lines that no prompt may hold: of the gold edit, of hidden tests and of twins, where the
    broken files and the tests that may be shown do not hold them themselves. Whitespace counts as
    one space."""
    hidden = sorted(set(map(function_of, task.tests)) - set(map(function_of, task.shown)))
    twins = task.twin_files(tree)
    given = task.test_files
    intact = [given.get(path) or read_text(tree / path) for path in twins]
    changed = _lines(twins.values()) - _lines(intact)
    known = _lines([*task.broken(tree).values(), *sources_of_tests(task.shown, tree, given)])
    # Of a file that cannot be taken apart nobody knows which lines are a hidden test's.
    texts = [text for text, _ in test_texts(task.tests, tree, given).values()]
    unread = [text for text in texts if not reads_as_python(text)]
    tests = [*sources_of_tests(hidden, tree, given), *unread]
    return sorted((_lines([*task.gold(tree).values(), *tests]) | changed) - known)


def sources_of_tests(
    tests: Iterable[str], tree: Path, given: Mapping[str, str] = NOTHING
) -> list[str]:
    """The source of each test function that these node ids stand for, once. `given`:
    `Task.test_files`."""
    sources = []
    for text, names in readable_tests(tests, tree, given).values():
        sources += [
            source_of(text, function)
            for name in names
            if (function := find(text, name)) is not None
        ]
    return sources


def helpers_of_tests(
    shown: Iterable[str], hidden: Iterable[str], tree: Path, given: Mapping[str, str] = NOTHING
) -> list[str]:
    """The source of what the shown tests name of their own files (tables of cases, fixtures, helper
    functions), once, and not of what a hidden test names, too: that may say what it expects."""
    others = set(WORD.findall("\n".join(sources_of_tests(hidden, tree, given))))
    helpers = []
    for text, names in readable_tests(shown, tree, given).values():
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
                helpers.append("\n".join(lines[first - 1 : node.end_lineno]))
    return list(dict.fromkeys(helpers))


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


def holds(text: str, secret: Iterable[str]) -> bool:
    """Whether the text says one of these lines."""
    text = " ".join(text.split())
    return any(line in text for line in secret)
