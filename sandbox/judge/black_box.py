"""Judging from outside: the tests run without any of the edit's code in their process, and the
edit's answers are compared out here.

The code that is judged shares a process with whatever runs in that process, and can forge what is
reported there. So, for a `hard` task, it gets a process of its own, with no tests in the jail, that
does nothing but answer calls. What crosses the border is typed JSON (`inside/values.py`): data and
instances by value, functions and iterators as handles that are asked (`inside/handles.py`). The
tests' process takes of an answer only what the right code was seen to give (`recording.seen_in`).
"""

import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from sandbox.jail.jail import Jail
from sandbox.judge.fuzz import perturbed, same
from sandbox.judge.neutral import Answer, has_handles, key_of, read_answer, read_call, write_call
from sandbox.tasks.task import Task

FRESH_INPUTS = 64
DRAWN_INPUTS = 320
"""Inputs that the gold edit is asked, of which those that decide something are taken."""
AGREEMENT, AGREEMENT_OF_TWO = 0.7, 0.85
"""Share of the fresh inputs on which the edit must answer as the gold edit does. Below 1, because
an honest solution may differ where the tests say nothing; a table of the tests' answers agrees on
almost none. Where there are but two answers, a wrong rule is right half of the time, and nearly
always about one of the two: there more is wanted, of either."""
ANSWERS_MB = 32
"""Longest report of the gold edit's answers, MiB."""
ASKED_AGAIN = 32
"""Calls of the tests that are put once more."""
GRADED_INPUTS = 32
"""Inputs that are drawn from each grade in turn."""
FEW_VALUES = 4
"""A part of the answers with no more different values than this is a grade, not a measure."""
MAX_PARTS = 60
"""Parts of one answer that are looked at."""
MIN_DECIDED = 4
"""With fewer inputs that decide anything, fresh inputs say nothing."""


class Worker:
    """A jailed process with the edit in it and no tests, that answers calls. It may ask back before
    it answers (`inside/handles.py`)."""

    def __init__(self, jail: Jail, request: dict) -> None:
        self._jail, self._limit, self._over = jail, request["timeout"], False
        self._began = self._answered_at = time.monotonic()
        self.reply: dict = {}
        """The jail's reply, once the worker has ended."""
        jail.start(request)
        self._receive()

    def _receive(self) -> Any:
        """What the worker has put as its question: its answer to the last call, or a question."""
        message = self._jail.receive()
        self._answered_at = time.monotonic()
        if "ask" in message:
            return message["ask"]
        self._over, self.reply = True, message
        return {"gone": True}

    def answer(self, message: dict) -> dict:
        """What it says to one message, as untrusted data; {"gone": True} where it says nothing."""
        if self._over:
            return {"gone": True}
        self._jail.answer(message)
        answer = self._receive()
        return answer if isinstance(answer, dict) else {"gone": True}

    def answer_alone(self, call: dict) -> Answer:
        """The answer to a call about which nobody can be asked."""
        return read_answer(call, self.answer(alone(call)))

    @property
    def fault(self) -> tuple[str, str] | None:
        """(`timeout` or `failed`, what became of it, in words) once it has ended; None while it
        answers. Not to be asked after `close`, which ends it, too."""
        if not self._over:
            return None
        # One whose time runs out while it waits for a call is only found dead at the next.
        if "timeout" in self.reply or self._answered_at >= self._began + self._limit:
            seconds = f"{round(self._limit, 1):g} s"
            return "timeout", f"ran out of time ({seconds} for the tests and all fresh inputs)"
        return "failed", f"ended early ({self.reply.get('died', 'it said nothing of use')})"

    def abandon(self) -> None:
        """Its jail has failed: there is nobody to talk to."""
        self._over = True

    def close(self) -> None:
        """Let the worker end; its jail can be asked again."""
        while not self._over:
            self._jail.answer(None)
            self._receive()


