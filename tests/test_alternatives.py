"""More than one right answer: what a project's tests accept is accepted, and nothing else is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.jail.inside import values
from sandbox.judge import alternatives
from sandbox.judge.black_box import agree
from sandbox.judge.edits import from_reply
from sandbox.judge.fuzz import same
from sandbox.judge.neutral import Neutral, read_answer, write_call
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.tasks.mine import MiningOptions, mine
from tests.conftest import make_repo

SOURCE = '''import math


def unique(names):
    """The names, each once, in any order."""
    return sorted(set(names))


def ranked(names):
    """The names, each once, sorted."""
    return sorted(set(names))


def by_length(words):
    """{length: the words of it, in any order}"""
    found = {}
    for word in words:
        found.setdefault(len(word), []).append(word)
    return found


def labels(names):
    """The names as a set, each with its length behind it."""
    return {f"{name}{len(name)}" for name in names}


def divisor(n):
    """Some divisor of n that is neither 1 nor n; None where there is none."""
    for d in range(2, n):
        if n % d == 0:
            return d
    return None


def smallest(n):
    """The smallest divisor of n that is not 1."""
    return next(d for d in range(2, n + 1) if n % d == 0)


def split(total, parts):
    """Whole numbers of this sum, as many as parts."""
    return [total // parts] * (parts - 1) + [total - total // parts * (parts - 1)]


def root(x):
    """The square root to three digits."""
    return math.sqrt(x)


def area(r):
    """The area of a circle."""
    return math.pi * r * r


def table(rows):
    """The rows as lines."""
    return "\\n".join(",".join(map(str, row)) for row in rows) + "\\n"


def shout(word):
    """An exclamation mark behind the word, in letters of any size."""
    return word.upper() + "!"


def pick(pairs, key):
    """The value of the key. LookupError where there is none."""
    for name, value in pairs:
        if name == key:
            return value
    raise LookupError(key)


def strict(pairs, key):
    """The value of the key. KeyError where there is none."""
    for name, value in pairs:
        if name == key:
            return value
    raise KeyError(key)


def leap(year):
    """Whether the year has 366 days."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def price(amount, rate):
    """The amount with tax."""
    return amount + amount * rate // 100
'''
TESTS = '''import pytest

from lib import *
from lib import area, by_length, divisor, labels, leap, pick, price, ranked, root, shout
from lib import smallest, split, strict, table, unique


def test_unique():
    assert sorted(unique(["b", "a", "b"])) == ["a", "b"]
    assert set(unique(["x", "y", "x", "z"])) == {"x", "y", "z"}


@pytest.mark.parametrize("names, wanted", [
    (["b", "a", "b"], ["a", "b"]), (["x", "z", "x", "y"], ["x", "y", "z"]),
    (["q", "p"], ["p", "q"])])
def test_ranked(names, wanted):
    assert ranked(names) == wanted


def test_by_length():
    found = by_length(["to", "be", "or", "not", "a"])
    assert set(found[2]) == {"to", "be", "or"} and found[3] == ["not"] and 9 not in found
    found = {length: sorted(words) for length, words in by_length(["x", "y", "zz"]).items()}
    assert found == {1: ["x", "y"], 2: ["zz"]}


def test_labels():
    assert len(labels(["a", "b", "a"])) == 2 and "a1" in labels(["a", "bb"])
    assert sorted(labels(["dd", "c"])) == ["c1", "dd2"]


@pytest.mark.parametrize("n", [12, 35, 49, 60, 91])
def test_divisor(n):
    d = divisor(n)
    assert 1 < d < n and n % d == 0


@pytest.mark.parametrize("n", [7, 13])
def test_no_divisor(n):
    assert divisor(n) is None


@pytest.mark.parametrize("n, d", [(12, 2), (35, 5), (49, 7), (9, 3), (91, 7), (13, 13), (77, 7)])
def test_smallest(n, d):
    assert smallest(n) == d


def test_smallest_of_some():
    smallest(30)


def test_split():
    for total, parts in ((7, 2), (12, 3), (5, 5), (9, 4)):
        found = split(total, parts)
        assert len(found) == parts and sum(found) == total


@pytest.mark.parametrize("x", [2.0, 3.0, 7.5, 11.0, 40.0])
def test_root(x):
    assert abs(root(x) ** 2 - x) < 0.02


