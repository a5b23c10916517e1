"""What two runs of the suite show: which tests pass, and which functions each of them calls.
Remembered from run to run.

    found = survey(judge, on_progress)

The first run is traced. A test counts as passing or failing only if both runs say so; other tests
are left out (flaky, skipped, slow).

**Memory.** What was seen is kept in the cache folder under the content of the tree, the
interpreter, the names and versions of its packages and the limit on memory: the same tree is not
run again. For a changed tree only the test files that a change can reach are run again:

- Of a changed module every line outside the bodies of its functions must be the same. Then the
  changed functions are known, and each of them must have been called by some test: one that no test
  called may still have run while the tests were imported. The files of the tests that called one of
  them are run again, whole.
- A changed test module is run again, if no test of another file called a function in it and no
  other file mentions its name.
- Anything else is a reason to run everything: a file that was added or removed, a changed
  conftest.py or file of another kind, a test that passed before and does not now, or more than half
  of the tests to be run again.

This rule is not airtight: a function may leave something behind (in a cache, in a module's
variable) that a test uses without calling the function. What it can lead to is bounded: the survey
only proposes which tests to try. Whether they fail in a task's broken state and pass with the gold
edit is measured for every task. Delete `surveys` in the cache folder to have everything run again.
"""

import base64
import filecmp
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from sandbox import jsonl
from sandbox.cache import cache_folder, hold
from sandbox.errors import UsageError
from sandbox.judge.verdict import Judge, Limits
from sandbox.node_ids import file_of
from sandbox.project import shown
from sandbox.reasons import in_words
from sandbox.repo import Repository, files_of, keep_bytecode
from sandbox.roles import Roles, decide
from sandbox.source import bodies_changed, functions, read_text

