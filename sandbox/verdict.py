"""judge(task, edit) -> Verdict: what is true of a candidate edit, decided outside the jail.

    with Judge(repository, settings, memory=run/"verdicts.jsonl") as judge:
        verdict = judge.judge(task, {"lib/text.py": "..."})

Layers, in this order; the first that says no decides:

1. *gate* (`edits.py`), before anything runs;
2. *screen*: the named tests in a jail that is warm already, tens of milliseconds: `hot` where the edit stays inside the body
   of one function, else `warm` (`jail.py`, `inside/hot.py` say what these are);
3. *confirm*, only for what passed the screen: *originals*, the named tests again, in a process that has loaded nothing of the
   project; *twins* (`twins.py`): tests with one expectation changed, each of which must fail (an edit that passes one is
   `tampered`); and for hard tasks *outside* (`outside.py`): the tests with none of the edit's code in their process, and fresh inputs.

The originals run in a fork of the warm jail where that is another tier than the screen's, with a
network, mounts and process ids of its own, so that nothing of an earlier rollout can be found; else
by a cold process in its own jail. So it is, too, for soft tasks that are held out, for what is
measured on these is to come from no process with a history; and for soft tasks in the jail without
namespaces.

A fast verdict must be what a cold process would have said: a share of them (`Limits.recheck`, drawn
by the hash of the edit) is run cold as well, and one difference makes the task cold from then on.

Tests and what configures them always come from the snapshot; of the edit only what the gate let
through. The same edit to the same task has the same verdict: it is remembered by hash and never run
twice.

A jail may fail: it cannot be started, or it dies. Then all of the verdict is tried again in fresh
jails, TRIES times in all. After that a HarnessError stands where the verdict would: it is no reward
of any kind, and never remembered. Once the judge is being closed nothing is tried again.

What remains: a hard reward means that the code gave the reference's results on inputs chosen after
it was written, and it can still be wrong elsewhere. A soft reward comes from a process that the
judged code shared: it can be forged by code written to attack this harness. The kernel is shared.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from sandbox import jsonl
from sandbox.alternatives import accepted
from sandbox.copies import copies
from sandbox.edits import InvalidEdit, gate
from sandbox.errors import HarnessError, UsageError
from sandbox.jail import Jail
from sandbox.landlock_jail import jail_notice, open_jail
from sandbox.outside import Tests, Worker, agree, deciding, drawn_calls, on_fresh_inputs
from sandbox.repo import Repository, files_of
from sandbox.roles import Roles
from sandbox.source import bodies_changed, find, imports, read_text
from sandbox.tasks import Task
from sandbox.twins import readable_tests, test_functions, with_other_literals

TRIES, GIVEN_UP = 3, "the jail failed three times"
"""How often a verdict is tried where jails fail, and what is said in the end."""
CLOSING = "The judge is being closed."
ANOTHER_SECOND = 1.1
"""Seconds after which a clock that counts whole ones shows another."""
MAX_RECORDED = 60
"""Calls that are kept of a hard task: what fresh inputs are drawn from."""
SUITE_REPORT_MB = 64
"""Longest report of a whole suite: which test calls which function."""
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed", "missing")
GROWTH_KB, GROWTH_DESCRIPTORS = 64 << 10, 8
"""A warm process that holds so much more than after its first request leaks, and is replaced."""


@dataclass(frozen=True)
class Limits:
    """What a judged run may use."""

    workers: int = 0
    """Jails at the same time; 0: one per CPU core."""
    timeout: float = 10.0
    """Seconds beside ten times what the named tests took on the intact tree."""
    memory_mb: int = 2048
    """Memory of all processes of one verdict together, MiB."""
    recheck: float = 0.02
    """Share of the fast verdicts that a cold process repeats."""

    @property
    def jails(self) -> int:
        return self.workers or len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Verdict:
    """What the sandbox says of a candidate edit."""

    instance_id: str
    status: str
    """`resolved`, `failed`, `timeout`, `invalid` or `tampered`."""
    stage: str
    """The layer that decided: `gate`, `screen` or `confirm`."""
    reason: str
    """Why, in words."""
    tests: dict[str, str]
    """Outcome of every named test; empty where none ran."""
    seconds: float
    cpu_seconds: float = 0.0
    """Processor time that it took, in the jails and out here."""
    tier: str = ""
    """What screened it: `hot`, `warm` or `cold`; empty where nothing ran."""
    agreement: float | None = None
    """Share of the fresh inputs that the edit answered on which it answers as the gold edit does
    (`outside.agreement`); None where none decided, or it answered none."""

    @property
    def reward(self) -> float:
        """1.0 for `resolved`, else 0.0."""
        return 1.0 if self.status == "resolved" else 0.0

    @property
    def share_passed(self) -> float:
        """Share of the named tests that passed: logged, never trained on."""
        return (
            sum(o == "passed" for o in self.tests.values()) / len(self.tests) if self.tests else 0.0
        )

    def to_dict(self) -> dict:
        return {**asdict(self), "reward": self.reward}


class Judge:
    """Verdicts for the tasks of one repository. Owns its warm jails; use it as a context manager."""

    def __init__(
        self,
        repository: Repository,
        limits: Limits,
        memory: Path | None = None,
        preload: tuple[str, ...] = (),
        test_files: tuple[str, ...] = (),
        on_note: Callable[[str], None] = lambda note: None,
        roles: Roles = Roles(),
    ) -> None:
        """`preload`: modules that a warm jail may load beforehand; `test_files`: files that a hot
        jail collects, () for none; `on_note` hears, in words, when a tier is given up; `roles`:
        what belongs to the tests."""
        self.repository, self.limits, self._memory_file = repository, limits, memory
        self._layout = repository.layout(preload)
        self._test_files, self._roles = test_files, roles
        self._hot_tier, self._cold_tasks, self._note = bool(test_files), set(), on_note
        self._remembered = self._read_memory()
        self._lock = threading.Lock()
        self._local = threading.local()
        self._jails: list[Jail] = []
        self._closing, self._recorded_at = False, 0.0
        # The jails die with the thread that started them, so the threads live as long as the judge
        # does.
        self._pool = ThreadPoolExecutor(limits.jails, thread_name_prefix="judge")

    def close(self) -> None:
        """End the jails; what they were doing is given up."""
        self.stop()
        # Nothing is cancelled, for who waits for it would wait for ever: what has not begun fails.
        self._pool.shutdown(wait=True)
        for jail in self._jails:
            jail.close()

    def stop(self) -> None:
        """Give up what the jails are doing: whoever waits for a verdict gets a HarnessError.
        `close` is still to be called."""
        self._closing = True
        with self._lock:
            for jail in self._jails:
                jail.kill()

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def judge(self, task: Task, edit: dict[str, str]) -> Verdict:
        """The verdict for one edit. Raises HarnessError where the harness failed, UsageError where
        the task has moved on."""
        verdict = self.judge_many([(task, edit)])[0]
        if isinstance(verdict, HarnessError):
            raise verdict
        return verdict

    def judge_many(
        self,
        pairs: Iterable[tuple[Task, dict[str, str] | InvalidEdit]],
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Verdict | HarnessError]:
        """The verdicts in the order of the pairs, several jails at work. An InvalidEdit stands for
        a reply with no edit in it; a HarnessError, where a verdict would be, for jails that failed
        TRIES times.

        Equal pairs are judged once. Raises HarnessError where the judge is being closed, UsageError
        where a task has moved on.
        """
        started = [self._start(task, edit) for task, edit in pairs]
        keys = {key: run for key, run in started if key is not None}
        futures = {
            self._submit(self._tried, self._decide, *run): key
            for key, run in keys.items()
            if not isinstance(run, Verdict)
        }
        failed = {}
        for done, future in enumerate(as_completed(futures), 1):
            key, verdict = futures[future], future.result()
            if isinstance(verdict, HarnessError):
                name = keys[key][0].instance_id
                failed[key] = HarnessError(f"There is no verdict on an edit for {name}: {verdict}.")
            else:
                self._remember(key, verdict)
            on_progress(done, len(futures))
        return [
            run if isinstance(run, Verdict) else failed.get(key) or self._remembered[key]
            for key, run in started
        ]

    def run(
        self, request: dict, on_progress: Callable[[int, int], None] = lambda done, total: None
    ) -> dict:
        """One request to a warm jail (see inside/runner.py), the limits filled in: how the miner
        runs a whole suite. Raises HarnessError where the jails failed: TRIES times where tests are
        named, but a whole suite takes too long for that."""
        request = {"report_mb": SUITE_REPORT_MB, **request}
        if not request["ids"]:
            return self._submit(self._ask, request, on_progress).result()
        reply = self._submit(self._tried, self._ask, request, on_progress).result()
        if isinstance(reply, HarnessError):
            raise HarnessError(f"These tests could not be run: {reply}.")
        return reply

    # What measures many tasks gives a HarnessError in place of one whose jails failed TRIES times,
    # and raises one where the judge is being closed.

    def screen_many(self, pairs: list[tuple[Task, dict[str, str]]]) -> list[dict | HarnessError]:
        """The runner's replies for (task, files of the tree) pairs, in their order: a test run
        without a verdict."""

        def screen(task: Task, files: dict[str, str]) -> dict:
            return self._screen(task, files, self._swaps(files, task.named))

        return self._each(screen, pairs)

    def fresh_many(self, pairs: list[tuple[Task, dict[str, str]]]) -> list[dict | HarnessError]:
        """As `screen_many`, always in a process that has loaded nothing of the project."""
        return self._each(lambda task, files: self._ask(self._request(task, files)), pairs)

    def told_many(
        self, pairs: list[tuple[Task, dict[str, str]]], seconds: float
    ) -> list[dict | HarnessError]:
        """As `fresh_many`, with pytest's text of what fails; `seconds` in place of
        `Limits.timeout`."""

        def ask(task: Task, files: dict[str, str]) -> dict:
            request = {**self._request(task, files), "text": True, "report_mb": SUITE_REPORT_MB}
            return self._ask({**request, "timeout": seconds + 10 * task.test_seconds})

        return self._each(ask, pairs)

    def twins_many(
        self, tasks: list[Task], twins: list[dict[str, str]]
    ) -> list[dict | HarnessError]:
        """The runner's replies for each task's FAIL_TO_PASS on the intact tree but for these test
        files."""

        def run(task: Task, files: dict[str, str]) -> dict:
            return self._run_twins(task, files, task.FAIL_TO_PASS)

        return self._each(run, zip(tasks, twins))

    def _each(self, work: Callable, rows: Iterable[tuple]) -> list:
        """What `work` gives for each row of arguments, or the HarnessError of `_tried`."""
        futures = [self._submit(self._tried, work, *row) for row in rows]
        return [future.result() for future in futures]

    def _submit(self, work: Callable, *args) -> Future:
        """Let a thread that has jails of its own do the work."""
        try:
            return self._pool.submit(work, *args)
        except RuntimeError as error:  # it is shut down, or can start no thread
            raise HarnessError(CLOSING if self._closing else f"{error}.") from None

    def _tried(self, work: Callable, *args):
        """What `work` gives, tried again with fresh jails where this thread's fail; a HarnessError
        with the reason, to stand in its place, where they have failed TRIES times. Raises
        HarnessError where the judge is being closed."""
        for _ in range(TRIES):
            try:
                return work(*args)
            except HarnessError as error:
                if self._closing:
                    raise HarnessError(CLOSING) from None
                self._discard_jails()
                reason = " ".join(str(error).split()).rstrip(".")
        return HarnessError(f"{GIVEN_UP}: {reason}")

    # ---------------------------------------------------------------------------------- one verdict

    def _start(self, task: Task, edit: dict[str, str] | InvalidEdit):
        """(key, verdict) where it is known already, else (key, arguments of _decide): what has to
        be found in the syntax tree of the edit is found while that is at hand."""
        began, own = time.perf_counter(), time.thread_time()
        try:
            if isinstance(edit, InvalidEdit):
                raise edit
            files = gate(edit, task, self.repository.snapshot)
        except InvalidEdit as error:
            return None, Verdict(
                task.instance_id, "invalid", "gate", f"{error}.", {}, time.perf_counter() - began
            )
        key = self._key(task, files)
        if key in self._remembered:
            return key, self._remembered[key]
        swaps = self._swaps(files, task.named)
        return key, (task, files, swaps, time.thread_time() - own)

    def _decide(
        self, task: Task, files: dict[str, str], swaps: list[dict] | None, spent: float
    ) -> Verdict:
        """Layer after layer; the first that says no decides. `spent`: processor time that the edit
        has taken so far."""
        began, self._local.cpu, own = time.perf_counter(), spent, time.thread_time()
        reply = self._screen(task, files, swaps)
        status, reason, tests = read_reply(reply, task.tests)
        stage, agreed = "screen", None
        if status == "resolved":
            stage = "confirm"
            status, reason, tests = self._originals(task, files, reply)
        if status == "resolved" and (passed := self._passed_twins(task, files)):
            status = "tampered"
            reason = (
                f"Twins: {passed[0]} does not fail although its expectation was changed. The edit "
                "makes the test meaningless, or "
                "takes the answer from it."
            )
        if status == "resolved" and task.hard:
            status, outside, agreed = self._outside(task, files)
            reason = outside or f"{reason} From outside, too."
        return Verdict(
            task.instance_id,
            status,
            stage,
            reason,
            tests,
            round(time.perf_counter() - began, 4),
            round(self._local.cpu + time.thread_time() - own, 4),
            reply["tier"],
            agreed,
        )

    def _originals(
        self, task: Task, files: dict[str, str], screened: dict
    ) -> tuple[str, str, dict[str, str]]:
        """The named tests once more, in a process that has loaded nothing of the project; what the
        screen said where it was cold."""
        request = self._request(task, files)
        if screened["tier"] == "cold":
            return read_reply(screened, task.tests)
        warm_will_do = screened["tier"] == "hot" and not self._wants_cold(task)
        again = self._ask(request) if warm_will_do else self._ask_cold(request)
        status, reason, tests = read_reply(again, task.tests)
        return (
            status,
            reason
            if status == "resolved"
            else f"The tests passed once and not again in a fresh process: {reason}",
            tests,
        )

    @staticmethod
    def _wants_cold(task: Task) -> bool:
        """Whether a fork of a warm process is not good enough for the originals."""
        return not task.hard and (task.split == "heldout" or bool(jail_notice()))

    def _passed_twins(self, task: Task, files: dict[str, str]) -> list[str]:
        """The twins that do not fail as they must."""
        if not task.twin_tests:
            return []
        reply = self._run_twins(
            task, {**files, **task.twin_files(self.repository.snapshot)}, task.twin_tests
        )
        outcomes = read_reply(reply, task.twin_tests)[2]
        return [test for test in task.twin_tests if outcomes.get(test) != "failed"]

    def _run_twins(self, task: Task, files: dict[str, str], tests: tuple[str, ...]) -> dict:
        swaps = self._swaps(files, {**task.named, **test_functions(tests)})
        return self._run_changed({**self._request(task, files), "ids": list(tests)}, swaps)

    def _outside(self, task: Task, files: dict[str, str]) -> tuple[str, str, float | None]:
        """(status; why the edit does not hold when it is judged from outside, or why it does
        although its answers are others, else ""; share of the fresh inputs on which it agrees with
        the gold edit).

        (a) The tests run on the intact tree, in a process with none of the edit's code in it; the
        function there is a stub, and a worker with the edit and no tests answers its calls. (b) The
        worker answers fresh inputs, and its answers are compared here with the gold edit's, which
        was asked before the worker began: its time is not to pass meanwhile. (c) Where they are
        others, the tests may accept both (`alternatives.py`).
        """
        hot, warm = self._jail("hot"), self._jail("warm")
        request, seed = self._request(task, {}), self._key(task, files)
        tests = Tests(hot, self._complete(request), self._function_key(task), self._spent)
        calls = drawn_calls(task, seed)
        inputs = deciding(task, calls, tests.gold(calls))
        hidden = self._tests_and_data(task) + copies(self.repository.snapshot, task)
        worker = Worker(
            warm,
            self._complete(
                {
                    **request,
                    "files": files,
                    "remove": hidden,
                    "path": hot.ready["path"],
                    "worker": {"file": task.file, "function": task.function},
                }
            ),
        )
        try:
            heard: list[tuple[dict, dict]] = []

            def ask(call: dict) -> dict:
                heard.append((call, answer := worker.answer(call)))
                return answer

            status, reason, _ = read_reply(tests.run(ask), task.tests)
            if worker.fault:
                status, reason = worker.fault[0], f"the edit's process {worker.fault[1]}."
            if status != "resolved":
                where = "Judged from outside, where tests and edit share no process"
                return status, f"{where}: {reason}", None
            fresh = on_fresh_inputs(worker, inputs)
            if fresh.status == "failed" and not worker.fault:
                # The gold edit's answer may be one of several that the tests accept.
                why = accepted(
                    tests, heard, inputs, fresh.answers, worker.answer, self._other_literals, seed
                )
                if why:
                    return (
                        "resolved",
                        (
                            f"{reason} From outside, too. On fresh inputs it answers as the "
                            "reference "
                            f"does in {fresh.agreement:.0%} of {len(inputs)}, and {why}."
                        ),
                        fresh.agreement,
                    )
            return fresh.status, fresh.reason, fresh.agreement
        except BaseException:  # both may be in the middle of a conversation
            worker.abandon()
            self._discard_jails()
            raise
        finally:
            worker.close()
            self._spent(worker.reply)

    def _other_literals(self, ids: list[str], seed: str) -> list[dict]:
        """The swaps that give these tests other literals; [] where that cannot be done."""
        files = {}
        for file, (text, names) in readable_tests(ids, self.repository.snapshot).items():
            if (changed := with_other_literals(text, names, seed)) is not None:
                files[file] = changed
        return self._swaps(files, test_functions(ids)) or []

    def _tests_and_data(self, task: Task) -> list[str]:
        """What the worker must not see of the tree, for it says what the tests expect: test files,
        and the folders they are in, but for source in these."""
        own = _needed_for(task)
        hidden = []
        for folder, paths in self._of_tests.items():
            if folder and not any(self._is_source(path) or path in own for path in paths):
                hidden.append(folder)
            else:
                hidden += [p for p in paths if not self._is_source(p) and p not in own]
        return hidden

    @cached_property
    def _of_tests(self) -> dict[str, list[str]]:
        """{folder of tests: what lies in it}, and under "" the tests that lie elsewhere."""
        found: dict[str, list[str]] = {"": []}
        for path, _ in files_of(self.repository.snapshot):
            if folder := self._roles.folder_of(path):
                found.setdefault(folder, []).append(path)
            elif path in self._test_files or path.endswith(".py"):
                found[""].append(path)
        return found

    def _is_source(self, path: str) -> bool:
        by_result = path in self._test_files and not (self._roles.known and path.endswith(".py"))
        return path.endswith(".py") and not by_result and not self._roles.is_test(path)

    def recorded_calls(self, tasks: list[Task]) -> list[tuple[list, ...] | HarnessError]:
        """For each task the gold edit's calls and answers under its tests, where they are plain
        data; () where they are not."""
        recorded = self._each(self._record, ((task,) for task in tasks))
        self._recorded_at = time.monotonic()
        return recorded

    def repeated_calls(
        self, tasks: list[Task], recorded: list[tuple[list, ...]]
    ) -> list[tuple[list, ...] | HarnessError]:
        """For each task as many of the calls that `recorded_calls` heard as a task keeps, where all
        come out the same again: in a process of their own, and in another second, because a
        function may read the clock. () where they do not, which makes the task soft."""
        if any(recorded):
            time.sleep(max(0.0, self._recorded_at + ANOTHER_SECOND - time.monotonic()))
        return self._each(self._repeated, zip(tasks, recorded))

    # No slower tier can record calls or repeat them: a jail that fails makes no task soft.

    def _record(self, task: Task) -> tuple[list, ...]:
        if not self._hot_tier:
            return ()
        request = {**self._request(task, {}), "record": self._function_key(task)}
        reply = self._ask_jail("hot", request)
        return (
            tuple(reply.get("calls", ())) if read_reply(reply, task.tests)[0] == "resolved" else ()
        )

    def _repeated(self, task: Task, recorded: tuple[list, ...]) -> tuple[list, ...]:
        if not (recorded and self._hot_tier):
            return ()
        calls, answers = zip(*recorded)
        gold = self._ask_jail(
            "hot",
            {**self._request(task, {}), "gold": self._function_key(task), "calls": list(calls)},
        )
        if "answers" not in gold or not all(map(agree, gold["answers"], answers)):
            return ()
        kept = replace(task, recorded=recorded[:MAX_RECORDED])
        return kept.recorded if self._outside(kept, self.gold_files(kept))[0] == "resolved" else ()

    def gold_files(self, task: Task) -> dict[str, str]:
        """The files of the tree with the gold edit in them, as the gate lets it through. Raises
        InvalidEdit."""
        return gate(task.gold(self.repository.snapshot), task, self.repository.snapshot)

    def _function_key(self, task: Task) -> list:
        """How the hot jail knows the task's function: file, first line, name."""
        function = find(read_text(self.repository.snapshot / task.file), task.function)
        return [task.file, function.first, task.function.rpartition(".")[2]]

    def _request(self, task: Task, files: dict[str, str]) -> dict:
        return {
            "files": files,
            "ids": list(task.tests),
            "timeout": self.limits.timeout + 10 * task.test_seconds,
        }

    def _screen(self, task: Task, files: dict[str, str], swaps: list[dict] | None) -> dict:
        """The runner's reply and its "tier": the fastest that may judge these files and has not
        been caught at a difference. `swaps`: as for `_run_changed`."""
        request = self._request(task, files)
        if task.instance_id in self._cold_tasks:
            return self._ask_cold(request)
        fast = self._run_changed(request, swaps)
        if int(self._key(task, files)[:8], 16) >= self.limits.recheck * 2**32:
            return fast
        cold = self._ask_cold(request)
        # On a busy machine one of them may be too slow: that says nothing.
        if not {"timeout"} & {*fast, *cold} and read_reply(fast, task.tests) != read_reply(
            cold, task.tests
        ):
            self._cold_tasks.add(task.instance_id)
            self._note(
                f"{task.instance_id}: a {fast['tier']} process and a cold one do not agree on an "
                "edit, so its edits are judged cold "
                "from now on."
            )
        return cold

    def _run_changed(self, request: dict, swaps: list[dict] | None) -> dict:
        """The runner's reply from the faster tier that may run the request's files; `swaps` are the
        functions in which they differ from the intact tree, None where that is not all."""
        fault = None
        if self._hot_tier and swaps is not None:
            try:
                reply = self._ask_hot({**request, "swaps": swaps})
                if "unfit" not in reply:
                    return {**reply, "tier": "hot"}
            except HarnessError as error:
                if self._closing:
                    raise
                fault = error
        reply = self._ask(request)
        # Where the slower ones had failed at it, too, that would say nothing of this tier.
        if fault and self._hot_tier:
            self._hot_tier = False
            self._note(
                "A jail that keeps the tests collected has failed twice in a row, so "
                f"verdicts take longer from now on: {fault}"
            )
        return reply

    def _swaps(self, files: dict[str, str], names: dict[str, list[str]]) -> list[dict] | None:
        """Those of the named functions that these files change, as `inside/hot.py` takes them; None
        where there is another change, or no hot jail to take them."""
        if not self._hot_tier:
            return None
        swaps = []
        for path, text in files.items():
            if not (self.repository.snapshot / path).is_file():
                return None
            intact = read_text(self.repository.snapshot / path)
            changed = bodies_changed(intact, text, names.get(path, []))
            if changed is None:
                return None
            swaps += [
                {
                    "file": path,
                    "chain": function.qualname.split("."),
                    "line": function.first,
                    "old": old,
                    "new": new,
                    "imports": imports(intact),
                }
                for function, old, new in changed
            ]
        return swaps

    def _ask_hot(self, request: dict) -> dict:
        """Ask this thread's hot jail, and another where that one fails."""
        try:
            return self._ask_jail("hot", request)
        except HarnessError:
            if self._closing:
                raise
            return self._ask_jail("hot", request)

    def _complete(self, request: dict) -> dict:
        return {
            "memory_mb": self.limits.memory_mb,
            "path": list(self.repository.path),
            "files": {},
            "timeout": self.limits.timeout,
            **request,
        }

    def _ask(
        self, request: dict, on_progress: Callable[[int, int], None] = lambda done, total: None
    ) -> dict:
        """Ask this thread's warm jail; where it fails, a cold one repeats what was asked."""
        try:
            return {**self._ask_jail("warm", request, on_progress), "tier": "warm"}
        except HarnessError:
            if self._closing:
                raise
            return self._ask_cold(request)

    def _ask_jail(
        self,
        tier: str,
        request: dict,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> dict:
        """Ask this thread's jail of the tier. One that fails, or holds much more than it did at
        first, is given up afterwards."""
        jail = self._jail(tier)
        try:
            reply = jail.ask(self._complete(request), on_progress)
        except BaseException:  # it may be in the middle of an answer
            self._discard_jail(tier)
            raise
        self._spent(reply)
        memory_kb, descriptors = reply.get("held", jail.held)
        jail.held = jail.held or (memory_kb, descriptors)
        if memory_kb > jail.held[0] + GROWTH_KB or descriptors > jail.held[1] + GROWTH_DESCRIPTORS:
            self._discard_jail(tier)
        return reply

    def _jail(self, tier: str) -> Jail:
        mine = self._local.__dict__.setdefault("jails", {})
        if tier not in mine:
            if self._closing:
                raise HarnessError(CLOSING)
            files = list(self._test_files) if tier == "hot" else []
            mine[tier] = self._open_jail(tier, files)
        return mine[tier]

    def _open_jail(self, tier: str, files: list[str]) -> Jail:
        begun: list[Jail] = []

        def on_start(jail: Jail) -> None:
            begun.append(jail)
            self._started(jail)

        try:
            return open_jail(self._layout, tier, files, self.repository.path, on_start)
        except BaseException as error:
            # It has closed itself; nobody is to look after it any more.
            with self._lock:
                self._jails = [jail for jail in self._jails if jail not in begun]
            if isinstance(error, OSError):
                raise HarnessError(f"The jail cannot be started: {error}.") from None
            raise

    def _started(self, jail: Jail) -> None:
        """From now on `stop` finds it."""
        with self._lock:
            self._jails.append(jail)
        if self._closing:
            jail.kill()

    def _end_jail(self, jail: Jail) -> None:
        with self._lock:
            self._jails.remove(jail)
        jail.close()

    def _discard_jail(self, tier: str) -> None:
        jail = self._local.__dict__.get("jails", {}).pop(tier, None)
        if jail is not None:
            self._end_jail(jail)

    def _discard_jails(self) -> None:
        for tier in ("hot", "warm"):
            self._discard_jail(tier)

    def _ask_cold(self, request: dict) -> dict:
        if self._closing:
            raise HarnessError(CLOSING)
        jail = self._open_jail("cold", [])
        try:
            reply = jail.ask(self._complete(request))
        finally:
            self._end_jail(jail)
        self._spent(reply)
        return {**reply, "tier": "cold"}

    def _spent(self, reply: dict) -> None:
        self._local.cpu = getattr(self._local, "cpu", 0.0) + reply.get("cpu", 0.0)

    # --------------------------------------------------------------------------------------- memory

    def _key(self, task: Task, files: dict[str, str]) -> str:
        # The two kinds of jail differ in what tests may do, and so do forks and cold processes.
        how = ["landlock"] if jail_notice() else []
        how += ["cold"] if self._wants_cold(task) else []
        parts = [self.repository.tree, *how, task.instance_id, *task.tests]
        parts += [part for path in sorted(files) for part in (path, files[path])]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    def _read_memory(self) -> dict[str, Verdict]:
        if self._memory_file is None:
            return {}
        try:
            records = jsonl.read(self._memory_file)
            return {
                r.pop("key"): Verdict(**{k: r[k] for k in Verdict.__dataclass_fields__})
                for r in records
            }
        except (ValueError, KeyError) as error:
            raise UsageError(
                f"{self._memory_file} is damaged ({error}). Delete it; the verdicts will be made "
                "again."
            ) from None

    def _remember(self, key: str, verdict: Verdict) -> None:
        self._remembered[key] = verdict
        if self._memory_file is not None:
            jsonl.append(self._memory_file, [{"key": key, **verdict.to_dict()}])


def _needed_for(task: Task) -> set[str]:
    """The files that an edit may change, and those of the packages they are in."""
    files = {task.file, *task.files}
    folders = {folder for file in files for folder in PurePosixPath(file).parents}
    return files | {f"{folder}/__init__.py" for folder in folders}


def read_reply(reply: dict, tests: Iterable[str]) -> tuple[str, str, dict[str, str]]:
    """(status, reason, outcomes) of a test run. Every named test must have been collected, run, and
    passed exactly once."""
    if reply.get("timeout"):
        return "timeout", "It did not end in time.", {}
    if "died" in reply:
        return "failed", f"It ended early: {reply['died']}.", {}
    said = reply.get("outcomes")
    said = said if isinstance(said, dict) else {}
    # What the report says comes from a process that the edit shares: anything but the known words
    # is no pass.
    outcomes = {
        test: "missing" if test not in said else said[test] if said[test] in OUTCOMES else "failed"
        for test in tests
    }
    bad = {test: outcome for test, outcome in outcomes.items() if outcome != "passed"}
    if not bad:
        return "resolved", f"All {len(outcomes)} tests passed.", outcomes
    test, outcome = next(iter(bad.items()))
    return (
        "failed",
        f"{len(bad)} of {len(outcomes)} tests did not pass; {test}: {outcome}.",
        outcomes,
    )
