"""What a verdict costs, whether the fast ones are right, and whether anything grows: on real
libraries.

    python tests/bench_verdict.py [--parts mining,speed,agreement,workers,soak] [--libraries a==1,b==2] [--tasks 40] [--kinds blank,mutate]
                                  [--out FILE.json]

All of one library's rows come from one run, interleaved; times are processor time (user and system,
all processes), medians. Baselines:

    (a)  the whole suite, `python -m pytest -q`, in a fresh copy of the repository
    (b)  the test files that the task's tests are in, likewise

Parts:

    mining     per library: tests, tasks, seconds a task, and how many tasks are hard, have twins
    speed      screen in the in-process and the forked tier, confirm (all tasks, and the hard ones), and a cycle's mix (90 % fail, 10 % pass,
               a third of these remembered)
    agreement  every fast verdict repeated by a fresh process (`Limits(recheck=1)`): blanks, mutants, gold, gold rewritten, guesses
    workers    wall clock of the same verdicts with one jail and with two
    soak       memory, descriptors, processes and temporary files over many verdicts
"""

import argparse
import ast
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]
from libraries import PINNED, fetch  # noqa: E402

from sandbox.judge.settings import Suite  # noqa: E402
from sandbox.judge.verdict import Judge, Limits  # noqa: E402
from sandbox.repo import open_repository  # noqa: E402
from sandbox.source import body_nodes, find, read_text, with_body  # noqa: E402
from sandbox.tasks.mine import MiningOptions, mine  # noqa: E402

FEW_TESTS = 20
"""The claims about single verdicts are for tasks with at most so many tests."""
GUESSES = (
    "return None",
    "return {first}",
    "raise ValueError('no')",
    "return [{first}]",
    "return not {first}",
    "pass",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", default="mining,speed,agreement,workers,soak")
    parser.add_argument("--libraries", default=",".join(PINNED))
    parser.add_argument("--tasks", type=int, default=40, help="Tasks to mine of each library.")
    parser.add_argument("--kinds", default="blank", help="Of these tasks: blank, mutate.")
    parser.add_argument(
        "--verdicts",
        type=int,
        default=1000,
        help="Fast verdicts that `agreement` repeats, all libraries together.",
    )
    parser.add_argument("--soak", type=int, default=5000, help="Verdicts of `soak`.")
    parser.add_argument("--out", type=Path, help="The rows as JSON.")
    arguments = parser.parse_args()
    parts, names, rows = arguments.parts.split(","), arguments.libraries.split(","), []
    with tempfile.TemporaryDirectory() as scratch:
        for number, name in enumerate(names):
            library = Library(
                name,
                Path(scratch) / str(number),
                arguments.tasks,
                tuple(arguments.kinds.split(",")),
            )
            if "mining" in parts:
                rows.append(show("mining", name, library.mining_row()))
            if "speed" in parts:
                rows.append(show("speed", name, speed_row(library)))
            if "agreement" in parts:
                rows.append(
                    show(
                        "agreement", name, agreement_row(library, arguments.verdicts // len(names))
                    )
                )
            if "workers" in parts:
                rows.append(show("workers", name, workers_row(library)))
            if "soak" in parts and number == 0:
                for row in soak_rows(library, arguments.soak):
                    rows.append(show("soak", name, row))
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1))


def show(part: str, name: str, row: dict) -> dict:
    print(
        f"{part:9} {name:24} " + "  ".join(f"{key} {value}" for key, value in row.items()),
        flush=True,
    )
    return {"part": part, "library": name, **row}


