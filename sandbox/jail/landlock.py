"""The second jail, for machines on which bubblewrap is not installed or cannot work: Landlock and a
stricter system call filter.

    # the better one of the two that works here; the same methods, whichever it is
    jail = open_jail(layout)
    jail_notice()                          # what there is to say of it: "" for bubblewrap

It needs Linux 6.12 (Landlock, version 6) and no namespace of any kind. The processes in it and how
they keep each other: `inside/landlock.py`. Layout and tiers are those of `bubblewrap.py`; but the
tree is a copy in a folder of the jail's own and not at the project's own path: paths below the
project's folder are translated on their way in and out.

What this jail covers (`tests/test_landlock.py` attacks each): no network at all; no file of the
host but the read-only system folders, the interpreter and the copy of the tree; no writable host
path but the jail's own folder, which is emptied after each request; no process, memory, socket,
queue or descriptor of the host; no environment variable of ours; no capability and no way to get
one; no system call of those that `seccomp.py` lists; a limit of memory, disk, output, open files,
processes and time; all that a request started ends with it.

What it does not cover, beside what `bubblewrap.py` says of itself:

- The code runs as the same user as coldstart (root's as `nobody`). What neither Landlock nor the
  filter knows of is open to it as that user.
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
- How many processes a user may run is limited for all of them together: a run that starts very many
  hinders the others for its time.

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
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.jail import seccomp
from sandbox.jail.bubblewrap import (
    ENVIRONMENT,
    INSIDE,
    INSTALL_HINT,
    NOBODY,
    SYSTEM_FILES,
    SYSTEM_FOLDERS,
    Jail,
    Layout,
    is_below,
    open_temporary_folder,
)
from sandbox.jail.inside import landlock

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
PROC_FILES = ("/proc/cpuinfo", "/proc/meminfo")
TRIAL = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-net",
    "--disable-userns",
    "--ro-bind",
    "/",
    "/",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "true",
)
"""Arguments of bubblewrap: does it work at all?"""
MEMORY = Path("/dev/shm")
LARGEST_IN_MEMORY = 64 << 20
"""Bytes of a tree."""
END_SECONDS = 10.0
UNTRANSLATED = ("files", "swaps")
"""Parts of a request that are the project's own text."""


class LandlockJail(Jail):
    """One jail with the process in it that answers requests; see `Jail`. Raises HarnessError if it
    cannot be started."""

    def start(self, request: dict) -> None:
        super().start(
            {
                key: value if key in UNTRANSLATED else self._inward(value)
                for key, value in request.items()
            }
        )

    def tell(self, answer) -> None:
        super().tell(self._inward(answer))

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

    def _receive(self, deadline: float) -> dict:
        heard = super()._receive(deadline)
        text = json.dumps(heard)
        return (
            json.loads(text.replace(_quoted(self._tree), _quoted(self._root)))
            if _quoted(self._tree) in text
            else heard
        )

    def _inward(self, value):
        """The same data with the paths below the project's folder as they are inside."""
        return json.loads(self._outside.sub(lambda _: _quoted(self._tree), json.dumps(value)))

    # ------------------------------------------------------------------------------------- building

    def _stage_parent(self, layout: Layout) -> Path:
        """In memory, where there is room: the tree is copied for each request, and many disks are
        slow to make files."""
        memory, tree = (
            os.statvfs(MEMORY) if os.access(MEMORY, os.W_OK) else None,
            landlock.used(layout.tree),
        )
        if (
            memory is None
            or tree > LARGEST_IN_MEMORY
            or memory.f_flag & os.ST_NOEXEC
            or (memory.f_bavail * memory.f_frsize < 4 * (3 * tree + (layout.scratch_mb << 20)))
        ):
            return open_temporary_folder()
        return MEMORY

    def _prepare(
        self, layout: Layout, path: tuple[str, ...]
    ) -> tuple[list[str], dict[str, str], dict]:
        scratch, collected, intact, bytecode = (
            self._stage / name for name in ("scratch", "collected", "intact", "bytecode")
        )
        self._root, self._tree = str(layout.root), str(scratch / "tree")
        # A virtual environment in the project's folder is no part of the tree, and stays where it
        # is.
        kept = [
            _quoted(str(f))[len(_quoted(self._root)) :]
            for f in layout.folders
            if is_below(str(f), self._root)
        ]
        self._outside = re.compile(
            r"(?<![\w./-])"
            + re.escape(_quoted(self._root))
            + r"(?![\w.-])"
            + "".join(f"(?!{re.escape(place)}(?![^/\"]))" for place in kept)
        )
        inside = self._copy_inside()
        trees = [intact]
        shutil.copytree(layout.tree, intact, symlinks=True)
        if layout.bytecode:
            trees.insert(0, Path(shutil.copytree(layout.bytecode, bytecode)))
        scratch.mkdir()
        collected.mkdir()
        walls = {
            "rules": self._rules(layout, inside),
            "trees": list(map(str, trees)),
            "scratch": str(scratch),
            "collected": str(collected),
            "scratch_mb": layout.scratch_mb,
            "known_as": self._root,
            "zygote_seccomp": _filter(ignore=False),
        }
        (self._stage / "walls.json").write_text(json.dumps(walls))
        (self._stage / "walls.json").chmod(0o644)
        for folder in (scratch, collected, *trees):
            folder.chmod(0o700)
            for inner, _, _ in os.walk(folder) if os.geteuid() == 0 else ():
                os.chown(inner, NOBODY, NOBODY)
        # What root runs is coldstart's own file, not the copy.
        command = [
            sys.executable,
            "-I",
            "-S",
            str(INSIDE / "landlock.py"),
            str(os.getpid()),
            str(NOBODY) if os.geteuid() == 0 else "",
            str(self._stage),
            *map(str, layout.folders),
            "--",
            str(layout.python),
            "-I",
            "-B",
            str(inside / "zygote.py"),
        ]
        # pytest asks for the user's name to name its folder.
        environment = {
            **ENVIRONMENT,
            "HOME": str(scratch / "home"),
            "TMPDIR": str(scratch / "t"),
            "LOGNAME": "user",
        }
        return (
            command,
            environment,
            {
                "root": self._tree,
                "trees": walls["trees"],
                "late_binds": [],
                "path": self._inward(path),
                "seccomp": _filter(ignore=True),
                "landlock": walls,
            },
        )

    def _rules(self, layout: Layout, inside: Path) -> list[list]:
        """[path, rights] of all that may be read: never the project itself, wherever it or a copy
        of it lies."""
        hidden = [
            os.path.realpath(p) for p in (*layout.masked, layout.root, layout.tree, self._stage)
        ]
        rules = [[device, landlock.DEVICE] for device in DEVICES]
        for path in (
            *SYSTEM_FOLDERS,
            *SYSTEM_FILES,
            *PROC_FILES,
            *map(str, layout.folders),
            str(inside),
        ):
            rules += _readable(os.path.realpath(path), hidden)
        return rules


