"""What a run has come to: the first sentence, what is beside it, the tables, and the line of a
climb that goes on."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes import climb_events, phases
from recipes.reporting import outcome, tables
from recipes.reporting.live import fitted
from recipes.reporting.standing import standing
from tests.written_run import write_run

K = 4


def functions_of(run, count: int, soft: int = 0, heldout: int = 0) -> list:
    """So many tasks in the place of the run's, each about a function of its own, the last ones held
    out, the first ones soft."""
    one = run.tasks[0]
    return [
        replace(
            one,
            instance_id=f"t{i:03}",
            function=f"f{i}",
            split="heldout" if i >= count - heldout else "train",
            recorded=() if i < soft else ([{}, {}],),
        )
        for i in range(count)
    ]


def measured(run, tasks: list, **solved: list[int]) -> None:
    """The run has these tasks, and probes in which so many tries of each were right."""
    run.keep_only("tasks.jsonl", [task.to_dict() for task in tasks])
    run.keep_only(
        "probe.jsonl",
        [
            {
                "phase": phase.replace("_", "-"),
                "temperature": 0.7,
                "instance_id": task.instance_id,
                "k": K,
                "resolved": resolved,
                "truncated": 0,
            }
            for phase, counts in solved.items()
            for task, resolved in zip(tasks, counts, strict=True)
        ],
    )
    run.content["done"] = ["mine", "before", "teach", "distil", "after", "climb-0006"]
    run.keep_only("trajectories.jsonl", [])


@pytest.fixture
def run(calc, tmp_path):
    return write_run(tmp_path / "run", calc)


def test_the_sentences_of_an_ordinary_run(run):
    tasks = functions_of(run, count=12, soft=3, heldout=4)
    #         soft     hard, training  held out
    before = [0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0]
    after = [4, 0, 0, 1, 4, 0, 0, 0, 0, 2, 0, 0]
    climbed = [4, 0, 1, 1, 4, 3, 0, 1, 1, 4, 0, 0]
    measured(run, tasks, before=before, after=after, climb_0006=climbed)
    taught = [{"instance_id": "t004", "source": "reference", "messages": [], "reward": 1.0}]
    run.keep_only("trajectories.jsonl", taught)
    assert outcome.sentence(run, "after") == (
        "It now solves 2 of 4 functions that it could not; of 4 that it never trained on, 1."
    )
    assert outcome.details(run, "after") == [
        "Solves: right in at least one of 4 tries. Could not: right in none of 4 at first.",
        "It was given verified answers to 1 of these 4, and solves 1 of them and 1 of the 3 "
        "others.",
        "No code can forge the verdicts on these (hard tasks).",
        "Beside these, of soft tasks it solves 1 of 2.",
        "Of those that it could solve at first it now does not solve 1 hard and 1 soft.",
    ]
    assert outcome.sentence(run, "climb-0006") == (
        "It now solves 3 of 4 functions that it could not (2 before climbing); of 4 that it never "
        "trained on, 2 (1)."
    )
    assert len(outcome.details(run, "climb-0006")) == 4, "nothing is lost any more"


def test_the_sentences_of_runs_that_lack_something(run):
    tasks = functions_of(run, count=3, soft=3, heldout=1)
    measured(run, tasks, before=[0, 0, 0], after=[1, 0, 0])
    assert outcome.sentence(run, "after") == (
        "It now solves 1 of 2 functions that it could not; of 1 that it never trained on, none."
    )
    assert "could forge such a verdict" in outcome.details(run, "after")[-1]
    tasks = functions_of(run, count=3, heldout=1)
    measured(run, tasks, before=[1, 1, 0], after=[1, 1, 1])
    assert outcome.sentence(run, "after") == (
        "Of 1 functions that it could not solve and never trained on, it now solves 1."
    )
    assert "No code can forge" in outcome.details(run, "after")[-1]
    measured(run, tasks, before=[1, 1, 1], after=[1, 1, 1])
    assert outcome.sentence(run, "after") == "There were no functions that it could not solve."
    measured(run, functions_of(run, count=2), before=[0, 0], after=[0, 0])
    assert outcome.sentence(run, "after") == "It now solves none of 2 functions that it could not."


def test_several_tasks_about_one_function_are_not_called_functions(run):
    assert " tasks that it could not" in outcome.sentence(run, "after"), "copies of four functions"


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.integers(0, K), st.integers(0, K)),
        min_size=1,
        max_size=20,
    )
)
def test_every_task_is_counted_once(rows):
    """Of a run that is its files alone."""
    tasks = [
        SimpleNamespace(
            instance_id=str(i),
            sort="hard" if hard else "soft",
            split="heldout" if held else "train",
            files=(),
            file="",
            function=str(i),
        )
        for i, (hard, held, _, _) in enumerate(rows)
    ]
    probes = [
        {"phase": phase, "instance_id": str(i), "k": K, "resolved": row[place], "truncated": 0}
        for phase, place in (("before", 2), ("after", 3))
        for i, row in enumerate(rows)
    ]
    files = {"probe.jsonl": probes, "trajectories.jsonl": []}
    run = SimpleNamespace(tasks=tasks, set_aside={}, taught=set(), read=files.__getitem__)
    found = outcome.outcome(run, "after")
    for hard in (True, False):
        for held in (True, False):
            counts = found["hard" if hard else "soft"]["heldout" if held else "train"]
            own = [row[2:] for row in rows if row[:2] == (hard, held)]
            assert counts["could_not"] == sum(old == 0 for old, _ in own)
            assert counts["solved"] == sum(old == 0 < new for old, new in own)
            assert counts["lost"] == sum(new == 0 < old for old, new in own)
    assert str(outcome.sentence(run, "after"))


# ---------------------------------------------------------------------------------------- tables


def summaries(run) -> tuple[dict, dict]:
    return tuple(tables.probe_summary(run, name) for name in ("before", "after"))


@pytest.mark.parametrize("columns, states", [(60, False), (79, True), (None, True)])
def test_the_table_fits_and_leaves_out_only_what_it_says(run, columns, states):
    before, after = summaries(run)
    legend, head, *rows = tables.table(before, after, columns)
    assert all(len(row) <= (columns or 79) for row in [head, *rows])
    assert ("mastered" in head) == states and "pass@4" in head and "pass@1" in legend
    assert [row[:15].strip() for row in rows] == [
        tables.SHORT_WORDS[group] for group in tables.SHOWN_GROUPS if after[group]["n"]
    ]
    taught = after["taught_hard"]
    assert rows[0].split()[2:5] == [str(taught["n"]), "0.000", f"{taught['pass_at_1']:.3f}"]


def test_what_became_of_training_tasks_is_said_of_hard_and_soft_ones_apart(run):
    before, after = summaries(run)
    lines = tables.bootstrap_lines(run, before, after, None)
    for hardness in ("hard", "soft"):
        said = next(line for line in lines if line.startswith(f"Training tasks, {hardness}: "))
        count = sum(before[f"{group}_{hardness}"]["n"] for group in ("taught", "untaught"))
        assert f"{count} of {count} were cold (never solved; " in said
    assert lines[-2:] == ["Next:", f"  python coldstart.py climb --run {run.folder}"]


# ------------------------------------------------------------------- a climb that is at work


def metrics_of(run, **changes) -> None:
    lines = run.read("metrics.jsonl")
    run.keep_only("metrics.jsonl", [*lines[:-1], {**lines[-1], **changes}])


def test_how_a_climb_stands(run):
    """written_run: six cycles, 15 seconds each; the last one measured 0.6 of hard held-out
    tasks."""
    new = {"reward/hard": 0.625, "groups/hard": 5, "groups/hard/used": 3, "reward/soft": None}
    metrics_of(run, **new)
    found = standing(run, last=20)
    assert found.seconds_left == 14 * 15
    assert [part[0] for part in found.parts] == [
        "6 of 20 cycles",
        "hard: reward 0.62, warm 3/5, held out 0.60",
        "soft: held out 0.20",
    ]
    assert fitted(found.parts, 47) == "6/20 | hard: reward .62, warm 3/5, held out .60"
    assert fitted(found.parts, 26) == "6/20 | hard: .62, 3/5, .60"


def test_before_the_first_cycle_it_stands_where_bootstrap_left_it(calc, tmp_path):
    run = write_run(tmp_path / "run", calc, cycles=0)
    value = tables.probe_summary(run, "after")["heldout_hard"]["pass_at_1"]
    found = standing(run, last=6, expected=10.0)
    assert found.parts[0][0] == "0 of 6 cycles" and found.seconds_left == 60
    assert found.parts[1][0] == f"hard: held out {value:.2f}"
    assert standing(run, last=6).seconds_left is None


def test_minutes_that_are_over_before_the_cycles(run):
    import time

    left = standing(run, last=100, until=time.monotonic() + 30).seconds_left
    assert 25 < left <= 30
    assert standing(run, last=100, until=time.monotonic() - 1).seconds_left == 0


def cycle_done(run, best: bool, why: str = "", **changes) -> climb_events.CycleDone:
    line = {
        **run.read("metrics.jsonl")[-1],
        "rollouts/hard": 8,
        "rollouts/soft": 4,
        "rollouts/recorded": 0,
    }
    line |= {"rollouts/unjudged": 0, **changes}
    result = SimpleNamespace(cycle=6, metrics=line, rolled_back=why)
    return climb_events.CycleDone(result, line, best)


def test_a_cycle_is_news_where_it_is_the_best_or_was_undone(run):
    ordinary, best = cycle_done(run, best=False), cycle_done(run, best=True)
    assert ordinary.news == ""
    assert str(ordinary).startswith(
        "cycle 6: 50 % of 8 hard and 50 % of 4 soft rollouts resolved; "
    )
    assert str(ordinary).endswith("; held-out pass@1 0.600 hard, 0.200 soft")
    assert best.news == "cycle 6: held-out pass@1 0.600 hard, 0.200 soft, the best so far"
    assert str(best) == f"{ordinary}, the best so far" and best.tone == "good"
    undone = cycle_done(run, best=False, why="the gradient is not finite")
    assert undone.news == (
        "cycle 6: UNDONE, because the gradient is not finite; learning rate halved"
    )
    assert undone.tone == "bad" and "UNDONE, because the gradient" in str(undone)
    unmeasured = {"heldout/hard": None, "heldout/soft": None}
    assert cycle_done(run, best=True, **unmeasured).news == "", "there is no held-out task"


def test_many_tasks_that_thaw_at_once_are_all_named_where_it_is_written_down():
    tasks = {f"blank-{i}": ("hard", "soft")[i % 2] for i in range(6)}
    event = climb_events.Thawed(2, tasks)
    assert str(event) == (
        "cycle 2 solved for the first time: blank-0 (hard), blank-1 (soft), blank-2 (hard), "
        "blank-3 (soft), blank-4 (hard), blank-5 (soft)"
    )
    assert event.news.endswith("blank-3 (soft) and 2 more") and "blank-4" not in event.news


def test_the_probe_that_a_sentence_is_about_is_one_of_the_runs_own(run):
    assert outcome.sentence(run, phases.bootstrapped()) != outcome.sentence(run, "climb-0006")
