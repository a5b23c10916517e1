"""The student's weights as numbers, each NF4 matrix dequantised, with the adapter added in or
without it.

for name, shape, make in weights(student, merged=True):
    array = make()                               # one matrix in memory at a time
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

from recipes.rollouts.engine_kind import TrainedStudent

SMALL = 50_000_000
"""Parameters of a base below which another copy of it costs little memory."""


def weights(
    student: TrainedStudent, merged: bool
) -> Iterator[tuple[str, tuple[int, ...], Callable[[], torch.Tensor]]]:
    """(transformers' name, shape, function that makes the float32 tensor, on the CPU) of every
    weight of the base; tied ones once.

    With `merged` each matrix W that the adapter changes is W + B A alpha / rank (Hu et al. 2021,
    arXiv:2106.09685, equation 3).
    """
    adapter = student.adapter.tensors() if merged else {}
    for name, parameter in base_parameters(student):
        layer, _, part = name.rpartition(".")
        halves = [adapter.get(f"base_model.model.{layer}.lora_{half}.{part}") for half in "BA"]

        def make(parameter: torch.Tensor = parameter, halves: list = halves) -> torch.Tensor:
            if hasattr(parameter, "quant_state"):
                from bitsandbytes.functional import dequantize_4bit

                parameter = dequantize_4bit(parameter.data, parameter.quant_state)
            # In 32 bits beside the card: an embedding of 152,000 rows would take 2 GiB of it.
            weight = parameter.detach().cpu().float()
            if halves[0] is not None:
                b, a = (half.detach().cpu().float() for half in halves)
                weight = weight + b @ a * student.adapter.scale
            return weight

        yield name, _shape(parameter), make


def base_parameters(student: TrainedStudent) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """(transformers' name, parameter) of the base, without the adapters; tied ones once."""
    for name, parameter in student.policy.model.get_base_model().named_parameters():
        if ".lora_" not in name:
            yield name.replace(".base_layer", ""), parameter


def is_small(student: TrainedStudent) -> bool:
    """Whether the base has fewer than SMALL parameters."""
    return sum(math.prod(_shape(parameter)) for _, parameter in base_parameters(student)) < SMALL


def _shape(parameter: Any) -> tuple[int, ...]:
    return tuple(
        parameter.quant_state.shape if hasattr(parameter, "quant_state") else parameter.shape
    )
