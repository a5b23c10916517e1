"""REINFORCE on the student's own rollouts, one cycle after the other, with no teacher.

    state = ClimbState()
    while state.cycle < recipe.climb.cycles:
        result = cycle(engine, tasks, prompts, state, recipe, judge)
        print(in_words(result))  # the caller logs, saves and measures

A cycle, read from top to bottom in `cycle`:

1. choose tasks by how much they can teach, p(1-p) plus a floor;
2. sample a group of rollouts of each, and judge them: reward 1 for `resolved`, else 0;
3. advantage = reward minus the mean reward of the *other* rollouts of the group (leave-one-out:
   Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline for free!"; Ahmadian et al. 2024,
   arXiv:2402.14740); not divided by the group's deviation, which would weigh nearly cold and nearly
   mastered tasks up; of an episode turn by turn (`turn_advantages`);
4. drop the groups whose rewards are all equal: they have no gradient;
5. loss = -(advantage * log-probability).sum() / rollouts, the log-probabilities recomputed by the
   trainer and weighted by the truncated ratio to the sampler's (Yao et al. 2025, "Your efficient RL
   framework secretly brings you off-policy RL training"); the norm is a constant, so a completion's
   length changes nothing (Liu et al. 2025, arXiv:2503.20783);
6. clip, step, and undo the cycle if a seat belt holds.

All randomness comes from (recipe.seed, cycle), and the result holds no clock time, so an
interrupted run that goes on from its last checkpoint writes the same lines as one that was never
interrupted.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from recipes.learning.loss import KlTerm, Sampled
from recipes.learning.measure import TaskProbe, derived_seed
from recipes.learning.optimiser import warmed_up
from recipes.learning.student import Sample, Student
from recipes.rollouts.conversations import Conversations
from recipes.rollouts.engine import Completion, Engine, count_nothing
from recipes.rollouts.rollout import (
    UNJUDGED,
    Judge,
    Rollout,
    Sampling,
    failures_of,
    refuse_failing_jails,
    sample_rollouts,
)
from recipes.settings import ClimbSettings, Recipe
from sandbox.tasks.task import SORTS

UNSEEN = 0.5
"""Solve rate assumed of a task that was never sampled: the one that teaches most, so it is soon
seen."""


KEYS = {"rolled_back": "undone", "solve_rate": "p"}
"""Fields of `ClimbState` that files have under another name."""


@dataclass
class ClimbState:
    """What climbing remembers between cycles, beside adapter and optimiser. Plain data: it lives in
    the checkpoint's counters."""

    cycle: int = 0
    """Cycles done."""
    lr_scale: float = 1.0
    """Halved each time a cycle is undone."""
    rolled_back: int = 0
    """Cycles undone; `undone` in the checkpoint's counters."""
    solve_rate: dict[str, float] = field(default_factory=dict)
    """`p` in the checkpoint's counters: instance_id -> running solve rate: half the old value, half
    the newest group's mean."""
    best_pass_at_1: float | None = None
    """Best held-out pass@1 so far; see `is_best`."""
    best_cycle: int | None = None
    """The cycle after which it was measured."""

    @classmethod
    def after_probe(cls, probes: Sequence[TaskProbe]) -> "ClimbState":
        """Before the first cycle: how often each task was solved when it was last measured. So the
        first groups are of tasks that can teach, and not of all to see which do."""
        return cls(solve_rate={p.instance_id: p.resolved / p.k for p in probes})

    def is_best(self, pass_at_1: float) -> bool:
        """Note a held-out measurement; True if it beats all earlier ones, so that this adapter is
        the one to keep."""
        if self.best_pass_at_1 is not None and pass_at_1 <= self.best_pass_at_1:
            return False
        self.best_pass_at_1, self.best_cycle = pass_at_1, self.cycle
        return True

    def to_dict(self) -> dict:
        """JSON data, as `from_dict` takes it back."""
        return {KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict) -> "ClimbState":
        """Unknown keys are left out: a caller may keep others beside these."""
        keys = {f.name: KEYS.get(f.name, f.name) for f in fields(cls)}
        return cls(**{name: data[key] for name, key in keys.items() if key in data})


