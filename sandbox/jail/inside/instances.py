"""What an instance holds, taken out and put in: the data of the built-in class below its own, and
its fields. Standard library only, Python >= 3.9.

No constructor, property, `__setattr__` or `__reduce__` of its class takes part.
"""

from __future__ import annotations

import collections
import datetime
import functools
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import values
from values import NotPlain

HEAP_TYPE, IMMUTABLE_TYPE = 1 << 9, 1 << 8
"""Flags of a type: made at run time; not to be changed (CPython's Include/object.h)."""
POINTER = 8
once_a_class: Any = functools.cache


class Base(NamedTuple):
    """How the data of a built-in class is taken out of an instance of a subclass, and put in."""

    read: Callable[[Any], list[Any]]
    make: Callable[[Any, list[Any]], Any]
    """(class, parts) -> an instance; one that can be filled later is still empty."""
    fill: Callable[[Any, list[Any]], None] | None
    """None: made of its parts."""
    unordered: bool = False


def _fill_dict(thing: Any, parts: list[Any]) -> None:
    dict.clear(thing)
    dict.update(thing, parts)


def _fill_ordered(thing: Any, parts: list[Any]) -> None:
    ordered = collections.OrderedDict
    ordered.clear(thing)
    for key, item in parts:
        ordered.__setitem__(thing, key, item)


def _fill_default(thing: Any, parts: list[Any]) -> None:
    thing.default_factory = parts[0]
    _fill_dict(thing, parts[1:])


def _fill_set(thing: Any, parts: list[Any]) -> None:
    set.clear(thing)
    set.update(thing, parts)


def _exception(cls: Any, parts: list[Any]) -> Any:
    base = next(c for c in cls.__mro__ if c.__module__ == "builtins")
    made = base.__new__(cls, *parts)
    base.__init__(made, *parts)
    return made


def _empty(base: Any) -> Callable[[Any, list[Any]], Any]:
    return lambda cls, parts: base.__new__(cls)


def _of(base: Any, read: Callable[[Any], list[Any]], unordered: bool = False) -> Base:
    return Base(read, lambda cls, parts: base.__new__(cls, *parts), None, unordered)


BASES: dict[type, Base] = {
    collections.OrderedDict: Base(
        lambda d: list(collections.OrderedDict.items(d)),
        _empty(collections.OrderedDict),
        _fill_ordered,
    ),
    collections.defaultdict: Base(
        lambda d: [d.default_factory, *dict.items(d)],
        _empty(collections.defaultdict),
        _fill_default,
    ),
    collections.deque: Base(
        lambda d: [d.maxlen, *collections.deque.__iter__(d)],
        _empty(collections.deque),
        lambda d, parts: collections.deque.__init__(d, parts[1:], parts[0]),
    ),
    dict: Base(lambda d: list(dict.items(d)), _empty(dict), _fill_dict),
    list: Base(
        lambda v: list(list.__iter__(v)),
        _empty(list),
        lambda v, parts: list.__setitem__(v, slice(None), parts),
    ),
    set: Base(lambda s: list(set.__iter__(s)), _empty(set), _fill_set, True),
    bytearray: Base(
        lambda v: [bytes(v)],
        _empty(bytearray),
        lambda v, parts: bytearray.__setitem__(v, slice(None), parts[0]),
    ),
    frozenset: Base(
        lambda s: list(frozenset.__iter__(s)),
        lambda cls, parts: frozenset.__new__(cls, parts),
        None,
        True,
    ),
    tuple: Base(
        lambda t: list(tuple.__iter__(t)), lambda cls, parts: tuple.__new__(cls, parts), None
    ),
    str: _of(str, lambda s: [str.__str__(s)]),
    bytes: _of(bytes, lambda b: [bytes.__getitem__(b, slice(None))]),
    int: _of(int, lambda i: [int.__int__(i)]),
    float: _of(float, lambda f: [float.__float__(f)]),
    complex: _of(complex, lambda c: [complex(c.real, c.imag)]),
    datetime.datetime: _of(
        datetime.datetime,
        lambda t: [t.year, t.month, t.day, t.hour, t.minute, t.second, t.microsecond, t.tzinfo],
    ),
    datetime.date: _of(datetime.date, lambda d: [d.year, d.month, d.day]),
    datetime.timedelta: _of(datetime.timedelta, lambda d: [d.days, d.seconds, d.microseconds]),
    types.SimpleNamespace: Base(lambda n: [], _empty(types.SimpleNamespace), lambda n, parts: None),
    BaseException: Base(lambda e: list(e.args), _exception, None),
}
"""What an instance may hold beside its fields; the first that is found in its class's order."""
WITHOUT_DATA = (object, datetime.tzinfo)


@once_a_class
def data_base(cls: Any) -> type | None:
    """The built-in class below that holds data; None where there is none. Raises NotPlain where an
    instance holds what cannot be seen."""
    found = None
    for candidate in cls.__mro__:
        if candidate in BASES:
            found = found or candidate
        elif candidate not in WITHOUT_DATA and not _shows_all(candidate):
            raise NotPlain("%s.%s" % (cls.__module__, cls.__qualname__))
    return found


def _shows_all(cls: type) -> bool:
    """Whether instances hold no more of this class than `__dict__` and slots: a class statement
    made it, and not C."""
    if issubclass(cls, BaseException) and cls.__module__ == "builtins":
        return True
    if not cls.__flags__ & HEAP_TYPE or cls.__flags__ & IMMUTABLE_TYPE:
        return False
    own, above = vars(cls), cls.__base__
    slots = sum(isinstance(v, types.MemberDescriptorType) for v in own.values())
    seen = POINTER * (slots + ("__dict__" in own) + ("__weakref__" in own))
    return above is not None and cls.__basicsize__ - above.__basicsize__ <= seen


def fields_of(thing: Any) -> list[tuple[str, Any]]:
    """(name, value) of what `__dict__` and the slots of an instance hold."""
    found = list(_dict_of(thing).items())
    for slot in _slots(type(thing)):
        try:
            found.append((slot.__name__, slot.__get__(thing)))
        except AttributeError:  # empty
            pass
    return found


def set_fields(thing: Any, fields: list[tuple[str, Any]]) -> None:
    """Give an instance these fields and no others. Raises NotPlain."""
    own, left = _dict_of(thing), dict(fields)
    if len(left) != len(fields) or any(type(name) is not str for name in left):
        raise NotPlain("not typed data")
    for slot in _slots(type(thing)):
        if slot.__name__ in left:
            slot.__set__(thing, left.pop(slot.__name__))
        else:
            try:
                slot.__delete__(thing)
            except AttributeError:  # empty
                pass
    if left and _dict_getter(type(thing)) is None:
        raise NotPlain("%s has no such field" % values.described(thing))
    if own != left or list(own) != list(left):
        own.clear()
        own.update(left)


@once_a_class
def _slots(cls: Any) -> list[Any]:
    return [
        slot
        for candidate in cls.__mro__
        if candidate.__flags__ & HEAP_TYPE
        for slot in vars(candidate).values()
        if type(slot) is types.MemberDescriptorType
    ]


def _dict_of(thing: Any) -> dict[str, Any]:
    getter = _dict_getter(type(thing))
    if getter is not None:
        found: dict[str, Any] = getter.__get__(thing)
        return found
    return {}


@once_a_class
def _dict_getter(cls: Any) -> Any:
    """What reads `__dict__`, whatever a class has put before it; None where there is none."""
    for candidate in cls.__mro__:
        getter = vars(candidate).get("__dict__")
        if type(getter) in (types.GetSetDescriptorType, types.MemberDescriptorType):
            return getter
    return None
