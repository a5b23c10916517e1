"""Real escapes, tried from inside the jail before it is trusted. Standard library only, Python >=
3.9.

    succeeded({"port", "secret", "pid", "command"}) -> names of the attempts that got out

`port` is a listening socket of the host's loopback, `secret` a file of the host that its owner can
read, `pid` and `command` the process that started the jail. Nothing is changed where an attempt
succeeds: opening is proof enough.
"""

from __future__ import annotations

import ctypes
import os
import socket
from typing import Any

CLONE_NEWUSER = 0x10000000


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


def succeeded(facts: dict[str, Any]) -> list[str]:
    out = []
    for attempt in ATTEMPTS:
        try:
            attempt(facts)
        except OSError:
            continue
        out.append(attempt.__name__.replace("_", " "))
    return out
