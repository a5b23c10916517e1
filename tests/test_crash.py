"""Killed at any instant (SIGKILL), a run goes on with the same command and ends in the same bytes
as one that was left alone."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_cli
from tests.test_arc import make_student, settings

pytestmark = pytest.mark.slow

PHASES = ("mine", "before", "teach", "distil", "after", "climb")
ONCE = ("mine", "before", "distil", "climb")
OFTEN = dict(zip(PHASES, (4, 4, 2, 4, 3, 5)))
"""How often each phase is killed."""
CYCLES = 4
SAME = ("metrics.jsonl", "rollouts.jsonl", "probe.jsonl", "trajectories.jsonl")


@pytest.fixture
def temporary(monkeypatch):
    """What a killed process leaves among the temporary files lies here, and goes afterwards. Root's
    jail must get through to it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        monkeypatch.setenv("TMPDIR", folder)
        yield


@pytest.mark.parametrize(
    "planned, turns",
    [
        (dict.fromkeys(PHASES, 0) | dict.fromkeys(ONCE, 1), 1),
        pytest.param(OFTEN, 1, marks=pytest.mark.long),
        pytest.param(OFTEN, 2, marks=pytest.mark.long),
    ],
    ids=["once", "often", "episodes"],
)
def test_a_killed_run_ends_in_the_same_bytes(tmp_path, temporary, planned, turns):
    run_cli("demo", "practice", "--part", "easy", cwd=tmp_path)
    # 26 tasks: more than one chunk of a probe, so that what was sampled before a kill decides what
    # is sampled after it.
    small = settings(
        make_student(tmp_path / "student"),
        **{"tasks.limit": 26, "distil.save_every": 10, "climb.cycles": CYCLES},
        **{"student.turns": turns},
    )
    commands = {
        name: [["bootstrap", "--repo", "practice", "--run", name, *small], ["climb", "--run", name]]
        for name in ("whole", "killed")
    }
    for command in commands["whole"]:
        run_cli(*command, cwd=tmp_path)
    kills = dict.fromkeys(PHASES, 0)
    for command in commands["killed"]:
        bring_through(command, tmp_path, tmp_path / "killed", planned, kills, random.Random(7))
    assert sum(kills.values()) >= sum(planned.values()) - 2 and all(
        kills[phase] for phase in PHASES if planned[phase]
    ), kills
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for name in SAME:
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), (
            f"{name} differs after the kills {kills}"
        )
    assert adapters(whole) == adapters(killed)
    names = [{p.relative_to(run).as_posix() for p in run.rglob("*")} for run in (whole, killed)]
    assert names[0] == names[1], "a kill left something behind, or lost something"


@pytest.mark.long
@pytest.mark.parametrize("turns", [1, 2])
def test_a_killed_self_distillation_ends_in_the_same_bytes(tmp_path, temporary, turns):
    run_cli("demo", "practice", "--part", "easy", cwd=tmp_path)
    small = settings(
        make_student(tmp_path / "student"),
        **{"student.turns": turns, "climb.lr": 1e-2, "selfdistil.batch": 6},
        **{"selfdistil.steps": 15, "selfdistil.save_every": 4},
    )
    run_cli("bootstrap", "--repo", "practice", "--run", "whole", *small, cwd=tmp_path)
    run_cli("climb", "--run", "whole", cwd=tmp_path)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    shutil.copytree(whole, killed)
    run_cli("selfdistil", "--run", "whole", cwd=tmp_path)
    draw, kills = random.Random(7), 0
    while kills < 8:
        process = start(["selfdistil", "--run", "killed"], tmp_path, killed)
        if not wait_for_instant(process, killed, draw):
            assert process.wait() == 0, (tmp_path / "errors").read_text()
            break
        kill(process)
        check_lines_are_whole(killed)
        kills += 1
    assert kills >= 4, kills
    run_cli("selfdistil", "--run", "killed", cwd=tmp_path)
    for name in ("whole", "killed"):
        run_cli("climb", "--run", name, "--cycles", 3, cwd=tmp_path)
    for name in (*SAME, "selfdistil.jsonl"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    assert adapters(whole) == adapters(killed)
    names = [{p.relative_to(run).as_posix() for p in run.rglob("*")} for run in (whole, killed)]
    assert names[0] == names[1], "a kill left something behind, or lost something"


def adapters(run: Path) -> dict[str, bytes]:
    """{name: bytes} of the adapters that the names in run.json stand for."""
    checkpoints = json.loads((run / "run.json").read_text())["checkpoints"]
    return {
        name: (run / "checkpoints" / folder / "adapter_model.safetensors").read_bytes()
        for name, folder in checkpoints.items()
    }


def bring_through(
    command: list,
    cwd: Path,
    run: Path,
    planned: dict[str, int],
    kills: dict[str, int],
    draw: random.Random,
) -> None:
    """Give the command again and again, killed each time, until no phase of it is to be killed any
    more; then let it end."""
    while phase := next_to_kill(command[0], run, planned, kills):
        process = start(command, cwd, run)
        try:
            if wait_for_phase(process, run, phase) and wait_for_instant(process, run, draw):
                where = phase_of(command[0], run)
                kill(process)
                kills[where] += 1
                check_lines_are_whole(run)
            else:
                assert process.wait() == 0, (cwd / "errors").read_text()
                return  # it came through before its kill
        finally:
            if process.poll() is None:
                kill(process)
    assert start(command, cwd, run).wait() == 0, (cwd / "errors").read_text()


def start(command: list, cwd: Path, run: Path) -> subprocess.Popen:
    with open(cwd / "errors", "w") as errors:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "coldstart.py"), *map(str, command)],
            cwd=cwd,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )


