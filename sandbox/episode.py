"""A task as an environment: what may be known of it, a reply, its verdict.

    episode = Episode(judge, task, messages, "blocks", turns=3)
    while isinstance(outcome := episode.step(model(episode.observe())), Feedback):
        ...                                                     # outcome.text is in the messages
    outcome                                                     # the Verdict that ended it

    verdict = judge_reply(judge, task, text, "blocks")          # an episode of one turn
    verdicts = judge_replies(judge, [(task, text), ...], "blocks")

One way for all: the student's rollouts, a teacher's answers, `fix`, `judge --reply` and the
exported environment.

A reply is an edit, a whole new answer to the same broken state, or one line that asks
(`asking.py`). For an edit the tests that the prompt shows are run, and no others. Where they pass,
or no turn is left, all of them are asked, once in an episode, and their verdict ends it. Else what
the shown ones say is answered. Nothing of that depends on a hidden test or on the gold edit: they
are not there where the shown tests run (`sandbox/judge/showing.py`), nor among the files that may
be asked about (`sandbox/judge/sources.py`)."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sandbox.errors import HarnessError
from sandbox.judge.edits import from_reply
from sandbox.judge.gate import InvalidEdit, gate
from sandbox.judge.judges import AnyJudge
from sandbox.judge.verdict import Verdict
from sandbox.tasks.asking import answered, asked
from sandbox.tasks.feedback import cut, what_fails
from sandbox.tasks.replies import without_thinking
from sandbox.tasks.styles import asks_again
from sandbox.tasks.task import Task


@dataclass(frozen=True)
class Feedback:
    """What is said to a reply that does not end its episode."""

    text: str
    """What the next message says."""
    status: str
    """For the books: `asked`; or what the verdict would be: `failed`, `timeout` or `invalid`."""
    reason: str
    """Why, in words."""


class Episode:
    """One task, and up to `turns` replies to it. No two threads may share one; several episodes may
    share their judge."""

    def __init__(
        self,
        judge: AnyJudge,
        task: Task,
        messages: list[dict[str, str]],
        style: str,
        turns: int = 1,
    ) -> None:
        """`messages`: what is asked (`prompts.py`), in the chat format of role and content;
        `style`: how replies are to be written (`edits.py`). Raises ValueError for no turn at
        all."""
        if turns < 1:
            raise ValueError("an episode has at least one turn")
        self.task, self.turns = task, turns
        self._judge, self._style = judge, style
        self._messages, self._left = list(messages), turns
        self._used = 0

    @property
    def is_over(self) -> bool:
        return self._left == 0

    @property
    def turns_used(self) -> int:
        """Replies that it was given."""
        return self._used

    def observe(self) -> list[dict[str, str]]:
        """The messages that the next reply answers, without what was thought before others."""
        return list(self._messages)

    def fork(self) -> Self:
        """Another episode that has come as far as this one, and goes on by itself."""
        other = copy.copy(self)
        other._messages = list(self._messages)
        return other

    def step(self, reply: str) -> Feedback | Verdict:
        """What the reply comes to: its Verdict where that ends the episode, else what is said to
        it. Raises HarnessError where the jails failed, and the turn is not used up then; ValueError
        where the episode is over."""
        before = self._left, self._used
        if feedback := self.answer(reply):
            return feedback
        try:
            return self._verdict(reply)
        except HarnessError:
            self._left, self._used = before
            raise

    def answer(self, reply: str) -> Feedback | None:
        """What is said to the reply; None where it ends the episode, and a verdict on it is due.
        Raises as `step`."""
        if self.is_over:
            raise ValueError("the episode is over")
        feedback = self._feedback(reply) if self._left > 1 else None
        self._used += 1
        self._left = self._left - 1 if feedback else 0
        if feedback:
            self._messages += [
                {"role": "assistant", "content": without_thinking(reply)[1] or reply},
                {"role": "user", "content": feedback.text},
            ]
        return feedback

    def _verdict(self, reply: str) -> Verdict:
        """All tests are asked. A question in the last turn is no edit."""
        if self.turns > 1 and asked(reply):
            fault = InvalidEdit("the last reply asks, and does not answer")
            (verdict,) = self._judge.judge_many([(self.task, fault)])
        else:
            (verdict,) = judge_replies(self._judge, [(self.task, reply)], self._style)
        if isinstance(verdict, HarnessError):
            raise verdict
        return verdict

    def _feedback(self, reply: str) -> Feedback | None:
        """What is said to the reply; None where the shown tests pass."""
        if question := asked(reply):
            return Feedback(
                answered(question, self._judge.sources_of(self.task)), "asked", "It asks."
            )
        try:
            files = files_with(reply, self.task, self._judge.tree_of(self.task), self._style)
        except InvalidEdit as error:
            return self._said(f"This answer cannot be used: {error}.", "invalid", f"{error}.")
        shown = self._judge.run_shown(self.task, files)
        if shown.timeout:
            words = "With this answer the tests do not end in time."
            return self._said(words, "timeout", "The shown tests do not end in time.")
        if not shown.failing:
            return None
        reason = f"{len(shown.failing)} of {len(self.task.shown)} shown tests do not pass."
        return self._said(what_fails(shown), "failed", reason)

    def _said(self, words: str, status: str, reason: str) -> Feedback:
        text = f"{cut(words)}\n\n{asks_again(self._style, self.task)}"
        return Feedback(text, status, reason)


def judge_reply(judge: AnyJudge, task: Task, text: str, style: str) -> Verdict:
    """The verdict of one reply. Raises HarnessError where there is none."""
    outcome = Episode(judge, task, [], style).step(text)
    assert isinstance(outcome, Verdict)  # the only turn is the last
    return outcome


def judge_replies(
    judge: AnyJudge, pairs: Iterable[tuple[Task, str]], style: str
) -> list[Verdict | HarnessError]:
    """The verdicts of (task, reply text) pairs in their order; a HarnessError in the place of each
    that the jail failed on again and again. Raises HarnessError where the judge is being closed."""
    edits: dict[tuple[str, str], dict[str, str] | InvalidEdit] = {}

    def edit(task: Task, text: str) -> dict[str, str] | InvalidEdit:
        # A student often writes the same thing again.
        if (key := (task.instance_id, text)) not in edits:
            edits[key] = edit_of(text, task, judge.tree_of(task), style)
        return edits[key]

    # One after the other, so that the gate finds the syntax tree of what was just made at hand.
    return judge.judge_many((task, edit(task, text)) for task, text in pairs)


def edit_of(text: str, task: Task, tree: Path, style: str) -> dict[str, str] | InvalidEdit:
    """The edit of the broken state that is in a reply, or why there is none. `tree`: the snapshot;
    `style`: how replies are to be written (`edits.py`)."""
    try:
        return from_reply(text, task, task.broken(tree), style)
    except InvalidEdit as error:
        return error


def files_with(text: str, task: Task, tree: Path, style: str) -> dict[str, str]:
    """The files with the reply's edit in them, as the gate lets it through. Raises InvalidEdit."""
    return gate(from_reply(text, task, task.broken(tree), style), task, tree)
