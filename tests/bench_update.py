"""One update step (forward, backward, optimiser): coldstart's, and the loss of TRL's trainers on
the same tensors.

    pip install -r requirements-bench.txt
    python tests/bench_update.py [--step climb|distil] [--recipe smollm2] [--prompt 1024]
                                 [--group 8] [--new 64] [--threads 2] [--rows 1,2,4,8]
    python tests/bench_update.py --step episodes [--told 80] [--firsts 3] ...

`climb` is one group, a prompt and its completions, by RLOOTrainer's loss; `distil` is as many
prompts, with a completion each, by SFTTrainer's. Without --recipe the model is random and
Qwen2-shaped (--layers of 896, a vocabulary of 151,936, LoRA of rank 16), with it the recipe's
student. It is loaded by coldstart for all, in float32 as on every CPU: an NF4 base, which is kept
unpacked where it is small; then TRL has lines for the same base in four bits (`4bit`), as QLoRA has
it.

TRL's trainer is made with its own defaults and is given --rows rows at a time, the gradient
accumulated, without its gradient checkpointing (faster) and, for its smallest memory, one row with
it. Every line is measured in a process of its own: seconds of one step after a short warm-up (the
ratio is of processor time, for others may work on the same machine), and the process's peak memory
(ru_maxrss), the loading included. Both losses are sums over the tokens with the same weights, so
the gradients' norms, which are printed, must agree.

`episodes` is one group of three turns of half of --new to --new tokens each and two answers of
--told: there are --firsts different first turns, and what follows is each episode's own. Read as a
trie is compared with read one by one (`plain`); `tokens` are what the two compute, padding
included. TRL is not asked.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from recipes.learning.logprobs import Sample, padded, plan  # noqa: E402
from recipes.learning.shape import Shape  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (
        ("prompt", 1024),
        ("group", 8),
        ("new", 64),
        ("layers", 12),
        ("threads", 2),
        ("told", 80),
        ("firsts", 3),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rows", default="1,2,4,8", help="rows that TRL is given at a time")
    parser.add_argument("--step", choices=("climb", "distil", "episodes"), default="climb")
    parser.add_argument("--recipe", help="whose student learns; without it a random model")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        model = model_of(arguments, Path(scratch) / "model")
        (compare_paths if arguments.step == "episodes" else compare)(arguments, model)


def model_of(arguments, folder: Path) -> Path:
    if not arguments.recipe:
        return make_model(folder, arguments.layers)
    from recipes.learning.local_model import local_model
    from recipes.settings import load

    recipe = load(arguments.recipe)
    return Path(local_model(recipe.student.model, recipe.seed))


def make_model(folder: Path, layers: int) -> Path:
    from tests.tiny import make_tiny

    return make_tiny(
        folder,
        "qwen2",
        vocab=151_936,
        hidden=896,
        num_hidden_layers=layers,
        num_attention_heads=14,
        intermediate_size=4864,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        initializer_range=0.02,
    )


def compare(arguments, model: Path) -> None:
    names = [
        "coldstart",
        *(f"trl-{rows}" for rows in arguments.rows.split(",")),
        "trl-1-checkpointing",
    ]
    if arguments.recipe:
        names += [f"trl-{rows}-4bit" for rows in arguments.rows.split(",")]
    print(f"{title(arguments)}, TRL {version('trl')}")
    print(
        f"{'':24}{'seconds':>10}{'CPU s':>10}{'peak GiB':>10}{'times ours':>12}{'memory':>9}   "
        "gradient's norm"
    )
    found = {}
    for name in names:
        found[name] = now = measured(arguments, model, name)
        ours = found["coldstart"]
        print(
            f"{name:24}{now['seconds']:10.1f}{now['cpu']:10.1f}{now['peak'] / 2**30:10.2f}{now['cpu'] / ours['cpu']:12.2f}"
            f"{ours['peak'] / now['peak']:9.2f}   {now['norm']:.4g}",
            flush=True,
        )
    trl = {name: now for name, now in found.items() if name != "coldstart"}
    fastest, smallest = (
        min(trl.values(), key=lambda n: n["cpu"]),
        min(trl.values(), key=lambda n: n["peak"]),
    )
    plain = trl[f"trl-{arguments.rows.split(',')[0]}"]
    print(
        f"{fastest['cpu'] / ours['cpu']:.2f} times as fast as TRL where TRL is fastest; "
        f"{ours['peak'] / plain['peak']:.2f} of its "
        f"memory at the fewest rows, {ours['peak'] / smallest['peak']:.2f} of the least it can do "
        "with"
    )


def compare_paths(arguments, model: Path) -> None:
    print(f"{title(arguments)}, {arguments.firsts} first turns, {arguments.told} told")
    print(f"{'':24}{'seconds':>10}{'CPU s':>10}{'peak GiB':>10}{'tokens':>10}   gradient's norm")
    ours, plain = (measured(arguments, model, name) for name in ("coldstart", "plain"))
    for name, now in (("trie", ours), ("plain", plain)):
        print(
            f"{name:24}{now['seconds']:10.1f}{now['cpu']:10.1f}{now['peak'] / 2**30:10.2f}"
            f"{now['tokens']:10}   {now['norm']:.5g}"
        )
    print(
        f"{plain['cpu'] / ours['cpu']:.2f} times as fast, with "
        f"{ours['tokens'] / plain['tokens']:.2f} of the tokens"
    )


def title(arguments) -> str:
    return (
        f"{arguments.step}, prompt {arguments.prompt}, G = {arguments.group}, {arguments.new} new, "
        f"{arguments.recipe or f'{arguments.layers} layers'}, {arguments.threads} threads"
    )


def measured(arguments, model: Path, name: str) -> dict:
    """`measure` in a process of its own."""
    keys = ("prompt", "group", "new", "layers", "threads", "step", "told", "firsts")
    flags = [f"--{key}={getattr(arguments, key)}" for key in keys]
    flags += [f"--recipe={arguments.recipe}"] if arguments.recipe else []
    done = subprocess.run(
        [sys.executable, __file__, "--only", name, "--model", str(model), *flags],
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{name} ended with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(arguments) -> dict:
    """{"seconds", "cpu" (seconds of all threads), "peak" (bytes), "norm", and of episodes
    "tokens" that it computes} of one step of `arguments.only`."""
    student = load_student(arguments)
    samples = drawn(arguments, student.policy.vocabulary)
    distil = arguments.step == "distil"
    weights = [1.0 if distil else (-1.0) ** i for i in range(arguments.group)]
    if arguments.only == "plain":
        vars(student.objective)["longest_shared"] = 0
    prepared = (
        our_step(student)
        if arguments.only in ("coldstart", "plain")
        else (sft_step if distil else rloo_step)(student, arguments.only.split("-")[1:])
    )
    short = [Sample(samples[0].prompt[:16], s.completion[:4]) for s in samples[:2]]
    prepared(short, weights[:2])()
    student.step(0.0, 1.0)
    learn = prepared(samples, weights)
    started, worked = time.perf_counter(), time.process_time()
    learn()
    norm = student.step(1e-5, 1.0)
    found = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - worked,
        "norm": norm,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    if arguments.step == "episodes":
        works = plan(
            samples,
            student.limits.micro_tokens,
            student.objective.longest_shared,
            Shape.of(student.config).parity,
        )
        found["tokens"] = sum(padded(samples, work) for work in works)
    return found


def drawn(arguments, vocabulary: int) -> list[Sample]:
    """The samples of the step, of random tokens."""
    rng = random.Random(0)

    def text(length: int) -> tuple[int, ...]:
        return tuple(rng.randrange(2, vocabulary) for _ in range(length))

    same = text(arguments.prompt)
    if arguments.step != "episodes":
        return [
            Sample(
                text(arguments.prompt) if arguments.step == "distil" else same, text(arguments.new)
            )
            for _ in range(arguments.group)
        ]

    def turn() -> tuple[int, ...]:
        return text(rng.randrange(arguments.new // 2, arguments.new + 1))

    first = [(turn(), text(arguments.told)) for _ in range(arguments.firsts)]
    episodes = [
        [*first[i % len(first)], turn(), text(arguments.told), turn()]
        for i in range(arguments.group)
    ]
    return [
        Sample(
            same, sum(turns, ()), tuple(i % 2 == 0 for i, turn in enumerate(turns) for _ in turn)
        )
        for turns in episodes
    ]


def load_student(arguments):
    """The student of all lines, with an adapter that does something."""
    from recipes.learning import shape
    from recipes.settings import load
    from tests.tiny import load_tiny, tiny_recipe

    if arguments.only.endswith("4bit"):
        shape.UNPACKED = 0
    recipe = load(arguments.recipe) if arguments.recipe else tiny_recipe()
    lora = {} if arguments.recipe else {"lora_rank": 16, "lora_alpha": 16}
    student = replace(
        recipe.student,
        threads=arguments.threads,
        max_prompt=arguments.prompt,
        max_new=arguments.new
        if arguments.step != "episodes"
        else 3 * arguments.new + 2 * arguments.told,
        **lora,
    )
    return load_tiny(Path(arguments.model), wake=0.01, recipe=replace(recipe, student=student))


def our_step(student):
    def prepared(samples, weights):
        return lambda: student.accumulate(samples, weights, len(samples), 1.0)

    return prepared


def rloo_step(student, flags: list[str]):
    """RLOOTrainer's own loss."""
    import torch
    from datasets import Dataset
    from trl import RLOOConfig, RLOOTrainer

    def make(common: dict):
        return RLOOTrainer(
            model=student.policy.model,
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=RLOOConfig(per_device_train_batch_size=2, num_generations=2, beta=0.0, **common),
            train_dataset=Dataset.from_dict({"prompt": ["a", "b"]}),
            processing_class=student.tokens.tokenizer,
        )

    def inputs_of(samples, weights) -> dict:
        prompts, completions = (
            torch.tensor([getattr(s, part) for s in samples], device=student.device)
            for part in ("prompt", "completion")
        )
        # TRL clips the ratio to what it sampled from: 1 here, as when the samples are fresh. Not
        # part of what is timed.
        with torch.no_grad():
            old = torch.stack([p.sum() for p in student.logprobs(samples, 1.0)])
        return {
            "prompt_ids": prompts,
            "prompt_mask": torch.ones_like(prompts),
            "completion_ids": completions,
            "old_logps": old,
            "completion_mask": torch.ones_like(completions),
            "advantages": torch.tensor(weights, device=student.device),
        }

    return trl_step(student, flags, make, inputs_of, lambda samples: len(samples))


