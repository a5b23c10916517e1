"""`record`: the body of a function is taken out, and its tests are what it was seen to do: calls
with plain values that it had while the suite ran, and what it gave. For functions that are called
where no test looks at what they give: by other functions, or by a test without an assertion. The
gold edit is the body.

**Nobody has said that this is right.** The tests hold the intact code to be the answer, mistakes
and all. So these tasks are a sort of their own (`Task.sort`): in no figure that a person is shown
are they added to tasks of the project's own tests.

What is not the same in two runs, in processes of their own, is left out; so is what cannot be
called again by itself, as measured (`validate.py`). Methods are left out, for what they are called
on is no plain value; those of a class alone are not.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox import patches
from sandbox.errors import UsageError
from sandbox.judge.black_box import turns
from sandbox.source import FUNCTIONS, blanked, parse, read_text
from sandbox.tasks.candidates import Candidate
from sandbox.tasks.ground import Ground, instance_id
from sandbox.tasks.kinds import LEAST_NOTICED, Draft, Kind
from sandbox.tasks.kinds.blank import is_filled_in
from sandbox.tasks.made_tests import Made, file_of_tests, free_path, module_of
from sandbox.tasks.observing import SeenFunction
from sandbox.tasks.task import Task

CALLS = 12
"""Calls of a function that become tests, at most: in turn from each of its different values."""
FEWEST = 2
"""With fewer, none is hidden."""
ABOUT = "What {0} was seen to give."
STANDARD = ("datetime", "decimal", "fractions")
NEVER_CALLED = "function with no call of plain values that comes out the same twice"
METHOD = "method, and what it is called on is no plain value"


def drafts(ground: Ground) -> list[Draft]:
    """One of each function that is called where no test looks at it, and whose calls can be written
    down."""
    if ground.observer is None:
        return []
    fit = []
    for candidate in ground.candidates:
        if _is_called_alone(ground, candidate):
            fit.append(candidate)
        else:
            ground.excluded.add(METHOD, _name(candidate))
    wanted = [(c.file, c.function.first, c.function.node.name, _is_of_class(c)) for c in fit]
    tests = {test for candidate in fit for test in candidate.tests}
    try:
        seen = ground.observer.calls([t for t in ground.survey.passing if t in tests], wanted)
    except UsageError as error:
        ground.excluded.add(f"calls cannot be recorded: {error}")
        return []
    asserting = _Asserting(ground)
    made = []
    for candidate, of_one in zip(fit, seen):
        if asserting.looks_at_all(of_one.callers):
            continue  # the project's own tests say what it should do
        if (draft := _draft(ground, candidate, of_one)) is not None:
            made.append(draft)
        else:
            ground.excluded.add(NEVER_CALLED, _name(candidate))
    return made


def _name(candidate: Candidate) -> str:
    return f"{candidate.file}::{candidate.function.qualname}"


def _decorators(candidate: Candidate) -> set[str]:
    return {ast.unparse(one) for one in candidate.function.node.decorator_list}


def _is_of_class(candidate: Candidate) -> bool:
    return "classmethod" in _decorators(candidate)


def _is_called_alone(ground: Ground, candidate: Candidate) -> bool:
    plain = "." not in candidate.function.qualname
    held = {"staticmethod", "classmethod"} & _decorators(candidate)
    importable = module_of(ground.repository, candidate.file) != ""
    return importable and (plain or bool(held)) and not candidate.function.qualname.startswith("__")


def _draft(ground: Ground, candidate: Candidate, seen: SeenFunction) -> Draft | None:
    file, function = candidate.file, candidate.function
    by_value: dict[str, list[tuple[str, str]]] = {}
    for given, value in sorted(seen.calls.items()):
        by_value.setdefault(value, []).append((given, value))
    chosen = turns(list(by_value.values()))[:CALLS]
    if len(chosen) < FEWEST:
        return None
    module, name = (
        module_of(ground.repository, file),
        instance_id("record", file, function.qualname),
    )
    path = free_path(ground.repository, name)
    tests = [
        _made(module, function.qualname, number, *call) for number, call in enumerate(chosen, 1)
    ]
    text = file_of_tests(ABOUT.format(function.qualname), tests)

    def make() -> Task:
        intact = read_text(ground.repository.snapshot / file)
        patch = patches.make(blanked(intact, function), intact, file)
        task = ground.task("record", name, file, function.qualname, patch, ())
        return replace(
            task,
            FAIL_TO_PASS=tuple(f"{path}::{test.name}" for test in tests),
            test_patch=patches.make_new(text, path),
            seen_alone=True,
        )

    return Draft(name, make, given={path: text})


def _made(module: str, qualname: str, number: int, given: str, value: str) -> Made:
    imports = [f"import {one}" for one in STANDARD if f"{one}." in given + value]
    line = f"assert {qualname}({given}) == {value}"
    name = f"test_{qualname.replace('.', '_').strip('_')}_{number}"
    owner = qualname.partition(".")[0]
    return Made(name, (line,), (*imports, f"from {module} import {owner}"))


# ------------------------------------------------------------------------- what tests look at


class _Asserting:
    """Which lines of the tests look at what a call on them gives."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._lines: dict[str, set[int]] = {}

    def looks_at_all(self, callers: Iterable[tuple[str, int]]) -> bool:
        """Whether all places (file, line) of the project that a function was called from are such
        lines. (What calls from elsewhere may do so for an assertion, as `assertRaises` does.)"""
        return all(
            self._ground.survey.is_test(file) and line in self._of(file)
            for file, line in callers
            if file
        )

    def _of(self, file: str) -> set[int]:
        if file not in self._lines:
            try:
                module = parse(read_text(self._ground.repository.snapshot / file))
            except (OSError, SyntaxError):  # who knows: all of them may
                self._lines[file] = set(range(1, 1 << 20))
            else:
                self._lines[file] = asserting_lines(module)
        return self._lines[file]


