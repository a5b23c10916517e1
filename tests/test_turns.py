"""Episodes of several turns, by each engine: each turn is what it would be anew, nothing is asked
twice, and no answer's delay changes anything."""

import hashlib
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.learning.student import Sample
from recipes.nano import dense_decoder
from recipes.nano.dense_decoder import DenseDecoder
from recipes.rollouts import llama_engine
from recipes.rollouts.engine import Turns
from recipes.rollouts.gguf import export_base
from recipes.rollouts.llama_engine import LlamaEngine
from recipes.rollouts.model_engine import ModelEngine
from recipes.rollouts.sampling import Draws
from sandbox.errors import UsageError
from tests.test_rollout import PROMPTS, flat, same_but_for_rounding
from tests.tiny import load_tiny, make_tiny

ENDS = frozenset([1, *range(2, 384, 8)])
"""Ends come often: about an eighth of the vocabulary ends a turn."""
MOST, NEW = 60, 10
CALL = dict(prompts=PROMPTS, n=4, temperature=0.9, max_new=NEW, seeds=range(5))


@dataclass
class Environment:
    """Answers that depend on what was written alone, in `turns` turns at most."""

    turns: int = 3
    longest: int = 9
    """Tokens of an answer, at most."""
    delays: random.Random | None = None
    """Where there is one, answers come late and in any order."""
    asked: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8), repr=False)

    def reply(self, index: int, ids: tuple[int, ...]) -> list[int]:
        assert ids[-1] in ENDS
        if sum(token in ENDS for token in ids) >= self.turns:
            return []
        digest = hashlib.sha256(repr((index, ids)).encode()).digest()
        return [8 * (byte % 40) + 3 for byte in (digest + digest)[: 1 + digest[0] % self.longest]]

    def answer(self, index: int, ids: tuple[int, ...]) -> Future:
        self.asked.append((index, ids))
        if self.delays is not None:
            return self.pool.submit(self._late, self.delays.random() / 200, index, ids)
        future: Future = Future()
        future.set_result(self.reply(index, ids))
        return future

    def _late(self, delay: float, index: int, ids: tuple[int, ...]) -> list[int]:
        time.sleep(delay)
        return self.reply(index, ids)


def turns_of(completion) -> list[tuple[int, int]]:
    """(first, behind the last) of each part that was written."""
    written = completion.mask or (True,) * len(completion.ids)
    edges = [i for i, one in enumerate(written) if one and (i == 0 or not written[i - 1])]
    return [
        (first, next((i for i in range(first, len(written)) if not written[i]), len(written)))
        for first in edges
    ]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    window = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
    return {
        "qwen2": make_tiny(folder / "qwen2", "qwen2"),
        "gemma3_text": make_tiny(folder / "gemma3", "gemma3_text", **window),
    }


@pytest.fixture(
    scope="module", params=["model", "model, as a large one", "model with windows", "llama.cpp"]
)
def engine(request, folders):
    folder = folders["gemma3_text" if "windows" in request.param else "qwen2"]
    student = load_tiny(folder)
    student.tokens.end_ids = ENDS
    if request.param != "llama.cpp":
        with pytest.MonkeyPatch.context() as patch:
            if request.param == "model, as a large one":
                patch.setattr(dense_decoder, "fits", lambda student, longest: False)
            yield ModelEngine(student)
        return
    engine = LlamaEngine(student, export_base(student, folder.parent), longest=90, threads=1)
    yield engine
    engine.close()


def test_each_turn_is_what_it_is_anew(engine):
    """The likeliest tokens, so that what is drawn depends on the text alone."""
    groups = engine.sample(PROMPTS, 2, 0.0, NEW, range(5), turns=Turns(Environment().answer, MOST))
    numbers = []
    for index, (prompt, (one, other)) in enumerate(zip(PROMPTS, groups)):
        assert one == other
        parts = turns_of(one)
        numbers.append(len(parts))
        logprobs = list(one.logprobs)
        for number, (first, end) in enumerate(parts):
            before = [*prompt, *one.ids[:first]]
            [[anew]] = engine.sample([before], 1, 0.0, min(NEW, MOST - first), [0])
            assert anew.ids == one.ids[first:end]
            own, logprobs = logprobs[: end - first], logprobs[end - first :]
            exact = isinstance(engine, ModelEngine)
            assert own == pytest.approx(list(anew.logprobs), abs=1e-4 if exact else 0.05)
            if number + 1 < len(parts):
                answer = Environment().reply(index, one.ids[:end])
                assert list(one.ids[end : parts[number + 1][0]]) == answer
        assert one.finished == (one.ids[-1] in ENDS) and not logprobs
    assert max(numbers) == 3


