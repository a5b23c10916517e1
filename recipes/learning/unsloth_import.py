"""unsloth, with what must be said before it is imported.

unsloth = import_unsloth()         # before transformers, which it patches

It writes modules that it generates, and imports them, by a path that is relative to the working
directory unless it is told another one (unsloth_zoo/compiler.py): in the repository of whoever calls
this program it would write, and a folder of that name there would be imported outside the jail.
"""

import os
from typing import Any

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
