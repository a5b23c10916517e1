"""A model export, and whether it answers as the checkpoint does: some tasks are put to both.

replay = export_model(session, "best", folder, options)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import notes_to, progress_to
from recipes.exports import folder as exporting
from recipes.exports.options import ExportOptions
from recipes.session import CHUNK, Session

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.rollouts.rollout import Engine, Rollout
    from sandbox.tasks.task import Task


def export_model(
    session: Session, checkpoint: str, folder: Path, options: ExportOptions
) -> dict | None:
    """Write the files of a model export to `folder` and replay some tasks through them and
    through the checkpoint, greedily; what `exporting.compare` says of that, None where nothing
    is to be replayed."""
    from recipes.exports import model
    from recipes.exports.model_card import write_card
    from recipes.rollouts.model_engine import ModelEngine
    from sandbox.cache import cache_folder, make_room

    source, replay, target = session.run.checkpoint(checkpoint), None, options.target
    session.student.restore(source)
    model.write(
        target,
        session.student,
        source,
        folder,
        cache_folder() / "gguf",
        session.recipe,
        options.quantisation,
        progress_to(session.emit),
    )
    make_room(notes_to(session.emit))
    if options.count:
        prompts = session.prompts
        tasks = [t for t in session.tasks if t.instance_id in prompts]
        chosen = exporting.choose_tasks(session.run, tasks, options.count)
        pairs = [(t, prompts[t.instance_id]) for t in chosen]
        own = _replay(session, ModelEngine(session.student), pairs)
        with model.opened(target, session.student, folder, session.recipe) as engine:
            pairs = [
                (t, model.engine_prompt(engine, session.student, session.chats[t.instance_id]))
                for t in chosen
            ]
            replay = exporting.compare(own, _replay(session, engine, pairs))
    if target == "peft":
        write_card(folder, session.run, checkpoint, replay)
    return replay


def _replay(session: Session, engine: Engine, pairs: list[tuple[Task, list[int]]]) -> list[Rollout]:
    """The likeliest reply to each (task, prompt ids), judged: one Rollout a task."""
    from recipes.learning.measure import probe
    from recipes.rollouts.rollout import Sampling

    likeliest = Sampling(1, 0.0, session.recipe.student.max_new)
    judge, seed = session.judge_replies, session.recipe.seed
    groups = probe(engine, pairs, likeliest, seed, judge, CHUNK)
    by_name = {group[0].instance_id: group for _, group in groups}
    return [rollout for task, _ in pairs for rollout in by_name[task.instance_id]]
