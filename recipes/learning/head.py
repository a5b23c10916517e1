"""The frozen head over hidden states, block by block of the vocabulary: log-probabilities of
tokens, and the divergence to another adapter, each with its gradient in the same pass.

    logp_N = head_logprobs(policy, hidden_NH, targets_N, temperature)
    kl_N = head_divergence(policy, hidden_NH, reference_NH, temperature)

The logits of a whole batch are never held: HEAD_LOGITS at a time, and none for the backward pass.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F

from recipes.learning.policy import Policy

HEAD_LOGITS = 1 << 22
"""Logits held at once: 16 MiB as float32, that is 8192 tokens of the vocabulary at 512 positions. A
CPU is slower with more, for whose memory it has to ask the system each time."""


def head_rows(policy: Policy) -> int:
    """Positions of which all logits are held at once."""
    return max(1, HEAD_LOGITS // policy.vocabulary)


def head_logprobs(
    policy: Policy, hidden_NH: torch.Tensor, targets_N: torch.Tensor, temperature: float
) -> torch.Tensor:
    return _Head.apply(
        hidden_NH,
        lambda with_slope: _over_vocabulary(
            policy, hidden_NH, targets_N, _above_0(temperature), with_slope
        ),
    )


def head_divergence(
    policy: Policy, hidden_NH: torch.Tensor, reference_NH: torch.Tensor, temperature: float
) -> torch.Tensor:
    return _Head.apply(
        hidden_NH,
        lambda with_slope: _divergence_over_vocabulary(
            policy, hidden_NH, reference_NH, _above_0(temperature), with_slope
        ),
    )


def _above_0(temperature: float) -> float:
    if temperature <= 0:
        raise ValueError("log-probabilities need a temperature above 0")
    return temperature


class _Head(torch.autograd.Function):
    """One value a position from hidden states. The head is frozen and a position's value depends on
    its own hidden state alone, so the forward pass knows the whole gradient but for one factor a
    position."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: torch.Tensor,
        values: Callable[[bool], tuple[torch.Tensor, torch.Tensor | None]],
    ) -> torch.Tensor:
        """`values(whether the gradient is wanted)`: (the values, [N]; their gradient by
        `hidden_NH`, or None)."""
        value_N, slope_NH = values(ctx.needs_input_grad[0])
        ctx.save_for_backward(slope_NH)
        return value_N

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_N: torch.Tensor) -> tuple:
        (slope_NH,) = ctx.saved_tensors
        return (grad_N[:, None] * slope_NH).to(slope_NH.dtype), None


class _Sums:
    """Sums over the vocabulary in which each token weighs exp(its logit), block by block: relative
    to the largest logit so far, and shrunk when a larger one comes (online softmax, Milakov &
    Gimelshein 2018, arXiv:1805.02867)."""

    def __init__(self) -> None:
        self.top_N1: torch.Tensor | None = None
        self.sums: list[torch.Tensor] = []
        """[N, 1] or [N, hidden]."""

    def add(
        self, logits_NV: torch.Tensor, terms: Callable[[torch.Tensor], list[torch.Tensor]]
    ) -> None:
        """A block's logits, which are overwritten; `terms`: the block's weights -> its part of each
        sum."""
        before_N1, self.top_N1 = self.top_N1, logits_NV.amax(1, keepdim=True)
        if before_N1 is not None:
            self.top_N1 = torch.maximum(before_N1, self.top_N1)
        new = terms(logits_NV.sub_(self.top_N1).exp_())
        if before_N1 is not None:
            shrink_N1 = (before_N1 - self.top_N1).exp()
            new = [old.mul_(shrink_N1).add_(more) for old, more in zip(self.sums, new)]
        self.sums = new

    @property
    def log_total_N1(self) -> torch.Tensor:
        """Of the first sum, which is that of the weights."""
        return self.top_N1 + self.sums[0].log()


