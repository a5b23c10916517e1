"""One endpoint, and one rule for each thing that can go wrong with it: against a real server on
loopback that misbehaves on purpose."""

import asyncio
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from recipes.teachers.client import Client, Fault
from recipes.teachers.endpoint import KEY_ENV, Endpoint, find_endpoint, fit_key, take_keys
from recipes.teachers.ledger import (
    CapReached,
    Ledger,
    Replies,
    Reply,
    Request,
    as_pico,
    read_summary,
)
from recipes.teachers.scheduler import RequestScheduler, SchedulerOptions, Unanswered
from recipes.teachers.stream import Heard
from sandbox.errors import HarnessError, UsageError
from sandbox.tasks.replies import without_thinking
from tests.conftest import ROOT
from tests.teacher_server import AGAIN, BILLED, ODD_REPLIES, ServerProcess, TeacherServer, tokens

KEY = "sk-of-nobody-4f1e9c07ab5d2e88"
PRICE = ("1.40", "0.26", "4.40")
MESSAGES = [{"role": "user", "content": "What is the answer to this question?"}]
NUMBERED = [{"role": "user", "content": "What is the answer to number {sample} of these?"}]
ANSWER = "It is this.\n\n```python\nx = 42\n```\n"


class World:
    """One run that asks one endpoint."""

    def __init__(
        self,
        folder: Path,
        server,
        cap: float = 1.0,
        tries: int = 6,
        stall: float = 10.0,
        deadline: float = 10.0,
        run: str = "run",
        stopped=lambda: False,
        key: str = KEY,
        **endpoint,
    ):
        self.key, self.said = key, []
        self.folder, self.server = folder / run, server
        self.folder.mkdir(exist_ok=True)
        self.endpoint = Endpoint(
            **{
                "name": "here",
                "base_url": server.url,
                "model": "m",
                "price": PRICE,
                "max_output": 200,
                **endpoint,
            }
        )
        self.cap, self.tries, self.stall, self.deadline, self.shared = (
            as_pico(cap),
            tries,
            stall,
            deadline,
            folder / "shared",
        )
        self.stopped = stopped

    def ask(self, samples=(0,), at_once: int = 1, messages=MESSAGES, check: bool = False) -> list:
        """What each request came to: a reply or an exception. `{sample}` in a message is the
        sample's number; with `check` raises what is said when all was asked."""

        async def all_of_them(scheduler):
            places = asyncio.Semaphore(at_once)

            async def one(sample):
                async with places:
                    texts = [m["content"].replace("{sample}", str(sample)) for m in messages]
                    asked = [{**m, "content": text} for m, text in zip(messages, texts)]
                    body = self.endpoint.body(asked, 0.5, sample)
                    try:
                        return (await scheduler.ask(f"task-{sample % 7}", body, sample)).reply
                    except (Unanswered, CapReached, UsageError, HarnessError) as error:
                        return error

            try:
                outcomes = await asyncio.gather(*map(one, samples))
                if check:
                    scheduler.check()
                return outcomes
            finally:
                await scheduler.client.close()

        with (
            Replies(self.shared) as replies,
            Ledger.open(self.folder / "teacher.sqlite", replies) as ledger,
        ):
            client = Client(self.endpoint, self.key, self.stall, self.deadline)
            options = SchedulerOptions(
                self.cap,
                self.tries,
                pause=0.02,
                stopped=self.stopped,
                emit=lambda event: self.said.append(str(event)),
            )
            return asyncio.run(all_of_them(RequestScheduler(client, ledger, replies, options)))

    def tries_made(self) -> list[tuple]:
        """(state, cost, worst, fault) of all tries."""
        with sqlite3.connect(self.folder / "teacher.sqlite") as base:
            return base.execute(
                "SELECT state, cost, worst, fault FROM tries ORDER BY try"
            ).fetchall()

    def spent(self) -> int:
        return sum(cost for _, cost, _, _ in self.tries_made())

    def billed(self) -> int:
        """Picodollars on all the bills of the server."""
        return sum(
            self.endpoint.cost(*record["billed"])
            for record in self.server.log()
            if record["billed"]
        )


@pytest.fixture
def world(tmp_path):
    """world(script=..., cap=...): a run beside a server of its own."""
    with ExitStack() as stack:

        def make(
            cap: float = 1.0,
            tries: int = 6,
            stall: float = 10.0,
            deadline: float = 10.0,
            endpoint: dict | None = None,
            **server,
        ):
            running = stack.enter_context(
                TeacherServer(tmp_path / "server", default=ANSWER, **server)
            )
            return World(tmp_path, running, cap, tries, stall, deadline, **(endpoint or {}))

        yield make


