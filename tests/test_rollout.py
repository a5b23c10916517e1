"""Sampling: the same policy as the trainer's, reproducible alone and in company, and honest about
what was cut off."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from recipes.learning.shape import cached_values
from recipes.learning.student import Sample
from recipes.nano import dense_decoder
from recipes.rollouts import llama_engine, model_engine
from recipes.rollouts.gguf import export_base
from recipes.rollouts.llama_engine import LlamaEngine
from recipes.rollouts.model_engine import ModelEngine
from recipes.rollouts.rollout import Sampling, sample_rollouts
from tests.tiny import load_tiny, make_tiny

PROMPTS = [[5, 9, 20], [30], list(range(40, 60)), [7, 7, 7, 7], [100, 101]]


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def folder(request, tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("models") / request.param, request.param)


@pytest.fixture(scope="module")
def student(folder):
    return load_tiny(folder)


@pytest.fixture(scope="module", params=["model", "model, as a large one", "llama.cpp"])
def engine(request, student, folder):
    if request.param != "llama.cpp":
        with pytest.MonkeyPatch.context() as patch:
            if request.param != "model":
                patch.setattr(dense_decoder, "fits", lambda student, longest: False)
            yield ModelEngine(student)
        return
    engine = LlamaEngine(student, export_base(student, folder.parent), longest=40, threads=1)
    yield engine
    engine.close()


@pytest.fixture
def likely_end(engine):
    """Ends come often enough to be tested: about an eighth of the vocabulary ends a completion."""
    before = engine.student.end_ids
    engine.student.tokens.end_ids = frozenset([1, *range(2, 384, 8)])
    yield engine
    engine.student.tokens.end_ids = before


def flat(groups):
    return [completion for group in groups for completion in group]


def same_but_for_rounding(engine, some, others) -> bool:
    """llama.cpp rounds to 16 bits on the way, so one draw in a thousand may fall to the other side
    of a boundary; the rest of that completion is then another one."""
    same = [c.ids == d.ids for c, d in zip(some, others, strict=True)]
    return all(same) if isinstance(engine, ModelEngine) else sum(same) >= 0.8 * len(same)


@pytest.mark.parametrize("temperature", [0.7, 1.3])
def test_sampler_and_trainer_are_the_same_policy(likely_end, temperature):
    groups = likely_end.sample(PROMPTS, 6, temperature, 12, seeds=range(5))
    assert {c.finished for c in flat(groups)} == {True, False}  # so rows were dropped on the way
    samples = [Sample(tuple(p), c.ids) for p, group in zip(PROMPTS, groups) for c in group]
    with torch.no_grad():
        trainer = torch.cat(likely_end.student.logprobs(samples, temperature))
    sampler = torch.tensor([value for c in flat(groups) for value in c.logprobs])
    exact = isinstance(likely_end, ModelEngine)
    assert (trainer - sampler).abs().max() < (1e-3 if exact else 0.1) and (
        trainer - sampler
    ).abs().mean() < 0.01
    assert len(trainer) > 100


def test_a_rollout_is_the_same_alone_and_in_company(likely_end):
    together = likely_end.sample(PROMPTS, 4, 0.9, 20, seeds=[11, 12, 13, 14, 15])
    pairs = list(zip(PROMPTS, [11, 12, 13, 14, 15]))
    alone = [likely_end.sample([prompt], 4, 0.9, 20, [seed])[0] for prompt, seed in pairs]
    fewer = [likely_end.sample([prompt], 2, 0.9, 20, [seed])[0] for prompt, seed in pairs]
    assert same_but_for_rounding(likely_end, flat(alone), flat(together))
    assert same_but_for_rounding(likely_end, flat(fewer), flat(group[:2] for group in together))


def test_small_batches_give_the_same_completions(likely_end, monkeypatch):
    whole = likely_end.sample(PROMPTS, 3, 0.9, 20, seeds=range(5))
    monkeypatch.setattr(model_engine, "MAX_ROWS", 6)
    monkeypatch.setattr(llama_engine, "BATCH_TOKENS", 7)
    if isinstance(likely_end, LlamaEngine):
        monkeypatch.setattr(likely_end, "slots", 4)
        monkeypatch.setattr(likely_end, "cells", 45)
    parts = list(likely_end.stream(PROMPTS, 3, 0.9, 20, range(5)))
    assert len(parts) > 1 and sorted(i for part in parts for i in part) == list(range(5))
    done = {i: group for part in parts for i, group in part.items()}
    assert same_but_for_rounding(likely_end, flat(done[i] for i in range(5)), flat(whole))


def test_the_same_call_gives_the_same_bytes(likely_end):
    first = likely_end.sample(PROMPTS, 4, 0.9, 20, seeds=range(5))
    likely_end.sample(PROMPTS[:2], 3, 1.2, 9, seeds=[7, 8])
    assert likely_end.sample(PROMPTS, 4, 0.9, 20, seeds=range(5)) == first


def batches(student, prompts, n: int, max_new: int) -> list[list[tuple[int, int]]]:
    """The rows of the batches that the model engine makes, one after the other."""
    waiting = [
        (i, j)
        for i in sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
        for j in range(n)
    ]
    found = []
    while waiting:
        size = model_engine._batch_size(student, waiting, prompts, max_new)
        found.append(waiting[:size])
        waiting = waiting[size:]
    return found


def test_batches_keep_every_prompt_once_and_within_the_cache(student, monkeypatch):
    row = model_engine._cache_bytes_per_token(student)
    assert (
        row
        == 2
        * 2
        * (32 if student.policy.model.get_base_model().config.num_key_value_heads == 4 else 16)
        * 4
    )
    monkeypatch.setattr(model_engine, "CACHE_BYTES", row * 4 * 25)
    prompts = [[2] * length for length in (3, 30, 5, 9, 1, 1)]
    found = batches(student, prompts, 2, 10)
    assert (
        sorted(row for batch in found for row in batch)
        == [(i, j) for i in range(6) for j in range(2)]
        and len(found) < 6
    )
    for batch in found:
        assert {j for _, j in batch} == {0, 1}  # whole groups
        assert len(batch) == 2 or len(batch) * (max(len(prompts[i]) for i, _ in batch) + 10) <= 100


def test_batches_that_memory_did_not_suffice_for_are_cut_anywhere(student, monkeypatch):
    monkeypatch.setattr(student.limits, "sampling_tokens", 3 * 40)
    prompts = [[2] * length for length in (30, 5, 5)]
    found = batches(student, prompts, 4, 10)
    assert [len(batch) for batch in found] == [3, 3, 6]
    assert found[1] == [(0, 3), (1, 0), (1, 1)]
    monkeypatch.setattr(student.limits, "sampling_tokens", 5)
    assert [len(batch) for batch in batches(student, prompts, 4, 10)] == [1] * 12


def test_the_cache_of_llama_cpp_has_room_for_one_and_at_most_for_all(student, monkeypatch):
    slots = llama_engine.SLOTS["cpu"]
    assert (
        slots * 100
        <= llama_engine.room(cached_values(student.config), "cpu", 100)
        < slots * 100 + 256
    )
    monkeypatch.setattr(llama_engine, "CACHE_BYTES", 1)
    assert 1000 <= llama_engine.room(cached_values(student.config), "cpu", 1000) < 1256


@pytest.mark.parametrize(
    "device, processor, matrices",
    [
        ("cpu", b"CPU : AVX512 = 1 | AVX512_BF16 = 1 | LLAMAFILE = 1 | ", "BF16"),
        ("cpu", b"CPU : AVX512 = 1 | LLAMAFILE = 1 | ", "Q8_0"),
        ("cuda", b"CUDA : ARCHS = 890 | CPU : AVX512_BF16 = 1 | ", "Q8_0"),
    ],
)
def test_the_type_of_the_matrices_is_the_one_that_the_machine_multiplies(
    monkeypatch, device, processor, matrices
):
    monkeypatch.setattr(llama_engine.llama, "llama_print_system_info", lambda: processor)
    assert llama_engine.fastest_matrices(device) == matrices


def test_the_seed_and_the_index_decide(engine):
    one, same, other = (engine.sample([[5, 6]], 3, 1.0, 12, [seed])[0] for seed in (1, 1, 2))
    assert one == same
    assert len({c.ids for c in one + other}) == 6


def test_a_completion_ends_with_the_end_token_or_was_cut(likely_end):
    for completion in flat(likely_end.sample(PROMPTS, 8, 1.0, 6, range(5))):
        ends = [i for i, token in enumerate(completion.ids) if token in likely_end.student.end_ids]
        assert len(completion.ids) == len(completion.logprobs)
        if completion.finished:
            assert ends == [len(completion.ids) - 1]
        else:
            assert ends == [] and len(completion.ids) == 6


@pytest.mark.parametrize("temperature, most", [(0.0, 1), (0.3, 6)])
def test_what_completions_have_in_common_is_computed_once(
    student, folder, monkeypatch, temperature, most
):
    """Rows computed in each step, by both engines, of a group of 8 that writes 12 tokens each."""
    monkeypatch.setattr(student.tokens, "end_ids", frozenset())
    rows, step = [], dense_decoder.DenseDecoder.step
    monkeypatch.setattr(
        dense_decoder.DenseDecoder,
        "step",
        lambda self, tokens, sources: rows.append(len(tokens)) or step(self, tokens, sources),
    )
    [group] = ModelEngine(student).sample([[5, 9, 20]], 8, temperature, 12, [0])
    branches = [len({c.ids[:length] for c in group}) for length in range(1, 12)]
    assert rows == branches and branches[0] <= most <= 8
    engine = LlamaEngine(student, export_base(student, folder.parent), longest=40, threads=1)
    rows, decode = [], engine.decode
    monkeypatch.setattr(
        engine, "decode", lambda tokens, *more: rows.append(len(tokens)) or decode(tokens, *more)
    )
    [group] = engine.sample([[5, 9, 20]], 8, temperature, 12, [0])
    engine.close()
    assert rows == [3] + [len({c.ids[:length] for c in group}) for length in range(1, 12)]


def test_greedy_is_the_models_own_greedy(engine):
    student = engine.student
    tokens = torch.tensor([PROMPTS[2]])
    with torch.no_grad():
        for _ in range(8):
            tokens = torch.cat(
                [tokens, student.policy.model(input_ids=tokens).logits[:, -1:].argmax(-1)], dim=1
            )
    completion = engine.sample(PROMPTS, 1, 0.0, 8, range(5))[2][0]
    assert (
        completion.ids == tuple(tokens[0, len(PROMPTS[2]) :].tolist())[: len(completion.ids)]
        and len(completion.ids) > 3
    )


def test_frequencies_are_the_probabilities(engine):
    """First tokens of 2,000 draws against the model's distribution: chi-squared over the 10
    likeliest and the rest."""
    with torch.no_grad():
        expected = torch.softmax(
            engine.student.policy.model(input_ids=torch.tensor([[5, 9, 20]])).logits[0, -1] / 1.3,
            -1,
        )
    drawn = Counter(c.ids[0] for c in engine.sample([[5, 9, 20]], 2000, 1.3, 1, [3])[0])
    top = expected.topk(10)
    observed = [drawn[i] for i in top.indices.tolist()]
    shares = top.values.tolist()
    observed, shares = observed + [2000 - sum(observed)], shares + [1 - sum(shares)]
    assert (
        sum((o - 2000 * p) ** 2 / (2000 * p) for o, p in zip(observed, shares)) < 29.6
    )  # 99.9 % for 10 degrees of freedom


def test_nothing_is_trained_by_sampling(engine):
    engine.sample(PROMPTS, 2, 1.0, 4, range(5))
    assert all(p.grad is None for p in engine.student.policy.model.parameters())


@pytest.mark.parametrize("change", [{"prompts": [[]]}, {"n": 0}, {"max_new": 0}, {"seeds": []}])
def test_senseless_arguments_are_refused(engine, change):
    with pytest.raises(ValueError):
        engine.sample(
            **({"prompts": [[5]], "n": 1, "temperature": 1.0, "max_new": 2, "seeds": [0]} | change)
        )


def test_attempts_judge_what_is_whole_and_nothing_else(likely_end):
    student = likely_end.student
    tasks = [SimpleNamespace(instance_id=name) for name in ("a", "b")]
    asked = []

    def judge(pairs):
        numbers = range(
            len(asked), len(asked) + len(pairs)
        )  # it is called once for each part that is done
        asked.extend(pairs)
        return [
            SimpleNamespace(status="resolved" if i % 2 else "failed", reward=float(i % 2))
            for i in numbers
        ]

    groups = sample_rollouts(
        likely_end, list(zip(tasks, PROMPTS)), Sampling(8, 1.0, 6), [1, 2], judge
    )
    rollouts = flat(groups)
    whole = [r for r in rollouts if r.completion.finished]
    assert 0 < len(whole) < 16
    assert [(t.instance_id, text) for t, text in asked] == [(r.instance_id, r.text) for r in whole]
    assert [r.status for r in whole] == ["failed", "resolved"] * (len(whole) // 2) + ["failed"] * (
        len(whole) % 2
    )
    assert all(
        r.status == "truncated" and r.reward == 0.0 for r in rollouts if not r.completion.finished
    )
    assert groups[1][3].record() == {
        "instance_id": "b",
        "seed": 2,
        "index": 3,
        "text": student.text(groups[1][3].completion.ids),
        "tokens": len(groups[1][3].completion.ids),
        "status": groups[1][3].status,
        "reward": groups[1][3].reward,
    }


def test_the_judge_is_not_called_for_nothing(likely_end):
    likely_end.student.tokens.end_ids = frozenset([-1])
    groups = sample_rollouts(
        likely_end, [(SimpleNamespace(instance_id="a"), [5])], Sampling(2, 1.0, 3), [1], judge=None
    )
    assert [r.status for r in groups[0]] == ["truncated"] * 2


@pytest.mark.parametrize("uniform, token", [(0.0, 1), (0.4999, 1), (0.5001, 3), (1 - 2**-53, 3)])
def test_a_token_without_probability_is_never_drawn(uniform, token):
    logits_RV = torch.tensor([[float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")]])
    drawn_R, logprob_R = model_engine._draw(
        logits_RV, 1.0, torch.tensor([uniform], dtype=torch.float64)
    )
    assert drawn_R.tolist() == [token] and logprob_R.item() == pytest.approx(-0.6931, abs=1e-3)
