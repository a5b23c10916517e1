"""Tasks from a repository: run the suite, see which test calls which function, break something, keep what the tests notice.

| kind | how it is broken | gold |
|---|---|---|
| `blank` | the body of one function is taken out | the body |
| `mutate` | one small change to a function's body (`mutate.py`) | the original |
| `revert` | the source half of a past commit that also touched tests is undone (`history.py`) | the commit's change |
| `failing` | tests that fail today, just as they are | nobody knows it |

A candidate is a valid task only if, measured in the jail: the named tests pass on the intact tree, at least one of them fails when broken,
and all pass with the gold edit, twice over. A `failing` task has no gold edit: its tests fail twice, others that call the same functions
pass twice. (Whether it can be solved at all nobody knows: a test may fail because of something that the jail does not have.) A test that
did not run is neither pass nor fail. Flaky tests (not the same in two runs of the suite), slow ones (more than `survey.SLOW_SECONDS`) and
those that fail when run without the others are left out.

Which tests see which function comes from one traced run of the suite (`survey.py`); a task names only tests that call its function, the
most specific MAX_TESTS of them.

**Thinning.** A function whose body gives nothing to do is no task: nothing but a docstring, `pass`, `...`, the raising of
NotImplementedError, or one `return` of a name, an attribute or a constant. Mutants that one answer mends are one (the rule is in
`mutate.py`), and commits that lead to the same broken state are one.

**The split** is by function: all that is born of one function is on one side. Functions that one task is about together are split together.
"""
import ast
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

from sandbox import jsonl, patches
from sandbox.edits import FORBIDDEN_NAMES, InvalidEdit, gate, is_test_path, splice
from sandbox.errors import UsageError
from sandbox.history import Undone, undoings
from sandbox.repo import Repository
from sandbox.source import Function, blanked, body_nodes, find, functions, read_text, source_of
from sandbox.statements import statement
from sandbox.survey import Progress, Survey, survey
from sandbox.tasks import Task, split_by_function, units
from sandbox.twins import test_functions, twin_file
from sandbox.verdict import Judge, Limits

MAX_TESTS = 40
MAX_ABOUT = 3
"""Functions that a `failing` task is said to be about."""
MUTANTS = 3
"""Of one function, at most."""
CHUNK = 16
"""Candidates that are measured between two records on the disk."""
BROKEN_SECONDS = 3.0
"""What a broken state may take beside ten times what its tests took on the intact tree: mutants often loop for ever."""


class Unfit(Exception):
    """What was to become a task is none; `str(error)` is the reason that is counted."""


@dataclass(frozen=True)
class Candidate:
    """A function that may become a task."""

    file: str
    function: Function
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """A task to be."""

    instance_id: str
    make: Callable[[], Task | None]
    """The task with its tests not sorted into FAIL_TO_PASS and PASS_TO_PASS yet; None where there is nothing of this name. Raises Unfit."""
    message: str = ""
    """The commit's, for `revert`."""


@dataclass(frozen=True)
class Mined:
    """What mining gave."""

    tasks: list[Task]
    excluded: dict[str, int]
    """What was left out, by reason."""
    survey: Survey


