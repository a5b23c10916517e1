"""Which candidates are valid tasks: each is measured in the jail.

A candidate is a valid task only if, measured in the jail: the named tests pass on the intact tree,
at least one of them fails when broken, and all pass with the gold edit, twice over. Of a task
without a gold edit the tests fail twice, others that call the same functions pass twice.
(Whether it can be solved at all nobody knows: a test may fail because of something that the jail
does not have.) A test that did not run is neither pass nor fail. Flaky tests (not the same in two
runs of the suite), slow ones (more than `survey.SLOW_SECONDS`) and those that fail when run without
the others are left out.

Where the tests pass when a part of a task is mended (one mistake of two), it is none.

Tests that were made (`Kind.least_noticed`) must notice a share of drawn mistakes, which is
measured.

Where the tests pass with an empty body, too (`pass`), there is no task about that one function: an
edit that does nothing would be rewarded. So it is with a check that tests share, wherever it lies.

A candidate whose jail fails every time that it is tried (`processes.TRIES`) is left out with that
reason, and the others go on. Where many fail so, the machine is at fault, and measuring ends.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sandbox.errors import HarnessError, UsageError
from sandbox.judge.gate import InvalidEdit, gate
from sandbox.judge.outside import Recorded
from sandbox.judge.twins import twin_files, twin_patch
from sandbox.judge.verdict import Judge, read_reply
from sandbox.node_ids import function_of
from sandbox.source import find, read_text, with_body
from sandbox.survey import Progress
from sandbox.tasks.earlier import Known, twin_seed
from sandbox.tasks.kinds import Draft, Kind, Unfit, kind_of
from sandbox.tasks.noticing import noticed
from sandbox.tasks.task import Task, draw

CHUNK, FEWEST = 16, 4
"""Candidates that are measured between two records on the disk; not more than are wanted, but for
so few that jails would stand idle."""
MIN_FAILED, FAILED_SHARE = 3, 0.1
"""Measuring ends where the jails of so many candidates, and of more than this share, failed."""
BROKEN_SECONDS = 3.0
"""What a broken state may take beside ten times what its tests took on the intact tree: mutants
often loop for ever."""


@dataclass(frozen=True)
class _Prepared:
    """A draft's task and the files of its two states; `gold` is None where there is none."""

    task: Task
    message: str
    broken: dict[str, str]
    gold: dict[str, str] | None

    @property
    def kind(self) -> Kind:
        return kind_of(self.task.kind)

    @property
    def gold_key(self) -> str:
        """Equal for tasks whose gold edits are measured alike: the same tests on the same files."""
        assert self.gold is not None
        parts = [*self.task.tests, *(part for item in sorted(self.gold.items()) for part in item)]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def validate(
    judge: Judge,
    pending: list[Draft],
    seed: int,
    on_progress: Progress,
    known: Known | None = None,
    wanted: Callable[[], int | None] = lambda: None,
) -> Iterator[list[dict]]:
    """Measure the drafts chunk by chunk; yields records {"instance_id", "task": fields or None,
    "reason"}. With `known` also "key", and what it knows is taken over and not measured. `wanted`
    says before each chunk how many more valid tasks are wanted; None is all there are.

    Each costs up to four runs of its tests: broken once, with the gold edit twice, with an empty
    body once; one of several mistakes one more for each. What was measured of the gold edit and of
    the empty body serves all tasks that are born of one function and name the same tests.

    Raises HarnessError where the jails of more than FAILED_SHARE of the candidates measured so far,
    and of MIN_FAILED at least, failed. All that was measured has been yielded then; those whose
    jail failed in this chunk have not, so that they are measured again.
    """
    bench, tried, without_jail = _Bench(judge), 0, 0
    tree = judge.repository.snapshot
    start = 0
    while start < len(pending) and (most := wanted()) != 0:
        chunk = pending[start : start + (CHUNK if most is None else _between(most))]
        start += len(chunk)
        fit: list[_Prepared] = []
        records: list[dict] = []
        for draft in chunk:
            try:
                if (prepared := _prepared(draft, tree)) is not None:
                    if known and (record := known.record(prepared.task, tree)):
                        records.append(record)
                    else:
                        fit.append(prepared)
            except Unfit as error:
                records.append(_no_task(draft.instance_id, str(error)))
        weighed, failed = _weighed(bench, fit, seed)
        records += map(known.keyed, weighed) if known else weighed
        tried, without_jail = tried + len(fit), without_jail + len(failed)
        if without_jail >= MIN_FAILED and without_jail > FAILED_SHARE * tried:
            yield records
            raise HarnessError(
                f"For {without_jail} of {tried} candidates {failed[-1]['reason']}. That many "
                "are the machine's fault and not the tasks'. Look whether its memory or disk is "
                "full, and what `python coldstart.py doctor` says; the same command goes on from "
                "here."
            )
        yield records + failed
        on_progress("measuring tasks", start, len(pending))


