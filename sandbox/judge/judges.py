"""The judges of several repositories, as one: each task is judged by that of its own.

with Judges({"calc": judge, "toolz": another}) as judges:
    judges.judge_many(pairs)       # as of `Judge`, by `Task.repo`
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from sandbox.errors import HarnessError
from sandbox.judge.gate import InvalidEdit
from sandbox.judge.outcomes import Verdict
from sandbox.judge.processes import nobody_listens
from sandbox.judge.settings import Limits
from sandbox.judge.showing import Shown
from sandbox.judge.verdict import Judge
from sandbox.tasks.task import Task


class Judges:
    """What the rest of the program asks a `Judge`, of several."""

    def __init__(self, by_repo: Mapping[str, Judge]) -> None:
        """{`Task.repo`: the judge of its tasks}; they are closed with this."""
        self._by_repo = dict(by_repo)

    @property
    def limits(self) -> Limits:
        """Those of each."""
        return next(iter(self._by_repo.values())).limits

    def of(self, task: Task) -> Judge:
        """Who judges this task."""
        return self._by_repo[task.repo]

    def tree_of(self, task: Task) -> Path:
        """As of `Judge`."""
        return self.of(task).tree_of(task)

    def sources_of(self, task: Task) -> dict[str, str]:
        """As of `Judge`."""
        return self.of(task).sources_of(task)

    def run_shown(self, task: Task, files: dict[str, str]) -> Shown:
        """As of `Judge`."""
        return self.of(task).run_shown(task, files)

    def judge_many(
        self,
        pairs: Iterable[tuple[Task, dict[str, str] | InvalidEdit]],
        on_progress: Callable[[int, int], None] = nobody_listens,
    ) -> list[Verdict | HarnessError]:
        """As of `Judge`; repository after repository, so that no more jails are at work than one
        has."""
        pairs = list(pairs)
        by_repo: dict[str, list[int]] = {}
        for place, (task, _) in enumerate(pairs):
            by_repo.setdefault(task.repo, []).append(place)
        verdicts: dict[int, Verdict | HarnessError] = {}
        for repo, places in by_repo.items():
            of_one = [pairs[place] for place in places]
            verdicts |= zip(places, self._by_repo[repo].judge_many(of_one))
            on_progress(len(verdicts), len(pairs))
        return [verdicts[place] for place in range(len(pairs))]

    def stop(self) -> None:
        """As of `Judge`."""
        for judge in self._by_repo.values():
            judge.stop()

    def close(self) -> None:
        """As of `Judge`, of each."""
        with ExitStack() as stack:
            for judge in self._by_repo.values():
                stack.callback(judge.close)

    def __enter__(self) -> "Judges":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


AnyJudge = Judge | Judges
