"""One run on one page: RUN/report.html, which needs nothing but itself. No script, no request,
nothing from elsewhere.

    # versions: those of today, beside those that the run was started with
    html = page(run, versions)

How the page looks and what it says is in `report.html.j2`; here is what is put into it. Everything
that a model or a repository wrote is escaped, and the page forbids the browser whatever it does not
need itself. The numbers of each chart stand in a table below it. It holds no clock time but what
the run wrote down: the same run folder gives the same page.
"""

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from recipes import phases
from recipes.learning.measure import STATES, TaskProbe, derived_seed
from recipes.reporting import charts, evaluation
from recipes.reporting.stages import forgetting_table
from recipes.reporting.status import run_facts
from recipes.reporting.tables import APART, GROUP_WORDS, SHOWN_GROUPS, grouped, read_probes
from recipes.reporting.thawed import thawed_lines
from recipes.reporting.times import duration
from recipes.runfolder.places import named
from recipes.runfolder.run import Run
from recipes.teachers.ledger import read_summary
from sandbox import patches
from sandbox.cache import hold
from sandbox.episode import edit_of
from sandbox.errors import UsageError
from sandbox.judge.gate import InvalidEdit
from sandbox.reasons import counted
from sandbox.tasks.task import SORTS, Task

TEMPLATE = "report.html.j2"
SAMPLES = 10
SHOWN_TAMPERED = 10
LONGEST = 6000
"""Characters of one diff or reply that are shown."""
NOT_FOR_A_PAGE = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Table:
    """Titles of the columns, and rows of cells."""

    head: list[str]
    rows: list[list[Any]]


def page(run: Run, versions: dict[str, str]) -> str:
    """The whole page. Raises UsageError where the run has no probe yet, so that there is nothing to
    show."""
    facts = run_facts(run)
    if not facts["probes"]:
        raise UsageError(
            f"{run.folder} has nothing to report yet: the student has not been probed. "
            f"{facts['next']}"
        )
    metrics = run.read("metrics.jsonl")
    return _template().render(
        name=named(run.places),
        head=_head(run, facts),
        k=next(iter(facts["probes"].values()))["all"]["k"],
        arcs=_arcs(facts, metrics),
        thaw=_thaw(run, facts),
        climb=_climb(run, metrics),
        stages=_stages(run),
        costs=_costs(run, facts),
        tampering=_tampering(run),
        samples=_samples(run, facts),
        recipe=_recipe(run, versions),
    )


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_without_controls,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE)


