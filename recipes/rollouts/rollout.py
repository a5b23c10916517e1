"""Rollouts: what the student writes when nobody helps it, with the verdicts.

    engine = ModelEngine(student)  # or LlamaEngine(...): see `Engine`
    sampling = Sampling(n=8, temperature=0.7, max_new=64)
    rollouts = sample_rollouts(engine, pairs, sampling, seeds, judge)    # [pair][index]
    # task by task, as they are judged
    for place, rollouts in judged_groups(engine, parts, sampling, judge): ...

What samples is an engine (`engines/`), such as the training model itself or a copy of it in
llama.cpp. Each gives log-probabilities of the chosen tokens. `choosing` takes one, and checks that
it samples the policy that is trained.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from recipes.rollouts.conversations import Conversations
from recipes.rollouts.engine import Completion, Engine, count_nothing
from sandbox.errors import HarnessError

UNJUDGED = "harness_error"
"""Status of a rollout for which the jail failed again and again: there is no verdict, and so no
reward of any kind."""
TOLERATED = 0.1
"""Share of the rollouts of a cycle or a probe that may be without a verdict."""


class Named(Protocol):
    """What is asked of a task here."""

    @property
    def instance_id(self) -> str: ...


Pairs = Sequence[tuple[Any, Sequence[int]]]
"""(task, prompt ids); a task is `Named`."""

Judge = Callable[[list[tuple[Any, str]]], list]
"""(task, reply text) pairs -> their verdicts, as `judged` says."""


@dataclass(frozen=True)
class Attempt:
    """A completion before it is judged."""

    task: Named
    seed: int
    index: int
    completion: Completion
    text: str
    """Of its last turn."""
    episode: tuple[dict[str, str], ...] = ()
    """The replies before that, each with what was said of it."""
    failure: str = ""
    """Why it ended early, where the jail failed on one of these."""


@dataclass(frozen=True)
class Rollout:
    """One whole attempt at a task, with its verdict. `record()` is the line for rollouts.jsonl."""

    instance_id: str
    seed: int
    """Of the completions that were drawn together; with the checkpoint it reproduces them."""
    index: int
    """Among all of its task."""
    text: str
    """Of the last turn."""
    tokens: int
    """That the student wrote, end tokens included."""
    status: str
    """The verdict's, or `truncated`, or UNJUDGED."""
    reward: float
    completion: Completion = field(repr=False)
    failure: str = field(default="", repr=False)
    """Why there is no verdict, where the jail failed."""
    episode: tuple[dict[str, str], ...] = ()
    """The replies before the last one, each with what was said of it."""

    @property
    def turns(self) -> int:
        """How many it took."""
        return 1 + len(self.episode) // 2

    def record(self) -> dict:
        """Plain data, without the token ids."""
        names = ("instance_id", "seed", "index", "text", "tokens", "status", "reward")
        more = {"episode": list(self.episode)} if self.episode else {}
        return {**{name: getattr(self, name) for name in names}, **more}


@dataclass(frozen=True)
class Sampling:
    """How each prompt is sampled."""

    n: int
    """Completions of it."""
    temperature: float
    """0 takes the likeliest token."""
    max_new: int
    """Tokens of a turn, at most."""
    stops_early: bool = False
    """Where the first half of a prompt's completions are all cut off, the others are not
    sampled."""


def sample_rollouts(
    engine: Engine,
    pairs: Pairs,
    sampling: Sampling,
    seeds: Sequence[int],
    judge: Judge,
    on_ended: Callable[[int], None] = count_nothing,
    conversations: Conversations | None = None,
) -> list[list[Rollout]]:
    """The judged rollouts of each pair, each with its seed: [pair][index]. See `judged_groups`."""
    parts = [(pairs, seeds)]
    done = dict(judged_groups(engine, parts, sampling, judge, on_ended, conversations))
    return [done[i] for i in range(len(pairs))]


def judged_groups(
    engine: Engine,
    parts: Sequence[tuple[Pairs, Sequence[int]]],
    sampling: Sampling,
    judge: Judge,
    on_ended: Callable[[int], None] = count_nothing,
    conversations: Conversations | None = None,
) -> Iterator[tuple[int, list[Rollout]]]:
    """The judged rollouts of each task: (place of the task among all, its rollouts), in the order
    in which they were sampled, each as soon as it is there. `parts` are (pairs, their seeds), and
    are sampled one after the other; what is sampled is judged meanwhile, for the jails are other
    processes. `on_ended`: as for `Engine.stream`; `conversations`: where a rollout may have several
    turns."""
    background = ThreadPoolExecutor(1)
    waiting: deque[tuple[list[int], Future[list[list[Rollout]]]]] = deque()
    try:
        first = 0
        for pairs, seeds in parts:
            for indices, groups in _sampled(
                engine, pairs, sampling, seeds, on_ended, conversations
            ):
                waiting.append(
                    ([first + i for i in indices], background.submit(judged, groups, judge))
                )
                while waiting and waiting[0][1].done():
                    yield from _next_groups(waiting)
            first += len(pairs)
        while waiting:
            yield from _next_groups(waiting)
    finally:
        # Whoever breaks off need not wait for verdicts: they end with the jails.
        background.shutdown(wait=False, cancel_futures=True)


