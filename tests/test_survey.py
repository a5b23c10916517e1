"""What two runs of the suite show, and when what is remembered of them may be used again."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.cache import cache_folder
from sandbox.judge.verdict import Judge, Limits
from sandbox.reach import what_is_reached
from sandbox.repo import open_repository
from sandbox.suite_memory import KEPT, Memory
from sandbox.suite_runs import Runs
from sandbox.survey import Survey, survey
from tests.conftest import make_repo

LIMITS = Limits(workers=1)
FILES = {
    "lib/__init__.py": "",
    "lib/a.py": '''import functools

LIMIT = 3


def one(x):
    return x + 1


def two(x):
    y = one(x)
    return [z for z in (y, y)]


def traced(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper


@traced
def three(x):
    return x * 3


def uncalled(x):
    return x
''',
    "lib/b.py": "from lib.a import three\n\n\ndef six(x):\n    return three(x) * 2\n",
    "tests/test_one.py": "from lib.a import one\n\n\ndef test_one():\n    assert one(1) == "
    "2\n\n\ndef test_one_again():\n    assert one(2) == 3\n",
    "tests/test_two.py": "from lib.a import two\n\n\ndef test_two():\n    assert two(1) == [2, "
    "2]\n",
    "tests/test_six.py": "from lib.b import six\n\n\ndef test_six():\n    assert six(1) == "
    "6\n\n\ndef test_fails():\n    assert six(1) == 7\n",
    "tests/test_more.py": "def test_more():\n    pass\n\n\ndef test_even_more():\n    "
    "pass\n\n\ndef test_most():\n    pass\n",
    "README": "Read me.\n",
}
CALLS = {
    "tests/test_one.py::test_one": [["lib/a.py", 6, "one"]],
    "tests/test_one.py::test_one_again": [["lib/a.py", 6, "one"]],
    "tests/test_two.py::test_two": [
        ["lib/a.py", 6, "one"],
        ["lib/a.py", 10, "two"],
        ["lib/a.py", 12, "<listcomp>"],
    ],
    "tests/test_six.py::test_six": [
        ["lib/a.py", 16, "wrapper"],
        ["lib/a.py", 22, "three"],
        ["lib/b.py", 4, "six"],
    ],
    "tests/test_six.py::test_fails": [
        ["lib/a.py", 16, "wrapper"],
        ["lib/a.py", 22, "three"],
        ["lib/b.py", 4, "six"],
    ],
}
TESTS = [
    *CALLS,
    "tests/test_more.py::test_more",
    "tests/test_more.py::test_even_more",
    "tests/test_more.py::test_most",
]
RUNS = Runs(
    first=dict.fromkeys(TESTS, "passed"),
    second=dict.fromkeys(TESTS, "passed"),
    times=dict.fromkeys(TESTS, 0.01),
    calls=CALLS,
    modules=["functools"],
)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


# ------------------------------------------------------------------------------- what two runs show


def test_tests_are_sorted_by_what_both_runs_say():
    first = {
        "ok": "passed",
        "flaky": "passed",
        "flaky back": "failed",
        "fails": "failed",
        "error": "error",
        "skip": "skipped",
        "slow": "passed",
        "slow fail": "failed",
    }
    runs = Runs(
        first,
        {**first, "flaky": "failed", "flaky back": "passed"},
        {**dict.fromkeys(first, 0.5), "slow": 6.0, "slow fail": 6.0},
        {
            "ok": [["a.py", 1, "f"]],
            "fails": [["a.py", 5, "g"], ["a.py", 1, "f"]],
            "flaky": [["a.py", 9, "h"]],
        },
        ["os"],
    )
    found = Survey.of(runs)
    assert found.passing == ("ok",) and found.failing == ("fails", "error")
    assert found.excluded == {
        "flaky test": 2,
        "test failed": 2,
        "test error": 1,
        "test skipped": 1,
        "slow test": 1,
    }
    assert found.functions == (("a.py", 1, "f"), ("a.py", 5, "g")) and found.calls == {
        "ok": (0,),
        "fails": (1, 0),
        "error": (),
    }
    assert found.callers == {("a.py", 1): ["ok"]}
    assert Survey.from_dict(found.to_dict()) == found
    assert Survey.from_dict(
        {k: v for k, v in found.to_dict().items() if k != "failing"}
    ) == replace(found, failing=())


def test_tests_of_files_that_git_ignores_are_left_out_and_named():
    places = {"made/test_a.py": "made/", "test_b.py": "test_b.py"}
    names = ["made/test_a.py::test_1", "made/test_a.py::test_2", "test_b.py::test", "c.py::test"]
    first = dict.fromkeys(names, "passed") | {"made/test_a.py::test_2": "failed"}
    runs = Runs(first, first, dict.fromkeys(first, 0.1), {}, [])
    found = Survey.of(runs, lambda file: places.get(file, ""))
    assert (found.passing, found.failing) == (("c.py::test",), ())
    assert found.excluded == {
        "test of made/, which git ignores": 2,
        "test of test_b.py, which git ignores": 1,
    }


# -------------------------------------------------------------------------- what a change can reach


def reached(tmp_path: Path, changes: dict[str, str | None], runs: Runs = RUNS):
    before, after = (
        write(tmp_path / "before", FILES),
        write(tmp_path / "after", {**FILES, **{k: v for k, v in changes.items() if v is not None}}),
    )
    for name in [name for name, text in changes.items() if text is None]:
        (after / name).unlink()
    return what_is_reached(before, after, runs)


def changed(name: str, old: str, new: str) -> dict[str, str]:
    assert FILES[name].count(old) == 1
    return {name: FILES[name].replace(old, new)}


QUICKEST = "tests/test_two.py"


def moved_to_the_end(part: str) -> str:
    assert FILES["lib/a.py"].count(part) == 1
    return FILES["lib/a.py"].replace(part, "") + part


@pytest.mark.parametrize(
    "changes, test_files, shifts",
    [
        (
            changed("lib/a.py", "    return x + 1\n", "    y = x\n    return y + 1\n"),
            {"tests/test_one.py", "tests/test_two.py"},
            {"lib/a.py": [(7, 1)]},
        ),
        (
            changed(
                "lib/a.py",
                "    y = one(x)\n    return [z for z in (y, y)]\n",
                "    return [one(x)] * 2\n",
            ),
            {"tests/test_two.py"},
            {"lib/a.py": [(12, -1)]},
        ),
        (changed("lib/a.py", "x * 3", "x + x + x"), {"tests/test_six.py"}, {}),
        (changed("lib/b.py", "three(x) * 2", "2 * three(x)"), {"tests/test_six.py"}, {}),
        (
            changed("lib/b.py", "three(x) * 2", "2 * three(x)")
            | changed("tests/test_two.py", "two(1)", "two(x=1)"),
            {"tests/test_six.py", "tests/test_two.py"},
            {},
        ),
        (
            {"tests/test_two.py": FILES["tests/test_two.py"] + "\n\ndef test_new():\n    pass\n"},
            {"tests/test_two.py"},
            {},
        ),
        (
            changed("lib/a.py", "def one(x):", "def one(x, y=1):"),
            {"tests/test_one.py", "tests/test_two.py"},
            {},
        ),
        # One test file is run in any case.
        (changed("lib/a.py", "LIMIT = 3", "LIMIT = 4"), {QUICKEST}, {}),
        (changed("lib/a.py", "import functools", "import functools, os"), {QUICKEST}, {}),
        (
            changed("lib/a.py", "LIMIT = 3", "LIMIT = 3\n\n# A limit."),
            {QUICKEST},
            {"lib/a.py": [(3, 2)]},
        ),
        ({"lib/a.py": FILES["lib/a.py"] + "\n\ndef new():\n    pass\n"}, {QUICKEST}, {}),
        ({"README": "Read this.\n"}, {QUICKEST}, {}),
        ({"README": None, "docs/more.md": "More.\n"}, {QUICKEST}, {}),
        # Its name stands in a test, and in a function that another one calls.
        (
            changed("lib/a.py", "LIMIT = 3", "LIMIT = 4")
            | changed("lib/b.py", "three(x) * 2", "three(x) * (LIMIT - 1)"),
            {"tests/test_six.py"},
            {},
        ),
    ],
)
def test_changes_that_reach_some_tests(tmp_path, changes, test_files, shifts):
    found = reached(tmp_path, changes)
    assert (found.changed, found.test_files, found.shifts) == (set(changes), test_files, shifts)


@pytest.mark.parametrize(
    "changes",
    [
        changed("lib/a.py", "LIMIT = 3", "LIMIT = print()"),
        changed("lib/a.py", "def one(x):", "def one(x, y=print()):"),
        changed("lib/a.py", "@traced\n", ""),
        {"lib/a.py": FILES["lib/a.py"] + "\n\n@traced\ndef new():\n    pass\n"},
        {"lib/a.py": FILES["lib/a.py"] + "\n\ndef pytest_runtest_setup():\n    pass\n"},
        {
            "lib/a.py": moved_to_the_end(
                "def two(x):\n    y = one(x)\n    return [z for z in (y, y)]\n"
            )
        },
        changed(
            "lib/a.py", "def uncalled(x):\n    return x\n", "def uncalled(x):\n    return -x\n"
        ),  # it may have run while tests were imported
        changed(
            "lib/a.py", "return function(*arguments)", "return -function(*arguments)"
        ),  # so did what holds this one
        changed("lib/a.py", "x + 1", "(x"),
        {"lib/new.py": ""},
        {"lib/b.py": None},
        {"tests/test_new.py": "def test():\n    pass\n"},
        {"tests/test_two.py": None},
        {"tests/data.txt": "1\n"},
        {"lib/data/more.txt": "1\n"},
        {"tests/conftest.py": ""},
        {"setup.cfg": "[tool:pytest]\n"},
    ],
)
def test_changes_that_may_reach_everything(tmp_path, changes):
    assert reached(tmp_path, changes) is None


NAMES = {
    "lib.py": """import json
