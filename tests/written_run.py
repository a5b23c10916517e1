"""A run folder as a run leaves it, written at once: for what only reads it. The repository and its
snapshot are real, the numbers drawn."""

import random
from pathlib import Path

from recipes.runfolder.run import Run
from recipes.settings import load
from sandbox import patches
from sandbox.repo import open_repository
from sandbox.source import blanked, find, read_text
from sandbox.tasks.task import Task

FUNCTIONS = ("add", "mean", "area", "Counter.up")
ATTACK = "<script>document.title='broken out'</script>\"'&amp;</pre>"
"""What a model may write, too."""
K = 4


def write_run(
    folder: Path, repo: Path, cycles: int = 6, copies: int = 4, upto: str = "climb"
) -> Run:
    """`copies` tasks of each function, the last copy held out, the first taught; cold at first,
    thawing from cycle to cycle."""
    repository, draw = open_repository(repo), random.Random(0)
    intact = read_text(repository.snapshot / "calc/core.py")
    tasks = [
        Task(
            instance_id=f"blank-calc.core.{name}-{copy}",
            kind="blank",
            split="heldout" if copy == copies - 1 else "train",
            repo="calc",
            base_commit=repository.commit,
            file="calc/core.py",
            function=name,
            patch=patches.make(blanked(intact, find(intact, name)), intact, "calc/core.py"),
            FAIL_TO_PASS=("tests/test_core.py::test_add",),
            PASS_TO_PASS=(),
            shown=(),
            problem_statement="",
            test_seconds=0.05,
            recorded=() if name == "area" else ([{}, {}],),
        )
        for name in FUNCTIONS
        for copy in range(copies)
    ]
    recipe = load(
        "nano",
        [
            "probe.k=4",
            f"climb.cycles={cycles or 6}",
            f"climb.groups={len(tasks) // 2}",
            "climb.group_size=4",
        ],
    )
    run = Run.create(folder, repository, recipe, {"python": "3.11.7", "torch": "2.13.0"})
    run.keep_only("tasks.jsonl", [t.to_dict() for t in tasks])
    run.content["excluded"] = {}
    run.mark_done("mine", 12.0)
    if upto == "mine":
        return run

    def probe(phase: str, chance: float) -> None:
        for number, task in enumerate(tasks):
            resolved = sum(draw.random() < chance for _ in range(K)) if number % 5 else 0
            run.append(
                "probe.jsonl",
                [
                    {
                        "phase": phase,
                        "temperature": 0.7,
                        "instance_id": task.instance_id,
                        "k": K,
                        "resolved": resolved,
                        "truncated": int(number % 5 == 0),
                    }
                ],
            )
            run.append("rollouts.jsonl", [rollout(phase, task, i, i < resolved) for i in range(K)])
        run.mark_done(phase, 30.0)

    def rollout(phase: str, task: Task, index: int, right: bool, **more) -> dict:
        text = "    return a + b\n" if right else f"    return {index}  # {ATTACK}\n"
        return {
            "phase": phase,
            **more,
            "instance_id": task.instance_id,
            "seed": 1,
            "index": index,
            "text": text,
            "tokens": 9,
            "status": "resolved"
            if right
            else ("tampered" if index == 3 and phase != "before" else "failed"),
            "reward": float(right),
        }

    probe("before", 0.0)
    if upto == "before":
        return run
    taught = [t for t in tasks if t.instance_id.endswith("-0")]
    run.append(
        "trajectories.jsonl",
        [
            {"messages": [], "instance_id": t.instance_id, "source": "reference", "reward": 1.0}
            for t in taught
        ],
    )
    # What the student learned again of its own rollouts was not taught.
    run.append(
        "trajectories.jsonl",
        [{"messages": [], "instance_id": tasks[1].instance_id, "source": "student", "reward": 1.0}],
    )
    run.mark_done("teach", 3.0)
    run.mark_done("distil", 60.0)
    probe("after", 0.4)
    run.content["checkpoints"] = {
        "distilled": "distilled",
        "last": "distilled",
        "best": "distilled",
    }
    for cycle in range(1, cycles + 1):
        chosen, causes = (
            draw.sample([t for t in tasks if t.split == "train"], len(tasks) // 2),
            {"used": 0, "cold": 0, "mastered": 0},
        )
        for task in chosen:
            rights = [draw.random() < 0.3 + 0.6 * cycle / cycles for _ in range(K)]
            causes["mastered" if all(rights) else "used" if any(rights) else "cold"] += 1
            run.append(
                "rollouts.jsonl",
                [rollout("climb", task, i, right, cycle=cycle) for i, right in enumerate(rights)],
            )
        line = {
            "cycle": cycle,
            "reward/mean": 0.5,
            "reward/hard": 0.5,
            "reward/soft": 0.5,
            "groups": len(chosen),
            **{f"groups/{k}": v for k, v in causes.items()},
            "groups/truncated": 0,
            "groups/harness_error": 0,
            "rollouts": 4 * len(chosen),
            "rollouts/truncated": 0,
            "drift": 1e-7 * cycle,
            "entropy": 0.2 / cycle,
            "entropy/after": 0.1,
            "lr": 3e-4,
            "grad_norm": 1.0,
            "undone": int(cycle == 3),
        }
        if cycle % 2 == 0:
            line |= {
                "heldout/pass_at_1": 0.3 + 0.05 * cycle,
                "heldout/low": 0.2 + 0.05 * cycle,
                "heldout/high": 0.4 + 0.05 * cycle,
            }
            line |= {
                f"heldout/hard{part}": line[f"heldout/{part[1:] or 'pass_at_1'}"]
                for part in ("", "/low", "/high")
            }
            line["heldout/soft"] = 0.2
        run.append("metrics.jsonl", [line])
    if cycles:
        run.content["checkpoints"] |= {"last": f"cycle-{cycles:04d}", "best": f"cycle-{cycles:04d}"}
        run.add_seconds("climb", 90.0)
        probe(f"climb-{cycles:04d}", 0.7)
    return run
