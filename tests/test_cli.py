"""The command line, mostly in processes of its own: what a person reads, what a machine reads, and
what each bad input leads to."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import coldstart
from sandbox.jail.inside import landlock
from tests.conftest import CALC, ROOT, git, make_repo, run_cli
from tests.written_run import write_run

GOLD = "    if not xs:\n        raise ValueError('no data')\n    return sum(xs) / len(xs)\n"
MEAN = "blank-calc.core.mean"


def last_line(done: subprocess.CompletedProcess) -> dict:
    """The object in the last line of standard output, which is the only one."""
    assert done.stdout.count("\n") == 1, done.stdout
    return json.loads(done.stdout)


def refused(*arguments, cwd, says: str | list[str]) -> None:
    """The command, in this process, ends with these sentences and exit code 2, and with no error of
    its own."""
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(coldstart.cli, list(map(str, arguments)))
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), (
        done.exception,
        done.output,
    )
    assert done.stderr.startswith("coldstart: ") or "\ncoldstart: " in done.stderr, done.stderr
    for text in [says] if isinstance(says, str) else says:
        assert text in done.stderr, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the calc repository, in which its tasks have been mined into runs/calc."""
    folder = tmp_path_factory.mktemp("place")
    make_repo(folder / "calc", CALC)
    folder.joinpath("tasks.out").write_text(
        run_cli(
            "tasks",
            "--repo",
            "calc",
            "--recipe",
            "nano",
            "--run",
            "runs/calc",
            "--json",
            cwd=folder,
        ).stdout
    )
    return folder


# --------------------------------------------------------------------------------- quick, and light


def test_help_is_quick(tmp_path):
    times = []
    for _ in range(3):
        started = time.monotonic()
        done = run_cli("--help", cwd=tmp_path)
        times.append(time.monotonic() - started)
    assert min(times) < 0.5, times
    assert all(
        command in done.stdout
        for command in (
            "demo",
            "doctor",
            "tasks",
            "judge",
            "bootstrap",
            "climb",
            "status",
            "eval",
            "report",
        )
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "doctor",
        "tasks",
        "judge",
        "bootstrap",
        "climb",
        "selfdistil",
        "status",
        "eval",
        "fix",
        "report",
        "export",
        "teacher",
        "cache",
    ],
)
def test_every_command_has_help(command):
    done = CliRunner().invoke(coldstart.cli, [command, "--help"])
    assert done.exit_code == 0 and "Usage" in done.output and len(done.output.splitlines()) > 4