def mine(repository: Repository, limits: Limits, folder: Path, share: float, limit: int, seed: int, on_progress: Progress,
         kinds: tuple[str, ...] = ("blank",), since: str = "") -> Mined:
    """Mine the repository; what is measured is written to `folder` as it comes, and a second call goes on from there.

    `share` of the functions is held out; `limit` > 0 stops at so many tasks, drawn by the seed; `since` (YYYY-MM-DD) bounds the history.
    Raises UsageError where there is nothing to work with.
    """
    found = _surveyed(repository, limits, folder / "survey.json", on_progress)
    records_file = folder / "mining.jsonl"
    try:
        records = jsonl.read(records_file)
    except ValueError as error:
        raise UsageError(f"{records_file} is damaged ({error}). Delete it; the tasks will be measured again.") from None
    drafts, excluded = _drafts(repository, found, kinds, date.fromisoformat(since) if since else None, seed, on_progress)
    if not drafts:
        what = "function of" if {"blank", "mutate"} & set(kinds) else "commit or failing test of"
        reasons = "; ".join(f"{count} x {reason}" for reason, count in excluded.items()) or "there is none"
        raise UsageError(f"No {what} {repository.root} can be made a task: {reasons}.")
    if limit:
        drafts.sort(key=lambda draft: _draw(seed, draft.instance_id))
    known = {r["instance_id"] for r in records}
    pending = [draft for draft in drafts if draft.instance_id not in known]
    with Judge(repository, limits, preload=found.modules, test_files=found.test_files) as judge:
        chunks = validate(judge, pending, seed, on_progress)
        while not (limit and sum(r["task"] is not None for r in records) >= limit) and (chunk := next(chunks, None)) is not None:
            jsonl.append(records_file, chunk)
            records += chunk
    valid = [Task.from_dict(r["task"]) for r in records if r["task"]][:limit or None]
    valid.sort(key=lambda t: t.instance_id)
    unit = units(t.about for t in valid)
    split = split_by_function(list(unit.values()), share, seed)
    reasons = excluded + Counter(r["reason"] for r in records if not r["task"]) + Counter(found.excluded)
    return Mined([replace(t, split=split[unit[t.about[0]]]) for t in valid], dict(reasons), found)


def _surveyed(repository: Repository, limits: Limits, file: Path, on_progress: Progress) -> Survey:
    if file.exists():
        try:
            return Survey.from_dict(json.loads(file.read_text()))
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{file} is damaged. Delete it; the suite will be run again.") from None
    with Judge(repository, limits) as judge:
        found = survey(judge, on_progress)
    jsonl.write_aside(file, json.dumps(found.to_dict()).encode())
    return found


def _draw(seed: int, *names: str) -> str:
    """A sort key: an order drawn by the seed that does not depend on what else is sorted."""
    return hashlib.sha256("/".join([str(seed), *names]).encode()).hexdigest()


# -------------------------------------------------------------------------------------------------------- what may become a task

def _drafts(repository: Repository, found: Survey, kinds: tuple[str, ...], since: date | None, seed: int,
            on_progress: Progress) -> tuple[list[Draft], Counter]:
    """Everything of these kinds that is worth measuring, and the reasons why other things are not."""
    drafts, excluded = [], Counter()
    if {"blank", "mutate"} & set(kinds):
        fit, excluded = candidates(repository, found)
        if "blank" in kinds:
            drafts += [_blank_draft(repository, found, c) for c in fit]
        if "mutate" in kinds:
            drafts += [_mutant_draft(repository, found, c, number, seed) for c in fit for number in range(1, MUTANTS + 1)]
    if "revert" in kinds:
        drafts += _undone_drafts(repository, found, since, excluded, on_progress)
    if "failing" in kinds:
        drafts += _failing_drafts(repository, found)
    return drafts, excluded


def candidates(repository: Repository, found: Survey) -> tuple[list[Candidate], Counter]:
    """The functions worth breaking, in the order of files and lines, and the reasons why others are not."""
    result, excluded = [], Counter()
    for file in sorted({file for file, _, _ in found.functions if file.endswith(".py") and not is_test_path(file)
                        and file not in found.test_files}):
        try:
            in_file = [f for f in functions(read_text(repository.snapshot / file)) if not _is_overload(f)]
        except (OSError, SyntaxError):
            excluded["file cannot be read"] += 1
            continue
        names = Counter(f.qualname for f in in_file)
        for function in in_file:
            tests = found.callers.get((file, function.first), [])
            if reason := _unfit(function, tests, names):
                excluded[reason] += 1
            else:
                result.append(Candidate(file, function, _most_specific(tests, found, MAX_TESTS)))
    return result, excluded


