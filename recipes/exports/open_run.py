"""A run for a program that is none of ours, such as one that trains on its exported environment.

with open_run(folder) as opened:
    opened.verdict(instance_id, reply); opened.answer(instance_id, replies)
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recipes.events import Event
from recipes.runfolder.run import Run
from recipes.session import open_judge
from sandbox.episode import Episode, judge_reply
from sandbox.judge.judges import AnyJudge


class OpenRun:
    """A run's tasks and judge. Several threads may call at once."""

    def __init__(self, run: Run, judge: AnyJudge) -> None:
        self._judge, self._recipe = judge, run.recipe
        self._tasks = {t.instance_id: t for t in run.tasks}

    def verdict(self, instance_id: str, text: str) -> tuple[str, float]:
        """(status, reward) of a reply."""
        style = self._recipe.prompt.style
        found = judge_reply(self._judge, self._tasks[instance_id], text, style)
        return found.status, found.reward

    def answer(self, instance_id: str, replies: list[str]) -> str | None:
        """What is said of the last of these replies; None where the episode is over with it."""
        style, turns = self._recipe.prompt.style, self._recipe.student.turns
        episode = Episode(self._judge, self._tasks[instance_id], [], style, turns)
        feedback = None
        for reply in replies:  # the judge remembers what was said of the earlier ones
            feedback = episode.answer(reply)
        return feedback.text if feedback else None


@contextmanager
def open_run(folder: Path) -> Iterator[OpenRun]:
    """The run in this folder. What is to be said goes to standard error. Raises UsageError where
    there is none."""

    def emit(event: Event) -> None:
        sys.stderr.write(f"{event}\n")

    run = Run.open(folder)
    with open_judge(run, emit) as judge:
        yield OpenRun(run, judge)
