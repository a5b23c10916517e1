"""Estimators against brute force and known values, and a probe that resumes."""

from itertools import combinations
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.learning.measure import (
    TaskProbe,
    derived_seed,
    interval,
    mcnemar,
    paired_interval,
    pass_at_k,
    probe,
    summarise,
)
from recipes.rollouts.model_engine import ModelEngine
from recipes.rollouts.rollout import UNJUDGED, Sampling, failures_of
from sandbox.errors import HarnessError
from tests.tiny import load_tiny, make_tiny


@given(
    st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))
)
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(values):
    n, c, k = values
    subsets = list(combinations([1] * c + [0] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(
        sum(any(s) for s in subsets) / len(subsets), abs=1e-12
    )


@pytest.mark.parametrize("n, c, k", [(8, 9, 1), (8, -1, 1), (8, 1, 9), (8, 1, 0)])
def test_pass_at_k_refuses_what_has_no_meaning(n, c, k):
    with pytest.raises(ValueError):
        pass_at_k(n, c, k)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 8).map(lambda c: c / 8), min_size=1, max_size=40), st.integers(0, 3))
def test_the_interval_contains_the_mean_and_has_a_width(values, seed):
    low, high = interval(values, seed)
    assert (
        0 <= low <= sum(values) / len(values) + 1e-12
        and sum(values) / len(values) - 1e-12 <= high <= 1
    )
    assert low < high
    assert (low, high) == interval(values, seed)


def test_the_interval_of_tasks_that_agree_is_wilsons():
    # Wilson's interval for 0 of 20 is (0, z^2 / (n + z^2)), and for 20 of 20 its mirror image.
    assert interval([0.0] * 20, 0) == pytest.approx((0.0, 0.16113), abs=1e-5)
    assert interval([1.0] * 20, 0) == pytest.approx((0.83887, 1.0), abs=1e-5)
    assert interval([], 0) == (0.0, 1.0)


def test_the_interval_is_about_two_standard_errors_each_way():
    low, high = interval([0.0, 1.0] * 100, 0)
    assert (low, high) == pytest.approx(
        (0.5 - 1.96 * 0.5 / 200**0.5, 0.5 + 1.96 * 0.5 / 200**0.5), abs=0.006
    )


def test_the_paired_interval_sees_what_two_intervals_hide():
    before = [i / 40 for i in range(40)]
    low, high = paired_interval(before, [v + 0.01 * (i % 3) for i, v in enumerate(before)], 0)
    assert 0 < low < 0.00975 < high < 0.02 and interval(before, 0)[1] - interval(before, 0)[0] > 0.1
    low, high = paired_interval([0.0] * 20, [0.0] * 20, 0)
    assert low < -0.1 and high > 0.1, (
        "that nothing differed in 20 tasks does not show that nothing differs"
    )
    low, high = paired_interval([0.0] * 20, [1.0] * 20, 0)
    assert 0.6 < low < high == 1.0
    with pytest.raises(ValueError):
        paired_interval([0.0], [0.0, 1.0], 0)


def test_mcnemar_is_the_sign_test_of_what_differs():
    def p(lost, won, same=5):
        return mcnemar(
            [True] * lost + [False] * won + [True] * same,
            [False] * lost + [True] * won + [True] * same,
        )

    assert p(0, 0) == 1.0 and p(0, 5) == 2 / 32 and p(0, 6) == 2 / 64 and p(3, 3) == 1.0
    assert p(1, 9) == p(9, 1) == pytest.approx(22 / 1024) and p(1, 9, same=50) == p(1, 9)


@pytest.mark.parametrize(
    "resolved, truncated, state",
    [
        (0, 0, "cold"),
        (0, 1, "cold"),
        (0, 8, "cold"),
        (1, 0, "warm"),
        (7, 1, "warm"),
        (8, 0, "mastered"),
    ],
)
def test_states(resolved, truncated, state):
    assert TaskProbe("t", 8, resolved, truncated).state == state
    assert TaskProbe("t", 8, resolved, truncated).cut_off == (state == "cold" and truncated > 0)


def test_summary():
    probes = [
        TaskProbe("a", 4, 0, 0),
        TaskProbe("b", 4, 2, 0),
        TaskProbe("c", 4, 4, 0),
        TaskProbe("d", 4, 0, 3),
    ]
    out = summarise(probes, 0.7)
    low, high = out.pop("ci95")
    assert low < 0.375 < high
    assert out == {
        "n": 4,
        "k": 4,
        "temperature": 0.7,
        "pass_at_1": 0.375,
        "pass_at_k": 0.5,
        "cold": 2,
        "warm": 1,
        "mastered": 1,
        "truncated": 1,
    }
    assert summarise([], 0.7)["pass_at_1"] is None and summarise([], 0.7)["n"] == 0
    with pytest.raises(ValueError):
        summarise([TaskProbe("a", 4, 0, 0), TaskProbe("b", 8, 0, 0)], 0.7)


