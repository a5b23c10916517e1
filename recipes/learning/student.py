"""The student: a 4-bit base that never changes, and the LoRA adapter in which everything is
learned.

    student = Student.load(recipe, model_path, seed=0)
    student.accumulate(samples, weights, norm, temperature)  # backward of -(w * logp).sum() / norm
    norm = student.step(lr=1e-4, clip=1.0)
    student.save(folder, {"step": 1}); counters = student.restore(folder)

The base is NF4 (Dettmers et al. 2023, arXiv:2305.14314) and the adapter LoRA (Hu et al. 2021,
arXiv:2106.09685) on every linear layer but the head. `recipes/learning/loading.py` loads both, on
CUDA through unsloth. Nothing else here differs between machines, except `Student.forward`, which
says why.

One loss serves distillation and REINFORCE, so there is one `accumulate`. How the log-probabilities
come about, a prompt read once for all its completions, is in `recipes/learning/logprobs.py`.

There is no dropout, and every draw elsewhere comes from a seed that the caller derives, so a
checkpoint holds adapter, optimiser and the caller's counters and no generator state. On the CPU the
same checkpoint, the same calls and the same number of threads give the same bytes.
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from recipes.learning import memory
from recipes.learning.loading import end_tokens, first_line, load_model, make_optimiser, read_config
from recipes.learning.logprobs import (
    Sample,
    flat_logprobs,
    head_rows,
    longest_shared,
    micro_batches,
    passes,
    plain_hidden,
)
from recipes.runfolder import checkpoint
from recipes.runfolder.checkpoint import ADAPTER, CONFIG, OPTIMISER
from recipes.settings import Recipe
from sandbox.errors import UsageError
from sandbox.jsonl import valid

MICRO_TOKENS, SAMPLING_TOKENS = "micro_tokens", "sampling_tokens"
"""The counters by which a checkpoint remembers that memory ran out, and with how much less it is
not known to."""

TOO_LITTLE_MEMORY = (
    "Memory does not suffice for even one completion and its prompt. Choose a recipe for a smaller "
    "card, lower student.max_prompt, or "
    "close other programs that use the card."
)

PLAIN_TEMPLATE_NOTE = (
    "This model has no chat template, so it is given the messages one after the other with a blank "
    "line between them and "
    "nothing else."
)


@dataclass(frozen=True)
class Stats:
    """What one `accumulate` saw."""

    loss: float
    """The number that was differentiated: already divided by `norm`."""
    drift: float
    """Mean |trainer - sampler| log-probability, nats a token; 0.0 when there was no sampler."""
    tokens: int
    """Completion tokens."""


@dataclass(frozen=True)
class Snapshot:
    """Adapter and optimiser as they were, in memory; give it to `Student.rollback`, as often as
    needed."""

    adapter: dict
    optimiser: dict


class Student:
    """A 4-bit causal language model with one trainable LoRA adapter. Make one with `Student.load`."""

    def __init__(
        self,
        model,
        tokenizer,
        name: str,
        unsloth: bool,
        need: memory.Need,
        micro_tokens: int,
        notes: list[str],
    ):
        """`model` is a PEFT model whose adapter `default` is trainable. Used by `load` and by
        nothing else."""
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        """The base model's name as checkpoints record it: never a path."""
        self.notes = notes
        """Sentences that a person should read once; more may come while it learns."""
        self.counters: dict = {}
        """What the last `restore` found beside the adapter."""
        self.on_unsloth = unsloth
        """Whether unsloth loaded it, which wants its own switches."""
        self.need = need
        """The memory that was planned with."""
        self._training: bool | None = None
        self._causal = model.get_base_model()
        self._decoder = self._causal.base_model
        self.head = self._causal.get_output_embeddings()
        """The frozen layer that `logits` applies."""
        self.config = self._causal.config
        self.vocabulary: int = self.head.weight.shape[0]
        """Rows of the head."""
        self.trainable = [p for p in model.parameters() if p.requires_grad]
        """The adapter's parameters."""
        self.device = self.trainable[0].device
        """Where the adapter is; unsloth may keep the embedding elsewhere."""
        self._optimiser = make_optimiser(self.trainable, self.device)
        if tokenizer.chat_template is None:
            notes.append(PLAIN_TEMPLATE_NOTE)
        self.end_id, self.end_ids = end_tokens(tokenizer, self._causal)
        self.pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_id
        self.micro_tokens = self._planned_micro_tokens = micro_tokens
        """Padded tokens in one forward and backward pass; a single sample may have more. Halved
        when memory runs out."""
        self.sampling_tokens: int | None = None
        """The most padded tokens, prompts and completions together, of a batch that the training
        model samples; None: what its engine's own limits allow. Set when memory runs out."""
        self.longest_shared, why_not = longest_shared(self)
        """The longest prompt and completion, in tokens, of samples that share the work on their
        prompt; 0: none do."""
        if why_not:
            notes.append(
                "The completions of a task do not share the work on their prompt, because this "
                f"model cannot ({why_not}): an "
                "update takes several times as long as it might."
            )

    # ---- loading ---------------------------------------------------------------------------------

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
        free = memory.available(cuda)
        need = memory.plan(read_config(str(model_path)), recipe, cuda, free)
        # On the CPU it never depends on what else runs: same seed, same bytes.
        micro_tokens = memory.fitting_micro_tokens(need, free) if cuda else memory.MICRO_TOKENS
        longest = max(micro_tokens, recipe.student.longest)
        notes = [memory.in_words(need, longest, free)]
        try:
            model, tokenizer, unsloth = load_model(recipe, str(model_path), seed)
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
            raise UsageError(
                f"The model {str(model_path)!r} does not fit into memory. {notes[0]}"
            ) from None
        if cuda and not unsloth:
            notes.append(
                "unsloth is not installed: training goes through plain transformers, slower and "
                "with more memory."
            )
        student = cls(
            model,
            tokenizer,
            _portable_name(recipe.student.model),
            unsloth,
            need,
            micro_tokens,
            notes,
        )
        if checkpoint is not None:
            student.restore(checkpoint)
        return student

    # ---- text and tokens -------------------------------------------------------------------------

    def prompt_ids(self, messages: list[dict]) -> list[int]:
        """Token ids of a chat (`[{"role", "content"}, ...]`), ready for the student's reply."""
        if self.tokenizer.chat_template is not None:
            text = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
            return self._ids(text)
        text = "\n\n".join(message["content"] for message in messages)
        start = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        return start + self._ids(text)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by itself."""
        return list(map(len, self._ids(list(texts)))) if texts else []

    def completion_ids(self, text: str) -> list[int]:
        """Token ids of a reply, with the end token."""
        return self._ids(text) + [self.end_id]

    def _ids(self, text: str | Sequence[str]) -> list:
        """Token ids of a text, or of each of several, in which special tokens are written out."""
        return self.tokenizer(valid(text), add_special_tokens=False).input_ids

    def text(self, ids: Sequence[int]) -> str:
        """The text of a completion, without its end token."""
        ids = list(ids)
        if ids and ids[-1] in self.end_ids:
            ids.pop()
        return self.tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )

    # ---- forward ---------------------------------------------------------------------------------

    def mode(self, training: bool) -> None:
        """Training mode (gradient checkpointing on CUDA) or inference mode. Cheap when nothing
        changes."""
        if training == self._training:
            return
        self._training = training
        if self.on_unsloth:
            from unsloth import FastLanguageModel

            (FastLanguageModel.for_training if training else FastLanguageModel.for_inference)(
                self.model
            )
        else:
            self.model.train(training)

    def forward(self, tokens_BT, mask_BS=None, positions_BT=None, cache=None, filled: bool = False):
        """Hidden states of the last layer, [B, T, hidden], and the key/value cache (None unless one
        is asked for).

        `mask_BS` is 1 for real tokens, over the cached ones and the new ones; without it every row
        must begin with real tokens, and what follows them is padding that causality keeps from
        mattering. [B, 1, T, S] says for each token what it sees. `cache` is a transformers cache to
        fill, or what an earlier call returned with `filled=True`; `True` asks for whichever kind
        the model makes.

        unsloth's decoder needs the causal mask that its language-model class hands down, so tokens
        go in from the top (UNSLOTH_RETURN_HIDDEN_STATES makes that return hidden states). Decoding
        goes to the decoder itself: from the top, unsloth keeps a cache of its own that cannot drop
        finished rows.
        """
        asked = cache is not None
        given = None if cache is True else cache
        from_top = self.on_unsloth and not filled
        with self._autocast():
            out = (self.model if from_top else self._decoder)(
                input_ids=tokens_BT,
                attention_mask=mask_BS,
                position_ids=positions_BT,
                past_key_values=given,
                use_cache=asked,
                return_dict=True,
            )
        return (out.logits if from_top else out.last_hidden_state), (
            out.past_key_values if asked else None
        )

    def logits(self, hidden_NH, tokens: slice = slice(None)) -> torch.Tensor:
        """The head: [N, hidden] -> [N, vocabulary], or the logits of `tokens` alone, float32."""
        weight, bias = (
            self.head.weight[tokens],
            None if self.head.bias is None else self.head.bias[tokens],
        )
        with self._autocast():
            return F.linear(hidden_NH.to(weight.dtype), weight, bias).float()

    def logprobs(self, samples: Sequence[Sample], temperature: float) -> list[torch.Tensor]:
        """Log-probability of each completion token, nats, under logits / temperature: one float32
        [T_i] a sample.

        Keeps the graph when gradients are enabled. Raises ValueError for an empty prompt or
        completion or temperature <= 0.
        """

        def work():
            out: list = [None] * len(samples)
            for indices in micro_batches(samples, self.micro_tokens):
                flat_N = flat_logprobs(
                    self, [samples[i] for i in indices], temperature, torch.is_grad_enabled()
                )
                for i, part_T in zip(
                    indices, flat_N.split([len(samples[i].completion) for i in indices])
                ):
                    out[i] = part_T
            return out

        return self._fitting(work)

    @torch.no_grad()
    def entropy(self, samples: Sequence[Sample], temperature: float) -> float:
        """Mean entropy of the next-token distribution over the completions' positions, nats a
        token.

        Looks only at the first micro-batch, for it is a check and not a measurement.
        """

        def work():
            first = next(micro_batches(samples, self.micro_tokens))
            hidden_NH = plain_hidden(self, [samples[i] for i in first], training=False)
            sums = [
                torch.distributions.Categorical(
                    logits=self.logits(part_NH) / temperature, validate_args=False
                )
                .entropy()
                .sum()
                for part_NH in hidden_NH.split(head_rows(self))
            ]
            return float(torch.stack(sums).sum() / hidden_NH.shape[0])

        return self._fitting(work)

    # ---- learning --------------------------------------------------------------------------------

    def accumulate(
        self,
        samples: Sequence[Sample],
        weights: Sequence[float],
        norm: float,
        temperature: float,
        sampler_logprobs: Sequence[Sequence[float]] | None = None,
        max_ratio: float | None = None,
        kl: float = 0.0,
        counts: Sequence[int] | None = None,
    ) -> Stats:
        """Add the gradient of `-(w * ratio * logp).sum() / norm + kl * (count * k3).sum() / norm`,
        sums over all tokens.

        `weights` is one w a sample: 1 distils, an advantage reinforces. `temperature` divides the
        logits, so the policy that was sampled is the one that is updated. `ratio` is p_trainer /
        p_sampler of the token, detached and truncated at `max_ratio` (truncated importance
        sampling, Ionides 2008; 1 without `sampler_logprobs`). `k3` is Schulman's estimator of the
        divergence to the adapter given to `freeze_reference`: exp(d) - d - 1 with d =
        logp_reference - logp (joschu.net/blog/kl-approx.html). `counts` says how many identical
        rollouts a sample stands for (default 1); the weight of such a sample is already the sum of
        theirs.

        Where memory runs out the micro-batch is halved, for good, and all of it is done again from
        the gradient that was there before, so nothing is lost. Raises ValueError for kl > 0 with no
        reference, UsageError when memory does not suffice for one sample.
        """
        if kl and "reference" not in self.model.peft_config:
            raise ValueError("the KL term needs freeze_reference() first")

        def work():
            loss = moved = 0.0
            tokens = 0
            for indices, logp_N, reference_N in passes(self, samples, temperature, kl > 0):
                lengths = torch.tensor(
                    [len(samples[i].completion) for i in indices], device=self.device
                )
                weight_N = self._spread([weights[i] for i in indices], lengths)
                if sampler_logprobs is not None:
                    sampled = [value for i in indices for value in sampler_logprobs[i]]
                    shift_N = logp_N.detach() - torch.tensor(
                        sampled, dtype=torch.float32, device=self.device
                    )
                    moved += float(shift_N.abs().sum())
                    if max_ratio is not None:
                        weight_N = weight_N * shift_N.exp().clamp(max=max_ratio)
                total = -(weight_N * logp_N).sum()
                if kl:
                    count_N = self._spread(
                        [1 if counts is None else counts[i] for i in indices], lengths
                    )
                    d_N = reference_N - logp_N
                    total = total + kl * (count_N * (d_N.exp() - d_N - 1)).sum()
                (total / norm).backward()
                loss += float(total.detach()) / norm
                tokens += len(logp_N)
            return Stats(loss=loss, drift=moved / max(tokens, 1), tokens=tokens)

        return self._fitting(work)

    def step(self, lr: float, clip: float) -> float:
        """One AdamW step (Loshchilov & Hutter 2019) with the accumulated gradient; returns its norm
        before clipping to `clip`.

        A norm that is not finite means that the step was *not* taken. The gradient is cleared
        either way.
        """
        norm = float(torch.nn.utils.clip_grad_norm_(self.trainable, clip))
        if norm == norm and norm != float("inf"):
            for group in self._optimiser.param_groups:
                group["lr"] = lr
            self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return norm

    def snapshot(self) -> Snapshot:
        """A copy of adapter and optimiser."""
        return Snapshot(
            adapter=_cloned(self._adapter()), optimiser=_cloned(self._optimiser.state_dict())
        )

    def rollback(self, snapshot: Snapshot) -> None:
        """Adapter and optimiser as they were at `snapshot`, bit for bit; an accumulated gradient is
        cleared."""
        self._copy_into_adapter(snapshot.adapter)
        # A copy again, because the optimiser would go on to write into the tensors that it is
        # given.
        self._optimiser.load_state_dict(_cloned(snapshot.optimiser))
        self._optimiser.zero_grad(set_to_none=True)

    def freeze_reference(self, folder: Path) -> None:
        """Hold the adapter of checkpoint `folder` beside the trained one, frozen, for the KL term.
        Raises UsageError."""
        checkpoint.read(Path(folder))
        tensors = _read_adapter(Path(folder))
        self._check_fits(tensors, folder)
        if "reference" not in self.model.peft_config:
            self.model.add_adapter("reference", deepcopy(self.model.peft_config["default"]))
            self._activate("default")
        self._copy_into_adapter(tensors, "reference")

    @contextlib.contextmanager
    def as_reference(self):
        """The policy is the frozen adapter's for a while, without gradients."""
        self._activate("reference")
        try:
            with torch.no_grad():
                yield
        finally:
            self._activate("default")

    # ---- memory ----------------------------------------------------------------------------------

    def sampling(self, work: Callable, rows: int, tokens: int):
        """What `work()` returns: a batch of `rows` completions, `tokens` padded ones with their
        prompts. None where memory ran out; then `sampling_tokens` is half of `tokens`, and the
        caller is to come with less. Raises UsageError when memory does not suffice for one.
        """
        try:
            return work()
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
        # Only here, because the error holds on to everything that the batch had made.
        if rows == 1:
            raise UsageError(TOO_LITTLE_MEMORY)
        self.sampling_tokens = tokens // 2
        self._say_halved(f"sampled {rows // 2} at a time where they are as long as these")
        return None

    def _halve_micro_batch(self) -> None:
        if self.micro_tokens <= memory.LEAST_MICRO_TOKENS:
            raise UsageError(TOO_LITTLE_MEMORY)
        self.micro_tokens //= 2
        self._say_halved(f"computed {self.micro_tokens} tokens at a time")

    def _say_halved(self, how: str) -> None:
        self.notes.append(
            f"Memory ran out. The same rollouts are now {how}; nothing is lost, and the run will "
            "keep to this."
        )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

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
            save_file(
                {k: v.contiguous().cpu() for k, v in self._adapter().items()},
                aside / ADAPTER,
                metadata={"format": "pt"},
            )
            (aside / CONFIG).write_text(self._adapter_config(), encoding="utf-8")
            torch.save(self._optimiser.state_dict(), aside / OPTIMISER)

        smaller = (
            {}
            if self.micro_tokens == self._planned_micro_tokens
            else {MICRO_TOKENS: self.micro_tokens}
        )
        if self.sampling_tokens is not None:
            smaller[SAMPLING_TOKENS] = self.sampling_tokens
        checkpoint.write(Path(folder), fill, {**counters, **smaller})

    def restore(self, folder: Path) -> dict:
        """Adapter, optimiser and counters of checkpoint `folder`; returns the counters.

        Raises UsageError when it is missing, damaged, written by another version, or made for
        another model or rank.
        """
        folder = Path(folder)
        content = checkpoint.read(folder)
        tensors = _read_adapter(folder)
        self._check_fits(tensors, folder)
        try:
            state = torch.load(folder / OPTIMISER, map_location="cpu", weights_only=True)
            self._optimiser.load_state_dict(state)
        except Exception as error:  # torch.load has no class of its own for what it cannot read
            raise UsageError(
                f"The optimiser in checkpoint {folder} cannot be used ({first_line(error)}). "
                "Use another checkpoint."
            ) from None
        self._copy_into_adapter(tensors)
        self._optimiser.zero_grad(set_to_none=True)
        self.counters = content["counters"]
        self.micro_tokens = min(
            self.micro_tokens, self.counters.pop(MICRO_TOKENS, self.micro_tokens)
        )
        limits = {self.sampling_tokens, self.counters.pop(SAMPLING_TOKENS, None)} - {None}
        self.sampling_tokens = min(limits, default=None)
        return self.counters

    def adapter(self) -> dict[str, torch.Tensor]:
        """The trained adapter's tensors under PEFT's file names; they share memory with the model."""
        return self._adapter()

    # ---- inside ----------------------------------------------------------------------------------

    def _fitting(self, work: Callable):
        """What `work()` returns. Where memory runs out it is called again, with micro-batches of
        half the size and the gradient as it was."""
        before = [
            parameter.grad if parameter.grad is None else parameter.grad.clone()
            for parameter in self.trainable
        ]
        while True:
            try:
                return work()
            except Exception as error:
                if not memory.is_out_of_memory(error):
                    raise
            # Only here, because the error holds on to everything that the failed pass had made.
            for parameter, grad in zip(self.trainable, before):
                parameter.grad = grad if grad is None else grad.clone()
            self._halve_micro_batch()

    def _autocast(self):
        """The adapter is float32 and the base computes in bfloat16 on CUDA; on the CPU all is
        float32."""
        return (
            torch.autocast("cuda", dtype=torch.bfloat16)
            if self.device.type == "cuda"
            else contextlib.nullcontext()
        )

    def _spread(self, values, lengths) -> torch.Tensor:
        """One value a sample -> one a token."""
        return torch.tensor(values, dtype=torch.float32, device=self.device).repeat_interleave(
            lengths
        )

    def _activate(self, adapter: str) -> None:
        """Use one adapter. PEFT lets the active one alone be trained, so `default` must be made
        active again."""
        self.model.set_adapter(adapter)

    def _adapter(self, name: str = "default") -> dict:
        """The adapter's tensors under PEFT's file names; they share memory with the model."""
        from peft import get_peft_model_state_dict

        return get_peft_model_state_dict(self.model, adapter_name=name, save_embedding_layers=False)

    @torch.no_grad()
    def _copy_into_adapter(self, tensors: dict, name: str = "default") -> None:
        # In place, so that the optimiser goes on holding the same parameters.
        for key, parameter in self._adapter(name).items():
            parameter.copy_(tensors[key])

    def _check_fits(self, tensors: dict, folder: Path) -> None:
        ours = {key: value.shape for key, value in self._adapter().items()}
        if {key: value.shape for key, value in tensors.items()} != ours:
            raise UsageError(
                f"Checkpoint {folder} was made for another model or another student.lora_rank than "
                "this recipe's."
            )

    def _adapter_config(self) -> str:
        """PEFT's adapter_config.json, the same bytes in every run and on every machine."""
        config = self.model.peft_config["default"].to_dict()
        config.update(inference_mode=True, base_model_name_or_path=self.name)
        for key, value in config.items():
            if isinstance(
                value, (set, frozenset)
            ):  # a set's order changes with the process's hash seed
                config[key] = sorted(value)
        return json.dumps(config, indent=2, sort_keys=True, default=str) + "\n"


def _portable_name(model: str) -> str:
    """The model's name without what belongs to this machine: a folder's last component, a hub id as
    it is."""
    path = Path(model).expanduser()
    return (
        path.resolve().name
        if path.is_absolute() or path.is_dir() or model.startswith((".", "~"))
        else model
    )


def _read_adapter(folder: Path) -> dict:
    """The tensors of a checkpoint whose digests were right. Raises UsageError."""
    try:
        return load_file(folder / ADAPTER)
    except (SafetensorError, OSError) as error:
        raise UsageError(
            f"Checkpoint {folder} is damaged ({ADAPTER}: {first_line(error)})."
        ) from None


def _cloned(tree):
    """A deep copy of nested dicts and lists with the tensors copied on their device."""
    if isinstance(tree, torch.Tensor):
        return tree.detach().clone()
    if isinstance(tree, dict):
        return {key: _cloned(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_cloned(value) for value in tree)
    return tree
