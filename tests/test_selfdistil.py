"""Self-distillation: the student comes nearer to an earlier checkpoint of its own on what it
writes, a run goes on behind it as before, and a kill changes nothing."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from recipes import phases
from recipes.climb import forget_after
from recipes.learning.selfdistil import MEASURED, mean_divergence, selfdistil
from recipes.reporting.report import page
from recipes.reporting.status import run_facts, status_lines
from recipes.rollouts.choosing import open_engine
from recipes.runfolder.run import Run
from recipes.runfolder.selfdistillation import FILE, KEY, SelfDistillation
from recipes.session import Session
from sandbox.errors import UsageError
from tests.conftest import practice_in, run_cli
from tests.test_arc import last_line, lines, make_student, settings
from tests.test_crash import kill, start, state_of
from tests.test_divergence import reference_bytes, with_reference
from tests.tiny import adapter_bytes, load_tiny, make_tiny, tiny_recipe
from tests.written_run import write_run

RECIPE = tiny_recipe(
    selfdistil={"steps": 12, "batch": 6, "lr": 5e-3, "warmup": 2, "save_every": 4},
    student={"max_new": 8},
)
PAIRS = [(SimpleNamespace(instance_id=f"t{i}"), [5 + i, 9, 20, 7][: 2 + i % 3]) for i in range(20)]
"""More than are measured."""


# ------------------------------------------------------------------------------------ the loop


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("models") / "m")


def learn(folder: Path, scratch: Path, engine: str = "model", stop: int | None = None):
    """(student, steps, mean divergence before); where `stop` is given, from a checkpoint of that
    step on, in another student."""
    student = with_reference(load_tiny(folder), scratch)
    sampler = open_engine(engine, student, RECIPE, folder.parent)
    before = mean_divergence(sampler, PAIRS, RECIPE, nullcontext)
    first = replace(RECIPE, selfdistil=replace(RECIPE.selfdistil, steps=stop or 12))
    steps = list(selfdistil(sampler, PAIRS, first, nullcontext))
    if stop is not None:
        student.save(scratch / "between", {})
        student = load_tiny(folder, checkpoint=scratch / "between")
        student.freeze_reference(scratch / "reference")
        sampler = open_engine(engine, student, RECIPE, folder.parent)
        steps += selfdistil(sampler, PAIRS, RECIPE, nullcontext, stop)
    return student, steps, (before, mean_divergence(sampler, PAIRS, RECIPE, nullcontext))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["model", "llama.cpp"])
def test_the_divergence_falls_and_a_restart_changes_nothing(folder, tmp_path, engine):
    student, steps, (before, after) = learn(folder, tmp_path, engine)
    assert 0 < after < before / 2
    assert [s.step for s in steps] == list(range(1, 13)) and {s.steps for s in steps} == {12}
    assert [s.lr for s in steps] == [2.5e-3, *[5e-3] * 11]
    assert all(s.kl > 0 and s.grad_norm > 0 and 6 <= s.tokens <= 6 * 8 for s in steps)
    (tmp_path / "again").mkdir()
    again, others, measured = learn(folder, tmp_path / "again", engine, stop=5)
    assert [replace(s, steps=12) for s in others] == steps and measured == (before, after)
    assert adapter_bytes(again) == adapter_bytes(student)
    assert reference_bytes(again) == reference_bytes(student)


def test_what_is_measured_is_the_same_prompts_and_draws_each_time(folder, tmp_path):
    student, calls = with_reference(load_tiny(folder), tmp_path), []
    engine = open_engine("model", student, RECIPE, folder.parent)
    sample = engine.sample
    engine.sample = lambda prompts, *given, **named: (
        calls.append((prompts, given)) or sample(prompts, *given, **named)
    )
    assert mean_divergence(engine, PAIRS, RECIPE, nullcontext) == mean_divergence(
        engine, PAIRS, RECIPE, nullcontext
    )
    assert calls[0] == calls[1] and len(calls[0][0]) == MEASURED < len(PAIRS)
    with pytest.raises(ValueError, match="at least one prompt"):
        next(selfdistil(engine, [], RECIPE, nullcontext))


# ----------------------------------------------------------------------- what a run remembers


@pytest.fixture
def run(calc, tmp_path) -> Run:
    """Climbed as far as planned; its checkpoints are empty folders."""
    run = write_run(tmp_path / "run", calc)
    for name in ("distilled", "cycle-0004", "cycle-0006"):
        (run.folder / "checkpoints" / name).mkdir(parents=True)
    return run


def step(run: Run, begun: SelfDistillation, number: int) -> None:
    """A step was taken, and saved."""
    name = phases.stepped_checkpoint("selfdistil", begun.first + number)
    (run.folder / "checkpoints" / name).mkdir()
    run.append(FILE, [{"step": number}])
    run.name_checkpoints(last=name)


def test_one_that_was_begun_is_known_until_something_else_is_learned(run):
    assert SelfDistillation.of(run) is None and run_facts(run)["selfdistil"] is None
    begun = SelfDistillation.begin(run, "distilled", "last", 2)
    again = Run.open(run.folder)
    assert SelfDistillation.of(again) == begun and begun.steps_done(again) == 0
    assert (begun.teacher, begun.origin) == ("distilled", "cycle-0006")
    following = run_facts(again)
    assert "selfdistil --run" in following["next"] and "--steps 2" in following["next"]
    assert following["step"] == {"name": "steps of self-distillation", "done": 0, "total": 2}
    step(run, begun, 1)
    assert SelfDistillation.of(run) == begun and begun.steps_done(run) == 1
    assert "1 of 2 steps of self-distillation" in "\n".join(status_lines(run_facts(run), 100))
    step(run, begun, 2)
    begun.before, begun.after = 0.25, 0.125
    begun.write(run)
    found = run_facts(run)
    assert found["selfdistil"] == {
        "teacher": "distilled",
        "from": "cycle-0006",
        "steps": 2,
        "done": 2,
        "kl": {"before": 0.25, "after": 0.125},
    }
    assert found["cycles"] == 6 and "climb --run" in found["next"] and found["step"] is None
    assert "KL 0.2500 before, 0.1250 after" in str(begun)
    assert "svg" in page(run, {})
    (run.folder / "checkpoints" / "cycle-0007").mkdir()
    run.name_checkpoints(last="cycle-0007")
    assert SelfDistillation.of(run) is None


def test_the_teacher_is_kept_and_no_checkpoint_overwrites_it(run):
    """Though the names that it was asked by come to mean others: a second one learns from where the
    first one left."""
    first = SelfDistillation.begin(run, "distilled", "last", 1)
    step(run, first, 1)
    second = SelfDistillation.begin(run, "last", "cycle-0006", 1)
    assert second.teacher == "selfdistil-0001" and second.steps_done(run) == 0
    step(run, second, 1)
    assert run.content["checkpoints"]["last"] == "selfdistil-0002" and second.steps_done(run) == 1
    assert (run.folder / "checkpoints" / "selfdistil-0001").is_dir()
    assert second.arguments == "--teacher-checkpoint last --checkpoint cycle-0006 --steps 1"


def test_who_learns_is_not_whom_from(run):
    before = json.dumps(run.content)
    with pytest.raises(UsageError, match="same checkpoint, cycle-0006"):
        SelfDistillation.begin(run, "best", "last", 3)
    with pytest.raises(UsageError, match="no checkpoint 'nobody'"):
        SelfDistillation.begin(run, "nobody", "last", 3)
    assert json.dumps(run.content) == before


def test_it_says_where_it_went_away_from_its_teacher():
    begun = SelfDistillation("best", "last", "cycle-0001", "cycle-0002", 0, 5, 0.1, 0.2)
    assert "selfdistil.lr" in str(begun) and "selfdistil.lr" not in str(replace(begun, after=0.05))
    assert asdict(begun)["steps"] == 5


# ------------------------------------------------------------------------------ real commands


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a run, `climbed`, that has two cycles."""
    place = tmp_path_factory.mktemp("place")
    practice_in(place)
    options = settings(
        make_student(place / "student"),
        **{"climb.lr": 1e-2, "selfdistil.lr": 2e-4, "selfdistil.batch": 6},
        **{"selfdistil.steps": 6, "selfdistil.save_every": 2},
    )
    run_cli("bootstrap", "--repo", "practice", "--run", "climbed", *options, cwd=place)
    shutil.copytree(place / "climbed", place / "bootstrapped")
    run_cli("climb", "--run", "climbed", cwd=place)
    return place


