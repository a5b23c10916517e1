"""A repository that moves on, commit by commit: what taking up each commit costs beside mining it anew,
and what the student makes of it.

    python tests/bench_taking_up.py --repo CLONE [--commits 10] [--student] [--anew 2] \\
        [--recipe smollm2] [--set tasks.limit=40]

CLONE has its history; nothing in it is changed. Its last commits that touch Python files, merges
followed by their first parent, are checked out one after another in a copy. The first is mined; each
later one is taken up from the run before (`--from`): tasks kept, new and gone, and seconds of mining.
With `--anew N` every so manyth commit, the last among them, is mined anew beside it, as the first one is
in any case, with an empty cache. With `--student` the whole of `bootstrap` runs, and held-out pass@1 is that of the probes before
and after it; then `eval --new-since` measures the earlier student on the new functions.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

COLDSTART = str(Path(__file__).parent.parent / "coldstart.py")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repo", type=Path, required=True)
    parser.add_argument("--commits", type=int, default=10)
    parser.add_argument("--student", action="store_true")
    parser.add_argument("--anew", type=int, default=0)
    parser.add_argument("--recipe", default="nano")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)  # root's jail must get through to it
        Walk(arguments, Path(scratch)).print_table()


class Walk:
    """From commit to commit."""

    def __init__(self, arguments: argparse.Namespace, scratch: Path) -> None:
        self.arguments, self.scratch = arguments, scratch
        self.options = ["--recipe", arguments.recipe]
        self.options += [part for pair in arguments.set for part in ("--set", pair)]
        self.tree = scratch / arguments.repo.resolve().name.removesuffix(".git")
        git("clone", "-q", str(arguments.repo.resolve()), str(self.tree))

    def print_table(self) -> None:
        log = git(
            "log",
            "--first-parent",
            "--format=%H",
            f"-{self.arguments.commits + 1}",
            "--",
            "*.py",
            at=self.tree,
        )
        commits = log.split()[::-1]
        print(
            "commit      tasks  kept   new  gone  seconds   anew  held out before  after"
            "  new functions: base  student",
            flush=True,
        )
        taken, anew, last = [], [], None
        for number, commit in enumerate(commits):
            git("checkout", "-q", commit, at=self.tree)
            row = self.row(commit, last)
            if last is not None:
                taken.append(row["seconds"])
            every = self.arguments.anew
            if last is None:
                row["anew"] = row["seconds"]
            elif every and (len(commits) - 1 - number) % every == 0:
                row["anew"] = self.anew(commit)
            anew += [row["anew"]] if "anew" in row else []
            last = self.scratch / commit
            print(line(commit, row), flush=True)
        if taken and anew:
            share = (sum(taken) / len(taken)) / (sum(anew) / len(anew))
            print(
                f"Taking a commit up costs {share:.1%} of mining it anew, in the mean of "
                f"{len(taken)} and {len(anew)} (goal: at most 15 %)."
            )

    def row(self, commit: str, last: Path | None) -> dict:
        """What came of one commit."""
        command = "bootstrap" if self.arguments.student else "tasks"
        begin = ["--from", last] if last else ["--repo", self.tree, *self.options]
        done = call(command, "--run", self.scratch / commit, *begin, at=self.scratch)
        run = json.loads((self.scratch / commit / "run.json").read_text())
        with open(self.scratch / commit / "tasks.jsonl") as file:
            tasks = sum(1 for _ in file)
        row = {"tasks": tasks, "seconds": run["seconds"]["mine"], **run.get("since", {})}
        if self.arguments.student:
            probe = done["probe"]
            row |= {when: probe[when]["heldout"]["pass_at_1"] for when in ("before", "after")}
        if self.arguments.student and last:
            row |= self.tomorrow(commit, last)
        return row

    def tomorrow(self, commit: str, last: Path) -> dict:
        """The earlier student and its base on the functions of this commit."""
        new = call(
            "eval",
            "--run",
            self.scratch / commit,
            "--new-since",
            last,
            at=self.scratch,
            fine=(0, 2),
        )
        if not new:
            return {}
        return {
            name: new[key]["all"]["pass_at_1"]
            for name, key in (("base", "base"), ("student", "probe"))
        }

    def anew(self, commit: str) -> float:
        """Seconds of mining this commit with an empty cache."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as cache:
            os.chmod(cache, 0o755)
            run = self.scratch / f"{commit}-anew"
            env = {"XDG_CACHE_HOME": cache}
            call(
                "tasks", "--run", run, "--repo", self.tree, *self.options, at=self.scratch, env=env
            )
        return json.loads((run / "run.json").read_text())["seconds"]["mine"]


def line(commit: str, row: dict) -> str:
    numbers = [f"{row.get(key, ''):>5}" for key in ("tasks", "taken_over", "mined", "gone")]
    shares = [
        f"{row[key]:.3f}" if row.get(key) is not None else "-"
        for key in ("before", "after", "base", "student")
    ]
    anew = f"{row['anew']:.0f}" if "anew" in row else "-"
    return (
        f"{commit[:10]}  {' '.join(numbers)} {row['seconds']:8.0f} {anew:>6}  {shares[0]:>15} "
        f"{shares[1]:>6}  {shares[2]:>19} {shares[3]:>8}"
    )


def git(*arguments: str, at: Path | None = None) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=at, check=True, capture_output=True, text=True
    ).stdout


def call(*arguments, at: Path, fine=(0, 1), env: dict | None = None) -> dict:
    """What a command says to a machine; {} where it ended with a sentence."""
    done = subprocess.run(
        [sys.executable, COLDSTART, *map(str, arguments), "--json"],
        cwd=at,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
    )
    if done.returncode not in fine or done.returncode in (0, 1) and not done.stdout:
        raise SystemExit(f"{arguments} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode in (0, 1) else {}


if __name__ == "__main__":
    main()
