"""Other right answers: an edit answers fresh inputs otherwise than the gold edit, and the project's
own tests may accept both.

    why = accepted(tests, asked, inputs, answers, worker, vary, seed)   # "" where they do not

The gold edit's answer is one of several where the tests ask for "any divisor" or for "each once, in
any order". What they accept is found by asking them: they run on the intact tree, with none of the
edit's code in their process, and with answers that are chosen out here (`black_box.Tests`).

1. *Relations*: the edit's fresh answers are the gold edit's in another order, in another container,
   with other blanks, a little less exact, or another exception. The gold edit's answers to the
   tests' own calls are changed in that way, by us and not by the edit: do all tests still pass?
2. *Properties*: the tests run on other values, with fresh parameters or other literals in them.
   Those that pass with the gold edit's answers, and fail with answers that mean nothing, state a
   property: the edit is to hold it, too, with answers that are not the gold edit's. What cannot be
   run so leaves a choice where it has accepted such an answer of the edit, and pins the answer
   where it looked at some and saw none.

All this takes time only where an edit would be refused.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sandbox.jail.inside import values
from sandbox.jail.inside.values import NotPlain
from sandbox.judge.black_box import AGREEMENT_OF_TWO, MIN_DECIDED, Tests, Worker, agree, agreement
from sandbox.judge.fuzz import perturbed, same
from sandbox.judge.neutral import (
    Answer,
    Instance,
    call_in,
    key_of,
    read_answer,
    tree,
    underneath,
    with_value,
)
from sandbox.judge.screening import FunctionPatch
from sandbox.node_ids import function_of

ROUNDS, ENOUGH = 24, 12
"""How often a function of tests is run on other values at most, and how many results are enough."""
DENIES, LEAVES, PINS, SILENT = "denies", "leaves a choice", "pins the answer", "is silent"
"""What a function of tests says of answers that are not the gold edit's."""
MAX_FUNCTIONS = 12
"""Functions of tests that are tried so, drawn by the seed."""
TOLERANCES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
CONTAINERS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
MEANINGLESS = (None, "no answer at all")
"""Two answers of which a test that looks at answers refuses one."""


@dataclass(frozen=True)
class Relation:
    """A way in which answers differ that tests may accept."""

    words: str
    agree: Callable[[Answer, Answer], bool]
    """Whether an edit's answer stands in this relation to the gold edit's."""
    others: Callable[[dict, Answer], list[Answer]]
    """Answers to a call in this relation to the gold edit's that are not the same."""


def accepted(
    tests: Tests,
    asked: list[dict],
    inputs: list[tuple[dict, Answer]],
    answers: list[Answer],
    worker: Worker,
    vary: Callable[[list[str], str], list[FunctionPatch]],
    seed: str,
) -> str:
    """In words, in what the tests let the edit's answers differ from the gold edit's; "" where they
    do not. `asked`: the tests' own calls, in which nothing is a handle; `inputs`: fresh ones with
    the gold edit's answers, to which the edit gave `answers`; `worker` has the edit, and
    `vary(tests, seed)` gives the patches (`screening.py`) that change literals in tests. Raises
    HarnessError."""
    gold = [right for _, right in inputs]
    calls = {key_of(call): call for call in asked}
    known = dict(zip(calls, zip(calls.values(), tests.gold(list(calls.values())))))
    for relation in _relations(answers, gold):
        share, wanted = agreement(answers, gold, relation.agree)
        if share >= wanted and _accept(tests, known, relation):
            return f"the tests accept them {relation.words}"
    share, wanted = agreement(answers, gold, _of_one_shape)
    if share >= wanted and _Property(tests, set(known), worker, vary, seed).holds():
        return "what the tests say of an answer holds of them"
    return ""


def _accept(tests: Tests, known: dict[str, tuple[dict, Answer]], relation: Relation) -> bool:
    """Whether all tests pass with other answers of this relation, wherever there are some."""
    others = {key: relation.others(*pair) for key, pair in known.items()}
    for number in range(max(map(len, others.values()), default=0)):
        changed = {key: found[number] for key, found in others.items() if number < len(found)}
        answers = {key: changed.get(key, right).wire for key, (_, right) in known.items()}
        passing = tests.passing(lambda message: answers.get(key_of(call_in(message)), {}))
        if passing != set(tests.ids):
            return False
    return any(others.values())


# ---------------------------------------------------------------------------------------- relations


def _relations(answers: list[Answer], gold: list[Answer]) -> Iterator[Relation]:
    """The finer ones first. Which containers and exceptions to try, the answers say."""
    yield _same_as("in another order", _sorted, _turned)
    yield _same_as(
        "in another order within", partial(_everywhere, _sorted), partial(_everywhere, _turned)
    )
    for kind in _other_containers(answers, gold):
        yield from _as_another(kind)
    yield _of_texts("with other blanks around", str.strip, " {}".format, "{}\n".format, str.strip)
    yield _of_texts(
        "with other blanks",
        lambda text: " ".join(text.split()),
        lambda text: text.replace(" ", "  "),
        lambda text: text.replace(" ", "\n"),
    )
    yield _of_texts("in upper or lower case", str.lower, str.lower, str.upper)
    yield from map(_near, TOLERANCES)
    yield from _other_exceptions(answers, gold)


