"""Tasks from repositories of every shape: what becomes one, what does not and why, and that nothing
is touched."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import jsonl
from sandbox.judge.gate import gate
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.source import read_text
from sandbox.tasks.candidates import candidates
from sandbox.tasks.mine import MiningOptions, Survey, mine
from sandbox.tasks.split import split_by_function, units
from tests.conftest import make_repo

LIMITS = Limits(workers=2)
ZOO = {
    "src/zoo/__init__.py": "from zoo.animals import legs\n",
    "src/zoo/animals.py": '''"""In a src layout."""
import functools


def legs(kind):
    """Return how many legs it has."""
    return {"cat": 4, "bird": 2}[kind]


def nobody_calls(kind):
    return kind


def empty():
    """Does nothing."""


def not_yet():
    raise NotImplementedError


def twice():
    return 1


def twice():  # noqa: F811
    return 2


def outer(x):
    def inner(y):
        return y + 1
    return inner(x)


def table():
    return {"a": 1}


TABLE = table()


def unnoticed(x):
    return [x]


def ordered(x):
    return x + 1


class Cage:
    def __init__(self, *animals):
        self.animals = list(animals)

    @property
    def size(self):
        return len(self.animals)

    @classmethod
    def of(cls, text):
        return cls(*text.split())

    def __len__(self):
        return self.size

    class Door:
        def locked(self):
            return True


@functools.lru_cache
def cached(n):
    return n * n


async def slow_walk(n):
    return n + 1


def walk(n):
    for i in range(n):
        yield i
''',
    "flat/__init__.py": "",
    "flat/core.py": "def flat(x):\n    return -x\n",
    "flat/test_beside.py": "from .core import flat\n\n\ndef test_flat():\n    assert flat(1) == "
    "-1\n",
    "single.py": "def alone(x):\n\treturn x * 3\n",
    "tests/conftest.py": "import pytest\nimport zoo\nfrom zoo.animals import "
    "Cage\n\n\n@pytest.fixture\ndef cage():\n    return Cage('cat', 'bird')\n",
    "tests/test_animals.py": '''import asyncio
import random

import pytest
from zoo import animals


@pytest.mark.parametrize("kind, n", [("cat", 4), ("bird", 2)], ids=["four: [x]::y / é", "two words\\n"])
def test_legs(kind, n):
    assert animals.legs(kind) == n


@pytest.mark.parametrize("kind", ["a[b", "]", "::", "x.py", ""])
def test_unknown(kind):
    with pytest.raises(KeyError):
        animals.legs(kind)


def test_cage(cage):
    assert cage.size == len(cage) == 2


def test_cage_of():
    assert animals.Cage.of("cat bird").animals == ["cat", "bird"]
    assert animals.Cage.Door().locked() is True


def test_others():
    animals.empty()
    assert animals.twice() == 2 and animals.outer(1) == 2
    with pytest.raises(NotImplementedError):
        animals.not_yet()


def test_table():
    assert animals.table() == animals.TABLE == {"a": 1}


def test_unnoticed():
    try:
        animals.unnoticed(1)
    except NotImplementedError:
        pass


state = []


def test_order_first():
    state.append(1)


def test_order_second():
    assert animals.ordered(state[0]) == 2


def test_cached():
    assert animals.cached(3) == 9


def test_walks():
    assert asyncio.run(animals.slow_walk(1)) == 2 and list(animals.walk(2)) == [0, 1]


@pytest.mark.parametrize("i", range(20))
def test_luck(i):
    assert random.SystemRandom().random() < 0.5


@pytest.mark.skip
def test_skipped():
    animals.nobody_calls(1)


@pytest.mark.xfail
def test_xfailed():
    assert animals.nobody_calls(1) == 2


def test_fails():
    assert animals.nobody_calls(1) == 2
''',
    "tests/test_old_style.py": "import unittest\n\nimport single\n\n\nclass "
    "AloneCase(unittest.TestCase):\n    def setUp(self):\n        "
    "self.x = 2\n\n"
    "    def test_alone(self):\n        self.assertEqual(single.alone(self.x), 6)\n\n"
    "    def test_subtests(self):\n        for i in range(3):\n            with "
    "self.subTest(i=i):\n"
    "                self.assertEqual(single.alone(i), 3 * i)\n",
    "tests/test_broken.py": "import module_that_is_not_there\n\n\ndef test_never():\n    pass\n",
}


def state_of(folder: Path) -> dict:
    """Names, times and bytes of everything."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        facts = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (facts.st_mode, facts.st_mtime_ns, facts.st_ino, content)
    return found


