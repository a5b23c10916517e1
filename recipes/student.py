"""The student: a 4-bit base that never changes, and the LoRA adapter in which everything is learned.

    student = Student.load(recipe, model_path, seed=0)
    student.accumulate(samples, weights, norm, temperature)     # backward of -(w * logp).sum() / norm
    norm = student.step(lr=1e-4, clip=1.0)
    student.save(folder, {"step": 1}); counters = student.restore(folder)

The base is NF4 (Dettmers et al. 2023, arXiv:2305.14314) and the adapter LoRA (Hu et al. 2021, arXiv:2106.09685) on every
linear layer but the head. On CUDA unsloth loads both; elsewhere transformers, bitsandbytes and PEFT do. Nothing else here
differs between the two, except `Student.forward`, which says why.

One loss serves distillation and REINFORCE, so there is one `accumulate`. The logits of a whole batch are never held: the
decoder gives hidden states, and the head is applied to the completion positions alone, some at a time, and once more in the
backward pass.

There is no dropout, and every draw elsewhere comes from a seed that the caller derives, so a checkpoint holds adapter,
optimiser and the caller's counters and no generator state. On the CPU the same checkpoint, the same calls and the same
number of threads give the same bytes.
"""
import contextlib
import importlib.util
import io
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.utils.checkpoint import checkpoint as recompute

from recipes import Recipe, checkpoint
from recipes.checkpoint import ADAPTER, CONFIG, OPTIMISER
from sandbox.errors import UsageError

MICRO_TOKENS = 4096
"""Padded tokens in one forward and backward pass. With gradient checkpointing the activations of a 1.5B model then stay under
1 GB; on the CPU of a 1M model it is enough that a larger batch is no faster."""

HEAD_LOGITS = 1 << 24
"""Logits held at once: 64 MiB as float32, that is 110 positions of a 152k vocabulary."""

PLAIN_TEMPLATE_NOTE = (
    "This model has no chat template, so it is given the messages one after the other with a blank line between them and "
    "nothing else.")


