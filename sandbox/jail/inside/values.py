"""Values as typed JSON, both ways: what may cross the border of the jail. Standard library only,
Python >= 3.9.

A message holds *nodes* and a *heap*. A node is a value that cannot change, written out, or the
number of one that can, or that is known by its identity; the heap has the content of these.

    Graph(world).pack(args=(1, [2.5]))
    == {"args": ["tuple", [["int", "1"], ["ref", 0]]],
        "heap": [[0, ["list", [["float", "0x1.4000000000000p+1"]]]]]}

Both sides of a conversation have a `Graph` and number things in the order in which these first
cross, so a number means the same thing on either side: what was one thing stays one, cycles are
possible, and a list that the other side has changed is changed here. Only contents that have
changed are sent again.

Plain data are None, bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset,
bytearray and what STANDARD lists: exactly these types. What else crosses, and as what, a `World`
knows. Never pickle: decoding gives what `World` allows, and runs no constructor of the project's.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
import re
import types
import uuid
import zoneinfo
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

LIMIT = 200_000
"""Largest size of a message, in items and characters together."""
DEPTH = 40
"""How deep values that cannot change may stand in each other."""
ALIKE = 200
"""How many keys may have one hash: a table of them takes the square of the time."""
Node = list[Any]
ReadNode = Callable[[Node], Any]
WriteNode = Callable[[Any], Node]


class NotPlain(ValueError):
    """The value may not cross, or is too large, or too deep."""


def _zone_parts(zone: datetime.timezone) -> tuple[Any, ...]:
    offset, name = zone.utcoffset(None), zone.tzname(None)
    return (offset,) if name == datetime.timezone(offset).tzname(None) else (offset, name)


def _time_parts(t: Any) -> tuple[Any, ...]:
    return t.hour, t.minute, t.second, t.microsecond, t.tzinfo, t.fold


def _date_time(year: int, month: int, day: int, *time: Any) -> datetime.datetime:
    return datetime.datetime(year, month, day, *time[:-1], fold=time[-1])


def _fraction(numerator: Any, denominator: Any) -> fractions.Fraction:
    if type(numerator) is not int or type(denominator) is not int:  # of a text: 1e999999999
        raise NotPlain("not typed data")
    return fractions.Fraction(numerator, denominator)


STANDARD: dict[type, tuple[str, Callable[[Any], tuple[Any, ...]], Callable[..., Any]]] = {
    complex: ("complex", lambda v: (v.real, v.imag), complex),
    range: ("range", lambda v: (v.start, v.stop, v.step), range),
    slice: ("slice", lambda v: (v.start, v.stop, v.step), slice),
    type(Ellipsis): ("Ellipsis", lambda v: (), lambda: Ellipsis),
    type(NotImplemented): ("NotImplemented", lambda v: (), lambda: NotImplemented),
    datetime.date: ("date", lambda v: (v.year, v.month, v.day), datetime.date),
    datetime.time: ("time", _time_parts, lambda *t: datetime.time(*t[:-1], fold=t[-1])),
    datetime.datetime: (
        "datetime",
        lambda v: (v.year, v.month, v.day, *_time_parts(v)),
        _date_time,
    ),
    datetime.timedelta: (
        "timedelta",
        lambda v: (v.days, v.seconds, v.microseconds),
        datetime.timedelta,
    ),
    datetime.timezone: ("timezone", _zone_parts, datetime.timezone),
    zoneinfo.ZoneInfo: ("ZoneInfo", lambda v: (v.key,), zoneinfo.ZoneInfo),
    decimal.Decimal: ("Decimal", lambda v: (str(v),), decimal.Decimal),
    fractions.Fraction: ("Fraction", lambda v: (v.numerator, v.denominator), _fraction),
    uuid.UUID: ("UUID", lambda v: (v.hex,), uuid.UUID),
    pathlib.PosixPath: ("PosixPath", lambda v: (str(v),), pathlib.PosixPath),
    pathlib.PurePosixPath: ("PurePosixPath", lambda v: (str(v),), pathlib.PurePosixPath),
    pathlib.PureWindowsPath: ("PureWindowsPath", lambda v: (str(v),), pathlib.PureWindowsPath),
    type({}.keys()): ("dict_keys", lambda v: (dict.fromkeys(v),), lambda d: d.keys()),
    type({}.values()): ("dict_values", lambda v: (dict(enumerate(v)),), lambda d: d.values()),
    type({}.items()): ("dict_items", lambda v: (dict(v),), lambda d: d.items()),
    types.MappingProxyType: ("mappingproxy", lambda v: (dict(v),), types.MappingProxyType),
    re.Pattern: ("Pattern", lambda v: (v.pattern, v.flags), re.compile),
}
"""{type: (name, the parts that make a value again, what makes it of them)}"""
MADE_OF_PARTS = {name: make for name, _, make in STANDARD.values()}
LEAVES: dict[str, Callable[[str], Any]] = {
    "bool": {"0": False, "1": True}.__getitem__,
    "int": int,
    "float": float.fromhex,
    "str": str,
    "bytes": bytes.fromhex,
}


def apart(items: Sequence[Any]) -> Sequence[Any]:
    """These, as they are. Raises NotPlain where too many have one hash."""
    if len(items) > ALIKE and max(Counter(map(hash, items)).values()) > ALIKE:
        raise NotPlain("too many things of one hash")
    return items


INLINE: dict[str, Callable[..., Any]] = {
    "tuple": tuple,
    "frozenset": lambda items: frozenset(apart(items)),
}
MUTABLE: dict[str, Callable[[], Any]] = {
    "list": list,
    "dict": dict,
    "set": set,
    "bytearray": bytearray,
}
PENDING, BEING_MADE = object(), object()
HANDLES = ("callable", "iterator", "file")
"""Kinds of things that stay on their side; the other one has something that asks for them."""
STAY = (*HANDLES, "class")
"""Kinds of which one side alone says what they hold."""


class World:
    """What crosses beside plain data: in this one, nothing."""

    def inline(self, value: Any, write: WriteNode) -> Node | None:
        """The node of a value that is written out; None where it has a number, and `content`."""
        return None

    def from_inline(self, kind: str, parts: Node, read: ReadNode) -> Any:
        """The value of a node that `inline` has written, or an equal one. Raises NotPlain."""
        raise NotPlain("not typed data")

    def made(self, kind: str, parts: list[Any]) -> Any:
        """The value of the standard library's that is made of these parts."""
        return MADE_OF_PARTS[kind](*parts)

    def content(self, value: Any, write: WriteNode) -> Node:
        """What there is to say of a value that has a number. Raises NotPlain."""
        raise NotPlain(described(value))

    def shell(self, graph: Graph, number: int, content: Node, read: ReadNode) -> Any:
        """A new thing of this content's kind, still empty unless it is made of what is in it.
        Raises NotPlain."""
        raise NotPlain("not typed data")

    def fill(self, thing: Any, content: Node, read: ReadNode) -> None:
        """Give a thing this content. Raises NotPlain."""
        raise NotPlain("not typed data")


