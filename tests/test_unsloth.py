"""unsloth's own code, on a stand-in for a card (`cuda_stand_in.py`): a tiny Qwen2 goes through
`FastLanguageModel` as a student of a card does.

Left out where unsloth is not there: UNSLOTH_SITE names a folder of `pip install --no-deps --target`
(see CONTRIBUTING.md). It shows wiring and numbers, not speed or memory.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes.learning.loss import Sampled
from recipes.learning.student import Sample, Student
from recipes.learning.weights import weights
from recipes.rollouts.engine import Engine, Turns
from recipes.rollouts.model_engine import ModelEngine
from tests.conftest import ROOT
from tests.tiny import load_tiny, make_tiny, tiny_recipe

SITE = os.environ.get("UNSLOTH_SITE", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SITE, reason="UNSLOTH_SITE names no folder with unsloth"),
]
SAMPLES = [
    Sample((5, 6, 7, 8, 9), (4, 3, 7, 1)),
    Sample((5, 6, 7, 8, 9), (9, 3, 1)),
    Sample((5, 6, 7), (9, 3, 1)),
]
WEIGHTS = [1.0, -0.5, 1.0]
RECIPE = tiny_recipe(student={"loader": "unsloth", "max_prompt": 64, "max_new": 16})
ON_THE_STAND_IN = """
import sys
import tests.cuda_stand_in as card
card.prepare()
from recipes.nano import dense_decoder
from tests.test_unsloth import exercise
dense_decoder.fits = lambda student, longest: False  # as on a card
print(exercise(*sys.argv[1:]))
"""


def exercise(model: str, checkpoint: str, out: str) -> str:
    """What bootstrap and climb do with a student: what it came to, as JSON."""
    from recipes.rollouts.gguf import write_base
    from recipes.rollouts.llama_engine import LlamaEngine

    folder = Path(out)
    student = Student.load(RECIPE, model, 0, Path(checkpoint))
    found = {"unsloth": student.policy.on_unsloth, **measured(student)}
    merged = {name: make().contiguous() for name, _, make in weights(student, merged=True)}
    save_file(merged, folder / "merged.safetensors")
    found["why"] = next((n for n in student.notes if "do not share" in n), "")
    before = student.snapshot()
    first, reached = learned(student), list(map(float, flat(student)[:50]))
    student.rollback(before)
    found["again"] = learned(student) == first and list(map(float, flat(student)[:50])) == reached
    student.save(folder / "c", {"step": 1})
    again = Student.load(RECIPE, model, 1, folder / "c")
    found["resumed"] = again.counters == {"step": 1} and torch.equal(flat(again), flat(student))
    write_base(student, folder / "base.gguf")
    engines = {
        "model": ModelEngine(student),
        "llama.cpp": LlamaEngine(student, folder / "base.gguf", RECIPE.student.longest, 1),
    }
    found["drift"] = {name: drift(student, engine) for name, engine in engines.items()}
    found["episodes"] = episodes(student)
    try:
        student.logprobs([Sample(tuple(range(2, 70)), tuple(range(2, 30)))], 1.0)
    except ValueError as error:
        found["too long"] = str(error)
    return json.dumps(found)


def measured(student: Student) -> dict:
    """Log-probabilities, and the gradient of a loss on them."""
    logprobs = [value.tolist() for value in student.logprobs(SAMPLES, 1.0)]
    student.accumulate(SAMPLES, WEIGHTS, 3, 1.0)
    gradient = [
        float(value)
        for p in student.policy.trainable
        for value in (torch.zeros_like(p) if p.grad is None else p.grad).float().flatten()[:20]
    ]
    student.optimiser.clear()
    return {"logprobs": logprobs, "gradient": gradient}


def drift(student: Student, engine: Engine) -> float:
    """How far its log-probabilities are from the trainer's, nats a token."""
    [group] = engine.sample([[5, 6, 7, 8]], 4, 1.0, 8, [3])
    samples = [Sample((5, 6, 7, 8), c.ids) for c in group]
    sampled = Sampled([c.logprobs for c in group])
    return student.accumulate(samples, [1.0] * 4, 4, 1.0, sampled).drift


