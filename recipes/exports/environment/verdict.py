"""coldstart's verdict for a process that is not coldstart's: one judge with its jails for each run,
kept until the process ends.

status, reward = verdict(coldstart_folder, run_folder, instance_id, reply)
text = answer(coldstart_folder, run_folder, instance_id, replies)    # None: the episode is over
"""

import atexit
import sys
import threading
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

_opening = threading.Lock()
_until_the_end = ExitStack()
atexit.register(_until_the_end.close)


def verdict(coldstart: str, run: str, instance_id: str, reply: str) -> tuple[str, float]:
    """The verdict's status and reward. May be called by several threads at once. Raises
    RuntimeError where the harness failed: that is no failure of the model."""
    found: tuple[str, float] = _asked(coldstart, run, instance_id, "verdict", reply)
    return found


def answer(coldstart: str, run: str, instance_id: str, replies: list[str]) -> str | None:
    """What the environment says of the last of these replies; None where the episode is over. As
    `verdict`."""
    found: str | None = _asked(coldstart, run, instance_id, "answer", replies)
    return found


def _asked(coldstart: str, run: str, instance_id: str, what: str, about: object) -> Any:
    with _opening:
        opened = _open(coldstart, run)
    try:
        return getattr(opened, what)(instance_id, about)
    except Exception as error:
        raise RuntimeError(f"coldstart could not judge {instance_id}: {error}") from None


@lru_cache
def _open(coldstart: str, run: str) -> Any:
    """The run, as `recipes.exports.open_run.OpenRun`."""
    if not (Path(coldstart) / "coldstart.py").is_file() or not (Path(run) / "run.json").is_file():
        raise RuntimeError(
            f"coldstart is not in {coldstart}, or the run is not in {run}. Name them with "
            "--env.taskset.task.coldstart and --env.taskset.task.run."
        )
    sys.path.append(coldstart)  # last, so that it hides no module of anybody else's
    from recipes.exports.open_run import open_run

    return _until_the_end.enter_context(open_run(Path(run)))
