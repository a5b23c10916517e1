"""What a student is said to need, held against what it keeps; and what happens when memory runs
out."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import llama_cpp.llama_cpp as llama_cpp
import pytest
import torch

from coldstart import open_screen
from recipes.learning import shape, weights
from recipes.learning.limits import LEAST_MICRO_TOKENS, is_out_of_memory
from recipes.learning.memory import (
    GIB,
    MICRO_TOKENS,
    SLACK,
    available,
    estimate,
    fitting_micro_tokens,
    in_words,
    plan,
)
from recipes.nano import dense_decoder
from recipes.rollouts import llama_engine, llama_files
from recipes.rollouts.engine_kind import EngineKind, engine_kind
from recipes.rollouts.engines import llama_cpp as llama_cpp_engine
from recipes.rollouts.engines.llama_cpp import CACHE, COPY
from recipes.rollouts.gguf import export_base
from recipes.rollouts.llama_engine import LlamaEngine
from recipes.rollouts.model_engine import ModelEngine
from recipes.session import Session
from recipes.settings import CARD_MEMORY_MIB, FOLDER, Recipe, StudentSettings, load
from sandbox.errors import UsageError
from tests.conftest import ROOT
from tests.shapes import SHAPES
from tests.test_logprobs import RAGGED, draw_samples, take_gradient
from tests.tiny import load_tiny, make_tiny, tiny_recipe
from tests.written_run import write_run

QWEN_7B = SHAPES["Qwen/Qwen2.5-Coder-7B-Instruct"]
RECIPE = Recipe(student=StudentSettings(model="m", lora_rank=16, max_prompt=2048, max_new=512))


def config(model_type: str, **values):
    from transformers import AutoConfig

    return AutoConfig.for_model(model_type, **values)


@pytest.mark.parametrize(
    "kind, unpacked",
    [("llama", True), ("llama", False), ("qwen2", False), ("qwen3", True), ("gemma", False)],
)
def test_weights_and_adapter_are_counted_as_the_model_has_them(
    tmp_path, kind, unpacked, monkeypatch
):
    monkeypatch.setattr(shape, "UNPACKED", shape.UNPACKED if unpacked else 0)
    student = load_tiny(make_tiny(tmp_path / "m", kind, hidden=128))
    need = estimate(student.config, tiny_recipe(), cuda=False)
    adapter = sum(p.numel() for p in student.policy.trainable)
    linear = sum(
        m.in_features * m.out_features
        for m in student.policy.model.modules()
        if hasattr(m, "base_layer")
    )
    other = sum(
        p.numel()
        for name, p in student.policy.model.named_parameters()
        if "base_layer.weight" not in name and "lora" not in name
    )
    a_weight = 4 if unpacked else 0.5 + 4 / 64
    assert need.adapter == adapter * 16
    assert need.weights == pytest.approx(linear * a_weight + other * 4, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gemma", "mistral"])
def test_a_pass_keeps_no_more_than_was_said_and_not_much_less(tmp_path, kind):
    student = load_tiny(
        make_tiny(tmp_path / "m", kind, hidden=256, num_hidden_layers=6, intermediate_size=1024)
    )
    weights = {p.untyped_storage().data_ptr() for p in student.policy.model.parameters()}
    kept = {}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    student.policy.mode(True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = student.policy.forward(torch.randint(2, 300, (1, 400)))
    said = estimate(student.config, tiny_recipe(), cuda=False).per_token * 400
    assert sum(kept.values()) <= said <= 2 * sum(kept.values()), (sum(kept.values()), said)
    del hidden


@pytest.mark.parametrize(
    "kind, matrices", [("qwen2", "Q8_0"), ("gemma", "Q8_0"), ("qwen2", "BF16")]
)
def test_the_copy_for_llama_cpp_is_counted_as_its_file_has_it(
    tmp_path, monkeypatch, kind, matrices
):
    student = load_tiny(make_tiny(tmp_path / "m", kind, hidden=128, vocab=4096))
    monkeypatch.setattr(weights, "SMALL", 0)
    monkeypatch.setattr(llama_cpp_engine, "SMALL", 0)
    monkeypatch.setattr(llama_engine, "fastest_matrices", lambda device: matrices)
    file = export_base(student, tmp_path, matrices=matrices)
    vocabulary = 100_000  # bytes, at most: texts and merges of its tokens
    need = estimate(student.config, tiny_recipe(), cuda=False, engine="llama.cpp")
    copy = need.engine.held[COPY]
    assert copy <= file.stat().st_size <= 1.02 * copy + vocabulary
    alone = estimate(student.config, tiny_recipe(), cuda=False)
    assert (
        need.fixed == alone.fixed + copy + need.engine.held[CACHE]
        and need.engine.sampling == 0
        and alone.engine.held == {}
    )


@llama_cpp.llama_log_callback
def _hear(_level, text, _user_data):
    if found := re.search(r"(KV|compute|output) buffer size = +([0-9.]+) MiB", text.decode()):
        HEARD[found[1]] = float(found[2]) * 2**20


HEARD = {}
"""What llama.cpp says that it takes: kind of buffer -> bytes."""


@pytest.mark.parametrize(
    "flash, longest, inner", [(False, 1024, 512), (True, 1024, 512), (True, 256, 2048)]
)
def test_llama_cpps_cache_and_buffers_are_what_it_says_itself(
    tmp_path, monkeypatch, flash, longest, inner
):
    """With flash attention as on a card, with slots and batches as here."""
    recipe = tiny_recipe(student={"max_prompt": longest - 16, "max_new": 16})
    student = load_tiny(
        make_tiny(
            tmp_path / "m",
            "qwen2",
            hidden=256,
            vocab=2000,
            intermediate_size=inner,
            max_position_embeddings=2048,
        )
    )
    monkeypatch.setattr(llama_files, "listen", lambda: llama_cpp.llama_log_set(_hear, None))
    for numbers in (llama_engine.SLOTS, llama_engine.WRITERS, llama_engine.MICRO_BATCH):
        monkeypatch.setitem(numbers, "cuda", numbers["cpu"])
    if flash:
        monkeypatch.setattr(
            llama_cpp, "LLAMA_FLASH_ATTN_TYPE_DISABLED", llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        )
    HEARD.clear()
    LlamaEngine(student, export_base(student, tmp_path), longest, 1).close()
    said = estimate(student.config, recipe, cuda=flash, engine="llama.cpp").engine.held[CACHE]
    assert len(HEARD) == 3 and sum(HEARD.values()) == pytest.approx(said, rel=0.05)


@pytest.fixture
def built_for_a_card(monkeypatch):
    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: True)


@pytest.mark.usefixtures("built_for_a_card")
@pytest.mark.parametrize(
    "engine, free, copied",
    [("auto", 80, True), ("auto", 16, False), ("llama.cpp", 16, True), ("model", 80, False)],
)
def test_the_plan_counts_the_copy_where_llama_cpp_will_sample(engine, free, copied):
    recipe = replace(RECIPE, rollout=replace(RECIPE.rollout, engine=engine))
    need = plan(config(**QWEN_7B), recipe, True, free * GIB)
    assert (need.engine.held.get(COPY, 0) > 7 * GIB) == copied == (need.engine.sampling == 0) and (
        COPY in in_words(need, 512, free * GIB)
    ) == copied


def test_a_run_that_goes_on_plans_with_the_engine_that_it_began_with(tmp_path, calc):
    run = write_run(tmp_path / "run", calc, upto="mine")
    run.content["recipe"]["student"]["model"] = str(make_tiny(tmp_path / "m"))
    run.content["recipe"]["rollout"]["engine"] = "auto"
    emit = open_screen(as_json=True).emit
    fresh = Session(run, None, emit).student.planned.need.engine.held
    run.content["engine"] = "model"
    assert fresh and not Session(run, None, emit).student.planned.need.engine.held


def test_without_its_package_there_is_no_copy(monkeypatch):
    monkeypatch.setattr(EngineKind, "missing_package", lambda kind: "gguf" if kind.packages else "")
    assert plan(config(**QWEN_7B), RECIPE, True, 80 * GIB).engine.held == {}


def test_a_build_for_the_processor_gives_no_copy_on_a_card(monkeypatch):
    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: False)
    assert plan(config(**QWEN_7B), RECIPE, True, 80 * GIB).engine.held == {}
    assert COPY in plan(config(**QWEN_7B), RECIPE, False, 80 * GIB).engine.held
    kind = engine_kind("llama.cpp")
    assert "coldstart.py doctor" in kind.wrong_build(True) and kind.wrong_build(False) == ""


def test_a_batch_of_one_group_may_pass_the_samplers_limit():
    recipe = replace(RECIPE, climb=replace(RECIPE.climb, group_size=32))
    need = estimate(config(**QWEN_7B), recipe, cuda=True)
    assert (
        need.engine.sampling
        == 32 * 2560 * 28 * 2 * 4 * 128 * 2
        > estimate(config(**QWEN_7B), RECIPE, cuda=True).engine.sampling
    )


def test_free_memory_is_measured():
    assert 1 << 26 < available(cuda=False) < 1 << 50


def test_what_fits_grows_with_the_card():
    need = estimate(config(**QWEN_7B), RECIPE, cuda=True)
    assert (
        5.0 < need.weights / GIB < 5.8
    )  # 6.5 G weights of 4 bits, and two tables of 0.54 G in bfloat16
    fitting = [fitting_micro_tokens(need, n * GIB) for n in (6, 8, 10, 12, 24, 80)]
    assert (
        fitting == sorted(fitting)
        and fitting[0] == LEAST_MICRO_TOKENS
        and fitting[-1] == MICRO_TOKENS
    )
    small = fitting_micro_tokens(need, 8 * GIB)
    assert small == LEAST_MICRO_TOKENS or need.fixed + need.per_token * small <= 8 * GIB


def test_the_sentence_says_how_it_was_obtained_and_when_it_is_too_much():
    need = estimate(config(**QWEN_7B), RECIPE, cuda=True)
    assert "estimated" in in_words(need, 512, 12 * GIB) and "too much" not in in_words(
        need, 512, 12 * GIB
    )
    assert "too much" in in_words(need, 512, 6 * GIB)


def test_a_run_says_its_estimate(tmp_path):
    assert "estimated" in load_tiny(make_tiny(tmp_path / "m")).notes[0]


@pytest.mark.parametrize("already", [None, "max_split_size_mb:64"])
def test_the_command_line_sets_the_allocator_and_leaves_what_was_set(
    monkeypatch, tmp_path, already
):
    from click.testing import CliRunner

    from coldstart import cli

    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", already or "")
    if already is None:
        monkeypatch.delenv("PYTORCH_CUDA_ALLOC_CONF")
    assert CliRunner().invoke(cli, ["status", "--run", str(tmp_path)]).exit_code == 2
    assert os.environ["PYTORCH_CUDA_ALLOC_CONF"] == (already or "expandable_segments:True")


@pytest.mark.parametrize(
    "error, is_one",
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (MemoryError(), True),
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate "
                "9 bytes"
            ),
            True,
        ),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, is_one):
    assert is_out_of_memory(error) == is_one


# ----------------------------------------------------------------------------- when memory runs out

SAMPLES = draw_samples(1, RAGGED)


def limit_tokens(student, most: int) -> None:
    """A forward pass of more padded tokens than this fails as a full card does."""
    forward = student.policy.forward

    def limited(tokens_BT, *args, **kwargs):
        if tokens_BT.numel() > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")
        return forward(tokens_BT, *args, **kwargs)

    student.policy.forward = limited


def learn(student) -> object:
    return student.accumulate(
        SAMPLES, [1.0, -0.5] * (len(SAMPLES) // 2) + [1.0] * (len(SAMPLES) % 2), 5, 0.7
    )


def test_a_step_that_ran_out_of_memory_is_repeated_with_the_same_samples(tmp_path):
    folder = make_tiny(tmp_path / "m", "qwen2")
    student = load_tiny(folder)
    learn(student)
    whole = learn(student)  # twice, so that a gradient from before must survive
    expected = take_gradient(student)
    learn(student)
    limit_tokens(student, 120)
    student.notes.clear()
    stats = learn(student)
    assert stats.tokens == whole.tokens and stats.loss == pytest.approx(whole.loss, rel=1e-5)
    assert (take_gradient(student) - expected).norm() <= 1e-5 * expected.norm()
    assert (
        LEAST_MICRO_TOKENS < student.limits.micro_tokens < MICRO_TOKENS
        and "nothing is lost" in student.notes[-1]
    )


def test_what_did_not_fit_is_remembered_by_the_checkpoint(tmp_path):
    folder = make_tiny(tmp_path / "m", "qwen2")
    student = load_tiny(folder)
    student.save(tmp_path / "before", {"step": 0})
    assert json.loads((tmp_path / "before" / "counters.json").read_text())["counters"] == {
        "step": 0
    }
    limit_tokens(student, 120)
    learn(student)
    student.save(tmp_path / "c", {"step": 1})
    resumed = load_tiny(folder, checkpoint=tmp_path / "c")
    assert (
        resumed.counters == {"step": 1}
        and resumed.limits.micro_tokens == student.limits.micro_tokens
    )
    limit_tokens(resumed, 120)
    resumed.notes.clear()
    learn(resumed)
    assert resumed.notes == []  # it did not run out of memory again
    resumed.restore(tmp_path / "before")
    assert (
        resumed.limits.micro_tokens == student.limits.micro_tokens
    )  # an older checkpoint brings nothing back that did not fit
    resumed.save(tmp_path / "d", {"step": 2})
    assert (
        load_tiny(folder, checkpoint=tmp_path / "d").limits.micro_tokens
        == student.limits.micro_tokens
    )


def test_one_sample_that_does_not_fit_is_not_tried_again_and_again(tmp_path):
    student = load_tiny(make_tiny(tmp_path / "m", "qwen2"))
    learn(student)
    forward, calls = student.policy.forward, []

    def limited(tokens_BT, *args, **kwargs):
        calls.append(tokens_BT.numel())
        if tokens_BT.numel() > 10:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")
        return forward(tokens_BT, *args, **kwargs)

    student.policy.forward = limited
    with pytest.raises(UsageError, match="even one completion"):
        student.accumulate(SAMPLES[:1], [1.0], 5, 0.7)
    assert len(calls) == 1 and student.limits.micro_tokens == MICRO_TOKENS


PROMPTS = [[5, 9, 20], [30] * 12, list(range(40, 60)), [7, 7, 7, 7]]


@pytest.fixture
def by_forward_pass(monkeypatch):
    """Small students are sampled as large ones are."""
    monkeypatch.setattr(dense_decoder, "fits", lambda student, longest: False)


def limit_sampling(student, most: int) -> list[int]:
    """A forward pass whose rows have more tokens than this together, those in the cache included,
    fails as a full card does. Returns the list of such failures, which grows."""
    forward, failed = student.policy.forward, []

    def limited(tokens_BT, mask_BS, *args, **kwargs):
        if mask_BS.numel() > most:
            failed.append(mask_BS.numel())
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")
        return forward(tokens_BT, mask_BS, *args, **kwargs)

    student.policy.forward = limited
    return failed


def sample(student, n=4):
    return ModelEngine(student).sample(PROMPTS, n, 0.9, 12, seeds=range(len(PROMPTS)))


@pytest.mark.slow
@pytest.mark.parametrize("most", [130, 40])  # more than once, and down to single completions
def test_a_batch_that_ran_out_of_memory_is_sampled_again_with_the_same_seeds(
    tmp_path, by_forward_pass, most
):
    student = load_tiny(make_tiny(tmp_path / "m", "qwen2"))
    student.tokens.end_ids = frozenset([1, *range(2, 384, 16)])
    whole = sample(student)
    failed = limit_sampling(student, most)
    student.notes.clear()
    for known, again in zip(whole, sample(student)):
        for one, other in zip(known, again, strict=True):
            assert one.ids == other.ids and one.finished == other.finished
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert failed and len(student.notes) == len(failed) and "nothing is lost" in student.notes[-1]
    count = len(failed)
    assert sample(student) and len(failed) == count  # what did not fit is not tried again


def test_the_checkpoint_remembers_what_sampling_had_no_room_for(tmp_path, by_forward_pass):
    folder = make_tiny(tmp_path / "m", "qwen2")
    student = load_tiny(folder)
    student.save(tmp_path / "before", {"step": 0})
    assert (
        limit_sampling(student, 200) == []
        and sample(student)
        and student.limits.sampling_tokens < 1000
    )
    student.save(tmp_path / "c", {"step": 1})
    resumed = load_tiny(folder, checkpoint=tmp_path / "c")
    failed = limit_sampling(resumed, 200)
    assert (
        resumed.counters == {"step": 1}
        and resumed.limits.sampling_tokens == student.limits.sampling_tokens
    )
    assert sample(resumed) and failed == []
    resumed.restore(tmp_path / "before")
    assert resumed.limits.sampling_tokens == student.limits.sampling_tokens


def test_one_completion_that_memory_does_not_suffice_for_is_a_sentence(tmp_path, by_forward_pass):
    student = load_tiny(make_tiny(tmp_path / "m"))
    limit_sampling(student, 10)
    with pytest.raises(UsageError, match="even one completion"):
        sample(student)


def test_entropy_and_logprobs_adapt_too(tmp_path):
    student = load_tiny(make_tiny(tmp_path / "m"))
    with torch.no_grad():
        expected = torch.cat(student.logprobs(SAMPLES, 1.0))
        limit_tokens(student, 120)
        assert torch.allclose(torch.cat(student.logprobs(SAMPLES, 1.0)), expected, atol=1e-5)
    student.limits.micro_tokens = MICRO_TOKENS
    assert student.entropy(SAMPLES, 1.0) > 0 and student.limits.micro_tokens < MICRO_TOKENS


def test_one_sample_that_does_not_fit_is_a_sentence(tmp_path):
    student = load_tiny(make_tiny(tmp_path / "m"))
    limit_tokens(student, 10)
    with pytest.raises(UsageError, match="max_prompt"):
        learn(student)


def test_other_errors_are_not_mistaken_for_it(tmp_path):
    student = load_tiny(make_tiny(tmp_path / "m"))
    with pytest.raises(ValueError, match="temperature"):
        student.accumulate(SAMPLES, [1.0] * len(SAMPLES), 5, 0.0)
    assert student.limits.micro_tokens == MICRO_TOKENS


LIMITED = """
import gc, resource, sys
import torch
from tests.shapes import SHAPES
from tests.tiny import load_tiny, make_tiny
from tests.test_logprobs import draw_samples, take_gradient