# ------------------------------------------------------------------------------ what an endpoint is


@pytest.mark.parametrize(
    "name", ["glm-5.2", "deepseek", "kimi", "openrouter", "ollama", "llama.cpp"]
)
def test_the_presets(name):
    endpoint = find_endpoint(name)
    assert (
        endpoint.name == name
        and Endpoint.from_dict(json.loads(json.dumps(endpoint.to_dict()))) == endpoint
    )
    assert endpoint.is_local == (name in ("ollama", "llama.cpp"))
    assert (endpoint.price is None) == (name == "openrouter")
    assert endpoint.price is None or len(endpoint.price_read) == 10
    assert endpoint.base_url.startswith("http://127.0.0.1" if endpoint.is_local else "https://")
    if endpoint.is_local:
        assert endpoint.worst(endpoint.body(MESSAGES, 0.5, 1)) == 0


def test_an_endpoint_by_its_address():
    endpoint = find_endpoint("https://llm.example.org/v1", "some-model", "0.5,1.5")
    assert (endpoint.base_url, endpoint.model, endpoint.price) == (
        "https://llm.example.org/v1",
        "some-model",
        ("0.5", "0.5", "1.5"),
    )
    assert find_endpoint("http://localhost:1/v1", "m").price is None, "a price that nobody said"
    assert find_endpoint("glm-5.2", price="1,0.1,2").price == ("1", "0.1", "2")
    assert find_endpoint("glm-5.2", "glm-6").price is None and find_endpoint(
        "ollama", "another"
    ).price == ("0", "0", "0")


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("glm-5",), "Did you mean 'glm-5.2'"),
        (("nobody",), "Known: reference, glm-5.2"),
        (("https://llm.example.org/v1",), "needs --teacher-model"),
        (("ftp://x/v1", "m"), "not the address"),
        (("https://me:word@x/v1", "m"), "not the address"),
        (("glm-5.2", None, "1"), "IN,OUT"),
        (("glm-5.2", None, "a,b"), "IN,OUT"),
        (("glm-5.2", None, "-1,2"), "IN,OUT"),
        (("glm-5.2", None, "nan,2"), "IN,OUT"),
        (("glm-5.2", None, "1,2,3,4"), "IN,OUT"),
    ],
)
def test_what_names_no_endpoint(arguments, says):
    with pytest.raises(UsageError, match=says) as error:
        find_endpoint(*arguments)
    assert "word" not in str(error.value)


def test_what_a_request_costs():
    endpoint = Endpoint("e", "https://x/v1", "m", PRICE, max_output=100)
    assert (
        endpoint.cost(1, 0, 0) == 1_400_000
        and endpoint.cost(10, 4, 0) == 6 * 1_400_000 + 4 * 260_000
        and endpoint.cost(0, 0, 1) == 4_400_000
    )
    assert endpoint.cost(10**6, 0, 0) == as_pico(1.40)
    body = endpoint.body(MESSAGES, 0.5, 1)
    at_most = endpoint.worst(body)
    assert at_most >= endpoint.cost(len(MESSAGES[0]["content"]) + 512, 0, 100)
    assert endpoint.worst(
        endpoint.body([{"role": "user", "content": "ü" * 1000}], 0.5, 1)
    ) >= endpoint.cost(2000 + 512, 0, 100)
    assert replace(endpoint, price=("0.5", "3", "1")).worst(body) >= replace(
        endpoint, price=("3", "3", "1")
    ).worst(body), "the dearer price counts"


def test_a_request_is_told_from_another():
    endpoint = Endpoint("e", "https://x/v1", "m", PRICE)
    body = endpoint.body(MESSAGES, 0.5, 1)
    others = [
        endpoint.request(endpoint.body(MESSAGES, 0.6, 1), 1),
        endpoint.request(body, 2),
        replace(endpoint, base_url="https://y/v1").request(body, 1),
        replace(endpoint, model="n").request(
            replace(endpoint, model="n").body(MESSAGES, 0.5, 1), 1
        ),
        endpoint.request(endpoint.body(MESSAGES * 2, 0.5, 1), 1),
    ]
    assert endpoint.request(body, 1) not in others and len(set(others)) == 5
    assert endpoint.request(body, 1) == replace(endpoint, name="other", price=None).request(
        dict(reversed(body.items())), 1
    )
    odd = replace(
        endpoint, omit=("seed",), extra={"temperature": 1.0, "thinking": {"type": "disabled"}}
    )
    odd = odd.body([{"role": "user", "content": "\udc80"}], 0.5, 1)
    assert odd == {
        "model": "m",
        "messages": [{"role": "user", "content": "?"}],
        "max_tokens": 4096,
        "temperature": 1.0,
        "thinking": {"type": "disabled"},
    }


