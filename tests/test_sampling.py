"""Drawing tokens: the distribution is the softmax, and nothing depends on how many rows are drawn
together."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recipes.rollouts.sampling import BLOCK, Draws

TEMPERATURES = st.sampled_from([0.3, 0.7, 1.0, 1.5])
UNIFORM = st.one_of(
    st.floats(0, 1, exclude_max=True), st.sampled_from([0.0, float(np.nextafter(1.0, 0.0))])
)


def softmax(logits_V: np.ndarray, temperature: float) -> np.ndarray:
    p_V = np.exp((logits_V.astype(np.float64) - logits_V.max()) / temperature)
    return p_V / p_V.sum()


@given(st.integers(1, 3 * BLOCK), TEMPERATURES, UNIFORM, st.integers(0, 2**32 - 1))
@example(68, 0.3, 0.0, 4253)
@settings(max_examples=300, deadline=None)
def test_a_token_lies_where_its_uniform_number_falls(vocabulary, temperature, uniform, seed):
    logits_V = (np.random.default_rng(seed).standard_normal(vocabulary) * 5).astype(np.float32)
    [token], [logprob] = Draws(vocabulary, 4).draw(logits_V[None], temperature, [uniform], [0])
    p_V = softmax(logits_V, temperature)
    until = p_V.cumsum()
    assert (until[token - 1] if token else 0.0) - 1e-5 <= uniform <= until[token] + 1e-5
    assert logprob == pytest.approx(np.log(p_V[token]), abs=1e-4)


@given(st.integers(1, 2 * BLOCK + 3), UNIFORM, st.data())
@settings(max_examples=200, deadline=None)
def test_an_impossible_token_is_never_drawn(vocabulary, uniform, data):
    """Nor one from behind the end of the vocabulary."""
    possible = data.draw(arrays.arrays(bool, vocabulary))
    possible[data.draw(st.integers(0, vocabulary - 1))] = True
    logits_V = np.where(possible, np.float32(0.0), np.float32(-np.inf))
    [token], _ = Draws(vocabulary, 1).draw(logits_V[None], 1.0, [uniform], [0])
    assert token < vocabulary and possible[token]


@given(
    st.integers(1, 9), st.sampled_from([5, BLOCK, 100_000]), st.integers(0, 2**32 - 1), TEMPERATURES
)
@settings(max_examples=50, deadline=None)
def test_draws_do_not_depend_on_each_other_nor_on_earlier_ones(
    count, vocabulary, seed, temperature
):
    generator = np.random.default_rng(seed)
    logits_RV, uniforms_N = (
        generator.standard_normal((count, vocabulary), dtype=np.float32),
        generator.random(2 * count),
    )
    rows_N = generator.integers(
        0, count, 2 * count
    )  # some several times, some not at all, in any order
    draws = Draws(vocabulary, 9)
    together = list(zip(*draws.draw(logits_RV, temperature, uniforms_N, rows_N)))
    one_by_one = [
        draws.draw(logits_RV[[row]], temperature, [uniform], [0])
        for row, uniform in zip(rows_N, uniforms_N)
    ]
    assert together == [(token, logprob) for [token], [logprob] in one_by_one]


def test_the_shares_are_those_of_the_softmax():
    logits_V = np.array([2.0, 0.0, -1.0, 1.0], dtype=np.float32)
    uniforms = np.random.default_rng(0).random(40_000)
    tokens, _ = Draws(4, 1).draw(logits_V[None], 0.7, uniforms, np.zeros(40_000, np.int64))
    assert np.bincount(tokens) / len(tokens) == pytest.approx(softmax(logits_V, 0.7), abs=0.01)


def test_a_token_of_hardly_any_probability_has_its_own_log_probability():
    logits_V = np.array([-97.0, 0.0], dtype=np.float32)
    [token], [logprob] = Draws(2, 1).draw(logits_V[None], 1.0, [0.0], [0])
    assert token == 0 and logprob == pytest.approx(-97.0, abs=1e-6)


def test_without_temperature_the_likeliest_is_taken_with_its_probability():
    logits_V = np.array([0.0, 3.0, 1.0], dtype=np.float32)
    [token], [logprob] = Draws(3, 1).draw(logits_V[None], 0, [0.999], [0])
    assert token == 1 and logprob == pytest.approx(np.log(softmax(logits_V, 1.0)[1]), abs=1e-6)
