"""A loaded student's text as tokens, and back.

    tokens = StudentTokens(tokenizer, model)
    tokens.prompt_ids(messages); tokens.completion_ids("    return 1\\n"); tokens.text(ids)

`tokens.py` gives the same ids by the tokenizer's files alone, without torch.
"""

from collections.abc import Sequence
from typing import Any

from recipes.learning.chat_format import ChatFormat
from recipes.learning.fim import FimTokens, halves, required_tokens
from recipes.learning.loading import end_tokens
from sandbox.jsonl import valid

PLAIN_TEMPLATE_NOTE = (
    "This model has no chat template, so it is given the messages one after the other with a blank "
    "line between them and nothing else."
)
PLAIN_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}"
    "{% if not loop.last %}{{ '\n\n' }}{% endif %}{% endfor %}"
)
"""The same as a chat template, for programs that need one."""


class StudentTokens:
    """The tokenizer, the chat template and the end tokens of a student."""

    def __init__(self, tokenizer: Any, causal: Any, fills_in: bool = False) -> None:
        """`causal`: the base model, which may know more end tokens than its tokenizer; `fills_in`:
        whether it is asked to fill in the middle, which it ends as its family does. Raises
        UsageError where there is no end token, or none for that."""
        self.tokenizer = tokenizer
        self.end_id, self.end_ids = end_tokens(tokenizer, causal)
        self.chat_ends = [self.end_id, *sorted(self.end_ids - {self.end_id})]
        """Those that a conversation's replies end with, the tokenizer's own first."""
        self.pad_id: int = (
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_id
        )
        self.fim: FimTokens | None = None
        """None where it is not asked for that."""
        if fills_in:
            self.fim = required_tokens(tokenizer.get_vocab().get, tokenizer.name_or_path)
            self.end_id, self.end_ids = self.fim.ends[0], self.end_ids | set(self.fim.ends)

    @property
    def notes(self) -> list[str]:
        """Sentences that a person should read."""
        is_plain = self.tokenizer.chat_template is None and self.fim is None
        return [PLAIN_TEMPLATE_NOTE] if is_plain else []

    def prompt_ids(self, messages: list[dict]) -> list[int]:
        """Token ids of a chat (`[{"role", "content"}, ...]`), ready for the student's reply; or of
        what stands before a middle and behind it (`fim.halves`), ready for that."""
        if parts := halves(messages):
            assert self.fim is not None, "a student is asked for middles or is not"
            return self.fim.prompt(self._begin, *map(self._plain_ids, parts))
        if self.tokenizer.chat_template is not None:
            return self._ids(self._render(messages))
        text = "\n\n".join(message["content"] for message in messages)
        start = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        return start + self._ids(text)

    def answer_ids(self, text: str) -> list[int]:
        """Token ids that make of a reply, which ended with an end token, and of `text` as the next
        user message a chat that is ready for the next reply. Raises UsageError for a chat template
        that cannot write one of several turns."""
        # Behind an end token, for some tokenizers begin a text with a token of their own.
        end = self.tokenizer.convert_ids_to_tokens(self.end_id)
        found = self._ids(end + self._format.between(text))
        return found[found.index(self.end_id) + 1 :]

    def why_not_rendered_anew(self) -> str:
        """As `ChatFormat.why_not_rendered_anew`."""
        return self._format.why_not_rendered_anew()

    @property
    def _format(self) -> ChatFormat:
        template = self.tokenizer.chat_template
        ends = sorted(self.end_ids - {self.end_id})
        return ChatFormat(
            None if template is None else self._render,
            str(template),
            tuple(self.tokenizer.convert_ids_to_tokens([self.end_id, *ends])),
        )

    def _render(self, messages: list[dict]) -> str:
        return self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by itself."""
        return list(map(len, self._ids(list(texts)))) if texts else []

    def completion_ids(self, text: str) -> list[int]:
        """Token ids of a reply, with the end token."""
        return self._ids(text) + [self.end_id]

    def text(self, ids: Sequence[int]) -> str:
        """The text of a completion, without its end token."""
        ids = list(ids)
        if ids and ids[-1] in self.end_ids:
            ids.pop()
        return self.tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )

    @property
    def _begin(self) -> list[int]:
        """What the tokenizer puts before a text."""
        begin, found = self.tokenizer.bos_token_id, self.tokenizer("").input_ids
        return [begin] if begin is not None and found[:1] == [begin] else []

    def _plain_ids(self, text: str) -> list[int]:
        """Token ids of a text in which special tokens are text like any other."""
        return self.tokenizer(
            valid(text), add_special_tokens=False, split_special_tokens=True
        ).input_ids

    def _ids(self, text: str | list[str]) -> list:
        """Token ids of a text, or of each of several, in which special tokens are written out."""
        return self.tokenizer(valid(text), add_special_tokens=False).input_ids
