"""The tokenizer of a GGUF file, as the files that transformers has in a folder; no torch.

    texts = tokenizer_files(fields)  # {"tokenizer.json": ..., "tokenizer_config.json": ...}

Two kinds are read. Byte-level BPE (`gpt2` in the file) has its merges there; how it splits text
before that is only named (`tokenizer.ggml.pre`), and `SPLITS` says what a name means. SentencePiece
BPE (`llama`) has scores: of two neighbours those are merged whose union has the highest one, so the
merges are all pairs that make a token, in the order of its score. Special tokens are those that the
file names, and not what a class of transformers would take for them.

Sources: llama.cpp's `src/llama-vocab.cpp` (names of splits, kinds of token, what is added to a
text) and the format of tokenizer.json by the `tokenizers` library.
"""

import json
from collections.abc import Sequence
from typing import Any

Fields = dict[str, Any]
"""The metadata of a GGUF file, {key: value}."""

FAST = "PreTrainedTokenizerFast"
"""transformers' class of what has a tokenizer.json and nothing else."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Kinds of token: gguf.TokenType."""

WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
REST = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"


def _bytes(use_regex: bool) -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


def _regex(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


GPT2 = [_bytes(True)]
SMOLLM = [{"type": "Digits", "individual_digits": True}, _bytes(True)]
QWEN2 = [_regex(WORDS + "\\p{N}" + REST), _bytes(False)]
LLAMA3 = [_regex(WORDS + "\\p{N}{1,3}" + REST), _bytes(False)]

SPLITS: dict[str, list[dict[str, Any]]] = {
    **dict.fromkeys(("gpt-2", "phi-2", "olmo", "jais", "granite-docling"), GPT2),
    **dict.fromkeys(
        ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), SMOLLM
    ),
    **dict.fromkeys(("qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan"), QWEN2),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe"), LLAMA3),
}
"""llama.cpp's name of how text is split -> the steps that do so in tokenizer.json."""
WHOLE_WORDS = ("llama-bpe", "llama3", "llama-v3", "falcon3")
"""Names with which what is a token as a whole is not put together by merges."""


class UnknownTokenizer(Exception):
    """A tokenizer that is not read; `str(error)` says why, for the end of a sentence."""


def tokenizer_files(fields: Fields) -> dict[str, str]:
    """{file name: text}. Raises UnknownTokenizer."""
    kind = fields.get("tokenizer.ggml.model")
    if kind == "gpt2":
        parts = _byte_level(fields)
    elif kind == "llama":
        parts = _sentencepiece(fields)
    elif kind in (None, "no_vocab", "none"):
        raise UnknownTokenizer("the file holds no vocabulary")
    else:
        raise UnknownTokenizer(
            f"its tokenizer is of kind {kind!r}, and only byte-level BPE (`gpt2`) and "
            "SentencePiece BPE (`llama`) are read"
        )
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(fields),
        "post_processor": _begin(fields),
        **parts,
    }
    return {
        "tokenizer.json": json.dumps(tokenizer, ensure_ascii=False),
        "tokenizer_config.json": json.dumps(_config(fields), ensure_ascii=False),
    }


def _tokens(fields: Fields) -> list[str]:
    return fields["tokenizer.ggml.tokens"]


def _types(fields: Fields) -> Sequence[int]:
    return fields.get("tokenizer.ggml.token_type") or [NORMAL] * len(_tokens(fields))


def special(fields: Fields, name: str) -> str | None:
    """The text of a special token by its name in GGUF: bos, eos, unknown, padding."""
    number = fields.get(f"tokenizer.ggml.{name}_token_id")
    return None if number is None else _tokens(fields)[number]