def _without_controls(value: object) -> object:
    """Text without what no page may hold."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return NOT_FOR_A_PAGE.sub("\ufffd", value)
    return value


# ----------------------------------------------------------------------------------------- sections


def _head(run: Run, facts: dict) -> dict:
    phase = facts["phase"]
    return {
        "run": run.folder.resolve().name,
        "commit": ", ".join(place.repository.commit[:10] for place in run.places),
        "recipe": run.recipe.name,
        "student": _model(run),
        "phase": phase[0].upper() + phase[1:],
        "tiles": _tiles(facts),
        "changes": _changes(run, facts),
        "alarm": facts["alarm"],
        "set_aside": facts["set_aside"],
    }


def _tiles(facts: dict) -> list[tuple[str, str]]:
    """(value, what it is)"""
    before, now = (facts["probes"][phase] for phase in _ends(facts))
    groups = APART["heldout" if now["heldout"]["n"] else "all"]
    tiles = [
        (
            f"{before[g]['pass_at_1']:.3f} → {now[g]['pass_at_1']:.3f}",
            f"pass@1, {GROUP_WORDS[g]} (now {now[g]['ci95'][0]:.2f} to {now[g]['ci95'][1]:.2f})",
        )
        for g in groups
        if now[g]["n"]
    ]
    tiles += [
        (
            f"{now[g]['pass_at_1_turn_1']:.3f} → {now[g]['pass_at_1']:.3f}",
            f"after the first turn and after the last, {GROUP_WORDS[g]} ({now[g]['turns']:.1f} "
            "turns)",
        )
        for g in groups
        if "turns" in now[g]
    ]
    return tiles + [
        (f"{before['all']['cold']} → {now['all']['cold']}", f"cold tasks, of {now['all']['n']}"),
        (f"{before['all']['mastered']} → {now['all']['mastered']}", "mastered tasks"),
        (f"${facts['usd']:.2f}", f"teacher: {facts['teacher']}"),
        (duration(facts["seconds_total"]), "in all"),
    ]


def _changes(run: Run, facts: dict) -> list[dict]:
    """Of each group, from the first probe to the last."""
    first, last = _ends(facts)
    if first == last:
        return []
    difference = evaluation.compare(
        run, read_probes(run, first), read_probes(run, last), run.recipe.probe.temperature
    )["difference"]
    return [
        {
            "group": GROUP_WORDS[group],
            "change": f"{difference[group]['pass_at_1']:+.3f}",
            "low": f"{difference[group]['ci95'][0]:+.3f}",
            "high": f"{difference[group]['ci95'][1]:+.3f}",
            "verdict": evaluation.WORDS[difference[group]["verdict"]],
        }
        for group in SHOWN_GROUPS
        if group in difference
    ]


def _arcs(facts: dict, metrics: list[dict]) -> list[dict]:
    """Chart and table of each sort of tasks, as far as there are any."""
    arcs = []
    for number, sort in enumerate(SORTS):
        names = {group: APART[group][number] for group in charts.GROUP_STYLES}
        measured = {
            group: [(phase, p[name]) for phase, p in facts["probes"].items() if p[name]["n"]]
            for group, name in names.items()
        }
        if any(measured.values()):
            arcs.append(_arc(facts, metrics, measured, names, sort))
    return arcs


def _arc(
    facts: dict,
    metrics: list[dict],
    measured: dict[str, list[tuple[str, dict]]],
    names: dict[str, str],
    sort: str,
) -> dict:
    places = {phase: phases.place(phase) for phase in facts["probes"]}
    k = next(iter(facts["probes"].values()))["all"]["k"]
    key = f"heldout/{sort}"
    series = {
        group: [(places[phase], p["pass_at_1"], *p["ci95"]) for phase, p in points]
        for group, points in measured.items()
        if points
    }
    cycles = [
        (m["cycle"], m[key], m.get(f"{key}/low"), m.get(f"{key}/high"))
        for m in metrics
        if m.get(key) is not None
    ]
    rows = [
        [
            phase,
            GROUP_WORDS[names[group]],
            p["n"],
            f"{p['pass_at_1']:.3f}",
            _interval(*p["ci95"]),
            f"{p['pass_at_k']:.3f}",
        ]
        for group, points in measured.items()
        for phase, p in points
    ]
    rows += [
        [f"cycle {cycle}", "held out, other seeds", "", f"{value:.3f}", _interval(low, high), ""]
        for cycle, value, low, high in cycles
    ]
    last = max([1, *places.values(), *(m["cycle"] for m in metrics)])
    return {
        "sort": sort,
        "chart": Markup(charts.arc(series, cycles, last, sort)),
        "table": Table(
            ["measured", "tasks", "number", "pass@1", "95 % interval", f"pass@{k}"], rows
        ),
    }


def _thaw(run: Run, facts: dict) -> dict:
    columns, rows, borders = _states(run, facts)
    probes = [
        [phase, *(p["all"][state] for state in (*charts.STATE_COLOURS, "truncated"))]
        for phase, p in facts["probes"].items()
    ]
    return {
        "colours": charts.STATE_COLOURS,
        "chart": Markup(charts.thaw(rows, columns, borders)),
        "table": Table(["probe, all tasks", *STATES, "of the cold, cut off"], probes),
    }


def _climb(run: Run, metrics: list[dict]) -> dict | None:
    """None where it has not begun."""
    if not metrics:
        return None
    cycles = [m["cycle"] for m in metrics]
    shares = {
        cause: [m[f"groups/{cause}"] / max(1, m["groups"]) for m in metrics]
        for cause in charts.CAUSE_WORDS
    }
    wasted = 1 - sum(m["groups/used"] for m in metrics) / max(1, sum(m["groups"] for m in metrics))
    undone = [m["cycle"] for m in metrics if m["undone"]]
    drift, entropy = ([m[key] for m in metrics] for key in ("drift", "entropy"))
    return {
        "wasted": f"{100 * wasted:.0f}",
        "gradient": Markup(charts.gradient(cycles, shares)),
        "groups": _groups_table(metrics),
        "max_drift": f"{run.recipe.climb.max_drift:g}",
        "undone": undone,
        "health": Markup(charts.health(cycles, drift, entropy, undone)),
        "cycles": _cycles_table(metrics),
    }


def _stages(run: Run) -> dict | None:
    """What was forgotten, at the ends of stages; None where there was none."""
    ticks, lines = forgetting_table(run)
    if not lines:
        return None
    rows = [[what, *map(_number, values)] for what, values in lines.items()]
    return {
        "chart": Markup(charts.forgetting(ticks, lines)),
        "table": Table(["pass@1", *ticks], rows),
    }


def _groups_table(metrics: list[dict]) -> Table:
    """What became of the groups of each cycle."""
    causes = (*charts.CAUSE_WORDS, "truncated")
    return Table(
        ["cycle", "taught", "cold", "mastered", "not judged", "of the cold, cut off"],
        [[m["cycle"], *(m[f"groups/{cause}"] for cause in causes)] for m in metrics],
    )


def _cycles_table(metrics: list[dict]) -> Table:
    """Reward of each cycle, and how it went."""
    names = ["drift", "entropy", "gradient norm"]
    return Table(
        ["cycle", *(f"reward, {sort}" for sort in SORTS), *names, "undone"],
        [
            [
                m["cycle"],
                *(_reward(m.get(f"reward/{sort}")) for sort in SORTS),
                *(_number(m[key]) for key in ("drift", "entropy", "grad_norm")),
                "yes" if m["undone"] else "",
            ]
            for m in metrics
        ],
    )


def _costs(run: Run, facts: dict) -> dict:
    seconds = facts["seconds"]
    rows = [
        [
            model,
            spent["requests"],
            spent["replies"],
            spent["tokens"]["in"],
            spent["tokens"]["out"],
            f"${spent['usd']:.4f}",
        ]
        for model, spent in read_summary(run.folder)["by_model"].items()
    ]
    return {
        "time": duration(facts["seconds_total"]),
        "usd": f"${facts['usd']:.4f}",
        "thawed": " ".join(thawed_lines(facts["thawed"])),
        "chart": Markup(charts.times(seconds)) if any(seconds.values()) else "",
        "models": Table(["model", "requests", "replies", "tokens in", "tokens out", "cost"], rows),
    }


def _tampering(run: Run) -> dict | None:
    """None where no rollout was caught."""
    tampered = [r for r in run.read("rollouts.jsonl") if r["status"] == "tampered"]
    if not tampered:
        return None
    found = [r["phase"] for r in tampered]
    why = {
        v["instance_id"]: v["reason"]
        for v in run.read("verdicts.jsonl")
        if v["status"] == "tampered"
    }
    different = list({(r["instance_id"], r["text"]): r for r in tampered}.values())
    return {
        "count": len(tampered),
        "phases": counted({phase: found.count(phase) for phase in dict.fromkeys(found)}),
        "different": len(different),
        "shown": [
            {
                "task": r["instance_id"],
                "why": why.get(r["instance_id"], ""),
                "text": _cut(r["text"]),
            }
            for r in different[:SHOWN_TAMPERED]
        ],
    }


def _samples(run: Run, facts: dict) -> list[dict]:
    ends = dict(zip(("before", "now"), _ends(facts)))
    drawn = random.Random(derived_seed("report", run.recipe.seed))
    known = {
        (r["phase"], r["instance_id"]): r
        for r in run.read("rollouts.jsonl")
        if r["phase"] in ends.values() and r["index"] == 0
    }
    tasks = [t for t in run.tasks if all((end, t.instance_id) in known for end in ends.values())]
    drawn.shuffle(tasks)
    tasks = sorted(tasks, key=lambda t: t.split != "heldout")[:SAMPLES]
    return [
        {
            "task": task.instance_id,
            "heldout": task.split == "heldout",
            "halves": [
                {"when": when, **_sample(run, task, known[phase, task.instance_id])}
                for when, phase in ends.items()
            ],
        }
        for task in tasks
    ]


def _recipe(run: Run, versions: dict[str, str]) -> dict:
    settings = [
        [f"{section}.{key}" if isinstance(values, dict) else section, str(value)]
        for section, values in run.content["recipe"].items()
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
    ]
    old = run.content["versions"]
    rows = [
        [name, old.get(name, ""), versions.get(name, "")]
        for name in dict.fromkeys([*old, *versions])
    ]
    return {
        "train": sum(t.split == "train" for t in run.tasks),
        "heldout": sum(t.split == "heldout" for t in run.tasks),
        "left_out": counted(run.content["excluded"]),
        "commit": ", ".join(place.repository.commit for place in run.places),
        "dirty": any(place.repository.dirty for place in run.places),
        "settings": Table(["setting", "value"], settings),
        "versions": Table(["version", "when started", "of this report"], rows),
    }


# ---------------------------------------------------------------------------- what they are made of


def _ends(facts: dict) -> tuple[str, str]:
    """The names of the first and the last probe."""
    probed = list(facts["probes"])
    return probed[0], probed[-1]


def _model(run: Run) -> str:
    """The student's name; of a folder its last part alone."""
    model = run.recipe.student.model
    return Path(model).name if Path(model).is_absolute() else model


