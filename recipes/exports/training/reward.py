"""coldstart's verdict as a reward function of TRL.

    with open_run(run_folder, cores, memory) as opened:
        GRPOTrainer(..., reward_funcs=reward_of(opened, tokens, file))

Each process has a judge of its own with its jails, which share the machine's cores, and a memory of
its own: the verdicts of the run, and what it judges itself. Nothing is shared between processes, so
that none waits for another and no file is written over a network by two; what two of them write
alike is judged twice.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

TOLERATED = 0.1
"""Share of the rollouts of a step that may be without a verdict."""


def reward_of(opened: Any, tokens: Any, file: Path) -> Callable[..., list[float | None]]:
    """A reward function: 1 where the tests say that a reply resolves its task, 0 where it does not
    or was cut off, None where the jail failed, which TRL leaves out of the group. Less for more
    turns (`climb.discount`). `opened`: the `OpenRun`; `tokens`: the student's `StudentTokens`; what
    was judged is appended to `file`."""
    from sandbox import jsonl

    discount = opened.recipe.climb.discount

    def resolved(
        completion_ids: list[list[int]],
        instance_id: list[str],
        trainer_state: Any,
        reply: list[str | None] | None = None,
        turns: list[int] | None = None,
        failure: list[str] | None = None,
        **_: Any,
    ) -> list[float | None]:
        texts = reply or [reply_of(tokens, ids) for ids in completion_ids]
        taken, failed = turns or [1] * len(texts), failure or [""] * len(texts)
        judged = _judged(opened, instance_id, texts, failed)
        rewards = [
            None if reward is None else reward * discount ** (n - 1)
            for (_, reward), n in zip(judged, taken)
        ]
        lines = [
            _line(opened.tasks[name], trainer_state.global_step, status, reward, n, text)
            for name, (status, _), reward, n, text in zip(
                instance_id, judged, rewards, taken, texts
            )
        ]
        jsonl.append(file, lines)
        return rewards

    return resolved


def _line(
    task: Any, steps: int, status: str, reward: float | None, turns: int, text: str | None
) -> dict:
    """Of the step in which it is learned, or after which a held-out one was sampled."""
    return {
        "step": steps + (task.split == "train"),
        "split": task.split,
        "instance_id": task.instance_id,
        "status": status,
        "reward": reward,
        "turns": turns,
        "text": text,
    }


def reply_of(tokens: Any, ids: list[int]) -> str | None:
    """The text of a reply; None where it was cut off."""
    return tokens.text(ids) if ids and ids[-1] in tokens.end_ids else None


def _judged(
    opened: Any, names: list[str], texts: list[str | None], failures: list[str]
) -> list[tuple[str, float | None]]:
    """(status, reward) of each. Raises RuntimeError where the jail fails on more than a tenth: then
    the machine is at fault."""
    verdicts = iter(
        opened.verdicts(
            [(n, t) for n, t, why in zip(names, texts, failures) if t is not None and not why]
        )
    )

    def one(text: str | None, why: str) -> tuple[str, float | None, str]:
        if text is None:
            return "truncated", 0.0, ""
        found = RuntimeError(why) if why else next(verdicts)
        if isinstance(found, Exception):
            return "harness_error", None, str(found)
        return found.status, found.reward, ""

    judged = [one(text, why) for text, why in zip(texts, failures)]
    reasons = [why for _, _, why in judged if why]
    if len(reasons) > TOLERATED * len(judged):
        raise RuntimeError(f"The jail failed on {len(reasons)} of {len(judged)}: {reasons[-1]}")
    return [(status, reward) for status, reward, _ in judged]
