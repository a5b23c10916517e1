"""One run on one page: RUN/report.html, which needs nothing but itself. No script, no request,
nothing from elsewhere.

    # versions: those of today, beside those that the run was started with
    html = page(run, versions)

Everything that a model or a repository wrote is escaped, and the page forbids the browser whatever
it does not need itself. The numbers of each chart stand in a table below it. It holds no clock time
but what the run wrote down: the same run folder gives the same page.
"""

import random
import re
from html import escape
from pathlib import Path

from recipes import stages
from recipes.learning.measure import STATES, TaskProbe, derived_seed
from recipes.reporting import charts, evaluation
from recipes.reporting.status import duration, run_facts
from recipes.reporting.tables import (
    APART,
    GROUP_WORDS,
    HARDNESS,
    SHOWN_GROUPS,
    grouped,
    read_probes,
)
from recipes.teachers.ledger import read_summary
from sandbox import patches
from sandbox.cache import hold
from sandbox.episode import edit_of
from sandbox.errors import UsageError
from sandbox.judge.gate import InvalidEdit
from sandbox.reasons import counted

SAMPLES = 10
SHOWN_TAMPERED = 10
LONGEST = 6000
"""Characters of one diff or reply that are shown."""
STATE_WORDS = {state: state for state in STATES}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --soft: #59636e; --grid: #d9dee3; --card: #f5f7f9;
  --add: #005a9e; --cut: #9a3c00; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e6eaee; --soft: #a3adb8; --grid: #39424c; --card: #1d232a;
  --add: #7cc4f5; --cut: #f0a868; } }
