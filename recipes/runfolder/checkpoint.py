"""The files of a checkpoint: written aside, flushed to the disk, renamed; read back only if every
digest is right.

    # fill(aside) writes ADAPTER, CONFIG and, if there is one, OPTIMISER into the folder `aside`
    checkpoint.write(folder, fill, counters)
    content = checkpoint.read(folder)            # {"format", "counters", "sha256"}

What the files hold is the student's business (`recipes/learning/student.py`); this module needs no
torch.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.jsonl import sync

ADAPTER, CONFIG, OPTIMISER, COUNTERS = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "optimizer.pt",
    "counters.json",
)
FORMAT = 1
"""Version of a checkpoint's layout; one of another version is refused."""


def write(folder: Path, fill: Callable[[Path], None], counters: dict) -> None:
    """Write checkpoint `folder` whole or not at all. Raises OSError when the disk is full; what was
    there is then untouched."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    recover(folder)
    for stale in folder.parent.glob(f"{folder.name}.tmp-*"):
        shutil.rmtree(stale, ignore_errors=True)
    aside = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    aside.mkdir()
    try:
        fill(aside)
        content = {
            "format": FORMAT,
            "counters": counters,
            "sha256": {file.name: _digest(file) for file in sorted(aside.iterdir())},
        }
        (aside / COUNTERS).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        for path in [
            *aside.iterdir(),
            aside,
        ]:  # a rename that outlives its content would be worse than none
            sync(path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    _replace(aside, folder)


def read(folder: Path) -> dict:
    """The content of counters.json, after every file's digest was found right.

    Raises UsageError when the checkpoint is missing, damaged, or of another version.
    """
    if not recover(folder):
        raise UsageError(f"There is no checkpoint {folder}.")
    damaged = f"Checkpoint {folder} is damaged ({{}}). Delete it or use another one."
    try:
        content = json.loads((folder / COUNTERS).read_text(encoding="utf-8"))
        version, digests = content["format"], content["sha256"]
        content["counters"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(damaged.format(f"{COUNTERS}: {type(error).__name__}")) from None
    if version != FORMAT:
        raise UsageError(
            f"Checkpoint {folder} was written by another version of this program (format "
            f"{version})."
        )
    there = [OPTIMISER] if (folder / OPTIMISER).exists() else []
    for name in sorted({ADAPTER, CONFIG, *there, *digests}):
        if not (folder / name).is_file() or _digest(folder / name) != digests.get(name):
            raise UsageError(damaged.format(name))
    return content


def recover(folder: Path) -> bool:
    """Whether the checkpoint exists, after putting back the old one that a kill in the middle of
    `write` set aside."""
    old = _set_aside(folder)
    if old.is_dir():
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(folder)
    return folder.is_dir()


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _set_aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old")


def _replace(new: Path, folder: Path) -> None:
    """Put `new` where `folder` is. A folder cannot be renamed over a full one, so the old one steps
    aside for an instant; `recover` undoes the first half if that instant is the last."""
    old = _set_aside(folder)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
