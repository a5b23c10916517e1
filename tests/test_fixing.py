"""What it takes to say that an edit mends a failing test, and the search for such an edit, with a
student that says what it is told to."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from recipes.fixing.search import Search, SearchOptions
from recipes.fixing.words import lines, summary_lines
from recipes.rollouts.rollout import Completion, Engine
from sandbox.errors import UsageError
from sandbox.judge.fixing import choose_failing, failing_tasks, one_function, verify, with_files
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.source import read_text
from sandbox.survey import survey
from tests.conftest import make_repo
from tests.test_worktree import digests
from tests.tiny import tiny_recipe

LIMITS = Limits(workers=1)
CORE = "kit/core.py"
SOURCE = '''"""Sums."""

LOG = []


def base(x):
    """Return x as it is."""
    return x


def left(x):
    """Return x and one."""
    return base(x) + 1


def right(x):
    """Return x and two."""
    return base(x) + 2


def both(x):
    """Return the sum of left and right."""
    return left(x) - right(x)


def loud(text):
    """Return the text in capitals."""
    return text
'''
TESTS = '''import pytest

from kit import core

SEEN = []


def test_first():
    SEEN.append(core.LOG)


def test_second():
    assert SEEN and core.base(7) == 7


def test_base():
    assert core.base(-1) == -1


def test_left():
    assert core.left(1) == 2


def test_right():
    assert core.right(1) == 3


@pytest.mark.parametrize("x, want", [(1, 5), (2, 7)])
def test_both(x, want):
    assert core.both(x) == want


def test_nothing_was_logged():
    assert core.LOG == []


def test_missing():
    assert "x" == "y"


class TestLoud:
    def test_loud(self):
        assert core.loud("ab") == "AB"

    def test_again(self):
        assert core.loud("c") == "C"
'''
KIT = {"kit/__init__.py": "", CORE: SOURCE, "tests/test_kit.py": TESTS}
BOTH = [f"tests/test_kit.py::test_both[{case}]" for case in ("1-5", "2-7")]
LOUD, MISSING = (
    tuple(f"tests/test_kit.py::TestLoud::test_{which}" for which in ("loud", "again")),
    "tests/test_kit.py::test_missing",
)
RIGHT = SOURCE.replace("left(x) - right(x)", "left(x) + right(x)")


def reply(*functions: str) -> str:
    """A reply as a model writes it."""
    return "So.\n\n```python\n" + "\n\n".join(functions) + "\n```\n"


def both(body: str) -> str:
    return f'def both(x):\n    """Return the sum of left and right."""\n    {body}'


SMALL, LARGE = (
    both("return left(x) + right(x)"),
    both("total = left(x)\n    total += right(x)\n    return total"),
)
HALF = both("return 5")
LOGGED = both("LOG.append(x)\n    return left(x) + right(x)")
BASE = (
    'def base(x):\n    """Return x as it is."""\n    if x < 0:\n        raise ValueError(x)\n  '
    ' '
    ' return x'
)


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """(repository, what its suite shows)"""
    repository = open_repository(make_repo(tmp_path_factory.mktemp("kits") / "kit", KIT))
    with Judge(repository, LIMITS) as judge:
        return repository, survey(judge, lambda *_: None)


@pytest.fixture(scope="module")
def bench(kit):
    """(judge, survey, task of test_both)"""
    repository, found = kit
    suite = Suite(preload=found.modules, test_files=found.test_files)
    with Judge(repository, LIMITS, suite) as judge:
        failing = failing_tasks(judge, found, found.failing, 0, lambda *_: None)
        assert [t.FAIL_TO_PASS for t in failing.tasks] == [tuple(BOTH), LOUD]
        assert failing.left_out == {MISSING: "failing test that calls no function of the project"}
        yield judge, found, failing.tasks[0]


def test_tests_are_chosen_by_name(kit):
    _, found = kit
    assert choose_failing(found, []) == found.failing == (*BOTH, MISSING, *LOUD)
    for name, chosen in (
        (BOTH[1], (BOTH[1],)),
        ("tests/test_kit.py::test_both", tuple(BOTH)),
        ("tests/test_kit.py::TestLoud", LOUD),
        ("tests/test_kit.py", found.failing),
        ("tests/test_kit.py::test_base", ()),
    ):
        assert choose_failing(found, [name]) == chosen
    with pytest.raises(UsageError, match="Did you mean tests/test_kit.py::test_base"):
        choose_failing(found, [BOTH[0], "tests/test_kit.py::test_bas"])


@pytest.mark.slow
def test_all_tests_that_can_see_the_change_are_run(bench):
    judge, found, task = bench
    assert set(task.functions) == {f"{CORE}::{name}" for name in ("both", "left", "right")}
    assert judge.judge(task, {CORE: RIGHT}).status == "resolved"
    proof = verify(judge, found, task, {CORE: RIGHT})
    assert (proof.changed, proof.tests, proof.holds) == ((f"{CORE}::both",), (), True)
    # A function that the task is not about is changed as well: what passed with the named tests
    # breaks another one.
    wrong = RIGHT.replace(
        "    return x\n\n\ndef left",
        "    if x < 0:\n        raise ValueError(x)\n    return x\n\n\ndef left",
    )
    assert judge.judge(task, {CORE: wrong}).status == "resolved"
    proof = verify(judge, found, task, {CORE: wrong})
    assert set(proof.changed) == {f"{CORE}::base", f"{CORE}::both"}
    assert proof.tests == ("tests/test_kit.py::test_second", "tests/test_kit.py::test_base")
    assert (
        proof.broken == ("tests/test_kit.py::test_base",)
        and proof.silent == ("tests/test_kit.py::test_second",)
        and not proof.holds
    )
    # More than bodies of functions: everything that passed is run.
    proof = verify(judge, found, task, {CORE: "import math\n" + RIGHT})
    assert (
        proof.changed == (CORE,)
        and set(proof.tests) == set(found.passing) - set(task.tests)
        and proof.holds
    )


@pytest.mark.slow
def test_one_function_at_a_time(bench):
    judge, _, task = bench
    likeliest = one_function(task)[0]
    assert (likeliest.file, likeliest.function, likeliest.files) == (CORE, "both", ())
    assert likeliest.broken(judge.repository.snapshot) == {CORE: SOURCE}
    assert (
        judge.judge(likeliest, {CORE: RIGHT.replace("return text", "return 1")}).status
        == "resolved"
    )
    assert judge.judge(likeliest, {CORE: SOURCE}).status == "failed"


class Told(Engine):
    """Writes the given replies, one after the other, round and round; its tokens are bytes."""

    def __init__(self, *replies: str) -> None:
        self.replies, self.asked, self.closed = replies, [], False
        self.student = SimpleNamespace(
            prompt_ids=lambda chat: list(chat[0]["content"].encode()),
            token_counts=lambda texts: [len(text.encode()) for text in texts],
            text=lambda ids: bytes(ids).decode(),
            answer_ids=lambda text: list(f"\n{text}\n".encode()),
        )

    def stream(
        self, prompts, n, temperature, max_new, seeds, on_ended, turns
    ) -> Iterator[dict[int, list[Completion]]]:
        for index, prompt in enumerate(prompts):
            yield {index: [self._written(index, bytes(prompt), turns) for _ in range(n)]}

    def _written(self, index: int, prompt: bytes, turns) -> Completion:
        ids: tuple[int, ...] = ()
        mask: tuple[bool, ...] = ()
        while True:
            text = self.replies[len(self.asked) % len(self.replies)].encode()
            self.asked.append((prompt + bytes(ids)).decode())
            ids, mask = ids + tuple(text), mask + (True,) * len(text)
            finished = text != b"cut off"
            more = tuple(turns.answer(index, ids).result()) if turns and finished else ()
            if not more:
                written = None if all(mask) else mask
                return Completion(ids, (0.0,) * sum(mask), finished, written)
            ids, mask = ids + more, mask + (False,) * len(more)

    def close(self) -> None:
        self.closed = True


def searched(
    kit,
    engine: Told,
    *names: str,
    samples: int = 8,
    seconds=None,
    style: str = "blocks",
    turns: int = 1,
):
    """(the search, its outcomes)"""
    student = {"max_prompt": 9000, "max_new": 9000, "turns": turns}
    recipe = tiny_recipe(prompt={"style": style}, student=student)
    options = SearchOptions(names, samples, seconds)
    search = Search(kit[0], LIMITS, recipe, options, lambda chats: engine)
    outcomes = list(search.outcomes())
    assert engine.closed or not outcomes
    return search, outcomes


@pytest.mark.slow
def test_the_smallest_verified_edit_is_taken(kit):
    before = digests(Path(kit[0].root))
    engine = Told(
        "nothing",
        "cut off",
        reply(SMALL, BASE),
        reply(LARGE),
        reply(HALF),
        reply(SMALL),
        reply(LARGE),
        reply(SMALL),
    )
    search, (outcome,) = searched(kit, engine, "tests/test_kit.py::test_both")
    assert outcome.fixed and outcome.best.files == {CORE: RIGHT} and outcome.best.size[0] == 2
    assert (
        outcome.counts == {"invalid": 1, "truncated": 1, "failed": 1, "resolved": 5}
        and outcome.samples == 8
    )
    assert (
        search.changed == {CORE: (SOURCE, RIGHT)} and search.left == () and len(search.failing) == 2
    )
    assert "def test_both" in engine.asked[0] and digests(Path(kit[0].root)) == before
    said = "\n".join(lines(outcome, 1000))
    assert (
        "Mended: tests/test_kit.py::test_both" in said
        and "2 failing tests and 2 other tests of the same functions" in said
    )
    counts = {"failed_before": 2, "same_functions": 2, "others": 0, "silent": 0}
    assert outcome.to_dict()["verified"] == {"changed": [f"{CORE}::both"], **counts}


@pytest.mark.slow
def test_what_failed_is_told_and_a_person_sees_turn_by_turn_what_was_tried(kit):
    engine = Told("READ kit/core.py:1-2", reply(HALF), reply(SMALL))
    search, (outcome,) = searched(kit, engine, "tests/test_kit.py::test_both", samples=1, turns=3)
    assert outcome.fixed and search.left == ()
    first, second, third = engine.asked
    assert "`READ path`" in first
    assert SOURCE.splitlines()[0] in second[len(first) :]
    assert "test_both" in third[len(second) :] and "assert" in third[len(second) :]
    told = [message["content"] for message in outcome.to_dict()["episode"][1::2]]
    said = "\n".join(lines(outcome, 1000))
    assert len(told) == 2 and "Turn 1: kit/core.py:1-2" in said and "Turn 2: " in said


@pytest.mark.long
@pytest.mark.slow
def test_one_fix_after_the_other_and_what_is_left(kit):
    engine = Told(
        *[reply(SMALL)] * 8,
        *[reply('def loud(text):\n    """Return the text in capitals."""\n    return text.upper()')]
        * 8,
    )
    search, outcomes = searched(kit, engine)
    assert [o.fixed for o in outcomes] == [True, True]
    assert search.changed == {CORE: (SOURCE, RIGHT.replace("return text", "return text.upper()"))}
    first, last = summary_lines(search)
    assert (
        search.left == (MISSING,)
        and "test_missing was not tried" in first
        and "4 of 5 failing tests mended" in last
    )


@pytest.mark.long
@pytest.mark.slow
def test_the_nearest_attempt_is_no_fix(kit):
    search, (outcome,) = searched(
        kit,
        Told("nothing", reply(both("return 0")), reply(HALF)),
        "tests/test_kit.py::test_both",
        samples=11,
    )
    assert (
        not outcome.fixed
        and outcome.samples == 11
        and search.left == tuple(BOTH)
        and search.changed == {}
    )
    assert outcome.best.remaining(outcome.task) == (BOTH[1],)
    said = "\n".join(lines(outcome, 1000))
    assert (
        said.startswith("Not solved")
        and "which is no fix, leaves 1 test failing: " + BOTH[1] in said
    )
    # Tests that are about one function are mended together or not at all.
    told = Told(reply('def loud(text):\n    """Return the text in capitals."""\n    return "AB"'))
    _, (outcome,) = searched(kit, told, "tests/test_kit.py::TestLoud")
    assert not outcome.fixed and outcome.best.remaining(outcome.task) == LOUD[1:]
    # What passes every test that is named and breaks another one is nearer, and no fix.
    _, (outcome,) = searched(
        kit, Told(reply(HALF), reply(SMALL, BASE)), "tests/test_kit.py::test_both"
    )
    assert not outcome.fixed and outcome.best.remaining(outcome.task) == (
        "tests/test_kit.py::test_base",
    )
    # The suite itself objects: what the edit leaves behind disturbs a test that never calls it.
    _, (outcome,) = searched(kit, Told(reply(LOGGED)), "tests/test_kit.py::test_both")
    assert not outcome.fixed and outcome.best.remaining(outcome.task) == (
        "tests/test_kit.py::test_nothing_was_logged",
    )


@pytest.mark.slow
def test_bare_bodies_are_tried_in_each_function(kit):
    engine = Told("    return left(x) + right(x)\n")
    search, (outcome,) = searched(kit, engine, *BOTH, style="body")
    assert outcome.fixed and search.changed == {CORE: (SOURCE, RIGHT)}
    assert (
        engine.asked[0] == 'def both(x):\n    """Return the sum of left and right."""\n'
        and len(set(engine.asked)) == 3
    )


@pytest.mark.slow
def test_the_time_is_kept_and_tests_are_never_edited(kit):
    cheat = (
        "tests/test_kit.py\n<<<<<<< SEARCH\n    assert core.both(x) == want\n=======\n    "
        "pass\n>>>>>>> REPLACE\n"
    )
    search, outcomes = searched(kit, Told(cheat), samples=800, seconds=0.01)
    assert (
        len(outcomes) == 1
        and outcomes[0].counts == {"invalid": 8}
        and outcomes[0].best is None
        and len(search.left) == 5
    )


def test_a_repository_with_an_edit_in_it(kit):
    repository, _ = kit
    mended = with_files(repository, {CORE: RIGHT})
    assert (
        read_text(mended.snapshot / CORE) == RIGHT
        and read_text(repository.snapshot / CORE) == SOURCE
    )
    assert (
        mended == replace(repository, tree=mended.tree) != repository
        and with_files(repository, {}).tree == repository.tree
    )
