"""The calls to unsloth, bound to the signatures of the unsloth that is installed.

unsloth must not be installed beside a CPU build of torch (see requirements.txt), so where it is
not, the test leaves itself out. An environment that has it is named by UNSLOTH_PYTHON, the path of
its interpreter; it may have no card, for UNSLOTH_ALLOW_CPU lets unsloth be imported without one.
"""

import ast
import inspect
import json
import os
import subprocess
import sys

import pytest
import torch

from recipes.learning import loader, loading, policy, unsloth_import
from sandbox.errors import UsageError
from tests.conftest import ROOT
from tests.tiny import make_tiny, tiny_recipe

SIGNATURES = """
import inspect, json, sys
from unsloth import FastLanguageModel
names = ("from_pretrained", "get_peft_model", "for_training", "for_inference")
found = {name: [p.name for p in inspect.signature(getattr(FastLanguageModel, name)).parameters.values()
                if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)] for name in names}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def signatures() -> dict[str, list[str]]:
    """{method of FastLanguageModel: its parameters by name}"""
    python = os.environ.get("UNSLOTH_PYTHON", sys.executable)
    done = subprocess.run(
        [python, "-c", SIGNATURES],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "UNSLOTH_ALLOW_CPU": "1"},
    )
    if done.returncode:
        pytest.skip(
            f"unsloth cannot be imported by {python} ({done.stderr.strip().splitlines()[-1]}); "
            "UNSLOTH_PYTHON names another one"
        )
    return json.loads(done.stdout.splitlines()[-1])


def calls(module) -> list[tuple[str, int, list[str]]]:
    """(method of FastLanguageModel, positional arguments, keywords) of every call in the module's
    source."""
    found = []
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call):
            methods = [
                n.attr
                for n in ast.walk(node.func)
                if isinstance(n, ast.Attribute)
                and isinstance(n.value, ast.Name)
                and n.value.id == "FastLanguageModel"
            ]
            found += [
                (method, len(node.args), [k.arg for k in node.keywords]) for method in methods
            ]
    return found


def test_every_call_is_found():
    assert {method for method, _, _ in calls(loading)} == {"from_pretrained", "get_peft_model"}
    assert {method for method, _, _ in calls(policy)} == {"for_training", "for_inference"}


def test_calls_bind_to_unsloths_own_signatures(signatures):
    """By name, for its **kwargs would swallow a keyword that it no longer has."""
    for method, positional, keywords in calls(loading) + calls(policy):
        assert positional <= len(signatures[method]), method
        for keyword in keywords:
            assert keyword in signatures[method][positional:], (
                f"FastLanguageModel.{method} has no parameter {keyword}"
            )


def not_found() -> RuntimeError:
    """As unsloth says it."""
    error = RuntimeError("Unsloth: Failed to load model.")
    error.__cause__ = OSError("no such file")
    return error


@pytest.mark.parametrize(
    "name, error, words",
    [
        (
            "Qwen/none",
            OSError("offline"),
            "neither a folder nor .* `hf download Qwen/none` fetches",
        ),
        ("Qwen/none", not_found(), "`hf download Qwen/none` fetches it. .Unsloth"),
        ("./none", OSError("no"), r"can be downloaded. \(no\)"),
        (".", ValueError("model type `x`"), "is no model that transformers knows.*type `x`"),
        (".", RuntimeError("CUDA error: no kernel image"), "coldstart.py doctor.*no kernel image"),
    ],
)
def test_what_is_wrong_with_a_model_is_said(name, error, words):
    with pytest.raises(UsageError, match=words), loading.loading_errors(name):
        raise error


STAND_IN = """
import os, sys
where = os.environ.get("UNSLOTH_COMPILE_LOCATION", "unsloth_compiled_cache")
sys.path.insert(0, where)
os.makedirs(where, exist_ok=True)
open(os.path.join(where, "generated.py"), "w").close()
import generated
"""
"""What unsloth_zoo does when it is imported, and later."""


def test_unsloth_neither_writes_to_the_working_directory_nor_imports_from_it(tmp_path):
    """Whatever the environment says, and whatever lies there."""
    (tmp_path / "packages/unsloth").mkdir(parents=True)
    (tmp_path / "packages/unsloth/__init__.py").write_text(STAND_IN)
    trap = tmp_path / "repository/unsloth_compiled_cache/generated.py"
    trap.parent.mkdir(parents=True)
    trap.write_text("raise SystemExit('imported from the working directory')\n")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from recipes.learning.unsloth_import import import_unsloth; import_unsloth()",
        ],
        cwd=tmp_path / "repository",
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{tmp_path / 'packages'}",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "UNSLOTH_COMPILE_LOCATION": "unsloth_compiled_cache",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / "cache/coldstart/unsloth/generated.py").is_file()
    assert [p for p in (tmp_path / "repository").rglob("*")] == [trap.parent, trap]


def test_the_loader_is_the_faster_one_and_unsloth_where_they_are_alike():
    assert loader.choose({"unsloth": 2.0, "transformers": 1.95})[0] == "unsloth"
    name, why = loader.choose({"unsloth": 6.6, "transformers": 2.0})
    assert name == "transformers" and "unsloth 6.60 s, transformers 2.00 s" in why
    assert loader.choose({"unsloth": 2.0, "transformers": "no memory"})[0] == "unsloth"
    name, why = loader.choose({"unsloth": "no kernel", "transformers": 2.0})
    assert name == "transformers" and "unsloth cannot (no kernel)" in why


@pytest.mark.slow
def test_a_step_of_a_loader_is_measured_in_a_process_of_its_own(tmp_path):
    recipe = tiny_recipe(student={"max_prompt": 24, "max_new": 4})
    folder = make_tiny(tmp_path / "model")
    assert 0 < loader.step_seconds(recipe, str(folder), "transformers") < 60
    assert "cannot be loaded" in loader.step_seconds(recipe, str(tmp_path / "no"), "transformers")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_nothing_is_tried(tmp_path):
    class Opened:
        recipe = tiny_recipe()
        content: dict = {"checkpoints": {}}

    assert loader.loader_of(Opened(), "no model", pytest.fail) == "auto"
    assert not unsloth_import.uses_unsloth("auto") and not unsloth_import.uses_unsloth(
        "transformers"
    )
    with pytest.raises(UsageError, match="needs a CUDA card"):
        unsloth_import.uses_unsloth("unsloth")
