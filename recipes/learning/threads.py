"""How many threads the CPU is best used with: measured, because two that wait for each other beside
another program are slower than one.

    threads = threads_of(run)          # as its recipe says, or as was measured when it began
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recipes.runfolder.run import Run

ROWS, WIDTH, INNER = 96, 576, 1536
"""Of the product that is timed: about what a small student multiplies for a batch of rollouts."""
SECONDS = 0.3
"""For which each number of threads is timed."""
GAIN = 1.15
"""How much faster more threads must be to be taken."""


def threads_of(run: Run) -> int:
    """Threads of a run's student: its recipe's, or those that were fastest when they were first
    needed, which run.json then keeps."""
    if run.recipe.student.threads:
        return run.recipe.student.threads
    if "threads" not in run.content:
        run.content["threads"] = fastest()
        run.write()
    return run.content["threads"]


def fastest(candidates: Sequence[int] | None = None) -> int:
    """Threads with which torch multiplies fastest on this machine as it is now: 1, or a larger one
    of `candidates` (1, 2, 4, ... cores) that is faster by GAIN than every smaller one that was
    taken. Leaves torch with that many."""
    import torch

    cores = len(os.sched_getaffinity(0))
    chosen, best = 1, 0.0
    for threads in candidates or [n for n in (1, 2, 4, 8, 16) if n <= cores]:
        torch.set_num_threads(threads)
        speed = _products_a_second()
        if best == 0 or speed > GAIN * best:
            chosen, best = threads, speed
    torch.set_num_threads(chosen)
    return chosen


def _products_a_second() -> float:
    import torch

    left, right = torch.ones(ROWS, WIDTH), torch.ones(WIDTH, INNER)
    torch.mm(left, right)  # the threads are started
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        torch.mm(left, right)
        done += 1
    return done / (time.perf_counter() - began)
