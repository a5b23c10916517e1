"""Other code in functions that are loaded already, as if their module had been imported with it.

Standard library and pytest, Python >= 3.9. `in_process.py` says under which conditions that equals
a fresh run.
"""

from __future__ import annotations
import __future__

import ast
import gc
import sys
import types
from typing import Any

import runner
from _pytest.assertion.rewrite import rewrite_asserts

FUTURE_FLAGS = 0
for _name in __future__.all_feature_names:
    FUTURE_FLAGS |= getattr(__future__, _name).compiler_flag


class Functions:
    """The functions of the tree, and which of them ran while the tests were collected."""

    def __init__(self, root: str, environments: list[str]) -> None:
        """`environments`: folders below the root that hold installed packages."""
        self.prefix = root.rstrip("/") + "/"
        self.in_tree = runner.tree_test(root, environments)
        self.early: set[tuple[str, int, str]] = set()
        """Places of what ran."""
        self.by_place: dict[tuple[str, int, str], list[types.FunctionType]] = {}
        self.config: Any = None

    def watch(self) -> None:
        """Note from now on which functions run."""
        sys.setprofile(self._note)

    def _note(self, frame: types.FrameType, event: str, arg: Any) -> None:
        if event == "call" and self.in_tree(frame.f_code.co_filename):
            self.early.add(self._place(frame.f_code))

    def stop_watching(self) -> None:
        sys.setprofile(None)

    def index(self, config: Any) -> None:
        """Find the functions of the tree. `config`: pytest's."""
        self.config = config
        for thing in gc.get_objects():
            if type(thing) is types.FunctionType and self.in_tree(thing.__code__.co_filename):
                self.by_place.setdefault(self._place(thing.__code__), []).append(thing)

    def _place(self, code: types.CodeType) -> tuple[str, int, str]:
        """(file, first line, name)"""
        return code.co_filename[len(self.prefix) :], code.co_firstlineno, code.co_name

    def patch_all(self, patches: list[dict[str, Any]]) -> str | None:
        """Put the new code of all of them in place; a reason in words where that would not equal a
        fresh run."""
        return next(filter(None, map(self.patch, patches)), None)

    def patch(self, patch: dict[str, Any]) -> str | None:
        """Put one function's new code in place: {"file", "chain": its qualified name in parts,
        "line": its first, "old" and "new": its sources, "imports": those of its module}."""
        place = (patch["file"], patch["line"], patch["chain"][-1])
        functions = self.by_place.get(place)
        if not functions:
            return "the function is not loaded"
        if place in self.early:
            return "the function runs while the tests are collected"
        original = functions[0].__code__
        # pytest rewrites the assertions of test modules: a function that was rewritten is compiled
        # in the same way.
        asserts = self.config if "@pytest_ar" in functions[0].__globals__ else None
        try:
            intact = compiled(original, patch, patch["old"], asserts)
            new = compiled(original, patch, patch["new"], asserts)
        except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError) as error:
            return "its code cannot be compiled alone: %s" % type(error).__name__
        if any(not same_code(f.__code__, intact) for f in functions):
            return "something has rewritten the function's code"
        if new.co_freevars != original.co_freevars:
            return "the new code has other free variables"
        for function in functions:
            function.__code__ = new
        return None


def compiled(
    original: types.CodeType, patch: dict[str, Any], source: str, asserts: Any
) -> types.CodeType:
    """The code object of one function from its source, compiled alone inside empty classes of the
    right names (private names depend on them), after its module's imports (Python compiles a call
    through an imported name differently); where a pytest configuration is given, its assertions
    rewritten as pytest does it.

    Raises SyntaxError, ValueError or LookupError.
    """
    path, chain, line = original.co_filename, patch["chain"], patch["line"]
    module = ast.Module(
        body=[*ast.parse(patch["imports"]).body, in_classes(chain[:-1], parsed(source, line))],
        type_ignores=[],
    )
    if asserts is not None:
        # pytest wants the text as well, for its messages: the function's own, on its own lines.
        text = b"\n" * (line - 1) + source.encode("utf-8", "surrogateescape")
        rewrite_asserts(module, text, path, asserts)
    flags = original.co_flags & FUTURE_FLAGS
    code = compile(module, path, "exec", flags=flags, dont_inherit=True)
    for name in chain:
        code = constant_of(code, name)
    return code


def constant_of(code: types.CodeType, name: str) -> types.CodeType:
    """The code object of this name that stands directly in `code`. Raises LookupError: that of a
    generic function (Python 3.12) stands in another one."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name == name:
            return constant
    raise LookupError(name)


def parsed(source: str, line: int) -> Any:
    """The function in the source, from this line on, without decorators."""
    indented = source[:1] in (" ", "\t")
    module: Any = ast.parse("if 1:\n" + source if indented else source)
    function = module.body[0].body[0] if indented else module.body[0]
    first = min([function.lineno] + [d.lineno for d in function.decorator_list])
    ast.increment_lineno(function, line - first)
    function.decorator_list = []
    return function


def in_classes(names: list[str], function: Any) -> Any:
    """The function inside empty classes of these names."""
    node = function
    for name in reversed(names):
        # Python 3.12 wants type parameters, and those before know nothing of them.
        parts: dict[str, Any] = {"bases": [], "keywords": [], "body": [node], "type_params": []}
        node = ast.copy_location(ast.ClassDef(name=name, decorator_list=[], **parts), function)
    return node


def same_code(a: types.CodeType, b: types.CodeType) -> bool:
    """Equal in all that decides what the code does; lines may differ."""
    names = (
        "co_code",
        "co_freevars",
        "co_cellvars",
        "co_names",
        "co_varnames",
        "co_flags",
        "co_argcount",
        "co_kwonlyargcount",
        "co_posonlyargcount",
    )
    if any(getattr(a, n) != getattr(b, n) for n in names) or len(a.co_consts) != len(b.co_consts):
        return False
    return all(
        same_code(x, y)
        if isinstance(x, types.CodeType) and isinstance(y, types.CodeType)
        else type(x) is type(y) and repr(x) == repr(y)
        for x, y in zip(a.co_consts, b.co_consts)
    )
