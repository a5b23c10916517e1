"""Fill-in-the-middle: the body of a function is the middle of its file.

    around = Around.of(text, "Cart.total")      # of the broken state
    around.prefix, around.suffix                # the file before the body, and behind it
    around.filled("        return 1")           # the file with this middle, as it stands
    around.middle_of(intact)                    # the body that the function has in another text
    around.window(room, costs)                  # as much of both as there is room for

The prefix ends with the line end behind signature and docstring, the suffix begins with the line
end behind the body: that is where the cursor of an editor stands. A body that the broken state has
is taken out. What a model writes is put between the two as an editor would put it, so its
indentation is part of what is judged; nothing is taken off it, neither fences nor thinking.

Bavarian et al. 2022, "Efficient Training of Language Models to Fill in the Middle"
(arXiv:2207.14255).
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.source import (
    Function,
    around_body,
    body_nodes,
    body_of,
    find,
    parse,
    read_text,
    reads_as_python,
    reindent,
)
from sandbox.tasks.task import Task

SUFFIX_SHARE = 0.25
"""Of the room around a function, for what stands behind it, where there is more than fits: what
llama.cpp's server takes (`format_prompt_infill`: three parts of prefix to one of suffix)."""
MIDDLE = "<middle>"
"""Stands for it in a prompt that a person reads."""


@dataclass(frozen=True)
class Around:
    """A file without the body of one of its functions. Line ends are those of the file."""

    prefix: str
    suffix: str
    function: Function

    @classmethod
    def of(cls, text: str, qualname: str) -> "Around":
        """`text` must have the function."""
        function = find(text, qualname)
        assert function is not None  # the task was made of it
        before, _, behind = around_body(text, function)
        return cls(before, behind, function)

    def filled(self, middle: str) -> str:
        """The file with this middle, whose lines end as the file's do."""
        if self.prefix.endswith("\r\n") or self.suffix.startswith("\r\n"):
            middle = middle.replace("\n", "\r\n")
        return f"{self.prefix}{middle}{self.suffix}"

    def middle_of(self, text: str) -> str:
        """The body that the function has in `text`, as it has to stand here; "" where there is no
        such function, or nothing in it."""
        function = find(text, self.function.qualname)
        if function is None or not body_nodes(function):
            return ""
        before, inside, _ = around_body(text, function)
        inside, inner = inside.replace("\r", ""), f"{self.function.indent}    "
        if function.indent != self.function.indent:
            inside = reindent(body_of(text, function), inner).rstrip("\n")
        elif self.prefix.endswith("\n") and not before.endswith("\n"):
            inside = f"{inner}{inside}"
        if not self.prefix.endswith("\n") and before.endswith("\n"):
            inside = f"\n{inside}"
        return inside

    def window(self, room: int, costs: Sequence[int]) -> tuple[str, str]:
        """(prefix, suffix) of whole lines, the nearest, in so many tokens beside the function's own
        head, which is always there. `costs`: tokens of each line of the file."""
        first, last = self.function.first - 1, self.function.last
        above, below = list(reversed(costs[:first])), costs[last:]
        behind = _fitting(below, int(room * SUFFIX_SHARE))
        before = _fitting(above, room - sum(below[:behind]))
        behind = _fitting(below, room - sum(above[:before]))
        lines, rest = self.prefix.split("\n"), self.suffix.split("\n")
        cut = rest[behind + 1 :] and [""]  # what is left out begins with a line of its own
        return "\n".join(lines[first - before :]), "\n".join([*rest[: behind + 1], *cut])


def _fitting(costs: Sequence[int], room: int) -> int:
    """How many of the first ones fit."""
    for count, cost in enumerate(costs):
        if (room := room - cost) < 0:
            return count
    return len(costs)


def why_not(task: Task, tree: Path) -> str:
    """Why a task cannot be put as the middle of a file, in words before the names of such tasks;
    empty if it can."""
    if task.files:
        return "Not about one function"
    gold = read_text(tree / task.file) if task.patch else ""
    if not gold:
        return ""  # nobody knows the answer
    around = Around.of(task.broken(tree)[task.file], task.function)
    new = around.filled(around.middle_of(gold))
    if reads_as_python(new) and ast.dump(parse(new)) == ast.dump(parse(gold)):
        return ""
    return "Mended by more than a body"
