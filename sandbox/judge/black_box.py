"""Judging from outside: the tests run without any of the edit's code in their process, and the
edit's answers are compared out here.

The code that is judged shares a process with whatever runs in that process, and can forge what is
reported there. So, for a task whose function takes and gives plain data (`hard`), it gets a process
of its own, with no tests in the jail, that does nothing but answer calls. What crosses the border
is typed JSON (`inside/plain.py`), decoded to built-in types and nothing else.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from sandbox.jail.inside import plain  # the same codec on both sides of the border
from sandbox.jail.jail import Jail
from sandbox.judge.fuzz import perturbed, same
from sandbox.tasks.task import Task

FRESH_INPUTS = 64
DRAWN_INPUTS = 320
"""Inputs that the gold edit is asked, of which those that decide something are taken."""
AGREEMENT, AGREEMENT_OF_TWO = 0.7, 0.85
"""Share of the fresh inputs on which the edit must answer as the gold edit does. Below 1, because
an honest solution may differ where the tests say nothing; a table of the tests' answers agrees on
almost none. Where there are but two answers, a wrong rule is right half of the time, and nearly
always about one of the two: there more is wanted, of either."""
MIN_DECIDED = 4
"""With fewer inputs that decide anything, fresh inputs say nothing."""


def key_of(data: Any) -> str:
    """What typed data is known by."""
    return json.dumps(data, sort_keys=True)


class Worker:
    """A jailed process with the edit in it and no tests, that answers calls."""

    def __init__(self, jail: Jail, request: dict) -> None:
        self._jail, self._limit, self._over = jail, request["timeout"], False
        self._began = self._answered_at = time.monotonic()
        self.reply: dict = {}
        """The jail's reply, once the worker has ended."""
        jail.start(request)
        self._receive()

    def _receive(self) -> Any:
        """What the worker has put as its question: its answer to the last call."""
        message = self._jail.receive()
        self._answered_at = time.monotonic()
        if "ask" in message:
            return message["ask"]
        self._over, self.reply = True, message
        return {"gone": True}

    def answer(self, call: dict) -> dict:
        """The answer to one call, as untrusted data; {"gone": True} where there is none."""
        if self._over:
            return {"gone": True}
        self._jail.answer(call)
        answer = self._receive()
        return answer if isinstance(answer, dict) else {"gone": True}

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

    def __init__(
        self, jail: Jail, request: dict, key: list, on_reply: Callable[[dict], None]
    ) -> None:
        """`jail`: an `in-process` one; `request`: complete, and with the tests' "ids"; `key`: how
        the jail knows the function; `on_reply` hears of every reply."""
        self._jail, self._request, self._key, self._on_reply = jail, request, key, on_reply
        self.ids = tuple(request["ids"])

    def gold(self, calls: list[dict]) -> list[dict]:
        """The gold edit's answers to calls; [] where there are none."""
        return self._asked({"gold": self._key, "calls": calls}).get("answers", [])

    def parameters(self) -> dict[str, dict]:
        """{test: {name: value}} of the parametrized ones whose parameters are plain data."""
        return self._asked({"parameters": True}).get("parameters", {})

    def run(self, ask: Callable[[dict], dict] | None, changed: dict | None = None) -> dict:
        """The runner's reply where `ask` answers every call (None: the gold edit does). `changed`:
        of the request, "ids", or the tests themselves: "given" parameters, "function_patches"."""
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
        outcomes = self.run(ask, changed).get("outcomes", {})
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
    answers: list[dict]
    """Untrusted data. Fewer than there are inputs where it stopped answering."""


def drawn_calls(task: Task, seed: str) -> list[dict]:
    """Recorded calls of the task, changed by `seed`: none twice, and none that a test makes."""
    recorded = [
        (plain.decode(call["args"]), plain.decode(call["kwargs"])) for call, _ in task.recorded
    ]
    known, calls = {key_of(call) for call, _ in task.recorded}, []
    for args, kwargs in perturbed(recorded, seed, DRAWN_INPUTS):
        call = {"args": plain.encode(args), "kwargs": plain.encode(kwargs)}
        if (key := key_of(call)) not in known:
            known.add(key)
            calls.append(call)
    return calls


def deciding(task: Task, calls: list[dict], gold: list[dict]) -> list[tuple[dict, dict]]:
    """The fresh inputs: up to FRESH_INPUTS of (call, the gold edit's answer), in turn from each of
    its different answers, so that an answer which is right nearly always does not pass for a
    solution.

    An input on which the gold edit gives no plain data decides nothing, nor does one on which it
    raises, unless the tests make it raise that exception, too; of these there are no more than of
    the others, for a refusal is an easy answer.
    """
    raised = {answer["raised"][0] for _, answer in task.recorded if answer.get("raised")}
    by_answer: dict[str, list[tuple[dict, dict]]] = {}
    refused: list[tuple[dict, dict]] = []
    for call, answer in zip(calls, gold):
        if "value" in answer:
            by_answer.setdefault(key_of(answer["value"]), []).append((call, answer))
        elif (answer.get("raised") or [None])[0] in raised:
            refused.append((call, answer))
    answered = [
        pair for turn in zip_longest(*by_answer.values()) for pair in turn if pair is not None
    ]
    refused = refused[: min(len(answered), FRESH_INPUTS // 2)]
    return answered[: FRESH_INPUTS - len(refused)] + refused


def on_fresh_inputs(worker: Worker, inputs: list[tuple[dict, dict]]) -> FreshAnswers:
    """What the worker answers to `inputs`, as `deciding` gives them. Who stops answering is never
    resolved, whatever it has answered before."""
    answers, gold = [], [answer for _, answer in inputs]
    for call, _ in inputs:
        answer = worker.answer(call)
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
    answers: list[dict], gold: list[dict], agrees: Callable[[dict, dict], bool] | None = None
) -> tuple[float, float]:
    """(share of the inputs on which an edit's answers agree with the gold edit's, the share that is
    wanted). Where the gold edit has but two different answers, the share is that of the answer
    about which the edit is wrong more often, if it has MIN_DECIDED inputs. `agrees`: `agree`, or
    another way to say so of two answers."""
    agrees = agrees or agree
    by_answer: dict[str, list[bool]] = {}
    for mine, right in zip(answers, gold):
        answer = key_of(right.get("value", right.get("raised")))
        by_answer.setdefault(answer, []).append(agrees(mine, right))
    judged = [[right for of_one in by_answer.values() for right in of_one]]
    of_two = len(by_answer) <= 2
    judged += [of_one for of_one in by_answer.values() if of_two and len(of_one) >= MIN_DECIDED]
    share = min(sum(of_one) / len(of_one) for of_one in judged)
    return share, AGREEMENT_OF_TWO if of_two else AGREEMENT


def agree(mine: dict, right: dict) -> bool:
    """Whether an edit's answer to a call is the gold edit's, an exception included."""
    if "value" not in right:
        return mine.get("raised") == right.get("raised")
    try:
        return same(plain.decode(mine["value"]), plain.decode(right["value"])) and all(
            same(plain.decode(mine["after"][part]), plain.decode(right["after"][part]))
            for part in ("args", "kwargs")
        )
    except (KeyError, TypeError, plain.NotPlain):
        return False
