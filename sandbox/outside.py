"""Judging from outside: the tests run without any of the edit's code in their process, and its answers are compared out here.

The code that is judged shares a process with whatever runs in that process, and can forge what is said there. So, for a task whose
function takes and gives plain data (`hard`), it gets a process of its own, with no tests in the jail, that does nothing but answer calls.
What crosses the border is typed JSON (`inside/plain.py`), decoded to built-in types and nothing else.
"""
import json
import sys
import time
from itertools import zip_longest
from pathlib import Path

from sandbox.fresh import perturbed, same
from sandbox.jail import Jail
from sandbox.tasks import Task

# The same codec on both sides of the border.
sys.path.append(str(Path(__file__).parent / "inside"))
import plain  # noqa: E402

FRESH_INPUTS = 64
DRAWN_INPUTS = 320
"""Inputs that the gold edit is asked, of which those that decide something are taken."""
AGREEMENT, AGREEMENT_OF_TWO = 0.7, 0.85
"""Share of the fresh inputs on which the edit must answer as the gold edit does. Below 1, because an honest solution may differ where
the tests say nothing; a table of the tests' answers agrees on almost none. Where there are but two answers, a wrong rule is right half of
the time, and nearly always about one of the two: there more is wanted, of either."""
MIN_DECIDED = 4
"""With fewer inputs that decide anything, fresh inputs say nothing."""


class Worker:
    """A jailed process with the edit in it and no tests, that answers calls."""

    def __init__(self, jail: Jail, request: dict) -> None:
        self._jail, self._limit, self._over = jail, request["timeout"], False
        self._began = self._heard_at = time.monotonic()
        self.reply: dict = {}
        """The jail's reply, once the worker has ended."""
        jail.start(request)
        self._hear()

    def _hear(self) -> dict:
        heard = self._jail.hear()
        self._heard_at = time.monotonic()
        if "ask" in heard:
            return heard["ask"]
        self._over, self.reply = True, heard
        return {"gone": True}

    def answer(self, call: dict) -> dict:
        """The answer to one call, as untrusted data; {"gone": True} where there is none."""
        if self._over:
            return {"gone": True}
        self._jail.tell(call)
        answer = self._hear()
        return answer if isinstance(answer, dict) else {"gone": True}

    @property
    def fault(self) -> tuple[str, str] | None:
        """(`timeout` or `failed`, what became of it, in words) once it has ended; None while it
        answers. Not to be asked after `close`, which ends it, too."""
        if not self._over:
            return None
        # One whose time runs out while it waits for a call is only found dead at the next.
        if "timeout" in self.reply or self._heard_at >= self._began + self._limit:
            seconds = f"{round(self._limit, 1):g} s"
            return "timeout", f"ran out of time ({seconds} for the tests and all fresh inputs)"
        return "failed", f"ended early ({self.reply.get('died', 'it said nothing of use')})"

    def abandon(self) -> None:
        """Its jail has failed: there is nobody to talk to."""
        self._over = True

    def close(self) -> None:
        """Let the worker end; its jail can be asked again."""
        while not self._over:
            self._jail.tell(None)
            self._hear()


def drawn_calls(task: Task, seed: str) -> list[dict]:
    """Recorded calls of the task, changed by `seed`: none twice, and none that a test makes."""
    recorded = [(plain.decode(call["args"]), plain.decode(call["kwargs"])) for call, _ in task.recorded]
    known, calls = {json.dumps(call, sort_keys=True) for call, _ in task.recorded}, []
    for args, kwargs in perturbed(recorded, seed, DRAWN_INPUTS):
        call = {"args": plain.encode(args), "kwargs": plain.encode(kwargs)}
        if (key := json.dumps(call, sort_keys=True)) not in known:
            known.add(key)
            calls.append(call)
    return calls


def deciding(task: Task, calls: list[dict], gold: list[dict]) -> list[tuple[dict, dict]]:
    """The fresh inputs: up to FRESH_INPUTS of (call, the gold edit's answer), in turn from each of its different answers, so that an
    answer which is right nearly always does not pass for a solution.

    An input on which the gold edit gives no plain data decides nothing, nor does one on which it raises, unless the tests make it
    raise that exception, too; of these there are no more than of the others, for a refusal is an easy answer.
    """
    raised = {answer["raised"][0] for _, answer in task.recorded if answer.get("raised")}
    by_answer: dict[str, list] = {}
    refused = []
    for call, answer in zip(calls, gold):
        if "value" in answer:
            by_answer.setdefault(json.dumps(answer["value"], sort_keys=True), []).append((call, answer))
        elif (answer.get("raised") or [None])[0] in raised:
            refused.append((call, answer))
    answered = [pair for turn in zip_longest(*by_answer.values()) for pair in turn if pair is not None]
    refused = refused[:min(len(answered), FRESH_INPUTS // 2)]
    return answered[:FRESH_INPUTS - len(refused)] + refused


def on_fresh_inputs(worker: Worker,
                    inputs: list[tuple[dict, dict]]) -> tuple[str, str, float | None]:
    """(`resolved`, `failed` or `timeout`; why, "" where it is resolved; the `agreement` on the
    inputs that were answered, None where none was), for `inputs` as `deciding` gives them. Who
    stops answering is never resolved, whatever it has said before."""
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
        some = (f"It agreed with the reference on {right} of the {len(answers)} fresh inputs that "
                f"it answered, of {len(inputs)}, and then {what}.")
        none = f"It {what} before it answered any of {len(inputs)} fresh inputs."
        return status, some if answers else none, share
    if len(inputs) >= MIN_DECIDED and share < wanted:
        return "failed", (f"It agrees with the reference on {share:.0%} of {len(inputs)} fresh "
                          f"inputs, and at least {wanted:.0%} is wanted."), share
    return "resolved", "", share


def agreement(answers: list[dict], gold: list[dict]) -> tuple[float, float]:
    """(share of the inputs on which an edit's answers agree with the gold edit's, the share that is wanted). Where the gold edit has but
    two different answers, the share is that of the answer about which the edit is wrong more often, if it has MIN_DECIDED inputs."""
    by_answer: dict[str, list[bool]] = {}
    for mine, right in zip(answers, gold):
        said = json.dumps(right.get("value", right.get("raised")), sort_keys=True)
        by_answer.setdefault(said, []).append(agree(mine, right))
    judged = [[agrees for of_one in by_answer.values() for agrees in of_one]]
    of_two = len(by_answer) <= 2
    judged += [of_one for of_one in by_answer.values() if of_two and len(of_one) >= MIN_DECIDED]
    return min(sum(of_one) / len(of_one) for of_one in judged), AGREEMENT_OF_TWO if of_two else AGREEMENT


def agree(mine: dict, right: dict) -> bool:
    """Whether an edit's answer to a call is the gold edit's, an exception included."""
    if "value" not in right:
        return mine.get("raised") == right.get("raised")
    try:
        return same(plain.decode(mine["value"]), plain.decode(right["value"])) and all(
            same(plain.decode(mine["after"][part]), plain.decode(right["after"][part])) for part in ("args", "kwargs"))
    except (KeyError, TypeError, plain.NotPlain):
        return False
