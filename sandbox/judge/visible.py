"""The tests' files cut down to what the tests need that may be shown: what stands in the tree where
only these run, so that no hidden test can be read there, in whatever encoding.

    view = narrow(shown, hidden, texts, others)   # what the shown tests name, and what that names
    view = wide(shown, hidden, texts, others)     # all but other tests, where that is too little

In both the functions of other tests are gone, hidden or not, with their names; so are comments and
docstrings, and the numbers of lines tell nothing. Which of the two a task's shown tests still run
in is measured (`showing.py`). What a shown test needs is there even where a hidden one needs it,
too.
"""

import ast
import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from sandbox.judge.twins import test_functions
from sandbox.source import FUNCTIONS, parse

WORD = re.compile(r"[A-Za-z_]\w*")
ALWAYS = re.compile(
    r"pytest_\w+|pytestmark|__\w+__|setup\w*|teardown\w*|(async)?(setUp|tearDown)\w*"
)
"""Names that pytest or unittest look up by themselves."""
COMPOUND = (ast.If, ast.Try, ast.With, ast.For, ast.While)
BRANCHES = ("body", "orelse", "finalbody")
PACKAGE = "__init__.py"


@dataclass(frozen=True)
class View:
    """What there is of the tests' files."""

    files: dict[str, str]
    """{path: text} of those in Python."""
    others: frozenset[str]
    """Those of the other files that stay."""


def wide(
    shown: Iterable[str], hidden: Iterable[str], texts: dict[str, str], others: Iterable[str]
) -> View:
    """`shown`, `hidden`: node ids; `texts`: {path: text} of all Python files of the tests;
    `others`: their other files. A file that our own Python cannot read is left out."""
    tests = _Tests(shown, hidden, texts)
    bodies = {path: tests.without_others(path) for path in texts}
    files = {path: _text(body) for path, body in bodies.items() if body is not None}
    return View(files, frozenset(others))


def narrow(
    shown: Iterable[str], hidden: Iterable[str], texts: dict[str, str], others: Iterable[str]
) -> View:
    """As `wide`, and of what is left only what the shown tests name, directly or by what they name:
    helpers, tables, fixtures, imports, data files; and what pytest looks up by itself."""
    needed = _Needed(_Tests(shown, hidden, texts), texts)
    files = {path: _text(body) for path, body in needed.modules()}
    said = "\n".join(files.values())
    kept = (
        p for p in others if PurePosixPath(p).name in said or PurePosixPath(p).stem in needed.words
    )
    return View(files, frozenset(kept))


def _text(body: list[ast.stmt]) -> str:
    return ast.unparse(ast.Module(body, [])) + "\n"


class _Tests:
    """Which functions are tests, and which of them may be shown."""

    def __init__(self, shown: Iterable[str], hidden: Iterable[str], texts: dict[str, str]) -> None:
        self._texts = texts
        self._shown, self._hidden = (
            {(file, name) for file, names in test_functions(tests).items() for name in names}
            for tests in (shown, hidden)
        )
        self.files = {file for file, _ in self._shown if file in texts}
        found = {
            (path, name): node
            for path in self.files
            for name, node in _functions(self._parsed(path) or [])
        }
        self._inherited = {name.rpartition(".")[2] for _, name in self._shown - found.keys()}
        """Names of shown tests that stand in a class which theirs comes from."""
        self._named: set[str] = set()
        """Words of the shown tests: what they call is no test, whatever its name."""
        for key in self._shown & found.keys():
            self._named.update(WORD.findall(ast.unparse(found[key])))

    def without_others(self, path: str) -> list[ast.stmt] | None:
        """The statements of this file but for other tests; None where it cannot be read."""
        body = self._parsed(path)
        return None if body is None else self._kept(body, path, "")

    def is_shown(self, path: str, name: str) -> bool:
        inherits = name.rpartition(".")[2] in self._inherited and (path, name) not in self._hidden
        return (path, name) in self._shown or inherits

    def _parsed(self, path: str) -> list[ast.stmt] | None:
        try:
            return parse(self._texts[path]).body
        except SyntaxError:
            return None

    def _stays(self, node: ast.stmt, path: str, name: str) -> bool:
        if not isinstance(node, FUNCTIONS) or self.is_shown(path, name):
            return True
        if (path, name) in self._hidden:
            return False
        fixture = any("fixture" in ast.unparse(d) for d in node.decorator_list)
        return fixture or not node.name.startswith("test") or node.name in self._named

    def _kept(self, body: Sequence[ast.stmt], path: str, above: str) -> list[ast.stmt]:
        kept: list[ast.stmt] = []
        for node in body:
            if _is_text(node) or not self._stays(node, path, above + getattr(node, "name", "")):
                continue
            if isinstance(node, ast.ClassDef):
                node = _with(node, "body", self._kept(node.body, path, f"{above}{node.name}."))
            elif isinstance(node, COMPOUND):
                for part in BRANCHES:
                    if inner := getattr(node, part, None):
                        node = _with(node, part, self._kept(inner, path, above))
            kept.append(node)
        return kept or [ast.Pass()]


def _with(node: ast.stmt, part: str, value: object) -> ast.stmt:
    """A copy: trees are shared."""
    changed = copy.copy(node)
    setattr(changed, part, value)
    return changed


