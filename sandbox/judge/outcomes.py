"""The verdict on a candidate edit, how a test run is read, and the memory of verdicts: the same
edit to the same task has the same verdict, and never runs twice.

    status, reason, outcomes = read_reply(reply, task.tests)      # of one run in a jail
    memory = Memory(run/"verdicts.jsonl")                         # reads what is there
    key = key_of(repository.tree, task, files)
    memory.verdicts.get(key) or memory.keep(key, verdict)
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.jail.choice import jail_notice
from sandbox.judge.processes import wants_fresh
from sandbox.tasks.task import Task

OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed", "missing")
WRITTEN = {"in-process": "hot", "forked": "warm", "fresh": "cold", "": ""}
"""{tier: what it is called in files and by `--json`}: the names of the first version."""
READ = {written: tier for tier, written in WRITTEN.items()}


@dataclass(frozen=True)
class Verdict:
    """What the sandbox says of a candidate edit."""

    instance_id: str
    status: str
    """`resolved`, `failed`, `timeout`, `invalid` or `tampered`."""
    stage: str
    """The layer that decided: `gate`, `screen` or `confirm`."""
    reason: str
    """Why, in words."""
    tests: dict[str, str]
    """Outcome of every named test; empty where none ran."""
    seconds: float
    cpu_seconds: float = 0.0
    """Processor time that it took, in the jails and out here."""
    tier: str = ""
    """What screened it: `in-process`, `forked` or `fresh` (`sandbox/jail/jail.py`); empty where
    none did."""
    agreement: float | None = None
    """Share of the fresh inputs that the edit answered on which it answers as the gold edit does
    (`black_box.agreement`); None where none decided, or it answered none."""

    @property
    def reward(self) -> float:
        """1.0 for `resolved`, else 0.0."""
        return 1.0 if self.status == "resolved" else 0.0

    @property
    def share_passed(self) -> float:
        """Share of the named tests that passed: logged, never trained on."""
        return (
            sum(o == "passed" for o in self.tests.values()) / len(self.tests) if self.tests else 0.0
        )

    def to_dict(self) -> dict:
        return {**asdict(self), "tier": WRITTEN[self.tier], "reward": self.reward}

    @classmethod
    def from_dict(cls, data: dict) -> "Verdict":
        """What `to_dict` gave; other keys are passed over. Raises KeyError where one is missing, or
        for a tier that there is not."""
        fields = {name: data[name] for name in cls.__dataclass_fields__}
        return cls(**{**fields, "tier": READ[fields["tier"]]})


def read_reply(reply: dict, tests: Iterable[str]) -> tuple[str, str, dict[str, str]]:
    """(status, reason, outcomes) of a test run. Every named test must have been collected, run, and
    passed exactly once."""
    if reply.get("timeout"):
        return "timeout", "It did not end in time.", {}
    if "died" in reply:
        return "failed", f"It ended early: {reply['died']}.", {}
    reported = reply.get("outcomes")
    reported = reported if isinstance(reported, dict) else {}
    outcomes = {test: _outcome(reported, test) for test in tests}
    bad = {test: outcome for test, outcome in outcomes.items() if outcome != "passed"}
    if not bad:
        return "resolved", f"All {len(outcomes)} tests passed.", outcomes
    test, outcome = next(iter(bad.items()))
    return (
        "failed",
        f"{len(bad)} of {len(outcomes)} tests did not pass; {test}: {outcome}.",
        outcomes,
    )


def _outcome(reported: dict, test: str) -> str:
    """The report comes from a process that the edit shares: anything but the known words is no
    pass."""
    if test not in reported:
        return "missing"
    outcome = reported[test]
    return outcome if outcome in OUTCOMES else "failed"


def key_of(tree: str, task: Task, files: dict[str, str]) -> str:
    """What the verdict on these files is known by, as hexadecimal digits; and the seed of whatever
    is drawn for it. `tree`: that of the repository's snapshot."""
    # The two kinds of jail differ in what tests may do, and so do forks and fresh processes. The
    # word for these is the one that keys of older files were made with.
    how = ["landlock"] if jail_notice() else []
    how += ["cold"] if wants_fresh(task) else []
    parts = [tree, *how, task.instance_id, *task.tests]
    parts += [task.test_patch] if task.test_patch else []
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