@dataclass(frozen=True)
class Sample:
    """Token ids of one prompt and one completion; both have at least one token."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]


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
    """Adapter and optimiser as they were, in memory; give it to `Student.rollback`, as often as needed."""

    adapter: dict
    optimiser: dict


class Student:
    """A 4-bit causal language model with one trainable LoRA adapter. Make one with `Student.load`."""

    def __init__(self, model, tokenizer, recipe: Recipe, name: str, unsloth: bool, notes: list[str]):
        """`model` is a PEFT model whose adapter `default` is trainable. Used by `load` and by nothing else."""
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        """The base model's name as checkpoints record it: never a path."""
        self.notes = notes
        """Sentences that a person should read once."""
        self.counters: dict = {}
        """What the last `restore` found beside the adapter."""
        self._unsloth = unsloth
        self._training: bool | None = None
        self._causal = model.get_base_model()
        self._decoder = self._causal.base_model
        self._head = self._causal.get_output_embeddings()
        self._trainable = [p for p in model.parameters() if p.requires_grad]
        self.device = self._trainable[0].device
        """Where the adapter is; unsloth may keep the embedding elsewhere."""
        self._optimiser = _make_optimiser(self._trainable, self.device)
        if tokenizer.chat_template is None:
            notes.append(PLAIN_TEMPLATE_NOTE)
        self.end_id, self.end_ids = _end_tokens(tokenizer, self._causal)
        self.pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_id

    # ---- loading -----------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, recipe: Recipe, model_path: str | Path, seed: int, checkpoint: Path | None = None) -> "Student":
        """The student of `recipe`, its base from `model_path` (a `save_pretrained` folder or a hub id), with a fresh adapter
        drawn from `seed`, or with adapter, optimiser and `counters` from `checkpoint`.

        Prints nothing. Sets torch's threads and deterministic algorithms for the whole process on the CPU. Raises UsageError
        for a model that cannot be found, fetched or used, for torchvision that does not match torch, for a checkpoint that is
        missing, damaged or of another model.
        """
        if not torch.cuda.is_available():
            _make_cpu_deterministic(recipe.student.threads)
        unsloth = torch.cuda.is_available() and importlib.util.find_spec("unsloth") is not None
        notes = []
        if torch.cuda.is_available() and not unsloth:
            notes.append("unsloth is not installed: training goes through plain transformers, slower and with more memory.")
        with _quiet(), _loading_errors(model_path):
            loader = _load_with_unsloth if unsloth else _load_with_transformers
            model, tokenizer = loader(recipe, str(model_path), seed)
            _refuse_altered_logits(model.get_base_model().config, model_path)
            student = cls(model, tokenizer, recipe, _portable_name(recipe.student.model), unsloth, notes)
        if checkpoint is not None:
            student.restore(checkpoint)
        return student

    # ---- text and tokens ---------------------------------------------------------------------------------------------

    def prompt_ids(self, messages: list[dict]) -> list[int]:
        """Token ids of a chat (`[{"role", "content"}, ...]`), ready for the student's reply."""
        if self.tokenizer.chat_template is not None:
            text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            return self.tokenizer(text, add_special_tokens=False).input_ids
        text = "\n\n".join(message["content"] for message in messages)
        start = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        return start + self.tokenizer(text, add_special_tokens=False).input_ids

    def completion_ids(self, text: str) -> list[int]:
        """Token ids of a reply, with the end token."""
        return self.tokenizer(text, add_special_tokens=False).input_ids + [self.end_id]

    def text(self, ids: Sequence[int]) -> str:
        """The text of a completion, without its end token."""
        ids = list(ids)
        if ids and ids[-1] in self.end_ids:
            ids.pop()
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    # ---- forward -----------------------------------------------------------------------------------------------------

    def mode(self, training: bool) -> None:
        """Training mode (gradient checkpointing on CUDA) or inference mode. Cheap when nothing changes."""
        if training == self._training:
            return
        self._training = training
        if self._unsloth:
            from unsloth import FastLanguageModel

            (FastLanguageModel.for_training if training else FastLanguageModel.for_inference)(self.model)
        else:
            self.model.train(training)

    def forward(self, tokens_BT, mask_BS=None, positions_BT=None, cache=None, filled: bool = False):
        """Hidden states of the last layer, [B, T, hidden], and the key/value cache (None unless one is asked for).

        `mask_BS` is 1 for real tokens, over the cached ones and the new ones; without it every row must begin with real
        tokens, and what follows them is padding that causality keeps from mattering. `cache` is a transformers cache to
        fill, or what an earlier call returned with `filled=True`; `True` asks for whichever kind the model makes.

        unsloth's decoder needs the causal mask that its language-model class hands down, so tokens go in from the top
        (UNSLOTH_RETURN_HIDDEN_STATES makes that return hidden states). Decoding goes to the decoder itself: from the
        top, unsloth keeps a cache of its own that cannot drop finished rows.
        """
        asked = cache is not None
        given = None if cache is True else cache
        from_top = self._unsloth and not filled
        with self._autocast():
            out = (self.model if from_top else self._decoder)(
                input_ids=tokens_BT, attention_mask=mask_BS, position_ids=positions_BT, past_key_values=given,
                use_cache=asked, return_dict=True)
        return (out.logits if from_top else out.last_hidden_state), (out.past_key_values if asked else None)

    def logits(self, hidden_NH) -> torch.Tensor:
        """The head: [N, hidden] -> [N, vocabulary], float32."""
        with self._autocast():
            return F.linear(hidden_NH.to(self._head.weight.dtype), self._head.weight, self._head.bias).float()

    def logprobs(self, samples: Sequence[Sample], temperature: float) -> list[torch.Tensor]:
        """Log-probability of each completion token, nats, under logits / temperature: one float32 [T_i] a sample.

        Keeps the graph when gradients are enabled. Raises ValueError for an empty prompt or completion or temperature <= 0.
        """
        out: list = [None] * len(samples)
        for indices in micro_batches(samples):
            flat_N = self._flat_logprobs([samples[i] for i in indices], temperature)
            parts = flat_N.split([len(samples[i].completion) for i in indices])
            for i, part_T in zip(indices, parts):
                out[i] = part_T
        return out

    @torch.no_grad()
    def entropy(self, samples: Sequence[Sample], temperature: float) -> float:
        """Mean entropy of the next-token distribution over the completions' positions, nats a token.

        Looks only at the first micro-batch, for it is a check and not a measurement.
        """
        first = next(micro_batches(samples))
        hidden_NH, _ = self._completion_hidden([samples[i] for i in first])
        sums = [torch.distributions.Categorical(logits=self.logits(part_NH) / temperature, validate_args=False).entropy().sum()
                for part_NH in hidden_NH.split(self._head_rows())]
        return float(torch.stack(sums).sum() / hidden_NH.shape[0])

    # ---- learning ----------------------------------------------------------------------------------------------------

    def accumulate(self, samples: Sequence[Sample], weights: Sequence[float], norm: float, temperature: float,
                   sampler_logprobs: Sequence[Sequence[float]] | None = None, max_ratio: float | None = None,
                   kl: float = 0.0, counts: Sequence[int] | None = None) -> Stats:
        """Add the gradient of `-(w * ratio * logp).sum() / norm + kl * (count * k3).sum() / norm`, sums over all tokens.

        `weights` is one w a sample: 1 distils, an advantage reinforces. `temperature` divides the logits, so the policy
        that was sampled is the one that is updated. `ratio` is p_trainer / p_sampler of the token, detached and
        truncated at `max_ratio` (truncated importance sampling, Ionides 2008; 1 without `sampler_logprobs`). `k3` is
        Schulman's estimator of the divergence to the adapter given to `freeze_reference`: exp(d) - d - 1 with
        d = logp_reference - logp (joschu.net/blog/kl-approx.html). `counts` says how many identical rollouts a sample
        stands for (default 1); the weight of such a sample is already the sum of theirs.

        Raises ValueError for kl > 0 with no reference.
        """
        if kl and "reference" not in self.model.peft_config:
            raise ValueError("the KL term needs freeze_reference() first")
        loss = moved = 0.0
        tokens = 0
        for indices in micro_batches(samples):
            part = [samples[i] for i in indices]
            lengths = torch.tensor([len(s.completion) for s in part], device=self.device)
            reference_N = self._reference_logprobs(part, temperature) if kl else None
            logp_N = self._flat_logprobs(part, temperature, training=True)
            weight_N = self._spread([weights[i] for i in indices], lengths)
            if sampler_logprobs is not None:
                sampled = [value for i in indices for value in sampler_logprobs[i]]
                shift_N = logp_N.detach() - torch.tensor(sampled, dtype=torch.float32, device=self.device)
                moved += float(shift_N.abs().sum())
                if max_ratio is not None:
                    weight_N = weight_N * shift_N.exp().clamp(max=max_ratio)
            total = -(weight_N * logp_N).sum()
            if kl:
                count_N = self._spread([1 if counts is None else counts[i] for i in indices], lengths)
                d_N = reference_N - logp_N
                total = total + kl * (count_N * (d_N.exp() - d_N - 1)).sum()
            (total / norm).backward()
            loss += float(total.detach()) / norm
            tokens += len(logp_N)
        return Stats(loss=loss, drift=moved / max(tokens, 1), tokens=tokens)

    def step(self, lr: float, clip: float) -> float:
        """One AdamW step (Loshchilov & Hutter 2019) with the accumulated gradient; returns its norm before clipping to `clip`.

        A norm that is not finite means that the step was *not* taken. The gradient is cleared either way.
        """
        norm = float(torch.nn.utils.clip_grad_norm_(self._trainable, clip))
        if norm == norm and norm != float("inf"):
            for group in self._optimiser.param_groups:
                group["lr"] = lr
            self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return norm

    def snapshot(self) -> Snapshot:
        """A copy of adapter and optimiser."""
        return Snapshot(adapter=_cloned(self._adapter()), optimiser=_cloned(self._optimiser.state_dict()))

    def rollback(self, snapshot: Snapshot) -> None:
        """Adapter and optimiser as they were at `snapshot`, bit for bit; an accumulated gradient is cleared."""
        self._copy_into_adapter(snapshot.adapter)
        # A copy again, because the optimiser would go on to write into the tensors that it is given.
        self._optimiser.load_state_dict(_cloned(snapshot.optimiser))
        self._optimiser.zero_grad(set_to_none=True)

    def freeze_reference(self, folder: Path) -> None:
        """Hold the adapter of checkpoint `folder` beside the trained one, frozen, for the KL term. Raises UsageError."""
        checkpoint.read(Path(folder))
        tensors = _read_adapter(Path(folder))
        self._check_fits(tensors, folder)
        if "reference" not in self.model.peft_config:
            self.model.add_adapter("reference", deepcopy(self.model.peft_config["default"]))
            self._activate("default")
        self._copy_into_adapter(tensors, "reference")

    # ---- checkpoints -------------------------------------------------------------------------------------------------

    def save(self, folder: Path, counters: dict) -> None:
        """Write checkpoint `folder` whole or not at all: aside, flushed to the disk, then renamed.

        Holds the adapter as PEFT writes it (`PeftModel.from_pretrained` loads it), the optimiser, and `counters` (plain
        JSON data) with the digest of the other files. An older checkpoint of the same name stays until the new one is
        complete. Same adapter, same bytes. Raises OSError when the disk is full; what was there before is then untouched.
        """
        def fill(aside: Path) -> None:
            save_file({k: v.contiguous().cpu() for k, v in self._adapter().items()}, aside / ADAPTER, metadata={"format": "pt"})
            (aside / CONFIG).write_text(self._adapter_config(), encoding="utf-8")
            torch.save(self._optimiser.state_dict(), aside / OPTIMISER)

        checkpoint.write(Path(folder), fill, counters)

    def restore(self, folder: Path) -> dict:
        """Adapter, optimiser and counters of checkpoint `folder`; returns the counters.

        Raises UsageError when it is missing, damaged, written by another version, or made for another model or rank.
        """
        folder = Path(folder)
        content = checkpoint.read(folder)
        tensors = _read_adapter(folder)
        self._check_fits(tensors, folder)
        try:
            state = torch.load(folder / OPTIMISER, map_location="cpu", weights_only=True)
            self._optimiser.load_state_dict(state)
        except Exception as error:  # torch.load has no class of its own for what it cannot read
            raise UsageError(f"The optimiser in checkpoint {folder} cannot be used ({_first_line(error)}). "
                             "Use another checkpoint.") from None
        self._copy_into_adapter(tensors)
        self._optimiser.zero_grad(set_to_none=True)
        self.counters = content["counters"]
        return self.counters

    def adapter(self) -> dict[str, torch.Tensor]:
        """The trained adapter's tensors under PEFT's file names; they share memory with the model."""
        return self._adapter()

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _autocast(self):
        """The adapter is float32 and the base computes in bfloat16 on CUDA; on the CPU all is float32."""
        return torch.autocast("cuda", dtype=torch.bfloat16) if self.device.type == "cuda" else contextlib.nullcontext()

    def _head_rows(self) -> int:
        return max(1, HEAD_LOGITS // self._head.weight.shape[0])

    def _completion_hidden(self, samples: Sequence[Sample], training: bool = False):
        """Hidden states that predict the completion tokens, sample after sample [N, hidden], and these tokens [N]."""
        if not all(s.prompt and s.completion for s in samples):
            raise ValueError("a prompt and a completion need at least one token each")
        # The last token predicts nothing that is asked for, so it is not an input.
        longest = max(len(s.prompt) + len(s.completion) for s in samples) - 1
        tokens = [list(s.prompt + s.completion)[:-1] for s in samples]
        tokens_BT = torch.tensor([row + [self.pad_id] * (longest - len(row)) for row in tokens], device=self.device)
        self.mode(training)
        hidden_BTH, _ = self.forward(tokens_BT)
        flat = [b * longest + t for b, s in enumerate(samples)
                for t in range(len(s.prompt) - 1, len(s.prompt) + len(s.completion) - 1)]
        targets = [token for s in samples for token in s.completion]
        hidden_NH = hidden_BTH.reshape(-1, hidden_BTH.shape[-1]).index_select(0, torch.tensor(flat, device=self.device))
        return hidden_NH, torch.tensor(targets, device=self.device)

    def _flat_logprobs(self, samples: Sequence[Sample], temperature: float, training: bool | None = None) -> torch.Tensor:
        """`logprobs` of one micro-batch, joined into one [N]."""
        if temperature <= 0:
            raise ValueError("log-probabilities need a temperature above 0")
        hidden_NH, targets_N = self._completion_hidden(samples, torch.is_grad_enabled() if training is None else training)
        parts = []
        for part_NH, part_N in zip(hidden_NH.split(self._head_rows()), targets_N.split(self._head_rows())):
            if torch.is_grad_enabled():
                parts.append(recompute(self._token_logprobs, part_NH, part_N, temperature, use_reentrant=False,
                                       preserve_rng_state=False))
            else:
                parts.append(self._token_logprobs(part_NH, part_N, temperature))
        return torch.cat(parts)

    def _token_logprobs(self, hidden_NH, targets_N, temperature: float) -> torch.Tensor:
        return -F.cross_entropy(self.logits(hidden_NH) / temperature, targets_N, reduction="none")

    def _spread(self, values, lengths) -> torch.Tensor:
        """One value a sample -> one a token."""
        return torch.tensor(values, dtype=torch.float32, device=self.device).repeat_interleave(lengths)

    @torch.no_grad()
    def _reference_logprobs(self, samples: Sequence[Sample], temperature: float) -> torch.Tensor:
        self._activate("reference")
        try:
            return self._flat_logprobs(samples, temperature)
        finally:
            self._activate("default")

    def _activate(self, adapter: str) -> None:
        """Use one adapter. PEFT lets the active one alone be trained, so `default` must be made active again."""
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
            raise UsageError(f"Checkpoint {folder} was made for another model or another student.lora_rank than this recipe's.")

    def _adapter_config(self) -> str:
        """PEFT's adapter_config.json, the same bytes in every run and on every machine."""
        config = self.model.peft_config["default"].to_dict()
        config.update(inference_mode=True, base_model_name_or_path=self.name)
        for key, value in config.items():
            if isinstance(value, (set, frozenset)):  # a set's order changes with the process's hash seed
                config[key] = sorted(value)
        return json.dumps(config, indent=2, sort_keys=True, default=str) + "\n"


def micro_batches(samples: Sequence[Sample]) -> Iterator[list[int]]:
    """Indices of `samples` by falling length, cut so that rows x longest stays within MICRO_TOKENS (or is one row).

    Rows of like length share a batch, so little of it is padding; the longest first, so that too little memory shows at once.
    """
    def length(i):
        return len(samples[i].prompt) + len(samples[i].completion)

    batch: list[int] = []
    for i in sorted(range(len(samples)), key=lambda i: (-length(i), i)):
        if batch and (len(batch) + 1) * length(batch[0]) > MICRO_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


# ---- loading: the one thing that differs between machines -------------------------------------------------------------


def _load_with_transformers(recipe: Recipe, path: str, seed: int):
    """NF4 base through bitsandbytes, adapter through PEFT, on the CPU or on a CUDA card without unsloth."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda else torch.float32
    # Double quantisation saves 0.4 bit a weight of card memory; the CPU's students are small and better without it.
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype,
                                      bnb_4bit_use_double_quant=cuda)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, quantization_config=quantization, dtype=dtype,
                                                 attn_implementation="sdpa", device_map={"": 0 if cuda else "cpu"})
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if cuda:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    else:
        _forbid_repacking(model)
    torch.manual_seed(seed)
    config = LoraConfig(r=recipe.student.lora_rank, lora_alpha=recipe.student.lora_alpha, lora_dropout=0.0, bias="none",
                        target_modules=_linear_names(model), task_type="CAUSAL_LM")
    return get_peft_model(model, config), tokenizer


def _load_with_unsloth(recipe: Recipe, path: str, seed: int):
    """The same through unsloth, whose fused kernels halve time and memory on a CUDA card."""
    os.environ["UNSLOTH_RETURN_HIDDEN_STATES"] = "1"  # see Student.forward
    from unsloth import FastLanguageModel  # before transformers, which it patches

    model, tokenizer = FastLanguageModel.from_pretrained(
        path, max_seq_length=recipe.student.max_prompt + recipe.student.max_new, dtype=torch.bfloat16, load_in_4bit=True)
    model = FastLanguageModel.get_peft_model(
        model, r=recipe.student.lora_rank, lora_alpha=recipe.student.lora_alpha, lora_dropout=0.0, bias="none",
        target_modules=_linear_names(model), use_gradient_checkpointing="unsloth", random_state=seed)
    return model, getattr(tokenizer, "tokenizer", tokenizer)


def _linear_names(model) -> list[str]:
    """Last names of the linear layers, without the head, sorted."""
    head = model.get_output_embeddings()
    return sorted({name.rpartition(".")[2] for name, module in model.named_modules()
                   if isinstance(module, torch.nn.Linear) and module is not head})


def _forbid_repacking(model) -> None:
    """Keep bitsandbytes from rewriting the weights for a bfloat16 kernel at the first forward pass in inference mode, which
    it does for good on CPUs with AVX512-BF16: the student would sample from other weights than it trains, and other ones
    than on the next machine."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _make_optimiser(parameters: list, device: torch.device):
    """AdamW without weight decay; on CUDA bitsandbytes' paged 8-bit one (arXiv:2110.02861), the same rule in less memory."""
    if device.type == "cuda":
        from bitsandbytes.optim import PagedAdamW8bit

        return PagedAdamW8bit(parameters, lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)
    return torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)


