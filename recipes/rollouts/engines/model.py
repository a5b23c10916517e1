"""`model`: the training model samples itself (`recipes/rollouts/model_engine.py`)."""

from pathlib import Path

from recipes.events import OnProgress
from recipes.learning.shape import Shape
from recipes.learning.weights import SMALL
from recipes.rollouts.engine_kind import EngineKind, EngineMemory, TrainedStudent
from recipes.rollouts.model_engine import CACHE_BYTES, MAX_ROWS, ModelEngine
from recipes.settings import Recipe


def memory(shape: Shape, recipe: Recipe, cuda: bool) -> EngineMemory:
    """The key/value cache of a batch of rollouts, with the dense matrices of a student that is
    small and on the CPU."""
    longest, group = recipe.student.longest, max(recipe.climb.group_size, recipe.probe.k)
    per_token = shape.cached_values * (2 if cuda else 4)
    # The rows of one group share a batch even where they pass the limit.
    sampled = max(min(CACHE_BYTES // per_token, MAX_ROWS * longest), group * longest)
    dense = 0
    if not cuda and shape.parameters < SMALL:  # as `dense_decoder` makes and joins them
        dense = 4 * (2 * shape.inside + shape.vocabulary * shape.hidden)
    return EngineMemory(sampling=sampled * per_token + dense)


def open_engine(
    student: TrainedStudent, recipe: Recipe, folder: Path, on_progress: OnProgress | None = None
) -> ModelEngine:
    """Nothing is made for it."""
    return ModelEngine(student)


ENGINE = EngineKind("the training model itself", open_engine, memory)
