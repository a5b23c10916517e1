"""The two paths to the log-probabilities: the same numbers and gradients as the model's own forward
pass, whatever the shapes."""

import contextlib
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.learning import head as heads
from recipes.learning import logprobs
from recipes.learning.logprobs import (
    Plain,
    Sample,
    Shared,
    Sharing,
    Trie,
    flat_logprobs,
    longest_shared,
    micro_batches,
    passes,
    plan,
)
from recipes.learning.loss import KlTerm, Sampled
from recipes.learning.policy import Policy
from tests.tiny import adapter_bytes, load_tiny, make_tiny

KINDS = ("llama", "qwen2", "qwen3", "gemma", "mistral")
ANY_LENGTH = 10**9


@pytest.fixture(scope="module")
def students(tmp_path_factory):
    """One student of each kind of model; a test leaves it without a gradient."""
    base, made = tmp_path_factory.mktemp("models"), {}

    def get(kind: str):
        if kind not in made:
            made[kind] = load_tiny(
                make_tiny(
                    base / kind, kind, **({"sliding_window": None} if kind == "mistral" else {})
                )
            )
        return made[kind]

    return get


def draw_samples(seed: int, groups: list[tuple[int, list[int]]]) -> list[Sample]:
    """(prompt length, completion lengths) of each group -> samples of random tokens, shuffled."""
    rng = random.Random(seed)

    def tokens(n):
        return tuple(rng.randrange(2, 384) for _ in range(n))

    samples = []
    for prompt_length, lengths in groups:
        prompt = tokens(prompt_length)
        samples += [Sample(prompt, tokens(n)) for n in lengths]
    rng.shuffle(samples)
    return samples


RAGGED = [
    (40, [3, 11, 1, 7, 7, 16]),
    (25, [9, 2, 30]),
    (64, [5, 5]),
    (12, [4]),
    (1, [3, 2]),
    (33, [20, 1, 1, 8]),
]
"""Several tasks in one step: prompts of several lengths, one that nobody shares, one of a single
token."""


def episode(prompt: tuple, *turns: tuple) -> Sample:
    """The first turn is the student's, the second what it is told, and so on."""
    wrote = [i % 2 == 0 for i, turn in enumerate(turns) for _ in turn]
    return Sample(prompt, sum(turns, ()), tuple(wrote))


def draw_episodes(seed: int) -> list[Sample]:
    """Groups of episodes, shuffled: of one to three turns, whole turns in common, or only the first
    tokens of one."""
    rng = random.Random(seed)

    def text(n):
        return tuple(rng.randrange(2, 384) for _ in range(n))

    a, b, lone, short, same = map(text, (40, 25, 12, 1, 33))
    first, told, second = text(7), text(9), text(6)
    samples = [
        episode(a, first),
        episode(a, first, told, second),
        episode(a, first, told, second[:3] + text(5), text(4), text(2)),
        episode(a, first, told, second, text(8), text(11)),
        episode(a, first, told, second, text(3)),  # told something, and then there was no room
        episode(a, first[:2] + text(1)),
        episode(a, text(4), text(2), text(1)),
        *[episode(a, first, told, text(5))] * 2,
        episode(b, first, told, second),
        Sample(b, first + text(3)),
        Sample(b, text(20)),
        episode(lone, text(5), text(3), text(4)),
        episode(short, first, told, second),
        episode(short, first, told, text(3)),
        *(Sample(same, first + second, (wrote,) * 7 + (True,) * 6) for wrote in (True, False)),
        Sample(same, first + second),
    ]
    rng.shuffle(samples)
    return samples


DRAWN = {"replies": lambda: draw_samples(1, RAGGED), "episodes": lambda: draw_episodes(1)}


def full_forward(student, sample, temperature):
    """Log-probabilities of the written tokens by the model's own forward pass of all, unpadded."""
    tokens = torch.tensor([sample.prompt + sample.completion])
    logits_TV = student.policy.model(input_ids=tokens).logits[0, len(sample.prompt) - 1 : -1]
    logp_T = (
        torch.log_softmax(logits_TV / temperature, -1)
        .gather(1, tokens[0, len(sample.prompt) :, None])
        .squeeze(1)
    )
    return logp_T if sample.mask is None else logp_T[torch.tensor(sample.mask)]


