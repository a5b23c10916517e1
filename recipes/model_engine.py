"""The training model samples itself: the engine that always works, and needs no second copy of the weights.

    engine = ModelEngine(student)
    completions = engine.sample(prompts, n=8, temperature=0.7, max_new=64, seeds=[...])      # [prompt][index]

The prompts of a batch are padded on the left and read once, with logits at the last position only; their key/value cache is then
repeated n times, and all rows take one token at a time. Rows that have ended are dropped from the batch when there are enough of
them to pay for the copy.

Token t of completion i of a prompt is drawn by inverting the distribution's cumulative sum at a uniform number that depends
on (seed, i, t) alone. So a rollout is the same whichever others share its batch, up to rounding in the matrix products.
"""
from collections.abc import Iterator, Sequence
from functools import cache as remember

import numpy as np
import torch

from recipes.rollout import Completion, Engine, cached_values, check_arguments

MAX_ROWS = 256
"""Rows decoded together. On one CPU core more rows no longer make a token cheaper; on a card the cache below binds first."""

CACHE_BYTES = 1 << 30
"""Largest key/value cache of a batch. A constant, not a share of what happens to be free, so that batches depend on the
arguments alone."""

DROP_SHARE = 0.25
"""Ended rows are dropped once they are this share of the batch: dropping copies the cache, keeping computes for nothing."""


class ModelEngine(Engine):
    """Samples from the training model."""

    def __init__(self, student) -> None:
        self.student = student

    def stream(self, prompts: Sequence[Sequence[int]], n: int, temperature: float, max_new: int,
               seeds: Sequence[int]) -> Iterator[dict[int, list[Completion]]]:
        check_arguments(prompts, n, max_new, seeds)
        for indices in _batches(self.student, prompts, n, max_new):
            uniforms_RT = np.stack([_uniforms(seeds[i], j, max_new) for i in indices for j in range(n)])
            self.student.mode(training=False)
            with torch.no_grad():
                rows = _decode(self.student, [prompts[i] for i in indices], n, temperature, uniforms_RT)
            yield {i: rows[position * n:(position + 1) * n] for position, i in enumerate(indices)}


def _uniforms(seed: int, index: int, count: int) -> np.ndarray:
    """The uniform numbers of one completion, float64 in [0, 1)."""
    return np.random.default_rng([seed, index]).random(count)


def _batches(student, prompts, n: int, max_new: int) -> list[list[int]]:
    """Indices of the prompts that share a batch: of like length, for little padding, within MAX_ROWS and CACHE_BYTES.

    The n rows of one prompt always share one, which they may then exceed.
    """
    row_bytes = _cache_bytes_per_token(student)
    batches: list[list[int]] = []
    for i in sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i)):
        batch = batches[-1] if batches else None
        if batch:
            rows = (len(batch) + 1) * n
            if rows <= MAX_ROWS and rows * (len(prompts[batch[0]]) + max_new) * row_bytes <= CACHE_BYTES:
                batch.append(i)
                continue
        batches.append([i])
    return batches


def _cache_bytes_per_token(student) -> int:
    return cached_values(student.model.get_base_model().config) * (2 if student.device.type == "cuda" else 4)


def _decode(student, prompts, n: int, temperature: float, uniforms_RT: np.ndarray) -> list[Completion]:
    """One batch: R = len(prompts) * n rows, prompt after prompt, of T = uniforms_RT.shape[1] tokens at most."""
    device, total, max_new = student.device, *uniforms_RT.shape
    hidden_BH, cache, mask_BS = _prefill(student, prompts, n, max_new)
    logits_RV = student.logits(hidden_BH).repeat_interleave(n, dim=0)
    mask_RS = mask_BS.repeat_interleave(n, dim=0)
    width = max(map(len, prompts))
    position_R = mask_BS[:, :width].sum(dim=1).repeat_interleave(n)
    uniforms_RT = torch.from_numpy(uniforms_RT).to(device)
    end_ids = torch.tensor(sorted(student.end_ids), device=device)
    tokens_RT = torch.zeros(total, max_new, dtype=torch.long, device=device)
    logprobs_RT = torch.zeros(total, max_new, device=device)
    length_R = torch.full((total,), max_new, device=device)
    row_R = torch.arange(total, device=device)  # which completion each row of the batch writes
    live_R = torch.ones(total, dtype=torch.bool, device=device)
    for t in range(max_new):
        token_R, logprob_R = _draw(logits_RV, temperature, uniforms_RT[row_R, t])
        tokens_RT[row_R, t], logprobs_RT[row_R, t] = token_R, logprob_R
        ended_R = live_R & torch.isin(token_R, end_ids)
        length_R[row_R[ended_R]] = t + 1
        live_R = live_R & ~ended_R
        live = int(live_R.sum())
        if live == 0 or t == max_new - 1:
            break
        if live <= (1 - DROP_SHARE) * len(live_R):
            keep = live_R.nonzero().squeeze(1)
            cache = _select(cache, keep)
            token_R, row_R, live_R = token_R[keep], row_R[keep], live_R[keep]
            mask_RS, position_R = mask_RS[keep], position_R[keep]
        hidden_R1H, cache = student.forward(token_R[:, None], mask_RS[:, :width + t + 1], position_R[:, None] + t, cache,
                                            filled=True)
        logits_RV = student.logits(hidden_R1H[:, -1])
    return _completions(tokens_RT, logprobs_RT, length_R, student.end_ids)