def _as_another(kind: type) -> Iterator[Relation]:
    """In this container, and in it in any order."""

    def sorted_items(value: Any) -> Any:
        return _sorted(_to(list, value))

    yield _same_as(f"as a {kind.__name__}", partial(_to, kind), partial(_to, kind))
    yield _same_as(
        f"as a {kind.__name__} in another order",
        sorted_items,
        lambda value: _to(kind, sorted_items(value)),
        lambda value: _to(kind, _turned(sorted_items(value))),
    )


def _same_as(words: str, form: Callable, *changes: Callable) -> Relation:
    """Values that are the same, as they are (0 and False have other places in an order) or once both
    are in this form; and what changes a value so."""

    def agrees(mine: Any, right: Any) -> bool:
        return same(mine, right) or same(form(mine), form(right))

    return _of_values(words, agrees, *changes)


def _of_texts(words: str, form: Callable[[str], str], *changes: Callable[[str], str]) -> Relation:
    def within(change: Callable[[str], str]) -> Callable:
        return partial(_everywhere, lambda v: change(v) if isinstance(v, str) else v)

    return _same_as(words, within(form), *map(within, changes))


def _near(tolerance: float) -> Relation:
    def moved(by: float, value: Any) -> Any:  # a little less, for floats are not exact
        return value + by * max(1.0, abs(value)) if isinstance(value, float) else value

    return _of_values(
        f"to about {tolerance:g}",
        lambda mine, right: same(mine, right, tolerance, tolerance),
        *(partial(_everywhere, partial(moved, by * tolerance)) for by in (0.999, -0.999)),
    )


def _of_values(
    words: str, agrees: Callable[[object, object], bool], *changes: Callable[[object], object]
) -> Relation:
    """A relation of values; exceptions, and what is left of the arguments, are to be the same."""

    def of_answers(mine: Answer, right: Answer) -> bool:
        if mine.fault or mine.raised or right.raised:
            return agree(mine, right)
        try:
            return _same_but_for_value(mine, right) and agrees(tree(mine.value), tree(right.value))
        except (TypeError, NotPlain):  # not hashable, or no plain data
            return False

    def others(call: dict, right: Answer) -> list[Answer]:
        found: list[Answer] = []
        if right.fault or right.raised:
            return found
        for change in changes:
            try:
                value = tree(right.value)
                if not same(other := change(value), value):
                    found.append(with_value(call, right, "value", other))
            except (TypeError, NotPlain):  # not hashable, or too large
                continue
        return found

    return Relation(words, of_answers, others)


def _same_but_for_value(mine: Answer, right: Answer) -> bool:
    return same(mine.after, right.after)


def _other_containers(answers: list[Answer], gold: list[Answer]) -> list[type]:
    """Those of the edit's answers where the gold edit's are in another one."""
    kinds = {
        (type(underneath(mine.value)).__name__, type(right.value).__name__)
        for mine, right in zip(answers, gold)
    }
    return [
        kind
        for name, kind in CONTAINERS.items()
        if any(name == mine != theirs and theirs in CONTAINERS for mine, theirs in kinds)
    ]


def _other_exceptions(answers: list[Answer], gold: list[Answer]) -> Iterator[Relation]:
    """Where the gold edit raises one, the edit another, and always the same one."""
    pairs = Counter(
        (mine.raised, right.raised) for mine, right in zip(answers, gold) if right.raised
    )
    instead: dict[str, str] = {}
    for (mine, right), _ in pairs.most_common():
        if mine and right:
            instead.setdefault(right, mine)
    instead = {right: mine for right, mine in instead.items() if mine != right}
    if not instead:
        return

    def agrees(mine: Answer, right: Answer) -> bool:
        if right.raised in instead and mine.raised == instead[right.raised]:
            return True
        return agree(mine, right)

    def others(call: dict, right: Answer) -> list[Answer]:
        if right.raised not in instead or right.exception is None:
            return []
        other = Instance(instead[right.raised], "BaseException", ["raised by the edit"])
        return [with_value(call, right, "raised", other)]

    yield Relation("with another exception", agrees, others)


def _to(kind: type, value: Any) -> Any:
    return kind(value) if type(value) in CONTAINERS.values() else value


def _sorted(value: Any) -> Any:
    return type(value)(sorted(value, key=repr)) if type(value) in (list, tuple) else value


def _turned(value: Any) -> Any:
    return value[::-1] if type(value) in (list, tuple) else value


def _everywhere(change: Callable, value: Any) -> Any:
    """The value with all that is in it changed, from the innermost out; keys of a dict stay."""
    if type(value) is dict:
        value = {key: _everywhere(change, item) for key, item in value.items()}
    elif type(value) in CONTAINERS.values():
        value = type(value)(_everywhere(change, item) for item in value)
    return change(value)


