"""The divergence to the frozen adapter: value and gradient are those of the whole softmax, by both
paths; and the frozen adapter stays as it is."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.learning import head as heads
from recipes.learning.logprobs import Plain, Sample, Shared, plan
from recipes.learning.policy import REFERENCE, TRAINED
from tests.test_logprobs import DRAWN, KINDS, Head, draw_samples, students, take_gradient  # noqa: F401
from tests.tiny import adapter_bytes, load_tiny, make_tiny


def with_reference(student, folder):
    """The student with a frozen adapter beside its own, which is another one then."""
    if not student.policy.has_reference:
        student.save(folder / "reference", {})
        student.freeze_reference(folder / "reference")
        with torch.no_grad():
            for parameter in student.policy.trainable:
                parameter.mul_(1.3)
    return student


def full_divergence(student, samples, temperature):
    """The mean over all written tokens, by the model's own forward pass of each sample, unpadded,
    and the softmax over the whole vocabulary."""

    def logp_TV(sample):
        tokens = torch.tensor([sample.prompt + sample.completion])
        logits_TV = student.policy.model(input_ids=tokens).logits[0, len(sample.prompt) - 1 : -1]
        return torch.log_softmax(logits_TV / temperature, -1)[list(sample.written)]

    total = 0.0
    for sample in samples:
        own_TV = logp_TV(sample)
        with student.policy.as_reference():
            other_TV = logp_TV(sample)
        total = total + (own_TV.exp() * (own_TV - other_TV)).sum()
    return total / sum(len(sample.written) for sample in samples)


@pytest.mark.parametrize(
    "drawn, limit", [("replies", 4096), ("replies", 150), ("episodes", 4096), ("episodes", 200)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_value_and_gradient_equal_the_plain_forward(
    students, kind, drawn, limit, tmp_path, monkeypatch
):
    monkeypatch.setattr(heads, "HEAD_LOGITS", 384 * 5)
    student = with_reference(students(kind), tmp_path)
    monkeypatch.setattr(student.limits, "micro_tokens", limit)
    samples = DRAWN[drawn]()
    longest = student.objective.longest_shared
    assert {type(work) for work in plan(samples, limit, longest)} == {Plain, Shared}
    wanted = full_divergence(student, samples, 0.7)
    wanted.backward()
    expected = take_gradient(student)
    assert student.accumulate_divergence(samples, 0.7) == pytest.approx(wanted.item(), rel=1e-5)
    got = take_gradient(student)
    assert (got - expected).norm() <= 1e-5 * expected.norm(), float(
        (got - expected).norm() / expected.norm()
    )
    assert student.divergence(samples, 0.7) == pytest.approx(wanted.item(), rel=1e-5)
    assert all(p.grad is None for p in student.policy.trainable)


def head_and_reference(dtype, bias: bool, apart: float, shift: float = 0.0):
    """Hidden states of a policy and of a reference, which differ by `apart`; `shift` moves all the
    reference's logits alike."""
    head = Head(dtype, bias)
    if shift:
        head.head.weight[:, 0] = 1.0
    reference_NH = head.hidden_NH + apart * torch.randn(head.hidden_NH.shape).to(dtype)
    reference_NH[:, 0] += shift
    return head, reference_NH


