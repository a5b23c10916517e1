"""The test suite, run twice: what was seen of each test.

first, runs = run_twice(judge, files, on_progress)     # no files: the whole suite
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.errors import UsageError
from sandbox.judge.verdict import Judge

SUITE_SECONDS = 1800.0

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Runs:
    """What was seen of each test in the two runs, the flaky ones and the skipped included."""

    first: dict[str, str]
    """Outcomes, in the order the tests ran."""
    second: dict[str, str]
    times: dict[str, float]
    """Seconds in the second run."""
    calls: dict[str, list[list]]
    """[file, first line, name] of the functions of the project that each test called."""
    modules: list[str]
    unseen: dict[str, list[str]] = field(default_factory=dict)
    """As in `Survey`, of all tests."""
    files: dict = field(default_factory=dict)
    """As `inside/suite.py` reports them, and "all": the project's files; {} where that is not
    known."""
    loading: dict[str, list[list]] | None = None
    """As `inside/suite.py` reports it."""


def run_twice(
    judge: Judge, names: list[str], on_progress: Progress, given: dict[str, str] | None = None
) -> tuple[dict, Runs]:
    """(reply of the first run, both runs) of these test files; of the whole suite where none is
    named. `given`: {path: text} of files that are there beside those of the tree."""
    request = {
        "files": given or {},
        "ids": names,
        "timeout": SUITE_SECONDS,
        "args": ["--continue-on-collection-errors"],
        "output": True,
        "progress": True,
    }
    first = judge.run(
        {**request, "trace": judge.repository.project_files, "modules": True},
        lambda done, total: on_progress("running the test suite, traced", done, total),
    )
    _refuse_useless_run(first, judge.repository.root)
    second = judge.run(
        request, lambda done, total: on_progress("running the test suite again", done, total)
    )
    _refuse_useless_run(second, judge.repository.root)
    calls = {
        test: [first["functions"][i] for i in indices] for test, indices in first["calls"].items()
    }
    files = {**first["files"], "all": judge.repository.project_files}
    return first, Runs(
        first["outcomes"],
        second["outcomes"],
        second["times"],
        calls,
        first["modules"],
        first["unseen"],
        files,
        first["loading"],
    )


def bytecode_of(reply: dict) -> dict[str, bytes]:
    return {path: base64.b64decode(data) for path, data in reply["bytecode"].items()}


def _refuse_useless_run(reply: dict, root: str) -> None:
    if reply.get("timeout"):
        raise UsageError(
            f"The test suite of {root} did not end within {SUITE_SECONDS / 60:.0f} minutes."
        )
    if "died" in reply:
        raise UsageError(f"The test suite of {root} does not run: {reply['died']}.")
    if "outcomes" not in reply:
        raise UsageError(f"The test suite of {root} does not run: pytest itself breaks off in it.")
    if reply["outcomes"]:
        return
    if reply["exit"] == 5 and not reply["collect_errors"]:
        raise UsageError(f"pytest finds no tests in {root}.")
    raise UsageError(
        f"The test suite of {root} does not run. The last lines of pytest:\n{tail(reply)}"
    )


def tail(reply: dict, lines: int = 12) -> str:
    return "\n".join(reply.get("output", "").strip().split("\n")[-lines:])
