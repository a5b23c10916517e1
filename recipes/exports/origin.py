"""Where an exported folder finds coldstart and the run that it came from."""

import json
from pathlib import Path

from recipes.runfolder.run import Run

FILE = "origin.json"
ROOT = Path(__file__).resolve().parents[2]
"""The folder of coldstart.py."""


def write_origin(run: Run, folder: Path) -> None:
    """{"coldstart": its folder, "run": the run's}, as FILE in `folder`."""
    origin = {"coldstart": str(ROOT), "run": str(run.folder.resolve())}
    (folder / FILE).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