HEAVY = """
import atexit, os, runpy, sys
atexit.register(lambda: print("HEAVY", sorted({n.partition(".")[0] for n in sys.modules} & {"torch", "transformers", "peft", "unsloth", "numpy", "bitsandbytes"})))
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["tasks", "--repo", "calc", "--run", "runs/calc"],
        ["status", "--run", "runs/calc"],
        ["tasks", "--run", "runs/calc", "--prompts", "shown"],
        ["judge", MEAN, "--run", "runs/calc", "--reply", "reply"],
        ["--help"],
    ],
    ids=lambda a: a[0],
)
def test_what_needs_no_torch_imports_none(place, arguments):
    (place / "reply").write_text(GOLD)
    done = subprocess.run(
        [sys.executable, "-c", HEAVY, str(ROOT / "coldstart.py"), *arguments],
        cwd=place,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.splitlines()[-1]
    assert loaded == "HEAVY []" or arguments[0] == "status" and loaded == "HEAVY ['numpy']"


# ------------------------------------------------------------------------------------------- demo


def test_demo_writes_where_nothing_is(tmp_path):
    done = run_cli("demo", "practice", cwd=tmp_path)
    assert "bootstrap --repo practice" in done.stdout
    assert git(tmp_path / "practice", "status", "--porcelain") == ""
    before = sorted(p for p in (tmp_path / "practice").rglob("*"))
    refused("demo", "practice", cwd=tmp_path, says="practice")
    (tmp_path / "file").write_text("mine")
    refused("demo", "file", cwd=tmp_path, says="file")
    assert (
        sorted(p for p in (tmp_path / "practice").rglob("*")) == before
        and (tmp_path / "file").read_text() == "mine"
    )


# ------------------------------------------------------------------------------------------- tasks


def test_tasks_for_machines(place):
    result = json.loads((place / "tasks.out").read_text().splitlines()[-1])
    assert (place / "tasks.out").read_text().count("\n") == 1
    assert {"run", "repo", "commit", "python", "counts", "excluded", "seconds", "tasks"} <= set(
        result
    )
    assert (
        result["repo"] == str(place / "calc")
        and result["commit"] == git(place / "calc", "rev-parse", "HEAD").strip()
    )
    assert result["python"] == sys.executable and result["excluded"] == {
        "function that no passing test calls": 1
    }
    assert (
        result["counts"] == {"blank": {"train": 5, "heldout": 1}}
        and Path(result["run"]).name == "calc"
    )
    for task in result["tasks"]:
        assert {
            "instance_id",
            "kind",
            "split",
            "file",
            "function",
            "fail_to_pass",
            "pass_to_pass",
            "twins",
        } <= set(task)
    mean = next(t for t in result["tasks"] if t["instance_id"] == MEAN)
    assert (
        mean["kind"],
        mean["file"],
        mean["function"],
        mean["fail_to_pass"],
        mean["pass_to_pass"],
    ) == ("blank", "calc/core.py", "mean", 3, 0)


def test_tasks_again_are_the_same(place):
    again = last_line(run_cli("tasks", "--run", "runs/calc", "--json", cwd=place))
    assert again == json.loads((place / "tasks.out").read_text().splitlines()[-1])


def test_tasks_for_people(place):
    done = run_cli("tasks", "--repo", "calc", "--run", "runs/calc", cwd=place)
    assert MEAN in done.stdout and "3 tests to mend" in done.stdout and done.stderr == ""


@pytest.mark.slow
def test_a_dirty_work_tree_goes_on_and_says_so(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            "a.py": "def up(x):\n    return abs(x)\n",
            "test_a.py": "from a import up\n\n\ndef test_up():\n    assert up(1) == 1\n",
        },
    )
    (root / "a.py").write_text("def up(x):\n    return abs(x)\n\n\ndef down(x):\n    return -x\n")
    (root / "test_b.py").write_text(
        "from a import down\n\n\ndef test_down():\n    assert down(1) == -1\n"
    )
    done = run_cli("tasks", "--repo", "p", "--recipe", "nano", "--json", cwd=tmp_path)
    assert "uncommitted changes" in done.stderr and "last commit plus these changes" in done.stderr
    assert {t["function"] for t in last_line(done)["tasks"]} == {"up", "down"}
    assert "\r" not in done.stderr and "\x1b" not in done.stderr and "it/s" not in done.stderr, (
        "a progress bar where nobody looks"
    )
    # Without --run there is a folder of its own, and runs/latest leads to it.
    assert (tmp_path / "runs" / "latest").resolve().name.startswith("p-")
    assert last_line(run_cli("status", "--json", cwd=tmp_path))["run"].endswith(
        (tmp_path / "runs" / "latest").resolve().name
    )
    # A run is gone on with, as long as it fits: the same command gives no second one.
    run_cli("tasks", "--repo", "p", "--recipe", "nano", cwd=tmp_path)
    assert len(list((tmp_path / "runs").glob("p-*"))) == 1


# ------------------------------------------------------------------------------------------- judge


def judge(place, *options, check, task=MEAN) -> dict:
    return last_line(
        run_cli("judge", task, "--run", "runs/calc", "--json", *options, cwd=place, check=check)
    )


def overlay(tmp_path, text: str, path: str = "calc/core.py") -> Path:
    (tmp_path / "overlay" / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "overlay" / path).write_text(text)
    return tmp_path / "overlay"


@pytest.mark.slow
def test_judge_with_a_reply(place, tmp_path):
    (tmp_path / "right").write_text(GOLD)
    verdict = judge(place, "--reply", tmp_path / "right", check=0)
    assert {"instance_id", "status", "reward", "reason", "stage", "tests", "seconds"} <= set(
        verdict
    )
    assert (verdict["instance_id"], verdict["status"], verdict["reward"], verdict["stage"]) == (
        MEAN,
        "resolved",
        1.0,
        "confirm",
    )
    assert (
        len(verdict["tests"]) == 3
        and set(verdict["tests"].values()) == {"passed"}
        and isinstance(verdict["seconds"], float)
    )
    (tmp_path / "wrong").write_text("return 0\n")
    verdict = judge(place, "--reply", tmp_path / "wrong", check=1)
    assert (
        verdict["status"] == "failed" and verdict["reward"] == 0.0 and verdict["stage"] == "screen"
    )
    (tmp_path / "nothing").write_text("")
    assert judge(place, "--reply", tmp_path / "nothing", check=1)["status"] == "invalid"


@pytest.mark.slow
def test_judge_with_an_overlay(place, tmp_path):
    folder = overlay(tmp_path, CALC["calc/core.py"])
    assert judge(place, "--overlay", folder, check=0)["status"] == "resolved"
    assert (
        judge(place, "--overlay", overlay(tmp_path, "", "conftest.py"), check=1)["stage"] == "gate"
    )


@pytest.mark.slow
def test_judge_with_a_patch(place, tmp_path):
    from sandbox import patches
    from sandbox.source import blanked, find

    intact = CALC["calc/core.py"]
    broken = blanked(intact, find(intact, "mean"))
    (tmp_path / "right.diff").write_text(patches.make(broken, intact, "calc/core.py"))
    assert judge(place, "--patch", tmp_path / "right.diff", check=0)["status"] == "resolved"
    # As a shell of Windows writes it, with words around it and names of two folders.
    text = f"Here:\n```diff\n{patches.make(broken, intact, 'calc/core.py')}```\n"
    text = text.replace(" a/", " old/").replace(" b/", " new/").replace("\n", "\r\n")
    (tmp_path / "right.diff").write_bytes(text.encode("utf-16"))
    assert judge(place, "--patch", tmp_path / "right.diff", check=0)["status"] == "resolved"
    (tmp_path / "wrong.diff").write_text(patches.make(intact, broken, "calc/core.py"))
    verdict = judge(place, "--patch", tmp_path / "wrong.diff", check=1)
    assert (verdict["status"], verdict["stage"]) == (
        "invalid",
        "gate",
    ) and "does not apply" in verdict["reason"]


def test_judge_for_people(place, tmp_path):
    (tmp_path / "right").write_text(GOLD)
    done = run_cli("judge", MEAN, "--run", "runs/calc", "--reply", tmp_path / "right", cwd=place)
    assert done.stdout.startswith("resolved: All 3 tests passed.") and done.stderr == ""


def test_judge_with_too_much_or_too_little(place, tmp_path):
    (tmp_path / "reply").write_text(GOLD)
    folder = overlay(tmp_path, CALC["calc/core.py"])
    says = "exactly one of --overlay DIR, --patch FILE and --reply FILE"
    refused("judge", MEAN, "--run", "runs/calc", cwd=place, says=says)
    refused(
        "judge",
        MEAN,
        "--run",
        "runs/calc",
        "--reply",
        tmp_path / "reply",
        "--overlay",
        folder,
        cwd=place,
        says=says,
    )
    refused(
        "judge",
        MEAN,
        "--run",
        "runs/calc",
        "--reply",
        tmp_path / "gone",
        cwd=place,
        says=["gone", "cannot be read"],
    )
    refused(
        "judge", MEAN, "--run", "runs/calc", "--patch", tmp_path, cwd=place, says="cannot be read"
    )
    refused(
        "judge",
        MEAN,
        "--run",
        "runs/calc",
        "--overlay",
        tmp_path / "gone",
        cwd=place,
        says="is not a folder",
    )


def test_an_unknown_task_and_the_nearest_ones(place, tmp_path):
    (tmp_path / "reply").write_text(GOLD)
    refused(
        "judge",
        "blank-calc.core.maen",
        "--run",
        "runs/calc",
        "--reply",
        tmp_path / "reply",
        cwd=place,
        says=["no task 'blank-calc.core.maen'", f"Did you mean {MEAN}"],
    )


# ------------------------------------------------------------------------------ without a command


def home(folder: Path) -> str:
    with contextlib.chdir(folder):
        done = CliRunner().invoke(coldstart.cli, [])
    assert done.exit_code == 0 and done.stderr == ""
    return done.stdout


def test_without_a_command_it_says_how_to_begin(tmp_path):
    said = home(tmp_path)
    commands = [line for line in said.splitlines() if line.startswith("  python coldstart.py ")]
    assert [line.split()[2] for line in commands] == ["demo", "bootstrap", "climb"]
    assert all(len(line) <= 79 for line in said.splitlines())
    for line in commands:  # each can be given like this
        name, *rest = line.split()[2:]
        coldstart.cli.commands[name].make_context(name, rest).close()


def test_without_a_command_it_says_where_the_latest_run_stands(calc, tmp_path):
    run = write_run(tmp_path / "runs" / "one", calc)
    run.point_latest_here()
    said = home(tmp_path).splitlines()
    assert said[0] == "runs/one" and said[1].startswith("bootstrapped, 6 of 6 cycles climbed; last")
    assert said[2].startswith("It now solves ") and said[2].endswith(".")
    assert "  python coldstart.py climb --cycles 12" in said, "the latest run need not be named"
    half = write_run(tmp_path / "runs" / "two", calc, upto="before")
    half.point_latest_here()
    said = home(tmp_path)
    assert "It now" not in said and "  python coldstart.py bootstrap --run runs/two\n" in said


def test_without_a_command_a_damaged_run_is_said(calc, tmp_path):
    run = write_run(tmp_path / "runs" / "one", calc)
    run.point_latest_here()
    (run.folder / "run.json").write_text("{")
    refused(cwd=tmp_path, says="run.json is damaged")


# ---------------------------------------------------------- status and climb without what they need


@pytest.mark.slow
def test_status(place):
    result = last_line(run_cli("status", "--run", "runs/calc", "--json", cwd=place))
    assert result["cycles"] == 0 and result["probes"] == {} and "bootstrap --run" in result["next"]
    done = run_cli("status", "--run", "runs/calc", cwd=place)
    assert "bootstrap --run" in done.stdout and done.stderr == ""


def test_climb_and_status_with_no_run(tmp_path):
    for command in ("climb", "status"):
        refused(command, cwd=tmp_path, says="There is no run yet")
        refused(command, "--run", "nothing", cwd=tmp_path, says="There is no run in nothing")


def test_climb_before_bootstrap(place):
    refused(
        "climb",
        "--run",
        "runs/calc",
        cwd=place,
        says=["has not been bootstrapped", "bootstrap --run runs/calc"],
    )


def test_a_run_of_another_version_and_a_damaged_one(place, tmp_path):
    shutil.copytree(place / "runs" / "calc", tmp_path / "run")
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**content, "format": 99}))
    for command in (["status"], ["tasks"], ["judge", MEAN, "--reply", "x"]):
        refused(
            *command, "--run", "run", cwd=tmp_path, says="another version of coldstart (format 99"
        )
    (tmp_path / "run" / "run.json").write_text(json.dumps(content)[:200])
    for command in ("climb", "bootstrap"):
        refused(command, "--run", "run", cwd=tmp_path, says="run.json is damaged")


@pytest.mark.parametrize(
    "file", ["tasks.jsonl", "metrics.jsonl", "mining.jsonl", "survey.json", "verdicts.jsonl"]
)
@pytest.mark.parametrize("damage", [b"{half\n{}\n", b"3\n"])
def test_a_damaged_file_of_a_run(place, tmp_path, file, damage):
    shutil.copytree(place / "runs" / "calc", tmp_path / "run")
    (tmp_path / "run" / file).write_bytes(damage)
    (tmp_path / "reply").write_text(GOLD)
    command = {
        "metrics.jsonl": ["status"],
        "mining.jsonl": ["tasks"],
        "survey.json": ["tasks"],
    }.get(file, ["judge", MEAN, "--reply", "reply"])
    if command == ["tasks"]:  # cut off in the middle of mining
        content = json.loads((tmp_path / "run" / "run.json").read_text())
        (tmp_path / "run" / "run.json").write_text(json.dumps({**content, "done": []}))
    refused(*command, "--run", "run", cwd=tmp_path, says=[file, "damaged"])


def test_a_run_of_another_repository(place, tmp_path):
    make_repo(tmp_path / "other", {"a.py": ""})
    refused(
        "tasks",
        "--repo",
        tmp_path / "other",
        "--run",
        "runs/calc",
        cwd=place,
        says=["is a run of", "other"],
    )


def test_no_jail_to_judge_in(place, tmp_path):
    (tmp_path / "reply").write_text("return 1\n")
    done = without_jails(
        "judge",
        MEAN,
        "--run",
        "runs/calc",
        "--reply",
        tmp_path / "reply",
        cwd=place,
        folder=tmp_path,
    )
    assert (
        done.returncode == 2
        and "No working jail" in done.stderr
        and "apt install bubblewrap" in done.stderr
    ), done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    landlock.version() < landlock.MINIMUM, reason="this kernel has no Landlock of version 6"
)
def test_the_second_jail_is_announced(place, tmp_path):
    (tmp_path / "reply").write_text("return 1\n")
    done = run_cli(
        "judge",
        MEAN,
        "--run",
        "runs/calc",
        "--reply",
        tmp_path / "reply",
        cwd=place,
        env={"PATH": only_git(tmp_path)},
        check=1,
    )
    assert (
        "The jail is made of Landlock" in done.stdout
        and "because bubblewrap is not installed" in done.stdout
        and "apt install bubblewrap" in done.stdout
    )


def only_git(folder: Path) -> str:
    """A PATH with no bubblewrap in it."""
    (folder / "bin").mkdir()
    os.symlink(shutil.which("git"), folder / "bin" / "git")
    return str(folder / "bin")


NO_LANDLOCK = """
import ctypes, os, struct, sys
filter = b"".join(struct.pack("HBBI", *i) for i in [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)])
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(Program(4, filter)), 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Starts Python where the kernel knows no landlock_create_ruleset, as one before Linux 5.13."""


def without_jails(*arguments, cwd: Path, folder: Path) -> subprocess.CompletedProcess:
    """coldstart.py on a machine with neither bubblewrap nor Landlock."""
    return subprocess.run(
        [sys.executable, "-c", NO_LANDLOCK, str(ROOT / "coldstart.py"), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": only_git(folder)},
        timeout=300,
    )


# ------------------------------------------------------------------- repositories that give nothing


@pytest.mark.slow
def test_what_lies_beside_a_run_that_was_named_is_not_replaced(tmp_path):
    (tmp_path / "latest").write_text("mine")
    make_repo(tmp_path / "p", {"a.py": ""})
    refused(
        "tasks",
        "--repo",
        "p",
        "--recipe",
        "nano",
        "--run",
        "run",
        cwd=tmp_path,
        says="finds no tests",
    )
    assert (tmp_path / "run" / "run.json").exists()
    assert (tmp_path / "latest").read_text() == "mine"


def test_which_repository(tmp_path):
    refused("tasks", cwd=tmp_path, says="Name it with --repo DIR")


@pytest.mark.parametrize(
    "name, says",
    [
        ("nothing", "is not a folder"),
        ("file", "is not a folder"),
        ("plain", "is not a git repository"),
        ("empty", "has no commits yet"),
        ("bare", "bare"),
    ],
)
def test_what_is_no_repository(tmp_path, name, says):
    if (
        name == "plain"
        and subprocess.run(["git", "rev-parse"], cwd=tmp_path, capture_output=True).returncode == 0
    ):
        pytest.skip("the folder of temporary files lies in a git repository")
    (tmp_path / "file").write_text("")
    (tmp_path / "plain").mkdir()
    (tmp_path / "bare").mkdir()
    git(tmp_path / "bare", "init", "-q", "--bare")
    make_repo(tmp_path / "empty", {"a.py": ""}, commit=False)
    refused("tasks", "--repo", name, "--recipe", "nano", cwd=tmp_path, says=says)
    assert not (tmp_path / "runs").exists()


SUITES = {
    "no tests": ({"a.py": "def f():\n    pass\n"}, ["pytest finds no tests"]),
    "a suite that does not run": (
        {
            "conftest.py": "import a_module_that_is_missing\n",
            "test_a.py": "def test():\n    pass\n",
        },
        ["does not run", "The last lines of pytest", "a_module_that_is_missing"],
    ),
    "settings that pytest refuses": (
        {
            "pytest.ini": "[pytest]\naddopts = --no-such-option\n",
            "test_a.py": "def test():\n    pass\n",
        },
        ["does not run", "--no-such-option"],
    ),
    "nothing that can be collected": (
        {"test_a.py": "import a_module_that_is_missing\n"},
        ["does not run", "a_module_that_is_missing"],
    ),
    "nothing that passes": (
        {
            "a.py": "def f():\n    return 1\n",
            "test_a.py": "from a import f\n\n\ndef test_f():\n    assert f() == 2\n",
        },
        ["No test of", "passes twice in a row", "The last lines of pytest", "test_f"],
    ),
    "no function that is covered": (
        {"a.py": "def f():\n    return 1\n", "test_a.py": "def test():\n    assert 1\n"},
        ["No function of", "can be made a task"],
    ),
    "a suite that ends itself": (
        {"conftest.py": "import os\nos._exit(0)\n", "test_a.py": "def test():\n    pass\n"},
        ["does not run"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "no tests")) for name in SUITES]
)
def test_a_suite_that_gives_nothing(tmp_path, name):
    files, says = SUITES[name]
    make_repo(tmp_path / "p", files)
    refused("tasks", "--repo", "p", "--recipe", "nano", cwd=tmp_path, says=says)


def test_pytest_is_missing(tmp_path):
    root = make_repo(tmp_path / "p", {"a.py": ""})
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    refused(
        "tasks",
        "--repo",
        "p",
        "--recipe",
        "nano",
        cwd=tmp_path,
        says=[
            "pytest is not installed in the project's interpreter",
            ".venv/bin/python -m pip install pytest",
        ],
    )
    refused(
        "tasks",
        "--repo",
        "p",
        "--recipe",
        "nano",
        "--python",
        "python-that-is-nowhere",
        cwd=tmp_path,
        says="there is no such interpreter",
    )


@pytest.mark.parametrize("command", ["tasks", "bootstrap"])
def test_no_jail(tmp_path, command):
    make_repo(tmp_path / "p", {"a.py": "", "test_a.py": "def test():\n    pass\n"})
    done = without_jails(command, "--repo", "p", "--recipe", "nano", cwd=tmp_path, folder=tmp_path)
    assert (
        done.returncode == 2
        and "No working jail" in done.stderr
        and "apt install bubblewrap" in done.stderr
    ), done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "options, says",
    [
        (["--recipe", "rtx-5gb"], "There is no recipe 'rtx-5gb'"),
        (["--set", "climb.cycels=3"], "Did you mean 'climb.cycles'?"),
        (["--set", "climb.cycles=many"], "'climb.cycles' must be a whole number"),
        (["--set", "climb.cycles"], "key.path=value"),
        (["--run", "full"], "is not empty and is not a run"),
    ],
)
def test_a_recipe_or_folder_that_cannot_be_used(tmp_path, options, says):
    make_repo(tmp_path / "p", {"a.py": "", "test_a.py": "def test():\n    pass\n"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    refused("tasks", "--repo", "p", "--recipe", "nano", *options, cwd=tmp_path, says=says)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["tasks", "--nonsense"],
        ["judge"],
        ["climb", "--cycles", "0"],
        ["climb", "--minutes", "x"],
        ["tasks", "--limit", "-1"],
    ],
)
def test_bad_usage(arguments):
    done = CliRunner().invoke(coldstart.cli, arguments)
    assert done.exit_code == 2 and "Usage" in done.stderr and "Error" in done.stderr


@pytest.mark.slow
def test_a_full_disk(place, tmp_path):
    shutil.copytree(place / "runs" / "calc", tmp_path / "run")
    (tmp_path / "reply").write_text("return 5\n")
    run_cli("judge", MEAN, "--run", "run", "--reply", "reply", cwd=tmp_path, check=1)
    (tmp_path / "reply").write_text("return 6\n")
    lines = (tmp_path / "run" / "verdicts.jsonl").read_bytes()
    (tmp_path / "run" / "verdicts.jsonl").write_bytes(lines * (300_000 // len(lines)))
    limited = (
        f"ulimit -S -f 400; exec {sys.executable} {ROOT / 'coldstart.py'} judge {MEAN} "
        "--run "
        "run --reply reply"
    )
    done = subprocess.run(["/bin/sh", "-c", limited], cwd=tmp_path, capture_output=True, text=True)
    assert (
        done.returncode == 2
        and "Traceback" not in done.stderr
        and "File too large" in done.stderr
        and "again" in done.stderr
    ), done.stderr


def test_who_reads_only_the_beginning_is_told_nothing_more(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, str(ROOT / "coldstart.py"), "demo", str(tmp_path / "practice")]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 1 and done.stderr == ""


BREAKS = """
import subprocess, sys; sys.path.insert(0, sys.argv[1])
import coldstart

