"""Teachers: who answers the tasks that the student cannot do yet.

The `reference` teacher answers with the repository's own code, in the reply format that a model would use, and is verified in
the jail like any other. It is what bootstrap asks when no API teacher is named.
"""
import hashlib
from pathlib import Path

from recipes.prompts import gold_reply
from sandbox.tasks import Task


class ReferenceTeacher:
    """Answers with the gold edit. Costs nothing and needs no network."""

    name = "reference"
    source = "reference"

    def __init__(self, tree: Path, style: str) -> None:
        self._tree, self._style = tree, style

    def reply(self, task: Task, messages: list[dict[str, str]]) -> str:
        """The answer to `messages`, which are about `task`."""
        return gold_reply(task, self._tree, self._style)


def choose_cold(tasks: list[Task], states: dict[str, str], share: float, seed: int) -> list[Task]:
    """The tasks that the teacher may answer: `share` of those that are cold and for training, drawn by the seed.

    `states` maps instance_id to the probe's `cold`, `warm`, `mastered` or `truncated`.
    """
    cold = [t for t in tasks if t.split == "train" and states.get(t.instance_id) == "cold"]
    drawn = sorted(cold, key=lambda t: hashlib.sha256(f"{seed}/teach/{t.instance_id}".encode()).hexdigest())
    chosen = {t.instance_id for t in drawn[:round(len(cold) * share)]}
    return [t for t in cold if t.instance_id in chosen]
