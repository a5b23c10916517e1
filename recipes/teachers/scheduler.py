"""Which request to an endpoint is sent when, and sent again; each is paid for at most once.

    scheduler = RequestScheduler(client, ledger, replies, SchedulerOptions(cap=10**12))
    asked = await scheduler.ask(task, body, sample)    # asked.request, asked.reply

What a fault leads to is in the table of `client.py`.

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
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from recipes.events import Emit
from recipes.learning.measure import derived_seed
from recipes.teachers.client import LONGEST_PAUSE, Fault, Sender
from recipes.teachers.events import PromptCut
from recipes.teachers.ledger import CapReached, Ledger, Replies, Reply, Request, Tokens
from sandbox.errors import HarnessError, UsageError
from sandbox.tasks.prompts import BYTES_PER_TOKEN

BREAKER = 3
"""Failures in a row, or tasks given up, from which on the endpoint is doubted."""
CUT = 0.55
"""Share of our estimate (BYTES_PER_TOKEN): an endpoint that counts fewer tokens has cut the prompt.
Tokenizers of today make 3 to 4.5 bytes of code or prose a token; this is 5.5."""
LEAST_SEEN = 256
"""Estimated tokens of a prompt, below which no count tells anything."""
CLAIM_SECONDS = 0.2
"""Between two looks at whether another process has the reply that both want."""


class Unanswered(Exception):
    """The request was refused, or failed as often as it may; `str(error)` is the last fault."""


@dataclass(frozen=True)
class Asked:
    """A request and its reply."""

    request: str
    reply: Reply


@dataclass(frozen=True)
class SchedulerOptions:
    """How much is asked, and how patiently."""

    cap: int
    """Picodollars that the run may cost."""
    tries: int = 6
    """Failures after which a request is given up."""
    pause: float = 1.0
    """Seconds after the first failure; doubles from try to try."""
    seed: int = 0
    """Of the pauses' jitter."""
    stopped: Callable[[], bool] = lambda: False
    """Once it is true nothing more is sent, as if the cap were reached; what is under way is waited
    for."""
    emit: Emit = lambda event: None
    """Told what a person should know at once."""
    max_requests: int | None = None
    """Tries that the run may have in all; None: as many as the money allows."""


@dataclass
class _Health:
    """How the endpoint does, by its answers and faults of this process."""

    answered: bool = False
    streak: int = 0
    """Failures in a row."""
    given_up: dict[str, Fault] = field(default_factory=dict)
    """{task: why}, of those given up since the last answer."""

    @property
    def is_well(self) -> bool:
        return self.answered and self.streak < BREAKER

    def answer(self) -> None:
        self.answered, self.streak = True, 0
        self.given_up.clear()

    def refuses_everything(self, fault: Fault) -> bool:
        return not fault.again and not self.answered and self.streak >= BREAKER

    def seems_down(self, has_answers: bool) -> bool:
        """By the tasks that were given up since the last answer; see the module's docstring.
        `has_answers`: whether the endpoint has ever answered this run."""
        general = sum(not fault.particular for fault in self.given_up.values())
        if has_answers:
            return general >= BREAKER
        return general > 0 or len(self.given_up) >= BREAKER


