"""GGUF files by llama.cpp itself: loaded, and their tokenizer asked; what it would print is kept.

model = load_file(path, vocab_only=True)
ids = tokens(llama.llama_model_get_vocab(model), "def f(x):")
"""

import ctypes
from collections import deque
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama

from sandbox.errors import UsageError
from sandbox.jsonl import valid

OTHERWISE = "A run that is started with --set rollout.engine=model does without it."

_messages: deque[str] = deque(maxlen=8)
"""llama.cpp's last warnings and errors."""


@llama.llama_log_callback
def _listen(level: int, text: bytes, _user_data: object) -> None:
    if level in (3, 4):  # GGML_LOG_LEVEL_WARN, GGML_LOG_LEVEL_ERROR
        _messages.append(text.decode("utf-8", "replace").strip())


def load_file(base: Path, gpu: bool = False, vocab_only: bool = False) -> Any:
    """llama.cpp's model of a GGUF file; it may be the vocabulary alone. Raises UsageError."""
    listen()
    llama.llama_backend_init()
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers, parameters.vocab_only = 999 if gpu else 0, vocab_only
    model = llama.llama_model_load_from_file(str(base).encode(), parameters)
    if not model:
        raise UsageError(
            f"llama.cpp cannot load {base} ({last_message()}). Delete the file to have it made "
            "again. " + OTHERWISE
        )
    return model


def listen() -> None:
    """Keep what llama.cpp would print for `last_message`."""
    llama.llama_log_set(_listen, None)


def last_message() -> str:
    """llama.cpp's last warning or error."""
    return _messages[-1] if _messages else "it gives no reason"


def metadata(model: Any, key: str) -> str | None:
    """A value of the file's metadata, at most 255 bytes of it; None where there is none."""
    buffer = ctypes.create_string_buffer(256)
    count = llama.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode() if count >= 0 else None


def tokens(vocabulary: Any, text: str, begin: bool = False, special: bool = True) -> list[int]:
    """Token ids of a text, in which special tokens are written out unless `special` is False; with
    `begin` after the first token of all, where the file says that there is one."""
    data = valid(text).encode()
    room = len(data) + 2  # no text has more tokens than bytes
    ids = (llama.llama_token * room)()
    return list(ids[: llama.llama_tokenize(vocabulary, data, len(data), ids, room, begin, special)])