def expected_loss(
    student, samples, weights, norm, temperature, sampler=None, max_ratio=None, kl=0.0, counts=None
):
    """`accumulate`'s formula from the model's own full forward pass, one sample at a time."""

    def logprobs(sample):
        return full_forward(student, sample, temperature)

    total = 0.0
    for i, sample in enumerate(samples):
        logp = logprobs(sample)
        ratio = (
            1.0
            if sampler is None
            else (logp.detach() - torch.tensor(sampler[i])).exp().clamp(max=max_ratio)
        )
        total = total - (torch.tensor(weights[i]) * ratio * logp).sum()
        if kl:
            with student.policy.as_reference():
                d = logprobs(sample)
            d = d - logp
            total = total + kl * counts[i] * (d.exp() - d - 1).sum()
    return total / norm


def take_gradient(student) -> torch.Tensor:
    """All gradients in a row; they are cleared."""
    joined = torch.cat([p.grad.flatten() for p in student.policy.trainable])
    student.optimiser.clear()
    return joined


@pytest.mark.parametrize(
    "drawn, limit",
    [("replies", 4096), ("replies", 150), ("replies", 1), ("episodes", 4096), ("episodes", 200)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradient_equal_the_plain_forward(
    students, kind, drawn, limit, tmp_path, monkeypatch
):
    """With the importance weights and the KL term, in one part or in many; in episodes some weights
    are the turns' own."""
    monkeypatch.setattr(
        "recipes.learning.head.HEAD_LOGITS", 384 * 5
    )  # chunks of 5 positions, across the samples' borders
    student = students(kind)
    monkeypatch.setattr(student.limits, "micro_tokens", limit)
    assert student.objective.longest_shared > 1000
    if "reference" not in student.policy.model.peft_config:
        student.save(tmp_path / "reference", {})
        student.freeze_reference(tmp_path / "reference")
        with torch.no_grad():
            for parameter in student.policy.trainable:
                parameter.mul_(1.1)
    samples, rng = DRAWN[drawn](), random.Random(2)
    weights, counts = [rng.uniform(-1, 1) for _ in samples], [rng.randrange(1, 4) for _ in samples]
    if drawn == "episodes":
        weights[::2] = [[rng.uniform(-1, 1) for _ in s.written] for s in samples[::2]]
    sampler = [[rng.uniform(-9, -4) for _ in s.written] for s in samples]
    settings = dict(norm=7, temperature=0.7)
    assert {type(work) for work in plan(samples, limit, student.objective.longest_shared)} == {
        Plain,
        Shared,
    }
    loss = expected_loss(
        student, samples, weights, **settings, sampler=sampler, max_ratio=2.0, kl=0.3, counts=counts
    )
    loss.backward()
    expected = take_gradient(student)
    stats = student.accumulate(
        samples, weights, **settings, sampled=Sampled(sampler, 2.0), kl=KlTerm(0.3, counts)
    )
    got = take_gradient(student)
    assert stats.loss == pytest.approx(float(loss.detach()), rel=1e-5) and stats.tokens == sum(
        len(s.completion) if s.mask is None else sum(s.mask) for s in samples
    )
    assert (got - expected).norm() <= 1e-5 * expected.norm(), float(
        (got - expected).norm() / expected.norm()
    )


class Head:
    """What `logprobs` needs of a student: a head of 97 tokens, of which the last is nearly always
    right in the last position."""

    def __init__(self, dtype, bias: bool):
        torch.manual_seed(0)
        self.head = torch.nn.Linear(24, 97, bias=bias, dtype=dtype).requires_grad_(False)
        self.vocabulary = 97
        self.hidden_NH = torch.randn(13, 24, dtype=dtype) * 3
        self.hidden_NH[-1] = 30 * self.head.weight[96]
        self.targets_N = torch.tensor([0, 96, 1, 19, 20, 95, 38, 39, 40, 50, 96, 0, 96])

    logits = Policy.logits

    def _autocast(self):
        return contextlib.nullcontext()

    def take(self, logprobs_of):
        """log p and the gradient by the hidden states, positions weighted unlike each other."""
        hidden_NH = self.hidden_NH.clone().requires_grad_()
        logp_N = logprobs_of(hidden_NH)
        (logp_N * torch.linspace(-1, 2.5, 13)).sum().backward()
        return logp_N.detach(), hidden_NH.grad

    def plain(self, hidden_NH):
        """By the whole softmax in float64."""
        bias = 0 if self.head.bias is None else self.head.bias.double()
        return -torch.nn.functional.cross_entropy(
            (hidden_NH.double() @ self.head.weight.double().T + bias) / 0.7,
            self.targets_N,
            reduction="none",
        )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("logits", [1, 13 * 20, 10**6])
def test_the_heads_gradient_is_that_of_the_whole_softmax(monkeypatch, logits, bias):
    """In blocks of two tokens, of twenty (with targets at both edges), and in one."""
    monkeypatch.setattr(heads, "HEAD_LOGITS", logits)
    head = Head(torch.float32, bias)
    wanted, wanted_grad = head.take(head.plain)
    got, grad = head.take(
        lambda hidden_NH: heads.head_logprobs(head, hidden_NH, head.targets_N, 0.7)
    )
    assert torch.allclose(got.double(), wanted, rtol=1e-5, atol=1e-6)
    assert (grad - wanted_grad).norm() <= 1e-5 * wanted_grad.norm()
    with torch.no_grad():
        assert torch.equal(heads.head_logprobs(head, head.hidden_NH, head.targets_N, 0.7), got)


def test_nothing_cancels_in_bfloat16_where_the_target_is_nearly_certain():
    head = Head(torch.bfloat16, bias=False)
    head.head.weight *= 3
    (wanted, wanted_grad), (got, grad) = (
        head.take(head.plain),
        head.take(lambda hidden_NH: heads.head_logprobs(head, hidden_NH, head.targets_N, 0.7)),
    )
    assert -1e-6 < wanted[-1] < 0 and grad.dtype == torch.bfloat16 and got.dtype == torch.float32
    # Their directions: a logit itself is rounded to 8 bits, and its error multiplies 1 - p.
    assert (
        torch.nn.functional.cosine_similarity(grad.float(), wanted_grad.float(), eps=1e-30).min()
        > 0.99
    )


def test_the_same_bytes_each_time(students):
    student, samples = students("qwen2"), draw_samples(3, RAGGED) + draw_episodes(3)
    taken = []
    for _ in range(2):
        student.accumulate(samples, [1.0] * len(samples), 5, 1.0)
        taken.append(take_gradient(student))
    assert torch.equal(*taken)


def test_activations_that_are_recomputed_keep_the_shared_path(tmp_path):
    """As on a card: every layer runs twice, and the second time must not add to the cache."""
    from recipes.learning.loading import _recompute_activations

    student = load_tiny(make_tiny(tmp_path / "m", "qwen2"))
    samples = draw_samples(4, RAGGED) + draw_episodes(4)
    student.accumulate(samples, [1.0] * len(samples), 5, 1.0)
    expected = take_gradient(student)
    calls = []
    original = torch.utils.checkpoint.checkpoint
    _recompute_activations(student.policy.model.get_base_model())
    for module in student.policy.model.modules():
        if hasattr(module, "_gradient_checkpointing_func"):
            module._gradient_checkpointing_func = lambda *args: (
                calls.append(1) or original(*args, use_reentrant=False)
            )
    assert longest_shared(student.policy)[0] > 0
    calls.clear()
    student.accumulate(samples, [1.0] * len(samples), 5, 1.0)
    assert calls and (take_gradient(student) - expected).norm() <= 1e-5 * expected.norm()


def test_a_window_limits_what_is_shared(tmp_path):
    student = load_tiny(make_tiny(tmp_path / "m", "mistral", sliding_window=48))
    assert student.objective.longest_shared == 48 and not any(
        "do not share" in note for note in student.notes
    )
    samples = draw_samples(5, [(40, [3, 11, 7, 7]), (30, [9, 2, 10, 12])])
    loss = expected_loss(student, samples, [1.0] * 8, 5, 1.0)
    loss.backward()
    expected = take_gradient(student)
    assert student.accumulate(samples, [1.0] * 8, 5, 1.0).loss == pytest.approx(
        float(loss.detach()), rel=1e-5
    )
    assert (take_gradient(student) - expected).norm() <= 1e-5 * expected.norm()


def test_a_model_whose_cache_takes_no_gradient_learns_by_the_plain_path_and_says_so(
    tmp_path, monkeypatch
):
    import transformers.models.qwen2.modeling_qwen2 as modeling

    folder = make_tiny(tmp_path / "m", "qwen2")
    samples = draw_samples(6, RAGGED)
    student = load_tiny(folder)
    student.accumulate(samples, [1.0] * len(samples), 5, 1.0)
    expected = take_gradient(student)
    forward = modeling.Qwen2Attention.forward

    def detached(self, hidden_states, *args, past_key_values=None, **kwargs):
        if past_key_values is not None:
            update = past_key_values.update
            past_key_values.update = lambda *a, **k: tuple(t.detach() for t in update(*a, **k))
        try:
            return forward(self, hidden_states, *args, past_key_values=past_key_values, **kwargs)
        finally:
            if past_key_values is not None:
                past_key_values.update = update

    def refusing(self, *args, past_key_values=None, **kwargs):
        if past_key_values is not None:
            raise NotImplementedError("no cache in training")
        return forward(self, *args, past_key_values=past_key_values, **kwargs)

    for attention, why in (
        (detached, "its gradient would differ by"),
        (refusing, "NotImplementedError: no cache in training"),
    ):
        monkeypatch.setattr(modeling.Qwen2Attention, "forward", attention)
        other = load_tiny(folder)
        assert other.objective.longest_shared == 0 and any(why in note for note in other.notes), (
            other.notes
        )
        assert all(p.grad is None for p in other.policy.trainable)
        other.accumulate(samples, [1.0] * len(samples), 5, 1.0)
        assert (take_gradient(other) - expected).norm() <= 1e-5 * expected.norm()


def test_the_check_changes_nothing(tmp_path):
    student = load_tiny(make_tiny(tmp_path / "m"))
    state, before = torch.get_rng_state(), adapter_bytes(student)
    assert longest_shared(student.policy)[1] == "" and adapter_bytes(student) == before
    assert torch.equal(torch.get_rng_state(), state) and all(
        p.grad is None for p in student.policy.trainable
    )


def test_a_trie_that_shows_too_much_is_found(students, monkeypatch):
    """By the check itself: what is measured has branches."""
    seen = Trie.seen
    monkeypatch.setattr(
        Trie,
        "seen",
        lambda self, width: seen(self, width) | torch.eye(width).roll(1, 0).bool().tril(),
    )
    assert longest_shared(students("llama").policy)[0] == 0


# --------------------------------------------------------------------------- what the student wrote


def test_a_mask_says_what_counts(students):
    """Log-probabilities, their mean difference to the sampler's, and the entropy."""
    student, samples = students("llama"), draw_episodes(7)
    with torch.no_grad():
        expected = [full_forward(student, sample, 0.7) for sample in samples]
        got = student.logprobs(samples, 0.7)
        logits = student.policy.model(input_ids=torch.tensor([[5, 6, 7, 8, 9, 10, 11]])).logits
    assert list(map(len, got)) == [len(s.written) for s in samples]
    assert torch.allclose(torch.cat(got), torch.cat(expected), rtol=1e-5, atol=1e-5)
    off = [(logp - 0.25).tolist() for logp in expected]
    stats = student.accumulate(samples, [0.0] * len(samples), 1, 0.7, Sampled(off))
    student.optimiser.clear()
    assert stats.drift == pytest.approx(0.25, rel=1e-4)
    # Of the first token behind the prompt and of the last, whose predictors are the third and
    # sixth.
    masked = Sample((5, 6, 7), (8, 9, 10, 11, 12), (True, False, False, True, False))
    wanted = torch.distributions.Categorical(logits=logits[0, [2, 5]] / 0.7).entropy().mean()
    assert student.entropy([masked], 0.7) == pytest.approx(float(wanted), rel=1e-5)


def test_the_head_is_not_applied_to_what_was_said_nor_twice_to_what_is_in_common(
    students, monkeypatch
):
    student, positions = students("llama"), []
    logits = Policy.logits
    monkeypatch.setattr(
        Policy,
        "logits",
        lambda self, hidden_NH, *block: (
            positions.append(len(hidden_NH)) or logits(self, hidden_NH, *block)
        ),
    )
    assert student.objective.longest_shared
    positions.clear()
    prompt, told = tuple(range(2, 60)), tuple(range(100, 130))
    samples = [episode(prompt, (7, 8, 9), told, (n, 1)) for n in (20, 21, 22)]
    student.accumulate(samples, [1.0] * 3, 1, 1.0)
    student.optimiser.clear()
    assert sum(positions) == 3 + 3 * 2


@pytest.mark.parametrize(
    "prompt, completion, mask, why",
    [
        ((2,), (3, 4), (True,), "1 values for 2 tokens"),
        ((2,), (3, 4), (False, False), "wrote none"),
        ((), (3, 4), None, "at least one token"),
        ((2,), (), None, "at least one token"),
        ((2,), (), (), "at least one token"),
    ],
)
def test_a_sample_that_teaches_nothing_is_refused(prompt, completion, mask, why):
    with pytest.raises(ValueError, match=why):
        Sample(prompt, completion, mask)


def test_values_that_are_not_one_a_written_token_are_refused(students):
    sample = episode((2, 3), (4, 5, 6), (7, 8), (9,))
    for values in ([1.0] * 6, [1.0] * 3, []):
        with pytest.raises(ValueError, match=f"{len(values)} values for 4 tokens"):
            students("llama").accumulate([sample], [values], 1, 1.0)
        with pytest.raises(ValueError, match=f"{len(values)} values for 4 tokens"):
            students("llama").accumulate([sample], [1.0], 1, 1.0, Sampled([values]))


few = st.integers(2, 4)
"""So few tokens that sequences begin alike."""
sequences = st.lists(few, min_size=1, max_size=9).map(tuple)


@st.composite
def masked(draw) -> list[Sample]:
    """One or two prompts, with completions of which many begin alike, and their masks."""
    samples = []
    for prompt in draw(st.lists(sequences, min_size=1, max_size=2, unique=True)):
        for completion in draw(st.lists(sequences, min_size=1, max_size=7)):
            mask = draw(st.lists(st.booleans(), min_size=len(completion), max_size=len(completion)))
            samples.append(Sample(prompt, completion, tuple(mask) if any(mask) else None))
    return draw(st.permutations(samples))


@settings(max_examples=40)
@given(samples=masked(), limit=st.integers(1, 120), seed=st.integers(0, 99))
def test_tries_of_any_shape_give_the_plain_paths_numbers(students, samples, limit, seed):
    policy, rng = students("qwen3").policy, random.Random(seed)
    weights = [torch.tensor([rng.uniform(-1, 1) for _ in s.written]) for s in samples]
    expected, found = [], {}
    for sample, weight_T in zip(samples, weights):
        expected.append(flat_logprobs(policy, [sample], 0.7, True))
        (weight_T * expected[-1]).sum().backward()
    wanted = take_gradient(students("qwen3"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logprobs, "SHARE_BELOW", float("inf"))
        for indices, logp_N, _ in passes(policy, samples, 0.7, False, Sharing(limit, ANY_LENGTH)):
            (torch.cat([weights[i] for i in indices]) * logp_N).sum().backward()
            found |= zip(indices, logp_N.detach().split([len(weights[i]) for i in indices]))
    got = take_gradient(students("qwen3"))
    assert (got - wanted).norm() <= 1e-5 * wanted.norm() + 1e-6
    for i, logp_T in enumerate(expected):
        assert torch.allclose(found[i], logp_T, rtol=1e-5, atol=1e-5)


@given(st.lists(sequences.map(lambda s: (1, *s)), min_size=1, max_size=9), st.integers(0, 5))
def test_a_trie_holds_each_beginning_once_and_sees_its_ancestors(sequences, padding):
    sequences = sorted(sequences)
    trie = Trie(sequences)
    count = len(trie.tokens)
    assert count == len(beginnings(sequences))
    seen_QQ = trie.seen(count + padding)
    for sequence, path in zip(sequences, trie.paths):
        assert tuple(trie.tokens[node] for node in path) == sequence
        assert [trie.depths[node] for node in path] == list(range(len(sequence)))
        for t, node in enumerate(path):
            assert seen_QQ[node].nonzero()[:, 0].tolist() == path[: t + 1]
    assert not seen_QQ[count:, :count].any() and seen_QQ[count:].any(1).all()


def beginnings(sequences) -> set[tuple]:
    return {sequence[: t + 1] for sequence in sequences for t in range(len(sequence))}


# ---------------------------------------------------------------------------- what is read together

groups = st.lists(
    st.tuples(st.integers(1, 90), st.lists(st.integers(1, 40), min_size=1, max_size=9)),
    min_size=1,
    max_size=6,
)


@given(
    groups.map(lambda shape: draw_samples(0, shape)) | masked(),
    st.integers(1, 3000),
    st.sampled_from([0, 60, ANY_LENGTH]),
)
def test_a_plan_holds_every_sample_once_within_the_limit(samples, limit, longest):
    seen = []
    for work in plan(samples, limit, longest):
        if isinstance(work, Plain):
            seen += work.indices
            assert (
                len(work.indices) == 1
                or len(work.indices)
                * max(len(samples[i].prompt) + len(samples[i].read) for i in work.indices)
                <= limit
            )
            continue
        width = max(map(len, work.prompts))
        padded = len(work.prompts) * width
        assert len(work.prompts) == 1 or padded <= limit
        for part in work.parts:
            size = len(part) * max(row.width for row in part)
            assert padded + size <= limit or (
                len(part) == 1
                and part[0].width == max(len(samples[i].read) for i in part[0].indices)
            )
            for row in part:
                seen += row.indices
                assert row.width == len(beginnings(samples[i].read for i in row.indices))
                assert row.indices == sorted(row.indices, key=lambda i: samples[i].read)
                assert {samples[i].prompt for i in row.indices} == {work.prompts[row.prompt]}
                assert all(
                    len(samples[i].prompt) + len(samples[i].read) <= longest for i in row.indices
                )
    assert sorted(seen) == list(range(len(samples)))


def test_long_prompts_are_shared_and_lone_ones_are_not():
    shared, alone = draw_samples(1, [(1000, [60] * 8)]), draw_samples(2, [(100, [30])] * 16)
    assert [type(work) for work in plan(shared, 4096, ANY_LENGTH)] == [Shared]
    assert plan(alone, 4096, ANY_LENGTH) == [Plain(batch) for batch in micro_batches(alone, 4096)]
    assert {type(work) for work in plan(shared, 4096, 1000)} == {Plain}


def test_a_first_turn_in_common_is_read_once_where_memory_allows():
    rng = random.Random(0)

    def text(n):
        return tuple(rng.randrange(2, 384) for _ in range(n))

    prompt, first, told = text(100), text(60), text(80)
    samples = [episode(prompt, first, told, text(30)) for _ in range(8)]
    (work,) = plan(samples, 1000, ANY_LENGTH)
    ((row,),) = work.parts
    assert row.width == 1 + 140 + 8 * 29  # of a completion's last token nothing is asked
    tight = plan(samples, 330, ANY_LENGTH)
    assert {type(work) for work in tight} == {Shared}
    assert all(len(part) * part[0].width <= 230 for work in tight for part in work.parts)


def test_memory_that_is_not_needed_is_not_taken():
    """Completions with nothing in common are read in parts of the usual size."""
    (work,) = plan(draw_samples(3, [(1000, [60] * 16)]), 4096, ANY_LENGTH)
    assert max(len(part) * part[0].width for part in work.parts) <= 256