@media print { :root { color-scheme: light; --paper: #ffffff; --ink: #000000; --soft: #444444; --grid: #cccccc; --card: #ffffff;
  --add: #003e6e; --cut: #6e2b00; } figure, .pair, tr, li, .charts > :has(figure) { break-inside: avoid; }
  h2, h3, p:has(+ figure) { break-after: avoid; }
  pre { white-space: pre-wrap; } details:not([open]) { display: none; } }
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
@media print { html { font-size: 11px; } }
body { max-width: 1160px; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p, li { max-width: 46rem; } .soft, figcaption, summary { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem; margin: 1rem 0; padding: 0;
  list-style: none; }
.tiles li { background: var(--card); border: 1px solid var(--grid); border-radius: .5rem; padding: .6rem .8rem; }
.tiles b { display: block; font-size: 1.2rem; line-height: 1.3; }
.charts section { min-width: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 0 2rem; align-items: start; }
figure { margin: 0; min-width: 0; } figure svg { display: block; width: 100%; height: auto; max-width: 34rem; }
figure image { image-rendering: pixelated; }
.key { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .2rem 0; padding: 0; list-style: none; font-size: .9rem; }
.key i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15rem .6rem .15rem 0; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: .2rem 1rem; margin-bottom: .8rem; }
.pair > div { min-width: 0; } .pair p { margin: .2rem 0; }
pre { background: var(--card); border: 1px solid var(--grid); border-radius: .3rem; padding: .5rem; margin: 0; overflow-x: auto;
  font: .82rem/1.4 ui-monospace, monospace; overflow-wrap: normal; }
pre ins { color: var(--add); text-decoration: none; } pre del { color: var(--cut); text-decoration: none; }
"""


def page(run, versions: dict[str, str]) -> str:
    """The whole page. Raises UsageError where the run has no probe yet, so that there is nothing to
    show."""
    found = run_facts(run)
    if not found["probes"]:
        raise UsageError(
            f"{run.folder} has nothing to report yet: the student has not been probed. "
            f"{found['next']}"
        )
    metrics, name = run.read("metrics.jsonl"), Path(run.repository.root).name
    sections = [
        _head(run, found, name),
        f'<div class="charts">\n{_arc(found, metrics)}\n{_map(run, found)}\n</div>',
        *([_climb(run, metrics)] if metrics else []),
        _costs(run, found),
        _tampering(run),
        _samples(run, found),
        _recipe(run, versions),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>coldstart: "
        f"{_text(name)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


# ----------------------------------------------------------------------------------------- sections


def _head(run, found: dict, name: str) -> str:
    first, last = _ends(found)
    before, now = found["probes"][first], found["probes"][last]
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
        (f"{before['all']['cold']} → {now['all']['cold']}", f"cold tasks, of {now['all']['n']}"),
        (f"{before['all']['mastered']} → {now['all']['mastered']}", "mastered tasks"),
        (f"${found['usd']:.2f}", f"teacher: {_text(found['teacher'])}"),
        (duration(found["seconds_total"]), "in all"),
    ]
    out = [
        f"<header>\n<h1>coldstart: {_text(name)}</h1>",
        f'<p class="soft">Run {_text(run.folder.resolve().name)}, commit '
        f'{_text(run.repository.commit[:10])}, recipe '
        f"{_text(run.recipe.name)}, student {_text(_model(run))}. "
        f"{_text(found['phase'][0].upper() + found['phase'][1:])}.</p>",
        '<ul class="tiles">'
        + "".join(f"<li><b>{value}</b> {words}</li>" for value, words in tiles)
        + "</ul>",
    ]
    if first != last:
        told = evaluation.compare(
            run, read_probes(run, first), read_probes(run, last), run.recipe.probe.temperature
        )["difference"]
        items = [
            f"<li>{GROUP_WORDS[g]}: <b>{told[g]['pass_at_1']:+.3f}</b> ({told[g]['ci95'][0]:+.3f} "
            "to "
            f"{told[g]['ci95'][1]:+.3f}), {evaluation.WORDS[told[g]['verdict']]}</li>"
            for g in SHOWN_GROUPS
            if g in told
        ]
        out.append(
            "<p>How pass@1 changed from the first probe to the last, on the same tasks and seeds, "
            "with 95 % intervals:</p>\n"
            f"<ul>{''.join(items)}</ul>"
        )
    out += [f"<p><b>{_text(found['alarm'])}</b></p>"] if found["alarm"] else []
    if found["set_aside"]:
        out.append(
            "<p>Set aside, because the jail failed on them again and again: "
            + "; ".join(f"{_text(name)} ({_text(why)})" for name, why in found["set_aside"].items())
            + ".</p>"
        )
    return "\n".join(out) + "\n</header>"


def _arc(found: dict, metrics: list[dict]) -> str:
    places = {phase: stages.place(phase) for phase in found["probes"]}
    last = max([1, *places.values(), *(m["cycle"] for m in metrics)])
    k = next(iter(found["probes"].values()))["all"]["k"]
    parts = [
        part
        for number, hardness in enumerate(HARDNESS)
        for part in _arc_of(found, metrics, places, last, k, number, hardness)
    ]
    return _section(
        "The arc",
        f"Share of samples that the tests accept (pass@1), with 95 % intervals; {k} samples of "
        "every task at each "
        "probe. Hard tasks are judged outside the process that runs the edit; the verdict on soft "
        "ones could be forged by "
        "code written to attack it, so the two are never added up. The student was never taught or "
        "trained on the held-out "
        "tasks; but the best checkpoint is chosen by them, on other seeds.",
        *parts,
    )


def _arc_of(
    found: dict, metrics: list[dict], places: dict, last: int, k: int, number: int, hardness: str
) -> list[str]:
    """Chart and table of the hard or of the soft tasks; nothing where there are none."""
    names = {group: APART[group][number] for group in charts.GROUP_STYLES}
    measured = {
        group: [(phase, p[name]) for phase, p in found["probes"].items() if p[name]["n"]]
        for group, name in names.items()
    }
    series = {
        group: [(places[phase], q["pass_at_1"], *q["ci95"]) for phase, q in points]
        for group, points in measured.items()
        if points
    }
    if not series:
        return []
    cycles = [
        (
            m["cycle"],
            m[f"heldout/{hardness}"],
            m.get(f"heldout/{hardness}/low"),
            m.get(f"heldout/{hardness}/high"),
        )
        for m in metrics
        if m.get(f"heldout/{hardness}") is not None
    ]
    rows = [
        [
            _text(phase),
            GROUP_WORDS[names[group]],
            str(q["n"]),
            f"{q['pass_at_1']:.3f}",
            "{:.3f} to {:.3f}".format(*q["ci95"]),
            f"{q['pass_at_k']:.3f}",
        ]
        for group, points in measured.items()
        for phase, q in points
    ]
    rows += [
        [
            f"cycle {cycle}",
            "held out, other seeds",
            "",
            f"{value:.3f}",
            "" if low is None else f"{low:.3f} to {high:.3f}",
            "",
        ]
        for cycle, value, low, high in cycles
    ]
    return [
        f"<h3>{hardness.capitalize()} tasks</h3>",
        _figure(charts.arc(series, cycles, last, hardness)),
        _details(
            _table(["measured", "tasks", "number", "pass@1", "95 % interval", f"pass@{k}"], rows)
        ),
    ]


def _map(run, found: dict) -> str:
    columns, rows, borders = _states(run, found)
    key = "".join(
        f'<li><i style="background:{colour}"></i>{STATE_WORDS[state]}</li>'
        for state, colour in charts.STATE_COLOURS.items()
    )
    probes = [
        [_text(phase), *(str(p["all"][state]) for state in (*charts.STATE_COLOURS, "truncated"))]
        for phase, p in found["probes"].items()
    ]
    return _section(
        "How the tasks thawed",
        "A row is a task, a column a measurement: the probes, and between them the cycles of "
        "climb. "
        "Cold: never solved, whether or not its samples were cut off by the token limit (the table "
        "counts these). Warm: "
        "sometimes; only these have a gradient. Mastered: always. A task that a cycle did not draw "
        "keeps the state that it had.",
        f'<ul class="key">{key}</ul>' + _figure(charts.thaw(rows, columns, borders)),
        _details(
            _table(["probe, all tasks", *STATE_WORDS.values(), "of the cold, cut off"], probes)
        ),
    )


def _climb(run, metrics: list[dict]) -> str:
    cycles = [m["cycle"] for m in metrics]
    shares = {
        cause: [m[f"groups/{cause}"] / max(1, m["groups"]) for m in metrics]
        for cause in charts.CAUSE_WORDS
    }
    wasted = 1 - sum(m["groups/used"] for m in metrics) / max(1, sum(m["groups"] for m in metrics))
    undone = [m["cycle"] for m in metrics if m["undone"]]
    group_rows = [
        [
            str(m["cycle"]),
            *(str(m[f"groups/{cause}"]) for cause in (*charts.CAUSE_WORDS, "truncated")),
        ]
        for m in metrics
    ]
    health_rows = [
        [
            str(m["cycle"]),
            *(_reward(m.get(f"reward/{name}")) for name in HARDNESS),
            _number(m["drift"]),
            _number(m["entropy"]),
            _number(m["grad_norm"]),
            "yes" if m["undone"] else "",
        ]
        for m in metrics
    ]
    drift, entropy = ([m[key] for m in metrics] for key in ("drift", "entropy"))
    left = (
        "<div>\n<h3>Groups without a gradient</h3>\n<p>A group in which all rollouts got the same "
        "reward teaches nothing: "
        f"{100 * wasted:.0f} % of all groups.</p>"
        + _figure(charts.gradient(cycles, shares))
        + _details(
            _table(
                ["cycle", "taught", "cold", "mastered", "not judged", "of the cold, cut off"],
                group_rows,
            )
        )
        + "</div>"
    )
    right = (
        "<div>\n<h3>Drift and entropy</h3>\n<p>Drift: how far the sampler's log-probabilities are "
        "from the trainer's. A cycle with "
        f"more than {run.recipe.climb.max_drift:g} nats a token is undone"
        + (f"; undone (dotted): {', '.join(map(str, undone))}" if undone else "; none was")
        + ".</p>"
        + _figure(charts.health(cycles, drift, entropy, undone))
        + _details(
            _table(
                [
                    "cycle",
                    "reward, hard",
                    "reward, soft",
                    "drift",
                    "entropy",
                    "gradient norm",
                    "undone",
                ],
                health_rows,
            )
        )
        + "</div>"
    )
    return (
        f'<section>\n<h2>The climb</h2>\n<div class="charts">\n{left}\n{right}\n</div>\n</section>'
    )


def _costs(run, found: dict) -> str:
    spent = read_summary(run.folder)
    rows = [
        [
            _text(model),
            str(s["requests"]),
            str(s["replies"]),
            str(s["tokens"]["in"]),
            str(s["tokens"]["out"]),
            f"${s['usd']:.4f}",
        ]
        for model, s in spent["by_model"].items()
    ]
    money = (
        _table(["model", "requests", "replies", "tokens in", "tokens out", "cost"], rows)
        if rows
        else "<p>No API teacher was asked: the reference teacher answers with the repository's own "
        "code, and costs nothing.</p>"
    )
    chart = _figure(charts.times(found["seconds"])) if any(found["seconds"].values()) else ""
    return _section(
        "Time and money",
        f"{duration(found['seconds_total'])} in all, what was cut off and begun again included; "
        f"${found['usd']:.4f} for the teacher.",
        chart,
        money,
    )


def _tampering(run) -> str:
    tampered = [r for r in run.read("rollouts.jsonl") if r["status"] == "tampered"]
    if not tampered:
        return _section("Tampering", "No rollout was caught at tampering with its tests.")
    phases = {
        phase: sum(r["phase"] == phase for r in tampered)
        for phase in dict.fromkeys(r["phase"] for r in tampered)
    }
    why = {
        v["instance_id"]: v["reason"]
        for v in run.read("verdicts.jsonl")
        if v["status"] == "tampered"
    }
    kinds = list({(r["instance_id"], r["text"]): r for r in tampered}.values())
    shown = "".join(
        f"<h3>{_text(r['instance_id'])}</h3><p>{_text(why.get(r['instance_id'], ''))}</p>"
        f'<pre tabindex="0">{_text(_cut(r["text"]))}</pre>'
        for r in kinds[:SHOWN_TAMPERED]
    )
    return _section(
        "Tampering",
        f"{len(tampered)} rollouts were caught ({_text(counted(phases))}); none of them was "
        "rewarded. "
        f"{len(kinds)} different ones, the first {min(len(kinds), SHOWN_TAMPERED)} of them:",
        f"<details><summary>what they wrote</summary>{shown}</details>",
    )


def _samples(run, found: dict) -> str:
    first, last = _ends(found)
    drawn = random.Random(derived_seed("report", run.recipe.seed))
    known = {
        (r["phase"], r["instance_id"]): r
        for r in run.read("rollouts.jsonl")
        if r["phase"] in (first, last) and r["index"] == 0
    }
    tasks = [
        t for t in run.tasks if (last, t.instance_id) in known and (first, t.instance_id) in known
    ]
    drawn.shuffle(tasks)
    tasks = sorted(tasks, key=lambda t: t.split != "heldout")[:SAMPLES]
    blocks = []
    for task in tasks:
        parts = [
            (words, known[phase, task.instance_id])
            for words, phase in dict(zip(("before", "now"), (first, last))).items()
        ]
        halves = "".join(
            f"<div><p>{words}: <b>{_text(r['status'])}</b></p>{_diff(run, task, r['text'])}</div>"
            for words, r in parts
        )
        blocks.append(
            f"<h3>{_text(task.instance_id)} "
            f"({'held out' if task.split == 'heldout' else 'training'})</h3>"
            f'<div class="pair">{halves}</div>'
        )
    return _section(
        "Samples",
        f"{len(tasks)} tasks, drawn by the seed and not by their result, held-out ones first: what "
        "the student's "
        "first sample did to the broken file, at the first probe and at the last.",
        *blocks,
    )


def _recipe(run, versions: dict[str, str]) -> str:
    settings = [
        [f"{section}.{key}" if isinstance(values, dict) else section, _text(str(value))]
        for section, values in run.content["recipe"].items()
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
    ]
    old = run.content["versions"]
    rows = [
        [_text(name), _text(old.get(name, "")), _text(versions.get(name, ""))]
        for name in dict.fromkeys([*old, *versions])
    ]
    tasks = {split: sum(t.split == split for t in run.tasks) for split in ("train", "heldout")}
    left_out = (
        f" Left out when mining: {_text(counted(run.content['excluded']))}."
        if run.content["excluded"]
        else ""
    )
    return _section(
        "The exact recipe",
        f"{tasks['train']} tasks for training, {tasks['heldout']} held out.{left_out} Commit "
        f"{_text(run.repository.commit)}{', with uncommitted changes' if run.repository.dirty else ''}.",
        '<div class="charts">' + f"<div>{_table(['setting', 'value'], settings)}</div>"
        f"<div>{_table(['version', 'when started', 'of this report'], rows)}</div></div>",
    )


# ---------------------------------------------------------------------------- what they are made of


def _ends(found: dict) -> tuple[str, str]:
    """The names of the first and the last probe."""
    phases = list(found["probes"])
    return phases[0], phases[-1]


def _model(run) -> str:
    """The student's name; of a folder its last part alone."""
    model = run.recipe.student.model
    return Path(model).name if Path(model).is_absolute() else model


def _states(run, found: dict) -> tuple[list[str], list[list[str | None]], list[tuple[int, str]]]:
    """Columns, rows of states, and where the groups of rows begin."""
    phases = list(found["probes"])
    by_column = {
        phase: {p.instance_id: p.state for p in read_probes(run, phase)} for phase in phases
    }
    groups: dict[tuple[int, str], list[dict]] = {}
    for r in run.read("rollouts.jsonl"):
        if r["phase"] == stages.CLIMB.name:
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
        key=lambda column: (int(column), 0) if column.isdigit() else (stages.place(column), 1),
    )
    members = grouped(run, read_probes(run, phases[0]))
    rows, borders = [], []
    for group in charts.GROUP_STYLES:
        lines = []
        for name in (p.instance_id for p in members[group]):
            state, line = None, []
            for column in order:
                state = by_column[column].get(name, state)
                line.append(state)
            lines.append(line)
        if lines:
            borders.append((len(rows), GROUP_WORDS[group]))
            rank = list(charts.STATE_COLOURS)
            rows += sorted(lines, key=lambda line: [-sum(rank.index(s) for s in line if s)])
    return [c if c.isdigit() else stages.tick(c) for c in order], rows, borders


