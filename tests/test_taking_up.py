"""A repository that moves on: what a later run takes over from an earlier one, what it measures
anew, which side every function stays on; and the student that goes on from run to run."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.teachers.teach import cold_for_teacher
from sandbox.judge.verdict import Limits
from sandbox.modules import LISTING, Counted, Module, named_statements
from sandbox.repo import open_repository
from sandbox.tasks.earlier import Earlier
from sandbox.tasks.inventory import Inventory, Seen
from sandbox.tasks.mine import MiningOptions, mine
from sandbox.tasks.split import sides_of
from tests.conftest import CALC, git, make_repo, run_cli
from tests.test_arc import lines, make_student, settings
from tests.written_run import write_run

LIMITS = Limits(workers=2)
KINDS = ("blank", "mutate")


# ------------------------------------------------------------------------------------ which is which

NAMES = st.sampled_from([f"{file}.py::{name}" for file in "ab" for name in ("f", "g", "C.m")])
SEEN = st.builds(
    Seen,
    code=st.sampled_from("xyz"),
    tells=st.booleans(),
    side=st.sampled_from(["", "train", "heldout"]),
)
BEFORE = st.dictionaries(NAMES, SEEN).map(Inventory)
NOW = st.dictionaries(NAMES, SEEN.map(lambda s: Seen(s.code, s.tells))).map(Inventory)


@given(BEFORE, NOW, NOW, st.floats(0.1, 0.9))
def test_no_function_ever_moves_from_held_out_to_training(before, now, later, share):
    first = now.with_sides(
        sides_of([(n,) for n in now.functions], share, 0, before.sides(now)), before
    )
    last = later.with_sides(
        sides_of([(n,) for n in later.functions], share, 0, first.sides(later)), first
    )
    for old, new in ((before, first), (first, last)):
        for name, seen in new.functions.items():
            earlier = old.functions.get(name)
            if earlier is not None and earlier.side:
                assert seen.side == earlier.side
    for name, seen in last.functions.items():
        twins = [o for o in first.functions.values() if o.tells and o.code == seen.code]
        if name not in first.functions and seen.tells and not seen.gone:
            assert seen.side == "heldout" or not any(o.side == "heldout" for o in twins)


@given(
    st.lists(st.lists(NAMES, min_size=1, max_size=3, unique=True).map(tuple), min_size=1),
    st.dictionaries(NAMES, st.sampled_from(["train", "heldout"])),
    st.floats(0.0, 1.0),
)
def test_known_sides_stay_and_the_others_do_not_depend_on_what_else_is_there(groups, known, share):
    sides = sides_of(groups, share, 0, known)
    assert all(sides[name] == side for name, side in known.items() if name in sides)
    alone = sides_of([(name,) for name in sides], share, 0, {"other": "train", **known})
    singles = {name for group in groups if len(group) == 1 for name in group}
    in_several = {name for group in groups if len(group) > 1 for name in group}
    if known:
        assert all(sides[name] == alone[name] for name in singles - in_several)


def inventory(**files: str) -> Inventory:
    """Of files in a temporary folder, all held out."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / f"{name}.py").write_text(text)
        found = Inventory.of(Path(folder), [f"{name}.py" for name in files])
    return found.with_sides(dict.fromkeys(found.functions, "heldout"), None)


LONG = "def total(xs, by=1):\n    '''Sum.'''\n    result = 0\n    for x in xs:\n        result += x * by\n    return result\n"


@pytest.mark.parametrize(
    "files",
    [
        {"a": LONG.replace("return result", "return result or None")},  # its code has changed
        {"b": LONG.replace("return result", "return result or None")},  # and it has moved
        {"a": LONG.replace("def total", "def summed")},  # renamed
        {"b": "import os\n\n\n" + LONG.replace("def total", "def summed")},  # renamed and moved
        {"a": LONG, "b": LONG.replace("def total", "def again")},  # a copy of it
        {"a": LONG.replace("'''Sum.'''", "'''Another text.'''  # and why")},
    ],
)
def test_what_counts_as_the_same_function_is_held_out_again(files):
    now = inventory(**files)
    assert set(inventory(a=LONG).sides(now).values()) == {"heldout"}
    assert len(inventory(a=LONG).sides(now)) == len(now.functions)


