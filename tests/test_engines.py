"""Which engine is taken, that it samples what is trained, and the whole arc by llama.cpp."""

import importlib.util
import json
from pathlib import Path

import pytest

from recipes.learning import memory
from recipes.rollouts.choosing import check_policy, choose, open_engine
from recipes.rollouts.llama_engine import LlamaEngine
from recipes.rollouts.model_engine import ModelEngine
from sandbox.errors import HarnessError, UsageError
from tests.conftest import run_cli
from tests.test_arc import lines, make_student, settings
from tests.tiny import load_tiny, make_tiny, tiny_recipe

PROMPTS = [[5, 9, 20], [30], list(range(40, 60))]


def recipe(engine="auto"):
    return tiny_recipe(rollout={"engine": engine})


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return load_tiny(make_tiny(tmp_path_factory.mktemp("models") / "llama"))


@pytest.mark.parametrize(
    "asked, taken", [("auto", "llama.cpp"), ("llama.cpp", "llama.cpp"), ("model", "model")]
)
def test_the_recipe_decides_and_auto_takes_llama_cpp_where_it_fits(student, asked, taken):
    name, why = choose(student, recipe(asked))
    assert (
        name == taken and why.endswith(".") and ("as the recipe says" in why) == (asked != "auto")
    )


def test_what_does_not_fit_is_sampled_by_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda cuda: 1 << 17)
    student = load_tiny(make_tiny(tmp_path / "m"), recipe=recipe())
    name, why = choose(student, recipe())
    assert name == "model" and "would take 4 MiB, more than fits beside the student" in why
    assert choose(student, recipe("llama.cpp"))[0] == "llama.cpp"


def test_what_cannot_be_exported_is_sampled_by_the_model(tmp_path):
    student = load_tiny(make_tiny(tmp_path / "m", "mistral", sliding_window=60, head_dim=16))
    assert choose(student, recipe())[0] == "model"
    with pytest.raises(UsageError, match="sees 60 tokens only.*rollout.engine=model"):
        choose(student, recipe("llama.cpp"))


def test_a_missing_package_is_named(student, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "gguf" else find(name)
    )
    assert choose(student, recipe()) == (
        "model",
        "Rollouts are sampled by the training model itself, because the package gguf is not "
        "installed.",
    )
    with pytest.raises(UsageError, match="the package gguf is not installed"):
        open_engine("llama.cpp", student, recipe(), Path())


@pytest.mark.parametrize(
    "name, kind, most", [("model", ModelEngine, 1e-4), ("llama.cpp", LlamaEngine, 0.02)]
)
def test_both_engines_sample_what_is_trained(student, tmp_path, name, kind, most):
    engine = open_engine(name, student, recipe(), tmp_path)
    assert isinstance(engine, kind) and 0 < check_policy(engine, PROMPTS, recipe()) < most


def test_another_policy_is_refused(student, tmp_path, monkeypatch):
    engine = open_engine("llama.cpp", student, recipe(), tmp_path)
    monkeypatch.setattr(LlamaEngine, "_swap_adapter", lambda self: None)
    with pytest.raises(HarnessError, match="not the same policy: they differ by .* more than 0.1"):
        check_policy(engine, PROMPTS, recipe())
    engine.close()


def test_a_broken_file_is_a_sentence(student, tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(UsageError, match="llama.cpp cannot load .*broken.gguf .*Delete the file"):
        LlamaEngine(student, tmp_path / "broken.gguf", 40, 1)


@pytest.mark.long
@pytest.mark.slow
def test_the_arc_by_llama_cpp(tmp_path, cache):
    run_cli("demo", "practice", cwd=tmp_path)
    changes = {"rollout.engine": "llama.cpp", "climb.cycles": 2, "tasks.limit": 12}
    done = run_cli(
        "bootstrap",
        "--repo",
        "practice",
        "--run",
        "run",
        *settings(make_student(tmp_path / "student"), **changes),
        cwd=tmp_path,
    )
    assert "Rollouts are sampled by llama.cpp, as the recipe says." in done.stdout
    run_cli("climb", "--run", "run", cwd=tmp_path)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["engine"] == "llama.cpp"
    metrics = lines(tmp_path / "run" / "metrics.jsonl")
    used = [m["drift"] for m in metrics if m["groups/used"]]
    assert len(metrics) == 2 and used and all(0 < drift < 0.02 for drift in used)
    assert [path.suffix for path in (cache / "coldstart" / "gguf").iterdir()] == [".gguf"]
