"""Tasks from a repository: run the suite, see which test calls which function, break something,
keep what the tests notice.

| kind | how it is broken | gold |
|---|---|---|
| `blank` | the body of one function is taken out | the body |
| `mutate` | one small change to a function's body (`mutate.py`) | the original |
| `revert` | the source half of a past commit that also touched tests is undone (`history.py`) | the commit's change |
| `failing` | tests that fail today, just as they are | nobody knows it |

What makes a candidate a valid task is in `validity.py`: it is measured, in the jail.

Which tests see which function comes from one traced run of the suite (`survey.py`); a task names
only tests that call its function, the most specific MAX_TESTS of them.

**Thinning.** A function whose body gives nothing to do is no task: nothing but a docstring, `pass`, `...`, the raising of
NotImplementedError, or one `return` of a name, an attribute or a constant. Mutants that one answer mends are one (the rule is in
`mutate.py`), and commits that lead to the same broken state are one.

**The split** is by function: all that is born of one function is on one side. Functions that one task is about together are split together.
"""

import ast
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path

from sandbox import jsonl, patches
from sandbox.edits import is_test_path, looks_like_tests, splice
from sandbox.errors import UsageError
from sandbox.history import Undone, undoings
from sandbox.node_ids import file_of, function_of
from sandbox.project import shown
from sandbox.reasons import Reasons, told
from sandbox.repo import Repository, files_of
from sandbox.roles import ALONE, AMONG, HOLDS
from sandbox.source import (
    Function,
    blanked,
    body_nodes,
    find,
    functions,
    parse,
    read_text,
    source_of,
    unreadable,
)
from sandbox.survey import Progress, Survey, survey
from sandbox.tasks import Task, draw, split_by_function, units
from sandbox.validity import Draft, Unfit, validate
from sandbox.verdict import Judge, Limits

MAX_TESTS = 40
MAX_ABOUT = 3
"""Functions that a `failing` task is said to be about."""
MUTANTS = 3
"""Of one function, at most."""
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


@dataclass(frozen=True)
class Mined:
    """What mining gave."""

    tasks: list[Task]
    excluded: dict[str, int]
    """What was left out, by reason."""
    survey: Survey
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """{reason of `excluded`: names of what was left out for it}, where the reason has none in it:
    tests by their node ids, functions as `file::name`, files, candidates by the task's name."""


def mine(
    repository: Repository,
    limits: Limits,
    folder: Path,
    share: float,
    limit: int,
    seed: int,
    on_progress: Progress,
    kinds: tuple[str, ...] = ("blank",),
    since: str = "",
) -> Mined:
    """Mine the repository; what is measured is written to `folder` as it comes, and a second call
    goes on from there.

    `share` of the functions is held out; `limit` > 0 stops at so many tasks, drawn by the seed;
    `since` (YYYY-MM-DD) bounds the history. Raises UsageError where there is nothing to work with.
    """
    found = _surveyed(repository, limits, folder / "survey.json", on_progress)
    records_file = folder / "mining.jsonl"
    try:
        records = jsonl.read(records_file)
    except ValueError as error:
        raise UsageError(
            f"{records_file} is damaged ({error}). Delete it; the tasks will be measured again."
        ) from None
    drafts, excluded = _drafts(
        repository, found, kinds, date.fromisoformat(since) if since else None, seed, on_progress
    )
    excluded.take(found.excluded, found.left_out)
    if not drafts:
        what = "function of" if {"blank", "mutate"} & set(kinds) else "commit or failing test of"
        raise UsageError(
            f"No {what} {repository.root} can be made a task: " + told(excluded, excluded.names)
        )
    if limit:
        drafts.sort(key=lambda draft: draw(seed, draft.instance_id))
    known = {r["instance_id"] for r in records}
    pending = [draft for draft in drafts if draft.instance_id not in known]
    with Judge(
        repository, limits, preload=found.modules, test_files=found.test_files, roles=found.roles
    ) as judge:
        chunks = validate(judge, pending, seed, on_progress)
        while (
            not (limit and sum(r["task"] is not None for r in records) >= limit)
            and (chunk := next(chunks, None)) is not None
        ):
            jsonl.append(records_file, chunk)
            records += chunk
    valid = [Task.from_dict(r["task"]) for r in records if r["task"]][: limit or None]
    valid.sort(key=lambda t: t.instance_id)
    unit = units(t.about for t in valid)
    split = split_by_function(list(unit.values()), share, seed)
    for record in records:
        if not record["task"]:
            excluded.add(record["reason"], record["instance_id"])
    tasks = [replace(t, split=split[unit[t.about[0]]]) for t in valid]
    return Mined(tasks, dict(excluded), found, excluded.names)


