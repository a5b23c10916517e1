"""Tasks whose tests are what a function was seen to do: of a repository with three tests."""

import ast

import pytest

from sandbox.judge.edits import from_reply
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.source import find, read_text, source_of
from sandbox.tasks.kinds.record import asserting_lines
from sandbox.tasks.mine import MiningOptions, mine
from sandbox.tasks.task import given_tests
from tests.conftest import make_repo

LIMITS = Limits(workers=1, recheck=0.0)
PARCELS = '''"""Parcels."""
import datetime
import itertools

NUMBERS = itertools.count()


def cost(weight, zone):
    """Return what a parcel of this weight costs to send to a zone, in cents."""
    base = 390 if weight <= 500 else 590
    return base + 120 * (zone - 1)


def zone_of(code):
    """Return the zone of a postal code."""
    first = int(code[0])
    if first < 3:
        return 1
    return 2 if first < 7 else 3


def label(name, code):
    """Return two lines for a parcel."""
    return [name.strip().title(), f"{code} Z{zone_of(code)}"]


def due(day, code):
    """Return the day on which it is there."""
    return day + datetime.timedelta(days=zone_of(code) + 1)


def ticket(code):
    """Return another number each time."""
    return next(NUMBERS) + len(code)


def warm_up(codes):
    """Return the codes that are known, in order."""
    known = [code for code in codes if code.isdigit() and len(code) == 5]
    return sorted(known, key=lambda code: code[::-1])


class Shop:
    """A shop that sends parcels."""

    @staticmethod
    def total(parcels):
        """Return the cost of (weight, code) pairs together."""
        return sum(cost(weight, zone_of(code)) for weight, code in parcels)

    def send(self, name, parcels):
        """Return what is printed."""
        warm = [label(name, code) for _, code in parcels]
        tickets = [ticket(code) for _, code in parcels]
        days = [due(datetime.date(2024, 2, n + 20), code) for n, (_, code) in enumerate(parcels)]
        return len(tickets), warm and f"{self.total(parcels)} {max(days).isoformat()}"
'''
TESTS = '''from parcels import Shop, warm_up

MANY = [(w, c) for w in (100, 500, 501, 900) for c in ("01067", "20095", "50667", "69117", "80331")]


def test_send():
    count, text = Shop().send(" ada lovelace", MANY[:9])
    assert count == 9 and text


def test_send_one():
    assert Shop().send("bob", [(700, "99084")])[1] == "830 2024-02-24"


def test_warm_up():
    for codes in (["01067", "x", "20095"], ["3"], ["80331", "01067", "50667"], ["12345"]):
        warm_up(codes)
    warm_up(["99999", "11111", "aaaaa"])
'''


@pytest.fixture(scope="module")
def parcels(tmp_path_factory):
    files = {"parcels.py": PARCELS, "test_parcels.py": TESTS}
    return open_repository(make_repo(tmp_path_factory.mktemp("parcels") / "parcels", files))


@pytest.fixture(scope="module")
def mined(parcels, tmp_path_factory):
    options = MiningOptions(kinds=("record",), heldout=0.0)
    return mine(parcels, LIMITS, tmp_path_factory.mktemp("mined"), options, lambda *_: None)


@pytest.mark.slow
def test_what_is_mined_from_three_tests(parcels, mined):
    found = {task.function: task for task in mined.tasks}
    assert len(mined.survey.passing) == 3
    assert set(found) == {"cost", "zone_of", "due", "warm_up", "Shop.total"}
    for task in mined.tasks:
        assert task.kind == "record" and task.sort == "recorded" and task.noticed >= 0.5
        (text,) = task.test_files.values()
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
        assert 2 <= len(calls) <= 12 and task.shown and set(task.shown) < set(task.tests)
    (due,) = found["due"].test_files.values()
    assert "import datetime" in due and "== datetime.date(2024, 2, " in due
    assert "warm_up" not in str(mined.left_out)
    alone = "the tests that were made for it do not pass by themselves"
    assert mined.left_out[alone] == ["record-parcels.ticket"]
    method = "method, and what it is called on is no plain value"
    assert mined.left_out[method] == ["parcels.py::Shop.send"]


@pytest.mark.slow
def test_verdicts(parcels, mined):
    task = next(task for task in mined.tasks if task.function == "zone_of")
    broken = task.broken(parcels.snapshot)

    def edit(body):
        return from_reply(f"```python\ndef zone_of(code):\n{body}\n```", task, broken)

    shown = [test for test in task.shown]
    with Judge(parcels, LIMITS, mined.survey.suite(given_tests(mined.tasks))) as judge:
        assert judge.judge(task, task.gold(parcels.snapshot)).status == "resolved"
        other = "    return 1 if code < '3' else 2 if code < '7' else 3"
        assert judge.judge(task, edit(other)).status == "resolved"
        wrong = judge.judge(task, edit("    return 1 if code < '3' else 2"))
        assert wrong.status == "failed" and set(wrong.tests) >= set(shown)
        by_heart = "    return {'01067': 1, '20095': 1, '50667': 2}.get(code, 3)"
        reads = (
            "    import ast, pathlib\n"
            "    for path in pathlib.Path('.').glob('test_coldstart_*zone_of*'):\n"
            "        for line in path.read_text().split('\\n'):\n"
            "            if repr(code) in line:\n"
            "                return ast.literal_eval(line.partition('==')[2].strip())\n"
            "    return 1"
        )
        assert task.hard
        for body in (by_heart, reads):
            assert judge.judge(task, edit(body)).status in ("failed", "tampered"), body


@pytest.mark.slow
def test_the_same_seed_gives_the_same_tasks(parcels, mined, tmp_path):
    options = MiningOptions(kinds=("record",), heldout=0.0, limit=2)
    again = mine(parcels, LIMITS, tmp_path, options, lambda *_: None).tasks
    known = {t.instance_id: (t.patch, t.test_patch, t.noticed) for t in mined.tasks}
    assert len(again) == 2
    assert all(known[t.instance_id] == (t.patch, t.test_patch, t.noticed) for t in again)


LOOKED_AT = '''
def test_a():
    f(1)
    x = f(2)
    assert x == 2
    assert f(3) == 3
    y = f(4)
    z = g(y)
    with pytest.raises(ValueError):
        f(5)
    self.assertEqual(f(6), 6)
    for n in f(7):
        g(n)
    w = f(8); h(w)
    v = f(9)
    u = v + 1
    check_all(u)


def helper():
    return f(10)
'''


def test_which_calls_are_looked_at():
    lines = asserting_lines(ast.parse(LOOKED_AT))
    text = LOOKED_AT.split("\n")
    looked = {number for number in range(1, 11) for i in lines if f"f({number})" in text[i - 1]}
    assert looked == {2, 3, 5, 6, 9, 10}


def test_the_source_is_not_touched(parcels):
    assert source_of(PARCELS, find(PARCELS, "cost")) in read_text(parcels.snapshot / "parcels.py")
