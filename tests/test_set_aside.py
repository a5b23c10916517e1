"""A climb whose jails fail: on one task it goes on without that task, and names it; on all of them
it stops."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import coldstart
from tests.conftest import practice_in, run_cli
from tests.test_arc import SETTINGS, lines, make_student, settings
from tests.test_harness_failures import Frail

pytestmark = pytest.mark.slow
CLIMB = {"climb.groups": 13, "climb.group_size": 2, "climb.cycles": 2, "climb.eval_every": 2}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a bootstrapped run of the practice repository."""
    folder = tmp_path_factory.mktemp("place")
    student = make_student(tmp_path_factory.mktemp("models") / "student")
    practice_in(folder)
    run_cli(
        "bootstrap", "--repo", "practice", "--run", "run", *settings(student, **CLIMB), cwd=folder
    )
    (folder / "run" / "verdicts.jsonl").unlink()  # what is remembered needs no jail
    return folder


@pytest.fixture
def climb(place, tmp_path, monkeypatch):
    """What runs `climb` on a copy of the run, in this process, whose jails a test can make fail:
    (exit code, output, run folder)"""
    shutil.copytree(place / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, Path]:
        done = CliRunner().invoke(coldstart.cli, ["climb", "--run", "run", *arguments])
        return done.exit_code, done.output, tmp_path / "run"

    return run


def judged_often(run: Path) -> dict:
    """The training task whose rollouts most often reached a jail after bootstrap."""
    tasks = {t["instance_id"]: t for t in lines(run / "tasks.jsonl") if t["split"] == "train"}
    rollouts = [
        r["instance_id"]
        for r in lines(run / "rollouts.jsonl")
        if r["phase"] == "after"
        and r["status"] in ("resolved", "failed", "timeout")
        and r["instance_id"] in tasks
    ]
    return tasks[max(sorted(set(rollouts)), key=rollouts.count)]


def test_one_task_is_set_aside_and_named(climb, place, monkeypatch):
    task = judged_often(place / "run")
    tests = {*task["FAIL_TO_PASS"], *task["PASS_TO_PASS"]}
    frail = Frail(monkeypatch)
    frail.dies = lambda tier, request: set(request["ids"]) == tests
    code, said, run = climb()
    assert code == 0, said
    name = task["instance_id"]
    assert (
        f"{name} is set aside for the rest of this run: There is no verdict on an "
        f"edit for {name}: the jail failed three times" in said
    )
    assert list(json.loads((run / "run.json").read_text())["set_aside"]) == [name]
    climbing = [r for r in lines(run / "rollouts.jsonl") if r["phase"] == "climb"]
    unjudged = [r for r in climbing if r["status"] == "harness_error"]
    assert unjudged and {(r["instance_id"], r["cycle"], r["reward"]) for r in unjudged} == {
        (name, unjudged[0]["cycle"], 0.0)
    }
    assert not [
        r for r in climbing if r["instance_id"] == name and r["cycle"] > unjudged[0]["cycle"]
    ]
    assert sum(m["rollouts/unjudged"] for m in lines(run / "metrics.jsonl")) == len(unjudged)
    assert name not in {
        p["instance_id"] for p in lines(run / "probe.jsonl") if p["phase"] == "climb-0002"
    }
    status = json.loads(run_cli("status", "--run", "run", "--json", cwd=run.parent).stdout)
    assert list(status["set_aside"]) == [name]
    assert {p["all"]["n"] for p in status["probes"].values()} == {SETTINGS["tasks.limit"] - 1}, (
        "tables of different tasks are compared"
    )
    assert (
        f"set aside, because the jail failed on them: {name}"
        in run_cli("status", "--run", "run", cwd=run.parent).stdout
    )


def test_where_all_jails_fail_it_stops_and_goes_on_later(climb, monkeypatch):
    frail = Frail(monkeypatch)
    frail.dies = lambda tier, request: True
    code, said, run = climb()
    assert (
        code == 3
        and "more than a tenth of them, so this stops here" in said
        and "three times" in said
    )
    assert not (run / "metrics.jsonl").exists() or not lines(run / "metrics.jsonl")
    assert "set_aside" not in json.loads((run / "run.json").read_text()), (
        "the tasks are not at fault"
    )
    frail.dies = lambda tier, request: False
    code, said, run = climb()
    assert code == 0 and [m["cycle"] for m in lines(run / "metrics.jsonl")] == [1, 2]
