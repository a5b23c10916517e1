"""The key/value cache of the training model while it samples: transformers' own object, or the
pairs of tensors that unsloth hands out.

    cache = spread(cache, row_R, room)          # prompts' cache -> completions', with room to write
    kept = pairs_of(cache, places_N)            # a copy of some rows
    pairs, filled_RS = moved_together([(kept, rows)], filled_RS, chosen)
    cache = roomy(cache, pairs, room)           # to go on with, as a cache of the same kind
"""

from collections.abc import Sequence
from functools import cache as remember
from typing import Any

import torch

Pairs = list[tuple[torch.Tensor, torch.Tensor]] | None
"""Keys and values of each layer, [rows, heads, columns, width]; None where layers hold something
else, which cannot be moved."""


def spread(cache: Any, row_R: torch.Tensor, room: int) -> Any:
    """The cache of these rows, some of them more than once, with space behind them for `room` more
    tokens, so that a new token copies only itself.

    transformers' plain layer joins old and new into a fresh tensor at every token. Other kinds
    (sliding windows) stay as they are.
    """
    if isinstance(cache, (tuple, list)):
        return select(cache, row_R)
    from transformers.cache_utils import DynamicLayer

    for index, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[index] = _roomy_layer_class()(layer.keys[row_R], layer.values[row_R], room)
        else:
            layer.batch_select_indices(row_R)
    return cache


def select(cache: Any, keep_R: torch.Tensor) -> Any:
    """The rows `keep_R` only."""
    if isinstance(cache, (tuple, list)):
        return tuple(tuple(tensor.index_select(0, keep_R) for tensor in layer) for layer in cache)
    cache.batch_select_indices(keep_R)
    return cache


def pairs_of(cache: Any, places_N: torch.Tensor) -> Pairs:
    """A copy of these rows."""
    if isinstance(cache, (tuple, list)):
        layers = [tuple(layer) for layer in cache]
    elif all(type(layer) is _roomy_layer_class() for layer in cache.layers):
        layers = [(layer.keys, layer.values) for layer in cache.layers]
    else:
        return None
    return [
        (keys.index_select(0, places_N), values.index_select(0, places_N))
        for keys, values in layers
    ]


def moved_together(
    parts: Sequence[tuple[Pairs, list[int]]], filled_RS: torch.Tensor, chosen: Sequence[int]
) -> tuple[Pairs, torch.Tensor]:
    """The caches of the chosen rows as one, each row's tokens side by side at the end, and which
    columns those are, [chosen, columns].

    `parts`: some rows' cache, of any number of columns, and which rows they are; `filled_RS`: of
    all rows, which columns hold a token.
    """
    counts = filled_RS.sum(dim=1)[list(chosen)]
    width = int(counts.max())
    filled_CS = torch.arange(width, device=counts.device) >= width - counts[:, None]
    place_of = {row: place for place, row in enumerate(chosen)}
    moved: list[tuple[torch.Tensor, torch.Tensor]] = []
    for kept, rows in parts:
        assert kept is not None
        here = [place for place, row in enumerate(rows) if row in place_of]
        if not here:
            continue
        there = [place_of[rows[place]] for place in here]
        columns_NW = torch.zeros(len(here), width, dtype=torch.long, device=counts.device)
        for number, place in enumerate(here):
            own = filled_RS[rows[place]].nonzero().squeeze(1)
            columns_NW[number, width - len(own) :] = own
        here_N1 = torch.tensor(here, device=counts.device)[:, None]
        if not moved:
            moved = [
                tuple(
                    tensor.new_zeros(len(chosen), tensor.shape[1], width, tensor.shape[3])
                    for tensor in pair
                )
                for pair in kept
            ]
        for pair, targets in zip(kept, moved):
            for tensor, target in zip(pair, targets):
                target[there] = tensor[here_N1, :, columns_NW].transpose(1, 2)
    return moved, filled_CS


def roomy(like: Any, pairs: Pairs, room: int) -> Any:
    """A cache of the kind of `like` of these keys and values, with space behind them."""
    assert pairs is not None
    if isinstance(like, (tuple, list)):
        return tuple(pairs)
    from transformers.cache_utils import Cache

    return Cache(layers=[_roomy_layer_class()(keys, values, room) for keys, values in pairs])


@remember
def _roomy_layer_class() -> type:
    # Made at the first use, because unsloth must be imported before transformers and this module
    # may come before both.
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        """A layer that writes new keys and values into space set aside; `keys` and `values` are
        views of what is filled."""

        def __init__(self, keys: torch.Tensor, values: torch.Tensor, room: int) -> None:
            super().__init__()
            self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
            # Zeros, because attention multiplies masked values by 0 and 0 times whatever lay in
            # memory may be NaN.
            self._room_keys, self._room_values = (
                torch.nn.functional.pad(tensor, (0, 0, 0, room)) for tensor in (keys, values)
            )
            self._view(keys.shape[2])

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