def _surveyed(repository: Repository, limits: Limits, file: Path, on_progress: Progress) -> Survey:
    if file.exists():
        try:
            return Survey.from_dict(json.loads(file.read_text()))
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{file} is damaged. Delete it; the suite will be run again."
            ) from None
    with Judge(repository, limits) as judge:
        found = survey(judge, on_progress)
    jsonl.write_aside(file, json.dumps(found.to_dict()).encode())
    return found


# --------------------------------------------------------------------------- what may become a task


def _drafts(
    repository: Repository,
    found: Survey,
    kinds: tuple[str, ...],
    since: date | None,
    seed: int,
    on_progress: Progress,
) -> tuple[list[Draft], Reasons]:
    """Everything of these kinds that is worth measuring, and the reasons why other things are not."""
    drafts, excluded = [], Reasons()
    if {"blank", "mutate"} & set(kinds):
        fit, excluded = candidates(repository, found)
        if "blank" in kinds:
            drafts += [_blank_draft(repository, found, c) for c in fit]
        if "mutate" in kinds:
            drafts += [
                _mutant_draft(repository, found, c, number, seed)
                for c in fit
                for number in range(1, MUTANTS + 1)
            ]
    if "revert" in kinds:
        drafts += _undone_drafts(repository, found, since, excluded, on_progress)
    if "failing" in kinds:
        drafts += failing_drafts(repository, found)
    return drafts, excluded


def candidates(repository: Repository, found: Survey) -> tuple[list[Candidate], Reasons]:
    """The functions worth breaking, in the order of files and lines, and the reasons why others are
    not."""
    result, excluded = [], Reasons()
    called: dict[str, set[str]] = {}
    for file, _, name in found.functions:
        if not found.is_test(file):
            called.setdefault(file, set()).add(name)
    for file in sorted(called):
        try:
            in_file = [f for f in _functions(repository, file) if not _is_overload(f)]
        except Unfit as error:
            excluded.add(str(error))
            continue
        if not in_file and called[file] - {"<module>"}:
            excluded.add(f"{shown(file)} has no function whose body could be taken out")
        live = Counter(f.qualname for f in in_file if (file, f.first) in found.callers)
        names = Counter(f.qualname for f in in_file)
        last = {f.qualname: f for f in in_file}
        for function in in_file:
            tests, name = found.callers.get((file, function.first), []), function.qualname
            alone = names[name] == 1 or live[name] == 1 and function is last[name]
            if reason := _unfit(function, tests, names[name], alone):
                place = f" (line {function.first})" if names[name] > 1 else ""
                excluded.add(reason, f"{shown(file)}::{name}{place}")
            else:
                result.append(Candidate(file, function, _most_specific(tests, found, MAX_TESTS)))
    _note_files(repository, found, called, excluded)
    return result, excluded


def _note_files(
    repository: Repository, found: Survey, called: dict[str, set[str]], excluded: Reasons
) -> None:
    """Why files are left out as a whole, and which tests do things that are not seen."""
    for file in dict.fromkeys(file for file, _, _ in found.functions):
        why = found.roles.of_tests.get(file, HOLDS)
        if why != HOLDS and Path(file).name != "conftest.py":
            excluded.add("file of the tests", f"{shown(file)} ({why})")
    useful = {
        file_of(test)
        for test in found.passing
        if any(found.functions[i][0] in called for i in found.calls[test])
    }
    for file in filter(found.is_test_file, found.test_files):
        if file not in useful:
            reason = MIXED if _calls_its_own(file, found) else IDLE
            excluded.add(reason, shown(file))
        if why := _unread(repository, file):
            excluded.add(f"{shown(file)} {why}: its tests have no twins, and no prompt shows them")
    for file in found.defining:
        unused = found.roles.of_tests.get(file) in (ALONE, AMONG)
        told = any(reason.startswith(f"{shown(file)} ") for reason in found.excluded)
        if unused and is_test_path(Path(file).name) and not told:
            excluded.add("file called like a test in which pytest finds none", shown(file))
    uncalled = [file for file in found.defining if file not in called and not found.is_test(file)]
    for file in uncalled:
        excluded.add("source file of which no passing test calls a function", shown(file))
    if uncalled or excluded[UNCALLED]:
        for kind, tests in found.unseen.items():
            excluded.take({UNSEEN[kind]: len(tests)}, {UNSEEN[kind]: tests})
    for path, kind in files_of(repository.snapshot):
        if kind == "link" and (place := _ignored_target(repository, path)):
            excluded.add(f"{shown(path)} is a link to {shown(place)}, which git ignores")