def test_the_trainer_agrees_with_what_was_written(engine):
    groups = engine.sample(**CALL, turns=Turns(Environment().answer, MOST))
    ones = [(tuple(p), c) for p, group in zip(PROMPTS, groups) for c in group]
    with torch.no_grad():
        trainer = engine.student.logprobs([Sample(p, c.ids) for p, c in ones], 0.9)
    gaps = torch.cat(
        [
            logp_T[torch.tensor(c.mask or [True] * len(c.ids))] - torch.tensor(c.logprobs)
            for logp_T, (_, c) in zip(trainer, ones)
        ]
    ).abs()
    assert len(gaps) > 200 and gaps.mean() < 0.01
    assert gaps.max() < (1e-3 if isinstance(engine, ModelEngine) else 0.1)


def test_masks_budgets_and_ends(engine):
    environment, ended = Environment(turns=9), []
    completions = flat(
        engine.sample(**CALL, turns=Turns(environment.answer, 30), on_ended=ended.append)
    )
    assert sum(ended) == 20
    for one in completions:
        assert len(one.ids) <= 30
        parts = turns_of(one)
        assert (one.mask is None) == (len(parts) == 1)
        assert len(one.logprobs) == sum(end - first for first, end in parts)
        for first, end in parts:
            assert end - first <= NEW and not ENDS & set(one.ids[first : end - 1])
        for _, end in parts[:-1]:
            assert one.ids[end - 1] in ENDS
        first, end = parts[-1]
        assert end == len(one.ids) and one.finished == (one.ids[-1] in ENDS)
        if not one.finished:
            assert end - first == NEW or end == 30
    assert {one.finished for one in completions} == {True, False}
    assert {len(turns_of(one)) for one in completions} > {1, 2}


def test_late_answers_in_any_order_change_nothing(engine):
    first = engine.sample(**CALL, turns=Turns(Environment().answer, MOST))
    for seed in range(2):
        late = Environment(delays=random.Random(seed))
        assert engine.sample(**CALL, turns=Turns(late.answer, MOST)) == first


def test_what_has_written_the_same_is_asked_once(engine):
    environment = Environment()
    groups = engine.sample(PROMPTS, 8, 0.1, NEW, range(5), turns=Turns(environment.answer, MOST))
    assert len(environment.asked) == len(set(environment.asked))
    ends = [
        (index, one.ids[:end])
        for index, group in enumerate(groups)
        for one in group
        for _, end in turns_of(one)
        if one.ids[end - 1] in ENDS
    ]
    assert set(environment.asked) == set(ends) and len(environment.asked) < 0.8 * len(ends)


def test_a_group_is_the_same_alone_and_in_company(engine):
    def sample(indices):
        return engine.sample(
            [PROMPTS[i] for i in indices],
            4,
            0.9,
            NEW,
            [11 + i for i in indices],
            turns=Turns(lambda index, ids: Environment().answer(indices[index], ids), MOST),
        )

    together = sample(list(range(5)))
    alone = [sample([i])[0] for i in range(5)]
    assert same_but_for_rounding(engine, flat(alone), flat(together))


def test_without_answers_an_episode_is_one_completion(engine):
    plain = engine.sample(**CALL)
    once = engine.sample(**CALL, turns=Turns(Environment(turns=1).answer, MOST))
    if isinstance(engine, ModelEngine):
        assert once == plain and all(one.mask is None for one in flat(once))
    else:  # other rows share its steps
        assert same_but_for_rounding(engine, flat(once), flat(plain))


def test_what_an_answer_raises_comes_out(engine):
    def answer(index, ids):
        future: Future = Future()
        future.set_exception(UsageError("no verdict"))
        return future

    with pytest.raises(UsageError, match="no verdict"):
        engine.sample(**CALL, turns=Turns(answer, MOST))
    with pytest.raises(ValueError, match="max_tokens >= 1"):
        engine.sample(**CALL, turns=Turns(answer, 0))


def test_a_batch_that_memory_did_not_suffice_for_asks_nothing_twice(folders, monkeypatch):
    student = load_tiny(folders["qwen2"])
    student.tokens.end_ids = ENDS
    engine, environment = ModelEngine(student), Environment()
    wanted = engine.sample(**CALL, turns=Turns(Environment().answer, MOST))
    go_on = DenseDecoder.go_on

    def fail_once(self, *arguments):
        monkeypatch.setattr(DenseDecoder, "go_on", go_on)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(DenseDecoder, "go_on", fail_once)
    ended: list[int] = []
    found = engine.sample(**CALL, turns=Turns(environment.answer, MOST), on_ended=ended.append)
    assert [one.ids for one in flat(found)] == [one.ids for one in flat(wanted)]
    assert len(environment.asked) == len(set(environment.asked)) and sum(ended) == 20


def test_a_random_number_belongs_to_a_written_token(folders, monkeypatch):
    """Token t that completion i writes is drawn with number t of (seed, i), whatever was said
    between."""
    student = load_tiny(folders["qwen2"])
    student.tokens.end_ids = ENDS
    drawn, draw = [], Draws.draw
    monkeypatch.setattr(
        Draws,
        "draw",
        lambda self, logits, temperature, uniforms, rows: (
            drawn.extend(uniforms) or draw(self, logits, temperature, uniforms, rows)
        ),
    )
    groups = ModelEngine(student).sample(**CALL, turns=Turns(Environment().answer, MOST))
    wanted = [
        number
        for seed, group in enumerate(groups)
        for index, one in enumerate(group)
        for number in np.random.default_rng([seed, index]).random(MOST)[: len(one.logprobs)]
    ]
    assert sorted(drawn) == sorted(wanted) and any(one.mask for one in flat(groups))


