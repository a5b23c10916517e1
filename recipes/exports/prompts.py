"""The prompts of a run's tasks: for another program, and as files that a person can read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import Emit, Note, Progress, PromptsWritten

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.runfolder.run import Run
    from sandbox.tasks.prompts import Prompt
    from sandbox.tasks.task import Task


def asked(run: Run) -> list[tuple[Task, Prompt]]:
    """The tasks of a run as its student is asked them, but for those of which not even the function
    fits into a prompt. Raises UsageError where there are no tasks yet or a snapshot has moved on."""
    from recipes.learning.tokens import budget_of
    from sandbox.tasks.prompts import build

    style, turns, budget = run.recipe.prompt.style, run.recipe.student.turns, budget_of(run.recipe)
    built = [(task, build(task, run.tree_of(task), style, budget[0], turns)) for task in run.tasks]
    return [(task, prompt) for task, prompt in built if prompt]


def write_prompts(run: Run, folder: Path, emit: Emit) -> dict[str, Prompt | None]:
    """What the student would be shown of each task, as INSTANCE_ID.txt in `folder`: {instance_id:
    Prompt, or None where it does not fit}."""
    from recipes.learning.tokens import budget_of
    from sandbox.tasks.prompts import build, extents_in_words

    run.restore_snapshots()
    budget, note = budget_of(run.recipe)
    if note:
        emit(Note(note))
    folder.mkdir(parents=True, exist_ok=True)
    tasks = run.tasks
    built: dict[str, Prompt | None] = {}
    for task in tasks:
        prompt = built[task.instance_id] = build(
            task, run.tree_of(task), run.recipe.prompt.style, budget, run.recipe.student.turns
        )
        emit(Progress("building prompts", len(built), len(tasks)))
        if prompt:
            text = "\n\n".join(message["content"] for message in prompt.messages)
            (folder / f"{task.instance_id}.txt").write_text(text, encoding="utf-8")
    emit(PromptsWritten(extents_in_words(list(built.values()), budget.tokens), str(folder)))
    return built


def prompt_facts(run: Run, folder: Path, built: dict[str, Prompt | None]) -> dict:
    """What a machine reads of them."""
    from sandbox.tasks.prompts import summary

    return {"dir": str(folder), **summary(list(built.values()), run.recipe.student.max_prompt)}