SUITE_SECONDS = 1800.0
SLOW_SECONDS = 5.0
KEPT = 8
"""Trees of one project whose runs are remembered."""
FORMAT = 2
"""Version of what is remembered; another one is not read. A change of the code that runs inside the
jail counts as one, too."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Survey:
    """What two runs of the suite showed."""

    passing: tuple[str, ...]
    """Tests that passed both times, in the order they ran."""
    excluded: dict[str, int]
    """Tests left out, by reason."""
    seconds: dict[str, float]
    """Time of each passing or failing test."""
    functions: tuple[tuple[str, int, str], ...]
    """(file, first line, name) of every function of the project that a test called."""
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

    def is_test(self, file: str) -> bool:
        """Whether this file of the project belongs to the tests."""
        by_result = not self.roles.known and file in self.test_files
        return by_result or self.roles.is_test(file)

    @cached_property
    def test_files(self) -> tuple[str, ...]:
        """The files of the passing tests."""
        return tuple(dict.fromkeys(map(file_of, self.passing)))

    def is_test_file(self, file: str) -> bool:
        """Whether tests stand in it, as far as is known: of a source file a plugin may say
        something as if it were one."""
        return not self.roles.known or not file.endswith(".py") or file in self.roles.holding

    @cached_property
    def callers(self) -> dict[tuple[str, int], list[str]]:
        """{(file, first line) of a function: the passing tests that call it}"""
        found: dict[tuple[str, int], list[str]] = {}
        for test in self.passing:
            for index in self.calls[test]:
                file, line, _ = self.functions[index]
                found.setdefault((file, line), []).append(test)
        return found

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
        )


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

    def survey(self, carried_as: Callable[[str], str] = lambda file: "") -> Survey:
        """The tests sorted. `carried_as` says of a file which ignored place it lies in, "" where
        it is the project's: tests of such files are left out."""
        kept: dict[str, list[str]] = {"passed": [], "failed": []}
        roles = decide(self.files["all"], self.files) if self.files else Roles()
        left_out: dict[str, list[str]] = {}
        for test, outcome in self.first.items():
            if reason := self._reason(test, carried_as, roles):
                left_out.setdefault(reason, []).append(test)
                if reason not in ("test failed", "test error"):
                    continue
            if self.times.get(test, 0.0) <= SLOW_SECONDS:
                kept["passed" if outcome == "passed" else "failed"].append(test)
        if gone := self._ours(self.files.get("deselected", ()), carried_as):
            left_out["test that the project's settings deselect"] = gone
        excluded = Counter({reason: len(tests) for reason, tests in left_out.items()})
        without = self.files.get("without", {})
        for node in self._ours(without, carried_as):
            what, why = without[node]
            excluded[f"{shown(node) or 'The suite'} {what} ({shown(why)})"] += 1
        known: dict[tuple, int] = {}
        calls = {
            test: tuple(known.setdefault(tuple(f), len(known)) for f in self.calls.get(test, ()))
            for test in kept["passed"] + kept["failed"]
        }
        passing = set(kept["passed"])
        unseen = {kind: [t for t in tests if t in passing] for kind, tests in self.unseen.items()}
        return Survey(
            passing=tuple(kept["passed"]),
            excluded=dict(excluded),
            seconds={test: self.times[test] for test in calls},
            functions=tuple(known),
            calls=calls,
            modules=tuple(self.modules),
            failing=tuple(kept["failed"]),
            left_out=left_out,
            unseen={kind: tests for kind, tests in unseen.items() if tests},
            defining=tuple(self.files.get("functions", ())),
            roles=roles,
        )

    def _reason(self, test: str, carried_as: Callable[[str], str], roles: Roles) -> str:
        """Why the test is left out of what passes; "" where it is not."""
        outcome = self.first[test]
        if place := carried_as(file_of(test)):
            return f"test of {shown(place)}, which git ignores"
        if _is_own_doctest(test, self.calls.get(test, []), roles):
            return "doctest of a source file"
        if outcome != self.second.get(test):
            return "flaky test"
        if outcome != "passed":
            return f"test {outcome}"
        return "slow test" if self.times.get(test, 0.0) > SLOW_SECONDS else ""

    @staticmethod
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
    memory = _Memory(judge.repository, judge.limits)
    runs = (
        _remembered(judge.repository, memory)
        or _refreshed(judge, memory, on_progress)
        or _everything(judge, on_progress)
    )
    memory.write(judge.repository.tree, runs)
    found = runs.survey(judge.repository.carried_as)
    if not found.passing:
        raise UsageError(
            f"No test of {judge.repository.root} that passes twice in a row belongs "
            f"to the project: {in_words(found.excluded, found.left_out)}"
        )
    return found


# ------------------------------------------------------------------------------------------ running


def _everything(judge: Judge, on_progress: Progress) -> Runs:
    """The whole suite twice. Raises UsageError where no test passes both times."""
    first, runs = _run_twice(judge, [], on_progress)
    keep_bytecode(judge.repository, _bytecode(first))
    if not runs.survey().passing:
        raise UsageError(
            f"No test of {judge.repository.root} passes twice in a row, so nothing can be "
            "measured. "
            f"The last lines of pytest:\n{_tail(first)}"
        )
    return runs


def _run_twice(judge: Judge, names: list[str], on_progress: Progress) -> tuple[dict, Runs]:
    """(reply of the first run, both runs) of these test files; of the whole suite where none is
    named."""
    request = {
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
    )


def _bytecode(reply: dict) -> dict[str, bytes]:
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
        f"The test suite of {root} does not run. The last lines of pytest:\n{_tail(reply)}"
    )


def _tail(reply: dict, lines: int = 12) -> str:
    return "\n".join(reply.get("output", "").strip().split("\n")[-lines:])


# -------------------------------------------------------------------------------------- remembering