def _between(wanted: int) -> int:
    """Candidates of the next chunk, where so many tasks are wanted."""
    return min(CHUNK, max(FEWEST, wanted))


def _weighed(bench: "_Bench", fit: list[_Prepared], seed: int) -> tuple[list[dict], list[dict]]:
    """The records of what could be measured, and of those whose jail failed."""
    records: list[dict] = []
    failed: list[dict] = []
    valid: list[Task] = []
    statement_of: dict[str, tuple[dict[str, str], str]] = {}
    for prepared, replies in zip(fit, bench.runs(fit)):
        name = prepared.task.instance_id
        if isinstance(replies, HarnessError):
            failed.append(_no_task(name, str(replies)))
            continue
        try:
            weigh = _weigh if prepared.gold else _weigh_without_gold
            valid.append(weigh(prepared.task, *replies, seed))
        except Unfit as error:
            records.append(_no_task(name, str(error)))
        statement_of[name] = (replies[0].get("text", {}), prepared.message)
    steps: tuple[Callable[[list[Task]], Sequence[Task | Unfit | HarnessError]], ...] = (
        bench.not_partly,
        bench.not_empty,
        partial(bench.with_noticed, seed=seed),
        bench.record,
        partial(with_twins, bench.judge, seed=seed),
        bench.with_calls,
    )
    for step in steps:
        results = step(valid)
        for task, result in zip(valid, results):
            if not isinstance(result, Task):
                left_out = failed if isinstance(result, HarnessError) else records
                left_out.append(_no_task(task.instance_id, str(result)))
        valid = [result for result in results if isinstance(result, Task)]
    tree = bench.judge.repository.snapshot
    for task in valid:
        failures, message = statement_of[task.instance_id]
        text = kind_of(task.kind).statement(task, tree, failures, message)
        fields = replace(task, problem_statement=text).to_dict()
        records.append({"instance_id": task.instance_id, "task": fields, "reason": ""})
    return records, failed


def _no_task(name: str, reason: str) -> dict:
    return {"instance_id": name, "task": None, "reason": reason}


def _prepared(draft: Draft, tree: Path) -> _Prepared | None:
    """None where there is nothing of the draft's name. Raises Unfit."""
    task = draft.make()
    if task is None:
        return None
    try:
        return _Prepared(
            task,
            draft.message,
            task.broken(tree),
            gate(task.gold(tree), task, tree) if task.patch else None,
        )
    except (UsageError, InvalidEdit) as error:
        raise Unfit(f"cannot be taken apart: {error}") from None


