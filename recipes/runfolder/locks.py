"""Who may do what to a run folder at this moment; every lock dies with its process.

lock = take(folder)                     # takes the run further, alone; lock.close() ends that
with naming(folder): ...                # finds out what checkpoints' names mean, or changes it
with keep(checkpoint_folder): ...       # the checkpoint is not deleted before the block ends
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from recipes.runfolder import checkpoint
from recipes.runfolder.checkpoint import COUNTERS
from recipes.runfolder.content import disk_errors
from sandbox.errors import UsageError

RUN, NAMES = "run.lock", "checkpoints.lock"


def take(folder: Path) -> TextIO:
    """Raises UsageError where another process takes the run further."""
    lock = open(folder / RUN, "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise UsageError(
            f"Another coldstart process is at work on {folder}. Wait for it, or stop it. (status, "
            "report, eval, fix and export work beside it.)"
        ) from None
    return lock


def is_taken(folder: Path) -> bool:
    try:
        with open(folder / RUN) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """One process at a time."""
    with disk_errors(folder):
        lock = open(folder / NAMES, "w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def keep(folder: Path) -> TextIO:
    """A hold on a checkpoint; to be closed. Raises UsageError where it is damaged."""
    if not (folder / COUNTERS).is_file():
        checkpoint.read(folder)  # says what is wrong
    kept = open(folder / COUNTERS)
    fcntl.flock(kept, fcntl.LOCK_SH)
    return kept


def is_kept(folder: Path) -> bool:
    """Whether a process uses this checkpoint."""
    try:
        with open(folder / COUNTERS, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # what was cut off while it was written, for one
        return False
    return False
