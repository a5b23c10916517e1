"""`status`: where a run stands at every step, from its files alone, on one screen of any width."""

import fcntl
import json
import os
import string
import subprocess
import sys

import pytest
from click.testing import CliRunner

import coldstart
from recipes.reporting.status import run_facts, sparkline, status_lines
from recipes.reporting.times import (
    Update,
    cycle_seconds,
    duration,
    expected_cycle_seconds,
    heldout_seconds,
)
from recipes.reporting.watch import ENDING, HOME, picture
from recipes.runfolder.run import Run
from tests.conftest import ROOT, run_cli
from tests.pseudo_terminal import Terminal, run, set_size
from tests.written_run import write_run


@pytest.fixture(scope="module")
def climbed(calc, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "climbed", calc)


@pytest.mark.parametrize(
    "upto, phase, following",
    [
        ("mine", "being probed", "bootstrap --run"),
        ("before", "teacher is being asked", "bootstrap --run"),
        ("climb", "6 of 6 cycles climbed", "--cycles 12"),
    ],
)
def test_every_step_says_what_is_next(calc, tmp_path, upto, phase, following):
    found = run_facts(write_run(tmp_path / "run", calc, upto=upto))
    assert phase in found["phase"] and following in found["next"]
    text = "\n".join(status_lines(found, 80))
    assert phase in text and following in text


def test_a_bootstrapped_run_is_to_be_climbed_and_a_cold_one_to_be_taught(calc, tmp_path):
    run = write_run(tmp_path / "warm", calc, cycles=0)
    run.content["done"] = [name for name in run.content["done"] if not name.startswith("climb")]
    assert "climb --run" in run_facts(run)["next"]
    run.keep_only("probe.jsonl", [{**p, "resolved": 0} for p in run.read("probe.jsonl")])
    assert "cold start" in run_facts(run)["next"] and "--teacher" in run_facts(run)["next"]


def test_a_run_that_is_at_work_and_one_that_climbed_further_than_planned(calc, tmp_path):
    run = write_run(tmp_path / "run", calc)
    assert not run_facts(run)["at_work"], "there is no lock yet"
    with run:
        found = run_facts(Run.open(run.folder))
    assert (
        found["at_work"]
        and "at work on it" in found["next"]
        and "fix --run" in found["next"]
        and "climb" not in found["next"]
    )
    run.content["recipe"]["climb"]["cycles"] = 4
    assert (
        not run_facts(run)["at_work"]
        and "bootstrapped, 6 cycles climbed" in run_facts(run)["phase"]
    )


def test_tasks_then_and_now_and_the_curve(climbed):
    found = run_facts(climbed)
    assert found["tasks"]["train"]["before"] == {
        "cold": 12,
        "warm": 0,
        "mastered": 0,
        "truncated": 3,
    }
    for split, count in (("train", 12), ("heldout", 4)):
        assert (
            sum(found["tasks"][split]["now"][state] for state in ("cold", "warm", "mastered"))
            == count
        )
    assert [cycle for cycle, _ in found["heldout_curve"]] == [0, 2, 4, 6]
    assert found["best"] == {
        "checkpoint": "cycle-0006",
        "heldout_pass_at_1": pytest.approx(0.6),
        "hard": pytest.approx(0.6),
        "soft": 0.2,
        "recorded": None,
    }
    assert (
        found["heldout_curves"]["soft"][1:] == [[2, 0.2], [4, 0.2], [6, 0.2]]
        and found["alarm"] == ""
        and found["set_aside"] == {}
    )
    assert found["seconds_total"] == 255.0 and found["usd"] == 0 and found["teacher"] == "reference"


def test_hard_and_soft_tasks_are_never_in_one_figure(climbed):
    found = run_facts(climbed)
    for split, times in found["tasks"].items():
        for when, counts in times.items():
            parts = [found["tasks_apart"][name][split][when] for name in ("hard", "soft")]
            assert counts == {key: sum(part[key] for part in parts) for key in counts}
    rows = [line for line in status_lines(found, 80) if line.startswith(("training", "held out,"))]
    assert len(rows) == 8 and all("hard" in row or "soft" in row for row in rows)