class _Bench:
    """Runs what has to be measured, and nothing of it twice. Where a jail failed, a HarnessError
    stands for what was to be measured or for the task, and nothing is remembered."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self._gold: dict[str, tuple[dict, dict]] = {}
        self._empty: dict[tuple, dict] = {}
        self._calls: dict[tuple, Recorded] = {}
        self._heard: dict[tuple, tuple[Task, Recorded]] = {}

    def runs(self, fit: list[_Prepared]) -> list[tuple[dict, dict, dict] | HarnessError]:
        """The runner's replies (broken, with the gold edit, the same again); without a gold edit
        (as it is, the same again, {}). The first error where a jail failed."""
        with_text = [p for p in fit if p.kind.tells_failures or p.gold is None]
        plain = [p for p in fit if not p.kind.tells_failures or p.gold is None]
        fresh = {p.gold_key: p for p in fit if p.gold is not None and p.gold_key not in self._gold}
        broken = [(p.task, p.broken) for p in plain]
        golden = [(p.task, p.gold) for p in fresh.values() if p.gold is not None]
        replies = iter(self.judge.measuring.screen_many(broken + golden))
        screened = {p.task.instance_id: next(replies) for p in plain}
        # The second time in the other kind of process: what passes in one of them alone would never
        # be resolved.
        twice = zip(replies, self.judge.measuring.forked_many(golden))
        gold = {**self._gold, **dict(zip(fresh, twice))}
        self._gold = {
            key: (one, other)
            for key, (one, other) in gold.items()
            if not isinstance(one, HarnessError) and not isinstance(other, HarnessError)
        }
        first = {**screened, **self._with_text(with_text)}
        return [
            _all_or_error(first[p.task.instance_id], *gold[p.gold_key])
            if p.gold is not None
            else _all_or_error(first[p.task.instance_id], screened[p.task.instance_id], {})
            for p in fit
        ]

    def _with_text(self, fit: list[_Prepared]) -> dict[str, dict | HarnessError]:
        """{instance_id: the runner's reply for the broken state, with pytest's text}"""
        seconds = min(self.judge.limits.timeout, BROKEN_SECONDS)
        replies = self.judge.measuring.failures_many([(p.task, p.broken) for p in fit], seconds)
        return {p.task.instance_id: reply for p, reply in zip(fit, replies)}

    def not_partly(self, tasks: list[Task]) -> list[Task | Unfit | HarnessError]:
        """The tasks; an Unfit in place of one whose tests pass when a part of it is mended."""
        tree = self.judge.repository.snapshot
        states = [
            (task, files)
            for task in tasks
            if (parts := kind_of(task.kind).partly_mended) is not None
            for files in parts(task, tree)
        ]
        found: dict[str, Unfit | HarnessError] = {}
        for (task, _), reply in zip(states, self.judge.measuring.screen_many(states)):
            if isinstance(reply, HarnessError):
                found[task.instance_id] = reply
            elif read_reply(reply, task.tests)[0] == "resolved":
                why = Unfit("its tests do not notice one of its mistakes")
                found.setdefault(task.instance_id, why)
        return [found.get(task.instance_id, task) for task in tasks]

    def not_empty(self, tasks: list[Task]) -> list[Task | Unfit | HarnessError]:
        """The tasks; an Unfit in place of one about a function that its tests do not miss."""
        tree = self.judge.repository.snapshot
        fresh: dict[tuple, Task] = {}
        for task in tasks:
            if task.patch and not task.files and self._calls_key(task) not in self._empty:
                fresh.setdefault(self._calls_key(task), task)
        pairs = [(task, {task.file: _emptied(task, tree)}) for task in fresh.values()]
        replies = dict(zip(fresh, self.judge.measuring.screen_many(pairs)))
        self._empty |= {
            key: reply for key, reply in replies.items() if not isinstance(reply, HarnessError)
        }
        return [self._failure(task, replies) or self._or_unfit(task) for task in tasks]

    def _or_unfit(self, task: Task) -> Task | Unfit:
        reply = None if task.files else self._empty.get(self._calls_key(task))
        if reply is not None and read_reply(reply, task.tests)[0] == "resolved":
            return Unfit("its tests pass with an empty body, too")
        return task

    def with_noticed(self, tasks: list[Task], seed: int) -> list[Task | Unfit | HarnessError]:
        """The tasks, those whose tests were made with the share of mistakes that these notice; an
        Unfit in place of one whose tests notice too few."""
        made = [task for task in tasks if kind_of(task.kind).least_noticed]
        shares = zip(made, noticed(self.judge, made, seed))
        found = {task.instance_id: share for task, share in shares}
        return [
            _if_noticed(task, found[task.instance_id]) if task.instance_id in found else task
            for task in tasks
        ]

    def record(self, tasks: list[Task]) -> list[Task | HarnessError]:
        """Hear the gold edit's calls, where tasks are about one function. `with_calls` has them
        repeated: later, for they are to come out the same at another time. Returns the tasks."""
        fresh: dict[tuple, Task] = {}
        for task in tasks:
            if task.patch and not task.files and (key := self._calls_key(task)) not in self._calls:
                fresh.setdefault(key, task)
        heard = dict(zip(fresh, self.judge.measuring.recorded_calls(list(fresh.values()))))
        self._heard = {
            key: (fresh[key], calls)
            for key, calls in heard.items()
            if not isinstance(calls, HarnessError)
        }
        return [self._failure(task, heard) or task for task in tasks]

    def with_calls(self, tasks: list[Task]) -> list[Task | HarnessError]:
        """The tasks with the gold edit's calls in them, where `record` heard some and they repeat
        exactly."""
        about, calls = zip(*self._heard.values()) if self._heard else ((), ())
        again = self.judge.measuring.repeated_calls(list(about), list(calls))
        repeated = dict(zip(self._heard, again))
        self._calls |= {
            key: calls for key, calls in repeated.items() if not isinstance(calls, HarnessError)
        }
        self._heard = {}
        return [self._failure(task, repeated) or self._with(task) for task in tasks]

    def _with(self, task: Task) -> Task:
        if not task.patch or task.files:
            why = "an edit may change whole files" if task.patch else "nobody knows the answer"
            return replace(task, soft_because=why)
        found = self._calls[self._calls_key(task)]
        return replace(task, recorded=found.calls, state=found.state, soft_because=found.why)

    def _failure(self, task: Task, measured: Mapping[tuple, object]) -> HarnessError | None:
        """The error in place of what was measured for this task."""
        result = None if task.files else measured.get(self._calls_key(task))
        return result if isinstance(result, HarnessError) else None

    @staticmethod
    def _calls_key(task: Task) -> tuple:
        return task.about, frozenset(task.tests)


def _if_noticed(task: Task, share: float | None | HarnessError) -> Task | Unfit | HarnessError:
    if isinstance(share, HarnessError):
        return share
    if share is None:
        return Unfit("nothing in it can be changed to measure the tests that were made for it by")
    if share < kind_of(task.kind).least_noticed:
        return Unfit("the tests that were made for it notice too few mistakes in it")
    return replace(task, noticed=round(share, 4))


def _emptied(task: Task, tree: Path) -> str:
    """The intact file with nothing in the body of the task's function."""
    text = read_text(tree / task.file)
    function = find(text, task.function)
    assert function is not None  # the task was made of it
    return with_body(text, function, "pass")


