"""What a file is called by who imports it. Standard library only, Python >= 3.9."""

from __future__ import annotations

import os


def module_name(path: str, search: list[str]) -> str:
    """The dotted name under which `path` is imported: below the longest folder of the search path
    that is no package."""
    stem = path[:-3]
    if os.path.basename(stem) == "__init__":
        stem = os.path.dirname(stem)
    for folder in sorted(
        (f for f in search if stem.startswith(f.rstrip("/") + "/")), key=len, reverse=True
    ):
        if not os.path.exists(os.path.join(folder, "__init__.py")):
            return os.path.relpath(stem, folder).replace(os.sep, ".")
    raise ImportError("%s is not below the search path %s" % (path, search))
