"""Things that stay on their side of the border, and a conversation about them. Standard library
only, Python >= 3.9.

A function, a method, an iterator or an open file does not cross: the other side gets something that
asks for it, once for each use and in order. Whoever is asked may ask back before it answers, so the
two sides take turns and nobody ever waits for both.

    peer.request({"request": "use", "exchange": 3, "number": 0, "what": "next", ...}) -> the answer

A message with "request" is one; any other is an answer: {"value": node, "heap"}, {"raised": node,
"heap"}, or {"refused": why}.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, NoReturn

import names
import objects
import values
from values import Graph, Node, NotPlain

MAX_CALLS, MAX_KEPT, MAX_REQUESTS, MAX_DEPTH = 20_000, 2_000, 50_000, 40
"""Of one conversation: calls of the function, such as have left handles, questions, and how many of
this side's may be open at a time."""
USES: dict[str, tuple[str, ...]] = {
    "callable": ("call",),
    "iterator": ("next", "send", "throw", "close"),
    "file": (
        *("read", "readline", "readlines", "write", "writelines", "seek", "tell", "flush"),
        *("close", "next", "readable", "writable", "seekable", "truncate", "getvalue"),
    ),
}
"""What may be asked of a handle, by its kind."""
Message = dict[str, Any]


class Trouble(BaseException):
    """The conversation cannot go on. No `except Exception` of a test or of the project hides it."""


