"""The second jail from the inside: Landlock and a system call filter, no namespaces. Standard
library only, Python >= 3.9.

As a script it is the jail's first process:

    landlock.py OWNER USER STAGE FOLDER... -- COMMAND...

Started by root it becomes a user of its own (USER, an id, where it can have none; empty: it stays
who it is), in a mount namespace of its own where FOLDERs are open that are closed to that one, and
starts the COMMAND, the zygote, confined by STAGE/confinement.json.
OWNER is the process that started it, and everything ends with that one. The zygote imports it as a
module:

    first process ── zygote ── keeper of one request ── the process that runs the tests, and all
    that these start

Each of the four is in a Landlock domain inside the domain of the one before it. A process can
signal, and look into, those of its own domain and the domains inside it, and no others; so keepers
are out of reach of what they keep, and `kill(-1)` of a keeper hits exactly what it keeps, all at
once, whatever sessions and parents it has given itself.
"""

from __future__ import annotations

import base64
import ctypes
import grp
import json
import marshal
import os
import pwd
import shutil
import signal
import stat
import sys
import time
import types
from typing import Any


# As `kept.module` does it, which a script cannot import: keepers are forks of a process that has
# collected the project's tests, and those may have stopped the clock.
def _kept(module: types.ModuleType) -> Any:
    return types.SimpleNamespace(**vars(module))


os, shutil, signal, time = map(_kept, (os, shutil, signal, time))
libc = ctypes.CDLL(None, use_errno=True)
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System calls, by the same numbers on every processor."""
OWN_USERS = 0x70000000
"""The user id of a jail of root's is this and the process id of its first process, which is below
2^22. Distributions, containers and systemd give no user an id from here to 2^31."""
MINIMUM = 6
"""The first version of Landlock (Linux 6.12) that keeps signals inside."""
(
    EXECUTE,
    WRITE_FILE,
    READ_FILE,
    READ_DIR,
    REMOVE_DIR,
    REMOVE_FILE,
    MAKE_DIR,
    MAKE_REG,
    MAKE_FIFO,
    MAKE_SYM,
    REFER,
    TRUNCATE,
    IOCTL_DEV,
) = (1 << bit for bit in (0, 1, 2, 3, 4, 5, 7, 8, 10, 12, 13, 14, 15))
ALL_FILES = (1 << 16) - 1
FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""Rights that a rule for a single file may name."""
LIST = READ_DIR
READ = EXECUTE | READ_FILE | READ_DIR
DEVICE = READ_FILE | WRITE_FILE
OF_ITSELF = (
    "cmdline",
    "comm",
    "exe",
    "fd",
    "fdinfo",
    "io",
    "limits",
    "maps",
    "smaps",
    "smaps_rollup",
    "stat",
    "statm",
    "status",
)
"""What a process may see of itself in /proc. Not `net`: it is the host's."""
WRITE = (
    READ
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_FIFO
    | MAKE_SYM
    | REFER
    | TRUNCATE
)
TCP = 0b11
SCOPES = 0b11
"""Abstract Unix sockets and signals."""
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
CLONE_NEWNS, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV = (
    0x00020000,
    4096,
    8192,
    16384,
    1 << 18,
    2,
    4,
)
WAKING = (signal.SIGTERM, signal.SIGCHLD)
WATCH_EVERY = 0.1
"""Seconds between two looks at what a request uses."""
PER_FILE = 1024
"""Bytes that each file counts beside its content: so many empty ones are too many, too."""


class Ruleset(ctypes.Structure):
    _fields_ = [
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    ]


class PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("rights", ctypes.c_uint64), ("fd", ctypes.c_int32)]


def main() -> None:
    split = sys.argv.index("--")
    owner, user, stage, *folders = sys.argv[1:split]
    command = sys.argv[split + 1 :]
    with open(os.path.join(stage, "confinement.json")) as file:
        confinement = json.load(file)
    own_folders = [confinement["scratch"], confinement["collected"], *confinement["trees"]]
    if user:
        open_the_way(folders, stage)
        become(own_user() or int(user), own_folders)
    os.chdir("/")
    keep(int(owner), (0, 1), own_folders)
    confine_zygote(confinement)
    os.execv(command[0], command)


# -------------------------------------------------------------------------------------- confinement


