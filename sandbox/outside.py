"""Judging from outside: the tests run without any of the edit's code in their process, and its answers are compared out here.

The code that is judged shares a process with whatever runs in that process, and can forge what is said there. So, for a task whose
function takes and gives plain data (`hard`), it gets a process of its own, with no tests in the jail, that does nothing but answer calls.
What crosses the border is typed JSON (`inside/plain.py`), decoded to built-in types and nothing else.
"""
import sys
from pathlib import Path

from sandbox.fresh import perturbed, same
from sandbox.jail import Jail
from sandbox.tasks import Task

# The same codec on both sides of the border.
sys.path.append(str(Path(__file__).parent / "inside"))
import plain  # noqa: E402

FRESH_INPUTS = 16
AGREEMENT = 0.7
"""Share of the fresh inputs on which the edit must answer as the gold edit does. Below 1, because an honest solution may differ where
the tests say nothing; a table of the tests' answers agrees on almost none."""
MIN_DECIDED = 4
"""With fewer inputs that decide anything, fresh inputs say nothing."""


class Worker:
    """A jailed process with the edit in it and no tests, that answers calls."""

    def __init__(self, jail: Jail, request: dict) -> None:
        jail.start(request)
        self._jail, self._over = jail, False
        self.reply: dict = {}
        """The jail's reply, once the worker has ended."""
        self._hear()

    def _hear(self) -> dict:
        heard = self._jail.hear()
        if "ask" in heard:
            return heard["ask"]
        self._over, self.reply = True, heard
        return {"gone": True}

    def answer(self, call: dict) -> dict:
        """The answer to one call, as untrusted data; {"gone": True} once the worker has ended."""
        if self._over:
            return {"gone": True}
        self._jail.tell(call)
        answer = self._hear()
        return answer if isinstance(answer, dict) else {"gone": True}

    def close(self) -> None:
        """Let the worker end; its jail can be asked again."""
        while not self._over:
            self._jail.tell(None)
            self._hear()


def fresh_calls(task: Task, seed: str) -> list[dict]:
    """Recorded calls of the task, changed by `seed`."""
    recorded = [(plain.decode(call["args"]), plain.decode(call["kwargs"])) for call, _ in task.recorded]
    return [{"args": plain.encode(args), "kwargs": plain.encode(kwargs)} for args, kwargs in perturbed(recorded, seed, FRESH_INPUTS)]


def agreement(answers: list[dict], gold: list[dict]) -> tuple[int, int]:
    """(how often the answers agree with the gold edit's, how many inputs decide): an input on which the gold edit raises, or gives
    no plain data, decides nothing."""
    decided = [(mine, right) for mine, right in zip(answers, gold) if "value" in right]
    return sum(_agree(mine, right) for mine, right in decided), len(decided)


def same_answers(answers: list[dict], gold: list[dict]) -> bool:
    """Whether all answers are the same, exceptions included."""
    return all(_agree(a, b) if "value" in b else a.get("raised") == b.get("raised") for a, b in zip(answers, gold))


def _agree(mine: dict, right: dict) -> bool:
    try:
        return same(plain.decode(mine["value"]), plain.decode(right["value"])) and all(
            same(plain.decode(mine["after"][part]), plain.decode(right["after"][part])) for part in ("args", "kwargs"))
    except (KeyError, TypeError, plain.NotPlain):
        return False
