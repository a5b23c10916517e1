"""The spend ledger of one run (teacher.sqlite), and the replies that all runs share: what was paid
for is never lost and never paid twice.

    ledger = Ledger.open(run / "teacher.sqlite", replies)
    # before a request is sent; raises CapReached
    number = ledger.reserve(request, worst, cap)
    replies.keep(request.key, reply, cost, ledger.id, number)        # as soon as its reply is there ...
    ledger.settle(number, reply, cost)                           # ... and before the reply is used
    ledger.fail(number, "503", cost=0)  # or: it failed, and this is what it may have cost

Every request is sent in *tries*. A try is written down, with the most that it can cost, before it
is sent; the sum of what was spent and of the worst cases of all tries under way never passes the
cap, because the sum is made and the try is written in one transaction. A try that was under way
when the process died is `lost`: it stays counted at its worst case for good, and only such a
request, or a failed one, is asked again.

A reply goes to the shared replies first and to the run's ledger second. A kill between the two is
mended when the ledger is opened: the shared reply names the run and the try that paid for it.

Money is counted in whole picodollars (1e-12 US dollars): prices are per million tokens, so one
token at a price of 1.40 costs exactly 1,400,000. SQLite with a write-ahead log and full
synchronisation: what has been committed survives a power cut.
"""

import fcntl
import json
import os
import secrets
import sqlite3
import time
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path

from recipes.teachers.database import Database
from sandbox.cache import hold, release
from sandbox.errors import UsageError
from sandbox.jsonl import valid

Tokens = tuple[int, int, int] | tuple[None, None, None]
"""Tokens in, those of them that were cached, and out; None where the endpoint does not say."""
NOT_COUNTED = (None, None, None)
PICO = 10**12
"""Picodollars in a US dollar."""
FAILED = ("error", "network_error", "insufficient_system_resource", "abort", "aborted", "cancelled")
"""`finish_reason`s by which an endpoint says that its own work failed: OpenRouter and others, GLM,
DeepSeek, and the servers that break off (vLLM, SGLang)."""
CUT_OFF = ("length", "content_filter", "sensitive")
"""`finish_reason`s of a reply that the endpoint ended before the model did."""
FORMAT = 1
SUMS = ("requests", "replies", "cached", "lost", "failed")
NOTHING = {**dict.fromkeys(SUMS, 0), "usd": 0.0, "tokens": {"in": 0, "cached": 0, "out": 0}}

RUN_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS requests (
    request TEXT PRIMARY KEY, task TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, body TEXT NOT NULL,
    reply TEXT, verdict TEXT, reason TEXT);
CREATE TABLE IF NOT EXISTS tries (
    try INTEGER PRIMARY KEY, request TEXT NOT NULL REFERENCES requests,
    state TEXT NOT NULL CHECK (state IN ('in_flight', 'lost', 'failed', 'done', 'cached')),
    worst INTEGER NOT NULL, cost INTEGER NOT NULL, fault TEXT NOT NULL DEFAULT '',
    tokens_in INTEGER, tokens_cached INTEGER, tokens_out INTEGER, sent REAL NOT NULL, ended REAL);
CREATE INDEX IF NOT EXISTS tries_of ON tries (request);
"""
SHARED_TABLES = """
CREATE TABLE IF NOT EXISTS replies (
    request TEXT PRIMARY KEY, reply TEXT NOT NULL, cost INTEGER NOT NULL, run TEXT NOT NULL, try INTEGER NOT NULL, kept REAL NOT NULL);
