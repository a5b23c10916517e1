"""What run.json holds, checked; and an error of the disk in words.

content = read_content(folder)
with disk_errors(folder): ...  # something is written there
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recipes.runfolder.places import MORE
from recipes.settings import Recipe, from_dict
from sandbox.errors import UsageError
from sandbox.repo import Repository

FILE = "run.json"
FORMAT = 1
"""Version of the folder's layout; a run of another version is refused."""
KINDS = {"done": list, "seconds": dict, "checkpoints": dict}


def refuse_taken(folder: Path) -> None:
    """Raises UsageError where the folder cannot become a new run's."""
    # A kill while run.json was written for the first time leaves the file that was to be renamed,
    # and that alone.
    if folder.exists() and (
        not folder.is_dir() or any(p.name != f".{FILE}.new" for p in folder.iterdir())
    ):
        raise UsageError(f"{folder} is not empty and is not a run. Name another folder with --run.")


def new_content(repository: Repository, recipe: Recipe, versions: dict[str, str]) -> dict:
    """What run.json holds of a run in which nothing is done yet."""
    return {
        "format": FORMAT,
        "repository": repository.to_dict(),
        "recipe": recipe.to_dict(),
        "versions": versions,
        "done": [],
        "seconds": {},
        "checkpoints": {},
    }


def read_content(folder: Path) -> dict:
    """What run.json holds. Raises UsageError where there is none, or one that is damaged or of
    another version."""
    file = folder / FILE
    if not file.is_file():
        raise UsageError(
            f"There is no run in {folder} (no run.json). Start one with: python coldstart.py "
            "bootstrap --repo DIR"
        )
    damaged = UsageError(f"{file} is damaged. Restore it from a backup, or start a new run.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content["format"]
    except (ValueError, KeyError, TypeError):
        raise damaged from None
    if version != FORMAT:
        raise UsageError(
            f"{folder} was written by another version of coldstart (format {version}, this one "
            f"reads {FORMAT}). Use that version, or start a new run."
        )
    try:
        from_dict(content["recipe"], where=str(file))
        for repository in (content["repository"], *content.get(MORE, ())):
            Repository.from_dict(repository)
        if any(type(content[key]) is not kind for key, kind in KINDS.items()):
            raise TypeError
    except (KeyError, TypeError, AttributeError):
        raise damaged from None
    return content


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError while the run folder is written into a sentence."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written: {error.strerror}. Nothing is lost; make room or mend the "
            "permissions, and give the same command again."
        ) from None