# ---- llama.cpp -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama(folders):
    """With 256 cells."""
    student = load_tiny(folders["qwen2"])
    student.tokens.end_ids = ENDS
    base = export_base(student, folders["qwen2"].parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama_engine, "CACHE_BYTES", 1)
        engine = LlamaEngine(student, base, longest=256, threads=1)
    assert engine.cells == 256
    yield engine
    engine.close()


@given(
    n=st.integers(1, 6),
    count=st.integers(1, 5),
    slots=st.integers(1, 4),
    writers=st.integers(1, 8),
    most=st.integers(20, 236),
    pause=st.integers(0, 5),
    turns=st.sampled_from([1, 3, 99]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_nothing_waits_for_ever(llama, n, count, slots, writers, most, pause, turns, seed):
    """However few cells, sequences and slots there are for an episode; and the cells suffice:
    llama.cpp fails where they do not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama, "slots", slots)
        patch.setattr(llama, "writers", writers)
        patch.setattr(llama_engine, "PAUSE", pause)
        found = llama.sample(
            PROMPTS[:count],
            n,
            1.2,
            30,
            range(seed, seed + count),
            turns=Turns(Environment(turns, longest=60).answer, most),
        )
    assert [len(group) for group in found] == [n] * count
    assert all(len(turns_of(one)) <= turns for one in flat(found))


def test_no_token_is_read_twice(llama, monkeypatch):
    """In all: the prompts, what was written and answered, each once, but for the last tokens of
    completions, which nothing follows."""
    read, decode = [], llama.decode
    monkeypatch.setattr(
        llama, "decode", lambda *arrays: read.extend(zip(*arrays)) or decode(*arrays)
    )
    [group] = llama.sample([PROMPTS[2]], 6, 0.9, NEW, [3], turns=Turns(Environment().answer, MOST))
    texts = {one.ids[:length] for one in group for length in range(1, len(one.ids))}
    assert len(read) == len(PROMPTS[2]) + len(texts)
    assert max(len(turns_of(one)) for one in group) == 3


def test_answers_of_several_rows_are_read_together(llama, monkeypatch):
    """Each row ends with its first token, in the same step."""
    monkeypatch.setattr(llama.student.tokens, "end_ids", frozenset(range(384)))
    sizes, decode = [], llama.decode
    monkeypatch.setattr(
        llama, "decode", lambda tokens, *more: sizes.append(len(tokens)) or decode(tokens, *more)
    )

    def answer(index, ids):
        future: Future = Future()
        future.set_result([3] * 50 if len(ids) == 1 else [])
        return future

    [group] = llama.sample([[5, 9]], 3, 1.3, 4, [3], turns=Turns(answer, 70))
    rows = len({one.ids[0] for one in group})
    assert rows > 1 and sizes == [2, rows * 51]


def write_mamba(path) -> None:
    """A random recurrent model of one layer."""
    width, inner, state, rank, vocabulary = 32, 64, 4, 8, 384
    writer = GGUFWriter(path, "mamba")
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(1)
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(vocabulary)
    shapes = {
        "token_embd.weight": (vocabulary, width),
        "output_norm.weight": (width,),
        "output.weight": (vocabulary, width),
        "blk.0.attn_norm.weight": (width,),
        "blk.0.ssm_in.weight": (2 * inner, width),
        "blk.0.ssm_conv1d.weight": (inner, 4),
        "blk.0.ssm_conv1d.bias": (inner,),
        "blk.0.ssm_x.weight": (rank + 2 * state, inner),
        "blk.0.ssm_dt.weight": (inner, rank),
        "blk.0.ssm_dt.bias": (inner,),
        "blk.0.ssm_a": (inner, state),
        "blk.0.ssm_d": (inner,),
        "blk.0.ssm_out.weight": (width, inner),
    }
    generator = np.random.default_rng(0)
    for name, shape in shapes.items():
        writer.add_tensor(name, generator.standard_normal(shape).astype(np.float32) / 10)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_models_with_a_state_are_refused_in_words(llama, tmp_path):
    write_mamba(tmp_path / "mamba.gguf")
    llama.require_turns()
    engine = LlamaEngine(llama.student, tmp_path / "mamba.gguf", longest=40, threads=1)
    with pytest.raises(UsageError, match="architecture 'mamba'.*Set turns = 1"):
        engine.require_turns()
    with pytest.raises(UsageError, match="architecture 'mamba'"):
        engine.sample(**CALL, turns=Turns(Environment().answer, MOST))
    engine.close()
