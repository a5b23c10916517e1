"""`fix` from end to end: a student that knows some functions mends them where they were broken, and
says so where it cannot."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from coldstart import confirm, open_screen
from recipes.fix import write_fixes
from recipes.fixing.options import FixOptions
from recipes.reporting.terminal import coloured
from sandbox.errors import UsageError
from sandbox.source import find, read_text, with_body
from sandbox.worktree import WorkTree
from tests.conftest import ROOT, git, make_repo, run_cli
from tests.test_arc import last_line, lines, make_student, settings
from tests.test_run import HOLD
from tests.test_worktree import digests
from tests.tiny import make_tokenizer

pytestmark = pytest.mark.slow

WORDS = {
    "sum_of": "sum",
    "largest_of": "max",
    "smallest_of": "min",
    "count_of": "len",
    "sorted_of": "sorted",
    "any_of": "any",
    "all_of": "all",
    "set_of": "set",
}
SOURCE = "".join(
    f'def {name}(items):\n    """Return the {what} of items."""\n    return {what}(items)\n\n\n'
    for name, what in WORDS.items()
)
TESTS = (
    "from kit.core import "
    + ", ".join(WORDS)
    + "\n\n\n"
    + "".join(
        f"def test_{name}():\n    assert {name}([3, 1, 2]) == {eval(what)([3, 1, 2])!r}\n\n\n"
        f"def test_{name}_again():\n    assert {name}([0, 0, 5, 4]) == "
        f"{eval(what)([0, 0, 5, 4])!r}\n\n\n"
        for name, what in WORDS.items()
    )
)
KIT = {"kit/__init__.py": "", "kit/core.py": SOURCE, "tests/test_core.py": TESTS}
CORE = "kit/core.py"
GIT = ("objects", "refs", "logs")
"""Folders in which a new branch is kept."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the repository `kit` and a bootstrapped `run` of it."""
    folder = tmp_path_factory.mktemp("place")
    make_repo(folder / "kit", KIT)
    student = make_student(folder / "student", steps=120)
    run_cli(
        "bootstrap",
        "--repo",
        "kit",
        "--run",
        "run",
        *settings(student, **{"tasks.limit": 0, "distil.steps": 80}),
        cwd=folder,
    )
    return folder


@pytest.fixture(scope="module")
def known(place) -> str:
    """A function that the student was taught and has learned."""
    probes = [p for p in lines(place / "run" / "probe.jsonl") if p["phase"] == "after"]
    best = max(probes, key=lambda p: p["resolved"])
    assert best["resolved"] == best["k"], "nothing was mastered"
    return best["instance_id"].rpartition(".")[2]


@pytest.fixture(scope="module")
def unknown(place) -> str:
    """One that it never was shown, and cannot write."""
    probes = [
        p
        for p in lines(place / "run" / "probe.jsonl")
        if p["phase"] == "after" and not p["resolved"]
    ]
    return min(probes, key=lambda p: p["instance_id"])["instance_id"].rpartition(".")[2]


def broken_clone(place: Path, name: str, *functions: str) -> Path:
    """A clean clone of the repository, in which the last commit breaks these functions."""
    clone = place / name
    git(place, "clone", "-q", "kit", name)
    for function in functions:
        text = read_text(clone / CORE)
        (clone / CORE).write_text(with_body(text, find(text, function), "return 12345"))
    git(clone, "commit", "-qam", "a mistake")
    return clone


def test_it_mends_what_it_knows_and_touches_nothing_unasked(place, known):
    clone = broken_clone(place, "mended", known)
    before = digests(clone)
    done = run_cli("fix", "--repo", clone, "--run", "run", "--json", cwd=place)
    said = last_line(done)
    assert digests(clone) == before, "the user's repository was touched"
    (outcome,) = said["outcomes"]
    assert (
        outcome["fixed"]
        and said["left"] == []
        and len(said["failing"]) == 2
        and not said["applied"]
    )
    assert (
        f"-    return 12345\n+    return {WORDS[known]}(items)" in outcome["patch"]
        and "tests/" not in outcome["patch"]
    )
    assert (
        outcome["verified"]["changed"] == [f"{CORE}::{known}"]
        and outcome["verified"]["failed_before"] == 2
    )
    assert (
        "Verified in the jail" in done.stderr
        and "Nothing was written" in done.stderr
        and "only this once" in done.stderr
    )
    assert done.stdout.count("\n") == 1
    # The second time torch is not needed: it cannot even be imported. On a branch beside work tree
    # and index.
    (place / "none" / "torch").mkdir(parents=True)
    (place / "none" / "torch" / "__init__.py").write_text(
        "raise RuntimeError('torch was imported')\n"
    )
    kept = digests(clone, without=GIT)
    done = run_cli(
        "fix",
        f"tests/test_core.py::test_{known}",
        "--repo",
        clone,
        "--run",
        "run",
        "--branch",
        "mend/it",
        "--json",
        cwd=place,
        env={"PYTHONPATH": str(place / "none")},
    )
    assert (
        digests(clone, without=GIT) == kept
        and last_line(done)["branch"] == "mend/it"
        and "only this once" not in done.stderr
    )
    assert (
        last_line(done)["outcomes"][0]["patch"] == outcome["patch"]
        and git(clone, "show", f"mend/it:{CORE}") == SOURCE
    )


