"""Distillation lowers the loss, and a restart changes nothing."""

from dataclasses import replace

import pytest

from recipes.learning.distil import batch_indices, distil, learning_rate, planned_steps
from recipes.learning.student import Sample
from recipes.settings import DistilSettings
from tests.tiny import adapter_bytes, load_tiny, make_tiny

SETTINGS = DistilSettings(steps=12, batch=4, lr=1e-2, warmup=3, final_lr=0.1, clip=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def examples():
    return [Sample((5, 6, 7 + i), (20 + i, 21, 22 + i, 1)[i % 2 :]) for i in range(6)]


@pytest.mark.slow
def test_the_loss_falls_and_is_nats_a_token(folder, examples):
    student = load_tiny(folder, wake=0)
    first = [examples[i] for i in batch_indices(6, 4, 0, 0)]
    expected = -sum(p.sum().item() for p in student.logprobs(first, 1.0)) / sum(
        len(s.completion) for s in first
    )
    steps = list(distil(student, examples, SETTINGS, seed=0))
    assert [s.step for s in steps] == list(range(1, 13)) and {s.steps for s in steps} == {12}
    assert steps[0].loss == pytest.approx(expected, rel=1e-5)
    assert steps[-1].loss < 0.5 * steps[0].loss
    assert all(s.grad_norm > 0 for s in steps)


def test_what_was_said_to_the_author_is_not_learned(folder):
    """Loss and gradient are those of its own tokens, each with all that stands before it."""
    mask = (True, True, False, False, True, True)
    losses, norms = [], []
    for last in (
        8,
        9,
    ):  # the last token is not read, so what it is matters only where it is learned
        episode = Sample((5, 6, 7), (20, 21, 30, 31, 22, 1, last), (*mask, False))
        student = load_tiny(folder)
        logp_T = student.logprobs([Sample(episode.prompt, episode.completion)], 1.0)[0].detach()
        own = [logp_T[t].item() for t in episode.written]
        (step,) = distil(student, [episode], replace(SETTINGS, steps=1, batch=1), seed=0)
        assert len(own) == 4 and step.loss == pytest.approx(-sum(own) / 4, rel=1e-5)
        losses.append(step.loss)
        norms.append(step.grad_norm)
    assert len(set(losses)) == len(set(norms)) == 1


def test_a_restart_at_any_step_gives_the_same_adapter(folder, examples, tmp_path):
    student = load_tiny(folder, wake=0)
    losses = []
    for step in distil(student, examples, SETTINGS, seed=0):
        losses.append(step.loss)
        if step.step in (5, 9):
            student.save(tmp_path / str(step.step), {"step": step.step})
    whole = adapter_bytes(student)
    for start in (5, 9):
        again = load_tiny(folder, seed=9, checkpoint=tmp_path / str(start))
        assert [
            s.loss for s in distil(again, examples, SETTINGS, 0, start_step=again.counters["step"])
        ] == losses[start:]
        assert adapter_bytes(again) == whole


def test_every_epoch_sees_every_example_once_in_its_own_order():
    stream = [i for step in range(9) for i in batch_indices(6, 4, 0, step)]
    epochs = [stream[start : start + 6] for start in range(0, 36, 6)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 3
    assert [i for step in range(9) for i in batch_indices(6, 4, 1, step)] != stream
    assert sorted(batch_indices(3, 8, 0, 0)[:3]) == [0, 1, 2]


def test_epochs_say_how_many_steps_there_are_and_steps_how_many_at_most(folder, examples):
    settings = replace(SETTINGS, steps=100, epochs=2.5)
    assert planned_steps(24, settings) == 15 and planned_steps(1, settings) == 1
    assert planned_steps(1000, settings) == 100 and planned_steps(24, SETTINGS) == 12
    steps = list(distil(load_tiny(folder), examples, settings, 0))
    assert len(steps) == 4 and {s.steps for s in steps} == {4}
    assert steps[-1].lr == pytest.approx(1e-3), "it has not fallen to the end"


def test_the_learning_rate_rises_and_falls_in_straight_lines():
    rates = [learning_rate(SETTINGS, step) for step in range(12)]
    assert rates[:3] == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2])
    assert rates[3:] == pytest.approx([1e-2 * (1 - 0.1 * i) for i in range(1, 10)])
    assert learning_rate(DistilSettings(steps=1, warmup=0, lr=1.0, final_lr=0.5), 0) == 0.5


def test_no_examples_are_refused(folder):
    with pytest.raises(ValueError):
        next(distil(None, [], SETTINGS, 0))
