"""What mining takes over from an earlier run of the same repository, which has moved on since.

    earlier = Earlier.of(folder, tree)           # a run whose mining has ended, and its snapshot
    known = Known(contents, earlier)
    known.record(task, tree)                     # what was measured of it then, if it is the same task
    Since.of(records, tasks, earlier, left_out)  # what became of its tasks

A task is the same where its content is (`content.py`). Its lines may have moved, so its patches are
those of today; all else stands as it was measured. Which side of the split a function is on is in
`inventory.py`.
"""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.judge.twins import test_functions, twin_files, twin_patch
from sandbox.tasks.content import Contents, changed_lines
from sandbox.tasks.inventory import Inventory
from sandbox.tasks.task import Task, read_tasks

NOT_THERE = "what it was about is gone, or is no candidate any more"


@dataclass(frozen=True)
class Earlier:
    """What an earlier run saw of the same repository."""

    records: dict[str, dict]
    """{instance_id: line of mining.jsonl}"""
    tasks: tuple[str, ...]
    """The names of its tasks."""
    functions: Inventory
    tree: Path
    """Its snapshot, which may be gone by now."""

    @classmethod
    def of(cls, folder: Path, tree: Path) -> Earlier:
        """Of a run folder whose mining has ended. Raises UsageError for another."""
        records = {r["instance_id"]: r for r in read_records(folder / "mining.jsonl")}
        tasks = tuple(t.instance_id for t in read_tasks(folder / "tasks.jsonl"))
        return cls(records, tasks, Inventory.read(folder), tree)

    def record(self, name: str, key: str) -> dict | None:
        """What was measured of this task, if its content was the same."""
        record = self.records.get(name, {})
        return record if record.get("key") == key else None

    def has(self, files: Iterable[str], tree: Path) -> bool:
        """Whether these files were then what they are in `tree`."""
        try:
            return all(filecmp.cmp(self.tree / f, tree / f, shallow=False) for f in files)
        except OSError:  # gone, or not there yet
            return False


@dataclass(frozen=True)
class Since:
    """What became of an earlier run's tasks."""

    taken_over: tuple[str, ...] = ()
    """Tasks with what was measured of them then."""
    mined: tuple[str, ...] = ()
    """Tasks that were measured now."""
    gone: dict[str, str] = field(default_factory=dict)
    """{task that there was: why there is none of its name now}"""

    @classmethod
    def of(
        cls,
        records: list[dict],
        tasks: list[Task],
        earlier: Earlier,
        left_out: dict[str, list[str]],
    ) -> Since:
        """From today's lines of mining.jsonl and valid tasks; `left_out`: {reason: names}."""
        taken = {r["instance_id"] for r in records if r.get("taken_over")}
        names = [t.instance_id for t in tasks]
        why = {name: reason for reason, named in left_out.items() for name in named}
        gone = {n: why.get(n, NOT_THERE) for n in earlier.tasks if n not in set(names)}
        return cls(
            tuple(n for n in names if n in taken), tuple(n for n in names if n not in taken), gone
        )

    def plus(self, other: Since, called: Callable[[str], str]) -> Since:
        """With those of another repository's tasks, by the names that `called` gives them."""
        return Since(
            (*self.taken_over, *map(called, other.taken_over)),
            (*self.mined, *map(called, other.mined)),
            self.gone | {called(name): why for name, why in other.gone.items()},
        )

    def to_dict(self) -> dict:
        """How many, and of those that are new or gone the names."""
        return {
            "taken_over": len(self.taken_over),
            "mined": len(self.mined),
            "gone": len(self.gone),
            "new_tasks": list(self.mined),
            "gone_tasks": self.gone,
        }


class Known:
    """What an earlier run has measured of the tasks whose content is the same today."""

    def __init__(self, contents: Contents, earlier: Earlier | None) -> None:
        self._contents, self._earlier = contents, earlier
        self._keys: dict[str, str] = {}

    def record(self, task: Task, tree: Path) -> dict | None:
        """The earlier run's record of a draft's task, at its place in today's files; None where it
        is to be measured."""
        key = self._keys[task.instance_id] = self._contents.key(task)
        earlier = self._earlier
        record = earlier.record(task.instance_id, key) if earlier else None
        if earlier is None or record is None:
            return None
        record = {k: record[k] for k in ("instance_id", "task", "reason")}
        if record["task"]:
            old = Task.from_dict(record["task"])
            twins = _todays_twins(old, earlier, self._contents.seed, tree)
            if twins is None:
                return None
            record["task"] = replace(
                old,
                patch=task.patch,
                twin_patch=twins,
                base_commit=task.base_commit,
                repo=task.repo,
            ).to_dict()
        return {**record, "key": key, "taken_over": True}

    def keyed(self, record: dict) -> dict:
        """With its content's key, where it has been measured."""
        key = self._keys.get(record["instance_id"])
        return {**record, "key": key} if key else record


def _todays_twins(old: Task, earlier: Earlier, seed: int, tree: Path) -> str | None:
    """The patch of a measured task's twins, whose lines may have moved; None where the twins would
    be others."""
    given = old.test_files
    if not given and earlier.has(test_functions(old.twin_tests), tree):
        return old.twin_patch
    files = twin_files(old.twin_tests, tree, twin_seed(old, seed), given)
    twins = twin_patch(files, tree, given)
    return twins if changed_lines(twins) == changed_lines(old.twin_patch) else None


def twin_seed(task: Task, seed: int) -> str:
    """What draws a task's twins."""
    return f"{seed}/{task.instance_id}"


def read_records(file: Path) -> list[dict]:
    """What was measured so far, of mining.jsonl. Raises UsageError where that is damaged."""
    try:
        return jsonl.read(file)
    except ValueError as error:
        raise UsageError(
            f"{file} is damaged ({error}). Delete it; the tasks will be measured again."
        ) from None
