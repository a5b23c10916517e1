"""The Python files of a tree: each taken apart (`modules.py`), and what they import.

files = PythonFiles(tree, ["lib/a.py", "tests/test_a.py"])
files.module("lib/a.py").bindings
files.imported(["tests/test_a.py"])      # with all that these import, directly or not
files.outermost("lib/a.py", 12)          # the function that this line stands in
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from sandbox.modules import Module
from sandbox.source import read_text


class PythonFiles:
    """Those of a tree, read when they are asked for."""

    def __init__(self, tree: Path, files: Iterable[str]) -> None:
        """`files`: paths below the tree; what is no Python among them is left out."""
        self._tree = tree
        self.paths = frozenset(path for path in files if path.endswith(".py"))
        self._modules: dict[str, Module | None] = {}
        self._functions_at: dict[tuple[str, int], str] = {}

    def module(self, file: str) -> Module | None:
        """None where it is no Python that can be read here."""
        if file not in self._modules:
            try:
                module = Module(read_text(self._tree / file)) if file in self.paths else None
            except SyntaxError:
                module = None
            self._modules[file] = module
        return self._modules[file]

    def modules(self, files: Iterable[str]) -> dict[str, Module]:
        """Those that can be read."""
        return {file: module for file in files if (module := self.module(file))}

    def outermost(self, file: str, line: int) -> str:
        """The function that this line stands in and that stands in no other; "" for none."""
        if (file, line) not in self._functions_at:
            module = self.module(file)
            found = [f for f in (module.functions if module else ()) if f.first <= line <= f.last]
            self._functions_at[file, line] = found[0].qualname if found else ""
        return self._functions_at[file, line]

    def imported(self, roots: Iterable[str]) -> set[str]:
        """The files, and those of the tree that they import, and so on."""
        seen = set(roots)
        pending = list(seen)
        while pending:
            module = self.module(file := pending.pop())
            names = module.imports(file) if module else ()
            new = {f for name in names for f in self._places.get(name, ())} - seen
            new |= {f for f in self._packages(file) if f not in seen}
            seen |= new
            pending += new
        return seen

    def conftests(self, file: str) -> Iterator[str]:
        """Every `conftest.py` above the file."""
        for folder in PurePosixPath(file).parents:
            if (path := (folder / "conftest.py").as_posix()) in self.paths:
                yield path

    @cached_property
    def _places(self) -> dict[str, list[str]]:
        """{dotted name: files that may be meant}: from whatever folder it may be imported."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.paths):
            parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
            for start in range(len(parts)):
                found.setdefault(".".join(parts[start:]), []).append(path)
        return found

    def _packages(self, file: str) -> Iterator[str]:
        """The `__init__.py` of every package that the file is in."""
        for folder in PurePosixPath(file).parents:
            if (path := (folder / "__init__.py").as_posix()) in self.paths:
                yield path
