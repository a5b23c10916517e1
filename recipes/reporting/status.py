"""Where a run stands, from its files alone: safe while another process is at work on it, for
nothing is written and no lock is taken.

    facts = run_facts(run)             # data for machines
    status_lines(facts, width)         # one screen for people, of 60 columns or more
"""

import textwrap
import time
from pathlib import Path

from recipes import phases
from recipes.curriculum import cycles_of
from recipes.learning.measure import STATES
from recipes.reporting.alarm import alarm
from recipes.reporting.stages import of_stages
from recipes.reporting.tables import APART, probe_summary, read_probes
from recipes.reporting.thawed import thawed_facts, thawed_lines
from recipes.reporting.times import cycle_seconds, duration
from recipes.runfolder.opening import PROGRAM, command_line, shown
from recipes.runfolder.run import Run
from recipes.runfolder.selfdistillation import SelfDistillation
from recipes.teachers.ledger import read_summary
from sandbox.tasks.task import SORTS, Task

BARS = "▁▂▃▄▅▆▇█"
SPARKLINE_NEEDS = 16
"""Columns that the words around a sparkline take."""


def run_facts(run: Run) -> dict:
    """What `status` tells: {"run", "phase", "cycles", "probes": {phase: P}, "seconds",
    "checkpoints", "next", "step", "tasks": {split: {when: {state: n, "truncated": n}}},
    "tasks_apart": {"hard" | "soft" | "recorded": the same}, "heldout_curve": [[cycle, pass@1]],
    "heldout_curves": {"hard" | "soft" | "recorded": the same}, "alarm", "set_aside", "teacher",
    "usd", "thawed", "seconds_total", "seconds_left", "best", "selfdistil", "idle_seconds",
    "at_work"}.

    `step` is the part of the current step that is done ({"name", "done", "total"}) where it can be
    counted, else None; `best` is {"checkpoint", "heldout_pass_at_1", "hard", "soft", "recorded"}
    (held-out pass@1), or None before there is one; `selfdistil` is {"teacher", "from", "steps",
    "done", "kl": {"before", "after"}} where that was learned last, else None; `idle_seconds` have
    passed since the run folder last changed; `at_work`: whether another command takes the run
    further at this moment; `seconds_left`: of the cycles that its recipe plans, by those so far
    (None before the first). A run whose recipe has stages has "stages" and "forgetting", too
    (`stages.py`).
    """
    content, metrics = run.content, run.read("metrics.jsonl")
    reached = content["done"], len(metrics), cycles_of(run)
    begun = SelfDistillation.of(run)
    waits = begun is not None and begun.is_by_hand and not begun.ended
    following = phases.following(*reached, waits)
    probes = {name: probe_summary(run, name) for name in content["done"] if phases.is_probe(name)}
    tasks = run.tasks if probes else []
    curve = _curve(metrics, probes, "pass_at_1", "heldout")
    curves = {
        name: _curve(metrics, probes, name, group) for name, group in zip(SORTS, APART["heldout"])
    }
    return {
        "run": str(run.folder),
        "phase": phases.in_words(*reached),
        "cycles": len(metrics),
        "probes": probes,
        "seconds": content["seconds"],
        "checkpoints": content["checkpoints"],
        "next": _next(run, following, probes, len(metrics)),
        "step": _step(run, following, begun),
        "tasks": _tasks(run, list(probes), tasks),
        "tasks_apart": {
            name: _tasks(run, list(probes), [t for t in tasks if t.sort == name]) for name in SORTS
        },
        "heldout_curve": curve,
        "heldout_curves": curves,
        "alarm": alarm(metrics),
        "set_aside": run.set_aside,
        "teacher": content["teacher"]["endpoint"]["name"]
        if content.get("teacher")
        else "reference",
        "usd": read_summary(run.folder)["usd"],
        "thawed": thawed_facts(run),
        "seconds_total": round(sum(content["seconds"].values()), 1),
        "seconds_left": _seconds_left(run, len(metrics)),
        "best": _best(content["checkpoints"], curve, curves),
        "selfdistil": _selfdistil(run, begun),
        **of_stages(run),
        "idle_seconds": round(_idle(run.folder), 1),
        "at_work": run.is_at_work,
    }


def _curve(metrics: list[dict], probes: dict, key: str, group: str) -> list[list]:
    """[[cycle, pass@1]] of held-out tasks, cycle 0 being the probe after bootstrap; `key` as in
    metrics.jsonl."""
    curve = [
        [m["cycle"], m[f"heldout/{key}"]] for m in metrics if m.get(f"heldout/{key}") is not None
    ]
    first = probes.get(phases.bootstrapped())
    if first and first[group]["n"]:
        curve.insert(0, [0, first[group]["pass_at_1"]])
    return curve


