"""Attacks on the jail of Landlock, each from inside it, where the jailed test passes if the attack
has failed; and verdicts from it.

Where root runs these tests, the attacks run twice: in root's jail, which is that of `nobody`, and
as an ordinary user, whose own files and processes the jailed code could reach if only the user
counted.
"""

import base64
import ctypes
import json
import marshal
import os
import platform
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import patches
from sandbox.errors import HarnessError
from sandbox.jail import seccomp
from sandbox.jail.bubblewrap import BubblewrapJail
from sandbox.jail.choice import jail_notice, open_jail
from sandbox.jail.inside import landlock
from sandbox.jail.jail import Jail
from sandbox.jail.landlock import LandlockJail, _readable
from sandbox.jail.layout import ENVIRONMENT, INSIDE
from sandbox.judge.gate import gate
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import keep_bytecode, open_repository
from sandbox.source import blanked, find, read_text, with_body
from sandbox.tasks.task import Task
from tests.conftest import ROOT, make_repo

pytestmark = pytest.mark.skipif(
    landlock.version() < landlock.MINIMUM, reason="this kernel has no Landlock of version 6"
)

FILES = {
    "pkg/__init__.py": "",
    "pkg/only_here.py": "ANSWER = 42\n",
    "pkg/core.py": "def one():\n    return 1\n",
    "pkg/say.sh": "echo said\n",
    "tests/test_core.py": "from pkg.core import one\n\n\ndef helper():\n    return one()\n\n\ndef "
    "test_one():\n    assert helper() == 1\n",
}
PLAIN = {"ids": ["tests/test_core.py::test_one"], "files": {}}
SECRET = "sk-of-the-person-outside"
ORDINARY = 4242

