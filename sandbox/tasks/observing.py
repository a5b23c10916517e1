"""What is seen of a project's functions when more than its suite runs: tests that are made, and the
calls that tests make. It is written down beside what was mined, and not measured again.

    observer = Observer(repository, limits, survey, folder, on_progress)
    observer.runs("examples", {path: text})     # what two runs of these tests show
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.judge.settings import Limits
from sandbox.judge.verdict import Judge
from sandbox.repo import Repository
from sandbox.suite_runs import Progress, Runs, run_twice
from sandbox.survey import Survey


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

    def _kept(self, name: str, measure: Callable[[], dict]) -> dict:
        file = self._folder / f"{name}.json"
        if not file.exists():
            jsonl.write_aside(file, json.dumps(measure()).encode())
        try:
            found: dict = json.loads(file.read_text())
            return found
        except ValueError:
            raise UsageError(f"{file} is damaged. Delete it; it is measured again.") from None
