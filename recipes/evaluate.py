"""Base and checkpoint on the same tasks and seeds, and what they say of themselves.

options = EvalOptions("heldout", k=16, temperature=None, voice=False)
result = evaluate(session, folder, options, options.sampling(recipe))
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import Unmeasured
from recipes.runfolder.taking_up import place_before
from recipes.session import RolloutBar, Session
from sandbox.errors import UsageError
from sandbox.reasons import listed

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.rollouts.rollout import Sampling
    from recipes.runfolder.run import Run
    from recipes.settings import Recipe
    from sandbox.tasks.task import Task


@dataclass(frozen=True)
class EvalOptions:
    """What a person asks to be measured; None is the recipe's."""

    split: str | None
    """`heldout`, `train` or `all`; None: held out; of another run's student all."""
    k: int | None
    """Samples of each task."""
    temperature: float | None
    voice: bool
    """Whether it is asked who it is."""
    student: Path | None = None
    """The run whose student is measured on the tasks of this one; None: its own."""
    new_since: Path | None = None
    """The run whose student is measured, on tasks of functions that are new since or have
    changed."""
    control: bool = False
    """Whether episodes are held against as many tokens of single attempts (`control.py`)."""

    def sampling(self, recipe: Recipe) -> Sampling:
        """How that is sampled. Raises UsageError where k samples would all be the same."""
        from recipes.reporting.evaluation import samples
        from recipes.rollouts.rollout import Sampling

        settings, temperature = recipe.probe, self.temperature
        temperature = settings.temperature if temperature is None else temperature
        n = samples(self.k, temperature, settings.k)
        if self.control and (recipe.student.turns == 1 or temperature == 0):
            raise UsageError(
                "--control holds episodes of several turns against single attempts of other draws, "
                "so it needs a run with student.turns above 1 and a temperature above 0."
            )
        return Sampling(n, temperature, recipe.student.max_new)


def owner_of(run: Run, options: EvalOptions) -> Run:
    """The run whose checkpoint is measured on the tasks of `run`: itself, or the one that was
    named. Raises UsageError where nothing can be new to that one's student."""
    from recipes.runfolder.run import Run

    named = options.new_since or options.student
    if named is None:
        return run
    owner = Run.open(named)
    if options.new_since is None:
        return owner
    if owner.folder.resolve() == run.folder.resolve():
        raise UsageError(
            f"{named} is the run itself. First mine what its repository is now: python "
            "coldstart.py "
            f"tasks --from {named}"
        )
    if not any(place_before(place, owner) for place in run.places):
        raise UsageError(
            f"{run.folder} is a run of {listed(p.repository.root for p in run.places)}, which "
            f"{named} did not learn from: all of it is new to that student. --student {named} "
            "measures it on all tasks."
        )
    return owner


def _new_since(
    session: Session, options: EvalOptions, tasks: list[Task]
) -> tuple[list[Task], dict]:
    """Of the tasks those about functions that are new since the earlier run or have changed, and
    what is told of it. Raises UsageError where there are none."""
    from recipes.runfolder.run import Run
    from sandbox.tasks.inventory import Inventory

    if options.new_since is None:
        return tasks, {}
    owner, changed = Run.open(options.new_since), {}
    for place in session.run.places:
        now, old = Inventory.read(place.folder), place_before(place, owner)
        before = Inventory.read(old.folder) if old else Inventory({})
        changed[place.name] = before.changed(now)

    def new_in(task: Task) -> set[str]:
        return changed[session.run.place_of(task).name] & set(task.about)

    chosen = [t for t in tasks if new_in(t)]
    if not chosen:
        raise UsageError(
            f"No task of {session.run.folder} is about a function that is new since "
            f"{options.new_since}, or has changed."
        )
    about = {(task.repo, name) for task in chosen for name in new_in(task)}
    facts = {"run": str(options.new_since), "functions": len(about), "tasks": len(chosen)}
    return chosen, {"new_since": facts}