def _is_source(file: str, found: Survey) -> bool:
    """Whether an edit may change this file (as far as its name tells) and it holds none of the tests."""
    return file.endswith(".py") and not is_test_path(file) and Path(file).name not in FORBIDDEN_NAMES and file not in found.test_files


def _most_specific(tests: list[str], found: Survey, count: int) -> tuple[str, ...]:
    """Those of the tests that call the fewest functions, in the order that `tests` has."""
    chosen = set(sorted(tests, key=lambda t: (len(found.calls[t]), t))[:count])
    return tuple(t for t in tests if t in chosen)


def _unfit(function: Function, tests: list[str], names: Counter) -> str | None:
    if not tests:
        return "function that no passing test calls"
    if names[function.qualname] > 1:
        return "function defined more than once"
    if "<locals>" in function.qualname:
        return "function inside a function"
    if _is_trivial(function):
        return "trivial body"
    return None


def _is_overload(function: Function) -> bool:
    """A signature for type checkers alone (`typing.overload`)."""
    return any(ast.unparse(d).rpartition(".")[2] == "overload" for d in function.node.decorator_list)


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
    return f"{kind}-{file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}.{qualname}"


def _task(repository: Repository, found: Survey, kind: str, name: str, file: str, function: str, patch: str,
          tests: tuple[str, ...]) -> Task:
    """The task `name`, its tests not sorted yet."""
    return Task(instance_id=name, kind=kind, split="", repo=Path(repository.root).name, base_commit=repository.commit, file=file,
                function=function, patch=patch, FAIL_TO_PASS=tests, PASS_TO_PASS=(), shown=(), problem_statement="",
                test_seconds=round(sum(found.seconds[t] for t in tests), 4))


# -------------------------------------------------------------------------------------------------------- blank, mutate

def _blank_draft(repository: Repository, found: Survey, candidate: Candidate) -> Draft:
    function = candidate.function.qualname
    name = instance_id("blank", candidate.file, function)

    def make() -> Task:
        intact = read_text(repository.snapshot / candidate.file)
        patch = patches.make(blanked(intact, candidate.function), intact, candidate.file)
        return _task(repository, found, "blank", name, candidate.file, function, patch, candidate.tests)

    return Draft(name, make)


def _mutant_draft(repository: Repository, found: Survey, candidate: Candidate, number: int, seed: int) -> Draft:
    """The function's mutant of this number, from 1; it need not have so many."""
    function = candidate.function.qualname
    name = instance_id("mutate", candidate.file, f"{function}.{number}")

    def make() -> Task | None:
        from sandbox.mutate import mutants                # libcst takes a while to load

        intact = read_text(repository.snapshot / candidate.file)
        made = mutants(intact, candidate.function, f"{seed}/{candidate.file}::{function}", MUTANTS)
        if number == 1 and not made:
            raise Unfit("function with nothing to mutate")
        if number > len(made):
            return None
        patch = patches.make(made[number - 1].text, intact, candidate.file)
        return _task(repository, found, "mutate", name, candidate.file, function, patch, candidate.tests)

    return Draft(name, make)


# -------------------------------------------------------------------------------------------------------- revert

def _undone_drafts(repository: Repository, found: Survey, since: date | None, excluded: Counter, on_progress: Progress) -> list[Draft]:
    """A draft for each commit that can be undone, newest first; of those that lead to the same state the newest."""
    def is_test(path: str) -> bool:
        return path.endswith(".py") and (is_test_path(path) or path in found.test_files)

    drafts: dict[tuple, Draft] = {}
    for undone in undoings(repository, lambda path: _is_source(path, found), is_test, since, excluded,
                           lambda done, total: on_progress("reading the history", done, total)):
        name = instance_id("revert", min(undone.broken), undone.commit[:10])
        draft = Draft(name, partial(_undone_task, repository, found, undone, name), undone.message)
        drafts.setdefault(tuple(sorted(undone.broken.items())), draft)
    return list(drafts.values())


