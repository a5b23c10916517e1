"""REINFORCE on the repository's own tests, cycle after cycle (`reinforce.py`): no teacher any more.

done = climb(session, ClimbOptions(cycles=50))
probe(session, phases.probe_after(done))
facts(run, done)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from recipes import phases
from recipes.climb_events import Alarm, CycleDone, Thawed, TimeAhead
from recipes.curriculum import RECORD, Stage, at, drop_stages, plan
from recipes.events import Note, Standing
from recipes.reporting import tables, times
from recipes.reporting.alarm import alarm
from recipes.reporting.standing import standing
from recipes.reporting.thawed import never_solved
from recipes.session import RolloutBar, Session
from sandbox.errors import HarnessError, UsageError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.learning.measure import TaskProbe
    from recipes.learning.reinforce import ClimbState, CycleResult
    from recipes.others.opened import Others
    from recipes.rollouts.rollout import Rollout
    from recipes.runfolder.run import Run


def check_bootstrapped(run: Run) -> None:
    """Raises UsageError where there is nothing yet to climb from."""
    if phases.left(run.content["done"]):
        raise UsageError(
            f"{run.folder} has not been bootstrapped. First: python coldstart.py bootstrap --run "
            f"{run.folder}"
        )


@dataclass(frozen=True)
class ClimbOptions:
    """What a person asks for; None is the recipe's."""

    cycles: int | None = None
    """In all."""
    minutes: float | None = None
    stage: str | None = None
    """The last stage that is climbed."""
    compare: bool = False
    """Whether after a stage every way to keep what earlier ones taught is tried, and which kept
    most is said."""


def climb(session: Session, options: ClimbOptions) -> int:
    """REINFORCE, stage by stage, until the run has so many cycles, or the minutes are over; returns
    how many it has. Raises UsageError for a stage that there is not."""
    from recipes.learning.reinforce import ClimbState
    from recipes.others.opened import opened

    run = session.run
    stages = plan(session.recipe, run.tasks)
    for name in [own.name for own in session.recipe.stage if own.name not in _names(stages)]:
        session.emit(Note(f"Stage {name} is left out: no task for training is of its kinds."))
    cycles = _last_cycle(run, stages, options)
    counters = session.student.restore(run.checkpoint("last"))
    if "climb" in counters:
        state = ClimbState.from_dict(counters["climb"])
    else:
        train = {t.instance_id for t in session.by_split("train")}
        probes = tables.read_probes(run, phases.bootstrapped())
        state = ClimbState.after_probe([p for p in probes if p.instance_id in train])
    forget_after(session, state.cycle, counters.get("metrics"))
    started = time.monotonic()
    session.check_policy()
    expected = _say_time_ahead(session, counters, cycles - state.cycle)
    if options.compare and state.cycle >= stages[-1].last and "after" in _last_record(run, stages):
        session.emit(
            Note("Every stage has ended: --compare is for one that ends while it is climbed.")
        )
    cold = never_solved(run)
    with opened(session) as others:
        while True:
            _end_stage(session, others, stages, state.cycle, options.compare)
            until = None if options.minutes is None else started + 60 * options.minutes
            if state.cycle >= cycles or (until and time.monotonic() >= until):
                session.emit(Standing())
                return state.cycle
            stage = at(stages, state.cycle + 1)
            last = cycles if stage is stages[-1] else min(cycles, stage.last)
            part = Part(stage, state, last, until, cycles, cold, expected)
            _climb_stage(session, others, part)


def _names(stages: Sequence[Stage]) -> list[str]:
    return [stage.name for stage in stages]


def _last_record(run: Run, stages: Sequence[Stage]) -> dict:
    """What the run has written of its last stage."""
    record: dict = run.content.get(RECORD, {}).get(stages[-1].name, {})
    return record


@dataclass(frozen=True)
class Part:
    """What is climbed of a stage without a pause."""

    stage: Stage
    state: ClimbState
    last: int
    """The number of its last cycle."""
    until: float | None
    """Of the monotonic clock: no cycle is begun after that."""
    cycles: int
    """The number of the last one of all stages that are climbed."""
    cold: dict[str, str]
    """{instance_id: the sort} of the run's tasks for training that it has never solved;
    what a cycle solves goes out of it."""
    expected: float | None
    """Seconds of a cycle, where the run has none to go by."""

    def say_standing(self, session: Session) -> None:
        stage = self.stage.name if session.recipe.stage else ""
        session.emit(standing(session.run, self.cycles, stage, self.until, self.expected))


def _last_cycle(run: Run, stages: Sequence[Stage], options: ClimbOptions) -> int:
    """The number of the last cycle that is asked for."""
    if options.stage and options.cycles:
        raise UsageError("--stage and --cycles both say where to stop: give one of them.")
    if options.stage is None:
        return options.cycles or stages[-1].last
    known = {stage.name: stage.last for stage in stages}
    if options.stage not in known:
        raise UsageError(
            f"{run.folder} has no stage {options.stage!r} with a task for training. Its stages: "
            f"{', '.join(known)}."
        )
    return known[options.stage]


def _end_stage(
    session: Session, others: Others, stages: Sequence[Stage], cycle: int, compare: bool
) -> None:
    """What is to be done where the stage that ended with this cycle was not brought to its end."""
    from recipes import retention

    if session.recipe.stage:
        for stage in stages:
            if stage.last == cycle:
                retention.end(session, others, stage, compare)