def evaluate(session: Session, folder: Path, options: EvalOptions, sampling: Sampling) -> dict:
    """Base and the checkpoint in `folder` on the same tasks and seeds: eval.jsonl, task by task,
    and voice.jsonl. What is known is not measured again; a task that could not be measured for both
    is left out."""
    from recipes.reporting import evaluation
    from recipes.teachers.identity import count

    k, temperature = sampling.n, sampling.temperature
    spoken: dict[str, dict] = {}
    chosen, facts = _new_since(
        session, options, [t for t in session.tasks if t.instance_id in session.prompts]
    )
    split = options.split or ("all" if options.new_since or options.student else "heldout")
    chosen = evaluation.tasks_of(chosen, split)
    measured = []
    for name, adapter in (
        (evaluation.BASE, evaluation.BASE),
        (folder.name, evaluation.name_of(folder)),
    ):
        if adapter != evaluation.BASE:
            session.student.restore(folder)
        known = evaluation.read(session.run, adapter, k, temperature)
        pending = [t for t in chosen if t.instance_id not in known]
        _measure(session, (name, adapter), pending, sampling)
        measured.append(evaluation.read(session.run, adapter, k, temperature))
        if options.voice:
            spoken[name] = count(_ask_who_it_is(session, adapter, sampling))
    both = [t.instance_id for t in chosen if all(t.instance_id in known for known in measured)]
    base, tuned = ([known[name] for name in both] for known in measured)
    compared = evaluation.compare(session.run, base, tuned, temperature)
    if options.control:
        trials = _hold_control(
            session, folder, [t for t in chosen if t.instance_id in both], sampling
        )
        held = [p for p in tuned if p.instance_id in trials]
        compared = evaluation.with_control(session.run, compared, held, trials)
    if options.student:
        facts = {"student_of": str(options.student), **facts}
    return {**compared, **facts, **({"voice": spoken} if options.voice else {})}


def _hold_control(
    session: Session, folder: Path, tasks: list[Task], sampling: Sampling
) -> dict[str, int]:
    """{instance_id: trials of the control that solved it}, for the checkpoint in `folder`: lines of
    control.jsonl; what is known is not measured again."""
    from recipes.control import best_of_attempts
    from recipes.reporting import evaluation

    adapter, k, temperature = evaluation.name_of(folder), sampling.n, sampling.temperature
    known = evaluation.read_control(session.run, adapter, k, temperature)
    tokens = evaluation.read_tokens(session.run, adapter, k, temperature)
    pending = [(t, session.prompts[t.instance_id]) for t in tasks if t.instance_id not in known]
    if pending:
        session.student.restore(folder)
    with session.stopping() as shutdown:
        for name, solved in best_of_attempts(session, pending, tokens, temperature):
            record = {"adapter": adapter, "k": k, "temperature": temperature}
            record |= {"instance_id": name, "resolved": solved}
            session.run.append(evaluation.CONTROL, [record])
            shutdown.check()
    return evaluation.read_control(session.run, adapter, k, temperature)


def _measure(
    session: Session, name: tuple[str, str], tasks: list[Task], sampling: Sampling
) -> None:
    """Lines of eval.jsonl for the student as it is: `name` is (what a person calls it, what the
    file does)."""
    from recipes.reporting import evaluation

    (shown, adapter), k, temperature = name, sampling.n, sampling.temperature
    pairs = [(t, session.prompts[t.instance_id]) for t in tasks]
    seed = session.recipe.seed + evaluation.SEED_STEP
    bar = RolloutBar(session.emit, f"measuring {shown}", k * len(pairs))
    with session.stopping() as shutdown:
        for measured, group in session.measure(pairs, sampling, seed, bar.add):
            if measured:
                record = evaluation.record(adapter, k, temperature, measured)
                if measured.turns:
                    record["tokens"] = [rollout.tokens for rollout in group]
                session.run.append(evaluation.FILE, [record])
            else:
                why = next(r.failure for r in group if r.failure)
                session.emit(Unmeasured(group[0].instance_id, why))
            shutdown.check()
    bar.end()


def _ask_who_it_is(session: Session, adapter: str, sampling: Sampling) -> list[str]:
    """k answers to each of the questions about itself, added to voice.jsonl."""
    from recipes.learning.measure import derived_seed
    from recipes.teachers.identity import QUESTIONS, named

    student, temperature = session.student, sampling.temperature
    prompts = [
        student.prompt_ids([{"role": "user", "content": question}]) for question in QUESTIONS
    ]
    seeds = [derived_seed("voice", session.recipe.seed, question) for question in QUESTIONS]
    groups = session.engine.sample(
        prompts, sampling.n, temperature, session.recipe.student.max_new, seeds
    )
    answers = [
        (question, student.text(c.ids)) for question, group in zip(QUESTIONS, groups) for c in group
    ]
    session.run.append(
        "voice.jsonl",
        [
            {
                "adapter": adapter,
                "temperature": temperature,
                "question": question,
                "answer": answer,
                "names": named(answer),
            }
            for question, answer in answers
        ],
    )
    return [answer for _, answer in answers]
