"""What memory a student needs, before it is loaded, and what to do when it was more.

    need = estimate(config, recipe.student, cuda=True)
    micro_tokens = fitting_micro_tokens(need, available(cuda=True))
    print(in_words(need, micro_tokens, available(cuda=True)))

The estimate comes from the model's configuration alone, for decoders built like Llama's (which all supported ones are): 4-bit
weights, the adapter with its gradient and optimiser, what a card's libraries hold, and the larger of the sampler's cache and
of one forward and backward pass. It was held against what autograd really keeps on the CPU (`tests/test_memory.py`), and
against no card. Where it is wrong, a step that runs out of memory halves the micro-batch and is repeated (`Student.accumulate`).

Sizes are in bytes.
"""
from dataclasses import dataclass

from recipes import StudentSettings
from recipes.logprobs import HEAD_LOGITS
from recipes.model_engine import CACHE_BYTES, MAX_ROWS

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
    sampler: int
    """The key/value cache of a batch of rollouts."""
    per_token: int
    """Of a forward and backward pass."""

    @property
    def fixed(self) -> int:
        """What is there at all times."""
        return self.weights + self.adapter + self.libraries + self.scratch

    def total(self, micro_tokens: int) -> int:
        """The most at any time: sampling and learning take turns."""
        return self.fixed + max(self.sampler, self.per_token * micro_tokens)


def estimate(config, settings: StudentSettings, cuda: bool) -> Need:
    """The need of a model with this transformers configuration, and of an adapter as in `settings`."""
    config = config.get_text_config()
    hidden, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    width = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    queries = width * config.num_attention_heads
    keys = width * (getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    linear = [(hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden), (hidden, inner), (hidden, inner), (inner, hidden)]
    number = 2 if cuda else 4                                    # bfloat16 on a card, float32 on the CPU
    scales = 1 / 64 + 4 / (64 * 256) if cuda else 4 / 64         # of blocks of 64 weights, themselves quantised on a card
    tables = config.vocab_size * hidden * (1 if getattr(config, "tie_word_embeddings", False) else 2)
    adapter = layers * settings.lora_rank * sum(map(sum, linear))
    # One layer keeps the inputs of its linear layers and of its norms, the attention's queries, keys, values and result, and
    # four vectors of the inner width; its backward pass makes as much again for a moment.
    layer = number * (4 * hidden + 3 * queries + 4 * keys + 4 * inner)
    kept = layers * number * hidden + 2 * layer if cuda else (layers + 1) * layer   # on a card all but one are recomputed
    cache = layers * 2 * keys * (number + 8)                     # a shared prompt's keys and values, cut off, and their gradient
    return Need(
        weights=int(layers * sum(a * b for a, b in linear) * (0.5 + scales)) + (tables + (2 * layers + 1) * hidden) * number,
        adapter=adapter * (4 + 4 + (2 if cuda else 8)),
        libraries=CUDA_LIBRARIES if cuda else 0,
        scratch=max(a * b for a, b in linear) * number + 3 * 4 * max(config.vocab_size, min(HEAD_LOGITS, MICRO_TOKENS * config.vocab_size)),
        sampler=min(CACHE_BYTES, MAX_ROWS * layers * 2 * keys * number * settings.longest),
        per_token=kept + cache)


def available(cuda: bool) -> int:
    """Free memory of the card (as far as this process may use it), or of the machine."""
    if not cuda:
        with open("/proc/meminfo", encoding="ascii") as facts:
            return next(int(line.split()[1]) * 1024 for line in facts if line.startswith("MemAvailable"))
    import torch

    free, total = torch.cuda.mem_get_info()
    return min(free, int(total * torch.cuda.get_per_process_memory_fraction()))


def fitting_micro_tokens(need: Need, free: int) -> int:
    """The largest micro-batch, in padded tokens, whose pass fits beside everything else: a power of two, at most MICRO_TOKENS."""
    tokens = MICRO_TOKENS
    while tokens > LEAST_MICRO_TOKENS and need.fixed + need.per_token * tokens > SLACK * free:
        tokens //= 2
    return tokens


def in_words(need: Need, micro_tokens: int, free: int) -> str:
    """The estimate, for a person."""
    parts = {"4-bit weights": need.weights, "adapter and optimiser": need.adapter, "CUDA": need.libraries,
             "logits and unpacked weights": need.scratch, f"a pass of {micro_tokens} tokens": need.per_token * micro_tokens,
             "or, while sampling, its cache": need.sampler}
    said = (f"The student will need about {_gib(need.total(micro_tokens))} of memory, of {_gib(free)} that are free (estimated: "
            + ", ".join(f"{name} {_gib(size)}" for name, size in parts.items() if size) + ").")
    if need.total(micro_tokens) > free:
        said += " That may be too much: choose a recipe for a smaller card, or lower student.max_prompt."
    return said


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 20 else f"{max(1, size >> 20)} MiB"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is torch's, CUDA's or the CPU allocator's way of saying that there is no memory left."""
    import torch

    text = str(error)
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or isinstance(error, RuntimeError) and any(
        sign in text for sign in ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED"))
