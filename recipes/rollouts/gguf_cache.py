"""A checkpoint as GGUF files, by which `fix` does without torch.

    # None where they have not been exported yet
    files = find(run_folder, checkpoint_folder, base_folder)
    # this once with torch, and the student at hand
    files = export(student, run_folder, checkpoint_folder, base_folder, chats, longest)

The base lies in the cache folder, where rollouts by llama.cpp have it, too; the adapter in RUN/gguf
under the checkpoint's name and the digest of its tensors, with the base's name in its metadata.
That llama.cpp's tokenizer and the chat template in the file give the very ids that the trainer's
tokenizer gives, `export` checks on the prompts that it is given.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.rollouts.file_engine import Files, FileStudent
from recipes.rollouts.llama_engine import fastest_matrices
from recipes.runfolder import checkpoint
from sandbox.cache import hold

if TYPE_CHECKING:  # they need torch, and who finds what is there does not
    from recipes.events import OnProgress
    from recipes.rollouts.engine_kind import TrainedStudent

BASE_KEY, END_KEY = "coldstart.base", "coldstart.end_ids"
"""Of the adapter's metadata: the name of the base's file; the tokens that end a completion, with
commas between them."""


class NotExportable(Exception):
    """llama.cpp cannot stand in for this student; `str(error)` says why, for the middle of a
    sentence."""


def find(run_folder: Path, checkpoint_folder: Path, base_folder: Path) -> Files | None:
    """The files of a checkpoint, where both are there. Raises UsageError where the checkpoint is
    damaged."""
    adapter = _adapter_file(run_folder, checkpoint_folder)
    if not adapter.is_file():
        return None
    from gguf import GGUFReader

    try:
        fields = GGUFReader(adapter).fields
        base, end_ids = (
            base_folder / fields[BASE_KEY].contents(),
            frozenset(map(int, fields[END_KEY].contents().split(","))),
        )
    except (
        ValueError,
        IndexError,
        KeyError,
    ):  # damaged, or of another version: it will be made again
        return None
    hold(base)
    return Files(base, adapter, end_ids) if base.is_file() else None


def export(
    student: "TrainedStudent",
    run_folder: Path,
    checkpoint_folder: Path,
    base_folder: Path,
    chats: Sequence[list[dict]],
    longest: int,
    on_progress: "OnProgress | None" = None,
) -> Files:
    """Write what is not there yet of the files of the student, which holds the checkpoint. `chats`
    are conversations whose token ids must come out the same; `longest` is what prompt and
    completion may have together, tokens. Raises NotExportable, OSError."""
    from recipes.rollouts.engines.llama_cpp import wrong_build
    from recipes.rollouts.gguf import export_base, unsupported, write_adapter
    from recipes.rollouts.gguf_vocabulary import vocabulary_note

    if why := unsupported(student, longest):
        raise NotExportable(why)
    if why := wrong_build(student.device.type == "cuda"):
        raise NotExportable(why)
    if vocabulary_note(student):
        raise NotExportable("its tokenizer is not one that is written to GGUF")
    base = export_base(student, base_folder, on_progress, fastest_matrices(student.device.type))
    adapter = _adapter_file(run_folder, checkpoint_folder)
    files = Files(base, adapter, student.end_ids)
    stored = FileStudent(files)
    if any(stored.prompt_ids(chat) != student.prompt_ids(chat) for chat in chats):
        raise NotExportable(
            "llama.cpp does not split the prompts into the tokens that it was trained on"
        )
    adapter.parent.mkdir(exist_ok=True)
    aside = adapter.with_name(f".{adapter.name}.{os.getpid()}")  # two `fix` at once write the same
    try:
        write_adapter(
            student,
            aside,
            more={BASE_KEY: files.base.name, END_KEY: ",".join(map(str, sorted(student.end_ids)))},
        )
        os.replace(aside, adapter)
    finally:
        aside.unlink(missing_ok=True)
    return files


def _adapter_file(run_folder: Path, checkpoint_folder: Path) -> Path:
    digest = checkpoint.read(checkpoint_folder)["sha256"][checkpoint.ADAPTER]
    return run_folder / "gguf" / f"{checkpoint_folder.name}-{digest[:16]}.gguf"
