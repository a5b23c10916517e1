"""What a token costs in self-distillation, and what it costs in climb.

    python coldstart.py demo practice && python coldstart.py bootstrap --repo practice
    python tests/bench_selfdistil.py --run runs/latest [--cycles 2] [--steps 8] [--engine llama.cpp]

In a copy of the run, from the checkpoint that bootstrap left: cycles of climb (sampled, judged,
learned from; no verdict is known beforehand, no held-out task measured), then steps of
self-distillation towards that checkpoint. The first of each is not counted. Printed: tokens that
the student wrote, seconds and processor seconds (of the jails, too), and both for a thousand of
these tokens. The goal is a third of climb's: a step writes one completion to each prompt, where
climb has one prompt for a whole group, and asks no verdict.
"""

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

GOAL = 1 / 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", type=Path, required=True, help="folder of a run whose bootstrap has ended"
    )
    parser.add_argument("--cycles", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--engine", default="llama.cpp")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)  # root's jail must get through to it
        rows = measure(arguments, Path(scratch) / "run")
    print(f"{'':18}{'times':>6}{'tokens':>8}{'seconds':>9}{'CPU s':>8}{'s / 1000':>10}{'CPU':>8}")
    for name, times, tokens, *used in rows:
        each = [1000 * value / tokens for value in used]
        print(
            f"{name:18}{times:6}{tokens:8}{used[0]:9.1f}{used[1]:8.1f}{each[0]:10.2f}{each[1]:8.2f}"
        )
    climb, selfdistil = rows
    for place, what in ((3, "seconds"), (4, "processor seconds")):
        share = selfdistil[place] / selfdistil[2] / (climb[place] / climb[2])
        print(f"{share:.2f} of climb's {what} a token (goal: at most {GOAL:.2f})")


def measure(arguments, folder: Path) -> list[tuple]:
    """(what, times, tokens, seconds, processor seconds) of both."""
    from coldstart import open_screen
    from recipes.learning.reinforce import ClimbState, cycle
    from recipes.learning.selfdistil import selfdistil
    from recipes.session import Session, open_judge
    from tests.bootstrapped import copy_of

    run, emit = copy_of(arguments.run, folder, arguments.engine), open_screen(as_json=True).emit
    with ExitStack() as stack:
        stack.enter_context(run)
        session = Session(run, stack.enter_context(open_judge(run, emit)), emit)
        session.student.restore(run.checkpoint("last"))
        session.student.freeze_reference(run.checkpoint("distilled"))
        state, train, engine = ClimbState(), session.by_split("train"), session.engine

        def climbed() -> int:
            with session.conversations() as talk:
                result = cycle(
                    engine,
                    train,
                    session.prompts,
                    state,
                    session.recipe,
                    session.judge_replies,
                    conversations=talk,
                )
            return sum(rollout.tokens for rollout in result.rollouts)

        settings = replace(session.recipe.selfdistil, steps=1 + arguments.steps)
        recipe = replace(session.recipe, selfdistil=settings)
        pairs = [(task, session.prompts[task.instance_id]) for task in train]
        steps = selfdistil(engine, pairs, recipe, session.conversations)
        rows = [
            ("climb, cycles", arguments.cycles, *timed(climbed, arguments.cycles)),
            (
                "selfdistil, steps",
                arguments.steps,
                *timed(lambda: next(steps).tokens, arguments.steps),
            ),
        ]
        engine.close()
    return rows


def timed(work, times: int) -> tuple[int, float, float]:
    """(tokens, seconds, processor seconds) of `work()` so often, after once."""
    from tests.bench_cycle import tree_seconds

    work()
    began, used = time.perf_counter(), tree_seconds(os.getpid())
    tokens = sum(work() for _ in range(times))
    return tokens, time.perf_counter() - began, tree_seconds(os.getpid()) - used


if __name__ == "__main__":
    main()
