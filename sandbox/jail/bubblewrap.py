"""Isolation and limits: one bubblewrap jail around the interpreter of the user's project.

    jail = Jail(layout)  # starts the process inside; `layout` says what it may see
    reply = jail.ask({"ids": [...], "files": {...}, "timeout": 10.0})
    jail.close()

What the jail covers (`tests/test_jail.py` attacks each): no network but its own loopback; no file
of the host but the read-only system folders, the interpreter and the snapshot of the project; no
writable host path at all; no process, memory or descriptor of the host; no environment variable of
ours; no capability and no way to get one; no system call of those that `seccomp.py` lists; a limit
of memory, disk, output, open files, processes and time; everything in it dies with it.

What it does not cover: the kernel is shared, so a hole in the kernel is a hole in the jail;
processor time is shared; the jailed code can read what it may see (the project and its
interpreter). Runs at the same time can signal to each other by locks on files that all of them may
read, and by how busy the machine is: so one rollout could tell something to another one's test run.
In the tree a folder cannot be renamed (an overlay answers EXDEV, as between two disks), which
`shutil.move` knows and `os.rename` does not.

Started by root, the jail runs as `nobody` (`drop_root.py`), on a copy of the tree that each jail
has in memory. Before a run begins the jail is tried: real escapes are attempted in it and must fail
(`inside/escapes.py`, `repo.check_jail`).
"""

import base64
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import HarnessError, UsageError
from sandbox.jail import seccomp
from sandbox.judge.figures import is_progress, processor_seconds, seconds_of
from sandbox.source import as_sent

INSIDE = Path(__file__).parent / "inside"
REPLY_LIMIT = 80 << 20
REPORT_MB = 2
"""Longest report of a verdict, MiB; a request that surveys a whole suite asks for more."""
OWN_WORDS = {"timeout", "died", "harness", "progress", "ask", "entered", "cpu", "held", "tier"}
START_SECONDS = 60.0
NOBODY = 65534
"""The user that a jail of root's runs as (`drop_root.py`, which runs alone, has the number, too).
"""
INSIDE_USER = 1000
"""The user that code in a jail believes to be: not the one that the kernel shows for every foreign
file."""
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32")
SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/mime.types",
)
FRESH = ("/tmp", "/dev/shm")
"""Folders that every child gets a fresh copy of; what lies under them is bound again afterwards."""

INSTALL_HINT = (
    "Install bubblewrap (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap; "
    "Arch: pacman -S bubblewrap)."
)


@dataclass(frozen=True)
class Layout:
    """What one jail shows to the code in it. All paths are absolute paths of the host."""

    root: Path
    """Where the tree appears inside: the project's own folder, so that editable installs lead to
    the copy."""
    tree: Path
    """The snapshot that it shows, read-only underneath."""
    python: Path
    """The project's interpreter."""
    folders: tuple[Path, ...]
    """Read-only folders that the interpreter needs (prefixes, site-packages)."""
    masked: tuple[Path, ...] = ()
    """Files and folders in there that must not be seen: an installed copy of the project itself."""
    bytecode: Path | None = None
    """pytest's cache files for the intact tests, laid over the tree."""
    preload: tuple[str, ...] = ()
    """Modules that a `forked` jail loads before it sees the tree."""
    scratch_mb: int = 256
    """Size of each writable file system in the jail, MiB."""


