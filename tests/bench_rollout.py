"""How fast rollouts are sampled, against transformers, and how far sampler and trainer drift apart:
a table.

    python tests/bench_rollout.py  # 12 layers, 896 wide, 152k tokens; about a quarter of an hour
    python tests/bench_rollout.py --layers 2 --vocabulary 8192 --prompts 256 --updates 3
    # the nano student alone
    python tests/bench_rollout.py --nano ~/.cache/coldstart/students/nano-HASH --model no
    # a recipe's student, prompts of 500 tokens of Python, one, four and sixteen of them
    python tests/bench_rollout.py --recipe smollm2 --model no
    # episodes of three turns: the nano student, a recipe's student, or both
    python tests/bench_rollout.py --episodes --nano FOLDER --recipe smollm2 --model no
    # a run's student on its own tasks
    python tests/bench_rollout.py --run runs/latest --checkpoint cycle-0050 --model no

Sampling: G = 8, at most 64 new tokens each. The other side is `generate(num_return_sequences=8)` in
whichever of float32 and bfloat16 is faster here, of the same model: with the same adapter through
PEFT, as ours carries it, and without one. They take turns in one process with the same number of
threads, and the best of the turns counts.

The random model has one prompt, the nano student several that `generate` reads one after the other;
neither ever ends, and the nano student's adapter is random, so its completions have little in
common. A run's student is what it has become: it reads the prompts of its own tasks as a cycle
does, and ends where it ends.

Episodes: 4 prompts of 500 tokens, G = 8, three turns of exactly 64 tokens, made-up answers of 60
tokens between them, the same for all sides. A turn is forced to its length: of every 64 tokens of a
completion the last is an end token, whatever the model would draw there (in our engines the uniform
number of that token is one that nothing else has; `generate` writes 64 tokens, and the end token is
put in the last one's place), and that token is drawn nowhere else. Ours goes on; the others do each
turn anew on the whole text: our engine with a prompt for each completion, `generate` with the first
turn's eight rows of a prompt from one prompt, and later those eight rows side by side; it takes one
prompt after the other, so one is enough. Tokens/s are of the process's own time (use one thread),
so that what else the machine does hardly counts.

Drift: updates with random rewards on what llama.cpp sampled; then the mean |trainer - sampler|
log-probability of the last samples.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from coldstart import open_screen  # noqa: E402
from recipes.learning.local_model import local_model  # noqa: E402
from recipes.learning.loss import Sampled  # noqa: E402
from recipes.learning.student import Sample, Student  # noqa: E402
from recipes.rollouts import llama_engine, model_engine, sampling  # noqa: E402
from recipes.rollouts.choosing import open_engine  # noqa: E402
from recipes.rollouts.engine import Engine, Turns  # noqa: E402
from recipes.rollouts.llama_engine import fastest_matrices  # noqa: E402
from recipes.runfolder.run import Run  # noqa: E402
from recipes.session import Session  # noqa: E402
from recipes.settings import Recipe, StudentSettings, load  # noqa: E402
from tests.tiny import make_tiny  # noqa: E402

GROUP, NEW = 8, 64
NANO_PROMPTS = [
    f'def f{i}(values, n):\n    """Return the {word} of values, or {i} if empty."""\n'
    for i, word in enumerate(["largest", "sum", "first", "mean", "last", "count"] * 2)
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=("yes", "no"), default="yes", help="the random model")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument(
        "--prompts", type=lambda text: [int(n) for n in text.split(",")], default=[1024, 2048]
    )
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument(
        "--dtypes", default="float32,bfloat16", help="of the other side, the random model"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--nano", type=Path, help="folder of a nano student")
    parser.add_argument("--recipe", help="whose student samples, from 1, 4 and 16 prompts")
    parser.add_argument("--episodes", action="store_true", help="episodes of these two instead")
    parser.add_argument("--run", type=Path, help="folder of a run with the nano recipe")
    parser.add_argument("--checkpoint", default="best", help="of that run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.model == "yes":
            random_model(Path(folder), options)
        if options.episodes:
            for name, path in (("nano", options.nano), (options.recipe, None)):
                if name and (path or name != "nano"):
                    episodes(Path(folder), options, name, path)
        elif options.nano:
            nano(Path(folder), options)
        if options.recipe and not options.episodes:
            recipes_student(Path(folder), options)
        if options.run:
            nano_at_work(Path(folder), options)


def random_model(folder: Path, options) -> None:
    path = make_tiny(
        folder / "model",
        "qwen2",
        vocab=options.vocabulary,
        hidden=896,
        num_hidden_layers=options.layers,
        num_attention_heads=14,
        intermediate_size=4864,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.02,
    )
    longest = max(options.prompts)
    recipe = Recipe(
        student=StudentSettings(
            model="random", max_prompt=longest, max_new=NEW, threads=options.threads
        )
    )
    student = open_student(recipe, path, 0.02)
    others = other_side(path, student, options.dtypes)
    for length in options.prompts:
        generator = random.Random(length)
        prompt = [generator.randrange(2, options.vocabulary) for _ in range(length)]
        with engines(student, recipe, folder, "llama.cpp") as ours:
            race(f"random model, prompt {length}", ours, [prompt], others, options.turns)
    drift(
        f"random model ({fastest_matrices('cpu')})",
        student,
        recipe,
        folder,
        [[5, 6, 7, 8] * 8],
        4,
        16,
        options.updates,
        1e-4,
    )


def nano(folder: Path, options) -> None:
    recipe = load("nano", [f"student.threads={options.threads}"])
    student = open_student(recipe, options.nano, 0.01)
    prompts = [student.prompt_ids([{"role": "user", "content": text}]) for text in NANO_PROMPTS]
    others = {
        **other_side(options.nano, student, "float32"),
        "the student itself": student.policy.model,
    }
    with engines(student, recipe, folder, "model", "llama.cpp") as ours:
        race("nano", ours, prompts, others, options.turns)
    drift("nano (F16)", student, recipe, folder, prompts, 8, NEW, options.updates, recipe.climb.lr)


def recipes_student(folder: Path, options) -> None:
    """Whether tokens/s stay what they are where there are more prompts; `generate` reads one after
    the other, so of it one is enough."""
    recipe = load(options.recipe, [f"student.threads={options.threads}", "student.max_prompt=500"])
    path = Path(local_model(recipe.student.model, recipe.seed))
    student = open_student(recipe, path, 0.01)
    ids = own_source(student)
    others = other_side(path, student, "float32")
    with engines(student, recipe, folder, "llama.cpp") as ours:
        for count in (1, 4, 16):
            prompts = [ids[500 * i : 500 * (i + 1)] for i in range(count)]
            sides = others if count == 1 else {}
            race(f"{options.recipe}, {count} x {GROUP}", ours, prompts, sides, options.turns)


def own_source(student: Student) -> list[int]:
    """Tokens of this program."""
    source = Path(sampling.__file__).parent.parent.rglob("*.py")
    return student.tokens.tokenizer("".join(p.read_text() for p in sorted(source)))["input_ids"]


def nano_at_work(folder: Path, options) -> None:
    run = Run.open(options.run)
    session = Session(run, None, open_screen(as_json=True).emit)
    student, recipe = session.student, run.recipe
    torch.set_num_threads(options.threads)
    student.restore(run.checkpoint(options.checkpoint))
    prompts = [session.prompts[task.instance_id] for task in session.by_split("train")][
        : recipe.climb.groups
    ]
    others = {
        **other_side(session.model_path(), student, "float32"),
        "the student itself": student.policy.model,
    }
    with engines(student, recipe, folder, "model", "llama.cpp") as ours:
        race(
            f"nano, {options.checkpoint}",
            ours,
            prompts,
            others,
            options.turns,
            recipe.climb.temperature,
        )


def open_student(recipe: Recipe, path: Path, wake: float) -> Student:
    """A student whose adapter does something, and which never ends."""
    student = Student.load(recipe, path, 0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in student.policy.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * wake)
    student.tokens.end_ids = frozenset()
    return student


def other_side(path: Path, student: Student, dtypes: str) -> dict:
    """The student's base without NF4, in each of these dtypes (names with commas between): as it
    is, and with the student's adapter."""
    from peft import get_peft_model, set_peft_model_state_dict
    from transformers import AutoModelForCausalLM

    others = {}
    for dtype in dtypes.split(","):
        plain, base = (
            AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
            for _ in range(2)
        )
        adapted = get_peft_model(
            base, student.policy.model.peft_config["default"], autocast_adapter_dtype=False
        )
        set_peft_model_state_dict(adapted, student.adapter.tensors())
        others |= {f"{dtype}, no adapter": plain, dtype: adapted.eval()}
    return others


