"""The report's charts, as SVG to be put into a page: matplotlib draws them, the page's style
colours ink and grid (light and dark).

    # pass@1 with intervals; every chart takes plain numbers and returns one <svg> as text
    charts.arc(series, cycles)

Each has a title and a description for those who do not see it. Colours are those of Okabe and Ito
(2008), which the colour-blind tell apart too, and line styles or places tell the same. Text stays
text. The same numbers give the same bytes.
"""

import io
import re
from collections.abc import Sequence
from html import escape

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recipes import phases
from recipes.reporting.tables import GROUP_WORDS
from recipes.rollouts.rollout import UNJUDGED

STATE_COLOURS = {"cold": "#0072B2", "warm": "#E69F00", "mastered": "#009E73"}
GROUP_STYLES = {
    "taught": ("#009E73", "s", ":"),
    "untaught": ("#E69F00", "^", "--"),
    "heldout": ("#0072B2", "o", "-"),
}
"""Colour, marker and line of each group of tasks."""
CAUSE_WORDS = {
    "used": "warm: has a gradient",
    "cold": "cold",
    "mastered": "mastered",
    UNJUDGED: "not judged",
}
"""What became of a group of rollouts, as metrics.jsonl counts them."""
LINE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
MARKERS = ("o", "^", "s", "D", "v", "P")
OTHER = "#CC79A7"
INK, GRID = "#010203", "#010204"
"""Stand for the page's own colours, `--ink` and `--grid`."""
WIDTH = 4.6
"""Inches: on a telephone the text is then shown at about the size that it has here."""
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "coldstart",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "figure.constrained_layout.use": True,
}
matplotlib.rcParams.update(STYLE)  # for the whole process: nothing else in it draws


Point = tuple[float, float, float, float]
"""(place, pass@1, low, high)"""
Measurement = tuple[float, float, float | None, float | None]
"""The same, low and high None where nobody wrote them down."""


def arc(probes: dict[str, list[Point]], cycles: list[Measurement], last: int, name: str) -> str:
    """pass@1 by cycle; `name` tells this chart from others of its kind. `probes` is {group:
    points}, their place as `phases.place` has it; `cycles` are the measurements of the held-out
    tasks in between, up to cycle `last`."""
    figure, axes = _figure(2.9)
    apart = max(1.0, 0.2 * last)

    def across(place: float) -> float:
        return place * apart if place < 0 else place

    starts = {across(phases.place(s.name)): s.tick for s in phases.bootstrap_probes()}
    shift = 0.008 * (last - min(starts))
    for number, (group, points) in enumerate(probes.items()):
        places = [across(x) + shift * (number - 1) for x, *_ in points]
        _draw_group(axes, group, places, points)
    if cycles:
        _draw_cycles(axes, cycles)
    ticks = [tick for tick in _ticks(last) if tick > 0.12 * last]
    axes.set_xticks([*starts, *ticks], [*starts.values(), *map(str, ticks)])
    axes.set(xlabel="cycle of climb", ylabel="pass@1", ylim=(-0.02, 1.02))
    _legend(axes, 2)
    values = "; ".join(
        f"{GROUP_WORDS[group]}: " + ", ".join(f"{y:.2f}" for _, y, _, _ in points)
        for group, points in probes.items()
    )
    return _svg(
        figure,
        f"arc-{name}",
        f"{name} tasks: pass@1 before, after the teacher, and by cycle of climb",
        f"With 95 % intervals. From first to last: {values}.",
    )


def _draw_group(axes: Axes, group: str, places: list[float], points: list[Point]) -> None:
    colour, marker, line = GROUP_STYLES[group]
    axes.errorbar(
        places,
        [y for _, y, _, _ in points],
        [[y - low for _, y, low, _ in points], [high - y for _, y, _, high in points]],
        color=colour,
        marker=marker,
        linestyle=line,
        capsize=2.5,
        elinewidth=1,
        label=GROUP_WORDS[group],
    )