ATTACKS = {
    "keep_descriptors_of_the_harness": """
        targets = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]
        assert len([t for t in targets if t.startswith("pipe:")]) <= 1, targets
        assert [t for t in targets if not t.startswith(("/dev/null", "pipe:", "/proc/", os.path.dirname(os.getcwd())))] == []""",
    "reach_the_network": """
        for family, kind in [(f, k) for f in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) for k in (1, 2, 3)] + [(16, 3), (17, 3), (38, 5), (40, 1)]:
            with pytest.raises(OSError):
                socket.socket(family, kind)
        with pytest.raises(OSError):
            socket.getaddrinfo("example.org", 80)""",
    "reach_a_socket_of_the_host_through_a_pair": """
        with pytest.raises(OSError):
            socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            mine, other = socket.socketpair(socket.AF_UNIX, kind)
            for address in (UNIX_SOCKET, DATAGRAM_SOCKET, "\\0" + ABSTRACT_SOCKET):
                for act in (lambda: mine.connect(address), lambda: mine.bind(os.environ["TMPDIR"] + "/mine")):
                    with pytest.raises(OSError):
                        act()
                for act in (lambda: mine.sendto(b"got out", address), lambda: mine.sendmsg([b"got out"], [], 0, address)):
                    try:
                        act()
                    except OSError:
                        pass
                    else:
                        assert other.recv(7) == b"got out" """,
    "read_files_of_the_host": """
        for path in CLOSED:
            with pytest.raises(OSError):
                os.listdir(path) if os.path.isdir(path) else open(path, "rb")
                print("could read", path)
        for act in (lambda: os.link(CANARY, "linked"), lambda: os.rename(CANARY, "moved"), lambda: shutil.copyfile(CANARY, "copied")):
            with pytest.raises(OSError):
                act()
        os.symlink(CANARY, "link")
        with pytest.raises(OSError):
            open("link")""",
    "read_secrets_from_the_environment": """
        assert set(os.environ) <= {*ENVIRONMENT, "LOGNAME", "PYTEST_CURRENT_TEST", "PYTEST_VERSION"}, sorted(os.environ)
        assert getpass.getuser() == "user"
        assert not any(SECRET in value for value in os.environ.values())""",
    "write_to_the_host": """
        for folder in FOLDERS + [os.path.dirname(sys.executable), sys.prefix, os.path.dirname(os.__file__), os.path.dirname(pytest.__file__)]:
            for act in (lambda: open(folder + "/made", "w"), lambda: os.mkdir(folder + "/made"), lambda: os.symlink("/", folder + "/made"),
                        lambda: os.mkfifo(folder + "/made"), lambda: os.rename("pkg", folder + "/made"), lambda: os.link("pkg/core.py", folder + "/made")):
                with pytest.raises(OSError):
                    act()
                    print("could change", folder)
        for file in OWN + [pytest.__file__, os.path.realpath(sys.executable), "/dev/mem", "/dev/sda", "/dev/tty", "/dev/ptmx", "/proc/sysrq-trigger",
                           "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches"]:
            for act in (lambda: open(file, "ab"), lambda: open(file, "r+b"), lambda: os.truncate(file, 0), lambda: os.unlink(file),
                        lambda: os.rename(file, "taken"), lambda: os.link(file, "linked")):
                with pytest.raises(OSError):
                    act()
                    print("could change", file)""",
    "change_modes_owners_and_times": """
        for path in OWN + FOLDERS + ["pkg/core.py"]:
            before = os.lstat(path)
            os.chmod(path, 0o777)
            os.chown(path, os.getuid(), os.getgid())
            os.utime(path, (0, 0))
            os.utime(path, (0, 0), follow_symlinks=False)
            for act in (lambda: os.setxattr(path, "user.mine", b"x"), lambda: os.removexattr(path, "user.theirs")):
                with pytest.raises(OSError):
                    act()
            after = os.lstat(path)
            assert (before.st_mode, before.st_uid, before.st_gid, before.st_mtime) == (after.st_mode, after.st_uid, after.st_gid, after.st_mtime), path
        fd = os.open(OWN_MODULE, os.O_RDONLY)
        before = os.fstat(fd)
        os.fchmod(fd, 0)
        os.utime(fd, (0, 0))
        with pytest.raises(OSError):
            os.setxattr(fd, "user.mine", b"x")
        with pytest.raises(OSError):
            fcntl.ioctl(fd, 0x40086602, ctypes.c_int(0x40))
        after = os.fstat(fd)
        assert (before.st_mode, before.st_mtime) == (after.st_mode, after.st_mtime)
        shutil.copytree("pkg", "pkg2")""",
    "signal_others": """
        for pid in (*OUTSIDE, os.getppid()):
            for number in (0, signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
                with pytest.raises(PermissionError):
                    os.kill(pid, number)
            handle = os.pidfd_open(pid)
            with pytest.raises(PermissionError):
                signal.pidfd_send_signal(handle, signal.SIGTERM)
            os.close(handle)
            # A pipe signals its owner when there is something to read; here that would be another
            # process.
            for kill_by in (signal.SIGIO, signal.SIGKILL):
                read, write = os.pipe()
                fcntl.fcntl(read, 8, pid)
                fcntl.fcntl(read, 10, kill_by)
                fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC)
                os.write(write, b"x")
                os.close(read)
                os.close(write)""",
    "look_into_others": """
        with pytest.raises(OSError):
            os.listdir("/proc")
        for pid in (*OUTSIDE, os.getppid(), 1):
            for name in ("environ", "cmdline", "mem", "maps", "status", "stat", "fd", "task", "cwd", "root", "exe", "comm", "mountinfo"):
                for act in (lambda: open(f"/proc/{pid}/{name}", "rb"), lambda: os.listdir(f"/proc/{pid}/{name}"), lambda: os.open(f"/proc/{pid}/{name}/etc", 0)):
                    with pytest.raises(OSError):
                        act()
                        print("could see", pid, name)
            assert libc.ptrace(16, pid, None, None) == -1
            buffer = ctypes.create_string_buffer(8)
            vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
            assert libc.process_vm_readv(pid, vector, 1, vector, 1, 0) == -1
        assert "State" in open("/proc/self/status").read() and os.listdir("/proc/self/fd")""",
    "limit_or_slow_others": """
        for pid in (*OUTSIDE, os.getppid()):
            for act in (lambda: resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1)), lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
                        lambda: os.sched_setaffinity(pid, {0}), lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))):
                with pytest.raises(PermissionError):
                    act()
        os.sched_setaffinity(0, os.sched_getaffinity(0))
        resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))""",
    "use_memory_and_queues_of_others": """
        libc.shmat.restype = ctypes.c_void_p
        assert libc.shmget(SHARED_KEY, 0, 0) == -1 and libc.shmat(SHARED, None, 0o10000) == ctypes.c_void_p(-1).value
        assert libc.shmget(0, 4096, 0o1600) == -1 and libc.semget(0, 1, 0o1600) == -1 and libc.msgget(0, 0o1600) == -1
        assert libc.mq_open(b"/mine", os.O_CREAT | os.O_RDWR, 0o600, None) == -1""",
    "watch_folders": """
        fd = libc.inotify_init1(0)
        for folder in FOLDERS:
            assert libc.inotify_add_watch(fd, folder.encode(), 0xFFF) == -1
        os.close(fd)
        assert libc.fanotify_init(0x200, 0) == -1""",
    "call_what_is_refused": """
        for name, number in REFUSED.items():
            ctypes.set_errno(0)
            assert libc.syscall(number, *(ctypes.c_long(-1) for _ in range(6))) == -1 and ctypes.get_errno() == errno.EPERM, name
        for flag in (0x10000000, 0x00020000, 0x20000000, 0x40000000):
            assert libc.syscall(CLONE, ctypes.c_ulong(flag | signal.SIGCHLD), None, None, None, None) == -1""",
    "be_somebody": """
        status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
        assert 0 not in map(int, (status["Uid"] + " " + status["Gid"] + " " + status["Groups"]).split()), status
        assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0, 0, 0, 0], status
        assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
        assert libc.setuid(0) == -1 and libc.setgid(0) == -1""",
    "take_more_than_its_share": """
        with pytest.raises(MemoryError):
            bytearray(3 << 30)
        with open("huge", "wb") as file, pytest.raises(OSError):
            file.truncate(300 << 20)
        files = []
        with pytest.raises(OSError):
            for _ in range(5000):
                files.append(open("/dev/null"))
        for file in files:
            file.close()
        for name in ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CPU", "RLIMIT_NPROC"):
            with pytest.raises((ValueError, OSError)):
                resource.setrlimit(getattr(resource, name), (resource.RLIM_INFINITY, resource.RLIM_INFINITY))""",
    "find_the_answer": """
        stage = os.path.dirname(os.path.dirname(os.getcwd()))
        for folder in (stage, stage + "/intact", stage + "/bytecode", SNAPSHOT, PROJECT):
            with pytest.raises(OSError):
                os.listdir(folder)
        with pytest.raises(OSError):
            open(stage + "/intact/pkg/only_here.py")
        assert "42" not in open("pkg/only_here.py").read()""",
    "import_an_installed_copy": """
        import neighbour
        assert neighbour.HERE
        with pytest.raises(OSError):
            open(os.path.dirname(neighbour.__file__) + "/pkg/core.py")
        import pkg.core
        assert pkg.core.__file__ == os.getcwd() + "/pkg/core.py" """,
}
HONEST = {
    "do_what_tests_do": """
        for folder in (os.getcwd(), os.getcwd() + "/pkg", os.environ["HOME"], tempfile.gettempdir(), str(tmp_path)):
            with open(folder + "/made", "w") as file:
                file.write("x")
            os.rename(folder + "/made", folder + "/renamed")
            assert "renamed" in os.listdir(folder)
        os.rename("pkg/renamed", tempfile.gettempdir() + "/from-pkg")
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
        done = subprocess.run([sys.executable, "-c", "import json, os, sys; print(json.dumps([os.getcwd(), sys.path[0]]))"], capture_output=True, text=True)
        assert json.loads(done.stdout)[0] == os.getcwd(), done.stderr
        assert subprocess.run(["/bin/sh", "pkg/say.sh"], capture_output=True, text=True).stdout == "said\\n"
        with open("run.sh", "w", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
            file.write("#!/bin/sh\\necho run\\n")
        assert subprocess.run(["./run.sh"], capture_output=True, text=True).stdout == "run\\n"
        thread = threading.Thread(target=time.sleep, args=(0.01,))
        thread.start()
        thread.join()
        asyncio.run(asyncio.sleep(0))
        import sqlite3, ssl
        ssl.create_default_context()
        with sqlite3.connect("base.db") as base:
            base.execute("create table t (x)")
        mine, other = socket.socketpair()
        mine.sendall(b"hello")
        assert other.recv(5) == b"hello"
        import pkg.core
        assert pkg.core.__file__.startswith(os.getcwd()) and os.path.basename(os.getcwd()) == "tree" """
}


