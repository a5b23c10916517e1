"""coldstart.py in processes that have torch and transformers loaded: each is forked from one that
has done nothing else, and is spared the five seconds of processor time that importing them takes.

    done = run(["bootstrap", "--repo", "calc"], cwd=folder, timeout=600)

As a script, with the path of a socket to listen at, this is the process that they are forked from.
Forked processes share one seed of string hashes: what is to show that a run comes to the same bytes
in another process starts one of its own.
"""

import atexit
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path

COLDSTART = Path(__file__).parent.parent / "coldstart.py"
READY = b"ready"


def run(arguments: list[str], cwd: Path, timeout: float) -> subprocess.CompletedProcess:
    """Like `subprocess.run` with captured text. Raises subprocess.TimeoutExpired."""
    command = [sys.executable, str(COLDSTART), *arguments]
    request = {"argv": command[1:], "cwd": str(cwd), "env": dict(os.environ)}
    with (
        open(os.devnull) as nothing,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.connect(_listening())
        files = [nothing.fileno(), out.fileno(), err.fileno()]
        socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], files)
        answers = connection.makefile()
        pid = int(answers.readline())
        connection.settimeout(timeout)
        try:
            status = int(answers.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            connection.settimeout(None)
            raise subprocess.TimeoutExpired(command, timeout, *map(_text, (out, err))) from None
        return subprocess.CompletedProcess(command, status, *map(_text, (out, err)))


def _text(file) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def _listening() -> str:
    """The path at which the process listens that is forked; started where it is not there yet."""
    # Not where a test may have put temporary files for itself.
    path = str(Path(tempfile.mkdtemp(dir="/tmp")) / "socket")
    atexit.register(shutil.rmtree, Path(path).parent)
    environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    command = [sys.executable, __file__, path, str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None and process.stdout.read(len(READY)) == READY
    return path


def _serve(path: str, parent: int) -> None:
    """Fork for every request, and say how each process ended. In a forked one it returns. It ends
    with the process `parent`, a handle of one."""
    listening, events = socket.socket(socket.AF_UNIX), select.epoll()
    listening.bind(path)
    listening.listen()
    os.write(1, READY)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # its reader waits until nobody can write
    running: dict[int, tuple[int, socket.socket]] = {}
    for handle in (listening.fileno(), parent):
        events.register(handle, select.EPOLLIN)
    while True:
        for ready, _ in events.poll():
            if ready == parent:
                sys.exit()
            if ready in running:
                pid, connection = running.pop(ready)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _say(connection, status)
                connection.close()
                os.close(ready)
                continue
            connection, _ = listening.accept()
            request, files = _received(connection)
            if not (pid := os.fork()):
                for held in (listening, events, connection, *(c for _, c in running.values())):
                    held.close()
                for handle in (parent, *running):
                    os.close(handle)
                _become(request, files)
                return
            for file in files:
                os.close(file)
            _say(connection, pid)
            running[handle := os.pidfd_open(pid)] = pid, connection
            events.register(handle, select.EPOLLIN)


def _say(connection: socket.socket, number: int) -> None:
    try:
        connection.sendall(b"%d\n" % number)
    except BrokenPipeError:
        pass  # nobody waits for it any more


def _received(connection: socket.socket) -> tuple[dict, list[int]]:
    data, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not data.endswith(b"\n"):
        data += connection.recv(1 << 20)
    return json.loads(data), files


def _become(request: dict, files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # as the environment has it
    sys.argv = request["argv"]
    sys.path[0] = str(COLDSTART.parent)


def _load() -> None:
    import bitsandbytes  # noqa: F401
    import llama_cpp  # noqa: F401
    import peft  # noqa: F401
    import torch  # noqa: F401
    import transformers.models.auto.modeling_auto  # noqa: F401
    import transformers.models.llama.modeling_llama  # noqa: F401

    assert threading.active_count() == 1, "what is forked must have no threads"


if __name__ == "__main__":
    _load()
    gc.freeze()  # or each process would copy it all, looking for garbage in it
    tests = os.pidfd_open(int(sys.argv[2]))
    if os.fork():
        os._exit(0)  # it is no child of the tests, some of which look at theirs
    _serve(sys.argv[1], tests)
    runpy.run_path(sys.argv[0], run_name="__main__")