"""


class CapReached(Exception):
    """The request does not fit under the cap beside what was spent and what is under way."""


@dataclass(frozen=True)
class Reply:
    """What an endpoint answered to one request."""

    content: str
    reasoning: str
    """What it thought aloud (`reasoning_content`); kept here, and learned from only if the recipe
    says so."""
    finish: str
    """`stop`, `length`, `content_filter`, ...: the endpoint's own word."""
    tokens_in: int | None
    """Tokens as the endpoint counted them; None where it did not say."""
    tokens_cached: int | None
    """Those of `tokens_in` that were billed at the lower price."""
    tokens_out: int | None

    @property
    def tokens(self) -> Tokens:
        if self.tokens_in is None or self.tokens_cached is None or self.tokens_out is None:
            return NOT_COUNTED
        return self.tokens_in, self.tokens_cached, self.tokens_out

    @property
    def is_answer(self) -> bool:
        """Whether the endpoint answered at all. Its own error is no answer, nor is an empty reply
        of which it counted no token; earlier versions kept such, an error as `empty`."""
        if self.finish in FAILED:
            return False
        counted = bool(self.tokens_in or self.tokens_out) and self.finish != "empty"
        return bool(self.content or self.reasoning) or counted or self.finish in CUT_OFF


@dataclass(frozen=True)
class Request:
    """What an endpoint is asked, and for which task."""

    key: str
    """The hash under which it is paid for once (`Endpoint.request`)."""
    task: str
    endpoint: str
    """Its address."""
    body: dict


def _tries(base: sqlite3.Connection) -> int:
    """Tries that were sent."""
    row = base.execute("SELECT count(*) FROM tries WHERE state != 'cached'").fetchone()
    return int(row[0])


def _kept(reply: Reply) -> str:
    """How a reply is written down."""
    return json.dumps(valid(asdict(reply)))


def usd(pico: int) -> float:
    """Picodollars as US dollars."""
    return pico / PICO


def as_pico(dollars: float) -> int:
    """US dollars as picodollars, by their decimal digits."""
    return int(Decimal(str(dollars)) * PICO)


# ----------------------------------------------------------------------------------------- all runs


class Replies:
    """The replies that all runs share, by hash of the request, in a folder of the cache. A lock
    keeps two processes from sending the same request at the same time."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where the folder cannot be written or the file is damaged."""
        self._folder = folder
        hold(folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._base = Database(folder / "replies.sqlite", SHARED_TABLES)
        self._locks = os.open(folder / "replies.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._claimed: set[str] = set()

    def __enter__(self) -> "Replies":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._locks)
        self._base.close()
        release(self._folder)

    def find(self, request: str) -> Reply | None:
        """The answer to the request that some run has paid for."""
        return _answer(self._base.row("SELECT reply FROM replies WHERE request = ?", request))

    def payer(self, request: str) -> tuple[str, int, Reply, int] | None:
        """(run, try, reply, cost) of the one that paid for the request."""
        row = self._base.row("SELECT * FROM replies WHERE request = ?", request)
        return (
            (row["run"], row["try"], Reply(**json.loads(row["reply"])), row["cost"])
            if row
            else None
        )

    def keep(self, request: str, reply: Reply, cost: int, run: str, number: int) -> None:
        """Write down a reply that was paid for; the first one stays, if it is an answer."""
        row = (request, _kept(reply), cost, run, number, time.time())
        with self._base.write() as base:
            known = base.execute("SELECT reply FROM replies WHERE request = ?", (request,))
            if _answer(known.fetchone()) is None:
                base.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?)", row)

    def claim(self, request: str) -> bool:
        """Whether the request may be sent now: nobody else is sending it, here or in another
        process. The claim ends with the process."""
        if request in self._claimed:
            return False
        try:
            # A lock on one byte, at a place that the request's hash gives: no files to clean up,
            # and the kernel lets go of it.
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(request))
        except (BlockingIOError, PermissionError):
            return False
        self._claimed.add(request)
        return True

    def release(self, request: str) -> None:
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, _place(request))
        self._claimed.remove(request)


def _answer(row: sqlite3.Row | None) -> Reply | None:
    """The reply in this row; None where there is none, or what is there is no answer."""
    reply = Reply(**json.loads(row["reply"])) if row else None
    return reply if reply is not None and reply.is_answer else None


def _place(request: str) -> int:
    return int(request[:15], 16)


# ------------------------------------------------------------------------------------------ one run