# -------------------------------------------------------------------------- all the attacks at once


def assault(place: Path) -> dict:
    """The reply to one run of all of ATTACKS and HONEST in a jail of this process's own user, with
    things outside that they look for.

    `place` is an empty folder of that user."""
    place.mkdir()
    project = make_repo(place / "project", FILES)
    home, library, other = place / "home", place / "library", place / "other-scratch"
    for folder in (home, library / "pkg", other):
        folder.mkdir(parents=True)
    for path, text in (
        (home / "canary", SECRET),
        (other / "secret", SECRET),
        (library / "neighbour.py", "HERE = True\n"),
        (library / "pkg" / "core.py", ""),
    ):
        path.write_text(text)
        os.setxattr(path, "user.theirs", b"x")
    (home / "canary").chmod(0o600)
    os.environ["COLDSTART_TEACHER_KEY"] = SECRET
    repository = open_repository(project)
    libc = ctypes.CDLL(None, use_errno=True)
    key = 0x5EC00000 + os.getpid()
    shared = libc.shmget(key, 4096, 0o1600)
    assert shared >= 0
    sockets = [
        socket.socket(socket.AF_UNIX),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
        socket.socket(socket.AF_UNIX),
    ]
    for one, address in zip(
        sockets,
        (str(place / "stream"), str(place / "datagram"), f"\0coldstart-landlock-{os.getpid()}"),
    ):
        one.bind(address)
    sockets[0].listen()
    sockets[2].listen()
    # The limit of processes counts all that the user runs.
    busy = (
        "import threading, time\nfor _ in range(600):\n    threading.Thread(target=time.sleep, "
        "args=(600,), daemon=True).start()\nprint(flush=True)\ntime.sleep(600)"
    )
    crowd = subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE)
    crowd.stdout.readline()
    layout = replace(
        repository.layout(),
        folders=(*repository.layout().folders, library),
        masked=(library / "pkg",),
    )
    path = (*repository.path, str(library))
    with (
        LandlockJail(layout, "forked", path=path) as bystander,
        LandlockJail(layout, "forked", path=path) as jail,
    ):
        outside = [os.getpid(), jail._process.pid, bystander._process.pid]
        outside += [int(child) for pid in outside[1:] for child in children(pid)]
        own = [
            str(home / "canary"),
            str(library / "neighbour.py"),
            str(jail._stage / "inside" / "zygote.py"),
        ]
        folders = [
            str(home),
            str(library),
            str(place),
            str(jail._stage),
            str(jail._stage / "inside"),
            "/",
            "/usr",
            "/usr/bin",
            "/etc",
            "/tmp",
            "/dev/shm",
            "/var/tmp",
        ]
        facts = {
            "UNIX_SOCKET": str(place / "stream"),
            "DATAGRAM_SOCKET": str(place / "datagram"),
            "ABSTRACT_SOCKET": f"coldstart-landlock-{os.getpid()}",
            "CANARY": str(home / "canary"),
            "SECRET": SECRET,
            "OUTSIDE": outside,
            "OWN": own,
            "OWN_MODULE": str(library / "neighbour.py"),
            "FOLDERS": folders,
            "SHARED_KEY": key,
            "SHARED": shared,
            "ENVIRONMENT": sorted(ENVIRONMENT),
            "SNAPSHOT": str(repository.snapshot),
            "PROJECT": str(project),
            "REFUSED": {
                name: numbers[seccomp.MACHINES[platform.machine()]]
                for name, numbers in {
                    **seccomp.REFUSED,
                    **seccomp.REFUSED_WITHOUT_NAMESPACES,
                }.items()
                if numbers[seccomp.MACHINES[platform.machine()]] is not None
            },
            "CLONE": seccomp.WITH_ARGUMENTS[platform.machine()][0],
            "CLOSED": [
                str(home / "canary"),
                str(home),
                str(other / "secret"),
                str(bystander._stage / "scratch"),
                str(bystander._stage / "intact"),
                str(jail._stage / "intact" / "pkg" / "core.py"),
                str(project / "pkg" / "core.py"),
                str(project / ".git" / "config"),
                str(repository.snapshot / "pkg" / "core.py"),
                str(library / "pkg" / "core.py"),
                "/",
                "/home",
                "/root",
                "/tmp",
                "/dev/shm",
                "/etc",
                "/etc/shadow",
                "/etc/passwd",
                "/var",
                "/run",
                "/sys/kernel",
                "/boot",
                "/proc",
                "/proc/kcore",
                "/proc/1/environ",
                "/proc/loadavg",
                "/proc/self/root",
                "/proc/self/root/etc/passwd",
                "/proc/self/net/unix",
                "/proc/self/mountinfo",
                "/proc/self",
                "/dev",
                "/dev/mem",
            ],
        }
        text = (
            "import asyncio, ctypes, errno, fcntl, getpass, json, os, resource, shutil, signal, "
            "socket, subprocess, sys, tempfile, threading, time\nimport pytest\n\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            + "".join(f"{name} = {value!r}\n" for name, value in facts.items())
        )
        for name, code in {**ATTACKS, **HONEST}.items():
            text += (
                f"\n\ndef test_{name}(tmp_path):\n"
                + textwrap.indent(textwrap.dedent(code).strip("\n"), "    ")
                + "\n"
            )
        reply = ask(
            jail,
            path,
            {"tests/test_attacks.py": text, "pkg/only_here.py": "ANSWER = None\n"},
            [f"tests/test_attacks.py::test_{name}" for name in (*ATTACKS, *HONEST)],
            timeout=60.0,
            text=True,
        )
    del os.environ["COLDSTART_TEACHER_KEY"]
    crowd.kill()
    crowd.communicate()
    for one in sockets:
        one.close()
    libc.shmctl(shared, 0, None)
    return reply


