"""Real repositories behave in many ways: what is mined from each, what is left out and why, and
that its edits are judged rightly.

Every repository here is a real one and is mined through the public door; of its tasks the gold edit
must be resolved and a wrong one must fail. The repositories themselves stand in `repositories.py`.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits, Verdict
from sandbox.repo import Repository, open_repository
from sandbox.source import find, read_text, with_body
from sandbox.survey import SLOW_SECONDS, Survey
from sandbox.tasks.mine import MiningOptions, mine
from sandbox.tasks.task import Task
from tests import repositories
from tests.conftest import git, make_repo
from tests.test_repo import make_venv, site_packages

LIMITS = Limits(workers=2, timeout=20.0)
WRONG = "return object()"
pytestmark = pytest.mark.slow

PLUGINS = ("xdist", "cov", "timeout", "asyncio", "subtests", "randomly", "rerunfailures")


@dataclass(frozen=True)
class Real:
    """A repository and what was mined from it."""

    repository: Repository
    tasks: dict[str, Task]
    """By the function's name."""
    excluded: dict[str, int]
    survey: Survey

    def tests_of(self, function: str) -> set[str]:
        """Names of the tests of a task, without their files."""
        return {test.partition("::")[2] for test in self.tasks[function].tests}


def mined(
    root: Path,
    folder: Path,
    python: Path | None = None,
    limit: int = 0,
    kinds: tuple[str, ...] = ("blank",),
) -> Real:
    folder.mkdir(exist_ok=True)
    repository = open_repository(root, python and str(python))
    found = mine(
        repository, LIMITS, folder, MiningOptions(limit=limit, kinds=kinds), lambda *_: None
    )
    tasks = {task.function: task for task in found.tasks}
    assert len(tasks) == len(found.tasks)
    return Real(repository, tasks, found.excluded, found.survey)


def verdicts(real: Real, functions: list[str]) -> dict[tuple[str, str], Verdict]:
    """{(function, "gold" | "wrong"): verdict}. Raises AssertionError where a forked process was
    given up."""
    pairs, names, notes = [], [], []
    for function in functions:
        task = real.tasks[function]
        text = task.broken(real.repository.snapshot)[task.file]
        names += [(function, "gold"), (function, "wrong")]
        pairs += [
            (task, {task.file: read_text(real.repository.snapshot / task.file)}),
            (task, {task.file: with_body(text, find(text, function), WRONG)}),
        ]
    with Judge(
        real.repository,
        LIMITS,
        Suite(preload=real.survey.modules, test_files=real.survey.test_files),
        on_note=notes.append,
    ) as judge:
        judged = dict(zip(names, judge.judge_many(pairs)))
    assert not notes
    return judged


def assert_judged_rightly(real: Real, functions: list[str]) -> None:
    """The gold edits of these functions are resolved, and a wrong edit fails."""
    for (function, edit), verdict in verdicts(real, functions).items():
        assert verdict.status == ("resolved" if edit == "gold" else "failed"), (
            f"{edit} edit of {function}: {verdict.reason}"
        )


# -------------------------------------------------------------------------- functions of every kind


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> Real:
    """A project in a folder of a larger repository."""
    root = make_repo(
        tmp_path_factory.mktemp("larger"),
        {f"projects/kinds/{name}": text for name, text in repositories.KINDS.items()},
    )
    return mined(root / "projects" / "kinds", tmp_path_factory.mktemp("run"))


def test_functions_of_every_kind_become_tasks(kinds):
    assert set(kinds.tasks) == {
        "greet",
        "double",
        "opened",
        "kind",
        "_",
        "make_adder",
        "fib",
        "squares",
        "later",
        "ticks",
        "Base.__init__",
        "Base.describe",
        "Child.describe",
        "Child.__secret",
        "Child.reveal",
        "Account.__init__",
        "Account.doubled",
        "Account.tripled",
        "Account.empty",
        "Account.fee",
        "Account.__eq__",
        "Account.__enter__",
        "Account.__exit__",
        "Point.__post_init__",
        "Point.norm",
        "joined",
        "one_line",
        "conditional",
    }
    # `shout` decorates while the tests are collected; `balance` is a getter and a setter of one
    # name.
    assert kinds.excluded == {
        "function inside a function": 2,
        "function defined more than once": 2,
        "needed while the tests are collected": 1,
    }