class Library:
    """A fetched library, mined."""

    def __init__(self, requirement: str, folder: Path, limit: int, kinds: tuple[str, ...]) -> None:
        self.root = fetch(requirement, folder / "source")
        self.repository = open_repository(str(self.root))
        self.scratch = folder
        run = folder / "run"
        run.mkdir()
        started = time.perf_counter()
        self.mined = mine(
            self.repository,
            Limits(),
            run,
            MiningOptions(limit=limit, kinds=kinds),
            lambda what, done, total: None,
        )
        self.seconds = time.perf_counter() - started
        self.tasks = self.mined.tasks

    def judge(self, on_note=lambda note: None, **limits) -> Judge:
        found = self.mined.survey
        return Judge(
            self.repository,
            Limits(**limits),
            Suite(preload=found.modules, test_files=found.test_files),
            on_note=on_note,
        )

    def mining_row(self) -> dict:
        return {
            "tests": len(self.mined.survey.passing),
            "tasks": len(self.tasks),
            "seconds": round(self.seconds, 1),
            "seconds a task": round(self.seconds / len(self.tasks), 2),
            "hard": sum(t.hard for t in self.tasks),
            "twins": sum(bool(t.twin_tests) for t in self.tasks),
            "left out": json.dumps(self.mined.excluded),
        }

    def text(self, task) -> str:
        return read_text(self.repository.snapshot / task.file)

    def pytest_cpu(self, *files: str) -> float:
        """CPU seconds of `python -m pytest -q` in a fresh copy."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            copy = Path(folder) / self.root.name
            shutil.copytree(self.root, copy, symlinks=True)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [sys.executable, "-m", "pytest", "-q", *files],
                cwd=copy,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# -------------------------------------------------------------------------------------------- edits


def guess(library: Library, task, number: int) -> dict[str, str]:
    """A body that somebody might guess, and that is nearly always wrong; different for each
    number."""
    text = library.text(task)
    function = find(text, task.function)
    names = [a.arg for a in (*function.node.args.posonlyargs, *function.node.args.args)] or ["None"]
    body = GUESSES[number % len(GUESSES)].format(first=names[-1])
    return {task.file: with_body(text, function, f"{body}  # {number}")}


def rewritten_gold(library: Library, task, number: int) -> dict[str, str]:
    """The right body in another writing."""
    text = library.text(task)
    function = find(text, task.function)
    body = "\n".join(ast.unparse(node) for node in body_nodes(function))
    return {task.file: with_body(text, function, f"attempt_{number} = {number}\n{body}")}


def with_helper(library: Library, task, number: int) -> dict[str, str]:
    """A wrong body that calls a new helper of the module: an edit for the forked tier."""
    text = library.text(task)
    edited = with_body(text, find(text, task.function), f"return helper_{number}()")
    return {task.file: f"{edited}\n\n\ndef helper_{number}():\n    return {number}\n"}


# -------------------------------------------------------------------------------------------- parts


def speed_row(library: Library) -> dict:
    few = [t for t in library.tasks if len(t.tests) <= FEW_TESTS]
    chosen = random.Random(0).sample(few, min(12, len(few)))
    in_process, forked, passed, hard, files, tiers = [], [], [], [], [], Counter()
    whole = library.pytest_cpu()
    with library.judge(workers=1, recheck=0.0) as judge:
        judge.judge(chosen[0], guess(library, chosen[0], 99))  # the jails have started
        judge.judge(chosen[0], with_helper(library, chosen[0], 99))
        for number, task in enumerate(chosen):
            files.append(
                library.pytest_cpu(*sorted({test.partition("::")[0] for test in task.tests}))
            )
            fast = [judge.judge(task, guess(library, task, 100 * number + i)) for i in range(6)]
            in_process += [
                v.cpu_seconds for v in fast if v.stage == "screen" and v.tier == "in-process"
            ]
            tiers.update(v.tier for v in fast)
            helped = [
                judge.judge(task, with_helper(library, task, 10 * number + i)) for i in range(2)
            ]
            forked += [v.cpu_seconds for v in helped if v.stage == "screen"]
            right = judge.judge(task, rewritten_gold(library, task, number))
            tiers[right.tier] += 1
            if right.status == "resolved":
                passed.append(right.cpu_seconds)
                hard += [right.cpu_seconds] * task.hard
    screen, per_file, slow = (
        statistics.median(in_process),
        statistics.median(files),
        statistics.median(forked),
    )
    mix = 0.9 * screen + 0.1 * (2 / 3) * statistics.median(passed)
    return {
        "(a) s": round(whole, 2),
        "(b) s": round(per_file, 2),
        "screen ms": round(1000 * screen, 1),
        "x (a)": round(whole / screen),
        "x (b)": round(per_file / screen),
        "forked ms": round(1000 * slow, 1),
        "forked x (b)": round(per_file / slow, 1),
        "confirm s": round(statistics.median(passed), 2),
        "hard confirm s": round(statistics.median(hard), 2) if hard else "none",
        "mix x (b)": round(per_file / mix, 1),
        "in-process share": round(tiers["in-process"] / tiers.total(), 2),
    }


def agreement_row(library: Library, verdicts: int) -> dict:
    notes: list[str] = []
    statuses: Counter = Counter()
    per_task = -(-verdicts // len(library.tasks))
    with library.judge(notes.append, recheck=1.0) as judge:
        pairs = []
        for task in library.tasks:
            edits = [
                task.broken(library.repository.snapshot),
                task.gold(library.repository.snapshot),
            ]
            edits += [
                (guess if i % 3 else rewritten_gold)(library, task, i)
                for i in range(max(0, per_task - len(edits)))
            ]
            pairs += [(task, edit) for edit in edits[:per_task]]
        statuses.update(v.status for v in judge.judge_many(pairs))
    return {"verdicts": len(pairs), "different": len(notes), **statuses}


def workers_row(library: Library) -> dict:
    seconds = {}
    for workers in (1, 2):
        with library.judge(workers=workers, recheck=0.0) as judge:
            # Now every worker has both its jails.
            for edit in (guess, with_helper):
                judge.judge_many(
                    [
                        (task, edit(library, task, 5000 + i))
                        for i, task in enumerate(library.tasks[:8])
                    ]
                )
            pairs = [(task, guess(library, task, i)) for task in library.tasks for i in range(10)]
            started = time.perf_counter()
            judge.judge_many(pairs)
            seconds[workers] = time.perf_counter() - started
    return {
        "verdicts": len(pairs),
        "one s": round(seconds[1], 2),
        "two s": round(seconds[2], 2),
        "gain": round(seconds[1] / seconds[2], 2),
    }


def soak_rows(library: Library, verdicts: int) -> list[dict]:
    """What is held after each fifth of the verdicts: by this process, and by the jails' first
    processes."""
    rows = []
    with library.judge(recheck=0.01) as judge:
        for part in range(6):
            if part:
                pairs = [
                    (task, (rewritten_gold if i % 10 == 0 else guess)(library, task, i))
                    for i, task in (
                        (part * verdicts + i, library.tasks[i % len(library.tasks)])
                        for i in range(verdicts // 5)
                    )
                ]
                judge.judge_many(pairs)
            else:
                judge.judge_many([(task, guess(library, task, -1)) for task in library.tasks])
            rows.append({"verdicts": part * (verdicts // 5), **held()})
    return rows


def held() -> dict:
    mine, everyone = os.getpid(), descendants(os.getpid())
    return {
        "this process MiB": rss(mine) >> 10,
        "jails MiB": sum(map(rss, everyone)) >> 10,
        "processes": len(everyone),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "temporary files": len(list(Path(tempfile.gettempdir()).glob("coldstart-*"))),
    }


def descendants(pid: int) -> list[int]:
    children = [
        int(c)
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for c in file.read_text().split()
    ]
    return children + [below for child in children for below in descendants(child)]


def rss(pid: int) -> int:
    """Resident memory, KiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() >> 10


if __name__ == "__main__":
    main()
