"""A teacher's answer in the words and format that the student is asked in: what is distilled of it.

    student = StudentFormat("body", chats)
    content = student.content(task, reply, tree)     # None where it has no such form
    student.dialogue(task, content)                  # what is learned, once it is judged as it is

Without what the teacher says of itself (`identity.py`), and without its reasoning unless the recipe
wants it; for a student that writes bare bodies the body alone, and for one that fills in the middle
as it stands in the file.
"""

import ast
import copy
from dataclasses import dataclass
from pathlib import Path

from recipes.teachers.identity import cut
from recipes.teachers.ledger import Reply
from sandbox.episode import files_with
from sandbox.judge.gate import InvalidEdit
from sandbox.source import FUNCTIONS, body_nodes, body_of, find, parse
from sandbox.tasks.fim import Around
from sandbox.tasks.replies import untagged, without_thinking
from sandbox.tasks.styles import is_bare_body, is_middle
from sandbox.tasks.task import Task


@dataclass(frozen=True)
class StudentFormat:
    """How the student is asked, and how it answers."""

    style: str
    """How its replies are written (`sandbox/judge/gate.py`)."""
    chats: dict[str, list[dict[str, str]]]
    """{instance_id: what it is asked}, which may show less than what the teacher is."""
    reasoning: bool = False
    """Whether it learns to think aloud."""
    turns: int = 1
    """Of its episodes, at most."""

    def dialogue(self, task: Task, content: str) -> list[dict[str, str]]:
        """The messages to learn, where `content` is the answer."""
        return [*self.chats[task.instance_id], {"role": "assistant", "content": content}]

    def content(self, task: Task, reply: Reply, tree: Path) -> str | None:
        """The answer as the student would write it; None where it has no such form. `tree`: the
        snapshot."""
        thought, answer = without_thinking(reply.content)
        thoughts = filter(None, (untagged(reply.reasoning), thought))
        thought, content = cut("\n\n".join(thoughts)), cut(answer)
        if is_bare_body(self.style, task):
            return _bare_body(task, content, tree, is_middle(self.style, task))
        if self.reasoning and thought:
            return f"<think>\n{thought}\n</think>\n\n{content}"
        return content


def _bare_body(task: Task, content: str, tree: Path, is_placed: bool) -> str | None:
    """The body of the task's function in an answer of whole functions; `is_placed`: as it has to
    stand in the file."""
    try:
        text = files_with(content, task, tree, "blocks")[task.file]
    except InvalidEdit:
        return None
    function = find(text, task.function)
    if function is None:
        return None
    if is_placed:
        return Around.of(task.broken(tree)[task.file], task.function).middle_of(text)
    return body_of(text, function) if body_nodes(function) else ""


def normal_form(files: dict[str, str]) -> str:
    """A text that is the same for files that differ in layout, comments and docstrings alone."""
    trees = []
    for path, text in sorted(files.items()):
        tree = copy.deepcopy(parse(text))
        for node in ast.walk(tree):
            if (
                isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS))
                and ast.get_docstring(node, clean=False) is not None
            ):
                del node.body[0]
        trees.append(f"{path}\n{ast.dump(tree)}")
    return "\n".join(trees)
