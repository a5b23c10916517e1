"""One endpoint, and one rule for each thing that can go wrong with it: against a real server on loopback that misbehaves on purpose."""
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
from dataclasses import replace
from pathlib import Path

import pytest

from recipes.endpoint import KEY_ENV, Asker, Client, Endpoint, Fault, Unanswered, find_endpoint, fit_key, take_keys
from recipes.ledger import CapReached, Ledger, Replies, Reply, as_pico, read_summary
from sandbox.errors import HarnessError, UsageError
from tests.conftest import ROOT
from tests.teacher_server import AGAIN, BILLED, ODD_REPLIES, ServerProcess, TeacherServer, tokens

KEY = "sk-of-nobody-4f1e9c07ab5d2e88"
PRICE = ("1.40", "0.26", "4.40")
MESSAGES = [{"role": "user", "content": "What is the answer to this question?"}]
ANSWER = "It is this.\n\n```python\nx = 42\n```\n"


class World:
    """One run that asks one endpoint."""

    def __init__(self, folder: Path, server, cap: float = 1.0, tries: int = 6, stall: float = 1.0, deadline: float = 10.0,
                 run: str = "run", stopped=lambda: False, **endpoint):
        self.folder, self.server = folder / run, server
        self.folder.mkdir(exist_ok=True)
        self.endpoint = Endpoint(**{"name": "here", "base_url": server.url, "model": "m", "price": PRICE, "max_output": 200, **endpoint})
        self.cap, self.tries, self.stall, self.deadline, self.shared = as_pico(cap), tries, stall, deadline, folder / "shared"
        self.stopped = stopped

    def ask(self, samples=(0,), at_once: int = 1, messages=MESSAGES) -> list:
        """What each request came to: a reply or an exception."""
        async def all_of_them(asker):
            places = asyncio.Semaphore(at_once)

            async def one(sample):
                async with places:
                    try:
                        return (await asker.ask(f"task-{sample % 7}", self.endpoint.body(messages, 0.5, sample), sample)).reply
                    except (Unanswered, CapReached, UsageError, HarnessError) as error:
                        return error
            try:
                return await asyncio.gather(*map(one, samples))
            finally:
                await asker.client.close()

        with Replies(self.shared) as replies, Ledger.open(self.folder / "teacher.sqlite", replies) as ledger:
            return asyncio.run(all_of_them(Asker(Client(self.endpoint, KEY, self.stall, self.deadline), ledger, replies, self.cap,
                                                 self.tries, 0.02, 0, self.stopped)))

    def tries_made(self) -> list[tuple]:
        """(state, cost, worst, fault) of all tries."""
        with sqlite3.connect(self.folder / "teacher.sqlite") as base:
            return base.execute("SELECT state, cost, worst, fault FROM tries ORDER BY try").fetchall()

    def spent(self) -> int:
        return sum(cost for _, cost, _, _ in self.tries_made())

    def billed(self) -> int:
        """Picodollars on all the bills of the server."""
        return sum(self.endpoint.cost(*record["billed"]) for record in self.server.log() if record["billed"])


@pytest.fixture
def world(tmp_path):
    """world(script=..., cap=...): a run beside a server of its own."""
    with ExitStack() as stack:
        def make(cap: float = 1.0, tries: int = 6, stall: float = 1.0, deadline: float = 10.0, endpoint: dict | None = None, **server):
            running = stack.enter_context(TeacherServer(tmp_path / "server", default=ANSWER, **server))
            return World(tmp_path, running, cap, tries, stall, deadline, **(endpoint or {}))
        yield make


# ------------------------------------------------------------------------------------------- what an endpoint is

@pytest.mark.parametrize("name", ["glm-5.2", "deepseek", "kimi", "openrouter", "ollama", "llama.cpp"])
def test_the_presets(name):
    endpoint = find_endpoint(name)
    assert endpoint.name == name and Endpoint.from_dict(json.loads(json.dumps(endpoint.to_dict()))) == endpoint
    assert endpoint.is_local == (name in ("ollama", "llama.cpp"))
    assert (endpoint.price is None) == (name == "openrouter")
    assert endpoint.price is None or len(endpoint.price_read) == 10
    assert endpoint.base_url.startswith("http://127.0.0.1" if endpoint.is_local else "https://")
    if endpoint.is_local:
        assert endpoint.worst(endpoint.body(MESSAGES, 0.5, 1)) == 0


