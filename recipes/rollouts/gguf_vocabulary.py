"""The vocabulary of a student as GGUF has it, so that other programs can serve the file.

    write_vocabulary(student, writer)
    if note := vocabulary_note(student): ...               # a sentence, where there is none to write

A student that came out of a GGUF file takes the file's own along (`gguf_student.VOCABULARY`). Else
it is written where the tokenizer is a byte-level BPE whose way of splitting text llama.cpp knows
(`SPLITS`), with the chat template; otherwise the file has none (`no_vocab`), and token ids go in
and out. The nano student's own way of splitting is no such way, and comes close: digits and letters
as `smollm` does, and the tokens of line ends, indents and triple quotes are cut out first of all,
as added tokens are (the longest first, so quotes before an indented line lose their line end to the
indent, which no prompt of that student has).
"""

import json
import re
from pathlib import Path
from typing import Any

from recipes.learning.gguf_student import VOCABULARY
from recipes.learning.gguf_tokenizer import SPLITS as STEPS
from recipes.rollouts.engine_kind import TrainedStudent
from sandbox.tasks.styles import PREFIX, SUFFIX

NANO_SPLIT = r'"""\n?|\n *| ?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]| +|\s'
"""How the nano student splits text (`nano_student.SPLIT`): written out as the others are, so that
nothing of how it is made is imported for another student."""


def _split_steps(pre_tokenizer: dict | None) -> tuple[tuple, ...]:
    """The steps of a pre-tokenizer, as `SPLITS` names them."""
    given = pre_tokenizer or {}
    steps = given.get("pretokenizers", [given])
    return tuple(
        ("bytes", step["use_regex"])
        if step["type"] == "ByteLevel"
        else ("digits", step["individual_digits"])
        if step["type"] == "Digits"
        else (step["pattern"].get("Regex"), step["behavior"])
        if step["type"] == "Split"
        else (step["type"],)
        for step in steps
        if step
    )


SPLITS = {
    **{
        _split_steps({"pretokenizers": STEPS[name]}): name
        for name in ("gpt-2", "smollm", "qwen2", "llama-bpe")
    },
    ((NANO_SPLIT, "Isolated"), ("bytes", False)): "smollm",
}
"""Steps of a tokenizer's pre-tokenizer -> llama.cpp's name of it."""

CUT_OUT_FIRST = {NANO_SPLIT: re.compile(r'"""\n?|\n *|  +')}
"""Tokens that are cut out of the text before anything else, where the named pre-tokenizer would not
part them from what follows."""


def vocabulary_note(student: TrainedStudent) -> str:
    """A sentence, where the file has no vocabulary; else empty."""
    return (
        ""
        if _carried(student.tokens.tokenizer) or _pre_tokenizer(student.tokens.tokenizer)
        else (
            "This model's tokenizer is not one that is written to GGUF, so its file holds no "
            "vocabulary: other programs cannot serve it."
        )
    )


