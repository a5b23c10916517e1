"""The nano student: a language model made on the spot, for machines with no GPU and no download.

    # about 3 minutes of one core, once
    folder = make_student(Path("~/.cache/coldstart").expanduser())
    AutoModelForCausalLM.from_pretrained(folder)  # an ordinary Hugging Face folder

It is a Llama of one million parameters that has read nothing but the Python standard library of the
running interpreter (`nano_data` says what it is shown). It writes valid Python and picks up the
words and constants of a docstring, and it knows nothing of what a sentence asks for: on a
repository of small tested functions it solves nothing at all, until somebody shows it how. That
makes it a cold start small enough to watch from end to end.

    prompt       def largest_or_5(values):\\n    \"\"\"Return the largest of values, or 5 if empty.\"\"\"\\n
    completion   the bare body, indented by four, each line ended, then the end token

The chat template renders the content of a message as it is, and an assistant's with the end token
behind it.

The recipe. Making it takes 140 CPU seconds (17 to read the library, 7 for the tokenizer, 118 of
training) and ends at 1.34 nats a completion token on samples drawn anew; NF4 costs 0.013 nats more.

- d128, 4 layers, 4 heads, ff384, tied embeddings, 1,024 tokens: 0.98 M parameters. Twice the size
  did worse in short budgets, because it sees half as much.
- byte-level BPE; digits and punctuation are tokens of their own, so that constants are copied digit
  by digit. No token reaches across the end of the prompt: the closing quotes own their newline and
  the body's first indent stands alone, so that a chat tokenised whole is the prompt's tokens, then
  the completion's.
- Muon on the matrices, AdamW on embeddings and norms, batches of about 1,024 tokens of similar
  length, at most 72 tokens a sample; the prompt counts a tenth in the loss; constant rate to 40 %,
  then linear to zero.
- the budget is steps and never seconds: the same seed on the same machine gives the same bytes.

What it does on the practice repository (`sandbox.practice`; means over three seeds of student,
adapter and split; 90 functions taught, 134 with their tests only, 56 held out; pass@1 at T = 0.7, 8
samples each):

                                                                    taught  untaught  held out
    cold                                                             .002     .003      .001
    distilled: 200 steps of 16, lr 4e-3 falling to a tenth          1.000     .485      .530
    and 60 cycles of REINFORCE: 24 groups of 8, T = 1, lr 3e-4       .994     .677      .632
    or as long a time of more distillation instead                  1.000     .508      .555

Traps: `torch.optim.Muon` orthogonalises in bf16, 50 times slower on a CPU than the fp32 one here; a
Muon rate of 2e-2 learns nothing useful; the student must see its end token in training, or it never
stops; positions past 72 tokens were never trained, so much longer prompts are outside of what it
knows.
"""

import hashlib
import importlib.metadata
import platform
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recipes.nano import nano_data
from sandbox.cache import made_aside

STEPS = 827
VOCABULARY = 1024
HIDDEN, LAYERS, HEADS, FEED_FORWARD = 128, 4, 4, 384
MAX_POSITIONS = 256
"""Longest prompt and completion together, tokens. Positions past MAX_SAMPLE are never trained."""

MUON_LR, ADAM_LR = 6e-3, 5e-3
BATCH_TOKENS = 1024
MAX_SAMPLE = 72
PROMPT_WEIGHT = 0.1
WARMUP = 20
DECAY_FROM = 0.4
"""Share of the steps after which the learning rate falls, linearly, to almost nothing."""
TOKENIZER_SAMPLES = 18_000
BUCKETED = 600
"""Samples drawn at a time and sorted by length, so that a batch has little padding."""

PAD, EOS = 0, 1
SPLIT = r'"""\n?|\n *| ?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]| +|\s'
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)

Progress = Callable[[str, int, int], None]
Pair = tuple[list[int], list[int]]
"""(prompt token ids, completion token ids with the end token)"""


def make_student(
    cache_dir: Path, seed: int = 0, on_progress: Progress | None = None, steps: int = STEPS
) -> Path:
    """The folder `cache_dir/nano-<hash>` of the student, made if it is not there yet.

    The hash covers all that decides the outcome, so an old folder is never taken for a new recipe.
    The work is done in memory and only the finished folder is moved into place: whoever is killed
    leaves no half student behind, and of two who make the same one at the same time the first wins
    and the other uses it. `on_progress(what, done, total)` is called in the phases "reading the
    standard library", "tokenizer" and "training".
    """
    folder = Path(cache_dir) / f"nano-{recipe_hash(seed, steps)}"
    if folder.is_dir():
        return folder
    report = on_progress or (lambda what, done, total: None)
    corpus = nano_data.read_standard_library(
        lambda done, total: report("reading the standard library", done, total)
    )
    with reproducible_torch(seed):
        report("tokenizer", 0, 1)
        tokenizer = train_tokenizer(corpus, random.Random(f"tokenizer {seed}"))
        report("tokenizer", 1, 1)
        model = new_model()
        train(
            model,
            batches(corpus, tokenizer, random.Random(f"samples {seed}")),
            steps,
            lambda done: report("training", done, steps),
        )
    save(model, tokenizer, folder)
    return folder


def recipe_hash(seed: int, steps: int) -> str:
    """Twelve hex digits over everything that made a student: this code, the versions, seed and
    steps."""
    sources = [Path(file).read_text(encoding="utf-8") for file in (__file__, nano_data.__file__)]
    versions = [
        importlib.metadata.version(name) for name in ("torch", "tokenizers", "transformers")
    ]
    made_of = [
        *sources,
        platform.python_implementation(),
        platform.python_version(),
        *versions,
        str(seed),
        str(steps),
    ]
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:12]


