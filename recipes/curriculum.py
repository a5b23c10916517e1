"""The stages of climb: which cycles, tasks and settings each has. A recipe without a `[[stage]]`
has one, of all tasks.

    stages = plan(run.recipe, run.tasks)
    stage = at(stages, cycle=21)
    stage.recipe_of(recipe), stage.own(tasks), stage.first, stage.last

Cycles are counted through all stages, so the number of a cycle says which one it is in; what a
stage does is a function of the recipe, the tasks and that number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recipes.settings import Recipe, StageSettings

if TYPE_CHECKING:
    from recipes.runfolder.run import Run
    from sandbox.tasks.task import Task

RECORD = "stages"
"""In run.json: {stage: {"first", "last", "before", "climbed", "after", "retained", "tried"}}
(`retention.py`)."""
START, END = "stage-start", "stage-end"
"""Names of checkpoints: where the present stage began, and what its last cycle left."""
ONLY = "climb"
"""The name of the stage of a recipe that has none."""


@dataclass(frozen=True)
class Stage:
    """One of them."""

    settings: StageSettings
    first: int
    """The number of its first cycle, from 1."""
    earlier: tuple[Stage, ...] = ()
    """Those before it, in order."""

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def last(self) -> int:
        """The number of its last cycle."""
        return self.first + self.settings.cycles - 1

    @property
    def best(self) -> str:
        """The name of its best checkpoint."""
        return f"best-{self.name}"

    def recipe_of(self, recipe: Recipe) -> Recipe:
        """The recipe, with what the stage sets in its place."""
        student, climb, own = recipe.student, recipe.climb, self.settings
        return replace(
            recipe,
            student=replace(student, turns=own.turns or student.turns),
            climb=replace(
                climb,
                temperature=own.temperature or climb.temperature,
                lr=own.lr or climb.lr,
                kl=recipe.retention.kl if self.is_held_by_kl(recipe) else climb.kl,
            ),
        )

    def is_held_by_kl(self, recipe: Recipe) -> bool:
        """Whether its loss has a KL term to the best adapter of the stage before it."""
        return bool(self.earlier) and recipe.retention.method == "kl"

    def own(self, tasks: Iterable[Task]) -> list[Task]:
        """Those of its kinds."""
        return [t for t in tasks if not self.settings.kinds or t.kind in self.settings.kinds]


def plan(recipe: Recipe, tasks: Sequence[Task]) -> tuple[Stage, ...]:
    """The stages that have a task for training, in order."""
    only = StageSettings(name=ONLY, cycles=recipe.climb.cycles)
    stages: tuple[Stage, ...] = ()
    for settings in recipe.stage or (only,):
        stage = Stage(settings, stages[-1].last + 1 if stages else 1, stages)
        has_own = any(task.split == "train" for task in stage.own(tasks))
        if has_own or settings.others or not recipe.stage:
            stages += (stage,)
    return stages


def at(stages: Sequence[Stage], cycle: int) -> Stage:
    """The stage of a cycle; the last one goes on as long as it is asked to."""
    return next((stage for stage in stages if cycle <= stage.last), stages[-1])


def cycles_of(run: Run) -> int:
    """Cycles that the run's recipe plans."""
    from recipes import phases

    if not run.recipe.stage or not run.is_done(phases.MINE.name):
        return run.recipe.climb.cycles
    return sum(stage.settings.cycles for stage in plan(run.recipe, run.tasks))


def drop_stages(run: Run, cycle: int) -> None:
    """Forget what was measured of stages that are climbed anew from this cycle on."""
    for name, record in list(run.content.get(RECORD, {}).items()):
        if record["first"] - 1 > cycle:
            del run.content[RECORD][name]
        elif record["last"] > cycle:
            for key in ("climbed", "after", "retained", "tried"):
                record.pop(key, None)
