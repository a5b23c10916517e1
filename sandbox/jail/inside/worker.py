"""Answers calls to one function, from inside a jail that holds no tests. Standard library only,
Python >= 3.9.

    run({"file", "function", "decorated", "line", "name", "root", "path", ...}, ask)

It imports the module of `file` and serves what it is asked (`calls.Worker`) until there is nothing
more.
"""

from __future__ import annotations

import gc
import importlib
import os
import types
from collections.abc import Callable
from typing import Any

import calls
import runner
from module_names import module_name


def run(request: dict[str, Any], ask: Callable[[Any], Any]) -> dict[str, Any]:
    runner.enter_tree(request["root"], request["path"])
    worker = calls.Worker(ask, load(request), request)
    message = ask({"ready": True})
    while message is not None:
        message = ask(worker.serve(message))
    return {"outcomes": {}}


def load(request: dict[str, Any]) -> Callable[..., Any]:
    """The function, in the module that Python imports from this very file: by its qualified name,
    or where it is decorated in the project, too, below its decorators, at this line."""
    path = os.path.join(request["root"], request["file"])
    name = module_name(path, request["path"])
    module = importlib.import_module(name)
    if os.path.realpath(getattr(module, "__file__", "") or "") != os.path.realpath(path):
        raise ImportError("%s is imported from elsewhere" % name)
    if not request["decorated"]:  # an edit may have put decorators on it: they are part of it
        held: Any = module
        for part in request["function"].split("."):
            held = getattr(held, part)
        plain: Callable[..., Any] = getattr(held, "__func__", held)
        return plain
    found = [
        thing
        for thing in gc.get_objects()
        if type(thing) is types.FunctionType and is_at(thing.__code__, path, request)
    ]
    if len(found) != 1:
        raise ImportError("%s is not one function" % request["name"])
    return found[0]


def is_at(code: types.CodeType, path: str, place: dict[str, Any]) -> bool:
    return (
        code.co_name == place["name"]
        and code.co_firstlineno == place["line"]
        and os.path.realpath(code.co_filename) == os.path.realpath(path)
    )
