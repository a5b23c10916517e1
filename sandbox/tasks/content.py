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
  Imports, assignments that call nothing and plain classes (`modules.Binding`) only bind a name:
  they count where what was counted so far may mean it, as a variable of the same file, or from any
  file as an attribute, an imported name, or a string; all of them where the test lists what a
  module has (`LISTING`);
- every `conftest.py` above the tests, and pytest's settings;
- files that are no Python: those in the same top folders, and others that what counts names;
- the interpreter, its packages, the limits of the jail, the seed, and coldstart's own rules (the
  source of `sandbox/`).

So a changed comment, a new function or constant that nobody there names, one import more, or a line
moved by another change leave a task as it was, while a constant that is used does not. What it
cannot see is a function called by a thread or process that the survey did not trace, and a constant
or a file whose name is put together while the code runs.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from sandbox.jail.layout import is_below
from sandbox.judge.settings import Limits
from sandbox.modules import (
    LISTING,
    READING,
    Counted,
    Module,
    Words,
    named_statements,
    names_of_path,
)
from sandbox.node_ids import file_of
from sandbox.python_files import PythonFiles
from sandbox.reach import pytest_settings
from sandbox.repo import Repository
from sandbox.snapshot import files_of
from sandbox.suite_memory import packages
from sandbox.survey import Survey
from sandbox.tasks.task import Task


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
        self._python = PythonFiles(self._tree, self._files)
        self._always = digest(
            [
                rules(),
                repository.python_version,
                *packages(repository),
                *(p for p in repository.path if not is_below(p, repository.root)),
                json.dumps([limits.timeout, limits.memory_mb, seed]),
                *pytest_settings(self._tree),
            ]
        )
        self._tests: dict[str, str] = {}
        self._loaded: dict[frozenset[str], _Loaded] = {}
        self._raws: dict[str, str] = {}

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
            found.setdefault(f"{file}::{self._python.outermost(file, line)}", set()).update(tests)
        return found

    def _of_test(self, test: str) -> str:
        if test not in self._tests:
            called = {
                (file, name)
                for file, line, _ in map(
                    self._survey.functions.__getitem__, self._survey.calls[test]
                )
                if (name := self._python.outermost(file, line))
            }
            roots = {
                file_of(test),
                *(file for file, _ in called),
                *self._python.conftests(file_of(test)),
            }
            loaded = self._load(frozenset(roots))
            counted = loaded.counted.copy()
            counted.add(file_of(test), Words(frozenset(test.partition("[")[0].split("::"))))
            for at in called:
                counted.add(at[0], self._words(*at))
            own = {at for at in called if at[0] == file_of(test)}
            near = Words.union(self._words(*at) for at in own)
            counted.everything = near.meet(LISTING)
            whole = called if near.meet(READING) else own
            sources = self._texts(whole) + self._codes(called - whole)
            named = named_statements(loaded.modules, counted)
            data = self._named_files(counted.files)
            self._tests[test] = digest([test, *sources, loaded.digest, *named, *data])
        return self._tests[test]

    # ------------------------------------------------------------------------------- functions

    def _function(self, file: str, name: str) -> str:
        """Its source; "" where it cannot be told from the rest of its file, which then counts."""
        module = self._python.module(file)
        return module.sources.get(name, "") if module else ""

    def _texts(self, places: Iterable[tuple[str, str]]) -> list[str]:
        """Of these functions, (file, name) each."""
        return [part for at in sorted(places) for part in (*at, self._function(*at))]

    def _codes(self, places: Iterable[tuple[str, str]]) -> list[str]:
        """Of these functions, without comments, and docstrings that no decorator can read."""
        modules = ((at, self._python.module(at[0])) for at in sorted(places))
        return [part for at, m in modules for part in (*at, m.code_of(at[1]) if m else "")]

    def _words(self, file: str, name: str) -> Words:
        """The names that stand in it."""
        module = self._python.module(file)
        return module.words_of(name) if module else Words()

    # ---------------------------------------------------------------------------------- files

    def _load(self, roots: frozenset[str]) -> "_Loaded":
        """What happens when these files are loaded, with all that they import; and what lies beside
        them that is no Python."""
        if roots not in self._loaded:
            files = sorted(self._python.imported(roots))
            modules = self._python.modules(files)
            raw = [part for f in files if f not in modules for part in (f, self._raw(f))]
            acting = [
                part for f in modules if modules[f].outside for part in (f, modules[f].outside)
            ]
            at_import = self._at_import(modules)
            counted = Counted()
            for file, module in modules.items():
                counted.add(file, module.words)
            for at in at_import:
                counted.add(at[0], self._words(*at))
            parts = [*raw, *acting, *self._codes(at_import), *self._beside(files)]
            self._loaded[roots] = _Loaded(digest(parts), counted, modules)
        return self._loaded[roots]

    def _raw(self, file: str) -> str:
        if file not in self._raws:
            path = self._tree / file
            self._raws[file] = digest([path.read_bytes()]) if path.is_file() else ""
        return self._raws[file]

    def _at_import(self, modules: dict[str, Module]) -> set[tuple[str, str]]:
        """(file, name) of the functions that are called while these modules are loaded; all of them
        where that was not seen."""
        seen = self._survey.loading
        if seen is None:
            return {
                (file, f.qualname) for file, module in modules.items() for f in module.functions
            }
        places = [place for file in modules for place in seen.get(file, ())]
        places += [place for place in seen.get("", ()) if place[0] in modules]
        found = {(file, self._python.outermost(file, line)) for file, line, _ in places}
        return {(file, name) for file, name in found if name}

    def _beside(self, files: list[str]) -> list[str]:
        """Files that are no Python, in the same top folders."""
        tops = {file.split("/", 1)[0] for file in files if "/" in file}
        data = (path for path in self._data if path.split("/", 1)[0] in tops)
        return [part for path in data for part in (path, self._raw(path))]

    def _named_files(self, names: set[str]) -> list[str]:
        """Files that are no Python, wherever they are, that have such a name, or are in a folder
        that has one."""
        data = (path for path, parts in self._data.items() if not parts.isdisjoint(names))
        return [part for path in data for part in (path, self._raw(path))]

    @cached_property
    def _data(self) -> dict[str, frozenset[str]]:
        """{file that is no Python: its name, and those of its folders with a slash}"""
        data = (path for path in self._files if not path.endswith((".py", ".pyc")))
        return {path: names_of_path(path) for path in data}


@dataclass(frozen=True)
class _Loaded:
    """What happens when some files are loaded."""

    digest: str
    counted: Counted
    modules: dict[str, Module]


def changed_lines(patch: str) -> list[str]:
    """The lines of a unified diff that are taken out or put in, wherever they stand."""
    return [
        line
        for line in patch.split("\n")
        if line[:1] in ("+", "-") and not line.startswith(("--- ", "+++ "))
    ]
