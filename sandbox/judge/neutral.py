"""Values that cross the border of a jail, as they are seen out here: plain data as they are, and
neutral things for instances of the project's classes, names, and handles.

    args, kwargs = read_call(call_in(message))
    answer = read_answer(call, message)      # whatever an edit says: it is not to be trusted
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.jail.inside.values import Graph, Node, NotPlain, ReadNode, World, WriteNode, apart

PARTS_OF = ("args", "kwargs", "state", "heap")
"""Keys of a message that make a call."""
OF_PARTS = "parts"
PARTS = ("StringIO", "BytesIO", "Random", "opaque", "staticmethod", "classmethod", "property")
"""The `Instance.base`, and the kinds, of what has parts and no class name."""
STANDARD = "standard"
"""The `Instance.base` of what the standard library makes of parts, some of which are not here."""
VIEWS: dict[str, Callable[[dict], Any]] = {
    "mappingproxy": dict,
    "dict_keys": list,
    "dict_values": lambda d: list(d.values()),
    "dict_items": lambda d: list(d.items()),
}
"""{what shows a dict: what it shows}"""
UNFOLDED, LETTERS = 50_000, 2_000_000
"""Items and letters of a value, written out as a tree, above which nothing is tried with it."""


@dataclass(eq=False)
class Instance:
    """An instance of a class of the project's, or of the standard library's."""

    name: str
    """`module:qualified.name` of its class; of a lock or a text in memory, its kind."""
    base: str = ""
    """The built-in class below that holds data (`inside/objects.py`); "" where there is none."""
    parts: list = field(default_factory=list)
    """That data."""
    fields: dict[str, Any] = field(default_factory=dict)
    mirrored: Any = None
    """Its class, where that has crossed (`Mirrored`)."""
    inline: bool = False
    """Whether it is known by what it holds, and not by its identity."""


@dataclass(eq=False)
class Mirrored:
    """A class of the tests, which has crossed with all that stands in it."""

    name: str
    content: Node
    bases: list = field(default_factory=list)
    attributes: list[tuple[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Named:
    """What is known by its qualified name: a class, a function, a module, a constant."""

    name: str


@dataclass(frozen=True)
class Member:
    """A member of an enum."""

    name: str
    value: Any


@dataclass(eq=False)
class Handle:
    """Something that has stayed on its side."""

    kind: str
    about: dict
    number: int
    """In its exchange."""


class Neutral(World):
    """The border as it is seen out here."""

    def inline(self, value: Any, write: WriteNode) -> Node | None:
        if isinstance(value, Named):
            return ["name", value.name]
        if isinstance(value, Member):
            return ["enum", value.name, write(value.value)]
        if isinstance(value, Instance) and value.base == STANDARD:
            return [value.name, [write(part) for part in value.parts]]
        if isinstance(value, Instance) and value.inline:
            return ["subclass", value.name, [value.base, [write(part) for part in value.parts]]]
        return None

    def from_inline(self, kind: str, parts: Node, read: ReadNode) -> Any:
        if kind == "name" and isinstance(parts[0], str):
            return Named(parts[0])
        if kind == "enum" and isinstance(parts[0], str):
            return Member(parts[0], read(parts[1]))
        if kind == "subclass" and isinstance(parts[0], str):
            base, nodes = parts[1]
            return Instance(parts[0], str(base), [read(node) for node in nodes], inline=True)
        raise NotPlain("not typed data")

    def made(self, kind: str, parts: list) -> Any:
        # A pattern may take for ever to be compiled; a time may be in a zone of the project's; and
        # a view may hold what is compared by its parts.
        taken_apart = kind == "Pattern" or kind in VIEWS
        if taken_apart or any(isinstance(part, (Instance, Named)) for part in parts):
            return Instance(kind, STANDARD, parts, inline=True)
        return super().made(kind, parts)

    def content(self, value: Any, write: WriteNode) -> Node:
        if isinstance(value, Handle):
            return [value.kind, value.about]
        if isinstance(value, Mirrored):
            attributes = [[name, write(item)] for name, item in value.attributes]
            bases = [write(base) for base in value.bases]
            return ["class", value.content[1], bases, value.content[3], attributes]
        if not isinstance(value, Instance):
            raise NotPlain(type(value).__name__)
        if value.base == "lock":
            return ["lock", value.name]
        if value.base == OF_PARTS:
            return [value.name, *(write(part) for part in value.parts)]
        parts = [value.base, [write(part) for part in value.parts]] if value.base else None
        cls = write(value.mirrored) if value.mirrored else value.name
        return ["object", cls, parts, [[k, write(v)] for k, v in value.fields.items()]]

    def shell(self, graph: Graph, number: int, content: Node, read: ReadNode) -> Any:
        kind = content[0]
        if kind in ("callable", "iterator", "file"):
            return Handle(kind, content[1], number)
        if kind == "lock":
            return Instance(str(content[1]), "lock")
        if kind in PARTS:
            return Instance(kind, OF_PARTS)
        if kind == "class":
            return Mirrored(":".join(map(str, content[1])), content)
        if kind != "object":
            raise NotPlain("not typed data")
        base = str(content[2][0]) if content[2] else ""
        if isinstance(content[1], str):
            return Instance(content[1], base)
        cls = read(content[1])
        if not isinstance(cls, Mirrored):
            raise NotPlain("not typed data")
        return Instance(cls.name, base, mirrored=cls)

    def fill(self, thing: Any, content: Node, read: ReadNode) -> None:
        if isinstance(thing, Mirrored):
            thing.bases = [read(base) for base in content[2]]
            thing.attributes = [(str(name), read(node)) for name, node in content[4]]
        elif thing.base == OF_PARTS:
            thing.parts = [read(part) for part in content[1:]]
        elif thing.base != "lock":
            thing.parts = [read(node) for node in content[2][1]] if content[2] else []
            thing.fields = {str(name): read(node) for name, node in content[3]}


@dataclass(frozen=True)
class Answer:
    """What a call was answered with, decoded."""

    wire: dict
    """As it came."""
    value: Any = None
    raised: str | None = None
    """The class of the exception; None where there was a value."""
    exception: Instance | None = None
    after: tuple = ()
    """(args, kwargs, state) as the call left them, and what it told functions that say nothing."""
    fault: str = ""
    """Why there is neither."""


NO_ANSWER = Answer({}, fault="it said nothing of use")


def call_in(message: dict) -> dict:
    """The call in a message: what it is known by, and asked again with."""
    return {key: message[key] for key in PARTS_OF if key in message}


def key_of(data: Any) -> str:
    """What typed data is known by."""
    return json.dumps(data, sort_keys=True)


def read_call(call: dict) -> list:
    """[args, kwargs], and the state where there is one. Raises NotPlain."""
    return Graph(Neutral()).unpack(call, *_roots(call))


def write_call(values: list) -> dict:
    """The call of which `read_call` gives these."""
    return Graph(Neutral()).pack(**dict(zip(("args", "kwargs", "state"), values)))


def _roots(call: dict) -> list[str]:
    return ["args", "kwargs", *(["state"] if "state" in call else [])]


def read_answer(call: dict, message: Any) -> Answer:
    """An answer, decoded beside its call; one with a `fault` where it is none. Never raises: it may
    be an edit's."""
    if not isinstance(message, dict):
        return NO_ANSWER
    if "refused" in message or "gone" in message:
        return Answer(message, fault=str(message.get("refused", "it ended")))
    key = "raised" if "raised" in message else "value"
    try:
        graph = Graph(Neutral())
        args, kwargs, *_ = graph.unpack(call, *_roots(call))
        more = ["state"] * ("state" in call) + ["told"] * ("told" in message)
        value, *others = graph.unpack(message, key, *more)
        after = (args, kwargs, *others)
    except NotPlain as error:
        return Answer(message, fault=str(error))
    if key == "value":
        return Answer(message, value, after=after)
    if not isinstance(value, Instance):
        return Answer(message, fault="what was raised is no exception")
    return Answer(message, raised=value.name, exception=value, after=after)