@dataclass(frozen=True)
class CycleResult:
    """What one cycle did. `metrics` is a line of metrics.jsonl, `rollouts` are lines of
    rollouts.jsonl."""

    cycle: int
    """Its number, from 1."""
    metrics: dict
    """Flat: name -> number; `undone` is 0 or 1."""
    rollouts: list[Rollout]
    rolled_back: str
    """Why the cycle was undone, in words; empty if it was not."""
    failures: dict[str, str]
    """{instance_id: why} of tasks with rollouts that could not be judged: they are to be set aside.
    """


@dataclass(frozen=True)
class Earlier:
    """Tasks of earlier stages, of which a share of the cycle's groups is drawn."""

    tasks: Sequence = ()
    share: float = 0.0

    def groups(self, of: int) -> int:
        """So many of all groups."""
        return min(round(of * self.share), len(self.tasks))


@dataclass(frozen=True)
class _Batch:
    """The rollouts that teach, identical ones merged."""

    samples: list[Sample]
    weights: list[float | list[float]]
    """The sum of the merged rollouts' advantages; of each token that the student wrote where turns
    differ."""
    counts: list[int]
    """How many rollouts were merged."""
    sampler_logprobs: list[tuple[float, ...]]


@dataclass(frozen=True)
class _Update:
    """What came of learning from a batch. Entropies and drift in nats a token."""

    drift: float
    grad_norm: float
    entropy: float
    entropy_after: float
    rolled_back: str
    """Why it was undone, in words; empty if it was not."""


def cycle(
    engine: Engine,
    tasks: Sequence,
    prompts: dict,
    state: ClimbState,
    recipe: Recipe,
    judge: Judge,
    on_ended: Callable[[int], None] = count_nothing,
    conversations: Conversations | None = None,
    earlier: Earlier = Earlier(),
) -> CycleResult:
    """One round of climb. Changes the engine's student and, at the very end, `state`; an exception
    on the way leaves `state` as it was.

    `prompts` maps instance_id to prompt ids; tasks need `.instance_id` and `.sort`; `judge` is as
    for `rollout.judged`, `on_ended` as for `Engine.stream`, `conversations` as for `judged_groups`.
    A rollout without a verdict is left out of its group. Raises ValueError without tasks,
    HarnessError where more than a tenth has no verdict.
    """
    if not tasks:
        raise ValueError("a cycle needs at least one task")
    student, settings = engine.student, recipe.climb
    number = state.cycle + 1

    # 1. Choose. Cold and mastered tasks teach nothing now, but the floor keeps asking whether that
    # is still so.
    few = earlier.groups(settings.groups)
    chance = random.Random(derived_seed("choose", recipe.seed, number))
    chosen = choose(
        tasks, state.solve_rate, replace(settings, groups=settings.groups - few), chance
    )
    chosen += choose(earlier.tasks, state.solve_rate, replace(settings, groups=few), chance)

    # 2. Sample, and judge what is done while the rest is sampled.
    groups = sample_rollouts(
        engine,
        [(task, prompts[task.instance_id]) for task in chosen],
        Sampling(settings.group_size, settings.temperature, recipe.student.max_new),
        [derived_seed("climb", recipe.seed, number, t.instance_id) for t in chosen],
        judge,
        on_ended,
        conversations,
    )
    rollouts = [rollout for group in groups for rollout in group]
    kept = [[r for r in group if r.status != UNJUDGED] for group in groups]  # no reward of any kind
    unjudged = len(rollouts) - sum(map(len, kept))
    refuse_failing_jails(unjudged, len(rollouts), rollouts)

    # 3. and 4. Advantages; what has none is dropped whole, its KL term included, and counted by its
    # cause.
    used = [group for group in kept if _cause(group, settings.discount) == "used"]
    batch = _merge(used, prompts, settings.discount)

    # 5. and 6. The update, unless a seat belt holds.
    lr = warmed_up(settings.lr, settings.warmup, number) * state.lr_scale
    norm = len(chosen) * settings.group_size
    update = _update(student, batch, settings, lr, norm, _sampling_entropy(groups))
    if update.rolled_back:
        state.lr_scale /= 2
        state.rolled_back += 1

    for group in kept:
        if group:
            mean, name = _mean([r.reward for r in group]), group[0].instance_id
            state.solve_rate[name] = (
                0.5 * state.solve_rate[name] + 0.5 * mean if name in state.solve_rate else mean
            )
    state.cycle = number
    metrics = {
        "cycle": number,
        **_counts(list(zip(chosen, kept)), rollouts, settings.discount),
        **_of_turns(rollouts if conversations else []),
        "rollouts/distinct": len(batch.samples),
        "tokens/mean": _mean([r.tokens for r in rollouts]),
        "grad_norm": _finite(update.grad_norm),
        "lr": lr,
        "drift": _finite(update.drift),
        "entropy": _finite(update.entropy),
        "entropy/after": _finite(update.entropy_after),
        "undone": int(bool(update.rolled_back)),
    }
    return CycleResult(
        cycle=number,
        metrics=metrics,
        rollouts=rollouts,
        rolled_back=update.rolled_back,
        failures=failures_of(groups),
    )