def _undone_task(repository: Repository, found: Survey, undone: Undone, name: str) -> Task:
    changed, tests, patch = [], set(), ""
    for file, broken in sorted(undone.broken.items()):
        intact = read_text(repository.snapshot / file)
        try:
            before = {f.qualname: source_of(broken, f) for f in functions(broken)}
            differing = [f for f in functions(intact) if "<locals>" not in f.qualname and source_of(intact, f) != before.get(f.qualname)]
        except SyntaxError:
            raise Unfit("commit without which the source does not parse") from None
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
    return replace(task, files=tuple(sorted(undone.broken)), functions=tuple(about))


def _is_spliced(task: Task, tree: Path) -> bool:
    """Whether its one function is all that mends the file."""
    broken, gold = task.broken(tree)[task.file], task.gold(tree)[task.file]
    return find(broken, task.function) is not None and splice(gold, task, broken) == gold


# -------------------------------------------------------------------------------------------------------- failing

def _failing_drafts(repository: Repository, found: Survey) -> list[Draft]:
    """A draft for each test function that fails, with all its parameters."""
    tests: dict[str, list[str]] = {}
    for test in found.failing:
        tests.setdefault(test.partition("[")[0], []).append(test)
    drafts = []
    for test, ids in tests.items():
        file, _, function = test.partition("::")
        name = instance_id("failing", file, function.replace("::", "."))
        drafts.append(Draft(name, partial(_failing_task, repository, found, name, tuple(ids[:MAX_TESTS]))))
    return drafts


def _failing_task(repository: Repository, found: Survey, name: str, tests: tuple[str, ...]) -> Task:
    """What its tests call decides which files may be edited, and what it is about: the functions that the fewest passing tests call."""
    called = {found.functions[i] for test in tests for i in found.calls[test] if _is_source(found.functions[i][0], found)}
    known = {(file, f.first): f.qualname for file in sorted({file for file, _, _ in called})
             for f in functions(read_text(repository.snapshot / file)) if "<locals>" not in f.qualname}
    likely = sorted({(file, line) for file, line, _ in called if (file, line) in known},
                    key=lambda place: (len(found.callers.get(place, ())), place))
    if not likely:
        raise Unfit("failing test that calls no function of the project")
    about = likely[:MAX_ABOUT]
    passing = {test for place in about for test in found.callers.get(place, ())}
    kept = _most_specific([t for t in found.passing if t in passing], found, MAX_TESTS - len(tests))
    task = _task(repository, found, "failing", name, about[0][0], known[about[0]], "", tests + kept)
    return replace(task, FAIL_TO_PASS=tests, PASS_TO_PASS=kept, files=tuple(dict.fromkeys(file for file, _ in likely)),
                   functions=tuple(f"{file}::{known[file, line]}" for file, line in about))


# -------------------------------------------------------------------------------------------------------- measuring

@dataclass(frozen=True)
class _Prepared:
    """A draft's task and the files of its two states; `gold` is None where there is none."""

    task: Task
    message: str
    broken: dict[str, str]
    gold: dict[str, str] | None

    @property
    def gold_key(self) -> str:
        """Equal for tasks whose gold edits are measured alike: the same tests on the same files."""
        parts = [*self.task.tests, *(part for item in sorted(self.gold.items()) for part in item)]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def validate(judge: Judge, pending: list[Draft], seed: int, on_progress: Progress) -> Iterator[list[dict]]:
    """Measure the drafts chunk by chunk; yields records {"instance_id", "task": fields or None, "reason"}.

    Each costs up to three runs of its tests: broken once, with the gold edit twice. What was measured of the gold edit serves all tasks
    that are born of one function and name the same tests.
    """
    tree, bench = judge.repository.snapshot, _Bench(judge)
    for start in range(0, len(pending), CHUNK):
        chunk, fit, records, said = pending[start:start + CHUNK], [], [], {}
        for draft in chunk:
            try:
                if (prepared := _prepared(draft, tree)) is not None:
                    fit.append(prepared)
            except Unfit as error:
                records.append(_no_task(draft.instance_id, str(error)))
        valid = []
        for prepared, (broken, *again) in zip(fit, bench.runs(fit)):
            try:
                valid.append((_weigh if prepared.gold else _weigh_failing)(prepared.task, broken, *again, seed))
            except Unfit as error:
                records.append(_no_task(prepared.task.instance_id, str(error)))
            said[prepared.task.instance_id] = (broken.get("text", {}), prepared.message)
        valid = bench.recorded(with_twins(judge, valid, seed))
        valid = [replace(task, problem_statement=statement(task, tree, *said[task.instance_id])) for task in valid]
        yield records + [{"instance_id": task.instance_id, "task": task.to_dict(), "reason": ""} for task in valid]
        on_progress("measuring tasks", start + len(chunk), len(pending))


