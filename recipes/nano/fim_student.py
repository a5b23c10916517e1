"""The nano student that fills in the middle: made on the spot like `nano_student.py`'s, of the same
material and by the same training, for runs with `prompt.style = "fim"`.

    folder = make_student(cache)                  # an ordinary Hugging Face folder

It reads files: a function of the library or a fragment made one, with other such functions above and
below it, of which the nearest lines are left, as a prompt within a budget has them. The body of the
function is the middle (the lines below are one text):

    <|fim_prefix|>    return 1\\n\\n\\ndef double(n):\\n    \"\"\"n mul 2\"\"\"\\n
    <|fim_suffix|>\\n\\n\\ndef ...
    <|fim_middle|>    return n * 2<eos>

Text is split as llama.cpp's `smollm` does, so that other programs make the same tokens of it. A file
is two to three times as long as a prompt of the plain nano student, so it takes more steps for as
many of them.
"""

import hashlib
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from recipes.learning.fim import PIPED
from recipes.nano import nano_data, nano_student
from recipes.nano.nano_student import Pair, Progress, length

STEPS = 1400
MAX_SAMPLE = 160
"""Tokens of a file that is learned, at most."""
MAX_LINES = 8
"""Lines above the function, and below it, at most."""


def make_student(
    cache_dir: Path, seed: int = 0, on_progress: Progress | None = None, steps: int = STEPS
) -> Path:
    """The folder `cache_dir/nano-fim-<hash>`, made if it is not there yet. All else as of
    `nano_student.make_student`."""
    folder = Path(cache_dir) / f"nano-fim-{recipe_hash(seed, steps)}"
    if folder.is_dir():
        return folder
    report = on_progress or (lambda what, done, total: None)
    corpus = nano_data.read_standard_library(
        lambda done, total: report("reading the standard library", done, total)
    )
    with nano_student.reproducible_torch(seed):
        report("tokenizer", 0, 1)
        tokenizer = train_tokenizer(corpus, random.Random(f"fim tokenizer {seed}"))
        report("tokenizer", 1, 1)
        model = nano_student.new_model()
        stream = batches(corpus, tokenizer, random.Random(f"fim samples {seed}"))
        nano_student.train(model, stream, steps, lambda done: report("training", done, steps))
    nano_student.save(model, tokenizer, folder)
    return folder


def recipe_hash(seed: int, steps: int) -> str:
    """Twelve hex digits over everything that made a student."""
    own = Path(__file__).read_text(encoding="utf-8")
    made_of = "\0".join([own, *PIPED, nano_student.recipe_hash(seed, steps)])
    return hashlib.sha256(made_of.encode()).hexdigest()[:12]


def train_tokenizer(corpus: nano_data.Corpus, rng: random.Random) -> Any:
    """A byte-level BPE `tokenizers.Tokenizer` with the tokens to fill in the middle."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    samples = (nano_data.draw_sample(corpus, rng) for _ in range(nano_student.TOKENIZER_SAMPLES))
    tokenizer.train_from_iterator(
        (f"{prompt}{completion}\n\n" for prompt, completion in samples),
        trainers.BpeTrainer(
            vocab_size=nano_student.VOCABULARY,
            special_tokens=["<pad>", "<eos>", *PIPED],
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )
    return tokenizer


def batches(corpus: nano_data.Corpus, tokenizer: Any, rng: random.Random) -> Iterator[list[Pair]]:
    """Endless batches of files of similar length, in random order, of about BATCH_TOKENS each."""
    stream = pairs(corpus, tokenizer, rng)
    while True:
        some = sorted(islice(stream, nano_student.BUCKETED), key=length)
        batch = max(1, nano_student.BATCH_TOKENS // length(some[len(some) // 2]))
        starts = list(range(0, len(some), batch))
        rng.shuffle(starts)
        yield from (some[start : start + batch] for start in starts)


def pairs(corpus: nano_data.Corpus, tokenizer: Any, rng: random.Random) -> Iterator[Pair]:
    """Endless (ids up to where the middle begins, ids of the middle with the end token)."""
    marks = [tokenizer.token_to_id(text) for text in PIPED]
    while True:
        prefix, suffix, middle = draw_file(corpus, rng)
        before, behind, inside = (tokenizer.encode(t).ids for t in (prefix, suffix, middle))
        prompt = [marks[0], *before, marks[1], *behind, marks[2]]
        pair = prompt, [*inside, nano_student.EOS]
        if length(pair) <= MAX_SAMPLE:
            yield pair


def draw_file(corpus: nano_data.Corpus, rng: random.Random) -> tuple[str, str, str]:
    """(prefix, suffix, middle) of a file with a function in the middle."""
    head, body = nano_data.draw_sample(corpus, rng)
    above, below = ("".join(nano_data.draw_sample(corpus, rng)) for _ in range(2))
    lines = f"{above}\n\n".splitlines(keepends=True)
    before = "".join(lines[len(lines) - min(rng.randint(0, MAX_LINES), len(lines)) :])
    behind = "".join(f"\n\n{below}".splitlines(keepends=True)[: rng.randint(0, MAX_LINES)])
    return before + head, f"\n{behind}", body.rstrip("\n")
