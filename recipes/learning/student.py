"""The student: a 4-bit base that never changes, and the LoRA adapter in which everything is
learned.

    student = Student.load(recipe, model_path, seed=0)
    student.accumulate(samples, weights, norm, temperature)  # backward of -(w * logp).sum() / norm
    norm = student.step(lr=1e-4, clip=1.0)
    student.save(folder, {"step": 1}); counters = student.restore(folder)

The base is NF4 (Dettmers et al. 2023, arXiv:2305.14314) and the adapter LoRA (Hu et al. 2021,
arXiv:2106.09685) on every linear layer but the head. `loading.py` loads both, on CUDA through
unsloth. What a student consists of: `policy.py` (the network), `student_tokens.py`, `adapter.py`,
`loss.py`, `optimiser.py`, `limits.py` (when memory runs out).

There is no dropout, and every draw elsewhere comes from a seed that the caller derives, so a
checkpoint holds adapter, optimiser and the caller's counters and no generator state. On the CPU the
same checkpoint, the same calls and the same number of threads give the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipes.learning import memory
from recipes.learning.adapter import Adapter, Tensors
from recipes.learning.limits import MemoryLimits, is_out_of_memory
from recipes.learning.loading import LoadedModel, load_model, read_config
from recipes.learning.logprobs import Sample
from recipes.learning.loss import KlTerm, Objective, Sampled, Stats, Weights
from recipes.learning.memory import MemoryEstimate
from recipes.learning.optimiser import Optimiser
from recipes.learning.policy import Policy
from recipes.learning.student_tokens import StudentTokens
from recipes.learning.unsloth_import import TRANSFORMERS, uses_unsloth
from recipes.runfolder import checkpoint
from recipes.settings import Recipe
from sandbox.errors import UsageError
from sandbox.tasks.styles import FIM


@dataclass(frozen=True)
class Planned:
    """What was known of memory before the student was loaded."""

    need: MemoryEstimate
    free: int
    """Bytes."""
    micro_tokens: int
    """Padded tokens in one forward and backward pass."""


@dataclass(frozen=True)
class Snapshot:
    """Adapter and optimiser as they were, in memory; give it to `Student.rollback`, as often as
    needed."""

    adapter: Tensors
    optimiser: dict[str, Any]


class Student:
    """A 4-bit causal language model with one trainable LoRA adapter. Make one with
    `Student.load`."""

    def __init__(
        self,
        loaded: LoadedModel,
        name: str,
        planned: Planned,
        notes: list[str],
        fills_in: bool = False,
    ) -> None:
        """Used by `load` and by nothing else. `fills_in`: as of `StudentTokens`."""
        self.name = name
        """The base model's name as checkpoints record it: never a path."""
        self.source = loaded.source
        """The model that was read: a path, or a name on the hub."""
        self.planned = planned
        self.notes = notes
        """Sentences that a person should read once; more may come while it learns."""
        self.counters: dict = {}
        """What the last `restore` found beside the adapter."""
        self.tokens = StudentTokens(loaded.tokenizer, loaded.model.get_base_model(), fills_in)
        self.policy = Policy(loaded.model, self.tokens.pad_id, loaded.unsloth)
        self.adapter = Adapter(loaded.model, name)
        self.optimiser = Optimiser(self.policy.trainable, self.policy.device)
        self.limits = MemoryLimits(planned.micro_tokens, self.policy.device, notes)
        notes += self.tokens.notes
        self.objective = Objective(self.policy, self.limits, notes)

    @classmethod
    def load(
        cls, recipe: Recipe, model_path: str | Path, seed: int, checkpoint: Path | None = None
    ) -> "Student":
        """The student of `recipe`, its base from `model_path` (a `save_pretrained` folder or a hub
        id), with a fresh adapter drawn from `seed`, or with adapter, optimiser and `counters` from
        `checkpoint`.

        Prints nothing. Sets torch's threads and deterministic algorithms for the whole process on
        the CPU. Raises UsageError for a model that cannot be found, fetched or used or does not fit
        into memory, for torchvision that does not match torch, for a checkpoint that is missing,
        damaged or of another model.
        """
        cuda = torch.cuda.is_available()
        # First the configuration, and with it unsloth: it says how CUDA is to hand out memory, and
        # asking how much is free begins with that.
        config = read_config(str(model_path), uses_unsloth(recipe.student.loader))
        free = memory.available(cuda)
        need = memory.plan(config, recipe, cuda, free)
        micro_tokens = (
            memory.fitting_micro_tokens(need, free)
            if cuda
            else memory.micro_tokens_on_the_cpu(need)
        )
        notes = [memory.in_words(need, max(micro_tokens, recipe.student.longest), free)]
        try:
            loaded = load_model(recipe, str(model_path), seed)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise UsageError(
                f"The model {str(model_path)!r} does not fit into memory. {notes[0]}"
            ) from None
        if cuda and not loaded.unsloth and recipe.student.loader != TRANSFORMERS:
            notes.append(
                "unsloth is not installed: training goes through plain transformers, slower and "
                "with more memory."
            )
        if loaded.unsloth and not same_model(loaded.source, str(model_path)):
            notes.append(
                f"unsloth took {loaded.source} for {model_path}: the same model, already in 4 bits."
            )
        planned = Planned(need, free, micro_tokens)
        name, fills_in = _portable_name(recipe.student.model), recipe.prompt.style == FIM
        student = cls(loaded, name, planned, notes, fills_in)
        if checkpoint is not None:
            student.restore(checkpoint)
        return student

    # ---- what it is ------------------------------------------------------------------------------

    @property
    def config(self) -> Any:
        """transformers' configuration of the base."""
        return self.policy.config

    @property
    def device(self) -> torch.device:
        """Where the adapter is."""
        return self.policy.device

    @property
    def end_ids(self) -> frozenset[int]:
        """All tokens that end a completion."""
        return self.tokens.end_ids

    # ---- text and tokens: see `StudentTokens` ----------------------------------------------------

    def prompt_ids(self, messages: list[dict]) -> list[int]:
        """Token ids of a chat (`[{"role", "content"}, ...]`), ready for the student's reply; or of
        a prompt to fill in the middle, ready for that."""
        return self.tokens.prompt_ids(messages)

    def answer_ids(self, text: str) -> list[int]:
        """Token ids to append to a completion that has ended, up to where the next reply begins."""
        return self.tokens.answer_ids(text)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by itself."""
        return self.tokens.token_counts(texts)

    def completion_ids(self, text: str) -> list[int]:
        """Token ids of a reply, with the end token."""
        return self.tokens.completion_ids(text)

    def text(self, ids: Sequence[int]) -> str:
        """The text of a completion, without its end token."""
        return self.tokens.text(ids)

    # ---- learning: see `Objective` and `Optimiser` -----------------------------------------------

    def logprobs(self, samples: Sequence[Sample], temperature: float) -> list[torch.Tensor]:
        """Log-probability of each written token, nats: one float32 [T_i] a sample."""
        return self.objective.logprobs(samples, temperature)

    def entropy(self, samples: Sequence[Sample], temperature: float) -> float:
        """Mean entropy over the written tokens, nats a token."""
        return self.objective.entropy(samples, temperature)

    def accumulate(
        self,
        samples: Sequence[Sample],
        weights: Weights,
        norm: float,
        temperature: float,
        sampled: Sampled | None = None,
        kl: KlTerm | None = None,
    ) -> Stats:
        """Add the gradient of `-(w * ratio * logp).sum() / norm`, and of the KL term."""
        return self.objective.accumulate(samples, weights, norm, temperature, sampled, kl)

    def accumulate_divergence(self, samples: Sequence[Sample], temperature: float) -> float:
        """Add the gradient of the mean divergence to the frozen adapter; returns it, nats a written
        token."""
        return self.objective.accumulate_divergence(samples, temperature)

    def divergence(self, samples: Sequence[Sample], temperature: float) -> float:
        """Mean divergence to the frozen adapter, nats a written token."""
        return self.objective.divergence(samples, temperature)

    def step(self, lr: float, clip: float) -> float:
        """One step with the accumulated gradient; returns its norm before clipping to `clip`, which
        is not finite where the step was not taken."""
        return self.optimiser.step(lr, clip)

    def snapshot(self) -> Snapshot:
        """A copy of adapter and optimiser."""
        tensors = {key: value.detach().clone() for key, value in self.adapter.tensors().items()}
        return Snapshot(tensors, self.optimiser.state())

    def rollback(self, snapshot: Snapshot) -> None:
        """Adapter and optimiser as they were at `snapshot`, bit for bit; an accumulated gradient is
        cleared."""
        self.adapter.load(snapshot.adapter)
        self.optimiser.load(snapshot.optimiser)

    def freeze_reference(self, folder: Path) -> None:
        """Hold the adapter of checkpoint `folder` beside the trained one, frozen, for the KL term.
        Raises UsageError."""
        self.adapter.freeze_reference(Path(folder))

    # ---- checkpoints -----------------------------------------------------------------------------

    def save(self, folder: Path, counters: dict) -> None:
        """Write checkpoint `folder` whole or not at all: aside, flushed to the disk, then renamed.

        Holds the adapter as PEFT writes it (`PeftModel.from_pretrained` loads it), the optimiser,
        and `counters` (plain JSON data; beside them the limits that it found, if memory ran out)
        with the digest of the other files. An older checkpoint of the same name stays until the new
        one is complete. Same adapter, same bytes. Raises OSError when the disk is full; what was
        there before is then untouched.
        """

        def fill(aside: Path) -> None:
            self.adapter.write(aside)
            self.optimiser.write(aside)

        checkpoint.write(Path(folder), fill, {**counters, **self.limits.counters()})

    def restore(self, folder: Path) -> dict:
        """Adapter, optimiser and counters of checkpoint `folder`; returns the counters.

        Raises UsageError when it is missing, damaged, written by another version, or made for
        another model or rank.
        """
        folder = Path(folder)
        content = checkpoint.read(folder)
        tensors = self.adapter.read(folder)
        self.optimiser.read(folder)
        self.adapter.load(tensors)
        self.optimiser.clear()
        self.counters = content["counters"]
        self.limits.take(self.counters)
        return self.counters


def same_model(one: str, other: str) -> bool:
    """Whether both name one folder, or one model on the hub."""
    return one == other or Path(one).is_dir() and Path(one).resolve() == Path(other).resolve()


def _portable_name(model: str) -> str:
    """The model's name without what belongs to this machine: a folder's last component, a GGUF
    file's name without its ending, a hub id as it is."""
    path = Path(model).expanduser()
    if path.suffix == ".gguf":
        return path.stem
    return (
        path.resolve().name
        if path.is_absolute() or path.is_dir() or model.startswith((".", "~"))
        else model
    )
