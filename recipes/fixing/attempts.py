"""An edit by the student, and what became of the failing tests about one function."""

from dataclasses import dataclass

from sandbox.judge.fixing import Proof
from sandbox.judge.verdict import Verdict
from sandbox.tasks.task import Task


@dataclass(frozen=True)
class Attempt:
    """An edit by the student that changes something."""

    files: dict[str, str]
    """The changed files, whole."""
    patch: str
    verdict: Verdict
    episode: tuple[dict[str, str], ...] = ()
    """What was tried before it in the same episode, each time with what was said of that."""
    proof: Proof | None = None
    """What it was verified against; None where the verdict is not `resolved`, or a smaller edit was
    verified before."""

    @property
    def fixed(self) -> bool:
        return self.proof is not None and self.proof.holds

    @property
    def proven(self) -> Proof:
        """The proof of one that was verified."""
        assert self.proof is not None
        return self.proof

    @property
    def size(self) -> tuple[int, int]:
        """Lines that it adds or takes away, and characters of the diff."""
        lines = [
            line
            for line in self.patch.split("\n")
            if line[:1] in ("+", "-") and line[:4] not in ("+++ ", "--- ")
        ]
        return len(lines), len(self.patch)

    def remaining(self, task: Task) -> tuple[str, ...]:
        """The tests that do not pass with it."""
        return tuple(t for t in task.tests if self.verdict.tests.get(t) != "passed") + (
            self.proof.broken if self.proof else ()
        )

    def nearness(self, task: Task) -> tuple[int, ...]:
        """A sort key: the most of the tests that failed pass, then the most of all tests, then the
        smallest diff first."""
        left = self.remaining(task)
        return sum(t in left for t in task.FAIL_TO_PASS), len(left), *self.size


@dataclass(frozen=True)
class Outcome:
    """What became of the failing tests that are about one function."""

    task: Task
    best: Attempt | None
    """The smallest verified edit, else the nearest one; None where no edit changed anything."""
    counts: dict[str, int]
    """Edits by verdict, `truncated` ones among them."""

    @property
    def fixed(self) -> bool:
        return self.best is not None and self.best.fixed

    @property
    def fix(self) -> Attempt:
        """The edit of one that is fixed."""
        assert self.best is not None
        return self.best

    @property
    def samples(self) -> int:
        return sum(self.counts.values())

    def to_dict(self) -> dict:
        """Plain data for machines."""
        facts = {
            "tests": list(self.task.FAIL_TO_PASS),
            "functions": list(self.task.about),
            "fixed": self.fixed,
            "samples": self.samples,
            "counts": self.counts,
            "patch": self.best.patch if self.best else "",
            **({"episode": list(self.best.episode)} if self.best and self.best.episode else {}),
        }
        if self.best is None or not self.best.fixed:
            remaining = self.best.remaining(self.task) if self.best else self.task.FAIL_TO_PASS
            return {**facts, "remaining": list(remaining)}
        proof = self.best.proven
        return {
            **facts,
            "verified": {
                "changed": list(proof.changed),
                "failed_before": len(self.task.FAIL_TO_PASS),
                "same_functions": len(self.task.PASS_TO_PASS),
                "others": len(proof.tests) - len(proof.silent),
                "silent": len(proof.silent),
            },
        }