@pytest.mark.parametrize("width", [60, 79, 200])
def test_it_fits_every_width(climbed, width):
    shown = status_lines(run_facts(climbed), width)
    assert len(shown) <= 40
    assert all(
        len(line) <= width
        for line in shown
        if "python coldstart.py" not in line and line != str(climbed.folder)
    )


def test_sparkline():
    assert sparkline([0, 1], 10) == "▁█" and sparkline([0.5], 10) == sparkline([0.3], 10) == "▁"
    assert sparkline([0, 0.5, 1], 10)[1] in "▄▅"
    assert len(sparkline(list(range(100)), 10)) == 10 and sparkline(list(range(100)), 10)[-1] == "█"


def test_duration():
    assert [duration(s) for s in (0, 99, 120, 7200, 99 * 60, 12345)] == [
        "0 s",
        "99 s",
        "2 min",
        "2 h 0 min",
        "99 min",
        "3 h 26 min",
    ]


@pytest.mark.slow
def test_while_another_process_holds_the_run_and_a_line_is_half_written(climbed, calc, tmp_path):
    run = write_run(tmp_path / "busy", calc)
    (run.folder / "run.lock").touch()
    before = {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}
    with open(run.folder / "run.lock") as lock, open(run.folder / "metrics.jsonl", "ab") as torn:
        fcntl.flock(lock, fcntl.LOCK_EX)
        torn.write(b'{"cycle": 7, "rew')
        torn.flush()
        done = run_cli("status", "--run", run.folder, cwd=tmp_path, env={"COLUMNS": "60"})
        machine = run_cli("status", "--run", run.folder, "--json", cwd=tmp_path)
    assert (
        "6 of 6 cycles climbed" in done.stdout and "\x1b" not in done.stdout and done.stderr == ""
    )
    assert json.loads(machine.stdout)["cycles"] == 6 and machine.stdout.count("\n") == 1
    after = {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}
    assert {p for p in after if after[p] != before.get(p)} == {run.folder / "metrics.jsonl"}, (
        "status wrote something"
    )


# ------------------------------------------------------------------------------------------ --watch


@pytest.mark.slow
def test_watch_draws_over_what_it_drew_beside_a_command_at_work(calc, tmp_path):
    """Another process holds the run, and takes it a cycle further; Ctrl-C ends it."""
    at_work = write_run(tmp_path / "run", calc)
    # So that a line could be 60 columns long.
    at_work.content["set_aside"] = {letter: "no answer" for letter in string.ascii_letters}
    at_work.write()
    terminal, seen = Terminal(60, rows=55), []
    terminal.feed(b"$ what was there before\r\n")

    def meanwhile(end: int, process: subprocess.Popen) -> None:
        if not seen and terminal.line() == ENDING:
            seen.append(terminal.shown())
            line = {**at_work.read("metrics.jsonl")[-1], "cycle": 7}
            at_work.append("metrics.jsonl", [line])
        elif len(seen) == 1 and "7 cycles climbed" in terminal.text() and terminal.line() == ENDING:
            seen.append(terminal.shown())
            os.write(end, b"\x03")
        assert not seen or terminal.shown()[0] == "run", "it was cleared on the way"

    command = [sys.executable, ROOT / "coldstart.py", "status", "--run", "run", "--watch"]
    with at_work:
        done = run(command, terminal, tmp_path, meanwhile=meanwhile)
    assert done.returncode == 0 and len(seen) == 2, terminal.text()
    first, second = seen
    assert "Next: Another command is at work on it." in " ".join(second) and len(first) == len(
        second
    )
    assert terminal.wrapped == [] and "$ what was there before" in terminal.text()
    assert terminal.shown()[-1].startswith(ENDING) and "Interrupted" not in terminal.text()
    assert "\x1b[2J" not in terminal.heard and terminal.heard.count(HOME) >= 2
    whole = status_lines(run_facts(Run.open(at_work.folder)), 59)
    starts = [[line[:5] for line in lines] for lines in (second, whole)]
    drawn, meant = (
        lines[found.index("tasks") : found.index("Next:")]
        for lines, found in zip((second, whole), starts)
    )
    assert drawn == meant, "a line is cut that could have been broken"


