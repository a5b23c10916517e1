"""bootstrap and a few cycles of climb on real libraries: what is mined, and what the student makes of
it.

    python tests/bench_libraries.py [--recipe smollm2] [--cycles 4] [--set KEY=VALUE ...]
                                    [--libraries boltons==26.2.0,toolz==1.2.0]

Runs the commands as a person would, and prints one row a library: tasks of each group and their
pass@1 before, after fine-tuning, and after the climb; hard tasks alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from libraries import PINNED, fetch  # noqa: E402

COLDSTART = str(Path(__file__).parent.parent / "coldstart.py")
GROUPS = ("all", "taught", "untaught", "heldout")
HEAD = ("library", "tasks", "when", *GROUPS, "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--libraries", default=",".join(PINNED))
    parser.add_argument("--recipe", default="smollm2")
    parser.add_argument("--cycles", type=int, default=4)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # root's jail must get through to it
        for requirement in arguments.libraries.split(","):
            print_rows(requirement, Path(scratch), arguments)


def print_rows(requirement: str, scratch: Path, arguments: argparse.Namespace) -> None:
    repository = fetch(requirement, scratch / requirement)
    run = ["--run", scratch / requirement / "run"]
    options = ["--repo", repository, "--recipe", arguments.recipe]
    options += [part for pair in arguments.set for part in ("--set", pair)]
    tasks = call("tasks", *run, *options)
    count = sum(sum(sorts.values()) for sorts in tasks["counts"].values())
    boot = call("bootstrap", *run)
    print_row(requirement, count, "before", boot["probe"]["before"], tasks["took"])
    if "after" in boot["probe"]:
        print_row("", "", "after fine-tuning", boot["probe"]["after"], boot["took"])
    if boot["exit"] == 0:
        climb = call("climb", *run, "--cycles", arguments.cycles)
        when = f"after {climb['cycles']} cycles"
        print_row("", "", when, climb["probe"]["after"], climb["took"])
    asked, verified = boot["teacher"]["asked"], boot["teacher"]["verified"]
    facts = {"teacher": {"asked": asked, "verified": verified}, "left out": tasks["excluded"]}
    print(json.dumps({requirement: facts}), file=sys.stderr, flush=True)


def print_row(library: str, tasks: object, when: str, probe: dict, seconds: float) -> None:
    groups = [probe.get(group) or {"n": 0} for group in GROUPS]
    shares = [f"{g['pass_at_1']:.3f} ({g['n']})" if g["n"] else "-" for g in groups]
    cells = (library, tasks, when, *shares, f"{seconds:.0f}")
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def call(*arguments: object) -> dict:
    """One command with --json; its object, with the exit code under "exit" and its seconds under
    "took"."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, COLDSTART, *map(str, arguments), "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode not in (0, 1):
        sys.exit(f"{arguments[0]} ended with exit code {done.returncode}")
    took = time.monotonic() - start
    return {**json.loads(done.stdout.splitlines()[-1]), "exit": done.returncode, "took": took}


if __name__ == "__main__":
    main()
