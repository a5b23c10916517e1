"""A control group (cgroup, version 2) for each jail, where this process may make some: in it the
kernel limits the processes and the memory of all that is in the jail, added up.

    group = open_group()            # None where there are none to be had
    group.entering(command)         # what starts a jail in it
    group.limit(memory_mb, tasks)   # before each request
    group.close()                   # kills what is left

Nobody is asked for one: the group that this process is in must be its own to divide (Linux without
systemd; alone in a scope or service with `Delegate=yes`). Without, the limits are those of each
process, of the jail's user, and of the watchdog (`inside/zygote_limits.py`). A coldstart that is
killed by force leaves empty groups behind.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from sandbox.jail.layout import is_below

CONTROLLERS = {"memory", "pids"}
ENTER = "import os, sys; open(sys.argv[1], 'w').write('0'); os.execv(sys.argv[2], sys.argv[2:])"
CLOSE_SECONDS = 2.0
MEMORY_BESIDE = 64 << 20
"""Bytes for what the kernel keeps for processes: page tables, pipes, files that were just read."""
_one_at_a_time = threading.Lock()


class Group:
    """The group of one jail, empty until the jail is started in it."""

    def __init__(self, parent: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="coldstart-jail-", dir=parent))

    def entering(self, command: list[str]) -> list[str]:
        """What starts the command in this group; it has the same process id."""
        procs = str(self.folder / "cgroup.procs")
        return [sys.executable, "-I", "-S", "-c", ENTER, procs, *command]

    def limit(self, memory_mb: int, tasks: int) -> None:
        """Let what is in the group now take as much more, in MiB, and in processes and threads.
        Raises OSError."""
        used = dict(map(str.split, self._read("memory.stat").splitlines()))
        cached = int(used["active_file"]) + int(used["inactive_file"])
        held = int(self._read("memory.current")) - cached
        self._write("memory.max", held + MEMORY_BESIDE + (memory_mb << 20))
        self._write("pids.max", int(self._read("pids.current")) + tasks)
        with suppress(OSError):  # a kernel without swap
            self._write("memory.swap.max", 0)

    def close(self) -> None:
        """Kill everything in the group, and remove it. Safe to call twice."""
        with suppress(OSError):  # Linux before 5.14: what started the jail has killed it
            self._write("cgroup.kill", 1)
        deadline = time.monotonic() + CLOSE_SECONDS
        while self.folder.exists() and time.monotonic() < deadline:
            try:
                self.folder.rmdir()
            except OSError:  # not all are gone yet
                time.sleep(0.005)

    def _read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def _write(self, name: str, value: int) -> None:
        (self.folder / name).write_text(str(value))


def open_group() -> Group | None:
    """A new group; None where there can be none."""
    with _one_at_a_time:
        parent = _parent()
    try:
        return Group(parent) if parent else None
    except OSError:
        return None


@lru_cache
def _parent() -> Path | None:
    """The group that this process was started in, where groups below it work, which is tried.

    But at the very top no group that is divided may have processes itself: so this one moves to a
    group below, if it is alone."""
    try:
        own = own_folder(
            Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
        )
        if own is None or not CONTROLLERS <= set((own / "cgroup.controllers").read_text().split()):
            return None
        alone = (own / "cgroup.procs").read_text().split() == [str(os.getpid())]
        if alone and (own / "cgroup.type").exists():
            (own / "coldstart").mkdir(exist_ok=True)
            (own / "coldstart" / "cgroup.procs").write_text(str(os.getpid()))
        (own / "cgroup.subtree_control").write_text(" ".join(f"+{c}" for c in CONTROLLERS))
        return own if _works(Group(own)) else None
    except OSError:
        return None


def _works(group: Group) -> bool:
    """Whether a process can be started in the group; closes it. Raises OSError if there are no
    limits in it."""
    try:
        group.limit(memory_mb=1024, tasks=1)
        return subprocess.run(group.entering(["/bin/true"]), capture_output=True).returncode == 0
    finally:
        group.close()


def own_folder(groups: str, mounts: str) -> Path | None:
    """Where the group of this process lies, by its /proc/self/cgroup and /proc/self/mountinfo; None
    where it has none of version 2, or where that one is not mounted."""
    own = next((line[3:] for line in groups.splitlines() if line.startswith("0::")), None)
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        root, place = before.split()[3:5]
        if after.startswith("cgroup2 ") and own is not None and is_below(own, root):
            return Path(place, os.path.relpath(own, root))
    return None
