"""The interface of what samples. Needs no torch.

completions = engine.sample(prompts, n=8, temperature=0.7, max_new=64, seeds=[...])
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol


def count_nothing(ended: int) -> None:
    """What hears of completions that have ended where nobody counts them."""


@dataclass(frozen=True)
class Completion:
    """What stands behind one prompt: what the student wrote, and in an episode of several turns
    what the environment said between."""

    ids: tuple[int, ...]
    """Token ids; the last one is an end token if `finished`."""
    logprobs: tuple[float, ...]
    """Log-probability of each token that the student wrote, at the sampling temperature (at 1 when
    sampling greedily), nats."""
    finished: bool
    """It wrote an end token within `max_new` tokens of its last turn."""
    mask: tuple[bool, ...] | None = None
    """Of each token, whether the student wrote it; None: it wrote all."""

    @property
    def turns(self) -> list[tuple[int, int]]:
        """Where the student's turns begin and end among `ids`."""
        if self.mask is None:
            return [(0, len(self.ids))]
        stretches = groupby(range(len(self.ids)), self.mask.__getitem__)
        written = [list(places) for wrote, places in stretches if wrote]
        return [(places[0], places[-1] + 1) for places in written]


@dataclass(frozen=True)
class Turns:
    """What a completion that has ended is answered, so that it goes on."""

    answer: Callable[[int, tuple[int, ...]], "Future[Sequence[int]]"]
    """(index of the prompt, all ids behind it so far, of which the last is an end token) -> ids to
    append, behind which the next reply begins; none where the episode is over. Asked once for
    completions that have written the same, and says the same of the same."""
    max_tokens: int
    """Behind the prompt, what is answered included."""


class Device(Protocol):
    """Where a student is, as torch says it."""

    @property
    def type(self) -> str:
        """`cpu` or `cuda`."""


class ReadStudent(Protocol):
    """What an engine must know of whose completions it samples: the trained student, or what a GGUF
    file tells of one."""

    @property
    def device(self) -> Device: ...

    @property
    def config(self) -> Any:
        """transformers' configuration, or its numbers of layers and of heads' keys."""

    @property
    def end_ids(self) -> frozenset[int]: ...

    def prompt_ids(self, messages: list[dict]) -> list[int]: ...

    def answer_ids(self, text: str) -> list[int]: ...

    def text(self, ids: Sequence[int]) -> str: ...


class Engine(ABC):
    """What samples."""

    student: Any
    """The `ReadStudent` whose completions these are, adapter included, as it is at the call."""

    def close(self) -> None:
        """Give back what it holds beside the student."""

    def require_turns(self) -> None:
        """Raise UsageError where it cannot sample episodes of several turns of its student."""

    @abstractmethod
    def stream(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        temperature: float,
        max_new: int,
        seeds: Sequence[int],
        on_ended: Callable[[int], None] = count_nothing,
        turns: Turns | None = None,
    ) -> Iterator[dict[int, list[Completion]]]:
        """`n` completions of each prompt (token ids), of at most `max_new` tokens each, some
        prompts at a time as they are done: {index of the prompt: its completions}.

        `seeds` has one per prompt; a completion depends on (prompt, seed, its index) and, by
        rounding alone, on the others. Temperature 0 takes the likeliest token. The same call gives
        the same bytes. With `turns`, a completion that ends with an end token is answered and goes
        on behind the answer, and `max_new` is of one turn; what is cut off is over, and so is what
        is answered with nothing or with so much that no token more has room. When an answer comes
        changes nothing. `on_ended` is told of completions as they end, how many these are (or,
        where memory ran out and they are written again, how many less). Raises ValueError for an
        empty prompt, n < 1, max_new < 1, turns.max_tokens < 1, or seeds of another length, and what
        an answer raises.
        """

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        temperature: float,
        max_new: int,
        seeds: Sequence[int],
        on_ended: Callable[[int], None] = count_nothing,
        turns: Turns | None = None,
    ) -> list[list[Completion]]:
        """The same, all together: [prompt][index]."""
        done: dict[int, list[Completion]] = {}
        for part in self.stream(prompts, n, temperature, max_new, seeds, on_ended, turns):
            done |= part
        return [done[i] for i in range(len(prompts))]


def check_arguments(
    prompts: Sequence[Sequence[int]],
    n: int,
    max_new: int,
    seeds: Sequence[int],
    turns: Turns | None = None,
) -> None:
    """Raise ValueError where `Engine.stream` was called with what makes no sense."""
    room = 1 if turns is None else turns.max_tokens
    if not all(prompts) or min(n, max_new, room) < 1 or len(seeds) != len(prompts):
        raise ValueError(
            "sampling needs prompts of at least one token, one seed each, n >= 1, max_new >= 1 and "
            "turns.max_tokens >= 1"
        )
