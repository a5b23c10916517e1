"""What is said of a candidate edit, and of the test runs that it is said after.

status, reason, outcomes = read_reply(reply, task.tests)      # of one run in a jail
Verdict(...).to_dict()                                        # as it stands in verdicts.jsonl
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

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
    """What screened it: `in-process`, `forked` or `fresh` (`jail.Jail`); empty where none did."""
    agreement: float | None = None
    """Share of the fresh inputs that the edit answered on which it answers as the gold edit does
    (`outside.agreement`); None where none decided, or it answered none."""

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
    said = reply.get("outcomes")
    said = said if isinstance(said, dict) else {}
    # What the report says comes from a process that the edit shares: anything but the known words
    # is no pass.
    outcomes = {
        test: "missing" if test not in said else said[test] if said[test] in OUTCOMES else "failed"
        for test in tests
    }
    bad = {test: outcome for test, outcome in outcomes.items() if outcome != "passed"}
    if not bad:
        return "resolved", f"All {len(outcomes)} tests passed.", outcomes
    test, outcome = next(iter(bad.items()))
    return (
        "failed",
        f"{len(bad)} of {len(outcomes)} tests did not pass; {test}: {outcome}.",
        outcomes,
    )
