"""What a change of the tree can reach: which test files must be run again, and where the lines of
the rest have moved.

    reached = what_is_reached(before, after, old)     # `old`: what was seen of the suite before

- Of a changed module what acts when it is loaded must be the same (`modules.py`), and so must be
  the functions that were called meanwhile, and the decorators of all. Then the files of the tests
  that called a changed function are run again, and of those that called one in which a name stands
  that is bound now to something else.
- A changed test module is run again, if no test of another file called a function in it and no
  other file mentions its name.
- A changed file of another kind reaches nothing, unless it lies in the same top folder as a file
  that is loaded, or such a file names it, or it says something to pytest.
- Anything else may reach everything: a Python file that was added or removed, a changed
  conftest.py, a function that has been moved past others.
"""

import ast
import difflib
import filecmp
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from sandbox.modules import LISTING, Module, Words, is_told_of, names_of_path
from sandbox.node_ids import file_of
from sandbox.python_files import PythonFiles
from sandbox.snapshot import files_of
from sandbox.source import FunctionNode, read_text
from sandbox.suite_runs import Runs

SETTINGS = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
"""Where pytest looks for its settings. Of the first two all is pytest's."""
BY_NAME = re.compile(r"__|pytest_|test|set_?up|tear_?down", re.IGNORECASE)
"""How names begin by which Python, pytest and unittest call functions that no code names."""
Place = tuple[str, str]
"""File, and qualified name of a function or name of a module."""


@dataclass(frozen=True)
class Reached:
    """What a change of the tree can reach."""

    changed: frozenset[str]
    """The files that differ."""
    test_files: frozenset[str]
    """What must be run again."""
    shifts: dict[str, list[tuple[int, int]]]
    """{file: [(a line of the old file, by how much everything below it has moved)]}"""


class TooFar(Exception):
    """What a change can reach cannot be told."""


def what_is_reached(before: Path, after: Path, old: Runs) -> Reached | None:
    """None where that cannot be told, and where nothing has changed."""
    try:
        return _Change(before, after, old).reached()
    except TooFar:
        return None


