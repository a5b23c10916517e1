"""Base and checkpoint on the same tasks and seeds, and what they say of themselves.

options = EvalOptions("heldout", k=16, temperature=None, voice=False)
result = evaluate(session, "best", options, options.sampling(recipe))
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import Unmeasured
from recipes.session import RolloutBar, Session
from sandbox.errors import UsageError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.rollouts.rollout import Sampling
    from recipes.settings import Recipe
    from sandbox.tasks.task import Task


@dataclass(frozen=True)
class EvalOptions:
    """What a person asks to be measured; None is the recipe's."""

    split: str
    """`heldout`, `train` or `all`."""
    k: int | None
    """Samples of each task."""
    temperature: float | None
    voice: bool
    """Whether it is asked who it is."""
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


def evaluate(session: Session, checkpoint: str, options: EvalOptions, sampling: Sampling) -> dict:
    """Base and checkpoint on the same tasks and seeds: eval.jsonl, task by task, and
    voice.jsonl. What is known is not measured again; a task that could not be measured for both
    is left out."""
    from recipes.reporting import evaluation
    from recipes.teachers.identity import count

    k, temperature = sampling.n, sampling.temperature
    folder, spoken = session.run.checkpoint(checkpoint), {}
    chosen = evaluation.tasks_of(
        [t for t in session.tasks if t.instance_id in session.prompts], options.split
    )
    measured = []
    for name, adapter in (
        (evaluation.BASE, evaluation.BASE),
        (checkpoint, evaluation.name_of(folder)),
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
    return {**compared, **({"voice": spoken} if options.voice else {})}


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
