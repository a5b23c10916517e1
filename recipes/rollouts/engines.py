"""Which engine samples, and whether it samples the policy that is trained.

    name, why = choose(student, recipe)  # "llama.cpp" or "model", and a sentence for a person
    engine = open_engine(name, student, recipe, folder)
    check_policy(engine, prompts, recipe)  # raises HarnessError where the two differ

llama.cpp samples faster, with a second copy of the base; so `auto` takes it where copy and cache
fit beside the student at work (`memory.plan`, before the student was loaded), and where the model
can be exported at all.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from recipes.learning.memory import estimate, gib, missing_package
from recipes.learning.student import Sample
from recipes.rollouts.gguf import export_base, objection, vocabulary_note
from recipes.rollouts.model_engine import ModelEngine
from recipes.rollouts.rollout import Engine
from recipes.settings import Recipe
from sandbox.errors import HarnessError, UsageError

MAX_GAP = 0.1
"""Nats a token: largest mean difference between sampler and trainer with which a run begins. A
right export is off by 0.001-0.03 (Q8_0 on top of NF4); queries rotated in the wrong order, a norm
off by one or a forgotten adapter by 0.3 and more."""

PROBE_TOKENS, PROBE_ROWS = 16, 2
"""Length and number of the completions that `policy_gap` samples of a prompt."""


def choose(student, recipe: Recipe) -> tuple[str, str]:
    """The engine by `rollout.engine`, and why. Raises UsageError where the recipe insists on
    llama.cpp and it cannot be."""
    wanted = recipe.rollout.engine
    if wanted == "model":
        return "model", "Rollouts are sampled by the training model itself, as the recipe says."
    why = _obstacle(student, recipe)
    if wanted == "llama.cpp":
        _require(why)
    if wanted == "auto":
        why = why or ("" if student.need.copy else _too_large(student, recipe))
    if why:
        return "model", f"Rollouts are sampled by the training model itself, because {why}."
    return "llama.cpp", "Rollouts are sampled by llama.cpp" + (
        ", as the recipe says."
        if wanted == "llama.cpp"
        else f": its copy of the student, {gib(student.need.copy + student.need.copy_cache)} with "
        "its cache, fits beside it."
    )


def open_engine(
    name: str,
    student,
    recipe: Recipe,
    folder: Path,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Engine:
    """The engine; `folder` is where GGUF files are kept. Raises UsageError."""
    if name == "model":
        return ModelEngine(student)
    _require(_obstacle(student, recipe))  # a run that began with it may go on on another machine
    from recipes.rollouts.llama_engine import (
        LlamaEngine,
        fastest_matrices,
    )  # not before it is chosen: it loads a library of C++

    base = export_base(student, folder, on_progress, fastest_matrices(student.device.type))
    return LlamaEngine(student, base, recipe.student.longest, recipe.student.threads)


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
            "nats a token on three "
            f"prompts, more than {MAX_GAP}. A run that is started with --set rollout.engine=model "
            "may go better; "
            "please report this."
        )
    return gap


def notes(name: str, student) -> list[str]:
    """What a person should know about the engine."""
    return [note] if name == "llama.cpp" and (note := vocabulary_note(student)) else []


def _require(obstacle: str) -> None:
    if obstacle:
        raise UsageError(
            f"Rollouts by llama.cpp are not possible here: {obstacle}. A run that is started with "
            "--set rollout.engine=model does without them."
        )


def _obstacle(student, recipe: Recipe) -> str:
    """Why llama.cpp cannot sample this student on this machine; empty if it can."""
    if name := missing_package():
        return f"the package {name} is not installed"
    if why := objection(student, recipe.student.longest):
        return why
    if student.device.type == "cuda":
        from llama_cpp import llama_cpp

        if not llama_cpp.llama_supports_gpu_offload():
            return "llama-cpp-python was built without CUDA"
    return ""


def _too_large(student, recipe: Recipe) -> str:
    need = estimate(student.config, recipe, student.device.type == "cuda", copy=True)
    return (
        f"a copy for llama.cpp and its cache would take {gib(need.copy + need.copy_cache)}, "
        "more than fits beside the student"
    )