def test_a_project_in_a_folder_of_a_larger_repository(kinds):
    assert Path(kinds.repository.root).name == "kinds" and {
        task.file for task in kinds.tasks.values()
    } == {"kinds.py"}


@pytest.mark.long
def test_functions_of_every_kind_are_judged_rightly(kinds):
    # What these give back here no test looks at: another wrong edit would be needed.
    unseen = {"Account.__eq__", "Account.__enter__"}
    assert_judged_rightly(kinds, sorted(set(kinds.tasks) - unseen))


# ------------------------------------------------------------------------------ files of every kind


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Real:
    """With files that git does not know of, and with a submodule."""
    root = make_repo(tmp_path_factory.mktemp("files"), repositories.FILES)
    for name, text in repositories.GENERATED.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    other = make_repo(tmp_path_factory.mktemp("other"), repositories.SUBMODULE)
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "third")
    git(root, "commit", "-qam", "submodule")
    return mined(root, tmp_path_factory.mktemp("run"))


def test_files_of_every_layout_give_tasks(files):
    assert {(task.file, task.function) for task in files.tasks.values()} == {
        ("src/shop/about.py", "about"),
        ("src/acme/billing/core.py", "bill"),
        ("src/acme/mail/send.py", "send"),
        ("flat/core.py", "count"),
        ("single.py", "alone"),
        ("windows.py", "half"),
        ("latin.py", "greet"),
        ("marked.py", "名前"),
        ("third/vendored/lib.py", "base"),
    }
    assert files.excluded == {} and not files.repository.dirty


def test_a_conftest_that_imports_the_project(files):
    assert files.tests_of("alone") == files.tests_of("send") == {"test_sent"}


def test_line_ends_and_encodings_are_kept(files):
    tree = files.repository.snapshot
    for function, before, after in (("half", "", "\r"), ("greet", "", ""), ("名前", "\ufeff", "")):
        task = files.tasks[function]
        broken = task.broken(tree)[task.file]
        assert broken.startswith(before) and {
            line[-1:] == "\r" for line in broken.split("\n")[:-1]
        } == {after == "\r"}
        assert "raise NotImplementedError" in broken and task.gold(tree)[task.file] == read_text(
            tree / task.file
        )


@pytest.mark.parametrize(
    "functions",
    [
        pytest.param(["bill", "count", "half", "greet", "base"], id="some"),
        pytest.param(["about", "send", "alone", "名前"], id="others"),
    ],
)
def test_files_of_every_kind_are_judged_rightly(files, functions):
    assert_judged_rightly(files, functions)


# --------------------------------------------------------------------------------- the project


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")


@pytest.mark.parametrize(
    "place, way", [(".venv", "path"), ("env311", "finder"), ("tools/py", "path")]
)
def test_an_environment_in_the_tree_is_seen_and_is_not_the_project(tmp_path, place, way):
    """It is neither tracked nor ignored; the project is installed in it, editable."""
    root = make_repo(tmp_path / "p", repositories.EDITABLE)
    python = make_venv(root / place)
    packages = site_packages(root / place)
    write(packages, repositories.INSTALLED)
    edit = root / "python/edit"
    write(
        packages,
        {"edit.pth": f"{root}/python\n"}
        if way == "path"
        else {
            "edit.pth": "import edit_finder; edit_finder.install()\n",
            "edit_finder.py": f"PLACE = {str(edit)!r}\n{repositories.FINDER}",
        },
    )
    real = mined(root, tmp_path / "run", python)
    assert {(t.file, t.function, t.tests) for t in real.tasks.values()} == {
        ("python/edit/core.py", "up", ("checks/test_up.py::test_up",))
    }
    assert real.excluded == {} and real.survey.passing == ("checks/test_up.py::test_up",)
    assert {file for file, _, _ in real.survey.functions} == {
        "python/edit/core.py",
        "checks/test_up.py",
    }
    assert {"helper", "pytest"} <= set(real.survey.modules), "they may be loaded beforehand"
    assert not real.repository.dirty
    assert_judged_rightly(real, ["up"])


