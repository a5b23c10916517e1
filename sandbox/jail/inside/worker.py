"""Answers calls to one function, from inside a jail that holds no tests. Standard library only,
Python >= 3.9.

    run({"file", "function", "root", "path"}, ask)

It imports the module of `file` and asks for calls, with the answer to the last one as its question,
until there are no more.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import calls
import runner


def run(request: dict[str, Any], ask: Callable[[Any], Any]) -> dict[str, Any]:
    runner.enter_tree(request["root"], request["path"])
    function = load(request)
    answer: dict[str, Any] = {"ready": True}
    while True:
        call = ask(answer)
        if call is None:
            return {"outcomes": {}}
        answer = calls.called(function, call, subclasses=True)


def load(request: dict[str, Any]) -> Callable[..., Any]:
    """The function, found by its qualified name in the module that Python imports from this very
    file."""
    path = os.path.join(request["root"], request["file"])
    name = module_name(path, request["path"])
    module = importlib.import_module(name)
    if os.path.realpath(getattr(module, "__file__", "") or "") != os.path.realpath(path):
        raise ImportError("%s is imported from elsewhere" % name)
    found: Any = module
    for part in request["function"].split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = found
    return function


def module_name(path: str, search: list[str]) -> str:
    """The dotted name under which `path` is imported: below the longest folder of the search path
    that is no package."""
    stem = path[:-3]
    if os.path.basename(stem) == "__init__":
        stem = os.path.dirname(stem)
    for folder in sorted(
        (f for f in search if stem.startswith(f.rstrip("/") + "/")), key=len, reverse=True
    ):
        if not os.path.exists(os.path.join(folder, "__init__.py")):
            return os.path.relpath(stem, folder).replace(os.sep, ".")
    raise ImportError("%s is not below the search path %s" % (path, sys.path))
