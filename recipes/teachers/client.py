"""One request to an endpoint, and what becomes of it: a reply, or a fault in words.

    client = Client(endpoint, key, stall=120.0)
    reply = await client.send(endpoint.body(messages, temperature, seed))   # raises Fault

**Faults**, and what each leads to (billed: whether the try is counted at its worst case, because
the endpoint may have done the work):

| fault | billed | then |
|---|---|---|
| 401, 403: the key is refused; 402, or 429 for want of credit | no | stop at once, say so |
| 404: no such model or address; redirections | no | stop at once, say so |
| 429, 503, 529: too many requests, overloaded | no | again, after Retry-After where it is given |
| 408, 409, 425 | no | again |
| 400 and other 4xx: the request is refused | no | this request is given up (*) |
| 500, 502, 504 and other 5xx | yes | again |
| no connection | no | again |
| connection lost, no byte for `stall` seconds, no end after DEADLINE | yes | again |
| a reply that is cut off or no JSON | yes | again |
| an error under status 200, by its code one of those above | if text came | as above |
| another error under status 200, a `finish_reason` of FAILED | if text came | again |
| no choice in it; an empty reply that is not counted | no | again |
| `length`, a content filter | as counted | a reply like any other, that is no usable answer |
| no usage in it | worst case | a reply like any other |

(*) If it is so BREAKER times and nothing was ever answered, all stops.

Under status 200 what is counted is billed as counted, whatever it is. A fault is never kept as a
reply, and what earlier versions kept of this kind is not believed (`Reply.is_answer`).

Requests ask for one choice and read one, so an endpoint that ignores `n` is none the worse; one
that ignores `seed` gives the same answer twice, which counts once. Replies are read as streams, so
that a stall is seen.
"""

import asyncio
import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from recipes.teachers.endpoint import NO_KEY, Endpoint
from recipes.teachers.ledger import NOT_COUNTED, Reply, Tokens
from recipes.teachers.stream import Heard, status_of, words_of

if TYPE_CHECKING:
    import httpx
    import openai

DEADLINE = 1800.0
"""Seconds that a whole reply may take."""
LONGEST_PAUSE = 120.0
"""Seconds between two tries, at most, whatever an endpoint asks for."""
PATIENT = (408, 409, 425, 429, 503, 529)
"""Statuses of an endpoint that did nothing and wants to be asked later."""
NO_CREDIT = re.compile(r"insufficient|quota|balance|arrears", re.IGNORECASE)
NEVER_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol")
"""The transport's errors with which no request can have arrived."""
KEY_LENGTH = 8
"""Characters from which on a key is one that a reply holds only if it knows it."""
LONGEST_WORDS = 4000
"""Characters of an error that are looked at."""
SENT_HEADERS = {
    "host",
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "user-agent",
    "x-stainless-raw-response",
}
"""What a request may say beside its body; the last one is the package's own mark, that it looks for
in what it sent."""

PARAMETERS = ("model", "messages", "max_tokens", "temperature", "seed")
"""Parameters that the package takes by name."""


@dataclass(eq=False)
class Fault(Exception):
    """A try that gave no reply; `str(fault)` says why, without the key."""

    words: str
    billed: bool
    """Whether it may have cost its worst case, or what `tokens` say."""
    again: bool = True
    """Whether another try may help."""
    stop: str = ""
    """A sentence for the person, where nothing else can help."""
    after: float | None = None
    """Seconds that the endpoint wants to be left alone."""
    tokens: Tokens = NOT_COUNTED
    """What the endpoint itself counted."""
    particular: bool = False
    """Whether it may be this request alone that fails."""

    def __str__(self) -> str:
        return self.words


class Sender(Protocol):
    """What answers requests: `Client`, or what stands in its place (`programs.py`, `pasted.py`)."""

    endpoint: Endpoint

    def beside(self, task: str) -> str:
        """What the answer about a task depends on beside the request; "" where on nothing."""

    async def send(self, body: dict, task: str) -> Reply:
        """Raises Fault."""

    async def close(self) -> None: ...