@pytest.mark.parametrize(
    ("files", "changed"),
    [
        ({"a": LONG}, set()),
        ({"a": "# moved down\n\n" + LONG.replace("Sum.", "Another text.")}, set()),
        ({"b": LONG}, set()),
        ({"a": LONG.replace("def total", "def summed")}, set()),
        ({"a": LONG.replace("x * by", "x + by")}, {"a.py::total"}),
        ({"a": LONG.replace("by=1", "by=2")}, {"a.py::total"}),
        ({"a": LONG + "\n\ndef other():\n    return LONG\n"}, {"a.py::other"}),
    ],
)
def test_what_is_new_is_told_by_code_and_not_by_place(files, changed):
    assert inventory(a=LONG).changed(inventory(**files)) == changed


def test_a_function_that_was_away_for_a_while_comes_back_to_its_side():
    first = inventory(a=LONG)
    away = inventory(b="x = 1\n").with_sides({}, first)
    assert away.functions["a.py::total"].gone
    back = inventory(a=LONG.replace("x * by", "x + by"))
    assert away.sides(back) == {"a.py::total": "heldout"}
    assert away.changed(back) == {"a.py::total"}


# ------------------------------------------------------------------------------------- mining again


def mined(
    root: Path, folder: Path, earlier: Path | None = None, tree: Path = Path("gone"), **options
):
    folder.mkdir()
    found = mine(
        open_repository(root),
        LIMITS,
        folder,
        MiningOptions(heldout=0.3, kinds=KINDS, **options),
        lambda *_: None,
        Earlier.of(earlier, tree) if earlier else None,
    )
    (folder / "tasks.jsonl").write_text(
        "".join(json.dumps(t.to_dict()) + "\n" for t in found.tasks)
    )
    return found


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """(the repository, the folder of what was mined of it, what was mined)"""
    root = make_repo(tmp_path_factory.mktemp("repo"), CALC)
    folder = tmp_path_factory.mktemp("runs") / "first"
    return root, folder, mined(root, folder)


def changed(before, tmp_path: Path, files: dict[str, str]):
    """(what was mined before, what is mined of the repository with these files, its name aside)"""
    root, folder, first = before
    copy = tmp_path / "repo"
    shutil.copytree(root, copy)
    for name, text in files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text)
    git(copy, "add", "-A")
    git(copy, "commit", "-qm", "more", "--allow-empty")
    return first, mined(copy, tmp_path / "second", folder, open_repository(root).snapshot)


def without_place(task) -> dict:
    """What of a task does not depend on the clock, the commit or the folder's name."""
    record = {**task.to_dict(), "test_seconds": 0, "base_commit": "", "repo": ""}
    return json.loads(re.sub(r"\.py:\d+", ".py:N", json.dumps(record)))


def functions(tasks) -> set[str]:
    return {name for task in tasks for name in task.about}


CORE, TESTS = "calc/core.py", "tests/test_core.py"
ALL = {"add", "mean", "area", "Counter.up", "Counter.twice", "Counter.__init__"}
FIXTURE = "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef calm():\n    yield\n"


