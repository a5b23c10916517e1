"""The repositories that a run learns from, and where what is known of each lies in the run folder.

    for place in run.places: place.repository, place.folder, place.survey
    run.tree_of(task)                # the snapshot of the repository that a task is of

Most runs have one, whose files lie in the run folder itself. Of several each has a folder,
RUN/repos/NAME, and its tasks are called NAME__TASK in the run; `Task.repo` is NAME.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.errors import UsageError
from sandbox.reasons import listed

if TYPE_CHECKING:  # what `--help` need not load
    from sandbox.repo import Repository
    from sandbox.survey import Survey
    from sandbox.tasks.task import Task

FOLDER = "repos"
MORE = "repositories"
"""In run.json: those beside `repository`, where a run has several."""


@dataclass(frozen=True)
class Place:
    """One of a run's repositories."""

    name: str
    repository: Repository
    folder: Path
    """Where its survey.json, mining.jsonl, functions.json and verdicts.jsonl lie."""
    alone: bool
    """Whether the run has no other."""

    @cached_property
    def survey(self) -> Survey:
        """What mining learned of its suite. Raises UsageError where the file is damaged or
        absent."""
        from sandbox.survey import Survey

        file = self.folder / "survey.json"
        try:
            return Survey.from_dict(json.loads(file.read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(f"{file} is missing or damaged. Mine again with a new run.") from None

    def named(self, task: Task) -> Task:
        """A task as the run calls it."""
        if self.alone:
            return task
        return replace(task, instance_id=self.called(task.instance_id), repo=self.name)

    def called(self, name: str) -> str:
        """A name of a task, or of what was left out, as the run calls it."""
        return name if self.alone else f"{self.name}__{name}"


def places(folder: Path, repositories: Sequence[Repository]) -> list[Place]:
    """Those of a run in `folder`, in the order in which they were named; the names are
    different."""
    if len(repositories) == 1:
        return [Place(Path(repositories[0].root).name, repositories[0], folder, alone=True)]
    found: dict[str, Place] = {}
    for repository in repositories:
        stem = Path(repository.root).name
        names = [stem, *(f"{stem}-{number}" for number in range(2, len(repositories) + 1))]
        name = next(name for name in names if name not in found)
        found[name] = Place(name, repository, folder / FOLDER / name, alone=False)
    return list(found.values())


def named(places: Sequence[Place]) -> str:
    """The names of a run's repositories, for a person: `A`, `A and B`, `A, B and C`."""
    return listed(place.name for place in places)


def origins(places: Sequence[Place]) -> str:
    """What a run learned from, for a person, in Markdown."""
    parts = []
    for place in places:
        dirty = " with changes that were not committed" if place.repository.dirty else ""
        parts.append(f"`{place.name}` at commit {place.repository.commit}{dirty}")
    return listed(parts)
