"""Tasks and trajectories as JSON lines that other programs read as they are.

    write(run, folder)

    tasks-train.jsonl, tasks-heldout.jsonl    one task a line, with SWE-bench's field names. As there, FAIL_TO_PASS and PASS_TO_PASS are
                                              strings that hold a JSON list. `base_commit` is the intact state: `break_patch` takes it to
                                              the broken one, and `patch`, the gold edit, back
    chat-train.jsonl                          verified answers: `messages` (what TRL's SFTTrainer and the datasets library call a
                                              conversation), instance_id, source, reward
    fim-train.jsonl                           in place of that, of a student that fills in the middle: prefix, suffix, middle,
                                              instance_id, source, reward

Texts are UTF-8 whatever the encoding of the repository's own files; so a patch of a file in another
encoding is one of its text, not of its bytes. Every line of a file has the same fields, and each
field is a string, a number, a truth value or a list of role and content in every line, so no file
depends on its first lines for its types. A file without lines is not written, because datasets
cannot read one. What makes the verdict hard to forge (twins, recorded calls) stays in the run.
"""

import json
from pathlib import Path

from recipes.learning.fim import halves
from recipes.runfolder.places import named, origins
from recipes.runfolder.run import Run
from sandbox import jsonl, patches
from sandbox.tasks.task import Task

CARD = "README.md"
TASKS, CHAT, FILLED = "tasks-{}.jsonl", "chat-train.jsonl", "fim-train.jsonl"


def write(run: Run, folder: Path, checkpoint: Path | None = None) -> None:
    """Write the files to `folder`. Raises UsageError where there are no tasks yet or a snapshot has
    moved on."""
    parts = {
        TASKS.format(split): [_task(t, run.tree_of(t)) for t in run.tasks if t.split == split]
        for split in ("train", "heldout")
    }
    answers = list(run.read("trajectories.jsonl"))
    parts[CHAT] = [_chat(record) for record in answers if not halves(record["messages"])]
    parts[FILLED] = [_filled(record) for record in answers if halves(record["messages"])]
    parts = {name: records for name, records in parts.items() if records}
    for name, records in parts.items():
        jsonl.rewrite(folder / name, jsonl.valid(records))
    (folder / CARD).write_text(jsonl.valid(_card(run, parts)), encoding="utf-8")


def _task(task: Task, tree: Path) -> dict:
    broken, gold = task.broken(tree), task.gold(tree)
    return {
        "instance_id": task.instance_id,
        "repo": task.repo,
        "base_commit": task.base_commit,
        "problem_statement": task.problem_statement,
        "hints_text": "",
        "patch": task.patch,
        "test_patch": task.test_patch,
        "break_patch": "".join(
            patches.make(text, broken[path], path) for path, text in gold.items()
        ),
        "FAIL_TO_PASS": json.dumps(task.FAIL_TO_PASS),
        "PASS_TO_PASS": json.dumps(task.PASS_TO_PASS),
        "kind": task.kind,
        "split": task.split,
        "file": task.file,
        "function": task.function,
        "hard": task.hard,
        "sort": task.sort,
    }


def _chat(record: dict) -> dict:
    messages = [{"role": m["role"], "content": m["content"]} for m in record["messages"]]
    return {"messages": messages, **_origin(record)}


def _filled(record: dict) -> dict:
    prefix, suffix, middle = (message["content"] for message in record["messages"])
    return {"prefix": prefix, "suffix": suffix, "middle": middle, **_origin(record)}


def _origin(record: dict) -> dict:
    return {
        "instance_id": record["instance_id"],
        "source": record["source"],
        "reward": float(record["reward"]),
    }


def _card(run: Run, parts: dict[str, list[dict]]) -> str:
    """A dataset card; its head tells the datasets library which file is which."""
    name = named(run.places)
    configs = {
        "tasks": {
            split: TASKS.format(file) for split, file in (("train", "train"), ("test", "heldout"))
        },
        "chat": {"train": CHAT},
        "fim": {"train": FILLED},
    }
    head = ["---", "configs:"]
    for config, files in configs.items():
        if found := {split: file for split, file in files.items() if file in parts}:
            head += [f"- config_name: {config}", "  data_files:"]
            head += [
                line
                for split, file in found.items()
                for line in (f"  - split: {split}", f"    path: {file}")
            ]
    counts = [f"- `{file}`: {len(records)} lines" for file, records in parts.items()]
    return "\n".join(
        [
            *head,
            "---",
            "",
            f"# Tasks of {name}",
            "",
            f"Mined by coldstart from the tests of {origins(run.places)}.",
            "",
            *counts,
            "",
            "`break_patch` takes `base_commit` to the broken state, in which the tests of "
            "FAIL_TO_PASS fail; `patch` takes it back. Train on the training tasks only: the "
            "held-out ones are of other functions.",
            "",
        ]
    )