@pytest.mark.slow
def test_what_moved_is_taken_over_as_it_would_be_mined_anew(before, tmp_path):
    """New lines above everything, in the source and in the tests, and another docstring."""
    text = (
        CALC[CORE]
        .replace("import math\n", "import math\n\n# Numbers alone.\n")
        .replace('"""Sums and means."""', '"""Sums, and means\nof them."""')
    )
    tests = CALC[TESTS].replace("import pytest\n", "import pytest\n\n# All of them.\n")
    first, then = changed(before, tmp_path, {CORE: text, TESTS: tests})
    assert then.since.to_dict() == {
        "taken_over": len(first.tasks),
        "mined": 0,
        "gone": 0,
        "new_tasks": [],
        "gone_tasks": {},
    }
    anew = mined(tmp_path / "repo", tmp_path / "anew")
    assert [without_place(t) for t in then.tasks] == [without_place(t) for t in anew.tasks]
    for task in then.tasks:
        assert task.gold(open_repository(tmp_path / "repo").snapshot) != task.broken(
            open_repository(tmp_path / "repo").snapshot
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "again"),
    [
        # Nobody there names it, so far.
        (
            {
                "README.md": "Sums.\n",
                CORE: CALC[CORE].replace("import math\n", "import math, os\n\nLIMIT = 3\n")
                + "\n\ndef more(x):\n    return [x, x]\n",
            },
            set(),
        ),
        ({CORE: CALC[CORE].replace("return a + b", "return b + a")}, {"add"}),
        # Its tests say more than they did; the others' are as they were.
        ({TESTS: CALC[TESTS].replace("add(1, 2) == 3", "add(2, 2) == 4")}, {"add"}),
        # `up` is called after it, and does not hang on its comments.
        ({CORE: CALC[CORE].replace("self.n = 0", "self.n = 0  # so far")}, {"Counter.__init__"}),
        # A mark is given a function, and does not call it.
        (
            {
                TESTS: CALC[TESTS].replace("Counter, add", "unused, Counter, add")
                + "\n\n@pytest.mark.parametrize('f', [unused])\ndef test_it(f):\n    assert f(2) == 2\n"
            },
            set(),
        ),
        # What the module does when it is loaded, everything of it may hang on.
        ({CORE: CALC[CORE].replace("import math\n", "import math\n\nmath.half = 0.5\n")}, ALL),
        ({"tests/conftest.py": FIXTURE}, ALL),
        ({"tests/numbers.txt": "1 2 3\n"}, ALL),
        # It is named by a test of its own, and by no other one.
        (
            {
                "data/sums.txt": "3\n",
                TESTS: CALC[TESTS].replace("import pytest\n", "import math\nimport pytest\n")
                + "\n\ndef test_sums():\n    assert add(1, 2) == int(open('data/sums.txt').read())\n",
            },
            {"add"},
        ),
    ],
    ids=[
        "nothing",
        "changed",
        "its test",
        "comment",
        "mark",
        "acting",
        "conftest",
        "data",
        "named",
    ],
)
def test_what_a_change_can_reach_is_measured_again_and_no_more(before, tmp_path, files, again):
    first, then = changed(before, tmp_path, files)
    had = {name.partition("::")[2] for name in functions(first.tasks)}
    fresh = {t.about[0].partition("::")[2] for t in then.tasks if t.instance_id in then.since.mined}
    assert fresh == again & had
    assert len(then.since.taken_over) + len(then.since.mined) == len(then.tasks)


@pytest.mark.slow
def test_where_a_test_lists_what_a_module_has_all_of_it_counts(tmp_path):
    listing = CALC[TESTS].replace("test_area(tmp_path):", "test_area(tmp_path):\n    dir(area)")
    root = make_repo(tmp_path / "repo", CALC | {TESTS: listing})
    mined(root, tmp_path / "first")
    tree = open_repository(root).snapshot
    (root / CORE).write_text(CALC[CORE].replace("import math\n", "import math\n\nLIMIT = 3\n"))
    then = mined(root, tmp_path / "second", tmp_path / "first", tree)
    assert {name.partition("::")[2] for name in functions(then.tasks)} > {"area"}
    again = [t for t in then.tasks if t.instance_id in then.since.mined]
    assert {name.partition("::")[2] for name in functions(again)} == {"area"}


