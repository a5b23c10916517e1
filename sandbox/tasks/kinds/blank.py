"""`blank`: the body of one tested function is taken out; signature and docstring stay. The gold
edit is the body."""

from pathlib import Path

from sandbox import patches
from sandbox.source import blanked, read_text
from sandbox.tasks.candidates import Candidate
from sandbox.tasks.ground import Ground, instance_id
from sandbox.tasks.kinds import Draft, Kind
from sandbox.tasks.task import Task


def drafts(ground: Ground) -> list[Draft]:
    """One of each candidate."""
    return [_draft(ground, candidate) for candidate in ground.candidates]


def _draft(ground: Ground, candidate: Candidate) -> Draft:
    file, function = candidate.file, candidate.function
    name = instance_id("blank", file, function.qualname)

    def make() -> Task:
        intact = read_text(ground.repository.snapshot / file)
        patch = patches.make(blanked(intact, function), intact, file)
        return ground.task("blank", name, file, function.qualname, patch, candidate.tests)

    return Draft(name, make)


def statement(task: Task, tree: Path, failures: dict[str, str], message: str) -> str:
    return (
        f"The body of `{task.function}` in `{task.file}` is missing. Write it so that its tests "
        "pass."
    )


def is_filled_in(task: Task) -> str:
    return f"The body of `{task.function}` is filled in."


KIND = Kind("function", drafts, statement, is_filled_in, tells_failures=False, shows_body=False)
