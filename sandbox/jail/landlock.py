"""The second jail, for machines on which bubblewrap is not installed or cannot work: Landlock and a
stricter system call filter.

It needs Linux 6.12 (Landlock, version 6) and no namespace of any kind. The processes in it and how
they keep each other: `inside/landlock.py`. Layout and tiers are those of any jail (`jail.py`); but
the tree is a copy in a folder of the jail's own and not at the project's own path: paths below the
project's folder are translated on their way in and out.

What this jail covers (`tests/test_landlock.py` attacks each): no network at all; no file of the
host but the read-only system folders, the interpreter and the copy of the tree; no writable host
path but the jail's own folder, which is emptied after each request; no process, memory, socket,
queue or descriptor of the host; no environment variable of ours; no capability and no way to get
one; no system call of those that `seccomp.py` lists; a limit of memory, disk, output, open files,
processes and time; all that a request started ends with it.

What it does not cover, beside what `bubblewrap.py` says of itself:

- The code runs as the same user as coldstart (root's as one that no other process has: in a
  container without such an id as `nobody`). What neither Landlock nor the filter knows of is open
  to it as that user.
- Names, sizes and times of the host's files can be asked for, and what links point to; not their
  contents, and no folder is listed. Where an installed copy of the project is hidden, its names can
  be listed.
- The limit of disk is kept by looking ten times a second at most: what is written meanwhile is over
  it. What is written to a file that has no name any more is noticed only when the disk is nearly
  full.
- If a keeper is killed by force (the machine runs out of memory, say), what it kept dies, but not
  what that had started.
- Each request copies the tree: 0.1 ms a file in memory, but a millisecond and more on some disks.
  (In memory where there is room for it.)
- How many processes an ordinary user, or `nobody`, may run the kernel limits for all of them
  together: a run that starts very many hinders the others for its time, and that it has started too
  many is noticed by looking. Root's jail has its user for itself, and so its own limit; any jail
  has where it can have a cgroup (`cgroup.py`).

Tests that need these fail in it, so that they are never part of a task: sockets (pairs of them
work), /tmp and /dev/shm by these names, semaphores with names (`multiprocessing.Lock` and `Pool`),
pseudo-terminals, file watching, the names of users, and the mode, owner or time of a file changed:
such calls do nothing and say that they have done it, for they cannot be told apart by whose file it
is. Where an editable install maps a package's name to a folder that is not on the import path, its
modules are not found.
"""

import base64
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from sandbox.jail import seccomp
from sandbox.jail.inside import landlock
from sandbox.jail.jail import Jail, Launch
from sandbox.jail.layout import (
    ENVIRONMENT,
    INSIDE,
    NOBODY,
    OPTIONS,
    SYSTEM_FILES,
    SYSTEM_FOLDERS,
    Layout,
    is_below,
    open_temporary_folder,
)

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
PROC_FILES = ("/proc/cpuinfo", "/proc/meminfo")
MEMORY = Path("/dev/shm")
LARGEST_IN_MEMORY = 64 << 20
"""Bytes of a tree."""
END_SECONDS = 10.0
UNTRANSLATED = ("files", "function_patches")
"""Parts of a request that are the project's own text."""


