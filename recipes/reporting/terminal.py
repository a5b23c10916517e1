"""What a person sees: sentences, one line that is drawn again and again (`live.py`), diffs in
colour, errors in words. Only `coldstart.py` uses this, and hands in what writes.

Where a person watches a terminal, the line says how a loop stands, and of its events only the news
are said. Where what is said goes elsewhere, or with --verbose, everything is said in full.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from recipes.events import Event, Progress, Standing, Tone
from recipes.runfolder.opening import PROGRAM
from sandbox.errors import HarnessError, UsageError
from sandbox.jsonl import valid

if TYPE_CHECKING:  # tqdm takes a while to load
    from recipes.reporting.live import Bar, LoopLine

INTERRUPTED = "Interrupted. What was done is kept; give the same command again to go on."
FINISHING = b"Finishing this step; Ctrl-C again stops now.\n"
COLOURS = {"+": 32, "-": 31, "@": 36}
"""Of a diff's lines by their first character: green, red and cyan, as ECMA-48 numbers them."""
BOLD = 1
MARKS: dict[str, tuple[str, int, int]] = {"good": ("*", BOLD, 32), "bad": ("!", BOLD, 31)}
"""Of news: the mark and its styles."""
USUAL = 80, 24
"""Columns and rows of a terminal that does not know how many it has, or is gone."""
LEAST_COLUMNS = 20
"""Of a text."""


class Echo(Protocol):
    """Writes a line to standard output, or to standard error."""

    def __call__(self, message: str, *, err: bool = False) -> None: ...


