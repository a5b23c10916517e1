"""What is remembered of a suite's runs, and what of it a changed tree leaves true.

What was seen is kept in the cache folder under the content of the tree, the interpreter, the names
and versions of its packages and the limit on memory: the same tree is not run again. For a changed
tree only the test files that a change can reach (`reach.py`) are run again; everything, where that
cannot be told, where a test passed before and does not now, and where more than half of the tests
would be run again.

This rule is not airtight: a function may leave something behind (in a cache, in a module's
variable) that a test uses without calling the function. What it can lead to is bounded: the survey
only proposes which tests to try. Whether they fail in a task's broken state and pass with the gold
edit is measured for every task. Delete `surveys` in the cache folder to have everything run again.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from sandbox import jsonl
from sandbox.cache import cache_folder, hold
from sandbox.judge.verdict import Judge, Limits
from sandbox.node_ids import file_of
from sandbox.reach import Reached, what_is_reached
from sandbox.repo import Repository, keep_bytecode
from sandbox.suite_runs import Progress, Runs, bytecode_of, run_twice

KEPT = 8
"""Trees of one project whose runs are remembered."""
FORMAT = 3
"""Version of what is remembered; another one is not read. A change of the code that runs inside the
jail counts as one, too."""


def packages(repository: Repository) -> list[str]:
    """Names and versions of what is installed for the project's interpreter."""
    return sorted(
        {
            name
            for folder in repository.path
            if os.path.isdir(folder)
            for name in os.listdir(folder)
            if name.endswith((".dist-info", ".egg-info", ".pth"))
        }
    )


class Memory:
    """What was seen of a project's trees, one file for each of the last few."""

    def __init__(self, repository: Repository, limits: Limits) -> None:
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
                packages(repository),
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


def remembered(repository: Repository, memory: Memory) -> Runs | None:
    """What is remembered of this very tree. Where the compiled tests are gone from the cache the
    suite must run anyway, to have them made again: without them every verdict takes longer."""
    return memory.read(repository.tree) if repository.bytecode.is_dir() else None


def _is_there(snapshot: Path) -> bool:
    hold(snapshot)
    return snapshot.is_dir()


def refreshed(judge: Judge, memory: Memory, on_progress: Progress) -> Runs | None:
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
    reached = what_is_reached(before.snapshot, repository.snapshot, old)
    if reached is None:
        return None
    again = [test for test in old.first if file_of(test) in reached.test_files]
    if 2 * len(again) > len(old.first):
        return None
    first, new = run_twice(judge, sorted(reached.test_files), on_progress)
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
    keep_bytecode(repository, kept | bytecode_of(first))
    return _merged(old, new, reached)


def _merged(old: Runs, new: Runs, reached: Reached) -> Runs:
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
        loading=_merged_loading(old.loading, new.loading, moved),
    )


def _merged_loading(
    old: dict[str, list[list]] | None,
    new: dict[str, list[list]] | None,
    moved: Callable[[str, int, str], list],
) -> dict[str, list[list]] | None:
    """What was called while modules were loaded: of those that the new run has not loaded, what was
    seen before."""
    if old is None or new is None:
        return None
    before = {file: [moved(*place) for place in called] for file, called in old.items()}
    beside = [p for p in new.get("", []) if p not in before.get("", [])]
    return {**before, **new, **({"": before.get("", []) + beside} if "" in {*before, *new} else {})}


def _merged_files(old: dict, new: dict, reached: Reached) -> dict:
    """What was seen of the files. The new run has read all of them, but loaded few: what it cannot
    tell of the others is as it was, for nothing that can be imported has changed in them."""
    again, imports = reached.test_files, {}
    for file in new["all"]:
        before = () if file in reached.changed else old["imports"].get(file, ())
        if names := {*new["imports"].get(file, ()), *before}:
            imports[file] = sorted(names)
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
