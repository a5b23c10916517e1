"""The student as GGUF files, which is what llama.cpp reads: its base once, its adapter after every
update.

    # a sentence, where llama.cpp would compute something else
    if why := unsupported(student, longest): ...
    # <name>-<digest>.gguf, made if it is not there yet
    base = export_base(student, cache_folder() / "gguf")
    write_adapter(student, path)                                 # a LoRA for that base, in float32
    write_merged(student, path)  # base and adapter in one, in float16, for llama.cpp's quantiser

The base holds the very weights that the trainer computes with: each NF4 matrix is dequantised and
written as Q8_0 (blocks of 32 weights and one scale), whose rounding, at most 1/254 of a block's
largest weight, is far below the steps of NF4; norms and biases as float32. A model below
`weights.SMALL` parameters is written as F16, for there the rounding costs most and the bytes least;
so is a matrix whose rows do not divide by 32. The matrices of the layers can be BF16 instead, in
twice the bytes: a processor that multiplies these itself reads prompts a quarter faster by them
(`llama_engine.fastest_matrices`), and its products are rounded half as much. The file's name holds
a digest of all that decides its bytes, so an old file is never taken for a new one.

Architectures: Llama, Mistral (llama.cpp's `llama`), Qwen2, Qwen3, Gemma, Gemma 3. What differs
between transformers and llama.cpp: llama.cpp's `llama` rotates neighbouring pairs of a query and
not its halves, so the rows of query and key projections are permuted; Gemma's norms hold weight - 1
in transformers and the weight in GGUF; Llama 3's stretched frequencies are a tensor of factors.

The vocabulary is in `gguf_vocabulary.py`.
"""

import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recipes.events import OnProgress
from recipes.learning.rotary import frequency_factors, ropes
from recipes.learning.shape import head_width
from recipes.learning.weights import base_parameters, is_small, weights
from recipes.rollouts.engine_kind import TrainedStudent
from recipes.rollouts.gguf_vocabulary import vocabulary_of, write_vocabulary
from sandbox.cache import hold, remove
from sandbox.jsonl import sync

FORMAT = 2
"""Version of what this module writes; part of the digest."""


@dataclass(frozen=True)
class Architecture:
    """What llama.cpp calls a model type of transformers, and what it stores differently."""

    name: str
    permuted: bool = False
    """Rows of query and key projections are permuted for rotation by neighbouring pairs."""
    norm_shift: float = 0.0
    """Added to the weights of norms."""
    sliding: bool = False
    """Knows layers that see a sliding window only."""


ARCHITECTURES = {
    "llama": Architecture("llama", permuted=True),
    "mistral": Architecture("llama", permuted=True),
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3"),
    "gemma": Architecture("gemma", norm_shift=1.0),
    "gemma3_text": Architecture("gemma3", norm_shift=1.0, sliding=True),
}


def unsupported(student: TrainedStudent, longest: int) -> str:
    """Why this student cannot be sampled by llama.cpp as it is, in words for the middle of a
    sentence; empty if it can.

    `longest` is what prompt and completion may have together, tokens.
    """
    config = _config(student)
    architecture = ARCHITECTURES.get(config.model_type)
    if architecture is None:
        return f"models of type {config.model_type} are not exported to GGUF"
    if getattr(config, "hidden_act", getattr(config, "hidden_activation", "silu")) not in (
        ("gelu_pytorch_tanh",) if architecture.norm_shift else ("silu",)
    ):
        return "its activation function is not the one that llama.cpp uses for this architecture"
    if getattr(config, "query_pre_attn_scalar", head_width(config)) != head_width(config):
        return "it scales its queries in a way of its own"
    window = getattr(config, "sliding_window", None)
    if (
        window
        and not architecture.sliding
        and window < longest
        and getattr(config, "use_sliding_window", True)
    ):
        return (
            f"its attention sees {window} tokens only, fewer than prompt and completion may "
            "have together"
        )
    for rope in ropes(config):
        kind = rope.get("rope_type", "default")
        if kind not in ("default", "linear") and not (
            kind == "llama3" and architecture.name == "llama"
        ):
            return f"its rotary embedding ({kind}) is not exported to GGUF"
    return ""


