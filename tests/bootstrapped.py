"""A run as it was when its bootstrap ended, for benchmarks that climb from there, more than once
and in more than one way."""

import json
import shutil
from pathlib import Path

from recipes import phases
from recipes.nano.nano_student import make_student
from recipes.runfolder.run import Run
from sandbox.cache import cache_folder
from sandbox.errors import UsageError

KEPT = ("survey.json", "tasks.jsonl", "trajectories.jsonl")


def copy_of(folder: Path, into: Path, engine: str, seed: int | None = None) -> Run:
    """A copy of the run in `folder` without what came after its bootstrap, in `into`, which must
    not exist. `engine` samples from there on, and `seed` draws; the student stays the one of the
    run's own seed. No verdict is remembered, for a climb of the same run would have left its own.
    Raises UsageError where the bootstrap has not ended."""
    before = Run.open(folder)
    if phases.left(before.content["done"]):
        raise UsageError(
            f"{folder} has not been bootstrapped. First: python coldstart.py bootstrap --run "
            f"{folder}"
        )
    into.mkdir(parents=True)
    for name in KEPT:
        shutil.copy(folder / name, into / name)
    shutil.copytree(before.checkpoint("distilled"), into / "checkpoints" / "distilled")
    content = json.loads(json.dumps(before.content))
    content["done"] = [step for step in content["done"] if phases.cycle_of(step) is None]
    content["checkpoints"] = dict.fromkeys(("last", "distilled", "best"), "distilled")
    content["engine"] = content["recipe"]["rollout"]["engine"] = engine
    content["recipe"]["seed"] = before.recipe.seed if seed is None else seed
    if before.recipe.student.model == "nano":
        content["recipe"]["student"]["model"] = str(
            make_student(cache_folder() / "students", before.recipe.seed)
        )
    run = Run(into, content)
    run.write()
    run.keep_only(
        "probe.jsonl",
        [r for r in before.read("probe.jsonl") if phases.cycle_of(r["phase"]) is None],
    )
    return run
