"""What code of a project measures is not believed, and no clock that it stops keeps a limit."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.judge.figures import is_progress, processor_seconds, seconds_of
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.source import find, read_text, with_body
from sandbox.tasks.mine import MiningOptions, mine
from tests.conftest import make_repo

LIMITS = Limits(workers=1, timeout=3.0, recheck=0.0)
CORE = {
    "core.py": '''def countdown(n):
    """n, n - 1, ..., 1"""
    found = []
    while n > 0:
        found.append(n)
        n -= 1
    return found


def plain(n):
    """n and the next."""
    return [n, n + 1]
''',
    "tests/test_core.py": '''from core import countdown, plain


def test_countdown():
    assert countdown(3) == [3, 2, 1]


def test_plain():
    assert plain(1) == [1, 2]
''',
}
STOP = '''import sys
import time
from unittest import mock

NAMES = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "time_ns",
         "monotonic_ns", "perf_counter_ns", "clock_gettime", "sleep")
REAL = {id(getattr(time, name)): name for name in NAMES}


def stop(at):
    """As freezegun does it: wherever a module has such a function."""
    found = [(module, name, REAL[id(value)]) for module in list(sys.modules.values())
             for name, value in list(vars(module).items()) if id(value) in REAL]
    patches = [mock.patch.object(module, name, stopped(what, at)) for module, name, what in found]
    for patch in patches:
        patch.start()
    return patches


def stopped(what, at):
    return lambda *_: int(at * 1e9) if what.endswith("_ns") else at


def go_on(patches):
    for patch in patches:
        patch.stop()
'''
TWO = ("core.py::countdown", "core.py::plain")
STOPPED = {
    "for a class": {
        "tests/test_class.py": '''import unittest

from core import countdown
from stop import go_on, stop


class TestPast(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.patches = stop(-2e9)

    @classmethod
    def tearDownClass(cls):
        go_on(cls.patches)

    def test_one(self):
        self.assertEqual(countdown(1), [1])

    def test_two(self):
        self.assertEqual(countdown(2), [2, 1])
'''
    },
    "for a module": {
        "tests/test_module.py": '''import pytest

from core import plain
from stop import go_on, stop


@pytest.fixture(scope="module", autouse=True)
def future():
    patches = stop(9e9)
    yield
    go_on(patches)


def test_one():
    assert plain(5) == [5, 6]
'''
    },
    "for good, by a test": {
        "tests/test_a_stop.py": '''from core import plain
from stop import stop


def test_one():
    stop(0.0)
    assert plain(5) == [5, 6]
'''
    },
    "for good, by conftest.py": {"tests/conftest.py": "from stop import stop\n\nstop(4e9)\n"},
    "in the modules that a report goes through": {
        "tests/conftest.py": '''import os
import select
import struct
import time


def nothing(*arguments, **named):
    raise RuntimeError("nothing works any more")


def pytest_collection_finish(session):
    for module, names in ((select, ("select",)), (struct, ("pack",)), (time, ("monotonic",)),
                          (os, ("wait4", "kill", "pidfd_open", "fork", "setsid"))):
        for name in names:
            setattr(module, name, nothing)
'''
    },
    "in what is reported": {
        "tests/conftest.py": '''def pytest_sessionfinish(session):
    wrong = [-2e9, 1e12, float("nan"), float("inf"), "long", None, [], 10**400]
    for plugin in session.config.pluginmanager.get_plugins():
        for name, value in vars(plugin).items() if hasattr(plugin, "__dict__") else ():
            if name == "seconds" and isinstance(value, dict):
                for test in value:
                    value[test] = Wrong(wrong.pop())


class Wrong:
    """Rounds to what is wrong."""

    def __init__(self, value):
        self.value = value

    def __round__(self, digits=None):
        return self.value
'''
    },
}


def mined(root, run):
    run.mkdir()
    began = time.monotonic()
    found = mine(open_repository(root), LIMITS, run, MiningOptions(), lambda *_: None)
    return found, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("where", STOPPED)
def test_where_a_clock_is_stopped_the_tasks_are_the_same(tmp_path, where):
    files = {**CORE, "tests/stop.py": STOP, **STOPPED[where]}
    root = make_repo(tmp_path / "p", files)
    found, wall = mined(root, tmp_path / "run")
    assert tuple(sorted(name for task in found.tasks for name in task.about)) == TWO
    assert not [reason for reason in found.excluded if "slow" in reason or "jail" in reason]
    assert set(found.survey.seconds) == set(found.survey.passing)
    assert all(0 <= seconds < wall for seconds in found.survey.seconds.values())
    assert all(0 < task.test_seconds < wall for task in found.tasks)


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", ["for good, by conftest.py", "in the modules that a report goes through"]
)
def test_a_limit_is_kept_where_the_clock_stands_still(tmp_path, where):
    """In the process that has collected the tests, too, in which the clock was stopped."""
    root = make_repo(tmp_path / "p", {**CORE, "tests/stop.py": STOP, **STOPPED[where]})
    found, _ = mined(root, tmp_path / "run")
    task = next(task for task in found.tasks if task.function == "plain")
    repository = open_repository(root)
    broken = task.broken(repository.snapshot)[task.file]
    notes = []
    with Judge(
        repository,
        LIMITS,
        Suite(preload=found.survey.modules, test_files=found.survey.test_files),
        on_note=notes.append,
    ) as judge:
        right = judge.judge(task, {task.file: read_text(repository.snapshot / task.file)})
        began = time.monotonic()
        endless = with_body(broken, find(broken, "plain"), "    while True:\n        pass")
        verdict = judge.judge(task, {task.file: endless})
    assert (right.status, right.tier, notes) == ("resolved", "in-process", [])
    assert (verdict.status, verdict.tier) == ("timeout", "in-process")
    assert LIMITS.timeout <= time.monotonic() - began < LIMITS.timeout + 10
    assert 0 < right.cpu_seconds < 60 and 0 < verdict.cpu_seconds < 60


# -------------------------------------------------------------------------------- figures

FIGURES = st.one_of(
    st.none(),
    st.booleans(),
    st.text(),
    st.integers(),
    st.just(10**400),
    st.floats(allow_nan=True, allow_infinity=True),
    st.lists(st.integers()),
)


@given(st.dictionaries(st.sampled_from("abcd"), FIGURES), st.floats(0.001, 1e6))
def test_seconds_can_always_be_true(said, wall):
    found = seconds_of(said, "abc", wall)
    assert list(found) == ["a", "b", "c"]
    assert all(isinstance(s, (int, float)) and 0 <= s <= wall for s in found.values())
    assert math.fsum(found.values()) <= wall * 1.001


@pytest.mark.parametrize(
    "said, found",
    [
        ({"a": 1, "b": 2.5, "x": 9}, {"a": 1, "b": 2.5}),
        ({"a": 1}, {"a": 1, "b": 9.0}),
        ({"a": -1.9e9, "b": 4.0}, {"a": 6.0, "b": 4.0}),
        ({"a": 6.0, "b": 7.0}, {"a": 5.0, "b": 5.0}),
        ({"a": True, "b": "1"}, {"a": 5.0, "b": 5.0}),
        (None, {"a": 5.0, "b": 5.0}),
    ],
)
def test_seconds_that_cannot_be_true_are_a_share_of_what_was_measured_here(said, found):
    assert seconds_of(said, ("a", "b"), 10.0) == found


def test_other_figures():
    assert processor_seconds(0.25, 1.0) == 0.25
    for wrong in (-1.0, 1e9, float("nan"), None, "0.1"):
        assert processor_seconds(wrong, 1.0) == 1.0
    assert is_progress([0, 0]) and is_progress([3, 7])
    for wrong in ([7, 3], [-1, 3], [1], "ab", None, [None, 2], {"a": 1, "b": 2}):
        assert not is_progress(wrong)