def ask(
    jail: Jail,
    path: tuple[str, ...],
    files: dict[str, str],
    ids: list[str],
    timeout: float = 20.0,
    **request,
) -> dict:
    return jail.ask(
        {
            "files": files,
            "ids": ids,
            "path": list(path),
            "timeout": timeout,
            "memory_mb": 1024,
            **request,
        }
    )


def children(pid: int) -> list[str]:
    return [
        child
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for child in file.read_text().split()
    ]


def as_ordinary_user(code: str, place: Path) -> str:
    """What a Python program prints that an ordinary user runs, with this interpreter and these
    packages; `place` is a folder of that user."""
    os.chown(place, ORDINARY, ORDINARY)
    folders = sorted(
        {
            str(ROOT),
            sys.prefix,
            sys.base_prefix,
            os.path.dirname(os.path.dirname(os.path.realpath(sys.executable))),
        }
    )
    (place / "way").mkdir()
    start = (
        f"import os, sys; sys.path.insert(0, {str(INSIDE)!r}); import landlock; "
        f"landlock.open_the_way({folders!r}, {str(place / 'way')!r});"
        f"os.setgroups([]); os.setresgid(*[{ORDINARY}] * 3); os.setresuid(*[{ORDINARY}] * 3); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "XDG_CACHE_HOME": str(place / "cache"),
        "TMPDIR": str(place),
        "LANG": "C.UTF-8",
    }
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; from pathlib import Path; place = "
        f"Path({str(place)!r})\n" + textwrap.dedent(code)
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start, sys.executable, "-c", program],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def open_place():
    """A folder that everybody can reach, unlike those of pytest."""
    place = Path(tempfile.mkdtemp(prefix="landlock-", dir="/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture(
    scope="module", params=["as it is", pytest.param("as an ordinary user", marks=pytest.mark.slow)]
)
def attacked(request):
    if request.param != "as it is" and os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user already")
    place = Path(tempfile.mkdtemp(prefix="landlock-", dir="/tmp"))
    try:
        place.chmod(0o755)
        if request.param == "as it is":
            return assault(place / "all")
        return json.loads(
            as_ordinary_user(
                "import json; from tests.test_landlock import assault; "
                "print(json.dumps(assault(place / 'all')))",
                place,
            )
        )
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("name", [*ATTACKS, *HONEST])
def test_it_cannot(attacked, name):
    node = f"tests/test_attacks.py::test_{name}"
    assert attacked.get("outcomes", {}).get(node) == "passed", attacked.get("text", {}).get(
        node, attacked
    )


# ---------------------------------------------------------------------------- one run after another


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return open_repository(make_repo(tmp_path_factory.mktemp("project"), FILES))


@pytest.fixture(scope="module")
def preload(repository):
    """What a `forked` jail may load beforehand, and pytest's cache files for the tests, as mining
    finds both out."""
    with LandlockJail(repository.layout()) as jail:
        reply = ask(jail, repository.path, **PLAIN, modules=True, report_mb=16)
    keep_bytecode(
        repository, {path: base64.b64decode(data) for path, data in reply["bytecode"].items()}
    )
    return tuple(reply["modules"])


@pytest.fixture(scope="module")
def jail(repository, preload):
    with LandlockJail(repository.layout(preload), "forked", path=repository.path) as jail:
        yield jail


@pytest.fixture
def attack(jail, repository):
    """attack(code) -> the reply to a run of a test file that holds `code`, which defines
    test_it."""

    def run(code, timeout=20.0, in_jail=jail, **request):
        file = (
            "import ctypes, os, signal, subprocess, sys, threading, time\nimport pytest\n"
            + textwrap.dedent(code)
        )
        return ask(
            in_jail,
            repository.path,
            {"tests/test_attack.py": file},
            ["tests/test_attack.py::test_it"],
            timeout,
            **request,
        )

    return run


def outcome(reply: dict) -> str | None:
    return reply.get("outcomes", {}).get("tests/test_attack.py::test_it")


def still_works(jail: Jail, repository) -> bool:
    return ask(jail, repository.path, **PLAIN).get("outcomes") == {PLAIN["ids"][0]: "passed"}


def scratch_of(jail: Jail) -> list[str]:
    return os.listdir(jail._stage / "scratch")


def alive(mark: str) -> list[str]:
    """Processes whose command line holds the mark."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += (
                [pid] if mark in Path(f"/proc/{pid}/cmdline").read_text(errors="replace") else []
            )
        except OSError:
            pass
    return found


LEAVE = """
    def leave(mark):
        for command in (["/bin/sh", "-c", "trap '' HUP TERM INT; while :; do sleep 300; : " + mark + "; done"],
                        [sys.executable, "-c", "import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(300) # " + mark]):
            subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [
        "pass",
        "os.kill(os.getpid(), signal.SIGKILL)",
        *(pytest.param(end, marks=pytest.mark.slow) for end in ("os._exit(0)", "time.sleep(100)")),
    ],
)
def test_nothing_that_a_run_has_started_outlives_it(jail, repository, attack, end):
    mark = f"left-behind-{os.getpid()}"
    reply = attack(
        textwrap.dedent(LEAVE) + f"\ndef test_it():\n    leave({mark!r})\n    {end}\n", timeout=2.0
    )
    assert outcome(reply) == "passed" or "died" in reply or reply.get("timeout"), reply
    assert alive(mark) == []
    assert scratch_of(jail) == [] and still_works(jail, repository)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["by force", "kill"])
