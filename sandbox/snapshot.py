"""Snapshots: trees of files in the cache folder, under the hash of their content.

tree = take_snapshot(root, files)          # its hash; the files are in `cache_folder()/trees/tree`
files_of(snapshot), content_hash(snapshot)
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from sandbox.cache import cache_folder, hold, remove
from sandbox.errors import HarnessError, UsageError
from sandbox.jail.layout import NOBODY
from sandbox.project import in_order

SNAPSHOT_TIME = 1_600_000_000
"""Time stamp of every file in a snapshot: bytecode made for one snapshot fits the same one taken
again."""


def files_of(tree: Path) -> list[tuple[str, str]]:
    """[(path below the tree, "file" | "link")] of all that lies in a snapshot, in the order of
    `project.in_order`."""
    places: list[str] = []
    links: set[str] = set()
    for folder, subfolders, names in os.walk(tree):
        below = os.path.relpath(folder, tree)
        linked = [name for name in names + subfolders if os.path.islink(os.path.join(folder, name))]
        links.update(os.path.normpath(os.path.join(below, name)) for name in linked)
        places += [os.path.normpath(os.path.join(below, name)) for name in names]
    return in_order((path, "link" if path in links else "file") for path in {*places, *links})


def content_hash(tree: Path) -> str:
    """Hash over names, modes and contents of all that lies in a snapshot. Raises UsageError for
    unreadable files."""
    return hash_files(tree, files_of(tree))


def hash_files(root: Path, files: list[tuple[str, str]]) -> str:
    total = hashlib.sha256()
    for name, kind in files:
        full = root / name
        try:
            data = os.fsencode(os.readlink(full)) if kind == "link" else full.read_bytes()
            executable = kind == "file" and bool(full.stat().st_mode & 0o100)
        except OSError as error:
            raise UsageError(f"{full} cannot be read: {error.strerror}.") from None
        total.update(
            f"{name}\0{kind}\0{executable}\0{len(data)}\0".encode("utf-8", "surrogateescape")
        )
        total.update(data)
    return total.hexdigest()[:24]


def take_snapshot(root: Path, files: list[tuple[str, str]]) -> str:
    """Copy these files of the tree into the cache under their content's hash, and return the hash.
    They are in order, as `look` and `files_of` give them."""
    name = hash_files(root, files)
    final = cache_folder() / "trees" / name
    hold(final)
    if final.is_dir():
        return name
    final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = Path(tempfile.mkdtemp(prefix=".making-", dir=final.parent))
    try:
        hold(aside)
        for relative, kind in files:
            target = aside / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            if kind == "link":
                os.symlink(os.readlink(root / relative), target)
            else:
                shutil.copyfile(root / relative, target)
                target.chmod(0o755 if (root / relative).stat().st_mode & 0o100 else 0o644)
                os.utime(target, (SNAPSHOT_TIME, SNAPSHOT_TIME))
        open_to_the_jail(aside)
        if content_hash(aside) != name:
            raise UsageError(f"{root} changed while it was being read. Try again.")
        os.replace(aside, final)
    except OSError as error:
        if final.is_dir():  # another process has made the same snapshot at the same time
            return name
        raise HarnessError(
            f"The snapshot of {root} cannot be written to {final.parent}: {error.strerror}."
        ) from None
    finally:
        remove(aside)
    return name


def open_to_the_jail(tree: Path) -> None:
    """Let whoever the jail runs as own the tree: in its view of it that one may change every file,
    as in a work tree."""
    for folder, subfolders, names in os.walk(tree):
        os.chmod(folder, 0o755)
        if os.geteuid() == 0:
            for path in [folder, *(os.path.join(folder, name) for name in subfolders + names)]:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