def _draw_cycles(axes: Axes, cycles: list[Measurement]) -> None:
    colour = GROUP_STYLES["heldout"][0]
    known = [point for point in cycles if point[2] is not None]
    places, low, high = ([point[i] for point in known] for i in (0, 2, 3))
    axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(
        [x for x, *_ in cycles],
        [y for _, y, *_ in cycles],
        color=colour,
        marker="x",
        linestyle="none",
        label="held out, other seeds",
    )


def thaw(
    states: Sequence[Sequence[str | None]],
    columns: Sequence[str],
    borders: Sequence[tuple[int, str]],
) -> str:
    """The map of tasks (rows) by measurement (columns): each cell a state, None where the task was
    never measured so far. Columns that are named by no number, the probes, are drawn wider.
    `borders` are (first row, words) of the groups of rows."""
    widths = [1 if name.isdigit() else 1 + len(columns) // 16 for name in columns]
    ends = np.cumsum(widths)
    figure, axes = _figure(3.9)
    axes.imshow(
        _pixels(states).repeat(widths, axis=1),
        aspect="auto",
        interpolation="none",
        extent=(0, ends[-1], len(states), 0),
    )
    for row, _ in borders:
        axes.axhline(row, color=INK, linewidth=0.8)
    edges = [row for row, _ in borders] + [len(states)]
    middles = [(a + b) / 2 for a, b in zip(edges, edges[1:])]
    axes.set_yticks(middles, [words for _, words in borders], rotation=90, va="center")
    shown = _named_columns(columns)
    axes.set_xticks([ends[i] - widths[i] / 2 for i in shown], [columns[i] for i in shown])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set_xlabel("measurement: probe or cycle of climb")
    first, last = (_counts([row[i] for row in states]) for i in (0, -1))
    return _svg(
        figure,
        "thaw",
        "State of every task by measurement",
        f"Of {len(states)} tasks, first: {first}. Last: {last}.",
    )


def _pixels(states: Sequence[Sequence[str | None]]) -> np.ndarray:
    """[rows, columns, red green blue opacity], a state's colour; nothing is seen through."""
    palette: dict[str | None, list[int]] = {
        state: [int(colour[i : i + 2], 16) for i in (1, 3, 5)] + [255]
        for state, colour in STATE_COLOURS.items()
    }
    nothing = [0, 0, 0, 0]
    return np.array([[palette.get(state, nothing) for state in row] for row in states], np.uint8)


def _named_columns(columns: Sequence[str]) -> list[int]:
    """Of the columns those whose names are written: the first, the last, and what stands clear of
    both."""
    last = max((int(name) for name in columns if name.isdigit()), default=0)
    ticks = {str(tick) for tick in _ticks(last) if tick < 0.93 * last}
    ends = (0, len(columns) - 1)
    return [i for i, name in enumerate(columns) if name in ticks or i in ends]


def _counts(states: list[str | None]) -> str:
    return "; ".join(f"{states.count(state)} {state}" for state in STATE_COLOURS)


def gradient(cycles: list[int], shares: dict[str, list[float]]) -> str:
    """Share of each cycle's groups that taught something (`used`), or why they could not: {cause:
    one share a cycle}."""
    figure, axes = _figure(2.5)
    colours = {**STATE_COLOURS, "used": STATE_COLOURS["warm"], UNJUDGED: OTHER}
    below = np.zeros(len(cycles))
    for cause, values in shares.items():
        if any(values) or cause == "used":
            axes.bar(
                cycles,
                values,
                bottom=below,
                width=0.9,
                color=colours[cause],
                label=CAUSE_WORDS[cause],
            )
            below += values
    axes.set(
        xlabel="cycle of climb",
        ylabel="share of groups",
        ylim=(0, 1),
        xlim=(cycles[0] - 0.6, cycles[-1] + 0.6),
    )
    axes.set_xticks(_ticks(cycles[-1]))
    _legend(axes, 3)
    used = shares["used"]
    return _svg(
        figure,
        "gradient",
        "Groups with and without a gradient by cycle",
        f"The share of groups that taught something was {used[0]:.2f} in the first cycle and "
        f"{used[-1]:.2f} in the last, "
        f"{sum(used) / len(used):.2f} in the mean.",
    )


def health(
    cycles: list[int], drift: list[float | None], entropy: list[float | None], undone: list[int]
) -> str:
    """Drift and entropy by cycle, nats a token; cycles that were undone are marked."""
    figure = Figure(figsize=(WIDTH, 3.2))
    axes = figure.subplots(2, 1, sharex=True)
    for ax, values, colour, words in (
        (axes[0], drift, "#D55E00", "drift"),
        (axes[1], entropy, "#0072B2", "entropy"),
    ):
        ax.plot(
            cycles,
            [np.nan if value is None else value for value in values],
            color=colour,
            marker=".",
        )
        for cycle in undone:
            ax.axvline(cycle, color=INK, linestyle=":", linewidth=1)
        ax.set_ylabel(f"{words}, nats")
        ax.set_ylim(bottom=0)
        ax.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
        ax.set_xticks(_ticks(cycles[-1]))
    axes[1].set_xlabel("cycle of climb")
    spans = [
        f"{words} between {min(known):.2g} and {max(known):.2g}"
        for words, values in (("drift", drift), ("entropy", entropy))
        if (known := [value for value in values if value is not None])
    ]
    return _svg(
        figure,
        "health",
        "Drift and entropy by cycle",
        f"In nats a token: {', '.join(spans)}. {len(undone)} cycles were undone.",
    )


def forgetting(ticks: list[str], lines: dict[str, list[float | None]]) -> str:
    """pass@1 of {what was measured: a value a measurement, None where it was not} at the ends of
    the stages; `ticks` says which end each measurement is."""
    figure, axes = _figure(3.2)
    for number, (what, values) in enumerate(lines.items()):
        axes.plot(
            range(len(ticks)),
            [np.nan if value is None else value for value in values],
            color=LINE_COLOURS[number % len(LINE_COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            linestyle="-" if number < len(LINE_COLOURS) else "--",
            label=what,
        )
    axes.set_xticks(range(len(ticks)), ticks, rotation=20, ha="right")
    axes.set(ylabel="pass@1", ylim=(-0.02, 1.02))
    _legend(axes, 2)
    spans = [
        f"{what} {known[0]:.2f} to {known[-1]:.2f}"
        for what, values in lines.items()
        if (known := [value for value in values if value is not None])
    ]
    return _svg(
        figure,
        "forgetting",
        "What the student can do at the ends of the stages",
        f"pass@1, from the first to the last measurement: {'; '.join(spans)}.",
    )


def times(seconds: dict[str, float]) -> str:
    """How long each step took."""
    unit, words = (60, "minutes") if max(seconds.values()) >= 120 else (1, "seconds")
    figure, axes = _figure(0.7 + 0.27 * len(seconds))
    names = list(seconds)
    bars = axes.barh(
        names, [value / unit for value in seconds.values()], color="#56B4E9", height=0.7
    )
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.margins(x=0.12)
    axes.set_xlabel(words)
    parts = ", ".join(f"{name} {value / unit:.1f}" for name, value in seconds.items())
    return _svg(figure, "times", "Time by step", f"In {words}: {parts}.")


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots()


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=1.8,
    )


def _ticks(last: int) -> list[int]:
    """About six round numbers up to `last`."""
    step = next(
        step
        for power in range(9)
        for step in (10**power, 2 * 10**power, 5 * 10**power)
        if last / step <= 7
    )
    return list(range(step, last + 1, step))


def _svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as one <svg> for a page: its own ids, the page's ink and grid, a title and a
    description."""
    out = io.StringIO()
    figure.savefig(
        out,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    svg = out.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{name}-", svg)
    svg = svg.replace(INK, "var(--ink)").replace(GRID, "var(--grid)")
    head, _, rest = svg.partition(">")
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return (
        f'{head} role="img" aria-labelledby="{name}-title {name}-description">\n<title '
        f'id="{name}-title">{escape(title)}</title>\n'
        f'<desc id="{name}-description">{escape(description)}</desc>{rest}'
    )
