"""The one loss, of distillation and of REINFORCE, that of self-distillation, and what else is
computed of samples.

    objective = Objective(policy, limits, notes)
    objective.accumulate(samples, weights, norm, temperature)  # backward of -(w * logp).sum() / norm
    objective.accumulate_divergence(samples, temperature)      # of the mean KL to the frozen adapter
    objective.entropy(samples, temperature)

Only tokens that the student wrote count (`Sample.mask`): sums and means here are over them alone.
How the log-probabilities come about, a prompt read once for all its completions, is in
`logprobs.py`.
"""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from recipes.learning.head import head_rows
from recipes.learning.limits import MemoryLimits, Result
from recipes.learning.loading import first_line
from recipes.learning.logprobs import (
    Sample,
    Sharing,
    divergences,
    flat_logprobs,
    longest_of,
    longest_shared,
    micro_batches,
    passes,
    plain_hidden,
)
from recipes.learning.policy import Policy
from recipes.learning.shape import Shape
from sandbox.errors import UsageError

Weights = Sequence[float | Sequence[float]]
"""Of each sample one number for all of its written tokens, or one for each of them."""


@dataclass(frozen=True)
class Stats:
    """What one `accumulate` saw."""

    loss: float
    """The number that was differentiated: already divided by `norm`."""
    drift: float
    """Mean |trainer - sampler| log-probability, nats a token; 0.0 when there was no sampler."""
    tokens: int
    """That the student wrote."""


@dataclass(frozen=True)
class Sampled:
    """With what log-probabilities the samples were drawn, for the importance weights."""

    logprobs: Sequence[Sequence[float]]
    """Of each sample's written tokens, nats."""
    max_ratio: float | None = None
    """Truncation of p_trainer / p_sampler; None: it is measured, and no weight."""


@dataclass(frozen=True)
class KlTerm:
    """The pull back to the reference adapter."""

    weight: float
    counts: Sequence[int] | None = None
    """How many identical rollouts each sample stands for; None: one. (The weight of such a sample
    in the loss is already the sum of theirs.)"""