@pytest.fixture(scope="module")
def distilled(place) -> tuple[Path, dict]:
    """(run folder, what the command says)"""
    shutil.copytree(place / "climbed", place / "distilled")
    done = run_cli("selfdistil", "--run", "distilled", "--json", cwd=place)
    return place / "distilled", last_line(done)


def counters(run: Path, name: str) -> dict:
    folder = json.loads((run / "run.json").read_text())["checkpoints"][name]
    return json.loads((run / "checkpoints" / folder / "counters.json").read_text())["counters"]


@pytest.mark.slow
def test_the_command_brings_the_student_nearer_and_asks_no_verdict(distilled, place):
    run, said = distilled
    assert said["checkpoint"] == "selfdistil-0006" and said["steps"] == 6
    assert (said["from"], said["teacher"]) == ("cycle-0002", "distilled")
    assert 0 < said["kl"]["after"] < said["kl"]["before"]
    steps = lines(run / FILE)
    assert [s["step"] for s in steps] == [1, 2, 3, 4, 5, 6]
    assert all(s["kl"] > 0 and s["tokens"] >= 6 for s in steps)
    before = place / "climbed"
    for name in ("metrics.jsonl", "rollouts.jsonl", "probe.jsonl", "verdicts.jsonl"):
        assert (run / name).read_bytes() == (before / name).read_bytes(), name
    assert counters(run, "last") == counters(before, "last") and "climb" in counters(run, "last")
    for name in ("distilled", "best"):
        assert checkpoint(run, name) == checkpoint(before, name)
    assert checkpoint(run, "last") != checkpoint(before, "last")