def episodes(student: Student) -> dict:
    """How far the trainer's log-probabilities of what was written in several turns are from the
    sampler's, and how many turns there were."""

    def answer(index: int, ids: tuple[int, ...]) -> Future:
        future: Future = Future()
        future.set_result([5, *range(9, 9 + 2 * (ids[-1] % 5), 2)] if len(ids) < 14 else [])
        return future

    ends, student.tokens.end_ids = student.end_ids, frozenset(range(0, 384, 4))
    prompts = [[5, 6, 7, 8], [9, 7]]
    groups = ModelEngine(student).sample(prompts, 4, 1.0, 8, [3, 4], turns=Turns(answer, 32))
    student.tokens.end_ids = ends
    gaps, turns = [], []
    for prompt, group in zip(prompts, groups):
        for one in group:
            [logp_T] = student.logprobs([Sample(tuple(prompt), one.ids)], 1.0)
            mask = one.mask or (True,) * len(one.ids)
            written = [float(value) for value, own in zip(logp_T, mask) if own]
            gaps += [abs(x - y) for x, y in zip(written, one.logprobs)]
            turns.append(1 + sum(own and not before for before, own in zip(mask, mask[1:])))
    return {"gap": max(gaps), "turns": max(turns), "tokens": len(gaps)}


def learned(student: Student) -> float:
    student.accumulate(SAMPLES, WEIGHTS, 3, 1.0)
    return student.step(1e-2, 1.0)


def flat(student: Student) -> torch.Tensor:
    return torch.cat([p.detach().float().flatten() for p in student.policy.trainable])


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """(what the stand-in came to, the same student as transformers loads it, a folder)"""
    folder = tmp_path_factory.mktemp("unsloth")
    model = make_tiny(folder / "model", "qwen2", hidden=64)
    plain = load_tiny(model)
    plain.save(folder / "start", {"step": 0})
    done = subprocess.run(
        [sys.executable, "-c", ON_THE_STAND_IN, model, folder / "start", folder],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{SITE}", "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), plain, folder


def test_unsloth_computes_what_transformers_computes(places):
    """With the very weights that it holds; the gradient with weights whose scales are not rounded a
    second time, as those of a card are."""
    from transformers import AutoModelForCausalLM  # not before unsloth, in the other process

    found, plain, folder = places
    assert found["unsloth"]
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    left_out, unknown = model.load_state_dict(
        load_file(folder / "merged.safetensors"), strict=False
    )
    assert set(left_out) <= {"lm_head.weight"} and not unknown
    for sample, row in zip(SAMPLES, found["logprobs"]):
        with torch.no_grad():
            logits = model(torch.tensor([sample.prompt + sample.completion])).logits[0]
        wanted = logits.log_softmax(-1)[len(sample.prompt) - 1 : -1]
        assert row == pytest.approx(
            [float(w[token]) for w, token in zip(wanted, sample.completion)], abs=0.05
        )
    ours, theirs = (torch.tensor(v["gradient"]) for v in (found, measured(plain)))
    assert torch.cosine_similarity(ours, theirs, dim=0) > 0.98


def test_it_says_that_it_cannot_share_a_prompt(places):
    found, _, _ = places
    assert "its gradient would differ by" in found["why"]


def test_what_is_undone_and_what_is_resumed_is_as_it_was(places):
    found, _, _ = places
    assert found["again"] and found["resumed"]


def test_it_samples_what_it_trains_and_is_exported(places):
    found, plain, folder = places
    assert found["drift"]["model"] < 0.02 and found["drift"]["llama.cpp"] < 0.05
    assert (folder / "base.gguf").stat().st_size > 10_000


def test_in_several_turns_it_samples_what_it_trains(places):
    """Its cache, pairs of tensors in bfloat16, is kept from turn to turn."""
    found, _, _ = places
    assert found["episodes"]["gap"] < 0.1 and found["episodes"]["turns"] > 2
    assert found["episodes"]["tokens"] > 30


def test_what_unsloth_would_cut_off_is_refused(places):
    found, _, _ = places
    assert "unsloth would cut them off at 80" in found["too long"]


def test_nothing_was_written_to_the_working_directory(places):
    _, _, folder = places
    written = {"merged.safetensors", "base.gguf", "c"}
    assert {p.name for p in folder.iterdir()} == {"model", "start", "cache", *written}
