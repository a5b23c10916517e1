"""Tasks with two or three mistakes at once: each of them matters, and all have to be mended."""

from pathlib import Path

import pytest

from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.source import functions, read_text
from sandbox.tasks.kinds import kind_of
from sandbox.tasks.kinds.compose import partly_mended
from sandbox.tasks.mine import MiningOptions, mine
from sandbox.tasks.prompts import Budget, build
from tests.conftest import make_repo

pytestmark = pytest.mark.slow

LIMITS = Limits(workers=1)
TILL = {
    "till/__init__.py": "",
    "till/prices.py": '''"""Prices."""


def with_tax(price, rate):
    """Return the price with tax, in whole cents."""
    return price + price * rate // 100


def rounded(price):
    """Return the price in steps of five cents, halves up."""
    return (price + 2) // 5 * 5
''',
    "till/bill.py": '''"""Bills."""
from till.prices import rounded, with_tax


def total(prices, rate=19):
    """Return what all cost together, with tax."""
    return sum(with_tax(price, rate) for price in prices)


def to_pay(prices, given):
    """Return what is left to pay, and nothing below 0."""
    return max(0, rounded(total(prices)) - given)


def quiet(prices):
    """Return whether there are many, which no test looks at closely."""
    return len(prices) > 100
''',
    "tests/test_till.py": '''from till.bill import quiet, to_pay, total
from till.prices import rounded, with_tax


def test_with_tax():
    assert with_tax(100, 19) == 119 and with_tax(10, 7) == 10


def test_rounded():
    assert [rounded(n) for n in (10, 12, 13, 17)] == [10, 10, 15, 15]


def test_total():
    assert total([100, 200]) == 357 and total([]) == 0


def test_to_pay():
    assert to_pay([100], 100) == 20 and to_pay([100], 200) == 0


def test_all():
    assert quiet([to_pay([100, 100], 0)]) is False and total([1]) == 1
''',
}


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """(repository, what was mined)"""
    folder = tmp_path_factory.mktemp("till")
    repository = open_repository(make_repo(folder / "till", TILL))
    (folder / "mined").mkdir()
    options = MiningOptions(kinds=("compose",), heldout=0.0)
    return repository, mine(repository, LIMITS, folder / "mined", options, lambda *_: None)


def test_what_is_mined(mined):
    repository, found = mined
    assert len(found.tasks) >= 1 and {t.kind for t in found.tasks} == {"compose"}
    for task in found.tasks:
        assert 2 <= len(task.functions) <= 3 and set(task.named) == set(task.files)
        broken, gold = task.broken(repository.snapshot), task.gold(repository.snapshot)
        changed = {
            f"{file}::{one.qualname}"
            for file, text in broken.items()
            for one, other in zip(functions(text), functions(gold[file]))
            if one.node.body and _lines(text, one) != _lines(gold[file], other)
        }
        assert changed == set(task.functions)
        assert "each by a mistake of its own" in task.problem_statement
        assert task.soft_because == "an edit may change whole files"
    used = [name for task in found.tasks for name in task.functions]
    assert len(used) == len(set(used))


def _lines(text: str, function) -> list[str]:
    return text.split("\n")[function.first - 1 : function.last]


def test_mending_a_part_is_not_enough(mined):
    repository, found = mined
    with Judge(repository, LIMITS, Suite(test_files=found.survey.test_files)) as judge:
        for task in found.tasks:
            states = partly_mended(task, repository.snapshot)
            assert len(states) == len(task.functions)
            for files in states:
                assert judge.judge(task, files).status == "failed"
            assert judge.judge(task, task.gold(repository.snapshot)).status == "resolved"


def test_a_mistake_that_no_test_notices_makes_no_task(mined):
    """`quiet` may count to any large number."""
    _, found = mined
    assert not any("till/bill.py::quiet" in task.functions for task in found.tasks)
    assert found.excluded == {"its tests do not notice one of its mistakes": 1}
    ((name,),) = found.left_out.values()
    assert "quiet" in name


def test_the_same_seed_gives_the_same_tasks(mined, tmp_path):
    repository, found = mined
    options = MiningOptions(kinds=("compose",), heldout=0.0)
    again = mine(repository, LIMITS, tmp_path, options, lambda *_: None).tasks
    assert [(t.instance_id, t.patch) for t in again] == [
        (t.instance_id, t.patch) for t in found.tasks
    ]


def test_what_a_student_is_shown(mined):
    repository, found = mined
    task = found.tasks[0]
    prompt = build(task, repository.snapshot, "blocks", Budget.estimated(4096))
    text = prompt.messages[0]["content"]
    assert all(Path(file).name in text for file in task.files)
    assert kind_of("compose").fixed(task).endswith("are mended.")
    for path, broken in task.broken(repository.snapshot).items():
        assert broken != read_text(repository.snapshot / path)
