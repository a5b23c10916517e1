"""A run for a program that is none of ours, such as one that trains on its exported environment.

with open_run(folder) as opened:
    opened.verdict(instance_id, reply); opened.answer(instance_id, replies)
    opened.verdicts([(instance_id, reply), ...])
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import Event
from recipes.runfolder.run import Run
from recipes.session import open_judge
from sandbox.episode import Episode, judge_replies, judge_reply
from sandbox.errors import HarnessError
from sandbox.judge.judges import AnyJudge
from sandbox.judge.verdict import Verdict

if TYPE_CHECKING:
    from recipes.rollouts.conversations import Conversations, ReadTurns
    from recipes.runfolder.places import Place


class OpenRun:
    """A run's tasks and judge. Several threads may call at once."""

    def __init__(self, run: Run, judge: AnyJudge) -> None:
        self._judge, self.recipe = judge, run.recipe
        self.tasks = {t.instance_id: t for t in run.tasks}
        """By instance_id."""

    def verdict(self, instance_id: str, text: str) -> tuple[str, float]:
        """(status, reward) of a reply."""
        style = self.recipe.prompt.style
        found = judge_reply(self._judge, self.tasks[instance_id], text, style)
        return found.status, found.reward

    def verdicts(self, replies: Sequence[tuple[str, str]]) -> list[Verdict | HarnessError]:
        """The verdict on each (instance_id, reply), several jails at work; a HarnessError in the
        place of each that they failed on again and again, which is no failure of the model."""
        pairs = [(self.tasks[instance_id], text) for instance_id, text in replies]
        return judge_replies(self._judge, pairs, self.recipe.prompt.style)

    def answer(self, instance_id: str, replies: list[str]) -> str | None:
        """What is said of the last of these replies; None where the episode is over with it."""
        style, turns = self.recipe.prompt.style, self.recipe.student.turns
        episode = Episode(self._judge, self.tasks[instance_id], [], style, turns)
        feedback = None
        for reply in replies:  # the judge remembers what was said of the earlier ones
            feedback = episode.answer(reply)
        return feedback.text if feedback else None

    def conversations(self, student: ReadTurns) -> AbstractContextManager[Conversations | None]:
        """What the student is told between the turns of its episodes; None where these have one."""
        from recipes.rollouts.conversations import open_conversations

        return open_conversations(student, self._judge, self.recipe)


@contextmanager
def open_run(folder: Path, workers: int = 0, memory: Path | None = None) -> Iterator[OpenRun]:
    """The run in this folder. What is to be said goes to standard error. `workers`: jails at the
    same time, as the recipe says where 0; `memory`: a file for the verdicts of this process alone
    (of several repositories one each, with their names before it), which begins with those of the
    run where it is not there yet; without it they go to the run's. Raises UsageError where there is
    no run."""

    def emit(event: Event) -> None:
        sys.stderr.write(f"{event}\n")

    run = Run.open(folder)

    def memory_of(place: Place) -> Path:
        known = place.folder / "verdicts.jsonl"
        if memory is None:
            return known
        own = memory if place.alone else memory.with_name(f"{place.name}-{memory.name}")
        if not own.exists() and known.exists():
            shutil.copyfile(known, own)
        return own

    with open_judge(run, emit, workers, memory_of) as judge:
        yield OpenRun(run, judge)
