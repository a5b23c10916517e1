"""The student as GGUF: llama.cpp computes what the trainer computes, and reads and writes the same
text."""

import math
import os

import llama_cpp
import pytest
import torch

from recipes.learning import weights
from recipes.nano import nano_student
from recipes.rollouts import gguf, gguf_vocabulary
from recipes.rollouts.choosing import policy_gap
from recipes.rollouts.gguf import base_digest, export_base, unsupported, write_base
from recipes.rollouts.gguf_vocabulary import vocabulary_note
from recipes.rollouts.llama_engine import LlamaEngine
from tests.tiny import load_tiny, make_tiny, make_tokenizer

STRETCHED = {
    "rope_theta": 10000.0,
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_theta": 10000.0, "rope_type": "linear", "factor": 4.0}
MODELS = {
    "llama": ("llama", {}),
    "llama, grouped keys, biases, stretched": (
        "llama",
        {"num_key_value_heads": 2, "attention_bias": True, "rope_parameters": STRETCHED},
    ),
    "llama, linear": ("llama", {"rope_parameters": LINEAR}),
    "mistral": ("mistral", {"sliding_window": None, "head_dim": 16}),
    "qwen2": ("qwen2", {}),
    "qwen2, tied, linear": ("qwen2", {"tie_word_embeddings": True, "rope_parameters": LINEAR}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "gemma": ("gemma", {"head_dim": 16, "tie_word_embeddings": True}),
    "gemma3": (
        "gemma3_text",
        {
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "tie_word_embeddings": True,
            "num_hidden_layers": 6,
            "sliding_window": 16,
        },
    ),
}
LONG = 72
"""Length of prompts: long enough that a wrong rotation or window shows."""


def loaded(folder, kind="llama", **more):
    return load_tiny(make_tiny(folder / "model", kind, **more))


def gap(student, base, longest=LONG + 16) -> float:
    generator = torch.Generator().manual_seed(0)
    prompts = [
        torch.randint(2, 384, (LONG - 9 * i,), generator=generator).tolist() for i in range(3)
    ]
    engine = LlamaEngine(student, base, longest, threads=1)
    try:
        return policy_gap(engine, prompts, 1.0)
    finally:
        engine.close()


@pytest.fixture(params=["added in", "as a LoRA"])
def adapter_of(request, monkeypatch):
    """Has the adapter go to llama.cpp in this way from now on, whatever the size of the model."""
    return lambda: monkeypatch.setattr(
        weights, "is_small", lambda student: request.param == "added in"
    )


@pytest.mark.parametrize("name", MODELS)
def test_llama_cpp_computes_what_the_trainer_computes(tmp_path, name, adapter_of):
    kind, more = MODELS[name]
    student = loaded(tmp_path, kind, **more)
    assert unsupported(student, 100) == ""
    base = export_base(student, tmp_path)  # F16 in both cases
    adapter_of()
    assert gap(student, base) < 0.01


def test_the_adapter_of_a_small_model_is_added_in(tmp_path, monkeypatch):
    student = loaded(tmp_path)
    engine = LlamaEngine(student, export_base(student, tmp_path), 40, threads=1)
    engine.sample([[5]], 1, 1.0, 1, [0])
    assert engine._adapter is None
    monkeypatch.setattr(weights, "SMALL", 0)
    with torch.no_grad():
        next(iter(student.adapter.tensors().values())).add_(1.0)
    engine.sample([[5]], 1, 1.0, 1, [0])
    assert engine._adapter is not None
    engine.close()


def test_eight_bits_are_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SMALL", 0)
    student = loaded(tmp_path, "qwen2", hidden=64, initializer_range=0.1)
    base, wide = (
        export_base(student, tmp_path, matrices=matrices) for matrices in ("Q8_0", "BF16")
    )
    assert gap(student, base) < 0.02 and gap(student, wide) < 0.02
    shapes = {name: shape for name, shape, _ in gguf._base_tensors(student)}
    assert base.stat().st_size < 34 / 32 * sum(map(math.prod, shapes.values())) + 100_000
    inside = sum(
        math.prod(shape)
        for name, shape in shapes.items()
        if name.startswith("blk.") and len(shape) == 2
    )
    assert wide.stat().st_size - base.stat().st_size == pytest.approx(
        inside * (2 - 34 / 32), abs=1000
    )


@pytest.mark.parametrize("spoil", ["no permutation", "no adapter"])
def test_a_wrong_export_is_far_off(tmp_path, monkeypatch, spoil):
    student = loaded(tmp_path)
    if spoil == "no permutation":
        monkeypatch.setattr(gguf, "_permuted", lambda student, layer, array: array)
    else:
        monkeypatch.setattr(LlamaEngine, "_swap_adapter", lambda self: None)
    assert gap(student, export_base(student, tmp_path)) > 0.3


@pytest.mark.parametrize(
    "kind, more, why",
    [
        ("gemma2", {"head_dim": 16, "final_logit_softcapping": None}, "type gemma2"),
        ("mistral", {"sliding_window": 50, "head_dim": 16}, "sees 50 tokens"),
        ("qwen3", {"head_dim": 16, "rope_parameters": {**LINEAR, "rope_type": "yarn"}}, "yarn"),
        ("qwen2", {"rope_parameters": STRETCHED}, "llama3"),
        ("llama", {"hidden_act": "gelu"}, "activation"),
        ("gemma3_text", {"head_dim": 16, "query_pre_attn_scalar": 24}, "queries"),
    ],
)
def test_what_llama_cpp_would_compute_differently_is_refused(tmp_path, kind, more, why):
    assert why in unsupported(loaded(tmp_path, kind, **more), 100)


def test_same_base_same_bytes_and_the_adapter_is_no_part_of_it(tmp_path):
    student, again = loaded(tmp_path / "1"), load_tiny(tmp_path / "1" / "model", wake=0.0)
    base = export_base(student, tmp_path / "a")
    assert base.name == export_base(again, tmp_path / "b").name
    assert base.read_bytes() == (tmp_path / "b" / base.name).read_bytes()
    assert base_digest(loaded(tmp_path / "2", seed=1)) != base_digest(student)


def test_the_digest_is_of_what_is_written(tmp_path):
    """Not of what else a library notes in the configuration, which unsloth does all the time."""
    student = loaded(tmp_path)
    before = base_digest(student)
    student.config.use_cache = not student.config.use_cache
    student.config.architectures = ["Another"]
    assert base_digest(student) == before
    student.config.rms_norm_eps *= 2
    assert base_digest(student) != before
    stretched = loaded(tmp_path / "s", rope_parameters=STRETCHED)
    before = base_digest(stretched)
    stretched.config.rope_parameters = {**STRETCHED, "factor": 4.0}
    assert base_digest(stretched) != before, "the factors are in the file"


def test_a_finished_file_is_used_again_and_an_unfinished_one_removed(tmp_path, monkeypatch):
    student = loaded(tmp_path)
    monkeypatch.setattr(
        gguf, "write_base", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(OSError):
        export_base(student, tmp_path / "a")
    assert list((tmp_path / "a").iterdir()) == []
    monkeypatch.undo()
    base = export_base(student, tmp_path / "a")
    os.utime(base, (1, 1))
    assert export_base(student, tmp_path / "a") == base and base.stat().st_mtime == 1


TEXTS = [
    "def f(x, y):\n    return x + y\n",
    "    if x > y:\n        return [a for a in x]\n",
    "it's 1234 == 56.7  # naïve\n\n\tдом 漢字\n",
    'def f(values, n):\n    """Return the sum of values, or 10 if empty."""\n',
    "    if not values:\n        return 10\n",
]


def vocabulary_of(student, folder):
    base = folder / "base.gguf"
    write_base(student, base)
    return llama_cpp.Llama(str(base), vocab_only=True, verbose=False)


@pytest.mark.parametrize("splits", ["gpt-2", "digits", "qwen2", "llama 3", "nano"])
def test_llama_cpp_reads_and_writes_the_same_text(tmp_path, splits):
    from tokenizers import Regex, pre_tokenizers

    qwen, llama = (
        steps[0][0]
        for steps, name in gguf_vocabulary.SPLITS.items()
        if name in ("qwen2", "llama-bpe")
    )
    pattern = {"qwen2": qwen, "llama 3": llama, "nano": nano_student.SPLIT}.get(splits)
    steps = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)]
    if splits == "digits":
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    elif pattern is not None:
        steps.insert(0, pre_tokenizers.Split(Regex(pattern), "isolated"))
    tokenizer = make_tokenizer(pre_tokenizers.Sequence(steps))
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    tokenizer.add_tokens(["<think>"])
    make_tiny(tmp_path / "model", vocab=400)
    tokenizer.save_pretrained(tmp_path / "model")
    student = load_tiny(tmp_path / "model")
    assert vocabulary_note(student) == ""
    other = vocabulary_of(student, tmp_path)
    for text in [*TEXTS, "a<think>b"]:
        ids = student.completion_ids(text)[:-1]
        assert other.tokenize(text.encode(), add_bos=False, special=False) == ids, text
        assert other.detokenize(ids).decode() == text
    assert other.tokenize(b"a<eos>", add_bos=False, special=True)[-1] == 1 == other.token_eos()
    assert other.metadata["tokenizer.chat_template"] == tokenizer.chat_template


def test_a_tokenizer_of_another_kind_gives_no_vocabulary_but_rollouts(tmp_path):
    from tokenizers import pre_tokenizers

    make_tiny(tmp_path / "model")
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save_pretrained(tmp_path / "model")
    student = load_tiny(tmp_path / "model")
    assert "no vocabulary" in vocabulary_note(student)
    assert gap(student, export_base(student, tmp_path)) < 0.01


def test_the_adapter_is_read_anew_when_it_changed(tmp_path, adapter_of):
    student = loaded(tmp_path)
    engine = LlamaEngine(student, export_base(student, tmp_path), 40, threads=1)
    adapter_of()
    first = engine.sample([[5, 9]], 4, 1.0, 8, [0])
    snapshot = student.snapshot()
    with torch.no_grad():
        for tensor in student.adapter.tensors().values():
            tensor.mul_(3.0)
    assert (
        engine.sample([[5, 9]], 4, 1.0, 8, [0]) != first
        and policy_gap(engine, [[5, 9]], 1.0) < 0.02
    )
    student.rollback(snapshot)
    assert engine.sample([[5, 9]], 4, 1.0, 8, [0]) == first
    engine.close()


def test_names_of_files_are_portable(tmp_path):
    student = loaded(tmp_path)
    student.name = "some/one: 1.5B"
    assert export_base(student, tmp_path).name.startswith("some-one-1.5B-")