class Tests:
    """A task's tests on the intact tree, with none of the edit's code in their process, and with
    somebody else's answers in place of its function's. Whatever it is asked raises HarnessError."""

    __test__ = False  # pytest: no class of tests

    def __init__(
        self, jail: Jail, request: dict, key: list, on_reply: Callable[[dict], None]
    ) -> None:
        """`jail`: an `in-process` one; `request`: complete, with the tests' "ids" and what
        `calls.Stub` takes; `key`: how the jail knows the function; `on_reply` hears of every
        reply."""
        self._jail, self._request, self._key, self._on_reply = jail, request, key, on_reply
        self.ids = tuple(request["ids"])

    def gold(self, calls: list[dict]) -> list[Answer]:
        """The gold edit's answers to calls; [] where there are none."""
        asked = {
            "gold": self._key,
            "calls": [alone(call) for call in calls],
            "report_mb": ANSWERS_MB,
        }
        return list(map(read_answer, calls, self._asked(asked).get("answers", [])))

    def parameters(self) -> dict[str, dict]:
        """{test: {name: value}} of the parametrized ones whose parameters are plain data."""
        return self._asked({"parameters": True}).get("parameters", {})

    def run(self, ask: Callable[[dict], dict] | None, changed: dict | None = None) -> dict:
        """The runner's reply where `ask` answers every call (None: the gold edit does), and why
        that could not go on ("trouble"). `changed`: of the request, "ids", or the tests themselves:
        "given" parameters, "function_patches"."""
        request = {"function_patches": [], **(changed or {})}
        if ask is None:
            return self._asked(request)
        self._jail.start({**self._request, **request, "stub": self._key})
        while "ask" in (message := self._jail.receive()):
            self._jail.answer(ask(message["ask"]))
        self._on_reply(message)
        return message

    def passing(self, ask: Callable[[dict], dict] | None, changed: dict | None = None) -> set[str]:
        """Those that pass. Arguments as of `run`."""
        ids = (changed or {}).get("ids", self.ids)
        reply = self.run(ask, changed)
        outcomes = {} if reply.get("trouble") else reply.get("outcomes", {})
        return {test for test in ids if outcomes.get(test) == "passed"}

    def _asked(self, changed: dict) -> dict:
        reply = self._jail.ask({**self._request, **changed})
        self._on_reply(reply)
        return reply


@dataclass(frozen=True)
class FreshAnswers:
    """What an edit has answered to fresh inputs."""

    status: str
    """`resolved`, `failed` or `timeout`."""
    reason: str
    """Why; "" where it is resolved."""
    agreement: float | None
    """Share of the inputs that were answered on which it agrees; None where none was."""
    answers: list[Answer]
    """Untrusted data. Fewer than there are inputs where it stopped answering."""


def alone(call: dict) -> dict:
    """The request for a call about which nobody can be asked."""
    return {"request": "call", "alone": True, **call}


def drawn_calls(task: Task, seed: str) -> list[dict]:
    """Recorded calls of the task, changed by `seed`: none twice, and none that a test makes."""
    known = {key_of(call) for call, _ in task.recorded}
    calls = []
    for changed in perturbed([read_call(c) for c, _ in task.recorded], seed, DRAWN_INPUTS):
        args, kwargs, *state = changed
        call = write_call([tuple(args), kwargs, *state])
        if (key := key_of(call)) not in known:
            known.add(key)
            calls.append(call)
    return calls


