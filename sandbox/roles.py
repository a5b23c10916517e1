"""Which files belong to the tests and which are source, by what the suite showed and not by names.

    roles = decide(files, facts)                  # `facts` as `inside/suite.py` reports them
    roles.is_test("specs/checks.py")

What pytest collected tests from is a test, wherever it lies and whatever it is called; so is every
conftest.py. Of the other modules, what source imports is source. The rest (a test imports it, or
nobody does) is of the tests where

- it lies in a folder of tests: one with a name of TEST_FOLDERS, with tests in it or neither a
  package nor beside source; or one in which there is nothing but tests and what they alone
  import, and whose tests are about something else (`_is_of_tests`);
- pytest was told to load it (`pytest_plugins`, `-p`), unless it is installed as a plugin: then it
  is the product;
- it is written as tests are (it imports pytest or unittest, it raises an AssertionError) or uses
  what is of the tests, and the tests that import it are about other source;
- it is called like a test and lies beside tests, or beside no source;

and it is source otherwise. Where a survey has no such facts, names decide (`gate.is_test_path`).
What this cannot tell (a module of checks beside the source that it checks) is found by measuring:
a function whose tests pass with an empty body is no task (`validate.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from sandbox.judge.gate import NEVER_EDITED, TEST_FOLDERS, is_test_path, looks_like_tests

HOLDS, CONFIGURES = "it holds tests", "it configures how tests or the project run"
AMONG, ALONE = "it lies among the tests and no source uses it", "the tests alone use it"
AT_THE_TOP = {"setup.py", "noxfile.py"}
"""What configures the project where it lies at the top, and is any module elsewhere."""
TEST_WORDS = {"test", "tests", "spec", "specs"}
"""What a file of tests has in its name beside the name of what it tests."""


@dataclass(frozen=True)
class Roles:
    """What each file is. Without facts (as made without arguments) names decide."""

    of_tests: dict[str, str] = field(default_factory=dict)
    """{file of the tests: why it is one, in words}"""
    sources: tuple[str, ...] = ()
    """Files that are called like tests, or like what configures them, and are source."""
    folders: tuple[str, ...] = ()
    """Folders of the tests, none of which lies in another."""
    known: bool = False
    """Whether there were facts."""

    def is_test(self, file: str) -> bool:
        """Whether the file belongs to the tests, or configures them. Of a file that was not there
        when the suite ran, its name tells."""
        return file in self.of_tests or is_test_path(file) and file not in self.sources

    @property
    def holding(self) -> list[str]:
        """The files that hold tests."""
        return [file for file, why in self.of_tests.items() if why == HOLDS]

    def folder_of(self, path: str) -> str:
        """The outermost folder of tests that this path lies in; "" where it lies in none."""
        above = [str(folder) for folder in reversed(PurePosixPath(path).parents)]
        return next((f for f in above if f in self.folders or not self.known and _is_called(f)), "")

    @classmethod
    def from_dict(cls, data: dict) -> "Roles":
        return cls(data["of_tests"], tuple(data["sources"]), tuple(data["folders"]), data["known"])


def decide(files: Iterable[str], facts: dict) -> Roles:
    """`files`: the project's, of every kind; `facts`: what `inside/suite.py` reports of them."""
    return _Decision(list(files), facts).roles()


