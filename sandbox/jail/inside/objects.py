"""Instances by value, and things by name: what crosses the border of the jail beside plain data.
Standard library only, Python >= 3.9.

An instance crosses as the qualified name of its class, the data of the built-in class below it (a
dict's items, an exception's arguments) and its fields (`instances.py`). On the other side the class
of that name gets an instance with these fields: `__init__`, properties, `__setattr__`, `__reduce__`
and the like take no part, on either side.

A class, a function, a module, a member of an enum, and a constant that a module holds cross by
name, where the name leads to the very same thing. A class that the other side has not, because the
tests define it, has a class there that stands for it, whose methods are handles.
"""

from __future__ import annotations

import _thread
import abc
import builtins
import datetime
import enum
import io
import numbers
import random
import threading
import types
from collections.abc import Callable
from typing import Any

import values
from instances import BASES, WITHOUT_DATA, data_base, fields_of, set_fields
from names import BY_NAME, Names, qualified, resolved_name
from values import Graph, Node, NotPlain, ReadNode, WriteNode

LOCKS: dict[str, Callable[[], Any]] = {"RLock": threading.RLock, "Lock": _thread.allocate_lock}
LOCK_TYPES = {type(make()): name for name, make in LOCKS.items()}
TEXTS: dict[str, Any] = {"StringIO": io.StringIO, "BytesIO": io.BytesIO}
EMPTY: dict[str, Callable[[], Any]] = {**TEXTS, "opaque": object, "Random": random.Random}
DESCRIPTORS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    staticmethod: lambda d: (d.__func__,),
    classmethod: lambda d: (d.__func__,),
    property: lambda d: (d.fget, d.fset, d.fdel),
}
"""{what may stand in a class: the parts that it is made of}"""
MADE_OF: dict[str, Any] = {kind.__name__: kind for kind in DESCRIPTORS}
NOT_MIRRORED = {
    *("__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__annotations__"),
    *("__slots__", "__parameters__", "__orig_bases__", "_abc_impl", "__abstractmethods__"),
    *("__static_attributes__", "__firstlineno__", "__annotate__", "__annotations_cache__"),
}
"""What Python itself puts into a class."""


class Allowed:
    """What an untrusted side may name: what the right code was seen to give, and what the standard
    library has for data."""

    CLASSES = {
        "collections:%s" % name
        for name in ("OrderedDict", "Counter", "defaultdict", "deque", "ChainMap", "UserDict")
    } | {"types:SimpleNamespace"}

    def __init__(self, classes: dict[str, list[str]], names: list[str]) -> None:
        """`classes`: {qualified name: fields that were seen}."""
        self.classes, self.names = classes, frozenset(names)

    def is_class(self, name: str) -> bool:
        if name in self.classes or name in self.CLASSES:
            return True
        module, _, path = name.partition(":")
        found = getattr(builtins, path, None) if module == "builtins" else None
        return isinstance(found, type) and issubclass(found, BaseException)

    def is_name(self, name: str) -> bool:
        """Whether it was seen; built-in types and exceptions always may be named."""
        if name.startswith("unittest.mock:"):  # what is there equals what it is compared with
            return False
        module, _, path = name.partition(":")
        known = module == "builtins" and isinstance(getattr(builtins, path, None), type)
        return known or name in self.names or self.is_class(name)

    def is_field(self, cls: type, name: str, field: str) -> bool:
        """Whether an instance may have this field: one that was seen, or that the class declares. A
        field could stand before a method of the same name."""
        if field in self.classes.get(name, ()):
            return True
        declared = any(
            field in vars(c).get("__annotations__", ())
            or isinstance(vars(c).get(field), types.MemberDescriptorType)
            for c in cls.__mro__
        )
        return declared or issubclass(cls, types.SimpleNamespace) and not field.startswith("__")