def _all_or_error(
    first: dict | HarnessError, second: dict | HarnessError, third: dict | HarnessError
) -> tuple[dict, dict, dict] | HarnessError:
    if isinstance(first, HarnessError):
        return first
    if isinstance(second, HarnessError):
        return second
    return third if isinstance(third, HarnessError) else (first, second, third)


def _weigh(task: Task, broken: dict, gold_1: dict, gold_2: dict, seed: int) -> Task:
    """The task with its tests sorted. Raises Unfit."""
    if "outcomes" not in gold_1 or "outcomes" not in gold_2:
        raise Unfit("gold edit ends its tests early or too late")
    usable = [
        t for t in task.tests if gold_1["outcomes"].get(t) == gold_2["outcomes"].get(t) == "passed"
    ]
    if not usable and task.test_patch:
        raise Unfit("the tests that were made for it do not pass by themselves")
    if not usable:
        raise Unfit("tests fail without the rest of the suite")
    if "outcomes" not in broken:
        raise Unfit("broken state hangs or ends the test process")
    broke = {t: broken["outcomes"].get(t, "missing") for t in usable}
    fail = tuple(t for t in usable if broke[t] in ("failed", "error"))
    if not fail:
        did_not_run = all(outcome == "missing" for outcome in broke.values())
        raise Unfit("needed while the tests are collected" if did_not_run else "no test notices")
    still_pass = tuple(t for t in usable if broke[t] == "passed")
    return replace(
        task,
        FAIL_TO_PASS=fail,
        PASS_TO_PASS=still_pass,
        shown=_shown(fail, task.instance_id, seed),
        test_seconds=round(sum(gold_1["times"][t] for t in usable), 4),
    )


def _weigh_without_gold(task: Task, first: dict, second: dict, _: dict, seed: int) -> Task:
    """The task with what fails twice and what passes twice. Raises Unfit."""
    if "outcomes" not in first or "outcomes" not in second:
        raise Unfit("failing test that hangs or ends the test process")
    twice = {t: o for t, o in first["outcomes"].items() if o == second["outcomes"].get(t)}
    fail = tuple(t for t in task.FAIL_TO_PASS if twice.get(t) in ("failed", "error"))
    if not fail:
        raise Unfit("failing test that does not fail without the rest of the suite")
    kept = tuple(t for t in task.PASS_TO_PASS if twice.get(t) == "passed")
    return replace(
        task,
        FAIL_TO_PASS=fail,
        PASS_TO_PASS=kept,
        shown=_shown(fail, task.instance_id, seed),
        test_seconds=round(sum(second["times"][t] for t in fail + kept), 4),
    )


def with_twins(judge: Judge, tasks: list[Task], seed: int) -> list[Task | HarnessError]:
    """The tasks with their twins, each measured: the gold edit fails it. Without a gold edit there
    are none. A HarnessError stands for a task whose jail failed."""
    tree = judge.repository.snapshot
    golden = [task for task in tasks if task.patch]
    changed = [
        twin_files(task.FAIL_TO_PASS, tree, twin_seed(task, seed), task.test_files)
        for task in golden
    ]
    done: dict[str, Task | HarnessError] = {}
    for task, files, reply in zip(golden, changed, judge.measuring.twins_many(golden, changed)):
        if isinstance(reply, HarnessError):
            done[task.instance_id] = reply
            continue
        failed = tuple(t for t in task.FAIL_TO_PASS if reply.get("outcomes", {}).get(t) == "failed")
        if failed != task.FAIL_TO_PASS:
            # Made again from the tests that failed alone: a change that the gold edit survives
            # would be noise.
            files = twin_files(failed, tree, twin_seed(task, seed), task.test_files)
        patch = twin_patch(files, tree, task.test_files)
        done[task.instance_id] = replace(task, twin_patch=patch, twin_tests=failed if patch else ())
    return [done.get(task.instance_id, task) for task in tasks]


def _shown(fail: tuple[str, ...], name: str, seed: int) -> tuple[str, ...]:
    """The tests that a prompt may show: at least one test function, at most half of them, drawn by
    the seed."""
    groups = sorted(set(map(function_of, fail)), key=lambda t: draw(seed, name, t))
    chosen = set(groups[: max(1, len(groups) // 2)])
    return tuple(t for t in fail if function_of(t) in chosen)
