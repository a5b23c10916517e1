"""What a run of the whole suite shows beside the outcomes: which functions each test calls, and
which are called while a module is loaded, which files hold tests, what could not be collected, and
which file imports which. Standard library and pytest, Python >= 3.9.
"""

from __future__ import annotations

import _thread
import ast
import os
import resource
import sys
import threading
import types
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import pytest
from _pytest.assertion import rewrite
from _pytest.doctest import DoctestModule

FRAMEWORKS = {"pytest", "_pytest", "unittest", "hypothesis", "mock", "nose", "testtools"}
"""What tests are written with, by the name that is imported."""
UNSEEN = {
    "sys.setprofile": "profiler",
    "subprocess.Popen": "process",
    "os.fork": "process",
    "os.forkpty": "process",
    "os.posix_spawn": "process",
    "os.spawn": "process",
    "os.system": "process",
}
"""{audit event: what a test does by which the tracing loses sight of calls}"""
REASON_LENGTH = 200
Place = tuple[str, int, str]
"""(file, first line, name) of a function."""
LOADERS = (b"import_module", b"__import__")


class Places(dict[str, str]):
    """{file name of a code object: path of the project's file below the root, "" for others}"""

    def __init__(self, root: str, files: Iterable[str]) -> None:
        # The usual names are known from the start: what a test puts in the place of a function of
        # `os` is not asked about them.
        super().__init__(
            (os.path.join(base, file), file)
            for base in (root, os.path.realpath(root))
            for file in files
        )
        self.root, self.files = os.path.realpath(root), frozenset(files)

    def __missing__(self, name: str) -> str:
        """The name may lead through links, or through `..`, as the import path does."""
        path = os.path.relpath(os.path.realpath(name), self.root) if os.path.isabs(name) else ""
        self[name] = path if path in self.files else ""
        return self[name]


# ------------------------------------------------------------------------------------ calls


class Loading:
    """pytest plugin: which functions of the project are called while each of its modules is loaded,
    and else while the tests are collected, by the interpreter's profiling hook. It begins when it
    is made."""

    def __init__(self, places: Places) -> None:
        self.calls: dict[str, set[Place]] = {}
        """{file of the module that is being loaded, "" for none: functions called meanwhile}"""
        self.is_whole = False
        self.hook = self._make_hook(places)
        self.rewrite_asserts = rewrite.rewrite_asserts
        rewrite.rewrite_asserts = unprofiled(self.rewrite_asserts)
        sys.setprofile(self.hook)

    def _make_hook(self, places: Places) -> Callable[[types.FrameType, str, Any], None]:
        loaded: list[str] = []

        def hook(frame: types.FrameType, event: str, arg: Any) -> None:
            code = frame.f_code
            if event == "call" and (file := places[code.co_filename]):
                if code.co_name == "<module>":
                    loaded.append(file)
                else:
                    called = self.calls.setdefault(loaded[-1] if loaded else "", set())
                    called.add((file, code.co_firstlineno, code.co_name))
            elif event == "return" and loaded and code.co_name == "<module>":
                if places[code.co_filename]:
                    loaded.pop()

        return hook

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        self.is_whole = sys.getprofile() is self.hook
        sys.setprofile(None)
        rewrite.rewrite_asserts = self.rewrite_asserts

    def report(self) -> dict[str, Any]:
        """{"loading": {file: [[file, first line, name]]}; None where a module took the profiler
        away}"""
        calls = {file: list(map(list, sorted(called))) for file, called in self.calls.items()}
        return {"loading": calls if self.is_whole else None}


def unprofiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, not followed by the profiling hook: rewriting the asserts of a suite makes
    nine tenths of all calls while it is collected, and none of them is the project's."""

    def called(*args: Any, **kwargs: Any) -> Any:
        hook = sys.getprofile()
        sys.setprofile(None)
        try:
            return function(*args, **kwargs)
        finally:
            sys.setprofile(hook)

    return called


