"""What seeing the failure buys: episodes of several turns against as many tokens of single
attempts.

    python tests/bench_episodes.py [--recipe smollm2] [--part harder | --repo DIR | --library toolz]
                                   [--turns 3] [--seeds 0,1,2] [--set KEY=VALUE ...] [--out FILE]

For every seed one student is distilled, and then climbs from there twice:

    distilled        the teacher's verified answers, one turn each
    + turns          the recipe's cycles of REINFORCE, on episodes of so many turns
    + single turns   REINFORCE on rollouts of one turn, for as many seconds

Each is measured on the taught, the untaught and the held-out tasks by episodes: pass@1 after the
first turn and after the last, turns used, and the control (`recipes/control.py`): as many tokens of
independent single attempts, of which the tests that the prompt shows choose. At the end stands what
episodes are more than their control, and what climbing with turns is more than climbing without,
task by task over all seeds, with 95 % intervals (paired bootstrap over tasks).
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]
from bench_arc import GROUPS, OUT, assume_cold, repository_of, rows_in  # noqa: E402

ARMS = ("distilled", "+ turns", "+ single turns")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--recipe", default="smollm2")
    parser.add_argument("--part", default="easy", help="of the practice repository")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repo", type=Path)
    parser.add_argument("--library", help="of tests/libraries.py, such as toolz")
    parser.add_argument("--out", type=Path, help=OUT)
    arguments = parser.parse_args()
    rows = rows_in(arguments.out)
    with tempfile.TemporaryDirectory() as scratch:
        for seed in map(int, arguments.seeds.split(",")):
            if seed not in {row["seed"] for row in rows}:
                rows += run_seed(seed, arguments, Path(scratch) / str(seed))
            if arguments.out:
                arguments.out.write_text(json.dumps(rows, indent=1))
            show(rows)


def run_seed(seed: int, arguments: argparse.Namespace, scratch: Path) -> list[dict]:
    """One row a task and arm: {"seed", "arm", "group", "task", "seconds", "first", "last",
    "control", "turns"}, the last four shares and means of its episodes."""
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
    settings = [*arguments.set, f"seed={seed}", f"student.turns={arguments.turns}"]
    recipe, emit = load(arguments.recipe, settings), open_screen(as_json=True).emit
    repo = open_repository(repository_of(arguments, scratch))
    with Run.create(scratch / "run", repo, recipe, versions()) as run:
        mine_tasks(run, emit)
        with open_judge(run, emit) as judge:
            session = Session(run, judge, emit)
            assume_cold(session)
            probe(session, "before")
            teach(session)
            distil(session)
            rows = measured(session, seed, ARMS[0], 0.0)
            snapshot = session.student.snapshot()
            seconds = climb(session, None)
            rows += measured(session, seed, ARMS[1], seconds)
            session.student.rollback(snapshot)
            episodes = session.recipe
            # Memory and engine stay as they are: they have room for episodes.
            one = replace(episodes.student, turns=1, max_episode=0)
            session.recipe = replace(episodes, student=one)
            seconds = climb(session, seconds)
            session.recipe = episodes
            return rows + measured(session, seed, ARMS[2], seconds)


def climb(session, seconds: float | None) -> float:
    """The recipe's cycles, or cycles for so many seconds; the seconds that it took."""
    from recipes.learning.reinforce import ClimbState, cycle, in_words

    started, state, recipe = time.monotonic(), ClimbState(), session.recipe
    while (
        state.cycle < recipe.climb.cycles
        if seconds is None
        else time.monotonic() - started < seconds
    ):
        with session.conversations() as talk:
            done = cycle(
                session.engine,
                session.by_split("train"),
                session.prompts,
                state,
                recipe,
                session.judge_replies,
                conversations=talk,
            )
        print(f"    {in_words(done)}", flush=True)
    return time.monotonic() - started


def measured(session, seed: int, arm: str, seconds: float) -> list[dict]:
    from recipes.control import best_of_attempts

    taught = {r["instance_id"] for r in session.run.read("trajectories.jsonl")}
    prompts = session.prompts
    pairs = [(t, prompts[t.instance_id]) for t in session.tasks if t.instance_id in prompts]
    probes, tokens = {}, {}
    for found, group in session.measure(pairs, session.probing, session.recipe.seed + 2):
        if found:
            probes[found.instance_id] = found
            tokens[found.instance_id] = [rollout.tokens for rollout in group]
    pairs = [pair for pair in pairs if pair[0].instance_id in probes]
    temperature = session.probing.temperature
    control = dict(best_of_attempts(session, pairs, tokens, temperature))
    rows = []
    for task, _ in pairs:
        name = task.instance_id
        if name in control:
            p = probes[name]
            group = "heldout" if task.split == "heldout" else "untaught"
            rows.append(
                {
                    "seed": seed,
                    "arm": arm,
                    "group": "taught" if name in taught else group,
                    "task": name,
                    "seconds": round(seconds, 1),
                    "first": p.first / p.k,
                    "last": p.resolved / p.k,
                    "control": control[name] / p.k,
                    "turns": p.turns / p.k,
                }
            )
    print(f"  seed {seed}, {arm}: {mean(rows, 'last'):.3f} of all", flush=True)
    return rows


def mean(rows: list[dict], key: str) -> float:
    return sum(row[key] for row in rows) / max(1, len(rows))


def show(rows: list[dict]) -> None:
    print(
        f"\n{'seed':>5} {'arm':15} {'group':9} {'tasks':>6} {'turn 1':>7} {'last':>6} "
        f"{'control':>8} {'turns':>6} {'seconds':>8}"
    )
    for seed in (*sorted({row["seed"] for row in rows}), "all"):
        for arm in ARMS:
            for group in GROUPS:
                of = [r for r in rows if seed in ("all", r["seed"])]
                of = [r for r in of if r["arm"] == arm and r["group"] == group]
                values = [mean(of, key) for key in ("first", "last", "control", "turns", "seconds")]
                first, last, control, turns, seconds = values
                print(
                    f"{seed:>5} {arm:15} {group:9} {len(of):6} {first:7.3f} {last:6.3f} "
                    f"{control:8.3f} {turns:6.2f} {seconds:8.0f}"
                )
    for group in GROUPS:
        of = [row for row in rows if row["group"] == group]
        for arm in ARMS:
            some = [row for row in of if row["arm"] == arm]
            _show_pairs(
                f"{group}, {arm}: episodes over their control",
                [(row["control"], row["last"]) for row in some],
            )
            _show_pairs(
                f"{group}, {arm}: last turn over first",
                [(row["first"], row["last"]) for row in some],
            )
        arms = [{(r["seed"], r["task"]): r for r in of if r["arm"] == arm} for arm in ARMS[1:]]
        both = [(arms[1][key], arms[0][key]) for key in arms[0] if key in arms[1]]
        for key in ("first", "last"):
            _show_pairs(
                f"{group}: climbing with turns over without, {key} turn",
                [(without[key], with_turns[key]) for without, with_turns in both],
            )
    sys.stdout.flush()


def _show_pairs(what: str, pairs: list[tuple[float, float]]) -> None:
    from recipes.learning.measure import paired_interval

    if not pairs:
        return
    before, after = zip(*pairs)
    low, high = paired_interval(before, after, 0)
    gain = (sum(after) - sum(before)) / len(pairs)
    print(f"{what}: {gain:+.3f} [{low:+.3f}, {high:+.3f}], {len(pairs)} pairs")


if __name__ == "__main__":
    main()