def _next_groups(waiting: deque) -> Iterator[tuple[int, list[Rollout]]]:
    indices, judgement = waiting.popleft()
    return zip(indices, judgement.result())


def _sampled(
    engine: Engine,
    pairs: Pairs,
    sampling: Sampling,
    seeds: Sequence[int],
    on_ended: Callable[[int], None],
    conversations: Conversations | None,
) -> Iterator[tuple[list[int], list[list[Attempt]]]]:
    """(indices of pairs, what was written for them), some at a time."""
    half = (sampling.n + 1) // 2 if sampling.stops_early else sampling.n
    begun: dict[int, list[Attempt]] = {}
    first = replace(sampling, n=half)
    for part in _written(engine, pairs, first, seeds, on_ended, conversations):
        ended = {i: g for i, g in part.items() if half == sampling.n or _all_cut_off(g)}
        if ended and half < sampling.n:
            on_ended((sampling.n - half) * len(ended))
        begun |= {i: group for i, group in part.items() if i not in ended}
        if ended:
            yield list(ended), list(ended.values())
    if not begun:
        return
    order, rest = sorted(begun), replace(sampling, n=sampling.n - half)
    others, other_seeds = [pairs[i] for i in order], [seeds[i] + 1 for i in order]
    for part in _written(engine, others, rest, other_seeds, on_ended, conversations, half):
        yield (
            [order[place] for place in part],
            [begun[order[place]] + group for place, group in part.items()],
        )


def _written(
    engine: Engine,
    pairs: Pairs,
    sampling: Sampling,
    seeds: Sequence[int],
    on_ended: Callable[[int], None],
    conversations: Conversations | None,
    first: int = 0,
) -> Iterator[dict[int, list[Attempt]]]:
    """{index of a pair: what was written for it}, some at a time; counted from `first`."""
    turns = conversations.about([task for task, _ in pairs]) if conversations else None
    for part in engine.stream(
        [prompt for _, prompt in pairs],
        sampling.n,
        sampling.temperature,
        sampling.max_new,
        seeds,
        on_ended,
        turns,
    ):
        yield {
            i: [
                _attempt(engine, pairs[i][0], seeds[i], index, one, conversations)
                for index, one in enumerate(group, first)
            ]
            for i, group in part.items()
        }


def _attempt(
    engine: Engine,
    task: Any,
    seed: int,
    index: int,
    completion: Completion,
    conversations: Conversations | None,
) -> Attempt:
    start, end = completion.turns[-1]
    text = engine.student.text(completion.ids[start:end])
    if conversations is None:
        return Attempt(task, seed, index, completion, text)
    episode, failure = conversations.said(task, completion), conversations.failure(task, completion)
    return Attempt(task, seed, index, completion, text, tuple(episode), failure)


def _all_cut_off(group: list[Attempt]) -> bool:
    return not any(attempt.completion.finished for attempt in group)


def judged(groups: list[list[Attempt]], judge: Judge) -> list[list[Rollout]]:
    """The attempts with their verdicts. Needs no model, so it can run while the next ones are
    sampled.

    `judge(list of (task, reply text)) -> list of verdicts` is called once; a verdict has `.status`
    and `.reward`, and a HarnessError stands in its place where there is none. What was cut off by
    the token limit is never judged: it is `truncated`, with reward 0. Tasks need `.instance_id`
    only.
    """
    asked = [
        (attempt.task, attempt.text) for group in groups for attempt in group if _is_judged(attempt)
    ]
    verdicts = iter(judge(asked)) if asked else iter(())
    return [
        [_rollout(attempt, next(verdicts) if _is_judged(attempt) else None) for attempt in group]
        for group in groups
    ]


def _is_judged(attempt: Attempt) -> bool:
    return attempt.completion.finished and not attempt.failure


def _rollout(attempt: Attempt, verdict: Any) -> Rollout:
    failure = attempt.failure or (str(verdict) if isinstance(verdict, HarnessError) else "")
    if failure:
        status, reward = UNJUDGED, 0.0
    else:
        status, reward = (
            ("truncated", 0.0) if verdict is None else (verdict.status, float(verdict.reward))
        )
    return Rollout(
        instance_id=attempt.task.instance_id,
        seed=attempt.seed,
        index=attempt.index,
        text=attempt.text,
        tokens=len(attempt.completion.logprobs),
        status=status,
        reward=reward,
        completion=attempt.completion,
        failure=failure,
        episode=attempt.episode,
    )


def refuse_failing_jails(unjudged: int, total: int, group: Sequence[Rollout]) -> None:
    """Raise HarnessError where more than a tenth of `total` rollouts has no verdict: then the
    machine is at fault and not a task. `group` holds the last failure."""
    if unjudged > TOLERATED * total:
        reason = next((rollout.failure for rollout in group if rollout.failure), "")
        raise HarnessError(
            f"The jail failed on {unjudged} of {total} rollouts, more than a tenth of them, so "
            "this "
            f"stops here: {reason} What was done is kept. `doctor` looks at the jail."
        )


def failures_of(groups: Sequence[Sequence[Rollout]]) -> dict[str, str]:
    """{instance_id: why} of the tasks with rollouts that were not judged."""
    return {
        rollout.instance_id: rollout.failure
        for group in groups
        for rollout in group
        if rollout.failure
    }