# ------------------------------------------------------------------------------------------ the key


def test_the_key_is_taken_out_of_the_environment(monkeypatch):
    monkeypatch.setenv(KEY_ENV, f" {KEY}\n")
    assert take_keys() == {KEY_ENV: KEY} and KEY_ENV not in os.environ and take_keys() == {}
    assert KEY_ENV.encode() not in subprocess.run(["env"], capture_output=True).stdout


def test_a_key_that_cannot_be_one():
    there = Endpoint("e", "https://x/v1", "m")
    assert (
        fit_key(there, {KEY_ENV: KEY}) == KEY
        and fit_key(Endpoint("e", "http://localhost:1/v1", "m"), {}) == "none"
    )
    for keys, endpoint, says in [
        ({}, there, f"export {KEY_ENV}="),
        ({KEY_ENV: "two words"}, there, "is no key"),
        ({KEY_ENV: KEY + "\x07"}, there, "is no key"),
        ({KEY_ENV: KEY}, replace(there, base_url="http://x/v1"), "not encrypted"),
    ]:
        with pytest.raises(UsageError, match=says) as error:
            fit_key(endpoint, keys)
        assert KEY not in str(error.value)


def test_a_reply_that_says_the_key(world):
    here = world(answers={"answer": [f"You are {KEY}, are you not?"]})
    assert here.ask()[0].content == "You are [key], are you not?"
    assert not any(
        KEY.encode() in path.read_bytes()
        for path in [*here.folder.iterdir(), *here.shared.iterdir()]
    )


@pytest.mark.parametrize(
    "fault", ["401", "402", "403", "400", "429", "500", "error-inside", "cut", "error-200", "page"]
)
def test_the_key_is_in_no_error(world, fault):
    """This server says the key, and the beginning of it, in its errors."""
    here = world(script=[fault] * 9, tries=2)
    (error,) = here.ask()
    said = (
        str(error)
        + repr(error)
        + repr(error.__cause__)
        + repr(error.__context__)
        + repr(here.tries_made())
    )
    assert KEY not in said and KEY[:12] not in said, said


def test_a_short_key_is_in_no_error_either(world):
    here = world(script=["error-200"] * 9, tries=2)
    here.key = "sk-7x"
    (error,) = here.ask()
    assert "exceeded for [key]" in str(error) and "sk-7x" not in repr(here.tries_made())


def test_nothing_more_than_the_request_is_sent(world, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-mine: yes")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    here = world()
    here.ask()
    (record,) = here.server.log()
    assert {name.lower() for name in record["headers"]} <= {
        "host",
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "user-agent",
        "x-stainless-raw-response",
    }
    assert (
        "org-of-mine" not in json.dumps(record)
        and record["headers"]["authorization"] == f"Bearer {KEY}"
    )
    assert set(record["body"]) == {
        "model",
        "messages",
        "max_tokens",
        "temperature",
        "seed",
        "stream",
        "stream_options",
    }


# -------------------------------------------------------------------- faults that another try mends


@pytest.mark.parametrize("fault", AGAIN)
def test_a_fault_and_then_a_reply(world, fault):
    here = world(script=[fault], stall=0.4)
    (reply,) = here.ask()
    assert reply.content == ANSWER and reply.finish == "stop" and reply.tokens_out == tokens(ANSWER)
    failed, done = here.tries_made()
    billed = fault in BILLED or fault in ("reset", "stall")  # of these two nobody can know
    cost = failed[2] if billed else 0
    if fault == "no-choice":  # it says what it counted
        cost = here.endpoint.cost(*here.server.log()[0]["billed"])
    assert failed[:2] == ("failed", cost) and done[0] == "done" and 0 < done[1] < done[2]
    assert here.spent() >= here.billed() and len(here.server.log()) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault, least, most",
    [
        ("429", 0.0, 0.5),
        ("429-after", 0.6, 1.5),
        ("429-date", 0.8, 2.5),
        ("error-200", 0.0, 0.5),
        ("error-200-after", 0.6, 1.5),
        ("error-200-quoted", 0.4, 1.5),
        ("503-ms", 0.6, 1.5),
    ],
)
def test_how_long_an_endpoint_is_left_alone(world, fault, least, most):
    here = world(script=[fault], after=0.6)
    here.ask()
    first, second = (record["at"] for record in here.server.log())
    assert least <= second - first <= most + 0.5