def with_value(call: dict, answer: Answer, key: str, value: Any) -> Answer:
    """The same answer with another value; for the `key` "raised", with another exception. Raises
    NotPlain."""
    graph = Graph(Neutral())
    graph.unpack(call, *_roots(call))
    graph.unpack(answer.wire, "raised" if answer.raised else "value")
    added = graph.pack(**{key: value})
    wire = {k: v for k, v in answer.wire.items() if k not in ("value", "raised")}
    return read_answer(
        call, {**wire, key: added[key], "heap": [*answer.wire["heap"], *added["heap"]]}
    )


def has_handles(call: dict) -> bool:
    """Whether something in a call stayed on its side."""
    return any(content[0] in ("callable", "iterator", "file") for _, content in call["heap"])


def tree(value: Any) -> Any:
    """A copy of plain data in which nothing is twice. Raises NotPlain for what is not all plain, or
    large once it is written out, or has no end."""
    left, letters = [UNFOLDED], [LETTERS]

    def visit(thing: Any, depth: int) -> Any:
        thing = underneath(thing)
        left[0] -= 1
        letters[0] -= len(thing) if isinstance(thing, (str, bytes, bytearray)) else 0
        if left[0] < 0 or letters[0] < 0 or depth > 60:
            raise NotPlain("too large")
        if isinstance(thing, (list, tuple, set, frozenset)):
            return type(thing)([visit(item, depth + 1) for item in thing])
        if isinstance(thing, dict):
            return {visit(k, depth + 1): visit(v, depth + 1) for k, v in thing.items()}
        if isinstance(thing, (Instance, Mirrored, Named, Member, Handle)):
            raise NotPlain("no plain data")
        return thing

    return visit(value, 0)


def underneath(thing: Any) -> Any:
    """What an instance without fields is as plain data; itself where that cannot be said."""
    if not isinstance(thing, Instance) or thing.fields:
        return thing
    try:
        match thing.base:
            case "standard" if thing.name in VIEWS:
                return VIEWS[thing.name](thing.parts[0])
            case "dict" | "OrderedDict":
                apart([key for key, _ in thing.parts])
                return dict(thing.parts)
            case "defaultdict":
                apart([key for key, _ in thing.parts[1:]])
                return dict(thing.parts[1:])
            case "deque":
                return list(thing.parts[1:])
            case "list" | "tuple":
                return {"list": list, "tuple": tuple}[thing.base](thing.parts)
            case "set" | "frozenset":
                return {"set": set, "frozenset": frozenset}[thing.base](apart(thing.parts))
            case "str" | "bytes" | "int" | "float" | "complex":
                return thing.parts[0]
    except (TypeError, ValueError, IndexError):  # an edit's
        pass
    return thing
