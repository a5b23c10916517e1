"""llama.cpp with files alone: a model, and an adapter if there is one. How `fix` samples, how an
export is replayed, how it is quantised.

    files = Files(folder / "base.gguf", folder / "adapter.gguf", end_ids=frozenset({1}))
    # torch is not needed, nor imported
    engine = FileEngine(FileStudent(files), files, longest=2048 + 512, threads=1)
    engine.student.prompt_ids(messages)  # by the file's own chat template
    engine.student.tokens("def f(x):", begin=True)  # as a server of the file would make them
    quantise(merged, file, "q4_k_m", threads)

Text becomes tokens by llama.cpp's own tokenizer, and messages become text by the chat template in
the file.
"""

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import llama_cpp.llama_cpp as llama

from recipes.learning.chat_format import ChatFormat
from recipes.learning.fim import halves
from recipes.rollouts.engine import ReadStudent
from recipes.rollouts.llama_engine import LlamaEngine
from recipes.rollouts.llama_files import last_message, listen, load_file, metadata, tokens
from sandbox.errors import HarnessError, UsageError

TYPES = {"q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0, "q4_k_m": llama.LLAMA_FTYPE_MOSTLY_Q4_K_M}


@dataclass(frozen=True)
class Files:
    """What llama.cpp samples from."""

    base: Path
    adapter: Path | None
    """None where the adapter is merged into the base."""
    end_ids: frozenset[int]
    """The tokens that end a completion, as the trainer has them: llama.cpp itself takes more for
    such, by their names."""


class FileStudent:
    """What sampling needs to know of a student, read from its base's file: its tokens, chat
    template, end tokens and shape."""

    def __init__(self, files: Files) -> None:
        """Raises UsageError where llama.cpp cannot load the base."""
        self.end_ids, self._file = files.end_ids, files.base
        self.device = SimpleNamespace(type="cuda" if llama.llama_supports_gpu_offload() else "cpu")
        self._model = load_file(files.base, vocab_only=True)
        weakref.finalize(self, llama.llama_model_free, self._model)
        self._vocabulary = llama.llama_model_get_vocab(self._model)
        kind = self._metadata("general.architecture")
        self.config = SimpleNamespace(
            num_hidden_layers=self._number(f"{kind}.block_count"),
            num_key_value_heads=self._number(f"{kind}.attention.head_count_kv"),
            head_dim=self._number(f"{kind}.attention.key_length"),
        )

    def prompt_ids(self, messages: list[dict]) -> list[int]:
        """Token ids of a chat, ready for the student's reply; as `Student.prompt_ids` gives them.
        Raises UsageError for a prompt to fill in the middle where the file names no tokens for
        that."""
        if parts := halves(messages):
            return self._fill_in(*parts)
        if self._template is None:
            return self.tokens("\n\n".join(message["content"] for message in messages), begin=True)
        return self.tokens(self._render(messages))

    def _fill_in(self, prefix: str, suffix: str) -> list[int]:
        """As llama.cpp's server makes them of the same two texts (`/infill`) where the file names
        no tokens for repository and file."""
        vocabulary = self._vocabulary
        marks = [
            llama.llama_vocab_fim_pre(vocabulary),
            llama.llama_vocab_fim_suf(vocabulary),
            llama.llama_vocab_fim_mid(vocabulary),
        ]
        if min(marks) < 0:
            raise UsageError(f"{self._file} names no fill-in-the-middle tokens. Export it again.")
        begins = llama.llama_vocab_get_add_bos(vocabulary)
        before, behind = (tokens(vocabulary, text, special=False) for text in (prefix, suffix))
        begin = [llama.llama_vocab_bos(vocabulary)] if begins else []
        return [*begin, marks[0], *before, marks[1], *behind, marks[2]]

    def answer_ids(self, text: str) -> list[int]:
        """As `Student.answer_ids`, and raises as it does."""
        ends = tuple(self._token_text(str(number)) for number in sorted(self.end_ids))
        chat = ChatFormat(None if self._template is None else self._render, "", ends)
        # Behind an end token, for some tokenizers begin a text with a token of their own.
        return self.tokens(ends[0] + chat.between(text))[1:]

    def _render(self, messages: list[dict]) -> str:
        return self._template(messages=messages).prompt

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by itself."""
        return [len(self.tokens(text)) for text in texts]

    def tokens(self, text: str, begin: bool = False) -> list[int]:
        """Token ids of a text in which special tokens are written out; with `begin` after the first
        token of all, where the file says that there is one."""
        return tokens(self._vocabulary, text, begin)

    def text(self, ids: Sequence[int]) -> str:
        """The text of a completion, without its end token."""
        ids = list(ids)
        if ids and ids[-1] in self.end_ids:
            ids.pop()
        room = 256 * len(ids) + 1  # the longest tokens of known ones have half as many bytes
        buffer = ctypes.create_string_buffer(room)
        count = llama.llama_detokenize(
            self._vocabulary,
            (llama.llama_token * len(ids))(*ids),
            len(ids),
            buffer,
            room,
            False,
            True,
        )
        if count < 0:
            raise UsageError(
                f"{self._file} holds tokens of more than 256 bytes, which are not supported. Use "
                "another student."
            )
        return buffer.raw[:count].decode("utf-8", "replace")

    @cached_property
    def _template(self) -> Any:
        """What makes a text of messages; None where the file has no chat template."""
        found = llama.llama_model_chat_template(self._model, None)
        if found is None:
            return None
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        begin, end = (
            self._token_text(self._metadata(f"tokenizer.ggml.{which}_token_id"))
            for which in ("bos", "eos")
        )
        return Jinja2ChatFormatter(found.decode(), eos_token=end, bos_token=begin)

    def _token_text(self, number: str | None) -> str:
        return (
            ""
            if number is None
            else llama.llama_vocab_get_text(self._vocabulary, int(number)).decode()
        )

    def _number(self, key: str) -> int:
        found = self._metadata(key)
        assert found is not None, key  # llama.cpp loads no file without it
        return int(found)

    def _metadata(self, key: str) -> str | None:
        return metadata(self._model, key)


class FileEngine(LlamaEngine):
    """Samples from files. No adapter but theirs is read."""

    def __init__(self, student: ReadStudent, files: Files, longest: int, threads: int) -> None:
        """`student` is the `FileStudent` of these files, or the trainer's where the base holds no
        vocabulary."""
        super().__init__(student, files.base, longest, threads)
        if files.adapter is not None:
            try:
                self.use_adapter(files.adapter)
            except HarnessError:
                self.close()
                raise

    def _swap_adapter(self) -> None:
        """Nothing: what the student has learned must be in the files."""


def quantise(source: Path, target: Path, kind: str, threads: int) -> None:
    """Write the float16 GGUF file `source` to `target` as one of TYPES. Raises HarnessError where
    llama.cpp fails."""
    listen()
    settings = llama.llama_model_quantize_default_params()
    settings.ftype, settings.nthread = TYPES[kind], threads
    if llama.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(settings)
    ):
        raise HarnessError(f"llama.cpp could not quantise the merged model ({last_message()}).")