class Screen:
    """What a person sees: sentences on standard output, one line that is drawn again and again on
    standard error. Where a machine reads standard output, sentences go to standard error, too."""

    def __init__(self, as_json: bool, echo: Echo, verbose: bool = False) -> None:
        """`verbose`: say all of it, and when a step has ended, also to a person at a terminal."""
        self.as_json, self.verbose, self._echo = as_json, verbose, echo
        self._loop: LoopLine | None = None
        self._bar: Bar | None = None
        self._step: Step | None = None

    def emit(self, event: Event) -> None:
        """Show what happens."""
        if isinstance(event, Progress):
            self.progress(event.what, event.done, event.total)
        elif isinstance(event, Standing):
            self._stand(event)
        elif not self.is_brief:
            self.say(str(event))
        elif event.news:
            self.say(event.news, event.tone)

    @property
    def is_brief(self) -> bool:
        """Whether a person watches the line that is drawn, and reads what is said beside it."""
        return not self.verbose and is_drawn_on(sys.stderr) and is_drawn_on(self._out)

    @property
    def _out(self) -> TextIO:
        """Where sentences go."""
        return sys.stderr if self.as_json else sys.stdout

    def say(self, text: str = "", tone: Tone = "") -> None:
        """A text, in lines that fit the terminal; where a person will be glad of it or not, with a
        mark."""
        self._write(marked(text, tone, self._out) if tone else fitting(text, self._out))

    def say_first(self, text: str) -> None:
        """A text that the eye is to find first of all."""
        self._write("\n" + styled(fitting(text, self._out), BOLD))

    def say_as_it_is(self, text: str) -> None:
        """A text that may be copied, in its own lines."""
        self._write(text)

    def _write(self, text: str) -> None:
        line = self._line
        if line is not None:
            line.clear()
        self._echo(valid(text), err=self.as_json)
        if line is not None:
            line.refresh()

    @property
    def _line(self) -> Bar | None:
        """That is drawn now."""
        return self._bar if self._loop is None else self._loop

    @property
    def columns(self) -> int | None:
        """Of the terminal that sentences go to; None where they go elsewhere and nothing has to
        fit."""
        return columns_of(self._out) if self._out.isatty() else None

    @property
    def width(self) -> int:
        """Columns that a text may take."""
        return min(200, max(60, self.columns or shutil.get_terminal_size().columns))

    def say_lines(self, lines: list[str]) -> None:
        self.say("\n".join(lines))

    def say_facts(self, lines: list[str]) -> None:
        """What a command was asked for, where no machine reads: beside JSON it would be said
        twice."""
        if not self.as_json:
            self.say_lines(lines)

    def progress(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `what` are done. Silent where standard error is no
        terminal, but for steps that have ended where the person wants to hear of them."""
        if self._step is None or self._step.what != what:
            self._end_step()
            self._step = Step(what, done, time.monotonic())
        if is_drawn_on(sys.stderr):
            line = self._open_bar(what, done, total) if self._line is None else self._line
            line.show(what, done, total)
        if done >= total:
            ended = self._step
            self._end_step()
            if self.verbose:
                self.say(ended.in_words(total))

    def _open_bar(self, what: str, done: int, total: int) -> Bar:
        from recipes.reporting.live import Bar

        self._bar = Bar(what, done, total)
        return self._bar

    def _stand(self, standing: Standing) -> None:
        self._end_step()
        if not standing.parts:
            self.end_bar()
        elif self._loop is not None:
            self._loop.stand(standing)
        elif is_drawn_on(sys.stderr):
            from recipes.reporting.live import LoopLine

            self._loop = LoopLine(standing)

    def _end_step(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = self._step = None

    def end_bar(self) -> None:
        """Whatever is drawn is over."""
        self._end_step()
        if self._loop is not None:
            self._loop.close()
        self._loop = None

    def result(self, record: dict) -> None:
        """The last line for machines."""
        self.end_bar()
        if self.as_json:
            self._echo(json.dumps(valid(record)))


@dataclass(frozen=True)
class Step:
    """What is in progress."""

    what: str
    done: int
    """When it was first heard of."""
    began: float
    """Of the monotonic clock."""

    def in_words(self, total: int) -> str:
        from recipes.reporting.times import duration

        now = f" ({total - self.done} of them now)" if self.done else ""
        return f"{self.what}: {total}{now} in {duration(time.monotonic() - self.began)}"


def is_drawn_on(stream: TextIO) -> bool:
    """Whether a line of it can be drawn again. TERM=dumb says that it cannot."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def size_of(stream: TextIO) -> tuple[int, int]:
    """(columns, rows) of the terminal that this stream goes to."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except OSError:  # it has been closed, and the run goes on
        return USUAL
    return size.columns or USUAL[0], size.lines or USUAL[1]


def columns_of(stream: TextIO) -> int:
    return size_of(stream)[0]


def fitting(text: str, stream: TextIO, spare: int = 0) -> str:
    """The text in lines that fit, broken between words, where the stream goes to a terminal;
    `spare` columns stay free. A line that is a command is left as it is: it is to be copied."""
    if not stream.isatty():
        return text
    width, lines = columns_of(stream) - spare, []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        if len(line) <= width or line.startswith(PROGRAM):
            lines.append(line)
        else:
            lines += textwrap.wrap(
                line,
                max(width, LEAST_COLUMNS),
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(lines)


def marked(text: str, tone: Tone, stream: TextIO) -> str:
    """The text, fitting, behind a mark, so that the eye finds it. The mark alone has a colour, for
    the text is to be read on any background."""
    mark, *styles = MARKS[tone]
    margin = " " * (len(mark) + 1)
    lines = fitting(text, stream, len(margin)).replace("\n", f"\n{margin}")
    return f"{styled(mark, *styles)} {lines}"


def refuse_watching(as_json: bool) -> None:
    """Raises UsageError where there is nothing that could be drawn again and again."""
    if as_json:
        raise UsageError(
            "--watch draws on a terminal again and again, and --json prints one object: give one "
            "of them."
        )
    if not is_drawn_on(sys.stdout):
        raise UsageError(
            "--watch draws on a terminal again and again, and standard output is none: leave it "
            "out."
        )


def say_finishing() -> None:
    """Say that Ctrl-C was heard, in the place of the line that is drawn. In a signal's handler
    Python's streams may be in the middle of a line, so not through them."""
    with suppress(OSError):  # nobody reads
        os.write(2, (b"\r\x1b[K" if os.isatty(2) else b"\n") + FINISHING)


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

    def line_styled(line: str) -> str:
        style = BOLD if line[:4] in ("+++ ", "--- ") else COLOURS.get(line[:1])
        return line if style is None else styled(line, style)

    return "\n".join(map(line_styled, patch.rstrip("\n").split("\n")))


def styled(text: str, *styles: int) -> str:
    """In styles as ECMA-48 numbers them; as it is where a person wants no colours
    (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{';'.join(map(str, styles))}m{text}\x1b[0m"
