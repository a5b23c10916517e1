"""The functions of a repository that are worth breaking, and why others are not.

    fit, excluded = candidates(repository, survey)      # `survey`: what two runs of the suite showed

**Thinning.** A function whose body gives nothing to do is no candidate: nothing but a docstring,
`pass`, `...`, the raising of NotImplementedError, or one `return` of a name, an attribute or a
constant.
"""

import ast
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.judge.gate import is_test_path
from sandbox.node_ids import file_of, function_of
from sandbox.project import shown
from sandbox.reasons import Reasons
from sandbox.repo import Repository
from sandbox.roles import ALONE, AMONG, HOLDS
from sandbox.snapshot import files_of
from sandbox.source import Function, body_nodes, functions, parse, read_text, unreadable
from sandbox.survey import Survey
from sandbox.tasks.kinds import Unfit

MAX_TESTS = 40
"""Tests that a task names, at most."""
UNCALLED = "function that no passing test calls"
IDLE = "test file that calls no function of the source"
MIXED = "file that holds tests beside what they call, and tests are never edited"
UNSEEN = {
    kind: f"test not all of whose calls are seen: it {what}"
    for kind, what in (
        ("process", "starts a process"),
        ("thread", "starts a thread without `threading`"),
        ("profiler", "takes the profiler away"),
    )
}


@dataclass(frozen=True)
class Candidate:
    """A function that may become a task."""

    file: str
    function: Function
    tests: tuple[str, ...]


def candidates(repository: Repository, survey: Survey) -> tuple[list[Candidate], Reasons]:
    """The functions worth breaking, in the order of files and lines, and the reasons why others are
    not."""
    result, excluded = [], Reasons()
    called: dict[str, set[str]] = {}
    for file, _, name in survey.functions:
        if not survey.is_test(file):
            called.setdefault(file, set()).add(name)
    for file in sorted(called):
        try:
            result += _of_file(repository, survey, file, excluded)
        except Unfit as error:
            excluded.add(str(error))
            continue
        if called[file] - {"<module>"} and not _functions_in(repository, file):
            excluded.add(f"{shown(file)} has no function whose body could be taken out")
    _note_files(repository, survey, called, excluded)
    return result, excluded


def _functions_in(repository: Repository, file: str) -> list[Function]:
    return [f for f in functions_of(repository, file) if not _is_overload(f)]


def _of_file(
    repository: Repository, survey: Survey, file: str, excluded: Reasons
) -> list[Candidate]:
    """Those of a file. Raises Unfit where it cannot be read."""
    result = []
    in_file = _functions_in(repository, file)
    live = Counter(f.qualname for f in in_file if (file, f.first) in survey.callers)
    names = Counter(f.qualname for f in in_file)
    last = {f.qualname: f for f in in_file}
    for function in in_file:
        tests, name = survey.callers.get((file, function.first), []), function.qualname
        alone = names[name] == 1 or live[name] == 1 and function is last[name]
        if reason := _unfit(function, tests, names[name], alone):
            place = f" (line {function.first})" if names[name] > 1 else ""
            excluded.add(reason, f"{shown(file)}::{name}{place}")
        else:
            result.append(Candidate(file, function, most_specific(tests, survey, MAX_TESTS)))
    return result


def fit_functions(
    repository: Repository, survey: Survey, is_source: Callable[[str], bool]
) -> list[Candidate]:
    """As `candidates`, without reasons: of the source files in which these tests call a
    function."""
    files = sorted({file for file, _, _ in survey.functions if is_source(file)})
    found = []
    for file in files:
        with suppress(Unfit):
            found += _of_file(repository, survey, file, Reasons())
    return found


