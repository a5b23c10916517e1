"""Which blocks of a model's reply are meant as an edit, and what each is about.

    blocks = Blocks(read(reply), task, broken)     # `read` of sandbox/tasks/replies.py
    blocks.meant                # FunctionBlock or Part (SEARCH/REPLACE), in the order of the reply
    blocks.helpers              # Python that is about nothing of the task
    blocks.misfits              # why the others are of no use

What does not parse, does not fit or is about nothing of the task is passed over. A function without
a body, as it was before, or of another file is a quotation where anything else is written for its
place.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sandbox.source import Function, body_nodes, find, functions
from sandbox.tasks.replies import BROKEN, CHANGE, OPEN, OTHER, PYTHON, THINKING, Part
from sandbox.tasks.task import Task

NO_BLOCK = "the reply holds no complete python block with the function and no SEARCH/REPLACE block"


class Misfit(Exception):
    """A block of a reply is of no use; `str(error)` says why."""

    def __init__(self, weight: int, reason: str) -> None:
        """`weight`: how near it came to being the answer."""
        super().__init__(reason)
        self.weight = weight


@dataclass(frozen=True)
class FunctionBlock:
    """A block of Python, and what of it belongs into a file."""

    part: Part
    path: str
    functions: dict[str, Function]
    """Those that take the place of a namesake, by their qualified names in the file."""
    known: frozenset[str]
    """The names in the block of all that have one."""


Block = FunctionBlock | Part
"""A Part stands for a SEARCH/REPLACE block."""


class Blocks:
    """The blocks of one reply, sorted by what they are for."""

    def __init__(self, parts: list[Part], task: Task, broken: dict[str, str]) -> None:
        """`broken`: {path: text} of the files that the task is about."""
        self._task, self._broken = task, broken
        self.misfits: list[Misfit] = []
        self.helpers: list[str] = []
        found = [block for part in parts if (block := self._block(part)) is not None]
        self.has_function = any(isinstance(block, FunctionBlock) for block in found)
        self.meant: list[Block] = self._without_quotations(found)

    def _block(self, part: Part) -> Block | None:
        """What is to be tried of a part, if anything; why nothing is, is noted."""
        if part.kind == CHANGE:
            return part
        if part.kind == PYTHON:
            if (block := self._function_block(part)) is not None:
                return block
            self.helpers.append(part.code)
            if names := ", ".join(f.qualname for f in outer(functions(part.code))):
                self._note(1, f"the python block has {names}, and not {self._wanted}")
        elif part.kind == BROKEN:
            self._note(
                3 if self._defined_in(part.content) else 0,
                f"the python block does not parse: {part.fault}",
            )
        elif part.kind == OTHER and self._defined_in(part.content):
            self._note(2, f"{NO_BLOCK}: the function stands in a block of another language")
        elif part.kind == THINKING and self._defined_in(part.text):
            self._note(2, f"{NO_BLOCK}: the function stands in its thinking alone")
        elif part.kind == OPEN:
            self._note(1, f"{NO_BLOCK}: a block in it has no end")
        return None

    def _note(self, weight: int, reason: str) -> None:
        self.misfits.append(Misfit(weight, reason))

    @property
    def _wanted(self) -> str:
        return "a function of these files" if self._task.files else self._task.function

    def _defined_in(self, content: str) -> bool:
        """Whether the task's function may be meant, though it is no Python."""
        name = self._task.function.rpartition(".")[2]
        return re.search(rf"\bdef\s+{re.escape(name)}\b", content) is not None

    def _function_block(self, part: Part) -> FunctionBlock | None:
        """The functions of a block that belong into one of the files: the one that it names, or the
        task's own, or another."""
        by_name = {f.qualname: f for f in outer(functions(part.code))}
        named = filter(None, (resolved(path, self._broken) for path in part.paths))
        for path in dict.fromkeys((*named, self._task.file, *self._broken)):
            as_meant = _as_methods(by_name, self._task.named.get(path, ()))
            try:
                own = {
                    name: f
                    for name, f in as_meant.items()
                    if find(self._broken[path], name) is not None
                }
            except SyntaxError:  # only SEARCH/REPLACE blocks can repair that file
                continue
            if own and (self._task.files or self._task.function in own):
                return FunctionBlock(part, path, own, frozenset(f.qualname for f in own.values()))
        return None

    # ----------------------------------------------------------------------------------- quotations

    def _without_quotations(self, blocks: list[Block]) -> list[Block]:
        """The same without the functions that are quoted where others are written."""
        written = {
            (block.path, name)
            for block in blocks
            if isinstance(block, FunctionBlock)
            for name in block.functions
            if self._is_written(block, name)
        }
        has_changes = any(isinstance(block, Part) for block in blocks)
        kept: list[Block] = []
        for block in blocks:
            if isinstance(block, FunctionBlock):
                own = {
                    name: f
                    for name, f in block.functions.items()
                    if (block.path, name) not in written or self._is_written(block, name)
                }
                block = replace(block, functions={} if has_changes and not written else own)
            kept.append(block)
        return kept

    def _is_written(self, block: FunctionBlock, name: str) -> bool:
        """Whether the block gives more of the function than a quotation."""
        function, before = block.functions[name], find(self._broken[block.path], name)
        assert before is not None
        if block.part.path_alone and not any(resolved(p, self._broken) for p in block.part.paths):
            return False
        return not all(map(_is_blank, function.node.body)) and not _is_alike(function, before)


def resolved(path: str, paths: Iterable[str]) -> str | None:
    """Which of the paths a reply means by this one; its folders may be left out where one alone
    ends so."""
    path = path.replace("\\", "/").removeprefix("./")
    ends = [known for known in paths if known == path or known.endswith(f"/{path}")]
    return path if path in ends else ends[0] if len(ends) == 1 else None


def outer(found: Iterable[Function]) -> list[Function]:
    """Those that are not defined inside another function."""
    return [f for f in found if "<locals>" not in f.qualname]


def _as_methods(named: dict[str, Function], wanted: Iterable[str]) -> dict[str, Function]:
    """The same where a method may have been shown without its class."""
    found = dict(named)
    for name in wanted:
        short = next((n for n in found if name.endswith(f".{n}")), None)
        if short is not None and name not in found:
            found[name] = found.pop(short)
    return found


def _is_blank(node: ast.stmt) -> bool:
    """Whether a statement does nothing, or stands for what is missing."""
    if isinstance(node, ast.Raise):
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return isinstance(kind, ast.Name) and kind.id == "NotImplementedError"
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant or isinstance(node, ast.Pass)


def _is_alike(a: Function, b: Function) -> bool:
    """Whether they have the same arguments and the same body, docstrings aside."""
    try:
        forms = [[ast.dump(n) for n in (f.node.args, *body_nodes(f))] for f in (a, b)]
        return forms[0] == forms[1]
    except RecursionError:  # nested too deep to be compared
        return False
