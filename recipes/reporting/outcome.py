"""What a run has come to, for somebody who has never seen pass@k: how many tasks the student solves
now that it could not solve.

    outcome(run, "after")      # data for machines
    sentence(run, "after")     # "It now solves 38 of 61 functions that it could not; of 16 ..."
    details(run, "after")      # what that means, and what it does not count

A task counts as one that it could not solve where the first probe solved it in none of its k
tries, and as solved where a later probe did in at least one. Each sort of task is counted apart,
and the sentence is about the hard ones where there are any: nothing that is run can forge their
verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipes.phases import BEFORE, bootstrapped
from recipes.reporting.tables import RECORDED_WORDS, read_probes
from sandbox.tasks.task import RECORDED, SORTS

if TYPE_CHECKING:
    from recipes.runfolder.run import Run

SPLITS = ("train", "heldout")
MEANING = {
    "hard": "No code can forge the verdicts on these (hard tasks).",
    "soft": "These are soft tasks: code that is written to attack the tests could forge such a verdict.",
    RECORDED: f"These are recorded tasks: they {RECORDED_WORDS}.",
}
COUNTS = ("could_not", "solved", "taught", "taught_solved", "lost")


def outcome(run: Run, probe: str) -> dict[str, dict[str, dict[str, int]]]:
    """{"hard" | "soft" | "recorded": {"train" | "heldout": {"could_not": tasks that the first probe
    never solved, "solved": of these, those that `probe` solved, "taught", "taught_solved": the same
    of those that a teacher's verified answer was learned for, "lost": tasks that the first probe
    solved and `probe` did not}}}, of the tasks that both have measured."""
    old, new = (
        {p.instance_id: p.resolved > 0 for p in read_probes(run, name)}
        for name in (BEFORE.name, probe)
    )
    was_taught = run.taught
    found = {sort: {split: dict.fromkeys(COUNTS, 0) for split in SPLITS} for sort in SORTS}
    for task in run.tasks:
        if task.instance_id in old and task.instance_id in new:
            counts = found[task.sort][task.split]
            before, after = old[task.instance_id], new[task.instance_id]
            counts["could_not"] += not before
            counts["solved"] += after and not before
            counts["lost"] += before and not after
            if task.instance_id in was_taught:
                counts["taught"] += not before
                counts["taught_solved"] += after and not before
    return found


def sentence(run: Run, probe: str) -> str:
    """The first one that a person reads. Of a probe of climb it says, too, what bootstrap had come
    to."""
    found = outcome(run, probe)
    sort, what = _told_first(found), _noun(run)
    earlier = outcome(run, bootstrapped())[sort] if probe != bootstrapped() else None

    def before(split: str, when: str) -> str:
        return f" ({_count(earlier[split]['solved'])}{when})" if earlier else ""

    train, heldout = (found[sort][split]["could_not"] for split in SPLITS)
    solved, held = (_count(found[sort][split]["solved"]) for split in SPLITS)
    if train:
        could = f"It now solves {solved} of {train} {what} that it could not"
        rest = f"; of {heldout} that it never trained on, {held}{before('heldout', '')}"
        return f"{could}{before('train', ' before climbing')}{rest if heldout else ''}."
    if heldout:
        could = f"Of {heldout} {what} that it could not solve and never trained on"
        return f"{could}, it now solves {held}{before('heldout', ' before climbing')}."
    return f"There were no {what} that it could not solve."


def details(run: Run, probe: str) -> list[str]:
    """What the sentence means; what it has not counted; and what was lost."""
    found, k = outcome(run, probe), run.recipe.probe.k
    first = _told_first(found)
    said = [
        f"Solves: right in at least one of {k} tries. Could not: right in none of {k} at first.",
        *_of_taught(found[first]["train"]),
        MEANING[first],
        *(said for sort in SORTS if sort != first and (said := _of_others(found[sort], sort))),
    ]
    lost = {name: sum(found[name][split]["lost"] for split in SPLITS) for name in SORTS}
    if any(lost.values()):
        each = " and ".join(f"{count} {name}" for name, count in lost.items() if count)
        said.append(f"Of those that it could solve at first it now does not solve {each}.")
    return said


def _of_others(counts: dict[str, dict[str, int]], sort: str) -> str:
    """What became of tasks of a sort that the sentence is not about; "" without any."""
    each = [
        f"{_count(counts[split]['solved'])} of {counts[split]['could_not']}{words}"
        for split, words in zip(SPLITS, ("", " that it never trained on"))
        if counts[split]["could_not"]
    ]
    return f"Beside these, of {sort} tasks it solves {' and '.join(each)}." if each else ""


def _of_taught(train: dict[str, int]) -> list[str]:
    """How much of it was learned by heart."""
    if not train["taught"]:
        return []
    others = train["could_not"] - train["taught"]
    rest = f" and {_count(train['solved'] - train['taught_solved'])} of the {others} others"
    return [
        f"It was given verified answers to {train['taught']} of these {train['could_not']}, and "
        f"solves {_count(train['taught_solved'])} of them{rest if others else ''}."
    ]


def _told_first(found: dict) -> str:
    """Which sort the sentence is about."""
    some = [name for name in SORTS if any(found[name][s]["could_not"] for s in SPLITS)]
    return some[0] if some else SORTS[0]


def _noun(run: Run) -> str:
    """What a person calls the tasks: functions, where each is about one that no other is about."""
    tasks = run.tasks
    functions = {(task.file, task.function) for task in tasks if not task.files}
    return "functions" if len(functions) == len(tasks) else "tasks"


def _count(number: int) -> str:
    return str(number) if number else "none"