def test_an_interpreter_in_the_tree_that_nothing_marks(tmp_path):
    """A whole Python, copied into the project's folder, with packages that have tests."""
    base = Path(os.path.realpath("/usr/bin/python3"))
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = Path("/usr/lib") / name
    if base.name != name or not (library / "os.py").exists():
        pytest.skip(f"the system has no {name} to copy")
    root = make_repo(tmp_path / "p", repositories.EDITABLE)
    own = root / "tools/python"
    python = own / "bin" / name
    python.parent.mkdir(parents=True)
    shutil.copy(base, python)
    unneeded = ("test", "idlelib", "tkinter", "__pycache__", "config-*", "sitecustomize.py")
    shutil.copytree(
        library,
        own / "lib" / name,
        ignore=shutil.ignore_patterns(*unneeded),
        ignore_dangling_symlinks=True,
    )
    asked = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[-1])"],
        text=True,
        capture_output=True,
        env={},
    )
    packages = Path(asked.stdout.strip() or "/")
    if own not in packages.parents:
        pytest.skip(f"a copied Python does not work here: {asked.stderr[-200:]}{packages}")
    ours = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
    write(packages, {**repositories.INSTALLED, "ours.pth": "\n".join([*ours, f"{root}/python"])})
    real = mined(root, tmp_path / "run", python)
    assert {(t.file, t.function) for t in real.tasks.values()} == {("python/edit/core.py", "up")}
    assert real.survey.passing == ("checks/test_up.py::test_up",) and real.excluded == {}
    assert all(path in repositories.EDITABLE for path in real.repository.project_files)
    assert_judged_rightly(real, ["up"])


def test_folders_that_are_called_like_something_else_give_tasks(tmp_path):
    real = mined(make_repo(tmp_path / "p", repositories.GUESSED), tmp_path / "run")
    assert {(t.file, t.function) for t in real.tasks.values()} == {
        ("build/plan.py", "order"),
        ("jobs/load.py", "hour"),
        ("node_modules/count.py", "count"),
    }
    assert real.excluded == {}
    assert_judged_rightly(real, ["order", "hour", "count"])


def test_what_git_ignores_is_there_for_tests_and_gives_no_task(tmp_path):
    root = make_repo(tmp_path / "p", {**repositories.IGNORED, "made.py": "# half\n" * 9})
    git(root, "add", "-f", "made.py")
    git(root, "commit", "-qm", "made.py")
    write(
        root,
        {
            "made.py": repositories.MADE["made.py"],
            "tests/test_core.py": repositories.IGNORED["tests/test_core.py"] + "# more\n",
        },
    )
    git(root, "commit", "-qam", "half")
    git(root, "rm", "-q", "--cached", "made.py")
    git(root, "commit", "-qm", "made.py is made from now on")
    write(root, repositories.MADE)
    real = mined(root, tmp_path / "run", kinds=("blank", "revert", "failing"))
    assert {(t.kind, t.file, t.function) for t in real.tasks.values()} == {
        ("blank", "core.py", "quarter"),
        ("blank", "lib/tool.py", "tool"),
    }
    assert real.tests_of("quarter") == {"test_quarter"}
    assert real.excluded == {
        "test failed": 1,
        "test of scratch/, which git ignores": 2,
        "failing test that calls no function of the project": 1,
    }
    assert real.repository.carried == ("made.py", "scratch/")
    assert_judged_rightly(real, ["quarter", "tool"])