def _make_cpu_deterministic(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Otherwise every fresh tensor is filled with NaN first, which costs time and protects from nothing here.
    torch.utils.deterministic.fill_uninitialized_memory = False


def _end_tokens(tokenizer, causal) -> tuple[int, frozenset[int]]:
    """The token that ends a completion, and all that the model may end with. Raises UsageError if there is none."""
    if tokenizer.eos_token_id is None:
        raise UsageError("This model's tokenizer has no end token (eos_token), so no completion could ever be finished.")
    generation = getattr(causal, "generation_config", None)
    more = getattr(generation, "eos_token_id", None) or []
    return tokenizer.eos_token_id, frozenset([tokenizer.eos_token_id, *([more] if isinstance(more, int) else more)])


def _refuse_altered_logits(config, path) -> None:
    """Raise UsageError for architectures that scale or cap their logits after the head, which `Student.logits` does not."""
    plain = {"final_logit_softcapping": None, "logit_scale": 1.0, "logits_scaling": 1.0}
    for name, neutral in plain.items():
        if getattr(config, name, None) not in (None, neutral):
            raise UsageError(f"The model {path} changes its logits after the head ({name} in its configuration), which this "
                             "program does not support. Use a Llama- or Qwen-like model.")


def _portable_name(model: str) -> str:
    """The model's name without what belongs to this machine: a folder's last component, a hub id as it is."""
    path = Path(model).expanduser()
    return path.resolve().name if path.is_absolute() or path.is_dir() or model.startswith((".", "~")) else model


@contextlib.contextmanager
def _quiet():
    """Libraries greet, warn and draw progress bars while they load; a person who asked for JSON wants none of it."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        with contextlib.suppress(Exception):  # whatever is wrong with the library shows better where it is used
            from transformers.utils import logging

            logging.set_verbosity_error()
            logging.disable_progress_bar()
        yield


@contextlib.contextmanager
def _loading_errors(path):
    """Turn what goes wrong in other people's loading code into one sentence."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        text = " ".join(str(e) for e in _chain(error))
        if "torchvision::" in text or ("Could not import module" in text and importlib.util.find_spec("torchvision")):
            raise UsageError(
                "torchvision is installed but does not match torch (its compiled operators do not load), so transformers "
                "cannot import any model. Type `pip uninstall torchvision`, or install the requirements for machines without "
                f"a GPU. ({_first_line(_chain(error)[-1])})") from None
        if isinstance(error, (OSError, ValueError, KeyError, SafetensorError, json.JSONDecodeError)):
            raise UsageError(f"The model {str(path)!r} cannot be loaded: it must be a folder written by save_pretrained with a "
                             "tokenizer in it, or a Hugging Face id that is cached or can be downloaded. "
                             f"({_first_line(error)})") from None
        raise


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while chain[-1].__cause__ or chain[-1].__context__:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    return chain


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _read_adapter(folder: Path) -> dict:
    """The tensors of a checkpoint whose digests were right. Raises UsageError."""
    try:
        return load_file(folder / ADAPTER)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"Checkpoint {folder} is damaged ({ADAPTER}: {_first_line(error)}).") from None


def _cloned(tree):
    """A deep copy of nested dicts and lists with the tensors copied on their device."""
    if isinstance(tree, torch.Tensor):
        return tree.detach().clone()
    if isinstance(tree, dict):
        return {key: _cloned(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_cloned(value) for value in tree)
    return tree
