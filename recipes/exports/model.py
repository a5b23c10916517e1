"""The files of an exported model, and what samples from them.

    write("ollama", student, folder, cache, recipe, "q8_0", on_progress)
    # samples by the files in `folder` alone
    with opened("ollama", student, folder, recipe) as engine:
        pairs = [(task, engine_prompt(engine, student, messages)), ...]

    ollama    adapter.gguf, base.gguf (the base that the adapter was trained on, a hard link where the disk allows), Modelfile
    gguf      <name>.<type>.gguf: base and adapter merged, then quantised by llama.cpp's own quantiser; Q8_0 or Q4_K_M
    peft      the adapter as PEFT writes it; the model card is `model_card`'s

Ollama's own copy of a base would be quantised in another way than the one that the adapter was
trained on, so the Modelfile names a file. Its TEMPLATE is taken from the tokenizer's chat template
by filling that in (`around`): exact for a conversation of one question, with or without a system
prompt, which is what the student was trained on. One that fills in the middle is asked so where a
request has a suffix, which is what Ollama's own templates of such models do; and the GGUF file
names the tokens (`gguf_vocabulary.py`).
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.events import OnProgress
from recipes.learning.fim import halves
from recipes.learning.policy import TRAINED
from recipes.rollouts.engine import Engine
from recipes.rollouts.engine_kind import TrainedStudent, engine_kind
from recipes.rollouts.gguf import export_base, unsupported, write_adapter, write_merged
from recipes.rollouts.gguf_vocabulary import vocabulary_note
from recipes.rollouts.model_engine import ModelEngine
from recipes.runfolder import checkpoint
from recipes.settings import Recipe
from sandbox.errors import UsageError

BASE, ADAPTER, MODELFILE = "base.gguf", "adapter.gguf", "Modelfile"
EXPORTED = "exported"
"""What PEFT calls the adapter that was read back."""
QUESTION, ANSWER, SYSTEM = (
    "the-question-of-the-user",
    "the-answer-of-the-model",
    "the-words-of-the-system",
)
"""What a chat template is filled with to see what it puts around them."""


@dataclass(frozen=True)
class Job:
    """One export of a model."""

    student: TrainedStudent
    """It holds checkpoint `source`."""
    source: Path
    folder: Path
    """Where the files go."""
    cache: Path
    """Where bases are kept."""
    recipe: Recipe
    quantisation: str
    """Of `gguf`: `q8_0` or `q4_k_m`."""
    on_progress: OnProgress | None


def write(
    target: str,
    student: TrainedStudent,
    source: Path,
    folder: Path,
    cache: Path,
    recipe: Recipe,
    quantisation: str,
    on_progress: OnProgress | None = None,
) -> None:
    """Write the files of `target` for the student, which holds checkpoint `source`, to `folder`;
    `cache` is where bases are kept.

    Raises UsageError for a model that the target cannot hold, OSError when the disk is full.
    """
    TARGETS[target].write(Job(student, source, folder, cache, recipe, quantisation, on_progress))


def opened(
    target: str, student: TrainedStudent, folder: Path, recipe: Recipe
) -> AbstractContextManager[Engine]:
    """What samples from the files in `folder`. Raises UsageError or HarnessError where they cannot
    be loaded."""
    return TARGETS[target].opened(student, folder, recipe)


def _write_peft(job: Job) -> None:
    for name in (checkpoint.ADAPTER, checkpoint.CONFIG):
        shutil.copyfile(job.source / name, job.folder / name)


def _write_ollama(job: Job) -> None:
    _refuse_unsupported(job, "ollama")
    if note := vocabulary_note(job.student):
        raise UsageError(
            f"This student cannot be exported to ollama. {note} Export it with --to peft."
        )
    _link_or_copy(export_base(job.student, job.cache, job.on_progress), job.folder / BASE)
    write_adapter(job.student, job.folder / ADAPTER)
    (job.folder / MODELFILE).write_text(modelfile(job.student, job.recipe), encoding="utf-8")


def _write_gguf(job: Job) -> None:
    """Merge to float16 beside the final file, quantise, delete. Raises HarnessError where
    llama.cpp's quantiser fails."""
    _refuse_unsupported(job, "gguf")
    from recipes.rollouts.file_engine import quantise

    name = re.sub(r"[^A-Za-z0-9._-]+", "-", job.student.name)
    halves = job.folder / ".merged-f16"
    write_merged(job.student, halves, job.on_progress)
    target = job.folder / f"{name}.{job.quantisation.upper()}.gguf"
    quantise(halves, target, job.quantisation, job.recipe.student.threads)
    halves.unlink()


def _refuse_unsupported(job: Job, target: str) -> None:
    """Raise UsageError where there can be no GGUF files."""
    if name := engine_kind("llama.cpp").missing_package():
        raise UsageError(f"An export to {target} needs the package {name}: pip install {name}")
    if why := unsupported(job.student, job.recipe.student.longest):
        raise UsageError(
            f"This student cannot be exported to {target}: {why}. Export it with --to peft."
        )


@contextmanager
def _opened_peft(student: TrainedStudent, folder: Path, recipe: Recipe) -> Iterator[Engine]:
    model = student.policy.model
    model.load_adapter(str(folder), adapter_name=EXPORTED)
    model.set_adapter(EXPORTED)
    try:
        yield ModelEngine(student)
    finally:
        model.set_adapter(TRAINED)  # first, for PEFT does not delete the one in use
        model.delete_adapter(EXPORTED)


