"""What a process of ours keeps for itself from before it loads code of the project. That code may
stop the clock (freezegun, time_machine), put something else in a module's place (gevent, a mock),
and never put it back. Standard library only, Python >= 3.9.

    os = kept.module(os)                # goes on holding what it holds now
    kept.seconds()                      # a clock that no Python code can stop
"""

from __future__ import annotations

import ctypes
import os
import sys
import types
from collections.abc import Callable
from typing import Any

CLOCK_MONOTONIC = 1


def module(original: types.ModuleType) -> Any:
    """The module's names and what they stand for now, whatever is put in their place later on."""
    return types.SimpleNamespace(**vars(original))


def _clock() -> Callable[[], float]:
    """A function that gives the kernel's monotonic seconds. It asks the C library: what freezes
    time replaces functions of `time` in every module that has them, or rewrites these functions."""

    class Time(ctypes.Structure):
        _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]

    ask, pointer = ctypes.CDLL(None).clock_gettime, ctypes.byref

    def seconds() -> float:
        now = Time()
        ask(CLOCK_MONOTONIC, pointer(now))
        return float(now.seconds + now.nanoseconds / 1e9)

    return seconds


seconds = _clock()


def out_of_the_way(root: str, path: list[str]) -> None:
    """Forget those of our own modules, all of which are in use by now, whose names a module in
    these folders of the tree has, too."""
    here = os.path.dirname(os.path.abspath(__file__))
    folders = [folder for folder in {root, *path} if (folder + "/").startswith(root + "/")]
    for name, loaded in list(sys.modules.items()):
        file = getattr(loaded, "__file__", None) or ""
        own = os.path.dirname(file) == here and name != "__main__"
        places = [os.path.join(folder, name) for folder in folders] if own else ()
        if any(os.path.exists(place + ".py") or os.path.isdir(place) for place in places):
            del sys.modules[name]