def _no_task(name: str, reason: str) -> dict:
    return {"instance_id": name, "task": None, "reason": reason}


def _prepared(draft: Draft, tree: Path) -> _Prepared | None:
    """None where there is nothing of the draft's name. Raises Unfit."""
    task = draft.make()
    if task is None:
        return None
    try:
        return _Prepared(task, draft.message, task.broken(tree), gate(task.gold(tree), task, tree) if task.patch else None)
    except (UsageError, InvalidEdit) as error:
        raise Unfit(f"cannot be taken apart: {error}") from None


class _Bench:
    """Runs what has to be measured, and nothing of it twice."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._gold: dict[str, tuple[dict, dict]] = {}
        self._calls: dict[tuple, tuple[list, ...]] = {}

    def runs(self, fit: list[_Prepared]) -> list[tuple[dict, dict, dict]]:
        """The runner's replies (broken, with the gold edit, the same again); for `failing` (as it is, the same again, {})."""
        blank = [p for p in fit if p.task.kind == "blank"]
        failing = [p for p in fit if p.gold is None]
        fresh = {p.gold_key: p for p in fit if p.gold is not None and p.gold_key not in self._gold}
        replies = iter(self._judge.screen_many([(p.task, p.broken) for p in blank + failing] + [(p.task, p.gold) for p in fresh.values()]))
        screened = {p.task.instance_id: next(replies) for p in blank + failing}
        # The second time in the other kind of process: what passes in one of them alone would never be resolved.
        again = self._judge.fresh_many([(p.task, p.gold) for p in fresh.values()])
        self._gold |= {key: (next(replies), second) for key, second in zip(fresh, again)}
        told = self._with_text([p for p in fit if p.task.kind != "blank"])
        return [(told[p.task.instance_id], screened[p.task.instance_id], {}) if p.gold is None else
                ((screened if p.task.kind == "blank" else told)[p.task.instance_id], *self._gold[p.gold_key]) for p in fit]

    def _with_text(self, fit: list[_Prepared]) -> dict[str, dict]:
        """{instance_id: the runner's reply for the broken state, with pytest's text}"""
        seconds = min(self._judge.limits.timeout, BROKEN_SECONDS)

        def run(p: _Prepared) -> dict:
            return self._judge.run({"files": p.broken, "ids": list(p.task.tests), "text": True,
                                    "timeout": seconds + 10 * p.task.test_seconds})

        with ThreadPoolExecutor(self._judge.limits.jails) as threads:
            return dict(zip([p.task.instance_id for p in fit], threads.map(run, fit)))

    def recorded(self, tasks: list[Task]) -> list[Task]:
        """The tasks with the gold edit's calls in them, where they are about one function and it takes plain data."""
        fresh: dict[tuple, Task] = {}
        for task in tasks:
            if task.patch and not task.files and (key := self._calls_key(task)) not in self._calls:
                fresh.setdefault(key, task)
        self._calls |= zip(fresh, self._judge.recorded_calls(list(fresh.values())))
        return [replace(task, recorded=self._calls.get(self._calls_key(task), ())) if not task.files else task for task in tasks]

    @staticmethod
    def _calls_key(task: Task) -> tuple:
        return task.about, frozenset(task.tests)


