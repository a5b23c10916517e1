"""Whether unsloth loads the student, and unsloth with what must be said before it is imported.

uses_unsloth(recipe.student.loader)
unsloth = import_unsloth()         # before transformers, which it patches

It writes modules that it generates, and imports them, by a path that is relative to the working
directory unless it is told another one (unsloth_zoo/compiler.py): in the repository of whoever
calls this program it would write, and a folder of that name there would be imported outside the
jail.
"""

import importlib.util
import os
from typing import Any

from recipes.settings import LOADERS
from sandbox.errors import UsageError

_, UNSLOTH, TRANSFORMERS = LOADERS

SETTINGS = (
    "UNSLOTH_COMPILE_LOCATION",
    "UNSLOTH_DISABLE_STATISTICS",
    "UNSLOTH_RETURN_HIDDEN_STATES",
)


def settings() -> dict[str, str]:
    """{environment variable: value}, whatever the environment says."""
    from sandbox.cache import cache_folder

    folder = cache_folder().absolute() / "unsloth"
    values = (str(folder), "1", "1")  # hidden states: see `Policy.forward`
    return dict(zip(SETTINGS, values))


def import_unsloth() -> Any:
    """The module."""
    os.environ.update(settings())
    import unsloth

    return unsloth


def uses_unsloth(loader: str) -> bool:
    """Whether unsloth loads: on a card, where it is installed and not forbidden. Raises UsageError
    where it is asked for and cannot."""
    import torch

    card, there = torch.cuda.is_available(), importlib.util.find_spec("unsloth") is not None
    if loader == UNSLOTH and not (card and there):
        missing = "is not installed" if card else "needs a CUDA card, and there is none"
        raise UsageError(f'student.loader is "unsloth", which {missing}. "auto" does without it.')
    return card and there and loader != TRANSFORMERS
