"""What a kind of task has to work with: the repository, what its suite showed, and what all kinds
ask of these."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from sandbox.judge.gate import looks_like_tests
from sandbox.reasons import Reasons
from sandbox.repo import Repository
from sandbox.source import Function
from sandbox.survey import Progress, Survey
from sandbox.tasks.candidates import MAX_TESTS, Candidate, candidates, functions_of, most_specific
from sandbox.tasks.observing import Observer
from sandbox.tasks.task import Task


@dataclass(frozen=True)
class Ground:
    """Where tasks are mined."""

    repository: Repository
    survey: Survey
    seed: int = 0
    since: date | None = None
    """Of the history, only what is not older than this day (UTC)."""
    on_progress: Progress = lambda what, done, total: None
    excluded: Reasons = field(default_factory=Reasons)
    """Why things became no draft."""
    observer: Observer | None = None
    """Who runs more than the suite, where drafts may ask for it."""

    @cached_property
    def candidates(self) -> list[Candidate]:
        """The functions worth breaking; `excluded` then has the reasons why others are not."""
        fit, excluded = candidates(self.repository, self.survey)
        self.excluded.take(excluded, excluded.names)
        return fit

    def functions(self, file: str) -> list[Function]:
        """Those of a file of the snapshot. Raises Unfit with the file's name in it."""
        return functions_of(self.repository, file)

    def is_source(self, file: str) -> bool:
        """Whether an edit may change this file: it is none of the tests, nor what configures them,
        and git does not ignore it."""
        named = looks_like_tests(file) and file not in self.survey.roles.sources
        return (
            file.endswith(".py")
            and not named
            and not self.survey.is_test(file)
            and not self.repository.carried_as(file)
        )

    def sources(self, files: Iterable[str]) -> tuple[str, ...]:
        """`Task.sources` of a task about these files."""
        return tuple(file for file in files if file in self.survey.roles.sources)

    def specific_tests(self, tests: set[str], count: int = MAX_TESTS) -> tuple[str, ...]:
        """Of the passing ones among these tests the `count` that call the fewest functions, in the
        order of the suite."""
        passing = [test for test in self.survey.passing if test in tests]
        return most_specific(passing, self.survey, count)

    def task(
        self, kind: str, name: str, file: str, function: str, patch: str, tests: tuple[str, ...]
    ) -> Task:
        """The task `name`, its tests not sorted yet."""
        return Task(
            instance_id=name,
            kind=kind,
            split="",
            repo=Path(self.repository.root).name,
            base_commit=self.repository.commit,
            file=file,
            function=function,
            patch=patch,
            FAIL_TO_PASS=tests,
            PASS_TO_PASS=(),
            shown=(),
            problem_statement="",
            sources=self.sources([file]),
            test_seconds=round(sum(self.survey.seconds[t] for t in tests), 4),
        )


def instance_id(kind: str, file: str, qualname: str) -> str:
    """`blank-package.module.Class.method`"""
    return (
        f"{kind}-{file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}.{qualname}"
    )
