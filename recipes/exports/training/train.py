"""Train the student of a coldstart run with TRL's GRPOTrainer, on as many processes as there are.

    accelerate launch --num_processes N train.py                # N cards of this machine
    accelerate launch --multi_gpu --num_processes N train.py    # no card: the flag starts N
    ... train.py --steps 50 --resume

It begins with `adapter/`, learns from `tasks-train.jsonl` alone and is measured on
`tasks-heldout.jsonl`. Rewards are coldstart's verdicts, in its jail (`reward.py`); where the run's
recipe has several turns, what the tests say is answered (`episodes.py`). All settings are the
recipe's: see `settings_of`, and change what you like.

Written to --out: checkpoint-N/ as TRL has it; rollouts-P.jsonl, log-P.jsonl and verdicts-P.jsonl of
each process P; at the end adapter/, which PEFT loads.
"""

import argparse
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer

HERE = Path(__file__).resolve().parent
ORIGIN = json.loads((HERE / "origin.json").read_text(encoding="utf-8"))

# accelerate calls the processor cpu:0, and torch would load no checkpoint to a device of that name.
torch.serialization.register_package(
    0, lambda storage: None, lambda storage, device: storage if device == "cpu:0" else None
)


def main() -> None:
    options = command_line()
    sys.path.append(str(options.coldstart))  # last, so that it hides no module of anybody else's
    from episodes import play_episodes
    from reward import reward_of

    from recipes.exports.open_run import open_run
    from recipes.exports.open_student import open_student, optimiser_of, templated

    here = PartialState(cpu=not torch.cuda.is_available())  # says which card is this process's
    refuse_one_for_several(here.num_processes)
    side_by_side = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    cores = max(1, len(os.sched_getaffinity(0)) // side_by_side)
    begun = last_checkpoint(options)
    steps_done = int(begun.rpartition("-")[2]) if begun else 0
    books = {
        name: kept_lines(options.out / f"{name}-{here.process_index}.jsonl", steps_done)
        for name in ("rollouts", "log")
    }
    memory = options.out / f"verdicts-{here.process_index}.jsonl"
    with open_run(options.run, cores, memory) as opened:
        model, tokens = open_student(options.run, HERE / "adapter", cores)
        tokenizer, several = templated(tokens), opened.recipe.student.turns > 1
        train, heldout = (
            tasks_of(HERE / f"tasks-{s}.jsonl", several) for s in ("train", "heldout")
        )
        refuse_other_tokens(tokenizer, tokens, [*train, *heldout])
        groups = min(opened.recipe.climb.groups, len(train))
        settings = settings_of(opened.recipe, options, groups, bool(heldout), here.num_processes)
        asked_for = in_turn(train, groups, settings.max_steps, opened.recipe.seed)
        trainer = GRPOTrainer(
            model=model,
            args=settings,
            reward_funcs=reward_of(opened, tokens, books["rollouts"]),
            rollout_func=play_episodes(opened, tokens) if several else None,
            train_dataset=Dataset.from_list(asked_for),
            eval_dataset=Dataset.from_list(heldout) if heldout else None,
            processing_class=tokenizer,
            optimizers=optimiser_of(model, opened.recipe.climb),
            callbacks=[Log(books["log"])],
        )
        trainer.train(resume_from_checkpoint=begun)
        trainer.save_model(str(options.out / "adapter"))


def command_line() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE / "trained", help="folder to write")
    parser.add_argument("--steps", type=int, help="updates in all; else climb.cycles of the recipe")
    parser.add_argument("--save-every", type=int, help="steps; else climb.eval_every")
    parser.add_argument(
        "--rows", type=int, default=8, help="rollouts in one backward pass, at most"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--coldstart", type=Path, default=ORIGIN["coldstart"], help="its folder")
    parser.add_argument("--run", type=Path, default=ORIGIN["run"], help="the run that this is of")
    options = parser.parse_args()
    if not (options.coldstart / "coldstart.py").is_file():
        parser.error(f"coldstart is not in {options.coldstart}. Name its folder with --coldstart.")
    if not (options.run / "run.json").is_file():
        parser.error(f"the run is not in {options.run}. Name its folder with --run.")
    return options


def refuse_one_for_several(processes: int) -> None:
    """End here where several processes were asked for and this is the only one: without mpirun,
    `accelerate launch --cpu` starts one however many it is told to."""
    if processes == 1 and "MASTER_ADDR" in os.environ and "LOCAL_RANK" not in os.environ:
        sys.exit(
            "This is one process, and several were asked for: accelerate launch --cpu starts one. "
            "Without a card: accelerate launch --multi_gpu --num_processes N train.py"
        )


def settings_of(
    recipe: Any, options: argparse.Namespace, groups: int, measures: bool, processes: int
) -> GRPOConfig:
    """TRL's settings for what a cycle of climb does, with so many tasks a step on so many
    processes; `measures`: whether there are held-out tasks."""
    climb, cuda = recipe.climb, torch.cuda.is_available()
    group, longest = climb.group_size, recipe.student.max_new
    rollouts = groups * group
    if rollouts % processes:
        sys.exit(f"{processes} processes cannot share {rollouts} rollouts a step evenly.")
    share = rollouts // processes
    rows = max(n for n in range(1, options.rows + 1) if share % n == 0)
    save_every = options.save_every or climb.eval_every
    return GRPOConfig(
        output_dir=str(options.out),
        seed=recipe.seed,
        max_steps=options.steps or climb.cycles,
        shuffle_dataset=False,  # see in_turn
        # One update a step, from all of its rollouts.
        num_generations=group,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=share // rows,
        # How they are drawn.
        max_completion_length=longest,
        temperature=climb.temperature,
        top_p=1.0,
        top_k=0,
        # The advantage is the reward less the group's mean, the loss a sum over tokens divided by a
        # constant: climb's but for the factor (group - 1) / (group * longest), which AdamW takes
        # out again; so the bound of the gradient's norm has it, too.
        scale_rewards="none",
        loss_type="dr_grpo",
        beta=climb.kl,
        max_grad_norm=climb.clip * (group - 1) / (group * longest),
        mask_truncated_completions=False,  # what is cut off is wrong: reward 0
        # Held-out tasks, which nothing is learned from.
        eval_strategy="steps" if measures else "no",
        eval_steps=climb.eval_every,
        num_generations_eval=recipe.probe.k,
        per_device_eval_batch_size=recipe.probe.k,
        # The machine.
        use_cpu=not cuda,
        bf16=cuda,
        gradient_checkpointing=cuda,
        ddp_find_unused_parameters=False,
        logging_steps=1,
        save_strategy="steps",
        save_steps=save_every,
        save_total_limit=2,
        report_to=[],
        disable_tqdm=not sys.stderr.isatty(),
    )


def last_checkpoint(options: argparse.Namespace) -> str | None:
    """Where training goes on; None where it begins."""
    options.out.mkdir(parents=True, exist_ok=True)
    found: str | None = get_last_checkpoint(str(options.out))
    if found and not options.resume:
        sys.exit(
            f"{options.out} holds {Path(found).name}. Go on with --resume, or name another --out."
        )
    return found


def kept_lines(file: Path, steps: int) -> Path:
    """The file, with what was written of the first `steps` steps and nothing of later ones."""
    from sandbox import jsonl

    if file.exists():
        jsonl.rewrite(file, [line for line in jsonl.read(file) if line["step"] <= steps])
    return file


def tasks_of(file: Path, several: bool) -> list[dict]:
    """The tasks of a file. In episodes of several turns the last message says whose prompt it is,
    for TRL tells a rollout function nothing else; no chat template shows it."""
    from sandbox import jsonl

    rows = jsonl.read(file)
    for row in rows if several else []:
        row["prompt"][-1]["instance_id"] = row["instance_id"]
    return rows


def in_turn(rows: list[dict], groups: int, steps: int, seed: int) -> list[dict]:
    """So many tasks for each step, none twice in one: round by round, each in an order of its own.
    TRL's order would begin again at each --resume, and leave out what is left of a round."""
    draw = random.Random(seed)
    waiting: list[int] = []
    found: list[dict] = []
    for _ in range(steps):
        while len(set(waiting)) < groups:
            waiting += draw.sample(range(len(rows)), len(rows))
        now = list(dict.fromkeys(waiting))[:groups]
        for place in now:
            waiting.remove(place)
        found += [rows[place] for place in now]
    return found


def refuse_other_tokens(tokenizer: Any, tokens: Any, rows: list[dict]) -> None:
    """End here if TRL would put a prompt in other tokens than those that the student has
    learned."""
    for row in rows:
        rendered = tokenizer.apply_chat_template(
            [row["prompt"]], add_generation_prompt=True, tokenize=True, return_dict=True
        )
        if rendered["input_ids"][0] != tokens.prompt_ids(row["prompt"]):
            sys.exit(
                f"TRL puts the prompt of {row['instance_id']} in other tokens than coldstart does, "
                "so this student would be asked what it never learned. Is this another version of "
                "transformers than the run's?"
            )


class Log(TrainerCallback):
    """What this process logs, and the sum over its adapter: all processes must hold the same."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Any = None, model: Any = None, **_: Any
    ) -> None:
        from sandbox import jsonl

        trained = [p.detach().double().sum() for p in model.parameters() if p.requires_grad]
        jsonl.append(
            self._file, [{"step": state.global_step, **logs, "adapter_sum": float(sum(trained))}]
        )


if __name__ == "__main__":
    main()