def _diff(run, task, text: str) -> str:
    """What the reply does to the broken file; the reply itself where it holds no edit or the
    snapshot is gone."""
    shown = _cut(text)
    note = ""
    hold(run.repository.snapshot)
    if run.repository.snapshot.is_dir():
        broken = task.broken(run.repository.snapshot)
        edit = edit_of(text, task, run.repository.snapshot, run.recipe.prompt.style)
        if isinstance(edit, InvalidEdit):
            note = f'<p class="soft">No usable edit: {_text(str(edit))}</p>'
        else:
            shown = _cut(
                "".join(patches.make(broken[path], after, path) for path, after in edit.items())
            )
    marked = []
    for line in shown.splitlines():
        tag = "ins" if line.startswith("+") else "del" if line.startswith("-") else ""
        marked.append(f"<{tag}>{_text(line)}</{tag}>" if tag else _text(line))
    return note + '<pre tabindex="0">' + "\n".join(marked) + "</pre>"


def _cut(text: str) -> str:
    return (
        text
        if len(text) <= LONGEST
        else f"{text[:LONGEST]}\n[... {len(text) - LONGEST} more characters]"
    )


def _text(text: str) -> str:
    """Escaped, and without what no page may hold."""
    return escape(
        re.sub(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    )


def _reward(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def _section(title: str, words: str, *parts: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n<p>{words}</p>\n" + "\n".join(parts) + "\n</section>"


def _figure(svg: str) -> str:
    return f"<figure>\n{svg}\n</figure>"


def _details(table: str) -> str:
    return f"<details><summary>the numbers</summary>\n{table}\n</details>"


def _table(head: list[str], rows: list[list[str]]) -> str:
    """`rows` hold text that is escaped already."""
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    return f'<div class="wide"><table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{cells}</tbody>\n</table></div>'
