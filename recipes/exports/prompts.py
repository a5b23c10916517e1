"""The prompts of a run's tasks, as files that a person can read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import Emit, NotAskable, Note, Progress, PromptsWritten

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.runfolder.run import Run
    from sandbox.tasks.prompts import Prompt


def write_prompts(run: Run, folder: Path, emit: Emit) -> dict[str, Prompt | None]:
    """What the student would be shown of each task, as INSTANCE_ID.txt in `folder`: {instance_id:
    Prompt, or None where it does not fit or cannot be put so}."""
    from recipes.learning.tokens import budget_of
    from sandbox.repo import restore_snapshot
    from sandbox.tasks.prompts import build, extents_in_words, unaskable

    restore_snapshot(run.repository)
    budget, note = budget_of(run.recipe)
    if note:
        emit(Note(note))
    folder.mkdir(parents=True, exist_ok=True)
    tree, tasks, style = run.repository.snapshot, run.tasks, run.recipe.prompt.style
    cannot = unaskable(tasks, tree, style)
    if cannot:
        emit(NotAskable(style, tuple(cannot.items())))
    built: dict[str, Prompt | None] = dict.fromkeys(cannot)
    for task in (t for t in tasks if t.instance_id not in cannot):
        prompt = built[task.instance_id] = build(
            task, tree, style, budget, run.recipe.student.turns
        )
        emit(Progress("building prompts", len(built), len(tasks)))
        if prompt:
            (folder / f"{task.instance_id}.txt").write_text(prompt.text, encoding="utf-8")
    asked = [prompt for name, prompt in built.items() if name not in cannot]
    emit(PromptsWritten(extents_in_words(asked, budget.tokens), str(folder)))
    return built


def prompt_facts(run: Run, folder: Path, built: dict[str, Prompt | None]) -> dict:
    """What a machine reads of them."""
    from sandbox.tasks.prompts import summary, unaskable

    recipe = run.recipe
    cannot = unaskable(run.tasks, run.repository.snapshot, recipe.prompt.style)
    asked = [prompt for name, prompt in built.items() if name not in cannot]
    return {"dir": str(folder), **summary(asked, recipe.student.max_prompt, len(cannot))}
