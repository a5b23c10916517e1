"""The phases of bootstrap, in the order of `phases.py`: tasks from the repository's own tests
(`mining.py`); which of them the student never solves; a teacher for these alone (`teach.py`);
fine-tuning on what the tests verified; the same probe again.

    result = bootstrap(session)

Each goes on where it was cut off, and does nothing where it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from recipes import phases
from recipes.events import AnswersTooLong, Note, Progress
from recipes.reporting import tables
from recipes.reporting.thawed import thawed_facts
from recipes.runfolder.taking_up import INHERITED, take_probes
from recipes.session import RolloutBar, Session
from recipes.teachers.teach import dry_run, teach, teacher_facts

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.learning.student import Sample
    from recipes.runfolder.run import Run
    from sandbox.tasks.task import Task


def bootstrap(session: Session, dry: bool = False) -> dict:
    """Take the phases that are left; where `dry`, those before the teacher is asked. Returns what a
    machine reads of it."""
    # 2. Which does the student never solve? 3. A teacher for the cold ones only, 4. until the
    # student solves some itself.
    run = session.run
    for phase in phases.left(run.content["done"]):
        if dry and phase is phases.TEACH:
            measured = {"before": tables.probe_summary(run, phases.BEFORE.name)}
            return _facts(run, dry_run(session), measured)
        take(session, phase)
    measured = {
        "before": tables.probe_summary(run, phases.BEFORE.name),
        "after": tables.probe_summary(run, phases.bootstrapped()),
    }
    thawed = thawed_facts(run) or {}
    teacher = teacher_facts(session) | {"usd_per_thawed": thawed.get("usd_per_thawed")}
    repos = tables.by_repo(run, phases.BEFORE.name, phases.bootstrapped())
    return _facts(run, teacher, measured, set_aside=run.set_aside, **repos)


def _facts(run: Run, teacher: dict, probe: dict, **more: dict) -> dict:
    return {
        "run": str(run.folder),
        "recipe": run.recipe.name,
        "student": run.recipe.student.model,
        "teacher": teacher,
        "probe": probe,
        "prompts": run.content.get("prompts"),
        **more,
        **({"since": run.content["since"]} if "since" in run.content else {}),
        "seconds": run.content["seconds"],
    }


def take(session: Session, phase: phases.Phase) -> None:
    """One phase of bootstrap, but for mining, which comes before a student is at work: a probe,
    or else its entry of STEPS."""
    if phase.is_probe:
        probe(session, phase.name)
    else:
        STEPS[phase](session)


def probe(session: Session, phase: str) -> None:
    """k rollouts of every task: probe.jsonl and rollouts.jsonl, task by task as they are
    judged."""
    if session.run.is_done(phase):
        return
    if phase != phases.BEFORE.name:
        session.student.restore(session.run.checkpoint("best"))
        _take_first_probe(session, phase)
    elif INHERITED in session.run.content["checkpoints"]:
        session.student.restore(session.run.checkpoint(INHERITED))
        take_probes(session.run)
    settings = session.recipe.probe
    known_before = _taken_over(session, phase)
    wanted = [
        t
        for t in session.tasks
        if t.instance_id in session.prompts and t.instance_id not in known_before
    ]
    session.run.content["prompts"] = session.prompt_facts
    known = _keep_whole_chunks(session, phase, wanted)
    pending = [(t, session.prompts[t.instance_id]) for t in wanted if t.instance_id not in known]
    with session.stopping() as shutdown, session.run.step(phase):
        session.check_policy()
        total, done = settings.k * len(wanted), settings.k * len(known)
        bar, unmeasured = RolloutBar(session.emit, f"probing ({phase})", total, done), []
        early = settings.stops_early and phase == phases.BEFORE.name
        sampling = replace(session.probing, stops_early=early)
        for measured, group in session.measure(pending, sampling, session.recipe.seed, bar.add):
            session.run.append("rollouts.jsonl", [{"phase": phase, **r.record()} for r in group])
            if measured:
                record = {
                    "phase": phase,
                    "temperature": settings.temperature,
                    "instance_id": measured.instance_id,
                    "k": measured.k,
                    "resolved": measured.resolved,
                    "truncated": measured.truncated,
                }
                optional = ("unsampled", "turns", "first")
                record |= {n: v for n in optional if (v := getattr(measured, n))}
                session.run.append("probe.jsonl", [record])
            else:
                unmeasured.append(group)
            shutdown.check()
        bar.end()
        session.set_aside(unmeasured)
    if phase == phases.BEFORE.name:
        _say_cut_off(session, phase)


def _take_first_probe(session: Session, phase: str) -> None:
    """Where a run took up an earlier one and no teacher had anything to say, the student is what it
    was: what the first probe found is found again."""
    run = session.run
    if (
        phase == phases.bootstrapped()
        and INHERITED in run.content["checkpoints"]
        and not run.read("trajectories.jsonl")
        and not any(r["phase"] == phase for r in run.read("probe.jsonl"))
    ):
        first = [r for r in run.read("probe.jsonl") if r["phase"] == phases.BEFORE.name]
        again = {"phase": phase, "taken_over": True}
        run.append("probe.jsonl", [{**record, **again} for record in first])


def _say_cut_off(session: Session, phase: str) -> None:
    """Say it where cold tasks had rollouts that were cut off."""
    train = {t.instance_id for t in session.by_split("train")}
    probes = [p for p in tables.read_probes(session.run, phase) if p.instance_id in train]
    if sentence := tables.cut_off_sentence(probes, session.recipe.student.max_new):
        session.emit(Note(sentence))


def _keep_whole_chunks(session: Session, phase: str, wanted: list[Task]) -> set[str]:
    """The tasks that are measured already. What was recorded of a chunk that was cut off is
    dropped, and will be sampled again beside the same other tasks: so it comes out the same, to
    the last bit."""
    recorded = {r["instance_id"] for r in session.run.read("probe.jsonl") if r["phase"] == phase}
    known: set[str] = set()
    size = session.chunk(session.recipe.probe.k)
    for start in range(0, len(wanted), size):
        chunk = {t.instance_id for t in wanted[start : start + size]}
        if not chunk <= recorded:
            break
        known |= chunk
    kept = known | _taken_over(session, phase)
    for file in ("probe.jsonl", "rollouts.jsonl"):
        session.drop(file, lambda r: r["phase"] == phase and r["instance_id"] not in kept)
    return known


def _taken_over(session: Session, phase: str) -> set[str]:
    """The tasks that an earlier run has measured for this probe."""
    return {
        r["instance_id"]
        for r in session.run.read("probe.jsonl")
        if r["phase"] == phase and r.get("taken_over")
    }


def anything_solved(session: Session, phase: str) -> bool:
    """Whether a task for training was solved at least once: what REINFORCE needs."""
    train = {t.instance_id for t in session.tasks if t.split == "train"}
    return any(p.resolved for p in tables.read_probes(session.run, phase) if p.instance_id in train)


def distil(session: Session) -> None:
    """Fine-tune on the verified trajectories."""
    from recipes.learning import distil as distillation

    run, settings = session.run, session.recipe.distil
    if run.is_done(phases.DISTIL.name):
        return
    examples = examples_of(session)
    folder, start = run.folder / "checkpoints", 0
    steps = distillation.planned_steps(len(examples), settings) if examples else 0
    if INHERITED in run.content["checkpoints"]:
        session.student.restore(run.checkpoint(INHERITED))
    if "last" in run.content["checkpoints"]:
        start = session.student.restore(run.checkpoint("last"))["step"]
    with session.stopping() as shutdown, run.step(phases.DISTIL.name):
        for now in (
            distillation.distil(session.student, examples, settings, session.recipe.seed, start)
            if examples
            else ()
        ):
            session.emit(Progress("fine-tuning", now.step, now.steps))
            is_due = now.step % settings.save_every == 0 or shutdown.requested
            if is_due and now.step < now.steps:
                name = f"distil-{now.step:04d}"
                session.student.save(folder / name, {"step": now.step})
                run.name_checkpoints(last=name)
                shutdown.check()
        name = phases.checkpoint_after(0)
        session.student.save(folder / name, {"step": steps})
        run.name_checkpoints(distilled=name, last=name, best=name)


def examples_of(session: Session) -> list[Sample]:
    """The verified trajectories that are not longer than what the student may write."""
    from recipes.learning.distil import example_of

    student, settings = session.student, session.recipe.student
    last_turn_only = session.recipe.distil.last_turn_only
    samples = [
        example_of(student, t["messages"], last_turn_only, settings)
        for t in session.run.read("trajectories.jsonl")
    ]
    examples = [sample for sample in samples if sample is not None]
    if len(examples) < len(samples):
        session.emit(AnswersTooLong(len(samples) - len(examples), settings.max_new))
    return examples


STEPS: dict[phases.Phase, Callable[[Session], None]] = {phases.TEACH: teach, phases.DISTIL: distil}
"""What takes a phase that is no probe."""
