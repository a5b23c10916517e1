"""What each kind of task gives on real libraries: how many tasks, what they cost to mine, and how
many mistakes their tests notice.

    python tests/bench_kinds.py [--libraries inflection==0.5.1,isodate==0.7.2] [--kinds blank,doctest]
                                [--repository DIR]

Each kind is mined by itself, with the suite's runs remembered; for `noticed` the tests of every
task about one function meet up to eight drawn mutants of it (`sandbox/tasks/noticing.py`): of tests
that were made that is part of mining. `ratio`: tasks of the kind for each of `blank`. A folder with
a history (`--repository`) is what `revert` and `series` need; a source distribution has none.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))
from libraries import fetch  # noqa: E402

from sandbox.judge.verdict import Judge, Limits  # noqa: E402
from sandbox.repo import open_repository  # noqa: E402
from sandbox.tasks.kinds import KINDS  # noqa: E402
from sandbox.tasks.mine import Mined, MiningOptions, mine  # noqa: E402
from sandbox.tasks.noticing import noticed  # noqa: E402
from sandbox.tasks.task import given_tests  # noqa: E402

LIBRARIES = (
    "inflection==0.5.1",
    "isodate==0.7.2",
    "cachetools==8.0.1",
    "humanize==4.17.0",
    "toolz==1.2.0",
)
LIMITS = Limits(workers=1)
HEAD = ("library", "kind", "tasks", "hard", "seconds", "noticed", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--kinds", default=",".join(k for k in KINDS if k != "failing"))
    parser.add_argument("--repository", action="append", default=[])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(folder) for folder in arguments.repository]
        if not folders:
            names = filter(None, arguments.libraries.split(","))
            folders = [fetch(name, Path(scratch) / name) for name in names]
        print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
        for folder in folders:
            print_rows(folder, arguments.kinds.split(","), Path(scratch))


def print_rows(folder: Path, kinds: list[str], scratch: Path) -> None:
    repository, of_blank = open_repository(folder), 0
    for kind in kinds:
        place = scratch / f"{folder.name}-{kind}"
        place.mkdir()
        found, seconds, why = mined(repository, place, kind)
        tasks = found.tasks if found else []
        of_blank = len(tasks) if kind == "blank" else of_blank
        share = mean_noticed(repository, found) if found else None
        cells = [
            folder.name,
            kind,
            len(tasks),
            sum(task.hard for task in tasks),
            f"{seconds:.0f}",
            "-" if share is None else f"{share:.0%}",
            f"{len(tasks) / of_blank:.2f}" if of_blank else "-",
        ]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
        reasons = dict(sorted(found.excluded.items(), key=lambda r: -r[1])[:8]) if found else why
        print(json.dumps({folder.name: {kind: reasons}}), file=sys.stderr, flush=True)


def mined(repository, place: Path, kind: str) -> tuple[Mined | None, float, str]:
    """(what was mined, seconds without the runs of the suite, why there is nothing)"""
    began = time.monotonic()
    options = MiningOptions(kinds=(kind,))
    surveyed = began

    def on_progress(what: str, done: int, total: int) -> None:
        nonlocal surveyed
        if what.startswith("running the test suite"):
            surveyed = time.monotonic()

    try:
        found = mine(repository, LIMITS, place, options, on_progress)
    except Exception as error:  # a library without such things; the table goes on
        return None, time.monotonic() - began, str(error)
    return found, time.monotonic() - surveyed, ""


def mean_noticed(repository, found: Mined) -> float | None:
    """Mean share of mutants that the tests of a task notice, over tasks about one function."""
    known = [task.noticed for task in found.tasks if task.noticed is not None]
    about_one = [task for task in found.tasks if not task.files and task.noticed is None]
    if about_one:
        suite = found.survey.suite(given_tests(about_one))
        with Judge(repository, LIMITS, suite) as judge:
            shares = noticed(judge, about_one, 0)
        known += [share for share in shares if isinstance(share, float)]
    return fmean(known) if known else None


if __name__ == "__main__":
    main()