class Client:
    """Sends requests to one endpoint, each once, over the `openai` package."""

    def __init__(
        self, endpoint: Endpoint, key: str, stall: float, deadline: float = DEADLINE
    ) -> None:
        """`stall`: seconds without a byte after which a reply is given up; `deadline`: seconds for
        a whole one."""
        import openai

        self.endpoint, self._key, self._deadline = endpoint, key, deadline
        # Nothing but the request is to leave: no proxy for what stays on this machine, no following
        # to other hosts.
        http = openai.DefaultAsyncHttpxClient(
            follow_redirects=False,
            trust_env=not endpoint.is_local,
            event_hooks={"request": [_without_more]},
        )
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=key,
            max_retries=0,
            http_client=http,
            timeout=openai.Timeout(stall, connect=min(stall, 30.0)),
        )

    async def close(self) -> None:
        await self._client.close()

    def beside(self, task: str) -> str:
        """What an answer depends on beside the request: nothing."""
        return ""

    async def send(self, body: dict, task: str = "") -> Reply:
        """The endpoint's reply; `task` is for others. Raises Fault."""
        import openai

        try:
            async with asyncio.timeout(self._deadline):
                return await self._read(body)
        except TimeoutError:
            raise Fault(f"no end after {self._deadline:.0f} seconds", billed=True) from None
        except openai.OpenAIError as error:
            raise self._fault(error) from None

    def _fault(self, error: "openai.OpenAIError") -> Fault:
        """What the package's error is here."""
        import openai

        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            billed = status >= 500 and status not in PATIENT
            after = _retry_after(error.response.headers)
            return self._refusal(status, Fault(self._clean(error.message), billed, after=after))
        if isinstance(error, openai.APIConnectionError):
            # The transport's own error tells whether the request can have arrived.
            if type(error.__cause__).__name__ in NEVER_SENT:
                return Fault("no connection", billed=False)
            late = isinstance(error, openai.APITimeoutError)
            return Fault("no byte for too long" if late else "connection lost", billed=True)
        if isinstance(error, openai.APIError):
            words = f"an error instead of a reply: {self._clean(error.message)}"
            return Fault(words, billed=True)
        return Fault(self._clean(str(error)), billed=True)

    async def _read(self, body: dict) -> Reply:
        known = {key: value for key, value in body.items() if key in PARAMETERS}
        rest = {key: value for key, value in body.items() if key not in PARAMETERS}
        answer = await self._client.chat.completions.with_raw_response.create(
            **known, stream=True, stream_options={"include_usage": True}, extra_body=rest
        )
        heard, kind = Heard(), answer.headers.get("content-type", "")
        try:
            text = b"" if "event-stream" in kind else (await answer.http_response.aread()).strip()
            streamed = "event-stream" in kind or text.startswith((b"data:", b"event:", b":"))
            if streamed:
                await _follow(answer.parse(), heard)
            elif text[:1] in (b"{", b"["):  # it does not stream
                heard.take(json.loads(text))
            else:
                words = self._clean(text[:1000].decode("utf-8", "replace"))
                raise Fault(f"no reply but {kind or 'something else'}: {words}", billed=False)
            return self._reply(heard, streamed, answer.headers)
        except (ValueError, TypeError, AttributeError, IndexError):
            raise Fault("a reply that is not what the protocol says", billed=True) from None

    def _reply(self, heard: Heard, streamed: bool, headers: Mapping[str, str]) -> Reply:
        """Raises Fault where it is no answer."""
        tokens = _counts(heard.usage)
        billed = heard.spoke or tokens[0] is not None
        if (error := heard.error) is not None:
            raise self._error_in_reply(
                error, Fault("", billed, after=_retry_after(headers, error), tokens=tokens)
            )
        if streamed and not heard.finish and heard.spoke:
            raise Fault("a reply that is cut off", billed, tokens=tokens)
        content, reasoning = map(self._without_key, heard.texts)
        reply = Reply(content, reasoning, heard.finish, *tokens)
        if not reply.is_answer or streamed and not heard.finish:
            raise Fault("an empty reply", billed, tokens=tokens, particular=True)
        return reply

    def _error_in_reply(self, error: dict | str, fault: Fault) -> Fault:
        """An error under status 200, with what is known of its costs."""
        status, words = status_of(error), self._clean(words_of(error) or "without a word")
        if status is None:
            words = f"an error instead of a reply: {words}"
            return replace(fault, words=words, particular=True)
        return self._refusal(status, replace(fault, words=words, particular=status not in PATIENT))

    def _refusal(self, status: int, fault: Fault) -> Fault:
        """What a status leads to, be it the reply's own or one that its text speaks of. `fault` has
        the endpoint's words, and what is known of costs."""
        words = f"{status}" + (f": {fault.words}" if fault.words else "")
        stop = self._stop(status, words, fault)
        again = bool(stop) or status in PATIENT or status >= 500
        return replace(fault, words=words, again=again, stop=stop)

    def _stop(self, status: int, words: str, fault: Fault) -> str:
        """The sentence for a person with which all ends; "" where it does not."""
        name, model, address = self.endpoint.name, self.endpoint.model, self.endpoint.base_url
        if status in (401, 403):
            return (
                f"{name} refuses the key ({status}). Check {self.endpoint.key_env}: is it of "
                f"this provider, whole, and allowed to use {model}?"
                + ("" if fault.billed else " Nothing was paid for this request.")
            )
        if status == 402 or status == 429 and NO_CREDIT.search(fault.words):
            return (
                f"{name} says that there is no credit left ({words}). Put some in the account, "
                "and give the same command again."
            )
        if status == 404:
            return (
                f"{name} does not know the model {model!r}, or {address} is not its address (404)."
            )
        if 300 <= status < 400:
            return (
                f"{address} sends requests on to another address. Name that one with --teacher URL."
            )
        return ""

    def _without_key(self, text: str) -> str:
        """A short key may be any word, and a word of an answer is not to be changed for it."""
        return text.replace(self._key, "[key]") if len(self._key) >= KEY_LENGTH else text

    def _clean(self, text: str) -> str:
        """One short line without the key and without parts of it."""
        text = re.sub(r"^Error code: \d+ - ", "", text[:LONGEST_WORDS])
        text = text if self._key == NO_KEY else text.replace(self._key, "[key]")
        hidden = {
            at + i
            for at in range(len(text) - 7)
            if text[at : at + 8] in self._key
            for i in range(8)
        }
        text = "".join(
            "*" if at in hidden else c if c.isprintable() else " " for at, c in enumerate(text)
        )
        return " ".join(text.split())[:200]


