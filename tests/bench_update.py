"""One update step (forward, backward, optimiser) of one group: coldstart's, and TRL's RLOOTrainer
loss on the same tensors.

    pip install -r requirements-bench.txt python tests/bench_update.py [--prompt 1024] [--group 8]
    [--new 64] [--layers 12] [--threads 2] [--rows 1,2,4,8]

The model is random and Qwen2-shaped: 896 wide, a vocabulary of 151,936, NF4 base and LoRA of rank
16, loaded by coldstart for all (float32, as on every CPU). TRL's trainer is made with its own
defaults and is given --rows rows at a time, the gradient accumulated, without its gradient
checkpointing (faster) and, for its smallest memory, one row with it. Every line is measured in a
process of its own: seconds of one step after a short warm-up (the ratio is of processor time, for
others may work on the same machine), and the process's peak memory (ru_maxrss), the loading
included. Both losses are REINFORCE with the same advantages at ratio 1, summed over the tokens and
divided by the rows, so the gradients' norms, which are printed, must agree.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (
        ("prompt", 1024),
        ("group", 8),
        ("new", 64),
        ("layers", 12),
        ("threads", 2),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rows", default="1,2,4,8", help="rows that TRL is given at a time")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        compare(arguments, make_model(Path(scratch) / "model", arguments.layers))


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
    found = {}
    print(
        f"prompt {arguments.prompt}, G = {arguments.group}, {arguments.new} new, "
        f"{arguments.layers} layers, {arguments.threads} threads"
    )
    print(
        f"{'':24}{'seconds':>10}{'CPU s':>10}{'peak GiB':>10}{'times ours':>12}{'memory':>9}   "
        "gradient's norm"
    )
    for name in names:
        flags = [
            f"--{key}={getattr(arguments, key)}"
            for key in ("prompt", "group", "new", "layers", "threads")
        ]
        done = subprocess.run(
            [sys.executable, __file__, "--only", name, "--model", str(model), *flags],
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            sys.exit(f"{name} ended with exit code {done.returncode}")
        found[name] = now = json.loads(done.stdout.splitlines()[-1])
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


def measure(arguments) -> dict:
    """{"seconds", "cpu" (seconds of all threads), "peak" (bytes), "norm"} of one step of
    `arguments.only`."""
    import random

    from tests.tiny import load_tiny, tiny_recipe

    student = load_tiny(
        Path(arguments.model),
        wake=0.01,
        recipe=tiny_recipe(
            student={
                "threads": arguments.threads,
                "lora_rank": 16,
                "lora_alpha": 16,
                "max_prompt": arguments.prompt,
                "max_new": arguments.new,
            }
        ),
    )
    rng = random.Random(0)
    prompt, short = [rng.randrange(2, 150_000) for _ in range(arguments.prompt)], [5] * 16
    completions = [
        [rng.randrange(2, 150_000) for _ in range(arguments.new)] for _ in range(arguments.group)
    ]
    advantages = [(-1.0) ** i for i in range(arguments.group)]
    prepared = (
        our_step(student)
        if arguments.only == "coldstart"
        else trl_step(student, *arguments.only.split("-")[1:])
    )
    prepared(short, [c[:4] for c in completions[:2]], advantages[:2])()
    student.step(0.0, 1.0)
    learn = prepared(prompt, completions, advantages)
    started, worked = time.perf_counter(), time.process_time()
    learn()
    norm = student.step(1e-5, 1.0)
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - worked,
        "norm": norm,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def our_step(student):
    from recipes.learning.logprobs import Sample

    def prepared(prompt, completions, advantages):
        samples = [Sample(tuple(prompt), tuple(c)) for c in completions]
        return lambda: student.accumulate(samples, advantages, len(completions), 1.0)

    return prepared


def trl_step(student, rows: str, checkpointing: str = ""):
    """RLOOTrainer's own loss, `rows` rows at a time."""
    import torch
    from datasets import Dataset
    from trl import RLOOConfig, RLOOTrainer

    from recipes.learning.logprobs import Sample

    student.policy.model.config._name_or_path = ""
    cuda = student.device.type == "cuda"
    with tempfile.TemporaryDirectory() as scratch:
        settings = RLOOConfig(
            output_dir=scratch,
            per_device_train_batch_size=2,
            num_generations=2,
            use_cpu=not cuda,
            bf16=cuda,
            beta=0.0,
            gradient_checkpointing=bool(checkpointing),
            report_to=[],
        )
        trainer = RLOOTrainer(
            model=student.policy.model,
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=settings,
            train_dataset=Dataset.from_dict({"prompt": ["a", "b"]}),
            processing_class=student.tokens.tokenizer,
        )
    for parameter in (
        student.policy.trainable
    ):  # it has made them bfloat16, which a CPU is slow at, and our optimiser's are not
        parameter.data = parameter.data.float()
    if checkpointing:
        student.policy.model.gradient_checkpointing_enable({"use_reentrant": False})
        student.policy.model.enable_input_require_grads()

    def prepared(prompt, completions, advantages):
        parts = []
        for start in range(0, len(completions), int(rows)):
            part = torch.tensor(completions[start : start + int(rows)], device=student.device)
            prompts = torch.tensor([prompt] * len(part), device=student.device)
            # TRL clips the ratio to what it sampled from: 1 here, as when the samples are fresh.
            # Not part of what is timed.
            with torch.no_grad():
                old = torch.stack(
                    [
                        p.sum()
                        for p in student.logprobs(
                            [Sample(tuple(prompt), tuple(c)) for c in part.tolist()], 1.0
                        )
                    ]
                )
            student.policy.model.train()
            parts.append(
                {
                    "prompt_ids": prompts,
                    "prompt_mask": torch.ones_like(prompts),
                    "completion_ids": part,
                    "old_logps": old,
                    "completion_mask": torch.ones_like(part),
                    "advantages": torch.tensor(
                        advantages[start : start + int(rows)], device=student.device
                    ),
                }
            )

        def learn():
            for inputs in parts:
                with torch.autocast(student.device.type, dtype=torch.bfloat16, enabled=cuda):
                    loss = trainer.compute_loss(student.policy.model, inputs)
                (loss * len(inputs["advantages"]) / len(completions)).backward()

        return learn

    return prepared


if __name__ == "__main__":
    main()
