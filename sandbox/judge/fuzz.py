"""Fresh inputs for a hard task: recorded calls, changed by a seed that nobody knew when the edit
was made; and when two answers agree.

    calls = perturbed(recorded, seed, 16)          # [[args, kwargs, ...]], see `neutral.py`
    same(answer, gold_answer)

What is changed stays near what the tests show: a number moves a little or becomes another one of
the recorded calls, a string or list loses, repeats, swaps or borrows an item, an instance is
another one of its class, or one of its fields changes that was not always the same. Types never
change, nor what held in every recorded call (`Invariants`), so that a call is one that the function
may expect.
"""

import copy
import datetime
import decimal
import fractions
import math
import random
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any, AnyStr

from sandbox.jail.inside import values
from sandbox.judge.neutral import (
    OF_PARTS,
    Handle,
    Instance,
    Member,
    Mirrored,
    Named,
    Neutral,
    key_of,
    underneath,
)

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""Numbers that are nearer than this are the same: an honest solution may add in another order."""
ENOUGH = 3
"""Different calls, or instances of a class, from which an invariant is read."""
NUMBERS = (bool, int, float, fractions.Fraction, decimal.Decimal)
BESIDE = 0.4
"""How often a changed argument is one of what the others hold, where these hold any such."""
LARGE_SET = 300
"""Items of a set above which these are not compared one with the other."""
DEEPEST = 50
"""Containers within containers down to where a change goes: one may hold itself."""
TRIES = 4
"""How often a change is drawn again that breaks an invariant."""


def perturbed(recorded: Sequence[Sequence], seed: str, count: int) -> list[list]:
    """`count` changed copies of recorded calls, drawn by the seed; [] where nothing was
    recorded."""
    chance = random.Random(seed)
    pool = _Pool(recorded)
    return (
        [_changed_call(chance.choice(recorded), chance, pool) for _ in range(count)]
        if recorded
        else []
    )


Rule = Callable[..., bool | None]
"""Of one or two values; None where it says nothing of such."""


class Invariants:
    """What holds between the parts of all recorded things of one kind, such as the fields of a
    class or the arguments of a call. {name: value} each."""

    def __init__(self, things: list[dict[str, Any]]) -> None:
        names = sorted({name for thing in things for name in thing})
        enough = len({_key(list(thing.values())) for thing in things}) >= ENOUGH
        self.varying = [
            name for name in names if not enough or len({_key(t.get(name)) for t in things}) > 1
        ]
        """Names of what was not always the same, as far as that can be told."""
        self._kept: list[tuple[Rule, tuple[str, ...]]] = []
        if not enough:
            return
        rules: tuple[tuple[Rule, int], ...] = (
            *((_is_sorted, 1), (_of_one_length, 2), (_counts, 2), (_holds, 2)),
        )
        for rule, places in rules:
            for chosen in permutations(names, places):
                seen = [rule(*map(thing.get, chosen)) for thing in things]
                if None not in seen and all(seen):
                    self._kept.append((rule, chosen))

    def hold(self, thing: dict[str, Any]) -> bool:
        return all(rule(*map(thing.get, chosen)) for rule, chosen in self._kept)


def _is_sorted(items: Any) -> bool | None:
    """None here and below: it says nothing of such values."""
    if not isinstance(items, (list, tuple)) or len(items) < 2:
        return None
    try:
        return bool(all(a <= b for a, b in zip(items, items[1:])))
    except (TypeError, RecursionError):  # a list may hold itself
        return None


def _of_one_length(one: Any, other: Any) -> bool | None:
    return len(one) == len(other) if _is_sized(one) and _is_sized(other) else None


def _counts(number: Any, items: Any) -> bool | None:
    return number == len(items) if type(number) is int and _is_sized(items) else None


def _holds(item: Any, items: Any) -> bool | None:
    if not isinstance(items, (list, tuple, set, frozenset, dict)) or not items:
        return None
    try:
        return item in items
    except (TypeError, RecursionError):
        return None


def _is_sized(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset, dict))


def _key(value: Any) -> str:
    """What a value is told apart by."""
    try:
        return key_of(values.dump(value, Neutral()))
    except values.NotPlain:
        return str(id(value))


def _copied(value: Any) -> Any:
    """A copy in which what was one thing still is one, however deep it is nested."""
    return values.load(values.dump(value, Neutral()), Neutral())


class _Pool:
    """What a changed call may borrow: the leaves of the recorded calls by type, and the instances
    by class."""

    def __init__(self, recorded: Sequence[Sequence]) -> None:
        self.leaves: dict[type, list] = {}
        self.instances: dict[str, list[Instance]] = {}
        self._seen: dict[int, Any] = {}
        for args, kwargs, *state in recorded:
            for value in [*args, *kwargs.values(), *(part for parts in state for part in parts)]:
                self._collect(value)
        self.of_calls = Invariants([_named(args, kwargs) for args, kwargs, *_ in recorded])
        self.of_class = {
            name: Invariants([_shown(thing) for thing in things])
            for name, things in self.instances.items()
        }

    def _collect(self, value: Any) -> None:
        waiting = [value]
        while waiting:
            value = waiting.pop(0)
            if isinstance(value, (Instance, list, set, dict)):
                if id(value) in self._seen:
                    continue
                self._seen[id(value)] = value
            if isinstance(value, Instance):
                self.instances.setdefault(value.name, []).append(value)
                waiting += [*value.parts, *value.fields.values()]
            elif isinstance(value, (list, tuple, set, frozenset)):
                waiting += value
            elif isinstance(value, dict):
                waiting += [item for pair in value.items() for item in pair]
            elif isinstance(value, Handle):
                waiting += _items_of(value)
            elif not isinstance(value, (Named, Member, Mirrored)):
                known = self.leaves.setdefault(type(value), [])
                if value not in known:
                    known.append(value)


def _items_of(handle: Handle) -> list:
    """What a recorded iterator gave."""
    if handle.kind != "iterator" or "script" not in handle.about:
        return []
    items: list = values.load(handle.about["script"], Neutral())
    return items


def _named(args: Sequence, kwargs: dict) -> dict[str, Any]:
    return {**{str(place): value for place, value in enumerate(args)}, **kwargs}


def _shown(thing: Instance) -> dict[str, Any]:
    """The fields of an instance, and under "" its data as a plain value."""
    bare = Instance(thing.name, thing.base, thing.parts)
    return {**thing.fields, **({"": underneath(bare)} if thing.base else {})}


def _changed_call(call: Sequence, chance: random.Random, pool: _Pool) -> list:
    """One to three changes, each in one argument, or in the state beside them."""
    for _ in range(TRIES):
        args, kwargs, *rest = _copied(list(call))
        args, state = list(args), [list(parts) for parts in rest]
        places: list[tuple[Any, Any]] = [(args, i) for i in range(len(args))]
        places += [(kwargs, name) for name in kwargs]
        places += [(parts, i) for parts in state for i in range(len(parts))]
        for _ in range(chance.randint(1, 3)):
            if places:
                holder, key = chance.choice(places)
                beside = _found_beside(holder[key], places) if chance.random() < BESIDE else []
                changed = _changed(holder[key], chance, pool)
                holder[key] = chance.choice(beside) if beside else changed
        if pool.of_calls.hold(_named(args, kwargs)):
            return [args, kwargs, *map(tuple, state)]
    return _copied(list(call))


def _found_beside(value: Any, places: list[tuple[Any, Any]]) -> list:
    """What the other arguments hold of this type: a name that is changed at random is in no
    table."""
    found: list[Any] = []
    for holder, key in places:
        thing = holder[key]
        shown = _shown(thing).values() if isinstance(thing, Instance) else [thing]
        for part in shown:
            if isinstance(part, (list, tuple, set, frozenset, dict)):
                found += [item for item in part if type(item) is type(value)]
    return sorted(found, key=_key)


def _changed(value: Any, chance: random.Random, pool: _Pool, depth: int = 0) -> Any:
    """A value of the same type, near this one or borrowed from another call."""
    kind, inner = type(value), depth + 1
    if depth == DEEPEST:
        return value
    if kind is Instance:
        return _changed_instance(value, chance, pool, inner)
    if kind is Handle and (items := _items_of(value)):
        script = values.dump(_changed_items(items, chance, pool, inner), Neutral())
        return Handle(value.kind, {**value.about, "script": script}, value.number)
    if value is None or kind in (Handle, Named, Member, Mirrored):
        return value
    if kind in pool.leaves and not _is_sized(value) and chance.random() < 0.3:
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
        return kind(_changed_items(list(value), chance, pool, inner))
    if kind in (set, frozenset):
        return kind(_hashable(_changed_items(sorted(value, key=_key), chance, pool, inner)))
    if kind is dict and value:
        key = chance.choice(list(value))
        if chance.random() < 0.3 and len(value) > 1:
            return {k: v for k, v in value.items() if k != key}
        return {k: (_changed(v, chance, pool, inner) if k == key else v) for k, v in value.items()}
    return _moved(value, chance)


def _moved(value: Any, chance: random.Random) -> Any:
    """A value of the standard library's, a little further."""
    by = chance.choice([-40, -3, -1, 1, 2, 11])
    try:
        if isinstance(value, range):
            return range(value.start, value.stop + by, value.step)
        if isinstance(value, datetime.date):
            return value + datetime.timedelta(days=by)
        if isinstance(value, datetime.timedelta):
            return value + datetime.timedelta(seconds=by * 37)
        if isinstance(value, (decimal.Decimal, fractions.Fraction, complex)):
            return value + by
    except (OverflowError, decimal.DecimalException):
        pass
    return value


