"""The tasks and the verdict of a run as an environment of the package `verifiers` (its version
0.4, whose only interface is v1: a taskset and a harness), for trainers that speak it.

    write(run, folder)

    pyproject.toml, README.md
    coldstart_<repo>/                the package: a copy of `recipes/exports/environment`, whose modules say what they do; they are never imported
                                     from here
    coldstart_<repo>/tasks.jsonl     {"id", "name", "kind", "split", "prompt"}: what the student is shown, and no answers
    coldstart_<repo>/origin.json     where coldstart and the run are: the verdict is theirs, so they are needed beside it

The prompt asks for the reply format of the run's recipe, and that is what is judged. A task of
which not even the function fits into the recipe's longest prompt is left out, as it is in the run.
An environment of `verifiers` is a chat, so prompts to fill in the middle are refused.
"""

import re
import shutil
from pathlib import Path

from recipes.exports.origin import write_origin
from recipes.exports.prompts import asked
from recipes.runfolder.places import origins
from recipes.runfolder.run import Run
from sandbox import jsonl
from sandbox.jsonl import valid

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

{counts} tasks of {origins}, mined by coldstart, as an environment of `verifiers`. The reward is 1 where the
repository's own tests say in coldstart's jail that an answer resolves the task, else 0.

    pip install -e .
    vf-eval {name} --env.taskset.split heldout --env.agent.runtime.type subprocess \\
        --client.base-url http://localhost:8000/v1 --client.api-key-var NAME -m MODEL --no-push

The verdict needs coldstart and the run: `{package}/origin.json` says where they are. On another machine, take both folders and the
repository there, and name them: `--env.taskset.task.coldstart DIR --env.taskset.task.run DIR`.
"""


def write(run: Run, folder: Path, checkpoint: Path | None = None) -> None:
    """Write the package to `folder`. Raises UsageError where there are no tasks yet, a snapshot has
    moved on or the recipe's prompts are no chat."""
    repo, pairs = "-".join(place.name for place in run.places), asked(run)
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
                for t, prompt in pairs
            ]
        ),
    )
    write_origin(run, folder / package)
    train = sum(t.split == "train" for t, _ in pairs)
    counts = f"{train} training and {len(pairs) - train} held-out"
    (folder / "pyproject.toml").write_text(valid(PYPROJECT.format(**names)), encoding="utf-8")
    readme = README.format(**names, counts=counts, origins=origins(run.places))
    (folder / "README.md").write_text(valid(readme), encoding="utf-8")
