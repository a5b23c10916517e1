"""Taking a checkpoint out of a run, and the proof that nothing was lost on the way.

    with new_folder(out) as aside: ...  # files are written aside and renamed when they are complete
    chosen = choose_tasks(run, tasks, 8)  # those that the student solves most often
    found = compare(own, exported)  # {"n", "checkpoint", "export", "same", "lost"}
    lines(found)

Two kinds of targets. MODEL_TARGETS hold the student (`model.py`). TASK_TARGETS hold the tasks: one
module each, and a line of the table here; those of BEGIN_WITH_STUDENT hold its adapter, too, which
another program goes on with. After each export of a model, tasks that the
run has seen mastered are replayed through the exported files: the same prompts, at temperature 0,
judged in the jail, beside the checkpoint itself. What the base solved without the adapter would
prove little, so tasks that were cold before come first.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from recipes.phases import BEFORE
from recipes.reporting.tables import read_probes
from sandbox.errors import UsageError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.rollouts.rollout import Rollout
    from recipes.runfolder.run import Run
    from sandbox.tasks.task import Task

MODEL_TARGETS = ("ollama", "gguf", "peft")
TASK_TARGETS = {
    "trl": "recipes.exports.trl",
    "verifiers": "recipes.exports.verifiers",
    "dataset": "recipes.exports.dataset",
}
"""{target: its module, which is a TaskExport}"""
BEGIN_WITH_STUDENT = ("trl",)
"""Those that hold a checkpoint's adapter beside the tasks."""
TARGETS = (*MODEL_TARGETS, *TASK_TARGETS)

MAX_LOSS = 0.25
"""Share of the replayed tasks by which an export may fall short of its checkpoint. Rounding to 8
bits changes a reply now and then, and a lost adapter nearly all of them."""


class TaskExport(Protocol):
    """The module of a target that holds the tasks."""

    def write(self, run: Run, folder: Path, checkpoint: Path | None = None) -> None:
        """Write the files to `folder`, which is empty. `checkpoint`: a folder for those of
        BEGIN_WITH_STUDENT, None for others. Raises UsageError where there are no tasks yet or a
        snapshot has moved on."""


def task_export(target: str) -> TaskExport:
    """The module of one of TASK_TARGETS."""
    return cast(TaskExport, import_module(TASK_TARGETS[target]))


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` that takes its place when the block ends well, and is removed
    when it does not. Raises UsageError where `folder` is taken."""
    refuse_taken(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.new-{os.getpid()}")
    aside.mkdir()
    try:
        yield aside
        if folder.is_dir():
            folder.rmdir()
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def refuse_taken(folder: Path) -> None:
    """Raise UsageError where `folder` cannot become an export's."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already. Name another folder with --out, or delete it.")


def choose_tasks(run: Run, tasks: list[Task], count: int) -> list[Task]:
    """Up to `count` of `tasks` that the last probe saw solved: the most often solved first (that
    is, mastered ones), among these those that were cold before, among these an order drawn by the
    run's seed."""
    from sandbox.tasks.task import draw  # not for a command line that only lists its commands

    phases = [record["phase"] for record in run.read("probe.jsonl")]
    last = {p.instance_id: p for p in read_probes(run, phases[-1])} if phases else {}
    before = {p.instance_id: p.resolved for p in read_probes(run, BEFORE.name)}
    solved = [t for t in tasks if t.instance_id in last and last[t.instance_id].resolved]
    return sorted(
        solved,
        key=lambda t: (
            -last[t.instance_id].resolved / last[t.instance_id].k,
            before.get(t.instance_id, 0) > 0,
            draw(run.recipe.seed, "replay", t.instance_id),
        ),
    )[:count]


def compare(own: list[Rollout], exported: list[Rollout]) -> dict:
    """What two replays of the same tasks came to: {"n", "checkpoint", "export":
    tasks solved by each, "same": replies that are the same to the letter, "lost": whether the
    export falls short by more than MAX_LOSS, "bound": MAX_LOSS}."""
    checkpoint, export = (
        sum(r.status == "resolved" for r in rollouts) for rollouts in (own, exported)
    )
    return {
        "n": len(own),
        "checkpoint": checkpoint,
        "export": export,
        "same": sum(a.text == b.text for a, b in zip(own, exported)),
        "lost": checkpoint - export > MAX_LOSS * len(own),
        "bound": MAX_LOSS,
    }


def lines(replay: dict | None) -> list[str]:
    """The comparison for a person; None where nothing was replayed."""
    if replay is None:
        return ["Nothing was replayed, so nobody has seen this export solve a task."]
    if not replay["n"]:
        return [
            "No task was ever solved by this run's student, so there is none to replay: nobody has "
            "seen this export solve a task."
        ]
    sentences = [
        f"Replayed {replay['n']} tasks at temperature 0: the checkpoint solves "
        f"{replay['checkpoint']}, its export {replay['export']}; "
        f"{replay['same']} replies are the same to the letter."
    ]
    if replay["lost"]:
        sentences.append(
            f"The export falls short of its checkpoint by more than {replay['bound']:.0%} of the "
            "tasks: do not use it. Its adapter or its prompt format was lost, or it was quantised "
            "too coarsely."
        )
    elif not replay["checkpoint"]:
        sentences.append(
            "The checkpoint solves none of them at temperature 0, so this proves nothing."
        )
    return sentences
