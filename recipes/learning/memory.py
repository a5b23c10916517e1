"""What memory a student needs, before it is loaded.

    free = available(cuda=True)
    need = plan(config, recipe, cuda=True, free=free)
    micro_tokens = fitting_micro_tokens(need, free)
    print(in_words(need, micro_tokens, free))

The estimate comes from the model's configuration alone, for decoders built like Llama's (which all
supported ones are): 4-bit weights, the adapter with its gradient and optimiser, what a card's
libraries hold, what the engine holds that samples, and the larger of one forward and backward pass
and of what the engine takes while it samples (`recipes/rollouts/engines`). It was held against what
autograd really keeps and llama.cpp says that it takes on the CPU (`tests/test_memory.py`), and
against no card. Where it is wrong, a step that runs out of memory halves the micro-batch and is
repeated, and so is a batch of rollouts (`limits.py`).

Whether `rollout.engine = "auto"` takes llama.cpp is decided here, too, by the same numbers
(`plan`).

Sizes are in bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.learning.head import HEAD_LOGITS
from recipes.learning.limits import LEAST_MICRO_TOKENS
from recipes.learning.shape import Shape
from recipes.rollouts.engine_kind import FALLBACK, EngineMemory, engine_kind
from recipes.rollouts.engines import AUTO, ENGINES
from recipes.settings import Recipe

GIB = 1 << 30
MICRO_TOKENS = 4096
"""Padded tokens in one forward and backward pass, where memory allows: more are no faster."""
CUDA_LIBRARIES = GIB * 3 // 4
"""The CUDA context, cuBLAS's workspace and the kernels, which no configuration tells."""
CPU_LIBRARIES = GIB * 2 // 5
"""torch, transformers, PEFT and llama.cpp as they are imported, seen on the CPU."""
CPU_PASS = 2 * GIB
"""Bytes that a forward and backward pass may keep on the CPU. No more than this, however much is
free: sums depend on how a batch is cut, so the same seed gives the same bytes on any machine."""
CPU_HEAP = 2.5
"""Bytes that the C library's heap takes from the system for each byte that a pass keeps on the CPU:
what is freed between two tensors that are kept is seldom large enough for the next one (SmolLM2,
4 x 298 tokens: 3.6 GiB for 1.3). Memory that is asked of the system tensor by tensor
(MALLOC_MMAP_THRESHOLD_) has no such gaps, and a pass takes half as long again."""
SLACK = 0.92
"""Share of the free memory that is planned with: the allocator cannot use all of it."""


@dataclass(frozen=True)
class MemoryEstimate:
    """What takes memory, bytes."""

    weights: int
    """Linear layers, in 4 bits or unpacked; embedding, head and norms as they are."""
    adapter: int
    """LoRA matrices, their gradient and the optimiser's two moments."""
    libraries: int
    """What CUDA holds."""
    scratch: int
    """Logits and the largest layer's weights, unpacked for its product."""
    engine: EngineMemory
    """What samples."""
    per_token: int
    """That a forward and backward pass keeps."""
    heap: float = 1.0
    """Bytes that the allocator takes for each of these."""

    @property
    def fixed(self) -> int:
        """What is there at all times."""
        return (
            self.weights
            + self.adapter
            + self.libraries
            + self.scratch
            + sum(self.engine.held.values())
        )

    def total(self, micro_tokens: int) -> int:
        """The most at any time: sampling and learning take turns."""
        return self.fixed + max(self.engine.sampling, self.passing(micro_tokens))

    def passing(self, micro_tokens: int) -> int:
        """What a forward and backward pass takes. One that keeps more than CPU_PASS has tensors of
        more than 32 MiB, which are asked of the system one by one and leave no gaps."""
        kept = self.per_token * micro_tokens
        return kept + int((self.heap - 1) * min(kept, CPU_PASS))

    def fits(self, longest: int, free: int) -> bool:
        """Whether there is room for all of it and a pass over the longest prompt and completion,
        tokens."""
        return self.total(longest) <= SLACK * free