class _Change:
    """Of a tree whose suite has run."""

    def __init__(self, before: Path, after: Path, old: Runs) -> None:
        self._before, self._after, self._old = before, after, old
        self._kinds = [dict(files_of(tree)) for tree in (before, after)]
        self._was, self._now = (
            PythonFiles(tree, (path for path, kind in kinds.items() if kind == "file"))
            for tree, kinds in zip((before, after), self._kinds)
        )
        self._tests = {file_of(test) for test in old.first}
        self._calls: dict[str, list[tuple[int, str]]] = {}
        """{file: [(line, test)]}"""
        for test, called in old.calls.items():
            for file, line, _ in called:
                self._calls.setdefault(file, []).append((line, test))

    def reached(self) -> Reached | None:
        changed = self._changed_files()
        if not changed:
            return None
        again: set[str] = set()
        sources = []
        for path in sorted(changed):
            if not path.endswith(".py"):
                self._check_data(path)
            elif path.endswith("conftest.py") or self._kinds[1].get(path) != "file":
                raise TooFar
            elif path in self._tests:
                self._check_alone(path)
                again.add(path)
            elif path in self._loaded:
                sources.append(_ChangedModule(path, self._was.module(path), self._now.module(path)))
            else:
                self._check_alone(path)
                self._check_data(path)
        places = self._functions_that_mean(sources) | {
            (module.path, name) for module in sources for name in module.functions
        }
        self._check_loading(places)
        if any(module.names for module in sources):
            places |= self._listing
        again |= {file for file, _ in places if file in self._tests}
        again |= self._callers(places, {m.path: m for m in sources})
        if any(module.is_documented_anew for module in sources):
            again |= {f for f, m in self._now.modules(self._tests).items() if m.reads_docs}
        # What imports what is read anew by a run; so there is one.
        again = again or {self._quickest()}
        shifts = {m.path: m.shifts for m in sources if m.shifts}
        return Reached(frozenset(changed), frozenset(again), shifts)

    # -------------------------------------------------------------------------------------- files

    def _changed_files(self) -> set[str]:
        was, now = self._kinds
        changed = {path for path in {*was, *now} if was.get(path) != now.get(path)}
        if any(path.endswith(".py") for path in changed):
            raise TooFar
        both = ((path, kind) for path, kind in now.items() if path not in changed)
        return changed | {p for p, kind in both if not self._is_same(p, kind)}

    def _is_same(self, path: str, kind: str) -> bool:
        """Raises TooFar where more than the content of a file differs."""
        a, b = self._before / path, self._after / path
        if kind != "link" and a.stat().st_mode == b.stat().st_mode:
            return filecmp.cmp(a, b, shallow=False)
        if kind != "link" or os.readlink(a) != os.readlink(b):
            raise TooFar
        return True

    @cached_property
    def _loaded(self) -> set[str]:
        """The Python files that the suite may have loaded."""
        roots = {*self._tests, *self._calls, *(self._old.loading or ())} & self._now.paths
        roots.update(*(self._now.conftests(test) for test in self._tests))
        return self._now.imported(roots)

    @cached_property
    def _named(self) -> frozenset[str]:
        """What may be the name of a file in them (`Words.files`)."""
        return Words.union(m.all_words for m in self._now.modules(self._loaded).values()).files

    def _check_data(self, path: str) -> None:
        """Of a file that nothing imports. Raises TooFar where something may read it."""
        top, below, _ = path.partition("/")
        tops = {file.partition("/")[0] for file in self._loaded if "/" in file}
        if below and top in tops or not self._named.isdisjoint(names_of_path(path)):
            raise TooFar
        if path in SETTINGS and pytest_settings(self._before) != pytest_settings(self._after):
            raise TooFar

    def _check_alone(self, path: str) -> None:
        """Of a Python file. Raises TooFar where another one may import it."""
        word = re.compile(rf"\b{re.escape(Path(path).stem)}\b")
        callers = {file_of(test) for _, test in self._calls.get(path, ())}
        others = self._now.paths - {path}
        if callers - {path} or any(word.search(read_text(self._after / o)) for o in others):
            raise TooFar

    def _quickest(self) -> str:
        """The test file that takes the least time."""
        seconds = dict.fromkeys(sorted(self._tests), 0.0)
        for test in self._old.first:
            seconds[file_of(test)] += self._old.times.get(test, 0.0)
        return min(seconds, key=seconds.__getitem__)

    # ---------------------------------------------------------------------------------- functions

    def _functions_that_mean(self, sources: list["_ChangedModule"]) -> set[Place]:
        """The functions in which a name may stand that means something else now; "" for what acts
        when a test module is loaded. Raises TooFar where that is another module."""
        names: set[Place] = {(module.path, name) for module in sources for name in module.names}
        modules = [*self._now.modules(self._loaded).items()]
        modules += [(m.path, m.was) for m in sources]
        found: set[Place] = set()
        known = -1
        while names and len(names) > known:
            known = len(names)
            of_file: dict[str, set[str]] = {}
            for file, name in names:
                of_file.setdefault(file, set()).add(name)
            anywhere = {name for _, name in names}
            for file, module in modules:
                here: Set[str] = of_file.get(file, frozenset())
                if module.words.may_mean(here, anywhere):
                    if file not in self._tests:
                        raise TooFar
                    found.add((file, ""))
                for binding in module.bindings:
                    if binding.words.may_mean(here, anywhere):
                        names |= {(file, name) for name in binding.names}
                found |= {
                    (file, function.qualname)
                    for function in module.functions
                    if module.words_of(function.qualname).may_mean(here, anywhere)
                }
        return found - {(m.path, name) for m in sources for name in m.added}

    @cached_property
    def _listing(self) -> set[Place]:
        """The functions of test files that list what a module has."""
        return {
            (file, function.qualname)
            for file, module in self._now.modules(self._tests).items()
            for function in module.functions
            if module.words_of(function.qualname).meet(LISTING)
        }

    def _check_loading(self, places: set[Place]) -> None:
        """Raises TooFar where one of these functions was called while modules were loaded, or, if
        that was not seen, where no test called one. What is in a test file is run again with it."""
        places = {place for place in places if place[0] not in self._tests}
        if self._old.loading is None:
            if not all(self._is_called(*place) for place in places):
                raise TooFar
            return
        loading = (place for called in self._old.loading.values() for place in called)
        if places & {(file, self._was.outermost(file, line)) for file, line, _ in loading}:
            raise TooFar

    def _is_called(self, file: str, name: str) -> bool:
        """Whether a test called this function itself, and not what stands in it alone."""
        module = self._was.module(file)
        first = {f.first for f in (module.functions if module else ()) if f.qualname == name}
        return any(line in first for line, _ in self._calls.get(file, ()))

    def _callers(self, places: set[Place], changed: dict[str, "_ChangedModule"]) -> set[str]:
        """Files of the tests that called one of these functions, or what stands outside functions
        on a line that has changed."""
        found = set()
        for file, calls in self._calls.items():
            for line, test in calls:
                name = self._was.outermost(file, line)
                outside = not name and file in changed and line not in changed[file].lines
                if outside or (file, name) in places:
                    found.add(file_of(test))
        return found