def _calls_its_own(file: str, found: Survey) -> bool:
    """Whether a test in this file calls a function of the file that is no test."""
    tests = [test for test in found.passing if file_of(test) == file]
    names = {function_of(test).rpartition("::")[2] for test in tests}
    called = {found.functions[i] for test in tests for i in found.calls[test]}
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


def _functions(repository: Repository, file: str) -> list[Function]:
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


def _is_source(repository: Repository, file: str, found: Survey) -> bool:
    """Whether an edit may change this file: it is none of the tests, nor what configures them, and
    git does not ignore it."""
    named = looks_like_tests(file) and file not in found.roles.sources
    return (
        file.endswith(".py")
        and not named
        and not found.is_test(file)
        and not repository.carried_as(file)
    )


def _sources(found: Survey, files: Iterable[str]) -> tuple[str, ...]:
    """`Task.sources` of a task about these files."""
    return tuple(file for file in files if file in found.roles.sources)


def _most_specific(tests: list[str], found: Survey, count: int) -> tuple[str, ...]:
    """Those of the tests that call the fewest functions, in the order that `tests` has."""
    chosen = set(sorted(tests, key=lambda t: (len(found.calls[t]), t))[:count])
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


def instance_id(kind: str, file: str, qualname: str) -> str:
    """`blank-package.module.Class.method`"""
    return (
        f"{kind}-{file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}.{qualname}"
    )


def _task(
    repository: Repository,
    found: Survey,
    kind: str,
    name: str,
    file: str,
    function: str,
    patch: str,
    tests: tuple[str, ...],
) -> Task:
    """The task `name`, its tests not sorted yet."""
    return Task(
        instance_id=name,
        kind=kind,
        split="",
        repo=Path(repository.root).name,
        base_commit=repository.commit,
        file=file,
        function=function,
        patch=patch,
        FAIL_TO_PASS=tests,
        PASS_TO_PASS=(),
        shown=(),
        problem_statement="",
        sources=_sources(found, [file]),
        test_seconds=round(sum(found.seconds[t] for t in tests), 4),
    )


# ------------------------------------------------------------------------------------ blank, mutate


def _blank_draft(repository: Repository, found: Survey, candidate: Candidate) -> Draft:
    function = candidate.function.qualname
    name = instance_id("blank", candidate.file, function)

    def make() -> Task:
        intact = read_text(repository.snapshot / candidate.file)
        patch = patches.make(blanked(intact, candidate.function), intact, candidate.file)
        return _task(
            repository, found, "blank", name, candidate.file, function, patch, candidate.tests
        )

    return Draft(name, make)


def _mutant_draft(
    repository: Repository, found: Survey, candidate: Candidate, number: int, seed: int
) -> Draft:
    """The function's mutant of this number, from 1; it need not have so many."""
    function = candidate.function.qualname
    name = instance_id("mutate", candidate.file, f"{function}.{number}")

    def make() -> Task | None:
        from sandbox.mutate import mutants  # libcst takes a while to load

        intact = read_text(repository.snapshot / candidate.file)
        made = mutants(intact, candidate.function, f"{seed}/{candidate.file}::{function}", MUTANTS)
        if number == 1 and not made:
            raise Unfit("function with nothing to mutate")
        if number > len(made):
            return None
        patch = patches.make(made[number - 1].text, intact, candidate.file)
        return _task(
            repository, found, "mutate", name, candidate.file, function, patch, candidate.tests
        )

    return Draft(name, make)


# ------------------------------------------------------------------------------------------- revert