class Ledger:
    """One run's requests, tries and verdicts. One process at a time opens it: the one that holds
    the run's lock."""

    def __init__(self, base: Database) -> None:
        self._base = base
        self.id = base.one("SELECT value FROM meta WHERE name = 'run'")["value"]
        """A random name of this ledger: how a shared reply tells who paid."""

    @classmethod
    def open(cls, path: Path, replies: Replies) -> "Ledger":
        """The ledger in this file, made if there is none. What was under way when its last process
        died is settled from the shared replies, or lost. Raises UsageError where the file cannot be
        written, is damaged or of another version."""
        base = Database(path, RUN_TABLES)
        with base.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO meta VALUES ('format', ?), ('run', ?)",
                (str(FORMAT), secrets.token_hex(16)),
            )
        if (found := base.one("SELECT value FROM meta WHERE name = 'format'")["value"]) != str(
            FORMAT
        ):
            raise UsageError(
                f"{path} was written by another version of coldstart (format {found}, this one "
                f"reads {FORMAT})."
            )
        ledger = cls(base)
        for row in base.rows("SELECT try, request FROM tries WHERE state = 'in_flight'"):
            paid = replies.payer(row["request"])
            if paid is not None and paid[:2] == (ledger.id, row["try"]):
                ledger.settle(row["try"], reply=paid[2], cost=paid[3])
            else:
                ledger.lose(row["try"])
        return ledger

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    # --------------------------------------------------------------------------------------- asking

    def reply(self, request: str) -> Reply | None:
        """The answer that this run has to the request."""
        query = "SELECT reply FROM requests WHERE request = ? AND reply IS NOT NULL"
        return _answer(self._base.row(query, request))

    def has_answers(self) -> bool:
        """Whether the endpoint has answered this run at least once."""
        return self._base.row("SELECT 1 FROM tries WHERE state = 'done' LIMIT 1") is not None

    def is_first(self, name: str) -> bool:
        """Whether the run has not come to what `name` says before: true once in all its life."""
        with self._base.write() as base:
            return base.execute("INSERT OR IGNORE INTO meta VALUES (?, '')", (name,)).rowcount == 1

    def reserve(
        self, request: Request, worst: int, cap: int, max_requests: int | None = None
    ) -> int:
        """Write down a try of the request that is about to be sent, and return its number.
        `max_requests`: tries that the run may have in all. Raises CapReached."""
        with self._base.write() as base:
            if worst and _total(base) + worst > cap:
                raise CapReached
            if max_requests is not None and _tries(base) >= max_requests:
                raise CapReached
            return self._try(base, request, "in_flight", worst)

    def settle(self, number: int, reply: Reply, cost: int) -> None:
        """The try was answered, for so many picodollars."""
        with self._base.write() as base:
            base.execute(
                "UPDATE tries SET state = 'done', cost = ?, tokens_in = ?, tokens_cached = ?, "
                "tokens_out = ?, ended = ? "
                "WHERE try = ?",
                (cost, reply.tokens_in, reply.tokens_cached, reply.tokens_out, time.time(), number),
            )
            base.execute(
                "UPDATE requests SET reply = ? WHERE request = (SELECT request FROM tries WHERE "
                "try = ?)",
                (_kept(reply), number),
            )

    def fail(self, number: int, fault: str, cost: int) -> None:
        """The try gave no reply, and may have cost so much."""
        with self._base.write() as base:
            base.execute(
                "UPDATE tries SET state = 'failed', cost = ?, fault = ?, ended = ? WHERE try = ?",
                (cost, valid(fault), time.time(), number),
            )

    def lose(self, number: int) -> None:
        """The try is over, if it was under way, and nobody knows what became of it: it stays
        counted at its worst case."""
        with self._base.write() as base:
            base.execute(
                "UPDATE tries SET state = 'lost', ended = ? WHERE try = ? AND state = 'in_flight'",
                (time.time(), number),
            )

    def take_over(self, request: Request, reply: Reply) -> None:
        """The reply was paid for by another run: it is free."""
        with self._base.write() as base:
            number = self._try(base, request, "cached", 0)
            base.execute("UPDATE tries SET ended = sent WHERE try = ?", (number,))
            base.execute(
                "UPDATE requests SET reply = ? WHERE request = ?", (_kept(reply), request.key)
            )

    def judge(self, request: str, verdict: str, reason: str) -> None:
        """What the sandbox said of the reply."""
        with self._base.write() as base:
            base.execute(
                "UPDATE requests SET verdict = ?, reason = ? WHERE request = ?",
                (verdict, valid(reason), request),
            )

    @staticmethod
    def _try(base: sqlite3.Connection, request: Request, state: str, worst: int) -> int:
        """Write down a try, which costs its worst case until more is known; its number."""
        base.execute(
            "INSERT OR IGNORE INTO requests (request, task, endpoint, model, body) "
            "VALUES (?, ?, ?, ?, ?)",
            (
                request.key,
                request.task,
                request.endpoint,
                request.body["model"],
                json.dumps(request.body),
            ),
        )
        made = base.execute(
            "INSERT INTO tries (request, state, worst, cost, sent) VALUES (?, ?, ?, ?, ?)",
            (request.key, state, worst, worst, time.time()),
        )
        assert made.lastrowid is not None
        return made.lastrowid


