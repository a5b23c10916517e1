"""The spend ledger: no sum passes the cap, nothing that was paid for is lost, and nothing is paid
for twice, whatever dies when."""

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.teachers.ledger import (
    NOTHING,
    PICO,
    CapReached,
    Ledger,
    Replies,
    Reply,
    Request,
    as_pico,
    read_summary,
    spend_lines,
)
from sandbox.errors import UsageError
from tests.conftest import ROOT

HASHES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(150)]
BODY = {"model": "m", "messages": [{"role": "user", "content": "?"}]}
REPLY = Reply("the answer", "a thought", "stop", 100, 30, 20)


@pytest.fixture
def replies(tmp_path):
    with Replies(tmp_path / "shared") as opened:
        yield opened


@pytest.fixture
def ledger(tmp_path, replies):
    with Ledger.open(tmp_path / "teacher.sqlite", replies) as opened:
        yield opened


def asked(request=HASHES[0], task="t") -> Request:
    return Request(request, task, "http://x/v1", BODY)


def reserve(ledger, request=HASHES[0], worst=10, cap=100, task="t") -> int:
    return ledger.reserve(asked(request, task), worst, cap)


def python(code: str, folder: Path) -> list[str]:
    """A command that runs this code with the ledger's names at hand, and `folder`."""
    start = (
        "import sys, time, hashlib; sys.path.insert(0, sys.argv[1])\nfrom pathlib import Path\n"
        "from recipes.teachers.ledger import CapReached, Ledger, Replies, Reply, Request\n"
        f"folder = Path(sys.argv[2]); BODY = {BODY!r}; HASHES = "
        "[hashlib.sha256(str(n).encode()).hexdigest() for n in range(150)]\n"
        "REPLY = Reply('the answer', 'a thought', 'stop', 100, 30, 20)\n"
    )
    return [sys.executable, "-c", start + code, str(ROOT), str(folder)]


def total(path: Path) -> int:
    """Picodollars in all tries of a ledger, read past the code under test."""
    with sqlite3.connect(path) as base:
        return base.execute("SELECT coalesce(sum(cost), 0) FROM tries").fetchone()[0]


def states(path: Path) -> list[tuple]:
    with sqlite3.connect(path) as base:
        return base.execute("SELECT request, state, worst, cost FROM tries ORDER BY try").fetchall()


# ------------------------------------------------------------------------------------------ the cap


@pytest.mark.slow
@settings(max_examples=25)
@given(
    cap=st.integers(0, 60),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["reserve", "settle", "fail", "lose", "reopen"]),
            st.integers(0, 30),
            st.integers(0, 30),
        ),
        max_size=15,
    ),
)
def test_the_cap_is_never_passed(tmp_path_factory, cap, steps):
    folder = tmp_path_factory.mktemp("ledger")
    with Replies(folder / "shared") as replies:
        ledger, open_tries, expected = Ledger.open(folder / "l", replies), {}, 0
        for number, (step, a, b) in enumerate(steps):
            if step == "reserve":
                before = total(folder / "l")
                try:
                    open_tries[reserve(ledger, HASHES[number], a, cap)] = a
                    assert before + a <= cap or a == 0
                except CapReached:
                    assert before + a > cap and total(folder / "l") == before
            elif step == "reopen":
                ledger.__exit__()
                ledger, open_tries = Ledger.open(folder / "l", replies), {}
            elif open_tries:
                try_number, worst = open_tries.popitem()
                before, cost = total(folder / "l"), min(b, worst)
                {
                    "settle": lambda: ledger.settle(try_number, REPLY, cost),
                    "fail": lambda: ledger.fail(try_number, "503", cost),
                    "lose": lambda: ledger.lose(try_number),
                }[step]()
                expected = before - worst + (worst if step == "lose" else cost)
                assert total(folder / "l") == expected
            assert total(folder / "l") <= cap
        ledger.__exit__()