@contextmanager
def _opened_gguf(student: TrainedStudent, folder: Path, recipe: Recipe) -> Iterator[Engine]:
    """One merged file, or a base and an adapter."""
    from recipes.rollouts.file_engine import FileEngine, Files, FileStudent

    base, adapter = folder / BASE, folder / ADAPTER
    files = (
        Files(base, adapter, student.end_ids)
        if adapter.is_file()
        else Files(next(folder.glob("*.gguf")), None, student.end_ids)
    )
    try:
        reader = student if vocabulary_note(student) else FileStudent(files)
        engine = FileEngine(reader, files, recipe.student.longest, recipe.student.threads)
    except UsageError:
        raise UsageError(
            "llama.cpp cannot load the exported files beside the student, so they cannot be "
            "replayed. Close other programs that use the memory, or export without a replay: "
            "--replay 0"
        ) from None
    try:
        yield engine
    finally:
        engine.close()


@dataclass(frozen=True)
class Target:
    """A form in which a model is exported."""

    write: Callable[[Job], None]
    opened: Callable[[TrainedStudent, Path, Recipe], AbstractContextManager[Engine]]


TARGETS = {
    "ollama": Target(_write_ollama, _opened_gguf),
    "gguf": Target(_write_gguf, _opened_gguf),
    "peft": Target(_write_peft, _opened_peft),
}


def engine_prompt(engine: Engine, student: TrainedStudent, messages: list[dict]) -> list[int]:
    """Token ids of a question, as another program that serves these files would come by them: a
    GGUF file's own vocabulary makes them of the text, where it has one."""
    if engine.student is student or halves(messages):
        return engine.student.prompt_ids(messages)
    before, after = around(student)[:2]
    return engine.student.tokens(before + messages[-1]["content"] + after, begin=True)


# ---- Ollama --------------------------------------------------------------------------------------


def modelfile(student: TrainedStudent, recipe: Recipe) -> str:
    """Ollama's Modelfile. Its context holds the longest prompt and answer of the recipe: Ollama
    would cut longer ones silently."""
    before, after, ending, system = around(student)
    head = _escaped(before)
    if system is not None:
        opening, closing = map(_escaped, system)
        head = (
            "{{ if .System }}"
            + opening
            + "{{ .System }}"
            + closing
            + "{{ else }}"
            + head
            + "{{ end }}"
        )
    fill_in, end = _filling_in(student)
    stops = "".join(
        f'PARAMETER stop "{student.tokens.tokenizer.decode([i])}"\n'
        for i in sorted(student.end_ids)
    )
    return (
        f"# {student.name} with the adapter that coldstart trained. In this folder: ollama create "
        f"NAME -f {MODELFILE}\n"
        f"FROM ./{BASE}\nADAPTER ./{ADAPTER}\n"
        f'TEMPLATE """{fill_in}{head}{{{{ .Prompt }}}}{_escaped(after)}{{{{ .Response '
        f'}}}}{_escaped(ending)}{end}"""\n{stops}'
        f"PARAMETER num_ctx {recipe.student.longest}\nPARAMETER num_predict "
        f"{recipe.student.max_new}\n"
        f"PARAMETER temperature {recipe.probe.temperature:g}\n"
    )


def _filling_in(student: TrainedStudent) -> tuple[str, str]:
    """What of a template comes first, and last, where the student fills in the middle."""
    if student.tokens.fim is None:
        return "", ""
    family = student.tokens.fim.family
    prefix, suffix, middle = map(_escaped, (family.prefix, family.suffix, family.middle))
    filled = f"{prefix}{{{{ .Prompt }}}}{suffix}{{{{ .Suffix }}}}{middle}"
    return f"{{{{ if .Suffix }}}}{filled}{{{{ else }}}}", "{{ end }}"


def around(student: TrainedStudent) -> tuple[str, str, str, tuple[str, str] | None]:
    """What the chat template puts before a question, between it and the answer, and after the
    answer; and what before and after a system prompt up to the question, None where it takes none.
    Without the first token of all, where there is one.

    Raises UsageError for a template that does not show the question as it is.
    """
    tokenizer = student.tokens.tokenizer
    if tokenizer.chat_template is None:
        return "", "", tokenizer.decode([student.tokens.end_id]), None
    question = {"role": "user", "content": QUESTION}

    def fill(*messages: dict, **more: Any) -> str:
        text = tokenizer.apply_chat_template(list(messages), tokenize=False, **more)
        return text.removeprefix(
            tokenizer.bos_token or ""
        )  # llama.cpp puts it there itself, as the file tells it to

    before, found, after = fill(question, add_generation_prompt=True).partition(QUESTION)
    if not found:
        raise UsageError(
            "This model's chat template does not show the question as it is, so it cannot be "
            "written for Ollama. Export it with --to gguf."
        )
    ending = fill(question, {"role": "assistant", "content": ANSWER}).partition(ANSWER)[2]
    return before, after, ending, _around_system(fill, question)


def _around_system(fill: Callable[..., str], question: dict) -> tuple[str, str] | None:
    from jinja2 import TemplateError

    try:
        text = fill({"role": "system", "content": SYSTEM}, question, add_generation_prompt=True)
    except TemplateError:  # as templates say that they take none
        return None
    opening, found, rest = text.partition(SYSTEM)
    return (opening, rest.partition(QUESTION)[0]) if found else None


def _escaped(text: str) -> str:
    """Text for a template of Go."""
    return text.replace("{{", '{{ "{{" }}')


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
