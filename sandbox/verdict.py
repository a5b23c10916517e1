"""judge(task, edit) -> Verdict: what is true of a candidate edit, decided outside the jail.

    with Judge(repository, settings, memory=run/"verdicts.jsonl") as judge:
        verdict = judge.judge(task, {"lib/text.py": "..."})

Layers, in this order; the first that says no decides:

1. *gate* (`edits.py`), before anything runs;
2. *screen*: the named tests in a warm jail, tens of milliseconds;
3. *confirm*, only for what passed the screen: the named tests again, by a cold process in a fresh jail.

Tests and what configures them always come from the snapshot; of the edit only what the gate let through. The same edit to the
same task has the same verdict: it is remembered by hash and never run twice. A failure of the harness is never remembered
and never a reward of any kind: it is raised as HarnessError.

What remains: the code that is judged shares a process with the tests that judge it, so a verdict can be forged by code written
to attack this harness; the kernel is shared.
"""
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox import jsonl
from sandbox.edits import InvalidEdit, gate
from sandbox.errors import HarnessError, UsageError
from sandbox.jail import Jail
from sandbox.repo import Repository
from sandbox.tasks import Task


@dataclass(frozen=True)
class Limits:
    """What a judged run may use."""

    workers: int = 0
    """Jails at the same time; 0: one per CPU core."""
    timeout: float = 10.0
    """Seconds beside ten times what the named tests took on the intact tree."""
    memory_mb: int = 2048
    """Address space of each process, MiB."""

    @property
    def jails(self) -> int:
        return self.workers or len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Verdict:
    """What the sandbox says of a candidate edit."""

    instance_id: str
    status: str
    """`resolved`, `failed`, `timeout` or `invalid`."""
    stage: str
    """The layer that decided: `gate`, `screen` or `confirm`."""
    reason: str
    """Why, in words."""
    tests: dict[str, str]
    """Outcome of every named test; empty where none ran."""
    seconds: float

    @property
    def reward(self) -> float:
        """1.0 for `resolved`, else 0.0."""
        return 1.0 if self.status == "resolved" else 0.0

    @property
    def share_passed(self) -> float:
        """Share of the named tests that passed: logged, never trained on."""
        return sum(o == "passed" for o in self.tests.values()) / len(self.tests) if self.tests else 0.0

    def to_dict(self) -> dict:
        return {**asdict(self), "reward": self.reward}


