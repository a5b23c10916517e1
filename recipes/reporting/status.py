"""Where a run stands, from its files alone: safe while another process is at work on it, for
nothing is written and no lock is taken.

found = run_facts(run)            # data for machines
lines(found, width)               # one screen for people, of 60 columns or more
"""

import textwrap
import time

from recipes import stages
from recipes.learning.measure import STATES
from recipes.reporting.alarm import alarm
from recipes.reporting.tables import APART, HARDNESS, probe_summary, read_probes
from recipes.teachers.ledger import read_summary

BARS = "▁▂▃▄▅▆▇█"
SPARKLINE_NEEDS = 16
"""Columns that the words around a sparkline take."""


def run_facts(run) -> dict:
    """What `status` tells: {"run", "phase", "cycles", "probes": {phase: P}, "seconds",
    "checkpoints", "next", "step", "tasks": {split: {when: {state: n, "truncated": n}}},
    "heldout_curve": [[cycle, pass@1]], "heldout_curves": {"hard" | "soft": the same}, "alarm",
    "set_aside", "teacher", "usd", "seconds_total", "best", "idle_seconds", "at_work"}.

    `step` is the part of the current step that is done ({"name", "done", "total"}) where it can be
    counted, else None; `best` is {"checkpoint", "heldout_pass_at_1", "hard", "soft"} (held-out
    pass@1), or None before there is one; `idle_seconds` have passed since the run folder last
    changed; `at_work`: whether another command takes the run further at this moment.
    """
    content, metrics = run.content, run.read("metrics.jsonl")
    reached = content["done"], len(metrics), run.recipe.climb.cycles
    following = stages.following(*reached)
    probes = {name: probe_summary(run, name) for name in content["done"] if stages.is_probe(name)}
    curve = _curve(metrics, probes, "pass_at_1", "heldout")
    curves = {
        name: _curve(metrics, probes, name, group)
        for name, group in zip(HARDNESS, APART["heldout"])
    }
    return {
        "run": str(run.folder),
        "phase": stages.in_words(*reached),
        "cycles": len(metrics),
        "probes": probes,
        "seconds": content["seconds"],
        "checkpoints": content["checkpoints"],
        "next": _next(run, following, probes, len(metrics)),
        "step": _step(run, following),
        "tasks": _tasks(run, list(probes)),
        "heldout_curve": curve,
        "heldout_curves": curves,
        "alarm": alarm(metrics),
        "set_aside": run.set_aside,
        "teacher": content["teacher"]["endpoint"]["name"]
        if content.get("teacher")
        else "reference",
        "usd": read_summary(run.folder)["usd"],
        "seconds_total": round(sum(content["seconds"].values()), 1),
        "best": _best(content["checkpoints"], curve, curves),
        "idle_seconds": round(_idle(run.folder), 1),
        "at_work": run.is_at_work,
    }


def _curve(metrics: list[dict], probes: dict, key: str, group: str) -> list[list]:
    """[[cycle, pass@1]] of held-out tasks, cycle 0 being the probe after bootstrap; `key` as in
    metrics.jsonl."""
    curve = [
        [m["cycle"], m[f"heldout/{key}"]] for m in metrics if m.get(f"heldout/{key}") is not None
    ]
    first = probes.get(stages.bootstrapped())
    if first and first[group]["n"]:
        curve.insert(0, [0, first[group]["pass_at_1"]])
    return curve


def _next(run, following: stages.Stage | None, probes: dict, cycles: int) -> str:
    """What to do: a sentence, and below it the commands, a line each."""
    program, named = "  python coldstart.py ", f"--run {run.folder}"
    waiting = stages.left(run.content["done"])
    if run.is_at_work:
        return "Another command is at work on it." + (
            ""
            if waiting
            else f" Meanwhile you may use the best checkpoint:\n{program}fix "
            f"{named}\n{program}eval {named}"
        )
    if waiting:
        return f"Go on with\n{program}{following.command} {named}"
    after = probes[stages.bootstrapped()]
    if not any(
        after[group][state] for group in ("taught", "untaught") for state in ("warm", "mastered")
    ):
        return (
            "No training task is solved even once: this is still a cold start, and more from a "
            "teacher can help:\n"
            f"{program}bootstrap --new --repo {run.repository.root} --teacher NAME"
        )
    if following:
        return f"Go on with\n{program}{following.command} {named}"
    return (
        "Look at it, compare it with its base, let it mend tests that fail, or climb further:\n"
        f"{program}report {named}\n{program}eval {named}\n{program}fix {named}\n{program}climb "
        f"{named} --cycles {2 * cycles}"
    )


def _step(run, following: stages.Stage | None) -> dict | None:
    if following is None or not following.is_probe:
        return None
    probed = len(read_probes(run, following.name))
    return {"name": "tasks probed", "done": probed, "total": len(run.tasks)}


