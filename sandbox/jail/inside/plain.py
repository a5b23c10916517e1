"""Plain data as typed JSON, both ways: what may cross the border of the jail. Standard library
only, Python >= 3.9.

    encode((1, [2.5])) == ["tuple", [["int", "1"], ["list", [["float", "0x1.4000000000000p+1"]]]]]

Plain are None, bool, int, float, str, bytes, and list, tuple, dict, set and frozenset of these:
exactly these types, no subclass. Never pickle: decoding can give nothing but these types. An edit's
own answers may be of subclasses (a Counter where the tests want a dict): they cross as what they
are underneath, and other numbers as the number that they are.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

LIMIT = 200_000
"""Largest encoded size, in items and characters together."""
DEPTH = 40
PLAIN = (bool, int, float, str, bytes, list, tuple, dict, set, frozenset)
SEQUENCES: dict[str, Callable[..., Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}
READ: dict[str, Callable[[str], Any]] = {"int": int, "float": float.fromhex, "bytes": bytes.fromhex}


class NotPlain(ValueError):
    """The value is no plain data, or too large, or too deep."""


def encode(value: Any, subclasses: bool = False) -> list[Any]:
    """`value` as nested lists of strings; of a subclass as of its plain base, where `subclasses`
    are allowed. Raises NotPlain."""
    budget = [LIMIT]

    def visit(thing: Any, depth: int) -> list[Any]:
        kind = type(thing)
        if subclasses and kind not in PLAIN:
            kind = plain_base(thing)
            thing = kind(thing) if kind in PLAIN else thing
        budget[0] -= 1 + (len(thing) if kind in (str, bytes) else 0)
        if budget[0] < 0 or depth > DEPTH:
            raise NotPlain("too large or too deep")
        if thing is None:
            return ["None"]
        if kind in (bool, int):
            if kind is int and thing.bit_length() > 4000:
                raise NotPlain("a very large number")
            return [kind.__name__, str(int(thing))]
        if kind is float:
            return ["float", thing.hex()]
        if kind is str:
            return ["str", thing]
        if kind is bytes:
            return ["bytes", thing.hex()]
        if kind in (list, tuple):
            return [kind.__name__, [visit(item, depth + 1) for item in thing]]
        if kind in (set, frozenset):
            return [kind.__name__, sorted((visit(item, depth + 1) for item in thing), key=repr)]
        if kind is dict:
            return [
                "dict",
                [[visit(key, depth + 1), visit(item, depth + 1)] for key, item in thing.items()],
            ]
        raise NotPlain("%s.%s" % (kind.__module__, kind.__qualname__))

    return visit(value, 0)


def plain_base(thing: Any) -> type:
    """The plain type that its own is a subclass of, or that says the same number; else its own."""
    kind = type(thing)
    for base in kind.__mro__:
        if base in PLAIN:
            return base
    if isinstance(thing, numbers.Integral):
        return int
    return float if isinstance(thing, numbers.Real) else kind


def decode(data: Any) -> Any:
    """The value that `encode` was given. Raises NotPlain for anything that it cannot have
    written."""
    try:
        return _decode(data, 0)
    except (TypeError, ValueError, OverflowError, IndexError, KeyError, AttributeError) as error:
        raise NotPlain(str(error)) from None


def _decode(data: Any, depth: int) -> Any:
    if type(data) is not list or depth > DEPTH:
        raise NotPlain("not typed data")
    if data == ["None"]:
        return None
    kind, content = data
    if kind in ("list", "tuple", "set", "frozenset"):
        return SEQUENCES[kind]([_decode(item, depth + 1) for item in content])
    if kind == "dict":
        return {_decode(key, depth + 1): _decode(item, depth + 1) for key, item in content}
    if type(content) is not str:
        raise NotPlain("not typed data")
    if kind == "str":
        return content
    if kind == "bool":
        return {"0": False, "1": True}[content]
    if kind in READ:
        return READ[kind](content)
    raise NotPlain("not typed data")