def mine_quietly(repository, folder, share=0.2, limit=0, seed=0, kinds=("blank",)):
    folder.mkdir(exist_ok=True)
    return mine(
        repository,
        LIMITS,
        folder,
        MiningOptions(heldout=share, limit=limit, seed=seed, kinds=kinds),
        lambda *_: None,
    )


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """(repository, what was mined, the state of the work tree before and after it)"""
    root = make_repo(tmp_path_factory.mktemp("zoo"), ZOO)
    before = state_of(root)
    repository = open_repository(root)
    mined = mine_quietly(repository, tmp_path_factory.mktemp("run"))
    return repository, mined, before, state_of(root)


def task_of(mined, function: str):
    return next((t for t in mined.tasks if t.function == function), None)


# ------------------------------------------------------------------------------ what becomes a task


@pytest.mark.slow
def test_functions_of_every_layout_become_tasks(zoo):
    _, mined, _, _ = zoo
    assert {(t.file, t.function) for t in mined.tasks} == {
        ("src/zoo/animals.py", name)
        for name in (
            "legs",
            "outer",
            "Cage.__init__",
            "Cage.size",
            "Cage.of",
            "cached",
            "slow_walk",
            "walk",
        )
    } | {("flat/core.py", "flat"), ("single.py", "alone")}
    assert len({t.instance_id for t in mined.tasks}) == len(mined.tasks)


@pytest.mark.slow
def test_what_was_left_out_and_why(zoo):
    _, mined, _, _ = zoo
    excluded = mined.excluded
    assert excluded["flaky test"] >= 1
    assert (
        excluded["test skipped"] == 1
        and excluded["test xfailed"] == 1
        and excluded["test failed"] >= 1
    )
    assert excluded["function that no passing test calls"] >= 1 and excluded["trivial body"] == 4
    assert (
        excluded["function defined more than once"] == 1
        and excluded["function inside a function"] == 1
    )
    assert (
        excluded["needed while the tests are collected"] == 1 and excluded["no test notices"] == 1
    )
    assert excluded["tests fail without the rest of the suite"] == 1