def counted_names(files: dict[str, str], *called: tuple[str, str]) -> set[str]:
    """What is bound in these files and counts where these functions of them are called."""
    modules, counted = {file: Module(text) for file, text in files.items()}, Counted()
    for file, module in modules.items():
        counted.add(file, module.words)
    for file, function in called:
        counted.add(file, modules[file].words_of(function))
    found = named_statements(modules, counted)
    said = set(zip(found[::2], found[1::2]))
    bindings = [(file, b) for file, module in modules.items() for b in module.bindings]
    return {f"{file}:{name}" for file, b in bindings if (file, b.code) in said for name in b.names}


def test_a_constant_counts_where_its_name_stands():
    """In what the tests call, or in what is bound by a name that stands there."""
    text = "A = 1\nB = A, 2\nC: int = 3\nimport os\nD = print()\n\n\ndef f():\n    return B\n"
    module = Module(text)
    assert {name for b in module.bindings for name in b.names} == {"A", "B", "C", "os"}
    assert module.outside == "D = print()"
    assert counted_names({"m.py": text}, ("m.py", "f")) == {"m.py:A", "m.py:B"}


@pytest.mark.parametrize(
    ("test", "counts"),
    [
        # A variable is one of its own file.
        ("import os, m\n\n\ndef test():\n    assert m.f() == os.sep\n", {"t.py:m", "t.py:os"}),
        ("import m\n\n\ndef test():\n    assert m.ONE == 1\n", {"t.py:m", "m.py:ONE"}),
        ("from m import ONE\n\n\ndef test():\n    ONE\n", {"t.py:ONE", "m.py:ONE"}),
        ("from m import ONE as x\n\n\ndef test():\n    x\n", {"t.py:x", "m.py:ONE"}),
        ("def test():\n    from m import ONE as x\n", {"m.py:ONE"}),
        ("from m import *\n\n\ndef test():\n    ONE\n", {"m.py:ONE", "m.py:__all__"}),
        ("def test(monkeypatch):\n    monkeypatch.setattr('m.ONE', 2)\n", {"m.py:ONE"}),
        ("import m\n\n\ndef test():\n    getattr(m, 'Plain')\n", {"t.py:m", "m.py:Plain"}),
        ("def test(mocker):\n    mocker.patch('m:ONE')\n", {"m.py:ONE"}),
        ("def test():\n    assert 'ONE' in {'ONE', 'Plain'}\n", set()),
        ("def test():\n    for n in ['ONE']:\n        getattr(m, n)\n", {"m.py:ONE"}),
        ("def test(p, n=['ONE']):\n    p.setattr(m, n[0], 2)\n", {"m.py:ONE"}),
        ("import m\n\n\ndef test():\n    m.Plain().g()\n", {"t.py:m", "m.py:Plain"}),
        ("import m\n\n\ndef test():\n    m.Closed\n", {"t.py:m", "m.py:Closed", "m.py:io"}),
        ("pytestmark = mark.skip\n\n\ndef test():\n    pass\n", {"t.py:pytestmark"}),
    ],
)
def test_a_name_counts_in_the_file_that_it_is_of(test, counts):
    module = (
        "import io, os\n\n__all__ = ['f']\nONE, os_two = 1, 2\n\n\ndef f():\n    return 1\n\n\n"
        "class Plain:\n    KIND = 'a kind'\n\n    def g(self):\n        return 2\n\n\n"
        "class Closed(io.StringIO):\n    pass\n"
    )
    names = counted_names({"m.py": module, "t.py": test}, ("t.py", "test"))
    assert names - {"m.py:os_two"} == counts


def test_a_method_brings_its_class():
    text = "class C:\n    LIMIT = 3\n\n    def f(self):\n        return 1\n"
    assert counted_names({"m.py": text}, ("m.py", "C.f")) == {"m.py:C"}


