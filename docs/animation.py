"""A recording of a terminal (asciicast v2) as an animated SVG, without a script: a strip of frames
that CSS moves, so that it plays where a page shows it as a picture.

    recording = Recording.read(Path("docs/first-arc.cast"))
    recording.lines()        # what it printed, line by line, without bars that were drawn over
    svg(recording, "what is to be seen")

Waits are cut: a frame is shown for about a second at most, and of the states of one line, as of a
bar or of a command that is typed, a few are kept. Where a reader wants less motion, and where
nothing moves, it is the last frame.
"""

import json
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from pathlib import Path

import pyte

LONGEST, SHORTEST, OF_A_BAR, LAST = 1.2, 0.1, 0.35, 8.0
"""Seconds of a frame: at most, at least, at most of one in which one line alone changes, of the
last."""
BAR_FRAMES = 4
"""Of the states of one line, at most."""
WIDTH, HEIGHT, MARGIN, HEAD = 8.4, 18, 14, 34
"""Of a column, of a line, around the text, of the window's head: pixels."""
PAPER, INK = "#16181d", "#d5d9e0"
COLOURS = {
    "black": "#5c6370",
    "red": "#f07178",
    "green": "#8fce7a",
    "brown": "#e0c06d",
    "blue": "#72aef0",
    "magenta": "#cf9cf0",
    "cyan": "#66c7d4",
    "white": "#f2f4f8",
}
"""By pyte's names of the eight colours (brown is yellow); the bright ones are shown as these."""
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"

Row = tuple[tuple[str, str, bool], ...]
"""A line of the screen: (text, colour or "", bold) of each stretch that looks the same."""
Rows = tuple[Row, ...]


@dataclass(frozen=True)
class Recording:
    """What was written to a terminal, and when."""

    columns: int
    rows: int
    events: list[tuple[float, str]]
    """(seconds since it began, text)"""

    @classmethod
    def read(cls, file: Path) -> "Recording":
        """From asciicast v2: a JSON object, then a JSON list a line."""
        head, *lines = (json.loads(line) for line in file.read_text("utf-8").splitlines())
        return cls(head["width"], head["height"], [(at, text) for at, _, text in lines])

    def write(self, file: Path) -> None:
        head = {"version": 2, "width": self.columns, "height": self.rows}
        lines = [head, *([round(at, 2), "o", text] for at, text in self.events)]
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")

    def lines(self) -> list[str]:
        """What is left to read, on a terminal that is large enough for all of it."""
        text = "".join(text for _, text in self.events)
        screen = pyte.Screen(1000, text.count("\n") + 1)
        pyte.Stream(screen).feed(text)
        return [line.rstrip() for line in screen.display]

    def screens(self) -> list[tuple[float, Rows]]:
        """(seconds since it began, what is to be seen from then on), none like the one before
        it."""
        screen = pyte.Screen(self.columns, self.rows)
        stream = pyte.Stream(screen)
        seen: list[tuple[float, Rows]] = []
        for at, text in self.events:
            stream.feed(text)
            rows = tuple(_row(screen, y) for y in range(self.rows))
            if not seen or seen[-1][1] != rows:
                seen.append((at, rows))
        return seen


def _row(screen: pyte.Screen, y: int) -> Row:
    cells = [screen.buffer[y][x] for x in range(screen.columns)]
    parts = [
        ("".join(cell.data for cell in same), colour, bold)
        for (colour, bold), same in groupby(cells, lambda c: (_colour(c.fg), c.bold))
    ]
    if parts:
        parts[-1] = (parts[-1][0].rstrip(), *parts[-1][1:])
    return tuple(part for part in parts if part[0])


def _colour(name: str) -> str:
    return COLOURS.get(name.removeprefix("bright"), "")


def _changed(before: Rows, after: Rows) -> set[int]:
    """Which lines of the screen are others."""
    return {y for y, (old, new) in enumerate(zip(before, after)) if old != new}


def frames(screens: list[tuple[float, Rows]]) -> list[tuple[float, Rows]]:
    """(seconds for which it is shown, what is to be seen)"""
    stretches, line = [[0]], None
    for i, (before, after) in enumerate(pairwise(screens), start=1):
        changed = _changed(before[1], after[1])
        if changed != line or len(changed) > 1:
            stretches.append([])
        stretches[-1].append(i)
        line = changed
    kept = [i for stretch in stretches for i in _thinned(stretch)]
    alone = {stretch[0] for stretch in stretches if len(stretch) == 1}
    shown = []
    for i, following in pairwise(kept):
        most = LONGEST if i in alone else OF_A_BAR
        seconds = screens[following][0] - screens[i][0]
        shown.append((min(most, max(SHORTEST, seconds)), screens[i][1]))
    return [*shown, (LAST, screens[kept[-1]][1])]


def _thinned(stretch: list[int]) -> list[int]:
    """Some of it, evenly spread, the first and the last among them."""
    if len(stretch) <= BAR_FRAMES:
        return stretch
    last = len(stretch) - 1
    return [stretch[round(k * last / (BAR_FRAMES - 1))] for k in range(BAR_FRAMES)]


def svg(recording: Recording, description: str) -> str:
    """The animation."""
    shown = frames(recording.screens())
    inner = recording.columns * WIDTH, recording.rows * HEIGHT
    width, height = inner[0] + 2 * MARGIN, inner[1] + HEAD + MARGIN
    step = inner[0] + MARGIN
    names = {row: f"r{n}" for n, row in enumerate({row: 0 for _, rows in shown for row in rows})}
    whole, at, keys, strip = sum(seconds for seconds, _ in shown), 0.0, [], []
    for n, (seconds, rows) in enumerate(shown):
        keys.append(f"{100 * at / whole:.3f}%{{transform:translateX({-n * step:g}px)}}")
        at += seconds
        uses = "".join(
            f'<use href="#{names[row]}" y="{y * HEIGHT}"/>' for y, row in enumerate(rows) if row
        )
        strip.append(f'<g transform="translate({n * step:g})">{uses}</g>')
    texts = "".join(f"{_text(row, name)}\n" for row, name in names.items() if row)
    lights = "".join(
        f'<circle cx="{MARGIN + 6 + 20 * n}" cy="{HEAD / 2:g}" r="6" fill="{COLOURS[colour]}"/>'
        for n, colour in enumerate(("red", "brown", "green"))
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" \
width="{width:g}" height="{height:g}" role="img" aria-label="{escape(description)}">
<style>
text{{font:14px {FONT};fill:{INK}}}
.strip{{animation:play {whole:.1f}s steps(1,end) infinite;transform:translateX({-(len(shown) - 1) * step:g}px)}}
@media (prefers-reduced-motion:reduce){{.strip{{animation:none}}}}
@keyframes play{{{"".join(keys)}}}
</style>
<defs>
{texts}</defs>
<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>{lights}
<svg x="{MARGIN}" y="{HEAD}" width="{inner[0]:g}" height="{inner[1]:g}"><g class="strip">
{chr(10).join(strip)}
</g></svg>
</svg>
"""


def _text(row: Row, name: str) -> str:
    """A line, as wide as its columns in whatever font there is."""
    length = sum(len(text) for text, _, _ in row) * WIDTH
    return (
        f'<text id="{name}" y="{HEIGHT - 5}" textLength="{length:g}" xml:space="preserve">'
        + "".join(_span(*part) for part in row)
        + "</text>"
    )


def _span(text: str, colour: str, bold: bool) -> str:
    style = (f' fill="{colour}"' if colour else "") + (' font-weight="bold"' if bold else "")
    return f"<tspan{style}>{escape(text)}</tspan>" if style else escape(text)
