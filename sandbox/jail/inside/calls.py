"""Calls to one function: passed on to somebody else, and answered. Standard library only,
Python >= 3.9.

What crosses is described in `values.py`, `objects.py` and `handles.py`. A call is a request with
"args" and "kwargs"; "function" beside them says that it is the function under test that is called.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import handles
import names
from objects import Allowed, Objects
from values import NotPlain

MARK = "coldstart: the hook"
DRAINED = 256
"""Items of an iterator that are compared where nobody asks for them one by one."""
Hook = Callable[..., Any]
"""What is called with (args, kwargs) in the place of a function."""
Message = dict[str, Any]


def _trampoline_code(hook: Hook, original: types.CodeType) -> types.CodeType:
    """The code of a function of any arguments that calls `hook(args, kwargs)`; the hook is a
    constant of the code, so nothing in the function's own module has to be changed."""
    source = (
        "def trampoline(*args, **kwargs):\n    hook = %r\n    return hook(args, kwargs)\n" % MARK
    )
    module = compile(source, "<coldstart>", "exec")
    code = next(c for c in module.co_consts if isinstance(c, types.CodeType))
    constants = tuple(hook if c == MARK else c for c in code.co_consts)
    # As many free variables as the function has: a method that says super() has its class.
    return code.replace(co_consts=constants, co_freevars=original.co_freevars)


def replace(function: Any, hook: Hook | None) -> Callable[..., Any]:
    """Let every call of `function`, from wherever, go to `hook(args, kwargs)` (None: change
    nothing). Returns a function that does what it did before."""
    original = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    original.__kwdefaults__ = function.__kwdefaults__
    original.__qualname__ = function.__qualname__
    if hook is not None:
        function.__code__ = _trampoline_code(hook, function.__code__)
        function.__defaults__ = function.__kwdefaults__ = None
    return original


class Stub(handles.Peer):
    """A hook that puts every call as a question and behaves as the answer says. It never runs the
    function."""

    def __init__(
        self,
        ask: Callable[[Any], Any],
        function: Any,
        is_hidden: Callable[[str], bool],
        request: dict[str, Any],
    ) -> None:
        """`request`: {"allowed": what of it an answer may name ({"classes", "names"}; None: it is
        trusted), "state": names, "watch": whether to note what state changes}."""
        world = Objects(is_hidden, allowed_of(request))
        super().__init__(ask, world, tuple(request.get("state", ())))
        self._watch = Watch(function) if request.get("watch") else None

    @property
    def changed(self) -> list[str]:
        """What of the state was not as it is at first when a call began, as far as it is
        watched."""
        return sorted(self._watch.changed) if self._watch else []

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self.turn:  # of several threads, one after the other
            if self._watch:
                self._watch.look()
            exchange = self.begin()
            try:
                return self.request(exchange, {"request": "call"}, args=args, kwargs=kwargs)
            finally:
                self.end(exchange)


class Worker(handles.Peer):
    """Answers calls to a function that is here."""

    def __init__(
        self, ask: Callable[[Any], Any], function: Callable[..., Any], request: dict[str, Any]
    ) -> None:
        """`request` as of `Stub`, with what is taken on the other side."""
        # What comes is trusted. What goes is of classes that are taken there, as far as it can be.
        world = Objects(lenient=True, taken=allowed_of(request))
        super().__init__(ask, world, tuple(request.get("state", ())))
        self._function, self._alone = function, Alone(function, request)
        self._watch = Watch(function) if request.get("watch") else None

    def serve(self, message: Message) -> Message:
        if message.get("request") != "call":
            return super().serve(message)
        if message.get("alone"):
            return self._alone.answer(message)
        if message["exchange"] == 0:  # the tests run once more
            self.forget()
        try:
            exchange = self.begin(message["exchange"])
            args, kwargs = self.unpack(exchange, message, "args", "kwargs")
        except (NotPlain, handles.Trouble) as error:
            return {"refused": "a call is no plain data: %s" % error}
        if self._watch:
            self._watch.begin()
        answer = self.answer(exchange, self._function, args, kwargs)
        if self._watch:
            self._watch.look()
            answer["changed"] = sorted(self._watch.changed)
        self.end(exchange)
        return answer


class Watch:
    """Notes which state of a function's module changes."""

    def __init__(self, function: Any) -> None:
        self._module = sys.modules[function.__module__]
        self.changed: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """From now on."""
        self._before = names.state_of(self._module)

    def look(self) -> None:
        now = names.state_of(self._module)
        self.changed |= {n for n in (*self._before, *now) if now.get(n) != self._before.get(n)}


class Alone:
    """Answers calls about which nobody can be asked: what handles there are, are recorded ones, and
    iterators are lists."""

    def __init__(
        self,
        function: Callable[..., Any],
        request: dict[str, Any],
        is_hidden: Callable[[str], bool] = lambda file: False,
    ) -> None:
        """`request` as of `Stub`."""
        taken = allowed_of(request)
        self._world = Objects(is_hidden, lenient=True, taken=taken, drained=DRAINED)
        self._function, self._state = function, tuple(request.get("state", ()))

    def answer(self, message: Message) -> Message:
        peer = handles.Peer(_nobody, self._world, self._state)
        exchange = peer.begin()
        try:
            peer.told = []
            args, kwargs = peer.unpack(exchange, message, "args", "kwargs")
            return peer.answer(exchange, self._function, args, kwargs)
        except (NotPlain, handles.Trouble) as error:
            return {"refused": "a call is no plain data: %s" % error}


def allowed_of(request: dict[str, Any]) -> Allowed | None:
    allowed = request.get("allowed")
    return Allowed(allowed["classes"], allowed["names"]) if allowed else None


def _nobody(message: Any) -> Any:
    return {"refused": "nobody is there to be asked"}