def sft_step(student, flags: list[str]):
    """SFTTrainer's own loss: of the completions alone."""
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    def make(common: dict):
        return SFTTrainer(
            model=student.policy.model,
            args=SFTConfig(per_device_train_batch_size=2, **common),
            train_dataset=Dataset.from_dict({"prompt": ["a", "b"], "completion": ["c", "d"]}),
            processing_class=student.tokens.tokenizer,
        )

    def inputs_of(samples, weights) -> dict:
        ids = torch.tensor([s.prompt + s.completion for s in samples], device=student.device)
        labels = ids.clone()
        labels[:, : len(samples[0].prompt)] = -100
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}

    # Its loss is a mean over the tokens.
    return trl_step(
        student, flags, make, inputs_of, lambda samples: sum(len(s.completion) for s in samples)
    )


def trl_step(student, flags: list[str], make, inputs_of, summed):
    """The loss of the trainer that `make` makes, so many rows at a time. `flags`: rows, and
    "checkpointing" where it is to be on. `summed(samples)`: what makes a sum of TRL's mean."""
    import torch

    rows, checkpointing = int(flags[0]), "checkpointing" in flags
    student.policy.model.config._name_or_path = ""
    cuda = student.device.type == "cuda"
    with tempfile.TemporaryDirectory() as scratch:
        trainer = make(
            {
                "output_dir": scratch,
                "use_cpu": not cuda,
                "bf16": cuda,
                "gradient_checkpointing": checkpointing,
                "report_to": [],
            }
        )
    # It has made them bfloat16, which a CPU is slow at, and our optimiser's are not.
    for parameter in student.policy.trainable:
        parameter.data = parameter.data.float()
    if checkpointing:
        student.policy.model.gradient_checkpointing_enable({"use_reentrant": False})
        student.policy.model.enable_input_require_grads()

    def prepared(samples, weights):
        parts = [
            (samples[at : at + rows], weights[at : at + rows])
            for at in range(0, len(samples), rows)
        ]
        given = [(inputs_of(*part), summed(part[0])) for part in parts]
        student.policy.model.train()

        def learn():
            for inputs, count in given:
                with torch.autocast(student.device.type, dtype=torch.bfloat16, enabled=cuda):
                    loss = trainer.compute_loss(student.policy.model, inputs)
                (loss * count / len(samples)).backward()

        return learn

    return prepared


if __name__ == "__main__":
    main()
