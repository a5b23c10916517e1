"""`series`: past commits that belong together are undone at once, at today's commit: what a merge
brought in, or commits one after the other that change the same files or name the same issue
(`sandbox/tasks/history.py`). The gold edit is their change. Larger than one commit, and possible
where a single one of them does not apply any more.
"""

from pathlib import Path

from sandbox.tasks.ground import Ground
from sandbox.tasks.kinds import Draft, Kind, revert
from sandbox.tasks.task import Task


def drafts(ground: Ground) -> list[Draft]:
    """One of each series that can be undone, the newest first."""
    return revert.drafts_of(ground, "series", in_series=True)


def statement(task: Task, tree: Path, failures: dict[str, str], message: str) -> str:
    return revert.statement(task, tree, failures, message).replace(
        "A change is missing", "Several changes that belong together are missing", 1
    )


KIND = Kind("series of commits", drafts, statement, revert.is_made_again)
