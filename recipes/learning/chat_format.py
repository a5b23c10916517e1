"""What a chat template puts between a reply and the next one. Needs no torch.

    chat = ChatFormat(render, source, end_texts)    # None, "", ... where there is no template
    text = chat.between(answer)         # stands behind a reply's end token
    why = chat.why_not_rendered_anew()  # "" or a sentence for a person, at start

Tokens go in and out: what stands in an episode is never rendered again, and an answer is only
appended. What to append is read off the template: a made-up conversation is rendered in which the
answer is the next user message, and all up to the end of the assistant's reply is cut off. The end
token that the template puts there is cut off, too, for the reply has one, which the student wrote.
Of models that know several it may be another than the template's: it stands in its place, so that a
reply has one end token, the one whose log-probability is known.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.errors import UsageError

Render = Callable[[list[dict]], str]
"""Messages -> the text that ends where the next reply begins. May raise what the template does."""

QUESTION, REPLY, ANSWER = "A question.", "reply-4f1c", "An answer."
"""Of the made-up conversations."""
SPACED, THOUGHT = f" {REPLY} \n", f"<think>\nA thought.\n</think>\n\n{REPLY}"

KEPT = (
    "In episodes of several turns nothing is rendered anew, so what was written stays as it was "
    "written."
)
REFUSED = (
    "This model's chat template cannot write a conversation of several turns ({}). Set turns = 1."
)


@dataclass(frozen=True)
class ChatFormat:
    """How a model's conversations are written."""

    render: Render | None
    """None: messages stand one after the other with a blank line between them."""
    source: str
    """Of the template."""
    end_texts: tuple[str, ...]
    """The end tokens as a template writes them, the one of `completion_ids` first."""

    def between(self, answer: str) -> str:
        """The text behind a reply's end token, up to where the next reply begins. Raises UsageError
        for a template that leaves out earlier replies or cannot be filled in."""
        if self.render is None:
            return f"\n\n{answer}"
        return self._without_end(self._after_reply(REPLY, answer))

    def why_not_rendered_anew(self) -> str:
        """What the template makes otherwise of a conversation that goes on, and how that is
        handled; empty where it makes nothing otherwise. Raises UsageError as `between`, and for one
        that leaves out the last message."""
        if self.render is None:
            return ""
        if ANSWER not in self.between(ANSWER):
            raise UsageError(REFUSED.format("it leaves out the last message"))
        if not self._is_continued(REPLY):
            why = "puts something else around an earlier reply than around the last one"
        elif not self._is_continued(THOUGHT):
            why = "leaves out what the model thought in earlier turns"
        elif not self._is_continued(SPACED):
            why = "trims earlier replies"
        elif "strftime_now" in self.source:
            why = "names the date, which may change while an episode is written"
        else:
            return ""
        return f"This model's chat template {why}. {KEPT}"

    def _is_continued(self, reply: str) -> bool:
        """Whether a conversation begins as it did before a reply was answered."""
        assert self.render is not None
        before = self.render(conversation()) + reply
        whole = self.render(conversation(reply, ANSWER))
        return whole.startswith(before) and self._without_end(whole[len(before) :]) == self.between(
            ANSWER
        )

    def _after_reply(self, reply: str, answer: str) -> str:
        assert self.render is not None
        try:
            text = self.render(conversation(reply, answer))
        except Exception as error:  # templates raise what they like
            raise UsageError(REFUSED.format(error)) from None
        before, found, after = text.partition(reply)
        if not found:
            raise UsageError(REFUSED.format("it leaves out earlier replies"))
        return after

    def _without_end(self, after: str) -> str:
        """What stands behind a reply without its end token, where there is one."""
        bare = after.lstrip()
        for end in sorted(self.end_texts, key=len, reverse=True):
            if bare.startswith(end):
                return bare.removeprefix(end)
        return after


def conversation(reply: str = "", answer: str = "") -> list[dict]:
    """A made-up one, up to a reply, or up to the reply to an answer."""
    messages = [{"role": "user", "content": QUESTION}]
    if reply:
        messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": answer}]
    return messages
