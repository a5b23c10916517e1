"""The whole arc, end to end and in processes of its own: a student that cannot do anything is
bootstrapped, and climbs."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recipes.reporting.tables import GROUPS
from tests import pseudo_terminal
from tests.conftest import ROOT, practice_in, run_cli
from tests.sample import unsaid
from tests.tiny import make_tiny

pytestmark = pytest.mark.slow

SETTINGS = {
    "student.max_new": 40,
    "student.max_prompt": 400,
    "tasks.limit": 16,
    "probe.k": 4,
    "probe.temperature": 1.0,
    "distil.steps": 60,
    "distil.save_every": 20,
    "climb.groups": 4,
    "climb.group_size": 4,
    "climb.eval_every": 2,
    "climb.cycles": 2,
}
PROBE_KEYS = {"n", "k", "temperature", "pass_at_1", "pass_at_k", "ci95", "cold", "warm", "mastered"}


def make_student(folder: Path, steps: int = 200) -> Path:
    """A student that has learned one thing, to write a line of nonsense and then to end.
    (`test_cut_off.py` has one that never ends.) It is made once for all of these tests."""
    made = Path(os.environ["XDG_CACHE_HOME"]) / "students" / str(steps)
    if not made.is_dir():
        _learn_nonsense(made, steps)
    return shutil.copytree(made, folder)


def _learn_nonsense(folder: Path, steps: int) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    make_tiny(folder, hidden=64)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    draw = random.Random(0)
    names = "alpha beta gamma delta count value text items".split()
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        rows = []
        for _ in range(8):
            argument, number = draw.choice(names), draw.randrange(99)
            prompt = (
                f'def {draw.choice(names)}_{number}({argument}):\n    """Return {argument} '
                f'{draw.choice(names)} {number}."""\n'
            )
            rows.append(
                (
                    tokenizer(prompt).input_ids,
                    tokenizer(f"    return {argument} + {draw.randrange(99)}\n").input_ids + [1],
                )
            )
        width = max(len(p) + len(c) for p, c in rows)
        tokens = torch.tensor([p + c + [0] * (width - len(p) - len(c)) for p, c in rows])
        labels = torch.tensor(
            [[-100] * len(p) + c + [-100] * (width - len(p) - len(c)) for p, c in rows]
        )
        model(input_ids=tokens, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)


