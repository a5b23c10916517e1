"""The student from its GGUF files alone: the same tokens, the same samples, and no torch."""

import subprocess
import sys

import pytest

from recipes.learning import weights
from recipes.nano import nano_student
from recipes.rollouts import gguf_vocabulary
from recipes.rollouts.file_engine import FileEngine, FileStudent
from recipes.rollouts.gguf_cache import NotExportable, export, find
from recipes.rollouts.llama_engine import LlamaEngine
from sandbox.errors import UsageError
from tests.conftest import ROOT
from tests.tiny import load_tiny, make_tiny, make_tokenizer

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "| trim + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN, LLAMA = (
    steps[0][0] for steps, name in gguf_vocabulary.SPLITS.items() if name in ("qwen2", "llama-bpe")
)
CHATS = [
    [{"role": "user", "content": text}]
    for text in (
        'def first(values):\n    """Return the first of values, or 10 if empty."""\n',
        "it's 1234 == 56.7  # naïve\n\n\tдом 漢字 <eos>\n\n\n",
        "`calc/core.py`:\n```python\ndef add(a, b):\n    return a  -  b\n```\n\n    x = {'a': [1, "
        "22, 333]}\r\n",
    )
]


def saved(folder, pattern=None, template=CHATML, begin=None):
    """A student in `folder` whose tokenizer splits text by this pattern and has this chat
    template."""
    from tokenizers import Regex, pre_tokenizers

    steps = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)]
    if pattern:
        steps.insert(0, pre_tokenizers.Split(Regex(pattern), "isolated"))
    tokenizer = make_tokenizer(pre_tokenizers.Sequence(steps))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = template
    if begin:
        tokenizer.bos_token = begin
    make_tiny(folder, vocab=400)
    tokenizer.save_pretrained(folder)
    return load_tiny(folder)


def exported(student, place):
    student.save(place / "run" / "checkpoints" / "best", {})
    return export(
        student, place / "run", place / "run" / "checkpoints" / "best", place / "cache", CHATS, 200
    )


@pytest.mark.parametrize(
    "pattern, template, begin",
    [
        (None, CHATML, None),
        (QWEN, CHATML, None),
        (LLAMA, "{{ bos_token }}" + CHATML, "<|im_start|>"),
        (nano_student.SPLIT, nano_student.CHAT_TEMPLATE, None),
        (None, None, None),
        (None, None, "<|im_start|>"),
    ],
)
def test_prompts_are_the_tokens_that_it_was_trained_on(tmp_path, pattern, template, begin):
    student = saved(tmp_path / "model", pattern, template, begin)
    stored = FileStudent(exported(student, tmp_path))
    for chat in CHATS:
        ids = student.prompt_ids(chat)
        assert stored.prompt_ids(chat) == ids and len(ids) > 10
        assert stored.text(ids) == student.text(ids)
        assert stored.text([*ids, student.tokens.end_id]) == student.text(ids)
    assert student.end_ids == stored.end_ids
    for answer in (chat[-1]["content"] for chat in CHATS):
        assert stored.answer_ids(answer) == student.answer_ids(answer)


def test_it_samples_what_the_student_samples_and_is_found_again(tmp_path, monkeypatch):
    # As of a larger one: what a small student samples has its adapter added in, which is rounded
    # otherwise than a LoRA beside the base.
    monkeypatch.setattr(weights, "SMALL", 0)
    student = saved(tmp_path / "model")
    files = exported(student, tmp_path)
    again = find(tmp_path / "run", tmp_path / "run" / "checkpoints" / "best", tmp_path / "cache")
    assert again == files
    prompts = [student.prompt_ids(chat) for chat in CHATS]
    engine = LlamaEngine(student, files.base, 200, threads=1)
    wanted = engine.sample(prompts, 4, 1.0, 20, [1, 2, 3])
    engine.close()
    engine = FileEngine(FileStudent(again), again, 200, threads=1)
    assert engine.sample(prompts, 4, 1.0, 20, [1, 2, 3]) == wanted
    engine.close()
    # Without the base, or of another state of the adapter, nothing is found.
    files.base.unlink()
    assert (
        find(tmp_path / "run", tmp_path / "run" / "checkpoints" / "best", tmp_path / "cache")
        is None
    )
    exported(student, tmp_path)
    import torch

    with torch.no_grad():
        student.policy.trainable[0].mul_(2)
    student.save(tmp_path / "run" / "checkpoints" / "best", {})
    assert (
        find(tmp_path / "run", tmp_path / "run" / "checkpoints" / "best", tmp_path / "cache")
        is None
    )


def test_torch_is_not_imported(tmp_path):
    files = exported(saved(tmp_path / "model"), tmp_path)
    code = (
        "import sys; from pathlib import Path; from recipes.rollouts.gguf_cache import *; from "
        "recipes.rollouts.file_engine import FileEngine\n"
        f"files = find(Path({str(tmp_path / 'run')!r}), "
        f"Path({str(tmp_path / 'run/checkpoints/best')!r}), Path({str(files.base.parent)!r}))\n"
        "engine = FileEngine(FileStudent(files), files, 200, 1)\n"
        "print(engine.sample([engine.student.prompt_ids([{'role': 'user', 'content': 'def "
        "f():'}])], 2, 1.0, 5, [0]))\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "Completion" in done.stdout, done.stderr


def test_a_student_that_llama_cpp_cannot_be_is_refused(tmp_path):
    from tokenizers import pre_tokenizers

    student = saved(tmp_path / "model")
    student.prompt_ids = lambda chat: [5]
    with pytest.raises(NotExportable, match="does not split"):
        exported(student, tmp_path)
    make_tiny(tmp_path / "other")
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save_pretrained(tmp_path / "other")
    with pytest.raises(NotExportable, match="tokenizer"):
        exported(load_tiny(tmp_path / "other"), tmp_path)
    assert not (tmp_path / "run" / "gguf").exists()


def test_a_damaged_file_is_said(tmp_path):
    files = exported(saved(tmp_path / "model"), tmp_path)
    files.base.write_bytes(files.base.read_bytes()[:1000])
    with pytest.raises(UsageError, match="cannot load"):
        FileStudent(files)