def _readable(path: str, hidden: list[str]) -> list[list]:
    """Rules that let `path` be read, but nothing in it that is hidden: Landlock can only allow, so
    then its other entries are."""
    if path in hidden or os.path.islink(path):
        return []
    if not any(is_below(h, path) for h in hidden):
        return [[path, landlock.READ]]
    rules = [[path, landlock.LIST]]
    for entry in sorted(os.listdir(path)):
        rules += _readable(os.path.join(path, entry), hidden)
    return rules


def _quoted(text: str) -> str:
    """As it stands in JSON."""
    return json.dumps(text)[1:-1]


def _filter(ignore: bool) -> str:
    return base64.b64encode(
        seccomp.program(platform.machine(), namespaces=False, ignore=ignore)
    ).decode()


# --------------------------------------------------------------------------------------- which jail


def open_jail(
    layout: Layout,
    tier: str = "forked",
    files: list[str] = (),
    path: tuple[str, ...] = (),
    on_start: Callable[[Jail], None] = lambda jail: None,
) -> Jail:
    """A jail of the better kind that works on this machine; the arguments are those of `Jail`.
    Raises UsageError where there is none, and HarnessError if it cannot be started."""
    return (LandlockJail if jail_notice() else Jail)(layout, tier, files, path, on_start)


def jail_notice() -> str:
    """What a person should know of the jail on this machine: "" if it is that of bubblewrap. Raises
    UsageError where there is none."""
    return _notice(shutil.which("bwrap"))


@lru_cache
def _notice(bwrap: str | None) -> str:
    fault = _fault_of(bwrap)
    if not fault:
        return ""
    version = landlock.version()
    if version < landlock.MINIMUM or platform.machine() not in seccomp.MACHINES:
        raise UsageError(
            f"No working jail: {fault}, and the second choice, Landlock {landlock.MINIMUM} (Linux "
            "6.12), is not there either "
            "(this kernel has "
            f"{f'version {version}' if version else 'none, or has it switched off'}). coldstart "
            "never runs a "
            f"model's code without a jail. {INSTALL_HINT} If it is installed, user namespaces may "
            "be switched off: on Ubuntu, "
            "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` allows them."
        )
    return (
        f"The jail is made of Landlock, the second choice, because {fault}. Tests that need "
        "sockets, /tmp by its name, or to change "
        "modes and times of files fail in it, and so are left out."
        + (f" {INSTALL_HINT}" if bwrap is None else "")
    )


def _fault_of(bwrap: str | None) -> str:
    """Why bubblewrap cannot be used; "" if it can."""
    if bwrap is None:
        return "bubblewrap is not installed"
    command = [bwrap, *TRIAL]
    if os.geteuid() == 0:
        command = [
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("drop_root.py")),
            "/",
            "--",
            *command,
        ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            timeout=30,
            env={"PATH": ENVIRONMENT["PATH"]},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work here ({error})"
    return (
        ""
        if done.returncode == 0
        else f"bubblewrap does not work here ({done.stderr.strip() or 'it says nothing'})"
    )
