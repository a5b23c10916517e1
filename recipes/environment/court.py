"""coldstart's verdict for a process that is not coldstart's: one judge with its warm jails for each
run, kept until the process ends.

status, reward = verdict(coldstart_folder, run_folder, instance_id, reply)
"""

import atexit
import sys
import threading
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

_opening = threading.Lock()


def verdict(coldstart: str, run: str, instance_id: str, reply: str) -> tuple[str, float]:
    """The verdict's status and reward. May be called by several threads at once. Raises
    RuntimeError where the harness failed: that is no failure of the model."""
    with _opening:
        tasks, bench = _open(coldstart, run)
    found = bench.judge_replies([(tasks[instance_id], reply)])[0]
    if isinstance(found, Exception):
        raise RuntimeError(f"coldstart could not judge {instance_id}: {found}")
    return found.status, found.reward


@lru_cache
def _open(coldstart: str, run: str) -> tuple[dict, object]:
    if not (Path(coldstart) / "coldstart.py").is_file() or not (Path(run) / "run.json").is_file():
        raise RuntimeError(
            f"coldstart is not in {coldstart}, or the run is not in {run}. Name them with "
            "--env.taskset.task.coldstart and "
            "--env.taskset.task.run."
        )
    sys.path.append(coldstart)  # last, so that it hides no module of anybody else's
    from coldstart import Screen, find_run
    from recipes.court import open_judge
    from recipes.workbench import Workbench

    found, screen = find_run(Path(run)), Screen(as_json=True)
    court = ExitStack()
    atexit.register(court.close)
    bench = Workbench(found, court.enter_context(open_judge(found, screen)), screen)
    return {t.instance_id: t for t in bench.tasks}, bench