def _blocks(policy: Policy, rows: int) -> Iterator[slice]:
    """The vocabulary in blocks, so that `rows` have HEAD_LOGITS logits in each."""
    width = max(2, HEAD_LOGITS // rows)  # so that a block has a token that is not the target
    return (slice(first, first + width) for first in range(0, policy.vocabulary, width))


def _rows(policy: Policy, weight_NV: torch.Tensor, block: slice) -> torch.Tensor:
    """The head's rows of a block, summed with these weights, [N, hidden], float32."""
    return (weight_NV.to(policy.head.weight.dtype) @ policy.head.weight[block]).float()


def _over_vocabulary(
    policy: Policy,
    hidden_NH: torch.Tensor,
    targets_N: torch.Tensor,
    temperature: float,
    with_slope: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(log p of the targets, [N], float32; its gradient by the hidden states, [N, hidden], in their
    type, or None).

    One pass over blocks of the vocabulary, with sums of exponentials and of the head's rows W
    weighted by them, as attention sums its values. The target t is left out of the sums, so that
    nothing cancels where its p is near 1:

        log p_t = log sigmoid(l_t - log rest),  rest = sum of exp(l_v) over v != t, d log p_t / d
        hidden = (1 - p_t) * (W_t - sum of exp(l_v) * W_v / rest over v != t) / temperature.
    """
    target_N, others = torch.zeros(len(hidden_NH), device=hidden_NH.device), _Sums()
    for block in _blocks(policy, len(hidden_NH)):
        logits_NV = policy.logits(hidden_NH, block).div_(temperature)
        inside = ((targets_N >= block.start) & (targets_N < block.stop)).nonzero()[:, 0]
        target_N[inside] = logits_NV[inside, targets_N[inside] - block.start]
        logits_NV[inside, targets_N[inside] - block.start] = -torch.inf

        def terms(weight_NV: torch.Tensor) -> list[torch.Tensor]:
            rows = [_rows(policy, weight_NV, block)] if with_slope else []
            return [weight_NV.sum(1, keepdim=True), *rows]

        others.add(logits_NV, terms)
    ahead_N = target_N - others.log_total_N1[:, 0]
    if not with_slope:
        return F.logsigmoid(ahead_N), None
    rest_N1, others_NH = others.sums
    slope_NH = (policy.head.weight[targets_N] - others_NH / rest_N1) * (
        torch.sigmoid(-ahead_N) / temperature
    )[:, None]
    return F.logsigmoid(ahead_N), slope_NH.to(hidden_NH.dtype)


def _divergence_over_vocabulary(
    policy: Policy,
    hidden_NH: torch.Tensor,
    reference_NH: torch.Tensor,
    temperature: float,
    with_slope: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(sum_v p(v) u(v), [N], float32; its gradient by `hidden_NH`, [N, hidden], in its type, or
    None), where u = log p - log p_reference.

    One pass over blocks of the vocabulary. With d, the difference of the logits, which is u up to a
    number that is the same for all tokens, and which the head gives of the difference of the hidden
    states, so that it has the digits that two like logits have not,

        KL = sum p d - (log Z - log Z_reference), d KL / d hidden = sum of p_v (u_v - KL) W_v /
        temperature = (sum of p_v d_v W_v - (sum p d) * sum of p_v W_v) / temperature,

    and d may be taken less any number; less its mean over the first block it is small, so that
    little is lost where the weights are rounded to the head's type.
    """
    apart_NH = hidden_NH.float() - reference_NH.float()
    own, other, shift_N1 = _Sums(), _Sums(), None
    for block in _blocks(policy, 2 * len(hidden_NH)):
        logits_NV = policy.logits(hidden_NH, block).div_(temperature)
        ahead_NV = policy.logits(apart_NH, block, bias=False).div_(temperature)
        reference_NV = logits_NV - ahead_NV
        shift_N1 = ahead_NV.mean(1, keepdim=True) if shift_N1 is None else shift_N1
        ahead_NV.sub_(shift_N1)

        def terms(weight_NV: torch.Tensor) -> list[torch.Tensor]:
            gap_NV = ahead_NV.mul_(weight_NV)
            rows = [_rows(policy, w_NV, block) for w_NV in (weight_NV, gap_NV) if with_slope]
            return [*(w_NV.sum(1, keepdim=True) for w_NV in (weight_NV, gap_NV)), *rows]

        own.add(logits_NV, terms)
        other.add(reference_NV, lambda weight_NV: [weight_NV.sum(1, keepdim=True)])
    total_N1, gap_N1, *rows = own.sums
    mean_N1 = gap_N1 / total_N1
    kl_N1 = mean_N1 + shift_N1 - (own.log_total_N1 - other.log_total_N1)
    kl_N = kl_N1[:, 0].clamp(min=0.0)  # which rounding alone takes it below
    if not rows:
        return kl_N, None
    rows_NH, gaps_NH = rows
    slope_NH = (gaps_NH - mean_N1 * rows_NH) / (total_N1 * temperature)
    return kl_N, slope_NH.to(hidden_NH.dtype)
