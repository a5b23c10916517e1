"""Tests that fail now, as tasks; and what it takes to say that an edit fixes them.

    # `chosen`: names of failing tests
    failing = failing_tasks(judge, survey, chosen, seed)
    proof = verify(judge, survey, task, files)  # after judge.judge(task, edit) said `resolved`

There is no gold edit for such a task, so nothing can be judged by comparison: no twins, no fresh
inputs from outside. *Verified* means:

1. the gate let the edit through (never a test, nor what configures tests);
2. the tests that failed pass in the screen, and so do those others that call the functions in
   question;
3. all of these pass again in a process that has loaded nothing of the project (the judge's layer
   *originals*);
4. every other test of the suite that passed before and calls a function that the edit changes still
   passes, in such a process, too. Where an edit changes more than bodies of functions (an import, a
   constant, a signature, a new helper), that is every test that passed before;
5. with the edit in the tree the suite is run twice, as far as the change can reach (`survey.py`),
   and of the tests named so far none fails both times. (The caller does this: `survey` on
   `with_files`.)

A test of the fourth step that does not pass without the rest of the suite, edit or no edit, says
nothing and is counted apart.

What remains: the code that is judged shares a process with its tests, so code written to attack
this harness can forge the outcome; and a suite says no more than its tests ask. A person reads the
diff.
"""

import difflib
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.judge.outcomes import read_reply
from sandbox.judge.verdict import Judge
from sandbox.node_ids import function_of
from sandbox.repo import Repository
from sandbox.snapshot import files_of, take_snapshot
from sandbox.source import Function, bodies_changed, functions, read_text, to_bytes
from sandbox.survey import Progress, Survey
from sandbox.tasks.candidates import MAX_TESTS
from sandbox.tasks.ground import Ground
from sandbox.tasks.kinds import Unfit, failing
from sandbox.tasks.task import Task
from sandbox.tasks.validate import validate


@dataclass(frozen=True)
class Failing:
    """What fails, and can be worked on or not."""

    tasks: tuple[Task, ...]
    """In the order of the suite. One of them is about all tests that fail, it seems, for the same
    function's sake."""
    left_out: dict[str, str]
    """{test function: why it is no task}"""


@dataclass(frozen=True)
class Proof:
    """What an edit that the judge calls resolved was verified against."""

    changed: tuple[str, ...]
    """`file::name` of the functions that the edit changes; the file alone where it changes more
    than bodies of functions."""
    tests: tuple[str, ...]
    """The tests beside those of the task that were run."""
    broken: tuple[str, ...]
    """Those of them that pass without the edit and not with it: where there are any, nothing is
    verified."""
    silent: tuple[str, ...]
    """Those that pass neither way when they are run without the rest of the suite."""

    @property
    def holds(self) -> bool:
        return not self.broken


def choose_failing(survey: Survey, names: Iterable[str]) -> tuple[str, ...]:
    """The failing tests of these names: node ids, of a test function for all its parameters, of a
    class or of a file; all failing tests where none is named. Raises UsageError for a name that no
    test has."""
    names = list(names)
    if not names:
        return survey.failing
    chosen: set[str] = set()
    for name in names:
        known = [
            t
            for t in (*survey.failing, *survey.passing)
            if t == name or t.startswith((f"{name}[", f"{name}::"))
        ]
        if not known:
            near = difflib.get_close_matches(name, [*survey.failing, *survey.passing], n=3)
            raise UsageError(
                f"No test {name} fails or passes here twice in a row. (A test that is skipped, "
                "flaky or slow is not looked at, nor one in a file that cannot be collected.)"
                + (f" Did you mean {' or '.join(near)}?" if near else "")
            )
        chosen.update(known)
    return tuple(t for t in survey.failing if t in chosen)


