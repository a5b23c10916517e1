"""Nothing is left out without a word, and the word is true: files, tests and functions by name."""

import json
import sys
from dataclasses import replace

import pytest

from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.survey import Survey, survey
from sandbox.tasks.candidates import candidates
from sandbox.tasks.mine import Mined, MiningOptions, mine
from sandbox.tasks.statements import helpers_of_tests, secrets, sources_of_tests
from tests.conftest import git, make_repo, run_cli

LIMITS = Limits(workers=2, timeout=5.0)
CORE = '''def up(x):
    y = x + 1
    return y


def down(x):
    y = x - 1
    return y
'''
UP = "from core import down, up\n\n\ndef test_up():\n    assert up(1) == 2\n"
BOTH = UP + "\n\ndef test_down():\n    assert down(1) == 0\n"


def mined(root, run, kinds=("blank",)) -> Mined:
    run.mkdir()
    return mine(open_repository(root), LIMITS, run, MiningOptions(kinds=kinds), lambda *_: None)


def functions(found: Mined) -> list[str]:
    return [name.rpartition("::")[2] for task in found.tasks for name in task.about]


# -------------------------------------------------------------------------------- files of tests


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Mined:
    root = make_repo(
        tmp_path_factory.mktemp("files"),
        {
            "core.py": CORE,
            "tests/test_core.py": BOTH + "\n\n@pytest.mark.slow\ndef test_slow():\n    pass\n",
            "pytest.ini": "[pytest]\naddopts = -m 'not slow' --ignore=tests/old\nmarkers = slow\n",
            "tests/conftest.py": "import builtins\nimport pytest\n\nbuiltins.pytest = pytest\n",
            "tests/test_package.py": "import not_installed_here\n\n\ndef test_it():\n    pass\n",
            "tests/test_home.py": "import os\n\nHOME = os.environ['NOT_SET_HERE']\n",
            "tests/test_raises.py": "raise RuntimeError('not\\x1b[31m now')\n",
            "tests/test_syntax.py": "def test_it(:\n    pass\n",
            "tests/test_odd\nname.py": "1 / 0\n",
            "tests/test_fixture.py": "@pytest.mark.parametrize('y', [1])\ndef test_it(x):\n    "
            "pass\n",
            "tests/a/test_same.py": UP,
            "tests/b/test_same.py": UP,
            "tests/test_skipped.py": "pytest.importorskip('not_there')\n",
            "tests/test_idle.py": "def test_nothing():\n    assert sorted([2, 1]) == [1, 2]\n",
            "tests/old/test_old.py": UP,
            "tests/cases.py": "def cases():\n    return [1, 2]\n",
            "tests/test_cases.py": "from cases import cases\nfrom core import up\n\n\n"
            "def test_cases():\n    assert list(map(up, cases())) == [2, 3]\n",
        },
    )
    return mined(root, tmp_path_factory.mktemp("run") / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    "reason",
    [
        "tests/test_package.py cannot be imported (ModuleNotFoundError: No module named "
        "'not_installed_here')",
        "tests/test_home.py cannot be imported (KeyError: 'NOT_SET_HERE')",
        r"tests/test_raises.py cannot be imported (RuntimeError: not\x1b[31m now)",
        "tests/test_syntax.py cannot be imported (SyntaxError: invalid syntax)",
        r"tests/test_odd\nname.py cannot be imported (ZeroDivisionError: division by zero)",
        "tests/test_fixture.py cannot be collected (In tests/test_fixture.py::test_it: function "
        "uses "
        "no argument 'y')",
        "tests/b/test_same.py cannot be imported (import file mismatch)",
    ],
)
def test_a_file_of_tests_that_cannot_be_collected_is_named(files, reason):
    assert files.excluded[reason] == 1


@pytest.mark.slow
def test_other_files_of_tests_that_give_nothing_are_named(files):
    skipped = [reason for reason in files.excluded if "tests/test_skipped.py" in reason]
    assert len(skipped) == 1 and "is skipped as a whole" in skipped[0] and "not_there" in skipped[0]
    named = files.left_out
    assert named["test that the project's settings deselect"] == ["tests/test_core.py::test_slow"]
    assert named["test file that calls no function of the source"] == ["tests/test_idle.py"]
    assert named["file called like a test in which pytest finds none"] == ["tests/old/test_old.py"]
    assert [name.partition(" ")[0] for name in named["file of the tests"]] == ["tests/cases.py"]


@pytest.mark.slow
def test_what_can_be_collected_gives_tasks(files):
    assert functions(files) == ["down", "up"]
    assert all(files.excluded[reason] == len(names) for reason, names in files.left_out.items())


# -------------------------------------------------------------------------------- calls unseen

