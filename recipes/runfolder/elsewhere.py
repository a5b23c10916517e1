"""An adapter that was trained elsewhere, as a checkpoint of the run: so what `export --to trl`
began comes back.

    is_folder(name)                              # and no name of a checkpoint
    name = take_in(checkpoints, folder, ours)    # "elsewhere-1a2b3c4d"; ours: any checkpoint's folder

It is copied, for what is measured of it is remembered under its name, which has its content's
digest in it. It has no state of an optimiser.
"""

import json
import shutil
from hashlib import sha256
from pathlib import Path

from recipes.runfolder import checkpoint
from recipes.runfolder.checkpoint import ADAPTER, CONFIG
from sandbox.errors import UsageError

SAME = ("peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "bias", "target_modules")
"""Of PEFT's adapter_config.json: with another value the same numbers would be another student."""


def is_folder(name: str) -> bool:
    """Whether a folder is meant, and not the name of a checkpoint."""
    return "/" in name or (Path(name) / ADAPTER).is_file()


def take_in(checkpoints: Path, folder: Path, ours: Path) -> str:
    """Copy the adapter that PEFT wrote to `folder` into the folder of the run's checkpoints, if it
    is not there yet; its name there. `ours`: a checkpoint of the run. Raises UsageError where there
    is no such adapter, or it is of another student."""
    missing = [name for name in (ADAPTER, CONFIG) if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"{folder} has no {' and no '.join(missing)}. Name the folder that PEFT wrote, such as "
            "trl/trained/adapter, or a checkpoint of the run."
        )
    theirs, wanted = (_settings(at / CONFIG) for at in (folder, ours))
    if other := [f"{k}: {theirs[k]} and not {wanted[k]}" for k in SAME if theirs[k] != wanted[k]]:
        raise UsageError(
            f"The adapter in {folder} is not of this run's student ({'; '.join(other)})."
        )
    name = f"elsewhere-{sha256((folder / ADAPTER).read_bytes()).hexdigest()[:8]}"
    if not checkpoint.recover(checkpoints / name):
        checkpoint.write(checkpoints / name, lambda aside: _copy(folder, aside), counters={})
    return name


def _copy(folder: Path, into: Path) -> None:
    for name in (ADAPTER, CONFIG):
        shutil.copyfile(folder / name, into / name)


def _settings(file: Path) -> dict:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        settings = {key: found.get(key) for key in SAME}
    except (ValueError, AttributeError):
        raise UsageError(f"{file} is damaged: PEFT's settings are a JSON object.") from None
    modules = settings["target_modules"]
    return {**settings, "target_modules": sorted(modules) if type(modules) is list else modules}
