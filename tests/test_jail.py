"""Attacks on the jail, each from inside it: the jailed test passes where the attack has failed."""

import os
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

from sandbox.errors import HarnessError
from sandbox.jail.bubblewrap import BubblewrapJail
from sandbox.jail.inside import landlock
from sandbox.jail.jail import fixed_addresses
from sandbox.jail.landlock import LandlockJail
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.snapshot import content_hash
from tests.conftest import make_repo

FILES = {
    "pkg/__init__.py": "",
    "pkg/only_here.py": "ANSWER = 42\n",
    "pkg/core.py": "def one():\n    return 1\n",
    "tests/test_core.py": "from pkg.core import one\n\n\ndef test_one():\n    assert one() == 1\n",
}
PLAIN = {"ids": ["tests/test_core.py::test_one"], "timeout": 20.0}
SECRET = "sk-of-the-person-outside"

ATTACKS = {
    "reach_the_network": """
        for address in [("1.1.1.1", 53), ("8.8.8.8", 443), ("127.0.0.1", PORT), (HOST_ADDRESS, PORT)]:
            with pytest.raises(OSError):
                socket.create_connection(address, timeout=3).close()
        with pytest.raises(OSError):
            socket.getaddrinfo("example.org", 80)
        with pytest.raises(OSError):
            socket.socket(socket.AF_UNIX).connect(UNIX_SOCKET)
        with pytest.raises(OSError):
            socket.socket(socket.AF_UNIX).connect("\\0" + ABSTRACT_SOCKET)
        assert [line.partition(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]] == ["lo"]""",
    "serve_on_its_own_loopback": """
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname(), timeout=3)
        client.sendall(b"hello")
        assert server.accept()[0].recv(5) == b"hello"
        assert socket.gethostbyname("localhost") == "127.0.0.1" """,
    "read_the_home_folder": """
        for home in HOMES:
            assert not os.path.isdir(home) or set(os.listdir(home)) <= VISIBLE.get(home, set()), os.listdir(home)
        assert os.path.expanduser("~") not in HOMES""",
    "read_the_root_folder": """
        assert set(os.listdir("/")) <= VISIBLE["/"] | {"usr", "bin", "sbin", "lib", "lib64", "lib32", "libx32", "etc", "proc", "dev", "tmp", "scratch",
                                                       "tree", "coldstart", "bytecode", "late"}
        for path in ["/etc/shadow", "/etc/ssh", "/etc/hostname", "/var/log", "/run", "/sys/kernel", "/boot", "/proc/kcore", SECRET_FILE, WORK_TREE_ONLY]:
            with pytest.raises(OSError):
                open(path).read() if not os.path.isdir(path) else os.listdir(path + "/nothing")""",
    "read_secrets_from_the_environment": """
        assert not any("KEY" in name or "TOKEN" in name for name in os.environ), sorted(os.environ)
        for pid in os.listdir("/proc"):
            for name in ("environ", "cmdline"):
                try:
                    assert SECRET not in open(f"/proc/{pid}/{name}", errors="replace").read()
                except OSError:
                    pass""",
    "change_kernel_settings": """
        for name in ["kernel/hostname", "kernel/core_pattern", "kernel/randomize_va_space", "vm/drop_caches", "net/ipv4/ip_forward", "fs/suid_dumpable",
                     "user/max_user_namespaces", "kernel/domainname"]:
            for opener in (lambda p: open(p, "w"), lambda p: os.open(p, os.O_WRONLY), lambda p: os.chmod(p, 0o666)):
                with pytest.raises(OSError):
                    opener("/proc/sys/" + name)
        with pytest.raises(OSError):
            open("/proc/sysrq-trigger", "w")
        with pytest.raises(OSError):
            socket.sethostname("mine")""",
    "write_to_the_host": """
        folders = ["/", "/usr", "/usr/bin", "/usr/lib", "/etc", "/tree", "/tree/pkg", "/coldstart", "/lib", "/dev", "/proc", os.path.dirname(sys.executable),
                   sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(pytest.__file__)), *HOMES]
        for folder in folders:
            for act in (lambda: open(folder + "/made", "w"), lambda: os.mkdir(folder + "/made"), lambda: os.symlink("/", folder + "/made"),
                        lambda: os.chmod(folder, 0o777), lambda: os.utime(folder, (0, 0))):
                with pytest.raises(OSError):
                    act()
                    print("could change", folder)
        for file in ["/etc/passwd", "/coldstart/runner.py", "/tree/pkg/core.py", pytest.__file__, os.__file__, os.path.realpath(sys.executable)]:
            for act in (lambda: open(file, "ab"), lambda: os.unlink(file), lambda: os.rename(file, "/tmp/taken"), lambda: os.chmod(file, 0o777)):
                with pytest.raises(OSError):
                    act()""",
    "write_where_it_may": """
        for folder in ["/tmp", "/dev/shm", os.getcwd(), os.getcwd() + "/pkg", os.environ["HOME"], tempfile.gettempdir()]:
            with open(folder + "/made", "w") as file:
                file.write("x")
            assert os.listdir(folder)""",
    "see_other_processes": """
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        assert len(pids) <= 4 and OUTSIDE not in pids, pids
        with pytest.raises(ProcessLookupError):
            os.kill(OUTSIDE, signal.SIGTERM)
        for name in ("mem", "fd", "environ", "cwd", "root"):
            with pytest.raises(OSError):
                path = "/proc/1/" + name
                os.listdir(path) if name in ("fd", "cwd", "root") else open(path, "rb").read(1)
        os.kill(1, signal.SIGKILL)""",
    "use_the_memory_of_others": """
        libc = ctypes.CDLL(None, use_errno=True)
        for pid in (1, os.getppid(), OUTSIDE):
            assert libc.ptrace(16, pid, None, None) == -1, "attached to a process outside"
        assert os.listdir("/dev/mqueue") == [] if os.path.isdir("/dev/mqueue") else True
        lines = open("/proc/sysvipc/shm").read().splitlines() if os.path.exists("/proc/sysvipc/shm") else [""]
        assert len(lines) == 1""",
    "be_somebody": """
        status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
        assert 0 not in map(int, (status["Uid"] + " " + status["Gid"] + " " + status["Groups"]).split()), status
        assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0, 0, 0, 0], status
        assert status["NoNewPrivs"].strip() == "1"
        libc = ctypes.CDLL(None, use_errno=True)
        for name, call in {"mount": lambda: libc.mount(b"x", b"/tmp", b"tmpfs", 0, None), "umount": lambda: libc.umount2(b"/tmp", 2),
                           "user namespace": lambda: libc.unshare(0x10000000), "mounts": lambda: libc.unshare(0x00020000),
                           "network": lambda: libc.unshare(0x40000000), "chroot": lambda: libc.chroot(b"/tmp"), "setuid": lambda: libc.setuid(0),
                           "setgid": lambda: libc.setgid(0), "pivot": lambda: libc.pivot_root(b"/tmp", b"/tmp"),
                           "device": lambda: libc.mknod(b"/tmp/disk", 0o60666, 0x800), "reboot": lambda: libc.reboot(0x89abcdef)}.items():
            assert call() == -1, name""",
    "keep_descriptors_of_the_harness": """
        open_ones = {int(name) for name in os.listdir("/proc/self/fd")}
        targets = [os.readlink(f"/proc/self/fd/{fd}") for fd in open_ones if os.path.exists(f"/proc/self/fd/{fd}")]
        allowed = ("/dev/null", "pipe:", "/tmp/", "/proc/", "/memfd:", os.getcwd())
        assert len([t for t in targets if t.startswith("pipe:")]) <= 1 and all(t.startswith(allowed) for t in targets), targets""",
    "take_all_the_memory": """
        with pytest.raises(MemoryError):
            bytearray(3 << 30)
        with pytest.raises((MemoryError, OSError, ValueError)):
            mmap.mmap(-1, 30 << 30)""",
    "write_a_huge_file": """
        with open("/tmp/huge", "wb") as file, pytest.raises(OSError):
            file.truncate(300 << 20)""",
    "open_too_many_files": """
        files = []
        with pytest.raises(OSError):
            for _ in range(5000):
                files.append(open("/dev/null"))
        for file in files:
            file.close()""",
    "raise_its_own_limits": """
        for name in ("RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CPU"):
            with pytest.raises((ValueError, OSError)):
                resource.setrlimit(getattr(resource, name), (resource.RLIM_INFINITY, resource.RLIM_INFINITY))""",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return open_repository(make_repo(tmp_path_factory.mktemp("project"), FILES))


@pytest.fixture(scope="module")
def judge(repository):
    os.environ["COLDSTART_TEACHER_KEY"] = SECRET
    with Judge(repository, Limits(workers=1, memory_mb=1024)) as judge:
        yield judge
    del os.environ["COLDSTART_TEACHER_KEY"]


def attack(judge: Judge, code: str, timeout: float = 20.0, **request) -> dict:
    """The reply to a run of a test file that holds `code`, which defines test_it."""
    file = "import ctypes, os, signal, subprocess, sys, time\nimport pytest\n" + textwrap.dedent(
        code
    )
    return judge.run(
        {
            "files": {"tests/test_attack.py": file},
            "ids": ["tests/test_attack.py::test_it"],
            "timeout": timeout,
            **request,
        }
    )


def outcome(reply: dict) -> str | None:
    return reply.get("outcomes", {}).get("tests/test_attack.py::test_it")


def still_works(judge: Judge) -> bool:
    return judge.run(PLAIN).get("outcomes") == {PLAIN["ids"][0]: "passed"}


@pytest.fixture(scope="module")
def attacked(judge, repository, tmp_path_factory):
    """The reply to one run of all of ATTACKS, with things outside that they look for."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text(SECRET)
    (Path(repository.root) / ".git" / "secret").write_text(SECRET)
    homes = sorted(
        {
            str(Path.home()),
            "/root",
            "/home",
            os.path.expanduser(f"~{os.environ.get('SUDO_USER', '')}"),
        }
    )
    visible: dict[str, set] = {home: set() for home in [*homes, "/"]}
    for path in [repository.root, *repository.folders]:
        for above in visible:
            if path.startswith(above.rstrip("/") + "/"):
                visible[above].add(path[len(above.rstrip("/")) + 1 :].split("/")[0])
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(outside / "socket"))
    unix.listen()
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0coldstart-test-{os.getpid()}")
    abstract.listen()
    with unix, abstract, socket.create_server(("", 0)) as server:
        facts = {
            "PORT": server.getsockname()[1],
            "HOST_ADDRESS": own_address(),
            "UNIX_SOCKET": str(outside / "socket"),
            "HOMES": homes,
            "VISIBLE": visible,
            "ABSTRACT_SOCKET": f"coldstart-test-{os.getpid()}",
            "SECRET": SECRET,
            "SECRET_FILE": str(outside / "secret"),
            "OUTSIDE": os.getpid(),
            "WORK_TREE_ONLY": f"{repository.root}/.git/secret",
        }
        text = (
            "import ctypes, mmap, os, resource, signal, socket, subprocess, sys, "
            "tempfile\nimport pytest\n\n"
        )
        text += "".join(f"{name} = {value!r}\n" for name, value in facts.items())
        for name, code in ATTACKS.items():
            text += (
                f"\n\ndef test_{name}():\n"
                + textwrap.indent(textwrap.dedent(code).strip("\n"), "    ")
                + "\n"
            )
        ids = [f"tests/test_attacks.py::test_{name}" for name in ATTACKS]
        return judge.run(
            {"files": {"tests/test_attacks.py": text}, "ids": ids, "timeout": 60.0, "text": True}
        )


def own_address() -> str:
    """This machine's address on its network, or its loopback where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


@pytest.mark.parametrize("name", ATTACKS)
def test_it_cannot(attacked, name):
    node = f"tests/test_attacks.py::test_{name}"
    assert attacked.get("outcomes", {}).get(node) == "passed", attacked.get("text", {}).get(
        node, attacked
    )


def test_it_cannot_see_what_was_never_committed_to_the_jail(attacked):
    """The two attacks with nothing forbidden in them pass as well: the jail is closed, not
    broken."""
    assert {
        attacked["outcomes"][f"tests/test_attacks.py::test_{name}"]
        for name in ("serve_on_its_own_loopback", "write_where_it_may")
    } == {"passed"}


# ------------------------------------------------------------------------- from one run to the next


@pytest.mark.slow
def test_a_run_that_deletes_everything(judge, repository):
    before = content_hash(repository.snapshot)
    work_tree = content_hash(Path(repository.root))
    reply = attack(
        judge,
        """
        import shutil
        def test_it():
            for folder in [os.getcwd(), "/tmp", "/dev/shm", "/tree", "/coldstart", "/etc", "/usr/bin"]:
                shutil.rmtree(folder, ignore_errors=True)
            assert not os.path.exists("pkg/core.py")
    """,
    )
    assert outcome(reply) == "passed", reply
    assert (
        content_hash(repository.snapshot) == before
        and content_hash(Path(repository.root)) == work_tree
    )
    assert still_works(judge)


@pytest.mark.slow
def test_a_run_that_changes_the_tests_for_the_next(judge):
    reply = attack(
        judge,
        """
        def test_it():
            for name in ("tests/test_core.py", "conftest.py", "pkg/core.py", "pytest.ini", "/tmp/left", "/dev/shm/left", os.environ["HOME"] + "/left"):
                with open(name, "w") as file:
                    file.write("1/0")
            os.environ["LEFT"] = "1"
    """,
    )
    assert outcome(reply) == "passed", reply
    assert still_works(judge)
    reply = attack(
        judge,
        """
        def test_it():
            assert "LEFT" not in os.environ and not os.path.exists("conftest.py") and not os.path.exists("pytest.ini")
            assert "1/0" not in open("tests/test_core.py").read() + open("pkg/core.py").read()
            assert os.listdir("/dev/shm") == [] and not any("left" in names for _, _, names in os.walk("/tmp"))
    """,
    )
    assert outcome(reply) == "passed", reply


WALK = """
def folders():
    for base in ("/", "/proc/1/root", "/proc/1/cwd", "/proc/self/root"):
        for top in ["", *(os.listdir(base) if os.path.isdir(base) else [])]:
            if top not in ("proc", "usr", "lib", "lib64", "sys"):
                yield os.path.join(base, top)
                try:
                    yield from (os.path.join(base, top, name) for name in os.listdir(os.path.join(base, top)))
                except OSError:
                    pass
"""


@pytest.mark.slow
def test_nothing_that_a_run_writes_is_there_in_the_next(judge):
    reply = attack(
        judge,
        WALK
        + textwrap.dedent("""
        def test_it():
            made = 0
            for folder in list(folders()):
                try:
                    open(folder + "/left-behind", "w").close()
                    made += 1
                except OSError:
                    pass
            assert made >= 3
    """),
    )
    assert outcome(reply) == "passed", reply
    reply = attack(
        judge,
        WALK
        + textwrap.dedent("""
        def test_it():
            assert [f for f in folders() if os.path.lexists(f + "/left-behind")] == []
    """),
        text=True,
    )
    assert outcome(reply) == "passed", reply


@pytest.mark.slow
def test_the_answer_lies_nowhere(judge):
    """The intact file, which holds the answer, is not to be found beside the edited one."""
    code = (
        "import os\nimport sys\n"
        + WALK
        + textwrap.dedent("""
        def test_it():
            found, here = [], 0
            for folder in {os.path.realpath(f) if not f.startswith("/proc") else f for f in folders()}:
                for path, inner, names in os.walk(folder):
                    inner[:] = [name for name in inner if not name.startswith("python3") and name not in ("include", "share", "bin")]
                    for name in names:
                        if name == "only_here.py":
                            here += 1
                            found += [path] if "4" + "2" in open(os.path.join(path, name)).read() else []
            assert here and found == []
    """)
    )
    reply = judge.run(
        {
            "files": {"pkg/only_here.py": "ANSWER = None\n", "tests/test_attack.py": code},
            "ids": ["tests/test_attack.py::test_it"],
            "timeout": 60.0,
            "text": True,
        }
    )
    assert outcome(reply) == "passed", reply


@pytest.mark.slow
def test_modules_that_a_run_has_changed_are_whole_in_the_next(judge):
    reply = attack(
        judge,
        """
        def test_it():
            import builtins, json, runner, zygote
    """,
    )
    assert outcome(reply) != "passed", "the harness's own modules can be imported by their names"
    reply = attack(
        judge,
        """
        import builtins, json
        import _pytest.runner
        def test_it():
            builtins.len = json.dumps = _pytest.runner.runtestprotocol = None
    """,
    )
    assert "outcomes" in reply or "died" in reply
    assert still_works(judge)


@pytest.mark.slow
@pytest.mark.parametrize(
    "leave",
    [
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300) #MARK'], "
        "start_new_session=True)",
        "subprocess.Popen(['/bin/sh', '-c', 'trap \"\" HUP TERM INT; (sleep 300; : MARK) & sleep "
        "300; : MARK'], start_new_session=True)",
    ],
)
def test_a_daemon_does_not_outlive_its_run(judge, leave):
    mark = f"left-behind-{os.getpid()}"
    reply = attack(
        judge,
        f"""
        def test_it():
            {leave.replace('MARK', mark)}
    """,
    )
    assert outcome(reply) == "passed", reply
    deadline = time.monotonic() + 5
    while left := [pid for pid in os.listdir("/proc") if pid.isdigit() and mark in command_of(pid)]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


