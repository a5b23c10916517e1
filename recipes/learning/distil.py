"""Distillation: fine-tune the student on trajectories that somebody else wrote and the tests
verified.

    for step in distil(student, examples, recipe.distil, seed=0):
        ...  # step.loss, step.grad_norm; save every save_every steps

The loss is the one that REINFORCE uses, with weight 1: `-(sum of log-probabilities) / norm`. Here
norm is the number of tokens in the batch that the author wrote (`Sample.mask`: in an episode, not
what was said to him). Every token then counts alike, long completions included (no per-completion
mean, which would favour short ones), and the logged loss is nats a token, comparable between
batches and with the pretraining's.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from recipes.learning.measure import derived_seed
from recipes.learning.student import Sample, Student
from recipes.settings import DistilSettings, StudentSettings


@dataclass(frozen=True)
class Step:
    """One optimiser step, taken."""

    step: int
    """Steps taken so far, this one included; what `start_step` takes to go on from here."""
    steps: int
    """Steps in all."""
    loss: float
    """Nats a written token, before the step."""
    grad_norm: float
    """Before clipping; not finite if the step was skipped for it."""
    lr: float
    """Learning rate of this step."""


def distil(
    student: Student,
    examples: Sequence[Sample],
    settings: DistilSettings,
    seed: int,
    start_step: int = 0,
) -> Iterator[Step]:
    """Take the steps from `start_step` to the last (`planned_steps`), one at each `next`.

    The examples of a step depend on (examples, batch, seed, step) alone, so a run that was killed
    and goes on from a checkpoint of step s with `start_step=s` ends in the same adapter. Raises
    ValueError without examples.
    """
    if not examples:
        raise ValueError("distil() needs at least one example")
    settings = replace(settings, steps=planned_steps(len(examples), settings))
    for step in range(start_step, settings.steps):
        batch = [examples[i] for i in batch_indices(len(examples), settings.batch, seed, step)]
        tokens = sum(len(sample.written) for sample in batch)
        stats = student.accumulate(batch, weights=[1.0] * len(batch), norm=tokens, temperature=1.0)
        lr = learning_rate(settings, step)
        grad_norm = student.step(lr, settings.clip)
        yield Step(step=step + 1, steps=settings.steps, loss=stats.loss, grad_norm=grad_norm, lr=lr)


def example_of(
    student: Student, messages: list[dict], last_turn_only: bool, settings: StudentSettings
) -> Sample | None:
    """What is learned of a conversation, which ends with a reply: all replies, or the last one.
    None where a reply is longer than a turn may be, or all together than an episode."""
    begins = next(i for i, message in enumerate(messages) if message["role"] == "assistant")
    ids: list[int] = []
    mask: list[bool] = []
    for i, message in enumerate(messages[begins:], begins):
        is_reply = message["role"] == "assistant"
        text = message["content"]
        part = student.completion_ids(text) if is_reply else student.answer_ids(text)
        if is_reply and len(part) > settings.max_new:
            return None
        ids += part
        mask += [is_reply and (not last_turn_only or i == len(messages) - 1)] * len(part)
    if len(ids) > settings.episode:
        return None
    prompt = tuple(student.prompt_ids(messages[:begins]))
    return Sample(prompt, tuple(ids), None if all(mask) else tuple(mask))


def planned_steps(count: int, settings: DistilSettings) -> int:
    """Steps that `count` examples are to have."""
    if not settings.epochs:
        return settings.steps
    return min(settings.steps, math.ceil(settings.epochs * count / settings.batch))


def batch_indices(count: int, batch: int, seed: int, step: int) -> list[int]:
    """Which of `count` examples step `step` (from 0) sees: a window of the epochs laid end to end,
    each shuffled by its own seed. A batch may reach over the end of an epoch, and over several when
    it is larger than one."""
    return [
        _epoch(count, seed, position // count)[position % count]
        for position in range(step * batch, (step + 1) * batch)
    ]


def _epoch(count: int, seed: int, epoch: int) -> list[int]:
    order = list(range(count))
    random.Random(derived_seed("distil", seed, epoch)).shuffle(order)
    return order


def learning_rate(settings: DistilSettings, step: int) -> float:
    """Linear up to `lr` over `warmup` steps, then linear down to `final_lr * lr` at the last step.
    `step` counts from 0."""
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    fallen = (step - settings.warmup + 1) / max(1, settings.steps - settings.warmup)
    return settings.lr * (1 - (1 - settings.final_lr) * min(1.0, fallen))
