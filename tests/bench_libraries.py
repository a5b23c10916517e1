"""bootstrap and two cycles of climb on real libraries: what is mined, and what the nano student
makes of it.

    python tests/bench_libraries.py [--libraries
    boltons==26.2.0,toolz==1.2.0,more-itertools==11.2.1] [--limit 60]

Runs the commands as a person would, with `--limit` tasks drawn by the seed where a library has
more, and prints one row a library.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from libraries import PINNED, fetch  # noqa: E402

COLDSTART = str(Path(__file__).parent.parent / "coldstart.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--libraries", default=",".join(PINNED[:3]))
    parser.add_argument("--limit", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for requirement in arguments.libraries.split(","):
            print_row(requirement, Path(scratch), arguments.limit)


def print_row(requirement: str, scratch: Path, limit: int) -> None:
    repository = fetch(requirement, scratch / requirement)
    run = scratch / requirement / "run"
    tasks = call("tasks", "--repo", repository, "--run", run, "--set", f"tasks.limit={limit}")
    boot = call("bootstrap", "--run", run)
    climb = (
        call("climb", "--run", run, "--cycles", 2)
        if boot["exit"] == 0
        else {"exit": "not tried: still cold"}
    )
    count = sum(sum(c.values()) for c in tasks["counts"].values())
    print(
        f"\n{requirement}: {count} tasks in {tasks['seconds']:.0f} s; left out: {tasks['excluded']}"
    )
    for when in ("before", "after"):
        p = boot["probe"][when]
        print(
            f"  bootstrap, {when:6}: "
            + ", ".join(
                f"{g} {p[g]['pass_at_1']:.3f} (n={p[g]['n']})"
                for g in ("taught", "untaught", "heldout")
                if p[g]["n"]
            )
        )
    print(
        f"  teacher: asked {boot['teacher']['asked']}, verified {boot['teacher']['verified']}; "
        f"seconds {boot['seconds']}"
    )
    print(
        "  two cycles of climb: "
        f"{json.dumps({k: climb[k] for k in ('exit', 'cycles', 'zero_variance', 'rollouts') if k in climb})}"
    )
    sys.stdout.flush()


def call(*arguments) -> dict:
    """One command with --json; its object, with the exit code under "exit"."""
    done = subprocess.run(
        [sys.executable, COLDSTART, *map(str, arguments), "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode not in (0, 1):
        sys.exit(f"{arguments[0]} ended with exit code {done.returncode}")
    return {**json.loads(done.stdout.splitlines()[-1]), "exit": done.returncode}


if __name__ == "__main__":
    main()
