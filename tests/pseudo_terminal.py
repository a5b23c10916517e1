"""A terminal to look at: what a program writes to one of so many columns, as a person sees it.

    terminal = Terminal(columns=60)
    done = run([sys.executable, "coldstart.py", "status"], terminal, cwd=folder)
    terminal.shown(), terminal.text(), terminal.wrapped

As a program it makes a picture:

    python -m tests.pseudo_terminal 60 dark OUT.html python coldstart.py status

It knows what coldstart and click write (ECMA-48 and the usual UTF-8), and nothing else: what it
does not know is an error, and not left out.
"""

import codecs
import html
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from unicodedata import east_asian_width

SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")
BLANK = (" ", "")


@dataclass
class Terminal:
    """Its screen, and what has scrolled out of it. A cell is (character, style)."""

    columns: int
    rows: int = 24
    history: list[list[tuple[str, str]]] = field(default_factory=list)
    wrapped: list[str] = field(default_factory=list)
    """Lines that were longer than the screen is wide, up to where they went on in the next."""
    drawn_over: list[str] = field(default_factory=list)
    """Every state of a line that another was drawn in the place of, however short it was there."""
    heard: str = ""
    """All of it, as it came."""

    def __post_init__(self) -> None:
        self.screen = [self._empty() for _ in range(self.rows)]
        self.row = self.column = 0
        self.style, self._left = "", ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def _empty(self) -> list[tuple[str, str]]:
        return [BLANK] * self.columns

    def feed(self, data: bytes) -> None:
        """Show what a program has written."""
        new = self._decoder.decode(data)
        self.heard += new
        text, self._left, place = self._left + new, "", 0
        while place < len(text):
            if text[place] == "\x1b":
                found = SEQUENCE.match(text, place)
                if not found:  # the rest of it is under way
                    self._left = text[place:]
                    assert len(self._left) < 20, self._left
                    return
                self._obey(found[2], found[1])
                place = found.end()
            else:
                self._put(text[place])
                place += 1

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._feed_line()
        elif character == "\b":
            self.column = max(0, self.column - 1)
        else:
            assert character.isprintable(), repr(character)
            self._draw_over()
            width = 2 if east_asian_width(character) in "FW" else 1
            if self.column + width > self.columns:  # not before there is more: as xterm does
                self.wrapped.append(self._line(self.screen[self.row]))
                self.column = 0
                self._feed_line()
            self.screen[self.row][self.column] = (character, self.style)
            if width == 2:
                self.screen[self.row][self.column + 1] = ("", self.style)
            self.column += width

    def _draw_over(self) -> None:
        """What is in the line is replaced from its beginning on."""
        if self.column == 0 and self.line() not in ("", *self.drawn_over[-1:]):
            self.drawn_over.append(self.line())

    def _feed_line(self) -> None:
        self.row += 1
        if self.row == self.rows:
            self.history.append(self.screen.pop(0))
            self.screen.append(self._empty())
            self.row -= 1

    def _obey(self, what: str, numbers: str) -> None:
        at = min(self.column, self.columns - 1)
        if what == "m":
            self.style = "" if numbers in ("", "0") else numbers
        elif what == "K" and numbers in ("", "0"):
            self._draw_over()
            self.screen[self.row][at:] = [BLANK] * (self.columns - at)
        elif what == "J" and numbers in ("", "0"):
            self.screen[self.row][at:] = [BLANK] * (self.columns - at)
            self.screen[self.row + 1 :] = [self._empty() for _ in self.screen[self.row + 1 :]]
        elif what == "H" and not numbers:
            self.row = self.column = 0
        elif what == "A":
            self.row = max(0, self.row - int(numbers or 1))
        else:
            raise AssertionError(f"what is CSI {numbers}{what}?")

    def resize(self, columns: int) -> None:
        """To another width; what does not fit is cut off, as xterm does."""
        self.columns = columns
        for line in self.screen:
            line[:] = (line + [BLANK] * columns)[:columns]
        self.column = min(self.column, columns - 1)

    @staticmethod
    def _line(cells: list[tuple[str, str]]) -> str:
        return "".join(character for character, _ in cells).rstrip()

    def line(self) -> str:
        """That the cursor is in."""
        return self._line(self.screen[self.row])

    def shown(self) -> list[str]:
        """What is on the screen, without empty lines at its end."""
        return "\n".join(map(self._line, self.screen)).rstrip("\n").split("\n")

    def text(self) -> str:
        """All that a person can read: what has scrolled out, too."""
        return "\n".join(map(self._line, [*self.history, *self.screen])).rstrip("\n")

    def styles(self) -> set[str]:
        """Of all that can be read."""
        return {style for line in [*self.history, *self.screen] for _, style in line} - {""}

    def page(self, dark: bool) -> str:
        """As HTML, for a picture, in the colours of GNOME's terminal, with its right edge."""
        ink, paper = ("#d0cfcc", "#171421") if dark else ("#171421", "#ffffff")
        colours = {"31": "#c01c28", "32": "#26a269", "36": "#2aa1b3"}
        lines = []
        for cells in [*self.history, *self.screen]:
            spans = []
            for character, style in cells:
                codes = style.split(";")
                css = "".join(f"color:{colours[c]};" for c in codes if c in colours)
                css += "font-weight:bold;" if "1" in codes else ""
                shown = html.escape(character)
                spans.append(f'<span style="{css}">{shown}</span>' if css else shown)
            lines.append("".join(spans).rstrip())
        body = "\n".join(lines).rstrip("\n")
        return (
            f'<!doctype html><meta charset="utf-8"><body style="margin:0;background:{paper}">'
            f'<pre style="margin:12px;color:{ink};font:14px/1.3 \'DejaVu Sans Mono\',monospace;'
            f'width:{self.columns}ch;border-right:1px dotted #888">{body}</pre>'
        )


