"""An API teacher's endpoint: what it is called, what it costs, and one request sent to it; and the
rule by which requests are sent again.

    endpoint = find_endpoint("glm-5.2")  # recipes/teachers.toml, or a URL with model and price
    asker = Asker(Client(endpoint, key, stall=120.0), ledger, replies, cap, tries=6, pause=1.0, seed=0)
    asked = await asker.ask(task, body, sample)  # asked.request, asked.reply; paid for at most once

**Cost.** The worst case of a request is counted before it is sent: one input token for every byte
of its messages and TEMPLATE_TOKENS for what the endpoint puts around them (a byte-level tokenizer
cannot make more), at the dearer of the two prices, and as many output tokens as it may write.
Afterwards it costs what the endpoint says that it counted; where it does not say, its worst case.

**Faults**, and what each leads to (billed: whether the try is counted at its worst case, because
the endpoint may have done the work):

| fault | billed | then |
|---|---|---|
| 401, 403: the key is refused; 402, or 429 for want of credit; 404: no such model or address; redirections | no | stop at once, say so |
| 429, 503, 529: too many requests, overloaded | no | again, after Retry-After where it is given |
| 408, 409, 425 | no | again |
| 400 and other 4xx: the request is refused | no | this request is given up; if it is so BREAKER times and nothing was ever answered, stop |
| 500, 502, 504 and other 5xx | yes | again |
| no connection | no | again |
| connection lost, no byte for `stall` seconds, no end after DEADLINE | yes | again |
| a reply that is cut off or no JSON | yes | again |
| an error under status 200, by its code one of those above | if text came | as above |
| another error under status 200, a `finish_reason` of FAILED | if text came | again |
| no choice in it; an empty reply that is not counted | no | again |
| `length`, a content filter | as counted | a reply like any other, that is no usable answer |
| no usage in it | worst case | a reply like any other |

Under status 200 what is counted is billed as counted, whatever it is. A fault is never kept as a
reply, and what earlier versions kept of this kind is not believed (`Reply.is_answer`).

Requests ask for one choice and read one, so an endpoint that ignores `n` is none the worse; one
that ignores `seed` gives the same answer twice, which counts once. Replies are read as streams, so
that a stall is seen.

*Again* is after a pause that doubles from try to try, with jitter, until `tries` have failed. While
an endpoint has not answered yet, or has failed BREAKER times in a row, one request at a time is
sent to it: a wrong key costs one request, and an endpoint that is down little.

Where the tries are used up, the request is given up, and the task may end with that reason. All
stops where the endpoint seems to be down: it has never answered this run, or requests of BREAKER
tasks were given up with no answer between. What may be this request's alone (an error under status
200 whose code says nothing else) is no sign of that once the endpoint has answered.

**A prompt that is cut.** A server whose context is too short drops a part of the prompt without a
word, and then counts fewer tokens than the prompt has. Less than CUT of our estimate is said, once
in a run; such a reply is used, but other runs do not get it, because the context can be mended.

**The key** is taken out of the environment once, so no child process inherits it, and is in no text
that leaves this module.
"""

import asyncio
import difflib
import hashlib
import ipaddress
import itertools
import json
import math
import os
import random
import re
import time
import tomllib
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from recipes.learning.measure import derived_seed
from recipes.teachers.ledger import PICO, CapReached, Ledger, Replies, Reply
from recipes.teachers.stream import Heard, status_of, words_of
from sandbox.errors import HarnessError, UsageError
from sandbox.tasks.prompts import BYTES_PER_TOKEN

TEACHERS = Path(__file__).parents[1] / "teachers.toml"
KEY_ENV = "COLDSTART_TEACHER_KEY"
TEMPLATE_TOKENS = 512
DEADLINE = 1800.0
"""Seconds that a whole reply may take."""
LONGEST_PAUSE = 120.0
BREAKER = 3
PATIENT = (408, 409, 425, 429, 503, 529)
"""Statuses of an endpoint that did nothing and wants to be asked later."""
NO_CREDIT = re.compile(r"insufficient|quota|balance|arrears", re.IGNORECASE)
NO_KEY = "none"
"""Stands for the key of an endpoint on this machine that needs none."""
KEY_LENGTH = 8
"""Characters from which on a key is one that a reply holds only if it knows it."""
CUT = 0.55
"""Share of our estimate (BYTES_PER_TOKEN): an endpoint that counts fewer tokens has cut the prompt.
Tokenizers of today make 3 to 4.5 bytes of code or prose a token; this is 5.5."""
LONGEST_WORDS = 4000
"""Characters of an error that are looked at."""
LEAST_SEEN = 256
"""Estimated tokens of a prompt, below which no count tells anything."""
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
CLAIM_SECONDS = 0.2
"""Between two looks at whether another process has the reply that both want."""
PER_MILLION = PICO // 10**6


