"""The blocks of one reply, applied to the broken files one after the other.

    files = Application(blocks, task, broken).changed_files()      # raises InvalidEdit

The last block for a place counts: a function takes the place of its namesake, whatever has become
of that; a SEARCH/REPLACE block whose search text is gone, and stood in the broken file, takes the
place of the blocks that changed it there. What other blocks define is added where the functions
need it and nothing gives it.
"""

import ast
import builtins
from contextlib import suppress
from dataclasses import replace

from sandbox.judge.blocks import NO_BLOCK, Block, Blocks, FunctionBlock, Misfit, outer, resolved
from sandbox.judge.gate import InvalidEdit
from sandbox.judge.merge import DEFINITIONS, defined, names_of, with_additions
from sandbox.judge.search_replace import line_of, occurrences, replaced
from sandbox.source import Function, find, functions, parse, source_of, unwritable, with_function
from sandbox.tasks.replies import Part
from sandbox.tasks.task import Task

MAX_REPLACING = 4
"""Blocks of one reply that may take the place of others before them."""
Place = frozenset[tuple[str, int]]
"""(path, line) of the broken files."""


class Application:
    """What the blocks of one reply make of the broken files."""

    def __init__(self, blocks: Blocks, task: Task, broken: dict[str, str]) -> None:
        self._blocks, self._task, self._broken = blocks, task, broken
        self._texts = dict(broken)
        self._applied: list[tuple[Block, str]] = []
        """What counts so far, and the path of each."""
        self._misfits = list(blocks.misfits)
        self._replacing_left = MAX_REPLACING
        self._places: dict[int, Place] = {}
        """By the identity of a SEARCH/REPLACE block, for it is asked for again and again."""

    def changed_files(self) -> dict[str, str]:
        """{path: new text} of the changed files. Raises InvalidEdit. To be called once."""
        for block in self._blocks.meant:
            try:
                self._apply(block)
            except Misfit as misfit:
                if not self._apply_in_place_of_others(block):
                    self._misfits.append(misfit)
        if not self._applied:
            reasons = [str(m) for m in sorted(self._misfits, key=lambda m: m.weight)]
            raise InvalidEdit(reasons[-1] if reasons else NO_BLOCK)
        with suppress(SyntaxError, Misfit):
            self._add_helpers()
        return {path: self._texts[path] for path in sorted({path for _, path in self._applied})}

    def _apply(self, block: Block) -> None:
        """Raises Misfit, and nothing has changed then."""
        if isinstance(block, Part):
            self._applied.append((block, self._apply_change(block)))
        elif block.functions:
            self._applied.append((block, self._apply_functions(block)))

    def _apply_functions(self, block: FunctionBlock) -> str:
        """Put the functions in their places; the path of the file. Raises Misfit."""
        text, source, path = self._texts[block.path], block.part.code, block.path
        try:
            for name, function in block.functions.items():
                if (target := find(text, name)) is None:
                    raise Misfit(4, f"{path} has no {name} once the blocks before are in it")
                text = _fitting(path, with_function(text, target, source_of(source, function)))
            given = {f.qualname for f in outer(functions(source))}
            helpers = {
                name for name in given - block.known if "." not in name and find(text, name) is None
            }
            known = (defined(parse(self._broken[path])) | given) - helpers
            text = _fitting(
                path, with_additions(text, source, parse(source), known, self._task.function)
            )
        except SyntaxError as error:
            raise Misfit(4, f"the function cannot be put in its place: {error.msg}") from None
        self._texts[path] = text
        return path

    def _apply_change(self, part: Part) -> str:
        """Apply a SEARCH/REPLACE block; the path of the file. Raises Misfit."""
        counts: dict[int, str] = {}
        for path in self._paths_for(part):
            for search, replacement in part.changes:
                if (count := occurrences(self._texts[path], search)) == 1:
                    self._texts[path] = replaced(self._texts[path], search, replacement)
                    return path
                counts.setdefault(count, path)
        count = max(counts)
        raise Misfit(3, f"the search text for {counts[count]} occurs {count} times, not once")

    def _paths_for(self, part: Part) -> list[str]:
        """The file that a SEARCH/REPLACE block names; without a name the task's own, then any.
        Raises Misfit."""
        found = [path for name in part.paths if (path := resolved(name, self._broken))]
        if not found and part.path_alone:
            raise Misfit(
                3, f"a SEARCH/REPLACE block names {part.paths[0]}, which this task does not edit"
            )
        return found[:1] or list(dict.fromkeys((self._task.file, *self._broken)))

    # ------------------------------------------------------------------ one in the place of another

    def _apply_in_place_of_others(self, block: Block) -> bool:
        """Try the block without what is in its way; where that is no use everything is as before.
        Whether it was applied."""
        if not self._replacing_left:
            return False
        if isinstance(block, Part) and not self._place(block):
            return False
        self._replacing_left -= 1
        applied, texts = self._applied, self._texts
        rest = [self._left_of(other, path, block) for other, path in applied]
        self._applied, self._texts = [], dict(self._broken)
        for other in rest:
            if other is not None:
                with suppress(Misfit):
                    self._apply(other)
        with suppress(Misfit):
            self._apply(block)
            return True
        self._applied, self._texts = applied, texts
        return False

    def _left_of(self, other: Block, path: str, block: Block) -> Block | None:
        """What stays of a block where a later one takes its place."""
        if isinstance(block, FunctionBlock):  # the file may not parse with the others in it
            return None if isinstance(other, Part) and path == block.path else other
        if isinstance(other, Part):
            return None if self._place(block) & self._place(other) else other
        kept = {
            name: f
            for name, f in other.functions.items()
            if not self._place(block) & _place_of(path, find(self._broken[path], name))
        }
        return replace(other, functions=kept) if kept else None

    def _place(self, part: Part) -> Place:
        """What a SEARCH/REPLACE block is about in the broken files."""
        if id(part) not in self._places:
            self._places[id(part)] = self._found_place(part)
        return self._places[id(part)]

    def _found_place(self, part: Part) -> Place:
        with suppress(Misfit):
            for path in self._paths_for(part):
                for search, _ in part.changes:
                    if occurrences(self._broken[path], search) == 1:
                        first = line_of(self._broken[path], search) + 1
                        lines = range(first, first + search.count("\n"))
                        if lines:
                            return frozenset((path, line) for line in lines)
        return frozenset()

    # -------------------------------------------------------------------------------------- helpers

    def _add_helpers(self) -> None:
        """Add what blocks that are about nothing of the task define, as far as the functions need
        it and nothing else gives it: the last definition of each name. Raises SyntaxError,
        Misfit."""
        sources = self._blocks.helpers
        givers: dict[str, tuple[int, ast.stmt]] = {
            name: (number, node)
            for number, source in enumerate(sources)
            for node in parse(source).body
            if isinstance(node, (*DEFINITIONS, ast.Assign, ast.AnnAssign))
            for name in names_of(node)
        }
        for path in {path for _, path in self._applied} if givers else ():
            text = self._texts[path]
            needed = self._needed(path, givers)
            for number in sorted({number for number, _ in needed.values()}, reverse=True):
                nodes = {id(node): node for at, node in needed.values() if at == number}
                module = ast.Module(sorted(nodes.values(), key=lambda node: node.lineno), [])
                given = {name for name, (at, _) in needed.items() if at == number}
                known = defined(module) - given
                text = with_additions(text, sources[number], module, known, self._task.function)
            self._texts[path] = _fitting(path, text)

    def _needed(
        self, path: str, givers: dict[str, tuple[int, ast.stmt]]
    ) -> dict[str, tuple[int, ast.stmt]]:
        """Those of the definitions that the functions put into this file need, and that these
        need."""
        pending: list[ast.AST] = [
            function.node
            for block, at in self._applied
            if isinstance(block, FunctionBlock) and at == path
            for function in block.functions.values()
        ]
        known = defined(parse(self._texts[path])) | set(dir(builtins))
        needed: dict[str, tuple[int, ast.stmt]] = {}
        while pending:
            for name in (_unknown_names(pending.pop()) - known) & givers.keys() - needed.keys():
                needed[name] = givers[name]
                pending.append(givers[name][1])
        return needed


def _fitting(path: str, text: str) -> str:
    """The text, if the file's encoding can say it. Raises Misfit."""
    if fault := unwritable(text):
        raise Misfit(4, f"{path} {fault}")
    return text


def _place_of(path: str, function: Function | None) -> Place:
    assert function is not None
    return frozenset((path, line) for line in range(function.first, function.last + 1))


def _unknown_names(node: ast.AST) -> set[str]:
    """Names that it uses and does not define itself."""
    used: set[str] = set()
    own: set[str] = set()
    for n in ast.walk(node):
        if isinstance(n, ast.Name):
            (used if isinstance(n.ctx, ast.Load) else own).add(n.id)
        elif isinstance(n, ast.arg):
            own.add(n.arg)
        elif isinstance(n, ast.alias):
            own.add(n.asname or n.name.partition(".")[0])
        elif isinstance(name := getattr(n, "name", None), str):
            own.add(name)
    return used - own