def settings(student: Path, **changes) -> list[str]:
    """The options that make a run small enough for a test."""
    values = {"student.model": student, **SETTINGS, **changes}
    return [
        "--recipe",
        "nano",
        *(part for key, value in values.items() for part in ("--set", f"{key}={value}")),
    ]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def last_line(done: subprocess.CompletedProcess) -> dict:
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    return make_student(tmp_path_factory.mktemp("models") / "student")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the practice repository in it."""
    folder = tmp_path_factory.mktemp("place")
    practice_in(folder)
    return folder


@pytest.fixture(scope="module")
def bootstrapped(place, student):
    """(run folder, what bootstrap printed)"""
    done = run_cli(
        "bootstrap", "--repo", "practice", "--run", "run", "--json", *settings(student), cwd=place
    )
    return place / "run", done


@pytest.fixture(scope="module")
def climbed(bootstrapped, place):
    """(run folder, what climb printed), on a copy of the bootstrapped run"""
    shutil.copytree(bootstrapped[0], place / "climbed")
    return place / "climbed", run_cli("climb", "--run", "climbed", "--json", cwd=place)


def check_probe(probe: dict) -> None:
    assert set(probe) == set(GROUPS)
    for group in probe.values():
        assert PROBE_KEYS <= set(group)
        low, high = group["ci95"]
        assert 0 <= low <= high <= 1
        assert (
            group["cold"] + group["warm"] + group["mastered"] == group["n"]
            and group["truncated"] <= group["cold"]
        )
        assert (
            group["n"] == 0
            or low <= group["pass_at_1"] <= high
            and group["pass_at_1"] <= group["pass_at_k"]
        )
    assert probe["all"]["n"] == sum(probe[name]["n"] for name in ("taught", "untaught", "heldout"))
    assert probe["all"]["n"] == probe["hard"]["n"] + probe["soft"]["n"]
    assert probe["heldout"]["n"] == probe["heldout_hard"]["n"] + probe["heldout_soft"]["n"]


def test_bootstrap_says_what_it_did(bootstrapped):
    run, done = bootstrapped
    result = last_line(done)
    assert {"run", "recipe", "student", "teacher", "probe", "seconds"} <= set(result)
    assert Path(result["run"]).name == "run" and result["recipe"] == "nano"
    assert {"name", "requests", "usd", "asked", "verified"} <= set(result["teacher"])
    teacher, before, after = result["teacher"], result["probe"]["before"], result["probe"]["after"]
    assert (
        teacher["name"] == "reference"
        and teacher["usd"] == 0
        and 1 <= teacher["verified"] <= teacher["asked"]
    )
    check_probe(before)
    check_probe(after)
    assert before["all"]["n"] == 16 and before["all"]["pass_at_1"] == 0, "the student was not cold"
    assert after["taught"]["n"] == teacher["verified"] and after["taught"]["pass_at_k"] > 0, (
        "nothing was learned from the teacher"
    )
    assert {"mine", "before", "teach", "distil", "after"} <= set(result["seconds"])
    assert "reference teacher" in done.stderr
    assert done.stdout.count("\n") == 1, "standard output is for the machine alone"


def test_the_run_folder_after_bootstrap(bootstrapped):
    run, _ = bootstrapped
    content = json.loads((run / "run.json").read_text())
    assert content["done"] == ["mine", "before", "teach", "distil", "after"]
    assert content["recipe"]["distil"]["steps"] == 60 and content["repository"]["root"].endswith(
        "practice"
    )
    tasks = {t["instance_id"]: t for t in lines(run / "tasks.jsonl")}
    assert len(tasks) == 16 and {t["split"] for t in tasks.values()} == {"train", "heldout"}
    probes = lines(run / "probe.jsonl")
    assert {(p["phase"], p["instance_id"]) for p in probes} == {
        (phase, name) for phase in ("before", "after") for name in tasks
    }
    rollouts = lines(run / "rollouts.jsonl")
    assert len(rollouts) == 2 * 16 * 4
    for probe in probes:
        mine = [
            r
            for r in rollouts
            if (r["phase"], r["instance_id"]) == (probe["phase"], probe["instance_id"])
        ]
        assert probe["k"] == len(mine) == 4 and probe["resolved"] == sum(
            r["status"] == "resolved" for r in mine
        )
        assert all(r["reward"] == (r["status"] == "resolved") for r in mine)
    folder = run / "checkpoints" / content["checkpoints"]["best"]
    assert {"adapter_model.safetensors", "adapter_config.json"} <= {
        p.name for p in folder.iterdir()
    }


def test_trajectories_hold_verified_answers_to_cold_training_tasks_only(bootstrapped):
    run, done = bootstrapped
    tasks = {t["instance_id"]: t for t in lines(run / "tasks.jsonl")}
    before = {p["instance_id"]: p for p in lines(run / "probe.jsonl") if p["phase"] == "before"}
    verdicts = {(v["instance_id"], v["status"]) for v in lines(run / "verdicts.jsonl")}
    trajectories = lines(run / "trajectories.jsonl")
    assert len(trajectories) == last_line(done)["teacher"]["verified"]
    for line in trajectories:
        name = line["instance_id"]
        assert set(line) >= {"messages", "instance_id", "source", "reward"}
        assert (
            line["reward"] == 1.0
            and line["source"] == "reference"
            and (name, "resolved") in verdicts
        )
        assert [m["role"] for m in line["messages"]] == ["user", "assistant"] and all(
            m["content"] for m in line["messages"]
        )
        assert tasks[name]["split"] == "train" and before[name]["resolved"] == 0


def test_bootstrap_again_changes_nothing(bootstrapped, place):
    run, done = bootstrapped
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    again = run_cli("bootstrap", "--run", "run", "--json", cwd=place)
    assert last_line(again)["probe"] == last_line(done)["probe"]
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_climb_says_what_it_did(climbed, bootstrapped):
    run, done = climbed
    result = last_line(done)
    assert {
        "run",
        "cycles",
        "probe",
        "zero_variance",
        "rollouts",
        "best_checkpoint",
        "seconds",
    } <= set(result)
    check_probe(result["probe"]["before"])
    check_probe(result["probe"]["after"])
    assert result["probe"]["before"] == last_line(bootstrapped[1])["probe"]["after"]
    metrics = lines(run / "metrics.jsonl")
    assert result["cycles"] == 2 and [m["cycle"] for m in metrics] == [1, 2]
    assert re.findall(r"^cycle (\d+): \d+ % of", done.stderr, re.M) == ["1", "2"]
    assert "\x1b" not in done.stderr and done.stderr.index("It now solves ") > 0
    assert result["solved"]["hard"]["train"]["taught_solved"] > 0, "nothing was learned"
    climbing = [r for r in lines(run / "rollouts.jsonl") if r["phase"] == "climb"]
    assert result["rollouts"] == len(climbing) == 2 * 4 * 4
    train = {t["instance_id"] for t in lines(run / "tasks.jsonl") if t["split"] == "train"}
    assert {r["instance_id"] for r in climbing} <= train
    dropped = {"cold": 0, "mastered": 0, "truncated": 0}
    for cycle in (1, 2):
        for name in {r["instance_id"] for r in climbing if r["cycle"] == cycle}:
            group = [r for r in climbing if r["cycle"] == cycle and r["instance_id"] == name]
            if sum(r["reward"] for r in group) == len(group):
                dropped["mastered"] += 1
            elif not any(r["reward"] for r in group):
                dropped["cold"] += 1
                dropped["truncated"] += any(r["status"] == "truncated" for r in group)
    assert result["zero_variance"] == dropped
    assert (run / "checkpoints" / result["best_checkpoint"] / "adapter_model.safetensors").is_file()
    assert re.search(
        r"About \d+ s a cycle on this machine, .* 2 that are left \(by how", done.stderr
    )
    assert re.search(
        r"About \d+ s a cycle on this machine, .* 1 that are left \(by cy", done.stderr
    )


def test_the_readme_shows_what_is_printed(bootstrapped, climbed):
    assert unsaid("bootstrap", bootstrapped[1].stderr) == []
    assert unsaid("climb", climbed[1].stderr) == []


def climbed_on_a_terminal(
    bootstrapped, columns: int, *options
) -> tuple[pseudo_terminal.Terminal, list[str]]:
    """(the terminal in the end, every state of the line that was drawn) of a climb by a copy of the
    run"""
    folder = bootstrapped[0].parent / f"terminal-{columns}"
    shutil.copytree(bootstrapped[0], folder)
    terminal = pseudo_terminal.Terminal(columns)
    command = [sys.executable, ROOT / "coldstart.py", "climb", "--run", folder.name, *options]
    done = pseudo_terminal.run(command, terminal, folder.parent)
    assert done.returncode == 0, terminal.text()
    assert terminal.wrapped == [] and all(len(line) <= columns for line in terminal.drawn_over)
    return terminal, terminal.drawn_over


def test_climb_on_a_terminal_has_one_line_for_all_cycles(bootstrapped):
    terminal, lines = climbed_on_a_terminal(bootstrapped, 60)
    said = terminal.text()
    stands = r"1(/| of )2\b.* \| hard: reward 0?\.\d\d, warm \d/\d, held out 0?\.\d\d"
    assert any(re.match(stands, line) for line in lines), lines
    assert "resolved;" not in said and "rollouts |" not in said, "a line a cycle, or what was drawn"
    first = said.index("It now solves ")
    assert first < said.index("pass@1: the share of") < said.index("The best checkpoint is ")
    head = next(line for line in said.splitlines() if line.startswith("pass@1   "))
    assert "before" in head and "mastered" not in head


def test_climb_says_every_cycle_on_a_terminal_where_it_is_asked_to(bootstrapped):
    terminal, lines = climbed_on_a_terminal(bootstrapped, 120, "--verbose")
    said = terminal.text()
    assert [int(n) for n in re.findall(r"^cycle (\d+): \d+ % of", said, re.M)] == [1, 2]
    assert re.search(r"^probing \(climb-0002\), rollouts: 64 in \d+ s$", said, re.M)
    assert any(li.startswith("1 of 2 cycles | ") for li in lines) and "mastered" in said


def test_climb_begins_with_what_the_probe_has_shown(climbed):
    """Its first groups are not spent on finding out again which tasks are cold."""
    run, _ = climbed
    probed = {
        r["instance_id"]: r["resolved"] / r["k"]
        for r in lines(run / "probe.jsonl")
        if r["phase"] == "after"
    }
    train = {t["instance_id"] for t in lines(run / "tasks.jsonl") if t["split"] == "train"}
    sampled = {r["instance_id"] for r in lines(run / "rollouts.jsonl") if r["phase"] == "climb"}
    counters = json.loads((run / "checkpoints/cycle-0002/counters.json").read_text())["counters"]
    rates = counters["climb"]["p"]
    assert set(rates) == train and train - sampled
    assert {n: rates[n] for n in train - sampled} == {n: probed[n] for n in train - sampled}


def test_climb_without_network_and_key_gives_the_same(climbed, bootstrapped, place):
    without = (
        ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-current-user"]
    )
    try:
        subprocess.run([*without, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine does not let the network be cut off: {error}")
    shutil.copytree(bootstrapped[0], place / "offline")
    environment = {
        k: os.environ[k]
        for k in ("PATH", "HOME", "XDG_CACHE_HOME", "LANG", "TMPDIR")
        if k in os.environ
    }
    done = subprocess.run(
        [*without, sys.executable, ROOT / "coldstart.py", "climb", "--run", "offline", "--json"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert last_line(done)["probe"] == last_line(climbed[1])["probe"]
    assert (place / "offline" / "metrics.jsonl").read_bytes() == (
        climbed[0] / "metrics.jsonl"
    ).read_bytes()


def test_climb_goes_on_where_it_stopped(climbed, place):
    metrics = (climbed[0] / "metrics.jsonl").read_bytes()
    shutil.copytree(climbed[0], place / "further")
    result = last_line(run_cli("climb", "--run", "further", "--cycles", 3, "--json", cwd=place))
    assert result["cycles"] == 3
    assert (place / "further" / "metrics.jsonl").read_bytes().startswith(metrics)
    assert [m["cycle"] for m in lines(place / "further" / "metrics.jsonl")] == [1, 2, 3]


def test_status_of_a_climbed_run(climbed, place):
    result = last_line(run_cli("status", "--run", "climbed", "--json", cwd=place))
    assert result["cycles"] == 2 and {"before", "after"} <= set(result["probes"])
    assert "climb" in result["next"]


def interrupted(command: list, cwd: Path, ready, times: int) -> subprocess.CompletedProcess:
    """The command with Ctrl-C pressed `times` times once `ready()`."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "coldstart.py"), *map(str, command)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while not ready():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors and "Interrupted" in errors
    return subprocess.CompletedProcess(command, 130, out, errors)


