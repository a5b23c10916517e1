"""Base and checkpoint on the same tasks and seeds, and what they say of themselves.

found = evaluate(session, "best", "heldout", k=16, temperature=0.8, voice=False)
"""

from recipes.session import RolloutBar, Session


def evaluate(
    session: Session, checkpoint: str, split: str, k: int, temperature: float, voice: bool
) -> dict:
    """Base and checkpoint on the same tasks and seeds: eval.jsonl, task by task, and
    voice.jsonl. What is known is not measured again; a task that could not be measured for both
    is left out."""
    from recipes.reporting import evaluation
    from recipes.teachers.identity import count

    folder, spoken = session.run.checkpoint(checkpoint), {}
    chosen = evaluation.tasks_of(
        [t for t in session.tasks if t.instance_id in session.prompts], split
    )
    measured = []
    for name, adapter in (
        (evaluation.BASE, evaluation.BASE),
        (checkpoint, evaluation.name_of(folder)),
    ):
        if adapter != evaluation.BASE:
            session.student.restore(folder)
        known = evaluation.read(session.run, adapter, k, temperature)
        _measure(
            session,
            adapter,
            name,
            [t for t in chosen if t.instance_id not in known],
            k,
            temperature,
        )
        measured.append(evaluation.read(session.run, adapter, k, temperature))
        if voice:
            spoken[name] = count(_ask_who_it_is(session, adapter, k, temperature))
    both = [t.instance_id for t in chosen if all(t.instance_id in known for known in measured)]
    compared = evaluation.compare(
        session.run, *([known[name] for name in both] for known in measured), temperature
    )
    return {**compared, **({"voice": spoken} if voice else {})}


def _measure(
    session: Session, adapter: str, name: str, tasks: list, k: int, temperature: float
) -> None:
    """Lines of eval.jsonl for the student as it is."""
    from recipes.learning.measure import probe
    from recipes.reporting import evaluation

    pending = [(t, session.prompts[t.instance_id]) for t in tasks]
    bar = RolloutBar(session.screen, f"measuring {name}", k * len(pending))
    with session.screen.patience() as patience:
        for found, group in probe(
            session.engine,
            pending,
            k,
            temperature,
            session.recipe.student.max_new,
            session.recipe.seed + evaluation.SEED_STEP,
            session.judge_replies,
            session.chunk(k),
            bar.add,
        ):
            if found:
                session.run.append(
                    evaluation.FILE, [evaluation.record(adapter, k, temperature, found)]
                )
            else:
                session.screen.say(
                    f"{group[0].instance_id} is left out: "
                    f"{next(r.failure for r in group if r.failure)}"
                )
            patience.check()
    bar.end()


def _ask_who_it_is(session: Session, adapter: str, k: int, temperature: float) -> list[str]:
    """k answers to each of the questions about itself, added to voice.jsonl."""
    from recipes.learning.measure import derived_seed
    from recipes.teachers.identity import QUESTIONS, named

    prompts = [
        session.student.prompt_ids([{"role": "user", "content": question}])
        for question in QUESTIONS
    ]
    seeds = [derived_seed("voice", session.recipe.seed, question) for question in QUESTIONS]
    groups = session.engine.sample(prompts, k, temperature, session.recipe.student.max_new, seeds)
    answers = [
        (question, session.student.text(c.ids))
        for question, group in zip(QUESTIONS, groups)
        for c in group
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