def test_an_endpoint_by_its_address():
    endpoint = find_endpoint("https://llm.example.org/v1", "some-model", "0.5,1.5")
    assert (endpoint.base_url, endpoint.model, endpoint.price) == ("https://llm.example.org/v1", "some-model", ("0.5", "0.5", "1.5"))
    assert find_endpoint("http://localhost:1/v1", "m").price is None, "a price that nobody said"
    assert find_endpoint("glm-5.2", price="1,0.1,2").price == ("1", "0.1", "2")
    assert find_endpoint("glm-5.2", "glm-6").price is None and find_endpoint("ollama", "another").price == ("0", "0", "0")


@pytest.mark.parametrize("arguments, says", [
    (("glm-5",), "Did you mean 'glm-5.2'"), (("nobody",), "Known: reference, glm-5.2"), (("https://llm.example.org/v1",),
                                                                                         "needs --teacher-model"),
    (("ftp://x/v1", "m"), "not the address"), (("https://me:word@x/v1", "m"), "not the address"), (("glm-5.2", None, "1"), "IN,OUT"),
    (("glm-5.2", None, "a,b"), "IN,OUT"), (("glm-5.2", None, "-1,2"), "IN,OUT"), (("glm-5.2", None, "nan,2"),
                                                                                  "IN,OUT"), (("glm-5.2", None, "1,2,3,4"), "IN,OUT")])
def test_what_names_no_endpoint(arguments, says):
    with pytest.raises(UsageError, match=says) as error:
        find_endpoint(*arguments)
    assert "word" not in str(error.value)


def test_what_a_request_costs():
    endpoint = Endpoint("e", "https://x/v1", "m", PRICE, max_output=100)
    assert endpoint.cost(1, 0, 0) == 1_400_000 and endpoint.cost(10, 4, 0) == 6 * 1_400_000 + 4 * 260_000 and endpoint.cost(0, 0,
                                                                                                                            1) == 4_400_000
    assert endpoint.cost(10**6, 0, 0) == as_pico(1.40)
    body = endpoint.body(MESSAGES, 0.5, 1)
    at_most = endpoint.worst(body)
    assert at_most >= endpoint.cost(len(MESSAGES[0]["content"]) + 512, 0, 100)
    assert endpoint.worst(endpoint.body([{"role": "user", "content": "ü" * 1000}], 0.5, 1)) >= endpoint.cost(2000 + 512, 0, 100)
    assert replace(endpoint, price=("0.5", "3", "1")).worst(body) >= replace(endpoint,
                                                                             price=("3", "3", "1")).worst(body), "the dearer price counts"


def test_a_request_is_told_from_another():
    endpoint = Endpoint("e", "https://x/v1", "m", PRICE)
    body = endpoint.body(MESSAGES, 0.5, 1)
    others = [endpoint.request(endpoint.body(MESSAGES, 0.6, 1), 1), endpoint.request(body, 2),
              replace(endpoint, base_url="https://y/v1").request(body, 1),
              replace(endpoint, model="n").request(replace(endpoint, model="n").body(MESSAGES, 0.5, 1),
                                                   1), endpoint.request(endpoint.body(MESSAGES * 2, 0.5, 1), 1)]
    assert endpoint.request(body, 1) not in others and len(set(others)) == 5
    assert endpoint.request(body, 1) == replace(endpoint, name="other", price=None).request(dict(reversed(body.items())), 1)
    odd = replace(endpoint, omit=("seed",), extra={"temperature": 1.0, "thinking": {"type": "disabled"}})
    odd = odd.body([{"role": "user", "content": "\udc80"}], 0.5, 1)
    assert odd == {"model": "m", "messages": [{"role": "user", "content": "?"}], "max_tokens": 4096, "temperature": 1.0,
                   "thinking": {"type": "disabled"}}


# ------------------------------------------------------------------------------------------- the key

def test_the_key_is_taken_out_of_the_environment(monkeypatch):
    monkeypatch.setenv(KEY_ENV, f" {KEY}\n")
    assert take_keys() == {KEY_ENV: KEY} and KEY_ENV not in os.environ and take_keys() == {}
    assert KEY_ENV.encode() not in subprocess.run(["env"], capture_output=True).stdout


