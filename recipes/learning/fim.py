"""The fill-in-the-middle tokens of a tokenizer, and the prompt that is made of them. Needs no
torch.

    tokens = fim_tokens(vocabulary.get)          # by the texts in FAMILIES; None where there are none
    tokens.prompt(begin, prefix_ids, suffix_ids)  # prefix, suffix, then the token of the middle (PSM)
    halves(messages)                             # (prefix, suffix) of such a prompt; None of a chat

A model of one of these families was trained on texts in which `prefix`, what comes before,
`suffix`, what comes after, and `middle` stand in this order (PSM: prefix, suffix, middle), and its
middle ends with one of `ends`. No chat template is filled in. Which family it is the tokenizer's
own vocabulary tells: the first one all of whose texts are tokens of it. Models that use these
tokens in another order (suffix first, as Mellum) are taken for what their tokens say; and that a
tokenizer has them does not say that its model was trained with them (Qwen3 has Qwen2.5-Coder's).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbox.errors import UsageError
from sandbox.tasks.styles import PREFIX, SUFFIX


@dataclass(frozen=True)
class Family:
    """Models with the same tokens, as texts."""

    models: str
    prefix: str
    suffix: str
    middle: str
    end: str
    """What stands behind the middle in their training."""
    also: tuple[str, ...] = ()
    """What else they may end it with: the next file, or padding. llama.cpp ends at most of
    these."""


PIPED = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
PLAIN = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
DASHED = ("<fim-prefix>", "<fim-suffix>", "<fim-middle>")
DEEPSEEK = ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")

FAMILIES = (
    # Google, "CodeGemma: Open Code Models Based on Gemma" (arXiv:2406.11409), and Google's page on
    # its prompt structure (ai.google.dev/gemma/docs/codegemma/prompt-structure).
    Family("CodeGemma", *PIPED, "<|file_separator|>"),
    # IBM's guide to prompts of Granite 4.0 (ibm.com/granite/docs, "Prompt engineering");
    # llama.cpp's src/llama-vocab.cpp, which names the plain tokens as Granite's. Whichever a
    # tokenizer has.
    Family("Granite", *PIPED, "<|end_of_text|>", ("<|fim_pad|>",)),
    Family("Granite", *PLAIN, "<|end_of_text|>", ("<fim_pad>",)),
    # Hui et al. 2024, "Qwen2.5-Coder Technical Report" (arXiv:2409.12186), table 1 and section 3.
    Family(
        "Qwen2.5-Coder", *PIPED, "<|endoftext|>", ("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>")
    ),
    # Lozhkov et al. 2024, "StarCoder 2 and The Stack v2" (arXiv:2402.19173); Li et al. 2023,
    # "StarCoder" (arXiv:2305.06161), whose tokenizer Granite Code has (Mishra et al. 2024,
    # arXiv:2405.04324).
    Family(
        "StarCoder2, StarCoder, Granite Code", *PLAIN, "<|endoftext|>", ("<fim_pad>", "<file_sep>")
    ),
    # Ben Allal et al. 2023, "SantaCoder" (arXiv:2301.03988).
    Family("SantaCoder", *DASHED, "<|endoftext|>", ("<fim-pad>",)),
    # Guo et al. 2024, "DeepSeek-Coder" (arXiv:2401.14196), section 3.1.
    Family("DeepSeek-Coder", *DEEPSEEK, "<｜end▁of▁sentence｜>"),
    # `recipes/nano/fim_student.py`.
    Family("nano-fim", *PIPED, "<eos>"),
)
"""The first whose texts are all tokens of a tokenizer is taken."""


@dataclass(frozen=True)
class FimTokens:
    """A family's tokens in one tokenizer, as ids."""

    family: Family
    prefix: int
    suffix: int
    middle: int
    ends: tuple[int, ...]
    """All that end a middle, the one of training first."""

    def prompt(
        self, begin: Sequence[int], prefix: Sequence[int], suffix: Sequence[int]
    ) -> list[int]:
        """Token ids up to where the middle begins. `begin`: what this tokenizer puts before any
        text."""
        return [*begin, self.prefix, *prefix, self.suffix, *suffix, self.middle]


def fim_tokens(id_of: Callable[[str], int | None]) -> FimTokens | None:
    """The tokens of a tokenizer, by its texts; None where it has none."""
    for family in FAMILIES:
        texts = (family.prefix, family.suffix, family.middle, family.end)
        ids = [number for number in map(id_of, texts) if number is not None]
        if len(ids) == len(texts):
            more = [number for number in map(id_of, family.also) if number is not None]
            return FimTokens(family, ids[0], ids[1], ids[2], (ids[3], *more))
    return None


def required_tokens(id_of: Callable[[str], int | None], model: str) -> FimTokens:
    """As `fim_tokens`. Raises UsageError where there are none."""
    if found := fim_tokens(id_of):
        return found
    known = ", ".join(dict.fromkeys(family.models for family in FAMILIES))
    raise UsageError(
        f"The tokenizer of {model} has no fill-in-the-middle tokens, which the prompt style fim "
        f"needs. Known are those of {known}. Take such a student, or another style."
    )


def halves(messages: Sequence[dict]) -> tuple[str, str] | None:
    """(prefix, suffix) of a prompt of the style `fim`; None where it is a chat."""
    if [message["role"] for message in messages[:2]] != [PREFIX, SUFFIX]:
        return None
    return messages[0]["content"], messages[1]["content"]
