"""Where the student that a recipe names lies on this machine.

    path = local_model(recipe.student.model, recipe.seed)      # what `Student.load` takes

`nano` is made on the spot and a GGUF file is converted, both once, in the cache; a folder and the
name of a model on the hub are what they are.
"""

from pathlib import Path

from recipes.events import OnProgress
from recipes.learning import gguf_student
from sandbox.cache import cache_folder, hold

NANO = "nano"


def is_made_here(model: str) -> bool:
    """Whether `local_model` may have to make something first, which takes a while."""
    return model == NANO or gguf_student.find(model) is not None


def local_model(model: str, seed: int, on_progress: OnProgress | None = None) -> str:
    """A folder, or the name of a model on the hub. Raises UsageError where a GGUF file is missing or
    cannot be a student."""
    if model == NANO:
        from recipes.nano.nano_student import make_student

        return str(make_student(nano_folder(seed).parent, seed, on_progress=on_progress))
    if file := gguf_student.find(model):
        return str(gguf_student.convert(file, _students(), on_progress))
    return model


def nano_folder(seed: int) -> Path:
    """Where the student that is made on the spot lies, or is to lie; held in the cache."""
    from recipes.nano.nano_student import STEPS, recipe_hash

    folder = _students() / f"nano-{recipe_hash(seed, STEPS)}"
    hold(folder)
    return folder


def _students() -> Path:
    return cache_folder() / "students"
