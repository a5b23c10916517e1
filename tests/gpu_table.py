"""Every recipe for a card, on any card that is large enough, within the memory of the card that it
is for: one table.

    pip install -r requirements.txt -r requirements-bench.txt
    python coldstart.py doctor                 # has the command that builds llama.cpp for the card
    python tests/gpu_table.py [--recipes rtx-8gb,rtx-12gb,rtx-16gb,rtx-24gb] [--new 64]
                              [--loaders unsloth,transformers] [--folder DIR]
    python tests/gpu_table.py --device cpu          # all of it on a tiny model, without a card

For a short time on a rented card. NOT RUN ON A CARD YET: none was to be had when it was written;
with --device cpu it is run by a test (`tests/test_gpu.py`), so that no slip costs the rented hour.
A model of the real shape with random weights is made in --folder (3 to 30 GB, kept for the next
time), and loaded by each of the loaders. `torch.cuda.set_per_process_memory_fraction` gives the
process what the recipe's card has, less 0.7 GiB for a desktop. Then it does what bootstrap and
climb do with a student, at the longest prompt that the recipe allows: samples a group (--new tokens
each), takes a distillation step and a REINFORCE step on completions of the recipe's length,
measures the entropy, saves, and goes on from the checkpoint.

The columns: the path of the log-probabilities (shared: the prompt's work is shared by its
completions), seconds to load, sampled tokens a second, seconds of the REINFORCE step, the
micro-batch before and after (smaller: memory ran out and it adapted), GiB at the peak as torch's
allocator counts them, GiB as estimated (the training model samples, so without a copy for
llama.cpp), and the drift, which must be small. After these, on the same student, prompt and
completions, what people would use instead, in the memory of the card, too: tokens a second of the
model's own `generate` (unsloth's, where it loaded the model); of llama.cpp, where it was built for
the card. The last row of a recipe is a step with the loss of TRL's RLOOTrainer, one row at a time:
its seconds and its peak. What could not be measured is a dash, and why is said below the row.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

DESKTOP = 7 * (1 << 30) // 10
COLUMNS = (
    "path",
    "load_s",
    "tokens/s",
    "step_s",
    "micro",
    "micro_after",
    "peak_GiB",
    "said_GiB",
    "drift",
    "generate/s",
    "llama.cpp/s",
)
TRL = "TRL"
TINY = {"max_prompt": 48, "max_new": 8, "lora_rank": 4, "lora_alpha": 4}
"""Of a recipe's student, on the stand-in."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", default="rtx-8gb,rtx-12gb,rtx-16gb,rtx-24gb")
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path("gpu-models"))
    parser.add_argument("--loaders", default="unsloth,transformers")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(line(*arguments.only.split(), arguments)))
        return
    loaders = arguments.loaders.split(",") if arguments.device == "cuda" else ["transformers"]
    print(f"{'':22}" + "".join(f"{name:>13}" for name in COLUMNS))
    for name in arguments.recipes.split(","):
        for what in (*loaders, TRL):
            print_row(name, what, arguments)


def print_row(name: str, what: str, arguments) -> None:
    """In a process of its own: an allocator that another row has filled would be another card, and
    unsloth patches transformers and TRL for good."""
    flags = ("--folder", arguments.folder, "--new", arguments.new, "--device", arguments.device)
    done = subprocess.run(
        [sys.executable, __file__, "--only", f"{name} {what}", *map(str, flags)],
        capture_output=True,
        text=True,
    )
    title = f"{name} {what}"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        print(f"{title:22} failed: {last}", flush=True)
        return
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{title:22}" + "".join(f"{shown(found.get(c)):>13}" for c in COLUMNS), flush=True)
    for column, why in found["not measured"].items():
        print(f"{'':22} {column}: {why}", flush=True)


def shown(value) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def line(name: str, what: str, arguments) -> dict:
    """A recipe's row of this loader, or of TRL, in a process that uses the card for nothing
    else."""
    import torch

    from recipes.learning.loader import TRANSFORMERS
    from recipes.settings import CARD_MEMORY_MIB, load
    from tests.tiny import make_tiny

    recipe, folder, new = load(name), arguments.folder, arguments.new
    loader = TRANSFORMERS if what == TRL else what
    recipe = replace(recipe, student=replace(recipe.student, loader=loader))
    if arguments.device == "cpu":
        recipe = replace(recipe, student=replace(recipe.student, **TINY))
        model = make_tiny(folder / "tiny", "qwen2")
    else:
        model = make_model(recipe.student.model, folder)
        room = CARD_MEMORY_MIB[name] * (1 << 20) - DESKTOP
        torch.cuda.set_per_process_memory_fraction(min(1.0, room / torch.cuda.mem_get_info()[1]))
    reset_peak()
    student, loaded = opened(recipe, model)
    if what == TRL:
        return trl_row(student, recipe)
    found = {"load_s": loaded, **exercise(student, recipe, new), "peak_GiB": peak_gib()}
    return {**found, **beside(student, recipe, new, folder)}


def trl_row(student, recipe) -> dict:
    try:
        seconds = trl_seconds(student, recipe, Work(recipe))
    except Exception as error:  # whatever is wrong with another program, the table goes on
        return {"not measured": {"step_s": in_words(error)}}
    return {"step_s": seconds, "peak_GiB": peak_gib(), "not measured": {}}