def test_where_only_tests_that_git_ignores_pass(tmp_path):
    files = {"core.py": repositories.GUESSED["build/plan.py"], ".gitignore": "tests/\n"}
    root = make_repo(tmp_path / "p", files)
    test = "from core import order\n\n\ndef test_it():\n    assert order([1, 2]) == [2, 1]\n"
    write(root, {"tests/test_core.py": test})
    with pytest.raises(UsageError, match="belongs to the project: 1 x test of tests/, which git"):
        mined(root, tmp_path / "run")


def test_a_file_that_cannot_be_taken_apart_is_named(tmp_path):
    root = make_repo(tmp_path / "p", repositories.UNREAD)
    write(
        root,
        {
            "odd.py": repositories.UNREAD["odd.py"].replace("y =", "z = y ="),
            "test_core.py": repositories.UNREAD["test_core.py"] + "# more\n",
        },
    )
    git(root, "commit", "-qam", "half")
    real = mined(root, tmp_path / "run", kinds=("blank", "revert", "failing"))
    assert {(t.kind, t.function) for t in real.tasks.values()} == {("blank", "quarter")}
    why = "odd.py cannot be taken apart (a bare carriage return)"
    assert real.excluded == {
        "test failed": 1,
        why: 2,
        f"failing test of what cannot be edited: {why}": 1,
    }


# ------------------------------------------------------------------------------ tests of every kind


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> Real:
    return mined(
        make_repo(tmp_path_factory.mktemp("odd place é"), repositories.SUITE),
        tmp_path_factory.mktemp("run"),
    )


def test_tests_of_every_kind_name_their_functions(suite):
    assert {
        function: suite.tests_of(function) for function in suite.tasks if function != "counted"
    } == {
        "make_db": {"test_first", "test_second", "test_third"},
        "module_value": {"test_second", "test_cache"},
        "made": {"test_made"},
        "note": {"test_capsys", "test_capfd", "test_monkeypatch", "test_tmp_path"},
        "backwards": {"test_backwards", "test_slowly"},
        "up": {
            "Up::test_inherited",
            "Down::test_class",
            "Down::test_module",
            "Down::test_subtests",
            "Later::test_later",
        },
        "down": {"Down::test_class", "Down::test_module", "Down::test_subtests"},
    }


def test_odd_ids_are_named(suite):
    counted = suite.tasks["counted"]
    assert (
        len(counted.FAIL_TO_PASS) == 16
        and "tests/test_fixtures.py::test_odd[x.py::test]" in counted.FAIL_TO_PASS
    )
    assert "tests/test_fixtures.py::test_odd[]::x[]" in counted.FAIL_TO_PASS


def test_unreliable_tests_are_left_out(suite):
    excluded = dict(suite.excluded)
    # Each of the twenty lucky tests passes twice, fails twice or is flaky: one in 2**20 runs of
    # this test sees none of the latter.
    assert excluded.pop("flaky test") >= 1 and excluded.pop("test failed") >= 1
    assert excluded == {
        "test skipped": 1,
        "test xfailed": 1,
        "tests fail without the rest of the suite": 1,
    }
    assert not {
        test
        for task in suite.tasks.values()
        for test in task.tests
        if test.startswith("tests/test_unreliable.py")
    }


def test_property_tests_are_the_same_every_time(suite):
    file = "tests/test_properties.py::"
    with Judge(suite.repository, LIMITS) as judge:
        seen = [
            judge.run({"ids": [file + "test_slowly", file + "test_drawn"], "text": True})
            for _ in range(2)
        ]
    assert [reply["outcomes"] for reply in seen] == [
        {file + "test_slowly": "passed", file + "test_drawn": "failed"}
    ] * 2
    assert (
        seen[0]["text"] == seen[1]["text"]
        and "assert not [0, " in seen[0]["text"][file + "test_drawn"]
    )