def _update(
    student: Student, batch: _Batch, settings: ClimbSettings, lr: float, norm: int, entropy: float
) -> _Update:
    """Learn from the batch, each loss divided by `norm`; what would harm is undone. `entropy`: of
    what was sampled, nats a token."""
    before = student.snapshot()
    drift, grad_norm, why, entropy_after = 0.0, 0.0, "", entropy
    if not _within(entropy, settings.entropy_band):
        why = (
            f"sampling entropy {entropy:.3g} nats a token is outside {list(settings.entropy_band)}"
        )
    elif batch.samples:
        drift = student.accumulate(
            batch.samples,
            batch.weights,
            norm,
            settings.temperature,
            Sampled(batch.sampler_logprobs, settings.max_ratio),
            KlTerm(settings.kl, batch.counts) if settings.kl else None,
        ).drift
        if not drift <= settings.max_drift:
            why = (
                f"trainer and sampler differ by {drift:.3g} nats a token, more than "
                f"{settings.max_drift}"
            )
        else:
            grad_norm = student.step(lr, settings.clip)
            entropy_after = student.entropy(batch.samples, settings.temperature)
            if not math.isfinite(grad_norm):
                why = "the gradient is not finite"
            elif not _within(entropy_after, settings.entropy_band):
                why = (
                    f"it would leave an entropy of {entropy_after:.3g} nats a token, outside "
                    f"{list(settings.entropy_band)}"
                )
    if why:
        student.rollback(before)
    return _Update(drift, grad_norm, entropy, entropy_after, why)


def _counts(judged: list[tuple], rollouts: list[Rollout], discount: float) -> dict:
    """What the cycle sampled, for metrics.jsonl. `judged`: (task, its rollouts with a verdict)."""
    kept = [group for _, group in judged]
    causes = Counter(_cause(group, discount) for group in kept)
    by_sort = {sort: [group for task, group in judged if task.sort == sort] for sort in SORTS}
    rewards = {
        name: [r.reward for group in groups for r in group] for name, groups in by_sort.items()
    }
    return {
        "reward/mean": _mean([r.reward for group in kept for r in group]),
        **{f"reward/{name}": _mean(values) if values else None for name, values in rewards.items()},
        "groups": len(kept),
        **{f"groups/{cause}": causes[cause] for cause in CAUSES},
        **{f"groups/{name}": len(groups) for name, groups in by_sort.items()},
        **{
            f"groups/{name}/used": sum(_cause(group, discount) == "used" for group in groups)
            for name, groups in by_sort.items()
        },
        "groups/truncated": sum(
            _cause(group, discount) == "cold" and any(r.status == "truncated" for r in group)
            for group in kept
        ),
        "rollouts": len(rollouts),
        "rollouts/truncated": sum(r.status == "truncated" for r in rollouts),
        "rollouts/unjudged": len(rollouts) - sum(map(len, kept)),
        **{f"rollouts/{name}": len(values) for name, values in rewards.items()},
    }