def command_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


@pytest.mark.slow
def test_killing_everybody_hits_itself_alone(judge):
    reply = attack(
        judge,
        """
        def test_it():
            os.kill(-1, signal.SIGKILL)
    """,
    )
    assert "outcomes" in reply or "died" in reply
    assert still_works(judge)


# -------------------------------------------------------------------------------------- ways to end

SLOW = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        pytest.param("time.sleep(100)", marks=SLOW),
        pytest.param("import threading; threading.Event().wait()", marks=SLOW),
        "[signal.signal(s, signal.SIG_IGN) for s in (signal.SIGTERM, signal.SIGINT, "
        "signal.SIGALRM)]; time.sleep(100)",
    ],
)
def test_what_does_not_end_is_ended(judge, loop):
    started = time.monotonic()
    reply = attack(
        judge,
        f"""
        def test_it():
            {loop}
    """,
        timeout=1.0,
    )
    assert reply.get("timeout") is True
    assert 1.0 <= time.monotonic() - started < 10.0


@pytest.mark.parametrize(
    "end",
    [
        "os._exit(0)",
        "ctypes.string_at(0)",
        pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", marks=SLOW),
        pytest.param("os.abort()", marks=SLOW),
        pytest.param("os.closerange(3, 1000)", marks=SLOW),
        "flood(b'\\xff' * 4096)",
        "flood(b'\\0\\0\\0\\2[]')",
    ],
)
def test_what_ends_the_process_died(judge, end):
    reply = attack(
        judge,
        f"""
        def flood(data):
            for fd in range(3, 1000):
                try:
                    os.write(fd, data)
                except OSError:
                    pass
            os._exit(0)

        def test_it():
            {end}
    """,
    )
    assert "died" in reply and "outcomes" not in reply, reply


