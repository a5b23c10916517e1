"""Rollouts of several turns: what they return, what they are told, and what is learned of them."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.control import Trials
from recipes.learning.distil import example_of
from recipes.learning.measure import TaskProbe, summarise
from recipes.learning.reinforce import advantages, turn_advantages
from recipes.rollouts.conversations import Conversations
from recipes.rollouts.engine import Completion
from recipes.rollouts.rollout import Rollout
from recipes.settings import StudentSettings
from sandbox.episode import Feedback
from sandbox.errors import HarnessError

TASK = SimpleNamespace(instance_id="t")
OUTSIDE = 9
"""The token that the environment says."""


def rollout(turns: list[tuple[int, ...]], reward: float) -> Rollout:
    """One that wrote these ids turn by turn, each answered with OUTSIDE and the length of what
    there was."""
    ids: list[int] = []
    mask: list[bool] = []
    for number, turn in enumerate(turns):
        ids += turn
        mask += [True] * len(turn)
        if number < len(turns) - 1:
            ids.append(OUTSIDE)
            mask.append(False)
    written = sum(mask)
    completion = Completion(tuple(ids), (0.0,) * written, True, tuple(mask))
    said = ({"role": "assistant"}, {"role": "user"}) * (len(turns) - 1)
    status = "resolved" if reward else "failed"
    return Rollout("t", 0, 0, "", written, status, reward, completion, episode=said)


TURN = st.lists(st.integers(0, 2), min_size=1, max_size=2).map(tuple)
GROUP = st.lists(
    st.tuples(st.lists(TURN, min_size=1, max_size=3), st.sampled_from([0.0, 1.0])),
    min_size=2,
    max_size=8,
).map(lambda group: [rollout(turns, reward) for turns, reward in group])


@given(GROUP, st.floats(0.1, 1))
def test_each_turn_is_held_against_those_that_stood_at_the_same_history(group, discount):
    found = turn_advantages(group, discount)
    assert [len(values) for values in found] == [r.turns for r in group]
    for turn in range(3):
        at: dict[tuple, list[int]] = {}
        for i, r in enumerate(group):
            if r.turns > turn:
                history = r.completion.ids[: r.completion.turns[turn][0]]
                at.setdefault(history, []).append(i)
        for same in at.values():
            values = [found[i][turn] for i in same]
            if len(same) > 1:
                returns = [group[i].reward * discount ** (group[i].turns - 1 - turn) for i in same]
                assert values == pytest.approx(advantages(returns))
                assert sum(values) == pytest.approx(0, abs=1e-9)
            else:
                assert values == [found[same[0]][0]]


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=8), st.floats(0.1, 1))
def test_of_one_turn_the_discount_says_nothing(rewards, discount):
    group = [rollout([(i,)], reward) for i, reward in enumerate(rewards)]
    assert [v for (v,) in turn_advantages(group, discount)] == advantages(rewards)


def test_a_solution_in_the_first_turn_is_worth_more_than_a_later_one():
    early, late, never = turn_advantages(
        [rollout([(1,)], 1.0), rollout([(2,), (3,)], 1.0), rollout([(4,), (5,)], 0.0)], 0.8
    )
    assert early[0] > late[0] > 0 > never[0]


def test_turns_of_a_completion():
    assert rollout([(1, 2), (3,), (4, 5)], 0.0).completion.turns == [(0, 2), (3, 4), (5, 7)]
    assert Completion((1, 2), (0.0, 0.0), True).turns == [(0, 2)]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=6), st.data())
def test_what_the_first_turn_solved_is_no_more_than_the_last(turns, data):
    resolved = data.draw(st.integers(0, len(turns)))
    first = data.draw(st.integers(0, resolved))
    k = len(turns)
    probe = TaskProbe("t", k, resolved, 0, turns=sum(turns), first=first)
    summary = summarise([probe], 0.7)
    assert summary["pass_at_1_turn_1"] <= summary["pass_at_1"]
    assert summary["turns"] == sum(turns) / k
    assert "turns" not in summarise([TaskProbe("t", k, resolved, 0)], 0.7)


# ---- conversations -------------------------------------------------------------------------------


class Letters:
    """A student whose tokens are letters; `.` ends a reply."""

    def text(self, ids):
        return "".join(map(chr, ids)).removesuffix(".")

    def answer_ids(self, text):
        return list(map(ord, f"<{text}>"))

    def completion_ids(self, text):
        return list(map(ord, f"{text}."))

    def prompt_ids(self, messages):
        return list(map(ord, messages[0]["content"]))


class Counting:
    """An episode that says how many replies there were and what the last one was, up to three."""

    asked: list[str] = []

    def __init__(self, replies=()):
        self.replies = list(replies)

    def fork(self):
        return Counting(self.replies)

    def answer(self, reply):
        self.asked.append(reply)
        if reply == "jail":
            raise HarnessError("the jail failed")
        self.replies.append(reply)
        if len(self.replies) == 3:
            return None
        return Feedback(f"{len(self.replies)}{reply}", "unresolved", "")


@pytest.fixture
def talk():
    Counting.asked = []
    with Conversations(Letters(), lambda task: Counting(), 1000, 2) as found:
        yield found


def said(talk, text: str) -> str:
    (answered,) = [talk.about([TASK]).answer(0, tuple(map(ord, text)))]
    assert isinstance(answered, Future)
    return "".join(map(chr, answered.result()))


def test_a_reply_is_answered_by_what_was_said_before_it(talk):
    assert said(talk, "a.") == "<1a>"
    assert said(talk, "b.") == "<1b>"
    assert said(talk, "a.<1a>b.") == "<2b>"
    assert said(talk, "b.<1b>b.") == "<2b>"
    assert said(talk, "a.<1a>b.<2b>c.") == ""
    text = "a.<1a>b."
    inside = [False] * len(text)
    for i in (0, 1, 6, 7):
        inside[i] = True
    completion = Completion(tuple(map(ord, text)), (0.0,) * 4, True, tuple(inside))
    assert talk.said(TASK, completion) == [
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "1a"},
    ]
    assert talk.failure(TASK, completion) == ""


def test_where_the_jail_fails_the_rollout_has_no_verdict(talk):
    assert said(talk, "jail.") == ""
    completion = Completion(tuple(map(ord, "jail.")), (0.0,) * 5, True)
    assert talk.failure(TASK, completion) == "the jail failed"


def test_of_a_conversation_the_last_reply_is_learned_or_all_of_them():
    messages = [
        {"role": "user", "content": "p"},
        {"role": "assistant", "content": "ab"},
        {"role": "user", "content": "no"},
        {"role": "assistant", "content": "c"},
    ]
    settings = StudentSettings(max_new=4, turns=2, max_episode=20)
    last = example_of(Letters(), messages, True, settings)
    both = example_of(Letters(), messages, False, settings)
    assert last.prompt == (ord("p"),) and Letters().text(last.completion) == "ab.<no>c"
    written = [Letters().text([t for t, m in zip(s.completion, s.mask) if m]) for s in (last, both)]
    assert written == ["c", "ab.c"]
    assert example_of(Letters(), messages[:2], True, settings).mask is None
    short = StudentSettings(max_new=4, turns=2, max_episode=8)
    assert example_of(Letters(), messages, True, short) is None
    assert example_of(Letters(), messages, True, StudentSettings(max_new=2, turns=2)) is None


# ---- the control ---------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.data())
def test_trials_have_as_many_tokens_as_the_episodes_and_stop_at_what_passes(budgets, data):
    task = SimpleNamespace(instance_id="t", shown=("a",))
    trials, taken = Trials(task, [1], list(budgets)), 0
    while trials.left:
        before, count = list(trials.left), len(trials.left)
        lengths = data.draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
        kinds = data.draw(
            st.lists(
                st.sampled_from(["cut", "failed", "shown", "resolved"]),
                min_size=count,
                max_size=count,
            )
        )
        attempts = [
            Completion((0,) * n, (0.0,) * n, kind != "cut") for n, kind in zip(lengths, kinds)
        ]
        trials.take(attempts, [verdict_of(kind) for kind in kinds])
        on = [
            left - n
            for left, n, kind in zip(before, lengths, kinds)
            if kind in ("cut", "failed") and left > n
        ]
        assert trials.left == on
        taken += kinds.count("resolved")
        assert trials.solved == taken
    assert not trials.failed


def verdict_of(kind: str):
    if kind == "cut":
        return None
    status = "resolved" if kind == "resolved" else "failed"
    return SimpleNamespace(status=status, tests={"a": "failed" if kind == "failed" else "passed"})


def test_where_the_jail_fails_there_is_no_control():
    trials = Trials(SimpleNamespace(shown=("a",)), [1], [5, 5])
    attempts = [Completion((0,), (0.0,), True)] * 2
    trials.take(attempts, [verdict_of("failed"), HarnessError("it died")])
    assert trials.failed and not trials.left
