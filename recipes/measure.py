"""How good the student is: which tasks it solves how often, and how far such a number can be trusted.

    for chunk in probe(engine, pairs, k=8, temperature=0.7, max_new=64, seed=0, judge=judge, chunk=24):
        for task_probe, rollouts in chunk: ...                       # the caller writes each chunk to disk
    summarise(task_probes, temperature=0.7)                          # {"n", "k", "pass_at_1", "ci95", "cold", ...}

Only `probe` needs torch, and imports it when called.
"""
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sandbox.errors import HarnessError

RESAMPLES = 10_000
"""Bootstrap resamples: enough that the 2.5 % quantile moves by less than a hundredth of the interval between two seeds."""

Z95 = 1.959963984540054
"""The normal distribution's 97.5 % quantile."""


@dataclass(frozen=True)
class TaskProbe:
    """What k rollouts of one task came to; a line of probe.jsonl."""

    instance_id: str
    k: int
    resolved: int
    truncated: int

    @property
    def state(self) -> str:
        """`mastered` (k of k), `warm` (some), `truncated` (none, and at least one was cut off: it might have been right), or
        `cold` (none, although every reply was whole)."""
        if self.resolved:
            return "mastered" if self.resolved == self.k else "warm"
        return "truncated" if self.truncated else "cold"


def derived_seed(*parts) -> int:
    """A 63-bit seed from numbers and strings: the same on every machine, and unrelated for different parts."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of k samples is right, estimated without bias from c right ones among n.

    1 - C(n-c, k) / C(n, k) (Chen et al. 2021, arXiv:2107.03374, equation 1). Raises ValueError unless 0 <= c <= n, 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} cannot be estimated from {c} of {n}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def interval(values_per_task: Sequence[float], seed: int) -> tuple[float, float]:
    """95 % interval of the mean of one value per task, each in [0, 1].

    Percentile bootstrap over tasks (Efron 1979), drawn from `seed`. Where it has no width, as when all tasks agree, the Wilson
    score interval (Wilson 1927) of that mean over as many trials as there are tasks. No tasks: (0, 1), for nothing is known.
    """
    import numpy as np

    if not values_per_task:
        return 0.0, 1.0
    values = np.asarray(values_per_task, dtype=np.float64)
    mean = math.fsum(values_per_task) / len(values)
    generator = np.random.default_rng(derived_seed("interval", seed))
    block = max(1, 1_000_000 // len(values))  # so many resamples at once keep the index table small
    means = np.concatenate([values[generator.integers(0, len(values), (min(block, RESAMPLES - i), len(values)))].mean(axis=1)
                            for i in range(0, RESAMPLES, block)])
    low, high = (float(q) for q in np.quantile(means, [0.025, 0.975]))
    if values.min() == values.max() or high <= low:
        low, high = _wilson(mean, len(values))
    # The mean itself is inside by definition; quantiles of few tasks can miss it by a rounding error.
    return min(low, mean), max(high, mean)


def paired_interval(before: Sequence[float], after: Sequence[float], seed: int) -> tuple[float, float]:
    """95 % interval of the mean difference after - before, one pair of values in [0, 1] a task.

    As `interval`, resampling the tasks and with them the pairs (paired bootstrap), of the differences mapped to [0, 1]; so it has a width
    even where all tasks agree. Raises ValueError for lists of different length.
    """
    low, high = interval([(1 + new - old) / 2 for old, new in zip(before, after, strict=True)], seed)
    return 2 * low - 1, 2 * high - 1


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> float:
    """Two-sided p-value of the exact test of McNemar (1947, Psychometrika 12:153): that as many of the tasks that are solved only once are
    solved before as after is what chance would give. 1.0 where no task differs. Raises ValueError for lists of different length."""
    pairs = list(zip(before, after, strict=True))
    lost, won = sum(old and not new for old, new in pairs), sum(new and not old for old, new in pairs)
    tail = sum(math.comb(lost + won, i) for i in range(min(lost, won) + 1))
    return min(1.0, 2 * tail / 2 ** (lost + won))


def _wilson(p: float, n: int) -> tuple[float, float]:
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def summarise(probes: Sequence[TaskProbe], temperature: float, seed: int = 0) -> dict:
    """One group's entry of the P object: n, k, temperature, pass_at_1, pass_at_k, ci95 (of pass@1), cold, warm, mastered,
    truncated.

    For no probes k, pass_at_1 and pass_at_k are None and ci95 is [0, 1]. Raises ValueError if the probes' k differ.
    """
    if len({p.k for p in probes}) > 1:
        raise ValueError("probes with different k cannot be summarised together")
    k = probes[0].k if probes else None
    states = [p.state for p in probes]
    return {
        "n": len(probes), "k": k, "temperature": temperature,
        "pass_at_1": _mean([pass_at_k(p.k, p.resolved, 1) for p in probes]),
        "pass_at_k": _mean([pass_at_k(p.k, p.resolved, p.k) for p in probes]),
        "ci95": list(interval([p.resolved / p.k for p in probes], seed)),
        **{state: states.count(state) for state in ("cold", "warm", "mastered", "truncated")},
    }


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def probe(engine, prompts_by_task: Sequence[tuple], k: int, temperature: float, max_new: int, seed: int, judge: Callable,
          chunk: int) -> Iterator[list[tuple[TaskProbe, list]]]:
    """Sample `k` rollouts of each (task, prompt ids) pair and judge them; yields one list per `chunk` tasks.

    A task's rollouts depend on (seed, instance_id) and, by rounding alone, on the chunk it is in. So a caller that wrote
    the yielded chunks down and passes what is left gets what one uninterrupted call would have given. `judge` is as for
    `rollout.attempts`. Raises HarnessError if a verdict says `harness_error`: that is no measurement.
    """
    from concurrent.futures import ThreadPoolExecutor

    from recipes.rollout import judged, sampled

    def rollouts(waiting) -> list[tuple[TaskProbe, list]]:
        return [(_task_probe(group), group) for group in waiting.result()]

    # The jails are other processes: while they judge one chunk, the next one is sampled.
    background, waiting = ThreadPoolExecutor(1), None
    try:
        for start in range(0, len(prompts_by_task), chunk):
            pairs = prompts_by_task[start:start + chunk]
            seeds = [derived_seed("probe", seed, task.instance_id) for task, _ in pairs]
            groups = sampled(engine, pairs, k, temperature, max_new, seeds)
            following = background.submit(judged, groups, judge)
            if waiting is not None:
                yield rollouts(waiting)
            waiting = following
        if waiting is not None:
            yield rollouts(waiting)
    finally:
        # Whoever breaks off need not wait for verdicts: they end with the jails.
        background.shutdown(wait=False, cancel_futures=True)


def _task_probe(group: list) -> TaskProbe:
    if any(rollout.status == "harness_error" for rollout in group):
        raise HarnessError(f"The sandbox failed while judging {group[0].instance_id}, so the student cannot be measured on it. "
                           "Run the same command again; it goes on from here.")
    return TaskProbe(instance_id=group[0].instance_id, k=len(group),
                     resolved=sum(rollout.status == "resolved" for rollout in group),
                     truncated=sum(rollout.status == "truncated" for rollout in group))