@pytest.mark.long
def test_ctrl_c_finishes_the_step_and_loses_nothing(bootstrapped, climbed, place, student):
    run = place / "patient"
    command = [
        "bootstrap",
        "--repo",
        "practice",
        "--run",
        "patient",
        *settings(student, **{"climb.cycles": 2}),
    ]

    def content() -> dict:
        return (
            json.loads((run / "run.json").read_text())
            if (run / "run.json").exists()
            else {"checkpoints": {}}
        )

    done = interrupted(command, place, lambda: "last" in content()["checkpoints"], 1)
    assert "Finishing this step; Ctrl-C again stops now." in done.stderr
    assert content()["done"] == ["mine", "before", "teach"]
    assert 20 <= int(content()["checkpoints"]["last"].removeprefix("distil-")) < 40, (
        "it was not saved when it was stopped"
    )
    interrupted(["bootstrap", "--run", "patient"], place, lambda: "distil" in content()["done"], 2)
    run_cli("bootstrap", "--run", "patient", cwd=place)
    for name in ("probe.jsonl", "rollouts.jsonl", "trajectories.jsonl"):
        assert (run / name).read_bytes() == (bootstrapped[0] / name).read_bytes(), name
    metrics = run / "metrics.jsonl"
    done = interrupted(
        ["climb", "--run", "patient", "--cycles", 2],
        place,
        lambda: metrics.exists() and lines(metrics),
        1,
    )
    whole = (climbed[0] / "metrics.jsonl").read_bytes()
    assert "Finishing this step" in done.stderr and whole.startswith(metrics.read_bytes())
    assert content()["checkpoints"]["last"] == f"cycle-{len(lines(metrics)):04d}"
    run_cli("climb", "--run", "patient", cwd=place)
    for name in ("metrics.jsonl", "rollouts.jsonl", "probe.jsonl"):
        assert (run / name).read_bytes() == (climbed[0] / name).read_bytes(), name