def checkpoint(run: Path, name: str) -> bytes:
    folder = json.loads((run / "run.json").read_text())["checkpoints"][name]
    return (run / "checkpoints" / folder / "adapter_model.safetensors").read_bytes()


@pytest.mark.slow
def test_the_same_command_again_does_nothing_and_more_steps_go_on(distilled, place):
    run, said = distilled
    shutil.copytree(run, place / "again")
    files = {p: p.read_bytes() for p in (place / "again").rglob("*") if p.is_file()}
    again = last_line(run_cli("selfdistil", "--run", "again", "--json", cwd=place))
    assert again == said | {"run": "again"}
    assert {p: p.read_bytes() for p in (place / "again").rglob("*") if p.is_file()} == files
    more = last_line(run_cli("selfdistil", "--run", "again", "--steps", 8, "--json", cwd=place))
    assert more["checkpoint"] == "selfdistil-0008" and more["kl"]["before"] == said["kl"]["before"]
    assert lines(place / "again" / FILE)[:6] == lines(run / FILE)
    # Climbing goes on from there: its cycles are counted on.
    metrics = (run / "metrics.jsonl").read_bytes()
    done = last_line(run_cli("climb", "--run", "again", "--cycles", 3, "--json", cwd=place))
    assert done["cycles"] == 3
    assert (place / "again" / "metrics.jsonl").read_bytes().startswith(metrics)
    after = counters(place / "again", "last")["climb"]
    assert after["cycle"] == 3 and set(after["p"]) == set(counters(run, "last")["climb"]["p"])
    # Behind it, the same command is a new one.
    new = last_line(run_cli("selfdistil", "--run", "again", "--steps", 1, "--json", cwd=place))
    assert (new["from"], new["checkpoint"]) == ("cycle-0003", "selfdistil-0009")


@pytest.mark.slow
def test_killed_with_steps_that_no_checkpoint_holds_it_comes_to_the_same(distilled, place):
    whole, killed = distilled[0], place / "killed"
    shutil.copytree(place / "climbed", killed)
    process = start(["selfdistil", "--run", "killed"], place, killed)
    while process.poll() is None and not (
        (killed / FILE).exists() and (killed / FILE).read_text().count("\n") >= 3
    ):
        state_of(killed)
    kill(process)
    status = last_line(run_cli("status", "--run", "killed", "--json", cwd=place))
    assert 2 <= status["step"]["done"] < 6 and "selfdistil --run" in status["next"]
    said = last_line(run_cli("selfdistil", "--run", "killed", "--json", cwd=place))
    assert said["kl"] == distilled[1]["kl"]
    assert (killed / FILE).read_bytes() == (whole / FILE).read_bytes()
    assert checkpoint(killed, "last") == checkpoint(whole, "last")
    content = json.loads((killed / "run.json").read_text())
    assert content[KEY] == json.loads((whole / "run.json").read_text())[KEY]


def test_what_was_climbed_behind_an_older_checkpoint_is_forgotten(run):
    metrics = run.read("metrics.jsonl")
    forget_after(Session(run, None, print), 4, metrics[3])
    assert run.read("metrics.jsonl") == metrics[:4]
    assert run.content["done"][-1] == "after" == run.read("probe.jsonl")[-1]["phase"]
    climbed = [r for r in run.read("rollouts.jsonl") if r["phase"].startswith("climb")]
    assert max(r["cycle"] for r in climbed) == 4
    forget_after(Session(run, None, print), 0, None)
    assert run.read("metrics.jsonl") == [] and run_facts(run)["cycles"] == 0


@pytest.mark.long
@pytest.mark.slow
def test_an_older_checkpoint_may_learn_and_what_came_behind_it_is_climbed_anew(place):
    """From the newer one, as a test of the machinery: distilled has no cycles."""
    run_cli("selfdistil", "--run", "bootstrapped", cwd=place, check=2)
    shutil.copytree(place / "climbed", place / "older")
    content = json.loads((place / "older" / "run.json").read_text())
    newer = content["checkpoints"]["last"]
    given = ["--teacher-checkpoint", newer, "--checkpoint", "distilled", "--steps", 2]
    said = last_line(run_cli("selfdistil", "--run", "older", *given, "--json", cwd=place))
    assert (said["from"], said["teacher"]) == ("distilled", newer)
    status = last_line(run_cli("status", "--run", "older", "--json", cwd=place))
    assert status["cycles"] == 0 and "climb-0002" not in status["probes"]
    done = last_line(run_cli("climb", "--run", "older", "--json", cwd=place))
    assert done["cycles"] == 2 and done["probe"]["after"]["all"]["n"] == 16
    assert [m["cycle"] for m in lines(place / "older" / "metrics.jsonl")] == [1, 2]
