"""A climb by each rollout engine from the same bootstrapped student: do they come to the same?

    python coldstart.py demo practice && python coldstart.py bootstrap --repo practice python
    tests/bench_engines.py --run runs/latest [--cycles 50] [--engines model,llama.cpp] [--seeds 0,1]
    [--out FILE.json]

Each climb is what `climb` does, held-out measurements and choice of the best checkpoint included,
in a copy of the run, from the checkpoint that bootstrap left. Then the best checkpoint is probed as
`climb` does at its end, with k samples a task at the recipe's temperature, by the engine that
climbed. A line is printed for the start and for each climb: pass@1 with its 95 % interval
(bootstrap over the tasks) on the untaught training tasks and on the held-out ones, the mean drift
of the cycles, and the seconds of climbing. At the end the engines are compared: they came to `the
same` where the pass@1 of each (the mean over the seeds) lies within the other's interval. The mean
difference task by task is printed with an interval of its own (paired bootstrap over tasks), which
is narrower: it knows of the tasks that were drawn and not of what another seed would have given.

The seeds are those of a climb: they draw its tasks and rollouts. The bootstrap and its student are
the run's own, whatever they are.
"""

import argparse
import json
import sys
import tempfile
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

GROUPS = ("untaught", "heldout")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", type=Path, required=True, help="folder of a run whose bootstrap has ended"
    )
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--engines", default="model,llama.cpp")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    engines, seeds = (
        arguments.engines.split(","),
        [int(seed) for seed in arguments.seeds.split(",")],
    )
    print(
        f"{'':22}"
        + "".join(f"{group + ' pass@1':>32}" for group in GROUPS)
        + f"{'drift':>9}{'seconds':>9}",
        flush=True,
    )
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in seeds:
            for engine in engines:
                results.append(
                    climbed(
                        arguments.run,
                        Path(scratch) / f"{seed}-{engine}",
                        engine,
                        seed,
                        arguments.cycles,
                    )
                )
                if len(results) == 1:
                    show("bootstrapped", results[0]["before"])
                show(
                    f"{engine}, seed {seed}",
                    results[-1]["after"],
                    f"{results[-1]['drift']:9.4f}{results[-1]['seconds']:9.0f}",
                )
                if arguments.out:
                    arguments.out.write_text(json.dumps(results, indent=1))
    for one, other in combinations(engines, 2):
        compare(one, other, results)


def climbed(folder: Path, into: Path, engine: str, seed: int, cycles: int) -> dict:
    """{"engine", "seed", "before", "after" (group -> summary), "solved" (group -> {instance_id:
    share of k}), "drift", "seconds"}"""
    from coldstart import open_screen
    from recipes import phases
    from recipes.bootstrap import probe
    from recipes.climb import ClimbOptions, climb
    from recipes.reporting import tables
    from recipes.session import Session, open_judge
    from tests.bootstrapped import copy_of

    run, emit = copy_of(folder, into, engine, seed), open_screen(as_json=True).emit
    with run, open_judge(run, emit) as judge:
        session = Session(run, judge, emit)
        done = climb(session, ClimbOptions(cycles=cycles))
        phase = phases.probe_after(done)
        probe(session, phase)
        session.engine.close()
    groups = tables.grouped(run, tables.read_probes(run, phase))
    drifts = [
        m["drift"] for m in run.read("metrics.jsonl") if m["groups/used"] and m["drift"] is not None
    ]
    return {
        "engine": engine,
        "seed": seed,
        "before": tables.probe_summary(run, phases.bootstrapped()),
        "after": tables.probe_summary(run, phase),
        "solved": {
            name: {p.instance_id: p.resolved / p.k for p in groups[name]} for name in GROUPS
        },
        "drift": sum(drifts) / max(1, len(drifts)),
        "seconds": run.content["seconds"][phases.CLIMB.name],
    }


def show(name: str, summary: dict, more: str = "") -> None:
    cells = (
        "{:.3f} ({:.3f} to {:.3f})".format(summary[group]["pass_at_1"], *summary[group]["ci95"])
        for group in GROUPS
    )
    print(f"{name:22}" + "".join(f"{cell:>32}" for cell in cells) + more, flush=True)


def compare(one: str, other: str, results: list[dict]) -> None:
    """Print how two engines differ."""
    from recipes.learning.measure import interval, paired_interval

    for group in GROUPS:
        means = []  # of each engine: for each task the mean over the seeds
        for engine in (one, other):
            solved = [r["solved"][group] for r in results if r["engine"] == engine]
            means.append([sum(s[name] for s in solved) / len(solved) for name in sorted(solved[0])])
        first, second = (sum(values) / len(values) for values in means)
        (low, high), (low2, high2), (least, most) = (
            interval(means[0], 0),
            interval(means[1], 0),
            paired_interval(*means, 0),
        )
        same = low <= second <= high and low2 <= first <= high2
        print(
            f"{group}: {one} {first:.3f} ({low:.3f} to {high:.3f}), {other} {second:.3f} "
            f"({low2:.3f} to {high2:.3f}): "
            f"{'the same' if same else 'NOT the same'}; task by task {second - first:+.3f} "
            f"({least:+.3f} to {most:+.3f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