def _is_text(node: ast.stmt) -> bool:
    """Whether it is a docstring, or another text that does nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _functions(body: Sequence[ast.stmt], above: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """(qualified name, function) of all but those within functions."""
    for node in body:
        if isinstance(node, FUNCTIONS):
            yield above + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{above}{node.name}.")
        elif isinstance(node, COMPOUND):
            for part in BRANCHES:
                yield from _functions(getattr(node, part, []), above)


# ----------------------------------------------------------------------------------- what is needed


@dataclass
class _Unit:
    """A statement of a module or of a class, an import's one name."""

    node: ast.stmt
    names: set[str]
    """That it defines."""
    words: set[str]
    """Of its source; of a class, of its head."""
    always: bool
    members: list["_Unit"] = field(default_factory=list)
    kept: bool = False


class _Needed:
    """Finds what the shown tests name, again and again until nothing is added."""

    def __init__(self, tests: _Tests, texts: dict[str, str]) -> None:
        self.words: set[str] = set()
        self._tests = tests
        self._units: dict[str, list[_Unit]] = {}
        """Of the files that are among it."""
        self._left = {path for path in texts if path not in tests.files}
        self._add(tests.files)
        self._add({p for p in self._left if PurePosixPath(p).name in ("conftest.py", PACKAGE)})
        while self._grown():
            pass

    def modules(self) -> Iterator[tuple[str, list[ast.stmt]]]:
        for path in sorted(self._units):
            yield path, _joined(self._units[path])

    def _add(self, paths: Iterable[str]) -> None:
        for path in sorted(paths):
            self._left.discard(path)
            if (body := self._tests.without_others(path)) is not None:
                self._units[path] = self._of(body, path, "")

    def _grown(self) -> bool:
        before = len(self.words), len(self._left)
        self._add({path for path in self._left if PurePosixPath(path).stem in self.words})
        for units in self._units.values():
            self._keep(units)
        return before != (len(self.words), len(self._left))

    def _keep(self, units: list[_Unit]) -> None:
        for unit in units:
            if unit.always or unit.names & self.words:
                unit.kept = True
                self.words |= unit.words
                self._keep(unit.members)

    def _of(self, body: Sequence[ast.stmt], path: str, above: str) -> list[_Unit]:
        units: list[_Unit] = []
        imported = {name for node in body for name in _imported(node)}
        for node in body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                units += map(_of_import, _each_name(node))
            elif isinstance(node, ast.ClassDef):
                members = self._of(node.body, path, f"{above}{node.name}.")
                head = [*node.decorator_list, *node.bases, *(k.value for k in node.keywords)]
                words = {w for part in head for w in WORD.findall(ast.unparse(part))}
                holds = any(self._tests.is_shown(path, n) for n, _ in _functions([node], above))
                units.append(_Unit(node, {node.name}, words, holds, members))
            else:
                units.append(self._of_statement(node, path, above, imported))
        return units

    def _of_statement(self, node: ast.stmt, path: str, above: str, imported: set[str]) -> _Unit:
        source = ast.unparse(node)
        # What is done to a table counts as part of it; what is done to a module is done anyway.
        names = _defined(node) | (_changed(node) - imported)
        always = not names or any(map(ALWAYS.fullmatch, names)) or "autouse" in source
        always |= any(self._tests.is_shown(path, n) for n, _ in _functions([node], above))
        return _Unit(node, names, set(WORD.findall(source)), always)


def _each_name(node: ast.Import | ast.ImportFrom) -> Iterator[ast.Import | ast.ImportFrom]:
    for alias in node.names:
        one = copy.copy(node)
        one.names = [alias]
        yield one


def _of_import(node: ast.Import | ast.ImportFrom) -> _Unit:
    (alias,) = node.names
    always = alias.name == "*" or getattr(node, "module", "") == "__future__"
    name = alias.asname or alias.name.partition(".")[0]
    return _Unit(node, {name}, set(WORD.findall(ast.unparse(node))), always)


def _defined(node: ast.stmt) -> set[str]:
    """The names that a statement gives something to, but for those within functions of it."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return {node.name}
    names = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
        elif isinstance(part, (*FUNCTIONS, ast.ClassDef)):
            names.add(part.name)
    return names | set(_imported(node))


def _imported(node: ast.stmt) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.alias):
            yield part.asname or part.name.partition(".")[0]


def _changed(node: ast.stmt) -> set[str]:
    """The names of what a statement puts something into, or calls a method of: `table` of
    `table[1] = 2` and of `table.update(more)`."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return set()
    places: list[ast.expr] = []
    for part in ast.walk(node):
        if isinstance(part, (ast.Subscript, ast.Attribute)) and isinstance(part.ctx, ast.Store):
            places.append(part)
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            places.append(part.value.func)
    return {name for place in places if (name := _root(place)) is not None}


def _root(place: ast.expr) -> str | None:
    """`a` of `a.b[1].c`; None where it is no such thing."""
    if isinstance(place, ast.Name):
        return None
    while isinstance(place, (ast.Subscript, ast.Attribute)):
        place = place.value
    return place.id if isinstance(place, ast.Name) else None


def _joined(units: list[_Unit]) -> list[ast.stmt]:
    body = [
        _with(unit.node, "body", _joined(unit.members)) if unit.members else unit.node
        for unit in units
        if unit.kept
    ]
    return body or [ast.Pass()]