@pytest.mark.parametrize(
    "functions",
    [
        pytest.param(["make_db", "made", "backwards", "up", "counted"], id="some"),
        pytest.param(["module_value", "note", "down"], id="others"),
    ],
)
def test_tests_of_every_kind_are_judged_rightly(suite, functions):
    assert_judged_rightly(suite, functions)


def test_threads_and_processes(tmp_path):
    real = mined(make_repo(tmp_path / "p", repositories.PROCESSES), tmp_path / "run")
    assert {function: real.tests_of(function) for function in real.tasks} == {
        "in_threads": {"test_threads"},
        "in_process": {"test_process"},
        "forked": {"test_forked"},
        "squared": {"test_threads", "test_process", "test_pool", "test_background"},
    }
    assert real.excluded == {}
    assert_judged_rightly(real, list(real.tasks))


@pytest.mark.long
def test_slow_tests_are_left_out(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            "core.py": "def up(x):\n    return x + 1\n",
            "test_core.py": "import time\n\nfrom core import up\n\n\ndef test_quick():\n    assert "
            "up(1) == 2\n\n\n"
            f"def test_slow():\n    time.sleep({SLOW_SECONDS + 0.2})\n    assert up(1) == 2\n",
        },
    )
    real = mined(root, tmp_path / "run")
    assert real.tests_of("up") == {"test_quick"} and real.excluded == {"slow test": 1}


# --------------------------------------------------------------------------- settings of every kind


def test_two_packages_in_one_repository(tmp_path):
    real = mined(make_repo(tmp_path / "p", repositories.TWO_PACKAGES), tmp_path / "run")
    assert {task.file: task.FAIL_TO_PASS for task in real.tasks.values()} == {
        "packages/one/src/one/core.py": (
            "packages/one/tests/test_one.py::test_up",
            "packages/two/tests/test_two.py::test_down",
        ),
        "packages/two/src/two/core.py": ("packages/two/tests/test_two.py::test_down",),
    }
    assert all(task.hard for task in real.tasks.values()), (
        "the worker does not find the packages where the tests do"
    )
    assert_judged_rightly(real, ["up", "down"])


def test_settings_that_stop_a_run_and_doctests(tmp_path):
    """Doctests of a source file stand in what an edit may change, and are left out; others
    count."""
    real = mined(make_repo(tmp_path / "p", repositories.SETTINGS), tmp_path / "run")
    assert {name: set(task.tests) for name, task in real.tasks.items()} == {
        "up": {"tests/test_core.py::test_core", "tests/test_core.py::test_up"},
        "down": {"guide.rst::guide.rst", "tests/test_core.py::test_down"},
    }
    assert real.excluded == {
        "test failed": 1,
        "doctest of a source file": 3,
        "function that no passing test calls": 1,
    }
    assert_judged_rightly(real, ["up", "down"])


@pytest.mark.skipif(
    importlib.util.find_spec("pytest_cov") is not None, reason="pytest-cov is installed"
)
def test_a_plugin_that_is_missing_is_named(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            "pytest.ini": "[pytest]\naddopts = --cov=core\n",
            "test_core.py": "def test_it():\n    pass\n",
        },
    )
    with pytest.raises(
        UsageError,
        match=r"(?s)The test suite of .* does not run.*unrecognized arguments: --cov=core",
    ):
        mined(root, tmp_path / "run")


# ------------------------------------------------------------------------------------------ plugins


@pytest.fixture(scope="session")
def with_plugins(tmp_path_factory) -> Path:
    """An interpreter with the plugins that projects like best."""
    folder = (
        tmp_path_factory.mktemp("venv") / "v"
    )  # the jail of root must get in, and the folder above is closed to it
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "-q",
        "pytest",
        "hypothesis",
        *(f"pytest-{name}" for name in PLUGINS),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot install pytest's plugins: {done.stderr.strip().splitlines()[-1]}")
    return folder / "bin" / "python"