def _states(
    run: Run, facts: dict
) -> tuple[list[str], list[list[str | None]], list[tuple[int, str]]]:
    """Columns, rows of states, and where the groups of rows begin."""
    probed = list(facts["probes"])
    by_column = {
        phase: {p.instance_id: p.state for p in read_probes(run, phase)} for phase in probed
    }
    groups: dict[tuple[int, str], list[dict]] = {}
    for r in run.read("rollouts.jsonl"):
        if r["phase"] == phases.CLIMB.name:
            groups.setdefault((r["cycle"], r["instance_id"]), []).append(r)
    for (cycle, name), rollouts in groups.items():
        probe = TaskProbe(
            name,
            len(rollouts),
            sum(r["reward"] > 0 for r in rollouts),
            sum(r["status"] == "truncated" for r in rollouts),
        )
        by_column.setdefault(f"{cycle}", {})[name] = probe.state
    # A probe after cycle n stands behind that cycle; the one before bootstrap comes first.
    order = sorted(
        by_column,
        key=lambda column: (int(column), 0) if column.isdigit() else (phases.place(column), 1),
    )
    members = grouped(run, read_probes(run, probed[0]))
    rows: list[list[str | None]] = []
    borders: list[tuple[int, str]] = []
    for group in charts.GROUP_STYLES:
        tasks = [
            _filled([by_column[column].get(probe.instance_id) for column in order])
            for probe in members[group]
        ]
        if tasks:
            borders.append((len(rows), GROUP_WORDS[group]))
            rank = list(charts.STATE_COLOURS)
            rows += sorted(tasks, key=lambda task: -sum(rank.index(s) for s in task if s))
    return [c if c.isdigit() else phases.tick(c) for c in order], rows, borders