# --------------------------------------------------------------------------------------- what it is


@dataclass(frozen=True)
class Endpoint:
    """Where a teacher answers, as which model, and for how much. Plain data; holds no key."""

    name: str
    base_url: str
    model: str
    price: tuple[str, str, str] | None = None
    """US dollars per million tokens in, cached in, out, as decimal text. None: unknown, and nothing
    is sent."""
    price_read: str = ""
    """The day on which the price was read (YYYY-MM-DD)."""
    max_output: int = 4096
    """The most tokens that one reply may have, thinking included."""
    extra: dict = field(default_factory=dict)
    """Parameters of every request, over any others of the same name."""
    omit: tuple[str, ...] = ()
    """Parameters that are never sent."""
    key_env: str = KEY_ENV
    """The environment variable that holds the key."""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, so that nothing leaves it."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def body(self, messages: list[dict[str, str]], temperature: float, seed: int) -> dict:
        """The request: what is sent but for how it is transported."""
        # Bytes that are no UTF-8 are surrogates in here, and cannot be sent.
        messages = [
            {key: text.encode("utf-8", "replace").decode() for key, text in message.items()}
            for message in messages
        ]
        full = {
            "model": self.model,
            "messages": messages,
            "max_tokens": self.max_output,
            "temperature": temperature,
            "seed": seed,
            **self.extra,
        }
        return {key: value for key, value in full.items() if key not in self.omit}

    def request(self, body: dict, sample: int) -> str:
        """The hash under which the request is paid for once. `sample` tells apart requests that are
        alike and meant to be answered anew."""
        return hashlib.sha256(
            json.dumps([self.base_url, body, sample], sort_keys=True).encode()
        ).hexdigest()

    def cost(self, tokens_in: int, tokens_cached: int, tokens_out: int) -> int:
        """Picodollars."""
        full, cached, out = (math.ceil(Decimal(price) * PER_MILLION) for price in self.price)
        return max(0, tokens_in - tokens_cached) * full + tokens_cached * cached + tokens_out * out

    def worst(self, body: dict) -> int:
        """The most that the request can cost, in picodollars."""
        size = len(json.dumps(body["messages"], ensure_ascii=False).encode())
        most = size + TEMPLATE_TOKENS
        return max(self.cost(most, 0, self.max_output), self.cost(most, most, self.max_output))

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Endpoint":
        return cls(
            **{
                **data,
                "price": tuple(data["price"]) if data["price"] else None,
                "omit": tuple(data["omit"]),
            }
        )


def find_endpoint(teacher: str, model: str | None = None, price: str | None = None) -> Endpoint:
    """The endpoint that `--teacher` names, a preset or a URL, with what `--teacher-model` and
    `--price` change. Raises UsageError."""
    presets = {
        name: _preset(name, values)
        for name, values in tomllib.loads(TEACHERS.read_text(encoding="utf-8")).items()
    }
    if "://" in teacher:
        address = urlsplit(teacher)
        if (
            address.scheme not in ("http", "https")
            or not address.hostname
            or address.username
            or address.query
        ):
            raise UsageError(
                f"--teacher {address.scheme}://{address.hostname}: not the address of an endpoint, "
                "such as "
                "https://llm.example.org/v1."
            )
        if not model:
            raise UsageError(
                f"--teacher {teacher} needs --teacher-model: which of its models is to answer?"
            )
        endpoint = Endpoint(address.hostname, teacher, model)
    elif teacher not in presets:
        near = difflib.get_close_matches(teacher, presets, n=1)
        raise UsageError(
            f"There is no teacher {teacher!r}."
            + (f" Did you mean {near[0]!r}?" if near else "")
            + f" Known: reference, {', '.join(presets)}, or the URL of an endpoint."
        )
    else:
        endpoint = presets[teacher]
    return changed(endpoint, model, price)