# --------------------------------------------------------------------------------------- properties


def _of_one_shape(mine: Answer, right: Answer) -> bool:
    """Whether both raise the same, or both give nothing, a number, or one kind of data."""
    if mine.fault or mine.raised or right.raised:
        return agree(mine, right)
    return _same_but_for_value(mine, right) and _shape(mine.value) == _shape(right.value)


def _shape(value: Any) -> str:
    if isinstance(value, Instance):
        return value.name
    return "number" if type(value) in (int, float) else type(value).__name__


class _Property:
    """Whether the tests state what holds of an answer, and whether it holds of the edit's."""

    def __init__(
        self,
        tests: Tests,
        known: set[str],
        worker: Worker,
        vary: Callable[[list[str], str], list[FunctionPatch]],
        seed: str,
    ) -> None:
        self._tests, self._known, self._vary, self._seed = tests, known, vary, seed
        self._worker = worker
        self._asked_calls: list[tuple[dict, Answer]] = []
        """What was asked of the edit in one run."""
        self._parameters = tests.parameters()

    def holds(self) -> bool:
        """Whether as many functions of tests leave a choice as pin the answer, and none denies."""
        groups: dict[str, list[str]] = {}
        for test in self._tests.ids:
            groups.setdefault(function_of(test), []).append(test)
        votes: Counter = Counter()
        for name in sorted(groups, key=lambda n: key_of([self._seed, n]))[:MAX_FUNCTIONS]:
            vote = self._on_fresh(name, groups[name]) or self._on_its_own(groups[name])
            if vote == DENIES:
                return False
            votes[vote] += 1
        return votes[LEAVES] >= max(1, votes[PINS])

    def _on_fresh(self, name: str, ids: list[str]) -> str:
        """What this function of tests says of the edit on other values than its own; "" where not
        enough of them decide."""
        passed: list[bool] = []
        others = 0
        for changed in self._fresh(name, ids):
            right = self._tests.passing(None, changed)
            blind = self._blind({**changed, "ids": sorted(right)}) if right else set()
            if right - blind:
                mine = self._asked({**changed, "ids": sorted(right - blind)})
                fresh = [pair for pair in self._asked_calls if key_of(pair[0]) not in self._known]
                if fresh:
                    passed += [test in mine for test in right - blind]
                    others += self._not_gold(fresh) if mine == right - blind else 0
            if len(passed) >= ENOUGH:
                break
        if len(passed) < MIN_DECIDED:
            return ""
        if sum(passed) / len(passed) < AGREEMENT_OF_TWO:
            return DENIES
        return LEAVES if others >= MIN_DECIDED else SILENT

    def _not_gold(self, pairs: list[tuple[dict, Answer]]) -> int:
        """How many of the edit's answers are not the gold edit's."""
        gold = self._tests.gold([call for call, _ in pairs])
        return sum(not agree(mine, right) for (_, mine), right in zip(pairs, gold))

    def _fresh(self, name: str, ids: list[str]) -> Iterator[dict]:
        """What to change of the tests: the parameters, or else literals of the function."""
        own = {test: self._parameters[test] for test in ids if test in self._parameters}
        if not own:
            for number in range(ROUNDS):
                if patches := self._vary(ids, f"{self._seed}/{number}"):
                    yield {"function_patches": patches, "ids": ids}
            return
        parameters: list[tuple[list, dict]] = [
            ([], {key: values.load(v) for key, v in own[test].items()}) for test in own
        ]
        known = {key_of(encoded) for encoded in own.values()}
        fresh = []
        for _, drawn in perturbed(parameters, f"{self._seed}/{name}", ROUNDS * len(own)):
            encoded = {key: values.dump(value) for key, value in drawn.items()}
            if (key := key_of(encoded)) not in known:
                known.add(key)
                fresh.append(encoded)
        for start in range(0, len(fresh), len(own)):
            given = dict(zip(own, fresh[start : start + len(own)]))
            yield {"given": given, "ids": list(given)}

    def _on_its_own(self, ids: list[str]) -> str:
        """What these tests say of the edit as they are."""
        if self._blind({"ids": ids}) == set(ids):
            return SILENT
        passed = self._asked({"ids": ids}) == set(ids)
        return LEAVES if passed and self._not_gold(self._asked_calls) else PINS

    def _blind(self, changed: dict) -> set[str]:
        """Those of the tests that pass whatever they are answered."""
        return set.intersection(
            *(self._tests.passing(partial(_meaningless, value), changed) for value in MEANINGLESS)
        )

    def _asked(self, changed: dict) -> set[str]:
        """The tests that pass with the edit's answers."""
        self._asked_calls = []

        def ask(message: dict) -> dict:
            call, answer = call_in(message), self._worker.answer(message)
            self._asked_calls.append((call, read_answer(call, answer)))
            return answer

        return self._tests.passing(ask, changed)


def _meaningless(value: str | None, message: dict) -> dict:
    return {**call_in(message), **values.dump(value)}
