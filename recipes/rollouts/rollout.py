"""Rollouts: what the student writes when nobody helps it, with the verdicts.

    engine = ModelEngine(student)  # or LlamaEngine(...): see `Engine`
    rollouts = attempts(engine, pairs, n=8, ..., judge=judge)                    # [pair][index]
    # task by task, as they are judged
    for place, rollouts in judged_groups(engine, parts, n=8, ..., judge=judge): ...

Two engines sample: `model_engine`, the training model itself, and `llama_engine`, a copy of it in
llama.cpp. Both give log-probabilities of the chosen tokens. `engines` chooses one, and checks that
it samples the policy that is trained.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sandbox.errors import HarnessError

UNJUDGED = "harness_error"
"""Status of a rollout for which the jail failed again and again: there is no verdict, and so no
reward of any kind."""
TOLERATED = 0.1
"""Share of the rollouts of a cycle or a probe that may be without a verdict."""


def count_nothing(ended: int) -> None:
    """What hears of completions that have ended where nobody counts them."""


@dataclass(frozen=True)
class Completion:
    """What the student wrote for one prompt."""

    ids: tuple[int, ...]
    """Token ids; the last one is an end token if `finished`."""
    logprobs: tuple[float, ...]
    """Log-probability of each token at the sampling temperature (at 1 when sampling greedily),
    nats."""
    finished: bool
    """It wrote an end token within `max_new` tokens."""


@dataclass(frozen=True)
class Rollout:
    """One whole attempt at a task, with its verdict. `record()` is the line for rollouts.jsonl."""

    instance_id: str
    seed: int
    """Of the task's group; with `index` and the checkpoint it reproduces the completion."""
    index: int
    text: str
    tokens: int
    """Length of the completion, its end token included."""
    status: str
    """The verdict's, or `truncated`, or UNJUDGED."""
    reward: float
    completion: Completion = field(repr=False)
    failure: str = field(default="", repr=False)
    """Why there is no verdict, where the jail failed."""

    def record(self) -> dict:
        """Plain data, without the token ids."""
        return {
            name: getattr(self, name)
            for name in ("instance_id", "seed", "index", "text", "tokens", "status", "reward")
        }


class Engine(ABC):
    """What samples."""

    student: object
    """The `Student` whose completions these are, adapter included, as it is at the call."""

    def close(self) -> None:
        """Give back what it holds beside the student."""

    @abstractmethod
    def stream(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        temperature: float,
        max_new: int,
        seeds: Sequence[int],
        on_ended: Callable[[int], None] = count_nothing,
    ) -> Iterator[dict[int, list[Completion]]]:
        """`n` completions of each prompt (token ids), of at most `max_new` tokens each, some
        prompts at a time as they are done: {index of the prompt: its completions}.

        `seeds` has one per prompt; a completion depends on (prompt, seed, its index) and, by
        rounding alone, on the others. Temperature 0 takes the likeliest token. The same call gives
        the same bytes. `on_ended` is told of completions as they end, how many these are (or, where
        memory ran out and they are written again, how many less). Raises ValueError for an empty
        prompt, n < 1, max_new < 1, or seeds of another length.
        """

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        temperature: float,
        max_new: int,
        seeds: Sequence[int],
        on_ended: Callable[[int], None] = count_nothing,
    ) -> list[list[Completion]]:
        """The same, all together: [prompt][index]."""
        done = {}
        for part in self.stream(prompts, n, temperature, max_new, seeds, on_ended):
            done |= part
        return [done[i] for i in range(len(prompts))]


def check_arguments(
    prompts: Sequence[Sequence[int]], n: int, max_new: int, seeds: Sequence[int]
) -> None:
    """Raise ValueError where `Engine.stream` was called with what makes no sense."""
    if not all(prompts) or n < 1 or max_new < 1 or len(seeds) != len(prompts):
        raise ValueError(
            "sampling needs prompts of at least one token, one seed each, n >= 1 and max_new >= 1"
        )