@contextmanager
def reproducible_torch(seed: int) -> Iterator[None]:
    """One thread, deterministic kernels, seeded; afterwards the caller's settings and RNG state are
    as before."""
    import torch

    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.set_num_threads(1)
            torch.use_deterministic_algorithms(True)
            torch.manual_seed(seed)
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


# ------------------------------------------------------------------------------ tokenizer and model


def train_tokenizer(corpus: nano_data.Corpus, rng: random.Random) -> Any:
    """A byte-level BPE `tokenizers.Tokenizer` learned from samples of the corpus."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    texts = ("".join(nano_data.draw_sample(corpus, rng)) for _ in range(TOKENIZER_SAMPLES))
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=["<pad>", "<eos>"],
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )
    return tokenizer


def new_model() -> Any:
    """The untrained `LlamaForCausalLM`, in float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            intermediate_size=FEED_FORWARD,
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=True,
            initializer_range=0.02,
            attn_implementation="sdpa",
            pad_token_id=PAD,
            eos_token_id=EOS,
            bos_token_id=None,
        )
    )


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the Hugging Face folder aside and rename it to `folder`; a folder that came up
    meanwhile is left as it is."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
    with made_aside(folder) as aside:
        with no_progress_bar():
            model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing its own bar on standard error."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


# ----------------------------------------------------------------------------------------- training


def batches(corpus: nano_data.Corpus, tokenizer: Any, rng: random.Random) -> Iterator[list[Pair]]:
    """Endless batches of samples of similar length, in random order, of about BATCH_TOKENS each."""
    while True:
        samples: list[Pair] = []
        while len(samples) < BUCKETED:
            prompt, completion = nano_data.draw_sample(corpus, rng)
            pair = tokenizer.encode(prompt).ids, tokenizer.encode(completion).ids + [EOS]
            if length(pair) <= MAX_SAMPLE:
                samples.append(pair)
        bucketed: list[list[Pair]] = [[]]
        for pair in sorted(samples, key=length):
            if (len(bucketed[-1]) + 1) * length(pair) > BATCH_TOKENS:
                bucketed.append([])
            bucketed[-1].append(pair)
        rng.shuffle(bucketed)
        yield from bucketed


def length(pair: Pair) -> int:
    return len(pair[0]) + len(pair[1])


def train(
    model: Any, stream: Iterator[list[Pair]], steps: int, on_step: Callable[[int], None]
) -> None:
    """Pretrain `model` in place for `steps` optimiser steps."""
    import torch

    model.train()
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    momenta = [torch.zeros_like(p) for p in matrices]
    adam = torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.95), weight_decay=0.0)
    for step in range(steps):
        scale = learning_rate_scale(step, steps)
        weighted_loss(model, *padded(next(stream))).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon_step(matrices, momenta, MUON_LR * scale)
        adam.param_groups[0]["lr"] = ADAM_LR * scale
        adam.step()
        model.zero_grad()
        on_step(step + 1)
    model.eval()


def learning_rate_scale(step: int, steps: int) -> float:
    done = step / steps
    decay = 1.0 if done < DECAY_FROM else max(0.02, 1 - (done - DECAY_FROM) / (1 - DECAY_FROM))
    return min(1.0, (step + 1) / WARMUP) * decay


def padded(pairs: list[Pair]) -> tuple[Any, Any]:
    """(token ids [batch, length], weight of each as a target [batch, length])"""
    import torch

    longest = max(map(length, pairs))
    ids = torch.full((len(pairs), longest), PAD)
    weights = torch.zeros(len(pairs), longest)
    for row, (prompt, completion) in enumerate(pairs):
        ids[row, : len(prompt) + len(completion)] = torch.tensor(prompt + completion)
        weights[row, : len(prompt)] = PROMPT_WEIGHT
        weights[row, len(prompt) : len(prompt) + len(completion)] = 1.0
    return ids, weights


def weighted_loss(model: Any, ids: Any, weights: Any) -> Any:
    """Weighted mean cross-entropy, nats; the head is applied only where there is a target."""
    import torch

    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    targets, weights = ids[:, 1:], weights[:, 1:]
    scored = weights > 0
    losses = torch.nn.functional.cross_entropy(
        model.lm_head(hidden[scored]), targets[scored], reduction="none"
    )
    return (losses * weights[scored]).sum() / weights.sum()


def muon_step(
    matrices: list, momenta: list, lr: float, momentum: float = 0.95, weight_decay: float = 0.01
) -> None:
    """One step of Muon (Jordan et al. 2024): Nesterov momentum, orthogonalised; all in float32.

    Updates of the same shape are orthogonalised together. The factor 0.2 * sqrt(larger side) gives
    an update the size that one of AdamW has (Liu et al. 2025, arXiv:2502.16982).
    """
    import torch

    with torch.no_grad():
        by_shape: dict[tuple[int, ...], list[tuple]] = {}
        for matrix, average in zip(matrices, momenta):
            average.lerp_(matrix.grad, 1 - momentum)
            update = matrix.grad.lerp(average, momentum)
            by_shape.setdefault(tuple(update.shape), []).append((matrix, update))
        for shape, members in by_shape.items():
            updates = orthogonalised(torch.stack([update for _, update in members]))
            for (matrix, _), update in zip(members, updates):
                matrix.mul_(1 - lr * weight_decay)
                matrix.add_(update, alpha=-lr * 0.2 * max(shape) ** 0.5)


def orthogonalised(updates: Any) -> Any:
    """Newton-Schulz iteration (five quintic steps): [n, rows, columns] -> the same with singular
    values near 1."""
    import torch

    tall = updates.shape[1] > updates.shape[2]
    x = updates.mT if tall else updates
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(
            x, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445
        )
    return x.mT if tall else x
