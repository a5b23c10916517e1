"""What needs a CUDA card, and the script that runs it all at once (`tests/gpu_table.py`), as far as
it needs none."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from recipes.settings import CARD_MEMORY_MIB, load
from tests import gpu_table
from tests.conftest import ROOT
from tests.tiny import make_tiny

needs_a_card = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card"),
]


def card_is_smaller_than(recipe: str) -> bool:
    return torch.cuda.mem_get_info()[1] < CARD_MEMORY_MIB[recipe] * 2**20


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_a_card) for name in CARD_MEMORY_MIB]
)
def test_the_recipe_of_a_card_runs_within_its_memory(name, tmp_path):
    if card_is_smaller_than(name):
        pytest.skip(f"needs a card with the memory of {name}")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/gpu_table.py", "--only", name, "--folder", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["micro_after"] == found["micro"], (
        "the estimate was too low: memory ran out and the micro-batch was halved"
    )
    assert found["drift"] < 0.05 and found["peak_GiB"] <= found["said_GiB"]


@pytest.mark.slow
def test_the_table_without_a_card(tmp_path):
    """All of it but the card: the row of a recipe with a tiny student."""
    recipe = load("rtx-8gb")
    recipe = replace(
        recipe,
        student=replace(recipe.student, max_prompt=60, max_new=12),
        distil=replace(recipe.distil, batch=2),
    )
    student, loaded = gpu_table.opened(recipe, make_tiny(tmp_path / "m", "qwen2"))
    found = {
        "load_s": loaded,
        **gpu_table.exercise(student, recipe, new=8),
        **gpu_table.beside(student, recipe, 8, tmp_path),
    }
    not_measured = found.pop("not measured")
    assert set(found) | set(not_measured) == set(gpu_table.COLUMNS) - {"peak_GiB"}
    assert (
        found["path"] == "shared"
        and found["micro"] == found["micro_after"]
        and found["drift"] < 1e-4
        and found["unsloth"] is False
    )
    assert (
        found["generate/s"] > 0
        and found["llama.cpp/s"] > 0
        and all(gpu_table.shown(value) for value in found.values())
    )
    assert set(not_measured) <= {"trl_step_s"} and all(
        "No module named" in why for why in not_measured.values()
    )