@contextmanager
def engines(
    student: Student, recipe: Recipe, folder: Path, *names: str
) -> Iterator[dict[str, Engine]]:
    """The engines of these names, for the length of a block."""
    with ExitStack() as stack:
        opened = {name: open_engine(name, student, recipe, folder) for name in names}
        for engine in opened.values():
            stack.callback(engine.close)
        yield opened


def race(
    name: str,
    ours: dict[str, Engine],
    prompts: list[list[int]],
    others: dict,
    turns: int,
    temperature: float = 1.0,
) -> None:
    """Print the best tokens/s of each, and the ratios."""
    student = next(iter(ours.values())).student
    sides = {
        **{
            key: lambda seed, few, engine=engine: sample(engine, prompts[:few], temperature, seed)
            for key, engine in ours.items()
        },
        **{
            f"generate, {key}": lambda seed, few, model=model: sum(
                generate(model, prompt, NEW, student.end_ids, temperature)
                for prompt in prompts[:few]
            )
            for key, model in others.items()
        },
    }
    for side in sides.values():
        side(0, 1)
    rates = {key: 0.0 for key in sides}
    for turn in range(turns):
        for key, side in sides.items():
            started = time.perf_counter()
            tokens = side(turn, len(prompts))
            rates[key] = max(rates[key], tokens / (time.perf_counter() - started))
    for key in others:
        against = ", ".join(
            f"{engine} {rates[engine] / rates[f'generate, {key}']:.2f} times" for engine in ours
        )
        print(
            f"{name:28} generate, {key:22} {rates[f'generate, {key}']:8.1f} tokens/s: {against}",
            flush=True,
        )
    print(
        f"{name:28} " + ", ".join(f"{engine} {rates[engine]:.0f} tokens/s" for engine in ours),
        flush=True,
    )


