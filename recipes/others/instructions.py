"""Plain instructions that have nothing to do with code, and whose answers a program can check.

    made = instructions(24, seed=0)
    made[0].messages, made[0].accepts("APPLE")

Each is made by one of MAKERS from words and numbers that the seed draws. Whether a reply follows
the instruction is a comparison of text, so there is nothing that it could attack. The split is by
what is asked: the same instruction is never on both sides.
"""

import json
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from recipes.learning.measure import derived_seed
from sandbox.errors import HarnessError
from sandbox.judge.outcomes import Verdict

KIND = "instruction"
WORDS = (
    *("apple", "bridge", "candle", "desert", "engine", "feather", "garden", "harbour", "island"),
    *("jacket", "kettle", "ladder", "meadow", "needle", "orchard", "pepper", "quarry", "ribbon"),
    *("saddle", "timber", "umbrella", "valley", "window", "yard", "zebra"),
)
HELD_OUT = 3
"""Every third instruction of a maker is held out."""

Accepts = Callable[[str], bool]


@dataclass(frozen=True)
class Instruction:
    """One of them. What a rollout asks of a task is here under the names that a `Task` has."""

    instance_id: str
    split: str
    """`train` or `heldout`."""
    text: str
    accepts: Accepts
    """Whether a reply does what was asked."""
    kind: str = KIND
    sort: str = "hard"
    """No reply can forge the verdict."""

    @property
    def messages(self) -> list[dict[str, str]]:
        """As a student is asked."""
        return [{"role": "user", "content": self.text}]


def instructions(count: int, seed: int) -> list[Instruction]:
    """So many, in turn of each maker."""
    made: dict[str, Instruction] = {}
    number = 0
    while len(made) < count:
        maker = MAKERS[number % len(MAKERS)]
        text, accepts = maker(random.Random(derived_seed("instruction", seed, number)))
        if all(text != known.text for known in made.values()):
            split = "heldout" if number // len(MAKERS) % HELD_OUT == 0 else "train"
            name = f"{KIND}-{maker.__name__.strip('_')}-{number}"
            made[name] = Instruction(name, split, text, accepts)
        number += 1
    return list(made.values())


def judge_replies(
    pairs: Iterable[tuple[Instruction, str]], style: str
) -> list[Verdict | HarnessError]:
    """The verdicts, in their order. `style` is of code alone."""
    verdicts: list[Verdict | HarnessError] = []
    for instruction, reply in pairs:
        status, reason = "resolved", ""
        if not instruction.accepts(reply):
            status, reason = "failed", "It does not do what the instruction says."
        verdicts.append(Verdict(instruction.instance_id, status, "confirm", reason, {}, 0.0))
    return verdicts


# ---- what is asked ------------------------------------------------------------------------------


def _capitals(chance: random.Random) -> tuple[str, Accepts]:
    word = chance.choice(WORDS)
    return f"Write the word {word} in capital letters, and nothing else.", _exactly(word.upper())


def _repeated(chance: random.Random) -> tuple[str, Accepts]:
    word, times = chance.choice(WORDS), chance.randint(2, 4)
    text = f"Write the word {word} {times} times, separated by commas, and nothing else."
    return text, _listed([word] * times)


def _alphabetical(chance: random.Random) -> tuple[str, Accepts]:
    words = chance.sample(WORDS, 3)
    text = f"Put these words in alphabetical order, separated by commas: {', '.join(words)}."
    return text, _listed(sorted(words))


def _first(chance: random.Random) -> tuple[str, Accepts]:
    words = chance.sample(WORDS, 3)
    text = f"Which of these words is named first: {', '.join(words)}? Answer with one word."
    return text, _exactly(words[0])


def _longest(chance: random.Random) -> tuple[str, Accepts]:
    words = sorted(chance.sample(WORDS, 3), key=len)
    while len(words[-1]) == len(words[-2]):
        words = sorted(chance.sample(WORDS, 3), key=len)
    longest = words[-1]
    chance.shuffle(words)
    text = f"Which of these words has the most letters: {', '.join(words)}? Answer with one word."
    return text, _exactly(longest)


def _sum(chance: random.Random) -> tuple[str, Accepts]:
    a, b = chance.randint(2, 60), chance.randint(2, 40)
    return f"What is {a} plus {b}? Answer with the number alone.", _exactly(str(a + b))


def _reversed(chance: random.Random) -> tuple[str, Accepts]:
    numbers = [str(n) for n in chance.sample(range(1, 30), 3)]
    text = f"Write these numbers in reverse order, separated by commas: {', '.join(numbers)}."
    return text, _listed(numbers[::-1])


def _object(chance: random.Random) -> tuple[str, Accepts]:
    key, value = chance.sample(WORDS, 2)
    count = chance.randint(1, 99)
    text = (
        f'Write a JSON object in which "{key}" is "{value}" and "count" is {count}, and nothing '
        "else."
    )
    return text, _json({key: value, "count": count})


def _ending(chance: random.Random) -> tuple[str, Accepts]:
    topic, last = chance.sample(WORDS, 2)
    text = f"Write one sentence about the {topic} that ends with the word {last}."

    def accepts(reply: str) -> bool:
        words = re.findall(r"[a-z']+", reply.lower())
        is_one = len(words) >= 4 and "\n" not in reply.strip() and text not in reply
        return is_one and topic in words and words[-1] == last

    return text, accepts


MAKERS = (_capitals, _repeated, _alphabetical, _first, _longest, _sum, _reversed, _object, _ending)


# ---- whether it was done -------------------------------------------------------------------------


def _unfenced(reply: str) -> str:
    return re.sub(r"^```\w*\n|\n```$", "", reply.strip()).strip()


def _plain(reply: str) -> str:
    """Without what many models put around an answer: quotes, a full stop, a fence."""
    return _unfenced(reply).strip("\"'`*.").strip()


def _exactly(wanted: str) -> Accepts:
    return lambda reply: _plain(reply) == wanted


def _listed(wanted: list[str]) -> Accepts:
    return lambda reply: [part.strip() for part in re.split(r"[,\n]", _plain(reply))] == wanted


def _json(wanted: dict) -> Accepts:
    def accepts(reply: str) -> bool:
        try:
            return bool(json.loads(_unfenced(reply)) == wanted)
        except ValueError:
            return False

    return accepts
