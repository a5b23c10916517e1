"""The first choice of a jail: bubblewrap around the interpreter of the user's project.

What the jail covers (`tests/test_jail.py` attacks each): no network but its own loopback; no file
of the host but the read-only system folders, the interpreter and the snapshot of the project; no
writable host path at all; no process, memory or descriptor of the host; no environment variable of
ours; no capability and no way to get one; no system call of those that `seccomp.py` lists; a limit
of memory, disk, output, open files, processes and time; everything in it dies with it.

Processes and threads are counted by the kernel, in each user namespace by itself (Linux 5.14;
before, with all that the user runs). It adds up the memory of all processes only where the jail can
have a cgroup (`cgroup.py`); elsewhere that is done ten times a second at most, so on a busy machine
there can be more for a moment.

What it does not cover: the kernel is shared, so a hole in the kernel is a hole in the jail;
processor time is shared; the jailed code can read what it may see (the project and its
interpreter). Runs at the same time can signal to each other by locks on files that all of them may
read, and by how busy the machine is: so one rollout could pass something to another one's test run.
In the tree a folder cannot be renamed (an overlay answers EXDEV, as between two disks), which
`shutil.move` knows and `os.rename` does not.

Started by root, the jail runs as `nobody` (`drop_root.py`), on a copy of the tree that each jail
has in memory. Before a run begins the jail is tried: real escapes are attempted in it and must fail
(`inside/escapes.py`, `repo.check_jail`).
"""

import base64
import os
import shutil
import sys
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.jail import seccomp
from sandbox.jail.jail import Jail, Launch
from sandbox.jail.layout import (
    ENVIRONMENT,
    INSTALL_HINT,
    OPTIONS,
    SYSTEM_FILES,
    SYSTEM_FOLDERS,
    Layout,
    is_below,
)

INSIDE_USER = 1000
"""The user that code in a jail believes to be: not the one that the kernel shows for every foreign
file."""
FRESH = ("/tmp", "/dev/shm")
"""Folders that every child gets a fresh copy of; what lies under them is bound again afterwards."""
CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_NET_ADMIN")
"""Of the first process. It adds up what its children use; these mount views of the tree (an
overlay's work folder is closed to all but DAC_OVERRIDE), bring up their own loopback, and drop all
of this before any edited code runs."""
FOLDER_BYTES = 1 << 20
"""Size of the folders that are empty until a child mounts its own there."""

Bind = tuple[str, str]
"""(where it is, where it is shown)"""


