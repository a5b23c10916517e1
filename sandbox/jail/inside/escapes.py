"""Real escapes, tried from inside the jail before it is trusted. Standard library only, Python >=
3.9.

    tried({"port", "secret", "pid", "command", "tasks"}) -> {"escapes", "tasks"}

"escapes" are the names of the attempts that got out; "tasks" is how many processes and threads
could be had of one more than `tasks`, the limit: with that one, the kernel does not hold it.

`port` is a listening socket of the host's loopback, `secret` a file of the host that its owner can
read, `pid` and `command` the process that started the jail. Nothing is changed where an attempt
succeeds: opening is proof enough.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from typing import Any

CLONE_NEWUSER = 0x10000000
STACK = 64 << 10
"""Bytes of memory that each thread takes."""


def network(facts: dict[str, Any]) -> None:
    socket.create_connection(("127.0.0.1", facts["port"]), timeout=1).close()


def read_a_file(facts: dict[str, Any]) -> None:
    open(facts["secret"], "rb").close()


def write_beside_it(facts: dict[str, Any]) -> None:
    path = facts["secret"] + ".escaped"
    open(path, "xb").close()
    os.remove(path)


def see_the_parent(facts: dict[str, Any]) -> None:
    with open("/proc/%d/cmdline" % facts["pid"], "rb") as file:
        if file.read().decode("utf-8", "replace") != facts["command"]:
            raise OSError("another process of that number")


def change_the_kernel(facts: dict[str, Any]) -> None:
    open("/proc/sys/kernel/core_pattern", "wb").close()


def write_to_the_system(facts: dict[str, Any]) -> None:
    path = "/usr/.coldstart-escape"
    open(path, "xb").close()
    os.remove(path)


def new_namespace(facts: dict[str, Any]) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER):
        raise OSError("refused")


def capabilities(facts: dict[str, Any]) -> None:
    with open("/proc/self/status") as file:
        held = next(line.split()[1] for line in file if line.startswith("CapEff"))
    if int(held, 16) == 0 and os.getuid() != 0:
        raise OSError("none")


ATTEMPTS = (
    network,
    read_a_file,
    write_beside_it,
    see_the_parent,
    change_the_kernel,
    write_to_the_system,
    capabilities,
    new_namespace,
)


def tasks_at_once(most: int) -> int:
    """How many processes and threads the kernel lets this process be, up to `most`. All but the
    first are threads, which it counts as it does processes, for of these the watchdog ends so many.
    """
    threading.stack_size(STACK)
    end, threads = threading.Event(), 0
    try:
        while 1 + threads < most:
            threading.Thread(target=end.wait).start()
            threads += 1
    except RuntimeError:  # refused
        pass
    end.set()
    return 1 + threads


def tried(facts: dict[str, Any]) -> dict[str, Any]:
    return {"escapes": succeeded(facts), "tasks": tasks_at_once(facts["tasks"] + 1)}


def succeeded(facts: dict[str, Any]) -> list[str]:
    out = []
    for attempt in ATTEMPTS:
        try:
            attempt(facts)
        except OSError:
            continue
        out.append(attempt.__name__.replace("_", " "))
    return out
