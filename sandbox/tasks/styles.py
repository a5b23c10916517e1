"""How a task is put to a model, and how the answer is written: the styles that `prompt.style`
names. `prompts.py` writes the prompts, `sandbox/judge/edits.py` reads the answers."""

from sandbox.tasks.task import Task

FIM = "fim"
STYLES = ("blocks", "compact", "body", "rewrite", FIM)
BARE = ("body", "rewrite", FIM)
"""Those that are answered with the bare body of the task's function."""
PREFIX, SUFFIX = "prefix", "suffix"
"""The roles of the two messages of which a prompt of the style `fim` consists; what answers them
stands between (`fim.py`)."""


def is_bare_body(style: str, task: Task) -> bool:
    """Whether the answer is a bare body. That of a task about whole files never is."""
    return style in BARE and not task.files


def is_middle(style: str, task: Task) -> bool:
    """Whether the answer is a bare body that is put between two parts of the file as it stands."""
    return style == FIM and not task.files


def asks_again(style: str, task: Task) -> str:
    """The sentence that asks for another whole answer after one that failed."""
    if task.files:
        return "Answer again with all blocks; the files are as they were at first."
    if is_bare_body(style, task):
        return "Answer again with the whole body."
    return f"Answer again with the whole function `{task.function}`."