def _next(run: Run, following: phases.Phase | None, probes: dict, cycles: int) -> str:
    """What to do: a sentence, and below it the commands, a line each."""
    waiting = phases.left(run.content["done"])
    if run.is_at_work:
        return "Another command is at work on it." + (
            ""
            if waiting
            else " Meanwhile you may use the best checkpoint:"
            + _commands(run, ("fix", ""), ("eval", ""))
        )
    if waiting and following:
        return "Go on with" + _commands(run, (following.command, ""))
    after = probes[phases.bootstrapped()]
    if not any(
        after[group][state] for group in ("taught", "untaught") for state in ("warm", "mastered")
    ):
        return (
            "No training task is solved even once: this is still a cold start, and more from a "
            "teacher can help:\n"
            f"{PROGRAM}bootstrap --new {run.repo_options} --teacher NAME"
        )
    if following:
        begun = SelfDistillation.of(run) if following is phases.SELFDISTIL else None
        return "Go on with" + _commands(run, (following.command, begun.arguments if begun else ""))
    return (
        "Look at it, compare it with its base, let it mend tests that fail, or climb further:"
        + _commands(
            run, ("report", ""), ("eval", ""), ("fix", ""), ("climb", f"--cycles {2 * cycles}")
        )
    )


def _commands(run: Run, *commands: tuple[str, str]) -> str:
    """A line each, of (command, its options)."""
    return "".join(f"\n{command_line(run, *command)}" for command in commands)


def _step(run: Run, following: phases.Phase | None, begun: SelfDistillation | None) -> dict | None:
    if following is phases.SELFDISTIL and begun is not None:
        done = begun.steps_done(run)
        return {"name": "steps of self-distillation", "done": done, "total": begun.steps}
    if following is None or not following.is_probe:
        return None
    probed = len(read_probes(run, following.name))
    return {"name": "tasks probed", "done": probed, "total": len(run.tasks)}


def _tasks(run: Run, probed: list[str], tasks: list[Task]) -> dict:
    """{split: {"before": {state: n}, "now": {state: n}}} of these tasks: by the first probe and the
    last; `truncated` of the cold ones had rollouts that were cut off."""
    if not probed:
        return {}
    split = {t.instance_id: t.split for t in tasks}
    counts: dict = {name: {} for name in sorted(set(split.values()), reverse=True)}
    for when, phase in (("before", probed[0]), ("now", probed[-1])):
        probes = [p for p in read_probes(run, phase) if p.instance_id in split]
        states = [(split[p.instance_id], p.state) for p in probes]
        for name in counts:
            counts[name][when] = {state: states.count((name, state)) for state in STATES}
            counts[name][when]["truncated"] = sum(
                p.cut_off for p in probes if split[p.instance_id] == name
            )
    return counts


def _best(checkpoints: dict, curve: list, curves: dict[str, list]) -> dict | None:
    if "best" not in checkpoints:
        return None
    folder = checkpoints["best"]

    def measured(curve: list) -> float | None:
        return next(
            (value for cycle, value in curve if folder == phases.checkpoint_after(cycle)), None
        )

    return {
        "checkpoint": folder,
        "heldout_pass_at_1": measured(curve),
        **{name: measured(c) for name, c in curves.items()},
    }


def _selfdistil(run: Run, begun: SelfDistillation | None) -> dict | None:
    if begun is None:
        return None
    return {
        "teacher": begun.teacher,
        "from": begun.origin,
        "steps": begun.steps,
        "done": begun.steps_done(run),
        "kl": {"before": begun.before, "after": begun.after},
    }


def _seconds_left(run: Run, cycles: int) -> float | None:
    one = cycle_seconds(run)
    return None if one is None else round(one * max(0, cycles_of(run) - cycles), 1)


def _idle(folder: Path) -> float:
    """Seconds since a file of the run was last written."""
    times = []
    for path in folder.iterdir():
        try:
            times.append(path.stat().st_mtime)
        except FileNotFoundError:  # it was a file that is written aside
            continue
    return max(0.0, time.time() - max(times))


def status_lines(facts: dict, width: int) -> list[str]:
    """One screen; no line is longer than `width` but for commands, which are to be copied."""
    words, *commands = facts["next"].split("\n")
    lines = [
        *where_it_stands(facts),
        *_task_lines(facts["tasks_apart"]),
        *_probe_lines(facts["probes"]),
        *_curve_lines(facts["heldout_curves"], width),
        *_stage_lines(facts),
        *_warning_lines(facts),
        "",
        *_cost_lines(facts),
        "",
        f"Next: {words}",
    ]
    wrapped = [
        textwrap.wrap(line, width, subsequent_indent="    ", break_on_hyphens=False) or [""]
        for line in lines
    ]
    return [part for parts in wrapped for part in parts] + commands