def failing_tasks(
    judge: Judge, survey: Survey, chosen: tuple[str, ...], seed: int, on_progress: Progress
) -> Failing:
    """Tasks from these failing tests, each measured (`validate.py`). Tests that are about the same
    function first of all are one task: what fixes one of them and not the others has hardly found
    the mistake."""
    left_out: dict[str, str] = {}
    groups: dict[str, list[Task]] = {}
    ground = Ground(judge.repository, replace(survey, failing=chosen), seed)
    drafts = failing.drafts(ground)
    for draft, test in zip(drafts, dict.fromkeys(map(function_of, chosen))):
        try:
            task = draft.make()
            assert task is not None
            groups.setdefault(task.about[0], []).append(task)
        except Unfit as error:
            left_out[test] = str(error)
    named = {
        tasks[0].instance_id: tuple(t for task in tasks for t in task.FAIL_TO_PASS)[:MAX_TESTS]
        for tasks in groups.values()
    }
    drafts = [failing.draft(ground, name, tests) for name, tests in named.items()]
    records = [record for chunk in validate(judge, drafts, seed, on_progress) for record in chunk]
    left_out |= {
        test: record["reason"]
        for record in records
        if not record["task"]
        for test in map(function_of, named[record["instance_id"]])
    }
    order = {test: i for i, test in enumerate(chosen)}
    tasks = [Task.from_dict(record["task"]) for record in records if record["task"]]
    return Failing(tuple(sorted(tasks, key=lambda task: order[task.FAIL_TO_PASS[0]])), left_out)


def one_function(task: Task) -> list[Task]:
    """The task as one of each function that it is about, the likeliest first: an edit may then
    change that function alone."""
    parts = [name.partition("::") for name in task.about]
    return [
        replace(task, file=file, function=function, files=(), functions=())
        for file, _, function in parts
    ]


def verify(judge: Judge, survey: Survey, task: Task, files: dict[str, str]) -> Proof:
    """Run what the judge has not (step 4 above), on the files of the tree with the edit in them.
    Raises HarnessError."""
    names: list[str] = []
    touched: set[str] = set()
    for path, text in files.items():
        before = read_text(judge.repository.snapshot / path)
        if before == text:
            continue
        changed = _changed_functions(before, text)
        names += (
            [path] if changed is None else [f"{path}::{function.qualname}" for function in changed]
        )
        touched |= set(survey.passing) if changed is None else _callers(survey, path, changed)
    tests = tuple(test for test in survey.passing if test in touched and test not in task.tests)
    failed = _not_passing(judge, survey, files, tests)
    silent = _not_passing(judge, survey, {}, failed)
    return Proof(tuple(names), tests, tuple(test for test in failed if test not in silent), silent)


def _changed_functions(before: str, after: str) -> list[Function] | None:
    """The functions in `before` whose bodies differ; None where more than that does."""
    names = list(
        dict.fromkeys(f.qualname for f in functions(before) if "<locals>" not in f.qualname)
    )
    changed = bodies_changed(before, after, names)
    return None if changed is None else [function for function, _, _ in changed]


def _callers(survey: Survey, path: str, changed: list[Function]) -> set[str]:
    """The passing tests that call one of these functions or one inside it; all, where no test calls
    it: it may run at import."""
    tests: set[str] = set()
    called = {(file, line) for file, line, _ in survey.functions}
    for function in changed:
        inside = {
            test
            for (file, line), callers in survey.callers.items()
            if file == path and function.first <= line <= function.last
            for test in callers
        }
        tests |= inside if (path, function.first) in called else set(survey.passing)
    return tests


def _not_passing(
    judge: Judge, survey: Survey, files: dict[str, str], tests: tuple[str, ...]
) -> tuple[str, ...]:
    """Those of the tests that do not pass with these files in the tree."""
    if not tests:
        return ()
    reply = judge.run(
        {
            "files": files,
            "ids": list(tests),
            "timeout": judge.limits.timeout + 10 * sum(survey.seconds[t] for t in tests),
        }
    )
    outcomes = read_reply(reply, tests)[2]
    return tuple(test for test in tests if outcomes.get(test) != "passed")


def with_files(repository: Repository, files: dict[str, str]) -> Repository:
    """The repository with these files in its snapshot: what the next failing test is looked at
    on."""
    with tempfile.TemporaryDirectory(prefix="coldstart-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(repository.snapshot, tree, symlinks=True)
        for path, text in files.items():
            (tree / path).write_bytes(to_bytes(text))
        return replace(repository, tree=take_snapshot(tree, files_of(tree)))