def changed(endpoint: Endpoint, model: str | None, price: str | None) -> Endpoint:
    """The endpoint with another model, whose price is not known unless it is this machine's own, or
    with another price. Raises UsageError."""
    if model and model != endpoint.model:
        endpoint = replace(
            endpoint,
            model=model,
            price=endpoint.price if endpoint.is_local else None,
            price_read="",
        )
    return replace(endpoint, price=_price(price), price_read="") if price else endpoint


def _preset(name: str, values: dict) -> Endpoint:
    price = tuple(map(str, values["price"])) if "price" in values else None
    return Endpoint(
        **{
            **values,
            "name": name,
            "price": price,
            "price_read": str(values.get("price_read", "")),
            "omit": tuple(values.get("omit", ())),
        }
    )


def _price(text: str) -> tuple[str, str, str]:
    parts = [part.strip() for part in text.split(",")]
    try:
        numbers = [Decimal(part) for part in parts]
    except InvalidOperation:
        numbers = []
    if len(numbers) not in (2, 3) or not all(n.is_finite() and n >= 0 for n in numbers):
        raise UsageError(
            f"--price {text}: give US dollars per million tokens as IN,OUT or IN,CACHED,OUT, for "
            "example --price 0.50,1.50."
        )
    return parts[0], parts[1] if len(parts) == 3 else parts[0], parts[-1]


def take_keys() -> dict[str, str]:
    """{environment variable: key} of all variables that hold a teacher's key, taken out of the
    environment."""
    presets = tomllib.loads(TEACHERS.read_text(encoding="utf-8"))
    names = {KEY_ENV, *(values["key_env"] for values in presets.values() if "key_env" in values)}
    return {name: os.environ.pop(name).strip() for name in sorted(names) if name in os.environ}