def phase_of(command: str, run: Path) -> str:
    if command == "climb":
        return "climb"
    try:
        done = json.loads((run / "run.json").read_text())["done"]
    except FileNotFoundError:
        return "mine"
    return next((phase for phase in PHASES[:-1] if phase not in done), "after")


def next_to_kill(
    command: str, run: Path, planned: dict[str, int], kills: dict[str, int]
) -> str | None:
    """The first phase that is not over and has not been killed often enough."""
    phases = ["climb"] if command == "climb" else list(PHASES[:-1])
    if command == "bootstrap":
        phases = phases[phases.index(phase_of(command, run)) :]
    return next((phase for phase in phases if kills[phase] < planned[phase]), None)


def wait_for_phase(process: subprocess.Popen, run: Path, phase: str) -> bool:
    """Whether the process has come to this phase and is still alive."""
    while process.poll() is None:
        if phase == "climb" or PHASES.index(phase_of("bootstrap", run)) >= PHASES.index(phase):
            return True
        time.sleep(0.001)
    return False


def wait_for_instant(process: subprocess.Popen, run: Path, draw: random.Random) -> bool:
    """Wait for a random instant: some time after some change to the run folder. Whether the process
    is still alive then."""
    changes, pause = (
        draw.choice([0, 1, 1, 2, 3, 5, 8]),
        draw.choice([0, 0.001, 0.01, 0.1, 1.0]) * draw.random(),
    )
    if changes == 0:
        pause = 4 * draw.random()  # most likely while it starts
    seen, deadline = state_of(run), time.monotonic() + 30
    while changes and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0005)
        if (now := state_of(run)) != seen:
            seen, changes = now, changes - 1
    time.sleep(pause)
    return process.poll() is None


def state_of(run: Path) -> list:
    """Names, sizes and times of everything in the run folder."""
    found = []
    for folder, _, names in os.walk(run):
        for name in names:
            try:
                facts = os.stat(os.path.join(folder, name))
            except FileNotFoundError:
                continue
            found.append((folder, name, facts.st_size, facts.st_mtime_ns))
    return sorted(found)


def kill(process: subprocess.Popen) -> None:
    """SIGKILL for the command and for nothing else; whatever it had started must die by itself."""
    family = descendants(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 15
    while left := [pid for pid, born in family.items() if born_at(pid) == born]:
        assert time.monotonic() < deadline, (
            f"processes outlive the killed command: {[command_of(pid) for pid in left]}"
        )
        time.sleep(0.01)


def descendants(pid: int) -> dict[int, str]:
    """{process id: time of birth} of all processes below this one."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents[int(name)] = int(
                    Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
                )
            except (OSError, ValueError):
                continue
    found, new = {}, {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new and child not in found}
        found.update({child: born_at(child) for child in new})
    return {child: born for child, born in found.items() if born}


def born_at(pid: int) -> str | None:
    """When the process was started, None if it is gone or only waits to be buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:200]
    except OSError:
        return "gone"


def check_lines_are_whole(run: Path) -> None:
    """Every line but one that was torn at the end is JSON, and run.json is whole."""
    for path in run.glob("*.jsonl"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            json.loads(line)
    if (run / "run.json").exists():
        json.loads((run / "run.json").read_text())
