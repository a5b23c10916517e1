"""The prompts of a run's tasks: for another program, and as files that a person can read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import Emit, NotAskable, Note, Progress, PromptsWritten
from sandbox.errors import UsageError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.runfolder.run import Run
    from sandbox.tasks.prompts import Prompt
    from sandbox.tasks.task import Task


def asked(run: Run) -> list[tuple[Task, Prompt]]:
    """The tasks of a run as its student is asked them, but for those of which not even the function
    fits into a prompt, for programs that ask by chat. Raises UsageError where there are no tasks
    yet, a snapshot has moved on, or the recipe's prompts are no chat."""
    from recipes.learning.tokens import budget_of
    from sandbox.tasks.prompts import build
    from sandbox.tasks.styles import FIM

    if run.recipe.prompt.style == FIM:
        raise UsageError(
            "This run's prompts are to be filled in (prompt.style = fim), and what is to be "
            "written asks by chat. Export the tasks with --to dataset, or make a run with another "
            "style."
        )
    style, turns, budget = run.recipe.prompt.style, run.recipe.student.turns, budget_of(run.recipe)
    built = [(task, build(task, run.tree_of(task), style, budget[0], turns)) for task in run.tasks]
    return [(task, prompt) for task, prompt in built if prompt]


def write_prompts(run: Run, folder: Path, emit: Emit) -> dict[str, Prompt | None]:
    """What the student would be shown of each task, as INSTANCE_ID.txt in `folder`: {instance_id:
    Prompt, or None where it does not fit or cannot be put so}."""
    from recipes.learning.tokens import budget_of
    from sandbox.tasks.prompts import build, extents_in_words, unaskable

    run.restore_snapshots()
    budget, note = budget_of(run.recipe)
    if note:
        emit(Note(note))
    folder.mkdir(parents=True, exist_ok=True)
    tasks, style = run.tasks, run.recipe.prompt.style
    cannot = unaskable(tasks, run.tree_of, style)
    if cannot:
        emit(NotAskable(style, tuple(cannot.items())))
    built: dict[str, Prompt | None] = dict.fromkeys(cannot)
    for task in (t for t in tasks if t.instance_id not in cannot):
        prompt = built[task.instance_id] = build(
            task, run.tree_of(task), style, budget, run.recipe.student.turns
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
    cannot = unaskable(run.tasks, run.tree_of, recipe.prompt.style)
    asked = [prompt for name, prompt in built.items() if name not in cannot]
    return {"dir": str(folder), **summary(asked, recipe.student.max_prompt, len(cannot))}
