#!/usr/bin/env python3
"""Record the first three commands on a terminal, for the README.

    python docs/record.py                            # as a newcomer gives them: 10 to 30 minutes
    python docs/record.py --limit 40 --cycles 4      # fewer tasks and cycles, and the commands say so
    python docs/record.py --draw                     # the picture and README's figures alone

The commands are typed and run in a folder of their own. What they write to the terminal goes to
`docs/first-arc.cast` (asciicast v2, which `asciinema play` shows too), is drawn as
`docs/first-arc.svg`, and gives the sample output in the README its figures: a line of a `console`
block is replaced by the recorded line with the same words. A line whose words are not there any
more is named, for a person to choose another. Paths of the interpreter are shown: use a virtual
environment with a plain path.
"""

import argparse
import codecs
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # started as a script, it is alone

from docs.animation import Recording, svg

ROOT = Path(__file__).parents[1]
CAST, PICTURE, README = (
    ROOT / "docs/first-arc.cast",
    ROOT / "docs/first-arc.svg",
    ROOT / "README.md",
)
COLUMNS, ROWS = 110, 26
PROMPT, TYPED, PLAIN = "\x1b[32m$\x1b[0m ", "\x1b[1m", "\x1b[0m"
BETWEEN_WORDS, AFTER_A_COMMAND = 0.25, 1.5
"""Seconds."""
BARS = {"TQDM_MININTERVAL": "1"}
"""A bar is drawn once a second: more of it would be thrown away."""
DESCRIPTION = (
    "A terminal: a small model solves none of a repository's tasks, is taught some of them, and then "
    "solves others that it was never taught."
)
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
ELISION = "..."
"""In a block: lines are left out here."""


def commands(limit: int | None, cycles: int | None) -> list[str]:
    """What is typed."""
    fewer_tasks = "" if limit is None else f" --limit {limit}"
    fewer_cycles = "" if cycles is None else f" --cycles {cycles}"
    return [
        "python coldstart.py demo practice",
        f"python coldstart.py bootstrap --repo practice{fewer_tasks}",
        f"python coldstart.py climb{fewer_cycles}",
    ]


def record(typed: list[str], folder: Path) -> Recording:
    """The commands on a terminal, one after the other, in `folder`. Raises SystemExit where one
    fails."""
    began, events, skipped = time.monotonic(), [], 0.0
    for command in typed:
        words = f"{PROMPT}{TYPED}{command}{PLAIN}\r\n".split(" ")
        for n, word in enumerate(words):
            events.append((time.monotonic() - began + skipped, (" " if n else "") + word))
            skipped += BETWEEN_WORDS
        for at, text in _written(command, folder):
            events.append((at - began + skipped, text))
        skipped += AFTER_A_COMMAND
    return Recording(COLUMNS, ROWS, events)


def _written(command: str, folder: Path) -> Iterator[tuple[float, str]]:
    """(time by the monotonic clock, text) of what a command writes to its terminal."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        shlex.split(command),
        cwd=folder,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        env={**os.environ, **BARS, "PATH": path, "TERM": "xterm-256color"},
    )
    os.close(its)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while True:
            try:
                text = decoder.decode(os.read(ours, 65536))
            except OSError:  # the other end is closed
                break
            print(text, end="", flush=True)
            yield time.monotonic(), text
    finally:
        os.close(ours)
        code = process.wait()
    if code:
        raise SystemExit(f"{command}: exit code {code}. Nothing was written.")


def words_of(line: str) -> str:
    """A line without its figures, names of commits and widths of columns."""
    return " ".join(re.sub(r"\b[0-9a-f]{10}\b|\d[\d.]*", "#", line).split())


def renewed(readme: str, said: list[str]) -> tuple[str, list[str]]:
    """(the README with the figures of the lines that were `said`, sample lines that were not said,
    or not in this order)"""
    known, missing, place = [words_of(line) for line in said], [], 0

    def line_now(line: str) -> str:
        nonlocal place
        if not line or line == ELISION:
            return line
        if (words := words_of(line)) not in known[place:]:
            missing.append(line)
            return line
        place = known.index(words, place) + 1
        return said[place - 1]

    def renew(block: re.Match) -> str:
        lines = [line_now(line) for line in block[1].splitlines()]
        return "```console\n" + "".join(f"{line}\n" for line in lines) + "```"

    return BLOCK.sub(renew, readme), missing


def draw() -> list[str]:
    """Write the picture and README's figures; returns the lines of the README that a person must
    look at."""
    recording = Recording.read(CAST)
    PICTURE.write_text(svg(recording, DESCRIPTION), encoding="utf-8")
    text, missing = renewed(README.read_text("utf-8"), recording.lines())
    README.write_text(text, encoding="utf-8")
    return missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--limit", type=int, help="at most this many tasks")
    parser.add_argument("--cycles", type=int, help="cycles of climb")
    parser.add_argument("--draw", action="store_true", help="draw what was recorded before")
    options = parser.parse_args()
    if not options.draw:
        with tempfile.TemporaryDirectory(prefix="coldstart-") as folder:
            (Path(folder) / "coldstart.py").symlink_to(ROOT / "coldstart.py")
            record(commands(options.limit, options.cycles), Path(folder)).write(CAST)
    for line in draw():
        print(f"README: this is not what is printed any more: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
