"""What a teacher came to: tasks that were cold and are solved now, and what each has cost."""

import json

import pytest

from recipes.reporting import thawed
from recipes.reporting.thawed import never_solved, thawed_facts, thawed_lines
from tests.written_run import write_run


@pytest.fixture
def run(calc, tmp_path):
    """All tasks were cold; the first half of those for training is solved now, and one was
    taught."""
    run = write_run(tmp_path / "run", calc, cycles=2)
    train = [t.instance_id for t in run.tasks if t.split == "train"]
    first, last = "before", run.content["done"][-1]
    run.keep_only(
        "probe.jsonl",
        [
            {
                **p,
                "resolved": int(
                    p["phase"] == last and p["instance_id"] in train[: len(train) // 2]
                ),
            }
            for p in run.read("probe.jsonl")
            if p["phase"] in (first, last)
        ],
    )
    taught = {"instance_id": train[-1], "source": "teacher", "messages": [], "reward": 1.0}
    run.keep_only("trajectories.jsonl", [taught])
    run.content["seconds"] |= {"teach": 60.0, "distil": 300.0}
    run.write()
    return run, len(train)


def paid(monkeypatch, usd: float) -> None:
    monkeypatch.setattr(thawed, "read_summary", lambda folder: {"usd": usd})


def test_what_each_has_cost(run, monkeypatch):
    (run, count), won = run, run[1] // 2
    paid(monkeypatch, 0.5)
    facts = thawed_facts(run)
    assert (facts["cold"], facts["thawed"], facts["still_cold"]) == (count, won, count - won)
    assert facts["never_taught"] == count - won - 1  # one was taught, and is cold all the same
    assert facts["usd_per_thawed"] == 0.5 / won and facts["minutes"] == 6.0
    assert facts["next_dollar"] == min(count - won - 1, round(won / 0.5))
    (said,) = thawed_lines(facts)
    hard = {t.instance_id for t in run.tasks if t.split == "train" and t.hard}
    thawed_hard = sum(
        t in hard for t in [t.instance_id for t in run.tasks if t.split == "train"][:won]
    )
    assert facts["hard"] == {"cold": len(hard), "thawed": thawed_hard}
    assert facts["soft"] == {"cold": count - len(hard), "thawed": won - thawed_hard}
    assert (
        f"{thawed_hard} of {len(hard)} hard and {won - thawed_hard} of {count - len(hard)} soft "
        f"cold training tasks are solved now, at {50 / won:.2f} US cents" in said
    )
    assert (
        f"another dollar would thaw about {facts['next_dollar']} of the {count - won - 1}" in said
    )
    assert json.loads(json.dumps(facts)) == facts


def test_where_nothing_was_paid_nothing_is_said_of_the_next_dollar(run, monkeypatch):
    paid(monkeypatch, 0.0)
    facts = thawed_facts(run[0])
    assert facts["next_dollar"] is None and facts["usd_per_thawed"] == 0
    assert "at no cost and" in thawed_lines(facts)[0] and "dollar" not in thawed_lines(facts)[0]


def test_where_nothing_has_thawed(run, monkeypatch):
    (run, count), _ = run, paid(monkeypatch, 0.5)
    run.keep_only("probe.jsonl", [{**p, "resolved": 0} for p in run.read("probe.jsonl")])
    facts = thawed_facts(run)
    assert facts["usd_per_thawed"] is None and facts["minutes_per_thawed"] is None
    assert thawed_lines(facts) == [f"None of {count} cold training tasks is solved yet."]


def test_before_there_is_anything_to_compare(calc, tmp_path):
    assert thawed_facts(write_run(tmp_path / "run", calc, upto="before")) is None
    assert thawed_lines(None) == []


def test_what_was_never_solved_goes_by_every_rollout(calc, tmp_path):
    run = write_run(tmp_path / "run", calc)
    known = never_solved(run)
    rollouts = run.read("rollouts.jsonl")
    train = {t.instance_id: t.sort for t in run.tasks if t.split == "train"}
    solved = {r["instance_id"] for r in rollouts if r["reward"]}
    assert known == {name: sort for name, sort in train.items() if name not in solved}
    run.keep_only("rollouts.jsonl", [r for r in rollouts if r["phase"] == "before"])
    assert never_solved(run) == train, "the first probe solved nothing"
