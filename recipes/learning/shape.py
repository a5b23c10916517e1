"""The sizes of a decoder built like Llama's, from its transformers configuration.

shape = Shape.of(config)
shape.inside, shape.tables    # weights of the linear layers, of embedding and head
"""

from dataclasses import dataclass
from typing import Any

UNPACKED = 1 << 30
"""Bytes that the layers' matrices may have in 32 bits for the CPU to keep them so."""


def head_width(config: Any) -> int:
    """Values in one attention head's key or value, of a transformers configuration."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def key_heads(config: Any) -> int:
    """Heads of keys and values, each shared by as many of the queries'."""
    return getattr(config, "num_key_value_heads", None) or config.num_attention_heads


def cached_values(config: Any) -> int:
    """Values that the key/value cache holds of one token, all layers together."""
    return 2 * config.num_hidden_layers * key_heads(config) * head_width(config)


@dataclass(frozen=True)
class Shape:
    """How large a model is."""

    hidden: int
    layers: int
    inner: int
    """Width between the two projections of a layer's second half."""
    heads: int
    """Of queries."""
    queries: int
    """Values of all heads' queries."""
    keys: int
    """Values of all heads' keys."""
    vocabulary: int
    tied: bool
    """Embedding and head are the same matrix."""

    @classmethod
    def of(cls, config: Any) -> "Shape":
        """Of a transformers configuration."""
        config = config.get_text_config()
        return cls(
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            inner=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
            heads=config.num_attention_heads,
            queries=head_width(config) * config.num_attention_heads,
            keys=head_width(config) * key_heads(config),
            vocabulary=config.vocab_size,
            tied=getattr(config, "tie_word_embeddings", False),
        )

    @property
    def linear(self) -> list[tuple[int, int]]:
        """(in, out) of one layer's matrices."""
        return [
            (self.hidden, self.queries),
            (self.hidden, self.keys),
            (self.hidden, self.keys),
            (self.queries, self.hidden),
            (self.hidden, self.inner),
            (self.hidden, self.inner),
            (self.inner, self.hidden),
        ]

    @property
    def parity(self) -> float:
        """Tokens at which one must look for its attention to take as many operations as its
        products with the matrices, in a forward and backward pass in which these are frozen: 4 a
        weight against 14 a query's value and token (FlashAttention's backward pass computes the
        scores again: arXiv:2205.14135)."""
        return 4 * sum(a * b for a, b in self.linear) / (14 * self.queries)

    @property
    def inside(self) -> int:
        """Weights of all layers' matrices."""
        return self.layers * sum(a * b for a, b in self.linear)

    @property
    def tables(self) -> int:
        """Weights of embedding and head."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """Weights of all matrices."""
        return self.inside + self.tables

    @property
    def cached_values(self) -> int:
        """Values that the key/value cache holds of one token, all layers together."""
        return 2 * self.layers * self.keys

    def is_kept_unpacked(self, cuda: bool) -> bool:
        """Whether the base, rounded to 4 bits, is kept in 32: on the CPU, where it is small."""
        return not cuda and 4 * self.inside <= UNPACKED