from data import read

LIMIT = 3
TWICE = LIMIT, LIMIT


class Plain:
    KIND = 'a'

    def kind(self):
        return self.KIND


class Coder(json.JSONEncoder):
    def size(self):
        return 1


def limited(x):
    return min(x, TWICE[0])


def free(x):
    '''It.'''
    return x


def loading():
    return 1


SEEN = loading()
""",
    "data.py": "def read():\n    return open('some/numbers.txt')\n",
    "test_limited.py": "from lib import limited\n\n\ndef test():\n    limited(4)\n",
    "test_free.py": "from lib import free\n\n\ndef test():\n    free(4)\n",
    "test_kind.py": "import lib\n\n\ndef test():\n    lib.Plain().kind()\n",
    "test_string.py": "def test(monkeypatch):\n    monkeypatch.setattr('lib.LIMIT', 5)\n",
    "test_looks.py": "import lib\n\n\ndef test():\n    for name in ('do_' + 'it', f'on{1}', 'to_%s' % 1):"
    "\n        getattr(lib.Plain(), name, None)\n",
    "test_lists.py": "import lib\n\n\ndef test():\n    assert vars(lib)\n",
    "test_acts.py": "import lib\n\nif lib.LIMIT > 2:\n    BIG = 1\n\n\ndef test():\n    pass\n",
    "test_docs.py": "import lib\n\n\ndef test():\n    assert lib.free.__doc__\n",
    "test_dumps.py": "import lib\n\n\ndef test():\n    assert lib.Coder().size()\n",
}
CALLED = {
    "limited": ("lib.py", 20),
    "free": ("lib.py", 24),
    "kind": ("lib.py", 11),
    "dumps": ("lib.py", 16),
}
OF_NAMES = {
    f"test_{name}.py::test": [
        [
            f"test_{name}.py",
            NAMES[f"test_{name}.py"][: NAMES[f"test_{name}.py"].index("def test")].count("\n") + 1,
            "test",
        ],
        *([[*CALLED[name], name]] if name in CALLED else []),
    ]
    for name in ("limited", "free", "kind", "string", "looks", "lists", "docs", "dumps", "acts")
}
RUNS_OF_NAMES = Runs(
    first=dict.fromkeys(OF_NAMES, "passed"),
    second=dict.fromkeys(OF_NAMES, "passed"),
    times=dict.fromkeys(OF_NAMES, 0.01) | {"test_free.py::test": 0.001},
    calls=OF_NAMES,
    modules=[],
    loading={"lib.py": [["lib.py", 29, "loading"]]},
)


@pytest.mark.parametrize(
    "old, new, again",
    [
        ("LIMIT = 3\n", "LIMIT = 4\n", {"limited", "string", "lists", "acts"}),
        ("TWICE = LIMIT, LIMIT\n", "TWICE = LIMIT, 4\n", {"limited", "lists"}),
        ("LIMIT = 3\n", "LIMIT = 3\nMORE = 4\n", {"lists"}),
        ("KIND = 'a'", "KIND = 'b'", {"kind", "lists", "looks"}),
        ("    def kind", "    def more(self):\n        return 2\n\n    def kind", {"lists"}),
        ("    def kind", "    def __len__(self):\n        return 2\n\n    def kind", None),
        ("    def kind", "    def test_kind(self):\n        pass\n\n    def kind", None),
        (
            "    def kind",
            "    @staticmethod\n    def more():\n        pass\n\n    def kind",
            {"lists"},
        ),
        # Names that are put together: of a looked-up name the beginning may stand there.
        (
            "    def kind",
            "    def do_this(self):\n        pass\n\n    def kind",
            {"looks", "lists"},
        ),
        ("    def kind", "    def onThis(self):\n        pass\n\n    def kind", {"looks", "lists"}),
        (
            "    def kind",
            "    def to_this(self):\n        pass\n\n    def kind",
            {"looks", "lists"},
        ),
        ("    def kind", "    def be_this(self):\n        pass\n\n    def kind", {"lists"}),
        ("    def kind", "    @registered\n    def more():\n        pass\n\n    def kind", None),
        (
            "class Coder",
            "class More:\n    @registered\n    def more(self):\n        pass\n\n\nclass Coder",
            None,
        ),
        # Whoever wrote the base calls it.
        ("    def size", "    def default(self, x):\n        return 2\n\n    def size", None),
        (
            "class Coder",
            "class More:\n    def __len__(self):\n        return 2\n\n\nclass Coder",
            {"lists"},
        ),
        ("return x\n", "return x, x\n", {"free"}),
        ("def free(x):", "def free(x):  # as it is", set()),
        # It was called while the module was loaded, and by no test.
        ("return 1\n\n\nSEEN", "return 2\n\n\nSEEN", None),
        ("def loading():", "def loading(x=1):", None),
        ("def free(x):\n    '''It.'''\n    return x\n\n\n", "", {"free", "lists", "docs"}),
        ("It.", "That.", {"docs"}),
    ],
)
def test_what_a_changed_module_can_reach(tmp_path, old, new, again):
    assert NAMES["lib.py"].count(old) == 1
    before = write(tmp_path / "before", NAMES)
    after = write(tmp_path / "after", NAMES | {"lib.py": NAMES["lib.py"].replace(old, new)})
    found = what_is_reached(before, after, RUNS_OF_NAMES)
    if again is None:
        assert found is None
    else:
        assert found.test_files == {f"test_{name}.py" for name in again or {"free"}}


@pytest.mark.parametrize(
    "path, reaches",
    [
        ("numbers.txt", True),
        ("some/more.txt", True),
        ("other/text", False),
        ("other/conf.py", False),
        ("other/numbers.py", True),
    ],
)
def test_what_a_string_names_may_be_read(tmp_path, path, reaches):
    before, after = (write(tmp_path / n, NAMES | {path: f"{n} = 1\n"}) for n in ("before", "after"))
    assert (what_is_reached(before, after, RUNS_OF_NAMES) is None) == reaches


def test_one_change_that_may_reach_everything_is_enough(tmp_path):
    assert (
        reached(
            tmp_path,
            changed("lib/b.py", "three(x) * 2", "2 * three(x)")
            | changed("lib/a.py", "LIMIT = 3", "LIMIT = print()"),
        )
        is None
    )


def test_what_calls_a_part_of_a_changed_function_is_run_again(tmp_path):
    calls = {**CALLS, "tests/test_more.py::test_more": [["lib/a.py", 15, "traced"]]}
    found = reached(
        tmp_path,
        changed("lib/a.py", "return function(*arguments)", "return -function(*arguments)"),
        replace(RUNS, calls=calls),
    )
    assert found.test_files == {"tests/test_more.py", "tests/test_six.py"}


def test_a_changed_conftest_may_reach_everything(tmp_path):
    before, after = (
        write(tmp_path / name, {**FILES, "tests/conftest.py": f"X = '{name}'\n"})
        for name in ("before", "after")
    )
    assert what_is_reached(before, after, RUNS) is None


def test_a_test_module_that_others_use_may_reach_everything(tmp_path):
    change = {"tests/test_two.py": FILES["tests/test_two.py"] + "# more\n"}
    calls = {**CALLS, "tests/test_more.py::test_more": [["tests/test_two.py", 4, "test_two"]]}
    assert (
        reached(tmp_path / "1", change) is not None
        and reached(tmp_path / "2", change, replace(RUNS, calls=calls)) is None
    )
    before, after = (
        write(
            tmp_path / name, {**FILES, **files, "lib/b.py": FILES["lib/b.py"] + "# see test_two\n"}
        )
        for name, files in (("before", {}), ("after", change))
    )
    assert what_is_reached(before, after, RUNS) is None


def test_modes_and_links_count(tmp_path):
    before, after = (write(tmp_path / name, FILES) for name in ("before", "after"))
    assert (
        what_is_reached(before, after, RUNS) is None
    )  # nothing has changed, so there is nothing to run
    (after / "lib/a.py").chmod(0o755)
    assert what_is_reached(before, after, RUNS) is None
    (after / "lib/a.py").chmod(0o644)
    for folder, target in ((before, "a.py"), (after, "b.py")):
        os.symlink(target, folder / "lib/link.py")
    assert what_is_reached(before, after, RUNS) is None


# ----------------------------------------------------------------------------------- the real thing


class Bench:
    """A repository, and how many tests each survey of it ran."""

    def __init__(self, folder: Path, files: dict[str, str] = FILES) -> None:
        self.root = make_repo(folder, files)

    def survey(self, forget: bool = False) -> tuple[Survey, list[int]]:
        repository = open_repository(self.root)
        if forget:
            shutil.rmtree(Memory(repository, LIMITS).folder)
        ran = {}
        with Judge(repository, LIMITS) as judge:
            found = survey(judge, lambda what, done, total: ran.update({what: total}))
        return found, list(ran.values())


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("bench"))


def timeless(found: Survey) -> dict:
    """What does not depend on the clock, on the order in which functions were noticed, or on how
    Python makes lists; tests call themselves, too."""
    calls = {
        test: sorted(
            f for i in indices if (f := found.functions[i])[0].startswith("lib") and "<" not in f[2]
        )
        for test, indices in found.calls.items()
    }
    return {
        "passing": found.passing,
        "failing": found.failing,
        "excluded": found.excluded,
        "calls": calls,
        "timed": set(found.seconds),
        "loading": {f: [p for p in c if "<" not in p[2]] for f, c in found.loading.items()},
    }


@pytest.mark.slow
def test_only_what_a_change_reaches_is_run_again_and_the_result_is_the_same(bench):
    first, ran = bench.survey()
    assert (
        ran == [8, 8]
        and first.failing == ("tests/test_six.py::test_fails",)
        and len(first.passing) == 7
    )
    expected = {
        test: sorted(tuple(f) for f in called if "<" not in f[2]) for test, called in CALLS.items()
    }
    assert {test: called for test, called in timeless(first)["calls"].items() if called} == expected
    assert first.loading["lib/a.py"] == (("lib/a.py", 15, "traced"),)
    assert bench.survey() == (first, []), "the same tree was run again"

    write(
        bench.root,
        changed(
            "lib/a.py",
            "    y = one(x)\n    return [z for z in (y, y)]\n",
            "    w = x + 1\n    y = w\n    return [y, y]\n",
        ),
    )
    second, ran = bench.survey()
    assert ran == [1, 1]
    bytecode = {path.name for path in open_repository(bench.root).bytecode.rglob("*.pyc")}
    assert all(
        any(name.startswith(f"test_{which}.") for name in bytecode)
        for which in ("one", "two", "six", "more")
    )
    assert timeless(second)["calls"]["tests/test_six.py::test_six"] == [
        ("lib/a.py", 17, "wrapper"),
        ("lib/a.py", 23, "three"),
        ("lib/b.py", 4, "six"),
    ]
    fresh, ran = bench.survey(forget=True)
    assert ran == [8, 8] and timeless(fresh) == timeless(second)


@pytest.mark.slow
@pytest.mark.parametrize(
    "old, new, ran",
    [
        ("LIMIT = 3\n", "LIMIT = 3\n# more\n", 1),
        ("LIMIT = 3\n", "import os\n\nLIMIT = 4\n", 4),
        ("def limited(x):", "def more(x):\n    return x\n\n\ndef limited(x):", 1),
        ("return min(x, TWICE[0])", "return free(min(x, TWICE[0]))", 1),
    ],
)
def test_a_module_that_has_moved_is_seen_as_it_would_be_anew(tmp_path, old, new, ran):
    bench = Bench(tmp_path / "repo", NAMES | {"CHANGES": "None.\n"})
    bench.survey()
    text = NAMES["lib.py"].replace(old, new)
    write(bench.root, {"lib.py": text, "CHANGES": "Some.\n"})
    second, first_ran = bench.survey()
    fresh, _ = bench.survey(forget=True)
    assert first_ran == [ran, ran] and timeless(fresh) == timeless(second)
    seen = [
        {t: {f.functions[i] for i in called} for t, called in f.calls.items()}
        for f in (fresh, second)
    ]
    assert seen[0] == seen[1]


LOADING = {
    "lib.py": "def made(x):\n    return [inner(x)]\n\n\ndef inner(x):\n    return x\n\n\n"
    "def used(x):\n    return x\n\n\nclass Found:\n    def __init_subclass__(cls):\n"
    "        inner(cls)\n\n\nTABLE = made(1)\n",
    "more.py": "import lib\n\n\nclass Other(lib.Found):\n    pass\n",
    "conftest.py": "import lib\n\n\ndef named(x):\n    return str(x)\n\n\n"
    "def pytest_generate_tests(metafunc):\n    if 'x' in metafunc.fixturenames:\n"
    "        metafunc.parametrize('x', lib.made(2), ids=named)\n",
    "test_lib.py": "import more\nfrom lib import inner, used\n\nSEEN = inner(3)\n\n\n"
    "def test_used(x):\n    assert used(x) == x\n",
}


@pytest.mark.slow
def test_what_is_called_while_modules_are_loaded_is_seen(tmp_path):
    bench = Bench(tmp_path / "repo", LOADING)
    found, _ = bench.survey()
    made, inner = ("lib.py", 1, "made"), ("lib.py", 5, "inner")
    hook, named = ("conftest.py", 8, "pytest_generate_tests"), ("conftest.py", 4, "named")
    functions = {f: {p for p in c if p[2] != "Found"} for f, c in found.loading.items()}
    assert functions == {
        "lib.py": {made, inner},
        "more.py": {("lib.py", 14, "__init_subclass__"), inner, ("more.py", 4, "Other")},
        "test_lib.py": {inner},
        "": {hook, named, made, inner},
    }
    write(bench.root, {**LOADING, "more.py": "import sys\n\nsys.setprofile(None)\n"})
    found, _ = bench.survey()
    assert found.passing and found.loading is None


@pytest.mark.slow
def test_where_a_test_does_not_pass_any_more_everything_is_run_again(bench):
    write(bench.root, FILES)
    bench.survey()
    write(
        bench.root, changed("lib/a.py", "return [z for z in (y, y)]", "return [z for z in (y, 0)]")
    )
    found, ran = bench.survey()
    assert ran == [8, 8] and "tests/test_two.py::test_two" in found.failing


@pytest.mark.slow
def test_a_memory_that_cannot_be_read_is_none(bench):
    repository = open_repository(bench.root)
    memory = Memory(repository, LIMITS)
    bench.survey()
    for text in ("", "{}", "[1]", '{"first": {}', '{"first": 1, "unknown": 2}'):
        (memory.folder / f"{repository.tree}.json").write_text(text)
        assert memory.read(repository.tree) is None
    assert memory.read("another") is None


def test_few_trees_are_remembered_and_the_environment_counts(bench):
    repository = open_repository(bench.root)
    memory = Memory(repository, LIMITS)
    for number in range(KEPT + 3):
        memory.write(f"tree{number}", RUNS)
        os.utime(memory.folder / f"tree{number}.json", (number, number))
    memory.write("last", RUNS)
    assert (
        len(memory.trees()) == KEPT
        and memory.trees()[0] == "last"
        and "tree0" not in memory.trees()
    )
    assert memory.read("last") == RUNS
    others = {"python": "/elsewhere/python", "root": "/elsewhere", "path": (), "carried": ("a.py",)}
    for other in (replace(repository, **{name: value}) for name, value in others.items()):
        assert Memory(other, LIMITS).folder != memory.folder
    assert (
        Memory(repository, replace(LIMITS, memory_mb=99)).folder
        != memory.folder
        == Memory(repository, replace(LIMITS, workers=9)).folder
    )
    assert memory.folder.is_relative_to(cache_folder() / "surveys")