student = load_tiny(make_tiny(sys.argv[1], "qwen2", hidden=256, intermediate_size=2048, num_hidden_layers=4))
samples = draw_samples(1, [(200, [40] * 3) for _ in range(12)])
student.limits.micro_tokens = 256
student.accumulate(samples, [1.0] * 36, 36, 1.0)
expected = take_gradient(student)
student.limits.micro_tokens = student.limits.planned
gc.collect()
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), -1))
student.accumulate(samples, [1.0] * 36, 36, 1.0)
assert student.limits.micro_tokens < student.limits.planned, "memory was enough, so nothing was shown"
assert (take_gradient(student) - expected).norm() <= 1e-5 * expected.norm()
print(student.limits.micro_tokens)
"""


LIMITED_SAMPLING = """
import gc, resource, sys
from recipes.rollouts.model_engine import ModelEngine
from tests.tiny import load_tiny, make_tiny

student = load_tiny(make_tiny(sys.argv[1], "qwen2", hidden=256, intermediate_size=512, num_hidden_layers=4))
student.tokens.end_ids = frozenset()
call = [[range(5 + i, 205 + i) for i in range(12)], 16, 1.0, 16, range(12)]
whole = ModelEngine(student).sample(*call)
gc.collect()
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (120 << 20), -1))
again = ModelEngine(student).sample(*call)
assert student.limits.sampling_tokens is not None, "memory was enough, so nothing was shown"
same = [c.ids == d.ids for one, other in zip(whole, again) for c, d in zip(one, other)]
assert sum(same) >= 0.98 * len(same), same
print(student.limits.sampling_tokens)
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("script", [LIMITED, LIMITED_SAMPLING], ids=["learning", "sampling"])
def test_the_cpu_allocators_own_limit(tmp_path, script):
    """No memory error of ours: the kernel refuses."""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "m"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]