def test_a_jail_that_is_ended_takes_everything_with_it(repository, preload, attack, how):
    mark = f"left-behind-{os.getpid()}"
    code = textwrap.dedent(LEAVE) + f"\ndef test_it():\n    leave({mark!r})\n    time.sleep(100)\n"
    ended = []

    def run(jail):
        try:
            ended.append(attack(code, 60.0, jail))
        except HarnessError as error:
            ended.append(error)

    with LandlockJail(repository.layout(preload)) as jail:
        thread = threading.Thread(target=run, args=(jail,))
        thread.start()
        wait_until(lambda: len(alive(mark)) >= 2 or ended)
        jail.kill() if how == "kill" else jail._process.kill()
        thread.join()
        assert isinstance(ended[0], HarnessError), ended
        wait_until(lambda: alive(mark) == [])
        stage = jail._stage
    assert not stage.exists()


def wait_until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_everything_ends_with_the_process_that_started_the_jail(repository, preload):
    mark = f"left-behind-{os.getpid()}"
    file = textwrap.dedent(
        "import os, subprocess, sys, time\n"
        + textwrap.dedent(LEAVE)
        + f"\ndef test_it():\n    leave({mark!r})\n    time.sleep(100)\n"
    )
    owner = f"""
import sys
sys.path[:0] = {sys.path!r}
from sandbox.jail.landlock import LandlockJail
from sandbox.repo import Repository
from tests.test_landlock import ask
repository = Repository.from_dict({repository.to_dict()!r})
jail = LandlockJail(repository.layout({preload!r}))
print(jail._stage, flush=True)
ask(jail, repository.path, {{"tests/test_attack.py": {file!r}}}, ["tests/test_attack.py::test_it"], 60.0)
"""
    process = subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True)
    stage = Path(process.stdout.readline().strip())
    wait_until(lambda: len(alive(mark)) >= 2)
    process.kill()
    process.wait()
    process.stdout.close()
    wait_until(lambda: alive(mark) == [] and alive(str(stage)) == [])
    assert [
        list((stage / name).iterdir()) for name in ("intact", "bytecode", "scratch", "collected")
    ] == [[]] * 4, "what it left takes up memory"
    shutil.rmtree(stage)


def test_killing_everybody_hits_itself_alone(jail, repository, attack):
    bystander = subprocess.Popen(["sleep", "100"], user=65534 if os.geteuid() == 0 else None)
    reply = attack("""
        def test_it():
            for group in (os.getpgrp(), os.getsid(0)):
                try:
                    os.killpg(group, signal.SIGTERM) if False else os.kill(-1, signal.SIGKILL)
                except OSError:
                    pass
            os.killpg(0, signal.SIGKILL)
    """)
    assert "died" in reply
    assert bystander.poll() is None and still_works(jail, repository)
    bystander.kill()
    bystander.wait()


def test_what_does_not_end_is_ended(attack):
    started = time.monotonic()
    reply = attack(
        """
        def test_it():
            [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)]
            while True:
                pass
    """,
        timeout=1.0,
    )
    assert reply.get("timeout") is True and 1.0 <= time.monotonic() - started < 10.0


@pytest.mark.long
@pytest.mark.slow
def test_a_fork_bomb_ends(jail, repository, attack):
    reply = attack(
        """
        def test_it():
            while True:
                try:
                    os.fork()
                except OSError:
                    pass
    """,
        timeout=1.5,
    )
    assert reply.get("timeout") or "died" in reply, reply
    assert still_works(jail, repository)


# ------------------------------------------------------------------------------------------- files


def test_a_run_that_changes_everything_changes_nothing_for_the_next(jail, repository, attack):
    reply = attack("""
        def test_it():
            for name in ("tests/test_core.py", "conftest.py", "pkg/core.py", "pytest.ini", "../left", os.environ["TMPDIR"] + "/left", os.environ["HOME"] + "/left"):
                with open(name, "w") as file:
                    file.write("1/0")
            import builtins, json, shutil
            shutil.rmtree("pkg")
            os.environ["LEFT"] = "1"
            builtins.len = json.dumps = None
    """)
    assert "outcomes" in reply or "died" in reply
    assert scratch_of(jail) == [] and still_works(jail, repository)
    reply = attack(
        """
        def test_it():
            assert "LEFT" not in os.environ and os.path.exists("pkg/core.py") and not os.path.exists("conftest.py") and not os.path.exists("pytest.ini")
            assert sorted(os.listdir("..")) == ["home", "t", "tree"] and os.listdir(os.environ["HOME"]) == []
    """,
        text=True,
    )
    assert outcome(reply) == "passed", reply


@pytest.mark.slow
def test_what_a_keeper_that_was_killed_has_left_is_not_there_for_the_next(
    repository, preload, attack
):
    with LandlockJail(repository.layout(preload)) as jail:
        replies = []
        thread = threading.Thread(
            target=lambda: replies.append(
                attack(
                    """
            def test_it():
                for name in ("pkg/core.py", "conftest.py", "../left"):
                    with open(name, "w") as file:
                        file.write("1/0")
                open("../ready", "w").close()
                time.sleep(100)
        """,
                    in_jail=jail,
                )
            )
        )
        thread.start()
        wait_until(lambda: "ready" in scratch_of(jail))
        (zygote,) = children(jail._process.pid)
        keeper = min(map(int, children(int(zygote))))  # the other one hears it
        os.kill(keeper, signal.SIGKILL)
        thread.join()
        assert "died" in replies[0] and "left" in scratch_of(jail)
        assert still_works(jail, repository) and scratch_of(jail) == []


