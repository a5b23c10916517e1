"""`mutate`: one small change to a function's body that a person could have made
(`sandbox/tasks/mutate.py`). The gold edit is the original. Of one function there are MUTANTS at
most; those that one answer mends are one."""

import ast
from pathlib import Path

from sandbox import patches
from sandbox.source import find, read_text
from sandbox.tasks.candidates import Candidate
from sandbox.tasks.ground import Ground, instance_id
from sandbox.tasks.kinds import Draft, Kind, Unfit
from sandbox.tasks.statements import functions_in_words, in_parts, secrets
from sandbox.tasks.task import Task

MUTANTS = 3
"""Of one function, at most."""


def drafts(ground: Ground) -> list[Draft]:
    """MUTANTS of each candidate; it need not have so many."""
    return [
        _draft(ground, candidate, number)
        for candidate in ground.candidates
        for number in range(1, MUTANTS + 1)
    ]


def _draft(ground: Ground, candidate: Candidate, number: int) -> Draft:
    """The function's mutant of this number, from 1."""
    file, function = candidate.file, candidate.function.qualname
    name = instance_id("mutate", file, f"{function}.{number}")

    def make() -> Task | None:
        from sandbox.tasks.mutate import mutants  # libcst takes a while to load

        intact = read_text(ground.repository.snapshot / file)
        made = mutants(intact, candidate.function, f"{ground.seed}/{file}::{function}", MUTANTS)
        if number == 1 and not made:
            raise Unfit("function with nothing to mutate")
        if number > len(made):
            return None
        patch = patches.make(made[number - 1].text, intact, file)
        return ground.task("mutate", name, file, function, patch, candidate.tests)

    return Draft(name, make)


def statement(task: Task, tree: Path, failures: dict[str, str], message: str) -> str:
    parts = [
        f"{functions_in_words(task)} does not do what it should, and tests of it fail. Find the "
        "mistake and mend it."
    ]
    if first := _docstring(task, tree):
        parts.append(f"What it should do: {first}")
    return in_parts(parts, task, failures, secrets(task, tree))


def _docstring(task: Task, tree: Path) -> str:
    """The first line of the function's docstring; "" where it has none."""
    function = find(read_text(tree / task.file), task.function)
    assert function is not None  # the task was made of it
    text = ast.get_docstring(function.node) or ""
    return text.strip().partition("\n")[0].strip()


KIND = Kind("function", drafts, statement)