@coldstart.cli.command()
def breaks():
    child = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    child.wait()
    child.stdin.write(b"more")
    child.stdin.flush()

coldstart.cli(["breaks"])
"""


@pytest.mark.parametrize("closed", ["nothing", "stdout", "stderr"])
def test_a_pipe_to_a_program_of_ours_is_not_our_output(closed):
    """It breaks the same way, and only where nobody reads what we say there is silence."""
    reader, writer = os.pipe()
    os.close(reader)
    ends = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {closed: writer}
    ends.pop("nothing", None)
    done = subprocess.run([sys.executable, "-c", BREAKS, str(ROOT)], text=True, **ends)
    os.close(writer)
    if closed == "nothing":
        assert done.returncode == 3 and "ended before its time" in done.stderr
        assert "Traceback" not in done.stderr and done.stdout == ""
    else:
        assert done.returncode == 1 and not done.stdout and not done.stderr


@pytest.mark.slow
def test_a_partial_clone_whose_remote_is_gone(tmp_path):
    """git cannot give what is missing; that is said, and other kinds of task are there."""
    source = "def up(x):\n    return abs(x)\n"
    test = "from a import up\n\n\ndef test_up():\n    assert up(-1) == 1\n"
    root = make_repo(tmp_path / "origin", {"a.py": source.replace("abs(x)", "x"), "test_a.py": ""})
    for name, text in (("a.py", source), ("test_a.py", test)):
        (root / name).write_text(text)
    git(root, "commit", "-qam", "mend")
    git(root, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{root}", "clone")
    root.rename(tmp_path / "gone")
    says = "this clone is partial (git fetch --refetch --no-filter brings the rest)"
    command = ["tasks", "--repo", "clone", "--recipe", "nano"]
    refused(
        *command,
        "--kinds",
        "revert",
        "--run",
        "one",
        cwd=tmp_path,
        says=["can be made a task: 1 x commit that is not all there", says],
    )
    done = run_cli(*command, "--kinds", "revert,blank", "--run", "two", cwd=tmp_path)
    assert "blank-a.up" in done.stdout and says in done.stdout


@pytest.mark.slow
def test_an_interruption(tmp_path):
    import signal

    make_repo(
        tmp_path / "p",
        {
            "a.py": "def f():\n    return 1\n",
            "test_a.py": "import time\nfrom a import f\n\n\ndef test_f():\n    time.sleep(60)\n    "
            "assert f() == 1\n",
        },
    )
    process = subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "coldstart.py"),
            "tasks",
            "--repo",
            "p",
            "--recipe",
            "nano",
            "--run",
            "run",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "run.json").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and "Interrupted" in errors and "Traceback" not in errors
