"""The tasks and the verdict of a run as an environment of the package `verifiers` (its version
0.4), for trainers that speak it.

    write(run, tree, folder)

    pyproject.toml, README.md
    coldstart_<repo>/                the package: a copy of `recipes/exports/environment`, whose modules say what they do; they are never imported
                                     from here
    coldstart_<repo>/tasks.jsonl     {"id", "name", "kind", "split", "prompt"}: what the student is shown, and no answers
    coldstart_<repo>/origin.json     where coldstart and the run are: the verdict is theirs, so they are needed beside it

The prompt asks for the reply format of the run's recipe, and that is what is judged. A task of
which not even the function fits into the recipe's longest prompt is left out, as it is in the run.
An environment of `verifiers` is a chat, so prompts to fill in the middle are refused.
"""

import json
import re
import shutil
from pathlib import Path

from recipes.learning.tokens import budget_of
from recipes.runfolder.run import Run
from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.jsonl import valid
from sandbox.tasks.prompts import build
from sandbox.tasks.styles import FIM

TEMPLATE = Path(__file__).parent / "environment"

PYPROJECT = """[project]
name = "{name}"
version = "0.1.0"
description = "Tasks of {repo}, judged by its own tests."
requires-python = ">=3.11"
dependencies = ["verifiers>=0.4,<0.5", "openai", "click>=8.1,<9", "tqdm>=4.66,<5", "gitpython>=3.1.43,<4", "libcst>=1.8,<2"]

[build-system]
requires = ["setuptools>=69"]
build-backend = "setuptools.build_meta"

[tool.setuptools]
packages = ["{package}"]
package-data = {{ {package} = ["*.json", "*.jsonl"] }}
"""

README = """# {name}

{counts} tasks of `{repo}`, mined by coldstart at commit {commit}, as an environment of `verifiers`. The reward is 1 where the
repository's own tests say in coldstart's jail that an answer resolves the task, else 0.

    pip install -e .
    vf-eval {name} --env.taskset.split heldout --env.agent.runtime.type subprocess \\
        --client.base-url http://localhost:8000/v1 --client.api-key-var NAME -m MODEL --no-push

The verdict needs coldstart and the run: `{package}/origin.json` says where they are. On another machine, take both folders and the
repository there, and name them: `--env.taskset.task.coldstart DIR --env.taskset.task.run DIR`.
"""


def write(run: Run, tree: Path, folder: Path) -> None:
    """Write the package to `folder`. `tree` is the snapshot of the repository. Raises UsageError
    where there are no tasks yet, the snapshot has moved on or the recipe's prompts are no chat."""
    if run.recipe.prompt.style == FIM:
        raise UsageError(
            "This run's prompts are to be filled in (prompt.style = fim), and an environment of "
            "verifiers asks by chat. Export the tasks with --to dataset, or make a run with another "
            "style."
        )
    repo, budget = Path(run.repository.root).name, budget_of(run.recipe)[0]
    style, turns = run.recipe.prompt.style, run.recipe.student.turns
    built = [(t, build(t, tree, style, budget, turns)) for t in run.tasks]
    asked = [(task, prompt) for task, prompt in built if prompt]
    package = "coldstart_" + re.sub(r"\W+", "_", repo.lower(), flags=re.ASCII).strip("_")
    names = {"name": package.replace("_", "-"), "package": package, "repo": repo}
    shutil.copytree(TEMPLATE, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    jsonl.rewrite(
        folder / package / "tasks.jsonl",
        valid(
            [
                {
                    "id": t.instance_id,
                    "name": t.instance_id,
                    "kind": t.kind,
                    "split": t.split,
                    "prompt": prompt.messages[-1]["content"],
                }
                for t, prompt in asked
            ]
        ),
    )
    origin = {
        "coldstart": str(Path(__file__).resolve().parents[2]),
        "run": str(run.folder.resolve()),
    }
    (folder / package / "origin.json").write_text(
        json.dumps(origin, indent=1) + "\n", encoding="utf-8"
    )
    train = sum(t.split == "train" for t, _ in asked)
    counts = f"{train} training and {len(asked) - train} held-out"
    (folder / "pyproject.toml").write_text(valid(PYPROJECT.format(**names)), encoding="utf-8")
    readme = README.format(**names, counts=counts, commit=run.repository.commit)
    (folder / "README.md").write_text(valid(readme), encoding="utf-8")