UNSEEN = {
    "test not all of whose calls are seen: it starts a process": '''import multiprocessing
import os
import subprocess
import sys

import pytest

import core


@pytest.mark.parametrize("how", ["popen", "system", "fork", "spawn"])
def test_elsewhere(how):
    command = [sys.executable, "-c", "import core; core.down(1)"]
    if how == "popen":
        subprocess.run(command, check=True)
    elif how == "system":
        assert os.system(f'{command[0]} -c "{command[2]}"') == 0
    elif how == "fork":
        pid = os.fork()
        if pid == 0:
            os._exit(core.down(1))
        assert os.waitpid(pid, 0)[1] == 0
    else:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.map(core.down, [1]) == [0]
''',
    "test not all of whose calls are seen: it takes the profiler away": '''import sys
import threading

import pytest

import core


@pytest.mark.parametrize("how", ["here", "in threads"])
def test_unseen(how):
    if how == "here":
        sys.setprofile(None)
        assert core.down(1) == 0
    else:
        threading.setprofile(None)
        thread = threading.Thread(target=core.down, args=(1,))
        thread.start()
        thread.join()
''',
    "test not all of whose calls are seen: it starts a thread without `threading`": '''import _thread
import time

import core


def test_unseen():
    found = []
    _thread.start_new_thread(lambda: found.append(core.down(1)), ())
    while not found:
        time.sleep(0.01)
''',
}


@pytest.mark.slow
@pytest.mark.parametrize("reason", UNSEEN)
def test_tests_whose_calls_are_not_seen_are_named(tmp_path, reason):
    root = make_repo(
        tmp_path / "p",
        {
            "core.py": CORE,
            "tests/test_core.py": UP,
            "tests/test_unseen.py": UNSEEN[reason],
            "tests/test_seen.py": '''import sys
import threading

from core import up


def test_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(up(1)))
    thread.start()
    thread.join()
    assert found == [2]


def test_trace():
    sys.settrace(lambda *_: None)
    assert up(2) == 3
    sys.settrace(None)
''',
        },
    )
    found = mined(root, tmp_path / "run")
    assert functions(found) == ["up"]
    assert set(found.tasks[0].tests) == {
        "tests/test_core.py::test_up",
        *(f"tests/test_seen.py::{name}" for name in ("test_thread", "test_trace")),
    }
    assert found.left_out["function that no passing test calls"] == ["core.py::down"]
    assert [r for r in found.left_out if "not all of whose calls" in r] == [reason]
    unseen = [test for test in found.survey.passing if "test_unseen.py" in test]
    assert found.left_out[reason] == unseen and found.excluded[reason] == len(unseen)


@pytest.mark.slow
def test_where_every_function_is_seen_nothing_is_said_of_processes(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            "core.py": CORE,
            "tests/test_core.py": BOTH + "\n\ndef test_process():\n"
            "    import subprocess\n    subprocess.run(['true'], check=True)\n",
        },
    )
    found = mined(root, tmp_path / "run")
    assert functions(found) == ["down", "up"] and found.excluded == {}
    assert found.survey.unseen == {"process": ["tests/test_core.py::test_process"]}


@pytest.mark.slow
def test_a_file_of_which_nothing_is_called_is_named(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            "core.py": CORE,
            "tests/test_core.py": BOTH,
            "constants.py": "X = 1\n",
            "cli.py": "from core import up\n\n\ndef main():\n    print(up(1))\n",
        },
    )
    found = mined(root, tmp_path / "run")
    reason = "source file of which no passing test calls a function"
    assert found.excluded == {reason: 1} and found.left_out == {reason: ["cli.py"]}


# -------------------------------------------------------------------------------- names of tests

ODD = {
    "core.py": CORE.replace("x + 1", "len(x) + 1"),
    "conftest.py": '''import pytest


def pytest_collect_file(parent, file_path):
    if file_path.suffix == ".sums":
        return Sums.from_parent(parent, path=file_path)


class Sums(pytest.File):
    def collect(self):
        for name in ("a::b", "a b [x", "c\\nd", "[", "", "::", "é"):
            yield Sum.from_parent(self, name=name)


class Sum(pytest.Item):
    def runtest(self):
        import core
        assert core.up("ab") == 3
''',
    "t/a.sums": "x\n",
    "t[1]/test_folder.py": "from core import up\n\n\ndef test_folder():\n    assert up('') == 1\n",
    "tests/test_core.py": '''import pytest

from core import up


@pytest.mark.parametrize("x", ["a::b", "[", "x\\ny", "]", "", "ok"], ids=lambda x: x)
def test_up(x):
    assert up(x) == len(x) + 1

''',
}


