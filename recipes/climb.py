"""REINFORCE on the repository's own tests, cycle after cycle (`reinforce.py`): no teacher any more.

done = climb(session, cycles=50, minutes=None)
probe(session, phases.probe_after(done))
facts(run, done)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from recipes import phases
from recipes.events import Event, Note
from recipes.reporting import tables, times
from recipes.reporting.alarm import alarm
from recipes.session import RolloutBar, Session
from sandbox.errors import HarnessError, UsageError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.learning.measure import TaskProbe
    from recipes.learning.reinforce import ClimbState, CycleResult
    from recipes.rollouts.rollout import Rollout
    from recipes.runfolder.run import Run


@dataclass(frozen=True)
class CycleDone(Event):
    """A cycle has ended."""

    result: CycleResult
    metrics: dict
    """Its line of metrics.jsonl."""
    best: bool
    """Whether its checkpoint is the best so far."""

    def __str__(self) -> str:
        from recipes.learning.reinforce import in_words

        return in_words(self.result) + tables.heldout_words(self.metrics, self.best)


@dataclass(frozen=True)
class TimeAhead(Event):
    """How long climbing will take."""

    seconds: float
    """Of a cycle."""
    cycles: int
    """That are left."""
    source: str
    """What that was measured by."""

    def __str__(self) -> str:
        return (
            f"About {times.duration(self.seconds)} a cycle on this machine, and "
            f"{times.duration(self.seconds * self.cycles)} for the {self.cycles} that are left "
            f"(by {self.source})."
        )


def check_bootstrapped(run: Run) -> None:
    """Raises UsageError where there is nothing yet to climb from."""
    if phases.left(run.content["done"]):
        raise UsageError(
            f"{run.folder} has not been bootstrapped. First: python coldstart.py bootstrap --run "
            f"{run.folder}"
        )


def climb(session: Session, cycles: int, minutes: float | None) -> int:
    """REINFORCE until the run has `cycles` cycles, or `minutes` are over; returns how many it
    has."""
    from recipes.learning.reinforce import ClimbState

    run, recipe = session.run, session.recipe
    counters = session.student.restore(run.checkpoint("last"))
    if "climb" in counters:
        state = ClimbState.from_dict(counters["climb"])
    else:
        train = {t.instance_id for t in session.by_split("train")}
        probes = tables.read_probes(run, phases.bootstrapped())
        state = ClimbState.after_probe([p for p in probes if p.instance_id in train])
    forget_after(session, state.cycle, counters.get("metrics"))
    if recipe.climb.kl:
        session.student.freeze_reference(run.checkpoint("distilled"))
    started = time.monotonic()
    session.check_policy()
    _say_time_ahead(session, counters, cycles - state.cycle)
    if state.best_pass_at_1 is None and (summaries := _heldout(session)):
        state.is_best(summaries["heldout"]["pass_at_1"])
    first = state.cycle + 1
    with session.stopping() as shutdown:
        while state.cycle < cycles and (
            minutes is None or time.monotonic() - started < 60 * minutes
        ):
            with run.timed(phases.CLIMB.name):
                began = time.monotonic()
                result = _cycle(session, state, cycles)
                seconds = time.monotonic() - began + times.heldout_seconds(run)
                line, best = dict(result.metrics), False
                if result.cycle % recipe.climb.eval_every == 0 or result.cycle == cycles:
                    summaries = _heldout(session)
                    line |= tables.heldout_metrics(summaries)
                    best = not summaries or state.is_best(summaries["heldout"]["pass_at_1"])
                _write_down(session, state, CycleDone(result, line, best))
            if first == state.cycle < cycles:
                session.emit(TimeAhead(seconds, cycles - state.cycle, f"cycle {first}"))
            shutdown.check()
    return state.cycle


def _say_time_ahead(session: Session, counters: dict, left: int) -> None:
    """How long `left` cycles will take: by those that the run has, else by its bootstrap, whose
    checkpoint left `counters`."""
    run, source = session.run, "the cycles so far"
    seconds = times.cycle_seconds(run)
    if seconds is None:
        source = "how fast the probe sampled and fine-tuning learned"
        prompts = [len(session.prompts[t.instance_id]) for t in session.by_split("train")]
        shares = session.student.objective.longest_shared > 0
        update = times.Update(counters.get("step", 0), fmean(prompts or [0]), shares)
        seconds = times.expected_cycle_seconds(run, update)
    if seconds is not None and left > 0:
        session.emit(TimeAhead(seconds, left, source))


def _cycle(session: Session, state: ClimbState, cycles: int) -> CycleResult:
    """One cycle, on the tasks for training; `cycles`: how many there are to be in all."""
    from recipes.learning.reinforce import cycle

    recipe, train = session.recipe, session.by_split("train")
    if not train:
        raise HarnessError(
            "Every task for training has been set aside, because the jail failed on it."
        )
    size = recipe.climb.group_size * min(recipe.climb.groups, len(train))
    bar = RolloutBar(session.emit, "climbing", size * cycles, size * state.cycle)
    engine, judge = session.engine, session.judge_replies
    with session.conversations() as talk:
        result = cycle(engine, train, session.prompts, state, recipe, judge, bar.add, talk)
    session.set_aside([result.rollouts])
    return result


def _write_down(session: Session, state: ClimbState, done: CycleDone) -> None:
    """Rollouts, then the checkpoint, then the line of metrics.jsonl: a cycle counts when its
    checkpoint is there, and a run that was cut off behind it finds the line in it."""
    run, number = session.run, done.result.cycle
    name = phases.checkpoint_after(number)
    run.append(
        "rollouts.jsonl",
        [{"phase": phases.CLIMB.name, "cycle": number, **r.record()} for r in done.result.rollouts],
    )
    session.student.save(
        run.folder / "checkpoints" / name, {"climb": state.to_dict(), "metrics": done.metrics}
    )
    run.name_checkpoints(last=name, **({"best": name} if done.best else {}))
    before = alarm(run.read("metrics.jsonl"))
    run.append("metrics.jsonl", [done.metrics])
    session.emit(done)
    if (warning := alarm(run.read("metrics.jsonl"))) and not before:
        session.emit(Note(warning))


def forget_after(session: Session, cycle: int, line: dict | None) -> None:
    """Bring metrics.jsonl, rollouts.jsonl and the probes in step with the checkpoint that the run
    goes on from, which has so many cycles and this line of metrics.jsonl."""
    run, phase = session.run, phases.CLIMB.name
    session.drop("rollouts.jsonl", lambda r: r["phase"] == phase and r["cycle"] > cycle)
    metrics = run.read("metrics.jsonl")
    kept = [m for m in metrics if m["cycle"] < cycle] + ([] if line is None else [line])
    if line is not None or len(kept) < len(metrics):
        run.keep_only("metrics.jsonl", kept)
    # Of cycles that will be taken anew, as where the run goes on from an older checkpoint.
    late = [name for name in run.content["done"] if (phases.cycle_of(name) or 0) > cycle]
    if late:
        for file in ("probe.jsonl", "rollouts.jsonl"):
            session.drop(file, lambda r: r["phase"] in late)
        run.content["done"] = [name for name in run.content["done"] if name not in late]
        run.write()


def _heldout(session: Session) -> dict:
    """How good it is on the held-out tasks, always on the same seeds, which are not those of
    the probes: {group: summary} for `heldout` and its hard and soft ones; {} without such
    tasks."""
    from recipes.learning.measure import summarise

    pairs = [(t, session.prompts[t.instance_id]) for t in session.by_split("heldout")]
    if not pairs:
        return {}
    settings, seed = session.recipe.probe, session.recipe.seed
    probes: list[TaskProbe] = []
    unmeasured: list[list[Rollout]] = []
    bar = RolloutBar(session.emit, "measuring held-out tasks", settings.k * len(pairs))
    for measured, group in session.measure(pairs, session.probing, seed + 1, bar.add):
        if measured:
            probes.append(measured)
        else:
            unmeasured.append(group)
    bar.end()
    session.set_aside(unmeasured)
    groups = tables.grouped(session.run, sorted(probes, key=lambda p: p.instance_id))
    return {
        name: summarise(groups[name], settings.temperature, seed)
        for name in ("heldout", *tables.APART["heldout"])
    }


def facts(run: Run, cycles: int) -> dict:
    """What a machine reads of a run that has climbed for so many cycles and was probed there."""
    metrics = run.read("metrics.jsonl")
    causes = ("cold", "mastered", "truncated")
    return {
        "run": str(run.folder),
        "cycles": cycles,
        "probe": {
            "before": tables.probe_summary(run, phases.bootstrapped()),
            "after": tables.probe_summary(run, phases.probe_after(cycles)),
        },
        "zero_variance": {c: sum(m[f"groups/{c}"] for m in metrics) for c in causes},
        "rollouts": sum(m["rollouts"] for m in metrics),
        "alarm": alarm(metrics),
        "set_aside": run.set_aside,
        "best_checkpoint": run.checkpoint("best").name,
        "seconds": run.content["seconds"],
    }
