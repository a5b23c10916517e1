"""What a task's verdicts depend on, as one hash: a task whose hash is the same in an earlier run of
the repository need not be measured again.

    contents = Contents(ground, limits)
    contents.key(task)                # of the task as its draft made it, before anything is measured

Into it goes, by content and not by place in the file:

- the functions that the task is about, the lines that its gold edit changes, and its tests;
- every function that these tests call, as the survey saw, with the one that it stands in, without
  comments; its docstring only where something is near that may read it: a decorator, the test's own
  file, or a name for that (`READING`) in its module or the test's functions;
- of the files of all these, and of every file of the project that they import, directly or not,
  what is at work when a module is loaded: its statements outside functions, without docstrings if
  the module does not name what reads one, and the functions that the survey saw called meanwhile.
  Of imports and of assignments that call nothing only those count that bind a name which stands in
  what was counted so far;
- every `conftest.py` above the tests, and pytest's settings;
- files that are no Python: those in the same top folders, and others that the Python files name;
- the interpreter, its packages, the limits of the jail, the seed, and coldstart's own rules (the
  source of `sandbox/`).

So a changed comment, a new function or constant that nobody there names, one import more, or a line
moved by another change leave a task as it was, while a constant that is used does not. What it
cannot see is a function called by a thread or process that the survey did not trace.
"""

import ast
import copy
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from sandbox.jail.layout import is_below
from sandbox.judge.settings import Limits
from sandbox.node_ids import file_of
from sandbox.repo import Repository
from sandbox.snapshot import files_of
from sandbox.source import FunctionNode, functions, parse, read_text, source_of
from sandbox.suite_memory import packages
from sandbox.survey import Survey
from sandbox.tasks.task import Task

SETTINGS = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
"""Where pytest looks for its settings. Of the first two all is pytest's."""
READING = frozenset(["__doc__", "getdoc", "getsource"])
"""Names by which a docstring is read."""


