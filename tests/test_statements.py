"""Problem statements: what they say of a task, and what they never say."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import patches
from sandbox.tasks.kinds import kind_of
from sandbox.tasks.kinds.revert import MAX_MESSAGE, described
from sandbox.tasks.statements import secrets, sources_of_tests
from sandbox.tasks.task import Task
from tests.shop import mined_shop

GOLD = '''def area(width, height):
    """Return the area.

    In square metres.
    """
    if width < 0:
        return 0
    return width * height


def other():
    return area(1, 2)
'''
TESTS = '''from core import area, other


def test_area():
    assert area(2, 3) == 6


def test_negative():
    assert area(-2, 3) == 0 and "hidden words"


def test_other():
    assert other() == 2
'''
FAILURE = '''test_core.py:5: in test_area
    assert area(2, 3) == 6
E   assert 8 == 6
E    +  where 8 = area(2, 3) at 0x7f00deadbeef
'''


@pytest.fixture
def tree(tmp_path) -> Path:
    (tmp_path / "core.py").write_text(GOLD)
    (tmp_path / "test_core.py").write_text(TESTS)
    return tmp_path


def make_task(
    kind: str, broken: str = GOLD.replace("width * height", "width ** height"), **more
) -> Task:
    fields = dict(
        instance_id="t",
        kind=kind,
        split="train",
        repo="r",
        base_commit="c",
        file="core.py",
        function="area",
        patch=patches.make(broken, GOLD, "core.py"),
        FAIL_TO_PASS=("test_core.py::test_area", "test_core.py::test_negative"),
        PASS_TO_PASS=("test_core.py::test_other",),
        shown=("test_core.py::test_area",),
        problem_statement="",
        test_seconds=0.1,
        twin_patch=patches.make(TESTS, TESTS.replace("== 6", "== (77)"), "test_core.py"),
        twin_tests=("test_core.py::test_area",),
    )
    return Task(**{**fields, **more})


# ------------------------------------------------------------------------------------- what is said


def statement(task, tree, failures, message=""):
    return kind_of(task.kind).statement(task, tree, failures, message)


def test_blank():
    assert (
        statement(make_task("blank"), Path("/nowhere"), {})
        == "The body of `area` in `core.py` is missing. Write it so that its tests pass."
    )


def test_mutate(tree):
    assert statement(make_task("mutate"), tree, {"test_core.py::test_area": FAILURE}) == (
        "`area` in `core.py` does not do what it should, and tests of it fail. Find the mistake "
        "and mend it.\n\nWhat it should do: Return the area.\n\n"
        "What fails:\n\n- `test_core.py::test_area`:\n  assert 8 == 6\n  +  where 8 = area(2, 3) "
        "at 0x..."
    )


def test_revert(tree):
    said = statement(
        make_task("revert"),
        tree,
        {},
        "Mend the area\n\nIt was wrong.\n\nSigned-off-by: T <t@example.org>\n",
    )
    assert said == (
        "A change is missing from `area` in `core.py`. Make it, so that the tests pass.\n\nIt was "
        "described so:\n\n> Mend the area\n>\n> It was wrong.\n\n"
        "What fails:\n\n- `test_core.py::test_area`"
    )
    several = make_task(
        "revert", files=("core.py", "more.py"), functions=("core.py::area", "more.py::x")
    )
    (tree / "more.py").write_text("")
    assert statement(several, tree, {}).startswith(
        "A change is missing from `core.py` and `more.py`."
    )


def test_failing(tree):
    task = make_task(
        "failing",
        patch="",
        files=("core.py",),
        functions=("core.py::area", "core.py::other"),
        twin_patch="",
        twin_tests=(),
    )
    said = statement(task, tree, {"test_core.py::test_area": FAILURE})
    assert (
        said.startswith("Tests fail in this repository. Mend the code, not the tests.")
        and "`area` in `core.py` and `other` in `core.py`" in said
    )
    assert "assert 8 == 6" in said


def test_a_function_without_a_docstring(tree):
    assert "What it should do" not in statement(
        make_task("mutate", function="other", broken=GOLD.replace("area(1, 2)", "area(2, 1)")),
        tree,
        {},
    )


def test_only_tests_that_may_be_shown_are_named(tree):
    failures = {test: FAILURE for test in make_task("mutate").tests}
    for kind in ("mutate", "revert"):
        said = statement(make_task(kind), tree, failures, "Mend it")
        assert "test_area" in said and "test_negative" not in said and "test_other" not in said


def test_long_failures_are_cut(tree):
    shown = tuple(f"test_core.py::test_area[{i}]" for i in range(30))
    failures = {test: "".join(f"E   line {i} {'x' * 500}\n" for i in range(50)) for test in shown}
    said = statement(make_task("mutate", FAIL_TO_PASS=shown, shown=shown), tree, failures)
    assert len(said) < 8000 and "line 0" in said


# ---------------------------------------------------------------------------------- commit messages


@pytest.mark.parametrize(
    "message, expected",
    [
        ("Subject\n", "Subject"),
        (
            "Subject\n\nText that goes\non.\n\n- a point\n* another\n",
            "Subject\n\nText that goes\non.\n\n- a point\n* another",
        ),
        ("Subject\n\nBefore\n\n```python\nreturn 1\n```\n\nAfter\n", "Subject\n\nBefore\n\nAfter"),
        ("Subject\n\n```\nnever ends\nreturn 1\n", "Subject"),
        ("Subject\n\n    return 1\n\tx = 2\nAfter\n", "Subject\n\nAfter"),
        (
            "Subject\n\ndiff --git a/x b/x\nindex 12..34 100644\n--- a/x\n+++ b/x\n@@ -1 +1 "
            "@@\n-return 1\n+return 2\n-    x\n+    y\n",
            "Subject",
        ),
        ("Subject\n\n>>> f(1)\n... \nText\n", "Subject\n\nText"),
        ("Subject\r\n\r\nText\r\n", "Subject\n\nText"),
        (
            "Subject\n\nText: with a colon\n\nSigned-off-by: A <a@b>\nCo-authored-by: B "
            "<b@c>\nChange-Id: I123\nFixes: #3\nReviewed-By: C\n(cherry picked from commit 12)\n",
            "Subject\n\nText: with a colon",
        ),
        ("", ""),
        ("\n\n", ""),
    ],
)
def test_what_stays_of_a_commit_message(message, expected):
    assert described(message) == expected


def test_a_long_message_is_cut():
    assert len(described("word " * 5000)) <= MAX_MESSAGE


def test_a_message_that_quotes_the_gold_edit_is_left_out(tree):
    for quote in (
        "return width * height",
        "return  width *\theight",
        "`return width * height`",
        "it does (return width * height) now",
    ):
        said = statement(
            make_task("revert"), tree, {}, f"Mend the area\n\nIt should say {quote}.\n"
        )
        assert "described" not in said and "width" not in said
    assert "described" in statement(
        make_task("revert"), tree, {}, "Mend the area\n\nIt should multiply.\n"
    )
    # A line that the broken file holds as well gives nothing away.
    assert "described" in statement(
        make_task("revert"), tree, {}, "Mend the area\n\nNot where if width < 0: stands.\n"
    )


# ------------------------------------------------------------------------------- what is never said


def test_secrets(tree):
    task = make_task("mutate")
    assert secrets(task, tree) == sorted(
        [
            "return width * height",
            'assert area(-2, 3) == 0 and "hidden words"',
            "def test_negative():",
            "assert other() == 2",
            "def test_other():",
            "assert area(2, 3) == (77)",
        ]
    )
    everything_shown = replace(
        task, shown=task.FAIL_TO_PASS, PASS_TO_PASS=(), twin_patch="", twin_tests=()
    )
    assert secrets(everything_shown, tree) == ["return width * height"]


def test_failure_lines_that_give_something_away_are_left_out(tree):
    text = (
        "E   assert 8 == 6\nE   return width * height\nE   see assert other() == 2\nE   assert "
        "area(2, 3) == (77)\nE   last\n"
    )
    said = statement(make_task("mutate"), tree, {"test_core.py::test_area": text})
    assert (
        "assert 8 == 6\n  last" in said
        and "width * height" not in said
        and "other()" not in said
        and "(77)" not in said
    )


@given(
    st.lists(
        st.sampled_from(
            [
                *GOLD.split("\n"),
                *TESTS.split("\n"),
                "assert area(2, 3) == (77)",
                "words",
                "- a point",
                "```",
                "",
            ]
        ),
        max_size=8,
    )
)
def test_whatever_a_message_says(tmp_path_factory, lines):
    tree = tmp_path_factory.getbasetemp() / "whatever"
    tree.mkdir(exist_ok=True)
    (tree / "core.py").write_text(GOLD)
    (tree / "test_core.py").write_text(TESTS)
    task = make_task("revert")
    failure = "\n".join(f"E   {line}" for line in lines)
    said = " ".join(
        statement(task, tree, {"test_core.py::test_area": failure}, "\n".join(lines)).split()
    )
    assert not any(secret in said for secret in secrets(task, tree))


def test_sources_of_tests_are_given_once(tree):
    assert sources_of_tests(
        [
            "test_core.py::test_area[1]",
            "test_core.py::test_area[2]",
            "test_core.py::test_gone",
            "notes.txt::x",
        ],
        tree,
    ) == ["def test_area():\n    assert area(2, 3) == 6"]


@pytest.mark.slow
def test_statements_of_mined_tasks():
    repository, mined = mined_shop()
    by_kind = {
        kind: [t for t in mined.tasks if t.kind == kind]
        for kind in ("blank", "mutate", "revert", "failing")
    }
    assert all(by_kind.values())
    assert all(
        t.problem_statement
        == f"The body of `{t.function}` in `{t.file}` is missing. Write it so that its tests pass."
        for t in by_kind["blank"]
    )
    assert all(
        "What fails:" in t.problem_statement and t.shown[0] in t.problem_statement
        for kind in ("mutate", "revert", "failing")
        for t in by_kind[kind]
    )
    assert any("> Tax at any rate" in t.problem_statement for t in by_kind["revert"])
    assert all(
        "Co-authored" not in t.problem_statement and "```" not in t.problem_statement
        for t in by_kind["revert"]
    )
    for task in mined.tasks:
        said = " ".join(task.problem_statement.split())
        assert not any(secret in said for secret in secrets(task, repository.snapshot))
        assert repository.root not in task.problem_statement
