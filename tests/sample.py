"""The sample output of the README, which is copied from a recording (docs/record.py), and whether the
program still prints its words."""

import re

from docs.record import BLOCK, ELISION, README, words_of


def sample(command: str) -> list[str]:
    """The lines of output that the README shows behind a command of coldstart, as in `climb`."""
    blocks = [line for block in BLOCK.findall(README.read_text("utf-8")) for line in block.splitlines()]
    begin = next(
        i
        for i, line in enumerate(blocks)
        if re.match(rf"\$ python coldstart\.py {command}( |$)", line)
    )
    shown = []
    for line in blocks[begin + 1 :]:
        if line.startswith("$ "):
            break
        shown.append(line)
    return [line for line in shown if line and line != ELISION]


def unsaid(command: str, text: str) -> list[str]:
    """Sample lines whose words are not in what the command printed, figures aside."""
    said = {words_of(line) for line in text.splitlines()}
    return [line for line in sample(command) if words_of(line) not in said]
