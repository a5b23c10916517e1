"""What a teacher came to in what matters: thawed tasks, which were cold when the run began and
which the student has solved since.

    facts = thawed_facts(run)      # {"cold", "thawed", "usd_per_thawed", ...}
    thawed_lines(facts)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipes import phases
from recipes.reporting.tables import read_probes
from recipes.reporting.times import duration
from recipes.teachers.ledger import read_summary
from sandbox.tasks.task import SORTS

if TYPE_CHECKING:
    from recipes.runfolder.run import Run

TEACHING = (phases.TEACH.name, phases.DISTIL.name)
"""The phases whose time a thawed task is counted to have cost."""


def never_solved(run: Run) -> dict[str, str]:
    """{instance_id: its sort} of the tasks for training that the student has not solved
    once in this run, by all rollouts that are written down."""
    solved = {r["instance_id"] for r in run.read("rollouts.jsonl") if r["reward"] > 0}
    return {
        t.instance_id: t.sort
        for t in run.tasks
        if t.split == "train" and t.instance_id not in solved
    }


def thawed_facts(run: Run) -> dict | None:
    """{"teacher", "cold": training tasks that were cold, "thawed", "hard", "soft", "recorded": the
    same of these, "usd", "minutes" (of TEACHING), "usd_per_thawed", "minutes_per_thawed",
    "still_cold", "never_taught": of these, "next_dollar": tasks that another dollar would likely
    thaw}; what cannot be said is None. None before there is a second probe."""
    probed = [name for name in run.content["done"] if phases.is_probe(name)]
    if len(probed) < 2:
        return None
    train = {t.instance_id for t in run.tasks if t.split == "train"}
    before, now = (
        {p.instance_id: p.state for p in read_probes(run, name) if p.instance_id in train}
        for name in (probed[0], probed[-1])
    )
    cold = {name for name, state in before.items() if state == "cold"}
    thawed = {name for name in cold if now.get(name, "cold") != "cold"}
    teacher, usd = run.content.get("teacher"), read_summary(run.folder)["usd"]
    minutes = sum(run.content["seconds"].get(name, 0.0) for name in TEACHING) / 60
    left, won = len(cold - thawed - run.taught), len(thawed)
    of_sort = {s: {t.instance_id for t in run.tasks if t.sort == s} for s in SORTS}
    return {
        "teacher": teacher["endpoint"]["name"] if teacher else "reference",
        "cold": len(cold),
        "thawed": won,
        **{
            sort: {"cold": len(cold & own), "thawed": len(thawed & own)}
            for sort, own in of_sort.items()
        },
        "usd": usd,
        "minutes": round(minutes, 1),
        "usd_per_thawed": usd / won if won else None,
        "minutes_per_thawed": round(minutes / won, 4) if won else None,
        "still_cold": len(cold - thawed),
        "never_taught": left,
        "next_dollar": min(left, round(won / usd)) if usd and won else None,
    }


def thawed_lines(facts: dict | None) -> list[str]:
    """For a person; [] where there is nothing to say."""
    if facts is None or not facts["cold"]:
        return []
    if not facts["thawed"]:
        return [f"None of {facts['cold']} cold training tasks is solved yet."]
    price = "no cost" if not facts["usd"] else f"{100 * facts['usd_per_thawed']:.2f} US cents"
    solved = " and ".join(
        f"{facts[name]['thawed']} of {facts[name]['cold']} {name}"
        for name in SORTS
        if facts[name]["cold"]
    )
    said = (
        f"{solved} cold training tasks are solved now, at {price} and "
        f"{duration(60 * facts['minutes_per_thawed'])} of teaching each ({facts['teacher']})."
    )
    if facts["next_dollar"] is not None:
        said += (
            f" At that price another dollar would thaw about {facts['next_dollar']} of the "
            f"{facts['never_taught']} that are cold and were not taught."
        )
    return [said]
