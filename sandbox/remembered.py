"""The memory of verdicts: the same edit to the same task has the same one, and never runs twice.

memory = Memory(run/"verdicts.jsonl")     # reads what is there
key = key_of(repository.tree, task, files)
memory.verdicts.get(key) or memory.keep(key, verdict)
"""

import hashlib
from pathlib import Path

from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.landlock_jail import jail_notice
from sandbox.outcomes import Verdict
from sandbox.processes import wants_fresh
from sandbox.tasks import Task


def key_of(tree: str, task: Task, files: dict[str, str]) -> str:
    """What the verdict on these files is known by, as hexadecimal digits; and the seed of whatever
    is drawn for it. `tree`: that of the repository's snapshot."""
    # The two kinds of jail differ in what tests may do, and so do forks and fresh processes. The
    # word for these is the one that keys of older files were made with.
    how = ["landlock"] if jail_notice() else []
    how += ["cold"] if wants_fresh(task) else []
    parts = [tree, *how, task.instance_id, *task.tests]
    parts += [part for path in sorted(files) for part in (path, files[path])]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


class Memory:
    """Verdicts by their keys, and the file that has them, too."""

    def __init__(self, file: Path | None) -> None:
        """`file`: None for a memory that ends with its judge. Raises UsageError where it is
        damaged."""
        self._file = file
        self.verdicts: dict[str, Verdict] = {} if file is None else _read(file)

    def keep(self, key: str, verdict: Verdict) -> None:
        self.verdicts[key] = verdict
        if self._file is not None:
            jsonl.append(self._file, [{"key": key, **verdict.to_dict()}])


def _read(file: Path) -> dict[str, Verdict]:
    try:
        return {record["key"]: Verdict.from_dict(record) for record in jsonl.read(file)}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file} is damaged ({error}). Delete it; the verdicts will be made again."
        ) from None
