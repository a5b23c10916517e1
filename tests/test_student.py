"""The student: log-probabilities against the plain forward pass, the optimiser, checkpoints,
loading errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recipes.learning import shape
from recipes.learning.logprobs import Sample, micro_batches, plan
from recipes.learning.loss import KlTerm, Sampled
from recipes.learning.memory import MICRO_TOKENS
from recipes.learning.student import Student
from recipes.runfolder.checkpoint import COUNTERS
from recipes.runfolder.checkpoint import recover as recover_checkpoint
from sandbox.errors import UsageError
from tests.tiny import adapter_bytes, load_tiny, make_tiny, tiny_recipe

ROOT = Path(__file__).parent.parent
SAMPLES = [
    Sample((5, 9, 20), (7, 8, 9, 1)),
    Sample((30,), (31, 1)),
    Sample(tuple(range(40, 60)), tuple(range(100, 130))),
]

SHARED = [
    *SAMPLES,
    *(Sample(SAMPLES[2].prompt, tuple(range(n, n + 10))) for n in (200, 210, 220, 230)),
]
"""Five completions of one prompt among them, so that both paths to the log-probabilities are taken.
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    return {kind: make_tiny(base / kind, kind) for kind in ("llama", "qwen2")}


@pytest.fixture
def student(folders):
    return load_tiny(folders["llama"])


def plain_logprobs(student, sample, temperature):
    """The same by the model's own full forward pass, one unpadded sample at a time."""
    tokens = torch.tensor([sample.prompt + sample.completion])
    logits_TV = student.policy.model(input_ids=tokens).logits[0, len(sample.prompt) - 1 : -1]
    return (
        torch.log_softmax(logits_TV / temperature, -1)
        .gather(1, tokens[0, len(sample.prompt) :, None])
        .squeeze(1)
    )


def gradients(student):
    return {
        name: p.grad.clone()
        for name, p in student.policy.model.named_parameters()
        if p.grad is not None
    }


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_chunked_logprobs_and_gradients_equal_the_plain_forward(folders, kind, monkeypatch):
    monkeypatch.setattr(
        "recipes.learning.head.HEAD_LOGITS", 384 * 5
    )  # chunks of 5 positions, across sample borders
    student = load_tiny(folders[kind])
    weights = [1.0, -0.5, 2.0]
    ours = student.logprobs(SAMPLES, 0.7)
    plain = [plain_logprobs(student, s, 0.7) for s in SAMPLES]
    for a, b in zip(ours, plain):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)
    (-sum(w * p.sum() for w, p in zip(weights, plain)) / 7).backward()
    expected = gradients(student)
    student.optimiser.clear()
    stats = student.accumulate(SAMPLES, weights, norm=7, temperature=0.7)
    got = gradients(student)
    assert got.keys() == expected.keys() and len(got) > 20
    for name in got:
        assert (got[name] - expected[name]).norm() <= 1e-5 * expected[name].norm() + 1e-9, name
    assert stats.tokens == 36
    assert stats.loss == pytest.approx(
        -sum(w * p.sum().item() for w, p in zip(weights, plain)) / 7, rel=1e-5
    )


def test_only_the_adapter_is_trained_and_the_base_is_four_bit(student):
    trainable = [name for name, p in student.policy.model.named_parameters() if p.requires_grad]
    assert trainable and all("lora_" in name for name in trainable)
    assert sum("lora_A" in name for name in trainable) == 2 * 7  # every linear layer of both blocks
    kinds = {
        type(m.base_layer).__name__
        for _, m in student.policy.model.named_modules()
        if hasattr(m, "base_layer")
    }
    assert kinds == {"Linear"}, "rounded once, and kept unpacked"