def test_it_says_what_it_cannot_mend_and_writes_the_rest(place, known, unknown):
    clone = broken_clone(place, "unsolved", known, unknown)
    before = digests(clone, without=(".git",))
    done = run_cli(
        "fix",
        "--repo",
        clone,
        "--run",
        "run",
        "--json",
        "--samples",
        8,
        "--apply",
        cwd=place,
        check=1,
    )
    said = last_line(done)
    solved = {outcome["functions"][0].rpartition("::")[2]: outcome for outcome in said["outcomes"]}
    assert solved[known]["fixed"] and not solved[unknown]["fixed"] and said["applied"]
    names = {f"tests/test_core.py::test_{unknown}", f"tests/test_core.py::test_{unknown}_again"}
    assert set(said["left"]) == names and set() < set(solved[unknown]["remaining"]) <= names
    assert (
        solved[unknown]["samples"] == sum(solved[unknown]["counts"].values()) >= 8
        and "resolved" not in solved[unknown]["counts"]
    )
    assert "Not solved" in done.stderr and "2 of 4 failing tests mended" in done.stderr
    text, after = read_text(clone / CORE), digests(clone, without=(".git",))
    assert f"return {WORDS[known]}(items)" in text and text.count("return 12345") == 1
    assert set(after) == set(before) and {
        path for path in after if after[path] != before[path]
    } == {CORE}


def test_a_student_is_used_beside_a_process_that_holds_its_run(place, known):
    clone, content = broken_clone(place, "beside", known), (place / "run" / "run.json").read_bytes()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, place / "run"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        assert last_line(run_cli("fix", "--repo", clone, "--run", "run", "--json", cwd=place))[
            "outcomes"
        ][0]["fixed"]
        said = last_line(run_cli("eval", "--run", "run", "--k", "1", "--json", cwd=place))
        assert said["probe"]["heldout"]["n"] == len(
            {r["instance_id"] for r in lines(place / "run" / "eval.jsonl")}
        )
        assert (
            "status, report, eval, fix and export work beside it"
            in run_cli("climb", "--run", "run", cwd=place, check=2).stderr
        )
    finally:
        holder.kill()
        holder.communicate()
    assert (place / "run" / "run.json").read_bytes() == content


@pytest.mark.long
def test_a_student_is_used_while_it_climbs(place, known):
    clone, run = broken_clone(place, "meanwhile", known), place / "climbing"
    shutil.copytree(place / "run", run)
    shutil.rmtree(run / "gguf", ignore_errors=True)
    command = [
        sys.executable,
        ROOT / "coldstart.py",
        "climb",
        "--run",
        "climbing",
        "--cycles",
        "100000",
    ]
    climb = subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not (run / "metrics.jsonl").exists():
            assert climb.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        for command in ("climb", "bootstrap"):
            assert (
                "Another coldstart process is at work"
                in run_cli(command, "--run", "climbing", cwd=place, check=2).stderr
            )
        assert last_line(run_cli("fix", "--repo", clone, "--run", "climbing", "--json", cwd=place))[
            "outcomes"
        ][0]["fixed"]
        said = last_line(
            run_cli(
                "eval",
                "--run",
                "climbing",
                "--checkpoint",
                "last",
                "--split",
                "train",
                "--k",
                "1",
                "--json",
                cwd=place,
            )
        )
        assert said["checkpoint"].startswith("cycle-")
        # Climb writes its own measurements of the held-out tasks there, meanwhile.
        train = {t["instance_id"] for t in lines(run / "tasks.jsonl") if t["split"] == "train"}
        assert said["probe"]["all"]["n"] == len(train)
        assert train <= {r["instance_id"] for r in lines(run / "eval.jsonl")}
        assert climb.poll() is None, "climb was over before it was disturbed"
        climb.send_signal(signal.SIGINT)
        told, errors = climb.communicate(timeout=60)
    finally:
        climb.kill()
        climb.communicate()
    assert climb.returncode == 130 and "Finishing this step" in errors, told + errors
    cycles, content = (
        [m["cycle"] for m in lines(run / "metrics.jsonl")],
        json.loads((run / "run.json").read_text()),
    )
    assert (
        cycles == list(range(1, len(cycles) + 1))
        and content["checkpoints"]["last"] == f"cycle-{cycles[-1]:04d}"
    )
    assert set(os.listdir(run / "checkpoints")) <= {
        *content["checkpoints"].values(),
        said["checkpoint"],
    }
    assert len(lines(run / "verdicts.jsonl")) > len(lines(place / "run" / "verdicts.jsonl"))