@pytest.mark.parametrize(
    "settings",
    [
        "addopts = -n 2 --dist loadfile --maxprocesses=2",
        "addopts = --cov=pkg --cov-report=term-missing --cov-report=xml --cov-fail-under=100 "
        "--timeout=5 --timeout-method=thread",
        pytest.param(
            "addopts = -p no:randomly -p no:cacheprovider -p no:xdist --reruns 2 "
            "--basetemp=made/base --import-mode=importlib tests\n"
            "pythonpath = .",
            marks=pytest.mark.long,
        ),
        "addopts = -n auto --cov pkg --no-cov-on-fail --timeout 10 --reruns 2 --randomly-seed=1234 "
        "--lf --sw --strict-markers\n"
        "    --strict-config -W error\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = "
        "function\n"
        "timeout_method = signal\nlog_cli = true",
    ],
)
def test_plugins_that_a_project_asks_for(tmp_path, with_plugins, settings):
    root = make_repo(
        tmp_path / "p", {**repositories.PLUGINS, "pytest.ini": f"[pytest]\n{settings}\n"}
    )
    real = mined(root, tmp_path / "run", with_plugins)
    assert {name: real.tests_of(name) for name in real.tasks} == {
        "later": {"test_later"},
        "up": {"test_up", "test_subtests", "test_seeded", "test_property"},
    }
    assert real.excluded == {"test failed": 1}
    assert_judged_rightly(real, ["later", "up"])


def test_modules_of_a_project_that_are_called_as_ours_inside(tmp_path):
    """The processes in the jail have modules of these names, and the project's are meant."""
    names = (
        "calls",
        "function_patches",
        "in_process",
        "kept",
        "plain",
        "runner",
        "worker",
        "zygote_serve",
    )
    files = {f"{name}.py": f"def {name}_of(x):\n    y = x + 1\n    return y\n" for name in names}
    files["test_all.py"] = "".join(f"from {name} import {name}_of\n" for name in names) + "".join(
        f"\n\ndef test_{name}():\n    assert {name}_of(1) == 2\n" for name in names
    )
    real = mined(make_repo(tmp_path / "p", files), tmp_path / "run")
    assert set(real.tasks) == {f"{name}_of" for name in names} and real.excluded == {}
    assert all(task.hard for task in real.tasks.values())
    assert_judged_rightly(real, ["plain_of", "runner_of"])


# ------------------------------------------------------------------------------ compiled, and large


def test_an_extension_in_c_that_was_built_in_place(tmp_path):
    include = sysconfig.get_path("include")
    if not shutil.which("gcc") or not (Path(include) / "Python.h").exists():
        pytest.skip("there is no gcc, or Python was installed without its headers")
    root = make_repo(tmp_path / "p", repositories.EXTENSION)
    built = root / "src" / "fast" / f"_speed{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-I", include, root / "src" / "fast" / "_speed.c", "-o", built],
        check=True,
    )
    real = mined(root, tmp_path / "run")
    assert (
        real.tests_of("plus_two") == {"test_plus_two"}
        and real.excluded == {}
        and not real.repository.dirty
    )
    assert_judged_rightly(real, ["plus_two"])


@pytest.mark.long
def test_thirty_thousand_tests(tmp_path):
    files = {}
    for module in range(30):
        files[f"m{module}.py"] = "\n\n".join(
            f"def f{module}_{i}(x):\n    return x + {i}\n" for i in range(10)
        )
        files[f"tests/test_m{module}.py"] = f"import m{module}\nimport pytest\n" + "".join(
            f"\n\n@pytest.mark.parametrize('x', range(100))\ndef test_f{i}(x):\n    assert "
            f"m{module}.f{module}_{i}(x) == x + {i}\n"
            for i in range(10)
        )
    real = mined(make_repo(tmp_path / "p", files), tmp_path / "run", limit=4)
    assert len(real.survey.passing) == 30_000 and len(real.tasks) == 4 and real.excluded == {}
    assert all(len(task.FAIL_TO_PASS) == 40 for task in real.tasks.values())
    assert_judged_rightly(real, list(real.tasks))
