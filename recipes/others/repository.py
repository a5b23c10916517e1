"""Another repository than the run's: half of its tasks are never trained on, and say what learning
one repository does to the others.

    other = OtherRepository(run, "practice", limits, emit)
    other.tasks, other.tree, other.judge_replies(pairs, "blocks")
    other.close()

It is mined when it is first needed, into RUN/other. Its tasks' names begin with NAMED, so that they
clash with none of the run's.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from recipes.events import Emit, Note, notes_to, progress_to
from recipes.runfolder.run import Run
from sandbox.errors import HarnessError, UsageError
from sandbox.judge.verdict import Judge, Limits, Verdict
from sandbox.practice import PACKAGE, write_practice_repository
from sandbox.repo import Repository, open_repository, restore_snapshot
from sandbox.survey import Survey
from sandbox.tasks.mine import MiningOptions, mine
from sandbox.tasks.task import Task, given_tests, read_tasks

NAMED = "other-"
PRACTICE = "practice"
HELD_OUT = 0.5
KIND = "blank"
"""Mined of it, where the run mines such tasks, too; else the run's own kinds."""


class OtherRepository:
    """Its tasks, and who judges them."""

    def __init__(self, run: Run, source: str, limits: Limits, emit: Emit) -> None:
        """`source`: PRACTICE, or the path of a git repository."""
        self._run, self._source, self._limits, self._emit = run, source, limits, emit
        self._folder = run.folder / "other"
        self._judge: Judge | None = None

    @cached_property
    def why_not(self) -> str:
        """Why the run can have no such repository; "" where it can."""
        if not self._source:
            return "the recipe names none"
        own = self._run.repository
        if self._source == PRACTICE and (own.snapshot / PACKAGE).is_dir():
            return "the run's own repository is the practice repository"
        return ""

    @cached_property
    def repository(self) -> Repository:
        """Raises UsageError where it cannot be worked on."""
        file = self._folder / "repository.json"
        if file.exists():
            repository = Repository.from_dict(json.loads(file.read_text()))
            restore_snapshot(repository)
            return repository
        self._folder.mkdir(exist_ok=True)
        root = Path(self._source)
        if self._source == PRACTICE:
            root = self._folder / PRACTICE
            shutil.rmtree(root, ignore_errors=True)  # of a call that was cut off
            write_practice_repository(root, "easy")
        # The practice repository needs pytest alone, which the run's interpreter has.
        python = self._run.repository.python if self._source == PRACTICE else None
        repository = open_repository(root, python)
        file.write_text(json.dumps(repository.to_dict(), indent=1))
        return repository

    @cached_property
    def tasks(self) -> list[Task]:
        """As they are named in the run; [] where there is no such repository."""
        if self.why_not:
            self._emit(Note(f"No other repository is measured: {self.why_not}."))
            return []
        file = self._folder / "tasks.jsonl"
        if not file.exists():
            self._mine(file)
        named = [replace(t, instance_id=NAMED + t.instance_id) for t in read_tasks(file)]
        heldout = [t for t in named if t.split == "heldout"][: self._run.recipe.forgetting.tasks]
        return [t for t in named if t.split == "train"] + heldout

    def _mine(self, file: Path) -> None:
        from recipes.teachers.secrets import SecretFilter, texts_of
        from sandbox import jsonl

        recipe = self._run.recipe
        options = MiningOptions(
            heldout=HELD_OUT,
            limit=round(recipe.forgetting.tasks / HELD_OUT),
            seed=recipe.seed,
            kinds=(KIND,) if KIND in recipe.tasks.kinds else recipe.tasks.kinds,
        )
        self._emit(Note(f"Tasks of another repository are mined, to measure on: {self._source}."))
        mined = mine(self.repository, self._limits, self._folder, options, progress_to(self._emit))
        secrets = SecretFilter(self.repository)
        tasks = [t for t in mined.tasks if not secrets.reason(texts_of(t.to_dict()))]
        if not tasks:
            raise UsageError(
                f"{self._source} (forgetting.other) gives no valid task. Name another repository, "
                "or none: --set forgetting.other="
            )
        jsonl.rewrite(file, [task.to_dict() for task in tasks])
        (self._folder / "mining.jsonl").unlink()  # it holds what was left out, too

    def judge_replies(
        self, pairs: Iterable[tuple[Task, str]], style: str
    ) -> list[Verdict | HarnessError]:
        """As `Session.judge_replies`."""
        from sandbox.episode import judge_replies

        if self._judge is None:
            survey = Survey.from_dict(json.loads((self._folder / "survey.json").read_text()))
            self._judge = Judge(
                self.repository,
                self._limits,
                survey.suite(given_tests(self.tasks)),
                memory=self._folder / "verdicts.jsonl",
                on_note=notes_to(self._emit),
            )
        return judge_replies(self._judge, pairs, style)

    @property
    def tree(self) -> Path:
        """Its files."""
        return self.repository.snapshot

    def close(self) -> None:
        """End its jails."""
        if self._judge is not None:
            self._judge.close()
            self._judge = None
