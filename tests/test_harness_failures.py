"""Jails that fail. All are real ones, that are killed or cannot be started: a verdict is tried
three times, after that there is none; mining goes on around it, or ends where the machine is at
fault."""

import os
import shutil
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import jsonl
from sandbox.errors import HarnessError
from sandbox.jail.choice import jail_notice, open_jail
from sandbox.judge.gate import InvalidEdit
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.source import find, read_text, with_body
from sandbox.tasks import validate
from sandbox.tasks.mine import MiningOptions, mine
from tests.test_mine import timeless
from tests.test_verdict import jail_folders, own_children, temporary  # noqa: F401

LIMITS = Limits(workers=1, timeout=6.0, recheck=0.0)
AREA = "tests/test_core.py::test_area"
FAILED = "the jail failed three times: "


class Frail:
    """Real jails, killed when a request comes or as they start; and what was asked of them."""

    def __init__(self, monkeypatch) -> None:
        self.dies = lambda tier, request: False
        self.dies_at_start = lambda tier: False
        self.before_start = lambda: None
        self.started: list[str] = []
        """The tiers of the jails that were started."""
        self.asked: list[tuple[str, dict]] = []
        monkeypatch.setattr("sandbox.judge.jails.open_jail", self._open)

    def _open(self, layout, tier, files, path, on_start):
        self.started.append(tier)
        self.before_start()

        def started(jail):
            on_start(jail)
            if self.dies_at_start(tier):
                jail.kill()

        jail = open_jail(layout, tier, files, path, started)
        begin = jail.start

        def start(request):
            self.asked.append((tier, request))
            if self.dies(tier, request):
                jail.kill()
            begin(request)

        jail.start = start
        return jail


@pytest.fixture
def frail(monkeypatch):
    return Frail(monkeypatch)


@pytest.fixture(scope="module")
def calc_tasks(mined_calc):
    return {task.function: task for task in mined_calc[2].tasks}


def court(mined_calc, **more) -> Judge:
    repository, _, mined = mined_calc
    return Judge(repository, LIMITS, Suite(test_files=mined.survey.test_files), **more)


def right(mined_calc, task, remark: str = "") -> dict[str, str]:
    """The gold edit; another text for each remark."""
    text = read_text(mined_calc[0].snapshot / task.file)
    function = find(text, task.function)
    body = {
        "add": "return a + b",
        "area": "return math.pi * r ** 2",
        "mean": "if not xs:\n    raise ValueError\nreturn sum(xs) / len(xs)",
        "Counter.up": "self.n += by\nreturn self.n",
    }[task.function]
    return {task.file: with_body(text, function, f"{body}  # {remark}")}


def what_it_says(verdict) -> dict:
    return {**verdict.to_dict(), "seconds": 0, "cpu_seconds": 0}


# --------------------------------------------------------------------- once, and then it works

REQUESTS = ("screen", "originals", "twins", "the gold edit", "worker", "tests from outside")


@pytest.mark.slow
@pytest.mark.parametrize("number", [pytest.param(n, id=name) for n, name in enumerate(REQUESTS)])
def test_a_jail_that_dies_once_leaves_no_trace(
    mined_calc, calc_tasks, frail, tmp_path, temporary, number
):  # noqa: F811
    """At whichever request of a verdict: it is the one that an undisturbed judge gives."""
    task, notes = calc_tasks["add"], []
    memory, before = tmp_path / "verdicts.jsonl", own_children()
    with court(mined_calc) as judge:
        wanted = judge.judge(task, right(mined_calc, task))
    assert len(frail.asked) == len(REQUESTS) and wanted.status == "resolved"
    frail.asked.clear()
    frail.dies = lambda tier, request: len(frail.asked) == number + 1
    with court(mined_calc, memory=memory, on_note=notes.append) as judge:
        verdict = judge.judge(task, right(mined_calc, task))
        again = judge.judge(task, right(mined_calc, task, "again"))
    assert what_it_says(verdict) == what_it_says(wanted) and not notes
    assert what_it_says(again) == {**what_it_says(wanted), "agreement": again.agreement}
    assert [line["status"] for line in jsonl.read(memory)] == ["resolved"] * 2
    assert not jail_folders() and own_children() <= before