def version() -> int:
    """The version of Landlock in this kernel; 0 where there is none, or where it is switched
    off."""
    return max(0, libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def restrict(rules: list[list[Any]]) -> None:
    """Confine this process, and what it starts from now on, for good: of all files it may use those
    that `rules` ([path, rights]) name, no TCP; signals and abstract Unix sockets reach no process
    outside.

    Raises OSError. A rule for what cannot be opened is left out: it would allow nothing.
    """
    confine(Ruleset(ALL_FILES, TCP, SCOPES), rules)


def keep_signals_inside() -> None:
    """Confine this process, and what it starts, in nothing but this. (Every ruleset forbids moving
    files between folders unless told.)"""
    confine(Ruleset(REFER, 0, SCOPES), [["/", REFER]])


def confine(handled: Ruleset, rules: list[list[Any]]) -> None:
    checked("no_new_privs", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    ruleset = checked(
        "landlock",
        libc.syscall(
            CREATE_RULESET,
            ctypes.byref(handled),
            ctypes.c_size_t(ctypes.sizeof(handled)),
            ctypes.c_uint32(0),
        ),
    )
    try:
        for path, rights in rules:
            try:
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                rights &= FOR_FILES
            rule = PathBeneath(rights, fd)
            checked(
                "landlock",
                libc.syscall(
                    ADD_RULE, ruleset, ctypes.c_int(1), ctypes.byref(rule), ctypes.c_uint32(0)
                ),
            )
            os.close(fd)
        checked("landlock", libc.syscall(RESTRICT_SELF, ruleset, ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)


def checked(name: str, result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "%s: %s" % (name, os.strerror(ctypes.get_errno())))
    return result


def confine_zygote(confinement: dict[str, Any]) -> None:
    """Confine the zygote: it may read what its children may, and the trees that they get a copy of
    and /proc as well, and write to the folders that are the jail's own."""
    restrict(
        confinement["rules"]
        + [[tree, READ] for tree in confinement["trees"]]
        + [["/proc", READ]]
        + [[confinement[folder], WRITE] for folder in ("scratch", "collected")]
    )


def confine_tests(confinement: dict[str, Any]) -> None:
    """Confine the process that runs the tests. In /proc it sees itself, but none of those that it
    starts sees itself there."""
    restrict(
        confinement["rules"]
        + [[confinement["scratch"], WRITE]]
        + [["/proc/self/" + name, READ] for name in OF_ITSELF]
    )


def prepare(confinement: dict[str, Any], root: str) -> None:
    """Put into `confinement` what is the same for every request."""
    confinement["compiled"] = (
        {}
        if len(confinement["trees"]) == 1
        else compiled_tests(confinement["trees"][0], confinement["known_as"], root)
    )
    confinement["tree_bytes"], confinement["put_by"] = sum(map(used, confinement["trees"])), False
    # Asked by the zygote: the first process is its parent.
    confinement["own_user"] = os.getuid() == OWN_USERS + os.getppid()


# ------------------------------------------------------------------------------------------ keeping


def keep(
    parent: int,
    pipes: tuple[int, int],
    folders: list[str],
    confinement: dict[str, Any] | None = None,
) -> None:
    """Go on in a child. The calling process stays behind as its keeper and does not return: when
    the child ends, when SIGTERM comes or the parent has died, or (with `confinement`) when the
    child uses too much, it kills everything that the child has started, empties these folders and
    exits. `pipes` are descriptors that it closes.

    Raises OSError where the machine cannot keep it so.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAKING)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    keep_signals_inside()
    try:
        os.kill(parent, 0)
        raise OSError("Landlock keeps no signal inside")
    except PermissionError:  # only now is kill(-1) no danger to anybody else
        pass
    # The child can be looked into, so that its memory can be added up, and nobody but its keepers
    # can reach it.
    checked("dumpable", libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
    pid = os.fork()
    if pid == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    try:
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        for fd in pipes:
            os.close(fd)
        wait(pid, confinement)
    finally:
        try:
            end_all()
            for folder in folders:
                clear(folder)
        finally:
            os._exit(0)


def wait(pid: int, confinement: dict[str, Any] | None) -> None:
    """Until process `pid` ends, SIGTERM comes, or there is too much of something. It is another
    process that looks for that, from a while after the start: this one must be there in time
    however slow that is."""
    awaited, look = (
        {pid},
        time.monotonic() + (WATCH_EVERY if confinement is not None else float("inf")),
    )
    while True:
        woken = signal.sigtimedwait(WAKING, max(0.0, min(look - time.monotonic(), 60.0)))
        if woken is not None and woken.si_signo == signal.SIGTERM or ended(awaited):
            return
        if time.monotonic() >= look:
            look, watcher = float("inf"), os.fork()
            if watcher == 0:
                assert confinement is not None
                watch(os.getppid(), confinement)
            awaited.add(watcher)


def ended(awaited: set[int]) -> bool:
    """Whether one of these children has ended. The others that have are taken off the system's list
    as well."""
    try:
        while (one := os.waitpid(-1, os.WNOHANG)[0]) not in awaited:
            if one == 0:
                return False
    except ChildProcessError:
        pass
    return True


def watch(keeper: int, confinement: dict[str, Any]) -> None:
    """Exit as soon as there is too much of something."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        while True:
            started = time.monotonic()
            if too_much(keeper, confinement):
                break
            time.sleep(max(WATCH_EVERY, 20 * (time.monotonic() - started)))
    finally:
        os._exit(0)


def too_much(keeper: int, confinement: dict[str, Any]) -> bool:
    """Whether the disk is nearly full, the scratch folder has grown by more than it may, or a
    process has made itself unreadable, so that its memory cannot be added up."""
    return (
        nearly_full(confinement)
        or used(confinement["scratch"])
        > confinement["tree_bytes"] + (confinement["scratch_mb"] << 20)
        or any(pid != os.getpid() and unreadable(pid) for pid in descendants(keeper))
    )


def nearly_full(confinement: dict[str, Any]) -> bool:
    """Whether the disk has no more room than one request may take."""
    disk = os.statvfs(confinement["scratch"])
    room: int = disk.f_bavail * disk.f_frsize
    return room < int(confinement["scratch_mb"]) << 20


def used(folder: str | os.PathLike[str]) -> float:
    """Bytes on the disk below `folder`; infinite where a folder in it is too deep or too closed to
    be looked into."""
    total: float = 0
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    try:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512 + PER_FILE
                    except FileNotFoundError:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError:
            return float("inf")
    return total


def descendants(pid: int) -> list[int]:
    """The processes that `pid` has started, and those that these have started. The keeper takes in
    those whose parents have died."""
    found: list[int] = []
    parents = [pid]
    while parents:
        parent = parents.pop()
        try:
            for thread in os.listdir("/proc/%d/task" % parent):
                with open("/proc/%d/task/%s/children" % (parent, thread)) as file:
                    children = [int(child) for child in file.read().split()]
                found += children
                parents += children
        except OSError:  # it has ended meanwhile
            continue
    return found


def unreadable(pid: int) -> bool:
    try:
        open("/proc/%d/smaps_rollup" % pid).close()
    except PermissionError:
        return True
    except OSError:  # it has ended meanwhile
        pass
    return False


def end_all() -> None:
    """Kill everything in this process's domain but itself, and wait until it is gone."""
    while True:
        try:
            os.kill(-1, signal.SIGKILL)
        except OSError:  # there is nobody
            pass
        try:
            os.wait()
        except ChildProcessError:
            return


# -------------------------------------------------------------------------------------------- files


def put_by(confinement: dict[str, Any]) -> None:
    """Let every child from now on find what is in the scratch folder: what a zygote wrote while
    it collected the tests, too."""
    for name in os.listdir(confinement["scratch"]):
        os.rename(
            os.path.join(confinement["scratch"], name), os.path.join(confinement["collected"], name)
        )
    confinement["tree_bytes"], confinement["put_by"] = used(confinement["collected"]), True


def build_tree(confinement: dict[str, Any], trees: list[str], root: str) -> None:
    """Fill the scratch folder anew. `trees`: the project's own, and before it, if there is one,
    that of pytest's cache files."""
    clear(confinement["scratch"])
    if nearly_full(confinement):
        raise OSError("there is too little room left in " + confinement["scratch"])
    if confinement["put_by"]:
        shutil.copytree(
            confinement["collected"], confinement["scratch"], symlinks=True, dirs_exist_ok=True
        )
        return
    shutil.copytree(trees[-1], root, symlinks=True)
    for relative, data in confinement["compiled"].items() if len(trees) > 1 else ():
        path = os.path.join(root, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def clear(folder: str | os.PathLike[str]) -> None:
    """Remove everything in `folder`, however it is called, whatever its mode, however deep it lies.

    Folders inside folders are moved up first, so no path grows long; descriptors instead of paths,
    so that no link leads elsewhere. Only what the caller does not own can remain; then OSError is
    raised.
    """
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        while names := os.listdir(top):
            for name in names:
                if not removed(name, top):
                    lift(name, top)
                    os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


def lift(name: str, top: int) -> None:
    """Empty the folder `name` of the folder `top`: its files go, its folders move beside it."""
    open_up(name, top)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for entry in os.listdir(inner):
            if not removed(entry, inner):
                open_up(entry, inner)
                os.rename(entry, os.urandom(8).hex(), src_dir_fd=inner, dst_dir_fd=top)
    finally:
        os.close(inner)


def removed(name: str, folder: int) -> bool:
    """Remove the entry unless it is a folder; whether it was none."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        return False
    return True


def open_up(name: str, folder: int) -> None:
    """Let its owner into the folder. Root needs no leave."""
    if os.geteuid() != 0:
        os.chmod(name, 0o700, dir_fd=folder)


def compiled_tests(folder: str, old: str, new: str) -> dict[str, bytearray]:
    """pytest's cache files below `folder`, for a tree that was at `old` and is at `new`: {path:
    content}."""
    found = {}
    for above, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(above, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = bytearray(moved(file.read(), old, new))
    return found


def as_known(files: dict[str, str], old: str, new: str) -> None:
    """Give cache files ({path: base64}) made in the tree at `old` the tree's name outside, in
    place."""
    for path, data in files.items():
        files[path] = base64.b64encode(moved(base64.b64decode(data), old, new)).decode()


def moved(data: bytes, old: str, new: str) -> bytes:
    """A cache file of Python whose source lies below `new` instead of `old`. Its first 16 bytes say
    what it was made from."""
    return data[:16] + marshal.dumps(moved_code(marshal.loads(data[16:]), old + "/", new + "/"))


def moved_code(code: types.CodeType, old: str, new: str) -> types.CodeType:
    name = (
        new + code.co_filename[len(old) :] if code.co_filename.startswith(old) else code.co_filename
    )
    constants = tuple(
        moved_code(c, old, new) if isinstance(c, types.CodeType) else c for c in code.co_consts
    )
    return code.replace(co_filename=name, co_consts=constants)


# --------------------------------------------------------------------------------------------- root


def own_user() -> int | None:
    """A user id that no process has but those that this one will start, so that what the kernel
    counts by user it counts for them alone; None where the id has a name, or where a container has
    only smaller ones."""
    user = OWN_USERS + os.getpid()
    for file, called in (("uid_map", pwd.getpwuid), ("gid_map", grp.getgrgid)):
        with open("/proc/self/" + file) as lines:
            ranges = [list(map(int, line.split())) for line in lines]
        if not any(first <= user < first + count for first, _, count in ranges):
            return None
        try:
            called(user)
            return None
        except KeyError:
            pass
    return user


def become(user: int, folders: list[str]) -> None:
    """Become this user for good, and let it own `folders` and those in them."""
    for folder in folders:
        for inner, _, _ in os.walk(folder):
            os.chown(inner, user, user)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def open_the_way(folders: list[str], stage: str) -> None:
    """As root: where an ordinary user cannot reach one of `folders`, lay an empty folder over the
    one that is closed above it, in a mount namespace of this process's own, and put back there what
    is wanted. No other process sees it.

    Exits with a sentence where the machine lets root do no such thing.
    """
    closed = {folder: above for folder in folders if (above := closed_above(folder))}
    if not closed:
        return
    os.umask(0o022)
    try:
        checked("mount namespace", libc.unshare(CLONE_NEWNS))
        lay_over(closed, stage)
    except OSError as error:
        sys.exit(
            "The jail runs as an ordinary user, who cannot reach %s: %s is closed, and no way can "
            "be made here (%s). Start coldstart as an ordinary user, or keep the project's "
            "interpreter "
            "elsewhere." % (*next(iter(closed.items())), error.strerror)
        )


def lay_over(closed: dict[str, str], stage: str) -> None:
    """`closed`: {folder: what is closed above it}. Raises OSError, as in a chroot whose root is no
    mount of its own."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    held = {folder: os.path.join(stage, "way-%d" % number) for number, folder in enumerate(closed)}
    for folder, place in held.items():
        os.mkdir(place)
        mount(folder, place, None, MS_BIND | MS_REC)
    for above in set(closed.values()):
        mount("tmpfs", above, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for folder, place in held.items():
        os.makedirs(folder, exist_ok=True)
        mount(place, folder, None, MS_MOVE)


def closed_above(folder: str) -> str | None:
    """The topmost folder on the way to `folder` that is closed to all but its owner's group; None
    where there is none."""
    path = "/"
    for part in folder.strip("/").split("/"):
        if not os.stat(path).st_mode & 0o001:
            return path
        path = os.path.join(path, part)
    return None


def mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    checked("mount on " + target, libc.mount(*encoded[:3], ctypes.c_ulong(flags), encoded[3]))


if __name__ == "__main__":
    main()
