"""Fresh inputs for a hard task: recorded calls, changed by a seed that nobody knew when the edit
was made; and when two answers agree.

    calls = perturbed(recorded, seed, 16)          # [(args, kwargs)], plain data
    same(answer, gold_answer)

What is changed stays near what the tests show: a number moves a little or becomes another one of
the recorded calls, a string or list loses, repeats, swaps or borrows an item. Types never change,
so that a call is one that the function may expect.
"""

import copy
import math
import random
from collections.abc import Sequence
from typing import Any, AnyStr

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""Numbers that are nearer than this are the same: an honest solution may add in another order."""


def perturbed(
    recorded: Sequence[tuple[list, dict]], seed: str, count: int
) -> list[tuple[list, dict]]:
    """`count` changed copies of recorded (args, kwargs), drawn by the seed; [] where nothing was
    recorded."""
    chance = random.Random(seed)
    pool = _Pool(recorded)
    return (
        [_changed_call(copy.deepcopy(chance.choice(recorded)), chance, pool) for _ in range(count)]
        if recorded
        else []
    )


class _Pool:
    """The leaves of the recorded calls by type: what a changed call may borrow."""

    def __init__(self, recorded: Sequence[tuple[list, dict]]) -> None:
        self.leaves: dict[type, list] = {}
        for args, kwargs in recorded:
            for value in [*args, *kwargs.values()]:
                self._collect(value)

    def _collect(self, value: Any) -> None:
        if isinstance(value, (list, tuple, set, frozenset)):
            for item in value:
                self._collect(item)
        elif isinstance(value, dict):
            for key, item in value.items():
                self._collect(key)
                self._collect(item)
        elif value not in self.leaves.setdefault(type(value), []):
            self.leaves[type(value)].append(value)


def _changed_call(call: tuple[list, dict], chance: random.Random, pool: _Pool) -> tuple[list, dict]:
    """One to three changes, each in one argument."""
    args, kwargs = list(call[0]), dict(call[1])
    places = [(args, i) for i in range(len(args))] + [(kwargs, name) for name in kwargs]
    for _ in range(chance.randint(1, 3)):
        if places:
            holder, key = chance.choice(places)
            holder[key] = _changed(holder[key], chance, pool)
    return args, kwargs


def _changed(value: Any, chance: random.Random, pool: _Pool) -> Any:
    """A value of the same type, near this one or borrowed from another call."""
    kind = type(value)
    if value is None:
        return None
    if kind in (bool, int, float, str, bytes) and chance.random() < 0.3:
        return chance.choice(pool.leaves[kind])
    if kind is bool:
        return not value
    if kind is int:
        return value + chance.choice([-3, -2, -1, 1, 2, 3, 7, -value // 2, value])
    if kind is float:
        return (
            round(value + chance.choice([-1.0, 1.0, 0.5, chance.uniform(-9, 9)]), 3)
            if math.isfinite(value)
            else value
        )
    if kind in (str, bytes):
        return _changed_text(value, chance, pool)
    if kind in (list, tuple):
        return kind(_changed_items(list(value), chance, pool))
    if kind in (set, frozenset):
        return kind(_hashable(_changed_items(sorted(value, key=repr), chance, pool)))
    if kind is dict and value:
        key = chance.choice(list(value))
        if chance.random() < 0.3 and len(value) > 1:
            return {k: v for k, v in value.items() if k != key}
        return {k: (_changed(v, chance, pool) if k == key else v) for k, v in value.items()}
    return value


def _changed_text(text: AnyStr, chance: random.Random, pool: _Pool) -> AnyStr:
    other = chance.choice(pool.leaves[type(text)])
    at = chance.randint(0, len(text))
    return chance.choice(
        [
            text[:at] + text[at + 1 :],
            text[:at] + text[max(0, at - 1) :],
            text + other,
            text[:at] + other[:2] + text[at:],
            text[::-1],
            text + text,
        ]
    )


def _changed_items(items: list, chance: random.Random, pool: _Pool) -> list:
    kind = chance.randrange(5)
    if items and kind == 0:
        items.pop(chance.randrange(len(items)))
    elif items and kind == 1:
        items.insert(chance.randint(0, len(items)), copy.deepcopy(chance.choice(items)))
    elif kind == 2:
        chance.shuffle(items)
    elif items:
        at = chance.randrange(len(items))
        items[at] = _changed(items[at], chance, pool)
    return items


def _hashable(items: list) -> list:
    return [item for item in items if not isinstance(item, (list, dict, set))]


def same(a: Any, b: Any, relative: float = RELATIVE, absolute: float = ABSOLUTE) -> bool:
    """Whether two plain values are the same answer: numbers by value and not by type, floats within
    a tolerance, containers by type and content."""
    if isinstance(a, (bool, int, float)) and isinstance(b, (bool, int, float)):
        if isinstance(a, float) or isinstance(b, float):
            return a == b or (a != a and b != b) or _close(a, b, relative, absolute)
        return a == b
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, relative, absolute) for x, y in zip(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], relative, absolute) for key in a)
    return a == b


def _close(a: float, b: float, relative: float, absolute: float) -> bool:
    try:
        return math.isclose(a, b, rel_tol=relative, abs_tol=absolute)
    except OverflowError:  # an int too large for a float
        return False
