"""What a task's verdicts depend on, as one hash: a task whose hash is the same in an earlier run of
the repository need not be measured again.

    contents = Contents(ground, limits)
    contents.key(task)                # of the task as its draft made it, before anything is measured

Into it goes, by content and not by place in the file:

- the functions that the task is about, the lines that its gold edit changes, and its tests;
- every function that these tests call, as the survey saw, whole, with the one that it stands in;
- of the files of all these, and of every file of the project that they import, directly or not, what
  is at work when a module is loaded: its statements outside functions, without docstrings, and the
  functions that these statements call or decorate with, and so on;
- every `conftest.py` above the tests, and pytest's settings;
- files that are no Python: those in the same top folders, and others that the Python files name;
- the interpreter, its packages, the limits of the jail, the seed, and coldstart's own rules (the
  source of `sandbox/`).

So a changed comment, a new function that nobody there calls, or a line moved by another change leave
a task as it was, while a changed constant does not. What it cannot see is a function called in a way
that neither the survey nor the text of the modules shows: by a name put together while a module is
loaded, or by a thread or process that the survey did not trace.
"""

import ast
import copy
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from sandbox.jail.layout import is_below
from sandbox.judge.settings import Limits
from sandbox.node_ids import file_of
from sandbox.repo import Repository
from sandbox.snapshot import files_of
from sandbox.source import functions, parse, read_text, source_of
from sandbox.suite_memory import packages
from sandbox.survey import Survey
from sandbox.tasks.task import Task

SETTINGS = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
"""Where pytest looks for its settings. Of the first two all is pytest's."""
BORN_WITH = ("__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__")
"""Methods that run when a class is called or made."""


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
        self._modules: dict[str, _Module | None] = {}
        self._tests: dict[str, str] = {}
        self._loaded: dict[frozenset[str], str] = {}

    def key(self, task: Task) -> str:
        """Of a task as its draft made it."""
        about = [self._function(*name.split("::", 1)) for name in task.about]
        tests = [self._of_test(test) for test in sorted(task.tests)]
        whole = [task.kind, task.instance_id, *task.about, *task.files, *task.sources]
        return digest([self._always, *whole, *changed_lines(task.patch), *about, *tests])

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
            sources = [part for at in sorted(called) for part in (*at, self._function(*at))]
            self._tests[test] = digest([test, *sources, self._load(frozenset(roots))])
        return self._tests[test]

    # ------------------------------------------------------------------------------- functions

    def _function(self, file: str, name: str) -> str:
        """Its source; "" where it cannot be told from the rest of its file, which then counts."""
        module = self._module(file)
        return module.sources.get(name, "") if module else ""

    def _outermost(self, file: str, line: int) -> str:
        """The function that this line stands in and that stands in no other; "" for none."""
        module = self._module(file)
        found = [f for f in (module.functions if module else ()) if f.first <= line <= f.last]
        return found[0].qualname if found else ""

    def _module(self, file: str) -> "_Module | None":
        """None where it is no Python that can be read here."""
        if file not in self._modules:
            try:
                module = _Module(read_text(self._tree / file)) if file in self._python else None
            except SyntaxError:
                module = None
            self._modules[file] = module
        return self._modules[file]

    # ---------------------------------------------------------------------------------- files

    def _load(self, roots: frozenset[str]) -> str:
        """What happens when these files are loaded, with all that they import; and what lies beside
        them that is no Python."""
        if roots not in self._loaded:
            files = sorted(self._imported(roots))
            modules = {file: module for file in files if (module := self._module(file))}
            raw = [part for f in files if f not in modules for part in (f, self._raw(f))]
            outside = [part for f in modules for part in (f, modules[f].outside)]
            self._loaded[roots] = digest(
                [*raw, *outside, *self._at_import(modules), *self._beside(files, modules)]
            )
        return self._loaded[roots]

    def _raw(self, file: str) -> str:
        path = self._tree / file
        return digest([path.read_bytes()]) if path.is_file() else ""

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

    def _at_import(self, modules: dict[str, "_Module"]) -> list[str]:
        """The sources of the functions that are called while these modules are loaded, as far as
        their names tell."""
        called = {name for module in modules.values() for name in module.called}
        found: dict[tuple[str, str], str] = {}
        grown = True
        while grown:
            grown = False
            for file, module in modules.items():
                for function in module.functions:
                    place = file, function.qualname
                    if place not in found and _may_be(function.qualname, called):
                        found[place] = module.sources[function.qualname]
                        called |= _called_in(function.node)
                        grown = True
        return [part for at in sorted(found) for part in (*at, found[at])]

    def _beside(self, files: list[str], modules: dict[str, "_Module"]) -> list[str]:
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


class _Module:
    """A Python file taken apart. Raises SyntaxError."""

    def __init__(self, text: str) -> None:
        tree = parse(text)
        # Of several functions of one name all count.
        self.functions = [f for f in functions(text) if "<locals>" not in f.qualname]
        self.sources: dict[str, str] = {}
        for function in self.functions:
            before = self.sources.get(function.qualname, "")
            self.sources[function.qualname] = before + source_of(text, function)
        outside = _Outside().visit(copy.deepcopy(tree))
        self.outside = ast.unparse(outside)
        self.called = _called_in(outside)
        self.called |= {
            name for f in self.functions for d in f.node.decorator_list for name in _names(d)
        }
        self._imports = [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
        self.texts = {
            n.value
            for n in ast.walk(tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and len(n.value) < 200
        }

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
    """Takes functions and docstrings out of a tree."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        return None

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node


def _may_be(qualname: str, called: set[str]) -> bool:
    """Whether a function of this name may be meant by one of these names."""
    owner, _, name = qualname.rpartition(".")
    return name in called or name in BORN_WITH and owner.rpartition(".")[2] in called


def _called_in(node: ast.AST) -> set[str]:
    """Names of what is called, decorates or is derived from in it."""
    found: set[str] = set()
    for n in ast.walk(node):
        if isinstance(n, ast.Call):
            found |= _names(n.func)
        elif isinstance(n, ast.ClassDef):
            found |= {name for part in (*n.decorator_list, *n.bases) for name in _names(part)}
    return found


def _names(node: ast.expr) -> set[str]:
    """The last names of what an expression names."""
    return {
        n.id if isinstance(n, ast.Name) else n.attr
        for n in ast.walk(node)
        if isinstance(n, (ast.Name, ast.Attribute))
    }


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