@pytest.mark.long
def test_a_file_with_other_changes_is_not_written_unasked(place, known):
    clone = broken_clone(place, "dirty", known)
    (clone / CORE).write_text(read_text(clone / CORE) + "# mine\n")
    before = digests(clone)
    done = run_cli("fix", "--repo", clone, "--run", "run", "--apply", cwd=place, check=2)
    assert (
        "uncommitted changes" in done.stderr
        and "--yes" in done.stderr
        and digests(clone) == before
        and "\x1b[" not in done.stdout
    )
    # At a terminal it asks.
    master, slave = os.openpty()
    os.write(master, b"y\n")
    command = [
        sys.executable,
        ROOT / "coldstart.py",
        "fix",
        "--repo",
        clone,
        "--run",
        "run",
        "--apply",
    ]
    done = subprocess.run(command, cwd=place, stdin=slave, capture_output=True, text=True)
    os.close(master), os.close(slave)
    assert done.returncode == 0 and "Write to the work tree?" in done.stdout, done.stderr
    assert read_text(clone / CORE) == SOURCE + "# mine\n"
    # And --yes says so beforehand.
    changed = {CORE: (SOURCE + "# mine\n", SOURCE)}
    asked = FixOptions((), None, 16, None, apply_it=True, branch=None, yes=False)

    def write(options: FixOptions) -> dict:
        ask = functools.partial(confirm, True)
        return write_fixes(changed, WorkTree(clone), options, ask, open_screen(True).emit)

    with pytest.raises(UsageError, match="--yes"):
        write(asked)
    assert write(replace(asked, yes=True))["applied"] and read_text(clone / CORE) == SOURCE


def test_a_diff_in_colour(monkeypatch):
    patch = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-old\n+new\n same\n"
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m+new\x1b[0m\n same" in coloured(patch) and "\x1b[31m-old" in coloured(patch)
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured(patch) == patch.rstrip("\n")


def test_bad_requests_are_refused_in_a_sentence(place, known):
    for arguments, word in (
        (("--apply", "--branch", "x"), "not both"),
        ((f"tests/test_core.py::test_{known}x",), "Did you mean"),
    ):
        assert (
            word
            in run_cli(
                "fix", *arguments, "--repo", "kit", "--run", "run", cwd=place, check=2
            ).stderr
        )
    done = run_cli(
        "fix",
        f"tests/test_core.py::test_{known}",
        "--repo",
        "kit",
        "--run",
        "run",
        "--json",
        cwd=place,
    )
    assert last_line(done)["failing"] == [] and "passes already" in done.stderr


def test_where_llama_cpp_cannot_read_the_student_the_training_model_writes(place, capsys):
    from tokenizers import pre_tokenizers

    from recipes.fixing.writer import open_engine
    from recipes.rollouts.model_engine import ModelEngine
    from recipes.runfolder.run import Run

    shutil.copytree(place / "run", place / "odd")
    shutil.rmtree(place / "odd" / "gguf", ignore_errors=True)
    shutil.copytree(place / "student", place / "model")
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save_pretrained(place / "model")
    content = json.loads((place / "odd" / "run.json").read_text())
    content["recipe"]["student"]["model"] = str(place / "model")
    (place / "odd" / "run.json").write_text(json.dumps(content))
    run = Run.open(place / "odd")
    engine = open_engine(
        run,
        run.checkpoint("best"),
        [[{"role": "user", "content": "def f():\n"}]],
        open_screen(as_json=False).emit,
    )
    assert isinstance(engine, ModelEngine) and not (place / "odd" / "gguf").exists()
    assert "writes the edits itself, because its tokenizer" in capsys.readouterr().out