def run(
    command: list[str],
    terminal: Terminal,
    cwd: Path,
    *,
    meanwhile: Callable[[int, subprocess.Popen], None] | None = None,
    piped: tuple[str, ...] = (),
    seconds: float = 300,
    **environment: str,
) -> subprocess.CompletedProcess:
    """A command whose standard streams are this terminal, but for those in `piped` ("stdout",
    "stderr"), which come back in what is returned. `meanwhile` is called ten times a second, with
    our end of the terminal and the process."""
    ours, its = pty.openpty()
    set_size(its, terminal)
    streams = {name: subprocess.PIPE if name in piped else its for name in ("stdout", "stderr")}
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=cwd,
        stdin=its,
        start_new_session=True,
        preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        env={**os.environ, "TERM": "xterm", **environment},
        **streams,
    )
    os.close(its)
    pipes = {stream.fileno(): name for name in piped if (stream := getattr(process, name))}
    heard: dict[int, bytes] = dict.fromkeys(pipes, b"")
    open_ones, ends, tick = {ours, *pipes}, time.monotonic() + seconds, 0.0
    while open_ones:
        assert time.monotonic() < ends, terminal.text()
        for end in select.select(open_ones, [], [], 0.1)[0]:
            try:
                data = os.read(end, 65536)
            except OSError:  # the other end is closed
                data = b""
            if not data:
                open_ones.remove(end)
            elif end == ours:
                terminal.feed(data)
            else:
                heard[end] += data
        if meanwhile is not None and time.monotonic() > tick:
            meanwhile(ours, process)
            tick = time.monotonic() + 0.1
    os.close(ours)
    out = {name: heard[end].decode() for end, name in pipes.items()}
    return subprocess.CompletedProcess(
        command, process.wait(), out.get("stdout"), out.get("stderr")
    )


def set_size(end: int, terminal: Terminal) -> None:
    """Tell who writes to a terminal how large it is."""
    ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", terminal.rows, terminal.columns, 0, 0))


if __name__ == "__main__":
    columns, mode, out, *words = sys.argv[1:]
    seen = Terminal(int(columns))
    run(words, seen, Path.cwd())
    Path(out).write_text(seen.page(dark=mode == "dark"), encoding="utf-8")
