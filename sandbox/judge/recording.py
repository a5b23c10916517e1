"""What the right code does under the tests, heard from outside: what hard tasks are made of.

heard = Heard()
tests.run(heard.between(worker.answer))      # the worker has the gold edit
heard.calls                                  # [[call, answer], ...]; handles with what they did
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.jail.inside.values import Graph, NotPlain, dump, load
from sandbox.judge.neutral import Neutral, key_of

MAX_CALLS = 400
"""Calls that are heard; the others are answered and no more."""
MAX_KEPT = 60
"""Calls that are kept of a hard task: what fresh inputs are drawn from."""
FEWEST = 8
"""Calls that are kept however large they are."""
MAX_ONE, MAX_CHARACTERS = 20_000, 400_000
"""Of one kept call, and of all of them together, as JSON."""
MAX_USES = 500
"""Uses of one handle that are noted."""


class Heard:
    """Listens to a conversation (`inside/handles.py`) between the tests and the right code."""

    def __init__(self) -> None:
        self._calls: list[tuple[int, Graph, dict, dict]] = []
        """(exchange, graph of its own, call, answer) in the order in which they ended."""
        self.trouble = ""
        """Why something could not be heard."""
        self.changed: set[str] = set()
        """State that the right code has changed, where it was watched."""
        self._graphs: dict[int, Graph] = {}
        self._uses: dict[tuple[int, int], list[_Use]] = {}
        self._open: list[tuple[dict, dict, Graph, dict]] = []
        """Requests that are not answered yet, with their arguments, and these as they were once
        more: in a graph of the call's own, for what is asked meanwhile takes numbers, too."""

    def between(self, answer: Callable[[dict], dict]) -> Callable[[dict], dict]:
        """`answer`, overheard."""

        def overheard(message: dict) -> dict:
            self._hear(message)
            reply = answer(message)
            self._hear(reply)
            self.changed.update(reply.get("changed", ()))
            return reply

        return overheard

    def _hear(self, message: dict) -> None:
        try:
            if "request" in message:
                arguments, own = self._unpacked(message, "args", "kwargs"), Graph(Neutral())
                self._open.append((message, arguments, own, own.pack(**arguments)))
            elif self._open:
                self._close(*self._open.pop(), message)
        except (NotPlain, KeyError, IndexError) as error:
            self.trouble = self.trouble or f"what it is given cannot be kept: {error}"

    def _graph(self, message: dict) -> Graph:
        return self._graphs.setdefault(message["exchange"], Graph(Neutral()))

    def _unpacked(self, message: dict, *keys: str, exchange: dict | None = None) -> dict:
        """{key: value}, with the state where there is one. `exchange`: a message of it."""
        keys += ("state",) if "state" in message else ()
        return dict(zip(keys, self._graph(exchange or message).unpack(message, *keys)))

    def _close(self, request: dict, arguments: dict, own: Graph, call: dict, answer: dict) -> None:
        if "refused" in answer:
            self.trouble = self.trouble or str(answer["refused"])
            return
        key = "raised" if "raised" in answer else "value"
        found = self._unpacked(answer, key, exchange=request)
        if request["request"] == "use":
            uses = self._uses.setdefault((request["exchange"], request["number"]), [])
            if len(uses) < MAX_USES:
                uses.append(_Use.heard(arguments, key, found[key]))
        elif len(self._calls) < MAX_CALLS:
            self._calls.append((request["exchange"], own, call, own.pack(**found)))

    @property
    def calls(self) -> list[list]:
        """[call, answer] in the order in which they ended, as typed JSON; a handle of the tests has
        its script (`handles.scripted`): what it did in that call, or for what was made by it."""
        return [
            [{**call, "heap": self._scripted(exchange, own, call["heap"])}, answer]
            for exchange, own, call, answer in self._calls
        ]

    def _scripted(self, exchange: int, own: Graph, heap: list) -> list:
        found = []
        for number, content in heap:
            if content[0] in ("callable", "iterator"):
                uses = self._uses.get((exchange, own.objects[number].number), [])
                script = _items(uses) if content[0] == "iterator" else _answers(uses)
                content = [content[0], {**content[1], "script": script}]
            found.append([number, content])
        return found