class Tracer:
    """pytest plugin: which functions of the project each test calls, by the interpreter's profiling
    hook (calls only); and which tests do something that the hook does not follow.

    What a fixture calls when it is set up counts for every test that uses it, not only for the
    first one of its scope.
    """

    def __init__(self, places: Places) -> None:
        self.functions: dict[Place, int] = {}
        """{function: its index}"""
        self.by_test: dict[str, list[int]] = {}
        self.called: set[Place] = set()
        self.of_fixture: dict[Any, set[Place]] = {}
        self.unseen: dict[str, list[str]] = {}
        self.doing: set[str] | None = None
        """What the test that runs has done, of UNSEEN."""
        self.places = places
        self.hook = self._make_hook()
        sys.addaudithook(self._make_audit())

    def _make_hook(self) -> Callable[[types.FrameType, str, Any], None]:
        """The hook is called at every call and every return, so it does next to nothing."""
        places, start = self.places, _thread.start_new_thread

        def hook(frame: types.FrameType, event: str, arg: Any) -> None:
            if event == "call":
                code = frame.f_code
                if file := places[code.co_filename]:
                    self.called.add((file, code.co_firstlineno, code.co_name))
            elif arg is start and self.doing is not None and not of_threading(frame):
                self.doing.add("thread")

        return hook

    def _make_audit(self) -> Callable[[str, tuple[Any, ...]], None]:
        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            kind, doing = UNSEEN.get(event), self.doing
            if kind is None or doing is None:
                return
            # `threading` puts the hook in place in every thread that it starts.
            if kind != "profiler" or not of_threading(sys._getframe(1)):
                doing.add(kind)

        return audit

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        self.called = set()
        faults = faults_of_children()
        threading.setprofile(self.hook)
        sys.setprofile(self.hook)
        doing: set[str] = set()
        self.doing = doing
        yield
        self.doing = None
        sys.setprofile(None)
        if getattr(threading, "_profile_hook", self.hook) is not self.hook:
            doing.add("profiler")
        threading.setprofile(None)
        if faults_of_children() != faults:
            doing.add("process")
        for kind in doing:
            self.unseen.setdefault(kind, []).append(item.nodeid)
        used = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
        called = set(self.called)
        for fixture in (fixture for fixtures in used.values() for fixture in fixtures):
            called |= self.of_fixture.get(fixture, set())
        self.by_test[item.nodeid] = sorted(
            self.functions.setdefault(f, len(self.functions)) for f in sorted(called)
        )

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        before, self.called = self.called, set()
        yield
        # What it was set up with last is what the tests get until it is set up again.
        self.of_fixture[fixturedef] = self.called
        self.called = before | self.called

    def report(self) -> dict[str, Any]:
        """{"functions": [[file, first line, name]], "calls": {node id: [index of a function]},
        "unseen": {"process" | "profiler" | "thread": [node id]}}"""
        return {
            "functions": [list(f) for f in self.functions],
            "calls": self.by_test,
            "unseen": self.unseen,
        }


def of_threading(frame: types.FrameType) -> bool:
    return frame.f_globals.get("__name__") == "threading"


