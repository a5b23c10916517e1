"""What a run has come to, for somebody who has never seen pass@k: how many tasks the student solves now
that it could not solve.

    outcome(run, "after")      # data for machines
    sentence(run, "after")     # "It now solves 38 of 61 functions that it could not; of 16 that ..."
    details(run, "after")      # what that means, and what it does not count

A task counts as one that it could not solve where the first probe solved it in none of its k tries, and
as solved where a later probe did in at least one. Hard and soft tasks are counted apart, and the
sentence is about the hard ones where there are any: nothing that is run can forge their verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipes.phases import BEFORE, bootstrapped
from recipes.reporting.tables import HARDNESS, read_probes

if TYPE_CHECKING:
    from recipes.runfolder.run import Run

SPLITS = ("train", "heldout")


def outcome(run: Run, probe: str) -> dict[str, dict[str, dict[str, int]]]:
    """{"hard" | "soft": {"train" | "heldout": {"could_not": tasks that the first probe never solved,
    "solved": of these, those that `probe` solved, "lost": tasks that the first probe solved and
    `probe` did not}}}, of the tasks that both have measured."""
    old, new = (
        {p.instance_id: p.resolved > 0 for p in read_probes(run, name)}
        for name in (BEFORE.name, probe)
    )
    found = {
        hardness: {split: {"could_not": 0, "solved": 0, "lost": 0} for split in SPLITS}
        for hardness in HARDNESS
    }
    for task in run.tasks:
        if task.instance_id in old and task.instance_id in new:
            counts = found["hard" if task.hard else "soft"][task.split]
            before, after = old[task.instance_id], new[task.instance_id]
            counts["could_not"] += not before
            counts["solved"] += after and not before
            counts["lost"] += before and not after
    return found


def sentence(run: Run, probe: str) -> str:
    """The first one that a person reads. Of a probe of climb it says, too, what bootstrap had come
    to."""
    found = outcome(run, probe)
    hardness, what = _told_first(found), _noun(run)
    earlier = outcome(run, bootstrapped())[hardness] if probe != bootstrapped() else None

    def solved(split: str, when: str) -> str:
        before = f" ({_count(earlier[split]['solved'])}{when})" if earlier else ""
        return f"{_count(found[hardness][split]['solved'])}{before}"

    train, heldout = (found[hardness][split]["could_not"] for split in SPLITS)
    if train:
        rest = f"; of {heldout} that it never trained on, {solved('heldout', '')}"
        return (
            f"It now solves {solved('train', ' before climbing')} of {train} {what} that it could "
            f"not{rest if heldout else ''}."
        )
    if heldout:
        return (
            f"Of {heldout} {what} that it could not solve and never trained on, it now solves "
            f"{solved('heldout', ' before climbing')}."
        )
    return f"There were no {what} that it could not solve."


def details(run: Run, probe: str) -> list[str]:
    """What the sentence means; what it has not counted; and what was lost."""
    found, k = outcome(run, probe), run.recipe.probe.k
    said = [
        f"Solves: right in at least one of {k} tries. Could not: right in none of {k} at first."
    ]
    soft = found["soft"]
    if _told_first(found) == "soft":
        said.append(
            "These are soft tasks: code that is written to attack the tests could forge such a verdict."
        )
    elif any(soft[split]["could_not"] for split in SPLITS):
        counts = [
            f"{_count(soft[split]['solved'])} of {soft[split]['could_not']}{words}"
            for split, words in zip(SPLITS, ("", " that it never trained on"))
            if soft[split]["could_not"]
        ]
        said.append(
            "Counted are those whose verdict no code can forge (hard). Of the others (soft) it solves "
            f"{' and '.join(counts)}."
        )
    else:
        said.append("No code can forge the verdicts on these (hard tasks).")
    lost = {name: sum(found[name][split]["lost"] for split in SPLITS) for name in HARDNESS}
    if any(lost.values()):
        each = " and ".join(f"{count} {name}" for name, count in lost.items() if count)
        said.append(f"Of those that it could solve at first it now does not solve {each}.")
    return said


def _told_first(found: dict) -> str:
    """Which sort the sentence is about."""
    some = [name for name in HARDNESS if any(found[name][s]["could_not"] for s in SPLITS)]
    return some[0] if some else HARDNESS[0]


def _noun(run: Run) -> str:
    """What a person calls the tasks: functions, where each is about one that no other is about."""
    tasks = run.tasks
    functions = {(task.file, task.function) for task in tasks if not task.files}
    return "functions" if len(functions) == len(tasks) else "tasks"


def _count(number: int) -> str:
    return str(number) if number else "none"