def test_the_base_is_rounded_to_four_bits(student, folders, monkeypatch):
    """What is kept unpacked is what 4-bit layers would compute with."""
    from bitsandbytes.functional import dequantize_4bit

    monkeypatch.setattr(shape, "UNPACKED", 0)
    packed = dict(load_tiny(folders["llama"]).policy.model.named_parameters())
    layers = {n: p for n, p in student.policy.model.named_parameters() if "base_layer.weight" in n}
    assert layers
    for name, weight in layers.items():
        assert hasattr(packed[name], "quant_state")
        assert torch.equal(dequantize_4bit(packed[name].data, packed[name].quant_state), weight)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        ours, theirs = (s.policy.forward(ids) for s in (student, load_tiny(folders["llama"])))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_inference_leaves_the_base_weights_as_they_were(student):
    """bitsandbytes repacks them for another kernel in inference mode, on CPUs that have it, unless
    it is kept from it."""
    weights = {
        n: p.detach().clone()
        for n, p in student.policy.model.named_parameters()
        if "base_layer" in n
    }
    student.policy.mode(training=False)
    with torch.no_grad():
        student.policy.forward(torch.tensor([[5, 6, 7]]))
    for name, parameter in student.policy.model.named_parameters():
        assert name not in weights or torch.equal(weights[name], parameter), name


