"""The model card (README.md) of an exported adapter: what it is, how it is loaded, and the run's
own numbers.

The numbers are those of the run's probes, each of the checkpoint that was the best one then;
nothing is measured for the card but the replay of the export itself.
"""

import json
import re
from pathlib import Path

from recipes.exports.folder import lines
from recipes.phases import BEFORE
from recipes.reporting.tables import GROUP_WORDS, GROUPS, probe_summary
from recipes.runfolder.places import named, origins
from recipes.runfolder.run import Run
from sandbox.jsonl import valid
from sandbox.tasks.styles import FIM

CARD = "README.md"
TABLE_HEAD = (
    "| probe | tasks | number | samples each | temperature | pass@1 | 95 % interval | mastered |"
)
NOT_ON_A_HUB = "Its base is no public model: `{base}` stands for the folder of it."


def write_card(folder: Path, run: Run, checkpoint: str, replay: dict | None) -> None:
    """README.md in `folder` for a checkpoint of a run; `replay` is what `export.compare` said, None
    where nothing was replayed."""
    (folder / CARD).write_text(valid(card(run, checkpoint, replay)), encoding="utf-8")


def card(run: Run, checkpoint: str, replay: dict | None) -> str:
    base, public = _base(run.recipe.student.model)
    name = named(run.places)
    head = [
        "---",
        *([f"base_model: {base}"] if public else []),
        "library_name: peft",
        "pipeline_tag: text-generation",
        "tags: [coldstart, lora, code]",
        "---",
        "",
        f"# {base} for {name}",
        "",
    ]
    about = [
        f"A LoRA adapter for `{base}`, trained on the tests of {origins(run.places)} "
        f"by coldstart: past the cold start with a teacher, then "
        "REINFORCE on its own rollouts, as far as the numbers below go. This is "
        f"checkpoint `{checkpoint}`." + ("" if public else " " + NOT_ON_A_HUB.format(base=base)),
        "",
    ]
    use = [
        "```python",
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM",
        "",
        f'model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), '
        '"this folder")',
        "```",
        "",
        "It was trained on the base in 4 bits (NF4).",
        "",
        *_asking(run),
    ]
    return "\n".join(
        [*head, *about, *use, *_numbers(run), "## Replay", "", *lines(replay), "", *_origin(run)]
    )


def _asking(run: Run) -> list[str]:
    """How it is to be asked, where that is not by the chat template."""
    if run.recipe.prompt.style != FIM:
        return []
    return [
        "It fills in the middle, without a chat template: the base's tokens for prefix, suffix and "
        "middle, each before its part of the file (prefix up to a function's body, suffix from the "
        "line end behind it), and the answer is the body as it stands there.",
        "",
    ]


def _numbers(run: Run) -> list[str]:
    """A table of every probe of the run: one row a phase and group of tasks."""
    phases = list(dict.fromkeys(record["phase"] for record in run.read("probe.jsonl")))
    rows = [
        "## Numbers of the run",
        "",
        "pass@1 with its 95 % interval, each of the checkpoint that was the best one at that time "
        f"(`{BEFORE.name}`: of the base). "
        "The held-out tasks were never trained on and never shown to a teacher.",
        "",
        TABLE_HEAD,
        "|---|---|---|---|---|---|---|---|",
    ]
    for phase in phases:
        summary = probe_summary(run, phase)
        for group in (g for g in GROUPS if summary[g]["n"]):
            p = summary[group]
            rows.append(
                f"| {phase} | {GROUP_WORDS[group]} | {p['n']} | {p['k']} | {p['temperature']:g} | "
                f"{p['pass_at_1']:.3f} | {p['ci95'][0]:.3f} to {p['ci95'][1]:.3f} | "
                f"{p['mastered']} |"
            )
    return [*rows, ""]


def _origin(run: Run) -> list[str]:
    """Teacher, seed, recipe and versions."""
    sources = sorted({record["source"] for record in run.read("trajectories.jsonl")})
    named = run.content.get("teacher")
    teacher = (
        f"`{named['endpoint']['model']}`"
        if named
        else "the repository's own code (the reference teacher)"
    )
    recipe = run.recipe.to_dict()
    recipe["student"]["model"] = _base(recipe["student"]["model"])[0]
    return [
        "## Origin",
        "",
        f"- learned from answers of {', '.join(sources) or 'nobody'}; the teacher was {teacher}",
        f"- seed {run.recipe.seed}, recipe `{run.recipe.name}`, in full below",
        "- " + ", ".join(f"{name} {version}" for name, version in run.content["versions"].items()),
        "",
        "```json",
        json.dumps(recipe, indent=1),
        "```",
        "",
    ]


def _base(model: str) -> tuple[str, bool]:
    """The base's name, without a path of this machine, and whether it is the id of a model on a
    hub."""
    if (
        re.fullmatch(r"[\w.-]+/[\w.-]+", model)
        and not Path(model).exists()
        and not model.startswith(".")
    ):
        return model, True
    return Path(model).name, False
