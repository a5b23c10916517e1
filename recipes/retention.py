"""What is done at the two ends of a stage of climb: what the student can do is measured
(`forgetting.py`), and what earlier stages taught it is kept (`retention.method`).

    begin(session, others, stage)
    ...                                     # its cycles
    end(session, others, stage, compare=False)

Everything is written to run.json (`stages`) as soon as it is known, and is not done again: a stage
whose end was cut off goes on with what is left of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recipes import forgetting, phases
from recipes.curriculum import END, RECORD, START, Stage
from recipes.events import Event
from recipes.others.opened import Others
from recipes.reporting.stages import stage_lines
from recipes.runfolder.selfdistillation import KEY
from recipes.selfdistil import SelfDistilOptions, Steps, by_distillation, selfdistil
from recipes.session import Session

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.rollouts.rollout import Pairs
    from recipes.runfolder.run import Run


@dataclass(frozen=True)
class StageEnded(Event):
    """A stage has ended."""

    stage: str
    record: dict

    def __str__(self) -> str:
        return "\n".join(stage_lines(self.stage, self.record))


def record_of(run: Run, stage: Stage) -> dict:
    """What the run has written of a stage."""
    records: dict = run.content.setdefault(RECORD, {})
    found: dict = records.setdefault(stage.name, {"first": stage.first, "last": stage.last})
    return found


def begin(session: Session, others: Others, stage: Stage) -> None:
    """Before its first cycle. Raises HarnessError."""
    run, record = session.run, record_of(session.run, stage)
    if "before" in record:
        return
    last = run.checkpoint("last").name
    run.name_checkpoints(**{START: last, "best": last})
    with run.timed(phases.FORGETTING):
        stages = (*stage.earlier, stage)
        record["before"] = forgetting.measure(session, others, stages, START)
    run.write()


def end(session: Session, others: Others, stage: Stage, compare: bool) -> None:
    """After its last cycle; where `compare`, every way to keep what was taught before is tried,
    from the same checkpoint. Raises HarnessError, UsageError."""
    run, recipe, record = session.run, session.recipe, record_of(session.run, stage)
    if "after" in record:
        return
    stages = (*stage.earlier, stage)
    if "climbed" not in record:
        names = run.content["checkpoints"]
        run.name_checkpoints(**{END: names["last"], stage.best: names["best"]})
        with run.timed(phases.FORGETTING):
            record["climbed"] = forgetting.measure(session, others, stages, START)
        run.write()
    method = recipe.retention.method
    if compare and stage.earlier:
        for other in phases.STEPPED:
            if other != method:
                _try(session, others, stage, other)
    if stage.earlier and method in phases.STEPPED:
        _try(session, others, stage, method)
        record["after"] = {k: v for k, v in record["tried"][method].items() if k != "seconds"}
        last = run.checkpoint("last").name
        record["retained"] = last
        run.name_checkpoints(**{"best": last, stage.best: last})
    else:
        if "tried" in record:  # the run goes on with what the stage left
            run.content.pop(KEY, None)
            run.name_checkpoints(last=run.checkpoint(END).name)
            session.student.restore(run.checkpoint("last"))
        record["after"] = record["climbed"]
    run.write()
    session.emit(StageEnded(stage.name, record))


def _try(session: Session, others: Others, stage: Stage, method: str) -> None:
    """What one way comes to, from the stage's last checkpoint."""
    run, record = session.run, record_of(session.run, stage)
    tried = record.setdefault("tried", {})
    if method in tried:
        return
    earlier = stage.earlier[-1]
    options = SelfDistilOptions(earlier.best, END, 1 if method == "average" else None)
    started = time.monotonic()
    with session.at_stage(earlier):
        pairs = _prompts(session, others, stage.earlier)
        selfdistil(session, options, pairs, method, WAYS[method](stage))
    seconds = time.monotonic() - started
    session.student.restore(run.checkpoint("last"))
    with run.timed(phases.FORGETTING):
        stages = (*stage.earlier, stage)
        tried[method] = forgetting.measure(session, others, stages, START) | {"seconds": seconds}
    run.write()


def _prompts(session: Session, others: Others, stages: tuple[Stage, ...]) -> Pairs:
    """Training prompts of these stages."""
    tasks = {
        t.instance_id: t
        for stage in stages
        for t in forgetting.own_tasks(session, others, stage, "train")
    }
    return [(task, session.prompts[name]) for name, task in tasks.items()]


# ---- the ways ------------------------------------------------------------------------------------


def _replayed(stage: Stage) -> Steps:
    """Fine-tuning on what the student itself solved in earlier stages."""

    def take(session: Session, pairs: Pairs, steps: int, done: int) -> Iterator[Any]:
        from recipes.learning.distil import distil
        from recipes.learning.student import Sample
        from recipes.settings import DistilSettings

        prompts = {task.instance_id: tuple(prompt) for task, prompt in pairs}
        last = stage.earlier[-1].last
        solved = {
            (r["instance_id"], r["text"]): None
            for r in session.run.read("rollouts.jsonl")
            if r["phase"] == phases.CLIMB.name and r["cycle"] <= last and r["reward"] > 0
            if r["instance_id"] in prompts and "episode" not in r
        }
        samples = [
            Sample(prompts[name], tuple(session.student.completion_ids(text)))
            for name, text in solved
        ]
        own = session.recipe.selfdistil
        settings = DistilSettings(
            steps=steps, batch=own.batch, lr=own.lr, warmup=own.warmup, clip=own.clip, final_lr=1.0
        )
        if not samples:
            return iter(())
        return distil(session.student, samples, settings, session.recipe.seed, done)

    return take


def _averaged(stage: Stage) -> Steps:
    def take(session: Session, pairs: Pairs, steps: int, done: int) -> Iterator[Any]:
        from recipes.learning.averaging import average

        folder = session.run.checkpoint(stage.earlier[-1].best)
        return average(session.student, folder, session.recipe.retention.share)

    return take


WAYS: dict[str, Callable[[Stage], Steps]] = {
    "selfdistil": lambda stage: by_distillation,
    "replay": _replayed,
    "average": _averaged,
}
"""{of phases.STEPPED: what gives its steps for a stage}"""