# ---------------------------------------------------------------------------- the recipes for cards

FREE = {name: size * 2**20 - 7 * GIB // 10 for name, size in CARD_MEMORY_MIB.items()}
"""What a card's recipe has, 0.7 GiB left to a desktop."""


def header(name: str) -> str:
    """The comment at the recipe's head, in one line."""
    return " ".join(
        line.lstrip("# ")
        for line in (FOLDER / f"{name}.toml").read_text().split("[student]")[0].splitlines()
    )


def planned(name: str, card: str, **student):
    recipe = load(name)
    recipe = replace(recipe, student=replace(recipe.student, **student))
    return plan(config(**SHAPES[recipe.student.model]), recipe, True, FREE[card]), recipe


@pytest.mark.parametrize("name", CARD_MEMORY_MIB)
def test_the_recipe_of_a_card_fits_it_as_its_header_says(name):
    """By the estimate, even where one sample is as long as the recipe lets it be. Every number of
    the header is the function's."""
    need, recipe = planned(name, name)
    longest = recipe.student.longest
    tokens = max(fitting_micro_tokens(need, FREE[name]), longest)
    assert need.total(tokens) <= FREE[name]
    both = estimate(config(**SHAPES[recipe.student.model]), recipe, True, "llama.cpp")
    text, gib = (
        header(name),
        {
            key: f"{value / GIB:.1f}"
            for key, value in (vars(both) | both.engine.held).items()
            if isinstance(value, int)
        },
    )
    assert (
        f"Memory: {need.total(tokens) / GIB:.1f} GiB of the card. ESTIMATED" in text
        and f"--recipe {name}" in text
        and f"weights {gib['weights']}, adapter and optimiser {gib['adapter']}, CUDA "
        f"{gib['libraries']}, "
        f"logits {gib['scratch']}, one forward and backward pass"
        in text
    )
    pass_of = need.per_token * tokens / GIB
    assert (
        f"pass of {tokens} tokens {pass_of:.1f}. " in text
        or f"completion ({tokens} tokens) {pass_of:.1f}. " in text
    )
    assert need.engine.held == {}
    if both.total(longest) < CARD_MEMORY_MIB[name] * 2**20:
        assert (
            f"Where {both.total(longest) / SLACK / GIB:.1f} GiB are free, llama.cpp samples: its "
            "copy of the weights takes "
            f"{gib[COPY]} more, its cache and buffers {gib[CACHE]}." in text
        )
    else:
        assert (
            f"There is no room for llama.cpp's copy of the weights ({gib[COPY]} more, its cache "
            f"and buffers {gib[CACHE]}), so "
            "the training model samples itself." in text
        )


@pytest.mark.usefixtures("built_for_a_card")
def test_what_the_headers_say_of_other_settings():
    def total(name, **student):
        need, recipe = planned(name, name, **student)
        assert need.engine.held == {}
        return f"{need.total(recipe.student.longest) / GIB:.1f} GiB"

    assert (
        f"({'Apache 2.0; ' + total('rtx-8gb', model='Qwen/Qwen3-4B-Instruct-2507', max_prompt=1536)})"
        in header("rtx-8gb")
    )
    assert f"max_prompt=4096 needs {total('rtx-12gb', max_prompt=4096)}" in header("rtx-12gb")
    assert (
        f"would need {total('rtx-16gb', model='Qwen/Qwen2.5-Coder-14B-Instruct', max_prompt=1024, max_new=512)}"
        in header("rtx-16gb")
    )
    # A smaller card's recipe leaves room for llama.cpp.
    assert "rtx-8gb" in header("rtx-12gb") and planned("rtx-8gb", "rtx-12gb")[0].engine.held
    assert "rtx-12gb" in header("rtx-24gb") and planned("rtx-12gb", "rtx-24gb")[0].engine.held