def export_base(
    student: TrainedStudent,
    folder: Path,
    on_progress: OnProgress | None = None,
    matrices: str = "Q8_0",
) -> Path:
    """The file of the student's base in `folder`, made if it is not there yet: written aside,
    flushed, renamed. `matrices`: the type of the layers' matrices if the model is not small, "Q8_0"
    or "BF16".

    The same base gives the same bytes. Raises OSError when the disk is full; a half file is then
    removed.
    """
    path = (
        folder
        / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', student.name)}-{base_digest(student, matrices)[:16]}.gguf"
    )
    hold(path)
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=f".{path.stem}-", dir=folder)
    os.close(descriptor)
    try:
        hold(Path(aside))
        write_base(student, Path(aside), on_progress, matrices)
        os.chmod(aside, 0o644)
        sync(Path(aside))
        os.rename(aside, path)
        sync(folder)
    finally:
        remove(Path(aside))
    return path


def base_digest(student: TrainedStudent, matrices: str = "Q8_0") -> str:
    """Hex digest of all that decides the bytes of the base's file."""
    from importlib.metadata import version

    digest = hashlib.sha256(
        json.dumps(
            [
                FORMAT,
                _kind(student, matrices),
                version("gguf"),
                _said_of_shape(student),
                ropes(_config(student)),  # the factors of stretched frequencies are a tensor
                student.tokens.tokenizer.chat_template,
                sorted(student.end_ids),
                vocabulary_of(student),
            ],
            sort_keys=True,
            default=str,
        ).encode()
    )
    for name, parameter in base_parameters(student):
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
        for tensor in (parameter, *_scales(getattr(parameter, "quant_state", None))):
            digest.update(
                tensor.detach().contiguous().flatten().cpu().view(torch.uint8).numpy().data
            )
    return digest.hexdigest()


def _scales(state: Any) -> list[torch.Tensor]:
    """What an NF4 matrix consists of beside its four bits a weight; with double quantisation the
    scales are quantised themselves."""
    if state is None:
        return []
    return [state.absmax, state.code] + (
        [state.offset, *_scales(state.state2)] if state.nested else []
    )


def write_base(
    student: TrainedStudent,
    path: Path,
    on_progress: OnProgress | None = None,
    matrices: str = "Q8_0",
) -> None:
    """Write the base and its vocabulary to `path`, one matrix in memory at a time."""
    _write_model(student, path, _kind(student, matrices), False, on_progress)


def write_merged(
    student: TrainedStudent, path: Path, on_progress: OnProgress | None = None
) -> None:
    """Write base and adapter as one model in float16 (`weights`), one matrix in memory at a
    time."""
    _write_model(student, path, "F16", True, on_progress)


def _write_model(
    student: TrainedStudent, path: Path, kind: str, merged: bool, on_progress: OnProgress | None
) -> None:
    """A whole model, its matrices of this kind."""
    import gguf

    writer, layout = (
        gguf.GGUFWriter(path, ARCHITECTURES[_config(student).model_type].name),
        _layout(student, kind, merged),
    )
    _write_shape(student, writer)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    write_vocabulary(student, writer)
    for name, shape, _, stored, size in layout:
        writer.add_tensor_info(name, shape, np.dtype(np.float32), size, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for done, (_, _, make, stored, _) in enumerate(layout, 1):
        writer.write_tensor_data(gguf.quants.quantize(make(), stored))
        if on_progress is not None:
            on_progress("writing the student for llama.cpp", done, len(layout))
    writer.close()


def adapter_tensors(student: TrainedStudent) -> dict[str, np.ndarray]:
    """The trained adapter under llama.cpp's names: `<matrix>.lora_a` [rank, in] and
    `<matrix>.lora_b` [out, rank], float32."""
    names, found = _names(student), {}
    for name, tensor in student.adapter.tensors().items():
        layer, _, half = name.removeprefix("base_model.model.").partition(".lora_")
        array = tensor.detach().float().cpu().numpy()
        if half.startswith("B"):
            array = _permuted(student, layer, array)
        found[f"{names(layer)}.weight.lora_{half[0].lower()}"] = np.ascontiguousarray(array)
    return found


def write_adapter(
    student: TrainedStudent,
    path: Path,
    tensors: dict[str, np.ndarray] | None = None,
    more: dict[str, str] | None = None,
) -> None:
    """Write the trained adapter (or its `adapter_tensors`, where they are at hand) to `path` as a
    GGUF LoRA, with `more` in its metadata."""
    import gguf

    writer = gguf.GGUFWriter(path, ARCHITECTURES[_config(student).model_type].name)
    writer.add_type("adapter")
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, student.adapter.alpha)
    for key, value in (more or {}).items():
        writer.add_string(key, value)
    for name, array in (adapter_tensors(student) if tensors is None else tensors).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- tensors -------------------------------------------------------------------------------------


