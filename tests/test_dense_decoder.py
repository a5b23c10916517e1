"""A small student's own way of decoding: the numbers of its forward pass, whatever grows out of
what, and out of what is forgotten."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.nano import dense_decoder
from recipes.nano.dense_decoder import DenseDecoder, fits
from recipes.rollouts.choosing import policy_gap
from recipes.rollouts.model_engine import ModelEngine, padded
from tests.test_gguf import MODELS
from tests.tiny import load_tiny, make_tiny

ROOM = 12
SMALL_MODELS = {name: model for name, model in MODELS.items() if model[0] != "gemma3_text"}


def loaded(tmp_path, kind: str, **more):
    return load_tiny(make_tiny(tmp_path / kind, kind, **more))


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_it_computes_what_the_trainer_computes(tmp_path, name):
    kind, more = SMALL_MODELS[name]
    student = loaded(tmp_path, kind, **more)
    assert fits(student, 100)
    engine = ModelEngine(student)
    prompts = [[5, 9, 20], list(range(40, 112)), [7] * 30]
    assert policy_gap(engine, prompts, 1.0) < 1e-5
    with torch.no_grad():  # the policy is read at each call
        for tensor in student.adapter.tensors().values():
            tensor.mul_(1.5)
    assert policy_gap(engine, prompts, 1.0) < 1e-5


def test_it_samples_what_the_forward_pass_samples(tmp_path, monkeypatch):
    student = loaded(tmp_path, "qwen2")
    student.tokens.end_ids = frozenset(range(1, 384, 9))
    call = [[[5, 9, 20], [30], [5, 9, 20], list(range(40, 60))], 24, 0.5, 30, range(4)]
    tree = ModelEngine(student).sample(*call)
    monkeypatch.setattr(dense_decoder, "fits", lambda student, longest: False)
    rows = ModelEngine(student).sample(*call)
    assert [[c.ids for c in group] for group in tree] == [[c.ids for c in group] for group in rows]
    assert len({c.ids for group in tree for c in group}) < 4 * 24  # some have written the same
    gap = [
        abs(x - y)
        for one, other in zip(tree, rows)
        for c, d in zip(one, other)
        for x, y in zip(c.logprobs, d.logprobs)
    ]
    assert max(gap) < 1e-4


def test_others_are_left_to_their_forward_pass(tmp_path, monkeypatch):
    kind, more = MODELS["gemma3"]
    assert not fits(loaded(tmp_path, kind, **more), 100)
    student = loaded(tmp_path, "mistral", sliding_window=50, head_dim=16)
    assert fits(student, 50) and not fits(student, 51)
    monkeypatch.setattr("recipes.learning.weights.SMALL", 1000)
    assert not fits(student, 50)


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def student(request, tmp_path_factory):
    return loaded(tmp_path_factory.mktemp("models"), request.param)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_tree_has_the_logits_of_the_forward_pass(student, data):
    """Prompts of any length; in each step some rows are forgotten, some go on, and some do so
    several times."""
    prompts = data.draw(
        st.lists(st.lists(st.integers(2, 383), min_size=1, max_size=9), min_size=1, max_size=4)
    )
    most = data.draw(st.integers(len(prompts), 9))
    decoder = DenseDecoder(student)
    logits_RV, texts = decoder.read(*padded(student, prompts), most, ROOM), prompts
    for _ in range(data.draw(st.integers(0, ROOM))):
        expect(student, texts, logits_RV)
        sources = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=most))
        tokens = data.draw(
            st.lists(st.integers(2, 383), min_size=len(sources), max_size=len(sources))
        )
        logits_RV, texts = (
            decoder.step(np.array(tokens), np.array(sources)),
            [texts[s] + [t] for s, t in zip(sources, tokens)],
        )
    expect(student, texts, logits_RV)


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_a_history_goes_on_as_if_it_were_read_anew(student, data):
    """Rows that ended in any step, each with something new behind it; turn after turn."""
    texts = data.draw(
        st.lists(st.lists(st.integers(2, 383), min_size=1, max_size=9), min_size=1, max_size=3)
    )
    decoder, tokens = DenseDecoder(student), st.integers(2, 383)
    logits_RV = decoder.read(*padded(student, texts), 9, ROOM)
    for _ in range(3):
        kept: list = []
        for _ in range(data.draw(st.integers(0, 4))):
            ending = np.array(data.draw(st.lists(st.integers(0, len(texts) - 1), unique=True)), int)
            kept += zip(decoder.kept(ending), [texts[row] for row in ending])
            sources = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=9))
            new = [data.draw(tokens) for _ in sources]
            logits_RV = decoder.step(np.array(new), np.array(sources))
            texts = [texts[s] + [t] for s, t in zip(sources, new)]
        kept += zip(decoder.kept(np.arange(len(texts))), texts)
        chosen = data.draw(
            st.lists(st.integers(0, len(kept) - 1), min_size=1, max_size=9, unique=True)
        )
        said = [data.draw(st.lists(tokens, min_size=1, max_size=7)) for _ in chosen]
        histories = [kept[number][0] for number in chosen]
        logits_RV = decoder.go_on(histories, *padded(student, said), 9, ROOM)
        texts = [kept[number][1] + more for number, more in zip(chosen, said)]
        expect(student, texts, logits_RV)


@torch.no_grad()
def expect(student, texts, logits_RV) -> None:
    longest = max(map(len, texts))
    hidden_RTH, _ = student.policy.forward(
        torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    )
    expected_RV = student.policy.logits(
        hidden_RTH[range(len(texts)), [len(text) - 1 for text in texts]]
    )
    torch.testing.assert_close(torch.from_numpy(logits_RV), expected_RV, atol=1e-3, rtol=1e-4)