def _changed_instance(thing: Instance, chance: random.Random, pool: _Pool, depth: int) -> Instance:
    """Another one of its class, or this one with a field changed that was not always the same."""
    known = pool.of_class.get(thing.name)
    if known is None or thing.base in ("lock", OF_PARTS) or thing.name == "Pattern":
        return thing
    if chance.random() < 0.4:
        return _copied(chance.choice(pool.instances[thing.name]))
    for _ in range(TRIES):
        changed = copy.copy(thing)
        changed.parts, changed.fields = list(thing.parts), dict(thing.fields)
        field = chance.choice(known.varying) if known.varying else None
        if field in changed.fields:
            changed.fields[field] = _changed(changed.fields[field], chance, pool, depth)
        elif field == "" and changed.parts:
            _change_data(changed, chance, pool, depth)
        if known.hold(_shown(changed)):
            # In its place, for it may be held in several.
            thing.parts, thing.fields = changed.parts, changed.fields
            break
    return thing


def _change_data(thing: Instance, chance: random.Random, pool: _Pool, depth: int) -> None:
    if thing.base in ("list", "set", "tuple", "frozenset") and not thing.inline:
        thing.parts = _changed_items(thing.parts, chance, pool, depth)
        return
    place = chance.randrange(len(thing.parts))
    part = thing.parts[place]
    if isinstance(part, tuple) and len(part) == 2:  # of a dict
        thing.parts[place] = (part[0], _changed(part[1], chance, pool, depth))
    else:
        thing.parts[place] = _changed(part, chance, pool, depth)


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