@pytest.mark.slow
def test_a_test_that_cannot_be_named_takes_no_other_with_it(tmp_path):
    found = mined(make_repo(tmp_path / "p", ODD), tmp_path / "run")
    task = next(task for task in found.tasks if task.function == "up")
    names = set(found.survey.passing)
    assert len(names) == 7 + 1 + 6 and set(task.FAIL_TO_PASS) == names
    repository = open_repository(tmp_path / "p")
    with Judge(repository, LIMITS, Suite(test_files=found.survey.test_files)) as judge:
        assert judge.judge(task, task.gold(repository.snapshot)).status == "resolved"
        assert judge.judge(task, task.broken(repository.snapshot)).status == "failed"


def test_a_test_that_is_not_there_is_missing_and_the_others_run(tmp_path):
    root = make_repo(tmp_path / "p", {"core.py": CORE, "tests/test_core.py": BOTH})
    good = "tests/test_core.py::test_up"
    gone = ["tests/test_core.py::gone", "tests/test_gone.py::test_x", "nowhere::x", "::", "[x"]
    with Judge(open_repository(root), LIMITS) as judge:
        assert judge.run({"ids": [*gone[:3], good, *gone[3:]]})["outcomes"] == {good: "passed"}
        assert judge.run({"ids": gone})["outcomes"] == {}


# -------------------------------------------------------------------------------- functions

TWICE = '''import sys

try:
    from not_there import tried
except ImportError:
    def tried(x):
        y = x + 1
        return y

if sys.version_info < (3,):
    def later(x):
        y = x + 7
        return y
else:
    def later(x):
        y = x + 2
        return y

if sys.version_info > (3,):
    def earlier(x):
        y = x + 3
        return y
else:
    def earlier(x):
        y = x + 9
        return y


class Scale:
    _value = 1

    @property
    def value(self):
        return self._value + 0

    @value.setter
    def value(self, new):
        if new < 0:
            raise ValueError(new)
        self._value = new
'''


@pytest.mark.slow
def test_definitions_in_branches_and_setters_are_tasks_or_named(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            "twice.py": TWICE,
            "tests/base.py": '''class Base:
    def test_inherited(self):
        assert self.function(1) == self.want
''',
            "tests/__init__.py": "",
            "tests/test_twice.py": '''import twice
from tests.base import Base


class TestTried(Base):
    want = 2

    def function(self, x):
        return twice.tried(x)


def test_branches():
    assert twice.later(1) == 3 and twice.earlier(1) == 4


def test_setter():
    scale = twice.Scale()
    scale.value = 4
    assert scale.value == 4
''',
        },
    )
    found = mined(root, tmp_path / "run")
    tests = {task.function: task.tests for task in found.tasks}
    assert tests == {
        "tried": ("tests/test_twice.py::TestTried::test_inherited",),
        "later": ("tests/test_twice.py::test_branches",),
    }
    assert found.left_out == {
        "function that no passing test calls": [
            "twice.py::later (line 11)",
            "twice.py::earlier (line 24)",
        ],
        "function defined more than once": [
            "twice.py::earlier (line 20)",
            "twice.py::Scale.value (line 32)",
            "twice.py::Scale.value (line 36)",
        ],
    }
    repository = open_repository(root)
    with Judge(repository, LIMITS, Suite(test_files=found.survey.test_files)) as judge:
        for task in found.tasks:
            assert judge.judge(task, task.gold(repository.snapshot)).status == "resolved"
            assert judge.judge(task, task.broken(repository.snapshot)).status == "failed"


# -------------------------------------------------------------------------------- unreadable


def survey_of(file: str, **more) -> Survey:
    return Survey(
        passing=("t",),
        excluded={},
        seconds={"t": 0.1},
        functions=((file, 1, "up"),),
        calls={"t": (0,)},
        modules=(),
        **more,
    )


def test_where_the_project_s_python_is_newer_it_is_said_what_to_do(tmp_path):
    repository = open_repository(make_repo(tmp_path / "p", {"new.py": "def up(x) = x\n"}))
    ours = "{}.{}".format(*sys.version_info)
    reason = f"new.py cannot be parsed by Python {ours} (line 1: expected ':')"
    newer = (
        f"{reason}, which runs coldstart; the project's own is Python 3.99.1: start coldstart "
        "with Python 3.99"
    )
    cases = {repository.python_version: reason, "3.9.1": reason, "3.99.1": newer}
    for version, said in cases.items():
        other = replace(repository, python_version=version)
        assert candidates(other, survey_of("new.py"))[1] == {said: 1}


