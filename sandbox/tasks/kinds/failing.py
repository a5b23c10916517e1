"""`failing`: tests that fail today, in the user's own work tree, just as they are. There is no gold
edit: nobody knows the answer, and whether there is one (a test may fail because of something that
the jail does not have)."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from sandbox.node_ids import function_of
from sandbox.tasks.candidates import MAX_TESTS
from sandbox.tasks.ground import Ground, instance_id
from sandbox.tasks.kinds import Draft, Kind, Unfit
from sandbox.tasks.statements import functions_in_words, in_parts, secrets
from sandbox.tasks.task import Task

MAX_ABOUT = 3
"""Functions that a task is said to be about."""


def drafts(ground: Ground) -> list[Draft]:
    """One of each test function that fails, with all its parameters."""
    tests: dict[str, list[str]] = {}
    for test in ground.survey.failing:
        tests.setdefault(function_of(test), []).append(test)
    result = []
    for test, ids in tests.items():
        file, _, function = test.partition("::")
        name = instance_id("failing", file, function.replace("::", "."))
        result.append(draft(ground, name, tuple(ids[:MAX_TESTS])))
    return result


def draft(ground: Ground, name: str, tests: tuple[str, ...]) -> Draft:
    """One about these failing tests."""
    return Draft(name, partial(_task, ground, name, tests))


def _task(ground: Ground, name: str, tests: tuple[str, ...]) -> Task:
    """What its tests call decides which files may be edited, and what it is about: the functions
    that the fewest passing tests call."""
    survey = ground.survey
    called = {
        survey.functions[i]
        for test in tests
        for i in survey.calls[test]
        if ground.is_source(survey.functions[i][0])
    }
    known: dict[tuple[str, int], str] = {}
    unread = []
    for file in sorted({file for file, _, _ in called}):
        try:
            known |= {
                (file, f.first): f.qualname
                for f in ground.functions(file)
                if "<locals>" not in f.qualname
            }
        except Unfit as error:
            unread.append(str(error))
    likely = sorted(
        {(file, line) for file, line, _ in called if (file, line) in known},
        key=lambda place: (len(survey.callers.get(place, ())), place),
    )
    if not likely and unread:
        raise Unfit(f"failing test of what cannot be edited: {unread[0]}")
    if not likely:
        raise Unfit("failing test that calls no function of the project")
    about = likely[:MAX_ABOUT]
    passing = {test for place in about for test in survey.callers.get(place, ())}
    kept = ground.specific_tests(passing, MAX_TESTS - len(tests))
    task = ground.task("failing", name, about[0][0], known[about[0]], "", tests + kept)
    files = tuple(dict.fromkeys(file for file, _ in likely))
    return replace(
        task,
        FAIL_TO_PASS=tests,
        PASS_TO_PASS=kept,
        files=files,
        sources=ground.sources(files),
        functions=tuple(f"{file}::{known[file, line]}" for file, line in about),
    )


def statement(task: Task, tree: Path, failures: dict[str, str], message: str) -> str:
    opening = (
        "Tests fail in this repository. Mend the code, not the tests. What they call is, among "
        f"other things, {functions_in_words(task)}."
    )
    return in_parts([opening], task, failures, secrets(task, tree))


KIND = Kind("failing test", drafts, statement)