def _prefill(student, prompts, n: int, max_new: int):
    """Read the prompts once: last hidden states [B, hidden], their cache repeated n times, and the mask [B, width + max_new]
    in which the positions to come are already marked as real."""
    width = max(map(len, prompts))
    tokens_BT = torch.tensor([[student.pad_id] * (width - len(p)) + list(p) for p in prompts], device=student.device)
    mask_BS = torch.tensor([[0] * (width - len(p)) + [1] * (len(p) + max_new) for p in prompts], device=student.device)
    positions_BT = (mask_BS[:, :width].cumsum(dim=1) - 1).clamp(min=0)
    hidden_BTH, cache = student.forward(tokens_BT, mask_BS[:, :width], positions_BT, cache=True)
    return hidden_BTH[:, -1], _repeat(cache, n, max_new), mask_BS


def _draw(logits_RV, temperature: float, uniform_R):
    """One token a row and its log-probability."""
    if temperature == 0:
        logprobs_RV = torch.log_softmax(logits_RV, dim=-1)
        token_R = logprobs_RV.argmax(dim=-1)
    else:
        logprobs_RV = torch.log_softmax(logits_RV / temperature, dim=-1)
        # In float64, for in float32 the sum over a large vocabulary is off by more than the rarest tokens are likely.
        mass_RV = logprobs_RV.double().exp().cumsum(dim=-1)
        point_R1 = (uniform_R * mass_RV[:, -1])[:, None]
        token_R = torch.searchsorted(mass_RV, point_R1, right=True).squeeze(1).clamp(max=logits_RV.shape[1] - 1)
    return token_R, logprobs_RV.gather(1, token_R[:, None]).squeeze(1)


def _completions(tokens_RT, logprobs_RT, length_R, end_ids) -> list[Completion]:
    return [Completion(ids=tuple(ids[:length]), logprobs=tuple(logprobs[:length]), finished=ids[length - 1] in end_ids)
            for ids, logprobs, length in zip(tokens_RT.tolist(), logprobs_RT.tolist(), length_R.tolist())]


# ---- the key/value cache: transformers' own object, or the pairs of tensors that unsloth hands out --------------------


def _repeat(cache, n: int, room: int):
    """Every row n times in a row, with room for `room` more tokens where the kind of cache can keep it."""
    if isinstance(cache, (tuple, list)):
        return tuple(tuple(tensor.repeat_interleave(n, dim=0) for tensor in layer) for layer in cache)
    for index, layer in enumerate(cache.layers):
        cache.layers[index] = _with_room(layer, n, room)
    return cache


def _select(cache, keep_R):
    """The rows `keep_R` only."""
    if isinstance(cache, (tuple, list)):
        return tuple(tuple(tensor.index_select(0, keep_R) for tensor in layer) for layer in cache)
    cache.batch_select_indices(keep_R)
    return cache


def _with_room(layer, n: int, room: int):
    """A cache layer with its rows repeated, and space behind them so that a new token copies only itself.

    transformers' plain layer joins old and new into a fresh tensor at every token. Other kinds (sliding windows) stay as
    they are.
    """
    from transformers.cache_utils import DynamicLayer

    if type(layer) is not DynamicLayer:
        layer.batch_repeat_interleave(n)
        return layer
    return _roomy_layer_class()(layer, n, room)


@remember
def _roomy_layer_class():
    # Made at the first use, because unsloth must be imported before transformers and this module may come before both.
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        """A layer that writes new keys and values into space set aside; `keys` and `values` are views of what is filled."""

        def __init__(self, layer, n: int, room: int):
            super().__init__()
            self.dtype, self.device, self.is_initialized = layer.keys.dtype, layer.keys.device, True
            self._room_keys, self._room_values = (self._spread(tensor, n, room) for tensor in (layer.keys, layer.values))
            self._view(layer.keys.shape[2])

        @staticmethod
        def _spread(tensor_BHSD, n: int, room: int):
            rows, heads, length, width = tensor_BHSD.shape
            # Zeros, because attention multiplies masked values by 0 and 0 times whatever lay in memory may be NaN.
            out = tensor_BHSD.new_zeros(rows * n, heads, length + room, width)
            out.view(rows, n, heads, length + room, width)[:, :, :, :length] = tensor_BHSD[:, None]
            return out

        def _view(self, length: int) -> None:
            self.keys, self.values = self._room_keys[:, :, :length], self._room_values[:, :, :length]

        def update(self, key_states, value_states, *args, **kwargs):
            start = self.keys.shape[2]
            end = start + key_states.shape[2]
            self._room_keys[:, :, start:end], self._room_values[:, :, start:end] = key_states, value_states
            self._view(end)
            return self.keys, self.values

        def batch_select_indices(self, indices) -> None:
            length = self.keys.shape[2]
            self._room_keys = self._room_keys.index_select(0, indices)
            self._room_values = self._room_values.index_select(0, indices)
            self._view(length)

    return RoomyLayer
