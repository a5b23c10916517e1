"""Things by their qualified name, `module:qualified.name`, and the state that crosses beside a
call. Standard library only, Python >= 3.9."""

from __future__ import annotations

import enum
import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

import values
from instances import BASES
from values import NotPlain

BY_NAME = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.ModuleType,
)
"""Types of what has a name of its own."""
STATE = (type(None), bool, int, float, str, bytes, list, tuple, dict, set, bytearray)
"""Types of what is looked at as state."""
LARGE = 2_000
"""Items of a container that is a table and no state."""


def qualified(cls: type) -> str:
    return "%s:%s" % (cls.__module__, cls.__qualname__)


def resolved(module: str, path: str) -> Any:
    """What stands under a qualified name. Raises ImportError, AttributeError."""
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in path.split(".") if path else ():
        found = getattr(found, part)
    return found


def resolved_name(name: str) -> Any:
    """What stands under `module:qualified.name`. Raises ImportError, AttributeError."""
    module, _, path = name.partition(":")
    return resolved(module, path)


class Names:
    """Finds the names of things."""

    def __init__(self, is_hidden: Callable[[str], bool]) -> None:
        """`is_hidden`: of a module's file, whether the other side has it not."""
        self._is_hidden = is_hidden
        self._known: dict[int, tuple[Any, str | None]] = {}
        self._constants: dict[str, dict[int, str]] = {}
        """{package: {id: name}}; under "" those that are of no class of their own."""

    def name_of(self, thing: Any) -> str | None:
        """`module:qualified.name`, where the other side finds the same under it; else None."""
        if id(thing) not in self._known:
            self._known[id(thing)] = (thing, self._find_name(thing))
        return self._known[id(thing)][1]

    def _find_name(self, thing: Any) -> str | None:
        module: Any
        if isinstance(thing, types.ModuleType):
            module, path = thing.__name__, ""
        else:
            owner = getattr(thing, "__objclass__", thing)
            if isinstance(thing, (types.BuiltinFunctionType, types.MethodType)):
                owner = thing.__self__ if isinstance(thing.__self__, type) else thing
            module, path = getattr(owner, "__module__", None), getattr(thing, "__qualname__", "")
        if not isinstance(module, str) or not isinstance(path, str) or "<" in path:
            return None
        holder = sys.modules.get(module)
        if holder is None or self._is_elsewhere(holder):
            return None
        try:
            found = resolved(module, path)
        except (ImportError, AttributeError):
            return None
        bound = isinstance(thing, (types.MethodType, types.BuiltinFunctionType))
        same = found is thing or bound and type(found) is type(thing) and found == thing
        return "%s:%s" % (module, path) if same else None

    def _is_elsewhere(self, module: Any) -> bool:
        file = getattr(module, "__file__", None)
        return module.__name__ == "__main__" or isinstance(file, str) and self._is_hidden(file)

    def constant(self, value: Any) -> str | None:
        """The name of a module's constant: an instance that stands for itself alone. It is looked
        for in the package of its class."""
        package = "" if type(value) is object else type(value).__module__.partition(".")[0]
        if package in ("builtins", "_thread"):
            return None
        if package not in self._constants:
            self._constants[package] = self._find_constants(package)
        return self._constants[package].get(id(value))

    def _find_constants(self, package: str) -> dict[int, str]:
        found: dict[int, str] = {}
        for name, module in list(sys.modules.items()):
            of_package = name == package or name.startswith(package + ".")
            if package and not of_package or type(module) is not types.ModuleType:
                continue
            if self._is_elsewhere(module):
                continue
            for constant, value in list(vars(module).items()):
                if is_constant(value) if package else type(value) is object:
                    found.setdefault(id(value), "%s:%s" % (name, constant))
        return found


def is_constant(value: Any) -> bool:
    """Whether a module's value may be known by its name: an instance of a Python class, or of one
    that nothing is known of, and nothing that could be told by its value."""
    kind = type(value)
    if kind in values.STANDARD or isinstance(value, (BY_NAME, types.MethodType, enum.Enum)):
        return False
    if kind.__module__ in ("builtins", "_thread") or kind in BASES:
        return False
    return not isinstance(value, (list, dict, set, tuple, str, bytes, int, float, BaseException))


def set_state(names: tuple[str, ...], state: tuple[Any, ...]) -> None:
    """Give module globals and class attributes these values. Raises NotPlain."""
    if not isinstance(state, tuple) or len(state) != len(names):
        raise NotPlain("not typed data")
    for name, value in zip(names, state):
        module, _, path = name.partition(":")
        owner, _, last = path.rpartition(".")
        holder = resolved(module, owner)
        if getattr(holder, last) is not value:
            setattr(holder, last, value)


def state_of(module: types.ModuleType) -> dict[str, Any]:
    """{qualified name: plain data as typed JSON} of the globals of a module and the attributes of
    its classes: what a function may keep beside its arguments."""
    found: dict[str, Any] = {}
    owners: list[tuple[str, Any]] = [("%s:" % module.__name__, module)]
    for name, value in list(vars(module).items()):
        if isinstance(value, type) and value.__module__ == module.__name__:
            owners.append(("%s:%s." % (module.__name__, name), value))
    for prefix, owner in owners:
        for name, value in list(vars(owner).items()):
            if name.startswith("__") or type(value) not in STATE or _is_large(value):
                continue
            try:
                found[prefix + name] = values.dump(value)
            except NotPlain:
                pass
    return found


def _is_large(value: Any) -> bool:
    return hasattr(value, "__len__") and len(value) > LARGE