def faults_of_children() -> int:
    """A number that grows with every process of ours that has ended, however it was started."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt


# ------------------------------------------------------------------------------------ files


class Files:
    """pytest plugin: which of the project's files hold tests, and why others could not be
    collected; afterwards, which file imports which."""

    def __init__(self, places: Places) -> None:
        self.places, self.config = places, None
        self.tests: dict[str, bool] = {}
        self.without: dict[str, list[str]] = {}
        self.deselected: list[str] = []

    def pytest_configure(self, config: Any) -> None:
        self.config = config

    def pytest_itemcollected(self, item: Any) -> None:
        """Tests in Python code, that is: neither doctests nor what a plugin says of a source file.
        They stand in the file that was collected, and where a function of theirs was inherited or
        imported, in the one that defines it, too."""
        module = item.getparent(pytest.Module)
        if module is None or isinstance(module, DoctestModule):
            return
        self.tests[item.nodeid.partition("::")[0]] = True
        self.tests[self.places[str(getattr(module, "path", None) or module.fspath)]] = True
        # Not `item.obj`, which would make an instance of the test's class.
        name = getattr(item, "originalname", None)
        owner: Any = item.getparent(pytest.Class) or module
        function: Any = getattr(owner.obj, name, None) if isinstance(name, str) else None
        for _ in range(99):
            function = getattr(function, "__wrapped__", function)
        code = getattr(function, "__code__", None)
        if code is not None and code.co_name == name:
            self.tests[self.places[code.co_filename]] = True

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector: Any) -> Generator[None, Any, None]:
        outcome = yield
        report = None if outcome.excinfo else outcome.get_result()
        if report is not None and not report.passed:
            imported = getattr(collector, "_obj", None) is not None
            of_module = isinstance(collector, pytest.Module) and not imported
            what = "imported" if of_module else "collected"
            what = "is skipped as a whole" if report.skipped else "cannot be " + what
            self.without[report.nodeid] = [what, reason_in(report.longrepr)]

    def pytest_deselected(self, items: list[Any]) -> None:
        self.deselected += [item.nodeid for item in items]

    def report(self) -> dict[str, Any]:
        """{"tests": [file that holds some], "without": {node id of a file, a folder or a class
        that gave no tests: [what became of it, why]}, "deselected": [node id], "plugins": [file
        that pytest was told to load], "products": [file that is installed as a plugin],
        "imports": {file: [file that it imports]}, "testing": [file that imports what tests are
        written with, or raises an AssertionError], "functions": [file that defines some]}"""
        if self.config is None:  # pytest gave up before it was configured
            return {}
        found = Imports(self.places)
        wanted = [n for n in self.config.option.plugins or () if not n.startswith("no:")]
        products = [
            self.places[getattr(plugin, "__file__", None) or ""]
            for plugin, _ in self.config.pluginmanager.list_plugin_distinfo()
        ]
        return {
            "tests": sorted(filter(None, self.tests)),
            "without": self.without,
            "deselected": self.deselected,
            "plugins": sorted(found.plugins.union(*map(found.module_of, wanted))),
            "products": sorted(filter(None, products)),
            "imports": found.imports,
            "testing": found.testing,
            "functions": found.functions,
        }


def reason_in(report: Any) -> str:
    """The line of what pytest says that tells why: of a skip (file, line, why) its last part."""
    text = report[-1] if isinstance(report, tuple) else str(report)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    errors = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (errors[-1:] or lines[:1] or ["it does not say why"])[0].rstrip(":")[:REASON_LENGTH]


class Imports:
    """What the project's files import of each other: read off their text, with the names that
    Python has given to those that are loaded."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.files = frozenset(file for file in places.files if file.endswith(".py"))
        self.folders = {""}
        for file in self.files:
            while file := os.path.dirname(file):
                self.folders.add(file)
        self.loaded: dict[str, str] = {}
        for name, module in list(sys.modules.items()):
            if file := places[getattr(module, "__file__", None) or ""]:
                self.loaded[name] = file
        paths = (os.path.relpath(os.path.realpath(p), places.root) for p in sys.path if p)
        roots = ["" if path == "." else path for path in paths]
        self.roots = [root for root in dict.fromkeys(["", *roots]) if root in self.folders]
        self.imports: dict[str, list[str]] = {}
        self.testing: list[str] = []
        self.functions: list[str] = []
        self.plugins: set[str] = set()
        for file in sorted(self.files):
            self._read(file)

    def _read(self, file: str) -> None:
        try:
            with open(os.path.join(self.places.root, file), "rb") as opened:
                text = opened.read()
            module = ast.parse(text)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            return
        found: set[str] = set()
        outside: set[str] = set()
        defines = raises = False
        # Expressions are looked into only where there is something to find: they are many.
        walk: Iterator[ast.AST] = (
            ast.walk(module) if any(map(text.__contains__, LOADERS)) else statements(module)
        )
        for node in walk:
            defines = defines or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            raises = raises or isinstance(node, ast.Raise) and raised(node) == "AssertionError"
            for level, name in names_in(node):
                files = self.files_of(name, file, level)
                found |= files
                if not files and not level:
                    outside.add(name.partition(".")[0])
        for node in module.body:
            for name in plugins_named_in(node):
                self.plugins |= self.module_of(name, file)
                found |= self.files_of(name, file)
        if found - {file}:
            self.imports[file] = sorted(found - {file})
        if raises or outside & FRAMEWORKS:
            self.testing.append(file)
        if defines:
            self.functions.append(file)

    def module_of(self, name: str, importer: str = "") -> set[str]:
        """The file of the module of this name itself, in a set that may be empty."""
        last = name.rpartition(".")[2]
        return {
            file
            for file in self.files_of(name, importer)
            if ("/" + file).endswith(("/%s.py" % last, "/%s/__init__.py" % last))
        }

    def files_of(self, name: str, importer: str = "", level: int = 0) -> set[str]:
        """The files that an import of this dotted name loads: those of the packages on the way,
        too. With a `level` it is relative to the importer."""
        here = os.path.dirname(importer)
        if level:
            for _ in range(level - 1):
                here = os.path.dirname(here)
            return self._below(here, name.split(".") if name else [], whole=not name)
        parts = name.split(".")
        found: set[str] = set()
        for end in range(1, len(parts) + 1):
            if file := self.loaded.get(".".join(parts[:end])):
                rest = parts[end:] if os.path.basename(file) == "__init__.py" else []
                found |= {file} | self._below(os.path.dirname(file), rest)
        if found:
            return found
        # As pytest puts the folder of a test, or that of its outermost package, on the path.
        while here and os.path.join(here, "__init__.py") in self.files:
            here = os.path.dirname(here)
        for root in dict.fromkeys([*self.roots, here, os.path.dirname(importer)]):
            if found := self._below(root, parts):
                return found
        return set()

    def _below(self, folder: str, parts: list[str], whole: bool = False) -> set[str]:
        found: set[str] = {os.path.join(folder, "__init__.py")} if whole else set()
        for part in parts:
            folder = os.path.join(folder, part)
            found |= {folder + ".py", os.path.join(folder, "__init__.py")}
        return found & self.files


