"""Where the student that a recipe names lies on this machine.

    path = local_model(recipe.student.model, recipe.seed)      # what `Student.load` takes

`nano` and `nano-fim` are made on the spot and a GGUF file is converted, each once, in the cache; a
folder and the name of a model on the hub are what they are.
"""

from pathlib import Path

from recipes.events import OnProgress
from recipes.learning import gguf_student
from sandbox.cache import cache_folder, hold

NANO, NANO_FIM = "nano", "nano-fim"
MADE = (NANO, NANO_FIM)
"""Students that are made on the spot; the second one fills in the middle."""


def is_made_here(model: str) -> bool:
    """Whether `local_model` may have to make something first, which takes a while."""
    return model in MADE or gguf_student.find(model) is not None


def local_model(model: str, seed: int, on_progress: OnProgress | None = None) -> str:
    """A folder, or the name of a model on the hub. Raises UsageError where a GGUF file is missing
    or cannot be a student."""
    if model in MADE:
        from recipes.nano import fim_student, nano_student

        made = (fim_student if model == NANO_FIM else nano_student).make_student
        return str(made(made_folder(model, seed).parent, seed, on_progress=on_progress))
    if file := gguf_student.find(model):
        return str(gguf_student.convert(file, _students(), on_progress))
    return model


def made_folder(model: str, seed: int) -> Path:
    """Where a student of MADE lies, or is to lie; held in the cache."""
    from recipes.nano import fim_student, nano_student

    maker = fim_student if model == NANO_FIM else nano_student
    folder = _students() / f"{model}-{maker.recipe_hash(seed, maker.STEPS)}"
    hold(folder)
    return folder


def _students() -> Path:
    return cache_folder() / "students"
