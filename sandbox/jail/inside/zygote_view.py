"""What a child of the zygote sees of the file system: a tree of its own with an edit in it.
Standard library only, Python >= 3.9.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import kept

glob, os = map(kept.module, (glob, os))
SNAPSHOT_TIME = 1_600_000_000
"""The time stamp of the snapshot's files, as `snapshot.py` sets it."""


def build(isolation: ModuleType, config: dict[str, Any], files: dict[str, str]) -> None:
    """This process's own view of the file system, with `files` in the tree: {path: the bytes as
    UTF-8, surrogates for what is none}."""
    isolation.build_tree(config)
    for relative, text in files.items():
        path = os.path.join(config["root"], relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        # A changed test is not to be known from an intact one by its time; so what was cached of
        # that one would pass for this one's.
        os.utime(path, (SNAPSHOT_TIME, SNAPSHOT_TIME))
        folder, name = os.path.split(path)
        cached = os.path.join(glob.escape(folder), "__pycache__", name[:-3] + ".*.pyc")
        for stale in glob.glob(cached):
            os.remove(stale)
    for folder in (os.environ["HOME"], os.environ["TMPDIR"]):
        os.makedirs(folder, exist_ok=True)


def remove(isolation: ModuleType, config: dict[str, Any], paths: Iterable[str]) -> None:
    """Take these files and folders out of this process's view of the tree."""
    for relative in paths:
        path = os.path.join(config["root"], relative)
        if os.path.isdir(path):
            isolation.drop_folder(path)
        elif os.path.lexists(path):
            os.remove(path)
