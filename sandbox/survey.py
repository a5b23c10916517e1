"""What two runs of the suite show: which tests pass, and which functions each of them calls.
Remembered from run to run.

    result = survey(judge, on_progress)

The first run is traced. A test counts as passing or failing only if both runs say so; other tests
are left out (flaky, skipped, slow).

What was seen is remembered: `suite_memory.py`.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge
from sandbox.node_ids import file_of
from sandbox.project import shown
from sandbox.reasons import in_words
from sandbox.repo import keep_bytecode
from sandbox.roles import Roles, decide
from sandbox.suite_memory import Memory, refreshed, remembered
from sandbox.suite_runs import Progress, Runs, bytecode_of, run_twice, tail

SLOW_SECONDS = 5.0


Place = tuple[str, int, str]
"""(file, first line, name) of a function."""


@dataclass(frozen=True)
class Survey:
    """What two runs of the suite showed."""

    passing: tuple[str, ...]
    """Tests that passed both times, in the order they ran."""
    excluded: dict[str, int]
    """Tests left out, by reason."""
    seconds: dict[str, float]
    """Time of each passing or failing test."""
    functions: tuple[Place, ...]
    """Every function of the project that a test called."""
    calls: dict[str, tuple[int, ...]]
    """For each passing or failing test, indices into `functions`."""
    modules: tuple[str, ...]
    """Modules from outside the tree that the suite loads: a `forked` jail may load them beforehand.
    """
    failing: tuple[str, ...] = ()
    """Tests that failed both times: in themselves, or in set-up or clean-up."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """{reason of `excluded`: the tests left out for it}, where the reason names none."""
    unseen: dict[str, list[str]] = field(default_factory=dict)
    """{"process" | "profiler" | "thread": passing tests some of whose calls were not seen, because
    they start one or take it away}"""
    defining: tuple[str, ...] = ()
    """Files of the project that define functions."""
    roles: Roles = field(default_factory=Roles)
    loading: dict[str, tuple[Place, ...]] | None = None
    """{file of the project: functions of it that are called while it is loaded}, and under "" those
    that are called when the tests are collected; None where that was not seen."""

    def is_test(self, file: str) -> bool:
        """Whether this file of the project belongs to the tests."""
        by_result = not self.roles.known and file in self.test_files
        return by_result or self.roles.is_test(file)

    @cached_property
    def test_files(self) -> tuple[str, ...]:
        """The files of the passing tests."""
        return tuple(dict.fromkeys(map(file_of, self.passing)))

    def suite(self, given: dict[str, str] | None = None) -> Suite:
        """What a judge is told of the project's tests, and of those in `given` (`Suite.given`)."""
        return Suite(self.modules, self.test_files, self.roles, given or {})

    def is_test_file(self, file: str) -> bool:
        """Whether tests stand in it, as far as is known: of a source file a plugin may say
        something as if it were one."""
        return not self.roles.known or not file.endswith(".py") or file in self.roles.holding

    @cached_property
    def callers(self) -> dict[tuple[str, int], list[str]]:
        """{(file, first line) of a function: the passing tests that call it}"""
        result: dict[tuple[str, int], list[str]] = {}
        for test in self.passing:
            for index in self.calls[test]:
                file, line, _ = self.functions[index]
                result.setdefault((file, line), []).append(test)
        return result

    @classmethod
    def of(cls, runs: Runs, carried_as: Callable[[str], str] = lambda file: "") -> "Survey":
        """The tests of two runs sorted. `carried_as` says of a file which ignored place it lies in,
        "" where it is the project's: tests of such files are left out."""
        kept: dict[str, list[str]] = {"passed": [], "failed": []}
        roles = decide(runs.files["all"], runs.files) if runs.files else Roles()
        left_out: dict[str, list[str]] = {}
        for test, outcome in runs.first.items():
            if reason := _reason(runs, test, carried_as, roles):
                left_out.setdefault(reason, []).append(test)
                if reason not in ("test failed", "test error"):
                    continue
            if runs.times.get(test, 0.0) <= SLOW_SECONDS:
                kept["passed" if outcome == "passed" else "failed"].append(test)
        if gone := _ours(runs.files.get("deselected", ()), carried_as):
            left_out["test that the project's settings deselect"] = gone
        excluded = Counter({reason: len(tests) for reason, tests in left_out.items()})
        without = runs.files.get("without", {})
        for node in _ours(without, carried_as):
            what, why = without[node]
            excluded[f"{shown(node) or 'The suite'} {what} ({shown(why)})"] += 1
        known: dict[tuple, int] = {}
        calls = {
            test: tuple(known.setdefault(tuple(f), len(known)) for f in runs.calls.get(test, ()))
            for test in kept["passed"] + kept["failed"]
        }
        passing = set(kept["passed"])
        unseen = {kind: [t for t in tests if t in passing] for kind, tests in runs.unseen.items()}
        return cls(
            passing=tuple(kept["passed"]),
            excluded=dict(excluded),
            seconds={test: runs.times[test] for test in calls},
            functions=tuple(known),
            calls=calls,
            modules=tuple(runs.modules),
            failing=tuple(kept["failed"]),
            left_out=left_out,
            unseen={kind: tests for kind, tests in unseen.items() if tests},
            defining=tuple(runs.files.get("functions", ())),
            roles=roles,
            loading=_loading(runs.loading),
        )

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Survey":
        return cls(
            passing=tuple(data["passing"]),
            excluded=data["excluded"],
            seconds=data["seconds"],
            functions=tuple((f, line, name) for f, line, name in data["functions"]),
            calls={test: tuple(indices) for test, indices in data["calls"].items()},
            modules=tuple(data["modules"]),
            failing=tuple(data.get("failing", ())),
            left_out=data.get("left_out", {}),
            unseen=data.get("unseen", {}),
            defining=tuple(data.get("defining", ())),
            roles=Roles.from_dict(data["roles"]) if "roles" in data else Roles(),
            loading=_loading(data.get("loading")),
        )