def _of_turns(rollouts: list[Rollout]) -> dict:
    if not rollouts:
        return {}
    first = [r.reward * (r.turns == 1) for r in rollouts if r.status != UNJUDGED]
    return {"turns/mean": _mean([r.turns for r in rollouts]), "reward/turn_1": _mean(first)}


def advantages(rewards_G: Sequence[float]) -> list[float]:
    """A_i = r_i - mean of the others' rewards = (r_i - mean) * G / (G - 1). They sum to zero, and
    are all exactly zero when the rewards are equal. Raises ValueError for fewer than two rewards,
    which have no others."""
    if len(rewards_G) < 2:
        raise ValueError("a leave-one-out baseline needs at least two rollouts")
    if min(rewards_G) == max(rewards_G):
        return [0.0] * len(rewards_G)
    total = math.fsum(rewards_G)
    return [reward - (total - reward) / (len(rewards_G) - 1) for reward in rewards_G]


def turn_advantages(group: Sequence[Rollout], discount: float) -> list[list[float]]:
    """One advantage for each turn of each rollout of a task's group.

    What an episode returns, seen from one of its turns, is its reward times `discount` for each
    turn that came after it. From that goes the mean return of the others that stood at the same
    history (as GiGPO groups states: Feng et al. 2025, arXiv:2505.10978): before the first turn all
    of the group. A turn whose history no other rollout shares has the episode's own advantage, seen
    from the first turn, for nobody else says what was to be expected there. Raises ValueError for
    fewer than two rollouts."""
    first = advantages([_return(rollout, 0, discount) for rollout in group])
    found: list[list[float]] = [[advantage] for advantage in first]
    for turn in range(1, max(rollout.turns for rollout in group)):
        at: dict[tuple[int, ...], list[int]] = {}
        for i, rollout in enumerate(group):
            if rollout.turns > turn:
                begins = rollout.completion.turns[turn][0]
                at.setdefault(rollout.completion.ids[:begins], []).append(i)
        for same in at.values():
            returns = [_return(group[i], turn, discount) for i in same]
            values = advantages(returns) if len(same) > 1 else [first[same[0]]]
            for i, value in zip(same, values):
                found[i].append(value)
    return found


def _return(rollout: Rollout, turn: int, discount: float) -> float:
    """Seen from a turn, counted from 0."""
    return rollout.reward * discount ** (rollout.turns - 1 - turn)


def choose(
    tasks: Sequence, solve_rate: dict[str, float], settings: ClimbSettings, rng: random.Random
) -> list:
    """`settings.groups` different tasks (all, if there are fewer), each draw by weight p(1-p) +
    floor.

    Weighted sampling without replacement by keys u^(1/w) (Efraimidis & Spirakis 2006), taken as
    log(u) / w.
    """

    def key(task: Any) -> float:
        p = solve_rate.get(task.instance_id, UNSEEN)
        weight = p * (1 - p) + settings.floor
        return math.log(1.0 - rng.random()) / weight if weight > 0 else -math.inf

    keyed = [(key(task), position, task) for position, task in enumerate(tasks)]
    keyed.sort(key=lambda item: (-item[0], item[1]))
    return [task for _, _, task in keyed[: settings.groups]]


CAUSES = ("used", "cold", "mastered", UNJUDGED)
"""What became of a group: it taught something, or why it could not. (Of the cold ones, those with
rollouts that were cut off are counted beside, as `groups/truncated`.)"""


def _cause(group: list[Rollout], discount: float) -> str:
    if len(group) < 2:
        return UNJUDGED
    returns = [_return(rollout, 0, discount) for rollout in group]
    if min(returns) < max(returns):
        return "used"
    return "mastered" if max(returns) > 0 else "cold"