class _Decision:
    def __init__(self, files: list[str], facts: dict) -> None:
        self.files, self.facts = files, facts
        self.modules = [file for file in files if file.endswith(".py")]
        self.imports = {file: set(facts["imports"].get(file, ())) for file in self.modules}
        self.importers: dict[str, set[str]] = {file: set() for file in self.modules}
        for file, imported in self.imports.items():
            for other in imported & self.importers.keys():
                self.importers[other].add(file)
        self.why = {file: HOLDS for file in facts["tests"] if file.endswith(".py")}
        for file in self.modules:
            name, top = PurePosixPath(file).name, "/" not in file
            if name in NEVER_EDITED or top and name in AT_THE_TOP:
                self.why.setdefault(file, CONFIGURES)
        self.held = {file for file, why in self.why.items() if why == HOLDS}
        self.below: dict[str, list[str]] = {}
        """{folder: modules in it and below}"""
        for file in self.modules:
            for folder in _above(file):
                self.below.setdefault(folder, []).append(file)

    def roles(self) -> Roles:
        folders = self._folders()
        inside = {file for folder in folders for file in self.below.get(folder, ())}
        self._runners(inside)
        self._helpers(inside)
        source = {file for file in self.modules if file not in self.why and file not in inside}
        for file in (pending := list(source)):
            fresh = (self.imports[file] & inside) - self.why.keys() - source
            source |= fresh
            pending += fresh
        for file in inside - source:
            self.why.setdefault(file, AMONG)
        named = tuple(
            file for file in self.modules if looks_like_tests(file) and file not in self.why
        )
        return Roles(
            dict(sorted(self.why.items())),
            named,
            _outermost({*folders, *self._without_source(source)}),
            known=True,
        )

    # -------------------------------------------------------------------------- folders

    def _folders(self) -> list[str]:
        result: list[str] = []
        for folder in sorted(self.below, key=lambda f: (f.count("/"), f)):
            within = any(folder.startswith(f"{other}/") for other in result)
            if not within and self._is_of_tests(folder):
                result.append(folder)
        return result

    def _is_of_tests(self, folder: str) -> bool:
        """Whether what lies in this folder is of the tests, but for what source imports."""
        inside = set(self.below[folder])
        held = inside & self.held
        if _is_called(folder):
            package = f"{folder}/__init__.py" in inside
            return bool(held) or not (package or self._beside_source(folder))
        others = {f for f in inside - self.why.keys() if PurePosixPath(f).name != "__init__.py"}
        direct = any(str(PurePosixPath(file).parent) == folder for file in held)
        package = f"{folder}/__init__.py" in inside and len(held) >= len(others)
        if not held or not (direct or package):
            return False
        if not others:
            return True
        # What nobody imports, or somebody outside does, is no part of the tests; and where these
        # are about what lies beside them, by their names or for want of anything else, the folder
        # is that of the source.
        used, pending = set(held), list(held)
        for file in pending:
            fresh = (self.imports[file] & inside) - used
            used |= fresh
            pending += fresh
        foreign = any(self.importers[file] - inside - self.why.keys() for file in others)
        about = {other for file in held for other in self.imports[file]} - inside - self.why.keys()
        twins = {_tested(f) for f in held} & (set(map(_stem, others)) - set(map(_stem, about)))
        beside = any(not _tested(file) for file in held)
        return others <= used and not foreign and bool(about) and not twins and not beside

    def _beside_source(self, folder: str) -> bool:
        """Whether a folder above it (but the topmost) holds a module that is no test's."""
        return any(
            file not in self.why
            and not file.startswith(f"{folder}/")
            and not any(map(_is_called, _above(file)))
            for above in _above(folder)
            for file in self.below[above]
        )

    def _without_source(self, source: set[str]) -> set[str]:
        """Folders with such a name, whatever is in them, but for those that hold source."""
        called = {folder for file in self.files for folder in _above(file) if _is_called(folder)}
        return {f for f in called if not source & set(self.below.get(f, ()))}

    # -------------------------------------------------------------------------- files

    def _runners(self, inside: set[str]) -> None:
        """What loads tests and is loaded by nobody, as a script that starts them."""
        for file in self.modules:
            if file not in inside and self.imports[file] & self.held and not self.importers[file]:
                self.why.setdefault(file, CONFIGURES)

    def _helpers(self, inside: set[str]) -> None:
        """What lies elsewhere and is of the tests all the same."""
        of_tests, again = inside | self.why.keys(), True
        while again:
            again = False
            for file in self.modules:
                free = file not in of_tests and self.importers[file] <= of_tests
                if free and self._helps(file, of_tests, inside):
                    self.why[file] = CONFIGURES if file in self.facts["plugins"] else ALONE
                    of_tests, again = of_tests | {file}, True

    def _helps(self, file: str, of_tests: set[str], inside: set[str]) -> bool:
        """Whether a module that no source imports, and no folder tells of, is of the tests."""
        if file in self.facts["products"]:
            return False
        if file in self.facts["plugins"]:
            return True
        if is_test_path(file) and not any(map(_is_called, _above(file))):
            beside = [f for f in self.modules if _folder(f) == _folder(file) and f != file]
            plain = [f for f in beside if f not in of_tests and not looks_like_tests(f)]
            if self.held & set(beside) or not plain:
                return True
        helpers = of_tests - (self.held - inside)
        testing = file in self.facts["testing"] or bool(self.imports[file] & helpers)
        about = {other for test in self.importers[file] for other in self.imports[test]}
        about -= of_tests | {file, *self.facts["testing"]}
        return testing and bool(about - {f"{folder}/__init__.py" for folder in _above(file)})


def _is_called(folder: str) -> bool:
    return PurePosixPath(folder).name in TEST_FOLDERS


def _above(path: str) -> list[str]:
    """The folders that it lies in, the project's own left out."""
    return [str(folder) for folder in PurePosixPath(path).parents][:-1]


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _tested(file: str) -> str:
    """The name of what a file of tests is about, as far as its own tells: `cart` of `test_cart.py`;
    "" where it is called after nothing, as `tests.py`."""
    return "_".join(w for w in _stem(file).split("_") if w not in TEST_WORDS)


def _outermost(folders: set[str]) -> tuple[str, ...]:
    return tuple(sorted(f for f in folders if not folders & set(_above(f))))