async def _follow(stream: Any, heard: Heard) -> None:
    """Take in a stream to its end. Once the reply is whole a lost connection takes nothing from it
    but the count, and asking again would be paying twice."""
    import openai

    try:
        async with stream as chunks:
            async for chunk in chunks:
                heard.take(chunk.to_dict(warnings=False))
    except openai.APIConnectionError:
        if not heard.finish:
            raise
    except openai.APIError as error:
        heard.fail(error.body or error.message)


def _counts(usage: dict | None) -> Tokens:
    """What a reply's `usage` counts; None for all where it says what cannot be."""
    if not isinstance(usage, dict):
        return NOT_COUNTED
    try:
        cached = (
            (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
            or usage.get("prompt_cache_hit_tokens")
            or 0
        )
        tokens = int(usage["prompt_tokens"]), int(cached), int(usage["completion_tokens"])
    except (AttributeError, KeyError, ValueError, TypeError):
        return NOT_COUNTED
    return tokens if min(tokens) >= 0 and tokens[1] <= tokens[0] else NOT_COUNTED


async def _without_more(request: "httpx.Request") -> None:
    """Strip what the package tells of this machine, and what else stands in its environment for
    another provider."""
    for name in set(request.headers) - SENT_HEADERS:
        del request.headers[name]


def _retry_after(headers: Mapping[str, str], error: dict | str | None = None) -> float | None:
    """Seconds, from a number or a date: what the headers say, or what an error in the reply quotes
    of another endpoint's (OpenRouter)."""
    beside = error if isinstance(error, dict) else {}
    metadata = beside.get("metadata")
    quoted = metadata.get("headers") if isinstance(metadata, dict) else None
    for place in (headers, beside, quoted if isinstance(quoted, dict) else {}):
        said = {str(name).lower().replace("_", "-"): str(value) for name, value in place.items()}
        seconds = [
            _number(said.get("retry-after-ms"), 1000),
            _number(said.get("retry-after"), 1),
            _until(said.get("retry-after")),
        ]
        if place is quoted:
            at = _number(said.get("x-ratelimit-reset"), 1000)  # since 1970
            seconds.append(None if at is None else at - time.time())
        if (found := next((s for s in seconds if s is not None), None)) is not None:
            return max(0.0, min(found, LONGEST_PAUSE))
    return None


def _number(text: str | None, parts: int) -> float | None:
    try:
        number = float(text or "") / parts
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _until(text: str | None) -> float | None:
    try:
        return (parsedate_to_datetime(text or "") - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
