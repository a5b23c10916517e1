"""Which engine is taken, that it samples what is trained, and the whole arc by llama.cpp."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.learning import memory
from recipes.rollouts.choosing import check_policy, choose, open_engine
from recipes.rollouts.engine_kind import FALLBACK, EngineKind, engine_kind
from recipes.rollouts.engines import ENGINES
from recipes.rollouts.llama_engine import LlamaEngine
from recipes.rollouts.model_engine import ModelEngine
from recipes.settings import load as settings_of
from sandbox.errors import HarnessError, UsageError
from tests.conftest import ROOT, practice_in, run_cli
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
    practice_in(tmp_path)
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


# ---- the registry --------------------------------------------------------------------------------

GREEDY = '''"""`greedy`: transformers' own generation, the likeliest token whatever the temperature."""

import torch

from recipes.rollouts.engine import Completion, Engine, check_arguments, count_nothing
from recipes.rollouts.engine_kind import EngineKind


class GreedyEngine(Engine):
    def __init__(self, student):
        self.student = student

    def stream(self, prompts, n, temperature, max_new, seeds, on_ended=count_nothing, turns=None):
        check_arguments(prompts, n, max_new, seeds)
        self.student.policy.mode(training=False)
        for index, prompt in enumerate(prompts):
            with torch.no_grad():
                found = self.student.policy.model.generate(
                    input_ids=torch.tensor([list(prompt)]),
                    max_new_tokens=max_new,
                    do_sample=False,
                    eos_token_id=sorted(self.student.end_ids),
                )[0, len(prompt) :].tolist()
            one = Completion(tuple(found), (0.0,) * len(found), found[-1] in self.student.end_ids)
            on_ended(n)
            yield {index: [one] * n}


def open_engine(student, recipe, folder, on_progress=None):
    return GreedyEngine(student)


ENGINE = EngineKind("transformers' own generation", open_engine)
'''

PROBE = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from recipes import settings
from recipes.learning.measure import probe
from recipes.learning.student import Student
from recipes.rollouts import choosing
from recipes.rollouts.rollout import Sampling

recipe = settings.load("nano", sys.argv[2:])
student = Student.load(recipe, sys.argv[1], recipe.seed)
name, why = choosing.choose(student, recipe)
engine = choosing.open_engine(name, student, recipe, Path())
pairs = [(SimpleNamespace(instance_id=f"t{i}"), [5 + i, 9, 20]) for i in range(3)]
judge = lambda pairs: [SimpleNamespace(status="resolved", reward=1.0) for _ in pairs]
found = probe(engine, pairs, Sampling(2, 0.7, 8), recipe.seed, judge, 24)
print(json.dumps([name, why, [[rollout.tokens for rollout in group] for _, group in found]]))
"""


@pytest.fixture(scope="module")
def program_with_another_engine(tmp_path_factory):
    """A copy of the program, one file more, one line more in the registry."""
    copied = tmp_path_factory.mktemp("program")
    for part in ("coldstart.py", "recipes", "sandbox"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, copied / part)
    (copied / "recipes/rollouts/engines/greedy.py").write_text(GREEDY)
    registry = copied / "recipes/rollouts/engines/__init__.py"
    text = registry.read_text()
    last = next(line for line in text.split("\n") if line.startswith('    "model": '))
    registry.write_text(text.replace(last, f'    "greedy": "greedy",\n{last}'))
    return copied


@pytest.mark.slow
@pytest.mark.parametrize("asked, taken", [("greedy", "greedy"), ("auto", "llama.cpp")])
def test_a_third_engine_is_one_file_and_one_line(
    program_with_another_engine, tmp_path, asked, taken
):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, make_tiny(tmp_path / "m"), f"rollout.engine={asked}"],
        cwd=program_with_another_engine,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    name, why, lengths = json.loads(done.stdout.splitlines()[-1])
    assert name == taken and [len(group) for group in lengths] == [2, 2, 2]
    if asked == taken:
        assert why == "Rollouts are sampled by transformers' own generation, as the recipe says."
        assert all(len(set(group)) == 1 for group in lengths)


def test_every_file_is_an_engine_and_every_engine_a_file():
    files = {path.stem for path in (ROOT / "recipes/rollouts/engines").glob("*.py")}
    assert files - {"__init__"} == set(ENGINES.values())
    assert all(isinstance(engine_kind(name), EngineKind) for name in ENGINES)
    assert engine_kind(FALLBACK).packages == {}, "the last one samples anywhere"


def test_an_engine_that_there_is_not_is_refused_by_name():
    with pytest.raises(UsageError, match="must be auto or llama.cpp or model, not 'greedy'"):
        settings_of("nano", ["rollout.engine=greedy"])


LIGHT = """
import sys
from recipes import settings
settings.load("nano", ["rollout.engine=model"])
print([name for name in ("torch", "numpy", "llama_cpp", "gguf") if name in sys.modules])
"""
CARD = """
import sys
from tests.tiny import load_tiny
from recipes.rollouts import choosing, model_engine, llama_engine
choosing.choose(load_tiny(sys.argv[1]), __import__("tests.tiny").tiny.tiny_recipe())
print([name for name in sys.modules if name.startswith("recipes.nano.nano_")])
"""


@pytest.mark.slow
@pytest.mark.parametrize("script", [LIGHT, CARD], ids=["settings", "another student"])
def test_what_is_not_needed_is_not_imported(tmp_path, script):
    """No engine by the settings, and nothing of how nano is made for another student."""
    folder = make_tiny(tmp_path / "m") if script is CARD else tmp_path
    done = subprocess.run(
        [sys.executable, "-c", script, folder], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr[-2000:]