@pytest.mark.slow
def test_a_jail_that_is_killed_from_outside(mined_calc, calc_tasks, temporary):  # noqa: F811
    task, before = calc_tasks["Counter.up"], own_children()
    slow = right(mined_calc, task)
    sleep = "import time; time.sleep(0.3 * (self.n == 0)); self.n += by"
    slow[task.file] = slow[task.file].replace("self.n += by", sleep)
    with court(mined_calc) as judge, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(judge.judge, task, slow)
        while not (jails := own_children() - before):
            time.sleep(0.01)
        time.sleep(0.5)
        for pid in jails:
            os.kill(pid, signal.SIGKILL)
        assert waiting.result(timeout=60).status == "resolved"
    assert not jail_folders() and own_children() <= before


# --------------------------------------------------------------------- three times


@pytest.mark.slow
def test_one_task_whose_jails_always_die(mined_calc, calc_tasks, frail, tmp_path, temporary):  # noqa: F811
    """A HarnessError stands in its place; the others are judged; nothing of it is remembered."""
    memory, bad, before = tmp_path / "verdicts.jsonl", calc_tasks["area"], own_children()
    add, mean = calc_tasks["add"], calc_tasks["mean"]
    frail.dies = lambda tier, request: request["ids"] == [AREA]
    seen = []
    pairs = [
        (bad, right(mined_calc, bad)),
        (add, right(mined_calc, add)),
        (bad, InvalidEdit("no")),
        (mean, right(mined_calc, mean)),
        (bad, right(mined_calc, bad, "another")),
        (bad, right(mined_calc, bad)),
        (mean, mean.broken(mined_calc[0].snapshot)),
    ]
    with court(mined_calc, memory=memory) as judge:
        said = judge.judge_many(pairs, lambda done, total: seen.append((done, total)))
        assert [getattr(one, "status", type(one)) for one in said] == [
            HarnessError,
            "resolved",
            "invalid",
            "resolved",
            HarnessError,
            HarnessError,
            "failed",
        ]
        assert seen == [(n, 5) for n in range(1, 6)] and said[0] is said[5]
        assert bad.instance_id in str(said[0]) and FAILED + "The jail ended early" in str(said[0])
        remembered = sorted(line["status"] for line in jsonl.read(memory))
        assert remembered == ["failed", "resolved", "resolved"]
        with pytest.raises(HarnessError, match=f"{bad.instance_id}: {FAILED}The jail ended early"):
            judge.judge(bad, right(mined_calc, bad, "alone"))
        frail.dies = lambda tier, request: False
        assert judge.judge(bad, right(mined_calc, bad)).status == "resolved"
        assert len(judge.processes.jails.open) <= 2, "a jail is kept that has ended"
    assert not jail_folders() and own_children() <= before


@pytest.mark.slow
def test_each_try_is_made_in_fresh_jails(mined_calc, calc_tasks, frail):
    """The worker's dies, whose request nothing else repeats: three of each tier, and no fourth."""
    task = calc_tasks["add"]
    frail.dies = lambda tier, request: "worker" in request
    with court(mined_calc) as judge:
        judge.judge(task, task.broken(mined_calc[0].snapshot))
        with pytest.raises(HarnessError, match=FAILED):
            judge.judge(task, right(mined_calc, task))
    assert sum("worker" in request for _, request in frail.asked) == 3
    assert sorted(frail.started) == ["forked"] * 3 + ["in-process"] * 3


@pytest.mark.parametrize("failures, works", [(1, True), (4, True), (1000, False)])
def test_jails_that_cannot_be_started(
    mined_calc, calc_tasks, frail, monkeypatch, temporary, failures, works
):  # noqa: F811
    """A bubblewrap that ends at once. That is no fault of the tier that was wanted first."""
    if jail_notice():
        pytest.skip("no bubblewrap here")
    folder = Path(tempfile.gettempdir())
    broken, task, notes, before = folder / "broken", calc_tasks["Counter.up"], [], own_children()
    (folder / "bwrap").write_text(
        f"#!/bin/sh\nif [ -e {broken} ]; then echo 'no room for it' >&2; exit 1; fi\n"
        f'exec {shutil.which("bwrap")} "$@"\n'
    )
    (folder / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    assert jail_notice() == ""
    broken.touch()

    def mend_in_time():
        if len(frail.started) > failures:
            broken.unlink(missing_ok=True)

    frail.before_start = mend_in_time
    with court(mined_calc, on_note=notes.append) as judge:
        said = judge.judge_many([(task, right(mined_calc, task))])[0]
        if works:
            assert said.status == "resolved"
        else:
            assert f"{task.instance_id}: {FAILED}The jail ended early: no room for it" in str(said)
            assert (
                judge.processes.jails.open == [] and not jail_folders() and own_children() <= before
            )
            assert frail.started == ["in-process", "in-process", "forked", "fresh"] * 3
            broken.unlink()
        assert judge.judge(task, right(mined_calc, task, "now")).tier == "in-process" and not notes
    assert not jail_folders() and own_children() <= before


def test_a_machine_that_has_no_room_for_a_jail(mined_calc, calc_tasks, monkeypatch):
    """What the system refuses when a jail is made is a failure of the harness, too."""
    task = calc_tasks["Counter.up"]
    with court(mined_calc) as judge:
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "tempdir", "/nowhere/at/all")
            said = judge.judge_many([(task, right(mined_calc, task))])[0]
        assert f"{FAILED}The jail cannot be started: " in str(said) and "/nowhere" in str(said)
        assert judge.judge(task, right(mined_calc, task)).status == "resolved"


