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

from recipes.learning import loading, policy

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