@dataclass(frozen=True)
class Objective:
    """What is computed of samples, in micro-batches that fit into memory."""

    policy: Policy
    limits: MemoryLimits
    notes: list[str]
    """Where sentences for a person are added."""

    @cached_property
    def longest_shared(self) -> int:
        """The longest prompt and completion, in tokens, of samples that share the work on their
        prompt; 0: none do. Measured when it is first asked for, which compiles every layer's
        kernels on a card: commands that never train do without. Raises UsageError where these
        cannot be compiled."""
        try:
            longest, why_not = longest_shared(self.policy)
        except (OSError, subprocess.SubprocessError) as error:
            raise UsageError(
                f"The kernels for this card cannot be compiled ({first_line(error)}). "
                "`python coldstart.py doctor` looks for the compiler and for Python's headers."
            ) from None
        if why_not:
            self.notes.append(
                "The completions of a task do not share the work on their prompt, because this "
                f"model cannot ({why_not}): an update takes several times as long as it might."
            )
        return longest

    def _sharing(self) -> Sharing:
        """As it is now: the limit may have become smaller."""
        parity = Shape.of(self.policy.config).parity
        return Sharing(self.limits.micro_tokens, self.longest_shared, parity)

    def accumulate(
        self,
        samples: Sequence[Sample],
        weights: Weights,
        norm: float,
        temperature: float,
        sampled: Sampled | None = None,
        kl: KlTerm | None = None,
    ) -> Stats:
        """Add the gradient of `-(w * ratio * logp).sum() / norm + kl * (count * k3).sum() / norm`,
        sums over all tokens that the student wrote.

        `weights` is w, one a sample or one a written token: 1 distils, an advantage reinforces, and
        where it is not the same for all turns each token has its turn's. `temperature` divides the
        logits, so the policy that was sampled is the one that is updated. `ratio` is p_trainer /
        p_sampler of the token, detached and truncated (truncated importance sampling, Ionides 2008;
        1 without `sampled`). `k3` is Schulman's estimator of the divergence to the reference
        adapter: exp(d) - d - 1 with d = logp_reference - logp (joschu.net/blog/kl-approx.html).

        Where memory runs out the micro-batch is halved, for good, and all of it is done again from
        the gradient that was there before, so nothing is lost. Raises ValueError for a KL term with
        no reference and for values that are not one a written token, UsageError when memory does
        not suffice for one sample.
        """
        if kl and not self.policy.has_reference:
            raise ValueError("the KL term needs freeze_reference() first")

        def work() -> Stats:
            loss = moved = 0.0
            tokens = 0
            parts = passes(self.policy, samples, temperature, kl is not None, self._sharing())
            for indices, logp_N, reference_N in parts:
                weight_N = self._spread(weights, samples, indices)
                if sampled is not None:
                    # Log-probability of the trainer less the sampler's.
                    shift_N = logp_N.detach() - self._spread(sampled.logprobs, samples, indices)
                    moved += float(shift_N.abs().sum())
                    if sampled.max_ratio is not None:
                        weight_N = weight_N * shift_N.exp().clamp(max=sampled.max_ratio)
                total = -(weight_N * logp_N).sum()
                if kl is not None:
                    d_N = reference_N - logp_N
                    k3_N = d_N.exp() - d_N - 1
                    if kl.counts is not None:
                        k3_N = self._spread(kl.counts, samples, indices) * k3_N
                    total = total + kl.weight * k3_N.sum()
                (total / norm).backward()
                loss += float(total.detach()) / norm
                tokens += len(logp_N)
            return Stats(loss=loss, drift=moved / max(tokens, 1), tokens=tokens)

        return self._fitting(work, samples)

    def accumulate_divergence(self, samples: Sequence[Sample], temperature: float) -> float:
        """Add the gradient of the mean over all written tokens of the reverse divergence to the
        reference adapter, `sum_v p(v) (log p(v) - log p_reference(v))`, and return it, nats a
        token.

        The samples are the policy's own, drawn at `temperature`, and are taken as they are: what
        the parameters change in which tokens are drawn has no gradient here. Memory as in
        `accumulate`. Raises ValueError without a reference or for temperature <= 0, UsageError when
        memory does not suffice for one sample.
        """
        if not self.policy.has_reference:
            raise ValueError("the divergence needs freeze_reference() first")
        tokens = sum(len(sample.written) for sample in samples)

        def work() -> float:
            total = 0.0
            for _, kl_N in divergences(self.policy, samples, temperature, self._sharing()):
                mean = kl_N.sum() / tokens
                if mean.requires_grad:
                    mean.backward()
                total += float(mean.detach())
            return total

        return self._fitting(work, samples)

    @torch.no_grad()
    def divergence(self, samples: Sequence[Sample], temperature: float) -> float:
        """The same without the gradient."""
        return self.accumulate_divergence(samples, temperature)

    def logprobs(self, samples: Sequence[Sample], temperature: float) -> list[torch.Tensor]:
        """Log-probability of each written token, nats, under logits / temperature: one float32
        [T_i] a sample.

        Keeps the graph when gradients are enabled. Raises ValueError for temperature <= 0.
        """

        def work() -> list[torch.Tensor]:
            out: dict[int, torch.Tensor] = {}
            for indices in micro_batches(samples, self.limits.micro_tokens):
                batch = [samples[i] for i in indices]
                flat_N = flat_logprobs(self.policy, batch, temperature, torch.is_grad_enabled())
                out |= zip(indices, flat_N.split([len(sample.written) for sample in batch]))
            return [out[i] for i in range(len(samples))]

        return self._fitting(work, samples)

    @torch.no_grad()
    def entropy(self, samples: Sequence[Sample], temperature: float) -> float:
        """Mean entropy of the distributions that the written tokens were drawn from, nats a token.

        Looks only at the first micro-batch, for it is a check and not a measurement.
        """

        def work() -> float:
            first = next(micro_batches(samples, self.limits.micro_tokens))
            hidden_NH = plain_hidden(self.policy, [samples[i] for i in first], training=False)
            sums = [
                torch.distributions.Categorical(
                    logits=self.policy.logits(part_NH) / temperature, validate_args=False
                )
                .entropy()
                .sum()
                for part_NH in hidden_NH.split(head_rows(self.policy))
            ]
            return float(torch.stack(sums).sum() / hidden_NH.shape[0])

        return self._fitting(work, samples)

    def _fitting(self, work: Callable[[], Result], samples: Sequence[Sample]) -> Result:
        """`MemoryLimits.fitting`: one sample alone becomes no smaller."""
        least = longest_of(samples) if len(samples) > 1 else self.limits.micro_tokens
        return self.limits.fitting(work, self.policy.trainable, least)

    def _spread(
        self, values: Weights, samples: Sequence[Sample], indices: Sequence[int]
    ) -> torch.Tensor:
        """One value a written token, [N], of the samples `indices`; a number stands for all of its
        sample's."""
        flat: list[float] = []
        for i in indices:
            value, count = values[i], len(samples[i].written)
            each = value if isinstance(value, Sequence) else [value] * count
            if len(each) != count:
                raise ValueError(f"{len(each)} values for {count} tokens that the student wrote")
            flat += each
        return torch.tensor(flat, dtype=torch.float32, device=self.policy.device)