def _changed_items(items: list, chance: random.Random, pool: _Pool, depth: int) -> list:
    kind = chance.randrange(5)
    if items and kind == 0:
        items.pop(chance.randrange(len(items)))
    elif items and kind == 1:
        items.insert(chance.randint(0, len(items)), _copied(chance.choice(items)))
    elif kind == 2:
        chance.shuffle(items)
    elif items:
        at = chance.randrange(len(items))
        items[at] = _changed(items[at], chance, pool, depth)
    return items


def _hashable(items: list) -> list:
    return [item for item in items if not isinstance(item, (list, dict, set))]


def same(a: Any, b: Any, relative: float = RELATIVE, absolute: float = ABSOLUTE) -> bool:
    """Whether two values are the same answer: numbers by value and not by type, floats within a
    tolerance, containers by type and content, instances by class, data and fields. One without
    fields is the same as what it is underneath (a Counter and a dict)."""
    try:
        return _Comparison(relative, absolute).same(a, b)
    except RecursionError:  # keys within keys: an edit's
        return False


class _Comparison:
    """Of two values that may hold themselves, and be nested as deep as they like."""

    def __init__(self, relative: float, absolute: float) -> None:
        self._relative, self._absolute = relative, absolute
        self._seen: dict[tuple[int, int], Any] = {}
        """What has been compared, or is about to be."""
        self._waiting: list[tuple[Any, Any]] = []

    def same(self, a: Any, b: Any) -> bool:
        self._waiting = [(a, b)]
        while self._waiting:
            if not self._alike(*self._waiting.pop()):
                return False
        return True

    def _alike(self, a: Any, b: Any) -> bool:
        """Whether two values differ in nothing but perhaps their parts, which wait."""
        if isinstance(a, NUMBERS) and isinstance(b, NUMBERS):
            return self._same_numbers(a, b)
        if isinstance(a, (Instance, list, dict, set)):
            if (id(a), id(b)) in self._seen:
                return True
            self._seen[id(a), id(b)] = (a, b)
        if isinstance(a, Instance) and isinstance(b, Instance) and a.name == b.name:
            return self._same_instances(a, b)
        a, b = underneath(a), underneath(b)
        if type(a) is not type(b):
            return False
        if isinstance(a, (list, tuple)):
            self._waiting += zip(a, b)
            return len(a) == len(b)
        if isinstance(a, dict):
            return self._same_dicts(a, b)
        if isinstance(a, (set, frozenset)):
            return a == b or self._same_sets(a, b)
        if isinstance(a, Mirrored):
            return bool(a.name == b.name)
        if isinstance(a, Handle):
            return a.kind == b.kind and a.number == b.number
        if isinstance(a, Member):
            self._waiting.append((a.value, b.value))
            return a.name == b.name
        return not isinstance(a, Instance) and bool(a == b)

    def _same_numbers(self, a: Any, b: Any) -> bool:
        if type(a) in (bool, int) and type(b) in (bool, int):
            return bool(a == b)
        try:
            x, y = float(a), float(b)
        except (OverflowError, ValueError):  # too large for a float
            return type(a) is type(b) and bool(a == b)
        return x == y or (x != x and y != y) or _close(x, y, self._relative, self._absolute)

    def _same_instances(self, a: Instance, b: Instance) -> bool:
        bare_a, bare_b = (underneath(Instance("", x.base, x.parts)) for x in (a, b))
        if isinstance(bare_a, Instance) or isinstance(bare_b, Instance):
            bare_a, bare_b = a.parts, b.parts
        self._waiting.append((bare_a, bare_b))
        return a.base == b.base and self._same_dicts(a.fields, b.fields)

    def _same_dicts(self, a: dict, b: dict) -> bool:
        left = [key for key in b if key not in a]
        for key, item in a.items():
            if key not in b:
                # Keys that are known by identity, or hold such: in their order.
                if not left or not self._another().same(key, left[0]):
                    return False
                self._waiting.append((item, b[left.pop(0)]))
            else:
                self._waiting.append((item, b[key]))
        return len(a) == len(b)

    def _same_sets(self, a: Any, b: Any) -> bool:
        told_apart = any(isinstance(item, (Instance, tuple)) for item in a)
        if len(a) != len(b) or len(a) > LARGE_SET or not told_apart:
            return False
        left = [item for item in b if item not in a]
        for item in a - b:
            found = next((x for x in left if self._another().same(item, x)), None)
            if found is None:
                return False
            left.remove(found)
        return True

    def _another(self) -> "_Comparison":
        return _Comparison(self._relative, self._absolute)


def _close(a: float, b: float, relative: float, absolute: float) -> bool:
    try:
        return math.isclose(a, b, rel_tol=relative, abs_tol=absolute)
    except OverflowError:  # an int too large for a float
        return False
