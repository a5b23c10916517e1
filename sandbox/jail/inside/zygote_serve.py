"""What the process does that runs the tests, or answers calls, in a child of the zygote. Standard
library and pytest, Python >= 3.9.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import kept
from zygote_frames import read_frame, write_frame
from zygote_limits import limit

os, threading = map(kept.module, (os, threading))
OUTPUT_SHOWN = 8000
"""Bytes of the end of what a run printed."""


def enter(request: dict[str, Any], private: tuple[int, int], tasks: int) -> None:
    """Prepare this process: a session, limits and output of its own, and none of the zygote's
    `private` descriptors. `tasks`: as for `limit`."""
    # A session of its own: where the kernel shares the processor among sessions, a thousand
    # processes take no more of it than one.
    os.setsid()
    limit(request, tasks)
    output = open_output(request)
    for fd in (1, 2):
        os.dup2(output, fd)
    for fd in private:
        os.close(fd)


def asker(answers: int, reports: int) -> Callable[[Any], Any]:
    """A function that puts a question to whoever made the request, and waits for the answer; None
    at the end of the stream. Threads take turns; a process that a test forked off would take the
    answers of this one."""
    owner, turn = os.getpid(), threading.Lock()

    def ask(question: Any) -> Any:
        if os.getpid() != owner:
            raise RuntimeError("a call in another process cannot be answered from outside")
        with turn:
            write_frame(reports, {"ask": question})
            frame = read_frame(answers)
        return None if frame is None else frame["answer"]

    return ask


def close_all_but(keep: tuple[int, ...]) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:  # the descriptor that listed the folder is closed already
                pass


def answer(
    isolation: Any, config: dict[str, Any], request: dict[str, Any], pipes: tuple[int, int]
) -> dict[str, Any]:
    """The report of a process that has collected nothing: it tries escapes, answers calls as a
    worker, or runs the tests in a new pytest. `pipes`: descriptors of answers and reports."""
    answers, reports = pipes
    close_all_but((0, 1, 2, reports, answers) if "worker" in request else (0, 1, 2, reports))
    if "escapes" in request:
        import escapes

        return {"outcomes": {}, **escapes.tried(request["escapes"])}
    if "worker" in request:
        import worker

        place = {"root": config["root"], "path": request["path"]}
        answered: dict[str, Any] = worker.run(
            {**request["worker"], **place}, asker(answers, reports)
        )
        return answered
    return run_tests(isolation, config, request, reports)


def run_tests(
    isolation: Any, config: dict[str, Any], request: dict[str, Any], reports: int
) -> dict[str, Any]:
    import runner

    def progress(done: int, total: int) -> None:
        if request.get("progress"):
            write_frame(reports, {"progress": [done, total]})

    own = {"root": config["root"], "environments": runner.environments_in(config)}
    reply: dict[str, Any] = runner.run({**request, **own}, progress)
    if "bytecode" in reply:
        isolation.as_known(reply["bytecode"], config)
    if request.get("output"):
        sys.stdout.flush()
        reply["output"] = tail_of(1)
    return reply


def open_output(request: dict[str, Any]) -> int:
    """A descriptor for what the run prints, which nobody reads unless it is asked for."""
    if not request.get("output"):
        return os.open(os.devnull, os.O_RDWR)
    path = os.path.dirname(os.environ["HOME"]) + "/.output"
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def tail_of(fd: int) -> str:
    end = os.lseek(fd, 0, os.SEEK_END)
    return os.pread(fd, OUTPUT_SHOWN, max(0, end - OUTPUT_SHOWN)).decode("utf-8", "replace")
