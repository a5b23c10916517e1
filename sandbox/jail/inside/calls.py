"""Calls to one function as plain data: made, recorded, and passed on to somebody else. Standard
library only, Python >= 3.9.

A call is {"args", "kwargs"}, an answer {"value", "after"} or {"raised", "after"}: the result, or
the names of the exception's classes from the innermost out; and the arguments as the call left
them. All in the typed JSON of `plain.py`.
"""

from __future__ import annotations

import builtins
import collections
import collections.abc
import itertools
import types
from collections.abc import Callable
from typing import Any

import plain

GONE_THROUGH = (collections.abc.Iterator, collections.abc.MappingView, collections.deque, range)
MAX_CALLS = 400
MARK = "coldstart: the hook"
Hook = Callable[..., Any]
"""What is called with (args, kwargs) in the place of a function."""


def _trampoline_code(hook: Hook) -> types.CodeType:
    """The code of a function of any arguments that calls `hook(args, kwargs)`; the hook is a
    constant of the code, so nothing in the function's own module has to be changed."""
    source = (
        "def trampoline(*args, **kwargs):\n    hook = %r\n    return hook(args, kwargs)\n" % MARK
    )
    module = compile(source, "<coldstart>", "exec")
    code = next(c for c in module.co_consts if isinstance(c, types.CodeType))
    return code.replace(co_consts=tuple(hook if c == MARK else c for c in code.co_consts))


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
    if hook is not None:
        function.__code__ = _trampoline_code(hook)
        function.__defaults__ = function.__kwdefaults__ = None
    return original


def encoded(
    args: tuple[Any, ...], kwargs: dict[str, Any], subclasses: bool = False
) -> dict[str, Any]:
    """The arguments of a call. Raises plain.NotPlain."""
    return {
        "args": plain.encode(list(args), subclasses),
        "kwargs": plain.encode(dict(kwargs), subclasses),
    }


def called(
    function: Callable[..., Any], call: dict[str, Any], subclasses: bool = False
) -> dict[str, Any]:
    """The answer of `function` to a call; {"not plain": what} where the answer is no plain data.
    `subclasses` as `plain.encode`; with them, what can only be gone through is a list."""
    args, kwargs = plain.decode(call["args"]), plain.decode(call["kwargs"])
    try:
        value = function(*args, **kwargs)
        if subclasses and isinstance(value, GONE_THROUGH):
            items: Any = value
            value = list(itertools.islice(items, plain.LIMIT))
        result = {"value": value}
    except Exception as error:
        result = {"raised": [c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"]}
    try:
        if "value" in result:
            result["value"] = plain.encode(result["value"], subclasses)
        return dict(result, after=encoded(args, kwargs, subclasses))
    except plain.NotPlain as error:
        return {"not plain": str(error)}


class Recorder:
    """A hook that notes the outermost calls and their answers, and says in `trouble` why it could
    not."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self.original, self.trouble, self.depth = original, "", 0
        self.calls: list[list[Any]] = []
        """[call, answer]"""

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.depth or self.trouble:
            return self.original(*args, **kwargs)
        try:
            call = encoded(args, kwargs)
        except plain.NotPlain as error:
            self.trouble = "an argument is no plain data: %s" % error
            return self.original(*args, **kwargs)
        self.depth += 1
        try:
            result = self.original(*args, **kwargs)
            answer = {"value": result}
            return result
        except Exception as error:
            answer = {
                "raised": [c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"]
            }
            raise
        finally:
            self.depth -= 1
            self._note(call, answer, args, kwargs)

    def _note(
        self,
        call: dict[str, Any],
        answer: dict[str, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        try:
            if "value" in answer:
                answer["value"] = plain.encode(answer["value"])
            answer["after"] = encoded(args, kwargs)
        except plain.NotPlain as error:
            self.trouble = "a result is no plain data: %s" % error
            return
        if len(self.calls) < MAX_CALLS:
            self.calls.append([call, answer])


class Stub:
    """A hook that puts every call as a question and behaves as the answer says. It never runs the
    function."""

    def __init__(self, ask: Callable[[Any], Any]) -> None:
        self.ask = ask

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        answer = self.ask(encoded(args, kwargs))
        if not isinstance(answer, dict) or "after" not in answer:
            raise RuntimeError("the worker gave no plain answer")
        for mine, after in zip(args, plain.decode(answer["after"]["args"])):
            _become(mine, after)
        for name, after in plain.decode(answer["after"]["kwargs"]).items():
            _become(kwargs.get(name), after)
        if "raised" in answer:
            raise _exception(answer["raised"])("raised by the worker")
        return plain.decode(answer["value"])


def _become(mine: Any, after: Any) -> None:
    """Give a mutable argument the content that the call left it with."""
    if type(mine) is not type(after) or mine == after:
        return
    if type(mine) is list:
        mine[:] = after
    elif type(mine) in (dict, set):
        mine.clear()
        mine.update(after)


def _exception(names: list[str]) -> type[Exception]:
    """The innermost of these built-in exception classes."""
    for name in names:
        found = getattr(builtins, name, None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    return RuntimeError
