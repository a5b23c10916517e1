"""What memory a student needs, before it is loaded, and what to do when it was more.

    free = available(cuda=True)
    need = plan(config, recipe, cuda=True, free=free)
    micro_tokens = fitting_micro_tokens(need, free)
    print(in_words(need, micro_tokens, free))

The estimate comes from the model's configuration alone, for decoders built like Llama's (which all
supported ones are): 4-bit weights, the adapter with its gradient and optimiser, what a card's
libraries hold, llama.cpp's copy with its cache where that samples, and the larger of one forward
and backward pass and of the cache with which the training model samples where llama.cpp does not.
It was held against what autograd really keeps and llama.cpp says that it takes on the CPU
(`tests/test_memory.py`), and against no card. Where it is wrong, a step that runs out of memory
halves the micro-batch and is repeated (`Student.accumulate`), and so is a batch of rollouts
(`Student.sampling`).

Whether `rollout.engine = "auto"` takes llama.cpp is decided here, too, by the same numbers
(`plan`).

Sizes are in bytes.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from recipes.learning.logprobs import HEAD_LOGITS
from recipes.learning.weights import SMALL
from recipes.rollouts.model_engine import CACHE_BYTES, MAX_ROWS
from recipes.rollouts.rollout import cached_values, head_width, key_heads
from recipes.settings import Recipe

GIB = 1 << 30
MICRO_TOKENS = 4096
"""Padded tokens in one forward and backward pass, where memory allows: more are no faster."""
LEAST_MICRO_TOKENS = 64
"""Below this a smaller micro-batch saves nothing, for it is one completion already."""
CUDA_LIBRARIES = GIB * 3 // 4
"""The CUDA context, cuBLAS's workspace and the kernels, which no configuration tells."""
SLACK = 0.92
"""Share of the free memory that is planned with: the allocator cannot use all of it."""


@dataclass(frozen=True)
class Need:
    """What takes memory."""

    weights: int
    """4-bit linear layers; embedding, head and norms as they are."""
    adapter: int
    """LoRA matrices, their gradient and the optimiser's two moments."""
    libraries: int
    """What CUDA holds."""
    scratch: int
    """Logits and the largest layer's weights, unpacked for its product."""
    copy: int
    """The weights once more, for llama.cpp; 0 where the training model samples."""
    copy_cache: int
    """llama.cpp's key/value cache and what it computes in; 0 where the training model samples."""
    sampler: int
    """The key/value cache of a batch of rollouts of the training model, with its dense matrices if
    it is small and on the CPU; 0 where llama.cpp samples."""
    per_token: int
    """Of a forward and backward pass."""

    @property
    def fixed(self) -> int:
        """What is there at all times."""
        return (
            self.weights
            + self.adapter
            + self.libraries
            + self.scratch
            + self.copy
            + self.copy_cache
        )

    def total(self, micro_tokens: int) -> int:
        """The most at any time: sampling and learning take turns."""
        return self.fixed + max(self.sampler, self.per_token * micro_tokens)


def plan(config, recipe: Recipe, cuda: bool, free: int) -> Need:
    """The need of what the recipe loads into `free` bytes. llama.cpp is counted where it will
    sample: as `rollout.engine` says, and with `auto` where its packages are installed and all fits,
    a pass over the longest prompt and completion included."""
    engine = recipe.rollout.engine
    if engine == "model" or missing_package():
        return estimate(config, recipe, cuda)
    both = estimate(config, recipe, cuda, copy=True)
    fits = both.total(recipe.student.longest) <= SLACK * free
    return both if fits or engine == "llama.cpp" else estimate(config, recipe, cuda)


def missing_package() -> str:
    """The name of a package that llama.cpp needs and that is not installed; empty if all are."""
    packages = {"llama_cpp": "llama-cpp-python", "gguf": "gguf"}
    return next(
        (name for package, name in packages.items() if importlib.util.find_spec(package) is None),
        "",
    )


