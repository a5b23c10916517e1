"""The training model samples itself: the engine that always works.

    engine = ModelEngine(student)
    # [prompt][index]
    completions = engine.sample(prompts, n=8, temperature=0.7, max_new=64, seeds=[...])

The prompts of a batch are padded on the left and read once, with logits at the last position only.
Then all rows take one token at a time: a small student's on the CPU through `dense_decoder`, where
completions that have written the same so far are one row; any other's through its own forward pass,
on a key/value cache repeated for each completion. There, rows that have ended are dropped from the
batch when there are enough of them to pay for the copy.

Token t of completion i of a prompt is drawn by inverting the distribution's cumulative sum at a
uniform number that depends on (seed, i, t) alone. So a rollout is the same whichever others share
its batch, up to rounding in the matrix products. And so a batch that memory did not suffice for is
done again in halves, with the same seeds; later batches are no larger (`Student.sampling_tokens`).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache as remember
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import torch

from recipes.learning.shape import cached_values
from recipes.nano import dense_decoder
from recipes.nano.dense_decoder import DROP_SHARE, DenseDecoder
from recipes.rollouts.engine import Completion, Engine, check_arguments, count_nothing
from recipes.rollouts.engine_kind import TrainedStudent
from recipes.rollouts.sampling import Draws

MAX_ROWS = 256
"""Rows decoded together. On one CPU core more rows no longer make a token cheaper; on a card the
cache below binds first."""

Prompts = Sequence[Sequence[int]]

CACHE_BYTES = 1 << 30
"""Largest key/value cache of a batch. A constant, not a share of what happens to be free, so that
batches depend on the arguments alone."""


class Listed(Protocol):
    """A tensor or an array."""

    def tolist(self) -> list: ...


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
    ) -> Iterator[dict[int, list[Completion]]]:
        check_arguments(prompts, n, max_new, seeds)
        order = sorted(
            range(len(prompts)), key=lambda i: (-len(prompts[i]), i)
        )  # of like length: little padding
        waiting = [(i, j) for i in order for j in range(n)]
        begun: dict[int, list[Completion]] = {}
        longest = max(map(len, prompts), default=0) + max_new
        dense = DenseDecoder(self.student) if dense_decoder.fits(self.student, longest) else None
        while waiting:
            rows = waiting[: _batch_size(self.student, waiting, prompts, max_new)]
            uniforms_RT, ended = (
                np.stack([_uniforms(seeds[i], j, max_new) for i, j in rows]),
                _Tally(on_ended),
            )
            completions = self.student.limits.sampling(
                lambda: self._decoded(
                    dense, [prompts[i] for i, _ in rows], temperature, uniforms_RT, ended
                ),
                len(rows),
                len(rows) * (len(prompts[rows[0][0]]) + max_new),
            )
            if completions is None:  # memory ran out: the same again in a smaller batch
                ended.take_back()
                continue
            ended.add(len(rows) - ended.count)  # those that the token limit has ended
            waiting = waiting[len(rows) :]
            for (i, _), completion in zip(rows, completions):
                begun.setdefault(i, []).append(completion)
            if done := [i for i, group in begun.items() if len(group) == n]:
                yield {i: begun.pop(i) for i in done}

    @torch.no_grad()
    def _decoded(
        self,
        dense: DenseDecoder | None,
        prompts: Prompts,
        temperature: float,
        uniforms_RT: np.ndarray,
        ended: "_Tally",
    ) -> list[Completion]:
        """One completion of each prompt."""
        self.student.policy.mode(training=False)
        if dense is None:
            return _decode(self.student, prompts, temperature, uniforms_RT, ended)
        return _decode_as_tree(self.student, dense, prompts, temperature, uniforms_RT, ended)


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
    student: TrainedStudent, waiting: Sequence[tuple[int, int]], prompts: Prompts, max_new: int
) -> int:
    """How many of the rows (prompt, index of the completion), longest prompts first, are the next
    batch.

    As many whole prompts as stay within MAX_ROWS and CACHE_BYTES; the rows of the first share a
    batch even where these alone pass the limits, for its prompt is then read once. What memory once
    did not suffice for is cut anywhere.
    """
    length = len(prompts[waiting[0][0]]) + max_new
    most = min(MAX_ROWS, CACHE_BYTES // (length * _cache_bytes_per_token(student)))
    size = 0
    for _, group in groupby(waiting, key=lambda row: row[0]):
        rows = len(list(group))
        if size and size + rows > most:
            break
        size += rows
    return (
        size
        if student.limits.sampling_tokens is None
        else max(1, min(size, student.limits.sampling_tokens // length))
    )


def _cache_bytes_per_token(student: TrainedStudent) -> int:
    return cached_values(student.config) * (2 if student.device.type == "cuda" else 4)


def _decode(
    student: TrainedStudent,
    prompts: Prompts,
    temperature: float,
    uniforms_RT: np.ndarray,
    ended: _Tally,
) -> list[Completion]:
    """One batch: a row for each of R prompts, those that are the same one after the other, of T =
    uniforms_RT.shape[1] tokens at most."""
    device, (total, max_new) = student.policy.device, uniforms_RT.shape
    different, which_R = _different(prompts)
    prompt_R = torch.from_numpy(which_R).to(device)
    tokens_BT, mask_BT = padded(student, different)
    hidden_BTH, cache = student.policy.forward(
        tokens_BT, mask_BT, (mask_BT.cumsum(dim=1) - 1).clamp(min=0), cache=True
    )
    cache = _spread(cache, prompt_R, max_new)
    width = mask_BT.shape[1]
    # The positions to come are already marked as real.
    mask_RS = torch.nn.functional.pad(mask_BT, (0, max_new), value=1)[prompt_R]
    logits_RV, position_R = (
        student.policy.logits(hidden_BTH[:, -1])[prompt_R],
        mask_BT.sum(dim=1)[prompt_R],
    )
    uniform_RT = torch.from_numpy(uniforms_RT).to(device)
    end_ids = torch.tensor(sorted(student.end_ids), device=device)
    tokens_RT = torch.zeros(total, max_new, dtype=torch.long, device=device)
    logprobs_RT = torch.zeros(total, max_new, device=device)
    length_R = torch.full((total,), max_new, device=device)
    row_R = torch.arange(total, device=device)  # which completion each row of the batch writes
    live_R = torch.ones(total, dtype=torch.bool, device=device)
    for t in range(max_new):
        token_R, logprob_R = _draw(logits_RV, temperature, uniform_RT[row_R, t])
        tokens_RT[row_R, t], logprobs_RT[row_R, t] = token_R, logprob_R
        ended_R = live_R & torch.isin(token_R, end_ids)
        length_R[row_R[ended_R]] = t + 1
        before, live_R = int(live_R.sum()), live_R & ~ended_R
        live = int(live_R.sum())
        ended.add(before - live)
        if live == 0 or t == max_new - 1:
            break
        if live <= (1 - DROP_SHARE) * len(live_R):
            keep = live_R.nonzero().squeeze(1)
            cache = _select(cache, keep)
            token_R, row_R, live_R = token_R[keep], row_R[keep], live_R[keep]
            mask_RS, position_R = mask_RS[keep], position_R[keep]
        hidden_R1H, cache = student.policy.forward(
            token_R[:, None],
            mask_RS[:, : width + t + 1],
            position_R[:, None] + t,
            cache,
            filled=True,
        )
        logits_RV = student.policy.logits(hidden_R1H[:, -1])
    return _completions(tokens_RT, logprobs_RT, length_R, student.end_ids)


def _decode_as_tree(
    student: TrainedStudent,
    decoder: DenseDecoder,
    prompts: Prompts,
    temperature: float,
    uniforms_MT: np.ndarray,
    ended: _Tally,
) -> list[Completion]:
    """The same for M completions, where those that have written the same so far are one row."""
    total, max_new = uniforms_MT.shape
    different, row_M = _different(prompts)
    logits_RV, draws = (
        decoder.read(*padded(student, different), total, max_new),
        Draws(student.policy.vocabulary, total),
    )
    end_ids = sorted(student.end_ids)
    tokens_MT, logprobs_MT = np.zeros((total, max_new), np.int64), np.zeros((total, max_new))
    length_M = np.full(total, max_new)
    live = np.arange(total)  # completions that have not ended
    for t in range(max_new):
        token_N, logprob_N = draws.draw(logits_RV, temperature, uniforms_MT[live, t], row_M[live])
        tokens_MT[live, t], logprobs_MT[live, t] = token_N, logprob_N
        ended_N = np.isin(token_N, end_ids)
        length_M[live[ended_N]] = t + 1
        live = live[~ended_N]
        ended.add(int(ended_N.sum()))
        if len(live) == 0 or t == max_new - 1:
            break
        branches_R, row_M[live] = np.unique(
            row_M[live] * student.policy.vocabulary + token_N[~ended_N], return_inverse=True
        )
        sources_R, token_R = np.divmod(branches_R, student.policy.vocabulary)
        logits_RV = decoder.step(token_R, sources_R)
    return _completions(tokens_MT, logprobs_MT, length_M, student.end_ids)


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


def _completions(
    tokens_RT: Listed, logprobs_RT: Listed, length_R: Listed, end_ids: frozenset[int]
) -> list[Completion]:
    return [
        Completion(
            ids=tuple(ids[:length]),
            logprobs=tuple(logprobs[:length]),
            finished=ids[length - 1] in end_ids,
        )
        for ids, logprobs, length in zip(
            tokens_RT.tolist(), logprobs_RT.tolist(), length_R.tolist()
        )
    ]


# ---- the key/value cache: transformers' own object, or the pairs of tensors that unsloth hands out


def _spread(cache: Any, row_R: torch.Tensor, room: int) -> Any:
    """The cache of these rows, some of them more than once, with space behind them for `room` more
    tokens, so that a new token copies only itself.

    transformers' plain layer joins old and new into a fresh tensor at every token. Other kinds
    (sliding windows) stay as they are.
    """
    if isinstance(cache, (tuple, list)):
        return _select(cache, row_R)
    from transformers.cache_utils import DynamicLayer

    for index, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[index] = _roomy_layer_class()(layer, row_R, room)
        else:
            layer.batch_select_indices(row_R)
    return cache


def _select(cache: Any, keep_R: torch.Tensor) -> Any:
    """The rows `keep_R` only."""
    if isinstance(cache, (tuple, list)):
        return tuple(tuple(tensor.index_select(0, keep_R) for tensor in layer) for layer in cache)
    cache.batch_select_indices(keep_R)
    return cache


@remember
def _roomy_layer_class() -> type:
    # Made at the first use, because unsloth must be imported before transformers and this module
    # may come before both.
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        """A layer that writes new keys and values into space set aside; `keys` and `values` are
        views of what is filled."""

        def __init__(self, layer: Any, row_R: torch.Tensor, room: int) -> None:
            super().__init__()
            self.dtype, self.device, self.is_initialized = layer.keys.dtype, layer.keys.device, True
            self._room_keys, self._room_values = (
                self._spread(tensor, row_R, room) for tensor in (layer.keys, layer.values)
            )
            self._view(layer.keys.shape[2])

        @staticmethod
        def _spread(tensor_BHSD: torch.Tensor, row_R: torch.Tensor, room: int) -> torch.Tensor:
            _, heads, length, width = tensor_BHSD.shape
            # Zeros, because attention multiplies masked values by 0 and 0 times whatever lay in
            # memory may be NaN.
            out = tensor_BHSD.new_zeros(len(row_R), heads, length + room, width)
            out[:, :, :length] = tensor_BHSD[row_R]
            return out

        def _view(self, length: int) -> None:
            self.keys, self.values = (
                self._room_keys[:, :, :length],
                self._room_values[:, :, :length],
            )

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            start = self.keys.shape[2]
            end = start + key_states.shape[2]
            self._room_keys[:, :, start:end], self._room_values[:, :, start:end] = (
                key_states,
                value_states,
            )
            self._view(end)
            return self.keys, self.values

        def batch_select_indices(self, indices: torch.Tensor) -> None:
            length = self.keys.shape[2]
            self._room_keys = self._room_keys.index_select(0, indices)
            self._room_values = self._room_values.index_select(0, indices)
            self._view(length)

    return RoomyLayer