def test_micro_batches_hold_every_sample_once_within_the_limit():
    samples = [
        Sample((1,) * length, (2, 3)) for length in (1, 3000, 5, 700, 2, 5000, 700, 900, 8, 8)
    ]
    batches = list(micro_batches(samples, MICRO_TOKENS))
    assert sorted(i for batch in batches for i in batch) == list(range(10))
    for batch in batches:
        longest = max(len(samples[i].prompt) + 2 for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= MICRO_TOKENS


def test_micro_batches_add_up_to_one_batch(student, monkeypatch):
    student.accumulate(SAMPLES, [1, 2, 3], norm=5, temperature=1.0)
    whole = gradients(student)
    student.optimiser.clear()
    student.limits.micro_tokens = 8
    student.accumulate(SAMPLES, [1, 2, 3], norm=5, temperature=1.0)
    for name, grad in gradients(student).items():
        assert torch.allclose(grad, whole[name], rtol=1e-4, atol=1e-6), name


def test_importance_weights_are_truncated_and_drift_is_measured(student):
    with torch.no_grad():
        now = [p.tolist() for p in student.logprobs(SAMPLES, 0.7)]
    student.accumulate(SAMPLES, [1.0] * 3, norm=1, temperature=0.7)
    plain = gradients(student)
    student.optimiser.clear()
    # A sampler that found every token e times less likely: ratio e everywhere, truncated at 2.
    sampler = [[value - 1.0 for value in row] for row in now]
    stats = student.accumulate(
        SAMPLES, [1.0] * 3, norm=1, temperature=0.7, sampled=Sampled(sampler, 2.0)
    )
    assert stats.drift == pytest.approx(1.0, abs=1e-4)
    for name, grad in gradients(student).items():
        assert torch.allclose(grad, 2 * plain[name], rtol=1e-3, atol=1e-5), name


def test_kl_term_is_the_k3_estimator_and_pulls_back(student, tmp_path):
    student.save(tmp_path / "ref", {})
    student.freeze_reference(tmp_path / "ref")
    before = student.accumulate(SAMPLES, [0.0] * 3, norm=1, temperature=1.0, kl=KlTerm(1.0))
    assert before.loss == pytest.approx(0.0, abs=1e-6)
    student.step(0.0, 1.0)
    with torch.no_grad():
        reference = torch.cat(student.logprobs(SAMPLES, 1.0))
        for name, parameter in student.policy.model.named_parameters():
            if "lora_B.default" in name:
                parameter.mul_(1.5)
        moved = torch.cat(student.logprobs(SAMPLES, 1.0))
    difference = reference - moved
    expected = float((difference.exp() - difference - 1).sum())
    first = student.accumulate(SAMPLES, [0.0] * 3, norm=1, temperature=1.0, kl=KlTerm(1.0))
    assert first.loss == pytest.approx(expected, rel=1e-4) and expected > 0.01
    assert not any(
        ".reference." in name
        for name, p in student.policy.model.named_parameters()
        if p.requires_grad
    )
    student.step(1e-3, 1.0)
    assert (
        student.accumulate(SAMPLES, [0.0] * 3, norm=1, temperature=1.0, kl=KlTerm(1.0)).loss
        < first.loss
    )
    doubled = student.accumulate(
        SAMPLES, [0.0] * 3, norm=1, temperature=1.0, kl=KlTerm(1.0, [2, 2, 2])
    ).loss
    assert doubled == pytest.approx(
        2 * student.accumulate(SAMPLES, [0.0] * 3, norm=1, temperature=1.0, kl=KlTerm(1.0)).loss,
        rel=1e-5,
    )


def test_kl_without_a_reference_is_refused(student):
    with pytest.raises(ValueError, match="freeze_reference"):
        student.accumulate(SAMPLES, [0.0] * 3, norm=1, temperature=1.0, kl=KlTerm(0.1))


def test_entropy_equals_the_definition(student):
    with torch.no_grad():
        rows = [
            student.policy.model(input_ids=torch.tensor([s.prompt + s.completion])).logits[
                0, len(s.prompt) - 1 : -1
            ]
            for s in SAMPLES
        ]
        logp = torch.log_softmax(torch.cat(rows) / 0.7, -1)
    assert student.entropy(SAMPLES, 0.7) == pytest.approx(
        float(-(logp.exp() * logp).sum(-1).mean()), rel=1e-5
    )


def test_step_clips_reports_the_norm_and_skips_what_is_not_finite(student):
    student.accumulate(SAMPLES, [1.0] * 3, norm=1, temperature=1.0)
    expected = torch.stack([g.norm() for g in gradients(student).values()]).norm()
    assert student.step(1e-3, clip=0.5) == pytest.approx(float(expected), rel=1e-5)
    before = adapter_bytes(student)
    student.accumulate(SAMPLES, [float("nan"), 1.0, 1.0], norm=1, temperature=1.0)
    norm = student.step(1e-3, clip=0.5)
    assert norm != norm and adapter_bytes(student) == before
    student.accumulate(SAMPLES, [1.0] * 3, norm=1, temperature=1.0)
    assert student.step(1e-3, clip=0.5) < float("inf") and adapter_bytes(student) != before


def test_rollback_restores_bit_for_bit_and_more_than_once(student):
    def train(steps):
        for _ in range(steps):
            student.accumulate(SAMPLES, [1.0] * 3, norm=9, temperature=1.0)
            student.step(1e-2, 1.0)
        return adapter_bytes(student)

    train(2)
    snapshot, start = student.snapshot(), adapter_bytes(student)
    first = train(3)
    student.accumulate(SAMPLES, [1.0] * 3, norm=9, temperature=1.0)  # a gradient left over
    student.rollback(snapshot)
    assert adapter_bytes(student) == start
    assert train(3) == first != start
    student.rollback(snapshot)
    assert train(3) == first


def test_save_and_restore_continue_bit_for_bit(folders, tmp_path):
    def go_on(student, steps):
        for _step in range(steps):
            student.accumulate(SAMPLES, [1.0, -1.0, 0.5], norm=9, temperature=0.7)
            student.step(1e-2, 1.0)
        return adapter_bytes(student)

    student = load_tiny(folders["llama"])
    go_on(student, 2)
    student.save(tmp_path / "c", {"step": 2})
    other = load_tiny(folders["llama"], seed=5, checkpoint=tmp_path / "c")
    assert other.counters == {"step": 2} and adapter_bytes(other) == adapter_bytes(student)
    assert go_on(other, 2) == go_on(student, 2)


CONTINUE = """
import sys
from tests.tiny import adapter_bytes, load_tiny
from tests.test_student import SHARED
student = load_tiny(sys.argv[1], checkpoint=sys.argv[2])
assert student.counters == {"step": 2}, student.counters
for _ in range(2):
    student.accumulate(SHARED, [1.0, -1.0, 0.5, 1.0, -1.0, 1.0, -1.0], norm=9, temperature=0.7)
    student.step(1e-2, 1.0)
student.save(sys.argv[3], {"step": 4})
"""


@pytest.mark.slow
def test_save_and_restore_continue_bit_for_bit_in_another_process(folders, tmp_path):
    student = load_tiny(folders["llama"])
    assert (
        len(
            {
                type(work)
                for work in plan(
                    SHARED, student.limits.micro_tokens, student.objective.longest_shared
                )
            }
        )
        == 2
    )
    for step in range(4):
        student.accumulate(SHARED, [1.0, -1.0, 0.5, 1.0, -1.0, 1.0, -1.0], norm=9, temperature=0.7)
        student.step(1e-2, 1.0)
        student.save(tmp_path / f"step-{step + 1}", {"step": step + 1})
    other = tmp_path / "other"
    subprocess.run(
        [sys.executable, "-c", CONTINUE, folders["llama"], tmp_path / "step-2", other],
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "77"},
    )
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (other / name).read_bytes() == (tmp_path / "step-4" / name).read_bytes(), name
    assert (tmp_path / "step-2" / "adapter_model.safetensors").read_bytes() != (
        other / "adapter_model.safetensors"
    ).read_bytes()


