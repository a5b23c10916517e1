"""What there is to say of a teacher at work, as events of the run (`recipes/events.py`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import Event
from sandbox.reasons import counted

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.teachers.endpoint import Endpoint


@dataclass(frozen=True)
class TeacherPlan(Event):
    """What an API teacher would be sent, and what that would cost."""

    endpoint: Endpoint
    max_usd: float
    """What it may cost in the whole run."""
    tasks: int
    """Those whose prompts may be sent."""
    tokens: int
    """In all prompts together, at BYTES_PER_TOKEN."""
    usd: tuple[float, float] | None
    """The least and the most that it costs; None where the price is unknown."""
    withheld: Mapping[str, str] = field(default_factory=dict)
    """{instance_id: why nothing of it may be sent}"""
    max_requests: int | None = None
    """How often it may be asked in the whole run."""

    def __str__(self) -> str:
        from sandbox.tasks.prompts import BYTES_PER_TOKEN

        endpoint = self.endpoint
        size = (
            f"{self.tasks} cold tasks go to {endpoint.name} ({endpoint.base_url}, model "
            f"{endpoint.model}): about {self.tokens:,} tokens of prompts (a token for "
            f"{BYTES_PER_TOKEN} bytes), and its own answers when they fail."
        )
        kept = [f"{name} is not sent: {why}." for name, why in self.withheld.items()]
        return "\n".join([size, self._cost(), *kept])

    def _cost(self) -> str:
        if self.endpoint.is_folder or self.endpoint.is_sessions:
            return "Nothing is sent by coldstart: the replies are what you paste."
        if self.endpoint.is_gguf:
            return "It runs on this machine, and costs its time."
        if self.endpoint.is_command:
            return (
                "What that costs is for the program to say; it is asked at most "
                f"{self.max_requests} times (--max-requests)."
            )
        if self.usd is None or self.endpoint.price is None:
            return (
                "What that costs is not known: --price says it, in US dollars per million tokens."
            )
        prices = " / ".join(f"${price}" for price in self.endpoint.price)
        read = f" (read {self.endpoint.price_read})" if self.endpoint.price_read else ""
        least, most = self.usd
        return (
            f"At {prices} per million tokens in / cached / out{read} it costs between "
            f"${least:.2f} and ${most:.2f}, and it stops at ${self.max_usd:.2f}."
        )


@dataclass(frozen=True)
class NothingSent(Event):
    """A dry run has ended."""

    folder: Path
    """Where the prompts were written."""

    def __str__(self) -> str:
        return f"Nothing was sent. What would be sent first of all is in {self.folder}."


@dataclass(frozen=True)
class RepliesMissing(Event):
    """Replies that a person has not pasted yet."""

    folder: Path
    """Where they are to be."""
    prompts: Path
    """Where the prompts are."""
    names: tuple[str, ...]
    there: int
    """Replies that were found."""

    def __str__(self) -> str:
        some = ", ".join(f"{name}.txt" for name in self.names[:5])
        more = f", and {len(self.names) - 5} more" if len(self.names) > 5 else ""
        return (
            f"{self.there} replies are in {self.folder}, {len(self.names)} are not: {some}{more}. "
            "The "
            f"prompts are in {self.prompts}, under the same names. An empty file says that there "
            "will be no reply."
        )


@dataclass(frozen=True)
class SessionsRead(Event):
    """Old sessions have been looked through."""

    folder: Path
    pieces: int
    """Pieces of files that agents wrote in them."""
    found: int
    """Cold tasks whose function stands in one of these."""
    tasks: int

    def __str__(self) -> str:
        return (
            f"{self.pieces} pieces of files were written in the sessions in {self.folder}; the "
            "functions "
            f"of {self.found} of {self.tasks} cold tasks are among them."
        )


@dataclass(frozen=True)
class ReferenceAnswers(Event):
    """No API teacher was named."""

    def __str__(self) -> str:
        return (
            "No API teacher is named, so the reference teacher answers: with the repository's "
            "own code, verified like any other."
        )


@dataclass(frozen=True)
class NotTaught(Event):
    """The jail could not judge what a teacher answered to a task."""

    instance_id: str
    why: str

    def __str__(self) -> str:
        return f"{self.instance_id} is not taught: {self.why}"


@dataclass(frozen=True)
class Unsolved(Event):
    """The teacher has no verified answer to some tasks."""

    reasons: Counter[str]
    """{why: tasks}"""

    def __str__(self) -> str:
        return f"Without a verified answer: {counted(self.reasons)}."


@dataclass(frozen=True)
class Spent(Event):
    """What an API teacher was asked, and what that has cost in the run so far."""

    endpoint: str
    requests: int
    usd: float
    max_usd: float

    def __str__(self) -> str:
        return (
            f"{self.endpoint} was sent {self.requests} requests, for ${self.usd:.4f} of at most "
            f"${self.max_usd:.2f}."
        )


@dataclass(frozen=True)
class Taught(Event):
    """The teacher has answered."""

    asked: int
    """Cold tasks that it was given."""
    verified: int
    """Answers that the tests verified; a task may have several."""

    def __str__(self) -> str:
        return (
            f"{self.asked} cold tasks were given to the teacher; the tests verified "
            f"{self.verified} answers."
        )


@dataclass(frozen=True)
class PromptCut(Event):
    """An endpoint has not read all of a prompt."""

    endpoint: Endpoint
    size: int
    """Bytes of the prompt."""
    estimate: int
    """Tokens that these are, at BYTES_PER_TOKEN."""
    counted: int
    """Tokens that the endpoint says it has read."""

    def __str__(self) -> str:
        wanted = 1024 * math.ceil((self.estimate + self.endpoint.max_output) / 1024)
        return (
            f"{self.endpoint.name} counted {self.counted:,} tokens in a prompt of {self.size:,} "
            f"bytes, which are about {self.estimate:,}: it has cut the prompt, and answers what it "
            f"has not read. Give the server a context of {wanted:,} tokens. In Ollama that is "
            f"num_ctx: start it with OLLAMA_CONTEXT_LENGTH={wanted}, or put `PARAMETER num_ctx "
            f"{wanted}` in a Modelfile; in llama.cpp --ctx-size {wanted}. Or send shorter prompts: "
            f"--set teacher.max_prompt={self.counted}."
        )