class _Memory:
    """What was seen of a project's trees, one file for each of the last few."""

    def __init__(self, repository: Repository, limits: Limits) -> None:
        packages = sorted(
            {
                name
                for folder in repository.path
                if os.path.isdir(folder)
                for name in os.listdir(folder)
                if name.endswith((".dist-info", ".egg-info", ".pth"))
            }
        )
        runner = [
            file.read_text()
            for file in sorted((Path(__file__).parent / "jail" / "inside").glob("*.py"))
        ]
        key = json.dumps(
            [
                FORMAT,
                repository.root,
                repository.python,
                repository.python_version,
                repository.carried,
                packages,
                limits.memory_mb,
                runner,
            ]
        )
        self.folder = cache_folder() / "surveys" / hashlib.sha256(key.encode()).hexdigest()[:24]
        hold(self.folder)

    def trees(self) -> list[str]:
        """The trees that are remembered, the latest first."""
        files = (
            sorted(self.folder.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
            if self.folder.is_dir()
            else []
        )
        return [file.stem for file in files]

    def read(self, tree: str) -> Runs | None:
        """None where nothing is remembered, or what is cannot be read: then it is measured."""
        try:
            return Runs(**json.loads((self.folder / f"{tree}.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, tree: str, runs: Runs) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        jsonl.write_aside(self.folder / f"{tree}.json", json.dumps(asdict(runs)).encode())
        for old in self.trees()[KEPT:]:
            (self.folder / f"{old}.json").unlink(missing_ok=True)


def _remembered(repository: Repository, memory: _Memory) -> Runs | None:
    """What is remembered of this very tree. Where the compiled tests are gone from the cache the
    suite must run anyway, to have them made again: without them every verdict takes longer."""
    return memory.read(repository.tree) if repository.bytecode.is_dir() else None


def _is_there(snapshot: Path) -> bool:
    hold(snapshot)
    return snapshot.is_dir()


def _refreshed(judge: Judge, memory: _Memory, on_progress: Progress) -> Runs | None:
    """What is remembered of the last tree, the test files that the changes since can reach run
    again; None where everything must be."""
    repository = judge.repository
    last = next(
        (
            (tree, runs)
            for tree in memory.trees()
            if _is_there(replace(repository, tree=tree).snapshot)
            and (runs := memory.read(tree)) is not None
        ),
        None,
    )
    if last is None:
        return None
    tree, old = last
    before = replace(repository, tree=tree)
    reached = _reached(before.snapshot, repository.snapshot, old)
    if reached is None:
        return None
    again = [test for test in old.first if file_of(test) in reached.test_files]
    if 2 * len(again) > len(old.first):
        return None
    first, new = _run_twice(judge, sorted(reached.test_files), on_progress)
    gone = [
        test for test in again if test not in new.first and file_of(test) not in reached.changed
    ]
    if gone or any(
        _passed(old, test) and not _passed(new, test) for test in again if test in new.first
    ):
        return None
    cached = {
        file.relative_to(before.bytecode).as_posix(): file
        for file in before.bytecode.rglob("*.pyc")
    }
    kept = {
        path: file.read_bytes()
        for path, file in cached.items()
        if _source_of_cache(path) not in reached.changed
    }
    keep_bytecode(repository, kept | _bytecode(first))
    return _merged(old, new, reached)


@dataclass(frozen=True)
class _Reached:
    """What a change of the tree can reach."""

    changed: frozenset[str]
    """The files that differ."""
    test_files: frozenset[str]
    """What must be run again."""
    shifts: dict[str, list[tuple[int, int]]]
    """{file: [(a line of the old file, by how much everything below it has moved)]}"""


def _reached(before: Path, after: Path, old: Runs) -> _Reached | None:
    """None where that cannot be told."""
    files = files_of(before)
    if files != files_of(after):
        return None
    changed = {path for path, kind in files if not _same(before / path, after / path, kind)}
    callers: dict[str, list[tuple[int, str, str]]] = {}
    for test, called in old.calls.items():
        for file, line, name in called:
            callers.setdefault(file, []).append((line, name, test))
    tests = {file_of(test) for test in old.first}
    again, shifts = set(), {}
    for path in changed:
        if not path.endswith(".py") or path.endswith("conftest.py") or (before / path).is_symlink():
            return None
        if path in tests:
            others = {file_of(test) for _, _, test in callers.get(path, ())} - {path}
            if others or _is_mentioned(path, after, files):
                return None
            again.add(path)
            continue
        try:
            was, now = read_text(before / path), read_text(after / path)
            bodies = bodies_changed(
                was,
                now,
                list(
                    dict.fromkeys(
                        f.qualname for f in functions(was) if "<locals>" not in f.qualname
                    )
                ),
            )
        except SyntaxError:
            return None
        if bodies is None:
            return None
        for function, source, fresh in bodies:
            inside = [
                (line, name, test)
                for line, name, test in callers.get(path, ())
                if function.first <= line <= function.last
            ]
            if not any(
                (line, name) == (function.first, function.qualname.rpartition(".")[2])
                for line, name, _ in inside
            ):
                return None
            again |= {file_of(test) for _, _, test in inside}
            shifts.setdefault(path, []).append(
                (function.last, fresh.count("\n") - source.count("\n"))
            )
    return _Reached(frozenset(changed), frozenset(again), shifts) if again else None


def _same(a: Path, b: Path, kind: str) -> bool:
    if kind == "link":
        return os.readlink(a) == os.readlink(b)
    return a.stat().st_mode == b.stat().st_mode and filecmp.cmp(a, b, shallow=False)


def _is_mentioned(path: str, tree: Path, files: list[tuple[str, str]]) -> bool:
    """Whether another Python file may import this one: its name stands there as a word."""
    word = re.compile(rf"\b{re.escape(Path(path).stem)}\b")
    return any(
        word.search(read_text(tree / other))
        for other, _ in files
        if other.endswith(".py") and other != path
    )


def _merged(old: Runs, new: Runs, reached: _Reached) -> Runs:
    """What was seen, file by file in the old order."""

    def moved(file: str, line: int, name: str) -> list:
        return [
            file,
            line + sum(by for last, by in reached.shifts.get(file, ()) if last < line),
            name,
        ]

    tests = []
    for file in dict.fromkeys(map(file_of, (*old.first, *new.first))):
        runs = new if file in reached.test_files else old
        tests += [(test, runs) for test in runs.first if file_of(test) == file]
    return Runs(
        first={test: runs.first[test] for test, runs in tests},
        second={test: runs.second[test] for test, runs in tests if test in runs.second},
        times={test: runs.times[test] for test, runs in tests if test in runs.times},
        calls={
            test: runs.calls[test] if runs is new else [moved(*f) for f in runs.calls[test]]
            for test, runs in tests
            if test in runs.calls
        },
        modules=sorted({*old.modules, *new.modules}),
        unseen={
            kind: [test for test, runs in tests if test in runs.unseen.get(kind, ())]
            for kind in {**old.unseen, **new.unseen}
        },
        files=_merged_files(old.files, new.files, reached),
    )


def _merged_files(old: dict, new: dict, reached: _Reached) -> dict:
    """What was seen of the files. The new run has read all of them, but loaded few: what it cannot
    tell of the others is as it was, for nothing that can be imported has changed in them."""
    again, imports = reached.test_files, {}
    for file in new["all"]:
        before = () if file in reached.changed else old["imports"].get(file, ())
        if found := {*new["imports"].get(file, ()), *before}:
            imports[file] = sorted(found)
    return {
        **new,
        "imports": imports,
        "products": sorted({*old["products"], *new["products"]}),
        "tests": sorted({*(t for t in old["tests"] if t not in again), *new["tests"]}),
        "without": {
            **{node: why for node, why in old["without"].items() if file_of(node) not in again},
            **new["without"],
        },
        "deselected": [
            *(t for t in old["deselected"] if file_of(t) not in again),
            *new["deselected"],
        ],
    }


def _passed(runs: Runs, test: str) -> bool:
    return runs.first.get(test) == runs.second.get(test) == "passed"


def _source_of_cache(path: str) -> str:
    """The module of one of pytest's cache files:
    `tests/__pycache__/test_a.cpython-311-pytest-8.4.0.pyc` is of `tests/test_a.py`."""
    cached = Path(path)
    return (cached.parent.parent / f"{cached.name.partition('.')[0]}.py").as_posix()
