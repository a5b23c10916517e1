"""The alarm is raised where soft tasks' reward rises alone, and nowhere else."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.reporting.alarm import MIN_CYCLES, alarm


def climb(soft, hard=None, heldout=None, undone=()) -> list[dict]:
    """Lines of metrics.jsonl: rewards go from the first value to the last."""
    lines, cycles = [], 12
    for cycle in range(cycles):

        def at(ends):
            return None if ends is None else ends[0] + (ends[1] - ends[0]) * cycle / (cycles - 1)

        line = {
            "cycle": cycle + 1,
            "undone": int(cycle in undone),
            "reward/soft": at(soft),
            "reward/hard": at(hard),
        }
        if heldout is not None and cycle % 4 == 3:
            line["heldout/pass_at_1"] = at(heldout)
        lines.append(line)
    return lines


@pytest.mark.parametrize(
    "soft, hard, heldout, words",
    [
        ((0.2, 0.6), (0.3, 0.3), None, "on hard tasks it did not"),
        (
            (0.2, 0.6),
            (0.4, 0.2),
            (0.1, 0.9),
            "on hard tasks it did not",
        ),  # the hard ones count, where there are some
        ((0.2, 0.6), None, (0.3, 0.3), "on held-out tasks it did not"),
        ((0.2, 0.6), (0.3, 0.5), None, ""),  # both rise: it learns
        ((0.2, 0.6), (0.97, 0.97), None, ""),  # there is no room to rise
        ((0.2, 0.22), (0.3, 0.3), None, ""),  # hardly a rise
        ((0.6, 0.2), (0.3, 0.3), None, ""),
        ((0.2, 0.6), None, None, ""),  # nothing to hold it against
        (None, (0.3, 0.3), None, ""),
    ],
)
def test_when_it_is_raised(soft, hard, heldout, words):
    said = alarm(climb(soft, hard, heldout))
    assert bool(said) == bool(words) and words in said
    if said:
        assert (
            said.startswith("ALARM: the reward on soft tasks rose from 0.2")
            and "can be forged" in said
        )


def test_few_cycles_and_undone_ones_say_nothing():
    lines = climb((0.2, 0.6), (0.3, 0.3))
    assert (
        alarm(lines)
        and not alarm(lines[: MIN_CYCLES - 1])
        and not alarm(climb((0.2, 0.6), (0.3, 0.3), undone=range(6)))
    )


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(0.1, 0.9))
def test_noise_alone_seldom_raises_it(seed, level):
    """Two standard errors of a fixed third: about one in forty, and then the hard ones must fall,
    too."""
    draw = random.Random(seed)
    alarms = 0
    for _ in range(40):
        lines = [
            {
                "cycle": c,
                "undone": 0,
                "reward/soft": draw.gauss(level, 0.1),
                "reward/hard": draw.gauss(level, 0.1),
            }
            for c in range(30)
        ]
        alarms += bool(alarm(lines))
    assert alarms <= 6