class _ChangedModule:
    """A module before and after a change. Raises TooFar where more differs than functions and
    bindings."""

    def __init__(self, path: str, was: Module | None, now: Module | None) -> None:
        if was is None or now is None or was.outside != now.outside:
            raise TooFar
        self.path, self.was = path, was
        before, after = ({f.qualname for f in m.functions} for m in (was, now))
        both = before & after
        differ = {name for name in both if was.code_of(name) != now.code_of(name)}
        if any(_header(was, name) != _header(now, name) for name in both):
            raise TooFar
        self.functions = differ | (before - after)
        """Those that are other ones now, or gone."""
        codes = (Counter(b.code for b in was.bindings), Counter(b.code for b in now.bindings))
        bindings = [
            b for b in (*was.bindings, *now.bindings) if codes[0][b.code] != codes[1][b.code]
        ]
        self.names = {name for b in bindings for name in b.names}
        """Those that mean something else now."""
        self.is_documented_anew = was.docstrings != now.docstrings
        self.added = after - before
        self._add_names(before ^ after, now)
        self.lines = _mapping(was.text, now.text)
        """{line: where it is now}"""
        for name in both - differ:
            starts = ([f.first for f in m.functions if f.qualname == name] for m in (was, now))
            if any(self.lines.setdefault(old, new) != new for old, new in zip(*starts)):
                raise TooFar
        if (places := [new for _, new in sorted(self.lines.items())]) != sorted(places):
            raise TooFar
        self.shifts = _shifts(self.lines)

    def _add_names(self, functions: Iterable[str], now: Module) -> None:
        """Of functions that are there on one side alone. Raises TooFar for such a one that may be
        called, or told of, without its name."""
        for name in functions:
            nodes = [f.node for m in (self.was, now) for f in m.functions if f.qualname == name]
            if any(map(is_told_of, nodes)):
                raise TooFar
            around, _, own = name.rpartition(".")
            root = around.partition(".")[0]
            if root and not (root in self.was.classes and root in now.classes):
                continue  # its class is new, or gone
            base = around and (around not in now.classes or now.classes[around].bases)
            if base or BY_NAME.match(own):
                raise TooFar  # whoever wrote the base calls its methods
            self.names |= {own, *_beginnings(own)}


def _beginnings(name: str) -> Iterator[str]:
    """How strings begin from which the name may be put together: `do_` of `do_this`."""
    for end, (last, next_one) in enumerate(pairwise(name), start=1):
        if last == "_" != next_one or last.islower() and next_one.isupper():
            yield name[:end]


def _header(module: Module, name: str) -> list[str]:
    """Of a function what works when its module is loaded, and the docstring where it may be
    read."""
    found = []
    for node in (f.node for f in module.functions if f.qualname == name):
        found += [type(node).__name__, *map(ast.dump, node.decorator_list)]
        found += [ast.dump(part) for part in _defaults(node) if _calls(part)]
        if module.reads_docs or is_told_of(node):
            found.append(ast.get_docstring(node, clean=False) or "")
    return found


def _defaults(node: FunctionNode) -> list[ast.expr]:
    arguments = (*node.args.defaults, *node.args.kw_defaults)
    return [default for default in arguments if default is not None]


def _calls(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Call) for part in ast.walk(node))


def _mapping(before: str, after: str) -> dict[int, int]:
    """{line that is the same: where it is now}, both from 1."""
    same = difflib.SequenceMatcher(None, before.split("\n"), after.split("\n"), autojunk=False)
    return {
        block.a + i + 1: block.b + i + 1
        for block in same.get_matching_blocks()
        for i in range(block.size)
    }


def _shifts(lines: dict[int, int]) -> list[tuple[int, int]]:
    """As in `Reached`, of lines that keep their order."""
    found, by = [], 0
    for old, new in sorted(lines.items()):
        if new - old != by:
            found.append((old - 1, new - old - by))
            by = new - old
    return found


def pytest_settings(tree: Path) -> list[str]:
    """What of its files may say something to pytest: sections that name it."""
    found = []
    for name in SETTINGS:
        if not (tree / name).is_file():
            continue
        text = read_text(tree / name)
        if "pytest.ini" not in name:
            parts = text.split("\n[")
            text = "\n[".join(part for part in parts if "pytest" in part.split("\n", 1)[0])
        found += [name, text]
    return found
