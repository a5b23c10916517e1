"""What a child of the zygote may use: limits that the system keeps, and a watchdog for the others.
Standard library only, Python >= 3.9.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

import kept

resource = kept.module(resource)
MAX_PROCESSES = 128
MAX_BESIDE_OTHERS = 512
"""Processes and threads, where the kernel counts with them all that the user runs: what others
start meanwhile is to take nothing from a test."""
WATCH_EVERY = 0.1
"""Seconds between two looks at how much memory a child uses."""


def tasks_beside_others() -> int:
    """The limit where the kernel counts all that the user runs, which is taken for what the whole
    machine runs now."""
    with open("/proc/loadavg") as file:
        return MAX_BESIDE_OTHERS + int(file.read().split()[3].partition("/")[2])


def limit(request: dict[str, Any], tasks: int) -> None:
    """Let the system limit this process. `tasks`: processes and threads, with all others that the
    kernel counts with this one."""
    # Libraries reserve far more address space than they ever use, so that limit is wide; the one
    # that counts is on data.
    for name, value in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_AS", request["memory_mb"] << 24),
        ("RLIMIT_DATA", request["memory_mb"] << 20),
        ("RLIMIT_FSIZE", 256 << 20),
        ("RLIMIT_NOFILE", 1024),
        ("RLIMIT_NPROC", tasks),
        ("RLIMIT_CPU", int(request["timeout"]) + 5),
    ):
        resource.setrlimit(getattr(resource, name), (value, value))


class Watchdog:
    """Counts what a child started, and adds up its memory, now and then: on a busy machine it looks
    late, so what can be is limited by the system as well. Proportional set sizes: what the child
    shares with this process, or with its own forks, counts once."""

    def __init__(self, limit_mb: int, started: Callable[[], list[int]]) -> None:
        """`started()` -> ids of the processes."""
        self.started, self.limit_kb = started, limit_mb << 10
        self.next = kept.seconds() + WATCH_EVERY
        self.weigh_next = self.next

    def fault(self, deadline: float) -> str | None:
        """What it takes too much of, in words, as far as that can be found out until the deadline;
        else None. To be asked from `next` on."""
        began, total = kept.seconds(), 0
        self.next = began + WATCH_EVERY
        others = self.started()
        if len(others) > MAX_PROCESSES:
            return "it started more than %d processes" % MAX_PROCESSES
        if began < self.weigh_next:
            return None
        for pid in others:
            if kept.seconds() < deadline:
                total += proportional_kb(pid)
        now = kept.seconds()
        # To weigh many processes takes a while: a tenth of the time at most.
        self.weigh_next = now + 10 * (now - began)
        if total > self.limit_kb:
            return "it used more than %d MiB of memory" % (self.limit_kb >> 10)
        return None


def proportional_kb(pid: int) -> int:
    try:
        with open("/proc/%d/smaps_rollup" % pid) as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    except OSError:  # it has ended meanwhile
        return 0
