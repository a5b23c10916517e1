"""Tests that are made and not found: files of a few plain test functions, for what the project has
written down but not in its suite.

    module = module_of(repository, "lib/text.py")             # "lib.text"
    text = file_of_tests("Examples of ...", ["import lib"], [Made("test_words_1", ["assert ..."])])
    path = free_path(repository, "doctest-lib.text.words")

A made file lies at the top of the tree that the jail shows, never in the repository: it is a part
of the task (`Task.test_patch`). It calls nothing while it is collected, as `in-process` verdicts
want it.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.jail.inside.module_names import module_name
from sandbox.jail.layout import is_below
from sandbox.repo import Repository

PREFIX, LONGEST = "test_coldstart_", 100


@dataclass(frozen=True)
class Made:
    """One test function."""

    name: str
    lines: tuple[str, ...]
    """Its body, not indented."""
    imports: tuple[str, ...] = ()
    """Import statements that it wants at the module's own level."""

    @property
    def source(self) -> str:
        body = "\n".join(self.lines).split("\n")
        return "\n".join([f"def {self.name}():", *(f"    {line}".rstrip() for line in body)])


def file_of_tests(about: str, tests: Iterable[Made]) -> str:
    """The text of a file with these tests in it; `about` is its docstring."""
    tests = list(tests)
    imports = dict.fromkeys(line for test in tests for line in test.imports)
    parts = [f'"""{about}"""', "\n".join(imports), *(f"\n{test.source}" for test in tests)]
    return "\n\n".join(part for part in parts if part) + "\n"


def free_path(repository: Repository, name: str) -> str:
    """A path for the made file of the task of this name: one that nothing of the project has."""
    words = re.sub(r"\W+", "_", name, flags=re.ASCII)[:LONGEST]
    stem = f"{PREFIX}{words}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    while (repository.snapshot / f"{stem}.py").exists():
        stem += "_"
    return f"{stem}.py"


def module_of(repository: Repository, file: str) -> str:
    """What a file of the project is called by who imports it, "" where it cannot be imported."""
    top = str(repository.snapshot)
    search = [
        str(Path(top, Path(folder).relative_to(repository.root)))
        for folder in repository.path
        if is_below(folder, repository.root)
    ]
    try:
        name = module_name(f"{top}/{file}", search)
    except ImportError:
        return ""
    return name if all(part.isidentifier() for part in name.split(".")) else ""
