"""Two stages of climb, and what keeps the second from undoing the first.

    python tests/bench_stages.py [--recipe smollm2] [--repo DIR | --part easy] [--seeds 0,1,2]
                                 [--first blank --second mutate] [--cycles 6,6] [--other DIR]
                                 [--set KEY=VALUE ...] [--out FILE.json]

For every seed one run is bootstrapped and climbs its first stage. From there the second is climbed
twice: with nothing that keeps the first, and with a KL term. Behind the former each other way
starts from its last checkpoint: self-distillation, replay of the student's own solved rollouts, the
mean of both adapters. Replay takes as many steps as self-distillation; the seconds of each stand in
the table. (The mean takes no time, and the KL term lengthens every cycle.)

Printed, by way and over all seeds: the second stage's gain on its own held-out tasks; the change of
what is earlier (held-out tasks of the first stage, mastered tasks, another repository that is never
trained on); both task by task, with 95 % intervals (paired bootstrap over tasks); cross-entropy of
plain English; KL to where the stage began; seconds. Goal: with self-distillation the earlier falls
by at most .02 in the mean, and at least 90 % of the gain stays.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]
from bench_arc import repository_of  # noqa: E402

COLDSTART = Path(__file__).parent.parent / "coldstart.py"
WAYS = ("nothing", "selfdistil", "replay", "average", "kl")
FIRST, SECOND = "first", "second"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--recipe", default="smollm2")
    parser.add_argument("--repo", type=Path)
    parser.add_argument("--library", help="of tests/libraries.py, such as toolz")
    parser.add_argument("--part", default="easy", help="of the practice repository")
    parser.add_argument("--first", default="blank", help="kinds of the first stage")
    parser.add_argument("--second", default="mutate", help="kinds of the second stage")
    parser.add_argument("--cycles", default="6,6", help="of both")
    parser.add_argument("--other", default="", help="a repository that is never trained on")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)  # root's jail must get through to it
        for seed in map(int, arguments.seeds.split(",")):
            rows += run_seed(seed, arguments, Path(scratch) / str(seed))
            if arguments.out:
                arguments.out.write_text(json.dumps(rows, indent=1))
            show(rows)


def run_seed(seed: int, arguments: argparse.Namespace, scratch: Path) -> list[dict]:
    """[{"seed", "way", "before", "after", "seconds"}], measurements as of `forgetting.measure`."""
    scratch.mkdir()
    repo = repository_of(arguments, scratch)
    kinds = [arguments.first.split(","), arguments.second.split(",")]
    cycles = arguments.cycles.split(",")
    stages = ", ".join(
        f'{{name = "{name}", kinds = {json.dumps(own)}, cycles = {count}}}'
        for name, own, count in zip((FIRST, SECOND), kinds, cycles)
    )
    settings = [
        f"stage=[{stages}]",
        f"tasks.kinds={json.dumps(sorted({kind for own in kinds for kind in own}))}",
        f"forgetting.other={arguments.other}",
        "retention.method=none",
        f"seed={seed}",
        *arguments.set,
    ]
    options = [part for setting in settings for part in ("--set", setting)]
    tell(
        "bootstrap",
        "--repo",
        repo,
        "--run",
        "run",
        "--recipe",
        arguments.recipe,
        *options,
        cwd=scratch,
    )
    tell("climb", "--run", "run", "--stage", FIRST, cwd=scratch)
    shutil.copytree(scratch / "run", scratch / "kl")
    change(scratch / "kl", "kl")
    told = tell("climb", "--run", "run", "--compare", cwd=scratch)["forgetting"][SECOND]
    by_kl = tell("climb", "--run", "kl", cwd=scratch)["forgetting"][SECOND]
    found = {"nothing": told["climbed"], **told["tried"], "kl": by_kl["climbed"]}
    return [
        {
            **{"seed": seed, "way": way, "after": found[way]},
            "before": by_kl["before"] if way == "kl" else told["before"],
            "seconds": found[way].get("seconds", 0.0),
        }
        for way in WAYS
    ]


def tell(*command: object, cwd: Path) -> dict:
    """What a command of coldstart tells a machine; its progress is shown."""
    done = subprocess.run(
        [sys.executable, str(COLDSTART), *map(str, command), "--json"],
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}")
    found: dict = json.loads(done.stdout.splitlines()[-1])
    return found


def change(run: Path, method: str) -> None:
    """Another `retention.method` from here on."""
    content = json.loads((run / "run.json").read_text())
    content["recipe"]["retention"]["method"] = method
    (run / "run.json").write_text(json.dumps(content, indent=2))


def show(rows: list[dict]) -> None:
    seeds = sorted({row["seed"] for row in rows})
    print(f"\nseeds {seeds}: change of pass@1 over the second stage, task by task")
    print(
        f"{'':12}{'own held out':>29}{'held out, first':>29}{'mastered':>29}{'other':>29}"
        f"{'mean of earlier':>16}{'English':>9}{'KL':>7}{'seconds':>9}"
    )
    for way in WAYS:
        of = [row for row in rows if row["way"] == way]
        cells = [change_of(of, group) for group in (SECOND, FIRST, "mastered", "other")]
        known = [cell[0] for cell in cells[1:] if cell]
        mean = f"{sum(known) / len(known):+.3f}" if known else "-"
        texts = [f"{c[0]:+.3f} [{c[1]:+.3f}, {c[2]:+.3f}] {c[3]:3}" if c else "-" for c in cells]
        english = average([row["after"]["neutral"] - row["before"]["neutral"] for row in of])
        kl, seconds = (
            average([row["after"]["kl"] for row in of]),
            average([r["seconds"] for r in of]),
        )
        print(
            f"{way:12}" + "".join(f"{text:>29}" for text in texts) + f"{mean:>16}"
            f"{english:+9.3f}{kl:7.3f}{seconds:9.0f}"
        )
    sys.stdout.flush()


def change_of(rows: list[dict], group: str) -> tuple[float, float, float, int] | None:
    """(mean change, its interval, pairs) of pass@1 over tasks and seeds; None where none was
    measured."""
    from recipes.learning.measure import paired_interval

    before, after = [], []
    for row in rows:
        was, now = (
            side["heldout"].get(group, side.get(group)) for side in (row["before"], row["after"])
        )
        for name in was["by_task"] if was and now else ():
            if name in now["by_task"]:
                before.append(was["by_task"][name])
                after.append(now["by_task"][name])
    if not before:
        return None
    low, high = paired_interval(before, after, 0)
    return (sum(after) - sum(before)) / len(before), low, high, len(before)


def average(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
