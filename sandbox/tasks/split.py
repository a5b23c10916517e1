"""Which side of the split a function is on: for training, or held out.

    sides = sides_of([task.about for task in tasks], share=0.2, seed=0, known=earlier)

All that is born of one function is on one side, and functions that one task is about together go
together. A function that had a side in an earlier run of the repository (`known`) keeps it: what
was held out is never trained on. There a task about functions of both sides has none.
"""

import hashlib
from collections.abc import Iterable, Mapping

TRAIN, HELDOUT = "train", "heldout"


def sides_of(
    groups: Iterable[tuple[str, ...]], share: float, seed: int, known: Mapping[str, str]
) -> dict[str, str]:
    """{function: "train" | "heldout"} for the functions that each task is about.

    Without `known` the held-out side has as near to `share` of the units as can be; with it each
    new unit is drawn by itself, by a hash of the seed and its name.
    """
    unit = units(groups)
    if not known:
        side = split_by_function(list(unit.values()), share, seed)
        return {function: side[name] for function, name in unit.items()}
    members: dict[str, list[str]] = {}
    for function, name in unit.items():
        members.setdefault(name, []).append(function)
    sides: dict[str, str] = {}
    for name, functions in members.items():
        earlier = {known[f] for f in functions if f in known}
        if len(earlier) == 2:
            sides |= {f: known.get(f) or _drawn(f, share, seed) for f in functions}
        else:
            sides |= dict.fromkeys(
                functions, earlier.pop() if earlier else _drawn(name, share, seed)
            )
    return sides


def _drawn(name: str, share: float, seed: int) -> str:
    return HELDOUT if int(_hash(name, seed), 16) < share * 2**256 else TRAIN


def _hash(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


def split_by_function(keys: list[str], share: float, seed: int) -> dict[str, str]:
    """{key: "train" | "heldout"} for function keys: the first `share` of them in an order drawn by
    the seed. Where there are two functions or more, neither side is empty."""
    order = sorted(set(keys), key=lambda key: _hash(key, seed))
    count = round(len(order) * share)
    if 0 < share < 1 and len(order) >= 2:
        count = min(max(count, 1), len(order) - 1)
    heldout = set(order[:count])
    return {key: HELDOUT if key in heldout else TRAIN for key in order}


def units(groups: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """{function: name of its unit}, for the functions that each task is about: those that one task
    is about together are one unit, and so on from task to task. A unit's name is the first of its
    functions' names."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for group in groups:
        for name in group:
            parent.setdefault(name, name)
            a, b = sorted((root(group[0]), root(name)))
            parent[b] = a
    return {name: root(name) for name in parent}