class LandlockJail(Jail):
    """One jail with the process in it that answers requests; see `Jail`."""

    # ------------------------------------------------------------------------------------- requests

    def start(self, request: dict) -> None:
        super().start(
            {
                key: value if key in UNTRANSLATED else self._inward(value)
                for key, value in request.items()
            }
        )

    def answer(self, answer: Any) -> None:
        super().answer(self._inward(answer))

    def _receive(self, deadline: float) -> dict:
        message = super()._receive(deadline)
        text, inner = json.dumps(message), _quoted(self._tree)
        if inner not in text:
            return message
        outward: dict = json.loads(text.replace(inner, _quoted(self._root)))
        return outward

    def _inward(self, value: Any) -> Any:
        """The same data with the paths below the project's folder as they are inside."""
        return json.loads(self._outer_paths.sub(lambda _: _quoted(self._tree), json.dumps(value)))

    # --------------------------------------------------------------------------------------- ending

    def kill(self) -> None:
        if (process := self._process) is not None:
            process.terminate()  # the first process ends the others, and then itself

    def close(self) -> None:
        if self._process is not None:
            self.kill()
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:  # by force, then: the kernel tells the other keepers
                self._process.kill()
                self._process.wait()
        try:
            landlock.clear(self._stage)
        except OSError:  # closed already, or something is still at work there: the rest remains
            pass
        super().close()

    # ------------------------------------------------------------------------------------ beginning

    def _parent_folder(self, layout: Layout) -> Path:
        """In memory, where there is room: the tree is copied for each request, and many disks are
        slow to make files."""
        tree = landlock.used(layout.tree)
        if tree > LARGEST_IN_MEMORY or not os.access(MEMORY, os.W_OK):
            return open_temporary_folder()
        memory = os.statvfs(MEMORY)
        room, wanted = memory.f_bavail * memory.f_frsize, 3 * tree + (layout.scratch_mb << 20)
        if memory.f_flag & os.ST_NOEXEC or room < 4 * wanted:
            return open_temporary_folder()
        return MEMORY

    def _prepare(self, layout: Layout, path: tuple[str, ...]) -> Launch:
        scratch, collected = self._stage / "scratch", self._stage / "collected"
        self._root, self._tree = str(layout.root), str(scratch / "tree")
        self._outer_paths = _paths_below(layout)
        inside = self._copy_inside()
        trees = self._copy_trees(layout)
        scratch.mkdir()
        collected.mkdir()
        confinement = {
            "rules": self._rules(layout, inside),
            "trees": list(map(str, trees)),
            "scratch": str(scratch),
            "collected": str(collected),
            "scratch_mb": layout.scratch_mb,
            "known_as": self._root,
            "zygote_seccomp": _filter(ignore=False),
        }
        file = self._stage / "confinement.json"
        file.write_text(json.dumps(confinement))
        file.chmod(0o644)
        for folder in (scratch, collected, *trees):
            folder.chmod(0o700)
        config = {
            "root": self._tree,
            "trees": confinement["trees"],
            "late_binds": [],
            "path": self._inward(path),
            "seccomp": _filter(ignore=True),
            "landlock": confinement,
        }
        # pytest asks for the user's name to name its folder.
        own = {"HOME": str(scratch / "home"), "TMPDIR": str(scratch / "t"), "LOGNAME": "user"}
        return Launch(self._command(layout, inside), {**ENVIRONMENT, **own}, config)

    def _copy_trees(self, layout: Layout) -> list[Path]:
        """The project's own tree, and before it, if there is one, that of pytest's cache files."""
        trees = [self._stage / "intact"]
        shutil.copytree(layout.tree, trees[0], symlinks=True)
        if layout.bytecode:
            trees.insert(0, Path(shutil.copytree(layout.bytecode, self._stage / "bytecode")))
        return trees

    def _command(self, layout: Layout, inside: Path) -> list[str]:
        """What root runs is coldstart's own file, not the copy."""
        return [
            *(sys.executable, "-I", "-S", str(INSIDE / "landlock.py"), str(os.getpid())),
            str(NOBODY) if os.geteuid() == 0 else "",
            str(self._stage),
            *map(str, layout.folders),
            "--",
            *(str(layout.python), *OPTIONS, str(inside / "zygote.py")),
        ]

    def _rules(self, layout: Layout, inside: Path) -> list[list]:
        """[path, rights] of all that may be read: never the project itself, wherever it or a copy
        of it lies."""
        hidden = [
            os.path.realpath(p) for p in (*layout.masked, layout.root, layout.tree, self._stage)
        ]
        rules: list[list] = [[device, landlock.DEVICE] for device in DEVICES]
        folders = [*map(str, layout.folders), str(inside)]
        for path in (*SYSTEM_FOLDERS, *SYSTEM_FILES, *PROC_FILES, *folders):
            rules += _readable(os.path.realpath(path), hidden)
        return rules


def _paths_below(layout: Layout) -> re.Pattern[str]:
    """What finds the project's own folder at the beginning of a path, in JSON. A virtual
    environment in that folder is no part of the tree, and stays where it is."""
    root = _quoted(str(layout.root))
    kept = [
        _quoted(folder)[len(root) :]
        for folder in map(str, layout.folders)
        if is_below(folder, str(layout.root))
    ]
    others = "".join(f"(?!{re.escape(place)}(?![^/\"]))" for place in kept)
    return re.compile(r"(?<![\w./-])" + re.escape(root) + r"(?![\w.-])" + others)


def _readable(path: str, hidden: list[str]) -> list[list]:
    """Rules that let `path` be read, but nothing in it that is hidden: Landlock can only allow, so
    then its other entries are."""
    if path in hidden or os.path.islink(path):
        return []
    if not any(is_below(h, path) for h in hidden):
        return [[path, landlock.READ]]
    rules: list[list] = [[path, landlock.LIST]]
    for entry in sorted(os.listdir(path)):
        rules += _readable(os.path.join(path, entry), hidden)
    return rules


def _quoted(text: str) -> str:
    """As it stands in JSON."""
    return json.dumps(text)[1:-1]


def _filter(ignore: bool) -> str:
    """The system call filter, in base64."""
    program = seccomp.program(platform.machine(), namespaces=False, ignore=ignore)
    return base64.b64encode(program).decode()