def test_whatever_is_left_is_removed(jail, attack):
    reply = attack(
        r"""
        def test_it():
            os.umask(0)
            for name in (b"\xff\xfe", b"new\nline", b"-rf", b" ", b"*"):
                open(name, "w").close()
                os.mkdir(b"folder-" + name)
                open(b"folder-" + name + b"/" + name, "w").close()
            os.mkdir("locked")
            open("locked/file", "w").close()
            os.makedirs("locked/inner/innermost")
            os.mkdir("closed", 0o000)
            os.mkfifo("fifo")
            os.symlink("/", "root")
            os.symlink("..", "pkg/up")
            for _ in range(3000):
                os.mkdir("d" * 200)
                os.chdir("d" * 200)
            open("deep", "w").close()
    """,
        text=True,
    )
    # It may have been ended for going so deep: that nobody can look down there counts as too much.
    assert outcome(reply) == "passed" or "died" in reply, reply
    assert scratch_of(jail) == []


@pytest.mark.slow
def test_clearing_goes_through_closed_folders_and_through_no_link(tmp_path, open_place):
    code = """
        import os
        from sandbox.jail.inside import landlock
        (place / "kept").mkdir()
        (place / "kept" / "file").write_text("x")
        mess = place / "mess"
        (mess / "a" / "b" / "c").mkdir(parents=True)
        (mess / "a" / "b" / "file").write_text("x")
        os.symlink(place / "kept", mess / "a" / "link")
        os.symlink(place / "kept", mess / "link")
        for folder in ("a/b/c", "a/b", "a"):
            (mess / folder).chmod(0)
        os.chdir(mess)
        for _ in range(1200):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        os.chdir("/")
        landlock.clear(mess)
        print(os.listdir(mess), os.listdir(place / "kept"))
    """
    if os.geteuid() == 0:
        assert as_ordinary_user(code, open_place) == "[] ['file']\n"
    else:
        exec(textwrap.dedent(code), {"place": tmp_path})


@pytest.mark.slow
def test_the_scratch_space_is_limited(repository, preload, attack):
    fills = (
        "[open(f'{folder}/{n}', 'wb').write(bytes(1 << 20)) for n in range(2) for folder in ('.', "
        "'..', os.environ['TMPDIR'])]",
        "[open(f'empty-{n}', 'w').close() for n in range(1100)]",
    )
    with LandlockJail(replace(repository.layout(preload), scratch_mb=1)) as small:
        for fill in fills:
            assert "died" in attack(
                f"def test_it():\n    {fill}\n    time.sleep(30)\n", in_jail=small
            )
            assert scratch_of(small) == []
        assert outcome(attack("def test_it():\n    time.sleep(0.5)\n", in_jail=small)) == "passed"
    assert (
        outcome(attack(f"def test_it():\n    {fills[0]}\n    {fills[1]}\n    time.sleep(0.5)\n"))
        == "passed"
    )


def test_a_folder_that_nobody_can_look_into_counts_as_too_much(jail, attack):
    assert "died" in attack("def test_it():\n    os.mkdir('closed', 0o300)\n    time.sleep(30)\n")
    assert scratch_of(jail) == []


def test_memory_is_limited_for_all_processes_together(attack):
    code = """
        def test_it():
            for _ in range(4):
                if os.fork() == 0:
                    data = os.urandom(1 << 20) * 80
                    time.sleep(20)
                    os._exit(0)
            time.sleep(20)
    """
    reply = attack(code, memory_mb=256)
    assert "memory" in reply.get("died", ""), reply


def test_a_process_that_hides_its_memory_is_ended(attack):
    reply = attack("""
        def test_it():
            if os.fork() == 0:
                ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
            time.sleep(30)
    """)
    assert "died" in reply, reply


# ------------------------------------------------------------------------------- what it stands for


