"""Episodes of several turns, end to end with real commands: bootstrap, climb, eval with its
control."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import practice_in, run_cli
from tests.test_arc import last_line, lines, make_student, settings

pytestmark = pytest.mark.slow

TURNS = 2


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    practice_in(folder)
    return folder


@pytest.fixture(scope="module")
def run(place) -> tuple[Path, dict, dict]:
    """(run folder, what bootstrap says, what climb says)"""
    student = make_student(place / "student")
    options = settings(student, **{"student.turns": TURNS})
    done = run_cli("bootstrap", "--repo", "practice", "--run", "run", "--json", *options, cwd=place)
    climbed = run_cli("climb", "--run", "run", "--json", cwd=place)
    return place / "run", last_line(done), last_line(climbed)


def test_rollouts_go_on_where_the_shown_tests_fail(run):
    rollouts = lines(run[0] / "rollouts.jsonl")
    several = [r for r in rollouts if "episode" in r]
    assert several, "no reply was answered"
    for r in several:
        roles = [message["role"] for message in r["episode"]]
        assert roles == ["assistant", "user"] * (len(roles) // 2) and len(roles) // 2 < TURNS
        told = [message["content"] for message in r["episode"][1::2]]
        assert all(told)
    ended = [r for r in rollouts if "episode" not in r]
    assert any(r["status"] == "resolved" for r in ended)


def test_what_the_first_turn_came_to_is_shown(run):
    _, bootstrapped, climbed = run
    for probe in (bootstrapped["probe"]["after"], climbed["probe"]["after"]):
        for group in probe.values():
            if group["n"]:
                assert group["pass_at_1_turn_1"] <= group["pass_at_1"]
                assert 1 <= group["turns"] <= TURNS
    metrics = lines(run[0] / "metrics.jsonl")
    assert all(1 <= m["turns/mean"] <= TURNS for m in metrics)
    assert all(m["reward/turn_1"] <= m["reward/mean"] for m in metrics)
    said = run_cli("status", "--run", run[0], cwd=run[0].parent).stdout
    assert "first turn" in said


def test_eval_holds_episodes_against_single_attempts(run, place):
    shutil.copytree(run[0], place / "measured")
    command = ["eval", "--run", "measured", "--checkpoint", "distilled", "--split", "all"]
    done = run_cli(*command, "--k", 2, "--control", "--json", cwd=place)
    result = last_line(done)
    for name, group in result["probe"].items():
        if group["n"]:
            assert 0 <= group["pass_at_1_control"] <= 1
            assert result["control"][name]["verdict"] in ("better", "worse", "noise")
    before = (place / "measured" / "control.jsonl").read_bytes()
    again = run_cli(*command, "--k", 2, "--control", cwd=place)
    assert "as many tokens as single attempts" in " ".join(again.stdout.split())
    assert (place / "measured" / "control.jsonl").read_bytes() == before


def test_self_distillation_plays_episodes_and_asks_no_verdict(run, place):
    shutil.copytree(run[0], place / "drawn")
    command = ["selfdistil", "--run", "drawn", "--steps", 2, "--json"]
    said = last_line(run_cli(*command, cwd=place))
    assert said["steps"] == 2 and said["kl"]["before"] > 0
    name = "verdicts.jsonl"
    assert (place / "drawn" / name).read_bytes() == (run[0] / name).read_bytes()


def test_the_control_needs_episodes(place):
    options = settings(place / "student")
    run_cli("tasks", "--repo", "practice", "--run", "single", *options, cwd=place)
    done = run_cli("eval", "--run", "single", "--control", cwd=place, check=2)
    assert "student.turns" in done.stderr