class Judge:
    """Verdicts for the tasks of one repository. Owns its warm jails; use it as a context manager."""

    def __init__(self, repository: Repository, limits: Limits, memory: Path | None = None, preload: tuple[str, ...] = ()) -> None:
        self.repository, self.limits, self._memory_file = repository, limits, memory
        self._layout = repository.layout(preload)
        self._remembered = self._read_memory()
        self._lock = threading.Lock()
        self._local = threading.local()
        self._jails: list[Jail] = []
        self._closing = False
        # The jails die with the thread that started them, so the threads live as long as the judge does.
        self._pool = ThreadPoolExecutor(limits.jails, thread_name_prefix="judge")

    def close(self) -> None:
        """End the jails; what they were doing is given up."""
        self._closing = True
        for jail in list(self._jails):
            jail.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for jail in self._jails:
            jail.close()

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def judge(self, task: Task, edit: dict[str, str]) -> Verdict:
        """The verdict for one edit. Raises HarnessError where the harness failed, UsageError where the task has moved on."""
        return self.judge_many([(task, edit)])[0]

    def judge_many(self, pairs: Iterable[tuple[Task, dict[str, str] | InvalidEdit]],
                   on_progress: Callable[[int, int], None] = lambda done, total: None) -> list[Verdict]:
        """The verdicts in the order of the pairs, several jails at work. An InvalidEdit stands for a reply with no edit in it.

        Equal pairs are judged once.
        """
        started = [self._start(task, edit) for task, edit in pairs]
        keys = {key: run for key, run in started if key is not None}
        futures = {self._pool.submit(self._decide, *run): key for key, run in keys.items() if not isinstance(run, Verdict)}
        for done, future in enumerate(as_completed(futures), 1):
            self._remember(futures[future], future.result())
            on_progress(done, len(futures))
        return [run if isinstance(run, Verdict) else self._remembered[key] for key, run in started]

    def run(self, request: dict, on_progress: Callable[[int, int], None] = lambda done, total: None) -> dict:
        """One request to a warm jail (see inside/runner.py), the limits filled in: how the miner runs tests."""
        return self._pool.submit(self._ask, request, on_progress).result()

    def run_many(self, requests: list[dict]) -> list[dict]:
        """`run` for several requests at a time, replies in their order."""
        return list(self._pool.map(self._ask, requests))

    # ------------------------------------------------------------------------------------------------ one verdict

    def _start(self, task: Task, edit: dict[str, str] | InvalidEdit):
        """(key, verdict) where it is known already, else (key, arguments of _decide)."""
        began = time.perf_counter()
        try:
            if isinstance(edit, InvalidEdit):
                raise edit
            files = gate(edit, task, self.repository.snapshot)
        except InvalidEdit as error:
            return None, Verdict(task.instance_id, "invalid", "gate", f"{error}.", {}, time.perf_counter() - began)
        key = self._key(task, files)
        if key in self._remembered:
            return key, self._remembered[key]
        return key, (task, files)

    def _decide(self, task: Task, files: dict[str, str]) -> Verdict:
        began = time.perf_counter()
        request = {"files": files, "ids": list(task.tests), "timeout": self.limits.timeout + 10 * task.test_seconds}
        stage = "screen"
        status, reason, tests = read_reply(self._ask(request), task.tests)
        if status == "resolved":
            stage = "confirm"
            status, reason, tests = read_reply(self._ask_cold(request), task.tests)
        return Verdict(task.instance_id, status, stage, reason, tests, round(time.perf_counter() - began, 4))

    def _complete(self, request: dict) -> dict:
        return {"memory_mb": self.limits.memory_mb, "path": list(self.repository.path), "files": {}, "timeout": self.limits.timeout,
                **request}

    def _ask(self, request: dict, on_progress: Callable[[int, int], None] = lambda done, total: None) -> dict:
        """Ask this thread's warm jail; one that died is replaced once."""
        request = self._complete(request)
        for last_try in (False, True):
            try:
                return self._warm_jail().ask(request, on_progress)
            except HarnessError:
                self._discard_jail()
                if last_try or self._closing:
                    raise
        raise AssertionError("the loop returns or raises")

    def _warm_jail(self) -> Jail:
        if getattr(self._local, "jail", None) is None:
            if self._closing:
                raise HarnessError("The judge is being closed.")
            self._local.jail = Jail(self._layout)
            with self._lock:
                self._jails.append(self._local.jail)
        return self._local.jail

    def _discard_jail(self) -> None:
        jail, self._local.jail = getattr(self._local, "jail", None), None
        if jail is not None and not self._closing:
            with self._lock:
                self._jails.remove(jail)
            jail.close()

    def _ask_cold(self, request: dict) -> dict:
        with Jail(self._layout, once=True) as jail:
            return jail.ask_once(self._complete(request))

    # ------------------------------------------------------------------------------------------------ memory

    def _key(self, task: Task, files: dict[str, str]) -> str:
        parts = [self.repository.tree, task.instance_id, *task.tests]
        parts += [part for path in sorted(files) for part in (path, files[path])]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    def _read_memory(self) -> dict[str, Verdict]:
        if self._memory_file is None:
            return {}
        try:
            records = jsonl.read(self._memory_file)
            return {r.pop("key"): Verdict(**{k: r[k] for k in Verdict.__dataclass_fields__}) for r in records}
        except (ValueError, KeyError) as error:
            raise UsageError(f"{self._memory_file} is damaged ({error}). Delete it; the verdicts will be made again.") from None

    def _remember(self, key: str, verdict: Verdict) -> None:
        self._remembered[key] = verdict
        if self._memory_file is not None:
            jsonl.append(self._memory_file, [{"key": key, **verdict.to_dict()}])


def read_reply(reply: dict, tests: Iterable[str]) -> tuple[str, str, dict[str, str]]:
    """(status, reason, outcomes) of a test run. Every named test must have been collected, run, and passed exactly once."""
    if reply.get("timeout"):
        return "timeout", "It did not end in time.", {}
    if "died" in reply:
        return "failed", f"It ended early: {reply['died']}.", {}
    outcomes = {test: reply["outcomes"].get(test, "missing") for test in tests}
    bad = {test: outcome for test, outcome in outcomes.items() if outcome != "passed"}
    if not bad:
        return "resolved", f"All {len(outcomes)} tests passed.", outcomes
    test, outcome = next(iter(bad.items()))
    return "failed", f"{len(bad)} of {len(outcomes)} tests did not pass; {test}: {outcome}.", outcomes