@pytest.mark.slow
def test_the_tests_that_are_named(zoo):
    _, mined, _, _ = zoo
    legs = task_of(mined, "legs")
    known = {t for t in legs.FAIL_TO_PASS if t.startswith("tests/test_animals.py::test_legs[")}
    assert len(known) == 2 and len(legs.FAIL_TO_PASS) == 7 and legs.PASS_TO_PASS == ()
    assert task_of(mined, "flat").FAIL_TO_PASS == ("flat/test_beside.py::test_flat",)
    assert set(task_of(mined, "alone").FAIL_TO_PASS) == {
        f"tests/test_old_style.py::AloneCase::{name}" for name in ("test_alone", "test_subtests")
    }
    for task in mined.tasks:
        assert task.FAIL_TO_PASS and set(task.shown) <= set(task.FAIL_TO_PASS) and task.shown
        functions = {t.partition("[")[0] for t in task.FAIL_TO_PASS}
        assert len({t.partition("[")[0] for t in task.shown}) <= max(1, len(functions) // 2)


@pytest.mark.slow
def test_the_gold_edit_mends_what_the_broken_state_breaks(zoo):
    repository, mined, _, _ = zoo
    tree = repository.snapshot
    with Judge(repository, LIMITS, Suite(preload=mined.survey.modules)) as judge:
        for task in mined.tasks:
            assert gate({task.file: read_text(tree / task.file)}, task, tree) == {
                task.file: read_text(tree / task.file)
            }
            broken = judge.run({"files": task.broken(tree), "ids": list(task.tests)})["outcomes"]
            assert {broken.get(t) for t in task.FAIL_TO_PASS} <= {"failed", "error"}, (
                task.instance_id
            )
            assert {broken.get(t) for t in task.PASS_TO_PASS} <= {"passed"}, task.instance_id
        everything = sorted({t for task in mined.tasks for t in task.tests})
        assert judge.run({"ids": everything})["outcomes"] == dict.fromkeys(everything, "passed")


@pytest.mark.slow
def test_the_broken_state_has_no_body(zoo):
    repository, mined, _, _ = zoo
    for task in mined.tasks:
        broken = task.broken(repository.snapshot)
        assert list(broken) == [task.file] and "NotImplementedError" in broken[task.file]
        assert task.base_commit == repository.commit and task.kind == "blank"
    assert (
        '"""Return how many legs it has."""'
        in task_of(mined, "legs").broken(repository.snapshot)["src/zoo/animals.py"]
    )


@pytest.mark.slow
def test_the_work_tree_is_never_written_to(zoo):
    repository, _, before, after = zoo
    assert before == after
    assert state_of(Path(repository.root)) == before, "judging wrote to it"


@pytest.mark.slow
def test_an_editable_install_leads_to_the_copy(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            "python/edit/__init__.py": "",
            "python/edit/core.py": "def up(x):\n    return x + 1\n",
            ".gitignore": ".venv/\n",
            "checks/test_up.py": "from edit.core import up\n\n\ndef test_up():\n    assert up(1) "
            "== 2\n",
        },
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    packages = next((root / ".venv").glob("lib/python*/site-packages"))
    (packages / "ours.pth").write_text(
        "\n".join(p for p in sys.path if p.endswith(("site-packages", "dist-packages"))) + "\n"
    )
    (packages / "edit.pth").write_text(f"{root}/python\n")
    before = state_of(root)
    repository = open_repository(root)
    mined = mine_quietly(repository, tmp_path / "run")
    assert [(t.file, t.function, t.FAIL_TO_PASS) for t in mined.tasks] == [
        ("python/edit/core.py", "up", ("checks/test_up.py::test_up",))
    ]
    assert repository.python == f"{root}/.venv/bin/python" and not repository.dirty
    assert state_of(root) == before


@pytest.mark.slow
def test_a_project_s_own_pytest_settings(tmp_path):
    """Options that choose, order or measure tests neither hide them nor break a run that names
    them."""
    root = make_repo(
        tmp_path / "p",
        {
            "core.py": "def up(x):\n    return x + 1\n",
            "checks/check_up.py": "from core import up\n\n\ndef check_up():\n    assert up(1) == "
            "2\n",
            "pytest.ini": "[pytest]\naddopts = -ra --strict-markers -p no:doctest --durations=3 "
            "-x\ntestpaths = checks\npython_files = check_*.py\n"
            "python_functions = check_*\nfilterwarnings = error\npythonpath = .\n",
        },
    )
    mined = mine_quietly(open_repository(root), tmp_path / "run")
    assert [(t.function, t.FAIL_TO_PASS) for t in mined.tasks] == [
        ("up", ("checks/check_up.py::check_up",))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "# a\rX = 1\ndef up(x):\n    return x\n",
        "\r\r\r\rdef up(x):\r    return x",
        "def up(x):\n    return " + "-" * 1500 + "x\n",
        "def up(x)\n",
        "\0",
        "# coding: nonsense\ndef up(x):\n    return x\n",
    ],
)
def test_a_file_that_cannot_be_taken_apart_is_left_out(tmp_path, text):
    root = make_repo(
        tmp_path / "p", {"odd.py": text.encode(), "core.py": "def up(x):\n    return -x\n"}
    )
    found = Survey(
        passing=("t",),
        excluded={},
        seconds={"t": 0.1},
        functions=tuple(("odd.py", line, "up") for line in range(1, 7)) + (("core.py", 1, "up"),),
        calls={"t": tuple(range(7))},
        modules=(),
    )
    pending, excluded = candidates(open_repository(root), found)
    assert "core.py" in [c.file for c in pending]
    assert [c.file for c in pending] == ["core.py"] or not excluded
    reasons = [reason for reason in excluded if reason.startswith("odd.py ")]
    assert reasons or "odd.py" in [c.file for c in pending]
    assert all(excluded[reason] == 1 for reason in reasons), "one entry a file"