@pytest.mark.parametrize(
    "text",
    [
        "class A(Base):\n    pass\n",  # which may keep a list of what is made of it
        "class A(metaclass=M):\n    pass\n",
        "@known\nclass A:\n    pass\n",
        "class A:\n    x = field()\n",
        "class A:\n    print('made')\n",
        "from io import StringIO\nStringIO = wrapped\n\n\nclass A(StringIO):\n    pass\n",
        "from .io import StringIO\n\n\nclass A(StringIO):\n    pass\n",
    ],
)
def test_a_class_that_others_may_be_told_of_acts(text):
    assert "class A" in Module(text).outside


def test_a_local_name_does_not_hide_what_a_base_means():
    text = "import io\n\n\nclass A(io.StringIO):\n    pass\n\n\ndef f():\n    io = 3\n"
    assert "class A" not in Module(text).outside
    hidden = text.replace("io = 3", "global io\n    io = 3")
    assert "class A" in Module(hidden).outside


def test_lists_are_made_by_calls():
    listing = Module("def f(x):\n    dir = 'vars'\n    return dir\n\n\ndef g(x):\n    dir(x)\n")
    assert not listing.words_of("f").meet(LISTING) and listing.words_of("g").meet(LISTING)


def test_strings_name_files():
    words = Module("def f():\n    return open('data/a file.txt'), run('less README')\n").words_of(
        "f"
    )
    assert {"data/", "a file.txt", "README"} <= words.files
    assert not words.files & {"f", "open", "README/"}


def test_what_is_imported_for_type_checkers_alone_does_not_count():
    text = "import typing as t\n\nif t.TYPE_CHECKING:\n    import os\n"
    assert Module(text).outside == "" and "else" in Module(f"{text}else:\n    pass\n").outside


def test_a_docstring_counts_where_something_may_read_it():
    text = "'''Text.'''\n\n\ndef f(x):\n    '''One.'''\n    return x  # it\n\n\n@command\ndef g():\n    '''Two.'''\n"
    module = Module(text)
    assert module.code_of("f") == "def f(x):\n    return x"
    assert "Two." in module.code_of("g") and "Text." not in module.outside
    assert "Two." not in Module(text.replace("@command", "@contextlib.contextmanager")).code_of("g")
    for reader in ("print(__doc__)", "getattr(f, '__doc__')", "inspect.getdoc(f)"):
        reading = Module(f"{text}\n{reader}\n")
        assert "One." in reading.code_of("f") and "Text." in reading.outside


@pytest.mark.slow
def test_what_is_gone_is_told_and_held_out_stays_held_out(before, tmp_path):
    """One function loses its tests, one moves to another module, one is renamed."""
    root, _, first = before
    text = CALC[CORE]
    start, end = text.index("def mean"), text.index("class Counter")
    moved = text[start:end]
    core = (text[:start] + "from calc.means import mean\n\n\n" + text[end:]).replace(
        "def area", "def disc"
    )
    tests = CALC[TESTS].replace("area", "disc")
    tests = tests[: tests.index("    def test_twice")] + tests[tests.index("def test_disc") :]
    first, then = changed(
        before, tmp_path, {CORE: core, "calc/means.py": moved.rstrip() + "\n", TESTS: tests}
    )
    sides = {name.rpartition("::")[2]: t.split for t in first.tasks for name in t.about}
    now = {name: t.split for t in then.tasks for name in t.about}
    assert now["calc/means.py::mean"] == sides["mean"]
    assert now["calc/core.py::add"] == sides["add"]
    # One line is not enough code to know a function by, and its name is another.
    assert set(then.since.gone) >= {"blank-calc.core.Counter.twice", "blank-calc.core.area"}
    assert "blank-calc.core.add" not in then.since.gone


