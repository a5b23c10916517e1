"""A checkpoint beside its base: the numbers, and that noise is never called an improvement. (`eval`
on a real student: test_arc.py.)"""

import random

import pytest

from recipes.learning.measure import TaskProbe
from recipes.reporting import evaluation
from recipes.reporting.evaluation import compare, comparison_lines
from recipes.reporting.tables import MAIN_GROUPS
from sandbox.errors import UsageError
from tests.written_run import write_run


@pytest.fixture(scope="module")
def run(calc, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", calc, copies=12)


def probes(run, k: int, chance: float, seed: int) -> list[TaskProbe]:
    draw = random.Random(seed)
    return [
        TaskProbe(t.instance_id, k, sum(draw.random() < chance for _ in range(k)), 0)
        for t in run.tasks
    ]


@pytest.mark.slow
def test_a_gain_beyond_chance_is_called_better_and_a_loss_worse(run):
    low, high = probes(run, 8, 0.2, 1), probes(run, 8, 0.8, 2)
    found = compare(run, low, high, 0.7)
    assert (
        found["difference"]["all"]["verdict"] == "better"
        and found["difference"]["all"]["ci95"][0] > 0
    )
    assert compare(run, high, low, 0.7)["difference"]["all"]["verdict"] == "worse"
    assert found["difference"]["all"]["pass_at_1"] == pytest.approx(
        found["probe"]["all"]["pass_at_1"] - found["base"]["all"]["pass_at_1"]
    )
    text = "\n".join(comparison_lines(found, "cycle-0006", 100))
    assert (
        "better, by more than chance explains" in text and "cycle-0006" in text and "pass@8" in text
    )


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 8])
def test_two_draws_of_the_same_are_noise(run, k):
    verdicts = [
        compare(run, probes(run, k, 0.5, seed), probes(run, k, 0.5, seed + 100), 0.7)["difference"][
            "all"
        ]["verdict"]
        for seed in range(12)
    ]
    assert verdicts.count("noise") >= 10
    same = probes(run, k, 0.5, 1)
    found = compare(run, same, same, 0.7)
    assert found["difference"]["all"][
        "verdict"
    ] == "noise" and "no improvement is shown" in "\n".join(comparison_lines(found, "best", 200))


def test_one_more_task_solved_is_no_improvement(run):
    base = [TaskProbe(t.instance_id, 1, 0, 0) for t in run.tasks]
    found = compare(run, base, [TaskProbe(base[0].instance_id, 1, 1, 0), *base[1:]], 0.0)[
        "difference"
    ]["all"]
    assert found["verdict"] == "noise" and found["mcnemar"] == 1.0


def test_the_groups_are_those_of_the_run(run):
    found = compare(run, probes(run, 2, 0.5, 1), probes(run, 2, 0.5, 2), 0.7)
    sizes = {g: p["n"] for g, p in found["probe"].items()}
    assert {g: sizes[g] for g in MAIN_GROUPS} == {
        "taught": 4,
        "untaught": 40,
        "heldout": 4,
        "all": 48,
        "were_warm": 0,
    }
    assert (sizes["hard"], sizes["soft"], sizes["heldout_hard"], sizes["heldout_soft"]) == (
        36,
        12,
        3,
        1,
    )
    text = "\n".join(comparison_lines(found, "best", 80))
    assert (
        "all, hard: 36 tasks" in text
        and "held out, soft: 1 tasks" in text
        and "48 tasks" not in text
    ), "they are added up"
    heldout = [p for p in probes(run, 2, 0.5, 1) if p.instance_id.endswith("-11")]
    found = compare(run, heldout, heldout, 0.7)
    assert (
        set(found["difference"])
        == {"heldout", "heldout_hard", "heldout_soft", "all", "hard", "soft"}
        and found["probe"]["taught"]["pass_at_1"] is None
    )
    text = "\n".join(comparison_lines(found, "best", 80))
    assert "taught" not in text and "all" not in text.replace("small", ""), "the same tasks twice"
    assert all(len(line) <= 60 for line in comparison_lines(found, "cycle-0006", 60))


def test_what_was_measured_is_known_by_weights_samples_and_temperature(run):
    one = TaskProbe("t", 4, 3, 1)
    run.append(evaluation.FILE, [evaluation.record("abc", 4, 0.7, one)])
    assert evaluation.read(run, "abc", 4, 0.7) == {"t": one}
    assert (
        evaluation.read(run, "abd", 4, 0.7)
        == evaluation.read(run, "abc", 5, 0.7)
        == evaluation.read(run, "abc", 4, 0.8)
        == {}
    )


def test_what_cannot_be_asked(run):
    assert (
        evaluation.samples(None, 0.7, 8) == 8
        and evaluation.samples(3, 0.7, 8) == 3
        and evaluation.samples(None, 0, 8) == 1
    )
    with pytest.raises(UsageError, match="--k"):
        evaluation.samples(2, 0, 8)
    with pytest.raises(UsageError, match="--split"):
        evaluation.tasks_of([t for t in run.tasks if t.split == "train"], "heldout")
    with pytest.raises(UsageError, match="no checkpoint"):
        evaluation.name_of(run.folder / "nothing")