@pytest.mark.parametrize(
    "fault, says",
    [
        ("error-200", "429: Rate limit exceeded for"),
        ("error-200-text", "the model is being loaded"),
        ("error-200-list", "503: The model is overloaded."),
        ("error-first", "429: Too many requests"),
        ("error-200-bare", "The engine is not ready."),
        ("error-200-choice", "502: Provider went away"),
        ("error-inside", "the model has crashed"),
        ("error-end", "the model has crashed"),
        ("error-finish", "it ended with 'error'"),
        ("no-choice", "no choice in the reply"),
        ("no-choice-bare", "no choice in the reply"),
        ("empty", "an empty reply"),
        ("empty-whole", "an empty reply"),
        ("page", "text/html: <html><title>Back soon"),
    ],
)
def test_an_error_under_status_200_is_no_answer(world, tmp_path, fault, says):
    """As often as other faults, said in its words, in no cache, and asked again by the same run and
    by others once the endpoint is well."""
    here = world(script=[fault] * 3, tries=3)
    with pytest.raises(HarnessError, match=re.escape(says)):
        here.ask(check=True)
    assert len(here.server.log()) == 3
    assert [state for state, *_ in here.tries_made()] == ["failed"] * 3
    assert here.spent() >= here.billed() and (here.spent() > 0) == (fault in BILLED)
    assert World(tmp_path, here.server, run="another").ask()[0].content == ANSWER
    assert here.ask()[0].content == ANSWER and len(here.server.log()) == 4


@pytest.mark.parametrize("fault", ["error-200-text", "error-finish", "empty", "error-200", "500"])
@pytest.mark.parametrize("at_once", [1, 4])
def test_a_request_that_never_goes_well_among_others(world, fault, at_once):
    """Its tries end, and the others go on."""
    here = world(always={"number 2 ": fault}, tries=3)
    outcomes = here.ask(range(1, 6), at_once, NUMBERED, check=True)
    assert isinstance(outcomes[1], Unanswered) and len(here.server.log()) == 4 + 3
    assert [reply.content for reply in outcomes if isinstance(reply, Reply)] == [ANSWER] * 4


def test_the_first_request_fails_for_reasons_of_its_own(world):
    """Nothing was answered yet, and yet the endpoint need not be down."""
    here = world(always={"number 0 ": "error-200-text"}, tries=2)
    first, second = here.ask(range(2), 1, NUMBERED, check=True)
    assert isinstance(first, Unanswered) and "being loaded" in str(first)
    assert second.content == ANSWER


@pytest.mark.parametrize(
    "fault, stopped",
    [("error-200", True), ("503", True), ("error-200-text", False), ("empty", False)],
)
def test_an_endpoint_that_goes_down_after_an_answer(world, fault, stopped):
    """BREAKER tasks in a row mean that it is down, but for errors that may be a request's own."""
    here = world(always={f"number {sample} ": fault for sample in range(1, 7)}, tries=2)
    outcomes = here.ask(range(7), 1, NUMBERED, check=True)
    assert outcomes[0].content == ANSWER and isinstance(outcomes[1], Unanswered)
    assert isinstance(outcomes[-1], HarnessError) == stopped
    assert len(here.server.log()) == 1 + 2 * (3 if stopped else 6)


def test_an_endpoint_that_never_answers_is_asked_again_by_the_same_command(world):
    here = world(script=["empty"] * 2, tries=2)
    with pytest.raises(HarnessError, match="does not answer: an empty reply.*same command again"):
        here.ask(range(2), messages=NUMBERED, check=True)
    again = here.ask(range(2), messages=NUMBERED, check=True)
    assert [reply.content for reply in again] == [ANSWER] * 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply("", "", "empty", None, None, None),
        Reply("", "", "stop", None, None, None),
        Reply("", "", "stop", 0, 0, 0),
        Reply("", "", "empty", 30, 0, 4),
        Reply("x = ", "", "error", 30, 0, 4),
    ],
)
@pytest.mark.parametrize("where", ["shared", "own"])
def test_what_earlier_versions_kept_of_errors_is_not_believed(world, where, reply):
    here = world()
    request = here.endpoint.request(here.endpoint.body(MESSAGES, 0.5, 0), 0)
    path = here.folder / "teacher.sqlite"
    with Replies(here.shared) as replies, Ledger.open(path, replies) as ledger:
        if where == "own":
            ledger.take_over(Request(request, "task-0", here.server.url, {"model": "m"}), reply)
    with sqlite3.connect(here.shared / "replies.sqlite") as base:
        base.execute(
            "INSERT INTO replies VALUES (?, ?, 7, 'a run', 1, 0)",
            (request, json.dumps(asdict(reply))),
        )
    assert here.ask()[0].content == ANSWER and here.ask()[0].content == ANSWER
    assert len(here.server.log()) == 1, "asked again for what it has"
    there = World(here.folder.parent, here.server, run="another")
    assert there.ask()[0].content == ANSWER
    assert len(here.server.log()) == 1, "the answer is not kept in the place of the error"


