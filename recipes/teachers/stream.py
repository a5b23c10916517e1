"""What an endpoint has said in one reply, at once or piece by piece.

    heard = Heard()
    heard.take(data)             # a chat completion, or the chunks of its stream, in order
    heard.error                  # what went wrong by its own words; None where nothing did
    heard.texts, heard.finish, heard.usage

A status of 200 does not mean an answer. Endpoints, and what stands between, send their errors under
it as well: an object `error` in the place of choices, in the middle of a stream or in a choice; a
`finish_reason` that says that their own work failed (`ledger.FAILED`); a reply without a choice.

Texts come as strings and as lists of parts (`{"type": "text", "text": ...}`); parts of thinking and
the fields `reasoning_content`, `reasoning`, `thinking` and `reasoning_details` are reasoning. Tags
in the text itself stay there, for `sandbox/tasks/replies.py`. Only the first choice is read.
"""

import json
import re
from typing import Any

from recipes.teachers.ledger import FAILED

THOUGHT = re.compile(r"thinking|thought|reasoning|redacted|summary")
"""How the types of parts begin that are no part of the answer."""
INSIDE = ("text", "thinking", "reasoning", "content", "summary", "value")
"""Where the text of a part stands, or further parts."""
STATUS_KEYS = ("code", "status", "status_code", "http_code", "type")
STATUSES = {
    r"insufficient.?(quota|credit|balance|funds)|billing|payment|arrear": 402,
    r"rate.?limit|too.?many.?requests|exhausted|throttl|quota": 429,
    r"overload|unavailable|capacity|busy": 503,
    r"api.?key|authenticat|unauthori[sz]ed": 401,
    r"permission|forbidden": 403,
    r"not.?found": 404,
    r"invalid.?(request|argument|param)|bad.?request|context.?(length|window)": 400,
    r"time.?out|timed": 408,
    r"internal|server.?error": 500,
}
"""{what an endpoint's name for an error holds: the HTTP status that others send with it}"""


class Heard:
    """One reply so far."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._error: dict | str | None = None
        self._beside: dict | str | None = None
        self._chosen = False
        self.finish = ""
        self.usage: dict | None = None

    def take(self, data: dict | list) -> None:
        """Raises AttributeError or TypeError for what the protocol does not know."""
        if isinstance(data, list) and not data:
            raise TypeError("an empty list is no reply")
        said: dict = data[0] if isinstance(data, list) else data  # Gemini wraps its errors
        self.usage = said.get("usage") or self.usage
        self._error = self._error or said.get("error")
        if not said.get("choices") and (self._beside is None or words_of(said)):
            self._beside = said
        for choice in said.get("choices") or ():
            if not choice.get("index"):
                self._take_choice(choice)

    def fail(self, error: Any) -> None:
        """The package has found this error in the stream."""
        self._error = self._error or error

    def _take_choice(self, choice: dict) -> None:
        self._chosen = True
        self._error = self._error or choice.get("error")
        self.finish = choice.get("finish_reason") or self.finish
        self.usage = choice.get("usage") or self.usage
        said = choice.get("delta") or choice.get("message") or {}
        text, thought = in_parts(said.get("content"))
        fields = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
        aloud = next((said[name] for name in fields if said.get(name)), "")
        self._content.append(text)
        self._reasoning.append(thought + "".join(in_parts(aloud)))

    @property
    def spoke(self) -> bool:
        """Whether any text came."""
        return any(self._content) or any(self._reasoning)

    @property
    def texts(self) -> tuple[str, str]:
        """(the answer, the reasoning)"""
        return "".join(self._content), "".join(self._reasoning)

    @property
    def error(self) -> dict | str | None:
        """The endpoint's error as it sent it; None where it sent an answer, be it an empty one."""
        if self._error:
            return self._error
        if self.finish in FAILED:
            return f"it ended with {self.finish!r}"
        if not self._chosen:
            return self._beside if words_of(self._beside) else "no choice in the reply"
        return None


def in_parts(value: object) -> tuple[str, str]:
    """(text, thinking) of a content: a string, a part, or a list of these."""
    if isinstance(value, str):
        return value, ""
    if isinstance(value, list):
        pairs = [in_parts(part) for part in value]
        return "".join(text for text, _ in pairs), "".join(thought for _, thought in pairs)
    if not isinstance(value, dict):
        return "", ""
    kind = str(value.get("type") or "text")
    inner = [value[key] for key in INSIDE if isinstance(value.get(key), (str, list, dict))]
    text, thought = in_parts(inner[0] if inner else "")
    if THOUGHT.match(kind):
        return "", text + thought
    return (text, thought) if "text" in kind else ("", "")


def words_of(error: object) -> str:
    """What an error says to people; "" where it says nothing."""
    if isinstance(error, str):
        return error
    if not isinstance(error, dict):
        return json.dumps(error) if error else ""
    keys = ("message", "msg", "status_msg", "detail", "error", "base_resp", "description", "reason")
    said = next((words_of(error[key]) for key in keys if error.get(key)), "")
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None  # OpenRouter's source
    return f"{said}: {words_of(raw)}" if said and raw else said


def status_of(error: object) -> int | None:
    """The HTTP status that an error stands for, by its own code; None where it has none."""
    if not isinstance(error, dict):
        return None
    named = [str(error[key]) for key in STATUS_KEYS if error.get(key)]
    if number := next((int(name) for name in named if re.fullmatch(r"[45]\d\d", name)), None):
        return number
    return next(
        (
            status
            for name in named
            for pattern, status in STATUSES.items()
            if re.search(pattern, name, re.IGNORECASE)
        ),
        None,
    )