def reason_for(tmp_path: Path, file: str, text: str, name: str = "up") -> list[str]:
    """Why this file gives no candidate, where a test calls a function of this name in it."""
    root = make_repo(tmp_path / "p", {file: text})
    found = Survey(
        passing=("t",),
        excluded={},
        seconds={"t": 0.1},
        functions=((file, 1, name),),
        calls={"t": (0,)},
        modules=(),
    )
    pending, excluded = candidates(open_repository(root), found)
    assert pending == [] and set(excluded.values()) <= {1}
    return list(excluded)


@pytest.mark.parametrize(
    "file, text, name, reason",
    [
        (
            "lib/new.py",
            "def up(x):\n    return x\nx = = 1\n",
            "up",
            "lib/new.py cannot be parsed by Python {} (line 3: invalid syntax)",
        ),
        (
            "old.py",
            "X = 1\rdef up(x):\r    return x\r",
            "up",
            "old.py cannot be taken apart (a bare carriage return)",
        ),
        (
            "bin/tool",
            "def up(x):\n    return x\n",
            "up",
            "bin/tool is no .py file, and no other is ever edited",
        ),
        (
            "small.py",
            "up = lambda x: x + 1\n",
            "<lambda>",
            "small.py has no function whose body could be taken out",
        ),
        (
            "odd\n.py",
            "x = = 1\n",
            "up",
            "odd\\n.py cannot be parsed by Python {} (line 1: invalid syntax)",
        ),
    ],
)
def test_a_file_without_a_candidate_is_named_with_a_true_reason(tmp_path, file, text, name, reason):
    version = "{}.{}".format(*sys.version_info)
    assert reason_for(tmp_path, file, text, name) == [reason.format(version)]


def test_a_file_that_is_gone_is_named_and_one_of_constants_is_no_matter(tmp_path):
    root = make_repo(tmp_path / "p", {"few.py": "X = 1\n"})
    found = Survey(
        passing=("t",),
        excluded={},
        seconds={"t": 0.1},
        calls={"t": (0, 1)},
        modules=(),
        functions=(("gone.py", 1, "up"), ("few.py", 1, "<module>")),
    )
    excluded = candidates(open_repository(root), found)[1]
    assert excluded == {"gone.py cannot be read (No such file or directory)": 1}


# ----------------------------------------------------------------------- again, and from the middle


def timeless(tasks) -> list:
    return [replace(t, test_seconds=0.0) for t in tasks]


def test_calc(mined_calc):
    _, _, mined = mined_calc
    assert [t.function for t in mined.tasks] == [
        "Counter.__init__",
        "Counter.twice",
        "Counter.up",
        "add",
        "area",
        "mean",
    ]
    assert mined.excluded == {"function that no passing test calls": 1}


@pytest.mark.slow
def test_mining_goes_on_from_where_it_was_cut_off(mined_calc, tmp_path):
    repository, folder, mined = mined_calc
    cut = tmp_path / "run"
    cut.mkdir()
    (cut / "survey.json").write_bytes((folder / "survey.json").read_bytes())
    lines = (folder / "mining.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "mining.jsonl").write_bytes(b"".join(lines[:2]) + lines[2][:50])
    again = mine_quietly(repository, cut)
    assert timeless(again.tasks) == timeless(mined.tasks) and again.excluded == mined.excluded
    assert (cut / "mining.jsonl").read_bytes().startswith(b"".join(lines[:2])), (
        "what was measured already was measured again"
    )
    assert len(jsonl.read(cut / "mining.jsonl")) == len(lines)
    whole = (cut / "mining.jsonl").read_bytes()
    assert (
        mine_quietly(repository, cut).tasks == again.tasks
        and (cut / "mining.jsonl").read_bytes() == whole
    )


@pytest.mark.slow
def test_a_limit_draws_by_the_seed(mined_calc, tmp_path):
    repository, folder, mined = mined_calc
    chosen = []
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        (tmp_path / str(seed) / "survey.json").write_bytes((folder / "survey.json").read_bytes())
        found = mine_quietly(repository, tmp_path / str(seed), limit=2, seed=seed).tasks
        assert {t.instance_id for t in found} < {t.instance_id for t in mined.tasks} and {
            t.split for t in found
        } == {"train", "heldout"}
        chosen.append([t.instance_id for t in found])
    assert len(chosen[0]) == 2 and chosen[0] != chosen[1]


# ---------------------------------------------------------------------------------------- the split

KEYS = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=60)


