"""Loading a student: the one thing that differs between machines.

    config = read_config(path)                                       # before anything large is read
    model, tokenizer, unsloth = load_model(recipe, path, seed)

On CUDA unsloth loads base and adapter where it is installed; elsewhere transformers, bitsandbytes
and PEFT do, on a card as on the CPU. What comes back is a PEFT model with one trainable adapter,
`default`, in either case.
"""

import contextlib
import importlib.util
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError

from recipes.learning.limits import is_out_of_memory
from recipes.learning.shape import Shape
from recipes.learning.unsloth_import import import_unsloth, uses_unsloth
from recipes.settings import Recipe, StudentSettings
from sandbox.errors import UsageError


def read_config(path: str, unsloth: bool = False) -> Any:
    """The configuration of the model at `path`; `unsloth`: whether unsloth will load it. Raises
    UsageError as `load_model`."""
    with loading_errors(path), quiet(unsloth):
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(path)


class LoadedModel(NamedTuple):
    """What was loaded."""

    model: Any
    """PEFT's."""
    tokenizer: Any
    unsloth: bool
    """Whether unsloth loaded them."""
    source: str
    """The model that was read: unsloth may take one of its own that is already in 4 bits."""


def load_model(recipe: Recipe, path: str, seed: int) -> LoadedModel:
    """The base from `path`, the adapter drawn from `seed`.

    Prints nothing. Sets torch's threads and deterministic algorithms for the whole process on the
    CPU. Raises UsageError for a model that cannot be found, fetched or used, and for torchvision
    that does not match torch.
    """
    if not torch.cuda.is_available():
        _make_cpu_deterministic(recipe.student.threads)
    unsloth = uses_unsloth(recipe.student.loader)
    with loading_errors(path), quiet(unsloth):
        model, tokenizer, source = (_load_with_unsloth if unsloth else _load_with_transformers)(
            recipe, path, seed
        )
        _refuse_altered_logits(model.get_base_model().config, path)
    return LoadedModel(model, tokenizer, unsloth, source)


def _load_with_transformers(recipe: Recipe, path: str, seed: int) -> tuple[Any, Any, str]:
    """NF4 base through bitsandbytes, adapter through PEFT, on the CPU or on a CUDA card without
    unsloth."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda else torch.float32
    # Double quantisation saves 0.4 bit a weight of card memory; the CPU's students are small and
    # better without it.
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_use_double_quant=cuda,
    )
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(
        path,
        quantization_config=quantization,
        dtype=dtype,
        attn_implementation="sdpa",
        # The one that this process works on, where several train together; else the first.
        device_map={"": torch.cuda.current_device() if cuda else "cpu"},
    )
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if cuda:
        _recompute_activations(model)
    elif Shape.of(model.config).is_kept_unpacked(cuda):
        _unpack(model)
    else:
        _forbid_repacking(model)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=recipe.student.lora_rank,
        lora_alpha=recipe.student.lora_alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=_linear_names(model),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config), tokenizer, path


def _load_with_unsloth(recipe: Recipe, path: str, seed: int) -> tuple[Any, Any, str]:
    """The same through unsloth, whose fused kernels halve time and memory on a CUDA card."""
    from unsloth import FastLanguageModel

    sources = [path]
    model, tokenizer = FastLanguageModel.from_pretrained(
        # Absolute, so that it means the same wherever it is looked up later.
        str(Path(path).resolve()) if Path(path).is_dir() else path,
        max_seq_length=_columns(recipe.student),
        dtype=torch.bfloat16,
        load_in_4bit=True,
        device_map={"": 0},  # one card, as elsewhere; it would spread over several
        on_model_resolved=sources.append,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=recipe.student.lora_rank,
        lora_alpha=recipe.student.lora_alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=_linear_names(model),
        use_gradient_checkpointing="unsloth",
        random_state=seed,
    )
    return model, getattr(tokenizer, "tokenizer", tokenizer), sources[-1]


def _columns(settings: StudentSettings) -> int:
    """Tokens that unsloth is to have room for. Rows of several turns end at different places, and
    what they are answered is read behind the longest of them."""
    if settings.turns == 1:
        return settings.longest
    return settings.longest + settings.max_new + settings.episode


def _recompute_activations(model: Any) -> None:
    """Gradient checkpointing, one layer at a time. transformers would take the cache away from
    every layer that is recomputed, for a usual cache would be filled twice; the only one that is
    used in training (`logprobs.PrefixLayer`) is not."""
    model.gradient_checkpointing_enable({"use_reentrant": False})
    for module in model.modules():
        if hasattr(module, "_can_checkpoint_with_cache"):
            module._can_checkpoint_with_cache = True


def _linear_names(model: Any) -> list[str]:
    """Last names of the linear layers, without the head, sorted."""
    head = model.get_output_embeddings()
    return sorted(
        {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and module is not head
        }
    )


def _unpack(model: Any) -> None:
    """Replace each 4-bit layer by an ordinary one that holds the same weights, rounded to NF4, in
    32 bits: the same function, for which bitsandbytes would unpack every matrix anew in each
    forward and each backward pass, half of a step on the CPU."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    packed = [(name, m) for name, m in model.named_modules() if isinstance(m, Linear4bit)]
    for name, layer in packed:
        plain = torch.nn.Linear(
            layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta"
        )
        weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
        plain.weight = torch.nn.Parameter(weight, requires_grad=False)
        plain.bias = layer.bias
        model.set_submodule(name, plain)


