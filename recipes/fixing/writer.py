"""Who writes the edits of `fix`: the student, by llama.cpp where that can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import (
    Emit,
    FunctionTooLong,
    StudentLoaded,
    TrainingModelWrites,
    notes_to,
    progress_to,
)
from recipes.learning.measure import derived_seed
from recipes.learning.threads import threads_of
from recipes.rollouts.conversations import ReadTurns, open_conversations
from recipes.rollouts.rollout import Engine
from recipes.settings import Recipe
from sandbox.cache import cache_folder, make_room
from sandbox.judge.verdict import Judge
from sandbox.tasks.prompts import Budget, build
from sandbox.tasks.task import Task

if TYPE_CHECKING:
    from recipes.runfolder.run import Run


@dataclass(frozen=True)
class Reply:
    """What the student wrote for a task, whole."""

    task: Task
    text: str
    """Of its last turn."""
    episode: tuple[dict[str, str], ...]
    """The replies before that, each with what was said of it."""


OpenEngine = Callable[[list[list[dict]]], Engine]
"""Opens what samples, by the conversations that it is to continue first of all."""


class Writer:
    """The student at a desk of its own: opened when the first edit is to be written."""

    def __init__(self, recipe: Recipe, open_engine: OpenEngine, emit: Emit) -> None:
        self._recipe, self._open_engine, self._emit = recipe, open_engine, emit
        self._engine: Engine | None = None

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()

    def prompts(self, variants: list[Task], tree: Path) -> list[tuple[Task, list[int]]]:
        """(task, prompt ids), but for those of which not even the least fits."""
        style, most = self._recipe.prompt.style, self._recipe.student.max_prompt
        turns = self._recipe.student.turns
        if self._engine is None:
            # What writes is opened with prompts at hand, by which its tokenizer is checked: here by
            # their estimated length.
            first = [
                build(variant, tree, style, Budget.estimated(most), turns) for variant in variants
            ]
            self._engine = self._open_engine([prompt.messages for prompt in first if prompt])
        student = self._engine.student
        budget = Budget.of(student, most)
        prompts = [(variant, build(variant, tree, style, budget, turns)) for variant in variants]
        if any(prompt is None for _, prompt in prompts):
            self._emit(FunctionTooLong(variants[0].FAIL_TO_PASS[0], most))
        return [
            (variant, student.prompt_ids(prompt.messages)) for variant, prompt in prompts if prompt
        ]

    def write(
        self,
        prompts: list[tuple[Task, list[int]]],
        start: int,
        count: int,
        judge: Judge,
        on_ended: Callable[[int], None],
    ) -> tuple[list[Reply], int]:
        """`count` replies to each prompt, those from number `start` on: the ones that came to an
        end, and how many were cut off. Where the student has several turns, each is told what the
        failing tests say of it, and what counts is the last."""
        assert self._engine is not None, "the prompts come first"
        seed, tasks = self._recipe.seed, [task for task, _ in prompts]
        student: ReadTurns = self._engine.student
        with open_conversations(student, judge, self._recipe) as talk:
            groups = self._engine.sample(
                [ids for _, ids in prompts],
                count,
                self._recipe.probe.temperature,
                self._recipe.student.max_new,
                [derived_seed("fix", seed, t.instance_id, t.function, start) for t in tasks],
                on_ended,
                talk.about(tasks) if talk else None,
            )
            written = [(t, c) for t, group in zip(tasks, groups) for c in group]
            replies = [
                Reply(
                    t, student.text(c.ids[c.turns[-1][0] :]), tuple(talk.said(t, c)) if talk else ()
                )
                for t, c in written
                if c.finished
            ]
        return replies, len(written) - len(replies)


def open_engine(run: Run, checkpoint: Path, chats: list[list[dict]], emit: Emit) -> Engine:
    """What samples: llama.cpp, from files that are exported where they are not there yet; else the
    training model."""
    from importlib.util import find_spec

    settings, base_folder = run.recipe.student, cache_folder() / "gguf"
    why = "llama-cpp-python or gguf is not installed"
    can_export = bool(find_spec("llama_cpp") and find_spec("gguf"))
    if can_export:
        from recipes.rollouts import gguf_cache
        from recipes.rollouts.file_engine import FileEngine, FileStudent

        if files := gguf_cache.find(run.folder, checkpoint, base_folder):
            return FileEngine(FileStudent(files), files, settings.longest, threads_of(run))
    from recipes.rollouts.model_engine import ModelEngine
    from recipes.session import Session

    emit(StudentLoaded(can_export))
    student = Session(run, None, emit).student
    student.restore(checkpoint)
    if can_export:
        try:
            files = gguf_cache.export(
                student,
                run.folder,
                checkpoint,
                base_folder,
                chats,
                settings.longest,
                progress_to(emit),
            )
            make_room(notes_to(emit))
            return FileEngine(FileStudent(files), files, settings.longest, threads_of(run))
        except gguf_cache.NotExportable as error:
            why = str(error)
    emit(TrainingModelWrites(why))
    return ModelEngine(student)
