"""Rollouts: what the student writes when nobody helps it, with the verdicts.

    engine = ModelEngine(student)                                                # or LlamaEngine(...): see `Engine`
    rollouts = attempts(engine, pairs, n=8, ..., judge=judge)                    # [pair][index]

Two engines sample: `model_engine`, the training model itself, and `llama_engine`, a copy of it in llama.cpp. Both give log-probabilities
of the chosen tokens. `engines` chooses one, and checks that it samples the policy that is trained.
"""
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

@dataclass(frozen=True)
class Completion:
    """What the student wrote for one prompt."""

    ids: tuple[int, ...]
    """Token ids; the last one is an end token if `finished`."""
    logprobs: tuple[float, ...]
    """Log-probability of each token at the sampling temperature (at 1 when sampling greedily), nats."""
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
    """The verdict's, or `truncated`."""
    reward: float
    completion: Completion = field(repr=False)

    def record(self) -> dict:
        """Plain data, without the token ids."""
        return {name: getattr(self, name) for name in ("instance_id", "seed", "index", "text", "tokens", "status", "reward")}


class Engine(ABC):
    """What samples."""

    student: object
    """The `Student` whose completions these are, adapter included, as it is at the call."""

    def close(self) -> None:
        """Give back what it holds beside the student."""

    @abstractmethod
    def stream(self, prompts: Sequence[Sequence[int]], n: int, temperature: float, max_new: int,
               seeds: Sequence[int]) -> Iterator[dict[int, list[Completion]]]:
        """`n` completions of each prompt (token ids), of at most `max_new` tokens each, some prompts at a time as they are done:
        {index of the prompt: its completions}.

        `seeds` has one per prompt; a completion depends on (prompt, seed, its index) and, by rounding alone, on the others.
        Temperature 0 takes the likeliest token. The same call gives the same bytes. Raises ValueError for an empty prompt, n < 1,
        max_new < 1, or seeds of another length.
        """

    def sample(self, prompts: Sequence[Sequence[int]], n: int, temperature: float, max_new: int,
               seeds: Sequence[int]) -> list[list[Completion]]:
        """The same, all together: [prompt][index]."""
        done = {}
        for part in self.stream(prompts, n, temperature, max_new, seeds):
            done |= part
        return [done[i] for i in range(len(prompts))]


def check_arguments(prompts: Sequence[Sequence[int]], n: int, max_new: int, seeds: Sequence[int]) -> None:
    """Raise ValueError where `Engine.stream` was called with what makes no sense."""
    if not all(prompts) or n < 1 or max_new < 1 or len(seeds) != len(prompts):
        raise ValueError("sampling needs prompts of at least one token, one seed each, n >= 1 and max_new >= 1")


def head_width(config) -> int:
    """Values in one attention head's key or value, of a transformers configuration."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def key_heads(config) -> int:
    """Heads of keys and values, each shared by as many of the queries'."""
    return getattr(config, "num_key_value_heads", None) or config.num_attention_heads


def cached_values(config) -> int:
    """Values that the key/value cache holds of one token, all layers together."""
    return 2 * config.num_hidden_layers * key_heads(config) * head_width(config)


def attempts(engine: Engine, pairs: Sequence[tuple], n: int, temperature: float, max_new: int, seeds: Sequence[int],
             judge: Callable) -> list[list[Rollout]]:
    """`n` judged rollouts of each (task, prompt ids) of `pairs`. What is done is judged while the rest is sampled; see `judged`."""
    done = {}
    with ThreadPoolExecutor(1) as background:
        parts = [(indices, background.submit(judged, groups, judge))
                 for indices, groups in _sampled(engine, pairs, n, temperature, max_new, seeds)]
        for indices, judgement in parts:
            done |= zip(indices, judgement.result())
    return [done[i] for i in range(len(pairs))]


def sampled(engine: Engine, pairs: Sequence[tuple], n: int, temperature: float, max_new: int,
            seeds: Sequence[int]) -> list[list[tuple]]:
    """`n` attempts at each (task, prompt ids), as `judged` takes them: (task, seed, index, completion, text)."""
    done = {}
    for indices, groups in _sampled(engine, pairs, n, temperature, max_new, seeds):
        done |= zip(indices, groups)
    return [done[i] for i in range(len(pairs))]


def _sampled(engine: Engine, pairs, n: int, temperature: float, max_new: int, seeds) -> Iterator[tuple[list[int], list[list[tuple]]]]:
    """(indices of pairs, their attempts), some at a time."""
    for part in engine.stream([prompt for _, prompt in pairs], n, temperature, max_new, seeds):
        yield list(part), [[(pairs[i][0], seeds[i], index, completion, engine.student.text(completion.ids))
                            for index, completion in enumerate(group)] for i, group in part.items()]


def judged(groups: list[list[tuple]], judge: Callable) -> list[list[Rollout]]:
    """The attempts with their verdicts. Needs no model, so it can run while the next ones are sampled.

    `judge(list of (task, reply text)) -> list of verdicts` is called once; a verdict has `.status` and `.reward`. What was cut
    off by the token limit is never judged: it is `truncated`, with reward 0. Tasks need `.instance_id` only.
    """
    asked = [(task, text) for group in groups for task, _, _, completion, text in group if completion.finished]
    verdicts = iter(judge(asked)) if asked else iter(())
    return [[_rollout(attempt, next(verdicts) if attempt[3].finished else None) for attempt in group] for group in groups]


def _rollout(attempt: tuple, verdict) -> Rollout:
    task, seed, index, completion, text = attempt
    status, reward = ("truncated", 0.0) if verdict is None else (verdict.status, float(verdict.reward))
    return Rollout(instance_id=task.instance_id, seed=seed, index=index, text=text, tokens=len(completion.ids), status=status,
                   reward=reward, completion=completion)