@pytest.mark.parametrize("r, a", [(1.5, 7.0685834706), (2.5, 19.6349540849), (7.25, 165.129963854)])
def test_area(r, a):
    assert area(r) == pytest.approx(a)


def test_table():
    assert table([[1, 2], [3, 4]]).strip() == "1,2\\n3,4"
    assert table([["a"], ["b"]]).split() == ["a", "b"]


def test_shout():
    assert shout("Hey").lower() == "hey!" and shout("oh No").lower() == "oh no!"
    assert shout("Who").casefold() == "who!"


def test_pick():
    assert pick([("a", 1), ("b", 2)], "b") == 2 and pick([("x", 3)], "x") == 3
    for pairs, key in (([("a", 1)], "b"), ([], "x"), ([("k", 5), ("l", 6)], "m")):
        with pytest.raises(LookupError):
            pick(pairs, key)


def test_strict():
    assert strict([("a", 1), ("b", 2)], "b") == 2 and strict([("x", 3)], "x") == 3
    for pairs, key in (([("a", 1)], "b"), ([], "x"), ([("k", 5), ("l", 6)], "m")):
        with pytest.raises(KeyError):
            strict(pairs, key)


@pytest.mark.parametrize("amount, rate, wanted", [(100, 7, 107), (250, 19, 297), (999, 7, 1068)])
def test_price(amount, rate, wanted):
    assert price(amount, rate) == wanted


@pytest.mark.parametrize("year", [2000, 2024, 1996])
def test_leap(year):
    assert leap(year)


@pytest.mark.parametrize("year", [1900, 2023, 2100, 1999])
def test_not_leap(year):
    assert not leap(year)


def test_price_of_much():
    price(100000, 19)