@pytest.mark.parametrize(
    "end",
    [
        "sys.exit(0)",
        "raise KeyboardInterrupt",
        *(
            pytest.param(end, marks=SLOW)
            for end in (
                "pytest.exit('enough', returncode=0)",
                "pytest.skip()",
                "pytest.xfail()",
                "raise GeneratorExit",
            )
        ),
    ],
)
def test_what_ends_the_test_is_no_pass(judge, end):
    reply = attack(
        judge,
        f"""
        def test_it():
            {end}
    """,
    )
    assert "outcomes" in reply and outcome(reply) != "passed", reply


@pytest.mark.parametrize(
    "end",
    [
        "os._exit(0)",
        "sys.exit(0)",
        *(
            pytest.param(end, marks=SLOW)
            for end in ("raise KeyboardInterrupt", "pytest.skip(allow_module_level=True)")
        ),
    ],
)
def test_what_ends_the_import_is_no_pass(judge, end):
    assert outcome(attack(judge, end + "\ndef test_it():\n    pass\n")) != "passed"


@pytest.mark.slow
def test_a_flood_of_output_is_cut(judge):
    code = """
        def test_it(capfd):
            with capfd.disabled():
                for _ in range(400):
                    os.write(1, b"x" * 100_000)
                    os.write(2, b"\\x1b[2J" * 1000)
    """
    assert outcome(attack(judge, code)) == "passed"
    reply = attack(judge, code, output=True)
    assert outcome(reply) == "passed" and len(reply["output"]) <= 20_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "hoard",
    [
        "shared = mmap.mmap(-1, 2 << 30)\n    for at in range(0, len(shared), 4096):\n        "
        "shared[at] = 1",
        pytest.param(
            "for _ in range(8):\n        if os.fork() == 0:\n            hoard = bytearray(300 << "
            "20)\n            time.sleep(60)\n    time.sleep(60)",
            marks=SLOW,
        ),
        pytest.param(
            "fd = os.memfd_create('hoard')\n    for _ in range(2000):\n        os.write(fd, "
            "bytes(1 << 20))\n        if os.lseek(fd, 0, 1) > 200 << 20:\n"
            "            fd = os.memfd_create('hoard')",
            marks=SLOW,
        ),
    ],
    ids=["a shared mapping", "many processes", "memory files"],
)
def test_who_takes_more_memory_than_allowed_is_ended(judge, hoard):
    reply = attack(judge, f"import mmap\n\ndef test_it():\n    {hoard}\n")
    assert "1024 MiB" in reply.get("died", "") or outcome(reply) == "failed", reply
    assert still_works(judge)