def test_a_key_that_cannot_be_one():
    there = Endpoint("e", "https://x/v1", "m")
    assert fit_key(there, {KEY_ENV: KEY}) == KEY and fit_key(Endpoint("e", "http://localhost:1/v1", "m"), {}) == "none"
    for keys, endpoint, says in [({}, there, f"export {KEY_ENV}="), ({KEY_ENV: "two words"}, there, "is no key"),
                                 ({KEY_ENV: KEY + "\x07"}, there, "is no key"),
                                 ({KEY_ENV: KEY}, replace(there, base_url="http://x/v1"), "not encrypted")]:
        with pytest.raises(UsageError, match=says) as error:
            fit_key(endpoint, keys)
        assert KEY not in str(error.value)


def test_a_reply_that_says_the_key(world):
    here = world(answers={"answer": [f"You are {KEY}, are you not?"]})
    assert here.ask()[0].content == "You are [key], are you not?"
    assert not any(KEY.encode() in path.read_bytes() for path in [*here.folder.iterdir(), *here.shared.iterdir()])


@pytest.mark.parametrize("fault", ["401", "402", "403", "400", "429", "500", "error-inside", "cut"])
def test_the_key_is_in_no_error(world, fault):
    """This server says the key, and the beginning of it, in its errors."""
    here = world(script=[fault] * 9, tries=2)
    (error,) = here.ask()
    said = str(error) + repr(error) + repr(error.__cause__) + repr(error.__context__) + repr(here.tries_made())
    assert KEY not in said and KEY[:12] not in said, said


