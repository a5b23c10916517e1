"""A reply to a task -> its edit -> its verdict.

    verdict = judge_reply(judge, task, text, "blocks")
    verdicts = judge_replies(judge, [(task, text), ...], "blocks")

One way for all: the student's rollouts, a teacher's answers, `fix`, `judge --reply` and the
exported environment.
"""

from collections.abc import Iterable
from pathlib import Path

from sandbox.errors import HarnessError
from sandbox.judge.edits import from_reply
from sandbox.judge.gate import InvalidEdit, gate
from sandbox.judge.verdict import Judge, Verdict
from sandbox.tasks.task import Task


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


def judge_reply(judge: Judge, task: Task, text: str, style: str) -> Verdict:
    """The verdict of one reply. Raises HarnessError where there is none."""
    (verdict,) = judge_replies(judge, [(task, text)], style)
    if isinstance(verdict, HarnessError):
        raise verdict
    return verdict
