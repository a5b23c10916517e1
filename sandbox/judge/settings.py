"""What a judge is given beside the repository: the limits of a run, and what is known of the
project's tests."""

import os
from dataclasses import dataclass, field

from sandbox.roles import Roles


@dataclass(frozen=True)
class Limits:
    """What a judged run may use."""

    workers: int = 0
    """Jails at the same time; 0: one per CPU core."""
    timeout: float = 10.0
    """Seconds beside ten times what the named tests took on the intact tree."""
    memory_mb: int = 2048
    """Memory of all processes of one verdict together, MiB."""
    recheck: float = 0.02
    """Share of the fast verdicts that a fresh process repeats."""

    @property
    def jails(self) -> int:
        """How many jails that is."""
        return self.workers or len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Suite:
    """What the survey has shown of the project's tests. Without it verdicts are the same, and take
    longer."""

    preload: tuple[str, ...] = ()
    """Modules outside the project that the tests load: a `forked` jail loads them beforehand."""
    test_files: tuple[str, ...] = ()
    """Files that tests were collected from: what an `in-process` jail collects; () for no such
    jail."""
    roles: Roles = field(default_factory=Roles)
    """What belongs to the tests."""
    given: dict[str, str] = field(default_factory=dict)
    """{path: text} of tests that are not in the repository (`Task.test_patch`): an `in-process`
    jail collects them, too."""