@pytest.mark.slow
@pytest.mark.parametrize("at_start", [True, False])
def test_tests_that_cannot_be_kept_collected(mined_calc, calc_tasks, frail, at_start):
    """An `in-process` jail that fails for good leads to the slower tier, and that is said once."""
    notes, task = [], replace(calc_tasks["Counter.up"], recorded=())  # a hard one needs it
    frail.dies_at_start = lambda tier: at_start and tier == "in-process"
    frail.dies = lambda tier, request: tier == "in-process"
    with court(mined_calc, on_note=notes.append) as judge:
        for remark in "ab":
            verdict = judge.judge(task, right(mined_calc, task, remark))
            assert (verdict.status, verdict.tier) == ("resolved", "forked")
    assert frail.started.count("in-process") == 2
    assert len(notes) == 1 and "keeps the tests collected has failed twice in a row" in notes[0]


@pytest.mark.slow
def test_named_tests_are_run_three_times_and_a_whole_suite_once(mined_calc, frail):
    asked = {"ids": [AREA], "timeout": 6.0}
    frail.dies = lambda tier, request: len(frail.asked) <= 5
    with court(mined_calc) as judge:
        assert judge.run(asked)["outcomes"] == {AREA: "passed"}
        assert frail.started == ["forked", "fresh"] * 3
        frail.dies = lambda tier, request: True
        with pytest.raises(HarnessError, match=f"could not be run: {FAILED}The jail ended early"):
            judge.run(asked)
        frail.started.clear()
        with pytest.raises(HarnessError, match="The jail ended early"):
            judge.run({**asked, "ids": []})
    assert frail.started == ["forked", "fresh"]


# --------------------------------------------------------------------- closed meanwhile


