"""The rotary embedding of a model, from its transformers configuration."""

from typing import Any

import numpy as np

from recipes.learning.shape import head_width


def ropes(config: Any) -> list[dict]:
    """The parameters of the rotary embedding: one set, or for Gemma 3 one of the global and one of
    the sliding layers."""
    rope = config.rope_parameters
    return (
        [rope[kind] for kind in ("full_attention", "sliding_attention")]
        if "full_attention" in rope
        else [rope]
    )


def frequency_factors(config: Any) -> np.ndarray | None:
    """By how much Llama 3 divides each frequency of its rotary embedding, [head width / 2]; None
    for others.

    As transformers does it: low frequencies by `factor`, high ones not at all, in between a linear
    passage.
    """
    rope = ropes(config)[0]
    if rope.get("rope_type") != "llama3":
        return None
    width, low, high = head_width(config), rope["low_freq_factor"], rope["high_freq_factor"]
    frequency = 1.0 / rope["rope_theta"] ** (np.arange(0, width, 2, dtype=np.float64) / width)
    turns = rope["original_max_position_embeddings"] * frequency / (2 * np.pi)
    share = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1 - share) / rope["factor"] + share)).astype(np.float32)