'''.replace("from lib import *\n", "")

RIGHT = {
    "unique/as they come": "return list(dict.fromkeys(names))",
    "unique/a set": "return set(names)",
    "unique/a tuple": "return tuple(dict.fromkeys(names))",
    "unique/reversed": "return sorted(set(names), reverse=True)",
    "unique/keys": "return dict.fromkeys(names).keys()",
    "unique/a generator": "yield from dict.fromkeys(names)",
    "by_length/sorted": "found = {}\nfor word in sorted(words, reverse=True):\n"
    "    found.setdefault(len(word), []).append(word)\nreturn found",
    "labels/a list": "return [f'{name}{len(name)}' for name in dict.fromkeys(names)]",
    "divisor/the largest": "return next((d for d in range(n - 1, 1, -1) if n % d == 0), None)",
    "split/the rest at first": "return [total - parts + 1] + [1] * (parts - 1)",
    "root/rounded": "return round(math.sqrt(x), 4)",
    "table/no end": "return '\\n'.join(','.join(map(str, row)) for row in rows)",
    "shout/small": "return word.lower() + '!'",
    "pick/KeyError": "return dict(reversed(pairs))[key]",
}
"""{function/which answer: a body that does what docstring and tests say}"""
WRONG = {
    "unique/a table": "return {'bab': ['b', 'a'], 'xyxz': ['z', 'y', 'x']}.get(''.join(names), [])",
    "divisor/a table": "return {12: 6, 35: 7, 49: 7, 60: 2, 91: 13}.get(n)",
    "divisor/a table and a guess": "return {12: 6, 35: 7, 49: 7, 60: 2, 91: 13, 7: None, 13: None}"
    ".get(n, 2)",
    "divisor/a table and its own": "return {12: 6, 35: 7, 49: 7, 60: 2, 91: 13, 7: None, 13: None}"
    ".get(n, n)",
    "leap/a table": "return year in (2000, 2024, 1996)",
    "smallest/a table, and odd where nobody looks": "return {12: 2, 35: 5, 49: 7, 9: 3, 91: 7, 13: "
    "13, 77: 7, 30: 99}.get(n, 1)",
    "split/a table": "return {7: [1, 6], 12: [1, 1, 10], 5: [1] * 5, 9: [1, 1, 1, 6]}.get(total)",
    "area/coarse": "return math.pi * r * r if r in (1.5, 2.5, 7.25) else round(3.14 * r * r, 1)",
    "strict/a table": "if (key, len(pairs)) in {('b', 2): 2, ('x', 1): 3}:\n"
    "    return {'b': 2, 'x': 3}[key]\nraise KeyError(key)",
    "price/a table, and more where nobody looks": "return {(100, 7): 107, (250, 19): 297, (999, "
    "7): 1068}.get((amount, rate), amount * 2)",
}
"""The same, of bodies that pass every test."""


@pytest.fixture(scope="module")
def lib(tmp_path_factory):
    """(repository, {function: its task})"""
    root = make_repo(tmp_path_factory.mktemp("lib"), {"lib.py": SOURCE, "tests/test_lib.py": TESTS})
    repository = open_repository(root)
    found = mine(
        repository,
        Limits(workers=2),
        tmp_path_factory.mktemp("run"),
        MiningOptions(),
        lambda *_: None,
    )
    return repository, {task.function: task for task in found.tasks}


@pytest.fixture(scope="module")
def judge(lib):
    with Judge(
        lib[0], Limits(workers=1, recheck=0.0), Suite(test_files=("tests/test_lib.py",))
    ) as judge:
        yield judge


def verdict_of(lib, judge, name: str, body: str):
    repository, tasks = lib
    task = tasks[name.partition("/")[0]]
    head = task.function + SOURCE.split(f"def {task.function}")[1].partition(":\n")[0]
    code = f"def {head}:\n    " + body.replace("\n", "\n    ")
    broken = task.broken(repository.snapshot)
    return judge.judge(task, from_reply(f"```python\n{code}\n```\n", task, broken, "blocks"))


@pytest.mark.slow
def test_all_are_hard(lib):
    assert {name for name, task in lib[1].items() if task.hard} >= {
        name.partition("/")[0] for name in (*RIGHT, *WRONG)
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_what_the_tests_accept_is_right(lib, judge, name):
    verdict = verdict_of(lib, judge, name, RIGHT[name])
    assert verdict.status == "resolved", verdict.reason
    assert verdict.agreement < 0.7 and "On fresh inputs" in verdict.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_what_only_passes_the_tests_is_not(lib, judge, name):
    verdict = verdict_of(lib, judge, name, WRONG[name])
    assert verdict.status == "failed" and verdict.stage == "confirm", verdict.reason
    assert "It agrees with the reference on" in verdict.reason


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("aB 1", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
CALL = write_call([(), {}])


def answered(value):
    graph = values.Graph(Neutral())
    graph.unpack(CALL, "args", "kwargs")
    return read_answer(CALL, graph.pack(value=value))


@given(VALUES, VALUES)
def test_what_is_changed_stands_in_the_relation_and_is_another_answer(value, other):
    gold, mine = map(answered, (value, other))
    for relation in alternatives._relations([mine], [gold]):
        for changed in relation.others(CALL, gold):
            assert relation.agree(changed, gold) and not agree(changed, gold), relation.words
        assert relation.agree(gold, gold)


@given(VALUES, VALUES)
@example((False, 1), (0, 1))
def test_same_answers_stand_in_every_relation(value, other):
    gold, mine = map(answered, (value, other))
    if same(value, other):
        assert all(
            relation.agree(mine, gold) for relation in alternatives._relations([mine], [gold])
        )


@pytest.mark.parametrize(
    "mine",
    [
        {},
        {"gone": True},
        {"refused": "no"},
        {"value": 5, "heap": []},
        {"value": [["x"], 1], "heap": []},
        {"value": ["ref", 1], "heap": [[1, ["list", 3]]]},
        {"value": ["frozenset", [["ref", 1]]], "heap": [[1, ["list", []]]]},
        {"value": ["int", "1"], "heap": [[0, ["list", []]]]},
        {"value": ["int", "1"]},
        {"value": ["int", "1"], "heap": [[7, ["list", []]]]},
        {"value": ["ref", -1], "heap": []},
        {"value": ["object", "builtins:int", None, []], "heap": []},
        {"raised": 3, "heap": []},
        {"raised": ["str", "KeyError"], "heap": []},
        {"raised": [["a"]], "heap": []},
        ["value"],
        None,
    ],
)
def test_whatever_an_edit_says_is_compared(mine):
    mine = read_answer(CALL, mine)
    error = {"raised": ["ref", 1], "heap": [[1, ["object", "builtins:KeyError", None, []]]]}
    for gold in (answered([1, 2]), read_answer(CALL, error)):
        assert not gold.fault
        for relation in alternatives._relations([mine], [gold]):
            assert relation.agree(mine, gold) in (False, True)
            assert relation.words == "with another exception" or not relation.agree(mine, gold)
        assert not alternatives._of_one_shape(mine, gold)