def _forbid_repacking(model: Any) -> None:
    """Keep bitsandbytes from rewriting the weights for a bfloat16 kernel at the first forward pass
    in inference mode, which it does for good on CPUs with AVX512-BF16: the student would sample
    from other weights than it trains, and other ones than on the next machine."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _make_cpu_deterministic(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Otherwise every fresh tensor is filled with NaN first, which costs time and protects from
    # nothing here.
    torch.utils.deterministic.fill_uninitialized_memory = False


def end_tokens(tokenizer: Any, causal: Any) -> tuple[int, frozenset[int]]:
    """The token that ends a completion, and all that the model may end with. Raises UsageError if
    there is none."""
    if tokenizer.eos_token_id is None:
        raise UsageError(
            "This model's tokenizer has no end token (eos_token), so no completion could ever be "
            "finished."
        )
    generation = getattr(causal, "generation_config", None)
    more = getattr(generation, "eos_token_id", None) or []
    return tokenizer.eos_token_id, frozenset(
        [tokenizer.eos_token_id, *([more] if isinstance(more, int) else more)]
    )


def _refuse_altered_logits(config: Any, path: str) -> None:
    """Raise UsageError for architectures that scale or cap their logits after the head, which
    `Policy.logits` does not."""
    plain = {"final_logit_softcapping": None, "logit_scale": 1.0, "logits_scaling": 1.0}
    for name, neutral in plain.items():
        if getattr(config, name, None) not in (None, neutral):
            raise UsageError(
                f"The model {path} changes its logits after the head ({name} in its "
                "configuration), which this "
                "program does not support. Use a Llama- or Qwen-like model."
            )


@contextlib.contextmanager
def quiet(unsloth: bool = False) -> Iterator[None]:
    """Libraries greet, warn and draw progress bars while they load; a person who asked for JSON
    wants none of it. Imports unsloth where it will load the model, for it must come before
    transformers."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        # Whatever is wrong with the library shows better where it is used.
        if unsloth:
            import_unsloth()
        with contextlib.suppress(Exception):
            from transformers.utils import logging

            logging.set_verbosity_error()
            logging.disable_progress_bar()
        yield


@contextlib.contextmanager
def loading_errors(path: str) -> Iterator[None]:
    """Turn what goes wrong in other people's loading code into one sentence."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        text = " ".join(str(e) for e in _chain(error))
        if "torchvision::" in text or (
            "Could not import module" in text and importlib.util.find_spec("torchvision")
        ):
            raise UsageError(
                "torchvision is installed but does not match torch (its compiled operators do not "
                "load), so transformers "
                "cannot import any model. Type `pip uninstall torchvision`, or install the "
                "requirements for machines without "
                f"a GPU. ({first_line(_chain(error)[-1])})"
            ) from None
        # unsloth wraps what it says of a missing model in a RuntimeError.
        if isinstance(error, (OSError, ValueError, KeyError, SafetensorError, RuntimeError)):
            raise UsageError(
                f"The model {str(path)!r} cannot be loaded: {_what_is_wrong(path, error)} "
                f"({first_line(error)})"
            ) from None
        raise


def _what_is_wrong(path: str, error: Exception) -> str:
    """Why a model is not loaded, and what to do."""
    if all(isinstance(e, RuntimeError) for e in _chain(error)):
        return (
            "a file of it is damaged, or a library fails on this machine; `python coldstart.py "
            "doctor` tries the libraries."
        )
    if Path(path).is_dir():
        return (
            "what is in this folder is damaged, or is no model that transformers knows, with its "
            "tokenizer, as save_pretrained writes them."
        )
    return " ".join(
        [
            "it is neither a folder nor a Hugging Face id that is cached or can be downloaded.",
            *_how_to_download(path),
        ]
    )


def _how_to_download(path: str) -> list[str]:
    """A sentence for what may be the name of a model on the hub; none for other things."""
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        return []
    return [f"`hf download {path}` fetches it."]


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while earlier := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(earlier)
    return chain


def first_line(error: BaseException) -> str:
    """What an error says, for the end of a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