def _total(base: sqlite3.Connection) -> int:
    return base.execute("SELECT coalesce(sum(cost), 0) FROM tries").fetchone()[0]


# ---------------------------------------------------------------------------------- what it came to


def read_summary(run: Path) -> dict:
    """What a run's ledger comes to: {"requests", "replies", "cached", "lost", "failed", "usd",
    "tokens": {"in", "cached", "out"}, "by_model": {model: the same sums}, "by_task": {task: the
    same sums}}; all 0 where there is none.

    `requests` were sent at least once, `replies` were answered, by the endpoint or (`cached` tries)
    by another run; `lost` and `failed` are tries; `tokens` are those of answered tries. Raises
    UsageError.
    """
    if not (path := run / "teacher.sqlite").is_file():
        return {**NOTHING, "by_model": {}, "by_task": {}}
    base = Database(path, "", writable=False)
    try:
        return {
            **(_sums(base, "''").get("") or NOTHING),
            "by_model": _sums(base, "model"),
            "by_task": _sums(base, "task"),
        }
    finally:
        base.close()


def _sums(base: Database, group: str) -> dict[str, dict]:
    rows = base.rows(f"""
        SELECT {group} AS name, count(DISTINCT CASE WHEN state != 'cached' THEN tries.request END) AS requests,
               count(DISTINCT CASE WHEN reply IS NOT NULL THEN tries.request END) AS replies,
               total(state = 'cached') AS cached, total(state IN ('lost', 'in_flight')) AS lost, total(state = 'failed') AS failed,
               coalesce(sum(cost), 0) AS cost, total(tokens_in) AS tokens_in, total(tokens_cached) AS tokens_cached,
               total(tokens_out) AS tokens_out
        FROM tries JOIN requests USING (request) GROUP BY name ORDER BY name""")
    return {
        row["name"]: {
            **{key: int(row[key]) for key in SUMS},
            "usd": usd(row["cost"]),
            "tokens": {key: int(row[f"tokens_{key}"]) for key in ("in", "cached", "out")},
        }
        for row in rows
    }


def spend_lines(run: str, summary: dict, by_run: dict[str, dict]) -> list[str]:
    """A summary, and those of the runs beside it, for a person."""
    if not summary["by_model"] and not by_run:
        return [f"No API teacher has been asked in {run}."]
    lines = [
        f"{'':40} {'requests':>8} {'replies':>8} {'free':>6} {'lost':>6} {'failed':>6} "
        f"{'tokens in':>10} {'cached':>9} {'out':>9} "
        f"{'USD':>10}"
    ]
    for title, sums in (
        ("model", summary["by_model"]),
        ("task", summary["by_task"]),
        ("run", by_run),
    ):
        for name, s in sums.items():
            tokens = s["tokens"]
            lines.append(
                f"{f'{title} {name}':40.40} {s['requests']:8} {s['replies']:8} {s['cached']:6} "
                f"{s['lost']:6} {s['failed']:6} "
                f"{tokens['in']:10} {tokens['cached']:9} {tokens['out']:9} {s['usd']:10.4f}"
            )
    return [
        *lines,
        f"{run}: ${summary['usd']:.4f}; what is lost, or failed and may have been billed, is "
        "counted at the most that it can "
        "have cost.",
    ]