def _config(student: TrainedStudent) -> Any:
    return student.config


def _base_tensors(
    student: TrainedStudent, merged: bool = False
) -> Iterator[tuple[str, tuple[int, ...], Callable[[], np.ndarray]]]:
    """(llama.cpp's name, shape, function that makes the float32 array) of every tensor, with the
    adapter added in if `merged`."""
    names, shift = _names(student), ARCHITECTURES[_config(student).model_type].norm_shift
    for name, shape, make in weights(student, merged):
        layer, _, part = name.rpartition(".")

        def as_array(make: Callable[[], torch.Tensor] = make, layer: str = layer) -> np.ndarray:
            array = _permuted(student, layer, make().cpu().numpy())
            return np.ascontiguousarray(
                array + np.float32(shift) if layer.endswith("norm") else array
            )

        yield f"{names(layer)}.{part}", shape, as_array
    factors = frequency_factors(_config(student))
    if factors is not None:
        yield "rope_freqs.weight", factors.shape, lambda: factors


def _names(student: TrainedStudent) -> Callable[[str], str | None]:
    """transformers' name of a layer -> llama.cpp's."""
    import gguf

    config = _config(student)
    architecture = next(
        a
        for a, name in gguf.MODEL_ARCH_NAMES.items()
        if name == ARCHITECTURES[config.model_type].name
    )
    return gguf.get_tensor_name_map(architecture, config.num_hidden_layers).get_name


def _layout(student: TrainedStudent, matrices: str, merged: bool) -> list[tuple]:
    """(name, shape, function that makes it, llama.cpp's type, bytes) of every tensor of a model's
    file, in its order."""
    from gguf import GGML_QUANT_SIZES
    from gguf import GGMLQuantizationType as Kind

    layout = []
    for name, shape, make in _base_tensors(student, merged):
        # A row of a table is read once for a token, and the head's products wait for memory: fewer
        # bytes are faster there.
        wanted = Kind[matrices] if matrices == "F16" or name.startswith("blk.") else Kind.Q8_0
        kind = Kind.F32 if len(shape) == 1 else Kind.F16 if shape[-1] % 32 else wanted
        block, size = GGML_QUANT_SIZES[kind]
        layout.append((name, shape, make, kind, math.prod(shape) // block * size))
    return layout


def _kind(student: TrainedStudent, matrices: str) -> str:
    """The type of the base's matrices."""
    return "F16" if is_small(student) else matrices


def _permuted(student: TrainedStudent, layer: str, array: np.ndarray) -> np.ndarray:
    """The rows of a query or key projection as llama.cpp's `llama` rotates them; anything else as
    it is."""
    config, last = _config(student), layer.rpartition(".")[2]
    if not ARCHITECTURES[config.model_type].permuted or last not in ("q_proj", "k_proj"):
        return array
    heads = config.num_attention_heads if last == "q_proj" else config.num_key_value_heads
    return array.reshape(heads, 2, -1, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


# ---- metadata ------------------------------------------------------------------------------------


def _said_of_shape(student: TrainedStudent) -> list:
    """What `_write_shape` tells a writer: of the configuration, all that decides the file beside
    the rotary embedding. unsloth changes other things in it while it trains and samples."""
    said: list = []

    class Listener:
        def __getattr__(self, method: str) -> Callable[..., None]:
            return lambda *values: said.append([method, *values])

    _write_shape(student, Listener())
    return said


def _write_shape(student: TrainedStudent, writer: Any) -> None:
    """The model's hyperparameters."""
    import gguf

    config, rope = _config(student), ropes(_config(student))[0]
    writer.add_name(student.name)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_width(config))
    writer.add_value_length(head_width(config))
    writer.add_rope_dimension_count(head_width(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if ARCHITECTURES[config.model_type].sliding:
        writer.add_sliding_window(config.sliding_window)
        writer.add_sliding_window_pattern(
            [kind == "sliding_attention" for kind in config.layer_types]
        )
        writer.add_rope_freq_base_swa(ropes(config)[1]["rope_theta"])
