"""Self-distillation on the prompts of the training tasks (`learning/selfdistil.py`): the student
learns from an earlier checkpoint of its own, at will, between two climbs.

    result = selfdistil(session, SelfDistilOptions("distilled", "last", steps=None))

Its checkpoints become the run's last one, and carry the counters of climb on, so that the next
climb goes on from there as if the cycles before it had led there. The optimiser begins anew, for
the moments of another loss say nothing about the size of this one's gradient, and climb goes on
with what it then is, as it does after fine-tuning.

What was begun goes on with the same command, until it has taken its steps; after that the same
command does nothing, until something else has been learned. --steps N may ask for more.

What else draws a student back between two stages of climb takes its steps in the same way
(`retention.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from recipes import phases
from recipes.climb import forget_after
from recipes.events import Note, Progress
from recipes.reporting.times import duration
from recipes.runfolder.selfdistillation import FILE, TEACHER, SelfDistillation
from recipes.session import Session
from sandbox.errors import HarnessError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.rollouts.rollout import Pairs
    from recipes.runfolder.run import Run

Steps = Callable[[Session, "Pairs", int, int], Iterator[Any]]
"""(session, prompts, steps in all, steps done) -> the steps that are left, one taken at each
`next`: what has `step`, `steps`, and numbers for its line of FILE. The student has its teacher
frozen beside it."""


@dataclass(frozen=True)
class SelfDistilOptions:
    """What a person asks for; None is the recipe's."""

    teacher_checkpoint: str
    """Whom it learns from."""
    checkpoint: str
    """Who learns."""
    steps: int | None
    """In all."""


def by_distillation(session: Session, pairs: Pairs, steps: int, done: int) -> Iterator[Any]:
    """The steps of self-distillation itself."""
    from recipes.learning import selfdistil as distillation

    settings = replace(session.recipe.selfdistil, steps=steps)
    recipe = replace(session.recipe, selfdistil=settings)
    return distillation.selfdistil(session.engine, pairs, recipe, session.conversations, done)


def selfdistil(
    session: Session,
    options: SelfDistilOptions,
    pairs: Pairs | None = None,
    method: str = phases.SELFDISTIL.name,
    take: Steps = by_distillation,
) -> SelfDistillation:
    """Take the steps that are left. `pairs`: the prompts (None: those of the training tasks);
    `method`: what files call what `take` does. Raises UsageError for checkpoints that are not there
    or the same, HarnessError where no task is left."""
    run = session.run
    begun = _begun(run, options, options.steps or session.recipe.selfdistil.steps, method)
    if begun.ended:
        return begun
    done = begun.steps_done(run)
    counters = session.student.restore(run.checkpoint("last"))
    cycle = counters.get("climb", {}).get("cycle", 0)
    forget_after(session, cycle, counters.get("metrics"))
    if not done:
        session.student.optimiser.forget()
    session.student.freeze_reference(run.checkpoint(TEACHER))
    if pairs is None:
        pairs = [(t, session.prompts[t.instance_id]) for t in session.by_split("train")]
    if not pairs:
        raise HarnessError(
            "Every task for training has been set aside, because the jail failed on it."
        )
    session.emit(Note(f"Self-distillation: {begun}, on the prompts of {len(pairs)} tasks."))
    session.check_policy()
    with run.timed(phases.SELFDISTIL.name):
        if begun.before is None:
            begun.before = _measured(session, pairs)
            begun.write(run)
        _learn(session, take(session, pairs, begun.steps, done), begun, counters)
        begun.after = _measured(session, pairs)
        begun.write(run)
    return begun


def _begun(run: Run, options: SelfDistilOptions, steps: int, method: str) -> SelfDistillation:
    """The one that goes on, or a new one."""
    begun = SelfDistillation.of(run)
    asked = (options.teacher_checkpoint, options.checkpoint)
    if begun is None or (begun.teacher_checkpoint, begun.checkpoint, begun.method) != (
        *asked,
        method,
    ):
        return SelfDistillation.begin(run, *asked, steps, method)
    steps = max(steps, begun.steps_done(run))
    if steps != begun.steps:
        begun.steps, begun.after = steps, None
        begun.write(run)
    return begun


def _learn(session: Session, steps: Iterator[Any], begun: SelfDistillation, counters: dict) -> None:
    """Steps, their lines of FILE, and checkpoints with these counters."""
    run, settings = session.run, session.recipe.selfdistil
    done = begun.steps_done(run)
    lines = run.read(FILE)
    if len(lines) > begun.first + done:  # steps that no checkpoint holds
        run.keep_only(FILE, lines[: begun.first + done])
    started = time.monotonic()
    with session.stopping() as shutdown:
        for now in steps:
            session.emit(Progress("self-distilling", now.step, now.steps))
            run.append(FILE, [_line(now, begun)])
            ended = now.step == now.steps
            if ended or now.step % settings.save_every == 0 or shutdown.requested:
                name = phases.stepped_checkpoint(begun.method, begun.first + now.step)
                session.student.save(run.folder / "checkpoints" / name, counters)
                run.name_checkpoints(last=name)
            if now.step == done + 1 and not ended:
                one = time.monotonic() - started
                session.emit(Note(_ahead(one, now.steps - now.step)))
            shutdown.check()


def _line(now: Any, begun: SelfDistillation) -> dict:
    numbers = {
        name: value if math.isfinite(value) else None
        for name, value in asdict(now).items()
        if name != "steps"
    }
    return {"method": begun.method, "from": begun.origin, "teacher": begun.teacher, **numbers}


def _ahead(seconds: float, steps: int) -> str:
    return (
        f"About {duration(seconds)} a step on this machine, and {duration(seconds * steps)} for "
        "the "
        f"{steps} that are left."
    )


def _measured(session: Session, pairs: Pairs) -> float:
    from recipes.learning.selfdistil import mean_divergence

    return mean_divergence(session.engine, pairs, session.recipe, session.conversations)


def facts(run: Run, begun: SelfDistillation) -> dict:
    """What a machine reads of it."""
    return {
        "run": str(run.folder),
        "teacher": begun.teacher,
        "from": begun.origin,
        "checkpoint": run.checkpoint("last").name,
        "steps": begun.steps,
        "kl": {"before": begun.before, "after": begun.after},
        "seconds": run.content["seconds"],
    }
