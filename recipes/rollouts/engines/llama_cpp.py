"""`llama.cpp`: a copy of the student as GGUF (`recipes/rollouts/gguf.py`), sampled by llama.cpp
(`recipes/rollouts/llama_engine.py`)."""

from pathlib import Path

from recipes.events import OnProgress
from recipes.learning.shape import Shape
from recipes.learning.weights import SMALL
from recipes.rollouts.engine import Engine
from recipes.rollouts.engine_kind import EngineKind, EngineMemory, TrainedStudent
from recipes.rollouts.gguf import export_base, unsupported
from recipes.rollouts.gguf_vocabulary import vocabulary_note
from recipes.settings import Recipe

COPY, CACHE = "llama.cpp's copy", "its cache and buffers"


def obstacle(student: TrainedStudent, recipe: Recipe) -> str:
    """A model that is not exported to GGUF."""
    return unsupported(student, recipe.student.longest)


def wrong_build(cuda: bool) -> str:
    """llama.cpp without CUDA beside a card."""
    if cuda:
        from llama_cpp import llama_cpp

        if not llama_cpp.llama_supports_gpu_offload():
            return (
                "llama-cpp-python was built without CUDA (`python coldstart.py doctor` has the "
                "command that builds it for the card)"
            )
    return ""


def memory(shape: Shape, recipe: Recipe, cuda: bool) -> EngineMemory:
    """The weights once more, and llama.cpp's key/value cache and what it computes in."""
    return EngineMemory(
        {COPY: _copy(shape, cuda), CACHE: _cache(shape, recipe.student.longest, cuda)}
    )


def open_engine(
    student: TrainedStudent, recipe: Recipe, folder: Path, on_progress: OnProgress | None = None
) -> Engine:
    """Exports the base to `folder`, where it is not there yet. Raises UsageError where it cannot
    sample episodes of several turns, which the recipe asks for."""
    # Not before it is chosen: it loads a library of C++.
    from recipes.rollouts.llama_engine import LlamaEngine, fastest_matrices

    base = export_base(student, folder, on_progress, fastest_matrices(student.device.type))
    engine = LlamaEngine(student, base, recipe.student.longest, recipe.student.threads)
    if recipe.student.turns > 1:
        engine.require_turns()
    return engine


def notes(student: TrainedStudent) -> list[str]:
    """That its file holds no vocabulary."""
    return [note] if (note := vocabulary_note(student)) else []


def _copy(shape: Shape, cuda: bool) -> int:
    """llama.cpp's weights, as `gguf.py` writes them."""
    from recipes.rollouts.llama_engine import fastest_matrices

    eight_bits = 34 / 32  # Q8_0: 32 weights and a scale
    if shape.parameters < SMALL:
        return 2 * shape.parameters
    return int(
        shape.inside * (2 if fastest_matrices("cuda" if cuda else "cpu") == "BF16" else eight_bits)
        + shape.tables * eight_bits
    )


def _cache(shape: Shape, longest: int, cuda: bool) -> int:
    """What llama.cpp takes beside the weights: keys and values in 16 bits, the logits it hands out,
    and the buffer that a batch is computed in: three vectors of the inner width and four of the
    hidden one a token, or one score a head where it has no flash attention, and a mask over all
    cells (as it says itself when it starts; `tests/test_memory.py`)."""
    from recipes.rollouts import llama_engine

    device = "cuda" if cuda else "cpu"
    cells = llama_engine.room(shape.cached_values, device, longest)
    flash = 4 * (3 * shape.inner + 4 * shape.hidden) + 2 * cells
    plain = 4 * (shape.heads + 1) * cells + 4 * (shape.queries + 5 * shape.hidden)
    return (
        2 * shape.cached_values * cells
        + 4 * llama_engine.sequences(device) * shape.vocabulary
        + llama_engine.MICRO_BATCH[device] * (flash if cuda else plain)
    )


ENGINE = EngineKind(
    "llama.cpp",
    open_engine,
    memory,
    obstacle,
    wrong_build,
    notes,
    packages={"llama_cpp": "llama-cpp-python", "gguf": "gguf"},
    fits="its copy of the student, {size} with its cache, fits beside it",
    too_large="a copy for llama.cpp and its cache would take {size}, more than fits beside the "
    "student",
)
