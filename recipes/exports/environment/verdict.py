"""coldstart's verdict for a process that is not coldstart's: one judge with its jails for each run,
kept until the process ends.

status, reward = verdict(coldstart_folder, run_folder, instance_id, reply)
"""

import atexit
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

_opening = threading.Lock()
_until_the_end = ExitStack()
atexit.register(_until_the_end.close)


def verdict(coldstart: str, run: str, instance_id: str, reply: str) -> tuple[str, float]:
    """The verdict's status and reward. May be called by several threads at once. Raises
    RuntimeError where the harness failed: that is no failure of the model."""
    with _opening:
        judge = _open(coldstart, run)
    try:
        return judge(instance_id, reply)
    except Exception as error:
        raise RuntimeError(f"coldstart could not judge {instance_id}: {error}") from None


@lru_cache
def _open(coldstart: str, run: str) -> Callable[[str, str], tuple[str, float]]:
    if not (Path(coldstart) / "coldstart.py").is_file() or not (Path(run) / "run.json").is_file():
        raise RuntimeError(
            f"coldstart is not in {coldstart}, or the run is not in {run}. Name them with "
            "--env.taskset.task.coldstart and --env.taskset.task.run."
        )
    sys.path.append(coldstart)  # last, so that it hides no module of anybody else's
    from recipes.session import open_replies

    return _until_the_end.enter_context(open_replies(Path(run)))
