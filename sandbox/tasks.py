"""A task: a broken state of the repository plus the tests that tell when it is mended. SWE-bench's field names."""
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox import jsonl, patches
from sandbox.errors import UsageError
from sandbox.source import read_text


@dataclass(frozen=True)
class Task:
    """One line of tasks.jsonl."""

    instance_id: str
    kind: str
    """`blank`, `mutate`, `revert` or `failing`."""
    split: str
    """`train` or `heldout`."""
    repo: str
    """Name of the repository's folder."""
    base_commit: str
    """The commit that the snapshot was taken at."""
    file: str
    """The file that is broken, relative to the repository."""
    function: str
    """Qualified name of the function that is broken."""
    patch: str
    """The gold edit: unified diff from the broken state to the intact one."""
    FAIL_TO_PASS: tuple[str, ...]
    """Node ids of the tests that fail in the broken state and pass in the intact one."""
    PASS_TO_PASS: tuple[str, ...]
    """Node ids of the tests that touch the function and pass in both."""
    shown: tuple[str, ...]
    """Those of FAIL_TO_PASS that a prompt may show; the others are hidden."""
    problem_statement: str
    test_seconds: float
    """How long the named tests took on the intact tree."""
    twin_patch: str = ""
    """Unified diff of the test files: one expectation changed in each of `twin_tests`. Empty where there are none."""
    twin_tests: tuple[str, ...] = ()
    """Those of FAIL_TO_PASS that the gold edit fails, as measured, once `twin_patch` is in place."""

    @property
    def tests(self) -> tuple[str, ...]:
        """Everything that the verdict runs."""
        return self.FAIL_TO_PASS + self.PASS_TO_PASS

    def broken(self, tree: Path) -> dict[str, str]:
        """{path: text} of the broken state's files, from a snapshot of the intact tree. Raises UsageError if it has moved on."""
        texts = {}
        for path in patches.paths(self.patch):
            if not (tree / path).is_file():
                raise UsageError(f"Task {self.instance_id}: {path} is no longer in the repository's snapshot.")
            texts[path] = read_text(tree / path)
        try:
            return patches.apply(texts, self.patch, reverse=True)
        except patches.PatchError as error:
            raise UsageError(f"Task {self.instance_id} does not fit the repository's snapshot: {error}.") from None

    recorded: tuple[list, ...] = ()
    """[call, answer] pairs that the gold edit gave while the tests ran, as plain data (`inside/calls.py`). A task that has some is
    *hard*: it is also judged from outside. Without any it is *soft*."""

    @property
    def hard(self) -> bool:
        return bool(self.recorded)

    def twin_files(self, tree: Path) -> dict[str, str]:
        """{path: text} of the test files with the twins in them. Raises UsageError if the tree has moved on."""
        if not self.twin_patch:
            return {}
        try:
            return patches.apply({path: read_text(tree / path) for path in patches.paths(self.twin_patch)}, self.twin_patch)
        except (OSError, patches.PatchError) as error:
            raise UsageError(f"Task {self.instance_id}: its twins do not fit the repository's snapshot: {error}.") from None

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Task":
        lists = {k: tuple(data[k]) for k in ("FAIL_TO_PASS", "PASS_TO_PASS", "shown", "twin_tests", "recorded")}
        return cls(**{**{k: data[k] for k in cls.__dataclass_fields__}, **lists})


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a run. Raises UsageError where the file is damaged."""
    try:
        return [Task.from_dict(record) for record in jsonl.read(path)]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error}). Mine again with a new run.") from None


def split_by_function(keys: list[str], share: float, seed: int) -> dict[str, str]:
    """{key: "train" | "heldout"} for function keys: the first `share` of them in an order drawn by the seed.

    Everything that is born from one function is on one side. Where there are two functions or more, neither side is empty.
    """
    order = sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed}/{key}".encode()).hexdigest())
    count = round(len(order) * share)
    if 0 < share < 1 and len(order) >= 2:
        count = min(max(count, 1), len(order) - 1)
    heldout = set(order[:count])
    return {key: "heldout" if key in heldout else "train" for key in order}
