"""What is seen of a project's functions when more than its suite runs: tests that are made, and the
calls that tests make. It is written down beside what was mined, and not measured again.

    observer = Observer(repository, limits, survey, folder, on_progress)
    observer.runs("examples", {path: text})     # what two runs of these tests show
    observer.calls(tests, [("lib/text.py", 3, "words", False)])   # calls that came out the same twice
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.judge.settings import Limits
from sandbox.judge.verdict import Judge
from sandbox.repo import Repository
from sandbox.suite_runs import SUITE_SECONDS, Progress, Runs, run_twice
from sandbox.survey import Survey


@dataclass(frozen=True)
class SeenFunction:
    """What a function was seen to do."""

    calls: dict[str, str]
    """{arguments: value}, both as Python writes them."""
    callers: tuple[tuple[str, int], ...]
    """(file, line) that called it; "" for files that are not the project's."""


def _seen(replies: list[dict]) -> list[list[dict]]:
    return [reply["seen"] for reply in replies]


def _same(one: dict, other: dict) -> dict:
    """What is the same in both."""
    calls = {given: v for given, v in one["calls"].items() if other["calls"].get(given) == v}
    return {"calls": calls, "callers": one["callers"]}


class Observer:
    """Runs tests in the jail for who makes drafts."""

    def __init__(
        self,
        repository: Repository,
        limits: Limits,
        survey: Survey,
        folder: Path,
        on_progress: Progress,
    ) -> None:
        self._repository, self._limits, self._survey = repository, limits, survey
        self._folder, self._on_progress = folder, on_progress

    def runs(self, name: str, files: dict[str, str]) -> Runs:
        """What two runs of the tests in these files show, which are not in the repository. `name`:
        what it is written down as. Raises UsageError where they do not run."""

        def measured() -> dict:
            with Judge(self._repository, self._limits, self._survey.suite()) as judge:
                runs = run_twice(judge, sorted(files), self._on_progress, files)[1]
                return asdict(runs)

        return Runs(**self._kept(name, measured))

    def calls(
        self, tests: list[str], functions: list[tuple[str, int, str, bool]]
    ) -> list["SeenFunction"]:
        """For each of these functions, (file, first line, name, whether its first argument is a
        class), the calls of plain values that it had in two runs of the tests, in processes of
        their own, and that gave the same in both. Raises UsageError where the tests do not run."""

        def measured() -> dict:
            wanted = {"files": self._repository.project_files, "functions": functions}
            request = {"ids": tests, "timeout": SUITE_SECONDS, "seen": wanted, "progress": True}
            with Judge(self._repository, self._limits, self._survey.suite()) as judge:
                replies = [judge.run(request, self._told(number)) for number in ("", " again")]
            if not all("seen" in reply for reply in replies):
                raise UsageError("the tests do not run to their end while calls are recorded.")
            return {"seen": [_same(one, other) for one, other in zip(*_seen(replies))]}

        if not functions:
            return []
        found = self._kept("calls", measured)["seen"]
        return [
            SeenFunction(f["calls"], tuple((file, line) for file, line in f["callers"]))
            for f in found
        ]

    def _told(self, again: str) -> Callable[[int, int], None]:
        return lambda done, total: self._on_progress(f"recording calls{again}", done, total)

    def _kept(self, name: str, measure: Callable[[], dict]) -> dict:
        file = self._folder / f"{name}.json"
        if not file.exists():
            jsonl.write_aside(file, json.dumps(measure()).encode())
        try:
            found: dict = json.loads(file.read_text())
            return found
        except ValueError:
            raise UsageError(f"{file} is damaged. Delete it; it is measured again.") from None
