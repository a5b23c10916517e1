"""The stages of climb for machines and for people: what each gained, and what it cost of what was
learned before (`forgetting.py`).

    of_stages(run)                               # of `climb --json` and `status --json`
    stage_lines("agentic", record)               # when one has ended
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipes.curriculum import RECORD
from recipes.forgetting import gain, mean_drop

if TYPE_CHECKING:
    from recipes.runfolder.run import Run

WAYS = {
    "selfdistil": "self-distillation",
    "replay": "replay",
    "average": "averaging",
    "kl": "KL term",
    "none": "nothing",
}
"""What a person calls what keeps earlier stages (`retention.method`)."""
NOTHING = "-"
NUMBERS = {"neutral": "plain English, nats a token", "kl": "KL to where it began, nats a token"}


def of_stages(run: Run) -> dict:
    """{"stages", "forgetting"}; {} where the recipe has no stages."""
    if not run.recipe.stage:
        return {}
    return {"stages": stage_facts(run), "forgetting": forgetting_facts(run)}


def stage_facts(run: Run) -> list[dict]:
    """[{"name", "cycles", "before": P, "after": P}] of the stages that were begun; P is about the
    held-out tasks of the stage, None where it has none or is not measured yet."""
    cycles = len(run.read("metrics.jsonl"))
    return [
        {
            "name": name,
            "cycles": max(0, min(cycles, record["last"]) - record["first"] + 1),
            **{
                when: record[when]["heldout"].get(name) if when in record else None
                for when in ("before", "after")
            },
        }
        for name, record in run.content.get(RECORD, {}).items()
    ]


def forgetting_facts(run: Run) -> dict:
    """{stage: {"before", "climbed", "after": measurements (`forgetting.measure`), "tried": {method:
    the same}, "gain", "mean_drop"}} of the stages that were begun: the mean fall of pass@1 on all
    that is not the stage's own; None where it is not known."""
    return {
        name: {
            **{when: record.get(when) for when in ("before", "climbed", "after")},
            "tried": record.get("tried", {}),
            **_between(record, name, "after"),
        }
        for name, record in run.content.get(RECORD, {}).items()
    }


def _between(record: dict, name: str, when: str) -> dict:
    if "before" not in record or when not in record:
        return {"gain": None, "mean_drop": None}
    pair = record["before"], record[when]
    return {"gain": gain(*pair, name), "mean_drop": mean_drop(*pair, name)}


def forgetting_table(run: Run) -> tuple[list[str], dict[str, list[float | None]]]:
    """(which end of which stage each measurement is, {what was measured: its pass@1 at each})."""
    measured = {
        f"{name}, {when}": record[when]
        for name, record in run.content.get(RECORD, {}).items()
        for when in ("before", "climbed", "after")
        if when in record and not (when == "after" and "retained" not in record)
    }
    lines = {
        what: [_pass_at_1(found, what) for found in measured.values()] for what in _rows(measured)
    }
    known = {w: values for w, values in lines.items() if any(v is not None for v in values)}
    return list(measured), known


def stage_lines(name: str, record: dict) -> list[str]:
    """A table of what was measured, then what it comes to."""
    columns = {when: record[when] for when in ("before", "climbed") if when in record}
    columns |= {WAYS[method]: found for method, found in record.get("tried", {}).items()}
    rows = [
        (what, [_number(_pass_at_1(c, what)) for c in columns.values()]) for what in _rows(columns)
    ]
    for key, words in NUMBERS.items():
        rows.append((words, [_number(found[key]) for found in columns.values()]))
    widths = [max(8, len(column)) + 2 for column in columns]
    return [
        "",
        f"Stage {name}, cycles {record['first']} to {record['last']}",
        _row("pass@1", list(columns), widths),
        *(_row(what, cells, widths) for what, cells in rows if set(cells) != {NOTHING}),
        *_sentences(name, record),
    ]


def _rows(columns: dict[str, dict]) -> list[str]:
    """What is measured as pass@1, in any of the columns."""
    stages = {name: None for found in columns.values() for name in found["heldout"]}
    return [*(f"held out, {name}" for name in stages), "mastered", "other"]


def _pass_at_1(found: dict, what: str) -> float | None:
    stage = what.removeprefix("held out, ")
    p = found["heldout"].get(stage) if stage != what else found[what]
    return p["pass_at_1"] if p else None


def _row(what: str, cells: list[str], widths: list[int]) -> str:
    return f"{what:32}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths))


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _sentences(name: str, record: dict) -> list[str]:
    """Which way would have been the better buy, where several were tried."""
    tried = record.get("tried", {})
    found = {"climbed": record["climbed"], **tried} if "climbed" in record else tried
    scores = {}
    for method, after in found.items():
        won, lost = (f(record["before"], after, name) for f in (gain, mean_drop))
        if won is not None and lost is not None:
            scores["none" if method == "climbed" else method] = (won, lost)
    if len(scores) < 3:
        return []
    best = max(scores, key=lambda method: scores[method][0] - scores[method][1])
    said = ", ".join(
        f"{WAYS[method]} {won:+.3f} and {0 - lost:+.3f}" for method, (won, lost) in scores.items()
    )
    return [
        f"Gain of the stage, and change of what is earlier (mean): {said}. "
        f"The better buy would have been {WAYS[best]}"
        + (
            "."
            if best == "none" or best == "selfdistil"
            else f" (retention.method = {best!r} in a new run)."
        )
    ]
