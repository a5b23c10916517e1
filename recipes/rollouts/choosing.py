"""Which engine samples, and whether it samples the policy that is trained.

    name, why = choose(student, recipe)  # of `engines.ENGINES`, and a sentence for a person
    engine = open_engine(name, student, recipe, folder)
    check_policy(engine, prompts, recipe)  # raises HarnessError where the two differ

`auto` takes the first engine that can sample the student here and fits beside it: llama.cpp samples
faster than the training model, with a second copy of the base.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from recipes.events import OnProgress
from recipes.learning.memory import estimate, gib
from recipes.learning.student import Sample, Student
from recipes.rollouts.engine import Engine
from recipes.rollouts.engine_kind import FALLBACK, EngineKind, engine_kind
from recipes.rollouts.engines import AUTO, ENGINES
from recipes.settings import Recipe
from sandbox.errors import HarnessError, UsageError

MAX_GAP = 0.1
"""Nats a token: largest mean difference between sampler and trainer with which a run begins. A
right export is off by 0.001-0.03 (Q8_0 on top of NF4); queries rotated in the wrong order, a norm
off by one or a forgotten adapter by 0.3 and more."""

PROBE_TOKENS, PROBE_ROWS = 16, 2
"""Length and number of the completions that `policy_gap` samples of a prompt."""


def choose(student: Student, recipe: Recipe) -> tuple[str, str]:
    """The engine by `rollout.engine`, and why. Raises UsageError where the recipe insists on one
    and it cannot be."""
    wanted = recipe.rollout.engine
    if wanted != AUTO:
        kind = engine_kind(wanted)
        _require(kind, student, recipe)
        return wanted, f"Rollouts are sampled by {kind.words}, as the recipe says."
    reasons: list[str] = []
    for name in ENGINES:
        kind = engine_kind(name)
        if why := _obstacle(kind, student, recipe):
            reasons.append(why)
            continue
        need = estimate(student.config, recipe, student.device.type == "cuda", name)
        size = gib(sum(need.engine.held.values()))
        if name == FALLBACK or need.fits(recipe.student.longest, student.planned.free):
            break
        reasons.append(kind.too_large.format(size=size))
    because = (
        f", because {' and '.join(reasons)}" if reasons else f": {kind.fits.format(size=size)}"
    )
    return name, f"Rollouts are sampled by {kind.words}{because}."


def open_engine(
    name: str, student: Student, recipe: Recipe, folder: Path, on_progress: OnProgress | None = None
) -> Engine:
    """The engine; `folder` is where files of bases are kept. Raises UsageError."""
    kind = engine_kind(name)
    _require(kind, student, recipe)  # a run that began with it may go on on another machine
    return kind.open(student, recipe, folder, on_progress)


def policy_gap(engine: Engine, prompts: Sequence[Sequence[int]], temperature: float) -> float:
    """Mean |sampler - trainer| log-probability of sampled tokens, nats a token."""
    groups = engine.sample(prompts, PROBE_ROWS, temperature, PROBE_TOKENS, range(len(prompts)))
    pairs = [
        (Sample(tuple(prompt), completion.ids), completion.logprobs)
        for prompt, group in zip(prompts, groups)
        for completion in group
    ]
    with torch.no_grad():
        trainer_N = torch.cat(
            engine.student.logprobs([sample for sample, _ in pairs], temperature)
        ).cpu()
    sampler_N = torch.tensor([value for _, logprobs in pairs for value in logprobs])
    return float((trainer_N - sampler_N).abs().mean())


def check_policy(engine: Engine, prompts: Sequence[Sequence[int]], recipe: Recipe) -> float:
    """`policy_gap` on the shortest, the middle and the longest prompt. Raises HarnessError where it
    passes MAX_GAP: a run would be trained on what another model wrote."""
    ordered = sorted(prompts, key=len)
    few = [ordered[0], ordered[len(ordered) // 2], ordered[-1]]
    gap = policy_gap(engine, few, recipe.climb.temperature)
    if not gap <= MAX_GAP:
        raise HarnessError(
            f"what samples and what is trained are not the same policy: they differ by {gap:.3f} "
            f"nats a token on three prompts, more than {MAX_GAP}. A run that is started with --set "
            f"rollout.engine={FALLBACK} may go better; please report this."
        )
    return gap


def notes(name: str, student: Student, recipe: Recipe) -> list[str]:
    """What a person should know about the engine, and about episodes with this student. Raises
    UsageError for a chat template that cannot write several turns."""
    found = engine_kind(name).notes(student)
    if recipe.student.turns > 1 and (note := student.tokens.why_not_rendered_anew()):
        found.append(note)
    return found


def _require(kind: EngineKind, student: Student, recipe: Recipe) -> None:
    if why := _obstacle(kind, student, recipe):
        raise UsageError(
            f"Rollouts by {kind.words} are not possible here: {why}. A run that is started with "
            f"--set rollout.engine={FALLBACK} does without them."
        )


def _obstacle(kind: EngineKind, student: Student, recipe: Recipe) -> str:
    """Why the engine cannot sample this student on this machine; empty if it can."""
    if name := kind.missing_package():
        return f"the package {name} is not installed"
    return kind.wrong_build(student.device.type == "cuda") or kind.obstacle(student, recipe)