class Objects(values.World):
    """Instances and names, in a process that has the project's classes."""

    def __init__(
        self,
        is_hidden: Callable[[str], bool] = lambda file: False,
        allowed: Allowed | None = None,
        lenient: bool = False,
        taken: Allowed | None = None,
        drained: int = 0,
    ) -> None:
        """`is_hidden`: of a module's file, whether the other side has it not. `allowed`: what the
        other side may name; None: it is trusted. `lenient`: what is of an unknown class, or of one
        that is not `taken` there, crosses as what it is underneath. `drained`: of an iterator so
        many items cross, as a list, instead of a handle."""
        self._names, self.allowed = Names(is_hidden), allowed
        self.lenient, self.taken, self.drained = lenient, taken, drained
        self.remote: Callable[[Graph, int, Node], Any] | None = None
        """Makes what stands for a handle of the other side."""
        self._mirrors: dict[int, type] = {}
        """Classes that stand for such of the other side."""

    # ---- out

    def inline(self, value: Any, write: WriteNode) -> Node | None:
        if isinstance(value, enum.Enum) and self._names.name_of(type(value)):
            return ["enum", self._names.name_of(type(value)), write(value.value)]
        if isinstance(value, (*BY_NAME, types.MethodType)):
            name = self._names.name_of(value)
            return ["name", name] if name else None
        if isinstance(value, (list, dict, set)):
            return None
        if (constant := self._names.constant(value)) is not None:
            return ["name", constant]
        if self.drained and is_iterator(value):
            return write(self._drain(value))
        return self._without_identity(value, write)

    def _without_identity(self, value: Any, write: WriteNode) -> Node | None:
        """A value of a built-in type's subclass that has no fields and cannot change."""
        try:
            base = data_base(type(value))
            cls = self.class_of(type(value))
        except NotPlain:
            return self._number(value, write)
        if base is None or BASES[base].fill or issubclass(base, BaseException):
            return None
        if cls is base:
            return write(BASES[base].make(base, BASES[base].read(value)))
        name, parts = self._names.name_of(cls), _parts(base, value, write)
        return None if fields_of(value) or not name else ["subclass", name, parts]

    def _number(self, value: Any, write: WriteNode) -> Node | None:
        if not self.lenient or not isinstance(value, numbers.Real):
            return None
        return write(int(value) if isinstance(value, numbers.Integral) else float(value))

    def _drain(self, iterator: Any) -> list[Any]:
        items: list[Any] = []
        for item in iterator:
            items.append(item)
            if len(items) >= self.drained:
                break
        return items

    def content(self, value: Any, write: WriteNode) -> Node:
        kind = type(value)
        if kind is object:
            return ["opaque"]
        if kind in LOCK_TYPES:
            return ["lock", LOCK_TYPES[kind]]
        if kind is random.Random:
            return ["Random", write(value.getstate())]
        if isinstance(value, type) and not self.lenient:
            return _mirrored(value, write)
        if kind in DESCRIPTORS:
            return [kind.__name__, *(write(part) for part in DESCRIPTORS[kind](value))]
        if kind in (io.StringIO, io.BytesIO):
            return [kind.__name__, write(value.getvalue()), write(value.tell())]
        try:
            return self._object(value, write)
        except NotPlain:
            handle = handle_kind(value)
            if handle is None:
                raise
            return [handle, about(value)]

    def _object(self, value: Any, write: WriteNode) -> Node:
        base = data_base(type(value))
        cls = self.class_of(type(value))
        parts = None if base is None else _parts(base, value, write)
        if parts and cls in (list, dict, set):  # of a class that has no name there
            return [cls.__name__, [node[1] for node in parts[1]] if cls is dict else parts[1]]
        fields = [
            [field, write(item)]
            for field, item in fields_of(value)
            # What a solution keeps beside what there was, nobody over there knows of.
            if self.taken is None or self.taken.is_field(cls, qualified(cls), field)
        ]
        return ["object", self._names.name_of(cls) or write(cls), parts, fields]

    def class_of(self, cls: type) -> type:
        """The class as which an instance crosses: its own, or the nearest above that the other side
        takes, where that will do. Raises NotPlain."""
        if not self.lenient:
            return cls
        for candidate in cls.__mro__:
            name = self._names.name_of(candidate)
            if id(candidate) in self._mirrors:
                return candidate
            if not name or candidate in WITHOUT_DATA:
                continue
            if self.taken is None or candidate in BASES or self.taken.is_class(name):
                return candidate
        raise NotPlain("%s.%s" % (cls.__module__, cls.__qualname__))

    # ---- in

    def from_inline(self, kind: str, parts: Node, read: ReadNode) -> Any:
        if kind == "name":
            return self._named(parts[0])
        if kind == "enum":
            return _member(self._class(parts[0]), read(parts[1]))
        if kind == "subclass":
            cls = self._class(parts[0])
            return _made(cls, parts[1], read)
        raise NotPlain("not typed data")

    def _named(self, name: str) -> Any:
        if self.allowed is not None and not self.allowed.is_name(name):
            raise NotPlain("%s may not be named" % name)
        return resolved_name(name)

    def _class(self, name: Any, read: ReadNode | None = None) -> Any:
        """The class of this name, or one that has crossed itself."""
        if isinstance(name, list) and read:
            crossed = read(name)
            if not isinstance(crossed, type):
                raise NotPlain("not typed data")
            return crossed
        if self.allowed is not None and not self.allowed.is_class(name):
            raise NotPlain("an instance of %s is not expected" % name)
        found = resolved_name(name)
        if not isinstance(found, type):
            raise NotPlain("%s is no class" % name)
        return found

    def shell(self, graph: Graph, number: int, content: Node, read: ReadNode) -> Any:
        kind = content[0]
        if kind in values.HANDLES and self.remote:
            return self.remote(graph, number, content)
        if kind == "lock":
            return LOCKS[content[1]]()
        if kind in EMPTY:
            return EMPTY[kind]()
        if kind == "class" and self.allowed is None:
            return self._mirror(content, read)
        if kind in MADE_OF:
            return MADE_OF[kind](*(read(part) for part in content[1:]))
        if kind != "object":
            raise NotPlain("not typed data")
        cls = self._class(content[1], read)
        base = data_base(cls)
        if base is None and content[2] is None:
            return _stateless(cls)
        if base is not None and BASES[base].fill is not None and content[2][0] == base.__name__:
            return BASES[base].make(cls, [])
        return _made(cls, content[2], read)

    def _mirror(self, content: Node, read: ReadNode) -> type:
        """A class with these bases and slots; what stands in it is filled in later."""
        (module, name), bases, slots = content[1], content[2], content[3]
        own = {"__module__": module, "__qualname__": name}
        if slots is not None:
            own["__slots__"] = slots
        made = types.new_class(
            name.rpartition(".")[2],
            tuple(read(base) for base in bases),
            exec_body=lambda space: space.update(own),
        )
        if isinstance(made, abc.ABCMeta):  # what is abstract above is filled in later
            made.__abstractmethods__ = frozenset()
        self._mirrors[id(made)] = made
        return made

    def fill(self, thing: Any, content: Node, read: ReadNode) -> None:
        kind = content[0]
        if kind in MADE_OF or kind in ("lock", "opaque"):
            return
        if kind == "Random":
            thing.setstate(read(content[1]))
            return
        if kind == "class":
            for name, node in content[4]:
                setattr(thing, name, read(node))
            return
        if kind in TEXTS:
            text, at = read(content[1]), read(content[2])
            thing.seek(0)
            thing.truncate()
            thing.write(text)
            thing.seek(at)
            return
        base = data_base(type(thing))
        if base is not None and (fill := BASES[base].fill):
            fill(thing, [read(part) for part in content[2][1]])
        fields = [(field, read(node)) for field, node in content[3]]
        if self.allowed is not None:
            self._check_fields(thing, [field for field, _ in fields])
        set_fields(thing, fields)

    def _check_fields(self, thing: Any, fields: list[str]) -> None:
        assert self.allowed is not None
        name = qualified(type(thing))
        for field in fields:
            if not self.allowed.is_field(type(thing), name, field):
                raise NotPlain("%s with a field %s is not expected" % (name, field))


