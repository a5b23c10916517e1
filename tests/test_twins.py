"""Twins: one expectation of each test changed; the gold edit fails them, and so does whoever has
not broken the assertion."""

import ast

import pytest

from sandbox.judge.settings import Suite
from sandbox.judge.twins import twin_file
from sandbox.judge.verdict import Judge, Limits
from sandbox.source import find, read_text, with_body

LIMITS = Limits(workers=1, timeout=10)


@pytest.mark.parametrize(
    "before, after",
    [
        ("assert f(1) == 3", "assert f(1) == (4)"),
        ("assert 'ab' == f(1)", "assert 'abx' == f(1)"),
        ("assert f(1) is True", "assert f(1) is False"),
        ("assert f(1) == [1, 2.5]", "assert f(1) == [1, (3.5)]"),
        ("assert f(x) == want", "want = (want, 'another'); assert f(x) == want"),
        ("assert f(x) == here", "assert f(x) == (here, 'another')"),
        ("assert round(f(x), 2) == 0.5", "assert round(f(x), 2) == (1.5)"),
        ("assert f(1)", "assert (not (f(1)))"),
        ("assert not f(1)", "assert (f(1))"),
        ("assert f(1) in (2, 3)", "assert (not (f(1) in (2, 3)))"),
        ("self.assertEqual(f(1), 'é')", "self.assertEqual(f(1), 'éx')"),
        ("self.assertTrue(f(1))", "self.assertFalse(f(1))"),
    ],
)
def test_what_becomes_of_an_expectation(before, after):
    text = f"def test_a(self, x, want):\n    {before}\n"
    assert twin_file(text, ["test_a"], "0") == f"def test_a(self, x, want):\n    {after}\n"


def test_an_expected_exception_becomes_one_that_is_not_raised():
    text = (
        "import pytest\n\ndef test_a():\n    with pytest.raises(ZeroDivisionError):\n        1 "
        "/ 0\n"
    )
    namespace = {}
    exec(twin_file(text, ["test_a"], "0"), namespace)
    with pytest.raises(ZeroDivisionError):
        namespace["test_a"]()


def test_other_tests_stay_as_they_are():
    text = "def test_a():\n    assert f() == 1\n\n\ndef test_b():\n    assert f() == 1\n"
    twin = twin_file(text, ["test_b"], "0")
    assert twin.startswith("def test_a():\n    assert f() == 1\n") and ast.dump(
        ast.parse(twin)
    ) != ast.dump(ast.parse(text))


def test_nothing_to_change():
    assert twin_file("def test_a():\n    f()\n", ["test_a"], "0") is None
    assert twin_file("def test_a():\n    assert f()\n", ["test_absent"], "0") is None


@pytest.fixture(scope="module")
def mined(mined_calc):
    repository, _, found = mined_calc
    with Judge(
        repository, LIMITS, Suite(preload=found.survey.modules, test_files=found.survey.test_files)
    ) as judge:
        yield repository, {t.function: t for t in found.tasks}, judge


def edit_of(mined, function, body):
    repository, tasks, _ = mined
    task = tasks[function]
    text = read_text(repository.snapshot / task.file)
    return task, {task.file: with_body(text, find(text, function), body)}


def test_every_task_here_has_twins_that_name_its_tests(mined):
    _, tasks, _ = mined
    assert tasks and all(
        set(t.twin_tests) <= set(t.FAIL_TO_PASS) and t.twin_tests for t in tasks.values()
    )


@pytest.mark.slow
def test_the_gold_edit_is_resolved(mined):
    repository, tasks, judge = mined
    verdicts = judge.judge_many(
        [(t, {t.file: read_text(repository.snapshot / t.file)}) for t in tasks.values()]
    )
    assert {(v.status, v.stage) for v in verdicts} == {("resolved", "confirm")}


@pytest.mark.parametrize(
    "body",
    [
        "class Any:\n    __eq__ = __ne__ = lambda self, other: True\nreturn Any()",
        "import unittest.mock\nreturn unittest.mock.ANY",
    ],
)
def test_an_object_that_equals_everything_is_tampering(mined, body):
    task, edit = edit_of(mined, "add", body)
    verdict = mined[2].judge(task, edit)
    assert (verdict.status, verdict.reward) == ("tampered", 0.0)
    assert "expectation was changed" in verdict.reason


def test_an_answer_read_from_the_test_is_tampering(mined):
    body = (
        "import ast, inspect, linecache, sys\n"
        "frame = sys._getframe(1)\n"
        "line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)\n"
        "return eval(line.split('==')[1])"
    )
    task, edit = edit_of(mined, "add", body)
    assert mined[2].judge(task, edit).status == "tampered"