def fit_key(endpoint: Endpoint, keys: dict[str, str]) -> str:
    """The key for the endpoint; a stand-in for one on this machine that needs none. Raises
    UsageError."""
    key = keys.get(endpoint.key_env, "")
    if not key and endpoint.is_local:
        return NO_KEY
    if not key:
        raise UsageError(
            f"{endpoint.name} needs a key. Put it in the environment: export {endpoint.key_env}=..."
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise UsageError(
            f"What is in {endpoint.key_env} is no key: it holds spaces, line ends or characters "
            "that no key has."
        )
    if urlsplit(endpoint.base_url).scheme == "http" and not endpoint.is_local:
        raise UsageError(
            f"{endpoint.base_url} is not encrypted, and the key would be readable on the way. Use "
            "https, or unset "
            f"{endpoint.key_env}."
        )
    return key


# ------------------------------------------------------------------------------------------ one try


class Fault(Exception):
    """A try that gave no reply; `str(fault)` says why, without the key."""

    def __init__(
        self,
        words: str,
        billed: bool,
        again: bool = True,
        stop: str = "",
        after: float | None = None,
        counted: dict | None = None,
        particular: bool = False,
    ) -> None:
        """`billed`: it may have cost its worst case, or what `counted`, the endpoint's own usage,
        says. `again`: another try may help. `stop`: a sentence for the person, where nothing else
        can help. `after`: seconds that the endpoint wants to be left alone. `particular`: it may be
        this request alone that fails."""
        super().__init__(words)
        self.billed, self.again, self.stop, self.after = billed, again, stop, after
        self.tokens, self.particular = _counts(counted), particular


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

    async def send(self, body: dict) -> Reply:
        """The endpoint's reply. Raises Fault."""
        import openai

        try:
            async with asyncio.timeout(self._deadline):
                return await self._read(body)
        except TimeoutError:
            raise Fault(f"no end after {self._deadline:.0f} seconds", billed=True) from None
        except openai.APIStatusError as error:
            status, words = error.status_code, self._clean(error.message)
            raise self._refusal(
                status,
                words,
                billed=status >= 500 and status not in PATIENT,
                after=_retry_after(error.response.headers),
            ) from None
        except openai.APIConnectionError as error:
            # The transport's own error tells whether the request can have arrived.
            cause = type(error.__cause__).__name__
            if cause in (
                "ConnectError",
                "ConnectTimeout",
                "PoolTimeout",
                "ProxyError",
                "UnsupportedProtocol",
            ):
                raise Fault("no connection", billed=False) from None
            raise Fault(
                "no byte for too long"
                if isinstance(error, openai.APITimeoutError)
                else "connection lost",
                billed=True,
            ) from None
        except openai.APIError as error:
            raise Fault(
                f"an error instead of a reply: {self._clean(error.message)}", billed=True
            ) from None
        except openai.OpenAIError as error:
            raise Fault(self._clean(str(error)), billed=True) from None

    async def _read(self, body: dict) -> Reply:
        known = {
            key: body[key]
            for key in ("model", "messages", "max_tokens", "temperature", "seed")
            if key in body
        }
        rest = {key: value for key, value in body.items() if key not in known}
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

    def _reply(self, heard: Heard, streamed: bool, headers) -> Reply:
        """Raises Fault where it is no answer."""
        tokens = _counts(heard.usage)
        billed = heard.spoke or tokens[0] is not None
        if (error := heard.error) is not None:
            status, words = status_of(error), self._clean(words_of(error) or "without a word")
            after = _retry_after(headers, error)
            if status is not None:
                raise self._refusal(
                    status, words, billed, after, heard.usage, particular=status not in PATIENT
                )
            raise Fault(
                f"an error instead of a reply: {words}",
                billed,
                after=after,
                counted=heard.usage,
                particular=True,
            )
        if streamed and not heard.finish and heard.spoke:
            raise Fault("a reply that is cut off", billed, counted=heard.usage)
        content, reasoning = map(self._without_key, heard.texts)
        reply = Reply(content, reasoning, heard.finish, *tokens)
        if not reply.is_answer or streamed and not heard.finish:
            raise Fault("an empty reply", billed, counted=heard.usage, particular=True)
        return reply

    def _refusal(
        self,
        status: int,
        words: str,
        billed: bool,
        after: float | None = None,
        counted: dict | None = None,
        particular: bool = False,
    ) -> Fault:
        """What a status leads to, be it the reply's own or one that its text speaks of."""
        name, model = self.endpoint.name, self.endpoint.model
        fault, stop, again = f"{status}" + (f": {words}" if words else ""), "", False
        if status in (401, 403):
            stop = (
                f"{name} refuses the key ({status}). Check {self.endpoint.key_env}: is it of "
                f"this provider, whole, and allowed to use {model}?"
                + ("" if billed else " Nothing was paid for this request.")
            )
        elif status == 402 or status == 429 and NO_CREDIT.search(words):
            stop = (
                f"{name} says that there is no credit left ({fault}). Put some in the account, "
                "and give the same command again."
            )
        elif status == 404:
            stop = (
                f"{name} does not know the model {model!r}, or {self.endpoint.base_url} is not "
                "its address (404)."
            )
        elif 300 <= status < 400:
            stop = (
                f"{self.endpoint.base_url} sends requests on to another address. Name that one "
                "with --teacher URL."
            )
        else:
            again = status in PATIENT or status >= 500
        return Fault(fault, billed, again or bool(stop), stop, after, counted, particular)

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


async def _follow(stream, heard: Heard) -> None:
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


def _counts(usage: dict | None) -> tuple[int, int, int] | tuple[None, None, None]:
    """Tokens in, those of them that were cached, and out; None where the endpoint does not say, or
    says what cannot be."""
    try:
        cached = (
            (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
            or usage.get("prompt_cache_hit_tokens")
            or 0
        )
        tokens = int(usage["prompt_tokens"]), int(cached), int(usage["completion_tokens"])
    except (AttributeError, KeyError, ValueError, TypeError):
        return None, None, None
    return tokens if min(tokens) >= 0 and tokens[1] <= tokens[0] else (None, None, None)


async def _without_more(request) -> None:
    """Strip what the package tells of this machine, and what else stands in its environment for
    another provider."""
    for name in set(request.headers) - SENT_HEADERS:
        del request.headers[name]


def _retry_after(headers, error=None) -> float | None:
    """Seconds, from a number or a date: what the headers say, or what an error in the reply quotes
    of another endpoint's (OpenRouter)."""
    error = error if isinstance(error, dict) else {}
    metadata = error.get("metadata")
    quoted = metadata.get("headers") if isinstance(metadata, dict) else None
    for place in (headers, error, quoted if isinstance(quoted, dict) else {}):
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
        number = float(text) / parts
    except (ValueError, TypeError):
        return None
    return None if math.isnan(number) else number


def _until(text: str | None) -> float | None:
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None


# -------------------------------------------------------------------------------------------- tries


class Unanswered(Exception):
    """The request was refused, or failed as often as it may; `str(error)` is the last fault."""


@dataclass(frozen=True)
class Asked:
    """A request and its reply."""

    request: str
    reply: Reply


class Asker:
    """Gets the reply to a request: from this run's ledger, from another run, or from the endpoint,
    in several tries and under the cap."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        replies: Replies,
        cap: int,
        tries: int,
        pause: float,
        seed: int,
        stopped: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """`cap`: picodollars; `tries`: failures after which a request is given up; `pause`: seconds
        after the first one. Once `stopped()` is true nothing more is sent, as if the cap were
        reached; what is under way is waited for. `say`: told what a person should know at once."""
        self.client, self.ledger, self.endpoint = client, ledger, client.endpoint
        self._replies, self._cap, self._tries, self._pause, self._seed = (
            replies,
            cap,
            tries,
            pause,
            seed,
        )
        self._under_way, self._streak, self._answered = 0, 0, 0.0
        self._room, self._gate = asyncio.Event(), asyncio.Lock()
        self._over: Exception | None = None
        self._stopped, self._say = stopped, say
        self._given_up: dict[str, Fault] = {}
        """{task: why}, of those given up since the last answer."""

    async def ask(self, task: str, body: dict, sample: int) -> Asked:
        """Raises CapReached, Unanswered; UsageError where nothing but a person can help,
        HarnessError where the endpoint is down."""
        request = self.endpoint.request(body, sample)
        while (reply := self._known(request, task, body)) is None:
            if self._replies.claim(request):
                try:
                    reply = self._known(request, task, body) or await self._paid(
                        request, task, body
                    )
                    break
                finally:
                    self._replies.release(request)
            await asyncio.sleep(CLAIM_SECONDS)
        return Asked(request, reply)

    def _known(self, request: str, task: str, body: dict) -> Reply | None:
        if (reply := self.ledger.reply(request)) is None and (
            reply := self._replies.find(request)
        ) is not None:
            self.ledger.take_over(request, task, self.endpoint.base_url, body, reply)
            self._is_cut(body, reply)
        return reply

    async def _paid(self, request: str, task: str, body: dict) -> Reply:
        """Try after try; what is written down when is said in `ledger.py`."""
        worst = self.endpoint.worst(body)
        for failed in itertools.count(1):
            async with self._turn():
                if self._over is not None:
                    raise self._over
                if self._stopped():
                    raise CapReached
                number = await self._reserve(request, task, body, worst)
                try:
                    return self._settled(request, number, body, await self.client.send(body), worst)
                except Fault as caught:
                    fault = caught
                    cost = self._cost(fault.tokens, worst) if fault.billed else 0
                    self.ledger.fail(number, str(fault), cost)
                    self._streak += 1
                    if fault.again and failed >= self._tries:
                        self._given_up[task] = fault
                    if fault.stop:
                        self._over = UsageError(fault.stop)
                    elif not fault.again and not self._answered and self._streak >= BREAKER:
                        self._over = UsageError(
                            f"{self.endpoint.name} refuses every request ({fault}). Is it a "
                            "parameter that it does not "
                            "know? See `extra` and `omit` in recipes/teachers.toml."
                        )
                    elif self._seems_down():
                        self._over = self._no_answer(fault)
                except BaseException:
                    self.ledger.lose(number)
                    raise
                finally:
                    self._under_way -= 1
                    self._room.set()
            if self._over is not None:
                raise self._over
            if not fault.again or failed >= self._tries or self._stopped():
                raise Unanswered(str(fault))
            await asyncio.sleep(self._pause_after(request, failed, fault))

    def _settled(self, request: str, number: int, body: dict, reply: Reply, worst: int) -> Reply:
        """The reply, written down."""
        self._streak, self._answered = 0, time.monotonic()
        self._given_up.clear()
        cost = self._cost((reply.tokens_in, reply.tokens_cached, reply.tokens_out), worst)
        try:
            if not self._is_cut(body, reply):
                self._replies.keep(request, reply, cost, self.ledger.id, number)
        finally:
            self.ledger.settle(number, reply, cost)
        return reply

    def _cost(self, tokens: tuple, worst: int) -> int:
        """Picodollars of a try of which the endpoint counted so many tokens, or did not say."""
        if tokens[0] is None:
            return worst
        if (cost := self.endpoint.cost(*tokens)) > worst:
            self._over = UsageError(
                f"{self.endpoint.name} counted more tokens than the request allows ({tokens[0]} "
                f"in, {tokens[2]} out, at most {self.endpoint.max_output} asked for), so no limit "
                "can be kept with it. It is written down, and nothing more is sent."
            )
        return cost

    def _seems_down(self) -> bool:
        """By the tasks that were given up since the last answer; see the module's docstring."""
        general = sum(not fault.particular for fault in self._given_up.values())
        if self.ledger.has_answers():
            return general >= BREAKER
        return general > 0 or len(self._given_up) >= BREAKER

    def _no_answer(self, fault: Fault) -> HarnessError:
        return HarnessError(
            f"{self.endpoint.name} does not answer: {fault}. What was paid for is "
            "kept; give the same command again later."
        )

    def check(self) -> None:
        """To be called when all was asked: raises HarnessError where nothing was answered, and
        requests were given up, so that the same may be asked again."""
        if self._given_up and not self.ledger.has_answers():
            raise self._no_answer(next(iter(self._given_up.values())))

    def _is_cut(self, body: dict, reply: Reply) -> bool:
        """Whether the endpoint has evidently cut the prompt; the first time in a run it is said."""
        size = sum(len(message["content"].encode()) for message in body["messages"])
        estimate = size // BYTES_PER_TOKEN
        if not reply.tokens_in or estimate < LEAST_SEEN or reply.tokens_in >= CUT * estimate:
            return False
        if self.ledger.is_first("cut"):
            self._say(cut_sentence(self.endpoint, size, estimate, reply.tokens_in))
        return True

    async def _reserve(self, request: str, task: str, body: dict, worst: int) -> int:
        """A try's number, as soon as there is room for its worst case under the cap. Raises
        CapReached when nothing is left that could make room."""
        while True:
            self._room.clear()
            try:
                number = self.ledger.reserve(
                    request, task, self.endpoint.base_url, body, worst, self._cap
                )
                self._under_way += 1
                return number
            except CapReached:
                if not self._under_way:
                    raise
            await self._room.wait()

    @asynccontextmanager
    async def _turn(self):
        """A request's time to be sent: any time, or one after the other while the endpoint has not
        shown that it is well."""
        async with AsyncExitStack() as stack:
            if not self._is_well:
                await stack.enter_async_context(self._gate)
                if self._is_well:
                    await stack.aclose()
            yield

    @property
    def _is_well(self) -> bool:
        return self._answered > 0 and self._streak < BREAKER

    def _pause_after(self, request: str, failed: int, fault: Fault) -> float:
        jitter = random.Random(derived_seed("pause", self._seed, request, failed)).random()
        if fault.after is not None:
            return fault.after * (1 + jitter / 10)
        return min(LONGEST_PAUSE, self._pause * 2 ** (failed - 1)) * (0.5 + jitter / 2)


def cut_sentence(endpoint: Endpoint, size: int, estimate: int, counted: int) -> str:
    """What a person can do where of a prompt of `size` bytes, about `estimate` tokens, the endpoint
    counted so few."""
    wanted = 1024 * math.ceil((estimate + endpoint.max_output) / 1024)
    return (
        f"{endpoint.name} counted {counted:,} tokens in a prompt of {size:,} bytes, which are "
        f"about {estimate:,}: it has cut the prompt, and answers what it has not read. Give "
        f"the server a context of {wanted:,} tokens. In Ollama that is num_ctx: start it with "
        f"OLLAMA_CONTEXT_LENGTH={wanted}, or put `PARAMETER num_ctx {wanted}` in a Modelfile; "
        f"in llama.cpp --ctx-size {wanted}. Or send shorter prompts: "
        f"--set teacher.max_prompt={counted}."
    )