def head_width(config) -> int:
    """Values in one attention head's key or value, of a transformers configuration."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def key_heads(config) -> int:
    """Heads of keys and values, each shared by as many of the queries'."""
    return getattr(config, "num_key_value_heads", None) or config.num_attention_heads


def cached_values(config) -> int:
    """Values that the key/value cache holds of one token, all layers together."""
    return 2 * config.num_hidden_layers * key_heads(config) * head_width(config)


def attempts(
    engine: Engine,
    pairs: Sequence[tuple],
    n: int,
    temperature: float,
    max_new: int,
    seeds: Sequence[int],
    judge: Callable,
    on_ended: Callable[[int], None] = count_nothing,
) -> list[list[Rollout]]:
    """`n` judged rollouts of each (task, prompt ids) of `pairs`: [pair][index]. See
    `judged_groups`."""
    done = dict(judged_groups(engine, [(pairs, seeds)], n, temperature, max_new, judge, on_ended))
    return [done[i] for i in range(len(pairs))]


def judged_groups(
    engine: Engine,
    parts: Sequence[tuple[Sequence[tuple], Sequence[int]]],
    n: int,
    temperature: float,
    max_new: int,
    judge: Callable,
    on_ended: Callable[[int], None] = count_nothing,
) -> Iterator[tuple[int, list[Rollout]]]:
    """`n` judged rollouts of each task: (place of the task among all, its rollouts), in the order
    in which they were sampled, each as soon as it is there. `parts` are (pairs of (task, prompt
    ids), their seeds), and are sampled one after the other; what is sampled is judged meanwhile,
    for the jails are other processes. `on_ended`: as for `Engine.stream`."""
    background, waiting = ThreadPoolExecutor(1), deque()
    try:
        first = 0
        for pairs, seeds in parts:
            for indices, groups in _sampled(
                engine, pairs, n, temperature, max_new, seeds, on_ended
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
    pairs,
    n: int,
    temperature: float,
    max_new: int,
    seeds,
    on_ended: Callable[[int], None],
) -> Iterator[tuple[list[int], list[list[tuple]]]]:
    """(indices of pairs, their attempts as `judged` takes them), some at a time."""
    for part in engine.stream(
        [prompt for _, prompt in pairs], n, temperature, max_new, seeds, on_ended
    ):
        yield (
            list(part),
            [
                [
                    (pairs[i][0], seeds[i], index, completion, engine.student.text(completion.ids))
                    for index, completion in enumerate(group)
                ]
                for i, group in part.items()
            ],
        )


def judged(groups: list[list[tuple]], judge: Callable) -> list[list[Rollout]]:
    """The attempts (task, seed, index, completion, text) with their verdicts. Needs no model, so it
    can run while the next ones are sampled.

    `judge(list of (task, reply text)) -> list of verdicts` is called once; a verdict has `.status`
    and `.reward`, and a HarnessError stands in its place where there is none. What was cut off by
    the token limit is never judged: it is `truncated`, with reward 0. Tasks need `.instance_id`
    only.
    """
    asked = [
        (task, text)
        for group in groups
        for task, _, _, completion, text in group
        if completion.finished
    ]
    verdicts = iter(judge(asked)) if asked else iter(())
    return [
        [_rollout(attempt, next(verdicts) if attempt[3].finished else None) for attempt in group]
        for group in groups
    ]


def _rollout(attempt: tuple, verdict) -> Rollout:
    task, seed, index, completion, text = attempt
    failure = str(verdict) if isinstance(verdict, HarnessError) else ""
    if failure:
        status, reward = UNJUDGED, 0.0
    else:
        status, reward = (
            ("truncated", 0.0) if verdict is None else (verdict.status, float(verdict.reward))
        )
    return Rollout(
        instance_id=task.instance_id,
        seed=seed,
        index=index,
        text=text,
        tokens=len(completion.ids),
        status=status,
        reward=reward,
        completion=completion,
        failure=failure,
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