def write_vocabulary(student: TrainedStudent, writer: Any) -> None:
    """Tokens, merges, special tokens and chat template; or that there are none."""
    import gguf

    tokenizer, size = student.tokens.tokenizer, student.config.vocab_size
    if carried := _carried(tokenizer):
        _write_fields({**carried, **_fim_fields(student)}, writer)
        return
    pre = _pre_tokenizer(tokenizer)
    if pre is None:
        writer.add_tokenizer_model("no_vocab")
        return
    data = _tokenizer_data(tokenizer)
    assert data is not None  # a pre-tokenizer is known of a tokenizer.json alone
    added = {token["id"]: token for token in data["added_tokens"]}
    cut_out = next(
        (
            pattern
            for split, pattern in CUT_OUT_FIRST.items()
            if (split, "Isolated") in _split_steps(data["pre_tokenizer"])
        ),
        None,
    )
    texts = [f"[UNUSED {i}]" for i in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    for text, i in data["model"]["vocab"].items():
        texts[i], types[i] = text, gguf.TokenType.NORMAL
        plain = tokenizer.decode([i], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if cut_out is not None and cut_out.fullmatch(plain):
            texts[i], types[i] = plain, gguf.TokenType.USER_DEFINED
    for i, token in added.items():
        texts[i], types[i] = (
            token["content"],
            gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED,
        )
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(texts)
    writer.add_token_types(types)
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in data["model"]["merges"]]
    )
    begin = tokenizer.bos_token_id
    # As prompts begin when it is trained; a chat template and its tokenizer do not always agree on
    # that.
    roles = (PREFIX, SUFFIX) if student.tokens.fim else ("user",)
    prompt = student.prompt_ids([{"role": role, "content": "a"} for role in roles])
    writer.add_add_bos_token(begin is not None and prompt[:1] == [begin])
    if begin is not None:
        writer.add_bos_token_id(begin)
    writer.add_eos_token_id(student.tokens.chat_ends[0])
    fields = _fim_fields(student)
    if gguf.Keys.Tokenizer.EOT_ID not in fields and student.tokens.chat_ends[1:]:
        writer.add_eot_token_id(student.tokens.chat_ends[1])
    _write_fields(fields, writer)
    writer.add_pad_token_id(student.tokens.pad_id)
    if tokenizer.chat_template is not None:
        writer.add_chat_template(tokenizer.chat_template)


def _write_fields(fields: dict[str, Any], writer: Any) -> None:
    """Metadata as it was read (`gguf_student.py`)."""
    import gguf

    kinds = {
        bool: gguf.GGUFValueType.BOOL,
        int: gguf.GGUFValueType.UINT32,
        float: gguf.GGUFValueType.FLOAT32,
        str: gguf.GGUFValueType.STRING,
    }
    for key, value in fields.items():
        if not isinstance(value, list):
            writer.add_key_value(key, value, kinds[type(value)])
        elif value:  # of a list the kinds of its items are read off them
            writer.add_array(key, value)


def vocabulary_of(student: TrainedStudent) -> dict | None:
    """All that decides which vocabulary is written; None where there is none."""
    tokenizer = student.tokens.tokenizer
    found = _carried(tokenizer) or _tokenizer_data(tokenizer)
    return found and {**found, **_fim_fields(student)}


def _fim_fields(student: TrainedStudent) -> dict[str, int]:
    """The metadata by which other programs fill in the middle with a student that was trained so.
    The first names of these keys were others, which older programs read. {} of other students."""
    from gguf import Keys

    if student.tokens.fim is None:
        return {}
    fim, keys = student.tokens.fim, Keys.Tokenizer
    end = (
        {} if student.tokens.end_id in student.tokens.chat_ends[:1] else {keys.EOT_ID: fim.ends[0]}
    )
    return {
        **end,
        **dict.fromkeys((keys.FIM_PRE_ID, keys.PREFIX_ID), fim.prefix),
        **dict.fromkeys((keys.FIM_SUF_ID, keys.SUFFIX_ID), fim.suffix),
        **dict.fromkeys((keys.FIM_MID_ID, keys.MIDDLE_ID), fim.middle),
    }


def _carried(tokenizer: Any) -> dict | None:
    """The metadata of the GGUF file that a student came out of; None of others."""
    file = Path(tokenizer.name_or_path) / VOCABULARY
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _pre_tokenizer(tokenizer: Any) -> str | None:
    """llama.cpp's name for how this tokenizer splits text; None where it is no byte-level BPE or
    splits in a way of its own."""
    data = _tokenizer_data(tokenizer)
    if data is None or data["model"]["type"] != "BPE" or data["model"].get("byte_fallback"):
        return None
    return SPLITS.get(_split_steps(data["pre_tokenizer"]))


def _tokenizer_data(tokenizer: Any) -> dict | None:
    """The content of tokenizer.json; None for a tokenizer written in Python."""
    raw = getattr(tokenizer, "backend_tokenizer", None)
    return None if raw is None else json.loads(raw.to_str())
