"""What functions were seen to do while tests ran: plain arguments and plain values, as Python
writes them. Standard library and pytest, Python >= 3.9.

A call is noted where all that it is given and what it gives can be written down: no objects of the
project, no functions. Arguments are written before the function can change them. A call that gives
None is passed over, for one that raises looks the same to the interpreter's profiling hook.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import inspect
import math
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from suite import Places

MAX_CALLS, MAX_CALLERS = 60, 40
"""Different calls that are noted of a function, and places that it is called from."""
MAX_TEXT, MAX_DEPTH = 400, 20
"""Characters of one argument or value, and how deep it may be."""
BY_REPR = (type(None), bool, int, str, bytes, bytearray, complex)
DATES = (datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone)
NUMBERS = (decimal.Decimal, fractions.Fraction)
BRACKETS: dict[type, str] = {list: "[%s]", tuple: "(%s)", set: "{%s}", frozenset: "frozenset({%s})"}
NO_FUNCTION = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class NotPlain(Exception):
    """Raised for what cannot be written down."""


def literal(value: Any, depth: int = 0) -> str:
    """Python source that gives an equal value. Raises NotPlain."""
    kind = type(value)
    if depth > MAX_DEPTH:
        raise NotPlain
    if kind in BY_REPR or kind is float and math.isfinite(value):
        text = repr(value)
    elif kind in DATES and type(getattr(value, "tzinfo", None)) in (type(None), datetime.timezone):
        text = repr(value)
    elif kind in NUMBERS:
        text = "%s.%r" % (kind.__module__, value)
    elif kind is dict:
        pairs = (
            "%s: %s" % (literal(k, depth + 1), literal(v, depth + 1)) for k, v in value.items()
        )
        text = "{%s}" % ", ".join(pairs)
    elif kind in BRACKETS:
        text = in_brackets(kind, [literal(item, depth + 1) for item in value])
    else:
        raise NotPlain
    if len(text) > MAX_TEXT:
        raise NotPlain
    return text


def in_brackets(kind: type, items: list[str]) -> str:
    if kind in (set, frozenset):
        items = sorted(items)
        if not items:
            return "%s()" % kind.__name__
    inner = ", ".join(items)
    return BRACKETS[kind] % (inner + "," if kind is tuple and len(items) == 1 else inner)


class SeenCalls:
    """pytest plugin: notes the calls to some functions of the project."""

    def __init__(self, places: Places, wanted: list[list[Any]]) -> None:
        """`wanted`: [file, first line, name, whether its first argument is a class that is not to
        be noted]."""
        self.places = places
        self.wanted = {tuple(place[:3]): number for number, place in enumerate(wanted)}
        self.skipped = [int(place[3]) for place in wanted]
        self.calls: list[dict[str, str | None]] = [{} for _ in wanted]
        """{arguments: value}; None where the same arguments have given two."""
        self.callers: list[dict[tuple[str, int], bool]] = [{} for _ in wanted]
        self.known: dict[types.CodeType, int | None] = {}
        self.open: dict[types.FrameType, tuple[int, str]] = {}

    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> None:
        """Nothing of an earlier test's is left open."""
        self.open.clear()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: Any) -> Iterator[None]:
        sys.setprofile(self.hook)
        yield
        sys.setprofile(None)

    def hook(self, frame: types.FrameType, event: str, arg: Any) -> None:
        if event == "call":
            number = self.number_of(frame.f_code)
            if number is not None:
                self.begin(frame, number)
        elif event == "return" and frame in self.open:
            self.end(*self.open.pop(frame), arg)

    def number_of(self, code: types.CodeType) -> int | None:
        if code not in self.known:
            place = (self.places[code.co_filename], code.co_firstlineno, code.co_name)
            plain = not code.co_flags & NO_FUNCTION
            self.known[code] = self.wanted.get(place) if plain else None
        return self.known[code]

    def begin(self, frame: types.FrameType, number: int) -> None:
        caller, callers = frame.f_back, self.callers[number]
        if caller is not None and len(callers) < MAX_CALLERS:
            callers[self.places[caller.f_code.co_filename], caller.f_lineno] = True
        try:
            given = arguments(frame, self.skipped[number])
        except NotPlain:
            return
        if given in self.calls[number] or len(self.calls[number]) < MAX_CALLS:
            self.open[frame] = (number, given)

    def end(self, number: int, given: str, value: Any) -> None:
        calls = self.calls[number]
        try:
            text = None if value is None else literal(value)
        except NotPlain:
            text = None
        calls[given] = text if calls.get(given, text) == text else None

    def report(self) -> dict[str, Any]:
        """{"seen": for each function {"calls": {arguments: value}, "callers": [[file, line]]}}"""
        return {
            "seen": [
                {
                    "calls": {g: v for g, v in calls.items() if v},
                    "callers": list(map(list, callers)),
                }
                for calls, callers in zip(self.calls, self.callers)
            ]
        }


def arguments(frame: types.FrameType, skipped: int) -> str:
    """What stands between the parentheses of the call that began this frame. Raises NotPlain."""
    code, values = frame.f_code, frame.f_locals
    names = list(code.co_varnames)
    count, kwonly = code.co_argcount, code.co_kwonlyargcount
    parts = [literal(values[name]) for name in names[skipped:count]]
    named = {name: values[name] for name in names[count : count + kwonly]}
    rest = count + kwonly
    if code.co_flags & inspect.CO_VARARGS:
        parts += [literal(value) for value in values[names[rest]]]
        rest += 1
    if code.co_flags & inspect.CO_VARKEYWORDS:
        named.update(values[names[rest]])
    if not all(name.isidentifier() for name in named):
        raise NotPlain
    return ", ".join([*parts, *("%s=%s" % (n, literal(v)) for n, v in named.items())])