def deciding(task: Task, calls: list[dict], gold: list[Answer]) -> list[tuple[dict, Answer]]:
    """The fresh inputs: up to FRESH_INPUTS of (call, the gold edit's answer), in turn from each of
    its different answers, so that an answer which is right nearly always does not pass for a
    solution. Behind them stand up to GRADED_INPUTS more, in turn from each grade (`_by_grade`),
    which have to be answered for themselves (`agreement`).

    An input on which the gold edit gives nothing that can be compared decides nothing, nor does one
    on which it raises, unless the tests make it raise that exception, too; of these there are no
    more than of the others, for a refusal is an easy answer.
    """
    raised = {read_answer(*pair).raised for pair in task.recorded}
    usable: list[tuple[dict, Answer]] = []
    refused: list[tuple[dict, Answer]] = []
    for call, answer in zip(calls, gold):
        if answer.fault or not _says_something(answer, call):
            continue
        if answer.raised is None:
            usable.append((call, answer))
        elif answer.raised in raised:
            refused.append((call, answer))
    answered = _in_turn(usable)
    refused = refused[: min(len(answered), FRESH_INPUTS // 2)]
    first = answered[: FRESH_INPUTS - len(refused)] + refused
    graded = [usable[i] for i in _by_grade([answer for _, answer in usable])]
    return first + [pair for pair in graded if not any(pair is known for known in first)]


def _in_turn(pairs: list[tuple[dict, Answer]]) -> list[tuple[dict, Answer]]:
    """In turn from each different answer."""
    by_answer: dict[str, list[tuple[dict, Answer]]] = {}
    for pair in pairs:
        by_answer.setdefault(_told_apart(pair[1]), []).append(pair)
    return turns(list(by_answer.values()))


def _by_grade(answers: list[Answer]) -> list[int]:
    """Places of up to GRADED_INPUTS answers, in turn from each grade: from those that have the same
    in all parts in which few different values stand. An answer may be another one each time because
    somebody's name stands in it, and be right nearly always in what is to be found out about him.
    [] where all have the same grade, or each answer is one by itself."""
    grades: dict[str, dict[str, list[int]]] = {}
    for place, grade in enumerate(_of_few_values(list(map(_parts, answers)))):
        grades.setdefault(grade, {}).setdefault(_told_apart(answers[place]), []).append(place)
    if len(grades) < 2 or all(len(by_answer) == 1 for by_answer in grades.values()):
        return []
    by_grade = [turns(list(by_answer.values())) for by_answer in grades.values()]
    return turns(by_grade)[:GRADED_INPUTS]


def turns(rows: list[list]) -> list:
    """The first of each row, then the second of each, ..."""
    gap = object()
    return [item for turn in zip_longest(*rows, fillvalue=gap) for item in turn if item is not gap]


def _parts(answer: Answer) -> dict[str, Any]:
    """{place: the plain value there, or what holds others} of a value as it crossed."""
    found: dict[str, Any] = {}
    waiting = deque([("", [answer.wire.get("value"), answer.wire.get("heap")])])
    while waiting and len(found) < MAX_PARTS:
        place, node = waiting.popleft()
        items: Iterable = node.items() if isinstance(node, dict) else ()
        items = enumerate(node) if isinstance(node, list) else items
        found[place] = type(node).__name__ if isinstance(node, (dict, list)) else node
        waiting += [(f"{place}/{key}", item) for key, item in items]
    return found


def _of_few_values(answers: list[dict[str, Any]]) -> list[str]:
    """For each answer what stands in the places that all have, and where few values stand."""
    shared = set.intersection(*map(set, answers)) if answers else set()
    few = sorted(p for p in shared if len({repr(a[p]) for a in answers}) <= FEW_VALUES)
    return [repr([answer[place] for place in few]) for answer in answers]


def _told_apart(answer: Answer) -> str:
    """What an answer is told apart by from others."""
    return answer.raised or key_of([answer.wire.get("value"), answer.wire.get("heap")])


def _says_something(answer: Answer, call: dict) -> bool:
    """Whether an answer can be compared: a function that was made for it cannot."""
    known = {number for number, _ in call["heap"]}
    return not any(
        content[0] == "callable" and number not in known for number, content in answer.wire["heap"]
    )


def changed_its_mind(worker: Worker, said: list[tuple[dict, Answer]], seed: str) -> str:
    """In words, that the worker answers the tests' own calls otherwise in another order than
    theirs: it has answered by the order, which fresh inputs do not show where the tests leave few
    others. "" where it does not. `said`: calls in which nothing is a handle, and what it has
    answered."""
    pairs = [pair for pair in said if not pair[1].fault and not has_handles(pair[1].wire)]
    pairs = random.Random(seed).sample(pairs, min(len(pairs), ASKED_AGAIN))
    same_again = sum(agree(worker.answer_alone(call), before) for call, before in pairs)
    if worker.fault or len(pairs) < MIN_DECIDED or same_again >= AGREEMENT_OF_TWO * len(pairs):
        return ""
    return (
        f"In another order it answers {same_again} of {len(pairs)} of the tests' calls as before."
    )


def on_fresh_inputs(worker: Worker, inputs: list[tuple[dict, Answer]]) -> FreshAnswers:
    """What the worker answers to `inputs`, as `deciding` gives them. Who stops answering is never
    resolved, whatever it has answered before."""
    answers, gold = [], [answer for _, answer in inputs]
    for call, _ in inputs:
        answer = worker.answer_alone(call)
        if worker.fault:
            break
        answers.append(answer)
    share, wanted = agreement(answers, gold) if answers else (None, AGREEMENT)
    if worker.fault:
        status, what = worker.fault
        right = sum(map(agree, answers, gold))
        some = (
            f"It agreed with the reference on {right} of the {len(answers)} fresh inputs that "
            f"it answered, of {len(inputs)}, and then {what}."
        )
        none = f"It {what} before it answered any of {len(inputs)} fresh inputs."
        return FreshAnswers(status, some if answers else none, share, answers)
    if share is not None and len(inputs) >= MIN_DECIDED and share < wanted:
        reason = (
            f"It agrees with the reference on {share:.0%} of {len(inputs)} fresh inputs, and "
            f"at least {wanted:.0%} is wanted."
        )
        return FreshAnswers("failed", reason, share, answers)
    return FreshAnswers("resolved", "", share, answers)


def agreement(
    answers: list[Answer],
    gold: list[Answer],
    agrees: Callable[[Answer, Answer], bool] | None = None,
) -> tuple[float, float]:
    """(share of the inputs on which an edit's answers agree with the gold edit's, the share that is
    wanted). Where the gold edit has but two different answers, the share is that of the answer
    about which the edit is wrong more often, if it has MIN_DECIDED inputs; so it is where it agrees
    less often on values than on what is refused, or in turn from each grade (`_by_grade`).
    `agrees`: `agree`, or another way to say so of two answers."""
    agreed_on = [(agrees or agree)(mine, right) for mine, right in zip(answers, gold)]
    by_answer: dict[str, list[bool]] = {}
    values: list[bool] = []
    for agreed, right in list(zip(agreed_on, gold))[:FRESH_INPUTS]:
        by_answer.setdefault(_told_apart(right), []).append(agreed)
        values += [] if right.raised else [agreed]
    judged = [[right for of_one in by_answer.values() for right in of_one]]
    judged += [values] if len(values) >= MIN_DECIDED else []
    of_two = len(by_answer) <= 2
    judged += [of_one for of_one in by_answer.values() if of_two and len(of_one) >= MIN_DECIDED]
    answered = [i for i, right in enumerate(gold[: len(agreed_on)]) if not right.raised]
    graded = [agreed_on[answered[i]] for i in _by_grade([gold[i] for i in answered])]
    judged += [graded] if len(graded) >= MIN_DECIDED else []
    share = min(sum(of_one) / len(of_one) for of_one in judged)
    return share, AGREEMENT_OF_TWO if of_two else AGREEMENT


def agree(mine: Answer, right: Answer) -> bool:
    """Whether an edit's answer to a call is the gold edit's: the value or the class of the
    exception, and what the call left of its arguments and of the state beside them."""
    if mine.fault or right.fault or mine.raised != right.raised:
        return False
    if right.raised:
        return True
    return same(mine.value, right.value) and same(mine.after, right.after)
