"""The arc, arm by arm: what distillation is for, and what REINFORCE adds to it.

    python tests/bench_arc.py [--recipe smollm2] [--part harder | --repo DIR | --library toolz]
                              [--seeds 0,1,2] [--set KEY=VALUE ...] [--out FILE.json]

For every seed (the nano student is made from the seed, too) these arms start from the same cold
student:

    cold                   as it was made
    REINFORCE only         no distillation: the cold start, shown
    distilled              the teacher's verified answers to 40 % of the cold tasks
    distilled + REINFORCE  the recipe's cycles on the student's own rollouts
    distilled + more SFT   fine-tuning goes on instead, for as many seconds as REINFORCE took

Each arm's pass@1 is measured with the recipe's k samples at the recipe's temperature (and at
others: --temperatures .7,1), on the taught, the untaught (tests only) and the held-out tasks, of
hard tasks alone. The rewards are real verdicts from the jail. At the end stands what REINFORCE
gained over the fine-tuning that went on, task by task, over all seeds, with a 95 % interval (paired
bootstrap over tasks). REINFORCE alone ends when IDLE cycles in a row taught nothing.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests import libraries  # noqa: E402

ONLY_CYCLES = 20
"""Cycles of REINFORCE without distillation, at most."""
IDLE = 5
GROUPS = ("taught", "untaught", "heldout")
OUT = "what was measured, as JSON; seeds that are in it already are not run again"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--recipe", default="nano")
    parser.add_argument("--part", default="easy", help="of the practice repository")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repo", type=Path)
    parser.add_argument("--library", help="of tests/libraries.py, such as toolz")
    parser.add_argument("--temperatures", default="", help="instead of the recipe's own")
    parser.add_argument(
        "--no-cold-arms",
        action="store_true",
        help="the last three arms alone; every task is taken for cold, and not probed first",
    )
    parser.add_argument("--out", type=Path, help=OUT)
    arguments = parser.parse_args()
    results = rows_in(arguments.out)
    with tempfile.TemporaryDirectory() as scratch:
        for seed in map(int, arguments.seeds.split(",")):
            if seed not in {row["seed"] for row in results}:
                results += run_seed(seed, arguments, Path(scratch) / str(seed))
            if arguments.out:
                arguments.out.write_text(json.dumps(results, indent=1))
            show(results)
            for group in GROUPS[1:]:
                show_difference(results, group)


def rows_in(file: Path | None) -> list[dict]:
    """What an earlier call has measured."""
    return json.loads(file.read_text()) if file and file.exists() else []


def repository_of(arguments: argparse.Namespace, scratch: Path) -> Path:
    """What the tasks are mined from."""
    from sandbox.practice import write_practice_repository

    if arguments.repo:
        return arguments.repo
    if arguments.library:
        (pinned,) = (
            p
            for p in (*libraries.PINNED, *libraries.HELD_AGAINST)
            if p.startswith(arguments.library)
        )
        return libraries.fetch(pinned, scratch / "library")
    write_practice_repository(scratch / "practice", arguments.part)
    return scratch / "practice"


def run_seed(seed: int, arguments: argparse.Namespace, scratch: Path) -> list[dict]:
    """All arms of one seed: [{"seed", "arm", "temperature", "taught", "untaught", "heldout",
    "solved": {instance_id: share of its samples}, "seconds"}]."""
    from coldstart import open_screen
    from recipes.bootstrap import distil, probe
    from recipes.mining import mine_tasks
    from recipes.runfolder.opening import versions
    from recipes.runfolder.run import Run
    from recipes.session import Session, open_judge
    from recipes.settings import load
    from recipes.teachers.teach import teach
    from sandbox.repo import open_repository

    scratch.mkdir()
    repo = repository_of(arguments, scratch)
    recipe = load(arguments.recipe, [*arguments.set, f"seed={seed}"])
    emit = open_screen(as_json=True).emit
    with Run.create(scratch / "run", open_repository(repo), recipe, versions()) as run:
        mine_tasks(run, emit)
        with open_judge(run, emit) as judge:
            session = Session(run, judge, emit)
            temperatures = [float(t) for t in arguments.temperatures.split(",") if t]
            arms = Arms(seed, session, temperatures or [recipe.probe.temperature])
            cold = session.student.snapshot()
            if arguments.no_cold_arms:
                assume_cold(session)
            else:
                arms.measure("cold", 0.0)
            probe(session, "before")
            teach(session)
            arms.split()
            if not arguments.no_cold_arms:
                arms.measure("REINFORCE only", arms.reinforce(ONLY_CYCLES, until_idle=True))
                session.student.rollback(cold)
            started = time.monotonic()
            distil(session)
            arms.measure("distilled", time.monotonic() - started)
            distilled = session.student.snapshot()
            seconds = arms.reinforce(run.recipe.climb.cycles)
            arms.measure("distilled + REINFORCE", seconds)
            session.student.rollback(distilled)
            arms.measure("distilled + more SFT", arms.more_sft(seconds))
            return arms.finish()


def assume_cold(session) -> None:
    """Write down the probe of a student that solves nothing."""
    k = session.recipe.probe.k
    with session.run.step("before"):
        for task in session.tasks:
            if task.instance_id not in session.prompts:
                continue
            record = {"phase": "before", "instance_id": task.instance_id, "k": k}
            session.run.append("probe.jsonl", [{**record, "resolved": 0, "truncated": 0}])


class Arms:
    """The arms of one seed, in one session."""

    def __init__(self, seed: int, session, temperatures: list[float]) -> None:
        self.seed, self.session, self.temperatures = seed, session, temperatures
        self.recipe, self.rows = session.recipe, []

    def split(self) -> None:
        self.taught = {r["instance_id"] for r in self.session.run.read("trajectories.jsonl")}

    def measure(self, arm: str, seconds: float) -> None:
        prompts = self.session.prompts
        pairs = [
            (t, prompts[t.instance_id])
            for t in self.session.tasks
            if t.hard and t.instance_id in prompts
        ]
        for temperature in self.temperatures:
            sampling = replace(self.session.probing, temperature=temperature)
            probes = self.session.measure(pairs, sampling, self.recipe.seed + 2)
            self.rows.append((arm, temperature, seconds, [p for p, _ in probes if p]))
            solved = [p.resolved / p.k for p in self.rows[-1][3]]
            print(f"  seed {self.seed}, {arm}: {sum(solved) / len(solved):.3f} of all", flush=True)

    def reinforce(self, cycles: int, until_idle: bool = False) -> float:
        """Climb from where the student is; the seconds that it took."""
        from recipes.learning.reinforce import ClimbState, cycle, in_words

        started, train = time.monotonic(), self.session.by_split("train")
        names = {t.instance_id for t in train}
        measured = self.rows[-1][3] if self.rows else []
        state = ClimbState.after_probe([p for p in measured if p.instance_id in names])
        idle = 0
        for _ in range(cycles):
            done = cycle(
                self.session.engine,
                train,
                self.session.prompts,
                state,
                self.recipe,
                self.session.judge_replies,
            )
            print(f"    {in_words(done)}", flush=True)
            idle = 0 if done.metrics["groups/used"] else idle + 1
            if until_idle and idle == IDLE:
                break
        return time.monotonic() - started

    def more_sft(self, seconds: float) -> float:
        """More steps on the same trajectories at a quarter of the learning rate, as many as fit
        into `seconds`."""
        from recipes.bootstrap import examples_of
        from recipes.learning.distil import distil

        student, examples = self.session.student, examples_of(self.session)
        settings = replace(
            self.recipe.distil,
            lr=self.recipe.distil.lr / 4,
            steps=100_000,
            epochs=0.0,
            final_lr=1.0,
        )
        started = time.monotonic()
        for _ in distil(student, examples, settings, self.recipe.seed + 1):
            if time.monotonic() - started >= seconds:
                break
        return time.monotonic() - started

    def finish(self) -> list[dict]:
        from recipes.learning.measure import summarise

        heldout = {t.instance_id for t in self.session.tasks if t.split == "heldout"}
        groups = {
            "taught": lambda n: n in self.taught,
            "heldout": lambda n: n in heldout,
            "untaught": lambda n: n not in self.taught and n not in heldout,
        }
        return [
            {
                "seed": self.seed,
                "arm": arm,
                "temperature": temperature,
                "seconds": round(seconds, 1),
                "solved": {p.instance_id: p.resolved / p.k for p in found},
                "in": {
                    name: [p.instance_id for p in found if inside(p.instance_id)]
                    for name, inside in groups.items()
                },
                **{
                    name: summarise([p for p in found if inside(p.instance_id)], temperature)
                    for name, inside in groups.items()
                },
            }
            for arm, temperature, seconds, found in self.rows
        ]


def show_difference(results: list[dict], group: str) -> None:
    """What REINFORCE gained over more fine-tuning on the tasks of a group, all seeds together."""
    from recipes.learning.measure import paired_interval

    for temperature in sorted({r["temperature"] for r in results}):
        rows = {
            (r["seed"], r["arm"]): r["solved"] for r in results if r["temperature"] == temperature
        }
        pairs = [
            (
                rows[r["seed"], "distilled + more SFT"][name],
                rows[r["seed"], "distilled + REINFORCE"][name],
            )
            for r in results
            if r["arm"] == "distilled" and r["temperature"] == temperature
            for name in r["in"][group]
        ]
        before, after = zip(*pairs)
        low, high = paired_interval(before, after, 0)
        gain = sum(after) / len(after) - sum(before) / len(before)
        print(
            f"{group}, T {temperature}: REINFORCE over more SFT {gain:+.3f} "
            f"[{low:+.3f}, {high:+.3f}], {len(pairs)} pairs"
        )
    sys.stdout.flush()


def show(results: list[dict]) -> None:
    """One row per seed, arm and temperature, then the means over the seeds."""
    print(
        f"\n{'seed':>4}  {'arm':22} {'T':>4}  {'taught':>7} {'untaught':>8} {'held-out':>8}  "
        f"{'held-out pass@k':>15}  {'seconds':>7}"
    )
    for r in sorted(results, key=lambda r: (r["temperature"], r["seed"])):
        print(
            f"{r['seed']:4}  {r['arm']:22} {r['temperature']:4}  {r['taught']['pass_at_1']:7.3f} "
            f"{r['untaught']['pass_at_1']:8.3f} "
            f"{r['heldout']['pass_at_1']:8.3f}  {r['heldout']['pass_at_k']:15.3f}  "
            f"{r['seconds']:7.1f}"
        )
    for temperature in sorted({r["temperature"] for r in results}):
        for arm in dict.fromkeys(r["arm"] for r in results):
            rows = [r for r in results if r["arm"] == arm and r["temperature"] == temperature]
            means = [
                sum(r[g]["pass_at_1"] for r in rows) / len(rows)
                for g in ("taught", "untaught", "heldout")
            ]
            print(
                f"mean  {arm:22} {temperature:4}  {means[0]:7.3f} {means[1]:8.3f} {means[2]:8.3f}"
            )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