def _mirrored(cls: type, write: WriteNode) -> Node:
    """A class that the other side has not: its bases, its slots, and what stands in it, of which
    functions are handles."""
    if type(cls) not in (type, abc.ABCMeta) or cls.__module__ == "builtins":
        raise NotPlain(values.described(cls))
    slots = [s.__name__ for s in vars(cls).values() if type(s) is types.MemberDescriptorType]
    return [
        "class",
        [cls.__module__, cls.__qualname__],
        [write(base) for base in cls.__bases__],
        slots if "__slots__" in vars(cls) else None,
        [
            [name, write(value)]
            for name, value in vars(cls).items()
            if name not in NOT_MIRRORED and name not in slots
        ],
    ]


def _parts(base: type, value: Any, write: WriteNode) -> Node:
    nodes = [write(part) for part in BASES[base].read(value)]
    return [base.__name__, sorted(nodes, key=repr) if BASES[base].unordered else nodes]


def _member(cls: Any, value: Any) -> Any:
    if not issubclass(cls, enum.Enum):
        raise NotPlain("not typed data")
    return cls(value)


def _stateless(cls: Any) -> Any:
    base = datetime.tzinfo if issubclass(cls, datetime.tzinfo) else object
    return base.__new__(cls)


def _made(cls: Any, parts: Node, read: ReadNode) -> Any:
    """An instance that is made of its base's data."""
    base = data_base(cls)
    if base is None or BASES[base].fill is not None or parts[0] != base.__name__:
        raise NotPlain("not typed data")
    return BASES[base].make(cls, [read(part) for part in parts[1]])


# ------------------------------------------------------------------------------------------ handles


def is_iterator(value: Any) -> bool:
    return hasattr(type(value), "__next__")


def handle_kind(value: Any) -> str | None:
    """As what a thing that stays here crosses."""
    if isinstance(value, io.IOBase):
        return "file"
    if is_iterator(value):
        return "iterator"
    return "callable" if callable(value) else None


def about(value: Any) -> dict[str, Any]:
    """What the other side is to know of a handle beforehand."""
    found: dict[str, Any] = {"generator": isinstance(value, types.GeneratorType)}
    for name in ("__name__", "__qualname__", "__doc__"):
        text = getattr(value, name, None)
        found[name] = text if type(text) is str and len(text) < 10_000 else None
    return found