@pytest.mark.slow
def test_tests_that_our_python_cannot_read_count_and_are_not_shown(tmp_path):
    """Python takes such line ends, and we do not: so it is with a newer syntax."""
    odd = BOTH.replace("\n", "\r")
    root = make_repo(tmp_path / "p", {"core.py": CORE, "tests/test_core.py": odd})
    found = mined(root, tmp_path / "run", ("blank", "mutate", "failing"))
    assert {"up", "down"} == set(functions(found)) and not any(t.twin_tests for t in found.tasks)
    assert (
        found.excluded[
            "tests/test_core.py cannot be taken apart (a bare carriage return): its "
            "tests have no twins, and no prompt shows them"
        ]
        == 1
    )
    tree = open_repository(root).snapshot
    for task in found.tasks:
        assert sources_of_tests(task.tests, tree) == helpers_of_tests(task.tests, (), tree) == []
        assert any("assert up(1) == 2" in line for line in secrets(task, tree))


@pytest.mark.slow
def test_a_link_to_what_git_ignores_is_named(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            "lib/core.py": CORE,
            "tests/test_core.py": BOTH.replace("down\n", "down\nimport made\n", 1),
            ".gitignore": "/made/\n",
        },
    )
    (root / "made").mkdir()
    (root / "made/core.py").write_text(CORE)
    for name, target in (("core.py", "lib/core.py"), ("made.py", "made/core.py")):
        (root / name).symlink_to(target)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "links")
    found = mined(root, tmp_path / "run")
    assert {task.file for task in found.tasks} == {"lib/core.py"}
    assert found.excluded == {"made.py is a link to made/core.py, which git ignores": 1}


# -------------------------------------------------------------------------------- where it is said


@pytest.mark.slow
def test_a_person_and_a_machine_are_told(tmp_path):
    make_repo(
        tmp_path / "p",
        {
            "core.py": CORE,
            "tests/test_core.py": UP,
            "tests/test_more.py": "import nowhere\n",
            "many.py": "".join(f"def f{n}(x):\n    y = x\n    return y\n" for n in range(9))
            + "\n\ndef called(x):\n    y = x * 2\n    return y\n",
            "tests/test_many.py": "from many import called\n\n\ndef test_it():\n"
            "    assert called(2) == 4\n",
        },
    )
    done = run_cli(
        "tasks", "--repo", "p", "--recipe", "nano", "--run", "run", "--json", cwd=tmp_path
    )
    said = json.loads(done.stdout.splitlines()[-1])
    uncalled = ["core.py::down", *(f"many.py::f{n}" for n in range(9))]
    reason = "function that no passing test calls"
    assert said["left_out"] == {reason: uncalled} and said["excluded"][reason] == 10
    assert json.loads((tmp_path / "run/run.json").read_text())["left_out"] == said["left_out"]
    first = ", ".join(uncalled[:5])
    assert f"{reason}: {first} and 5 more" in done.stderr
    assert (
        "tests/test_more.py cannot be imported (ModuleNotFoundError: No module named 'nowhere')"
    ) in done.stderr


@pytest.mark.slow
def test_where_there_is_no_task_the_names_are_in_the_error(tmp_path):
    make_repo(
        tmp_path / "p",
        {
            "core.py": CORE,
            "tests/test_idle.py": "def test_it():\n    pass\n",
            "tests/test_more.py": "import nowhere\n",
        },
    )
    done = run_cli("tasks", "--repo", "p", "--recipe", "nano", cwd=tmp_path, check=2)
    for words in (
        "test file that calls no function of the source: tests/test_idle.py",
        "source file of which no passing test calls a function: core.py",
        "tests/test_more.py cannot be imported (ModuleNotFoundError: No module named",
    ):
        assert words in done.stderr


@pytest.mark.slow
def test_what_was_seen_of_files_is_kept_where_little_is_run_again(tmp_path):
    files = {
        "core.py": CORE,
        "tests/test_core.py": BOTH,
        "tests/test_more.py": "import nowhere\n",
        "tests/__init__.py": "",
        "other.py": CORE.replace("up", "over"),
        "verify/checks.py": "def check(x):\n    assert x\n",
        "verify/test_other.py": "from other import over\nfrom checks import check\n\n\n"
        "def test_it():\n    check(over(1) == 2)\n",
        "tests/test_a.py": "".join(f"def test_{n}():\n    pass\n" for n in range(6)),
    }
    root, ran = make_repo(tmp_path / "p", files), {}

    def surveyed() -> Survey:
        with Judge(open_repository(root), LIMITS) as judge:
            return survey(judge, lambda what, done, total: ran.update({what: total}))

    first = surveyed()
    assert set(ran.values()) == {9} and first.is_test("verify/checks.py")
    (root / "core.py").write_text(CORE.replace("x + 1", "1 + x"))
    second = surveyed()
    assert set(ran.values()) == {2} and second.roles == first.roles
    assert (second.excluded, second.left_out, second.unseen, second.defining) == (
        first.excluded,
        first.left_out,
        first.unseen,
        first.defining,
    )