def test_derived_seeds_differ_and_stay():
    assert derived_seed("a", 1) == derived_seed("a", 1)
    assert (
        len({derived_seed("a", 1), derived_seed("a", 2), derived_seed("a1"), derived_seed("b", 1)})
        == 4
    )
    assert derived_seed("probe", 0, "x") < 1 << 63


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    student = load_tiny(make_tiny(tmp_path_factory.mktemp("models") / "llama"))
    student.tokens.end_ids = frozenset([1, *range(2, 384, 8)])
    return student


PAIRS = [(SimpleNamespace(instance_id=f"t{i}"), [5 + i, 9, 20][: 1 + i % 3]) for i in range(7)]


def judge(pairs):
    return [
        SimpleNamespace(status="resolved", reward=1.0)
        if len(text) % 2
        else SimpleNamespace(status="failed", reward=0.0)
        for _, text in pairs
    ]


def measured(student, pairs, judge=judge, n=4, chunk=3, length=8, **more):
    return list(
        probe(
            ModelEngine(student),
            pairs,
            Sampling(n, 0.9, length),
            seed=3,
            judge=judge,
            chunk=chunk,
            **more,
        )
    )


def test_a_probe_that_resumes_at_a_chunk_gives_what_one_call_gives(student):
    whole = measured(student, PAIRS)
    assert [group[0].instance_id for _, group in whole[:3]] != [] and {
        g[0].instance_id for _, g in whole[:3]
    } == {"t0", "t1", "t2"}
    assert measured(student, PAIRS[3:]) == whole[3:] and measured(student, PAIRS[6:]) == whole[6:]
    for task_probe, rollouts in whole:
        assert task_probe == TaskProbe(
            rollouts[0].instance_id,
            4,
            sum(r.status == "resolved" for r in rollouts),
            sum(r.status == "truncated" for r in rollouts),
        )
    assert {r.status for _, rollouts in whole for r in rollouts} == {
        "resolved",
        "failed",
        "truncated",
    }


def test_seeds_come_from_the_task_and_not_from_its_place(student):
    forward, backward = (
        {p.instance_id: [r.text for r in group] for p, group in measured(student, pairs, n=2)}
        for pairs in (PAIRS, PAIRS[::-1])
    )
    assert forward == backward


def test_every_rollout_is_counted_as_it_ends(student):
    """A bar that counts them moves from rollout to rollout, not from chunk to chunk."""
    heard = []
    measured(student, PAIRS, on_ended=heard.append)
    assert (
        sum(heard) == 4 * len(PAIRS)
        and len(heard) > len(PAIRS)
        and all(0 < count < 12 for count in heard)
    )


def test_a_task_is_there_before_the_next_chunk_is_judged(student):
    """What was judged can be written down while the rest is still at work."""
    judged = []

    def watched(pairs):
        judged.append(len(pairs))
        return judge(pairs)

    found = probe(ModelEngine(student), PAIRS * 8, Sampling(4, 0.9, 8), 3, watched, 1)
    next(found)
    assert len(judged) < 8 * len(PAIRS)
    found.close()


def test_a_probe_that_stops_early_samples_no_more_where_all_was_cut_off(student):
    """The first half is the one that is always drawn, and what is left out counts as unsolved."""
    heard = []
    sampling = Sampling(4, 0.9, 3, stops_early=True)
    early = list(probe(ModelEngine(student), PAIRS * 3, sampling, 3, judge, 7, heard.append))
    first = measured(student, PAIRS * 3, n=2, chunk=7, length=3)
    assert len(early) == 3 * len(PAIRS) and sum(heard) == 4 * 3 * len(PAIRS) and min(heard) > 0
    stopped = {g[0].instance_id for _, g in first if all(r.status == "truncated" for r in g)}
    assert stopped and len(stopped) < len(PAIRS)
    for task_probe, group in early:
        cut = task_probe.instance_id in stopped
        assert (task_probe.k, task_probe.unsampled) == (4, 2 if cut else 0)
        assert [r.index for r in group] == list(range(2 if cut else 4))
        assert task_probe.resolved == sum(r.status == "resolved" for r in group)
        assert group[:2] in [g for _, g in first]


FAILURE = HarnessError("t2 could not be judged")


def test_a_task_that_cannot_be_judged_is_left_out_and_named(student):
    pairs = [(SimpleNamespace(instance_id=f"t{i}"), [5 + i % 100, 9, 20]) for i in range(44)]

    def one_fails(asked):
        return [
            FAILURE if task.instance_id == "t2" else verdict
            for (task, _), verdict in zip(asked, judge(asked))
        ]

    found = {group[0].instance_id: (p, group) for p, group in measured(student, pairs, one_fails)}
    assert len(found) == 44 and [name for name, (p, _) in found.items() if p is None] == ["t2"]
    assert failures_of([group for _, group in found.values()]) == {"t2": "t2 could not be judged"}
    assert all(r.reward == 0.0 for r in found["t2"][1]) and {r.status for r in found["t2"][1]} <= {
        UNJUDGED,
        "truncated",
    }


def test_where_more_than_a_tenth_cannot_be_judged_it_stops(student):
    with pytest.raises(HarnessError, match="more than a tenth.*t2 could not be judged"):
        measured(student, PAIRS, lambda pairs: [FAILURE] * len(pairs))