def _tasks(run, phases: list[str]) -> dict:
    """{split: {"before": {state: n}, "now": {state: n}}}: by the first probe and the last;
    `truncated` of the cold ones had rollouts that were cut off."""
    if not phases:
        return {}
    split = {t.instance_id: t.split for t in run.tasks}
    found: dict = {name: {} for name in sorted(set(split.values()), reverse=True)}
    for when, phase in (("before", phases[0]), ("now", phases[-1])):
        probes = read_probes(run, phase)
        states = [(split[p.instance_id], p.state) for p in probes]
        for name in found:
            found[name][when] = {state: states.count((name, state)) for state in STATES}
            found[name][when]["truncated"] = sum(
                p.cut_off for p in probes if split[p.instance_id] == name
            )
    return found


def _best(checkpoints: dict, curve: list, curves: dict[str, list]) -> dict | None:
    if "best" not in checkpoints:
        return None
    folder = checkpoints["best"]

    def measured(curve: list) -> float | None:
        return next(
            (value for cycle, value in curve if folder == stages.checkpoint_after(cycle)), None
        )

    return {
        "checkpoint": folder,
        "heldout_pass_at_1": measured(curve),
        **{name: measured(c) for name, c in curves.items()},
    }


def _idle(folder) -> float:
    """Seconds since a file of the run was last written."""
    times = []
    for path in folder.iterdir():
        try:
            times.append(path.stat().st_mtime)
        except FileNotFoundError:  # it was a file that is written aside
            continue
    return max(0.0, time.time() - max(times))


def lines(found: dict, width: int) -> list[str]:
    """One screen; no line is longer than `width` but for commands, which are to be copied."""
    ago = f"last change {duration(found['idle_seconds'])} ago"
    step = (
        f", {found['step']['done']} of {found['step']['total']} {found['step']['name']}"
        if found["step"]
        else ""
    )
    out = [found["run"], f"{found['phase']}{step}; {ago}"]
    if found["tasks"]:
        out += ["", f"{'tasks':17}" + "".join(f"{state:>10}" for state in STATES) + " (cut off)"]
        out += [
            f"{'training' if split == 'train' else 'held out':9}{when:8}"
            + "".join(f"{counts[state]:10}" for state in STATES)
            + f"{counts['truncated']:10}"
            for split, times in found["tasks"].items()
            for when, counts in times.items()
        ]
        out.append("")
    groups = [
        g
        for g in ("heldout", "taught", "untaught")
        if any(p[g]["n"] for p in found["probes"].values())
    ]
    if groups:
        out.append(
            f"{'pass@1':17}"
            + "".join(f"{group.replace('heldout', 'held out'):>10}" for group in groups)
        )
    for name, p in found["probes"].items():
        for number, hardness in enumerate(HARDNESS):
            cells = [p[APART[group][number]]["pass_at_1"] for group in groups]
            if any(cell is not None for cell in cells):
                out.append(
                    f"{name:11}{hardness:6}"
                    + "".join(f"{'-' if cell is None else f'{cell:.3f}':>10}" for cell in cells)
                )
    for hardness, curve in found["heldout_curves"].items():
        if len(curve) > 1:
            values = [value for _, value in curve]
            bars = sparkline(values, width - SPARKLINE_NEEDS)
            out += [
                "",
                f"held-out pass@1, {hardness} tasks, over {curve[-1][0]} cycles, from "
                f"{min(values):.3f} (lowest) to "
                f"{max(values):.3f} (highest):",
                f"  {values[0]:.3f} {bars} {values[-1]:.3f}",
            ]
    if found["alarm"]:
        out += ["", found["alarm"]]
    if found["set_aside"]:
        out += ["", f"set aside, because the jail failed on them: {', '.join(found['set_aside'])}"]
    out.append("")
    if found["best"]:
        values = [
            f"{found['best'][name]:.3f} {name}"
            for name in HARDNESS
            if found["best"][name] is not None
        ]
        out.append(
            f"best checkpoint  {found['best']['checkpoint']}"
            + (f", held-out pass@1 {', '.join(values)}" if values else "")
        )
    out.append(f"teacher          {found['teacher']}, ${found['usd']:.4f}")
    if found["seconds"]:
        parts = ", ".join(
            f"{name} {duration(seconds)}" for name, seconds in found["seconds"].items()
        )
        out.append(f"time             {duration(found['seconds_total'])} ({parts})")
    words, *commands = found["next"].split("\n")
    out += ["", f"Next: {words}"]
    wrapped = [
        textwrap.wrap(line, width, subsequent_indent="    ", break_on_hyphens=False) or [""]
        for line in out
    ]
    return [part for parts in wrapped for part in parts] + commands


def sparkline(values: list[float], room: int) -> str:
    """The values as bars of eight heights, the lowest value the lowest; the last of each stretch
    where there are more than `room`."""
    stretch = -(-len(values) // max(1, room))
    kept = values[::-1][::stretch][::-1]
    low, high = min(kept), max(kept)
    return "".join(
        BARS[round((value - low) / (high - low) * (len(BARS) - 1)) if high > low else 0]
        for value in kept
    )


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
