"""A task as an environment: what may be known of it, a reply, its verdict.

    episode = Episode(judge, task, messages, "blocks", turns=3)
    while isinstance(outcome := episode.step(model(episode.observe())), Feedback):
        ...                                                     # outcome.text is in the messages
    outcome                                                     # the Verdict that ended it

    verdict = judge_reply(judge, task, text, "blocks")          # an episode of one turn
    verdicts = judge_replies(judge, [(task, text), ...], "blocks")

One way for all: the student's rollouts, a teacher's answers, `fix`, `judge --reply` and the
exported environment.

Who replies learns of a reply that failed no more than a person would who has seen the prompt: why
it is no edit, that time ran out, or what the tests that the prompt shows say of it. Of hidden tests
it learns that there are some, and no line that only they, a twin or the gold edit hold.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox.errors import HarnessError
from sandbox.judge.edits import from_reply
from sandbox.judge.gate import InvalidEdit, gate
from sandbox.judge.verdict import Judge, Verdict
from sandbox.tasks.replies import without_thinking
from sandbox.tasks.statements import secrets, what_fails
from sandbox.tasks.task import Task

FINAL = ("resolved", "tampered")
"""Verdicts that end an episode in whichever turn they come."""

AGAIN = (
    "{what}\n\n"
    "The code is still as it was in the first message. Answer again in the same format and as a "
    "whole, as if for the first time: say nothing of this attempt."
)


@dataclass(frozen=True)
class Feedback:
    """A reply that does not resolve its task, where another one may follow."""

    text: str
    """What the next message says."""
    verdict: Verdict = field(repr=False)
    """For the books, and never for who replies: it names hidden tests."""


class Episode:
    """One task, and up to `turns` replies to it, each a whole new answer. No two threads may share
    one; several episodes may share their judge."""

    def __init__(
        self, judge: Judge, task: Task, messages: list[dict[str, str]], style: str, turns: int = 1
    ) -> None:
        """`messages`: what is asked (`prompts.py`), in the chat format of role and content;
        `style`: how replies are to be written (`edits.py`). Raises ValueError for no turn at all."""
        if turns < 1:
            raise ValueError("an episode has at least one turn")
        self.task = task
        self._judge, self._style = judge, style
        self._messages, self._left = list(messages), turns

    @property
    def is_over(self) -> bool:
        return self._left == 0

    def observe(self) -> list[dict[str, str]]:
        """The messages that the next reply answers; without what was thought before earlier ones."""
        return list(self._messages)

    def step(self, reply: str) -> Feedback | Verdict:
        """What the reply comes to: its Verdict where that ends the episode, else what is said of
        it. Raises HarnessError where there is no verdict, and the turn is not used up then;
        ValueError where the episode is over."""
        if self.is_over:
            raise ValueError("the episode is over")
        (verdict,) = judge_replies(self._judge, [(self.task, reply)], self._style)
        if isinstance(verdict, HarnessError):
            raise verdict
        if self._left == 1 or verdict.status in FINAL:
            self._left = 0
            return verdict
        feedback = Feedback(AGAIN.format(what=self._what_fails(reply, verdict)), verdict)
        self._left -= 1
        self._messages += [
            {"role": "assistant", "content": without_thinking(reply)[1] or reply},
            {"role": "user", "content": feedback.text},
        ]
        return feedback

    def _what_fails(self, reply: str, verdict: Verdict) -> str:
        if verdict.status == "invalid":
            return f"This answer cannot be used: {verdict.reason}"
        if verdict.status == "timeout":
            return "With this answer the tests do not end in time."
        tree = self._judge.repository.snapshot
        said = self._run_shown(files_with(reply, self.task, tree, self._style))
        outcomes = said.get("outcomes", {})
        failing = tuple(test for test in self.task.shown if outcomes.get(test) != "passed")
        if not failing:
            return (
                "With this answer the tests that you were shown pass, and others of the same "
                "code fail."
            )
        told = replace(self.task, shown=failing)
        words = what_fails(told, said.get("text", {}), secrets(self.task, tree))
        return f"With this answer tests fail:\n\n{words}"

    def _run_shown(self, files: dict[str, str]) -> dict:
        """The runner's reply (`inside/runner.py`), with pytest's text, for the tests that may be
        shown, and no others: what hidden ones say is never at hand here."""
        return self._judge.run(
            {
                "files": files,
                "ids": list(self.task.shown),
                "text": True,
                "timeout": self._judge.limits.timeout + 10 * self.task.test_seconds,
            }
        )


def judge_reply(judge: Judge, task: Task, text: str, style: str) -> Verdict:
    """The verdict of one reply. Raises HarnessError where there is none."""
    outcome = Episode(judge, task, [], style).step(text)
    assert isinstance(outcome, Verdict)  # the only turn is the last
    return outcome


def judge_replies(
    judge: Judge, pairs: Iterable[tuple[Task, str]], style: str
) -> list[Verdict | HarnessError]:
    """The verdicts of (task, reply text) pairs in their order; a HarnessError in the place of each
    that the jail failed on again and again. Raises HarnessError where the judge is being closed."""
    edits: dict[tuple[str, str], dict[str, str] | InvalidEdit] = {}

    def edit(task: Task, text: str) -> dict[str, str] | InvalidEdit:
        # A student often writes the same thing again.
        if (key := (task.instance_id, text)) not in edits:
            edits[key] = edit_of(text, task, judge.repository.snapshot, style)
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