@given(KEYS, st.floats(0.01, 0.99), st.integers(0, 5))
def test_the_split_is_near_its_share_and_empty_on_neither_side(keys, share, seed):
    split = split_by_function(keys, share, seed)
    count = sum(side == "heldout" for side in split.values())
    assert set(split) == set(keys) and set(split.values()) <= {"train", "heldout"}
    assert abs(count - share * len(split)) <= 1
    if len(split) > 1:
        assert 1 <= count <= len(split) - 1
    assert split_by_function(list(reversed(keys)) + keys, share, seed) == split


GROUPS = st.lists(
    st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=3, unique=True).map(tuple),
    min_size=1,
    max_size=20,
)


@given(GROUPS, st.floats(0.01, 0.99), st.integers(0, 5))
def test_functions_that_one_task_is_about_are_never_parted(groups, share, seed):
    unit = units(groups)
    split = split_by_function(list(unit.values()), share, seed)
    assert set(unit) == {name for group in groups for name in group}
    for group in groups:
        assert len({split[unit[name]] for name in group}) == 1
    # Nothing is joined without a reason: between two functions of a unit there is a way from task
    # to task.
    for name in unit:
        within, grown = {name}, True
        while grown:
            grown = {other for group in groups if within & set(group) for other in group} - within
            within |= grown
        assert {other for other in unit if unit[other] == unit[name]} == within
    assert units(reversed(groups)) == unit
    if len(set(unit.values())) > 1:
        assert set(split.values()) == {"train", "heldout"}


@given(KEYS)
def test_functions_that_no_two_tasks_share_are_units_of_their_own(keys):
    assert units((key,) for key in keys) == {key: key for key in keys}


@given(KEYS, st.sampled_from([0.0, 1.0]))
def test_a_split_with_one_side(keys, share):
    assert set(split_by_function(keys, share, 0).values()) == {"heldout" if share else "train"}


def test_the_split_depends_on_the_seed_and_little_on_what_else_is_there():
    keys = [f"f{i}" for i in range(100)]
    split = split_by_function(keys, 0.2, 0)
    assert split != split_by_function(keys, 0.2, 1)
    smaller = split_by_function(keys[:-1], 0.2, 0)
    assert sum(split[k] != smaller[k] for k in smaller) <= 1


@pytest.mark.slow
def test_the_mined_split_is_by_function(zoo):
    _, mined, _, _ = zoo
    sides = {}
    for task in mined.tasks:
        sides.setdefault((task.file, task.function), set()).add(task.split)
    assert all(len(s) == 1 for s in sides.values())
    assert sum(t.split == "heldout" for t in mined.tasks) == round(0.2 * len(mined.tasks))


# ----------------------------------------------------------------------------------------- thinning


@pytest.mark.parametrize(
    "body, trivial",
    [
        ("pass", True),
        ("...", True),
        ("'''doc'''", True),
        ("'''doc'''\n    return self.x", True),
        ("return self.x.y", True),
        ("return 1", True),
        ("return -1", True),
        ("return x", True),
        ("return", True),
        ("raise NotImplementedError('later')", True),
        ("return self.x()", False),
        ("return -x", False),
        ("return [x]", False),
        ("return x or 1", False),
        ("x = 1\n    return x", False),
        ("return self[0]", False),
        ("raise ValueError", False),
        ("return f'{x}'", False),
    ],
)
def test_trivial_bodies(tmp_path, body, trivial):
    root = make_repo(tmp_path / "p", {"core.py": f"def f(self, x=1):\n    {body}\n"})
    found = Survey(
        passing=("t",),
        excluded={},
        seconds={"t": 0.1},
        functions=(("core.py", 1, "f"),),
        calls={"t": (0,)},
        modules=(),
    )
    fit, excluded = candidates(open_repository(root), found)
    assert (len(fit), excluded["trivial body"]) == ((0, 1) if trivial else (1, 0))
