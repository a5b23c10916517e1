"""What `zygote.py` does in a jail without namespaces (`landlock.py`, and what is said of it there):
each child has a keeper and a copy of the tree. `namespaces.py` has the same functions for a jail
with.
"""

from __future__ import annotations

import shutil
import signal
from typing import Any

import landlock
import zygote_limits
from zygote_frames import wipe

END = signal.SIGTERM
"""Ends the keeper of a child, which has things to do at its end."""
HARNESS = 3
"""Processes that count with the tests', beside the zygote: the first one, the child's keeper, and
the one that hears it. (Its watcher, which comes a moment later, takes the place of one of the
tests'.)"""


def begin(config: dict[str, Any]) -> None:
    landlock.prepare(config["landlock"], config["root"])


def put_by(config: dict[str, Any]) -> None:
    landlock.put_by(config["landlock"])


def flags() -> int:
    return 0


def started(child: int) -> list[int]:
    found: list[int] = landlock.descendants(child)
    return found


def enter(config: dict[str, Any], parent: int, pipes: tuple[int, int]) -> None:
    landlock.keep(parent, pipes, [config["landlock"]["scratch"]], config["landlock"])


def fork_tests() -> int:
    """The keeper has forked already."""
    return 0


def build_tree(config: dict[str, Any]) -> None:
    landlock.build_tree(config["landlock"], config["trees"], config["root"])


def forget_bytecode(config: dict[str, Any]) -> None:
    """Leave nothing of the tests' bytecode in the memory of this process."""
    for data in config["landlock"]["compiled"].values():
        wipe(data)
    config["landlock"]["compiled"].clear()


def drop_folder(path: str) -> None:
    shutil.rmtree(path)


def hide(config: dict[str, Any]) -> None:
    """No process may read the folders that the copy was made from, nor another's /proc entry."""


def confine_tests(config: dict[str, Any], threads: int) -> int:
    if config["landlock"]["own_user"]:
        tasks = HARNESS + threads + int(config["tasks"])
    else:
        tasks = zygote_limits.tasks_beside_others()
    landlock.confine_tests(config["landlock"])
    return tasks


def as_known(bytecode: dict[str, str], config: dict[str, Any]) -> None:
    landlock.as_known(bytecode, config["root"], config["landlock"]["known_as"])
