"""The first process inside the jail: waits for requests, forks a child for each. Standard library
and pytest, Python >= 3.9.

Frames on standard input and output: four bytes of length, then JSON. The first one in is the
configuration:

    {"root", "trees", "scratch_mb", "tasks", "late_binds": [[from, to]], "preload": [module],
     "given": {path: text of a file that an `in-process` one adds to the tree},
     "tier": "in-process" | "forked" | "fresh", "seccomp": base64 of the filter,
     "landlock": {...} in a jail without namespaces, whose zygote has a filter of its own}

A request is a frame for this process ({"timeout", "memory_mb", "asks", "progress", "report_mb",
"size"}) and `size` bytes of JSON for the child, which are never decoded here and wiped after the
fork: what one edit says is in no later child's memory. Nor is what its tests reported: a process
that lives as long as the child hears and passes that on. A reply is two frames: what the child
reported under the one key "report", or what became of it; then what this process says, "cpu" and
"held". Nothing else that a child writes is passed on but progress and questions, and those only
where the request is of that kind.

`forked`: it loads pytest, its plugins and `preload` while the tree is not there yet (the root is an
empty folder), so that no module of the project can be loaded before the edit is in place: that is
what makes a forked run equal to a fresh one. `in-process`: it collects the tests of the intact
tree, and the fork changes functions' code (`in_process.py`). `fresh`: as forked, with nothing
loaded beforehand but pytest itself; it is asked once.

Each child has a view of its own of the tree, in which it may change what it likes, and fresh
temporary folders; how, is said in `namespaces.py` and `no_namespaces.py`, which have the same
functions. Before any edited code runs it gives up every capability for good and gets the system
call filter (`zygote_seal.py`). The parts of this process are modules of their own:
`zygote_frames.py`, `zygote_view.py`, `zygote_supervisor.py` with `zygote_limits.py`, and
`zygote_serve.py` for what runs the tests.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

# A process that a test spawns with `multiprocessing` loads this file, too, with the tests' path.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kept  # noqa: E402
import zygote_seal  # noqa: E402
import zygote_serve  # noqa: E402
import zygote_view  # noqa: E402
from zygote_frames import read_body, read_frame, wipe, write_frame  # noqa: E402
from zygote_supervisor import Supervisor  # noqa: E402

# An `in-process` one collects the project's tests; what watches over them must not be theirs to
# change.
json, os, resource, select, signal, time = map(
    kept.module, (json, os, resource, select, signal, time)
)
libc = ctypes.PyDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
CLONE = {"x86_64": 56, "aarch64": 220}
END_SECONDS = 0.05
"""For which a child that is to be ended may end by itself."""


def main() -> None:
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)  # whatever a module prints while it is loaded goes to the diagnostics
    config = read_frame(requests)
    zygote_seal.hide_memory()
    isolation = importlib.import_module("no_namespaces" if "landlock" in config else "namespaces")
    isolation.begin(config)
    if "landlock" in config:
        zygote_seal.refuse_calls(config["landlock"]["zygote_seccomp"])
    # What pytest and its plugins are made of is no garbage. Each fork would go through it several
    # times (pytest alone does five times at its end), and write to every page of it.
    gc.disable()
    preload(config)
    gc.enable()
    gc.freeze()
    zygote = Zygote(isolation, config, (requests, replies))
    if config["tier"] == "in-process":
        import in_process

        zygote_view.build(isolation, config, config["given"])
        in_process.serve(config, zygote.answer_requests)
    else:
        zygote.answer_requests({"ready": True}, None)


def preload(config: dict[str, Any]) -> None:
    """Load pytest, its plugins and the modules that the suite loads anyway. Failures do not matter:
    they come again in the child."""
    import pytest  # noqa: F401
    import runner  # noqa: F401  (so that no fork has to)

    if config["tier"] == "fresh":
        return
    import worker  # noqa: F401

    names = (
        ["_pytest." + n for n in _pytest_plugins()] + _plugin_modules() + list(config["preload"])
    )
    for name in names:
        if name not in sys.modules and name != "__main__":
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    importlib.import_module(name)
            except BaseException:  # a foreign module may raise anything at all, SystemExit included
                sys.modules.pop(name, None)


def _pytest_plugins() -> list[str]:
    import _pytest.config

    return list(_pytest.config.default_plugins)


def _plugin_modules() -> list[str]:
    """The modules of the installed pytest plugins: pytest loads each of them at every start."""
    from importlib.metadata import entry_points

    points: Any
    try:
        points = entry_points(group="pytest11")
    except TypeError:  # Python 3.9 takes no selection
        points = entry_points().get("pytest11", [])
    return [p.value.partition(":")[0] for p in points]


class Zygote:
    """Forks a child for each request."""

    def __init__(
        self, isolation: ModuleType, config: dict[str, Any], private: tuple[int, int]
    ) -> None:
        """`isolation`: the module that keeps children apart; `private`: descriptors of requests
        and replies, which no child has."""
        self.isolation, self.config, self.private = isolation, config, private
        self.answer: Callable[..., dict[str, Any]] | None = None

    def answer_requests(
        self, ready: dict[str, Any], answer: Callable[..., dict[str, Any]] | None
    ) -> None:
        """A fork for each request, until there are no more. `answer(request, ask)` gives the reply
        in a fork that has the tests collected; None: the fork starts pytest."""
        requests, replies = self.private
        self.answer = answer
        if answer is not None:
            self.isolation.put_by(self.config)
        write_frame(replies, ready)
        while True:
            head = read_frame(requests)
            body = None if head is None else read_body(requests, head["size"])
            if body is None:
                return
            write_frame(replies, self._forked(head, body))

    def _forked(self, head: dict[str, Any], body: bytearray) -> dict[str, Any]:
        """Serve a request in a child of its own, whose reply, or "died", "timeout" or "harness"
        where there is none from the tests, has been passed on then; and what it took."""
        # A fresh process is started for its one request: what that took is part of it.
        began = 0.0 if self.config["tier"] == "fresh" else time.process_time()
        reports_read, reports_write = os.pipe()
        answers_read, answers_write = os.pipe()
        mine, threads = os.getpid(), len(os.listdir("/proc/self/task"))
        pid = clone(self.isolation.flags())
        if pid == 0:
            os.close(reports_read)
            os.close(answers_write)
            self._first_process(body, mine, threads, (answers_read, reports_write))
        wipe(body)
        os.close(reports_write)
        os.close(answers_read)
        helper = self._supervised(head, pid, (reports_read, answers_write))
        os.close(reports_read)
        os.close(answers_write)
        end(pid, self.isolation.END)
        usage = [os.wait4(pid, 0)[2], helper]
        cpu = sum(used.ru_utime + used.ru_stime for used in usage) + time.process_time() - began
        return {"cpu": cpu, "held": held()}

    def _supervised(self, head: dict[str, Any], child: int, pipes: tuple[int, int]) -> Any:
        """Let a process of its own hear what the child reports and pass it on: outcomes, messages
        and calls of tests would else be in the memory of this one, and so of every later child.
        What that process used (`os.wait4`)."""
        helper = os.fork()
        if helper == 0:
            try:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                started = self.isolation.started
                reply = Supervisor(head, pipes, self.private, lambda: started(child)).reply()
                write_frame(self.private[1], reply)
                os._exit(0)
            finally:  # nothing may unwind into the zygote's loop
                os._exit(1)
        status, usage = os.wait4(helper, 0)[1:]
        if status:
            write_frame(self.private[1], {"harness": "nobody heard what the tests reported"})
        return usage

    def _first_process(
        self, body: bytearray, parent: int, threads: int, pipes: tuple[int, int]
    ) -> None:
        """The first process of a child: prepares its place, forks the process that runs the tests,
        and waits for that one. `threads`: how many the zygote has; `pipes`: its descriptors of
        answers and reports. Does not return."""
        isolation, config, reports = self.isolation, self.config, pipes[1]
        try:
            isolation.enter(config, parent, pipes)
            request = json.loads(body)
            # What the request has of the files may not be found in the frames and names of this
            # process later on.
            wipe(body)
            # What is taken out of the tree is not to be read in the bytecode laid over it, either.
            seen = {**config, "trees": config["trees"][-1:]} if "remove" in request else config
            zygote_view.build(isolation, seen, request.pop("files"))
            zygote_view.remove(isolation, config, request.get("remove", ()))
            if "remove" in request:
                isolation.forget_bytecode(config)
            isolation.hide(config)
            zygote_seal.give_up_capabilities()
            tasks = isolation.confine_tests(config, threads)
            zygote_seal.refuse_calls(config["seccomp"])
            write_frame(reports, {"entered": True})  # from here on a failure is the tests' own
            pid = isolation.fork_tests()
            if pid == 0:
                self._run(request, pipes, tasks)
                os._exit(0)
            os.close(reports)
            while os.wait()[0] != pid:
                pass
        except BaseException as error:  # nothing may unwind into the zygote's loop
            try:
                write_frame(reports, {"harness": "%s: %s" % (type(error).__name__, error)})
            except OSError:
                pass
        finally:
            os._exit(0)

    def _run(self, request: dict[str, Any], pipes: tuple[int, int], tasks: int) -> None:
        """Do what is asked, and write the reply."""
        zygote_serve.enter(request, self.private, tasks)
        if self.answer is not None:
            reply = self.answer(request, zygote_serve.asker(*pipes))
        else:
            reply = zygote_serve.answer(self.isolation, self.config, request, pipes)
        write_frame(pipes[1], reply)


def end(pid: int, by: int) -> None:
    """End the first process of a child by a signal, and with it all that the child started. It gets
    a moment to end by itself, for only then does the system add up what its own children took."""
    try:
        handle = os.pidfd_open(pid)
        select.select([handle], [], [], END_SECONDS)
        os.close(handle)
        os.kill(pid, by)
    except ProcessLookupError:
        pass


def held() -> list[int]:
    """What this process holds: resident memory in KiB, descriptors. A fork for each request should
    leave both as they were."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return [pages * resource.getpagesize() >> 10, len(os.listdir("/proc/self/fd"))]


def clone(flags: int) -> int:
    """fork() into new namespaces; Python's own bookkeeping for forks is done around it."""
    machine = os.uname().machine
    if machine not in CLONE:
        raise OSError("no forked runner for the processor " + machine)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = libc.syscall(
        CLONE[machine], ctypes.c_ulong(flags | signal.SIGCHLD), None, None, None, None
    )
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone: " + os.strerror(ctypes.get_errno()))
    return pid


if __name__ == "__main__":
    main()
