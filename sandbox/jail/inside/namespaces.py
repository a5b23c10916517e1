"""What `zygote.py` does in a jail of namespaces: each child has its own process ids, mounts,
network and System V memory; the tree is an overlay whose changes go to a tmpfs of limited size that
dies with the child. `no_namespaces.py` has the same functions for a jail without.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
from typing import Any

import kept
import zygote_limits

# Asked in forks of a process, too, that has collected the project's tests.
fcntl, os, re, shutil, socket, struct = map(kept.module, (fcntl, os, re, shutil, socket, struct))
libc = ctypes.PyDLL(None, use_errno=True)
NEWNS, NEWPID, NEWIPC, NEWNET = 0x00020000, 0x20000000, 0x08000000, 0x40000000
MS_MOVE = 8192
MS_BIND, MS_REC, MS_PRIVATE, MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = (
    4096,
    16384,
    1 << 18,
    1,
    2,
    4,
    8,
    32,
)
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SCRATCH = "/scratch"
END = signal.SIGKILL
"""Ends the first process of a child, and with it all in its namespace."""
COUNTS_APART = (5, 14)
"""The version of Linux that counts the processes of a user in each user namespace by themselves."""
HARNESS = 3
"""Processes that count with the tests', beside the zygote: bubblewrap's, the first of the child,
and the one that hears it."""


def begin(config: dict[str, Any]) -> None:
    """Give this process mounts of its own, and put a copy of this user's own in the place of a tree
    of another owner (root's, which starts this as `nobody`): there nothing could be changed, and to
    copy it for each child would take most of a short test's time."""
    libc.unshare(NEWNS)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    for tree in config["trees"]:
        if os.stat(tree).st_uid != os.getuid():
            mount("tmpfs", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV)
            shutil.copytree(tree, SCRATCH, symlinks=True, dirs_exist_ok=True)
            mount(SCRATCH, tree, None, MS_MOVE)
            mount(None, tree, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def put_by(config: dict[str, Any]) -> None:
    """Let every child from now on find what this process wrote: `build_tree` does, from the overlay
    below."""


def flags() -> int:
    """What of its own a child gets: also a network, for in the counters of a shared one a later run
    can read that somebody was there."""
    return NEWNS | NEWPID | NEWIPC | NEWNET


def started(child: int) -> list[int]:
    """The processes in this jail but its first one, the zygote and this one, which that one has
    started: those that `child` has started, and itself."""
    ours = (1, os.getpid(), os.getppid())
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in ours]


def enter(config: dict[str, Any], parent: int, pipes: tuple[int, int]) -> None:
    """The first thing in a child: a /proc of its own namespace, where the kernel allows it (it does
    not where ours is covered in part); its settings read-only in any case: bubblewrap 0.8 started
    by root leaves them writable."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    try:
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:
        pass
    mount("/proc/sys", "/proc/sys", None, MS_BIND | MS_REC)
    mount(
        None, "/proc/sys", None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    )
    raise_loopback()


def raise_loopback() -> None:
    """Bring up the loopback of this process's own network, as bubblewrap does it for the jail's;
    the kernel gives it its addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = struct.unpack(
            "16xh", fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))[:18]
        )[0]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def fork_tests() -> int:
    """The tests do not run as process 1 themselves: that one ignores signals it has no handler for,
    and code may rely on them. Zero in the process that runs them, its id in the one that waits."""
    pid: int = os.fork()
    return pid


def build_tree(config: dict[str, Any]) -> None:
    """The tree as an overlay, and fresh temporary folders, in this process's mount namespace."""
    root, trees = config["root"], config["trees"]
    size = "size=%dm,mode=1777" % config["scratch_mb"]
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    # What the process wrote while it collected the tests is there for its forks, too.
    earlier = [
        os.open(folder, os.O_RDONLY)
        for folder in (SCRATCH + "/upper", "/tmp")
        if os.path.isdir(SCRATCH + "/upper")
    ]
    for folder in (SCRATCH, "/tmp", "/dev/shm"):
        mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, size)
    os.makedirs(root, exist_ok=True)
    upper, work = SCRATCH + "/upper", SCRATCH + "/work"
    os.mkdir(upper)
    os.mkdir(work)
    if earlier:
        trees = ["/proc/self/fd/%d" % earlier[0]] + trees
    try:
        mount(
            "overlay",
            root,
            "overlay",
            MS_NOSUID | MS_NODEV,
            "lowerdir=%s,upperdir=%s,workdir=%s,userxattr" % (":".join(trees), upper, work),
        )
    except OSError:  # kernels before 5.11 have no overlay for ordinary users
        for tree in reversed(trees):
            shutil.copytree(tree, upper, symlinks=True, dirs_exist_ok=True)
        mount(upper, root, None, MS_BIND)
    if earlier:
        copy_without_mounts("/proc/self/fd/%d" % earlier[1], "/tmp")
        for fd in earlier:
            os.close(fd)
    for source, target in config["late_binds"]:
        os.makedirs(target, exist_ok=True)
        mount(source, target, None, MS_BIND | MS_REC)


def copy_without_mounts(source: str, target: str) -> None:
    """Copy a folder, but not what is mounted below it."""
    device = os.stat(source).st_dev
    shutil.copytree(
        source,
        target,
        symlinks=True,
        dirs_exist_ok=True,
        ignore=lambda folder, names: [
            name for name in names if os.lstat(os.path.join(folder, name)).st_dev != device
        ],
    )


def forget_bytecode(config: dict[str, Any]) -> None:
    """No process has any in memory: it is a folder."""


def drop_folder(path: str) -> None:
    """Take a folder out of this process's view of the tree."""
    mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=4k")


def hide(config: dict[str, Any]) -> None:
    """Cover the folders that the view was made from, for the intact tree holds the answers, and the
    first process, through whose /proc entry they could be reached."""
    for folder in config["trees"] + [SCRATCH, "/proc/1"]:
        mount("tmpfs", folder, "tmpfs", MS_RDONLY, "size=4k")


def confine_tests(config: dict[str, Any], threads: int) -> int:
    """The last thing before the system call filter. `threads`: those of the zygote. Returns the
    limit of processes and threads."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if version and tuple(map(int, version.groups())) >= COUNTS_APART:
        return HARNESS + threads + int(config["tasks"])
    return zygote_limits.tasks_beside_others()


def as_known(bytecode: dict[str, str], config: dict[str, Any]) -> None:
    """Give pytest's cache files the tree's name outside: it is the same here."""


def mount(
    source: str | None, target: str, kind: str | None, flags: int = 0, data: str | None = None
) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    if libc.mount(*encoded[:3], ctypes.c_ulong(flags), encoded[3]):
        code = ctypes.get_errno()
        raise OSError(code, "mount %s on %s: %s" % (kind or source, target, os.strerror(code)))
