"""What needs a CUDA card, and the script that runs it all at once (`tests/gpu_table.py`), as far as
it needs none."""

import json
import subprocess
import sys

import pytest
import torch

from recipes.settings import CARD_MEMORY_MIB
from tests import gpu_table
from tests.conftest import ROOT

needs_a_card = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card"),
]


def card_is_smaller_than(recipe: str) -> bool:
    return torch.cuda.mem_get_info()[1] < CARD_MEMORY_MIB[recipe] * 2**20


@pytest.mark.parametrize("loader", ["unsloth", "transformers"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_a_card) for name in CARD_MEMORY_MIB]
)
def test_the_recipe_of_a_card_runs_within_its_memory(name, loader, tmp_path):
    if card_is_smaller_than(name):
        pytest.skip(f"needs a card with the memory of {name}")
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "tests/gpu_table.py",
            *("--only", f"{name} {loader}", "--folder", tmp_path),
        ],
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
    """All of it but the card, on a tiny student, as it will be called on a rented one."""
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "tests/gpu_table.py",
            *("--device", "cpu", "--recipes", "rtx-8gb,rtx-12gb"),
            *("--new", "8", "--folder", tmp_path),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == list(gpu_table.COLUMNS)
    ours = [row.split() for row in rows if " transformers " in row]
    assert [row[:2] for row in ours] == [[r, "transformers"] for r in ("rtx-8gb", "rtx-12gb")]
    for row in ours:
        found = dict(zip(gpu_table.COLUMNS, row[2:], strict=True))
        assert found["path"] == "shared" and found["micro"] == found["micro_after"]
        assert float(found["drift"]) < 1e-4 and found.pop("peak_GiB") == "-"
        assert "-" not in found.values()
    # TRL is in requirements-bench.txt alone.
    notes = [row for row in rows if row.startswith(" ")]
    assert all("No module named" in note for note in notes) and len(notes) in (0, 2)
