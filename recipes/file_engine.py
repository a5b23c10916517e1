"""llama.cpp with files alone: a model, and an adapter if `use_adapter` names one. How an export is replayed, and how it is quantised.

    engine = FileEngine(student, file, longest, threads)         # `student` lends its end tokens and its way of writing text
    engine.use_adapter(folder / "adapter.gguf")
    engine.tokens("def f(x):")                                   # by the file's own vocabulary, as a server of the file would
    quantise(merged, file, "q4_k_m", threads)
"""
import ctypes
from pathlib import Path

import llama_cpp.llama_cpp as llama

from recipes.llama_engine import LlamaEngine, listen
from sandbox.errors import HarnessError

TYPES = {"q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0, "q4_k_m": llama.LLAMA_FTYPE_MOSTLY_Q4_K_M}


class FileEngine(LlamaEngine):
    """Samples from files. The student's adapter is never read."""

    def _swap_adapter(self) -> None:
        """Nothing: what the student has learned must be in the files."""

    def tokens(self, text: str) -> list[int]:
        """Token ids of a prompt in which special tokens are written out; the first token is added where the file says so."""
        data, vocabulary = text.encode(), llama.llama_model_get_vocab(self._model)
        found = (llama.llama_token * (len(data) + 2))()
        return list(found[:llama.llama_tokenize(vocabulary, data, len(data), found, len(found), True, True)])


def quantise(source: Path, target: Path, kind: str, threads: int) -> None:
    """Write the float16 GGUF file `source` to `target` as one of TYPES. Raises HarnessError where llama.cpp fails."""
    last_message = listen()
    settings = llama.llama_model_quantize_default_params()
    settings.ftype, settings.nthread = TYPES[kind], threads
    if llama.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(settings)):
        raise HarnessError(f"llama.cpp could not quantise the merged model ({last_message()}).")