def _note_files(
    repository: Repository, survey: Survey, called: dict[str, set[str]], excluded: Reasons
) -> None:
    """Why files are left out as a whole, and which tests do things that are not seen."""
    for file in dict.fromkeys(file for file, _, _ in survey.functions):
        why = survey.roles.of_tests.get(file, HOLDS)
        if why != HOLDS and Path(file).name != "conftest.py":
            excluded.add("file of the tests", f"{shown(file)} ({why})")
    useful = {
        file_of(test)
        for test in survey.passing
        if any(survey.functions[i][0] in called for i in survey.calls[test])
    }
    for file in filter(survey.is_test_file, survey.test_files):
        if file not in useful:
            reason = MIXED if _calls_its_own(file, survey) else IDLE
            excluded.add(reason, shown(file))
        if why := _unread(repository, file):
            excluded.add(f"{shown(file)} {why}: its tests have no twins, and no prompt shows them")
    for file in survey.defining:
        unused = survey.roles.of_tests.get(file) in (ALONE, AMONG)
        is_named = any(reason.startswith(f"{shown(file)} ") for reason in survey.excluded)
        if unused and is_test_path(Path(file).name) and not is_named:
            excluded.add("file called like a test in which pytest finds none", shown(file))
    uncalled = [file for file in survey.defining if file not in called and not survey.is_test(file)]
    for file in uncalled:
        excluded.add("source file of which no passing test calls a function", shown(file))
    if uncalled or excluded[UNCALLED]:
        for kind, tests in survey.unseen.items():
            excluded.take({UNSEEN[kind]: len(tests)}, {UNSEEN[kind]: tests})
    for path, kind in files_of(repository.snapshot):
        if kind == "link" and (place := _ignored_target(repository, path)):
            excluded.add(f"{shown(path)} is a link to {shown(place)}, which git ignores")


def _calls_its_own(file: str, survey: Survey) -> bool:
    """Whether a test in this file calls a function of the file that is no test."""
    tests = [test for test in survey.passing if file_of(test) == file]
    names = {function_of(test).rpartition("::")[2] for test in tests}
    called = {survey.functions[i] for test in tests for i in survey.calls[test]}
    return any(
        place == file and name not in names and name.isidentifier() for place, _, name in called
    )


def _unread(repository: Repository, file: str) -> str:
    """Why a file of tests cannot be taken apart out here; "" where it can, or is no Python file."""
    path = repository.snapshot / file
    try:
        if file.endswith(".py") and path.is_file():
            parse(read_text(path))
    except SyntaxError as error:
        return unreadable(error, repository.python_version)
    return ""


def _ignored_target(repository: Repository, link: str) -> str:
    """Where a link of the project leads that is called like a module, if git ignores what is
    there; else ""."""
    if not link.endswith(".py") or repository.carried_as(link):
        return ""
    base = os.path.realpath(repository.snapshot)
    target = os.path.relpath(os.path.realpath(os.path.join(base, link)), base)
    return target if repository.carried_as(target) else ""


def functions_of(repository: Repository, file: str) -> list[Function]:
    """Those of a file of the snapshot. Raises Unfit with the file's name in it."""
    if not file.endswith(".py"):
        raise Unfit(f"{shown(file)} is no .py file, and no other is ever edited")
    try:
        return functions(read_text(repository.snapshot / file))
    except OSError as error:
        raise Unfit(f"{shown(file)} cannot be read ({error.strerror})") from None
    except SyntaxError as error:
        why = unreadable(error, repository.python_version)
        raise Unfit(f"{shown(file)} {why}") from None


def most_specific(tests: list[str], survey: Survey, count: int) -> tuple[str, ...]:
    """Those of the tests that call the fewest functions, in the order that `tests` has."""
    chosen = set(sorted(tests, key=lambda t: (len(survey.calls[t]), t))[:count])
    return tuple(t for t in tests if t in chosen)


def _unfit(function: Function, tests: list[str], named_so: int, alone: bool) -> str | None:
    """`named_so`: how many of the file have its name; `alone`: it is the one that a name stands
    for, and no other is called."""
    if not tests:
        return UNCALLED
    if not alone or named_so > 1 and _is_trivial(function):
        return "function defined more than once"
    if "<locals>" in function.qualname:
        return "function inside a function"
    if _is_trivial(function):
        return "trivial body"
    return None


def _is_overload(function: Function) -> bool:
    """A signature for type checkers alone (`typing.overload`)."""
    return any(
        ast.unparse(d).rpartition(".")[2] == "overload" for d in function.node.decorator_list
    )


def _is_trivial(function: Function) -> bool:
    """Nothing to write or to get wrong: the rule is in the module's docstring."""
    body = body_nodes(function)
    if len(body) == 1 and isinstance(body[0], ast.Return):
        value = body[0].value
        while isinstance(value, ast.Attribute):
            value = value.value
        negative = isinstance(value, ast.UnaryOp) and isinstance(value.operand, ast.Constant)
        return value is None or negative or isinstance(value, (ast.Name, ast.Constant))
    for node in body:
        ellipsis = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        raises = isinstance(node, ast.Raise) and "NotImplementedError" in ast.dump(node)
        if not (ellipsis or raises or isinstance(node, ast.Pass)):
            return False
    return True
