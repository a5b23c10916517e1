"""The student as it lies on the disk, as GGUF: a base and an adapter that llama.cpp samples from. torch is not needed, nor imported.

    files = find(run_folder, checkpoint_folder, base_folder)     # None where they have not been exported yet
    files = export(student, run_folder, checkpoint_folder, base_folder)    # this once with torch, and the student at hand
    engine = StoredEngine(StoredStudent(files), longest=2048 + 512, threads=1)

The base lies in the cache folder, where rollouts by llama.cpp have it, too; the adapter in RUN/gguf under the checkpoint's name and the
digest of its tensors, with the base's name in its metadata.

Text becomes tokens by llama.cpp's own tokenizer, and messages become text by the chat template in the file: the very ids that the
trainer's tokenizer gives, which `export` checks on the prompts that it is given.
"""
import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import llama_cpp.llama_cpp as llama

from recipes import checkpoint
from recipes.llama_engine import LlamaEngine, load_file
from sandbox.errors import UsageError

BASE_KEY, END_KEY = "coldstart.base", "coldstart.end_ids"
"""Of the adapter's metadata: the name of the base's file; the tokens that end a completion, with commas between them."""


class NotExportable(Exception):
    """llama.cpp cannot stand in for this student; `str(error)` says why, for the middle of a sentence."""


@dataclass(frozen=True)
class Files:
    """What llama.cpp samples from."""

    base: Path
    adapter: Path
    end_ids: frozenset[int]
    """The tokens that end a completion, as the trainer has them: llama.cpp itself takes more for such, by their names."""


def find(run_folder: Path, checkpoint_folder: Path, base_folder: Path) -> Files | None:
    """The files of a checkpoint, where both are there. Raises UsageError where the checkpoint is damaged."""
    adapter = _adapter_file(run_folder, checkpoint_folder)
    if not adapter.is_file():
        return None
    from gguf import GGUFReader

    try:
        fields = GGUFReader(adapter).fields
        base, end_ids = base_folder / fields[BASE_KEY].contents(), frozenset(map(int, fields[END_KEY].contents().split(",")))
    except (ValueError, IndexError, KeyError):     # damaged, or of another version: it will be made again
        return None
    return Files(base, adapter, end_ids) if base.is_file() else None


def export(student, run_folder: Path, checkpoint_folder: Path, base_folder: Path, chats: Sequence[list[dict]], longest: int,
           on_progress=None) -> Files:
    """Write what is not there yet of the files of the student, which holds the checkpoint. `chats` are conversations whose token ids must
    come out the same; `longest` is what prompt and completion may have together, tokens. Raises NotExportable, OSError."""
    from recipes.gguf_export import export_base, objection, vocabulary_note, write_adapter

    if why := objection(student, longest):
        raise NotExportable(why)
    if student.device.type == "cuda" and not llama.llama_supports_gpu_offload():
        raise NotExportable("llama-cpp-python was built without CUDA")
    if vocabulary_note(student):
        raise NotExportable("its tokenizer is not one that is written to GGUF")
    files = Files(export_base(student, base_folder, on_progress), _adapter_file(run_folder, checkpoint_folder), student.end_ids)
    stored = StoredStudent(files)
    try:
        if any(stored.prompt_ids(chat) != student.prompt_ids(chat) for chat in chats):
            raise NotExportable("llama.cpp does not split the prompts into the tokens that it was trained on")
    finally:
        stored.close()
    files.adapter.parent.mkdir(exist_ok=True)
    aside = files.adapter.with_name(f".{files.adapter.name}.new")
    try:
        write_adapter(student, aside, more={BASE_KEY: files.base.name, END_KEY: ",".join(map(str, sorted(student.end_ids)))})
        os.replace(aside, files.adapter)
    finally:
        aside.unlink(missing_ok=True)
    return files


def _adapter_file(run_folder: Path, checkpoint_folder: Path) -> Path:
    digest = checkpoint.read(checkpoint_folder)["sha256"][checkpoint.ADAPTER]
    return run_folder / "gguf" / f"{checkpoint_folder.name}-{digest[:16]}.gguf"


class StoredStudent:
    """What sampling needs to know of a student, read from its base's file: its tokens, chat template, end tokens and shape."""

    def __init__(self, files: Files) -> None:
        """Raises UsageError where llama.cpp cannot load the base."""
        self.files, self.end_ids = files, files.end_ids
        self.device = SimpleNamespace(type="cuda" if llama.llama_supports_gpu_offload() else "cpu")
        self._model = load_file(files.base, vocab_only=True)
        self._vocabulary = llama.llama_model_get_vocab(self._model)
        kind = self._metadata("general.architecture")
        self.config = SimpleNamespace(num_hidden_layers=int(self._metadata(f"{kind}.block_count")),
                                      num_key_value_heads=int(self._metadata(f"{kind}.attention.head_count_kv")),
                                      head_dim=int(self._metadata(f"{kind}.attention.key_length")))

    def close(self) -> None:
        llama.llama_model_free(self._model)

    def prompt_ids(self, messages: list[dict]) -> list[int]:
        """Token ids of a chat, ready for the student's reply; as `Student.prompt_ids` gives them."""
        if self._template is not None:
            return self._ids(self._template(messages=messages).prompt)
        begin = self._metadata("tokenizer.ggml.bos_token_id")
        start = [] if begin is None else [int(begin)]
        return start + self._ids("\n\n".join(message["content"] for message in messages))

    def text(self, ids: Sequence[int]) -> str:
        """The text of a completion, without its end token."""
        ids = list(ids)
        if ids and ids[-1] in self.end_ids:
            ids.pop()
        room = 256 * len(ids) + 1                  # the longest tokens of known vocabularies have half as many bytes
        buffer = ctypes.create_string_buffer(room)
        count = llama.llama_detokenize(self._vocabulary, (llama.llama_token * len(ids))(*ids), len(ids), buffer, room, False, True)
        if count < 0:
            raise UsageError(f"{self.files.base} holds tokens of more than 256 bytes, which are not supported. Use another student.")
        return buffer.raw[:count].decode("utf-8", "replace")

    @cached_property
    def _template(self):
        """What makes a text of messages; None where the file has no chat template."""
        found = llama.llama_model_chat_template(self._model, None)
        if found is None:
            return None
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        begin, end = (self._token_text(self._metadata(f"tokenizer.ggml.{which}_token_id")) for which in ("bos", "eos"))
        return Jinja2ChatFormatter(found.decode(), eos_token=end, bos_token=begin)

    def _token_text(self, number: str | None) -> str:
        return "" if number is None else llama.llama_vocab_get_text(self._vocabulary, int(number)).decode()

    def _ids(self, text: str) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 1                       # no text has more tokens than bytes
        ids = (llama.llama_token * room)()
        count = llama.llama_tokenize(self._vocabulary, data, len(data), ids, room, False, True)
        return list(ids[:count])

    def _metadata(self, key: str) -> str | None:
        buffer = ctypes.create_string_buffer(256)
        count = llama.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode() if count >= 0 else None


class StoredEngine(LlamaEngine):
    """Samples from the files of a `StoredStudent`, which it closes."""

    def __init__(self, student: StoredStudent, longest: int, threads: int) -> None:
        super().__init__(student, student.files.base, longest, threads)

    def _swap_adapter(self) -> None:
        if self._adapter is None:
            self.use_adapter(self.student.files.adapter)

    def close(self) -> None:
        super().close()
        self.student.close()
