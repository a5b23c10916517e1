"""What loads the student on a card: unsloth, or plain transformers where its step is faster here.

    loader = loader_of(run, model_path, emit)       # a run keeps the one that it began with

With `student.loader = "auto"` one step of each is measured when a run begins, in processes of their
own, for unsloth patches transformers for good. unsloth's kernels make a step faster; transformers
lets the completions of a task share the work on their prompt, which unsloth's decoder does not (it
drops the cache and the masks that this takes). Which of the two weighs more depends on the lengths
of prompts and completions, and on the card.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import Emit, Note, Progress
from recipes.learning.unsloth_import import uses_unsloth
from recipes.settings import LOADERS

if TYPE_CHECKING:
    from recipes.runfolder.run import Run
    from recipes.settings import Recipe

AUTO, UNSLOTH, TRANSFORMERS = LOADERS
MARGIN = 1.05
"""unsloth is taken unless transformers is faster by more than this: it needs less memory."""
TRIAL_SECONDS = 1800.0
"""After which a trial is given up; it loads a model of several gigabytes."""
TRIAL = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from recipes.learning.loader import trial; print(trial())"
)
ROOT = Path(__file__).resolve().parent.parent.parent


def loader_of(run: Run, model_path: str, emit: Emit) -> str:
    """The loader of a run's student: as its recipe says, or what was measured when it began, which
    run.json then keeps."""
    recipe = run.recipe
    if recipe.student.loader != AUTO or not uses_unsloth(AUTO):
        return recipe.student.loader
    if "loader" not in run.content:
        if run.content["checkpoints"]:  # of a version that measured nothing
            return UNSLOTH
        emit(Progress("trying unsloth and transformers", 0, 2))
        seconds = {}
        for done, name in enumerate((UNSLOTH, TRANSFORMERS), 1):
            seconds[name] = step_seconds(recipe, model_path, name)
            emit(Progress("trying unsloth and transformers", done, 2))
        name, why = choose(seconds)
        emit(Note(why))
        run.content["loader"] = name
        run.write()
    return run.content["loader"]


def choose(seconds: dict[str, float | str]) -> tuple[str, str]:
    """The loader by the seconds of a step of each, or why it took none, and a sentence for a
    person."""
    said = ", ".join(
        f"{name} {value:.2f} s" if isinstance(value, float) else f"{name} cannot ({value})"
        for name, value in seconds.items()
    )
    ours, plain = seconds[UNSLOTH], seconds[TRANSFORMERS]
    slower = isinstance(ours, float) and isinstance(plain, float) and ours > MARGIN * plain
    fails = not isinstance(ours, float) and isinstance(plain, float)
    name = TRANSFORMERS if slower or fails else UNSLOTH
    return name, (
        f"The student is loaded by {name}: a step on one group of the longest prompt took on this "
        f"machine: {said}. (student.loader decides.)"
    )


def step_seconds(recipe: Recipe, model_path: str, loader: str) -> float | str:
    """Seconds of one step of REINFORCE on one group of the longest prompt, loaded so, in a process
    of its own; why there was none, where it failed."""
    asked = json.dumps({"recipe": recipe.to_dict(), "model": model_path, "loader": loader})
    try:
        done = subprocess.run(
            # -P: else a file in this folder that is called like a library would be loaded.
            [sys.executable, "-P", "-c", TRIAL, str(ROOT)],
            input=asked,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "it takes too long"
    if done.returncode:
        errors = done.stderr.strip().splitlines()
        return errors[-1][:300] if errors else f"exit code {done.returncode}"
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def trial() -> str:
    """What `step_seconds` runs: reads what is asked from standard input, returns {"seconds"} as
    JSON."""
    import random
    from dataclasses import replace

    import torch

    from recipes.learning.logprobs import Sample
    from recipes.learning.student import Student
    from recipes.settings import from_dict

    asked = json.load(sys.stdin)
    recipe = from_dict(asked["recipe"])
    recipe = replace(recipe, student=replace(recipe.student, loader=asked["loader"]))
    student, rng = Student.load(recipe, asked["model"], recipe.seed), random.Random(0)

    def text(length: int) -> tuple[int, ...]:
        return tuple(rng.randrange(2, student.policy.vocabulary) for _ in range(length))

    size = recipe.climb.group_size
    prompt = text(recipe.student.max_prompt)
    samples = [Sample(prompt, text(recipe.student.max_new)) for _ in range(size)]
    weights = [(-1.0) ** i for i in range(size)]
    for _ in range(2):  # kernels are compiled and tuned in the first one
        began = time.perf_counter()
        student.accumulate(samples, weights, size, 1.0)
        student.step(0.0, 1.0)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return json.dumps({"seconds": seconds})
