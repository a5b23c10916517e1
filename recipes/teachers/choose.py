"""Which tasks a teacher is given, and which rollouts of the student's own are learned beside its
answers."""

import hashlib

from recipes.learning.measure import derived_seed
from sandbox.tasks.task import Task


def choose_cold(tasks: list[Task], states: dict[str, str], share: float, seed: int) -> list[Task]:
    """The tasks that the teacher may answer: `share` of those that are cold and for training, drawn
    by the seed.

    `states` maps instance_id to the probe's `cold`, `warm` or `mastered`.
    """
    cold = [t for t in tasks if t.split == "train" and states.get(t.instance_id) == "cold"]
    drawn = sorted(
        cold, key=lambda t: hashlib.sha256(f"{seed}/teach/{t.instance_id}".encode()).hexdigest()
    )
    chosen = {t.instance_id for t in drawn[: round(len(cold) * share)]}
    return [t for t in cold if t.instance_id in chosen]


def choose_replay(
    tasks: list[Task], rollouts: list[dict], taught: int, share: float, seed: int
) -> list[dict]:
    """The student's own rollouts that are learned beside `taught` dialogues, so many that they are
    `share` of all: resolved ones of tasks for training, no text twice, drawn by the seed, a second
    one of a task only when every task has one."""
    train = {t.instance_id for t in tasks if t.split == "train"}
    own = {
        (r["instance_id"], r["text"]): r
        for r in rollouts
        if r["status"] == "resolved" and r["instance_id"] in train
    }
    drawn = sorted(
        own,
        key=lambda key: derived_seed(
            "replay", seed, key[0], key[1].encode("utf-8", "surrogateescape")
        ),
    )
    rounds: dict[str, int] = {}
    order: list[tuple[int, int, dict]] = []
    for name, text in drawn:
        rounds[name] = rounds.get(name, 0) + 1
        order.append((rounds[name], len(order), own[name, text]))
    return [rollout for _, _, rollout in sorted(order, key=lambda entry: entry[:2])][
        : round(taught * share / (1 - share))
    ]