def statements(module: ast.Module) -> Iterator[ast.AST]:
    """All statements, those in blocks included."""
    kinds = (ast.stmt, ast.excepthandler, getattr(ast, "match_case", ast.stmt))
    pending: list[ast.AST] = [module]
    while pending:
        for child in ast.iter_child_nodes(pending.pop()):
            if isinstance(child, kinds):
                yield child
                pending.append(child)


def names_in(node: ast.AST) -> list[tuple[int, str]]:
    """(level, dotted name) of what a node imports. Of `from a import b` also `a.b`: it may be a
    module."""
    if isinstance(node, ast.Import):
        return [(0, alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        inner = [(base + "." if base else "") + alias.name for alias in node.names]
        return [(node.level, name) for name in [base, *inner] if name or node.level]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        name = node.args[0].value
        if called in ("import_module", "__import__") and isinstance(name, str):
            return [(len(name) - len(name.lstrip(".")), name.lstrip("."))]
    return []


def raised(node: ast.Raise) -> str | None:
    """The name of the exception in a `raise`."""
    return getattr(getattr(node.exc, "func", node.exc), "id", None)


def plugins_named_in(node: ast.stmt) -> list[str]:
    """The names in a module's `pytest_plugins = ...`."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if not any(isinstance(t, ast.Name) and t.id == "pytest_plugins" for t in targets):
        return []
    value = getattr(node, "value", None)
    constants = ast.walk(value) if value is not None else ()
    return [n.value for n in constants if isinstance(n, ast.Constant) and isinstance(n.value, str)]