def test_nothing_more_than_the_request_is_sent(world, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-mine: yes")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    here = world()
    here.ask()
    (record,) = here.server.log()
    assert {name.lower() for name in record["headers"]} <= {"host", "accept", "accept-encoding", "authorization", "connection",
                                                            "content-length", "content-type",
                                                            "user-agent", "x-stainless-raw-response"}
    assert "org-of-mine" not in json.dumps(record) and record["headers"]["authorization"] == f"Bearer {KEY}"
    assert set(record["body"]) == {"model", "messages", "max_tokens", "temperature", "seed", "stream", "stream_options"}


# ------------------------------------------------------------------------------------------- faults that another try mends

@pytest.mark.parametrize("fault", AGAIN)
def test_a_fault_and_then_a_reply(world, fault):
    here = world(script=[fault], stall=0.4)
    (reply,) = here.ask()
    assert reply.content == ANSWER and reply.finish == "stop" and reply.tokens_out == tokens(ANSWER)
    failed, done = here.tries_made()
    billed = fault in BILLED or fault in ("reset", "stall")           # of these two nobody can know
    assert failed[0] == "failed" and failed[1] == (failed[2] if billed else 0) and done[0] == "done" and 0 < done[1] < done[2]
    assert here.spent() >= here.billed() and len(here.server.log()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("fault, least, most", [("429", 0.0, 0.5), ("429-after", 0.6, 1.5), ("429-date", 0.8, 2.5)])
def test_how_long_an_endpoint_is_left_alone(world, fault, least, most):
    here = world(script=[fault], after=0.6)
    here.ask()
    first, second = (record["at"] for record in here.server.log())
    assert least <= second - first <= most + 0.5


def test_pauses_double_and_differ(world):
    here = world(script=["503"] * 4)
    asker = Asker(Client(here.endpoint, KEY, 1.0), None, None, 0, 6, 1.0, seed=0)
    pauses = [[asker._pause_after(request, failed, Fault("503", False)) for failed in (1, 2, 3, 20)] for request in ("a", "b")]
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
        assert [(state, fault) for state, _, _, fault in here.tries_made()] == [("failed", "no connection")] * 3 + [("done", "")]
        assert here.spent() == here.billed()


# ------------------------------------------------------------------------------------------- faults that end it

@pytest.mark.parametrize("fault, says", [("401", f"refuses the key.*Check {KEY_ENV}"), ("403", "refuses the key"),
                                         ("402", "no credit left"), ("429-quota", "no credit left"),
                                         ("404", "does not know the model 'm'"), ("307", "sends requests on")])
def test_stop_at_once(world, fault, says):
    """Sixteen at once, and one request goes out."""
    here = world(script=[fault] * 9)
    errors = here.ask(range(16), at_once=16)
    assert all(isinstance(error, UsageError) and re.search(says, str(error)) for error in errors)
    assert here.spent() == 0 and len(here.server.log()) == 1


def test_a_refused_request_is_given_up(world):
    here = world(script=["400"] * 9)
    (error,) = here.ask()
    assert isinstance(error, Unanswered) and str(error).startswith("400: ") and here.spent() == 0 and len(here.server.log()) == 1


def test_an_endpoint_that_refuses_everything(world):
    here = world(script=["400"] * 9)
    errors = here.ask(range(8), at_once=8)
    assert [type(error) for error in errors[:2]] == [Unanswered] * 2 and all(isinstance(error, UsageError) for error in errors[2:])
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
    assert any(isinstance(error, HarnessError) and "does not answer" in str(error) for error in errors) and here.server.most == 1
    assert before == 3


# ------------------------------------------------------------------------------------------- replies that are no use

@pytest.mark.parametrize("fault", ODD_REPLIES)
def test_an_odd_reply_is_paid_for_once(world, fault):
    here = world(script=[fault])
    (reply,) = here.ask()
    assert reply.content == ("" if fault == "no-choice" else ANSWER)
    assert reply.finish == {"no-choice": "empty", "length": "length", "content_filter": "content_filter"}.get(fault, "stop")
    assert reply.reasoning == ("First I think." if fault == "reasoning" else "")
    (state, cost, worst, _), = here.tries_made()
    assert state == "done" and (cost == worst if fault in ("no-usage", "cut-late") else cost == here.billed() < worst)
    assert here.ask() == [reply] and len(here.server.log()) == 1, "asked again for what it has"


def test_an_endless_reply(world):
    here = world(script=["endless"], tries=1, deadline=1.0)
    (error,) = here.ask()
    assert isinstance(error, HarnessError) and "no end after 1 seconds" in str(error) and here.spent() >= here.billed() > 0


def test_an_endpoint_that_bills_more_than_it_may(world):
    here = world(endpoint={"max_output": 2}, answers={"answer": [ANSWER * 400]})
    reply, *others = here.ask(range(4), at_once=4)
    assert reply.content == ANSWER * 400 and here.spent() == here.billed(), "what was paid for is used ..."
    assert len(here.server.log()) == 1, "... and no more is sent"
    assert all(isinstance(error, UsageError) and "no limit can be kept" in str(error) for error in others)


# ------------------------------------------------------------------------------------------- paid for once

def test_another_run_pays_nothing(world, tmp_path):
    here = world()
    first = here.ask(range(3))
    there = World(tmp_path, here.server, run="another")
    assert there.ask(range(3)) == first and len(here.server.log()) == 3
    assert read_summary(there.folder)["cached"] == 3 and there.spent() == 0 and here.spent() == here.billed()


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
    both = [start_asking(tmp_path / name, tmp_path / "shared", here.server.url, cap=1.0, count=4) for name in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    log = here.server.log()
    assert len(log) == len({record["request"] for record in log}) == 4
    sums = [read_summary(tmp_path / name) for name in "ab"]
    assert sum(s["cached"] for s in sums) == 4 and all(s["replies"] == 4 for s in sums)


# ------------------------------------------------------------------------------------------- the matrix

def check_books(here: World, log: list[dict], replies: dict[int, object], kills: int = 0) -> None:
    """By the server's own log: nothing paid twice but what was under way at a kill, every bill in the ledger, and the cap kept."""
    answered = Counter(record["request"] for record in log if not record["fault"] or record["fault"] in ODD_REPLIES)
    assert sum(answered.values()) - len(answered) <= kills * 16, "a reply was paid for twice"
    with sqlite3.connect(here.folder / "teacher.sqlite") as base:
        rows = base.execute("SELECT state, cost, worst, tokens_in, tokens_cached, tokens_out FROM tries").fetchall()
        assert base.execute("SELECT count(*) FROM requests WHERE reply IS NOT NULL").fetchone()[0] >= len(replies)
    counted = Counter((i, c, o) for state, _, _, i, c, o in rows if state == "done" and i is not None)
    in_log = Counter(tuple(record["billed"]) for record in log if record["billed"])
    assert not counted - in_log, "the ledger has counts that the server never sent"
    assert here.billed() <= sum(row[1] for row in rows) <= here.cap, "the cap was passed"
    assert all(cost <= worst for _, cost, worst, *_ in rows)


@pytest.mark.slow
@pytest.mark.parametrize("count, faults", [(60, AGAIN + ODD_REPLIES), *((200, faults) for faults in ((), AGAIN, AGAIN + ODD_REPLIES))])
def test_two_hundred_requests_sixteen_at_once(world, count, faults):
    """And sixty, for those in a hurry."""
    here = world(cap=3.0, tries=30, rate=0.4 if faults else 0.0, faults=faults, seed=3, stall=0.4, after=0.05, delay=0.0 if faults else 0.2)
    replies = here.ask(range(count), at_once=16)
    assert not [reply for reply in replies if isinstance(reply, Exception)]
    log = here.server.log()
    check_books(here, log, dict(enumerate(replies)))
    assert faults or here.server.most > 8, "not at once"
    assert {record["fault"] for record in log} == {"", *faults} or count < 200, "a fault that was not met"
    assert here.ask(range(count), at_once=16) == replies and len(here.server.log()) == len(log), "asked again"


@pytest.mark.slow
@pytest.mark.parametrize("cents", [1, 2])
def test_the_cap_is_not_passed_by_a_cent(world, cents):
    here = world(cap=cents / 100, tries=9, rate=0.3, faults=AGAIN, seed=cents, stall=0.3, after=0.05)
    replies = here.ask(range(60), at_once=16)
    log = here.server.log()
    check_books(here, log, {n: reply for n, reply in enumerate(replies) if not isinstance(reply, Exception)})
    assert any(isinstance(reply, CapReached) for reply in replies)
    assert here.spent() > here.cap - here.endpoint.worst(here.endpoint.body(MESSAGES, 0.5, 1)), "stopped long before the cap"


# ------------------------------------------------------------------------------------------- killed

ASKING = """
import sys; sys.path.insert(0, sys.argv[1])
import asyncio
from pathlib import Path
from recipes.endpoint import *
from recipes.ledger import *
MESSAGES = [{"role": "user", "content": "What is the answer to this question?"}]
run, shared, url, cap, count = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], float(sys.argv[5]), int(sys.argv[6])
endpoint = Endpoint("here", url, "m", ("1.40", "0.26", "4.40"), max_output=200)
run.mkdir(exist_ok=True)

async def all_of_them(asker):
    places = asyncio.Semaphore(16)
    async def one(sample):
        async with places:
            await asker.ask("t", endpoint.body(MESSAGES, 0.5, sample), sample)
    await asyncio.gather(*map(one, range(count)))

with Replies(shared) as replies, Ledger.open(run / "teacher.sqlite", replies) as ledger:
    asyncio.run(all_of_them(Asker(Client(endpoint, "sk-of-nobody-4f1e9c07ab5d2e88", 0.5, 10.0), ledger, replies, as_pico(cap), 30, 0.02,
    0)))
"""


def start_asking(run: Path, shared: Path, url: str, cap: float, count: int) -> subprocess.Popen:
    """A process of its own that asks `count` requests, 16 at once."""
    return subprocess.Popen([sys.executable, "-c", ASKING, str(ROOT), str(run), str(shared), url, str(cap), str(count)])


@pytest.mark.slow
def test_killed_at_twenty_random_instants(tmp_path):
    draw = random.Random(11)
    with ServerProcess(tmp_path / "server", default=ANSWER, rate=0.3, faults=AGAIN, seed=9, after=0.05, delay=0.05) as server:
        here = World(tmp_path, server, cap=20.0)
        kills = 0
        while kills < 20:
            process = start_asking(here.folder, here.shared, server.url, 20.0, 200)
            seen, until = len(server.log()), time.monotonic() + 60
            wanted = draw.choice([1, 1, 3, 8, 20])
            while process.poll() is None and len(server.log()) < seen + wanted and time.monotonic() < until:
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
        assert [state for state, *_ in world.tries_made()] == ["done"] * sent and world.spent() == world.billed()
        # Asked again without a stop, what was paid for costs nothing.
        outcomes = World(tmp_path, server).ask(samples=range(8), at_once=3)
        assert all(isinstance(outcome, Reply) for outcome in outcomes) and len(server.log()) == 8