def plan(config: Any, recipe: Recipe, cuda: bool, free: int) -> MemoryEstimate:
    """The estimate for what the recipe loads into `free` bytes, with the engine that will sample:
    as `rollout.engine` says, and with `auto` the first whose packages are installed and that fits.
    """
    wanted = list(ENGINES) if recipe.rollout.engine == AUTO else [recipe.rollout.engine]
    there = [
        name
        for name in wanted
        if not engine_kind(name).missing_package() and not engine_kind(name).wrong_build(cuda)
    ] or [FALLBACK]
    for name in there:
        found = estimate(config, recipe, cuda, name)
        if found.fits(recipe.student.longest, free):
            break
    return found


def estimate(config: Any, recipe: Recipe, cuda: bool, engine: str = FALLBACK) -> MemoryEstimate:
    """The estimate for a model with this transformers configuration, an adapter as in the recipe,
    and the engine of this name."""
    shape, settings = Shape.of(config), recipe.student
    hidden, layers, queries, keys = shape.hidden, shape.layers, shape.queries, shape.keys
    number = 2 if cuda else 4  # bfloat16 on a card, float32 on the CPU
    # Of blocks of 64 weights, themselves quantised on a card.
    scales = 1 / 64 + 4 / (64 * 256) if cuda else 4 / 64
    adapter = layers * settings.lora_rank * sum(map(sum, shape.linear))
    # One layer keeps the inputs of its linear layers and of its norms, the attention's queries,
    # keys, values and result, and four vectors of the inner width; its backward pass makes as much
    # again for a moment.
    layer = number * (4 * hidden + 3 * queries + 4 * keys + 4 * shape.inner)
    # On a card all but one are recomputed.
    kept = layers * number * hidden + 2 * layer if cuda else (layers + 1) * layer
    return MemoryEstimate(
        weights=int(shape.inside * (4 if shape.is_kept_unpacked(cuda) else 0.5 + scales))
        + (shape.tables + (2 * layers + 1) * hidden) * number,
        adapter=adapter * (4 + 4 + (2 if cuda else 8)),
        libraries=CUDA_LIBRARIES if cuda else CPU_LIBRARIES,
        scratch=max(a * b for a, b in shape.linear) * number
        + 3 * 4 * max(shape.vocabulary, min(HEAD_LOGITS, MICRO_TOKENS * shape.vocabulary)),
        engine=engine_kind(engine).memory(shape, recipe, cuda),
        # A shared prompt's keys and values, cut off, and their gradient.
        per_token=kept + shape.cached_values * (number + 8),
        heap=1.0 if cuda else CPU_HEAP,
    )


def micro_tokens_on_the_cpu(need: MemoryEstimate) -> int:
    """Padded tokens in one forward and backward pass: it never depends on what else runs."""
    return max(LEAST_MICRO_TOKENS, min(MICRO_TOKENS, CPU_PASS // need.per_token))


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


def fitting_micro_tokens(need: MemoryEstimate, free: int) -> int:
    """The largest micro-batch, in padded tokens, whose pass fits beside everything else: a power of
    two, at most MICRO_TOKENS."""
    tokens = MICRO_TOKENS
    while tokens > LEAST_MICRO_TOKENS and need.fixed + need.passing(tokens) > SLACK * free:
        tokens //= 2
    return tokens


def in_words(need: MemoryEstimate, micro_tokens: int, free: int) -> str:
    """The estimate, for a person."""
    parts = {
        "weights": need.weights,
        "adapter and optimiser": need.adapter,
        "libraries": need.libraries,
        "logits and unpacked weights": need.scratch,
        **need.engine.held,
        f"a pass of {micro_tokens} tokens": need.passing(micro_tokens),
        "or, for sampling,": need.engine.sampling,
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