def in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def make_model(student: str, folder: Path) -> Path:
    """A model of the student's shape with random weights, made once, in bfloat16, on the card."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from tests.shapes import SHAPES
    from tests.tiny import make_tokenizer

    made = folder / student.replace("/", "--")
    if not (made / "tokenizer.json").exists():  # written last
        config = AutoConfig.for_model(
            **SHAPES[student],
            max_position_embeddings=32_768,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
        )
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(made)
        make_tokenizer().save_pretrained(made)
    return made


def opened(recipe, model: Path):
    """(the student, seconds that it took to load)"""
    from recipes.learning.student import Student

    recipe = replace(
        recipe, rollout=replace(recipe.rollout, engine="model")
    )  # for torch's allocator knows nothing of llama.cpp's
    started = time.perf_counter()
    return Student.load(recipe, model, seed=0), time.perf_counter() - started


class Work:
    """Made-up prompts and completions of the recipe's lengths, the same ones each time."""

    def __init__(self, recipe) -> None:
        rng, settings = random.Random(0), recipe.student

        def tokens(count):
            return tuple(rng.randrange(2, 380) for _ in range(count))

        self.prompt, self.new = tokens(settings.max_prompt), settings.max_new
        self.completions = [tokens(settings.max_new) for _ in range(recipe.climb.group_size)]
        self.advantages = [(-1.0) ** i for i in range(recipe.climb.group_size)]
        self.lessons = [
            (tokens(settings.max_prompt), tokens(settings.max_new))
            for _ in range(recipe.distil.batch)
        ]


def exercise(student, recipe, new: int) -> dict:
    """What bootstrap and climb do with a student: the columns of its own that need no card."""
    from recipes.learning.logprobs import Sample
    from recipes.learning.loss import Sampled
    from recipes.learning.memory import GIB
    from recipes.rollouts.model_engine import ModelEngine

    work, micro, size = Work(recipe), student.limits.micro_tokens, recipe.climb.group_size
    sampled, [group] = timed(
        lambda: ModelEngine(student).sample([list(work.prompt)], size, 1.0, min(new, work.new), [1])
    )
    own = student.accumulate(
        [Sample(work.prompt, c.ids) for c in group],
        [1.0] * size,
        1,
        1.0,
        Sampled([c.logprobs for c in group], 2.0),
    )
    student.step(0.0, 1.0)
    student.accumulate(
        [Sample(*lesson) for lesson in work.lessons],
        [1.0] * len(work.lessons),
        len(work.lessons) * work.new,
        1.0,
    )
    student.step(recipe.distil.lr, recipe.distil.clip)
    batch = [Sample(work.prompt, completion) for completion in work.completions]

    def learn():
        student.accumulate(batch, work.advantages, size, recipe.climb.temperature)
        student.step(recipe.climb.lr, recipe.climb.clip)

    stepped, _ = timed(learn)
    student.entropy(batch, recipe.climb.temperature)
    with tempfile.TemporaryDirectory() as scratch:
        student.save(Path(scratch) / "c", {"step": 1})
        student.restore(Path(scratch) / "c")
    return {
        "path": "shared" if student.objective.longest_shared else "plain",
        "tokens/s": sum(len(c.ids) for c in group) / sampled,
        "step_s": stepped,
        "micro": micro,
        "micro_after": student.limits.micro_tokens,
        "said_GiB": student.planned.need.total(max(micro, recipe.student.longest)) / GIB,
        "drift": own.drift,
    }


def beside(student, recipe, new: int, folder: Path) -> dict:
    """What people would use instead, on the same student: the last columns, and under "not
    measured" why one is not there."""
    work, why_not, found = Work(recipe), {}, {}
    new, size = min(new, work.new), recipe.climb.group_size
    for name, measure in (
        ("generate/s", lambda: size * new / generate_seconds(student, work.prompt, size, new)),
        (
            "llama.cpp/s",
            lambda: size * new / llama_seconds(student, recipe, work.prompt, size, new, folder),
        ),
    ):
        reset_peak()
        try:
            found[name] = measure()
        except Exception as error:  # whatever is wrong with another program, the table goes on
            why_not[name] = in_words(error)
    return {**found, "not measured": why_not}


def generate_seconds(student, prompt, size: int, new: int) -> float:
    import torch
    from bench_rollout import generate

    student.policy.mode(training=False)  # unsloth has a switch of its own for it
    # With hidden states in place of logits it would draw from these.
    name = "UNSLOTH_RETURN_HIDDEN_STATES"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        with torch.autocast(
            student.device.type, dtype=torch.bfloat16, enabled=student.device.type == "cuda"
        ):
            return timed(lambda: generate(student.policy.model, list(prompt), new, group=size))[0]
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


def llama_seconds(student, recipe, prompt, size: int, new: int, folder: Path) -> float:
    """Without what the first start of a run takes: exporting the base, and handing over the
    adapter."""
    from recipes.rollouts.choosing import open_engine

    engine = open_engine("llama.cpp", student, recipe, folder)
    try:
        engine.sample([list(prompt[:8])], 1, 1.0, 2, [0])
        return timed(lambda: engine.sample([list(prompt)], size, 1.0, new, [1]))[0]
    finally:
        engine.close()


def trl_seconds(student, recipe, work: Work) -> float:
    from bench_update import rloo_step

    from recipes.learning.logprobs import Sample

    samples = [Sample(work.prompt, completion) for completion in work.completions]
    learn = rloo_step(student, ["1"])(samples, work.advantages)

    def step():
        learn()
        student.step(recipe.climb.lr, recipe.climb.clip)

    return timed(step)[0]


def timed(work):
    """(seconds, what `work` returns)"""
    import torch

    started = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, result


def reset_peak() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float | None:
    import torch

    return torch.cuda.max_memory_reserved() / (1 << 30) if torch.cuda.is_available() else None


if __name__ == "__main__":
    main()