def _climb_stage(session: Session, others: Others, part: Part) -> None:
    """Cycles of one stage."""
    from recipes import retention

    run, state, stage = session.run, part.state, part.stage
    staged = bool(session.recipe.stage)
    if staged and state.cycle + 1 == stage.first:
        retention.begin(session, others, stage)
        state.best_pass_at_1 = state.best_cycle = None
    first = state.cycle + 1
    with session.at_stage(stage):
        if session.recipe.climb.kl:
            held = stage.is_held_by_kl(session.recipe)
            name = stage.earlier[-1].best if held else "distilled"
            session.student.freeze_reference(run.checkpoint(name))
        if state.best_pass_at_1 is None and (summaries := _heldout(session, stage)):
            state.is_best(summaries["heldout"]["pass_at_1"])
        part.say_standing(session)
        with session.stopping() as shutdown:
            while state.cycle < part.last and (part.until is None or time.monotonic() < part.until):
                with run.timed(phases.CLIMB.name):
                    seconds = _take_cycle(session, others, part, staged)
                if first == state.cycle < part.last:
                    session.emit(TimeAhead(seconds, part.last - state.cycle, f"cycle {first}"))
                part.say_standing(session)
                shutdown.check()


def _take_cycle(session: Session, others: Others, part: Part, staged: bool) -> float:
    """One cycle, written down; returns the seconds that one takes."""
    state, stage = part.state, part.stage
    began = time.monotonic()
    result = _cycle(session, others, part)
    seconds = time.monotonic() - began + times.heldout_seconds(session.run)
    line, best = dict(result.metrics), False
    if staged:
        line["stage"] = stage.name
    every = session.recipe.climb.eval_every
    if result.cycle % every == 0 or result.cycle == part.last:
        summaries = _heldout(session, stage)
        line |= tables.heldout_metrics(summaries)
        best = not summaries or state.is_best(summaries["heldout"]["pass_at_1"])
    _write_down(session, state, CycleDone(result, line, best))
    solved = dict.fromkeys(r.instance_id for r in result.rollouts if r.reward > 0)
    if thawed := {name: part.cold.pop(name) for name in solved if name in part.cold}:
        session.emit(Thawed(result.cycle, thawed))
    return seconds


def _say_time_ahead(session: Session, counters: dict, left: int) -> float | None:
    """How long `left` cycles will take: by those that the run has, else by its bootstrap, whose
    checkpoint left `counters`. Returns the seconds of one, if they can be told."""
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
    return seconds


def _cycle(session: Session, others: Others, part: Part) -> CycleResult:
    """One cycle, on the stage's tasks for training."""
    from recipes.forgetting import own_tasks
    from recipes.learning.reinforce import Earlier, cycle

    recipe, stage, state = session.recipe, part.stage, part.state
    train = own_tasks(session, others, stage, "train")
    if not train:
        raise HarnessError(
            "Every task for training has been set aside, because the jail failed on it."
        )
    own = {task.instance_id for task in train}
    before = {
        task.instance_id: task
        for one in stage.earlier
        for task in own_tasks(session, others, one, "train")
        if task.instance_id not in own
    }
    size = recipe.climb.group_size * min(recipe.climb.groups, len(train))
    done = state.cycle - stage.first + 1
    bar = RolloutBar(session.emit, "climbing", size * (part.last - stage.first + 1), size * done)
    engine, judge = session.engine, session.judge_replies
    earlier = Earlier(list(before.values()), stage.settings.earlier)
    with session.conversations() as talk:
        result = cycle(engine, train, session.prompts, state, recipe, judge, bar.add, talk, earlier)
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
        session.emit(Alarm(warning))


def forget_after(session: Session, cycle: int, line: dict | None) -> None:
    """Bring metrics.jsonl, rollouts.jsonl and the probes in step with the checkpoint that the run
    goes on from, which has so many cycles and this line of metrics.jsonl."""
    run, phase = session.run, phases.CLIMB.name
    session.drop("rollouts.jsonl", lambda r: r["phase"] == phase and r["cycle"] > cycle)
    metrics = run.read("metrics.jsonl")
    kept = [m for m in metrics if m["cycle"] < cycle] + ([] if line is None else [line])
    if line is not None or len(kept) < len(metrics):
        run.keep_only("metrics.jsonl", kept)
    drop_stages(run, cycle)
    # Of cycles that will be taken anew, as where the run goes on from an older checkpoint.
    late = [name for name in run.content["done"] if (phases.cycle_of(name) or 0) > cycle]
    if late:
        for file in ("probe.jsonl", "rollouts.jsonl"):
            session.drop(file, lambda r: r["phase"] in late)
        run.content["done"] = [name for name in run.content["done"] if name not in late]
        run.write()


def _heldout(session: Session, stage: Stage) -> dict:
    """How good it is on the stage's held-out tasks, always on the same seeds, which are not those
    of the probes: {group: summary} for `heldout` and those of it of each sort; {} without such
    tasks."""
    from recipes.learning.measure import summarise

    tasks = stage.own(session.by_split("heldout"))
    pairs = [(t, session.prompts[t.instance_id]) for t in tasks]
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
    from recipes.reporting.stages import of_stages

    metrics = run.read("metrics.jsonl")
    causes = ("cold", "mastered", "truncated")
    return {
        "run": str(run.folder),
        "cycles": cycles,
        "probe": {
            "before": tables.probe_summary(run, phases.bootstrapped()),
            "after": tables.probe_summary(run, phases.probe_after(cycles)),
        },
        **tables.by_repo(run, phases.bootstrapped(), phases.probe_after(cycles)),
        "zero_variance": {c: sum(m[f"groups/{c}"] for m in metrics) for c in causes},
        "rollouts": sum(m["rollouts"] for m in metrics),
        "alarm": alarm(metrics),
        "set_aside": run.set_aside,
        "best_checkpoint": run.checkpoint("best").name,
        **of_stages(run),
        "seconds": run.content["seconds"],
    }
