"""Completions while they are written, turn by turn. Needs no torch.

asked = Answers(turns, max_new)  # of one call of `Engine.stream`
one = Writing()
...                              # ids and log-probabilities are appended until the turn ends
if ids := asked.wait(index, one):  # blocks; none: the completion is over
    one.hear(ids)
completion = one.completion(end_ids)
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from recipes.rollouts.engine import Completion, Turns


@dataclass
class Writing:
    """What stands behind a prompt so far."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    """Of what was written."""
    heard: list[slice] = field(default_factory=list)
    """Places of the ids that were answered."""

    def hear(self, answer: Sequence[int]) -> None:
        """Put an answer behind it."""
        self.heard.append(slice(len(self.ids), len(self.ids) + len(answer)))
        self.ids += answer

    def completion(self, end_ids: frozenset[int]) -> Completion:
        """It as it is, which is how it stays."""
        mask = None
        if self.heard:
            written = [True] * len(self.ids)
            for place in self.heard:
                written[place] = [False] * (place.stop - place.start)
            mask = tuple(written)
        return Completion(tuple(self.ids), tuple(self.logprobs), self.ids[-1] in end_ids, mask)


class Answers:
    """What the completions of one call are answered; the same is asked once."""

    def __init__(self, turns: Turns | None, max_new: int) -> None:
        self._turns, self._max_new = turns, max_new
        self.most = max_new if turns is None else turns.max_tokens
        """Tokens behind a prompt, at most."""
        self._asked: dict[int, dict[tuple[int, ...], Future[Sequence[int]]]] = {}

    @property
    def goes_on(self) -> bool:
        """Whether an end token ends a turn alone."""
        return self._turns is not None

    def limit(self, start: int) -> int:
        """Tokens behind the prompt at which a turn is cut off that begins behind so many."""
        return min(start + self._max_new, self.most)

    def ask(self, index: int, ids: Sequence[int]) -> None:
        """Have this looked at, which stands behind prompt `index` and ends with an end token."""
        assert self._turns is not None
        asked, key = self._asked.setdefault(index, {}), tuple(ids)
        if key not in asked:
            asked[key] = self._turns.answer(index, key)

    def wait(self, index: int, ids: Sequence[int]) -> Sequence[int]:
        """The answer to what was asked; none where it leaves no room for a token more."""
        answer = self._asked[index][tuple(ids)].result()
        return answer if len(ids) + len(answer) < self.most else ()

    def forget(self, index: int) -> None:
        """Of a prompt all of whose completions have ended."""
        self._asked.pop(index, None)
