"""The tasks, the verdict and the student of a run as a folder in which TRL trains on, on as many
processes as there are.

    write(run, folder, checkpoint)

    README.md, requirements.txt
    train.py, reward.py, episodes.py   a copy of `recipes/exports/training`, whose modules say what they do; they are never imported from here
    tasks-train.jsonl, tasks-heldout.jsonl    {"prompt": messages, "instance_id", "kind"}: what the student is shown, and no answers
    adapter/                           the checkpoint's adapter, with which training begins
    origin.json                        where coldstart and the run are: settings, verdict and base are theirs, so they are needed beside it

A task of which not even the function fits into the recipe's longest prompt, and one that was set
aside, is left out, as it is in the run. A file without lines is not written.
"""

import shutil
from pathlib import Path

from recipes.exports.origin import ROOT, write_origin
from recipes.exports.prompts import asked
from recipes.runfolder import checkpoint as checkpoints
from recipes.runfolder.places import named, origins
from recipes.runfolder.run import Run
from sandbox import jsonl
from sandbox.errors import UsageError

TEMPLATE = Path(__file__).parent / "training"
TASKS = "tasks-{}.jsonl"

REQUIREMENTS = """# Beside coldstart's requirements-cpu.txt, in an environment without unsloth, which wants an older TRL.
# Tried on 2026-11-30 on a CPU: trl 1.16.0, accelerate 1.15.0, datasets 5.2.0, transformers 5.17.0, peft 0.21.2, torch 2.13.0.
trl>=1.16,<1.17
accelerate>=1.15,<2
datasets>=5.2,<6
"""

README = """# {name}

{train} training and {heldout} held-out tasks of {origins}, mined by coldstart, and its student as it was in
checkpoint `{checkpoint}`, to be trained on with TRL's GRPOTrainer.

    python -m venv venv && . venv/bin/activate                   # of its own: unsloth 2026.10 wants trl<=1.15 and datasets<5
    pip install -r {coldstart}/requirements-cpu.txt -r requirements.txt
    accelerate launch --num_processes N train.py                 # N cards of this machine
    accelerate launch --multi_gpu --num_processes N train.py     # no card: --cpu would start one process, whatever N is
    accelerate launch --num_processes N train.py --resume        # after whatever stopped it

The reward is 1 where the repository's own tests say in coldstart's jail that an answer resolves the task, else 0. All settings are
those of the run's recipe; `train.py` shows each, and is yours to change. What was trained ends in `trained/adapter`, which PEFT loads.
coldstart's `eval`, `fix` and `export --to ollama` take that folder as `--checkpoint`.

Tried with the versions that requirements.txt names, in two processes on a CPU; not on a card, and not on several machines.

The verdict needs coldstart and the run: `origin.json` says where they are. On another machine, take both folders and the repository
there, and name them: `train.py --coldstart DIR --run DIR`. Nothing is written into the run.

What is the same as in `climb`: tasks, prompts to the token, verdicts and jail, group size, temperature, longest reply, learning rate,
optimiser, the loss and its gradient (up to a constant that AdamW takes out). What is not: all tasks are asked in turn
(climb draws those that teach most); no cycle is undone; the held-out tasks are sampled at the training temperature (climb's
probes have their own), and one may count twice where they do not go evenly into processes; of an episode of several turns all turns
have one advantage (climb has one for each).
"""


def write(run: Run, folder: Path, checkpoint: Path | None = None) -> None:
    """Write the files to `folder`. `checkpoint` is the folder of one. Raises UsageError where there
    are no tasks yet, a snapshot has moved on, nothing is left to train on or the checkpoint is
    damaged."""
    assert checkpoint is not None
    checkpoints.read(checkpoint)
    rows: dict[str, list[dict]] = {"train": [], "heldout": []}
    for task, prompt in asked(run):
        if task.instance_id not in run.set_aside:
            messages = [{"role": m["role"], "content": m["content"]} for m in prompt.messages]
            row = {"prompt": messages, "instance_id": task.instance_id, "kind": task.kind}
            rows[task.split].append(row)
    if not rows["train"]:
        raise UsageError(
            "No training task of this run can be put to its student, so there is none to train on."
        )
    for split, lines in rows.items():
        if lines:
            jsonl.rewrite(folder / TASKS.format(split), jsonl.valid(lines))
    for module in sorted(TEMPLATE.glob("*.py")):
        shutil.copyfile(module, folder / module.name)
    (folder / "adapter").mkdir()
    for name in (checkpoints.ADAPTER, checkpoints.CONFIG):
        shutil.copyfile(checkpoint / name, folder / "adapter" / name)
    write_origin(run, folder)
    (folder / "requirements.txt").write_text(REQUIREMENTS, encoding="utf-8")
    readme = README.format(
        name=named(run.places),
        origins=origins(run.places),
        coldstart=ROOT,
        checkpoint=checkpoint.name,
        **{split: len(lines) for split, lines in rows.items()},
    )
    (folder / "README.md").write_text(jsonl.valid(readme), encoding="utf-8")
