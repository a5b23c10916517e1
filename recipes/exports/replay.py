"""A model export, and whether it answers as the checkpoint does: some tasks are put to both.

found = export_model(session, "ollama", "best", folder, "q8_0", count=8)
"""

from pathlib import Path

from recipes.exports import folder as exporting
from recipes.session import CHUNK, Session


def export_model(
    session: Session, target: str, checkpoint: str, folder: Path, quantisation: str, count: int
) -> dict | None:
    """Write the files of a model export to `folder` and replay `count` tasks through them and
    through the checkpoint, greedily; what `exporting.compare` says of that, None where nothing
    is to be replayed."""
    from recipes.exports import model
    from recipes.exports.model_card import write_card
    from recipes.rollouts.model_engine import ModelEngine
    from sandbox.cache import cache_folder, make_room

    source, found = session.run.checkpoint(checkpoint), None
    session.student.restore(source)
    model.write(
        target,
        session.student,
        source,
        folder,
        cache_folder() / "gguf",
        session.recipe,
        quantisation,
        session.screen.progress,
    )
    make_room(session.screen.say)
    if count:
        chosen = exporting.choose_tasks(
            session.run, [t for t in session.tasks if t.instance_id in session.prompts], count
        )
        own = _replay(
            session,
            ModelEngine(session.student),
            [(t, session.prompts[t.instance_id]) for t in chosen],
        )
        with model.opened(target, session.student, folder, session.recipe) as engine:
            asked = [
                (t, model.engine_prompt(engine, session.student, session.chats[t.instance_id]))
                for t in chosen
            ]
            found = exporting.compare(own, _replay(session, engine, asked))
    if target == "peft":
        write_card(folder, session.run, checkpoint, found)
    return found


def _replay(session: Session, engine, pairs: list[tuple]) -> list:
    """The likeliest reply to each (task, prompt ids), judged: one Rollout a task."""
    from recipes.learning.measure import probe

    found = probe(
        engine,
        pairs,
        1,
        0.0,
        session.recipe.student.max_new,
        session.recipe.seed,
        session.judge_replies,
        CHUNK,
    )
    by_name = {group[0].instance_id: group for _, group in found}
    return [rollout for task, _ in pairs for rollout in by_name[task.instance_id]]
