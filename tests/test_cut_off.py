"""A student that never ends its answers is cold, is taught, and is told of in words; and prompts
before any run."""

import json
from pathlib import Path

import pytest

from tests.conftest import run_cli
from tests.test_arc import last_line, lines
from tests.tiny import make_tiny

SETTINGS = {
    "student.max_new": 30,
    "student.max_prompt": 400,
    "tasks.limit": 8,
    "probe.k": 2,
    "distil.steps": 2,
    "distil.batch": 2,
    "climb.cycles": 1,
    "climb.groups": 2,
    "climb.group_size": 2,
    "teacher.share": 1.0,
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rambler(tmp_path_factory) -> Path:
    """A model of random weights, and an end token that has been made impossible."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = make_tiny(tmp_path_factory.mktemp("models") / "rambler", tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight[2:] *= (
            20  # the best of the others then has a logit far above that of the end
        )
        model.lm_head.weight[1] = 0
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bootstrapped(calc, rambler, tmp_path_factory):
    """(folder, what bootstrap printed with --json, what it said)"""
    place = tmp_path_factory.mktemp("place")
    options = [
        part
        for key, value in {**SETTINGS, "student.model": rambler}.items()
        for part in ("--set", f"{key}={value}")
    ]
    done = run_cli(
        "bootstrap",
        "--repo",
        calc,
        "--run",
        "run",
        "--recipe",
        "nano",
        "--kinds",
        "blank,mutate",
        *options,
        "--json",
        cwd=place,
        check=1,
    )
    return place, last_line(done), done.stderr


def test_it_is_taught(bootstrapped):
    place, result, _ = bootstrapped
    before = result["probe"]["before"]
    assert before["all"]["cold"] == before["all"]["n"] == before["all"]["truncated"] > 0
    train = [
        t["instance_id"] for t in lines(place / "run" / "tasks.jsonl") if t["split"] == "train"
    ]
    assert (
        result["teacher"]["asked"]
        == result["teacher"]["verified"]
        == len(train)
        == before["taught"]["n"] + before["untaught"]["n"]
        > 0
    )
    assert {r["status"] for r in lines(place / "run" / "rollouts.jsonl")} == {"truncated"}
    assert {t["kind"] for t in lines(place / "run" / "tasks.jsonl")} == {"blank", "mutate"}


def test_it_is_said_in_words(bootstrapped):
    place, result, said = bootstrapped
    train = result["teacher"]["asked"]
    assert (
        f"{train} of {train} tasks for training were never solved and cut off at "
        "30 tokens: they are taught"
        in said
        and f"Of {train} the first half of the samples were all cut off" in said
    )
    before = [
        r for r in lines(place / "run" / "probe.jsonl") if (r["phase"], r["k"]) == ("before", 2)
    ]
    assert before and all((r["unsampled"], r["truncated"]) == (1, 1) for r in before)
    assert (
        "--set student.max_new=N" in said
        and f"{train} cold tasks were given to the teacher" in said
    )
    assert "still a cold start" in said and "more from a teacher" in said.lower()
    status = run_cli("status", "--run", "run", cwd=place).stdout
    assert "(cut off)" in status and "still a cold start" in status
    run_cli("report", "--run", "run", cwd=place)
    html = (place / "run" / "report.html").read_text()
    assert "of the cold, cut off" in html
    climbing = run_cli("climb", "--run", "run", cwd=place, check=1)
    assert "this is a cold start, and RL cannot help" in climbing.stdout


def test_prompts_are_what_the_student_is_asked(bootstrapped, rambler, calc):
    """`tasks --prompts` builds them without the student, by its tokenizer's file."""
    place, result, said = bootstrapped
    found = last_line(run_cli("tasks", "--run", "run", "--prompts", "prompts", "--json", cwd=place))
    asked = {
        r["instance_id"]: r["messages"][0]["content"]
        for r in lines(place / "run" / "trajectories.jsonl")
    }
    assert asked and all(
        (place / "prompts" / f"{name}.txt").read_text() == text for name, text in asked.items()
    )
    assert {p.stem for p in (place / "prompts").iterdir()} == {
        t["instance_id"] for t in found["tasks"]
    }
    assert {key: value for key, value in found["prompts"].items() if key != "dir"} == result[
        "prompts"
    ]
    assert (
        result["prompts"]["left_out"] == 0
        and f"at most 400 tokens: {result['prompts']['whole']} show all" in said
    )
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(rambler)
    for task in found["tasks"]:
        text = (place / "prompts" / f"{task['instance_id']}.txt").read_text()
        assert task["prompt_tokens"] == len(tokenizer(text).input_ids) <= 400 and task[
            "prompt_extent"
        ] in ("whole", "least")


def test_without_a_tokenizer_prompts_are_estimated_and_it_is_said(calc, tmp_path):
    done = run_cli(
        "tasks",
        "--repo",
        calc,
        "--recipe",
        "rtx-8gb",
        "--run",
        "run",
        "--prompts",
        "prompts",
        "--json",
        cwd=tmp_path,
    )
    assert (
        "Tokens are estimated at 3 bytes each, because "
        "Qwen/Qwen2.5-Coder-1.5B-Instruct has no file tokenizer.json here" in done.stderr
    )
    found = json.loads(done.stdout)
    assert all(
        task["prompt_tokens"]
        == -(-len((tmp_path / "prompts" / f"{task['instance_id']}.txt").read_bytes()) // 3)
        for task in found["tasks"]
    )
