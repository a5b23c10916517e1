"""How good the student is: which tasks it solves how often, and how far such a number can be
trusted.

    sampling = Sampling(n=8, temperature=0.7, max_new=64)
    for task_probe, rollouts in probe(engine, pairs, sampling, seed=0, judge=judge, chunk=24):
        ...  # the caller writes each to disk
    summarise(task_probes, temperature=0.7)  # {"n", "k", "pass_at_1", "ci95", "cold", ...}

Only `probe` needs torch, and imports it when called.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from recipes.rollouts.conversations import Conversations
from recipes.rollouts.engine import Engine, count_nothing
from recipes.rollouts.rollout import (
    UNJUDGED,
    Judge,
    Pairs,
    Rollout,
    Sampling,
    judged_groups,
    refuse_failing_jails,
)

RESAMPLES = 10_000
"""Bootstrap resamples: enough that the 2.5 % quantile moves by less than a hundredth of the
interval between two seeds."""

STATES = ("cold", "warm", "mastered")

Z95 = 1.959963984540054
"""The normal distribution's 97.5 % quantile."""


@dataclass(frozen=True)
class TaskProbe:
    """What k rollouts of one task came to; a line of probe.jsonl."""

    instance_id: str
    k: int
    resolved: int
    truncated: int
    """Rollouts that were cut off by the token limit."""
    unsampled: int = 0
    """Rollouts that were not sampled, because all before them were cut off (`stops_early`)."""
    turns: int = 0
    """Replies of all rollouts together; 0 where a rollout has one turn."""
    first: int = 0
    """Rollouts that were resolved in the first of their turns."""

    @property
    def state(self) -> str:
        """`mastered` (k of k), `warm` (some) or `cold` (none, cut off or not: a student that
        rambles past its limit is exactly one that must be taught)."""
        if self.resolved:
            return "mastered" if self.resolved == self.k else "warm"
        return "cold"

    @property
    def cut_off(self) -> bool:
        """Whether it is cold and some of its rollouts were cut off: more room might have helped."""
        return self.state == "cold" and self.truncated > 0