@pytest.mark.slow
def test_watch_hears_at_once_of_another_width(climbed):
    """There would be no next picture in this test."""
    code = (
        "from recipes.reporting import watch; watch.SECONDS = 1000.0; import coldstart; "
        f"coldstart.cli(['status', '--watch', '--run', {str(climbed.folder)!r}])"
    )
    terminal, drawn = Terminal(100, rows=50), []

    def meanwhile(end: int, process: subprocess.Popen) -> None:
        if terminal.line() == ENDING and terminal.heard.count(HOME) > len(drawn):
            drawn.append(terminal.shown())
            if len(drawn) == 1:
                terminal.resize(60)
                set_size(end, terminal)
            else:
                os.write(end, b"\x03")

    done = run([sys.executable, "-c", code], terminal, ROOT, meanwhile=meanwhile)
    assert done.returncode == 0 and len(drawn) == 2 and len(drawn[1]) > len(drawn[0])


def test_a_picture_is_cut_to_a_low_or_narrow_window():
    text = picture(["a" * 30, "b", "c", "d"], columns=19, rows=3)
    terminal = Terminal(20, rows=3)
    terminal.feed(text.replace("\n", "\r\n").encode())
    assert terminal.shown() == ["a" * 19, "b", "(2 lines more: this"] and terminal.history == []
    terminal.feed(picture(["short"], 19, 3).encode())
    assert terminal.shown() == ["short"] and terminal.wrapped == []


@pytest.mark.parametrize("options, says", [(["--json"], "one object"), ([], "output is none")])
def test_watch_is_for_a_terminal(climbed, options, says):
    command = ["status", "--watch", "--run", str(climbed.folder), *options]
    done = CliRunner().invoke(coldstart.cli, command)
    assert done.exit_code == 2 and says in done.stderr and done.stdout == ""


def test_the_time_that_is_left_goes_by_the_cycles_so_far(calc, climbed, tmp_path):
    """written_run: 90 seconds for six cycles."""
    assert run_facts(climbed)["seconds_left"] == 0
    run = write_run(tmp_path / "run", calc)
    run.content["recipe"]["climb"]["cycles"] = 20
    found = run_facts(run)
    assert found["seconds_left"] == 14 * 15
    assert "about 4 min of climbing" in "\n".join(status_lines(found, 80))


def test_a_cycle_is_expected_to_take_what_bootstrap_has_measured(calc, tmp_path):
    """written_run: a probe of 16 tasks, 4 samples of 9 tokens each, in 30 s; fine-tuning in 60 s;
    cycles of 8 groups of 4, and 4 tasks held out."""
    run = write_run(tmp_path / "run", calc, cycles=0)
    run.content["recipe"]["climb"]["eval_every"] = 2
    assert cycle_seconds(run) is None
    assert heldout_seconds(run) == pytest.approx(30 / 64 * 4 * 4 / 2)
    sampled = 30 / 64 * 4 * 8 + heldout_seconds(run)
    train = {t.instance_id for t in run.tasks if t.split == "train"}
    probes = [p for p in run.read("probe.jsonl") if p["phase"] == "after"]
    warm = min(8, sum(p["instance_id"] in train and 0 < p["resolved"] < 4 for p in probes))
    assert warm, "what follows would be about nothing"
    token = 60 / (10 * run.recipe.distil.batch * (31 + 9))
    assert expected_cycle_seconds(run, Update(10, 31.0, shares=True)) == pytest.approx(
        sampled + warm * (31 + 4 * 9) * token
    )
    assert expected_cycle_seconds(run, Update(10, 31.0, shares=False)) == pytest.approx(
        sampled + warm * 4 * (31 + 9) * token
    )
    assert expected_cycle_seconds(run, Update(0, 31.0, shares=True)) == pytest.approx(sampled)