def _undone_drafts(
    repository: Repository,
    found: Survey,
    since: date | None,
    excluded: Counter,
    on_progress: Progress,
) -> list[Draft]:
    """A draft for each commit that can be undone, newest first; of those that lead to the same
    state the newest."""

    def is_test(path: str) -> bool:
        return path.endswith(".py") and found.is_test(path)

    drafts: dict[tuple, Draft] = {}

    def is_source(path: str) -> bool:
        return _is_source(repository, path, found)

    for undone in undoings(
        repository,
        is_source,
        is_test,
        since,
        excluded,
        lambda done, total: on_progress("reading the history", done, total),
    ):
        name = instance_id("revert", min(undone.broken), undone.commit[:10])
        draft = Draft(name, partial(_undone_task, repository, found, undone, name), undone.message)
        drafts.setdefault(tuple(sorted(undone.broken.items())), draft)
    return list(drafts.values())


def _undone_task(repository: Repository, found: Survey, undone: Undone, name: str) -> Task:
    changed, tests, patch = [], set(), ""
    for file, broken in sorted(undone.broken.items()):
        intact, now = read_text(repository.snapshot / file), _functions(repository, file)
        try:
            before = {f.qualname: source_of(broken, f) for f in functions(broken)}
        except SyntaxError:
            raise Unfit("commit without which the source does not parse") from None
        differing = [
            f
            for f in now
            if "<locals>" not in f.qualname and source_of(intact, f) != before.get(f.qualname)
        ]
        patch += patches.make(broken, intact, file)
        changed += [(file, f.qualname) for f in differing]
        tests |= {test for f in differing for test in found.callers.get((file, f.first), ())}
    if not tests:
        raise Unfit("commit whose functions no passing test calls")
    named = _most_specific([t for t in found.passing if t in tests], found, MAX_TESTS)
    task = _task(repository, found, "revert", name, *changed[0], patch, named)
    if len(changed) == len(undone.broken) == 1 and _is_spliced(task, repository.snapshot):
        return task
    about = dict.fromkeys(f"{file}::{function}" for file, function in changed)
    files = tuple(sorted(undone.broken))
    return replace(task, files=files, functions=tuple(about), sources=_sources(found, files))


def _is_spliced(task: Task, tree: Path) -> bool:
    """Whether its one function is all that mends the file."""
    broken, gold = task.broken(tree)[task.file], task.gold(tree)[task.file]
    return find(broken, task.function) is not None and splice(gold, task, broken) == gold


# ------------------------------------------------------------------------------------------ failing


def failing_drafts(repository: Repository, found: Survey) -> list[Draft]:
    """A draft for each test function that fails, with all its parameters."""
    tests: dict[str, list[str]] = {}
    for test in found.failing:
        tests.setdefault(function_of(test), []).append(test)
    drafts = []
    for test, ids in tests.items():
        file, _, function = test.partition("::")
        name = instance_id("failing", file, function.replace("::", "."))
        drafts.append(
            Draft(name, partial(failing_task, repository, found, name, tuple(ids[:MAX_TESTS])))
        )
    return drafts


def failing_task(repository: Repository, found: Survey, name: str, tests: tuple[str, ...]) -> Task:
    """What its tests call decides which files may be edited, and what it is about: the functions
    that the fewest passing tests call."""
    called = {
        found.functions[i]
        for test in tests
        for i in found.calls[test]
        if _is_source(repository, found.functions[i][0], found)
    }
    known, unread = {}, []
    for file in sorted({file for file, _, _ in called}):
        try:
            known |= {
                (file, f.first): f.qualname
                for f in _functions(repository, file)
                if "<locals>" not in f.qualname
            }
        except Unfit as error:
            unread.append(str(error))
    likely = sorted(
        {(file, line) for file, line, _ in called if (file, line) in known},
        key=lambda place: (len(found.callers.get(place, ())), place),
    )
    if not likely and unread:
        raise Unfit(f"failing test of what cannot be edited: {unread[0]}")
    if not likely:
        raise Unfit("failing test that calls no function of the project")
    about = likely[:MAX_ABOUT]
    passing = {test for place in about for test in found.callers.get(place, ())}
    kept = _most_specific([t for t in found.passing if t in passing], found, MAX_TESTS - len(tests))
    task = _task(repository, found, "failing", name, about[0][0], known[about[0]], "", tests + kept)
    files = tuple(dict.fromkeys(file for file, _ in likely))
    return replace(
        task,
        FAIL_TO_PASS=tests,
        PASS_TO_PASS=kept,
        files=files,
        sources=_sources(found, files),
        functions=tuple(f"{file}::{known[file, line]}" for file, line in about),
    )