def derived_seed(*parts: str | int) -> int:
    """A 63-bit seed from numbers and strings: the same on every machine, and unrelated for
    different parts."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of k samples is right, estimated without bias from c right ones
    among n.

    1 - C(n-c, k) / C(n, k) (Chen et al. 2021, arXiv:2107.03374, equation 1). Raises ValueError
    unless 0 <= c <= n, 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} cannot be estimated from {c} of {n}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def interval(values_per_task: Sequence[float], seed: int) -> tuple[float, float]:
    """95 % interval of the mean of one value per task, each in [0, 1].

    Percentile bootstrap over tasks (Efron 1979), drawn from `seed`. Where it has no width, as when
    all tasks agree, the Wilson score interval (Wilson 1927) of that mean over as many trials as
    there are tasks. No tasks: (0, 1), for nothing is known.
    """
    import numpy as np

    if not values_per_task:
        return 0.0, 1.0
    values = np.asarray(values_per_task, dtype=np.float64)
    mean = math.fsum(values_per_task) / len(values)
    generator = np.random.default_rng(derived_seed("interval", seed))
    # Values are shares of k samples, so there are few different ones: how often each is drawn is
    # all that matters.
    levels, counts = np.unique(values, return_counts=True)
    means = (
        generator.multinomial(len(values), counts / len(values), size=RESAMPLES)
        @ levels
        / len(values)
    )
    low, high = (float(q) for q in np.quantile(means, [0.025, 0.975]))
    if values.min() == values.max() or high <= low:
        low, high = _wilson(mean, len(values))
    # The mean itself is inside by definition; quantiles of few tasks can miss it by a rounding
    # error.
    return min(low, mean), max(high, mean)


def paired_interval(
    before: Sequence[float], after: Sequence[float], seed: int
) -> tuple[float, float]:
    """95 % interval of the mean difference after - before, one pair of values in [0, 1] a task.

    As `interval`, resampling the tasks and with them the pairs (paired bootstrap), of the
    differences mapped to [0, 1]; so it has a width even where all tasks agree. Raises ValueError
    for lists of different length.
    """
    low, high = interval(
        [(1 + new - old) / 2 for old, new in zip(before, after, strict=True)], seed
    )
    return 2 * low - 1, 2 * high - 1


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> float:
    """Two-sided p-value of the exact test of McNemar (1947, Psychometrika 12:153): that as many of
    the tasks that are solved only once are solved before as after is what chance would give. 1.0
    where no task differs. Raises ValueError for lists of different length."""
    pairs = list(zip(before, after, strict=True))
    lost, won = (
        sum(old and not new for old, new in pairs),
        sum(new and not old for old, new in pairs),
    )
    tail = sum(math.comb(lost + won, i) for i in range(min(lost, won) + 1))
    return min(1.0, 2 * tail / 2 ** (lost + won))


def _wilson(p: float, n: int) -> tuple[float, float]:
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def summarise(probes: Sequence[TaskProbe], temperature: float, seed: int = 0) -> dict:
    """One group's entry of the P object: n, k, temperature, pass_at_1, pass_at_k, ci95 (of pass@1),
    cold, warm, mastered; truncated: as many of the cold ones had rollouts that were cut off. Where
    rollouts have turns also pass_at_1_turn_1, what the first turn alone solved, and turns, the
    mean.

    For no probes k, pass_at_1 and pass_at_k are None and ci95 is [0, 1]. Raises ValueError if the
    probes' k differ.
    """
    if len({p.k for p in probes}) > 1:
        raise ValueError("probes with different k cannot be summarised together")
    k = probes[0].k if probes else None
    states = [p.state for p in probes]
    return {
        "n": len(probes),
        "k": k,
        "temperature": temperature,
        "pass_at_1": _mean([pass_at_k(p.k, p.resolved, 1) for p in probes]),
        "pass_at_k": _mean([pass_at_k(p.k, p.resolved, p.k) for p in probes]),
        "ci95": list(interval([p.resolved / p.k for p in probes], seed)),
        **{state: states.count(state) for state in STATES},
        "truncated": sum(p.cut_off for p in probes),
        **_of_turns(probes),
    }


def _of_turns(probes: Sequence[TaskProbe]) -> dict:
    if not any(p.turns for p in probes):
        return {}
    sampled = sum(p.k - p.unsampled for p in probes)
    return {
        "pass_at_1_turn_1": _mean([pass_at_k(p.k, p.first, 1) for p in probes]),
        "turns": sum(p.turns for p in probes) / sampled,
    }


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def probe(
    engine: Engine,
    prompts_by_task: Pairs,
    sampling: Sampling,
    seed: int,
    judge: Judge,
    chunk: int,
    on_ended: Callable[[int], None] = count_nothing,
    conversations: Conversations | None = None,
) -> Iterator[tuple[TaskProbe | None, list[Rollout]]]:
    """Sample rollouts of each (task, prompt ids) pair, `chunk` tasks together, and judge them;
    yields what a task came to as soon as it is judged. The TaskProbe is None where the jail failed:
    then the task was not measured, and `set_aside` says why.

    A task's rollouts depend on (seed, instance_id) and, by rounding alone, on the chunk it is in.
    So a caller that wrote whole chunks down and passes what is left gets what one uninterrupted
    call would have given. `judge` is as for `rollout.judged`; `on_ended` hears of completions that
    have been sampled (`Engine.stream`). Raises HarnessError where more than a tenth of all rollouts
    was not judged.
    """
    parts = [
        prompts_by_task[start : start + chunk] for start in range(0, len(prompts_by_task), chunk)
    ]
    seeded = [
        (pairs, [derived_seed("probe", seed, task.instance_id) for task, _ in pairs])
        for pairs in parts
    ]
    unjudged = 0
    for _, group in judged_groups(engine, seeded, sampling, judge, on_ended, conversations):
        unjudged += sum(rollout.status == UNJUDGED for rollout in group)
        refuse_failing_jails(unjudged, sampling.n * len(prompts_by_task), group)
        yield _task_probe(group, sampling.n, conversations is not None), group


def _task_probe(group: list[Rollout], k: int, has_turns: bool) -> TaskProbe | None:
    statuses = [rollout.status for rollout in group]
    if UNJUDGED in statuses:
        return None
    return TaskProbe(
        instance_id=group[0].instance_id,
        k=k,
        resolved=statuses.count("resolved"),
        truncated=statuses.count("truncated"),
        unsampled=k - len(group),
        turns=sum(rollout.turns for rollout in group) if has_turns else 0,
        # A reply that was answered had failed tests that its task names.
        first=sum(r.status == "resolved" and r.turns == 1 for r in group) if has_turns else 0,
    )