def test_a_checkpoint_is_one_that_peft_loads(folders, student, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    student.save(tmp_path / "c", {})
    config = json.loads((tmp_path / "c" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny" and config["target_modules"] == sorted(
        config["target_modules"]
    )
    assert str(tmp_path.parent) not in (tmp_path / "c" / "adapter_config.json").read_text()
    base = AutoModelForCausalLM.from_pretrained(
        folders["llama"],
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
        ),
        dtype=torch.float32,
    )
    model = PeftModel.from_pretrained(base, tmp_path / "c").train()
    tokens = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.allclose(
            model(input_ids=tokens).logits, student.policy.model(input_ids=tokens).logits, atol=1e-5
        )


def test_saving_again_replaces_and_leaves_nothing_beside(student, tmp_path):
    (tmp_path / "c.tmp-123").mkdir()  # what a killed process left
    student.save(tmp_path / "c", {"step": 1})
    student.save(tmp_path / "c", {"step": 2})
    assert student.restore(tmp_path / "c") == {"step": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_failed_save_leaves_the_old_checkpoint(student, tmp_path):
    student.save(tmp_path / "c", {"step": 1})
    with pytest.raises(TypeError):
        student.save(tmp_path / "c", {"step": object()})
    assert student.restore(tmp_path / "c") == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_kill_between_the_two_renames_loses_nothing(student, tmp_path):
    student.save(tmp_path / "c", {"step": 1})
    (tmp_path / "c").rename(tmp_path / "c.old")
    assert recover_checkpoint(tmp_path / "c")
    assert student.restore(tmp_path / "c") == {"step": 1}
    assert not recover_checkpoint(tmp_path / "never")


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "adapter_config.json", "optimizer.pt", COUNTERS]
)
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_a_damaged_checkpoint_is_a_sentence(student, tmp_path, name, damage):
    student.save(tmp_path / "c", {"step": 1})
    before = adapter_bytes(student)
    path = tmp_path / "c" / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        middle = len(data) // 2
        path.write_bytes(
            data[:middle]
            if damage == "cut"
            else data[:middle] + bytes([data[middle] ^ 0x80]) + data[middle + 1 :]
        )
    with pytest.raises(UsageError, match="damaged"):
        student.restore(tmp_path / "c")
    assert adapter_bytes(student) == before


def test_a_checkpoint_of_another_rank_version_or_none_is_a_sentence(folders, student, tmp_path):
    student.save(tmp_path / "c", {})
    other = load_tiny(folders["llama"], recipe=tiny_recipe(student={"lora_rank": 2}))
    with pytest.raises(UsageError, match="lora_rank"):
        other.restore(tmp_path / "c")
    with pytest.raises(UsageError, match="no checkpoint"):
        student.restore(tmp_path / "absent")
    content = json.loads((tmp_path / "c" / COUNTERS).read_text())
    (tmp_path / "c" / COUNTERS).write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(UsageError, match="another version"):
        student.restore(tmp_path / "c")


def test_the_seed_decides_the_fresh_adapter(folders):
    one, two, three = (
        adapter_bytes(load_tiny(folders["llama"], seed=seed, wake=0)) for seed in (1, 1, 2)
    )
    assert one == two != three