class RequestScheduler:
    """Gets the reply to a request: from this run's ledger, from another run, or from the endpoint,
    in several tries and under the cap."""

    def __init__(
        self, client: Sender, ledger: Ledger, replies: Replies, options: SchedulerOptions
    ) -> None:
        self.client, self.ledger, self.endpoint = client, ledger, client.endpoint
        self.options, self._replies = options, replies
        self._health, self._under_way = _Health(), 0
        self._room, self._gate = asyncio.Event(), asyncio.Lock()
        self._over: Exception | None = None

    async def ask(self, task: str, body: dict, sample: int) -> Asked:
        """Raises CapReached, Unanswered; UsageError where nothing but a person can help,
        HarnessError where the endpoint is down."""
        key = self.endpoint.request(body, sample, self.client.beside(task))
        request = Request(key, task, self.endpoint.base_url, body)
        while (reply := self._known(request)) is None:
            if self._replies.claim(key):
                try:
                    reply = self._known(request) or await self._paid(request)
                    break
                finally:
                    self._replies.release(key)
            await asyncio.sleep(CLAIM_SECONDS)
        return Asked(key, reply)

    def check(self) -> None:
        """To be called when all was asked: raises HarnessError where nothing was answered, and
        requests were given up, so that the same may be asked again."""
        if self._health.given_up and not self.ledger.has_answers():
            raise self._no_answer(next(iter(self._health.given_up.values())))

    def _known(self, request: Request) -> Reply | None:
        if (reply := self.ledger.reply(request.key)) is None and (
            reply := self._replies.find(request.key)
        ) is not None:
            self.ledger.take_over(request, reply)
            self._is_cut(request, reply)
        return reply

    # ---------------------------------------------------------------------------------------- tries

    async def _paid(self, request: Request) -> Reply:
        """Try after try; what is written down when is said in `ledger.py`."""
        failed = 0
        while isinstance(outcome := await self._try(request, failed), Fault):
            failed += 1
            if self._over is not None:
                raise self._over
            if self._is_last(outcome, failed) or self.options.stopped():
                raise Unanswered(str(outcome))
            await asyncio.sleep(self._pause_after(request.key, failed, outcome))
        return outcome

    async def _try(self, request: Request, failed: int) -> Reply | Fault:
        """One more try after so many that failed, written down whatever it comes to."""
        worst = self.endpoint.worst(request.body)
        async with self._turn():
            if self._over is not None:
                raise self._over
            if self.options.stopped():
                raise CapReached
            number = await self._reserve(request, worst)
            try:
                reply = await self.client.send(request.body, request.task)
                return self._settled(request, number, reply, worst)
            except Fault as fault:
                cost = self._cost(fault.tokens, worst) if fault.billed else 0
                self.ledger.fail(number, str(fault), cost)
                self._take_in(fault, request.task, failed + 1)
                return fault
            except BaseException:
                self.ledger.lose(number)
                raise
            finally:
                self._under_way -= 1
                self._room.set()

    def _is_last(self, fault: Fault, failed: int) -> bool:
        return not fault.again or failed >= self.options.tries

    def _take_in(self, fault: Fault, task: str, failed: int) -> None:
        """What the fault says of the endpoint: all may be over by it."""
        health = self._health
        health.streak += 1
        if fault.again and self._is_last(fault, failed):
            health.given_up[task] = fault
        if fault.stop:
            self._over = UsageError(fault.stop)
        elif health.refuses_everything(fault):
            self._over = UsageError(
                f"{self.endpoint.name} refuses every request ({fault}). Is it a parameter that it "
                "does not know? See `extra` and `omit` in recipes/teachers.toml."
            )
        elif health.seems_down(self.ledger.has_answers()):
            self._over = self._no_answer(fault)

    def _no_answer(self, fault: Fault) -> HarnessError:
        return HarnessError(
            f"{self.endpoint.name} does not answer: {fault}. What was paid for is "
            "kept; give the same command again later."
        )

    def _settled(self, request: Request, number: int, reply: Reply, worst: int) -> Reply:
        """The reply, written down."""
        self._health.answer()
        cost = self._cost(reply.tokens, worst)
        try:
            if not self._is_cut(request, reply):
                self._replies.keep(request.key, reply, cost, self.ledger.id, number)
        finally:
            self.ledger.settle(number, reply, cost)
        return reply

    def _cost(self, tokens: Tokens, worst: int) -> int:
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

    def _is_cut(self, request: Request, reply: Reply) -> bool:
        """Whether the endpoint has evidently cut the prompt; the first time in a run it is said."""
        size = sum(len(message["content"].encode()) for message in request.body["messages"])
        estimate = size // BYTES_PER_TOKEN
        if not reply.tokens_in or estimate < LEAST_SEEN or reply.tokens_in >= CUT * estimate:
            return False
        if self.ledger.is_first("cut"):
            self.options.emit(PromptCut(self.endpoint, size, estimate, reply.tokens_in))
        return True

    # ----------------------------------------------------------------------------------------- when

    async def _reserve(self, request: Request, worst: int) -> int:
        """A try's number, as soon as there is room for its worst case under the cap. Raises
        CapReached when nothing is left that could make room."""
        while True:
            self._room.clear()
            try:
                number = self.ledger.reserve(
                    request, worst, self.options.cap, self.options.max_requests
                )
                self._under_way += 1
                return number
            except CapReached:
                if not self._under_way:
                    raise
            await self._room.wait()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A request's time to be sent: any time, or one after the other while the endpoint has not
        shown that it is well."""
        async with AsyncExitStack() as stack:
            if not self._health.is_well:
                await stack.enter_async_context(self._gate)
                if self._health.is_well:
                    await stack.aclose()
            yield

    def _pause_after(self, key: str, failed: int, fault: Fault) -> float:
        jitter = random.Random(derived_seed("pause", self.options.seed, key, failed)).random()
        if fault.after is not None:
            return fault.after * (1 + jitter / 10)
        doubled = self.options.pause * 2 ** (failed - 1)
        return min(LONGEST_PAUSE, doubled) * (0.5 + jitter / 2)