@dataclass(frozen=True)
class _Use:
    """One use of a handle."""

    question: str
    """As `handles.question` has it."""
    answer: dict
    """{"value" or "raised": node, "heap"}, a message of its own."""
    gives_argument: bool
    """Whether the answer was the first argument."""

    @classmethod
    def heard(cls, arguments: dict, key: str, value: Any) -> "_Use":
        args, kwargs = arguments["args"], arguments["kwargs"]
        question = Graph(Neutral()).pack(args=tuple(args), kwargs=dict(kwargs))
        given = bool(args) and (value is args[0] or _is_plain(value) and value == args[0])
        return cls(key_of(question), Graph(Neutral()).pack(**{key: value}), given)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str, bytes, tuple))


def _items(uses: list[_Use]) -> dict:
    """The script of an iterator: a list of what it gave."""
    answers = [use.answer for use in uses if "value" in use.answer]
    return dump([load(answer, Neutral()) for answer in answers], Neutral())


def _answers(uses: list[_Use]) -> dict:
    """The script of a function."""
    answers = {use.question: use.answer for use in uses}
    same = bool(uses) and all(use.gives_argument for use in uses)
    return {"gives its argument": same, "answers": [list(pair) for pair in answers.items()]}


def kept(calls: Iterable[list]) -> tuple[list, ...]:
    """As many of the recorded calls as a task keeps: those first in which something is named that
    was not in one before."""
    known: set[str] = set()
    first: list[list] = []
    others: list[list] = []
    for pair in calls:
        classes, names = _named_in(pair)
        named = {f"{c}.{field}" for c, fields in classes.items() for field in ("", *fields)}
        (others if named | names <= known else first).append(pair)
        known |= named | names
    chosen: list[list] = []
    left = MAX_CHARACTERS
    for pair in first + others:
        size = len(json.dumps(pair))
        if len(chosen) == MAX_KEPT:
            break
        # Few are enough of such that are large: each fresh input is as large again.
        if left - size >= 0 and size <= MAX_ONE or len(chosen) < FEWEST:
            chosen.append(pair)
            left -= size
    return tuple(chosen)


def seen_in(recorded: Iterable[list]) -> dict:
    """What an answer may name, as `objects.Allowed` takes it: what occurs in the recorded calls."""
    classes: dict[str, set[str]] = {}
    names: set[str] = set()
    for pair in recorded:
        found, named = _named_in(pair)
        names |= named
        for name, fields in found.items():
            classes.setdefault(name, set()).update(fields)
    return {
        "classes": {name: sorted(fields) for name, fields in sorted(classes.items())},
        "names": sorted(names),
    }


def _named_in(data: Any) -> tuple[dict[str, set[str]], set[str]]:
    """({class: fields}, names) in typed JSON."""
    classes: dict[str, set[str]] = {}
    names: set[str] = set()
    mirrored: dict[int, str] = {}
    """{number: name} of the tests' classes in this call."""
    of_tests: dict[int, set[str]] = {}
    waiting = [data]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, dict):
            waiting += thing.values()
            waiting += [json.loads(question) for question, _ in thing.get("answers", ())]
        if not isinstance(thing, list):
            continue
        waiting += thing
        match thing:
            case [int(number), ["class", [str(module), str(name)], *_]]:
                mirrored[number] = f"{module}:{name}"
            case ["object", ["ref", int(number)], _, list(fields)]:
                of_tests.setdefault(number, set()).update(field for field, _ in fields)
            case ["object", str(name), _, list(fields)]:
                classes.setdefault(name, set()).update(field for field, _ in fields)
            case ["subclass" | "enum", str(name), _]:
                classes.setdefault(name, set())
            case ["name", str(name)]:
                names.add(name)
    for number, seen in of_tests.items():
        classes.setdefault(mirrored.get(number, ""), set()).update(seen)
    return classes, names