def where_it_stands(facts: dict) -> list[str]:
    """Its folder and its phase."""
    step = facts["step"]
    part = f", {step['done']} of {step['total']} {step['name']}" if step else ""
    ago = f"last change {duration(facts['idle_seconds'])} ago"
    return [shown(Path(facts["run"])), f"{facts['phase']}{part}; {ago}"]


def _task_lines(apart: dict) -> list[str]:
    """States before and now, by split, the sorts of tasks apart."""
    words = {"train": "training", "heldout": "held out"}
    rows = [
        f"{f'{words[split]}, {sort}':15}{when:8}{counts['cold']:6}{counts['warm']:6}"
        f"{counts['mastered']:10}{counts['truncated']:10}"
        for split in words
        for sort, tasks in apart.items()
        for when, counts in tasks.get(split, {}).items()
    ]
    if not rows:
        return []
    return ["", f"{'tasks':23}{'cold':>6}{'warm':>6}{'mastered':>10} (cut off)", *rows, ""]


def _probe_lines(probes: dict) -> list[str]:
    """pass@1 by probe, each sort of tasks apart."""
    order = ("heldout", "taught", "untaught")
    groups = [g for g in order if any(p[g]["n"] for p in probes.values())]
    if not groups:
        return []
    names = "".join(f"{group.replace('heldout', 'held out'):>10}" for group in groups)
    lines = [f"{'pass@1':20}{names}"]
    for name, p in probes.items():
        for number, sort in enumerate(SORTS):
            values = [p[APART[group][number]]["pass_at_1"] for group in groups]
            if any(value is not None for value in values):
                cells = ("-" if value is None else f"{value:.3f}" for value in values)
                lines.append(f"{name:11}{sort:9}" + "".join(f"{cell:>10}" for cell in cells))
            firsts = [p[APART[group][number]].get("pass_at_1_turn_1") for group in groups]
            if any(first is not None for first in firsts):
                cells = ("-" if first is None else f"{first:.3f}" for first in firsts)
                lines.append(f"{'  first turn':20}" + "".join(f"{cell:>10}" for cell in cells))
    return lines


def _curve_lines(curves: dict[str, list], width: int) -> list[str]:
    lines = []
    for sort, curve in curves.items():
        if len(curve) > 1:
            values = [value for _, value in curve]
            bars = sparkline(values, width - SPARKLINE_NEEDS)
            lines += [
                f"held-out pass@1, {sort}, {curve[-1][0]} cycles, between {min(values):.3f} "
                f"and {max(values):.3f}:",
                f"  {values[0]:.3f} {bars} {values[-1]:.3f}",
            ]
    return ["", *lines] if lines else []


def _stage_lines(facts: dict) -> list[str]:
    """Held-out pass@1 of each stage's own tasks, before and after it, and what became of the
    rest."""
    if not facts.get("stages"):
        return []
    lines = ["", f"{'stage':17}{'cycles':>8}{'before':>10}{'after':>10}{'the rest':>10}"]
    for stage in facts["stages"]:
        values = [p["pass_at_1"] if (p := stage[when]) else None for when in ("before", "after")]
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        fall = facts["forgetting"][stage["name"]]["mean_drop"]
        cells.append("-" if fall is None else f"{0 - fall:+.3f}")
        lines.append(
            f"{stage['name']:17}{stage['cycles']:8}" + "".join(f"{cell:>10}" for cell in cells)
        )
    return lines


def _warning_lines(facts: dict) -> list[str]:
    lines = ["", facts["alarm"]] if facts["alarm"] else []
    if facts["set_aside"]:
        names = ", ".join(facts["set_aside"])
        lines += ["", f"set aside, because the jail failed on them: {names}"]
    return lines


def _cost_lines(facts: dict) -> list[str]:
    """What it has come to, and what it took."""
    lines, best = [], facts["best"]
    if best:
        values = [f"{best[name]:.3f} {name}" for name in SORTS if best[name] is not None]
        measured = f", held-out pass@1 {', '.join(values)}" if values else ""
        lines.append(f"best checkpoint  {best['checkpoint']}{measured}")
    lines.append(f"teacher          {facts['teacher']}, ${facts['usd']:.4f}")
    lines += thawed_lines(facts["thawed"])
    if facts["seconds"]:
        parts = ", ".join(f"{name} {duration(time)}" for name, time in facts["seconds"].items())
        lines.append(f"time             {duration(facts['seconds_total'])} ({parts})")
    if facts["seconds_left"]:
        lines.append(f"left             about {duration(facts['seconds_left'])} of climbing")
    return lines


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
