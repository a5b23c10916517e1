"""The tasks of a staged run that are not of its repository, made known to its session.

with opened(session) as others:
    others.of(stage, "train")       # what the stage learns of them
    others.never_trained            # the held-out tasks of the other repository
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from recipes.curriculum import Stage
from recipes.others import instructions as plain
from recipes.others.repository import PRACTICE, OtherRepository
from recipes.runfolder.run import Run
from recipes.session import Session, limits_of

INSTRUCTIONS = 54
"""Six of each maker."""


@dataclass(frozen=True)
class Others:
    """By the names that a stage's `others` has; without those that were set aside."""

    by_name: dict[str, Sequence[Any]]
    run: Run

    def of(self, stage: Stage, split: str) -> list[Any]:
        """Those of the stage."""
        return [t for name in stage.settings.others for t in self._of(name, split)]

    @property
    def never_trained(self) -> list[Any]:
        """Held-out tasks of the other repository; [] where there is none."""
        return self._of(PRACTICE, "heldout")

    def _of(self, name: str, split: str) -> list[Any]:
        aside = self.run.set_aside
        tasks = self.by_name.get(name, ())
        return [t for t in tasks if t.split == split and t.instance_id not in aside]


@contextmanager
def opened(session: Session) -> Iterator[Others]:
    """All of a recipe with stages; none of one without. Raises UsageError for another repository
    that gives none."""
    recipe = session.recipe
    if not recipe.stage:
        yield Others({}, session.run)
        return
    made = plain.instructions(INSTRUCTIONS, recipe.seed)
    session.add(made, {i.instance_id: i.messages for i in made}, plain.judge_replies)
    limits = limits_of(recipe)
    other = OtherRepository(session.run, recipe.forgetting.other, limits, session.emit)
    try:
        chats = session.other_chats(other.tasks, other.tree) if other.tasks else {}
        tasks = [t for t in other.tasks if t.instance_id in chats]  # the rest have no prompt
        if tasks:
            session.add(tasks, chats, other.judge_replies)
        yield Others({PRACTICE: tasks, plain.KIND + "s": made}, session.run)
    finally:
        other.close()
