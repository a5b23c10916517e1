"""What a person says of `fix` on the command line."""

from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import UsageError


@dataclass(frozen=True)
class FixOptions:
    """What a person asks to be mended, and where it is to go."""

    names: tuple[str, ...]
    """Of tests, classes and files; all failing tests where there is none."""
    repo: Path | None
    """The run's repository where None."""
    samples: int
    """Edits of a failing test, at most."""
    minutes: float | None
    apply_it: bool
    """Write to the work tree."""
    branch: str | None
    """Commit to a new branch of this name."""
    yes: bool
    """Do not ask before a file with uncommitted changes is written."""

    def check(self) -> None:
        """Raises UsageError for what excludes each other."""
        if self.apply_it and self.branch:
            raise UsageError("Give --apply or --branch, not both.")