@dataclass(frozen=True)
class _Statement:
    lines: range
    asserts: bool
    stores: frozenset[str]
    loads: frozenset[str]


def asserting_lines(module: ast.Module) -> set[int]:
    """Lines of statements that assert something or give a value back, or that give something to a
    name which such a statement of the same function uses."""
    found: set[int] = set()
    for function in ast.walk(module):
        if not isinstance(function, FUNCTIONS):
            continue
        statements = [_statement(n) for n in ast.walk(function) if isinstance(n, SIMPLE)]
        looked_at: set[str] = set()
        before = -1
        while before != len(looked_at):
            before = len(looked_at)
            for one in statements:
                if one.asserts or one.stores & looked_at:
                    looked_at |= one.loads
                    found.update(one.lines)
    return found


SIMPLE = (
    *(ast.Assert, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return, ast.With),
    *(ast.For, ast.If, ast.While),
)
WORDS = ("assert", "raises", "warns", "check", "verify", "expect", "fail")


def _statement(node: ast.stmt) -> _Statement:
    parts: list[ast.AST] = [node]
    if isinstance(node, ast.With):
        parts = [item for item in node.items]
    elif isinstance(node, ast.For):
        parts = [node.target, node.iter]
    elif isinstance(node, (ast.If, ast.While)):
        parts = [node.test]
    names = [n for part in parts for n in ast.walk(part) if isinstance(n, ast.Name)]
    called = [
        getattr(n.func, "attr", getattr(n.func, "id", "")).lower()
        for part in parts
        for n in ast.walk(part)
        if isinstance(n, ast.Call)
    ]
    asserts = isinstance(node, (ast.Assert, ast.Return, ast.If, ast.While)) or any(
        word in name for name in called for word in WORDS
    )
    # What stands in a `with` that asserts is looked at as a whole.
    whole = isinstance(node, ast.With) and asserts or not isinstance(node, COMPOUND)
    last = node.end_lineno if whole else max(getattr(p, "end_lineno", node.lineno) for p in parts)
    return _Statement(
        range(node.lineno, (last or node.lineno) + 1),
        asserts,
        frozenset(n.id for n in names if isinstance(n.ctx, ast.Store)),
        frozenset(n.id for n in names if isinstance(n.ctx, ast.Load)),
    )


COMPOUND = (ast.With, ast.For, ast.If, ast.While)


def statement(task: Task, tree: Path, failures: dict[str, str], message: str) -> str:
    return (
        f"The body of `{task.function}` in `{task.file}` is missing. Write it so that it gives "
        "what it gave before: some calls that it had while the project's tests ran are its tests."
    )


KIND = Kind(
    "function that is called where no test looks",
    drafts,
    statement,
    is_filled_in,
    tells_failures=False,
    shows_body=False,
    least_noticed=LEAST_NOTICED,
)