@pytest.mark.slow
def test_tasks_that_are_wanted_in_part_stay_those(before, tmp_path):
    root, _, _ = before
    first = mined(root, tmp_path / "one", limit=4)
    (root_copy := tmp_path / "repo").mkdir()
    shutil.copytree(root, root_copy, dirs_exist_ok=True)
    more = "".join(f"\n\ndef extra{i}(x):\n    y = x + {i}\n    return [y, x]\n" for i in range(6))
    (root_copy / CORE).write_text(CALC[CORE] + more)
    (root_copy / "tests/test_more.py").write_text(
        "from calc import core\n\n"
        + "".join(
            f"\ndef test_{i}():\n    assert core.extra{i}(1) == [{1 + i}, 1]\n" for i in range(6)
        )
    )
    then = mined(root_copy, tmp_path / "two", tmp_path / "one", limit=4)
    assert [t.instance_id for t in then.tasks] == [t.instance_id for t in first.tasks]


# ------------------------------------------------------------------------------------ run after run

CHANGED = CALC | {
    CORE: CALC[CORE].replace("return a + b", "return b + a")
    + '\n\ndef double(x):\n    """Return x and x."""\n    pair = [x]\n    return pair + pair\n',
    TESTS: CALC[TESTS].replace("Counter, add, area, mean", "Counter, add, area, double, mean")
    + "\n\ndef test_double():\n    assert double(2) == [2, 2]\n",
}


