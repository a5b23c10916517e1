"""What mining measures with the judge's processes: test runs without a verdict, many at once.

    replies = judge.measuring.screen_many([(task, files), ...])

A HarnessError stands in place of what failed in every jail (`processes.TRIES` times), and one is
raised where the judge is being closed.
"""

import time
from dataclasses import replace

from sandbox.errors import HarnessError
from sandbox.judge.confirm import run_twins
from sandbox.judge.outside import Outside, Recorded
from sandbox.judge.processes import SUITE_REPORT_MB
from sandbox.judge.screening import Screening
from sandbox.tasks.task import Task

ANOTHER_SECOND = 1.1
"""Seconds after which a clock that counts whole ones shows another."""


class Measuring:
    """Measures tasks; everything in the order of what it is given."""

    def __init__(self, screening: Screening, outside: Outside) -> None:
        self._screening, self._outside = screening, outside
        self._processes = screening.processes
        self._recorded_at = 0.0

    def screen_many(self, pairs: list[tuple[Task, dict[str, str]]]) -> list[dict | HarnessError]:
        """The runner's replies for (task, files of the tree) pairs, as the screen has them."""

        def screen(task: Task, files: dict[str, str]) -> dict:
            patches = self._screening.function_patches(files, task.named)
            return self._screening.run(task, files, patches)

        return self._processes.each(screen, pairs)

    def forked_many(self, pairs: list[tuple[Task, dict[str, str]]]) -> list[dict | HarnessError]:
        """As `screen_many`, always in a process that has loaded nothing of the project."""

        def ask(task: Task, files: dict[str, str]) -> dict:
            return self._processes.ask_forked(self._processes.request(task, files))

        return self._processes.each(ask, pairs)

    def failures_many(
        self, pairs: list[tuple[Task, dict[str, str]]], seconds: float
    ) -> list[dict | HarnessError]:
        """As `forked_many`, with pytest's text of what fails; `seconds` in place of
        `Limits.timeout`."""

        def ask(task: Task, files: dict[str, str]) -> dict:
            request = self._processes.request(task, files)
            changed = {
                "text": True,
                "report_mb": SUITE_REPORT_MB,
                "timeout": seconds + 10 * task.test_seconds,
            }
            return self._processes.ask_forked({**request, **changed})

        return self._processes.each(ask, pairs)

    def twins_many(
        self, tasks: list[Task], twins: list[dict[str, str]]
    ) -> list[dict | HarnessError]:
        """The runner's replies for each task's FAIL_TO_PASS on the intact tree but for these test
        files."""

        def run(task: Task, files: dict[str, str]) -> dict:
            return run_twins(self._screening, task, files, task.FAIL_TO_PASS)

        return self._processes.each(run, zip(tasks, twins))

    def recorded_calls(self, tasks: list[Task]) -> list[Recorded | HarnessError]:
        """For each task the gold edit's calls and answers under its tests, as far as they can be
        heard from outside."""
        recorded = self._processes.each(self._record, ((task,) for task in tasks))
        self._recorded_at = time.monotonic()
        return recorded

    def repeated_calls(
        self, tasks: list[Task], recorded: list[Recorded]
    ) -> list[Recorded | HarnessError]:
        """For each task as much of what `recorded_calls` gave as a task keeps, where all comes out
        the same again: in a process of their own, and in another second, because a function may
        read the clock. What does not makes the task soft."""
        if any(found.calls for found in recorded):
            time.sleep(max(0.0, self._recorded_at + ANOTHER_SECOND - time.monotonic()))
        return self._processes.each(self._repeated, zip(tasks, recorded))

    # No slower tier can record calls or repeat them: a jail that fails makes no task soft.

    def _record(self, task: Task) -> Recorded:
        if not self._screening.has_in_process:
            return Recorded(why="its tests cannot be kept collected")
        return self._outside.record(task)

    def _repeated(self, task: Task, recorded: Recorded) -> Recorded:
        if recorded.why or not self._screening.has_in_process:
            return replace(recorded, calls=())
        return self._outside.repeat(replace(task, recorded=recorded.calls, state=recorded.state))