def _merge(groups: list[list[Rollout]], prompts: dict, discount: float) -> _Batch:
    """Advantages of the groups' rollouts, those of identical completions added up: the same
    gradient from fewer rows."""
    weights: dict[tuple, list[float]] = {}
    counts: Counter = Counter()
    first: dict[tuple, Rollout] = {}
    for group in groups:
        for rollout, values in zip(group, turn_advantages(group, discount)):
            key = (rollout.instance_id, rollout.completion.ids)
            weights[key] = [a + b for a, b in zip(weights.get(key, [0.0] * len(values)), values)]
            counts[key] += 1
            first.setdefault(key, rollout)
    completions = [first[key].completion for key in weights]
    return _Batch(
        samples=[
            Sample(tuple(prompts[n]), c.ids, c.mask) for (n, _), c in zip(weights, completions)
        ],
        weights=[_of_tokens(c, values) for c, values in zip(completions, weights.values())],
        counts=[counts[key] for key in weights],
        sampler_logprobs=[c.logprobs for c in completions],
    )


def _of_tokens(completion: Completion, values: list[float]) -> float | list[float]:
    """The weight of each token that was written, from those of the turns."""
    if len(values) == 1:
        return values[0]
    return [w for w, (start, end) in zip(values, completion.turns) for _ in range(end - start)]


def _sampling_entropy(groups: list[list[Rollout]]) -> float:
    """Mean negative log-probability of the sampled tokens: an unbiased estimate of the mean entropy
    they were drawn with."""
    return -_mean(
        [
            logprob
            for group in groups
            for rollout in group
            for logprob in rollout.completion.logprobs
        ]
    )


def _within(value: float, band: tuple[float, float]) -> bool:
    # The estimate of an entropy of zero may lie a rounding error below it.
    return math.isfinite(value) and band[0] - 1e-6 <= value <= band[1]


def _finite(value: float) -> float | None:
    """JSON has no name for what is not finite."""
    return value if math.isfinite(value) else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


# ---- in words ------------------------------------------------------------------------------------


def in_words(result: CycleResult) -> str:
    """One line for a person."""
    m = result.metrics
    idle = [
        f"{m[f'groups/{cause}']} {words}"
        for cause, words in (("cold", "cold"), ("mastered", "mastered"), (UNJUDGED, "not judged"))
        if m[f"groups/{cause}"]
    ]
    if m["groups/truncated"]:
        idle[0] += f", {m['groups/truncated']} of these cut off"
    resolved = " and ".join(
        f"{100 * m[f'reward/{name}']:.0f} % of {m[f'rollouts/{name}']} {name}"
        for name in SORTS
        if m[f"rollouts/{name}"]
    )
    line = (
        f"cycle {result.cycle}: {resolved} rollouts resolved; "
        f"{m['groups/used']} of {m['groups']} groups taught something"
    )
    line += f" ({', '.join(idle)})" if idle else ""
    line += f"; {m['rollouts/unjudged']} rollouts not judged" if m["rollouts/unjudged"] else ""
    line += f"; drift {m['drift']:.3f}" if m["groups/used"] and m["drift"] is not None else ""
    line += "" if m["groups/used"] else "; no update"
    return line + (f"; {undone_in_words(result)}" if result.rolled_back else "")


def undone_in_words(result: CycleResult) -> str:
    """Of a cycle that was."""
    return f"UNDONE, because {result.rolled_back}; learning rate halved"


def cold_start_in_words(tasks: int, k: int) -> str:
    """Why a run whose every probed task is at 0 stops: the sentence for a person."""
    return (
        f"None of the {tasks} tasks was solved even once in {k} rollouts each: this is a cold "
        "start, and RL cannot help. "
        "REINFORCE learns from the difference between rollouts that succeed and rollouts that "
        "fail, and here all fail. "
        "Run bootstrap with a teacher first, so that the student solves some of them."
    )