def test_two_processes_do_not_pass_it_together(tmp_path, replies):
    """The sum and the new try are one transaction: no other one comes between them."""
    Ledger.open(tmp_path / "l", replies).__exit__()
    code = (
        "from recipes.teachers.database import Database\n"
        "ledger, taken = Ledger(Database(folder / 'l', '')), 0\n"
        "for number in range(60):\n"
        "    try:\n        ledger.reserve(Request(f'{sys.argv[3]}{number}', 't', 'x', BODY), 7, 350); taken "
        "+= 1\n"
        "    except CapReached:\n        pass\n"
        "print(taken)"
    )
    both = [
        subprocess.Popen([*python(code, tmp_path), name], stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    taken = [int(process.communicate()[0]) for process in both]
    assert sum(taken) == 50 and total(tmp_path / "l") == 350, taken


def test_what_costs_nothing_always_fits(ledger):
    reserve(ledger, HASHES[0], 100, 100)
    reserve(ledger, HASHES[1], 0, 50)
    with pytest.raises(CapReached):
        reserve(ledger, HASHES[2], 1, 100)


def test_money_is_exact():
    assert (
        as_pico(1.0) == PICO
        and as_pico(0.1) + as_pico(0.2) == as_pico(0.3) == 3 * 10**11
        and as_pico(2.01) == 201 * 10**10
    )


# ----------------------------------------------------------------------------- what became of a try


def test_a_reply_is_there_for_good(tmp_path, replies, ledger):
    number = reserve(ledger)
    assert ledger.reply(HASHES[0]) is None
    ledger.settle(number, REPLY, 4)
    ledger.judge(HASHES[0], "resolved", "All 2 tests passed.")
    assert ledger.reply(HASHES[0]) == REPLY
    ledger.__exit__()
    with Ledger.open(tmp_path / "teacher.sqlite", replies) as again:
        assert again.reply(HASHES[0]) == REPLY
    with sqlite3.connect(tmp_path / "teacher.sqlite") as base:
        rows = base.execute(
            "SELECT task, endpoint, model, verdict, reason FROM requests"
        ).fetchall()
        assert rows == [("t", "http://x/v1", "m", "resolved", "All 2 tests passed.")]
        assert base.execute(
            "SELECT tokens_in, tokens_cached, tokens_out, cost, state FROM tries"
        ).fetchall() == [(100, 30, 20, 4, "done")]


def test_a_try_under_way_at_a_death_is_lost_and_counted_at_its_worst(tmp_path, replies, ledger):
    reserve(ledger, HASHES[0], 10)
    reserve(ledger, HASHES[1], 20)
    ledger.__exit__()
    with Ledger.open(tmp_path / "teacher.sqlite", replies) as again:
        assert states(tmp_path / "teacher.sqlite") == [
            (HASHES[0], "lost", 10, 10),
            (HASHES[1], "lost", 20, 20),
        ]
        reserve(again, HASHES[0], 10)  # such a one may be asked again ...
        with pytest.raises(CapReached):
            reserve(again, HASHES[1], 61)  # ... beside what is counted already
    assert total(tmp_path / "teacher.sqlite") == 40


def test_a_death_between_the_two_files_costs_nothing(tmp_path, replies, ledger):
    """The reply is with the shared ones, this run's ledger does not know yet: opened again, it
    takes it, at what it cost."""
    number = reserve(ledger, HASHES[0], 10)
    reserve(ledger, HASHES[1], 20)
    replies.keep(HASHES[0], REPLY, 4, ledger.id, number)
    replies.keep(HASHES[1], REPLY, 4, "another run", 2)
    ledger.__exit__()
    with Ledger.open(tmp_path / "teacher.sqlite", replies) as again:
        assert again.reply(HASHES[0]) == REPLY and again.reply(HASHES[1]) is None
        assert states(tmp_path / "teacher.sqlite") == [
            (HASHES[0], "done", 10, 4),
            (HASHES[1], "lost", 20, 20),
        ]
        again.take_over(asked(HASHES[1]), replies.find(HASHES[1]))
        assert again.reply(HASHES[1]) == REPLY
    assert total(tmp_path / "teacher.sqlite") == 24


def test_another_runs_reply_is_free(tmp_path, replies, ledger):
    ledger.take_over(asked(), REPLY)
    assert ledger.reply(HASHES[0]) == REPLY
    found = read_summary(tmp_path)
    assert (found["requests"], found["replies"], found["cached"], found["usd"]) == (0, 1, 1, 0.0)


def test_the_first_reply_stays(replies):
    replies.keep(HASHES[0], REPLY, 4, "a", 1)
    replies.keep(HASHES[0], Reply("another", "", "stop", 1, 0, 1), 5, "b", 2)
    assert replies.payer(HASHES[0]) == ("a", 1, REPLY, 4) and replies.find(HASHES[1]) is None


# ------------------------------------------------------------------------------------------- claims


def test_a_request_is_claimed_by_one_process_until_it_dies(tmp_path, replies):
    assert replies.claim(HASHES[0]) and not replies.claim(HASHES[0])
    replies.release(HASHES[0])
    code = (
        "replies = Replies(folder / 'shared'); print(replies.claim(HASHES[0]), flush=True); "
        "time.sleep(60)"
    )
    other = subprocess.Popen(python(code, tmp_path), stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "True\n"
        assert not replies.claim(HASHES[0]) and replies.claim(HASHES[1])
    finally:
        other.kill()
        other.communicate()
    assert replies.claim(HASHES[0])


# ---------------------------------------------------------------------------- killed at any instant

WRITER = """
replies = Replies(folder / 'shared'); ledger = Ledger.open(folder / 'l', replies)
for request in HASHES:
    if ledger.reply(request): continue
    number = ledger.reserve(Request(request, 't', 'x', BODY), 10, 10**9); print('sent', request, flush=True)
    replies.keep(request, REPLY, 4, ledger.id, number); print('kept', request, flush=True)
    ledger.settle(number, REPLY, 4); print('done', request, flush=True)
"""


@pytest.mark.slow
def test_what_was_written_survives_a_kill(tmp_path):
    said, draw = {"sent": [], "kept": [], "done": []}, random.Random(5)
    for _ in range(8):
        writer = subprocess.Popen(python(WRITER, tmp_path), stdout=subprocess.PIPE, text=True)
        lines = [writer.stdout.readline()]
        time.sleep(0.1 * draw.random())
        os.kill(writer.pid, signal.SIGKILL)
        for line in [*lines, *writer.communicate()[0].splitlines()]:
            if len(words := line.split()) == 2 and len(words[1]) == 64:
                said[words[0]].append(words[1])
    with Replies(tmp_path / "shared") as replies, Ledger.open(tmp_path / "l", replies) as ledger:
        assert said["done"] and all(ledger.reply(request) for request in said["kept"]), (
            "a reply that was kept is lost"
        )
        assert len(said["sent"]) - len(set(said["sent"])) <= 8, (
            "more was sent again than was under way at a kill"
        )
    found = states(tmp_path / "l")
    assert {state for _, state, _, _ in found} <= {"done", "lost"} and all(
        cost == (4 if state == "done" else 10) for _, state, _, cost in found
    )
    assert len([request for request, state, _, _ in found if state == "done"]) == len(
        {request for request, state, _, _ in found if state == "done"}
    )


# ---------------------------------------------------------------------------------- what it came to


def test_the_sums_by_model_and_task(tmp_path, ledger):
    assert read_summary(tmp_path / "nowhere") == {**NOTHING, "by_model": {}, "by_task": {}}
    assert read_summary(tmp_path) == {**NOTHING, "by_model": {}, "by_task": {}}
    for index, (model, task) in enumerate([("m", "a"), ("m", "b"), ("n", "b")]):
        request = Request(HASHES[index], task, "http://x/v1", {**BODY, "model": model})
        number = ledger.reserve(request, PICO, 10 * PICO)
        ledger.settle(number, REPLY, PICO // 2)
    ledger.fail(reserve(ledger, HASHES[3], PICO, 10 * PICO, "b"), "500", PICO)
    found = read_summary(tmp_path)
    assert (found["requests"], found["replies"], found["failed"], found["lost"], found["usd"]) == (
        4,
        3,
        1,
        0,
        2.5,
    )
    assert found["tokens"] == {"in": 300, "cached": 90, "out": 60}
    assert {name: sums["usd"] for name, sums in found["by_model"].items()} == {"m": 2.0, "n": 0.5}
    assert {name: sums["requests"] for name, sums in found["by_task"].items()} == {"a": 1, "b": 3}
    lines = spend_lines("run", found, {"run": found})
    assert (
        any(line.startswith("task b") and line.endswith("2.0000") for line in lines)
        and "$2.5000" in lines[-1]
    )
    assert spend_lines("run", read_summary(tmp_path / "nowhere"), {}) == [
        "No API teacher has been asked in run."
    ]


# ------------------------------------------------------------------------ files that cannot be used


def test_a_damaged_ledger_is_named(tmp_path, replies):
    (tmp_path / "teacher.sqlite").write_bytes(
        b"not a database, but a text that is long enough to be one" * 40
    )
    with pytest.raises(UsageError, match="teacher.sqlite is damaged"):
        Ledger.open(tmp_path / "teacher.sqlite", replies)
    with pytest.raises(UsageError, match="teacher.sqlite is damaged"):
        read_summary(tmp_path)


def test_a_ledger_of_another_version(tmp_path, replies, ledger):
    ledger.__exit__()
    with sqlite3.connect(tmp_path / "teacher.sqlite") as base:
        base.execute("UPDATE meta SET value = '99' WHERE name = 'format'")
    with pytest.raises(UsageError, match="another version of coldstart .format 99"):
        Ledger.open(tmp_path / "teacher.sqlite", replies)


def test_a_full_disk(tmp_path, replies):
    """What does not fit is said, and what was there stays."""
    with Ledger.open(tmp_path / "l", replies) as ledger:
        ledger.settle(reserve(ledger), REPLY, 4)
    code = (
        "with Replies(folder / 'shared') as replies, Ledger.open(folder / 'l', replies) as "
        "ledger:\n"
        "    for request in HASHES[1:]:\n"
        "        ledger.settle(ledger.reserve(Request(request, 't', 'x', BODY), 1, 10**9), Reply('x' * "
        "20000, '', 'stop', 1, 0, 1), 1)\n"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 400; exec "$@"', "sh", *python(code, tmp_path)],
        capture_output=True,
        text=True,
    )
    assert (
        "UsageError" in done.stderr and "cannot be used" in done.stderr and "is kept" in done.stderr
    ), done.stderr
    with Ledger.open(tmp_path / "l", replies) as ledger:
        assert ledger.reply(HASHES[0]) == REPLY