@pytest.mark.parametrize(
    "code, says",
    [
        ("invalid_api_key", "refuses the key"),
        ("insufficient_quota", "no credit left"),
        ("model_not_found", "does not know the model"),
    ],
)
def test_an_error_within_a_reply_that_stops_at_once(world, code, says):
    """By its code it is what the status would be."""
    here = world(script=["error-200-code"] * 9, code=code)
    errors = here.ask(range(8), at_once=8)
    assert all(isinstance(error, UsageError) and says in str(error) for error in errors)
    assert here.spent() == 0 and len(here.server.log()) == 1


def test_an_error_within_a_reply_that_refuses_the_request(world):
    here = world(script=["error-200-code"] * 9, code="context_length_exceeded")
    (error,) = here.ask()
    assert isinstance(error, Unanswered) and "400: No." in str(error)
    assert len(here.server.log()) == 1


def test_pauses_double_and_differ(world):
    here = world(script=["503"] * 4)
    scheduler = RequestScheduler(
        Client(here.endpoint, KEY, 1.0), None, None, SchedulerOptions(cap=0)
    )
    pauses = [
        [scheduler._pause_after(request, failed, Fault("503", False)) for failed in (1, 2, 3, 20)]
        for request in ("a", "b")
    ]
    for first, second, third, last in pauses:
        assert 0.5 <= first <= 1 and 1 <= second <= 2 and 2 <= third <= 4 and 60 <= last <= 120
    assert pauses[0] != pauses[1]