def _filled(states: list[str | None]) -> list[str | None]:
    """A task keeps the state that it had where it was not measured."""
    filled: list[str | None] = []
    state = None
    for measured in states:
        state = measured or state
        filled.append(state)
    return filled


def _sample(run: Run, task: Task, rollout: dict) -> dict:
    """What the reply does to the broken file, line by line; the reply itself where it holds no edit
    or the snapshot is gone."""
    shown, fault = rollout["text"], ""
    tree = run.tree_of(task)
    hold(tree)
    if tree.is_dir():
        broken = task.broken(tree)
        edit = edit_of(shown, task, tree, run.recipe.prompt.style)
        if isinstance(edit, InvalidEdit):
            fault = str(edit)
        else:
            diffs = (patches.make(broken[path], after, path) for path, after in edit.items())
            shown = "".join(diffs)
    lines = [(_tag(line), line) for line in _cut(shown).splitlines()]
    return {"status": rollout["status"], "fault": fault, "lines": lines}


def _tag(line: str) -> str:
    return "ins" if line.startswith("+") else "del" if line.startswith("-") else ""


def _cut(text: str) -> str:
    more = len(text) - LONGEST
    return text if more <= 0 else f"{text[:LONGEST]}\n[... {more} more characters]"


def _reward(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None else f"{low:.3f} to {high:.3f}"
