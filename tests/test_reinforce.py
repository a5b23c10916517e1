"""REINFORCE learns a toy reward, skips what cannot teach, and undoes what goes wrong."""

import json
import math
import random
from threading import Event
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recipes.learning.measure import TaskProbe
from recipes.learning.reinforce import (
    ClimbState,
    advantages,
    choose,
    cold_start_in_words,
    cycle,
    in_words,
)
from recipes.learning.student import Sample
from recipes.rollouts.choosing import open_engine
from recipes.rollouts.model_engine import ModelEngine
from recipes.settings import ClimbSettings
from sandbox.errors import HarnessError
from tests.tiny import adapter_bytes, load_tiny, make_tiny, tiny_recipe

TASKS = [SimpleNamespace(instance_id=f"t{i}", sort="hard" if i < 3 else "soft") for i in range(4)]
PROMPTS = {f"t{i}": [5 + i, 9, 20] for i in range(4)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def student(folder):
    return loaded(folder)


def loaded(folder, **keywords):
    student = load_tiny(folder, **keywords)
    student.tokens.end_ids = frozenset([1, *range(2, 384, 4)])
    return student


@pytest.fixture(params=["model", "llama.cpp"])
def engine_of(request, folder):
    """student -> engine"""
    return lambda student: open_engine(request.param, student, tiny_recipe(), folder.parent)


def recipe(**climb):
    return tiny_recipe(
        climb={"groups": 4, "group_size": 8, "lr": 2e-2, "warmup": 1} | climb,
        probe={"temperature": 1.0},
    )


def verdict(reward):
    return SimpleNamespace(status="resolved" if reward else "failed", reward=float(reward))


def judge(pairs):
    """A toy: a reply is right if its first letter comes early in the alphabet of bytes."""
    return [verdict(text.encode()[:1] < b"\x60") for _, text in pairs]


def every_other(pairs):
    """Rewards that no reply decides."""
    return [verdict(i % 2) for i in range(len(pairs))]


# ---- advantages ----------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=2, max_size=16))
def test_advantages_are_leave_one_out_and_sum_to_zero(rewards):
    out = advantages(rewards)
    for i, reward in enumerate(rewards):
        others = rewards[:i] + rewards[i + 1 :]
        assert out[i] == pytest.approx(reward - sum(others) / len(others), abs=1e-9)
    assert math.fsum(out) == pytest.approx(0, abs=1e-9)


@given(st.floats(0, 1), st.integers(2, 16))
def test_equal_rewards_have_no_advantage_at_all(reward, size):
    assert advantages([reward] * size) == [0.0] * size


def test_one_rollout_has_no_others():
    with pytest.raises(ValueError):
        advantages([1.0])


# ---- choice of tasks -----------------------------------------------------------------------------


def test_tasks_are_chosen_by_what_they_can_teach():
    tasks = [SimpleNamespace(instance_id=name) for name in ("cold", "warm", "mastered", "unseen")]
    p = {"cold": 0.0, "warm": 0.5, "mastered": 1.0}
    rng = random.Random(0)
    first = [
        choose(tasks, p, ClimbSettings(groups=1, floor=0.05), rng)[0].instance_id
        for _ in range(4000)
    ]
    weights = {"cold": 0.05, "warm": 0.30, "mastered": 0.05, "unseen": 0.30}
    for name, weight in weights.items():
        assert first.count(name) / 4000 == pytest.approx(weight / 0.7, abs=0.03), name


def test_choice_is_without_replacement_and_takes_all_when_there_are_few():
    rng = random.Random(0)
    chosen = choose(TASKS, {"t0": 1.0, "t1": 0.0}, ClimbSettings(groups=3, floor=0.0), rng)
    assert len({t.instance_id for t in chosen}) == 3 and {"t2", "t3"} <= {
        t.instance_id for t in chosen
    }
    assert sorted(t.instance_id for t in choose(TASKS, {}, ClimbSettings(groups=9), rng)) == [
        "t0",
        "t1",
        "t2",
        "t3",
    ]


# ---- the cycle -----------------------------------------------------------------------------------


def test_it_learns_a_toy_reward(student):
    state = ClimbState()
    results = [
        cycle(ModelEngine(student), TASKS, PROMPTS, state, recipe(), judge) for _ in range(16)
    ]
    rewards = [r.metrics["reward/mean"] for r in results]
    first, last = rewards[:2], rewards[-8:]
    assert max(first) < 0.6 and sum(last) / len(last) > max(first) + 0.15, rewards
    assert min(last) > max(first), rewards
    assert state.cycle == 16 and all(r.metrics["drift"] < 1e-3 for r in results)
    assert not any(r.rolled_back for r in results)


def test_the_update_follows_the_gradient_by_definition(student):
    """One group, its loss written out without merging, importance weights or chunks."""
    settings = recipe(groups=1, clip=1e9, lr=0.0)
    accumulated = {}
    step = student.step

    def spy(lr, clip):
        accumulated.update(
            {
                n: p.grad.clone()
                for n, p in student.policy.model.named_parameters()
                if p.grad is not None
            }
        )
        return step(lr, clip)

    student.step = spy
    result = cycle(ModelEngine(student), TASKS, PROMPTS, ClimbState(), settings, judge)
    assert result.metrics["groups/used"] == 1
    loss = 0
    for rollout, advantage in zip(result.rollouts, advantages([r.reward for r in result.rollouts])):
        sample = Sample(tuple(PROMPTS[rollout.instance_id]), rollout.completion.ids)
        loss = loss - advantage * student.logprobs([sample], 1.0)[0].sum() / 8
    loss.backward()
    for name, expected in accumulated.items():
        got = dict(student.policy.model.named_parameters())[name].grad
        assert (got - expected).norm() <= 1e-3 * expected.norm() + 1e-7, name


def test_identical_completions_are_merged(student):
    student.tokens.end_ids = frozenset(range(384))  # completions of one token: many are the same
    result = cycle(
        ModelEngine(student), TASKS, PROMPTS, ClimbState(), recipe(group_size=16), every_other
    )
    distinct = len({(r.instance_id, r.completion.ids) for r in result.rollouts})
    assert result.metrics["rollouts/distinct"] == distinct < result.metrics["rollouts"] == 64


@pytest.mark.parametrize("status, name", [("failed", "cold"), ("resolved", "mastered")])
def test_groups_of_equal_rewards_change_nothing_and_are_counted(student, status, name):
    student.tokens.end_ids = frozenset(range(384))
    before = adapter_bytes(student)
    state = ClimbState()

    def same(pairs):
        return [SimpleNamespace(status=status, reward=float(status == "resolved"))] * len(pairs)

    result = cycle(ModelEngine(student), TASKS, PROMPTS, state, recipe(), same)
    assert adapter_bytes(student) == before and not student.optimiser.adamw.state
    assert result.metrics[f"groups/{name}"] == 4 and result.metrics["groups/used"] == 0
    assert "no update" in in_words(result) and "0 of 4 groups taught" in in_words(result)
    assert state.solve_rate == {t: float(status == "resolved") for t in PROMPTS}


def test_a_group_at_zero_that_was_cut_off_is_cold_and_counted_beside(student):
    student.tokens.end_ids = frozenset([-1])
    result = cycle(ModelEngine(student), TASKS, PROMPTS, ClimbState(), recipe(), judge)
    assert result.metrics["groups/truncated"] == result.metrics["groups/cold"] == 4
    assert "4 cold, 4 of these cut off" in in_words(result)
    assert {r.status for r in result.rollouts} == {"truncated"}


def test_a_zero_variance_group_beside_a_warm_one_adds_no_gradient(folder):
    adapters = []
    for others in (0, 1):

        def rule(pairs):
            return [
                verdict(i % 2 if task.instance_id == "t0" else others)
                for i, (task, _) in enumerate(pairs)
            ]

        student = loaded(folder)
        student.tokens.end_ids = frozenset(range(384))
        result = cycle(ModelEngine(student), TASKS, PROMPTS, ClimbState(), recipe(), rule)
        assert result.metrics["groups/used"] == 1
        adapters.append(adapter_bytes(student))
    assert adapters[0] == adapters[1] != adapter_bytes(loaded(folder))


def test_the_harness_failing_once_is_no_reward_of_any_kind(student):
    """The rollout is left out of its group's baseline."""
    student.tokens.end_ids = frozenset(range(384))
    calls = []

    def one_fails(pairs):
        calls.append(len(pairs))
        return [HarnessError("no jail"), *judge(pairs)[1:]]

    state = ClimbState()
    result = cycle(ModelEngine(student), TASKS, PROMPTS, state, recipe(), one_fails)
    first = [r for r in result.rollouts if r.instance_id == result.rollouts[0].instance_id]
    assert state.solve_rate[first[0].instance_id] == pytest.approx(
        sum(r.reward for r in first[1:]) / 7
    )
    assert (
        result.failures == {first[0].instance_id: "no jail"}
        and result.metrics["rollouts/unjudged"] == 1
    )
    assert "1 rollouts not judged" in in_words(result)


def test_hard_and_soft_rewards_are_never_added_up(student):
    student.tokens.end_ids = frozenset(range(384))
    result = cycle(
        ModelEngine(student),
        TASKS,
        PROMPTS,
        ClimbState(),
        recipe(),
        lambda pairs: [verdict(task.sort == "hard") for task, _ in pairs],
    )
    m = result.metrics
    assert (m["reward/hard"], m["rollouts/hard"], m["reward/soft"], m["rollouts/soft"]) == (
        1.0,
        24,
        0.0,
        8,
    )
    assert "100 % of 24 hard and 0 % of 8 soft rollouts resolved" in in_words(result)
    assert (m["groups/hard"], m["groups/hard/used"], m["groups/soft"]) == (3, 0, 1)

    def warm_where_hard(pairs):
        return [verdict(task.sort == "hard" and i % 2) for i, (task, _) in enumerate(pairs)]

    m = cycle(ModelEngine(student), TASKS, PROMPTS, ClimbState(), recipe(), warm_where_hard).metrics
    assert m["groups/hard/used"] == m["groups/used"] == 3 and m["groups/soft/used"] == 0


@pytest.mark.parametrize("failing, stops", [(3, False), (4, True)])
def test_a_jail_that_fails_too_often_stops_the_climb(student, failing, stops):
    """A tenth of 32 rollouts is 3.2."""
    student.tokens.end_ids = frozenset(range(384))
    before, state = adapter_bytes(student), ClimbState()

    def some_fail(pairs):
        return [HarnessError("no jail") if i < failing else v for i, v in enumerate(judge(pairs))]

    if not stops:
        assert (
            len(cycle(ModelEngine(student), TASKS, PROMPTS, state, recipe(), some_fail).failures)
            == 1
        )
        return
    with pytest.raises(HarnessError, match="4 of 32 rollouts.*no jail"):
        cycle(ModelEngine(student), TASKS, PROMPTS, state, recipe(), some_fail)
    assert state == ClimbState() and adapter_bytes(student) == before


@pytest.mark.parametrize(
    "belt, words",
    [
        ({"max_drift": -1.0}, "trainer and sampler differ"),
        ({"entropy_band": (0.0, 0.01)}, "sampling entropy"),
    ],
)
def test_a_seat_belt_undoes_the_cycle(student, belt, words):
    warm = ClimbState()
    cycle(
        ModelEngine(student), TASKS, PROMPTS, warm, recipe(), judge
    )  # so that the optimiser has a state to keep
    before, state = adapter_bytes(student), ClimbState.from_dict(warm.to_dict())
    optimiser = {k: v.clone() for k, v in student.optimiser.adamw.state_dict()["state"][0].items()}
    result = cycle(ModelEngine(student), TASKS, PROMPTS, state, recipe(**belt), judge)
    assert adapter_bytes(student) == before
    assert all(
        torch.equal(v, optimiser[k])
        for k, v in student.optimiser.adamw.state_dict()["state"][0].items()
    )
    assert all(p.grad is None for p in student.policy.model.parameters())
    assert (state.lr_scale, state.rolled_back, state.cycle) == (0.5, 1, 2)
    assert result.metrics["undone"] == 1 and words in result.rolled_back
    assert "UNDONE" in in_words(result) and words in in_words(result)
    assert cycle(ModelEngine(student), TASKS, PROMPTS, state, recipe(), judge).metrics[
        "lr"
    ] == pytest.approx(1e-2)


def test_a_step_that_ruins_the_policy_is_undone(student):
    """The entropy is measured after the step, too: otherwise the next cycle would begin with the
    ruin."""
    snapshot, before = student.snapshot(), adapter_bytes(student)
    free = cycle(ModelEngine(student), TASKS, PROMPTS, ClimbState(), recipe(lr=0.3), judge).metrics
    usual, ruined = free["entropy"], free["entropy/after"]
    assert abs(ruined - usual) > 0.1 and adapter_bytes(student) != before
    student.rollback(snapshot)
    # Whether a ruined policy is surer of itself or less sure depends on how this processor rounds.
    between, state = (usual + ruined) / 2, ClimbState()
    band = (0.0, between) if ruined > usual else (between, 100.0)
    result = cycle(
        ModelEngine(student), TASKS, PROMPTS, state, recipe(lr=0.3, entropy_band=band), judge
    )
    assert (
        "it would leave an entropy" in result.rolled_back
        and adapter_bytes(student) == before
        and state.lr_scale == 0.5
    )


def test_a_gradient_that_is_not_finite_is_undone(student):
    state, before = ClimbState(), adapter_bytes(student)

    def infinite(pairs):
        return [
            SimpleNamespace(status="resolved", reward=float("inf") if i == 0 else 0.0)
            for i in range(len(pairs))
        ]

    result = cycle(ModelEngine(student), TASKS, PROMPTS, state, recipe(), infinite)
    assert result.rolled_back == "the gradient is not finite" and adapter_bytes(student) == before
    assert result.metrics["grad_norm"] is None and state.lr_scale == 0.5


@pytest.mark.slow
def test_cycles_continue_from_a_checkpoint_with_the_same_lines(folder, tmp_path, engine_of):
    student, state, lines = loaded(folder), ClimbState(), []
    engine = engine_of(student)
    for number in range(1, 5):
        result = cycle(engine, TASKS, PROMPTS, state, recipe(groups=2), judge)
        lines.append(json.dumps([result.metrics, [r.record() for r in result.rollouts]]))
        if number == 2:
            student.save(tmp_path / "c", state.to_dict() | {"other": 1})
    again = loaded(folder, seed=8, checkpoint=tmp_path / "c")
    state = ClimbState.from_dict(again.counters)
    assert state.cycle == 2
    engine = engine_of(again)
    for line in lines[2:]:
        result = cycle(engine, TASKS, PROMPTS, state, recipe(groups=2), judge)
        assert json.dumps([result.metrics, [r.record() for r in result.rollouts]]) == line
    assert adapter_bytes(again) == adapter_bytes(student)


def test_what_is_done_is_judged_while_the_rest_is_sampled(folder):
    judged = Event()

    class OneByOne(ModelEngine):
        """Samples no second prompt before the first one is judged."""

        def stream(self, prompts, n, temperature, max_new, seeds, on_ended, turns):
            for i in range(len(prompts)):
                assert i == 0 or judged.wait(60)
                for part in super().stream(
                    prompts[i : i + 1], n, temperature, max_new, seeds[i : i + 1], on_ended
                ):
                    yield {i: part[0]}

    def judge_and_tell(pairs):
        judged.set()
        return judge(pairs)

    together, one_by_one = (
        cycle(engine(loaded(folder)), TASKS, PROMPTS, ClimbState(), recipe(), judge_and_tell)
        for engine in (ModelEngine, OneByOne)
    )
    assert [r.record() for r in one_by_one.rollouts] == [r.record() for r in together.rollouts]


def test_an_exception_on_the_way_changes_nothing(student):
    state, before = ClimbState(), adapter_bytes(student)

    def broken(pairs):
        raise OSError("no sandbox")

    with pytest.raises(OSError):
        cycle(ModelEngine(student), TASKS, PROMPTS, state, recipe(), broken)
    assert state == ClimbState() and adapter_bytes(student) == before


def test_warm_up_scales_the_learning_rate(student):
    state = ClimbState()
    rates = [
        cycle(
            ModelEngine(student), TASKS, PROMPTS, state, recipe(warmup=2, lr=4e-3), judge
        ).metrics["lr"]
        for _ in range(3)
    ]
    assert rates == pytest.approx([2e-3, 4e-3, 4e-3])


def test_the_running_solve_rate_is_a_half_and_half_average(student):
    student.tokens.end_ids = frozenset(range(384))
    state = ClimbState(solve_rate={"t0": 0.5})
    cycle(
        ModelEngine(student),
        TASKS,
        PROMPTS,
        state,
        recipe(),
        lambda pairs: [verdict(1)] * len(pairs),
    )
    assert state.solve_rate == {"t0": 0.75, "t1": 1.0, "t2": 1.0, "t3": 1.0}


# ---- state and words -----------------------------------------------------------------------------


def test_state_survives_json_and_keeps_the_best():
    state = ClimbState(cycle=10, solve_rate={"a": 0.25})
    assert state.is_best(0.2) and not state.is_best(0.2) and not state.is_best(0.1)
    state.cycle = 20
    assert state.is_best(0.3) and state.best_cycle == 20
    kept = json.loads(json.dumps(state.to_dict()))
    assert ClimbState.from_dict(kept) == state
    assert (kept["p"], kept["undone"]) == ({"a": 0.25}, 0), "older checkpoints have these keys"


def test_words(student):
    student.tokens.end_ids = frozenset(range(384))
    hard = [SimpleNamespace(instance_id=task.instance_id, sort="hard") for task in TASKS]
    result = cycle(ModelEngine(student), hard, PROMPTS, ClimbState(), recipe(), every_other)
    m, line = result.metrics, in_words(result)
    assert line.startswith(
        f"cycle 1: {100 * m['reward/mean']:.0f} % of 32 hard rollouts resolved; {m['groups/used']} "
        "of 4 groups"
    )
    assert "drift 0.000" in line and "\n" not in line
    said = cold_start_in_words(12, 8)
    assert (
        "12 tasks" in said
        and "cold start" in said
        and "RL cannot help" in said
        and "bootstrap with a teacher" in said
    )
    assert TaskProbe("t", 8, 0, 0).state == "cold"