def digest(parts: Iterable[str | bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        total.update(b"%d:" % len(data))
        total.update(data)
    return total.hexdigest()[:32]


@cache
def rules() -> str:
    """A hash of what mines and judges: coldstart's own code for it."""
    root = Path(__file__).parents[1]
    files = sorted(f for f in root.rglob("*.py") if "practice" not in f.relative_to(root).parts[0])
    return digest(part for f in files for part in (str(f.relative_to(root)), f.read_bytes()))


class Contents:
    """The hashes of one snapshot's tasks."""

    def __init__(self, repository: Repository, survey: Survey, limits: Limits, seed: int) -> None:
        self._tree, self._survey, self.seed = repository.snapshot, survey, seed
        self._files = [path for path, kind in files_of(self._tree) if kind == "file"]
        self._python = {path for path in self._files if path.endswith(".py")}
        self._always = digest(
            [
                rules(),
                repository.python_version,
                *packages(repository),
                *(p for p in repository.path if not is_below(p, repository.root)),
                json.dumps([limits.timeout, limits.memory_mb, seed]),
                *_pytest_settings(self._tree),
            ]
        )
        self._modules: dict[str, Module | None] = {}
        self._tests: dict[str, str] = {}
        self._loaded: dict[frozenset[str], _Loaded] = {}
        self._raws: dict[str, str] = {}
        self._places_of_calls: dict[tuple[str, int], str] = {}

    def key(self, task: Task) -> str:
        """Of a task as its draft made it."""
        about = [self._function(*name.split("::", 1)) for name in task.about]
        own = [test for test in sorted(task.tests) if test in self._survey.calls]
        tests = [self._of_test(test) for test in own]
        if len(own) < len(task.tests):
            tests.append(self._of_made_tests(task))
        whole = [task.kind, task.instance_id, *task.about, *task.files, *task.sources]
        lines = changed_lines(task.patch + task.test_patch)
        return digest([self._always, *whole, *lines, *about, *tests])

    def _of_made_tests(self, task: Task) -> str:
        """Of tests that were made for a task: what they call, nobody has seen. It is what the
        project's tests that call its functions call, and all else of these functions' files."""
        near = {test for name in task.about for test in self._callers.get(name, ())}
        whole = [self._raw(file) for file in sorted({n.split("::")[0] for n in task.about})]
        return digest([*whole, *(self._of_test(test) for test in sorted(near))])

    @cached_property
    def _callers(self) -> dict[str, set[str]]:
        """{`file::qualified name`: the project's tests that call it, or what stands in it}"""
        found: dict[str, set[str]] = {}
        for (file, line), tests in self._survey.callers.items():
            found.setdefault(f"{file}::{self._outermost(file, line)}", set()).update(tests)
        return found

    def _of_test(self, test: str) -> str:
        if test not in self._tests:
            called = {
                (file, name)
                for file, line, _ in map(
                    self._survey.functions.__getitem__, self._survey.calls[test]
                )
                if (name := self._outermost(file, line))
            }
            roots = {file_of(test), *(file for file, _ in called), *self._conftests(file_of(test))}
            loaded = self._load(frozenset(roots))
            words = loaded.words.union(*(self._words(*at) for at in called))
            own = {at for at in called if at[0] == file_of(test)}
            whole = called if any(READING & self._words(*at) for at in own) else own
            sources = self._texts(whole) + self._codes(called - whole)
            named = named_statements(loaded.modules, words)
            self._tests[test] = digest([test, *sources, loaded.digest, *named])
        return self._tests[test]

    # ------------------------------------------------------------------------------- functions

    def _function(self, file: str, name: str) -> str:
        """Its source; "" where it cannot be told from the rest of its file, which then counts."""
        module = self._module(file)
        return module.sources.get(name, "") if module else ""

    def _texts(self, places: Iterable[tuple[str, str]]) -> list[str]:
        """Of these functions, (file, name) each."""
        return [part for at in sorted(places) for part in (*at, self._function(*at))]

    def _codes(self, places: Iterable[tuple[str, str]]) -> list[str]:
        """Of these functions, without comments, and docstrings that no decorator can read."""
        modules = ((at, self._module(at[0])) for at in sorted(places))
        return [part for at, m in modules for part in (*at, m.code_of(at[1]) if m else "")]

    def _words(self, file: str, name: str) -> frozenset[str]:
        """The names that stand in it."""
        module = self._module(file)
        return module.words_of(name) if module else frozenset()

    def _outermost(self, file: str, line: int) -> str:
        """The function that this line stands in and that stands in no other; "" for none."""
        if (file, line) not in self._places_of_calls:
            module = self._module(file)
            found = [f for f in (module.functions if module else ()) if f.first <= line <= f.last]
            self._places_of_calls[file, line] = found[0].qualname if found else ""
        return self._places_of_calls[file, line]

    def _module(self, file: str) -> "Module | None":
        """None where it is no Python that can be read here."""
        if file not in self._modules:
            try:
                module = Module(read_text(self._tree / file)) if file in self._python else None
            except SyntaxError:
                module = None
            self._modules[file] = module
        return self._modules[file]

    # ---------------------------------------------------------------------------------- files

    def _load(self, roots: frozenset[str]) -> "_Loaded":
        """What happens when these files are loaded, with all that they import; and what lies beside
        them that is no Python."""
        if roots not in self._loaded:
            files = sorted(self._imported(roots))
            modules = {file: module for file in files if (module := self._module(file))}
            raw = [part for f in files if f not in modules for part in (f, self._raw(f))]
            acting = [
                part for f in modules if modules[f].outside for part in (f, modules[f].outside)
            ]
            at_import = self._at_import(modules)
            sources = self._codes(at_import)
            words = frozenset().union(
                *(module.words for module in modules.values()),
                *(self._words(*at) for at in at_import),
            )
            parts = [*raw, *acting, *sources, *self._beside(files, modules)]
            self._loaded[roots] = _Loaded(digest(parts), words, modules)
        return self._loaded[roots]

    def _raw(self, file: str) -> str:
        if file not in self._raws:
            path = self._tree / file
            self._raws[file] = digest([path.read_bytes()]) if path.is_file() else ""
        return self._raws[file]

    def _imported(self, roots: frozenset[str]) -> set[str]:
        """The files, and those of the project that they import, and so on."""
        seen, pending = set(roots), list(roots)
        while pending:
            module = self._module(file := pending.pop())
            names = module.imports(file) if module else ()
            new = {f for name in names for f in self._places.get(name, ())} - seen
            new |= {f for f in self._packages(file) if f not in seen}
            seen |= new
            pending += new
        return seen

    @cached_property
    def _places(self) -> dict[str, list[str]]:
        """{dotted name: files that may be meant}: from whatever folder it may be imported."""
        found: dict[str, list[str]] = {}
        for path in sorted(self._python):
            parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
            for start in range(len(parts)):
                found.setdefault(".".join(parts[start:]), []).append(path)
        return found

    def _packages(self, file: str) -> Iterator[str]:
        """The `__init__.py` of every package that the file is in."""
        for folder in PurePosixPath(file).parents:
            if (path := (folder / "__init__.py").as_posix()) in self._python:
                yield path

    def _conftests(self, file: str) -> Iterator[str]:
        for folder in PurePosixPath(file).parents:
            if (path := (folder / "conftest.py").as_posix()) in self._python:
                yield path

    def _at_import(self, modules: dict[str, "Module"]) -> set[tuple[str, str]]:
        """(file, name) of the functions that are called while these modules are loaded; all of them
        where that was not seen."""
        seen = self._survey.loading
        if seen is None:
            return {
                (file, f.qualname) for file, module in modules.items() for f in module.functions
            }
        places = [place for file in modules for place in seen.get(file, ())]
        places += [place for place in seen.get("", ()) if place[0] in modules]
        found = {(file, self._outermost(file, line)) for file, line, _ in places}
        return {(file, name) for file, name in found if name}

    def _beside(self, files: list[str], modules: dict[str, "Module"]) -> list[str]:
        """Files that are no Python, in the same top folders or named by a module."""
        tops = {file.split("/", 1)[0] for file in files if "/" in file}
        words = set().union(*(module.texts for module in modules.values()))
        said = "\n".join(words)
        return [
            part
            for path in self._files
            if not path.endswith((".py", ".pyc"))
            and (path.split("/", 1)[0] in tops or path.rpartition("/")[2] in said)
            for part in (path, self._raw(path))
        ]


@dataclass(frozen=True)
class _Loaded:
    """What happens when some files are loaded."""

    digest: str
    words: frozenset[str]
    """The names that stand in it."""
    modules: dict[str, "Module"]


@dataclass(frozen=True)
class Binding:
    """A statement of a module that does nothing but give names to something."""

    code: str
    names: frozenset[str]
    words: frozenset[str]
    """The names that stand in it."""


def named_statements(modules: "dict[str, Module]", words: frozenset[str]) -> list[str]:
    """Of the modules' bindings those that bind one of these names, or one that stands in such a
    binding, and so on."""
    pending = [(file, binding) for file, module in modules.items() for binding in module.bindings]
    found: list[tuple[str, str]] = []
    while True:
        now = [(file, b) for file, b in pending if b.names & words]
        if not now:
            return [part for place in sorted(found) for part in place]
        found += [(file, b.code) for file, b in now]
        words = words.union(*(b.words for _, b in now))
        taken = {id(b) for _, b in now}
        pending = [(file, b) for file, b in pending if id(b) not in taken]


class Module:
    """A Python file taken apart. Raises SyntaxError."""

    def __init__(self, text: str) -> None:
        tree = parse(text)
        self.functions = [f for f in functions(text) if "<locals>" not in f.qualname]
        self.sources: dict[str, str] = {}
        for function in self.functions:  # of several functions of one name all count
            before = self.sources.get(function.qualname, "")
            self.sources[function.qualname] = before + source_of(text, function)
        self.reads_docs = any(_names_docs(node) for node in ast.walk(tree))
        outside = _Outside(self.reads_docs).visit(copy.deepcopy(tree))
        self.bindings = [binding for node in outside.body for binding in _bindings(node)]
        acting = [node for node in outside.body if not _bindings(node)]
        self.outside = "\n".join(map(ast.unparse, acting))
        self.words = frozenset().union(*map(words_in, acting))
        self._codes: dict[str, str] = {}
        self._words: dict[str, frozenset[str]] = {}
        self._imports = [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
        self.texts = {
            n.value
            for n in ast.walk(tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and len(n.value) < 200
        }

    def code_of(self, name: str) -> str:
        """A function without comments, and without its docstring if nothing near may read it."""
        if name not in self._codes:
            nodes = [f.node for f in self.functions if f.qualname == name]
            bare = nodes if self.reads_docs else map(_undocumented, nodes)
            self._codes[name] = "\n".join(map(ast.unparse, bare))
        return self._codes[name]

    def words_of(self, name: str) -> frozenset[str]:
        """The names that stand in a function."""
        if name not in self._words:
            nodes = [f.node for f in self.functions if f.qualname == name]
            self._words[name] = frozenset().union(*map(words_in, nodes))
        return self._words[name]

    def imports(self, file: str) -> Iterator[str]:
        """Dotted names of what may be imported in it."""
        folders = PurePosixPath(file).parent.parts
        for node in self._imports:
            base: tuple[str, ...] = ()
            if isinstance(node, ast.ImportFrom):
                if node.level:
                    base = folders[: len(folders) - node.level + 1]
                base = (*base, *(node.module.split(".") if node.module else ()))
                if base:
                    yield ".".join(base)
                for alias in node.names:
                    yield ".".join((*base, alias.name))
            else:
                for alias in node.names:
                    parts = alias.name.split(".")
                    for end in range(1, len(parts) + 1):
                        yield ".".join(parts[:end])


class _Outside(ast.NodeTransformer):
    """Takes functions out of a tree, and docstrings if they are not to stay."""

    def __init__(self, docstrings: bool) -> None:
        self._docstrings = docstrings

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        return None

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return node if self._docstrings or not isinstance(node.value, ast.Constant) else None


def _names_docs(node: ast.AST) -> bool:
    """Whether it is a name, or a string that may be looked up, by which a docstring is read."""
    name = getattr(node, "id", "") or getattr(node, "attr", "") or getattr(node, "value", "")
    return isinstance(name, str) and name in READING


def _undocumented(node: FunctionNode) -> FunctionNode:
    if node.decorator_list or ast.get_docstring(node, clean=False) is None:
        return node
    bare = copy.copy(node)
    bare.body = node.body[1:] or [ast.Pass()]
    return bare


def _bindings(node: ast.stmt) -> list[Binding]:
    """What an import binds, but for one of everything, or an assignment to names that calls
    nothing; [] for a statement that does more."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [] if any(alias.name == "*" for alias in node.names) else _imported_names(node)
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return []
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    parts = [n for target in targets for n in ast.walk(target) if isinstance(n, ast.expr)]
    inside = () if node.value is None else ast.walk(node.value)
    if not all(isinstance(n, (ast.Name, ast.Tuple, ast.List, ast.Starred)) for n in parts):
        return []
    if any(isinstance(n, (ast.Call, ast.Await, ast.NamedExpr)) for n in inside):
        return []
    names = {n.id for n in parts if isinstance(n, ast.Name)}
    return [Binding(ast.unparse(node), frozenset(names), words_in(node) - names)]


def _imported_names(node: ast.Import | ast.ImportFrom) -> list[Binding]:
    """Name by name, for others may be added to the statement."""
    found = []
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        if isinstance(node, ast.Import):
            one: ast.stmt = ast.Import([alias])
        else:
            one = ast.ImportFrom(node.module, [alias], node.level)
        found.append(Binding(ast.unparse(one), frozenset([name]), frozenset()))
    return found


def words_in(node: ast.AST) -> frozenset[str]:
    """The names of variables and attributes that stand in it."""
    return frozenset(
        n.id if isinstance(n, ast.Name) else n.attr
        for n in ast.walk(node)
        if isinstance(n, (ast.Name, ast.Attribute))
    )


def changed_lines(patch: str) -> list[str]:
    """The lines of a unified diff that are taken out or put in, wherever they stand."""
    return [
        line
        for line in patch.split("\n")
        if line[:1] in ("+", "-") and not line.startswith(("--- ", "+++ "))
    ]


def _pytest_settings(tree: Path) -> list[str]:
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