# ---- episodes ------------------------------------------------------------------------------------

PROMPTS, TURNS, ANSWER = 4, 3, 60
END = 0
"""An end token that the models never draw by themselves."""
EPISODE = TURNS * NEW + (TURNS - 1) * ANSWER


def episodes(folder: Path, options, name: str, path: Path | None) -> None:
    """Print tokens/s of episodes and of each turn anew, and the ratios."""
    recipe = load(
        name,
        [
            f"student.threads={options.threads}",
            "student.max_prompt=500",
            f"student.max_new={EPISODE}",
        ],
    )
    path = path or Path(local_model(recipe.student.model, recipe.seed))
    student = open_student(recipe, path, 0.01)
    student.tokens.end_ids = frozenset([END])
    ids = [token for token in own_source(student) if token != END]
    prompts = [ids[500 * i : 500 * (i + 1)] for i in range(PROMPTS)]
    answers = [ids[10_000 + ANSWER * i : 10_000 + ANSWER * (i + 1)] for i in range(TURNS - 1)]
    names = ("model", "llama.cpp") if name == "nano" else ("llama.cpp",)
    with engines(student, recipe, folder, *names) as ours, forced_lengths():
        sides = {
            key: lambda seed, e=engine: in_turns(e, prompts, answers, seed)
            for key, engine in ours.items()
        }
        for key, engine in ours.items():
            sides[f"{key}, each turn anew"] = lambda seed, e=engine: anew(e, prompts, answers, seed)
        others = other_side(path, student, "float32")
        for key, model in others.items():
            sides[f"generate, {key}, anew"] = lambda seed, m=model: generated(
                m, prompts[:1], answers
            )
        rates: dict[str, float] = {}
        for key, side in sides.items():
            for turn in range(options.turns):
                started = time.process_time()
                rate = side(turn) / (time.process_time() - started)
                rates[key] = max(rates.get(key, 0.0), rate)
            against = ", ".join(
                f"{e} {rates[e] / rates[key]:.2f} times" for e in ours if e in rates and e != key
            )
            print(f"{name}, episodes {key:36} {rates[key]:8.1f} tokens/s: {against}", flush=True)


@contextmanager
def forced_lengths() -> Iterator[None]:
    """Every completion's every 64th token is END."""
    marked = 2.0  # no uniform number
    uniforms, draw = model_engine._uniforms, sampling.Draws.draw

    class Marked(random.Random):
        count = 0

        def random(self) -> float:
            self.count += 1
            return marked if self.count % NEW == 0 else super().random()

    def marked_uniforms(seed: int, index: int, count: int):
        found = uniforms(seed, index, count)
        found[NEW - 1 :: NEW] = marked
        return found

    def marked_draw(self, logits_RV, temperature, uniforms_N, rows_N):
        logits_RV[:, END] = -1e4  # near enough to nothing
        forced_N = np.asarray(uniforms_N) == marked
        tokens_N, logprobs_N = draw(
            self, logits_RV, temperature, np.where(forced_N, 0.5, uniforms_N), rows_N
        )
        return np.where(forced_N, END, tokens_N), logprobs_N

    with (
        patch.object(llama_engine.random, "Random", Marked),
        patch.object(model_engine, "_uniforms", marked_uniforms),
        patch.object(sampling.Draws, "draw", marked_draw),
    ):
        yield