class Peer:
    """One side of a conversation."""

    def __init__(
        self, ask: Callable[[Any], Any], world: objects.Objects, state: tuple[str, ...] = ()
    ) -> None:
        """`ask` sends a message and gives the next one that comes; `state`: qualified names of
        globals and class attributes that cross with every message."""
        self._ask, self._world, self.state = ask, world, state
        world.remote = self._remote
        self.graphs: dict[int, Graph] = {}
        self.trouble = ""
        """Why it cannot go on."""
        self.told: list[tuple[str, Any]] | None = None
        """(what it is known by, arguments) of calls to recorded functions that only ever gave None:
        what they were told is all that there is to them. None: nobody wants to know."""
        self.turn = threading.RLock()
        """Of a thread that asks."""
        self._begun = self._requests = self._depth = 0
        self._busy = False

    def begin(self, number: int | None = None) -> int:
        """A new exchange; its number. Raises Trouble."""
        number = self._begun if number is None else number
        if number != self._begun or number >= MAX_CALLS or len(self.graphs) >= MAX_KEPT:
            self.fail("too many calls")
        self._begun += 1
        self.graphs[number] = Graph(self._world, number)
        return number

    def forget(self) -> None:
        """Begin anew."""
        self.graphs.clear()
        self._begun = self._requests = 0

    def end(self, number: int) -> None:
        """Forget an exchange of which nothing can be asked any more."""
        if not self.graphs[number].has_handles:
            del self.graphs[number]

    def fail(self, why: str) -> NoReturn:
        """Give up. Raises Trouble."""
        self.trouble = self.trouble or why
        raise Trouble(self.trouble)

    def request(self, exchange: int, message: Message, **roots: Any) -> Any:
        """The value that the other side answers. Raises what it raised, or Trouble."""
        with self.turn:
            if self._busy:
                self.fail("a value is compared or hashed by the function itself")
            if self.trouble:
                self.fail(self.trouble)
            self._requests += 1
            self._depth += 1
            try:
                if self._requests > MAX_REQUESTS or self._depth > MAX_DEPTH:
                    self.fail("too many questions")
                try:
                    packed = self.pack(exchange, **roots)
                except NotPlain as error:
                    self.fail("an argument is no plain data: %s" % error)
                reply = self._ask({**message, "exchange": exchange, **packed})
                while isinstance(reply, dict) and "request" in reply:
                    reply = self._ask(self.serve(reply))
                return self._outcome(exchange, reply)
            finally:
                self._depth -= 1

    def _outcome(self, exchange: int, reply: Any) -> Any:
        if not isinstance(reply, dict) or "refused" in reply or "gone" in reply:
            self.fail(str(reply.get("refused", "it ended")) if isinstance(reply, dict) else "none")
        what = "raised" if "raised" in reply else "value"
        try:
            (value,) = self.unpack(exchange, reply, what)
        except NotPlain as error:
            self.fail("an answer is no plain data: %s" % error)
        if what == "value":
            return value
        if not isinstance(value, (Exception, SystemExit)):
            self.fail("what was raised is no exception")
        raise value

    def pack(self, exchange: int, **roots: Any) -> Message:
        """These values, with the state, as a message of an exchange. Raises NotPlain."""
        if self.state:
            roots["state"] = tuple(names.resolved_name(name) for name in self.state)
        if self.told:  # in any order
            roots["told"] = tuple(told for _, told in sorted(self.told, key=lambda pair: pair[0]))
        self._busy = True
        try:
            return self.graphs[exchange].pack(**roots)
        finally:
            self._busy = False

    def unpack(self, exchange: int, message: Message, *keys: str) -> list[Any]:
        """The values of a message; its state is put in place. Raises NotPlain."""
        self._busy = True
        try:
            found = self.graphs[exchange].unpack(message, *keys, *["state"] * bool(self.state))
        finally:
            self._busy = False
        if self.state:
            names.set_state(self.state, found.pop())
        return found

    def serve(self, message: Message) -> Message:
        """The answer to a request of the other side about a handle that is here."""
        try:
            exchange, number, what = message["exchange"], message["number"], message["what"]
            graph = self.graphs[exchange]
            if type(number) is not int or what not in USES.get(graph.handle_kind(number), ()):
                return {"refused": "it asked for what it was not given"}
            self._requests += 1
            if self._requests > MAX_REQUESTS:
                return {"refused": "too many questions"}
            thing = graph.objects[number]
            args, kwargs = self.unpack(exchange, message, "args", "kwargs")
            use = use_of(thing, what)
        except (KeyError, IndexError, TypeError, NotPlain, AttributeError) as error:
            return {"refused": "a question is no plain data: %s" % error}
        return self.answer(exchange, use, args, kwargs)

    def answer(
        self, exchange: int, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Message:
        """The answer of a function to a call, as a message."""
        outcome: dict[str, Any]
        try:
            outcome = {"value": function(*args, **kwargs)}
        except (Exception, SystemExit) as error:
            outcome = {"raised": error}
        except Trouble:
            return {"refused": self.trouble}
        try:
            try:
                return self.pack(exchange, **outcome)
            except NotPlain:
                raise
            except (Exception, SystemExit) as error:  # of an iterator that is read only now
                return self.pack(exchange, raised=error)
        except NotPlain as error:
            return {"refused": "a result is no plain data: %s" % error}

    def _remote(self, graph: Graph, number: int, content: Node) -> Any:
        """What stands here for a handle of the other side."""
        if "script" in content[1]:
            return scripted(content, self._world, self.told)

        def use(what: str, *args: Any, **kwargs: Any) -> Any:
            message = {"request": "use", "number": number, "what": what}
            return self.request(graph.exchange, message, args=args, kwargs=kwargs)

        return stand_in(content, use)


def use_of(thing: Any, what: str) -> Callable[..., Any]:
    """The function by which a handle's thing is used in one of the USES of its kind."""
    if what == "call":
        called: Callable[..., Any] = thing
        return called
    if what == "next":
        return lambda: next(thing)
    if what in ("send", "throw") and not hasattr(thing, what):
        return lambda *args: next(thing)
    if what == "close" and not hasattr(thing, what):
        return lambda: None
    method: Callable[..., Any] = getattr(thing, what)
    return method


def stand_in(content: Node, use: Callable[..., Any]) -> Any:
    """A function, an iterator or a file whose every use is `use(what, *args)`."""
    kind, about = content
    made: Any
    if kind == "callable":

        def called(*args: Any, **kwargs: Any) -> Any:
            return use("call", *args, **kwargs)

        made = called
    elif kind == "iterator" and about.get("generator") is True:
        made = _generator(use)
    else:
        return Remote(kind, use)
    for name in ("__name__", "__qualname__", *["__doc__"] * (kind == "callable")):
        if type(about.get(name)) is str:
            setattr(made, name, about[name])
    return made


def _generator(use: Callable[..., Any]) -> Generator[Any, Any, Any]:
    """A generator that is another one."""
    what: tuple[Any, ...] = ("next",)
    while True:
        try:
            item = use(*what)
        except StopIteration as stop:
            return stop.value
        try:
            sent = yield item
            what = ("next",) if sent is None else ("send", sent)
        except GeneratorExit:
            use("close")
            raise
        except Exception as error:
            what = ("throw", error)


class Remote:
    """An iterator or a file of the other side."""

    def __init__(self, kind: str, use: Callable[..., Any]) -> None:
        self._use = use
        if kind == "file":
            for name in USES["file"]:
                setattr(self, name, lambda *args, name=name: use(name, *args))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._use("next")

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._use("close")


# ---------------------------------------------------------------------------------- recorded handles


def scripted(content: Node, world: values.World, told: list[tuple[str, Any]] | None = None) -> Any:
    """What stands for a handle of which is known what it did: an iterator over its items; a
    function that answers what it has answered, and to what it was never asked one of its answers,
    chosen by the question. `told`: as of `Peer`."""
    script = content[1]["script"]
    if content[0] == "iterator":
        return iter(values.load(script, world))
    table = {key: answer for key, answer in script["answers"]}
    answers = [answer for _, answer in script["answers"]]
    says_nothing = all(answer.get("value") == ["None"] for answer in answers)

    def called(*args: Any, **kwargs: Any) -> Any:
        if script.get("gives its argument"):
            return args[0]
        key = question(args, kwargs, world)
        if told is not None and answers and says_nothing:
            told.append((key, (args, kwargs)))
        if key not in table and not answers:
            raise LookupError("nobody knows what it would answer")
        drawn = int(hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8], 16)
        answer = table.get(key) or answers[drawn % len(answers)]
        what = "raised" if "raised" in answer else "value"
        (value,) = Graph(world).unpack(answer, what)
        if what == "raised":
            raise value
        return value

    return called


def question(args: Any, kwargs: Any, world: values.World) -> str:
    """What a call is known by."""
    return json.dumps(Graph(world).pack(args=tuple(args), kwargs=dict(kwargs)), sort_keys=True)