def test_an_endpoint_that_comes_back(tmp_path):
    """Nothing listens at first: nothing was billed, and the same request is answered later."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gone = type("Gone", (), {"url": f"http://127.0.0.1:{port}/v1"})()
    (error,) = World(tmp_path, gone, tries=3).ask()
    assert isinstance(error, HarnessError) and "does not answer: no connection" in str(error)
    with TeacherServer(tmp_path / "server", default=ANSWER, port=port) as server:
        here = World(tmp_path, server)
        assert here.ask()[0].content == ANSWER
        assert [(state, fault) for state, _, _, fault in here.tries_made()] == [
            ("failed", "no connection")
        ] * 3 + [("done", "")]
        assert here.spent() == here.billed()


# ------------------------------------------------------------------------------- faults that end it


@pytest.mark.parametrize(
    "fault, says",
    [
        ("401", f"refuses the key.*Check {KEY_ENV}"),
        ("403", "refuses the key"),
        ("402", "no credit left"),
        ("429-quota", "no credit left"),
        ("404", "does not know the model 'm'"),
        ("307", "sends requests on"),
    ],
)
def test_stop_at_once(world, fault, says):
    """Sixteen at once, and one request goes out."""
    here = world(script=[fault] * 9)
    errors = here.ask(range(16), at_once=16)
    assert all(isinstance(error, UsageError) and re.search(says, str(error)) for error in errors)
    assert here.spent() == 0 and len(here.server.log()) == 1


def test_a_refused_request_is_given_up(world):
    here = world(script=["400"] * 9)
    (error,) = here.ask()
    assert (
        isinstance(error, Unanswered)
        and str(error).startswith("400: ")
        and here.spent() == 0
        and len(here.server.log()) == 1
    )


def test_an_endpoint_that_refuses_everything(world):
    here = world(script=["400"] * 9)
    errors = here.ask(range(8), at_once=8)
    assert [type(error) for error in errors[:2]] == [Unanswered] * 2 and all(
        isinstance(error, UsageError) for error in errors[2:]
    )
    assert "refuses every request (400: no luck" in str(errors[-1]) and len(here.server.log()) == 3


def test_one_goes_first_and_then_all_at_once(world):
    here = world(delay=0.4)
    here.ask(range(13), at_once=13)
    first, second = sorted(record["at"] for record in here.server.log())[:2]
    assert second - first >= 0.4 and here.server.most >= 10


def test_an_endpoint_that_is_down_is_asked_little(world):
    here = world(script=["500"] * 99, tries=3)
    here.ask([0])
    before = len(here.server.log())
    errors = here.ask(range(1, 9), at_once=8)
    assert (
        any(isinstance(error, HarnessError) and "does not answer" in str(error) for error in errors)
        and here.server.most == 1
    )
    assert before == 3


# -------------------------------------------------------------------------- replies that are no use


@pytest.mark.parametrize("fault", ODD_REPLIES)
def test_an_odd_reply_is_paid_for_once(world, fault):
    here = world(script=[fault])
    (reply,) = here.ask()
    assert without_thinking(reply.content)[1].strip() == ANSWER.strip()
    assert (reply.content == ANSWER) == (fault != "thinking-tags"), "tags are told apart later"
    assert reply.finish == (fault if fault in ("length", "content_filter") else "stop")
    thinks = ("reasoning", "parts", "whole-parts", "reasoning-field")
    assert reply.reasoning == ("First I think." if fault in thinks else "")
    ((state, cost, worst, _),) = here.tries_made()
    assert state == "done" and (
        cost == worst if fault in ("no-usage", "cut-late") else cost == here.billed() < worst
    )
    assert here.ask() == [reply] and len(here.server.log()) == 1, "asked again for what it has"


@pytest.mark.parametrize(
    "content, answer, thought",
    [
        ("Plain.", "Plain.", ""),
        ("<think>a</think>b", "<think>a</think>b", ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab", ""),
        (
            [{"type": "thinking", "thinking": "Hm."}, {"type": "output_text", "text": "a"}],
            "a",
            "Hm.",
        ),
        (
            [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}, "a"],
            "a",
            "Hm.",
        ),
        ({"type": "text", "text": "a"}, "a", ""),
        ([{"text": {"value": "a"}}], "a", ""),
        (
            [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "a"}],
            "a",
            "",
        ),
    ],
)
def test_a_content_as_endpoints_write_it(content, answer, thought):
    heard = Heard()
    heard.take({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})
    assert heard.texts == (answer, thought) and heard.error is None


def test_a_word_of_an_answer_is_no_key(tmp_path):
    """This machine's own endpoints need none, or take any; a word like that stands in answers."""
    text = "    return none_of(ollama)\n"
    with TeacherServer(tmp_path / "server", default=text) as server:
        for key in (fit_key(Endpoint("e", server.url, "m"), {}), "ollama"):
            assert World(tmp_path, server, run=key, key=key).ask()[0].content == text


# ---------------------------------------------------------------------------- a prompt that is cut

LONG = [
    {
        "role": "user",
        "content": "What is the answer to {sample}? " + "def f(x):\n    return x\n" * 400,
    }
]
SIZE = len(LONG[0]["content"].replace("{sample}", "0"))


