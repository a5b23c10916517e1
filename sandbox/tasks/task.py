"""A task: a broken state of the repository plus the tests that tell when it is mended. SWE-bench's
field names."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sandbox import jsonl, patches
from sandbox.errors import UsageError
from sandbox.source import read_text

LISTS = ("files", "functions", "sources", "state", "told_in")
OPTIONAL = (*LISTS, "soft_because", "test_patch", "noticed", "seen_alone")
"""Fields that a record need not have, those with several things in them first."""
RECORDED = "recorded"
SORTS = ("hard", "soft", RECORDED)
"""Sorts of tasks whose results are never added up in one figure that a person is shown: judged from
outside; judged by tests of the project that share a process with the edit; judged by what the
function was seen to do (kind `record`), which is nobody's word of what it should do."""


@dataclass(frozen=True)
class Task:
    """One line of tasks.jsonl.

    Most tasks are about one function, and an edit may change that one alone. Those of some kinds
    may be about several: then `files` names those that an edit may change as a whole, and
    `functions` what it is about.
    """

    instance_id: str
    kind: str
    """One of `kinds.KINDS`."""
    split: str
    """`train` or `heldout`."""
    repo: str
    """Name of the repository's folder."""
    base_commit: str
    """The commit that the snapshot was taken at."""
    file: str
    """The file that is broken, relative to the repository; the first of them where there are
    several."""
    function: str
    """Qualified name of the function that is broken; where there are several, and where nobody
    knows the answer, of the likeliest."""
    patch: str
    """The gold edit: unified diff from the broken state to the intact one. Empty where the
    intact tree is the broken state and nobody knows the answer."""
    FAIL_TO_PASS: tuple[str, ...]
    """Node ids of the tests that fail in the broken state and pass with the gold edit."""
    PASS_TO_PASS: tuple[str, ...]
    """Node ids of the tests that touch the function and pass in both."""
    shown: tuple[str, ...]
    """Those of FAIL_TO_PASS that a prompt may show; the others are hidden."""
    problem_statement: str
    test_seconds: float
    """How long the named tests took on the intact tree."""
    twin_patch: str = ""
    """Unified diff of the test files: one expectation changed in each of `twin_tests`. Empty where
    there are none."""
    twin_tests: tuple[str, ...] = ()
    """Those of FAIL_TO_PASS that the gold edit fails, as measured, once `twin_patch` is in place.
    """

    recorded: tuple[list, ...] = ()
    """[call, answer] pairs that the gold edit gave while the tests ran, as typed JSON
    (`judge/recording.py`). A task that has some is *hard*: it is also judged from outside. Without
    any it is *soft*."""
    state: tuple[str, ...] = ()
    """Globals and class attributes (`module:qualified.name`) that cross with every call, because
    the gold edit or the tests change them."""
    soft_because: str = ""
    """Why a soft task is no hard one."""
    files: tuple[str, ...] = ()
    """Files that an edit may change as a whole. Empty: of `file` an edit may change `function` and
    no other."""
    functions: tuple[str, ...] = ()
    """`file::name` of what the task is about where `files` is not empty, the likeliest first."""
    sources: tuple[str, ...] = ()
    """Those of the files that an edit may change which are called like tests, or like what
    configures them, and are source all the same, as the survey saw (`roles.py`)."""
    test_patch: str = ""
    """Unified diff of files of tests that are not in the repository, but made for this task (by
    some kinds): they lie in the tree in every state of it, and no edit reaches them. Empty where
    the project's own tests are named."""
    told_in: tuple[str, ...] = ()
    """Files of the project in which what those tests expect can be read: nobody who is to solve the
    task sees them."""
    noticed: float | None = None
    """Share of drawn mistakes in the function that its tests notice, as measured, where
    `test_patch` has them (`noticing.py`)."""

    seen_alone: bool = False
    """Whether its tests expect what the function was seen to do, which nobody has said it
    should."""

    @property
    def tests(self) -> tuple[str, ...]:
        """Everything that the verdict runs."""
        return self.FAIL_TO_PASS + self.PASS_TO_PASS

    @property
    def about(self) -> tuple[str, ...]:
        """`file::name` of every function that the task is about: what the split goes by."""
        return self.functions or (f"{self.file}::{self.function}",)

    @property
    def named(self) -> dict[str, list[str]]:
        """{file: qualified names} of what the task is about."""
        found: dict[str, list[str]] = {}
        for name in self.about:
            file, _, function = name.partition("::")
            found.setdefault(file, []).append(function)
        return found

    @property
    def hard(self) -> bool:
        return bool(self.recorded)

    @property
    def sort(self) -> str:
        """One of SORTS."""
        return RECORDED if self.seen_alone else "hard" if self.hard else "soft"

    @cached_property
    def test_files(self) -> dict[str, str]:
        """{path: text} of the files of `test_patch`."""
        return patches.apply({}, self.test_patch) if self.test_patch else {}

    def gold(self, tree: Path) -> dict[str, str]:
        """{path: text} of the files that the gold edit changes, as they are in the intact tree; {}
        where there is no gold edit."""
        return {path: read_text(tree / path) for path in self._patched}

    def broken(self, tree: Path) -> dict[str, str]:
        """{path: text} of the files that an edit may change, in the broken state, from a snapshot
        of the intact tree. Raises UsageError if it has moved on."""
        texts = {}
        for path in dict.fromkeys((*self._patched, *self.files)) or (self.file,):
            if not (tree / path).is_file():
                raise UsageError(
                    f"Task {self.instance_id}: {path} is no longer in the repository's snapshot."
                )
            texts[path] = read_text(tree / path)
        try:
            return (
                {**texts, **patches.apply(texts, self.patch, reverse=True)} if self.patch else texts
            )
        except patches.PatchError as error:
            raise UsageError(
                f"Task {self.instance_id} does not fit the repository's snapshot: {error}."
            ) from None

    @property
    def _patched(self) -> list[str]:
        return patches.paths(self.patch) if self.patch else []

    def twin_files(self, tree: Path) -> dict[str, str]:
        """{path: text} of the test files with the twins in them. Raises UsageError if the tree has
        moved on."""
        if not self.twin_patch:
            return {}
        try:
            texts = {
                path: self.test_files.get(path) or read_text(tree / path)
                for path in patches.paths(self.twin_patch)
            }
            return patches.apply(texts, self.twin_patch)
        except (OSError, patches.PatchError) as error:
            raise UsageError(
                f"Task {self.instance_id}: its twins do not fit the repository's snapshot: {error}."
            ) from None

    def to_dict(self) -> dict:
        """Plain data, as `from_dict` takes it back; of OPTIONAL what is empty is left out."""
        return {k: v for k, v in asdict(self).items() if v or k not in OPTIONAL}

    @classmethod
    def from_dict(cls, data: dict) -> "Task":
        lists: dict[str, Any] = {
            k: tuple(data[k])
            for k in ("FAIL_TO_PASS", "PASS_TO_PASS", "shown", "twin_tests", "recorded")
        }
        lists |= {k: tuple(data.get(k, ())) for k in LISTS}
        lists |= {k: data.get(k, "") for k in ("soft_because", "test_patch")}
        lists |= {"noticed": data.get("noticed"), "seen_alone": data.get("seen_alone", False)}
        return cls(**{k: lists[k] if k in lists else data[k] for k in cls.__dataclass_fields__})


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a run. Raises UsageError where the file is damaged."""
    try:
        tasks = [Task.from_dict(record) for record in jsonl.read(path)]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error}). Mine again with a new run.") from None
    if any("args" in call and "heap" not in call for task in tasks for call, _ in task.recorded):
        raise UsageError(
            f"{path} was written by an earlier version, which recorded calls in another form. Mine "
            "again with a new run."
        )
    return tasks


def given_tests(tasks: Iterable[Task]) -> dict[str, str]:
    """{path: text} of the tests that were made for these tasks."""
    return {path: text for task in tasks for path, text in task.test_files.items()}


def draw(seed: int, *names: str) -> str:
    """A sort key: an order drawn by the seed that does not depend on what else is sorted."""
    return hashlib.sha256("/".join([str(seed), *names]).encode()).hexdigest()
