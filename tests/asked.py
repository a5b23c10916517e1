"""What a model is asked of a task where there is room for all of it."""

from pathlib import Path

from sandbox.tasks.prompts import Budget, build
from sandbox.tasks.task import Task

ROOM = Budget.estimated(10**6)


def messages(task: Task, tree: Path, style: str = "blocks") -> list[dict[str, str]]:
    return build(task, tree, style, ROOM).messages
