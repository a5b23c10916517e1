"""Tasks from a repository: run the suite, see which test calls which function, break functions, keep what the tests notice.

A `blank` task takes out the body of one function; its gold edit is the body. A candidate is a valid task only if, measured in
the jail: the named tests pass on the intact tree, at least one of them fails when broken, and all pass with the gold edit,
twice over. A test that did not run is neither pass nor fail. Flaky tests (not the same in two runs of the suite), slow ones
(more than SLOW_SECONDS) and those that fail when run without the others are left out.

Which tests see which function comes from one traced run of the suite; a task names only tests that call its function, the most
specific MAX_TESTS of them.
"""
import ast
import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sandbox import jsonl, patches
from sandbox.edits import InvalidEdit, is_test_path
from sandbox.errors import UsageError
from sandbox.repo import Repository, keep_bytecode
from sandbox.source import Function, blanked, body_nodes, functions, read_text
from sandbox.tasks import Task, split_by_function
from sandbox.twins import test_functions, twin_file
from sandbox.verdict import Judge, Limits

SUITE_SECONDS = 1800.0
SLOW_SECONDS = 5.0
MAX_TESTS = 40
CHUNK = 16
"""Candidates that are measured between two records on the disk."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Survey:
    """What two runs of the suite showed."""

    passing: tuple[str, ...]
    """Tests that passed both times, in the order they ran."""
    excluded: dict[str, int]
    """Tests left out, by reason."""
    seconds: dict[str, float]
    """Time of each passing test."""
    functions: tuple[tuple[str, int, str], ...]
    """(file, first line, name) of every function of the tree that a test called."""
    calls: dict[str, tuple[int, ...]]
    """For each passing test, indices into `functions`."""
    modules: tuple[str, ...]
    """Modules from outside the tree that the suite loads: a warm process may load them beforehand."""

    @property
    def test_files(self) -> tuple[str, ...]:
        """The files of the passing tests."""
        return tuple(dict.fromkeys(test.partition("::")[0] for test in self.passing))

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Survey":
        return cls(passing=tuple(data["passing"]), excluded=data["excluded"], seconds=data["seconds"],
                   functions=tuple((f, line, name) for f, line, name in data["functions"]),
                   calls={test: tuple(indices) for test, indices in data["calls"].items()}, modules=tuple(data["modules"]))


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
    """Functions and tests left out, by reason."""
    survey: Survey


def mine(repository: Repository, limits: Limits, folder: Path, share: float, limit: int, seed: int, on_progress: Progress) -> Mined:
    """Mine the repository; what is measured is written to `folder` as it comes, and a second call goes on from there.

    `share` of the functions is held out; `limit` > 0 stops at so many tasks, drawn by the seed. Raises UsageError where the
    suite gives nothing to work with.
    """
    survey_file, records_file = folder / "survey.json", folder / "mining.jsonl"
    if survey_file.exists():
        try:
            found = Survey.from_dict(json.loads(survey_file.read_text()))
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{survey_file} is damaged. Delete it; the suite will be run again.") from None
    else:
        with Judge(repository, limits) as judge:
            found = survey(judge, on_progress)
        jsonl.write_aside(survey_file, json.dumps(found.to_dict()).encode())
    pending, excluded = candidates(repository, found)
    if not pending:
        raise UsageError(f"No function of {repository.root} can be made a task: "
                         + "; ".join(f"{count} x {reason}" for reason, count in excluded.items()) + ".")
    if limit:
        pending.sort(key=lambda c: _draw(seed, instance_id("blank", c.file, c.function.qualname)))
    try:
        records = jsonl.read(records_file)
    except ValueError as error:
        raise UsageError(f"{records_file} is damaged ({error}). Delete it; the tasks will be measured again.") from None
    known = {r["instance_id"] for r in records}
    pending = [c for c in pending if instance_id("blank", c.file, c.function.qualname) not in known]
    with Judge(repository, limits, preload=found.modules, test_files=found.test_files) as judge:
        for chunk in validate(judge, found, pending, seed, on_progress):
            jsonl.append(records_file, chunk)
            records += chunk
            if limit and sum(r["task"] is not None for r in records) >= limit:
                break
    valid = [Task.from_dict(r["task"]) for r in records if r["task"]][:limit or None]
    valid.sort(key=lambda t: t.instance_id)
    split = split_by_function([function_key(t) for t in valid], share, seed)
    reasons = excluded + Counter(r["reason"] for r in records if not r["task"]) + Counter(found.excluded)
    return Mined([replace(t, split=split[function_key(t)]) for t in valid], dict(reasons), found)


def function_key(task: Task) -> str:
    """What the split goes by."""
    return f"{task.file}::{task.function}"


def _draw(seed: int, *names: str) -> str:
    """A sort key: an order drawn by the seed that does not depend on what else is sorted."""
    return hashlib.sha256("/".join([str(seed), *names]).encode()).hexdigest()


def survey(judge: Judge, on_progress: Progress) -> Survey:
    """Run the suite twice, the first time traced. Raises UsageError where there is nothing to work with."""
    request = {"ids": [], "timeout": SUITE_SECONDS, "args": ["--continue-on-collection-errors"], "output": True, "progress": True}
    first = judge.run({**request, "trace": True, "modules": True}, lambda done, total: on_progress("running the test suite, traced", done, total))
    root = judge.repository.root
    _refuse_useless_run(first, root)
    keep_bytecode(judge.repository, {path: base64.b64decode(data) for path, data in first["bytecode"].items()})
    second = judge.run(request, lambda done, total: on_progress("running the test suite again", done, total))
    _refuse_useless_run(second, root)
    passing, excluded = [], Counter()
    for test, outcome in first["outcomes"].items():
        if outcome != second["outcomes"].get(test):
            excluded["flaky test"] += 1
        elif outcome != "passed":
            excluded[f"test {outcome}"] += 1
        elif second["times"][test] > SLOW_SECONDS:
            excluded["slow test"] += 1
        else:
            passing.append(test)
    if not passing:
        raise UsageError(f"No test of {root} passes twice in a row, so nothing can be measured. The last lines of pytest:\n{_tail(first)}")
    return Survey(passing=tuple(passing), excluded=dict(excluded), seconds={t: second["times"][t] for t in passing},
                  functions=tuple((f, line, name) for f, line, name in first["functions"]),
                  calls={t: tuple(first["calls"].get(t, ())) for t in passing}, modules=tuple(first["modules"]))


def _refuse_useless_run(reply: dict, root: str) -> None:
    if reply.get("timeout"):
        raise UsageError(f"The test suite of {root} did not end within {SUITE_SECONDS / 60:.0f} minutes.")
    if "died" in reply:
        raise UsageError(f"The test suite of {root} does not run: {reply['died']}.")
    if reply["outcomes"]:
        return
    if reply["exit"] == 5 and not reply["collect_errors"]:
        raise UsageError(f"pytest finds no tests in {root}.")
    raise UsageError(f"The test suite of {root} does not run. The last lines of pytest:\n{_tail(reply)}")


def _tail(reply: dict, lines: int = 12) -> str:
    return "\n".join(reply.get("output", "").strip().split("\n")[-lines:])


def candidates(repository: Repository, found: Survey) -> tuple[list[Candidate], Counter]:
    """The functions worth taking out, in the order of files and lines, and the reasons why others are not."""
    tests_of: dict[tuple[str, int], list[str]] = {}
    for test in found.passing:
        for index in found.calls[test]:
            file, line, _ = found.functions[index]
            tests_of.setdefault((file, line), []).append(test)
    result, excluded = [], Counter()
    for file in sorted({file for file, _, _ in found.functions if file.endswith(".py") and not is_test_path(file)
                        and file not in found.test_files}):
        try:
            in_file = functions(read_text(repository.snapshot / file))
        except (OSError, SyntaxError):
            excluded["file cannot be read"] += 1
            continue
        names = Counter(f.qualname for f in in_file)
        for function in in_file:
            tests = tests_of.get((file, function.first), [])
            if reason := _unfit(function, tests, names):
                excluded[reason] += 1
            else:
                specific = sorted(tests, key=lambda t: (len(found.calls[t]), t))[:MAX_TESTS]
                chosen = set(specific)
                result.append(Candidate(file, function, tuple(t for t in tests if t in chosen)))
    return result, excluded


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


def _is_trivial(function: Function) -> bool:
    """Nothing to write: no body but a docstring, `pass`, `...`, or the raising of NotImplementedError."""
    for node in body_nodes(function):
        ellipsis = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        raises = isinstance(node, ast.Raise) and "NotImplementedError" in ast.dump(node)
        if not (ellipsis or raises or isinstance(node, ast.Pass)):
            return False
    return True


def instance_id(kind: str, file: str, qualname: str) -> str:
    """`blank-package.module.Class.method`"""
    return f"{kind}-{file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}.{qualname}"


def validate(judge: Judge, found: Survey, pending: list[Candidate], seed: int, on_progress: Progress) -> Iterator[list[dict]]:
    """Measure the candidates chunk by chunk; yields records {"instance_id", "task": fields or None, "reason"}.

    Each candidate costs three runs of its tests: broken once, with the gold edit twice.
    """
    for start in range(0, len(pending), CHUNK):
        chunk = [_blank_task(judge.repository, found, c) for c in pending[start:start + CHUNK]]
        records, fit, runs = [], [], []
        for task in chunk:
            try:
                broken = task.broken(judge.repository.snapshot)
                gold = judge.gold_files(task)
            except (UsageError, InvalidEdit) as error:
                records.append({"instance_id": task.instance_id, "task": None, "reason": f"cannot be taken apart: {error}"})
            else:
                fit.append(task)
                runs += [(task, broken), (task, gold), (task, gold)]
        replies = iter(judge.screen_many(runs))
        weighed = [_weigh(task, next(replies), next(replies), next(replies), seed) for task in fit]
        valid = with_twins(judge, [task for task in weighed if isinstance(task, Task)], seed)
        valid = [replace(task, recorded=calls) for task, calls in zip(valid, judge.recorded_calls(valid))]
        records += [task for task in weighed if not isinstance(task, Task)]
        yield records + [{"instance_id": task.instance_id, "task": task.to_dict(), "reason": ""} for task in valid]
        on_progress("measuring tasks", start + len(chunk), len(pending))


def _blank_task(repository: Repository, found: Survey, candidate: Candidate) -> Task:
    """The candidate as a task whose tests are not sorted into FAIL_TO_PASS and PASS_TO_PASS yet."""
    intact = read_text(repository.snapshot / candidate.file)
    broken = blanked(intact, candidate.function)
    name = candidate.function.qualname
    return Task(instance_id=instance_id("blank", candidate.file, name), kind="blank", split="", repo=Path(repository.root).name,
                base_commit=repository.commit, file=candidate.file, function=name, patch=patches.make(broken, intact, candidate.file),
                FAIL_TO_PASS=candidate.tests, PASS_TO_PASS=(), shown=(), test_seconds=round(sum(found.seconds[t] for t in candidate.tests), 4),
                problem_statement=f"The body of `{name}` in `{candidate.file}` is missing. Write it so that its tests pass.")


def _weigh(task: Task, broken: dict, gold_1: dict, gold_2: dict, seed: int) -> Task | dict:
    """The task with its tests sorted, or the record of why it is none."""
    def no(reason: str) -> dict:
        return {"instance_id": task.instance_id, "task": None, "reason": reason}

    if "outcomes" not in gold_1 or "outcomes" not in gold_2:
        return no("gold edit ends its tests early or too late")
    usable = [t for t in task.tests if gold_1["outcomes"].get(t) == gold_2["outcomes"].get(t) == "passed"]
    if not usable:
        return no("tests fail without the rest of the suite")
    if "outcomes" not in broken:
        return no("broken state hangs or ends the test process")
    broke = {t: broken["outcomes"].get(t, "missing") for t in usable}
    fail = tuple(t for t in usable if broke[t] in ("failed", "error"))
    if not fail:
        did_not_run = all(outcome == "missing" for outcome in broke.values())
        return no("needed while the tests are collected" if did_not_run else "no test notices")
    still_pass = tuple(t for t in usable if broke[t] == "passed")
    return replace(task, FAIL_TO_PASS=fail, PASS_TO_PASS=still_pass, shown=_shown(fail, task.instance_id, seed),
                   test_seconds=round(sum(gold_1["times"][t] for t in usable), 4))


def with_twins(judge: Judge, tasks: list[Task], seed: int) -> list[Task]:
    """The tasks with their twins, each measured: the gold edit fails it."""
    tree = judge.repository.snapshot
    changed = [_twin_files(task, task.FAIL_TO_PASS, tree, seed) for task in tasks]
    done = []
    for task, files, reply in zip(tasks, changed, judge.twins_many(tasks, changed)):
        failed = tuple(t for t in task.FAIL_TO_PASS if reply.get("outcomes", {}).get(t) == "failed")
        if failed != task.FAIL_TO_PASS:
            # Made again from the tests that failed alone: a change that the gold edit survives would be noise.
            files = _twin_files(task, failed, tree, seed)
        patch = "".join(patches.make(read_text(tree / path), text, path) for path, text in sorted(files.items()))
        done.append(replace(task, twin_patch=patch, twin_tests=failed if patch else ()))
    return done


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
