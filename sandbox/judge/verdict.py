"""judge(task, edit) -> Verdict: what is true of a candidate edit, decided outside the jail.

    with Judge(repository, limits, suite, memory=run/"verdicts.jsonl") as judge:
        verdict = judge.judge(task, {"lib/text.py": "..."})

Layers, in this order; the first that says no decides:

1. *gate* (`gate.py`), before anything runs;
2. *screen* (`screening.py`): the named tests in a jail that is running already, tens of
   milliseconds: `in-process` where the edit stays inside the body of one function, else `forked`
   (`sandbox/jail/jail.py` says what these are);
3. *confirm* (`confirm.py`), only for what passed the screen: *originals*, the named tests again, in
   a process that has loaded nothing of the project; *twins* (`twins.py`): tests with one
   expectation changed, each of which must fail (an edit that passes one is `tampered`); and for
   hard tasks *outside* (`black_box.py`): the tests with none of the edit's code in their process,
   and fresh inputs.

Tests and what configures them always come from the snapshot; of the edit only what the gate let
through. The same edit to the same task has the same verdict: it is remembered by hash and never run
twice (`outcomes.py`).

A jail may fail. Then all of the verdict is tried again in fresh jails (`processes.py`). Where these
fail, too, a HarnessError stands where the verdict would: it is no reward of any kind, and never
remembered.

What remains: a hard reward means that the code gave the reference's results on inputs chosen after
it was written, and it can still be wrong elsewhere. A soft reward comes from a process that the
judged code shared: it can be forged by code written to attack this harness. The kernel is shared.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import HarnessError
from sandbox.judge.confirm import originals, passed_twins
from sandbox.judge.gate import InvalidEdit, gate
from sandbox.judge.measuring import Measuring
from sandbox.judge.outcomes import Memory, Verdict, key_of, read_reply
from sandbox.judge.outside import Hidden, Outside
from sandbox.judge.processes import SUITE_REPORT_MB, Processes, nobody_listens
from sandbox.judge.screening import FunctionPatch, Screening
from sandbox.judge.settings import Limits, Suite
from sandbox.judge.showing import Showing, Shown
from sandbox.judge.sources import Sources
from sandbox.repo import Repository
from sandbox.tasks.task import Task


@dataclass(frozen=True)
class _Pending:
    """An edit that the gate let through, and whose verdict is not known yet."""

    key: str
    task: Task
    files: dict[str, str]
    patches: list[FunctionPatch] | None
    """As `Screening.run` takes them."""
    cpu_seconds: float
    """Processor time that the edit has taken so far."""


class Judge:
    """Verdicts for the tasks of one repository. Owns its jails; use it as a context manager.

    `measuring` has what mining asks of the same processes. Of several repositories there are
    `Judges`."""

    def __init__(
        self,
        repository: Repository,
        limits: Limits,
        suite: Suite = Suite(),
        memory: Path | None = None,
        on_note: Callable[[str], None] = lambda note: None,
    ) -> None:
        """`memory`: the file of verdicts that are known; `on_note` hears, in words, when a tier is
        given up. Raises UsageError where the memory is damaged."""
        self._memory = Memory(memory)
        self.repository = repository
        self.processes = Processes(repository, limits, suite)
        self._screening = Screening(self.processes, on_note)
        hidden = Hidden(repository, suite)
        self._outside = Outside(self._screening, hidden)
        self._showing = Showing(self.processes, hidden)
        self._sources = Sources(repository, hidden)
        self.measuring = Measuring(self._screening, self._outside)

    @property
    def limits(self) -> Limits:
        return self.processes.limits

    def tree_of(self, task: Task) -> Path:
        """The snapshot of the repository that the task is of."""
        return self.repository.snapshot

    def sources_of(self, task: Task) -> dict[str, str]:
        """{path: text} of the project's source as a reply may see it (`sources.py`)."""
        return self._sources.of(task)

    def close(self) -> None:
        """End the jails; what they were doing is given up."""
        self.processes.close()

    def stop(self) -> None:
        """Give up what the jails are doing: whoever waits for a verdict gets a HarnessError.
        `close` is still to be called."""
        self.processes.stop()

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *exception: object) -> None:
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
        on_progress: Callable[[int, int], None] = nobody_listens,
    ) -> list[Verdict | HarnessError]:
        """The verdicts in the order of the pairs, several jails at work. An InvalidEdit stands for
        a reply with no edit in it; a HarnessError, where a verdict would be, for jails that failed
        every time (`processes.TRIES`).

        Equal pairs are judged once. Raises HarnessError where the judge is being closed, UsageError
        where a task has moved on.
        """
        begun = [self._begin(task, edit) for task, edit in pairs]
        pending = {work.key: work for work in begun if isinstance(work, _Pending)}
        futures = {
            self.processes.submit(self.processes.tried, self._decide, work): work
            for work in pending.values()
        }
        failed: dict[str, HarnessError] = {}
        for done, future in enumerate(as_completed(futures), 1):
            work, verdict = futures[future], future.result()
            if isinstance(verdict, HarnessError):
                name = work.task.instance_id
                failed[work.key] = HarnessError(
                    f"There is no verdict on an edit for {name}: {verdict}."
                )
            else:
                self._memory.keep(work.key, verdict)
            on_progress(done, len(futures))
        return [
            work
            if isinstance(work, Verdict)
            else failed.get(work.key) or self._memory.verdicts[work.key]
            for work in begun
        ]

    def run(self, request: dict, on_progress: Callable[[int, int], None] = nobody_listens) -> dict:
        """One request to a `forked` jail (see inside/runner.py), the limits filled in: how the
        miner runs a whole suite. Raises HarnessError where the jails failed: every time that they
        were tried where tests are named, but a whole suite takes too long for that."""
        ask, request = self.processes.ask_forked, {"report_mb": SUITE_REPORT_MB, **request}
        if not request["ids"]:
            return self.processes.submit(ask, request, on_progress).result()
        reply = self.processes.submit(self.processes.tried, ask, request, on_progress).result()
        if isinstance(reply, HarnessError):
            raise HarnessError(f"These tests could not be run: {reply}.")
        return reply

    def run_shown(self, task: Task, files: dict[str, str]) -> Shown:
        """What the shown tests alone say of files that the gate let through; no verdict. Raises
        HarnessError where the jails failed every time."""
        shown = self.processes.submit(self.processes.tried, self._showing.run, task, files).result()
        if isinstance(shown, HarnessError):
            raise HarnessError(f"The shown tests of {task.instance_id} could not be run: {shown}.")
        return shown

    def _begin(self, task: Task, edit: dict[str, str] | InvalidEdit) -> Verdict | _Pending:
        """The verdict where it is known already, else what `_decide` takes: what has to be found in
        the syntax tree of the edit is found while that is at hand."""
        began, cpu_began = time.perf_counter(), time.thread_time()
        try:
            if isinstance(edit, InvalidEdit):
                raise edit
            files = gate(edit, task, self.repository.snapshot)
        except InvalidEdit as error:
            return Verdict(
                task.instance_id, "invalid", "gate", f"{error}.", {}, time.perf_counter() - began
            )
        key = key_of(self.repository.tree, task, files)
        if key in self._memory.verdicts:
            return self._memory.verdicts[key]
        patches = self._screening.function_patches(files, task.named)
        return _Pending(key, task, files, patches, time.thread_time() - cpu_began)

    def _decide(self, work: _Pending) -> Verdict:
        """Layer after layer; the first that says no decides."""
        began, cpu_began = time.perf_counter(), time.thread_time()
        task, files = work.task, work.files
        self.processes.count_from(work.cpu_seconds)
        reply = self._screening.run(task, files, work.patches)
        status, reason, tests = read_reply(reply, task.tests)
        stage, agreed = "screen", None
        if status == "resolved":
            stage = "confirm"
            status, reason, tests = originals(self.processes, task, files, reply)
        if status == "resolved" and (passed := passed_twins(self._screening, task, files)):
            status = "tampered"
            reason = (
                f"Twins: {passed[0]} does not fail although its expectation was changed. The edit "
                "makes the test meaningless, or takes the answer from it."
            )
        if status == "resolved" and task.hard:
            status, outside, agreed = self._outside.judge(task, files)
            reason = outside or f"{reason} From outside, too."
        return Verdict(
            task.instance_id,
            status,
            stage,
            reason,
            tests,
            round(time.perf_counter() - began, 4),
            round(self.processes.counted + time.thread_time() - cpu_began, 4),
            reply["tier"],
            agreed,
        )
