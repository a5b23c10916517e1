"""The training model samples itself: the engine that always works.

    engine = ModelEngine(student)
    # [prompt][index]
    completions = engine.sample(prompts, n=8, temperature=0.7, max_new=64, seeds=[...])

The prompts of a batch are padded on the left and read once, with logits at the last position only.
Then all rows take one token at a time: a small student's on the CPU through `dense_decoder`, where
completions that have written the same so far are one row; any other's through its own forward pass,
on a key/value cache repeated for each completion. There, rows that have ended are dropped from the
batch when there are enough of them to pay for the copy.

An episode goes turn by turn: when all rows of a batch have ended, those that are answered go on
together. Keys and values of what they wrote are kept, also of those that were dropped, and only the
end token and the answer are read; between the turns each row's cache is moved together, so that it
ends where the others do. What was written is asked for its answer as soon as it ends, so answers
are made while others write. A cache whose layers do not hold all tokens one after the other
(sliding windows, recurrent layers) cannot be moved so: there a turn begins by reading all that
stands before it, which gives the same and takes longer.

Token t that completion i of a prompt writes is drawn by inverting the distribution's cumulative sum
at a uniform number that depends on (seed, i, t) alone. So a rollout is the same whichever others
share its batch, up to rounding in the matrix products. And so a batch that memory did not suffice
for is done again in halves, with the same seeds; later batches are no larger
(`Student.sampling_tokens`).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch

from recipes.learning.shape import cached_values
from recipes.nano import dense_decoder
from recipes.nano.dense_decoder import DROP_SHARE, DenseDecoder, History
from recipes.rollouts.engine import Completion, Engine, Turns, check_arguments, count_nothing
from recipes.rollouts.engine_kind import TrainedStudent
from recipes.rollouts.kept_cache import Pairs, moved_together, pairs_of, roomy, select, spread
from recipes.rollouts.sampling import Draws
from recipes.rollouts.writing import Answers, Writing

MAX_ROWS = 256
"""Rows decoded together. On one CPU core more rows no longer make a token cheaper; on a card the
cache below binds first."""

Prompts = Sequence[Sequence[int]]

CACHE_BYTES = 1 << 30
"""Largest key/value cache of a batch. A constant, not a share of what happens to be free, so that
batches depend on the arguments alone."""


class ModelEngine(Engine):
    """Samples from the training model."""

    def __init__(self, student: TrainedStudent) -> None:
        self.student = student

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
        check_arguments(prompts, n, max_new, seeds, turns)
        answers = Answers(turns, max_new)
        order = sorted(
            range(len(prompts)), key=lambda i: (-len(prompts[i]), i)
        )  # of like length: little padding
        waiting = [(i, j) for i in order for j in range(n)]
        begun: dict[int, list[Completion]] = {}
        longest = max(map(len, prompts), default=0) + answers.most
        dense = DenseDecoder(self.student) if dense_decoder.fits(self.student, longest) else None
        while waiting:
            rows = waiting[: _batch_size(self.student, waiting, prompts, answers.most)]
            batch = _Batch(
                self.student,
                [i for i, _ in rows],
                [prompts[i] for i, _ in rows],
                np.stack([_uniforms(seeds[i], j, answers.most) for i, j in rows]),
                temperature,
                answers,
                ended := _Tally(on_ended),
            )
            completions = self.student.limits.sampling(
                lambda: batch.completions(dense),
                len(rows),
                len(rows) * (len(prompts[rows[0][0]]) + answers.most),
            )
            if completions is None:  # memory ran out: the same again in a smaller batch
                ended.take_back()
                continue
            ended.add(len(rows) - ended.count)  # those that the token limit has ended
            waiting = waiting[len(rows) :]
            for (i, _), completion in zip(rows, completions):
                begun.setdefault(i, []).append(completion)
            if done := [i for i, group in begun.items() if len(group) == n]:
                for i in done:
                    answers.forget(i)
                yield {i: begun.pop(i) for i in done}


class _Tally:
    """How many completions of a batch have ended, told as it goes."""

    def __init__(self, on_ended: Callable[[int], None]) -> None:
        self._on_ended, self.count = on_ended, 0

    def add(self, count: int) -> None:
        self.count += count
        if count:
            self._on_ended(count)

    def take_back(self) -> None:
        self.add(-self.count)


def _uniforms(seed: int, index: int, count: int) -> np.ndarray:
    """The uniform numbers of one completion, float64 in [0, 1)."""
    return np.random.default_rng([seed, index]).random(count)


def _batch_size(
    student: TrainedStudent, waiting: Sequence[tuple[int, int]], prompts: Prompts, most: int
) -> int:
    """How many of the rows (prompt, index of the completion), longest prompts first, are the next
    batch; `most`: tokens behind a prompt.

    As many whole prompts as stay within MAX_ROWS and CACHE_BYTES; the rows of the first share a
    batch even where these alone pass the limits, for its prompt is then read once. What memory once
    did not suffice for is cut anywhere.
    """
    length = len(prompts[waiting[0][0]]) + most
    limit = min(MAX_ROWS, CACHE_BYTES // (length * _cache_bytes_per_token(student)))
    size = 0
    for _, group in groupby(waiting, key=lambda row: row[0]):
        rows = len(list(group))
        if size and size + rows > limit:
            break
        size += rows
    return (
        size
        if student.limits.sampling_tokens is None
        else max(1, min(size, student.limits.sampling_tokens // length))
    )


def _cache_bytes_per_token(student: TrainedStudent) -> int:
    return cached_values(student.config) * (2 if student.device.type == "cuda" else 4)


class _Turn:
    """What R rows write in one turn, of T tokens at most."""

    def __init__(
        self,
        limits: Sequence[int],
        uniforms_RT: np.ndarray,
        keeps: bool,
        on_end: Callable[["_Turn", list[int]], None],
    ) -> None:
        """`limits`: tokens of each row at most; `keeps`: rows that end with an end token may go on;
        `on_end` is told of these as they end."""
        self.limit_R: np.ndarray = np.asarray(limits)
        self.uniforms_RT, self.keeps, self._on_end = uniforms_RT, keeps, on_end
        self.most = max(limits)

    def hold(self, device: torch.device, dtype: torch.dtype) -> None:
        """Make room for tokens and log-probabilities, where they are drawn."""
        shape = self.uniforms_RT.shape
        self.tokens_RT = torch.zeros(shape, dtype=torch.long, device=device)
        self.logprobs_RT = torch.zeros(shape, dtype=dtype, device=device)
        self.length_R = torch.from_numpy(self.limit_R).to(device)

    def end(self, rows: list[int]) -> None:
        """These rows have written an end token."""
        if rows:
            self._on_end(self, rows)

    def ids(self, row: int) -> list[int]:
        """What a row that has ended wrote."""
        return self.tokens_RT[row, : int(self.length_R[row])].tolist()

    def take(self, ones: Sequence[Writing]) -> None:
        """Put what each row wrote behind what stands there."""
        tokens, logprobs = self.tokens_RT.tolist(), self.logprobs_RT.tolist()
        for row, (one, length) in enumerate(zip(ones, self.length_R.tolist())):
            one.ids += tokens[row][:length]
            one.logprobs += logprobs[row][:length]


class _Batch:
    """Completions that are written together."""

    def __init__(
        self,
        student: TrainedStudent,
        indices: Sequence[int],
        prompts: Prompts,
        uniforms_RT: np.ndarray,
        temperature: float,
        answers: Answers,
        ended: "_Tally",
    ) -> None:
        """One of each of R prompts, by their index, those that are the same one after the other;
        each draws with its uniform numbers, one after the other."""
        self._student, self._indices, self._prompts = student, indices, prompts
        self._uniforms_RT, self._temperature = uniforms_RT, temperature
        self._answers, self._ended = answers, ended

    @torch.no_grad()
    def completions(self, dense: DenseDecoder | None) -> list[Completion]:
        """As they are when all have ended."""
        student = self._student
        student.policy.mode(training=False)
        ones = [Writing() for _ in self._prompts]
        going = list(range(len(ones)))
        decoder = _OwnPass(student) if dense is None else _Tree(student, dense)
        unread = [len(prompt) for prompt in self._prompts]
        rows = list(going)  # of the turn before
        while going:
            turn = self._turn(ones, going)
            texts = [[*self._prompts[m], *ones[m].ids] for m in going]
            decoder.read(rows, texts, unread, turn.most)
            decoder.write(turn, self._temperature)
            turn.take([ones[m] for m in going])
            rows, unread, going = self._answered(ones, going)
        return [one.completion(student.end_ids) for one in ones]

    def _turn(self, ones: list[Writing], going: list[int]) -> _Turn:
        """The next one of those that go on."""
        starts = [len(ones[m].ids) for m in going]
        limits = [self._answers.limit(start) - start for start in starts]
        drawn_R1: np.ndarray = np.array([[len(ones[m].logprobs)] for m in going])
        # A row never draws beyond its own limit, so what is cut off here is not looked at.
        which_RT = np.minimum(drawn_R1 + np.arange(max(limits)), self._answers.most - 1)
        uniforms_RT = self._uniforms_RT[np.array(going)[:, None], which_RT]

        def ask(turn: _Turn, rows: list[int]) -> None:
            for row in rows:
                m = going[row]
                self._answers.ask(self._indices[m], ones[m].ids + turn.ids(row))

        def count(turn: _Turn, rows: list[int]) -> None:
            self._ended.add(len(rows))

        goes_on = self._answers.goes_on
        return _Turn(limits, uniforms_RT, goes_on, ask if goes_on else count)

    def _answered(
        self, ones: list[Writing], going: list[int]
    ) -> tuple[list[int], list[int], list[int]]:
        """Of those whose turn is over, which go on: the rows that they were, how many of their last
        tokens have not been read, and which they are."""
        if not self._answers.goes_on:
            return [], [], []
        found = []
        for row, m in enumerate(going):
            one = ones[m]
            if one.ids[-1] in self._student.end_ids and (
                answer := self._answers.wait(self._indices[m], one.ids)
            ):
                one.hear(answer)
                found.append((row, 1 + len(answer), m))
        self._ended.add(len(going) - len(found))
        rows, unread, left = ([entry[part] for entry in found] for part in range(3))
        return rows, unread, left


class _OwnPass:
    """Rows that are decoded by the policy's own forward pass, on a cache that is kept from turn to
    turn."""

    def __init__(self, student: TrainedStudent) -> None:
        self._student, self._device = student, student.policy.device
        self._cache: Any = None
        self._aside: list[tuple[Pairs, list[int]]] = []
        """Of rows that have left the batch and may go on: their cache, and which rows they are."""

    def read(self, rows: list[int], texts: Prompts, unread: list[int], room: int) -> None:
        """Go on with these rows of the turn before, of whose texts the last tokens were not read;
        in the first turn nothing was. `room`: tokens that each will write, at most."""
        if self._aside and all(kept is not None for kept, _ in self._aside):
            self._read_on(rows, [t[-count:] for t, count in zip(texts, unread)], room)
        else:
            self._read_anew(texts, room)
        self._aside = []

    def _read_anew(self, texts: Prompts, room: int) -> None:
        policy = self._student.policy
        different, which_R = _different(texts)
        text_R = torch.from_numpy(which_R).to(self._device)
        tokens_BT, mask_BT = padded(self._student, different)
        hidden_BTH, cache = policy.forward(
            tokens_BT, mask_BT, (mask_BT.cumsum(dim=1) - 1).clamp(min=0), cache=True
        )
        self._cache = spread(cache, text_R, room)
        self._mask_RS = mask_BT[text_R]
        self._logits_RV = policy.logits(hidden_BTH[:, -1])[text_R]

    def _read_on(self, rows: list[int], tokens: Prompts, room: int) -> None:
        policy = self._student.policy
        tokens_RA, fresh_RA = padded(self._student, tokens)
        pairs, kept_RS = moved_together(self._aside, self._filled(), rows)
        self._mask_RS = torch.cat([kept_RS.to(fresh_RA.dtype), fresh_RA], dim=1)
        positions_RA = (self._mask_RS.cumsum(dim=1) - 1)[:, -tokens_RA.shape[1] :].clamp(min=0)
        hidden_RAH, self._cache = policy.forward(
            tokens_RA,
            self._mask_RS,
            positions_RA,
            roomy(self._cache, pairs, tokens_RA.shape[1] + room),
            filled=True,
        )
        self._logits_RV = policy.logits(hidden_RAH[:, -1])

    def _filled(self) -> torch.Tensor:
        """Of the last turn's rows, which columns of the cache hold tokens of theirs, [R, S]: all
        that they wrote but the last."""
        most = int(self._length_R.max())
        wrote_RT = torch.arange(most, device=self._device) < self._length_R[:, None] - 1
        return torch.cat([self._mask_RS.bool(), wrote_RT], dim=1)

    def write(self, turn: _Turn, temperature: float) -> None:
        """The next turn of all rows."""
        policy, device, total = self._student.policy, self._device, len(turn.limit_R)
        turn.hold(device, torch.float32)
        self._length_R, limit_R = turn.length_R, turn.length_R.clone()
        cache, logits_RV = self._cache, self._logits_RV
        width = self._mask_RS.shape[1]
        # The positions to come are already marked as real.
        mask_RS = torch.nn.functional.pad(self._mask_RS, (0, turn.most), value=1)
        position_R = self._mask_RS.sum(dim=1)
        uniform_RT = torch.from_numpy(turn.uniforms_RT).to(device)
        end_ids = torch.tensor(sorted(self._student.end_ids), device=device)
        row_R = torch.arange(total, device=device)  # which completion each row of the batch writes
        live_R = torch.ones(total, dtype=torch.bool, device=device)
        may_go_on: set[int] = set()
        for t in range(turn.most):
            token_R, logprob_R = _draw(logits_RV, temperature, uniform_RT[row_R, t])
            # What a row that has ended draws is written behind its end, where nobody looks.
            turn.tokens_RT[row_R, t], turn.logprobs_RT[row_R, t] = token_R, logprob_R
            ended_R = live_R & torch.isin(token_R, end_ids)
            turn.length_R[row_R[ended_R]] = t + 1
            before, live_R = int(live_R.sum()), live_R & ~ended_R & (limit_R[row_R] > t + 1)
            live = int(live_R.sum())
            if live < before:
                ended = row_R[ended_R].tolist()
                may_go_on.update(ended)
                turn.end(ended)
            if live == 0 or t == turn.most - 1:
                break
            if live <= (1 - DROP_SHARE) * len(live_R):
                keep = live_R.nonzero().squeeze(1)
                if turn.keeps:
                    self._set_aside(cache, row_R.tolist(), may_go_on)
                cache = select(cache, keep)
                token_R, row_R, live_R = token_R[keep], row_R[keep], live_R[keep]
                mask_RS, position_R = mask_RS[keep], position_R[keep]
            hidden_R1H, cache = policy.forward(
                token_R[:, None],
                mask_RS[:, : width + t + 1],
                position_R[:, None] + t,
                cache,
                filled=True,
            )
            logits_RV = policy.logits(hidden_R1H[:, -1])
        if turn.keeps:
            self._set_aside(cache, row_R.tolist(), may_go_on)
        self._cache = cache

    def _set_aside(self, cache: Any, rows: list[int], may_go_on: set[int]) -> None:
        """Keep the cache of those rows of the batch that may go on."""
        places = [place for place, row in enumerate(rows) if row in may_go_on]
        if places:
            kept = pairs_of(cache, torch.tensor(places, device=self._device))
            self._aside.append((kept, [rows[place] for place in places]))
            may_go_on.difference_update(rows)


class _Tree:
    """The same by a `DenseDecoder`: those that have written the same so far are one row."""

    def __init__(self, student: TrainedStudent, decoder: DenseDecoder) -> None:
        self._student, self._decoder = student, decoder
        self._histories: dict[int, History] = {}
        """Of rows that may go on."""

    def read(self, rows: list[int], texts: Prompts, unread: list[int], room: int) -> None:
        """As `_OwnPass.read`."""
        different, self._row_M = _different(texts)
        if not self._histories:
            self._logits_RV = self._decoder.read(
                *padded(self._student, different), len(texts), room
            )
            return
        firsts = np.unique(self._row_M, return_index=True)[1]
        self._logits_RV = self._decoder.go_on(
            [self._histories[rows[m]] for m in firsts],
            *padded(self._student, [texts[m][-unread[m] :] for m in firsts]),
            len(texts),
            room,
        )
        self._histories = {}

    def write(self, turn: _Turn, temperature: float) -> None:
        """As `_OwnPass.write`."""
        turn.hold(torch.device("cpu"), torch.float64)
        tokens_MT, logprobs_MT = turn.tokens_RT.numpy(), turn.logprobs_RT.numpy()
        length_M, row_M, logits_RV = turn.length_R.numpy(), self._row_M, self._logits_RV
        vocabulary, total = self._student.policy.vocabulary, len(row_M)
        draws, end_ids = Draws(vocabulary, total), sorted(self._student.end_ids)
        live = np.arange(total)  # completions that have not ended
        for t in range(turn.most):
            token_N, logprob_N = draws.draw(
                logits_RV, temperature, turn.uniforms_RT[live, t], row_M[live]
            )
            tokens_MT[live, t], logprobs_MT[live, t] = token_N, logprob_N
            ended_N = np.isin(token_N, end_ids)
            ended = live[ended_N]
            length_M[ended] = t + 1
            if turn.keeps:
                self._keep(ended, row_M[ended])
            turn.end(ended.tolist())
            goes_N = ~ended_N & (turn.limit_R[live] > t + 1)
            live = live[goes_N]
            if len(live) == 0:
                break
            branches_R, row_M[live] = np.unique(
                row_M[live] * vocabulary + token_N[goes_N], return_inverse=True
            )
            sources_R, token_R = np.divmod(branches_R, vocabulary)
            logits_RV = self._decoder.step(token_R, sources_R)

    def _keep(self, ended: np.ndarray, rows: np.ndarray) -> None:
        """What the decoder has of these completions, each in one of its rows."""
        different, which = np.unique(rows, return_inverse=True)
        kept = self._decoder.kept(different)
        self._histories |= {m: kept[place] for m, place in zip(ended.tolist(), which.tolist())}


def _different(prompts: Prompts) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """The prompts without those that are the same as the one before; and which of them each is."""
    groups = [(prompt, len(list(same))) for prompt, same in groupby(map(tuple, prompts))]
    different, counts = [prompt for prompt, _ in groups], [count for _, count in groups]
    return different, np.repeat(np.arange(len(different)), counts)


def padded(student: TrainedStudent, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts padded on the left to the longest, and the mask that is 1 for their own tokens."""
    width = max(map(len, prompts))
    return (
        torch.tensor(
            [[student.tokens.pad_id] * (width - len(p)) + list(p) for p in prompts],
            device=student.policy.device,
        ),
        torch.tensor(
            [[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=student.policy.device
        ),
    )


def _draw(
    logits_RV: torch.Tensor, temperature: float, uniform_R: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row and its log-probability."""
    if temperature == 0:
        logprobs_RV = torch.log_softmax(logits_RV, dim=-1)
        token_R = logprobs_RV.argmax(dim=-1)
    else:
        logprobs_RV = torch.log_softmax(logits_RV / temperature, dim=-1)
        # In float64, for in float32 the sum over a large vocabulary is off by more than the rarest
        # tokens are likely.
        mass_RV = logprobs_RV.double().exp().cumsum(dim=-1)
        point_R1 = (uniform_R * mass_RV[:, -1])[:, None]
        token_R = (
            torch.searchsorted(mass_RV, point_R1, right=True)
            .squeeze(1)
            .clamp(max=logits_RV.shape[1] - 1)
        )
    return token_R, logprobs_RV.gather(1, token_R[:, None]).squeeze(1)