def in_turns(engine: Engine, prompts: list[list[int]], answers: list[list[int]], seed: int) -> int:
    """Episodes; how many tokens were written."""

    def answer(index: int, ids: tuple[int, ...]) -> Future:
        future: Future = Future()
        turn = ids.count(END)
        future.set_result(answers[turn - 1] if turn < TURNS else [])
        return future

    seeds = range(seed, seed + len(prompts))
    groups = engine.sample(prompts, GROUP, 1.0, NEW, seeds, turns=Turns(answer, EPISODE))
    return sum(len(one.logprobs) for group in groups for one in group)


def anew(engine: Engine, prompts: list[list[int]], answers: list[list[int]], seed: int) -> int:
    """The same, where each turn is a call of its own on the whole text."""
    texts, n, written = prompts, GROUP, 0
    for said in [*answers, []]:
        groups = engine.sample(texts, n, 1.0, NEW, range(seed, seed + len(texts)))
        written += sum(len(one.ids) for group in groups for one in group)
        texts = [[*text, *one.ids, *said] for text, group in zip(texts, groups) for one in group]
        n = 1
    return written


@torch.inference_mode()
def generated(model, prompts: list[list[int]], answers: list[list[int]]) -> int:
    """The same by transformers, a prompt's completions side by side."""
    written = 0
    for prompt in prompts:
        ids, rows = torch.tensor([prompt]), GROUP
        for said in [*answers, []]:
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                top_k=0,
                temperature=1.0,
                num_return_sequences=rows,
                max_new_tokens=NEW,
                min_new_tokens=NEW,
                eos_token_id=END,
                pad_token_id=END,
            )
            out[:, -1] = END
            written += GROUP * (out.shape[1] - ids.shape[1])
            ids, rows = torch.cat([out, torch.tensor([said] * GROUP, dtype=out.dtype)], dim=1), 1
    return written


def sample(engine: Engine, prompts: list[list[int]], temperature: float, seed: int) -> int:
    """A group of completions of each prompt; how many tokens they have."""
    groups = engine.sample(prompts, GROUP, temperature, NEW, range(seed, seed + len(prompts)))
    return sum(len(completion.ids) for group in groups for completion in group)


@torch.inference_mode()
def generate(
    model,
    prompt: list[int],
    new: int,
    end_ids: frozenset[int] = frozenset(),
    temperature: float = 1.0,
    group: int = GROUP,
) -> int:
    """The same of one prompt by transformers; without `end_ids` all of them are `new` tokens
    long."""
    ids = torch.tensor([prompt], device=model.device)
    ends = (
        {"eos_token_id": sorted(end_ids)} if end_ids else {"eos_token_id": 1, "min_new_tokens": new}
    )
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        top_k=0,
        temperature=temperature,
        num_return_sequences=group,
        max_new_tokens=new,
        pad_token_id=0,
        **ends,
    )
    completions = out[:, len(prompt) :].tolist()
    return sum(
        next((i + 1 for i, token in enumerate(tokens) if token in end_ids), len(tokens))
        for tokens in completions
    )


def drift(
    name: str,
    student,
    recipe: Recipe,
    folder: Path,
    prompts,
    group: int,
    new: int,
    updates: int,
    lr: float,
) -> None:
    """Print the drift of the first and of the last of `updates` updates."""
    found, generator = [], random.Random(0)
    with engines(student, recipe, folder, "llama.cpp") as ours:
        engine = ours["llama.cpp"]
        for update in range(updates + 1):
            groups = engine.sample(prompts, group, 1.0, new, range(update, update + len(prompts)))
            pairs = [
                (Sample(tuple(p), c.ids), c.logprobs)
                for p, completions in zip(prompts, groups)
                for c in completions
            ]
            stats = student.accumulate(
                [s for s, _ in pairs],
                [generator.choice([-1.0, 1.0]) for _ in pairs],
                len(pairs),
                1.0,
                Sampled([logprobs for _, logprobs in pairs], recipe.climb.max_ratio),
            )
            student.step(lr, recipe.climb.clip)
            found.append(stats.drift)
    print(
        f"{name:28} drift {found[0]:.4f} nats a token at first, {found[-1]:.4f} after {updates} "
        "updates",
        flush=True,
    )


if __name__ == "__main__":
    main()
