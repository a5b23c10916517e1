"""On-policy self-distillation: the student is drawn back towards an earlier adapter of its own, its
teacher here, on what it writes itself.

    for step in selfdistil(engine, pairs, recipe, talk, start_step=0):
        ...  # step.kl, step.grad_norm; save every save_every steps
    mean_divergence(engine, pairs, recipe, talk)  # before and after

A step: draw prompts; the student as it is writes one completion of each; for each token that it
wrote, the reverse KL between what it and its teacher would have written there, over the whole
vocabulary; clip, step. No test is asked and no reward needed, so it costs little, and every prompt
teaches something (of episodes, the shown tests are run for what is said between turns).

This is on-policy distillation (Agarwal et al. 2024, GKD, arXiv:2306.13649: lambda = 1, the reverse
KL; no gradient through the sampling, so it is the divergence token by token, given what stands
before, and not that of whole completions) from an earlier checkpoint of the same model (Lu &
Thinking Machines Lab 2025, "On-Policy Distillation", section on continual learning: what
fine-tuning made it forget came back). There the divergence is estimated by the sampled token; here
both distributions are at hand, and it is exact.

All randomness comes from (recipe.seed, step), so a run that goes on from a checkpoint of step s
with `start_step=s` ends in the same adapter as one that was never interrupted.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from recipes.learning.distil import batch_indices
from recipes.learning.measure import derived_seed
from recipes.learning.optimiser import warmed_up
from recipes.learning.student import Sample
from recipes.rollouts.conversations import Conversations
from recipes.rollouts.engine import Engine
from recipes.rollouts.rollout import Pairs
from recipes.settings import Recipe

MEASURED = 16
"""Prompts on which the divergence is measured, at most."""

Talk = Callable[[], AbstractContextManager[Conversations | None]]
"""Opens what is said between turns, None where there is one; as `Session.conversations`."""


@dataclass(frozen=True)
class Step:
    """One optimiser step, taken."""

    step: int
    """Steps taken so far, this one included; what `start_step` takes to go on from here."""
    steps: int
    """Steps in all."""
    kl: float
    """Mean over the written tokens, nats, before the step."""
    tokens: int
    """That the student wrote."""
    grad_norm: float
    """Before clipping; not finite if the step was skipped for it."""
    lr: float
    """Learning rate of this step."""


def selfdistil(
    engine: Engine, pairs: Pairs, recipe: Recipe, talk: Talk, start_step: int = 0
) -> Iterator[Step]:
    """Take the steps from `start_step` to the last, one at each `next`, on the prompts of `pairs`.

    The engine's student needs `freeze_reference` first: that is the teacher. Raises ValueError
    without pairs.
    """
    if not pairs:
        raise ValueError("selfdistil() needs at least one prompt")
    student, settings, seed = engine.student, recipe.selfdistil, recipe.seed
    order = derived_seed("selfdistil", seed)
    for step in range(start_step, settings.steps):
        batch = [pairs[i] for i in batch_indices(len(pairs), settings.batch, order, step)]
        seeds = [derived_seed("selfdistil", seed, step, place) for place in range(len(batch))]
        samples = _samples(engine, batch, recipe, seeds, talk)
        kl = student.accumulate_divergence(samples, settings.temperature)
        lr = warmed_up(settings.lr, settings.warmup, step + 1)
        yield Step(
            step=step + 1,
            steps=settings.steps,
            kl=kl,
            tokens=sum(len(sample.written) for sample in samples),
            grad_norm=student.step(lr, settings.clip),
            lr=lr,
        )


def mean_divergence(engine: Engine, pairs: Pairs, recipe: Recipe, talk: Talk) -> float:
    """The divergence to the teacher, nats a written token, on what the student writes now to up to
    MEASURED prompts, which are the same each time, and so are the seeds."""
    rng = random.Random(derived_seed("measured", recipe.seed))
    chosen = [pairs[i] for i in sorted(rng.sample(range(len(pairs)), min(MEASURED, len(pairs))))]
    seeds = [derived_seed("measured", recipe.seed, task.instance_id) for task, _ in chosen]
    samples = _samples(engine, chosen, recipe, seeds, talk)
    return engine.student.divergence(samples, recipe.selfdistil.temperature)


def _samples(
    engine: Engine, pairs: Pairs, recipe: Recipe, seeds: Sequence[int], talk: Talk
) -> list[Sample]:
    """One completion of each prompt. One that was cut off, by its limit or because the jail failed
    between two turns, counts as far as it went: no verdict is asked of it."""
    with talk() as conversations:
        groups = engine.sample(
            [prompt for _, prompt in pairs],
            1,
            recipe.selfdistil.temperature,
            recipe.student.max_new,
            seeds,
            turns=conversations.about([task for task, _ in pairs]) if conversations else None,
        )
    return [Sample(tuple(prompt), c.ids, c.mask) for (_, prompt), (c,) in zip(pairs, groups)]
