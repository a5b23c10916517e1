"""Every recipe for a card, on any card that is large enough, within the memory of the card that it is for: one table.

    pip install -r requirements.txt
    python tests/gpu_table.py [--recipes rtx-8gb,rtx-12gb,rtx-16gb,rtx-24gb] [--new 64] [--folder DIR]

For a short time on a rented card. NOT RUN YET: no card was to be had when it was written; the part that needs none is tested
(`tests/test_gpu.py`). A model of the real shape with random weights is made in --folder (3 to 30 GB, kept for the next time), and
loaded as a run loads it, by unsloth where it is installed. `torch.cuda.set_per_process_memory_fraction` gives the process what the
recipe's card has, less 0.7 GiB for a desktop. Then it does what bootstrap and climb do with a student, at the longest prompt that the
recipe allows: samples a group (--new tokens each), takes a distillation step and a REINFORCE step on completions of the recipe's
length, measures the entropy, saves, and goes on from the checkpoint.

The columns: the path of the log-probabilities (shared: the prompt's work is shared by its completions), whether unsloth loaded it,
seconds to load, sampled tokens a second, seconds of the REINFORCE step, the micro-batch before and after (smaller: memory ran out and
it adapted), GiB at the peak as torch's allocator counts them, GiB as estimated (the training model samples, so without a copy for
llama.cpp), and the drift, which must be small.
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

DESKTOP = 7 * (1 << 30) // 10
COLUMNS = ("path", "unsloth", "load_s", "tokens/s", "step_s", "micro", "micro_after", "peak_GiB", "said_GiB", "drift")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", default="rtx-8gb,rtx-12gb,rtx-16gb,rtx-24gb")
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path("gpu-models"))
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(line(arguments.only, arguments.folder, arguments.new)))
        return
    print(f"{'':10}" + "".join(f"{name:>13}" for name in COLUMNS))
    for name in arguments.recipes.split(","):
        # A process each: an allocator that another recipe has filled would be another card.
        done = subprocess.run([sys.executable, __file__, "--only", name, "--folder", str(arguments.folder), "--new", str(arguments.new)],
                              capture_output=True, text=True)
        if done.returncode:
            print(f"{name:10} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}", flush=True)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"{name:10}" + "".join(f"{shown(found[column]):>13}" for column in COLUMNS), flush=True)


def shown(value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def line(name: str, folder: Path, new: int) -> dict:
    """One recipe's row, in a process that uses the card for nothing else."""
    import torch

    from recipes import CARD_MEMORY_MIB, load

    recipe = load(name)
    model = make_model(recipe.student.model, folder)
    torch.cuda.empty_cache()
    room = CARD_MEMORY_MIB[name] * (1 << 20) - DESKTOP
    torch.cuda.set_per_process_memory_fraction(min(1.0, room / torch.cuda.mem_get_info()[1]))
    torch.cuda.reset_peak_memory_stats()
    found = exercise(recipe, model, new)
    return {**found, "peak_GiB": torch.cuda.max_memory_reserved() / (1 << 30)}


def make_model(student: str, folder: Path) -> Path:
    """A model of the student's shape with random weights, made once, in bfloat16, on the card."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from tests.shapes import SHAPES
    from tests.tiny import make_tokenizer

    made = folder / student.replace("/", "--")
    if not (made / "tokenizer.json").exists():           # written last
        config = AutoConfig.for_model(**SHAPES[student], max_position_embeddings=32_768, pad_token_id=0, eos_token_id=1, bos_token_id=None)
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(made)
        make_tokenizer().save_pretrained(made)
    return made


def exercise(recipe, model: Path, new: int) -> dict:
    """What bootstrap and climb do with a student: the columns that need no card."""
    from recipes.logprobs import Sample
    from recipes.memory import GIB
    from recipes.model_engine import ModelEngine
    from recipes.student import Student

    recipe = replace(recipe, rollout=replace(recipe.rollout, engine="model"))       # for torch's allocator knows nothing of llama.cpp's
    settings, size = recipe.student, recipe.climb.group_size
    rng = random.Random(0)

    def tokens(count):
        return tuple(rng.randrange(2, 380) for _ in range(count))

    started = time.perf_counter()
    student = Student.load(recipe, model, seed=0)
    loaded, micro = time.perf_counter() - started, student.micro_tokens
    prompt = tokens(settings.max_prompt)
    started = time.perf_counter()
    [group] = ModelEngine(student).sample([list(prompt)], size, 1.0, min(new, settings.max_new), [1])
    sampled = time.perf_counter() - started
    own = student.accumulate([Sample(prompt, c.ids) for c in group], [1.0] * size, 1, 1.0, [c.logprobs for c in group], 2.0)
    student.step(0.0, 1.0)
    student.accumulate([Sample(tokens(settings.max_prompt), tokens(settings.max_new)) for _ in range(recipe.distil.batch)],
                       [1.0] * recipe.distil.batch, recipe.distil.batch * settings.max_new, 1.0)
    student.step(recipe.distil.lr, recipe.distil.clip)
    batch = [Sample(prompt, tokens(settings.max_new)) for _ in range(size)]
    started = time.perf_counter()
    student.accumulate(batch, [(-1.0) ** i for i in range(size)], size, recipe.climb.temperature)
    student.step(recipe.climb.lr, recipe.climb.clip)
    stepped = time.perf_counter() - started
    student.entropy(batch, recipe.climb.temperature)
    with tempfile.TemporaryDirectory() as scratch:
        student.save(Path(scratch) / "c", {"step": 1})
        student.restore(Path(scratch) / "c")
    return {"path": "shared" if student.longest_shared else "plain", "unsloth": student.on_unsloth, "load_s": loaded,
            "tokens/s": sum(len(c.ids) for c in group) / sampled, "step_s": stepped, "micro": micro, "micro_after": student.micro_tokens,
            "said_GiB": student.need.total(max(micro, settings.longest)) / GIB, "drift": own.drift}


if __name__ == "__main__":
    main()
