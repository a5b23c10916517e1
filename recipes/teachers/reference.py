"""The teacher that bootstrap asks when no API teacher is named: the repository's own code.

It answers with the gold edit, in the reply format that a model would use, and is verified in the
jail like any other.
"""

from collections.abc import Callable
from pathlib import Path

from sandbox.jsonl import valid
from sandbox.tasks.gold import gold_reply
from sandbox.tasks.task import Task


class ReferenceTeacher:
    """Answers with the gold edit. Costs nothing and needs no network."""

    name = "reference"
    source = "reference"

    def __init__(self, tree_of: Callable[[Task], Path], style: str) -> None:
        self._tree_of, self._style = tree_of, style

    def reply(self, task: Task, messages: list[dict[str, str]]) -> str:
        """The answer to `messages`, which are about `task`."""
        return valid(gold_reply(task, self._tree_of(task), self._style))