def test_a_prompt_that_the_endpoint_cuts_is_said_once_in_a_run(world, tmp_path):
    here = world(counts=1024)
    here.ask(range(3), messages=LONG)
    (sentence,) = here.said
    counted = f"counted 1,024 tokens in a prompt of {SIZE:,} bytes, which are about {SIZE // 3:,}"
    wanted = 1024 * -(-(SIZE // 3 + 200) // 1024)
    for what in (
        counted,
        f"OLLAMA_CONTEXT_LENGTH={wanted}",
        f"PARAMETER num_ctx {wanted}",
        "teacher.max_prompt=1024",
    ):
        assert what in sentence
    here.ask(range(3, 5), messages=LONG)
    assert len(here.said) == 1, "said again by the same run"
    # The context can be mended, and then the same requests have other answers.
    here.server.counts = None
    there = World(tmp_path, here.server, run="another")
    there.ask(range(3), messages=LONG)
    assert there.said == [] and len(here.server.log()) == 5 + 3
    assert here.ask(range(5), messages=LONG)[0].content == ANSWER
    assert len(here.server.log()) == 5 + 3, "its own replies are paid for"


@pytest.mark.parametrize("counts, messages", [(None, LONG), (SIZE // 5, LONG), (1, MESSAGES)])
def test_a_count_that_may_be_right_is_no_cut(world, counts, messages):
    """Four bytes a token, five, and a prompt so short that its count tells nothing."""
    here = world(counts=counts)
    here.ask(messages=messages)
    assert here.said == [] and len(here.server.log()) == 1


def test_an_endless_reply(world):
    here = world(script=["endless"], tries=1, deadline=1.0)
    (error,) = here.ask()
    assert (
        isinstance(error, HarnessError)
        and "no end after 1 seconds" in str(error)
        and here.spent() >= here.billed() > 0
    )


def test_an_endpoint_that_bills_more_than_it_may(world):
    here = world(endpoint={"max_output": 2}, answers={"answer": [ANSWER * 400]})
    reply, *others = here.ask(range(4), at_once=4)
    assert reply.content == ANSWER * 400 and here.spent() == here.billed(), (
        "what was paid for is used ..."
    )
    assert len(here.server.log()) == 1, "... and no more is sent"
    assert all(
        isinstance(error, UsageError) and "no limit can be kept" in str(error) for error in others
    )


# ------------------------------------------------------------------------------------ paid for once


def test_another_run_pays_nothing(world, tmp_path):
    here = world()
    first = here.ask(range(3))
    there = World(tmp_path, here.server, run="another")
    assert there.ask(range(3)) == first and len(here.server.log()) == 3
    assert (
        read_summary(there.folder)["cached"] == 3
        and there.spent() == 0
        and here.spent() == here.billed()
    )


def test_a_reply_that_comes_while_it_is_claimed(world, monkeypatch):
    """Another run gets the reply between the look for it and the claim."""
    here, claim = world(), Replies.claim

    def late(replies, request):
        replies.keep(request, Reply("late", "", "stop", 1, 0, 1), 1, "another run", 1)
        return claim(replies, request)

    monkeypatch.setattr(Replies, "claim", late)
    assert here.ask()[0].content == "late" and here.server.log() == [] and here.spent() == 0


@pytest.mark.slow
def test_two_runs_at_the_same_time_pay_once(world, tmp_path):
    """Two processes ask the same: one sends, the other waits for its reply."""
    here = world(delay=0.2)
    both = [
        start_asking(tmp_path / name, tmp_path / "shared", here.server.url, cap=1.0, count=4)
        for name in "ab"
    ]
    assert [process.wait(60) for process in both] == [0, 0]
    log = here.server.log()
    assert len(log) == len({record["request"] for record in log}) == 4
    sums = [read_summary(tmp_path / name) for name in "ab"]
    assert sum(s["cached"] for s in sums) == 4 and all(s["replies"] == 4 for s in sums)


# --------------------------------------------------------------------------------------- the matrix


def check_books(here: World, log: list[dict], replies: dict[int, object], kills: int = 0) -> None:
    """By the server's own log: nothing paid twice but what was under way at a kill, every bill in
    the ledger, and the cap kept."""
    answered = Counter(
        record["request"] for record in log if not record["fault"] or record["fault"] in ODD_REPLIES
    )
    assert sum(answered.values()) - len(answered) <= kills * 16, "a reply was paid for twice"
    with sqlite3.connect(here.folder / "teacher.sqlite") as base:
        rows = base.execute(
            "SELECT state, cost, worst, tokens_in, tokens_cached, tokens_out FROM tries"
        ).fetchall()
        assert base.execute("SELECT count(*) FROM requests WHERE reply IS NOT NULL").fetchone()[
            0
        ] >= len(replies)
    counted = Counter(
        (i, c, o) for state, _, _, i, c, o in rows if state == "done" and i is not None
    )
    in_log = Counter(tuple(record["billed"]) for record in log if record["billed"])
    assert not counted - in_log, "the ledger has counts that the server never sent"
    assert here.billed() <= sum(row[1] for row in rows) <= here.cap, "the cap was passed"
    assert all(cost <= worst for _, cost, worst, *_ in rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "count, faults",
    [(60, AGAIN + ODD_REPLIES), *((200, faults) for faults in ((), AGAIN, AGAIN + ODD_REPLIES))],
)
def test_two_hundred_requests_sixteen_at_once(world, count, faults):
    """And sixty, for those in a hurry."""
    here = world(
        cap=3.0,
        tries=30,
        rate=0.6 if faults else 0.0,
        faults=faults,
        seed=3,
        stall=0.4,
        after=0.05,
        delay=0.0 if faults else 0.2,
    )
    replies = here.ask(range(count), at_once=16)
    assert not [reply for reply in replies if isinstance(reply, Exception)]
    log = here.server.log()
    check_books(here, log, dict(enumerate(replies)))
    assert faults or here.server.most > 8, "not at once"
    assert {record["fault"] for record in log} == {"", *faults} or count < 200, (
        "a fault that was not met"
    )
    assert here.ask(range(count), at_once=16) == replies and len(here.server.log()) == len(log), (
        "asked again"
    )


@pytest.mark.slow
@pytest.mark.parametrize("cents", [1, 2])
def test_the_cap_is_not_passed_by_a_cent(world, cents):
    here = world(
        cap=cents / 100, tries=9, rate=0.3, faults=AGAIN, seed=cents, stall=0.3, after=0.05
    )
    replies = here.ask(range(60), at_once=16)
    log = here.server.log()
    check_books(
        here, log, {n: reply for n, reply in enumerate(replies) if not isinstance(reply, Exception)}
    )
    assert any(isinstance(reply, CapReached) for reply in replies)
    assert here.spent() > here.cap - here.endpoint.worst(here.endpoint.body(MESSAGES, 0.5, 1)), (
        "stopped long before the cap"
    )


# ------------------------------------------------------------------------------------------- killed

ASKING = """
import sys; sys.path.insert(0, sys.argv[1])
import asyncio
from pathlib import Path
from recipes.teachers.client import *
from recipes.teachers.endpoint import *
from recipes.teachers.ledger import *
from recipes.teachers.scheduler import *
MESSAGES = [{"role": "user", "content": "What is the answer to this question?"}]
run, shared, url, cap, count = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], float(sys.argv[5]), int(sys.argv[6])
endpoint = Endpoint("here", url, "m", ("1.40", "0.26", "4.40"), max_output=200)
run.mkdir(exist_ok=True)

async def all_of_them(scheduler):
    places = asyncio.Semaphore(16)
    async def one(sample):
        async with places:
            await scheduler.ask("t", endpoint.body(MESSAGES, 0.5, sample), sample)
    await asyncio.gather(*map(one, range(count)))

with Replies(shared) as replies, Ledger.open(run / "teacher.sqlite", replies) as ledger:
    client = Client(endpoint, "sk-of-nobody-4f1e9c07ab5d2e88", 0.5, 10.0)
    options = SchedulerOptions(as_pico(cap), 30, 0.02)
    asyncio.run(all_of_them(RequestScheduler(client, ledger, replies, options)))
"""


def start_asking(run: Path, shared: Path, url: str, cap: float, count: int) -> subprocess.Popen:
    """A process of its own that asks `count` requests, 16 at once."""
    return subprocess.Popen(
        [sys.executable, "-c", ASKING, str(ROOT), str(run), str(shared), url, str(cap), str(count)]
    )


@pytest.mark.slow
def test_killed_at_twenty_random_instants(tmp_path):
    draw = random.Random(11)
    with ServerProcess(
        tmp_path / "server", default=ANSWER, rate=0.3, faults=AGAIN, seed=9, after=0.05, delay=0.05
    ) as server:
        here = World(tmp_path, server, cap=20.0)
        kills = 0
        while kills < 20:
            process = start_asking(here.folder, here.shared, server.url, 20.0, 200)
            seen, until = len(server.log()), time.monotonic() + 60
            wanted = draw.choice([1, 1, 3, 8, 20])
            while (
                process.poll() is None
                and len(server.log()) < seen + wanted
                and time.monotonic() < until
            ):
                time.sleep(0.005)
            time.sleep(0.1 * draw.random())
            if process.poll() is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        assert kills == 20, "it came to its end before its kills"
        assert start_asking(here.folder, here.shared, server.url, 20.0, 200).wait(120) == 0
        log = server.log()
        replies = here.ask(range(200), at_once=16)
        assert len(server.log()) == len(log), "asked again for what it has"
    check_books(here, log, dict(enumerate(replies)), kills)
    assert all(reply.content == ANSWER for reply in replies)
    lost = [row for row in here.tries_made() if row[0] == "lost"]
    assert 0 < len(lost) <= 20 * 16 and all(cost == worst for _, cost, worst, _ in lost)


@pytest.mark.slow
def test_a_stop_waits_for_what_is_under_way_and_sends_nothing_more(tmp_path):
    with TeacherServer(tmp_path / "server", default=ANSWER, delay=0.3) as server:
        world = World(tmp_path, server, stopped=lambda: len(server.log()) >= 3)
        outcomes = world.ask(samples=range(8), at_once=3)
        sent = len(server.log())
        assert sum(isinstance(outcome, Reply) for outcome in outcomes) == sent < 8
        assert all(isinstance(outcome, (Reply, CapReached)) for outcome in outcomes)
        assert [state for state, *_ in world.tries_made()] == [
            "done"
        ] * sent and world.spent() == world.billed()
        # Asked again without a stop, what was paid for costs nothing.
        outcomes = World(tmp_path, server).ask(samples=range(8), at_once=3)
        assert all(isinstance(outcome, Reply) for outcome in outcomes) and len(server.log()) == 8
