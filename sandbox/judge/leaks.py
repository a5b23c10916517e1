"""Copies of an answer that lie about in a tree: backups, old work trees, notebooks, patches,
coverage reports, archives. What answers calls from outside (`black_box.py`) must not see them: what
it reads there it need not know.

A copy is known by the distinctive lines of the gold edit, compared by their letters and digits
alone, so that neither markup nor quoting nor the marks of a patch hide them. Another Python file is
a copy only if it holds all of them and defines a function of that name: the module itself may need
it.
"""

import html
import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath

from sandbox.judge.twins import NOTHING, readable_tests
from sandbox.snapshot import files_of
from sandbox.source import find, read_text, source_of
from sandbox.tasks.task import Task

DISTINCTIVE = 12
"""Letters and digits that a line must have to be known again."""
MAX_TEXT = 4 << 20
"""Bytes: what is larger is data."""


def copies(tree: Path, task: Task, share: float = 1.0) -> list[str]:
    """Files of the tree, but for those that the task is about, from which the gold edit could be
    read. `share`: of its distinctive lines, which make a Python file a copy."""
    own = {PurePosixPath(path) for path in task.named}
    packed = [
        path for path, names in _archives(str(tree)).items() if names & {path.name for path in own}
    ]
    added = [
        _letters(line[1:])
        for line in task.patch.split("\n")
        if line.startswith("+") and not line.startswith("+++")
    ]
    gold = {line for line in added if len(line) >= DISTINCTIVE}
    if not gold:
        return packed
    heads = {
        f"def{_letters(name.rpartition('.')[2])}" for names in task.named.values() for name in names
    }
    found = []
    for path, letters in _texts(str(tree)).items():
        held = sum(line in letters for line in gold)
        if (
            held >= share * len(gold) and any(head in letters for head in heads)
            if path.endswith(".py")
            else held >= min(2, len(gold))
        ):
            found.append(path)
    return packed + [path for path in found if PurePosixPath(path) not in own]


def copies_of_tests(
    tree: Path, tests: Iterable[str], given: Mapping[str, str] = NOTHING
) -> list[str]:
    """Files of the tree that are no Python, and from which these tests could be read. `given` as of
    `readable_tests`."""
    sources = [
        source_of(text, function)
        for text, names in readable_tests(tests, tree, given).values()
        for name in names
        if (function := find(text, name)) is not None
    ]
    lines = {_letters(line) for source in sources for line in source.split("\n")}
    told = {line for line in lines if len(line) >= DISTINCTIVE}
    if not told:
        return []
    return [
        path
        for path, letters in _texts(str(tree)).items()
        if not path.endswith(".py") and sum(line in letters for line in told) >= min(2, len(told))
    ]


def files_that_say(tree: Path, texts: Iterable[str]) -> list[str]:
    """Files of the tree that are no Python, and in which one of these texts can be read, whatever
    marks stand between its words. What is no longer than a word or two is not looked for."""
    told = {letters for text in texts if len(letters := _letters(text)) >= DISTINCTIVE}
    return [
        path
        for path, letters in _texts(str(tree)).items()
        if not path.endswith(".py") and any(text in letters for text in told)
    ]


@lru_cache(maxsize=2)
def _texts(tree: str) -> dict[str, str]:
    """{path: the letters and digits of its text, without markup}"""
    files = [Path(tree, path) for path, kind in files_of(Path(tree)) if kind == "file"]
    return {
        str(file.relative_to(tree)): _letters(
            html.unescape(re.sub(r"<[^>\n]*>", "", read_text(file)))
        )
        for file in files
        if file.stat().st_size < MAX_TEXT
    }


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text)


@lru_cache(maxsize=2)
def _archives(tree: str) -> dict[str, set[str]]:
    """{path of an archive: names of the files in it, without their folders}"""
    found = {}
    for path, kind in files_of(Path(tree)):
        if kind == "file" and (names := _names_in(Path(tree, path))):
            found[path] = {PurePosixPath(name).name for name in names}
    return found


def _names_in(file: Path) -> list[str]:
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return archive.namelist()
        if any(
            mark in (".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz")
            for mark in file.suffixes
        ) and tarfile.is_tarfile(file):
            with tarfile.open(file) as archive:
                return archive.getnames()
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError):
        return []
    return []