@pytest.mark.slow
def test_the_scratch_space_is_limited(repository):
    code = """
def test_it():
    import os, pytest
    for folder in ("/tmp", "/dev/shm", os.getcwd()):
        with pytest.raises(OSError):
            with open(folder + "/big", "wb") as file:
                for _ in range(8):
                    file.write(bytes(1 << 20))
                    file.flush()
"""
    request = {
        "files": {"tests/test_attack.py": code},
        "ids": ["tests/test_attack.py::test_it"],
        "path": list(repository.path),
        "memory_mb": 1024,
        "timeout": 20.0,
    }
    with BubblewrapJail(replace(repository.layout(), scratch_mb=4)) as jail:
        assert outcome(jail.ask(request)) == "passed"


# ----------------------------------------------------------------------- the harness's own failures


def test_a_dead_jail_is_the_harness_s_failure(repository):
    with BubblewrapJail(repository.layout()) as jail:
        jail.kill()
        with pytest.raises(HarnessError):
            jail.ask({**PLAIN, "files": {}, "path": list(repository.path), "memory_mb": 1024})


@pytest.mark.slow
def test_a_jail_that_dies_is_replaced(judge):
    assert still_works(judge)
    killed = kill_jails()
    assert killed and still_works(judge)
    timer = threading.Timer(0.7, kill_jails)
    timer.start()
    reply = attack(
        judge,
        """
        def test_it():
            time.sleep(1.5)
    """,
    )
    timer.join()
    assert outcome(reply) == "passed", (
        "the run that was cut off by no fault of its own was not given again"
    )