class BubblewrapJail(Jail):
    """One jail with the process in it that answers requests; see `Jail`."""

    def _prepare(self, layout: Layout, path: tuple[str, ...]) -> Launch:
        bwrap = find_bwrap()
        etc = self._write_etc()
        binds, late_binds = _binds(layout, self._copy_inside(), etc)
        command = [
            *self._prefix(binds),
            bwrap,
            *_isolation(),
            *_system(),
            *_empty_folders([*FRESH, "/scratch", str(layout.root)]),
            *_read_only(self._staged(binds)),
            *_masks(layout, late_binds),
            *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"),
            *(str(layout.python), *OPTIONS, "/coldstart/zygote.py"),
        ]
        config = {
            "root": str(layout.root),
            "trees": (["/bytecode"] if layout.bytecode else []) + ["/tree"],
            "late_binds": late_binds,
            "path": list(path),
            "seccomp": base64.b64encode(seccomp.program()).decode(),
        }
        return Launch(command, {"PATH": "/usr/bin:/bin"}, config)

    def _write_etc(self) -> Path:
        """The few files of /etc that programs ask for, with nothing of the host's in them."""
        etc = self._stage / "etc"
        etc.mkdir()
        (etc / "passwd").write_text(f"user:x:{INSIDE_USER}:{INSIDE_USER}::/tmp/home:/bin/sh\n")
        (etc / "group").write_text(f"user:x:{INSIDE_USER}:\n")
        (etc / "hosts").write_text("127.0.0.1 localhost jail\n::1 localhost jail\n")
        (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
        for path in [etc, *etc.iterdir()]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return etc

    def _staged(self, binds: list[Bind]) -> list[Bind]:
        """The binds with the sources that bubblewrap is to use: as root, those that drop_root.py
        prepares."""
        if os.geteuid() != 0:
            return binds
        staged = []
        for number, (source, target) in enumerate(binds):
            place = self._stage / str(number)
            place.mkdir() if os.path.isdir(source) else place.touch()
            staged.append((str(place), target))
        return staged

    def _prefix(self, binds: list[Bind]) -> list[str]:
        """What starts bubblewrap: nothing, or as root what becomes `nobody` before."""
        if os.geteuid() != 0:
            return []
        return drop_root(self._stage, [source for source, _ in binds])


def drop_root(stage: Path, sources: list[str]) -> list[str]:
    """The command that becomes `nobody`, with the sources staged, before the command behind it."""
    script = str(Path(__file__).with_name("drop_root.py"))
    return [sys.executable, "-I", "-S", script, str(stage), *sources, "--"]


def _binds(layout: Layout, inside: Path, etc: Path) -> tuple[list[Bind], list[list[str]]]:
    """What is shown inside, and those binds that each child of the first process repeats, because
    a fresh folder of its own covers them."""
    binds = [(str(layout.tree), "/tree"), (str(inside), "/coldstart")]
    if layout.bytecode:
        binds.append((str(layout.bytecode), "/bytecode"))
    late_binds: list[list[str]] = []
    hidden = [*FRESH, str(layout.root)]
    for number, folder in enumerate(map(str, layout.folders)):
        binds.append((folder, folder))
        if any(is_below(folder, h) for h in hidden):
            binds.append((folder, f"/late/{number}"))
            late_binds.append([f"/late/{number}", folder])
    binds += [(str(file), f"/etc/{file.name}") for file in etc.iterdir()]
    return binds, late_binds


def _isolation() -> list[str]:
    """Namespaces, capabilities, user and environment."""
    arguments = [
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts"),
        *("--unshare-cgroup-try", "--disable-userns"),
        *("--uid", str(INSIDE_USER), "--gid", str(INSIDE_USER)),
        *("--cap-drop", "ALL"),
    ]
    for capability in CAPABILITIES:
        arguments += ["--cap-add", capability]
    arguments += ["--hostname", "jail", "--new-session", "--die-with-parent", "--clearenv"]
    for name, value in ENVIRONMENT.items():
        arguments += ["--setenv", name, value]
    return arguments


def _system() -> list[str]:
    """The system's folders and files, read-only, and file systems of the kernel."""
    arguments = []
    for folder in SYSTEM_FOLDERS:
        if os.path.islink(folder):
            arguments += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            arguments += ["--ro-bind", folder, folder]
    for file in SYSTEM_FILES:
        arguments += ["--ro-bind-try", file, file]
    return [*arguments, "--proc", "/proc", "--dev", "/dev"]


def _empty_folders(folders: list[str]) -> list[str]:
    arguments = []
    for folder in folders:
        arguments += ["--size", str(FOLDER_BYTES), "--tmpfs", folder]
    return arguments


def _read_only(binds: list[Bind]) -> list[str]:
    return [part for source, target in binds for part in ("--ro-bind", source, target)]


def _masks(layout: Layout, late_binds: list[list[str]]) -> list[str]:
    """What hides an installed copy of the project, wherever its folder is shown."""
    arguments = []
    for path in layout.masked:
        late = [
            Path(place) / path.relative_to(folder)
            for place, folder in late_binds
            if is_below(str(path), folder)
        ]
        for target in map(str, [path, *late]):
            arguments += (
                ["--tmpfs", target] if path.is_dir() else ["--ro-bind", "/dev/null", target]
            )
    return arguments


def find_bwrap() -> str:
    """The path of bubblewrap; raises UsageError with the command that installs it."""
    path = shutil.which("bwrap")
    if path is None:
        raise UsageError(
            "No working jail: bubblewrap is not installed, and coldstart never runs a model's code "
            "without one. " + INSTALL_HINT
        )
    return path