@pytest.mark.slow
def test_verdicts(repository, preload, monkeypatch, tmp_path):
    intact = read_text(repository.snapshot / "pkg/core.py")
    task = Task(
        instance_id="blank-pkg.core.one",
        kind="blank",
        split="train",
        repo="project",
        base_commit=repository.commit,
        file="pkg/core.py",
        function="one",
        patch=patches.make(blanked(intact, find(intact, "one")), intact, "pkg/core.py"),
        FAIL_TO_PASS=tuple(PLAIN["ids"]),
        PASS_TO_PASS=(),
        shown=(),
        problem_statement="",
        test_seconds=0.05,
    )
    (tmp_path / "git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "bubblewrap is not installed" in jail_notice()

    def edit(body: str) -> dict[str, str]:
        return {"pkg/core.py": with_body(intact, find(intact, "one"), body)}

    with Judge(
        repository,
        Limits(workers=1, timeout=20.0),
        Suite(preload=preload, test_files=("tests/test_core.py",)),
    ) as judge:
        gold, wrong = (
            judge.judge(task, e) for e in ({"pkg/core.py": intact}, edit("    return 2"))
        )
        judge.processes.limits = replace(judge.limits, timeout=1.0)
        endless = judge.judge(task, edit("    while True:\n        pass"))
        jails = judge.processes.jails.open
        assert jails and all(type(jail) is LandlockJail for jail in jails)
        assert (gold.status, gold.stage, gold.reward) == ("resolved", "confirm", 1.0)
        assert (wrong.status, wrong.stage, wrong.reward) == ("failed", "screen", 0.0)
        assert (endless.status, endless.reward) == ("timeout", 0.0)
        files = gate(edit("    return 3"), task, repository.snapshot)
        [reply] = judge.measuring.screen_many([(task, files)])
        assert reply["outcomes"] == {PLAIN["ids"][0]: "failed"}
        assert reply["tier"] == wrong.tier == "in-process", "the in-process tier does not work"


@pytest.mark.slow
def test_jails_know_functions_by_the_tree(repository, preload):
    """Cache files of pytest made in one jail fit another, where the tree has another path: the
    traced run knows the test's own helper."""
    request = {**PLAIN, "trace": repository.project_files, "report_mb": 16}
    with (
        LandlockJail(repository.layout(preload)) as with_cache,
        LandlockJail(replace(repository.layout(preload), bytecode=None)) as without,
    ):
        assert repository.layout().bytecode
        calls = [ask(jail, repository.path, **request) for jail in (with_cache, without)]
        for jail, cached in ((with_cache, True), (without, False)):
            file = "import os\n\ndef test_it():\n    assert os.path.isdir('tests/__pycache__')\n"
            reply = ask(
                jail,
                repository.path,
                {"tests/test_attack.py": file},
                ["tests/test_attack.py::test_it"],
            )
            assert outcome(reply) == ("passed" if cached else "failed")
    assert (
        calls[0]["functions"] == calls[1]["functions"]
        and ["tests/test_core.py", 4, "helper"] in calls[0]["functions"]
    )


def test_cache_files_are_made_to_belong_to_another_folder(tmp_path):
    """pytest before 9.2 believes what the cache file says of its source."""
    code = compile(
        "def outer():\n    def inner():\n        return 1\n    return inner\n",
        "/old/place/tests/test_a.py",
        "exec",
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.pyc").write_bytes(bytes(range(16)) + marshal.dumps(code))
    found = landlock.compiled_tests(tmp_path, "/old/place", "/new")
    assert list(found) == ["tests/a.pyc"] and found["tests/a.pyc"][:16] == bytes(range(16))
    names = []

    def walk(code):
        names.append(code.co_filename)
        for constant in code.co_consts:
            if isinstance(constant, type(code)):
                walk(constant)

    walk(marshal.loads(found["tests/a.pyc"][16:]))
    assert names == ["/new/tests/test_a.py"] * 3
    files = {"tests/a.pyc": base64.b64encode(found["tests/a.pyc"]).decode()}
    landlock.as_known(files, "/new", "/old/place")
    assert marshal.loads(base64.b64decode(files["tests/a.pyc"])[16:]) == code
    assert (
        marshal.loads(base64.b64decode(files["tests/a.pyc"])[16:]).co_filename
        == "/old/place/tests/test_a.py"
    )
    assert (
        marshal.loads(landlock.moved(found["tests/a.pyc"], "/ne", "/x")[16:]).co_filename
        == "/new/tests/test_a.py"
    )


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_cache_files_fit_the_other_jail_as_well(repository, preload):
    with BubblewrapJail(repository.layout(preload)) as jail:
        reply = ask(jail, repository.path, **PLAIN, trace=repository.project_files, report_mb=16)
    assert ["tests/test_core.py", 4, "helper"] in reply["functions"]


def test_what_was_written_while_the_tests_were_collected_is_there_for_each(tmp_path):
    conftest = (
        "import os, tempfile\n\nif not os.path.exists('made.txt'):\n    open('made.txt', "
        "'w').write('made')\n"
        "    open(os.path.join(tempfile.gettempdir(), 'made-too.txt'), 'w').write('made')\n"
    )
    test = (
        "import os, tempfile\n\ndef test_it():\n    for name in ('made.txt', "
        "os.path.join(tempfile.gettempdir(), 'made-too.txt')):\n"
        "        assert open(name).read() == 'made'\n        open(name, 'w').write('changed')\n"
    )
    repository = open_repository(
        make_repo(tmp_path / "p", {"conftest.py": conftest, "tests/test_attack.py": test})
    )
    with LandlockJail(
        repository.layout(), "in-process", ["tests/test_attack.py"], repository.path
    ) as jail:
        for _ in range(2):
            assert (
                outcome(
                    ask(
                        jail,
                        repository.path,
                        {},
                        ["tests/test_attack.py::test_it"],
                        function_patches=[],
                    )
                )
                == "passed"
            )


def test_paths_are_translated_both_ways(jail, repository, attack):
    root = repository.root
    reply = attack(
        f"""
        @pytest.mark.parametrize("path", [os.getcwd() + "/pkg"])
        def test_path(path):
            assert os.path.isdir(path) and path != {root!r} + "/pkg" and not os.path.exists({root!r} + "er/pkg")
            assert path is None, path

        def test_it():
            assert not os.path.exists({root!r} + "/pkg") or not os.access(".", os.F_OK)
    """,
        text=True,
    )
    assert str(jail._stage) not in json.dumps(reply)
    reply = ask(
        jail,
        repository.path,
        {
            "tests/test_attack.py": "import os, pytest\n\n@pytest.mark.parametrize('path', "
            "[os.getcwd() + '/pkg'])\ndef test_path(path):\n"
            "    assert path is None, path\n"
        },
        [f"tests/test_attack.py::test_path[{root}/pkg]"],
        text=True,
    )
    assert list(reply["outcomes"].items()) == [
        (f"tests/test_attack.py::test_path[{root}/pkg]", "failed")
    ]
    assert f"{root}/pkg" in next(iter(reply["text"].values())) and str(
        jail._stage
    ) not in json.dumps(reply)
    assert jail._inward([root, root + "/x", root + "er", "/other" + root, f"a {root}: b"]) == [
        jail._tree,
        jail._tree + "/x",
        root + "er",
        "/other" + root,
        f"a {jail._tree}: b",
    ]


@pytest.mark.slow
def test_a_project_with_its_environment_inside_below_a_folder_of_the_interpreter(open_place):
    """The project lies in a folder that must be readable, and what the interpreter needs lies in
    the project."""
    project = make_repo(open_place / "lib" / "project", FILES)
    (open_place / "lib" / "beside.py").write_text("HERE = True\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    packages = next((project / ".venv").glob("lib/python*/site-packages"))
    (packages / "ours.pth").write_text(
        "\n".join(p for p in sys.path if p.endswith("site-packages")) + "\n"
    )
    repository = open_repository(project)
    assert repository.python == str(project / ".venv" / "bin" / "python")
    path = (*repository.path, str(open_place / "lib"))
    file = f"""
import os, sys
import pytest

def test_it():
    import beside
    assert sys.executable == {repository.python!r} and beside.HERE and {str(packages)!r} in sys.path and os.listdir({str(packages)!r}) == ["ours.pth"]
    for path in ({str(project / "pkg" / "core.py")!r}, {str(project / ".git" / "config")!r}):
        with pytest.raises(OSError):
            open(path)
    assert open("pkg/core.py").read()
"""
    layout = replace(
        repository.layout(), folders=(*repository.layout().folders, open_place / "lib")
    )
    with LandlockJail(layout, path=path) as jail:
        reply = ask(
            jail, path, {"tests/test_attack.py": file}, ["tests/test_attack.py::test_it"], text=True
        )
    assert outcome(reply) == "passed", reply


def test_rules_leave_out_what_is_hidden(tmp_path):
    for name in ("a/hidden/x", "a/seen/x", "b/x", "hidden2/x"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "hidden")
    root = str(tmp_path)
    rules = dict(_readable(root, [root + "/a/hidden", root + "/hidden2"]))
    assert rules == {
        root: landlock.LIST,
        root + "/a": landlock.LIST,
        root + "/a/seen": landlock.READ,
        root + "/b": landlock.READ,
    }
    assert _readable(root + "/b", [root + "/a/hidden"]) == [[root + "/b", landlock.READ]]


# --------------------------------------------------------------------------------------- which jail


def test_the_escapes_that_are_tried_at_the_start_fail(repository, tmp_path):
    (tmp_path / "secret").write_text("x")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        LandlockJail(repository.layout(), "fresh") as jail,
    ):
        facts = {
            "port": listener.getsockname()[1],
            "secret": str(tmp_path / "secret"),
            "pid": os.getpid(),
            "tasks": 128,
            "command": Path("/proc/self/cmdline").read_bytes().decode(),
        }
        assert ask(jail, (), {}, [], escapes=facts)["escapes"] == []


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_bubblewrap_is_the_first_choice(repository):
    assert jail_notice() == ""
    with open_jail(repository.layout(), "fresh") as jail:
        assert type(jail) is BubblewrapJail


def test_the_second_choice_is_announced(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        "because bubblewrap is not installed" in jail_notice()
        and "apt install bubblewrap" in jail_notice()
    )
    with open_jail(repository.layout(), "fresh") as jail:
        assert type(jail) is LandlockJail
    (tmp_path / "bwrap").write_text(
        "#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n"
    )
    (tmp_path / "bwrap").chmod(0o755)
    tmp_path.chmod(0o755)
    assert (
        "because bubblewrap does not work here (" in jail_notice()
        and "Install" not in jail_notice()
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else first")
def test_a_bubblewrap_that_nobody_else_may_run_is_said_in_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "bwrap").write_text("#!/bin/sh\n")
    (tmp_path / "bwrap").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        f"start {tmp_path}/bwrap: Permission denied)" in jail_notice()
        and "Traceback" not in jail_notice()
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lays folders over others")
def test_a_root_that_is_no_mount_is_said_in_a_sentence(tmp_path):
    """As in a chroot: nothing can be laid over a closed folder there."""
    root, closed = tmp_path / "root", tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "in").mkdir()
    program = (
        f"import sys; sys.path.insert(0, {str(INSIDE)!r}); import landlock;"
        f"landlock.open_the_way([{str(closed / 'in')!r}], '/tmp')"
    )
    script = f"""
set -e
for folder in /*; do
  case $folder in /proc|/sys) continue;; esac
  [ -d "$folder" ] || continue
  mkdir -p "$0$folder"; mount --rbind "$folder" "$0$folder"
done
exec chroot "$0" {shlex.quote(sys.executable)} -I -S -c {shlex.quote(program)}
"""
    root.mkdir()
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(root)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mounts can be made here: {done.stderr}")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert " is closed, and no way can be made here (mount on /: " in done.stderr


def test_without_either_it_is_said_what_to_install():
    """In a process for which this kernel has no Landlock."""
    program = f"""
import ctypes, os, struct, sys
sys.path[:0] = {sys.path!r}
code = b"".join(struct.pack("HBBI", *i) for i in [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)])
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(Program(4, code)), 0, 0) == 0
from sandbox.errors import UsageError
from sandbox.jail.inside import landlock
from sandbox.jail.choice import jail_notice, _notice
assert landlock.version() == 0
for bwrap in (None, "/bin/false"):
    try:
        _notice(bwrap)
    except UsageError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    sentences = done.stdout.splitlines()
    assert len(sentences) == 2 and all(
        s.startswith("No working jail: ") and "apt install bubblewrap" in s for s in sentences
    ), done.stdout
    assert "Landlock 6" in sentences[1] and "Linux 6.12" in sentences[1]


def test_a_machine_that_keeps_no_signal_inside_is_found_out():
    """Without that, a keeper's last act would hit every process of its user."""
    program = f"""
import os, sys
sys.path.insert(0, {str(INSIDE)!r})
import landlock
landlock.keep_signals_inside = lambda: None
if os.geteuid() == 0:
    os.setresuid(4242, 4242, 4242)
pid = os.fork()
if pid == 0:
    try:
        landlock.keep(os.getppid(), (), [])
    except OSError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "Landlock keeps no signal inside\n", done


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_the_filter_of_every_processor_can_be_built(machine):
    sizes = [
        len(seccomp.program(machine, namespaces, ignore)) // 8
        for namespaces, ignore in ((True, True), (False, False), (False, True))
    ]
    assert sizes == sorted(sizes) and len(set(sizes)) == 3 and sizes[-1] < 4096
