"""An API teacher's endpoint: what it is called, what it costs, and its key.

    endpoint = find_endpoint("glm-5.2")  # recipes/teachers.toml, a URL, command:CMD, folder:DIR
    key = fit_key(endpoint, take_keys())

`client.py` sends it one request, `scheduler.py` says which is sent when, and sent again.

**Cost.** The worst case of a request is counted before it is sent: one input token for every byte
of its messages and TEMPLATE_TOKENS for what the endpoint puts around them (a byte-level tokenizer
cannot make more), at the dearer of the two prices, and as many output tokens as it may write.
Afterwards it costs what the endpoint says that it counted; where it does not say, its worst case.

**The key** is taken out of the environment once, so no child process inherits it, and is in no text
that leaves this package.
"""

import difflib
import hashlib
import ipaddress
import json
import math
import os
import re
import shlex
import shutil
import tomllib
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

from recipes.teachers.ledger import PICO
from sandbox.errors import UsageError

TEACHERS = Path(__file__).parents[1] / "teachers.toml"
KEY_ENV = "COLDSTART_TEACHER_KEY"
TEMPLATE_TOKENS = 512
NO_KEY = "none"
"""Stands for the key of a teacher that needs none of us."""
COMMAND, FOLDER, GGUF, SESSIONS = "command:", "folder:", "gguf:", "sessions:"
"""What `--teacher` begins with where it is a program, where a person pastes the replies, where it
is a file of this machine, and where old sessions of agents are looked through."""
FREE = ("0", "0", "0")
PER_MILLION = PICO // 10**6


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
    def is_command(self) -> bool:
        """Whether a program answers (`programs.py`)."""
        return self.base_url.startswith(COMMAND)

    @property
    def is_folder(self) -> bool:
        """Whether a person pastes the replies into a folder (`pasted.py`)."""
        return self.base_url.startswith(FOLDER)

    @property
    def is_gguf(self) -> bool:
        """Whether it is a file, which llama.cpp runs here (`local_gguf.py`)."""
        return self.base_url.startswith(GGUF)

    @property
    def is_sessions(self) -> bool:
        """Whether it has answered already (`sessions.py`)."""
        return self.base_url.startswith(SESSIONS)

    @property
    def folder(self) -> Path:
        """Where replies or sessions lie."""
        return Path(self.base_url.partition(":")[2])

    @property
    def owner(self) -> str:
        """What belongs to somebody, in words."""
        if self.is_command:
            return f"The model that {self.model} asks"
        if self.is_sessions:
            return "The model that wrote these sessions"
        return "The chat whose replies are pasted" if self.is_folder else self.name

    @property
    def has_price(self) -> bool:
        """Whether what it costs is counted: of a program, and of what a person has pasted, nobody
        here knows, and a file costs nothing."""
        return not (self.is_command or self.is_folder or self.is_gguf or self.is_sessions)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, so that nothing leaves it."""
        if self.is_gguf:
            return True
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

    def request(self, body: dict, sample: int, beside: str = "") -> str:
        """The hash under which the request is paid for once. `sample` tells apart requests that are
        alike and meant to be answered anew; `beside`: what else the answer depends on."""
        parts = [self.base_url, body, sample, *([beside] if beside else [])]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def cost(self, tokens_in: int, tokens_cached: int, tokens_out: int) -> int:
        """Picodollars, where the price is known."""
        assert self.price is not None
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
    others = {COMMAND: _program, FOLDER: _pasted, GGUF: _file, SESSIONS: _sessions}
    for begins, find in others.items():
        if teacher.startswith(begins):
            if price:
                raise UsageError(
                    f"What {begins}... costs is not known here: --price is not for it."
                )
            return find(teacher, teacher.removeprefix(begins), model)
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
                "such as https://llm.example.org/v1."
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
            + f" Known: reference, {', '.join(presets)}, the URL of an endpoint, command:'CMD', "
            "folder:DIR, gguf:PATH, or sessions:DIR."
        )
    else:
        endpoint = presets[teacher]
    return changed(endpoint, model, price)


def _program(teacher: str, command: str, model: str | None) -> Endpoint:
    """The one that answers on its standard output. Raises UsageError where it is not there."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--teacher {teacher}: {error}. It is read as a shell would.") from None
    if not words or shutil.which(words[0]) is None:
        raise UsageError(
            f"--teacher {teacher}: there is no program {words[0] if words else ''!r}. It is run "
            "with the prompt on its standard input, as in --teacher command:'my-client --quiet'."
        )
    return Endpoint("command", teacher, model or Path(words[0]).name, FREE)


def _pasted(teacher: str, folder: str, model: str | None) -> Endpoint:
    """The folder into which replies are pasted. Raises UsageError where it is none."""
    path = Path(folder).expanduser()
    if not folder or path.exists() and not path.is_dir():
        raise UsageError(f"--teacher {teacher}: {folder or 'nothing'} is no folder.")
    return Endpoint("folder", f"{FOLDER}{path.resolve()}", model or path.resolve().name, FREE)


def _file(teacher: str, name: str, model: str | None) -> Endpoint:
    """The GGUF file that answers. Raises UsageError where there is none."""
    path = Path(name).expanduser()
    if path.suffix != ".gguf" or not path.is_file():
        raise UsageError(f"--teacher {teacher}: {name or 'nothing'} is no GGUF file.")
    return Endpoint("gguf", f"{GGUF}{path.resolve()}", model or path.stem, FREE, max_output=2048)


def _sessions(teacher: str, folder: str, model: str | None) -> Endpoint:
    """The folder of old sessions. Raises UsageError where there is none."""
    path = Path(folder).expanduser()
    if not folder or not path.is_dir():
        raise UsageError(f"--teacher {teacher}: {folder or 'nothing'} is no folder.")
    return Endpoint("sessions", f"{SESSIONS}{path.resolve()}", model or path.name, FREE)


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
    """The key for the endpoint; a stand-in for one that needs none. Raises UsageError."""
    if not endpoint.has_price:
        return NO_KEY
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