def _byte_level(fields: Fields) -> dict[str, Any]:
    name = fields.get("tokenizer.ggml.pre", "default")
    if name not in SPLITS:
        raise UnknownTokenizer(
            f"its tokenizer splits text as {name!r} does, which is not known here; these are: "
            + ", ".join(SPLITS)
        )
    # A token may begin with a space where it is no byte-level one, so the first place is skipped.
    pairs = [(merge, merge.index(" ", 1)) for merge in fields["tokenizer.ggml.merges"]]
    merges = [[merge[:place], merge[place + 1 :]] for merge, place in pairs]
    return {
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": SPLITS[name]},
        "decoder": _bytes(True),
        "model": _bpe(fields, merges, None, ignore_merges=name in WHOLE_WORDS),
    }


def _sentencepiece(fields: Fields) -> dict[str, Any]:
    prefix = fields.get("tokenizer.ggml.add_space_prefix", True)
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    begin = [{"type": "Prepend", "prepend": "▁"}] if prefix else []
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*begin, spaces]},
        "pre_tokenizer": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip],
        },
        "model": _bpe(fields, _merges_by_score(fields), special(fields, "unknown"), True),
    }


def _bpe(
    fields: Fields,
    merges: list[list[str]],
    unknown: str | None,
    byte_fallback: bool = False,
    ignore_merges: bool = False,
) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": byte_fallback,
        "byte_fallback": byte_fallback,
        "ignore_merges": ignore_merges,
        "vocab": {text: i for i, text in enumerate(_tokens(fields))},
        "merges": merges,
    }


def _merges_by_score(fields: Fields) -> list[list[str]]:
    """All pairs of tokens whose union is one, by the union's score, the highest first."""
    texts, types = _tokens(fields), _types(fields)
    scores = fields.get("tokenizer.ggml.scores")
    if scores is None:
        raise UnknownTokenizer("its SentencePiece tokenizer has no scores in the file")
    known = {t for t, kind in zip(texts, types) if kind in (NORMAL, USER_DEFINED)}
    order = sorted(range(len(texts)), key=lambda i: -scores[i])
    return [
        [text[:place], text[place:]]
        for text in (texts[i] for i in order if types[i] == NORMAL)
        for place in range(1, len(text))
        if text[:place] in known and text[place:] in known
    ]


def _added(fields: Fields) -> list[dict[str, Any]]:
    """What is cut out of a text before it is split."""
    return [
        {
            "id": i,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind != USER_DEFINED,
        }
        for i, (text, kind) in enumerate(zip(_tokens(fields), _types(fields)))
        if kind in (CONTROL, USER_DEFINED, UNKNOWN)
    ]


def _begin(fields: Fields) -> dict[str, Any] | None:
    """What puts the beginning token before a text, where the file wants that."""
    by_kind = fields["tokenizer.ggml.model"] == "llama" or (
        fields.get("tokenizer.ggml.pre") in WHOLE_WORDS
    )
    begin = special(fields, "bos")
    if begin is None or not fields.get("tokenizer.ggml.add_bos_token", by_kind):
        return None
    one: dict[str, Any] = {"SpecialToken": {"id": begin, "type_id": 0}}
    text = [{"Sequence": {"id": name, "type_id": place}} for place, name in enumerate("AB")]
    number = fields["tokenizer.ggml.bos_token_id"]
    return {
        "type": "TemplateProcessing",
        "single": [one, text[0]],
        "pair": [one, text[0], text[1]],
        "special_tokens": {begin: {"id": begin, "ids": [number], "tokens": [begin]}},
    }


def _config(fields: Fields) -> dict[str, Any]:
    """tokenizer_config.json."""
    end = special(fields, "eos")
    named = {
        "bos_token": special(fields, "bos"),
        "eos_token": end,
        "unk_token": special(fields, "unknown"),
        "pad_token": special(fields, "padding") or end,
        "chat_template": fields.get("tokenizer.chat_template"),
    }
    return {
        "tokenizer_class": FAST,
        "clean_up_tokenization_spaces": False,
        "model_max_length": fields.get(f"{fields.get('general.architecture')}.context_length"),
        **{key: value for key, value in named.items() if value is not None},
    }