def whole_softmax(head, reference_NH, temperature):
    """By autograd in float64."""

    def divergence(hidden_NH):
        own_NV, other_NV = (
            torch.log_softmax(
                torch.nn.functional.linear(
                    h.double(),
                    head.head.weight.double(),
                    None if head.head.bias is None else head.head.bias.double(),
                )
                / temperature,
                -1,
            )
            for h in (hidden_NH, reference_NH)
        )
        return (own_NV.exp() * (own_NV - other_NV)).sum(1)

    return divergence


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("logits", [1, 13 * 20, 10**6])
@pytest.mark.parametrize("apart", [0.01, 1.0])
def test_the_heads_gradient_is_that_of_the_whole_softmax(monkeypatch, logits, bias, apart):
    """In blocks of two tokens, of ten, and in one."""
    monkeypatch.setattr(heads, "HEAD_LOGITS", logits)
    head, reference_NH = head_and_reference(torch.float32, bias, apart)
    wanted, wanted_grad = head.take(whole_softmax(head, reference_NH, 0.7))
    got, grad = head.take(lambda h: heads.head_divergence(head, h, reference_NH, 0.7))
    assert torch.allclose(got.double(), wanted, rtol=1e-5, atol=1e-5)
    assert (grad - wanted_grad).norm() <= 1e-5 * wanted_grad.norm()
    with torch.no_grad():
        assert torch.equal(heads.head_divergence(head, head.hidden_NH, reference_NH, 0.7), got)


def test_logits_that_are_all_moved_alike_cost_little_in_bfloat16():
    head, reference_NH = head_and_reference(torch.bfloat16, False, apart=0.3, shift=8.0)
    _, wanted = head.take(whole_softmax(head, reference_NH, 0.7))
    _, grad = head.take(lambda h: heads.head_divergence(head, h, reference_NH, 0.7))
    assert grad.dtype == torch.bfloat16
    # But for the last position, where one token is certain and the gradient rounding alone.
    likeness = torch.nn.functional.cosine_similarity(grad.float(), wanted.float(), eps=1e-30)
    assert likeness[:-1].min() > 0.97


@given(
    st.integers(0, 2**31),
    st.sampled_from([0.0, 1e-4, 0.1, 3.0]),
    st.floats(0.3, 2.0),
    st.sampled_from([1, 100, 10**6]),
)
@settings(deadline=None, max_examples=60)
def test_it_is_never_below_0_and_0_where_both_are_the_same(seed, apart, temperature, logits):
    head, generator = Head(torch.float32, False), torch.Generator().manual_seed(seed)
    head.hidden_NH = torch.randn(13, 24, generator=generator) * 3
    reference_NH = head.hidden_NH + apart * torch.randn(13, 24, generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "HEAD_LOGITS", logits)
        got, grad = head.take(lambda h: heads.head_divergence(head, h, reference_NH, temperature))
    assert (got >= 0).all()
    if apart == 0:
        assert not got.any() and not grad.any()
    with pytest.raises(ValueError, match="above 0"):
        heads.head_divergence(head, head.hidden_NH, reference_NH, 0.0)


def reference_bytes(student) -> bytes:
    return b"".join(
        tensor.detach().contiguous().numpy().tobytes()
        for _, tensor in sorted(student.adapter.tensors(REFERENCE).items())
    )


def test_the_student_comes_nearer_and_the_frozen_adapter_stays(tmp_path):
    student = load_tiny(make_tiny(tmp_path / "m", "qwen2"))
    with pytest.raises(ValueError, match="freeze_reference"):
        student.accumulate_divergence([Sample((2,), (3,))], 1.0)
    samples = draw_samples(5, [(20, [8, 8]), (9, [12])])
    with_reference(student, tmp_path)
    before, own = reference_bytes(student), adapter_bytes(student)
    first = student.divergence(samples, 1.0)
    for _ in range(20):
        assert student.accumulate_divergence(samples, 1.0) > 0
        student.step(lr=5e-3, clip=1.0)
    assert student.divergence(samples, 1.0) < first / 3
    assert reference_bytes(student) == before and adapter_bytes(student) != own
    assert student.policy.model.active_adapter == TRAINED


def test_a_student_that_is_its_teacher_has_nothing_to_learn(tmp_path):
    """By both paths, in parts and whole."""
    student = load_tiny(make_tiny(tmp_path / "m"))
    student.save(tmp_path / "same", {})
    student.freeze_reference(tmp_path / "same")
    samples = DRAWN["replies"]() + DRAWN["episodes"]()
    random.Random(0).shuffle(samples)
    assert student.accumulate_divergence(samples, 1.0) == 0
    assert not take_gradient(student).any()