def _loading(found: dict[str, list[list]] | None) -> dict[str, tuple[Place, ...]] | None:
    if found is None:
        return None
    return {f: tuple((file, line, name) for file, line, name in c) for f, c in found.items()}


def _reason(runs: Runs, test: str, carried_as: Callable[[str], str], roles: Roles) -> str:
    """Why the test is left out of what passes; "" where it is not."""
    outcome = runs.first[test]
    if place := carried_as(file_of(test)):
        return f"test of {shown(place)}, which git ignores"
    if _is_own_doctest(test, runs.calls.get(test, []), roles):
        return "doctest of a source file"
    if outcome != runs.second.get(test):
        return "flaky test"
    if outcome != "passed":
        return f"test {outcome}"
    return "slow test" if runs.times.get(test, 0.0) > SLOW_SECONDS else ""


def _ours(nodes: Iterable[str], carried_as: Callable[[str], str]) -> list[str]:
    return [node for node in nodes if not carried_as(file_of(node))]


def _is_own_doctest(test: str, called: list[list], roles: Roles) -> bool:
    """Whether it stands in the source that it tests, where an edit could change what it expects.
    Its name is that of the module, with dots and more behind it where it is not the module's own
    docstring; a test function of the module's name calls itself."""
    file, _, name = test.partition("::")
    if not file.endswith(".py") or roles.is_test(file):
        return False
    return (
        "." in name.partition("[")[0]
        or name == Path(file).stem
        and [file, name] not in [[f, n] for f, _, n in called]
    )


def survey(judge: Judge, on_progress: Progress) -> Survey:
    """Two runs of the suite, or what is remembered of them. Raises UsageError where there is
    nothing to work with."""
    memory = Memory(judge.repository, judge.limits)
    runs = (
        remembered(judge.repository, memory)
        or refreshed(judge, memory, on_progress)
        or _everything(judge, on_progress)
    )
    memory.write(judge.repository.tree, runs)
    result = Survey.of(runs, judge.repository.carried_as)
    if not result.passing:
        raise UsageError(
            f"No test of {judge.repository.root} that passes twice in a row belongs "
            f"to the project: {in_words(result.excluded, result.left_out)}"
        )
    return result


def _everything(judge: Judge, on_progress: Progress) -> Runs:
    """The whole suite twice. Raises UsageError where no test passes both times."""
    first, runs = run_twice(judge, [], on_progress)
    keep_bytecode(judge.repository, bytecode_of(first))
    if not Survey.of(runs).passing:
        raise UsageError(
            f"No test of {judge.repository.root} passes twice in a row, so nothing can be "
            "measured. "
            f"The last lines of pytest:\n{tail(first)}"
        )
    return runs
