"""Hard tasks on real libraries: how many there are, why the others are soft, what confirming costs,
and whether the verdict from outside agrees with that of a fresh process.

    python tests/bench_hard.py [--libraries a==1,b==2] [--tasks 40] [--edits 100] [--out FILE.json]

Per library and over all: tasks (blanked functions), how many are hard, median seconds of a verdict
from outside; of so many honest edits (the right body in another writing) how many it refuses, and
of so many wrong ones (mutants) how many a fresh process refuses and how many the hard verdict does.
Then why the soft ones are soft.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]
from bench_verdict import Library, rewritten_gold  # noqa: E402
from libraries import HELD_AGAINST, PINNED  # noqa: E402

from sandbox.errors import HarnessError, UsageError  # noqa: E402
from sandbox.source import find  # noqa: E402
from sandbox.tasks.mutate import mutants  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--libraries", default=",".join((*PINNED, *HELD_AGAINST)))
    parser.add_argument("--tasks", type=int, default=40, help="a library, drawn by the seed")
    parser.add_argument("--edits", type=int, default=100, help="honest ones and wrong ones each")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for requirement in arguments.libraries.split(","):
        with tempfile.TemporaryDirectory() as folder:
            try:
                library = Library(requirement, Path(folder), arguments.tasks, ("blank",))
            except UsageError as error:  # its tests want what is not installed here
                print(f"{requirement} is left out: {error}", file=sys.stderr)
                continue
            rows.append(row_of(requirement, library, arguments.edits))
        show(rows)
        if arguments.out:
            arguments.out.write_text(json.dumps(rows, indent=1))


def row_of(name: str, library: Library, edits: int) -> dict:
    hard = [task for task in library.tasks if task.hard]
    soft = Counter(reason(task.soft_because) for task in library.tasks if not task.hard)
    row = {"library": name, "tasks": len(library.tasks), "hard": len(hard), "soft": dict(soft)}
    if not hard:
        return row
    right = list(islice(spread(hard, lambda t, n: rewritten_gold(library, t, n)), edits))
    wrong = list(islice(of_mutants(library, hard, edits), edits))
    with library.judge(workers=1) as judge:
        seconds = []
        for task in hard:
            began = time.perf_counter()
            judge.judge_many([(task, task.gold(library.repository.snapshot))])
            seconds.append(time.perf_counter() - began)
        of_right = judge.judge_many(right)
        of_wrong = judge.judge_many(wrong)
    with library.judge(workers=1, recheck=1.0) as judge:
        fresh = judge.judge_many((replace(task, recorded=()), edit) for task, edit in wrong)
    refused = [_refused(verdict) for verdict in of_wrong]
    return {
        **row,
        "seconds": statistics.median(seconds),
        "honest": len(right),
        "honest refused": sum(map(_refused, of_right)),
        "wrong": len(wrong),
        "refused": sum(refused),
        "refused by a fresh process": sum(map(_refused, fresh)),
        "passed that a fresh process refuses": sum(
            _refused(v) and not no for v, no in zip(fresh, refused)
        ),
        "no verdict": sum(isinstance(v, HarnessError) for v in (*of_right, *of_wrong)),
    }


def _refused(verdict) -> bool:
    """Whether an edit got nothing; a jail that failed has refused nobody."""
    return not isinstance(verdict, HarnessError) and verdict.status != "resolved"


def spread(tasks: list, edit_for) -> object:
    """(task, edit) pairs, one task after the other, round after round."""
    return ((task, edit_for(task, number)) for number in count() for task in tasks)


def of_mutants(library: Library, tasks: list, edits: int) -> list:
    """As `spread`, of mutants: as many as there are."""
    found = []
    for task in tasks:
        text = library.text(task)
        function = find(text, task.function)
        some = mutants(text, function, task.instance_id, -(-edits // len(tasks)) + 2)
        found.append([(task, {task.file: mutant.text}) for mutant in some])
    longest = max(map(len, found))
    return [row[n] for n in range(longest) for row in found if n < len(row)]


def reason(text: str) -> str:
    """Why a task is soft, without what differs from one to the other."""
    return re.sub(r": (\d+ of|It |[a-z_]+\.).*|\(.*", "", text.split("\n")[0]).strip()


def show(rows: list[dict]) -> None:
    print(
        f"\n{'library':22} {'tasks':>6} {'hard':>5} {'share':>6} {'median s':>9} {'honest':>7} "
        f"{'refused':>8} {'wrong':>6} {'refused':>8} {'by fresh':>9} {'missed':>7}"
    )
    for row in rows:
        share = row["hard"] / max(1, row["tasks"])
        print(
            f"{row['library']:22} {row['tasks']:6} {row['hard']:5} {share:6.0%} "
            f"{row.get('seconds', 0):9.2f} {row.get('honest', 0):7} "
            f"{row.get('honest refused', 0):8} {row.get('wrong', 0):6} {row.get('refused', 0):8} "
            f"{row.get('refused by a fresh process', 0):9} "
            f"{row.get('passed that a fresh process refuses', 0):7}"
        )
    tasks, hard = (sum(row[key] for row in rows) for key in ("tasks", "hard"))
    print(f"{'all':22} {tasks:6} {hard:5} {hard / tasks:6.0%}")
    why: Counter = Counter()
    for row in rows:
        why.update(row["soft"])
    for text, number in why.most_common():
        print(f"{number:5}  {text}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