def test_eval_measures_base_and_checkpoint_and_never_twice(climbed, place):
    shutil.copytree(climbed[0], place / "measured")
    result = last_line(
        run_cli(
            "eval",
            "--run",
            "measured",
            "--checkpoint",
            "distilled",
            "--split",
            "all",
            "--k",
            2,
            "--voice",
            "--json",
            cwd=place,
        )
    )
    assert (
        result["checkpoint"] == "distilled"
        and result["probe"]["all"]["n"] == 16
        and result["probe"]["all"]["k"] == 2
    )
    check_probe(result["probe"])
    check_probe(result["base"])
    assert result["base"]["all"]["pass_at_1"] == 0 and result["probe"]["taught"]["pass_at_1"] > 0
    assert set(result["difference"]) == {g for g in GROUPS if result["probe"][g]["n"]}
    measured = lines(place / "measured" / "eval.jsonl")
    assert len(measured) == 2 * 16 and len({r["adapter"] for r in measured}) == 2
    spoken = lines(place / "measured" / "voice.jsonl")
    assert len(spoken) == 2 * result["voice"]["base"]["questions"] and all(
        {"question", "answer", "names"} <= set(line) for line in spoken
    )
    # Cut off in the middle, it goes on from there; and a part that is asked for again is not
    # measured again.
    whole = (place / "measured" / "eval.jsonl").read_bytes()
    (place / "measured" / "eval.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:-3]))
    done = run_cli(
        "eval",
        "--run",
        "measured",
        "--checkpoint",
        "distilled",
        "--split",
        "all",
        "--k",
        2,
        cwd=place,
    )
    assert "pass@2" in done.stdout and "difference" in done.stdout
    assert (place / "measured" / "eval.jsonl").read_bytes() == whole
    run_cli("eval", "--run", "measured", "--checkpoint", "distilled", "--k", 2, cwd=place)
    assert (place / "measured" / "eval.jsonl").read_bytes() == whole
    run_cli("eval", "--run", "measured", "--checkpoint", "nothing", cwd=place, check=2)


@pytest.mark.long
def test_without_a_teacher_it_stays_cold_and_says_why(place, student):
    small = settings(student, **{"teacher.share": 0, "tasks.limit": 4})
    done = run_cli("bootstrap", "--repo", "practice", "--run", "cold", *small, cwd=place, check=1)
    assert "cold start" in done.stdout and "climb --run" not in done.stdout
    done = run_cli("climb", "--run", "cold", cwd=place, check=1)
    assert "cold start" in done.stdout and "teacher" in done.stdout
    assert not (place / "cold" / "metrics.jsonl").exists()