def _weigh(task: Task, broken: dict, gold_1: dict, gold_2: dict, seed: int) -> Task:
    """The task with its tests sorted. Raises Unfit."""
    if "outcomes" not in gold_1 or "outcomes" not in gold_2:
        raise Unfit("gold edit ends its tests early or too late")
    usable = [t for t in task.tests if gold_1["outcomes"].get(t) == gold_2["outcomes"].get(t) == "passed"]
    if not usable:
        raise Unfit("tests fail without the rest of the suite")
    if "outcomes" not in broken:
        raise Unfit("broken state hangs or ends the test process")
    broke = {t: broken["outcomes"].get(t, "missing") for t in usable}
    fail = tuple(t for t in usable if broke[t] in ("failed", "error"))
    if not fail:
        did_not_run = all(outcome == "missing" for outcome in broke.values())
        raise Unfit("needed while the tests are collected" if did_not_run else "no test notices")
    still_pass = tuple(t for t in usable if broke[t] == "passed")
    return replace(task, FAIL_TO_PASS=fail, PASS_TO_PASS=still_pass, shown=_shown(fail, task.instance_id, seed),
                   test_seconds=round(sum(gold_1["times"][t] for t in usable), 4))


def _weigh_failing(task: Task, first: dict, second: dict, _: dict, seed: int) -> Task:
    """The task with what fails twice and what passes twice. Raises Unfit."""
    if "outcomes" not in first or "outcomes" not in second:
        raise Unfit("failing test that hangs or ends the test process")
    twice = {t: o for t, o in first["outcomes"].items() if o == second["outcomes"].get(t)}
    fail = tuple(t for t in task.FAIL_TO_PASS if twice.get(t) in ("failed", "error"))
    if not fail:
        raise Unfit("failing test that does not fail without the rest of the suite")
    kept = tuple(t for t in task.PASS_TO_PASS if twice.get(t) == "passed")
    return replace(task, FAIL_TO_PASS=fail, PASS_TO_PASS=kept, shown=_shown(fail, task.instance_id, seed),
                   test_seconds=round(sum(second["times"][t] for t in fail + kept), 4))


def with_twins(judge: Judge, tasks: list[Task], seed: int) -> list[Task]:
    """The tasks with their twins, each measured: the gold edit fails it. Without a gold edit there are none."""
    tree = judge.repository.snapshot
    golden = [task for task in tasks if task.patch]
    changed = [_twin_files(task, task.FAIL_TO_PASS, tree, seed) for task in golden]
    done = {}
    for task, files, reply in zip(golden, changed, judge.twins_many(golden, changed)):
        failed = tuple(t for t in task.FAIL_TO_PASS if reply.get("outcomes", {}).get(t) == "failed")
        if failed != task.FAIL_TO_PASS:
            # Made again from the tests that failed alone: a change that the gold edit survives would be noise.
            files = _twin_files(task, failed, tree, seed)
        patch = "".join(patches.make(read_text(tree / path), text, path) for path, text in sorted(files.items()))
        done[task.instance_id] = replace(task, twin_patch=patch, twin_tests=failed if patch else ())
    return [done.get(task.instance_id, task) for task in tasks]


def _twin_files(task: Task, tests: tuple[str, ...], tree: Path, seed: int) -> dict[str, str]:
    """{path: text} of the test files with one expectation changed in each of these tests."""
    files = {}
    for file, names in test_functions(tests).items():
        if file.endswith(".py") and (text := twin_file(read_text(tree / file), names, f"{seed}/{task.instance_id}")):
            files[file] = text
    return files


def _shown(fail: tuple[str, ...], name: str, seed: int) -> tuple[str, ...]:
    """The tests that a prompt may show: at least one test function, at most half of them, drawn by the seed."""
    groups = sorted({t.partition("[")[0] for t in fail}, key=lambda t: _draw(seed, name, t))
    chosen = set(groups[:max(1, len(groups) // 2)])
    return tuple(t for t in fail if t.partition("[")[0] in chosen)