class Jail:
    """One jail with the process in it that answers requests. `tier` is one of

    - `forked`: pytest is loaded, nothing of the project; each request runs in a fork, with any
      edit;
    - `in-process`: the tests of `files` are collected; each request swaps functions' code in a
      fork, or is answered `unfit`;
    - `fresh`: as forked, with nothing loaded but pytest itself; for a single request.

    `on_start` is given the jail as soon as it can be killed, before it is ready. Raises
    HarnessError if it cannot be started.
    """

    def __init__(
        self,
        layout: Layout,
        tier: str = "forked",
        files: list[str] = (),
        path: tuple[str, ...] = (),
        on_start: Callable[["Jail"], None] = lambda jail: None,
    ) -> None:
        self._stage = Path(
            tempfile.mkdtemp(prefix="coldstart-jail-", dir=self._stage_parent(layout))
        )
        self._errors = self._process = None
        self._began = time.monotonic()
        self.held: tuple[int, int] | None = None
        """KiB and descriptors that its first process held after the first request; for whoever
        watches it for leaks."""
        try:
            self._stage.chmod(0o755)
            self._errors = tempfile.TemporaryFile()
            command, environment, config = self._prepare(layout, path)
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
            on_start(self)
            self._send(
                {
                    "scratch_mb": layout.scratch_mb,
                    "tier": tier,
                    "files": list(files),
                    "preload": list(layout.preload),
                    **config,
                }
            )
            self.ready = self._receive(time.monotonic() + START_SECONDS)
            if self.ready.get("ready") is not True:
                raise HarnessError("The jail's first word was not that it is ready.")
        except BaseException:
            self.close()
            raise

    def ask(self, request: dict, on_progress=lambda done, total: None) -> dict:
        """Run one request ({"files", "ids", "path", "args", "timeout", "memory_mb", ...}, see
        inside/runner.py).

        Returns the runner's reply, or {"timeout": True}, or {"died": text}: those are the fault of
        the code that was run. An `in-process` jail may return {"unfit": reason} instead. Raises
        HarnessError where the jail itself failed.
        """
        self.start(request)
        while "progress" in (reply := self.hear()):
            if is_progress(reply["progress"]):
                on_progress(*reply["progress"])
        return reply

    def start(self, request: dict) -> None:
        """Begin a request that is a conversation: `hear` its questions and `tell` the answers until
        `hear` gives its reply."""
        # The zygote enforces the request's own deadline; a later one here catches a zygote that
        # hangs.
        self._asked = time.monotonic()
        self._deadline = self._asked + request["timeout"] + 15
        # What is inside writes texts as UTF-8: so the bytes are those of the file's own encoding.
        files = {path: as_sent(text) for path, text in request.get("files", {}).items()}
        body = json.dumps({**request, "files": files}).encode()
        self._send(
            {
                "timeout": request["timeout"],
                "memory_mb": request["memory_mb"],
                "asks": "worker" in request or "stub" in request,
                "progress": request.get("progress", False),
                "report_mb": request.get("report_mb", REPORT_MB),
                "size": len(body),
            },
            body,
        )

    def hear(self) -> dict:
        """The next question ({"ask": ...}), {"progress": [done, total]}, or the reply. Raises
        HarnessError where the jail itself failed."""
        heard = self._receive(self._deadline)
        if "harness" in heard:
            raise HarnessError(f"The jail could not prepare a test run: {heard['harness']}.")
        # Of what the child reported, nothing may pass for a word of the jail itself.
        report = {
            key: value for key, value in heard.pop("report", {}).items() if key not in OWN_WORDS
        }
        return {**report, **heard, **self._figures(report, heard)}

    def _figures(self, report: dict, heard: dict) -> dict:
        """The figures of a reply, each as it is or, where that cannot be true, as it was here."""
        now, figures, tests = time.monotonic(), {}, report.get("outcomes")
        if "times" in report:
            tests = tests if isinstance(tests, dict) else {}
            figures["times"] = seconds_of(report["times"], tests, now - self._asked)
        if "cpu" in heard:
            figures["cpu"] = processor_seconds(heard["cpu"], now - self._began)
        return figures

    def tell(self, answer) -> None:
        """Answer the question that was heard last."""
        self._send({"answer": answer})

    def kill(self) -> None:
        """Kill everything in the jail; whoever waits for an answer gets a HarnessError. `close` is
        still to be called."""
        if (process := self._process) is not None:  # another thread may be closing it
            process.kill()

    def close(self) -> None:
        """Kill everything in the jail. Safe to call twice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
            self._process = None
        if self._errors is not None:
            self._errors.close()
        # In this process's mount namespace the stage holds empty folders and copies only: the binds
        # were private.
        shutil.rmtree(self._stage, ignore_errors=True)

    def __enter__(self) -> "Jail":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # -------------------------------------------------------------------------------------- talking

    def _send(self, obj: dict, body: bytes = b"") -> None:
        """One frame, and bytes that follow it."""
        frame = json.dumps(obj).encode()
        try:
            self._process.stdin.write(struct.pack(">I", len(frame)) + frame + body)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise HarnessError(f"The jail ended early: {self._last_words()}") from None

    def _receive(self, deadline: float) -> dict:
        head = self._read(4, deadline)
        size = struct.unpack(">I", head)[0]
        if size > REPLY_LIMIT:
            raise HarnessError("The jail sent a report that is too long.")
        try:
            reply = json.loads(self._read(size, deadline))
        except (ValueError, RecursionError):
            raise HarnessError("The jail sent a report that is not JSON.") from None
        if not isinstance(reply, dict):
            raise HarnessError("The jail sent a report of an unknown form.")
        return reply

    def _read(self, n: int, deadline: float) -> bytes:
        fd, data = self._process.stdout.fileno(), b""
        while len(data) < n:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise HarnessError("The jail did not answer in time.")
            piece = os.read(fd, min(n - len(data), 1 << 20))
            if not piece:
                raise HarnessError(f"The jail ended early: {self._last_words()}")
            data += piece
        return data

    def _last_words(self) -> str:
        with suppress(
            subprocess.TimeoutExpired
        ):  # it has closed its pipe and lives on: its words so far will do
            self._process.wait(timeout=5)
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 2000))
        return self._errors.read().decode("utf-8", "replace").strip() or "it said nothing."

    # ------------------------------------------------------------------------------------- building

    def _stage_parent(self, layout: Layout) -> Path:
        """Where this jail's own folder is to be."""
        return open_temporary_folder()

    def _prepare(
        self, layout: Layout, path: tuple[str, ...]
    ) -> tuple[list[str], dict[str, str], dict]:
        """The command that starts the jail, its environment, and what its first process is told of
        its surroundings."""
        command, late_binds = self._command(layout)
        return (
            command,
            {"PATH": "/usr/bin:/bin"},
            {
                "root": str(layout.root),
                "trees": (["/bytecode"] if layout.bytecode else []) + ["/tree"],
                "late_binds": late_binds,
                "path": list(path),
                "seccomp": base64.b64encode(seccomp.program()).decode(),
            },
        )

    def _command(self, layout: Layout) -> tuple[list[str], list[list[str]]]:
        """The command that starts the jail, and the binds that each child of the first process
        repeats."""
        bwrap = find_bwrap()
        inside, etc = self._copy_inside(), self._write_etc()
        for path in [etc, *etc.iterdir()]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        hidden = [*FRESH, str(layout.root)]
        binds, late_binds = [(str(layout.tree), "/tree"), (str(inside), "/coldstart")], []
        if layout.bytecode:
            binds.append((str(layout.bytecode), "/bytecode"))
        for number, folder in enumerate(layout.folders):
            binds.append((str(folder), str(folder)))
            if any(is_below(str(folder), h) for h in hidden):
                binds.append((str(folder), f"/late/{number}"))
                late_binds.append([f"/late/{number}", str(folder)])
        for file in etc.iterdir():
            binds.append((str(file), f"/etc/{file.name}"))
        arguments = [
            "--unshare-user",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-net",
            "--unshare-uts",
            "--unshare-cgroup-try",
            "--disable-userns",
            "--uid",
            str(INSIDE_USER),
            "--gid",
            str(INSIDE_USER),
            # Its first process adds up what its children use; these mount views of the tree (an
            # overlay's work folder is closed to all but DAC_OVERRIDE), bring up their own loopback,
            # and drop all of this before any edited code runs.
            "--cap-drop",
            "ALL",
            "--cap-add",
            "CAP_SYS_ADMIN",
            "--cap-add",
            "CAP_SYS_PTRACE",
            "--cap-add",
            "CAP_DAC_OVERRIDE",
            "--cap-add",
            "CAP_NET_ADMIN",
            "--hostname",
            "jail",
            "--new-session",
            "--die-with-parent",
            "--clearenv",
        ]
        for name, value in ENVIRONMENT.items():
            arguments += ["--setenv", name, value]
        for folder in SYSTEM_FOLDERS:
            if os.path.islink(folder):
                arguments += ["--symlink", os.readlink(folder), folder]
            elif os.path.isdir(folder):
                arguments += ["--ro-bind", folder, folder]
        for file in SYSTEM_FILES:
            arguments += ["--ro-bind-try", file, file]
        arguments += ["--proc", "/proc", "--dev", "/dev"]
        for folder in (*FRESH, "/scratch", str(layout.root)):
            arguments += ["--size", str(1 << 20), "--tmpfs", folder]
        arguments += [
            part for source, target in self._staged(binds) for part in ("--ro-bind", source, target)
        ]
        for path in layout.masked:
            for target in [path] + [
                Path(late) / path.relative_to(folder)
                for late, folder in late_binds
                if is_below(str(path), folder)
            ]:
                arguments += (
                    ["--tmpfs", str(target)]
                    if path.is_dir()
                    else ["--ro-bind", "/dev/null", str(target)]
                )
        arguments += [
            "--remount-ro",
            "/dev",
            "--remount-ro",
            "/",
            "--chdir",
            "/",
            str(layout.python),
            "-I",
            "-B",
            "/coldstart/zygote.py",
        ]
        return [*self._prefix(binds), bwrap, *arguments], late_binds

    def _copy_inside(self) -> Path:
        """A copy of the code that runs inside, where an ordinary user can read it."""
        inside = self._stage / "inside"
        shutil.copytree(INSIDE, inside, ignore=shutil.ignore_patterns("__pycache__"))
        for path in [inside, *inside.iterdir()]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return inside

    def _write_etc(self) -> Path:
        etc = self._stage / "etc"
        etc.mkdir()
        (etc / "passwd").write_text(f"user:x:{INSIDE_USER}:{INSIDE_USER}::/tmp/home:/bin/sh\n")
        (etc / "group").write_text(f"user:x:{INSIDE_USER}:\n")
        (etc / "hosts").write_text("127.0.0.1 localhost jail\n::1 localhost jail\n")
        (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
        return etc

    def _staged(self, binds: list[tuple[str, str]]) -> list[tuple[str, str]]:
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

    def _prefix(self, binds: list[tuple[str, str]]) -> list[str]:
        if os.geteuid() != 0:
            return []
        return [
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("drop_root.py")),
            str(self._stage),
            *(source for source, _ in binds),
            "--",
        ]


ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp/home",
    "TMPDIR": "/tmp/t",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""The whole environment inside."""


def open_temporary_folder() -> Path:
    """The temporary folder; /tmp for a root whose own is closed to others, because the jail of root
    runs as `nobody`."""
    folder = Path(tempfile.gettempdir()).resolve()
    open_to_all = all(parent.stat().st_mode & 0o001 for parent in [folder, *folder.parents])
    return folder if open_to_all or os.geteuid() != 0 else Path("/tmp")


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it (both absolute, no links resolved)."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def find_bwrap() -> str:
    """The path of bubblewrap; raises UsageError with the command that installs it."""
    path = shutil.which("bwrap")
    if path is None:
        raise UsageError(
            "No working jail: bubblewrap is not installed, and coldstart never runs a model's code "
            "without one. " + INSTALL_HINT
        )
    return path
