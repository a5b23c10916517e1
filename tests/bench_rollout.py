"""How fast llama.cpp samples, against transformers, and how far sampler and trainer drift apart: a table.

    python tests/bench_rollout.py                              # 12 layers, 896 wide, 152k tokens; about a quarter of an hour
    python tests/bench_rollout.py --layers 2 --vocabulary 8192 --prompts 256 --updates 3
    python tests/bench_rollout.py --nano ~/.cache/coldstart/students/nano-HASH --model no     # the nano student alone

Sampling: one prompt, G = 8, 64 new tokens each, for both (no end token). The other side is `generate(num_return_sequences=8)` in whichever
of float32 and bfloat16 is faster here, of the same model: with the same adapter through PEFT, as ours carries it, and without one.
They take turns in one process with the same number of threads, and the best of the turns counts. The nano student is also measured against
`generate` of the student itself, adapter and NF4 included, and reads several prompts one after the other.

Drift: updates with random rewards on what llama.cpp sampled; then the mean |trainer - sampler| log-probability of the last samples.
"""
import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from recipes import Recipe, StudentSettings, load  # noqa: E402
from recipes.engines import open_engine  # noqa: E402
from recipes.llama_engine import LlamaEngine, fastest_matrices  # noqa: E402
from recipes.student import Sample, Student  # noqa: E402
from tests.tiny import make_tiny  # noqa: E402

GROUP, NEW = 8, 64
NANO_PROMPTS = [f'def f{i}(values, n):\n    """Return the {word} of values, or {i} if empty."""\n'
                for i, word in enumerate(["largest", "sum", "first", "mean", "last", "count"] * 2)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("yes", "no"), default="yes", help="the random model")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--prompts", type=lambda text: [int(n) for n in text.split(",")], default=[1024, 2048])
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--dtypes", default="float32,bfloat16", help="of the other side, the random model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--nano", type=Path, help="folder of a nano student")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.model == "yes":
            random_model(Path(folder), options)
        if options.nano:
            nano(Path(folder), options)


def random_model(folder: Path, options) -> None:
    path = make_tiny(folder / "model", "qwen2", vocab=options.vocabulary, hidden=896, num_hidden_layers=options.layers,
                     num_attention_heads=14, intermediate_size=4864, max_position_embeddings=4096, tie_word_embeddings=True,
                     initializer_range=0.02)
    longest = max(options.prompts)
    recipe = Recipe(student=StudentSettings(model="random", max_prompt=longest, max_new=NEW, threads=options.threads))
    student = open_student(recipe, path, 0.02)
    others = other_side(path, student, options.dtypes)
    for length in options.prompts:
        generator = random.Random(length)
        prompt = [generator.randrange(2, options.vocabulary) for _ in range(length)]
        with closing_engine(student, recipe, folder) as engine:
            race(f"random model, prompt {length}", engine, [prompt], others, options.turns)
    drift(f"random model ({fastest_matrices('cpu')})", student, recipe, folder, [[5, 6, 7, 8] * 8], 4, 16, options.updates, 1e-4)


def nano(folder: Path, options) -> None:
    recipe = load("nano", [f"student.threads={options.threads}"])
    student = open_student(recipe, options.nano, 0.01)
    prompts = [student.prompt_ids([{"role": "user", "content": text}]) for text in NANO_PROMPTS]
    others = {**other_side(options.nano, student, "float32"), "the student itself": student.model}
    with closing_engine(student, recipe, folder) as engine:
        race("nano", engine, prompts, others, options.turns)
    drift("nano (F16)", student, recipe, folder, prompts, 8, NEW, options.updates, recipe.climb.lr)


def open_student(recipe: Recipe, path: Path, wake: float) -> Student:
    """A student whose adapter does something, and which never ends."""
    student = Student.load(recipe, path, 0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in student.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * wake)
    student.end_ids = frozenset()
    return student


def other_side(path: Path, student: Student, dtypes: str) -> dict:
    """The student's base without NF4, in each of these dtypes (names with commas between): as it is, and with the student's adapter."""
    from peft import get_peft_model, set_peft_model_state_dict
    from transformers import AutoModelForCausalLM

    others = {}
    for dtype in dtypes.split(","):
        plain, base = (AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)) for _ in range(2))
        adapted = get_peft_model(base, student.model.peft_config["default"], autocast_adapter_dtype=False)
        set_peft_model_state_dict(adapted, student.adapter())
        others |= {f"{dtype}, no adapter": plain, dtype: adapted.eval()}
    return others


class closing_engine:
    """The engine, for the length of a block."""

    def __init__(self, student, recipe: Recipe, folder: Path) -> None:
        self.engine = open_engine("llama.cpp", student, recipe, folder)

    def __enter__(self) -> LlamaEngine:
        return self.engine

    def __exit__(self, *_) -> None:
        self.engine.close()


def race(name: str, engine: LlamaEngine, prompts: list[list[int]], others: dict, turns: int) -> None:
    """Print the best tokens/s of each, and the ratios."""
    tokens = len(prompts) * GROUP * NEW
    engine.sample([prompts[0][:8]], GROUP, 1.0, 4, [0])
    for model in others.values():
        generate(model, prompts[0][:8], 4)
    ours, theirs = [], {key: [] for key in others}
    for turn in range(turns):
        started = time.perf_counter()
        engine.sample(prompts, GROUP, 1.0, NEW, range(turn, turn + len(prompts)))
        ours.append(time.perf_counter() - started)
        for key, model in others.items():
            started = time.perf_counter()
            for prompt in prompts:
                generate(model, prompt, NEW)
            theirs[key].append(time.perf_counter() - started)
    print(f"{name:28} llama.cpp {tokens / min(ours):8.0f} tokens/s", flush=True)
    for key, seconds in theirs.items():
        print(f"{'':28} generate, {key}: {tokens / min(seconds):8.1f} tokens/s: {min(seconds) / min(ours):.2f} times", flush=True)


@torch.inference_mode()
def generate(model, prompt: list[int], new: int, group: int = GROUP) -> None:
    """A group of completions, all of them `new` tokens long."""
    ids = torch.tensor([prompt], device=model.device)
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, num_return_sequences=group,
                         max_new_tokens=new, min_new_tokens=new, pad_token_id=0, eos_token_id=1)
    assert out.shape == (group, len(prompt) + new)


def drift(name: str, student, recipe: Recipe, folder: Path, prompts, group: int, new: int, updates: int, lr: float) -> None:
    """Print the drift of the first and of the last of `updates` updates."""
    found, generator = [], random.Random(0)
    with closing_engine(student, recipe, folder) as engine:
        for update in range(updates + 1):
            groups = engine.sample(prompts, group, 1.0, new, range(update, update + len(prompts)))
            pairs = [(Sample(tuple(p), c.ids), c.logprobs) for p, completions in zip(prompts, groups) for c in completions]
            stats = student.accumulate([s for s, _ in pairs], [generator.choice([-1.0, 1.0]) for _ in pairs], len(pairs), 1.0,
                                       [logprobs for _, logprobs in pairs], recipe.climb.max_ratio)
            student.step(lr, recipe.climb.clip)
            found.append(stats.drift)
    print(f"{name:28} drift {found[0]:.4f} nats a token at first, {found[-1]:.4f} after {updates} updates", flush=True)


if __name__ == "__main__":
    main()
