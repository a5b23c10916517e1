"""What a person at a terminal sees: sentences, one progress bar, diffs in colour, errors in words.
Only `coldstart.py` uses this, and hands in what writes."""

import json
import os
import select
import shutil
import sys
from contextlib import suppress
from typing import Any, Protocol

from recipes.events import Event, Progress
from sandbox.errors import HarnessError, UsageError
from sandbox.jsonl import valid

BAR = "{desc} {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left |{bar}|"
"""Of progress, for tqdm: what does not fit a narrow terminal is the end."""
INTERRUPTED = "Interrupted. What was done is kept; give the same command again to go on."
FINISHING = b"\nFinishing this step; Ctrl-C again stops now.\n"
COLOURS = {"+": 32, "-": 31, "@": 36}
"""Of a diff's lines by their first character: green, red and cyan, as ECMA-48 numbers them."""
BOLD = 1


class Echo(Protocol):
    """Writes a line to standard output, or to standard error."""

    def __call__(self, message: str, *, err: bool = False) -> None: ...


class Screen:
    """What a person sees: sentences on standard output, one progress bar on standard error, none of
    it where a machine reads."""

    def __init__(self, as_json: bool, echo: Echo) -> None:
        self.as_json, self._echo = as_json, echo
        self._bar: Any = None
        self._what: str | None = None

    def emit(self, event: Event) -> None:
        """Show what happens."""
        if isinstance(event, Progress):
            self.progress(event.what, event.done, event.total)
        else:
            self.say(str(event))

    def say(self, text: str = "") -> None:
        if self._bar is not None:
            self._bar.clear()
        self._echo(valid(text), err=self.as_json)
        if self._bar is not None:
            self._bar.refresh()

    @property
    def width(self) -> int:
        """Columns that a text may take."""
        return min(200, max(60, shutil.get_terminal_size().columns))

    def say_lines(self, lines: list[str]) -> None:
        self.say("\n".join(lines))

    def say_facts(self, lines: list[str]) -> None:
        """What a command was asked for, where no machine reads: beside JSON it would be said twice."""
        if not self.as_json:
            self.say_lines(lines)

    def progress(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `what` are done. Silent where standard error is no
        terminal. The rate and the time that is left go by the steps since this was first called for
        `what`: what was done before a run was cut off took no time of this one."""
        from tqdm import tqdm

        if self._what != what:
            self.end_bar()
            self._what = what
            self._bar = tqdm(
                total=total,
                initial=done,
                desc=what,
                leave=False,
                smoothing=0,
                dynamic_ncols=True,
                bar_format=BAR,
                disable=not sys.stderr.isatty(),
            )
        self._bar.total = total
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.end_bar()

    def end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = self._what = None

    def result(self, record: dict) -> None:
        """The last line for machines."""
        self.end_bar()
        if self.as_json:
            self._echo(json.dumps(valid(record)))


def say_finishing() -> None:
    """Say that Ctrl-C was heard. In a signal's handler Python's streams may be in the middle of a
    line, so not through them."""
    with suppress(OSError):  # nobody reads
        os.write(2, FINISHING)


def nobody_reads() -> bool:
    """Whether our own standard output or error is a pipe that nobody reads any more. A pipe to a
    program that we have started can break, too, and then there is somebody to be told."""
    ends = select.poll()
    for stream in (1, 2):
        ends.register(stream, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in ends.poll(0))


def error_in_words(error: UsageError | HarnessError | OSError) -> tuple[int, str]:
    """(exit code, sentence) of what ends a command."""
    if isinstance(error, UsageError):
        return 2, str(error)
    if isinstance(error, HarnessError):
        return 3, f"The harness failed, and nothing was judged by it: {error}"
    if isinstance(error, BrokenPipeError):
        return 3, (
            "A program that this one had started ended before its time (broken pipe). What was "
            "done is kept; give the same command again."
        )
    return 2, (
        f"{error.filename or 'The disk'}: {error.strerror}. What was done is kept; give the same "
        "command again."
    )


def coloured(patch: str) -> str:
    """A diff for a terminal; who writes it takes the colours away where it goes elsewhere."""
    text = patch.rstrip("\n")
    if os.environ.get("NO_COLOR"):
        return text

    def styled(line: str) -> str:
        style = BOLD if line[:4] in ("+++ ", "--- ") else COLOURS.get(line[:1])
        return line if style is None else f"\x1b[{style}m{line}\x1b[0m"

    return "\n".join(map(styled, text.split("\n")))