def test_plain_template_joins_contents_and_says_so(student):
    ids = student.prompt_ids(
        [{"role": "system", "content": "one"}, {"role": "user", "content": "two"}]
    )
    assert student.tokens.tokenizer.decode(ids) == "one\n\ntwo"
    assert any("no chat template" in note for note in student.notes)


def test_a_models_own_template_is_used(folders, tmp_path):
    folder = make_tiny(tmp_path / "chat")
    student = load_tiny(folder)
    student.tokens.tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% "
        "endfor %}{% if add_generation_prompt %}[me]{% endif %}"
    )
    student.tokens.tokenizer.save_pretrained(folder)
    again = load_tiny(folder)
    assert (
        again.tokens.tokenizer.decode(again.prompt_ids([{"role": "user", "content": "hi"}]))
        == "[user]hi[me]"
    )
    assert [note for note in again.notes if "chat template" in note] == []


def test_text_and_completion_ids_are_inverse(student):
    ids = student.completion_ids("    return x + ü\n")
    assert ids[-1] == student.tokens.end_id and student.text(ids) == "    return x + ü\n"
    assert student.text(ids[:-1]) == "    return x + ü\n"


@pytest.mark.parametrize("content", ["absent", "empty", "no tokenizer", "broken config"])
def test_a_model_that_cannot_be_loaded_is_a_sentence(tmp_path, content, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "model"
    if content == "empty":
        folder.mkdir()
    elif content != "absent":
        make_tiny(folder)
        if content == "no tokenizer":
            for path in folder.glob("tokenizer*"):
                path.unlink()
        else:
            (folder / "config.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be loaded"):
        Student.load(tiny_recipe(), folder, seed=0)


def test_loading_prints_nothing(folders, capfd):
    load_tiny(folders["llama"])
    out, err = capfd.readouterr()
    assert out == "" and err == ""


def test_a_model_that_changes_its_logits_is_refused(tmp_path):
    folder = make_tiny(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"final_logit_softcapping": 30.0}))
    with pytest.raises(UsageError, match="final_logit_softcapping"):
        Student.load(tiny_recipe(), folder, seed=0)


class BrokenTorchvision:
    """Importing a model class fails as it does where torchvision's compiled operators do not match
    torch."""

    def find_spec(self, name, path=None, target=None):
        if name == "transformers.models.gpt_neox.modeling_gpt_neox":
            raise RuntimeError("operator torchvision::nms does not exist")


def test_torchvision_that_does_not_match_torch_is_a_sentence(tmp_path, monkeypatch):
    folder = make_tiny(tmp_path / "model")
    (folder / "config.json").write_text(
        json.dumps({"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"]})
    )
    monkeypatch.setattr(sys, "meta_path", [BrokenTorchvision(), *sys.meta_path])
    with pytest.raises(
        UsageError,
        match="torchvision is installed but does not match torch.*pip uninstall torchvision",
    ):
        Student.load(tiny_recipe(), folder, seed=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_on_a_card_it_samples_learns_and_continues(tmp_path):
    from recipes.rollouts.model_engine import ModelEngine

    student = load_tiny(make_tiny(tmp_path / "model", hidden=256))
    prompts = [[5, 9, 20], [30], list(range(40, 60))]
    groups = ModelEngine(student).sample(prompts, 4, 1.0, 12, [1, 2, 3])
    samples = [Sample(tuple(p), c.ids) for p, group in zip(prompts, groups) for c in group]
    sampled = [c.logprobs for group in groups for c in group]
    stats = student.accumulate(samples, [1.0] * 12, 100, 1.0, Sampled(sampled, 2.0))
    assert stats.drift < 0.05
    student.step(1e-3, 1.0)
    snapshot = student.snapshot()
    student.save(tmp_path / "c", {"step": 1})
    after = adapter_bytes(student)
    for _ in range(5):
        loss = student.accumulate(SAMPLES, [1.0] * 3, 36, 1.0).loss
        student.step(1e-2, 1.0)
    assert student.accumulate(SAMPLES, [1.0] * 3, 36, 1.0).loss < loss
    student.rollback(snapshot)
    assert adapter_bytes(student) == after
    assert student.restore(tmp_path / "c") == {"step": 1} and adapter_bytes(student) == after
