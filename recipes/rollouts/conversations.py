"""What the environment says to the student between two turns of an episode.

    with open_conversations(student, judge, recipe) as conversations:
        for part in engine.stream(prompts, ..., turns=conversations.about(tasks)): ...
        conversations.said(task, completion)     # [{"role", "content"}, ...] before its last reply

An `Episode` (`sandbox/episode.py`) is about texts; here are the token ids of a history, and to
which episode each belongs. Completions that have written the same are one history, whose reply is
looked at once. Nothing is rendered anew: what is said is appended (`StudentTokens.answer_ids`).
"""

import threading
from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from recipes.rollouts.engine import Completion, Turns
from recipes.settings import Recipe
from sandbox.episode import Episode
from sandbox.errors import HarnessError
from sandbox.judge.judges import AnyJudge
from sandbox.tasks.task import Task

Ids = tuple[int, ...]


class ReadTurns(Protocol):
    """What must be known of a student to go on behind its replies."""

    def text(self, ids: Sequence[int]) -> str: ...

    def answer_ids(self, text: str) -> list[int]: ...


def open_conversations(
    student: ReadTurns, judge: AnyJudge, recipe: Recipe, one_turn: Container[str] = ()
) -> AbstractContextManager["Conversations | None"]:
    """What a student is told between the turns of its episodes; None where these have one.
    `one_turn`: instance_ids of tasks about which nothing is said."""
    settings, style = recipe.student, recipe.prompt.style
    if settings.turns == 1:
        return nullcontext()

    def begin(task: Task) -> Episode:
        return Episode(judge, task, [], style, settings.turns)

    return Conversations(student, begin, settings.episode, judge.limits.jails, one_turn)


class Conversations:
    """The episodes of some tasks, by what has been written."""

    def __init__(
        self,
        student: ReadTurns,
        open_episode: Callable[[Task], Episode],
        max_tokens: int,
        workers: int,
        one_turn: Container[str] = (),
    ) -> None:
        """`max_tokens`: of an episode behind its prompt; `workers`: replies that are looked at side
        by side; `one_turn`: as of `open_conversations`."""
        self._one_turn = one_turn
        self._student, self._open_episode, self.max_tokens = student, open_episode, max_tokens
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="episodes")
        self._lock = threading.Lock()
        self._reached: dict[str, dict[Ids, Episode]] = {}
        """{instance_id: {ids up to where a turn begins: the episode as it is there}}"""
        self._told: dict[tuple[str, Ids], str] = {}
        """{(instance_id, ids up to where a turn ends): what was said of it}"""
        self._failures: dict[tuple[str, Ids], str] = {}
        """The same of replies at which the jail failed: why."""

    def __enter__(self) -> "Conversations":
        return self

    def __exit__(self, *exception: Any) -> None:
        # Whoever breaks off need not wait: what the jails do ends with them.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def about(self, tasks: Sequence[Task]) -> Turns:
        """What an engine asks about the completions of these tasks' prompts."""
        return Turns(lambda index, ids: self._answer(tasks[index], ids), self.max_tokens)

    def said(self, task: Task, completion: Completion) -> list[dict[str, str]]:
        """The replies before its last one, each with what was said of it."""
        messages: list[dict[str, str]] = []
        for start, end in completion.turns[:-1]:
            reply = self._student.text(completion.ids[start:end])
            told = self._told[task.instance_id, completion.ids[:end]]
            messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": told}]
        return messages

    def failure(self, task: Task, completion: Completion) -> str:
        """Why nobody knows how it would have gone on; empty where the jail did not fail."""
        return self._failures.get((task.instance_id, completion.ids), "")

    def _answer(self, task: Task, ids: Ids) -> "Future[Sequence[int]]":
        if task.instance_id in self._one_turn:
            nothing: Future[Sequence[int]] = Future()
            nothing.set_result(())
            return nothing
        with self._lock:
            reached = self._reached.setdefault(task.instance_id, {})
            if not reached:
                reached[()] = self._open_episode(task)
            before = max((known for known in reached if ids[: len(known)] == known), key=len)
            episode = reached[before].fork()
        return self._pool.submit(self._answered, task, episode, ids, ids[len(before) :])

    def _answered(self, task: Task, episode: Episode, ids: Ids, reply: Ids) -> Ids:
        try:
            feedback = episode.answer(self._student.text(reply))
        except HarnessError as error:
            with self._lock:
                self._failures[task.instance_id, ids] = str(error)
            return ()
        if feedback is None:
            return ()
        more = tuple(self._student.answer_ids(feedback.text))
        with self._lock:
            self._reached[task.instance_id][ids + more] = episode
            self._told[task.instance_id, ids] = feedback.text
        return more