class Graph:
    """What both sides of one exchange know by number."""

    def __init__(self, world: World, exchange: int = 0) -> None:
        """`exchange`: its number in a conversation."""
        self.world, self.exchange = world, exchange
        self.objects: list[Any] = []
        self.theirs: set[int] = set()
        """Numbers of what stays on the other side."""
        self._contents: list[Node] = []
        """As they were sent or received last."""
        self._numbers: dict[int, int] = {}
        """{id: number}"""
        self._left = 0

    def handle_kind(self, number: int) -> str:
        """As what a thing crossed that stays on this side; "" of any other."""
        kind = self._contents[number][0]
        return kind if kind in HANDLES and number not in self.theirs else ""

    @property
    def has_handles(self) -> bool:
        """Whether either side can ask the other for something of this exchange."""
        return any(content[0] in HANDLES for content in self._contents)

    # ---- out

    def pack(self, **roots: Any) -> dict[str, Any]:
        """These values as nodes, with the heap. Raises NotPlain, or what an iterator raises that is
        gone through; then nothing has crossed."""
        objects, contents = len(self.objects), list(self._contents)
        try:
            return self._packed(roots)
        except BaseException:
            for thing in self.objects[objects:]:
                del self._numbers[id(thing)]
            del self.objects[objects:]
            self._contents = contents
            raise

    def _packed(self, roots: dict[str, Any]) -> dict[str, Any]:
        self._left = LIMIT
        message: dict[str, Any] = {key: self._node(value, 0) for key, value in roots.items()}
        heap: list[Node] = []
        number = 0
        while number < len(self.objects):
            content = self._content(number)
            if number == len(self._contents):
                self._contents.append(content)
                heap.append([number, content])
            elif content != self._contents[number]:
                self._contents[number] = content
                heap.append([number, content])
            number += 1
        return {**message, "heap": heap}

    def _node(self, value: Any, depth: int) -> Node:
        kind = type(value)
        self._spend(1 + (len(value) if kind in (str, bytes) else 0), depth)
        if value is None:
            return ["None"]
        if kind in (bool, int):
            if value.bit_length() > 4000:
                raise NotPlain("a very large number")
            return [kind.__name__, str(int(value))]
        if kind is float:
            return ["float", value.hex()]
        if kind is str:
            return ["str", value]
        if kind is bytes:
            return ["bytes", value.hex()]
        if kind in (tuple, frozenset):
            return [kind.__name__, self._items(value, depth, kind is frozenset)]
        if kind in STANDARD:
            name, parts, _ = STANDARD[kind]
            return [name, self._items(parts(value), depth, False)]
        number = self._numbers.get(id(value))
        if number is None:
            node = self.world.inline(value, lambda part: self._node(part, depth + 1))
            if node is not None:
                return node
            number = self._register(value)
        return ["ref", number]

    def _items(self, items: Any, depth: int, unordered: bool) -> list[Node]:
        nodes = [self._node(item, depth + 1) for item in items]
        return sorted(nodes, key=repr) if unordered else nodes

    def _content(self, number: int) -> Node:
        value = self.objects[number]
        if number in self.theirs:
            return self._contents[number]
        kind = type(value)
        if kind is list or kind is set:
            return [kind.__name__, self._items(value, 0, kind is set)]
        if kind is dict:
            return ["dict", [[self._node(k, 1), self._node(v, 1)] for k, v in value.items()]]
        if kind is bytearray:
            self._spend(len(value), 0)
            return ["bytearray", value.hex()]
        return self.world.content(value, lambda part: self._node(part, 1))

    def _spend(self, amount: int, depth: int) -> None:
        self._left -= amount
        if self._left < 0 or depth > DEPTH:
            raise NotPlain("too large or too deep")

    def _register(self, value: Any) -> int:
        number = len(self.objects)
        self.objects.append(value)
        self._numbers[id(value)] = number
        return number

    # ---- in

    def unpack(self, message: dict[str, Any], *keys: str) -> list[Any]:
        """The values under these keys, once this side has what the heap says. Raises NotPlain for
        anything that `pack` cannot have written, and is of no use afterwards."""
        self._left = 2 * LIMIT
        try:
            heap = self._checked(message["heap"])
            new = [entry for entry in heap if entry[0] >= len(self.objects)]
            self.objects += [PENDING] * len(new)
            self._contents += [content for _, content in new]
            for number, _ in new:
                self._made(number)
            for number, content in sorted(heap, key=_hashes_others):
                self._fill(number, content)
            return [self._value(message[key], 0) for key in keys]
        except NotPlain:
            raise
        except Exception as error:  # hashes and comparisons may be the project's
            raise NotPlain("%s: %s" % (type(error).__name__, error)) from None

    def _checked(self, heap: Any) -> list[tuple[int, Node]]:
        known, found = len(self.objects), []
        for number, content in heap:
            if type(number) is not int or type(content) is not list or not content:
                raise NotPlain("not typed data")
            if 0 <= number < len(self.objects):
                stays = content[0] in HANDLES or (
                    content[0] == "class" and number not in self.theirs
                )
                if stays or _kind(content) != _kind(self._contents[number]):
                    raise NotPlain("a thing has become another one")
            elif number != known:
                raise NotPlain("not typed data")
            known += number == known
            found.append((number, content))
        return found

    def _made(self, number: int) -> Any:
        """The thing of this number, made now where it is still to be: another may be made of it."""
        if self.objects[number] is BEING_MADE:
            raise NotPlain("a thing is made of itself")
        if self.objects[number] is PENDING:
            self.objects[number] = BEING_MADE
            self.objects[number] = thing = self._shell(number, self._contents[number])
            self._numbers[id(thing)] = number
        return self.objects[number]

    def _shell(self, number: int, content: Node) -> Any:
        if content[0] in MUTABLE:
            return MUTABLE[content[0]]()
        if content[0] in STAY:
            self.theirs.add(number)
        return self.world.shell(self, number, content, lambda node: self._value(node, 1))

    def _fill(self, number: int, content: Node) -> None:
        thing, kind = self.objects[number], content[0]
        self._contents[number] = content
        if kind == "list":
            thing[:] = [self._value(item, 0) for item in content[1]]
        elif kind == "set":
            items = [self._value(item, 0) for item in content[1]]
            thing.clear()
            thing.update(apart(items))
        elif kind == "dict":
            pairs = [(self._value(key, 1), self._value(item, 1)) for key, item in content[1]]
            apart([key for key, _ in pairs])
            thing.clear()
            thing.update(pairs)
        elif kind == "bytearray":
            thing[:] = bytes.fromhex(content[1])
        elif kind not in HANDLES:
            self.world.fill(thing, content, lambda node: self._value(node, 1))

    def _value(self, node: Any, depth: int) -> Any:
        if type(node) is not list or not node:
            raise NotPlain("not typed data")
        kind = node[0]
        self._spend(1, depth)
        if kind == "None":
            return None
        if kind == "ref":
            if type(node[1]) is not int or not 0 <= node[1] < len(self.objects):
                raise NotPlain("not typed data")
            return self._made(node[1])
        if kind in LEAVES:
            if type(node[1]) is not str:
                raise NotPlain("not typed data")
            return LEAVES[kind](node[1])
        if kind in INLINE:
            return INLINE[kind]([self._value(item, depth + 1) for item in node[1]])
        if kind in MADE_OF_PARTS:
            return self.world.made(kind, [self._value(part, depth + 1) for part in node[1]])
        return self.world.from_inline(kind, node[1:], lambda part: self._value(part, depth + 1))


def _kind(content: Node) -> Any:
    """What of a content never changes: of an instance, its class too."""
    return content[:2] if content[0] in ("object", "class") else content[0]


def _hashes_others(entry: tuple[int, Node]) -> int:
    """What asks others for their hash is filled after these have theirs."""
    content = entry[1]
    return int(content[0] in ("set", "dict") or content[0] == "object" and content[2] is not None)


def described(value: Any) -> str:
    """A type in words, for why it does not cross."""
    kind = type(value)
    return "%s.%s" % (kind.__module__, kind.__qualname__)


def dump(value: Any, world: World | None = None) -> dict[str, Any]:
    """One value as a message of its own. Raises NotPlain."""
    return Graph(world or World()).pack(value=value)


def load(message: dict[str, Any], world: World | None = None) -> Any:
    """The value that `dump` was given. Raises NotPlain."""
    return Graph(world or World()).unpack(message, "value")[0]