@pytest.mark.parametrize("tried", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_nothing_is_tried_again_once_the_judge_is_closed(
    mined_calc, calc_tasks, frail, tmp_path, temporary, tried
):  # noqa: F811
    """Nor is it said that it was tried three times."""
    task, memory, before = calc_tasks["add"], tmp_path / "verdicts.jsonl", own_children()
    pairs = [(task, right(mined_calc, task)), (task, right(mined_calc, task, "another"))]
    workers = []

    def dies(tier, request):
        if "worker" not in request:
            return False
        workers.append(request)
        if len(workers) == tried:
            judge.stop()
        return True

    frail.dies = dies
    with court(mined_calc, memory=memory) as judge:
        with pytest.raises(HarnessError, match="being closed"):
            judge.judge_many(pairs)
        assert len(workers) == tried
        assert sorted(frail.started) == ["forked"] * tried + ["in-process"] * tried
        many = judge.measuring
        for measure in (many.screen_many, many.forked_many, lambda _: judge.run({"ids": [AREA]})):
            with pytest.raises(HarnessError, match="being closed"):
                measure([(task, {})])
        assert len(frail.started) == 2 * tried
    assert not memory.exists() and not jail_folders() and own_children() <= before


def test_who_waits_while_another_thread_closes_the_judge(mined_calc, calc_tasks, temporary):  # noqa: F811
    """For what is run and for what has not begun: nobody waits for ever, and no thread is left."""
    task, threads = calc_tasks["add"], threading.active_count()
    endless = right(mined_calc, task)[task.file]
    pairs = [
        (task, {task.file: endless.replace("return a + b", f"while True:\n        a = {n}")})
        for n in range(4)
    ]
    judge = court(mined_calc)
    judge.processes.limits = replace(LIMITS, timeout=60.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(judge.judge_many, pairs)
        time.sleep(1.5)
        began = time.monotonic()
        judge.close()
        with pytest.raises(HarnessError, match="being closed"):
            waiting.result(timeout=20)
        with pytest.raises(HarnessError, match="being closed"):
            judge.judge_many(pairs)
    assert time.monotonic() - began < 10
    assert threading.active_count() == threads and not jail_folders()


# --------------------------------------------------------------------- mining


def mined_again(mined_calc, folder: Path, on_progress=lambda *_: None, kinds=("blank",)):
    """calc once more, its suite not run again."""
    repository, known, _ = mined_calc
    folder.mkdir(exist_ok=True)
    shutil.copy(known / "survey.json", folder)
    limits = replace(LIMITS, workers=2)
    return mine(repository, limits, folder, MiningOptions(kinds=kinds), on_progress)


def is_broken(request: dict) -> bool:
    return "NotImplementedError" in request["files"].get("calc/core.py", "")


STEPS = {
    "whatever it is asked": lambda request: True,
    "the broken state": is_broken,
    "the gold edit": lambda request: "calc/core.py" in request["files"] and not is_broken(request),
    "its calls": lambda request: "stub" in request and request["watch"],
    "its calls again": lambda request: "gold" in request,
    "a worker": lambda request: "worker" in request,
    "twins": lambda request: "tests/test_core.py" in request["files"],
}
LONG = {"the broken state", "its calls", "its calls again", "a worker"}
"""Within what is killed whatever it is asked."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "step", [pytest.param(s, marks=[pytest.mark.long] * (s in LONG)) for s in STEPS]
)
def test_mining_goes_on_around_one_candidate(
    mined_calc,
    frail,
    tmp_path,
    temporary,  # noqa: F811
    step,
):
    """It is left out with the true reason, counted, and never becomes a task of another kind."""
    _, _, whole = mined_calc
    before = own_children()
    frail.dies = lambda tier, request: request["ids"] == [AREA] and STEPS[step](request)
    mined = mined_again(mined_calc, tmp_path / "run")
    assert {t.function: t.hard for t in mined.tasks} == {
        t.function: t.hard for t in whole.tasks if t.function != "area"
    }
    reason = FAILED + "The jail ended early: it said nothing"
    assert mined.excluded == {**whole.excluded, reason: 1}
    record = {"instance_id": "blank-calc.core.area", "task": None, "reason": reason}
    assert record in jsonl.read(tmp_path / "run" / "mining.jsonl")
    assert not jail_folders() and own_children() <= before


@pytest.mark.slow
def test_mining_goes_on_around_one_mutant(mined_calc, frail, tmp_path):
    """Its broken state is run for pytest's words; what others of the same function need is not."""
    bad = []

    def dies(tier, request):
        if "text" in request and request["ids"] == [AREA] and not bad:
            bad.append(request["files"])
        return "text" in request and request["files"] in bad

    frail.dies = dies
    mined = mined_again(mined_calc, tmp_path / "run", kinds=("mutate",))
    left_out = [
        record["instance_id"]
        for record in jsonl.read(tmp_path / "run" / "mining.jsonl")
        if record["reason"].startswith(FAILED)
    ]
    assert len(left_out) == 1 and left_out[0].startswith("mutate-calc.core.area.")
    assert "area" in {task.function for task in mined.tasks}


@pytest.mark.slow
def test_mining_ends_where_the_machine_is_at_fault(
    mined_calc, frail, monkeypatch, tmp_path, temporary
):  # noqa: F811
    """What was measured before is kept, and what failed is measured again afterwards."""
    folder, before = tmp_path / "run", own_children()
    monkeypatch.setattr(validate, "CHUNK", 3)

    def break_after_the_first_chunk(what, done, total):
        frail.dies, frail.dies_at_start = lambda tier, request: True, lambda tier: True

    said = f"For 3 of 6 candidates {FAILED}.*the machine's fault and not the tasks'"
    with pytest.raises(HarnessError, match=said):
        mined_again(mined_calc, folder, break_after_the_first_chunk)
    assert not jail_folders() and own_children() <= before
    kept = jsonl.read(folder / "mining.jsonl")
    assert len(kept) == 3 and all(record["task"] for record in kept)
    frail.dies, frail.dies_at_start = lambda tier, request: False, lambda tier: False
    mined, whole = mined_again(mined_calc, folder), mined_calc[2]
    assert timeless(mined.tasks) == timeless(whole.tasks) and mined.excluded == whole.excluded
    assert jsonl.read(folder / "mining.jsonl")[:3] == kept
