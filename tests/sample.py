"""The sample output of the README, which is copied from a recording (docs/record.py), and whether
the program still prints its words."""

import re

from docs.record import BLOCK, ELISION, README, words_of
from recipes.reporting.tables import SHORT_WORDS


def sample(command: str) -> list[str]:
    """The lines of output that the README shows behind a command of coldstart, as in `climb`."""
    text = "\n".join(BLOCK.findall(README.read_text("utf-8")))
    behind = re.split(rf"^\$ python coldstart\.py {command}\b.*\n", text, maxsplit=1, flags=re.M)[1]
    lines = behind.partition("\n$ ")[0].splitlines()
    return [line for line in lines if line and line != ELISION]


def unsaid(command: str, text: str) -> list[str]:
    """Sample lines whose words are not in what the command printed, figures aside. A line of a
    table may be about another group of tasks: which there are hangs on the run."""
    said = {_of_any_group(words_of(line)) for line in text.splitlines()}
    return [line for line in sample(command) if _of_any_group(words_of(line)) not in said]


def _of_any_group(words: str) -> str:
    """Whatever group, number (which may be none) or sort of task it is about."""
    words = re.sub(r"\bnone\b\.?", "#", words).replace("# tasks that it", "# functions that it")
    return re.sub(rf"^(?:{'|'.join(SHORT_WORDS.values())}) #", "group #", words)