def last_line(done) -> dict:
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(a folder with a repository that has moved on since `runs/old` was bootstrapped, the settings
    of that run)"""
    folder = tmp_path_factory.mktemp("place")
    make_repo(folder / "calc", CALC)
    options = settings(make_student(folder / "student"), **{"tasks.heldout": 0.3})
    run_cli("bootstrap", "--repo", "calc", "--run", "runs/old", *options, cwd=folder)
    for name, text in CHANGED.items():
        (folder / "calc" / name).write_text(text)
    git(folder / "calc", "commit", "-qam", "more")
    return folder, options


@pytest.fixture(scope="module")
def taken_up(place):
    """(the place, what `bootstrap --from` printed, after it was cut off once)"""
    folder, _ = place
    command = "bootstrap", "--from", "runs/old", "--run", "runs/new", "--json"
    # The first of a few is cut off before it has ended.
    for seconds in (3, 600):
        try:
            done = run_cli(*command, cwd=folder, timeout=seconds, fresh=True)
        except subprocess.TimeoutExpired:
            continue
    return folder, done


@pytest.mark.slow
def test_a_run_that_takes_up_another_begins_with_its_student_and_solve_rates(taken_up):
    folder, done = taken_up
    result, old, new = last_line(done), folder / "runs/old", folder / "runs/new"
    since = result["since"]
    assert since["taken_over"] > 0 and since["mined"] > 0
    assert "blank-calc.core.double" in since["new_tasks"]
    assert "blank-calc.core.add" in since["new_tasks"]
    content = {run: json.loads((run / "run.json").read_text()) for run in (old, new)}
    assert content[new]["recipe"] == content[old]["recipe"]
    best = old / "checkpoints" / content[old]["checkpoints"]["best"] / "adapter_model.safetensors"
    inherited = new / "checkpoints/inherited/adapter_model.safetensors"
    assert inherited.read_bytes() == best.read_bytes()
    rates = {
        run: {
            r["instance_id"]: r["resolved"]
            for r in lines(run / "probe.jsonl")
            if r["phase"] == phase
        }
        for run, phase in ((old, "after"), (new, "before"))
    }
    kept = set(rates[old]) - set(since["new_tasks"])
    assert {name: rates[new][name] for name in kept} == {name: rates[old][name] for name in kept}
    # What was measured then was not sampled again.
    sampled = {r["instance_id"] for r in lines(new / "rollouts.jsonl") if r["phase"] == "before"}
    assert sampled == set(since["new_tasks"])
    sides = {
        run: {t["function"]: t["split"] for t in lines(run / "tasks.jsonl")} for run in (old, new)
    }
    assert {name: sides[new][name] for name in sides[old]} == sides[old]
    facts = last_line(run_cli("tasks", "--run", "runs/new", "--json", cwd=folder))
    assert facts["since"] == since


def test_what_an_earlier_run_has_learned_is_not_learned_again(calc, tmp_path):
    """But where it has changed, or another teacher is asked."""
    run = write_run(tmp_path / "run", calc)

    def asked() -> set[str]:
        session = SimpleNamespace(run=run, tasks=run.tasks, recipe=run.recipe, hired=None)
        return {task.instance_id for task in cold_for_teacher(session)}

    first = asked()
    changed = sorted(first)[0]
    run.content["since"] = {"new_tasks": [changed]}
    run.content["from"] = {"taught": sorted(first), "teacher": None}
    assert len(first) > 1 and asked() == {changed}
    run.content["from"]["teacher"] = {"endpoint": {"name": "other", "model": "m"}}
    assert asked() == first


@pytest.mark.slow
def test_where_nothing_was_taught_nothing_is_measured_twice(taken_up):
    folder, _ = taken_up
    command = "bootstrap", "--from", "runs/old", "--run", "runs/untaught", "--json"
    result = last_line(run_cli(*command, "--set", "teacher.share=0", cwd=folder, check=None))
    assert result["probe"]["after"] == result["probe"]["before"]
    new = folder / "runs/untaught"
    assert not (new / "trajectories.jsonl").read_text()
    assert "after" not in {r["phase"] for r in lines(new / "rollouts.jsonl")}
    tensors = "adapter_model.safetensors"
    checkpoints = [(new / "checkpoints" / name / tensors) for name in ("inherited", "distilled")]
    assert checkpoints[0].read_bytes() == checkpoints[1].read_bytes()


@pytest.mark.slow
def test_climb_says_what_has_changed_and_how_to_take_it_up(taken_up):
    folder, _ = taken_up
    done = run_cli("climb", "--run", "runs/old", "--cycles", "1", cwd=folder, check=None)
    assert "1 changed, 1 new" in done.stdout
    assert "bootstrap --from runs/old" in done.stdout
    again = run_cli("climb", "--run", "runs/new", "--cycles", "1", cwd=folder, check=None)
    assert "has moved on" not in again.stdout


@pytest.mark.slow
def test_tomorrows_code_is_what_the_earlier_student_never_saw(taken_up):
    folder, _ = taken_up
    done = run_cli("eval", "--run", "runs/new", "--new-since", "runs/old", "--json", cwd=folder)
    result = last_line(done)
    assert result["new_since"]["functions"] == 2
    assert result["probe"]["all"]["n"] == result["base"]["all"]["n"] == result["new_since"]["tasks"]
    assert (
        result["checkpoint"]
        == json.loads((folder / "runs/old/run.json").read_text())["checkpoints"]["best"]
    )
    names = {r["instance_id"] for r in lines(folder / "runs/new/eval.jsonl")}
    assert names == {"blank-calc.core.double", "blank-calc.core.add"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bootstrap", "--from", "runs/none"], "There is no run in runs/none"),
        (["tasks", "--from", "runs/old", "--seed", "5"], "has seed 0"),
        (["tasks", "--from", "runs/old", "--set", "student.lora_rank=2"], "student.lora_rank"),
        (["tasks", "--from", "runs/old", "--repo", "other"], "has no such commit"),
        (["tasks", "--run", "runs/old", "--from", "runs/new"], "takes up no other run"),
        (["eval", "--run", "runs/old", "--new-since", "runs/old"], "tasks --from runs/old"),
    ],
)
def test_what_cannot_be_taken_up_is_a_sentence(taken_up, arguments, said):
    folder, _ = taken_up
    if not (folder / "other").exists():
        make_repo(folder / "other", {"a.py": "x = 1\n"})
    done = run_cli(*arguments, cwd=folder, check=2)
    assert said in done.stderr