def estimate(config, recipe: Recipe, cuda: bool, copy: bool = False) -> Need:
    """The need of a model with this transformers configuration and of an adapter as in the recipe;
    `copy`: llama.cpp samples."""
    config, settings = config.get_text_config(), recipe.student
    hidden, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    width = head_width(config)
    queries = width * config.num_attention_heads
    keys = width * key_heads(config)
    linear = [
        (hidden, queries),
        (hidden, keys),
        (hidden, keys),
        (queries, hidden),
        (hidden, inner),
        (hidden, inner),
        (inner, hidden),
    ]
    number = 2 if cuda else 4  # bfloat16 on a card, float32 on the CPU
    scales = (
        1 / 64 + 4 / (64 * 256) if cuda else 4 / 64
    )  # of blocks of 64 weights, themselves quantised on a card
    tables = (
        config.vocab_size * hidden * (1 if getattr(config, "tie_word_embeddings", False) else 2)
    )
    adapter = layers * settings.lora_rank * sum(map(sum, linear))
    # One layer keeps the inputs of its linear layers and of its norms, the attention's queries,
    # keys, values and result, and four vectors of the inner width; its backward pass makes as much
    # again for a moment.
    layer = number * (4 * hidden + 3 * queries + 4 * keys + 4 * inner)
    kept = (
        layers * number * hidden + 2 * layer if cuda else (layers + 1) * layer
    )  # on a card all but one are recomputed
    inside = layers * sum(a * b for a, b in linear)  # weights of the linear layers
    longest, group = settings.longest, max(recipe.climb.group_size, recipe.probe.k)
    cached = cached_values(config)  # values of one token
    # The rows of one group share a batch even where they pass the limit.
    sampled = max(min(CACHE_BYTES // (cached * number), MAX_ROWS * longest), group * longest)
    # A small student's matrices as `dense_decoder` makes and joins them.
    dense = 0 if cuda or inside + tables >= SMALL else 4 * (2 * inside + config.vocab_size * hidden)
    return Need(
        weights=int(inside * (0.5 + scales)) + (tables + (2 * layers + 1) * hidden) * number,
        adapter=adapter * (4 + 4 + (2 if cuda else 8)),
        libraries=CUDA_LIBRARIES if cuda else 0,
        scratch=max(a * b for a, b in linear) * number
        + 3 * 4 * max(config.vocab_size, min(HEAD_LOGITS, MICRO_TOKENS * config.vocab_size)),
        copy=_llama_copy(inside, tables, cuda) if copy else 0,
        copy_cache=_llama_cache(config, longest, inner, queries, cuda) if copy else 0,
        sampler=0 if copy else sampled * cached * number + dense,
        per_token=kept + cached * (number + 8),
    )  # a shared prompt's keys and values, cut off, and their gradient


def _llama_copy(inside: int, tables: int, cuda: bool) -> int:
    """llama.cpp's weights, as `gguf.py` writes them."""
    from recipes.rollouts.llama_engine import fastest_matrices

    eight_bits = 34 / 32  # Q8_0: 32 weights and a scale
    if inside + tables < SMALL:
        return 2 * (inside + tables)
    return int(
        inside * (2 if fastest_matrices("cuda" if cuda else "cpu") == "BF16" else eight_bits)
        + tables * eight_bits
    )


def _llama_cache(config, longest: int, inner: int, queries: int, cuda: bool) -> int:
    """What llama.cpp takes beside the weights: keys and values in 16 bits, the logits it hands out,
    and the buffer that a batch is computed in: three vectors of the inner width and four of the
    hidden one a token, or one score a head where it has no flash attention, and a mask over all
    cells (as it says itself when it starts; `tests/test_memory.py`)."""
    from recipes.rollouts import llama_engine

    device = "cuda" if cuda else "cpu"
    cells, outputs = llama_engine.room(config, device, longest), llama_engine.sequences(device)
    flash = 4 * (3 * inner + 4 * config.hidden_size) + 2 * cells
    plain = 4 * (config.num_attention_heads + 1) * cells + 4 * (queries + 5 * config.hidden_size)
    return (
        2 * cached_values(config) * cells
        + 4 * outputs * config.vocab_size
        + llama_engine.MICRO_BATCH[device] * (flash if cuda else plain)
    )


def available(cuda: bool) -> int:
    """Free memory, bytes: of the card, as far as this process may use it, or of the machine and of
    the control group that this process lives in."""
    if not cuda:
        lines = dict(
            line.split(":", 1)
            for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        )
        free = int(lines["MemAvailable"].split()[0]) * 1024
        most, now = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
        if most.is_file() and (limit := most.read_text(encoding="ascii").strip()) != "max":
            free = min(free, int(limit) - int(now.read_text(encoding="ascii")))
        return max(free, 0)
    import torch

    free, total = torch.cuda.mem_get_info()
    return min(free, int(total * torch.cuda.get_per_process_memory_fraction()))


def fitting_micro_tokens(need: Need, free: int) -> int:
    """The largest micro-batch, in padded tokens, whose pass fits beside everything else: a power of
    two, at most MICRO_TOKENS."""
    tokens = MICRO_TOKENS
    while tokens > LEAST_MICRO_TOKENS and need.fixed + need.per_token * tokens > SLACK * free:
        tokens //= 2
    return tokens


def in_words(need: Need, micro_tokens: int, free: int) -> str:
    """The estimate, for a person."""
    parts = {
        "4-bit weights": need.weights,
        "adapter and optimiser": need.adapter,
        "CUDA": need.libraries,
        "logits and unpacked weights": need.scratch,
        "llama.cpp's copy": need.copy,
        "its cache and buffers": need.copy_cache,
        f"a pass of {micro_tokens} tokens": need.per_token * micro_tokens,
        "or, for sampling,": need.sampler,
    }
    said = (
        f"The student will need about {gib(need.total(micro_tokens))} of memory, of {gib(free)} "
        "that are free (estimated: "
        + ", ".join(f"{name} {gib(size)}" for name, size in parts.items() if size)
        + ")."
    )
    if need.total(micro_tokens) > free:
        said += (
            " That may be too much: choose a recipe for a smaller card, or lower "
            "student.max_prompt."
        )
    return said


def gib(size: int) -> str:
    """`1.5 GiB`, or `300 MiB`."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 20 else f"{max(1, size >> 20)} MiB"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is torch's, CUDA's or the CPU allocator's way of saying that there is no memory
    left."""
    import torch

    text = str(error)
    return (
        isinstance(error, (torch.OutOfMemoryError, MemoryError))
        or isinstance(error, RuntimeError)
        and any(
            sign in text
            for sign in ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
        )
    )