def kill_jails() -> int:
    """Kill this process's jails from outside; how many there were."""
    jails = [pid for pid in children(os.getpid()) if "bwrap" in command_of(pid)]
    for pid in jails:
        os.kill(int(pid), signal.SIGKILL)
    return len(jails)


def children(pid: int | str) -> list[str]:
    return [
        child
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for child in file.read_text().split()
    ]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's jail runs as that user")
def test_root_s_jail_does_not_run_as_root(judge):
    assert still_works(judge)
    jails = [pid for pid in children(os.getpid()) if "bwrap" in command_of(pid)]
    family = [
        *jails,
        *(c for j in jails for c in children(j)),
        *(g for j in jails for c in children(j) for g in children(c)),
    ]
    assert len(family) >= 2
    for pid in family:
        ids = [
            line.split()[1:]
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith(("Uid", "Gid", "Groups"))
        ]
        assert "0" not in sum(ids, []), (command_of(pid), ids)


def test_the_jail_dies_with_its_owner(repository):
    owner = f"""
import sys, time
sys.path[:0] = {sys.path!r}
from sandbox.jail.bubblewrap import BubblewrapJail
from sandbox.jail.jail import fixed_addresses
from sandbox.repo import Repository
jail = BubblewrapJail(Repository.from_dict({repository.to_dict()!r}).layout())
print(jail._process.pid, flush=True)
time.sleep(300)
"""
    process = subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True)
    pid = process.stdout.readline().strip()
    assert "bwrap" in command_of(pid)
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 5
    while "bwrap" in command_of(pid):
        assert time.monotonic() < deadline, "the jail outlives its owner"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        BubblewrapJail,
        pytest.param(
            LandlockJail,
            marks=pytest.mark.skipif(
                landlock.version() < landlock.MINIMUM, reason="this kernel has no such Landlock"
            ),
        ),
    ],
)
def test_nothing_is_left_of_a_jail_that_is_killed_as_it_starts(repository, kind):
    """At whichever moment: bubblewrap's second process does not end with the first one before it is
    set up, and would hold our pipes."""
    stages = []
    for milliseconds in range(0, 40, 2):

        def kill(jail):
            stages.append(jail._stage.name)
            time.sleep(milliseconds / 1000)
            jail.kill()

        began = time.monotonic()
        with pytest.raises(HarnessError):
            kind(repository.layout(), on_start=kill)
        assert time.monotonic() - began < 20
    deadline = time.monotonic() + 5
    while left := [c for c in map(command_of, os.listdir("/proc")) if any(s in c for s in stages)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


# --------------------------------------------------------------------------------------- odd places


def make_venv(folder: Path) -> Path:
    """A virtual environment that sees this interpreter's packages; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "ours.pth").write_text(
        "\n".join(p for p in sys.path if p.endswith(("site-packages", "dist-packages"))) + "\n"
    )
    return folder / "bin" / "python"


@pytest.mark.slow
def test_a_project_under_tmp_with_its_environment_inside():
    place = Path(tempfile.mkdtemp(dir="/tmp", prefix="project-"))
    try:
        make_repo(place, FILES)
        python = make_venv(place / ".venv")
        repository = open_repository(place)
        assert repository.python == str(python)
        with Judge(repository, Limits(workers=1)) as judge:
            assert still_works(judge)
            reply = attack(
                judge,
                f"""
                def test_it():
                    assert sys.executable == {str(python)!r} and os.getcwd() == {str(place)!r}
                    with pytest.raises(OSError):
                        open(os.path.dirname(sys.executable) + "/made", "w")
                    assert set(os.listdir("/tmp")) <= {{"home", "t", {place.name!r}, ".output"}}, os.listdir("/tmp")
            """,
                text=True,
            )
            assert outcome(reply) == "passed", reply
    finally:
        shutil.rmtree(place)


def test_sets_have_one_order_in_every_jail(judge):
    order = """
        def test_it():
            assert " ".join({"a", "b", "c", "d", "e", "f"}) == ORDER
    """
    script = "print(' '.join({'a', 'b', 'c', 'd', 'e', 'f'}))"
    there = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    ).stdout.strip()
    test = textwrap.dedent(order).replace("ORDER", repr(there))
    assert outcome(attack(judge, test)) == "passed"


@pytest.mark.skipif(not fixed_addresses(), reason="addresses cannot be fixed here")
def test_what_is_hashed_by_address_has_one_order_in_every_jail(repository):
    code = """
        class Thing: pass

        def test_it():
            raise RuntimeError([hash(None), id(Thing), hash(Thing())])
    """
    said = set()
    for _ in range(2):
        with Judge(repository, Limits(workers=1)) as judge:
            said.add(attack(judge, code, text=True)["text"]["tests/test_attack.py::test_it"])
    assert len(said) == 1
