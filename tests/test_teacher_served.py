"""A real model at the other end: a teacher that knows the answers is exported, served by
llama.cpp's own server, and asked over HTTP by a bootstrap, from its first probe to the distilled
student."""

import json
from pathlib import Path

import pytest
from tokenizers import Regex, pre_tokenizers

from recipes.nano import nano_student
from recipes.runfolder.run import Run
from sandbox.tasks.gold import gold_reply
from tests.asked import messages
from tests.conftest import make_repo, run_cli
from tests.serving import served
from tests.test_arc import last_line, lines, make_student, settings
from tests.tiny import make_tiny, make_tokenizer

KNOWN = ("plus", "minus")
ODD = "I do not know."
SMALL = {
    "lib.py": '''def plus(a, b):
    return a + b


def minus(a, b):
    return a - b


def times(a, b):
    return a * b
''',
    "test_lib.py": '''import lib


def test_plus():
    assert lib.plus(2, 3) == 5


def test_minus():
    assert lib.minus(2, 3) == -1


def test_times():
    assert lib.times(2, 3) == 6
''',
}


def make_teacher(folder: Path, repo: Path) -> Path:
    """A run whose student has learned by heart what a teacher would be asked about `repo`: the
    answers to KNOWN, and that it does not know the others."""
    tokenizer = make_tokenizer(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(nano_student.SPLIT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    )
    tokenizer.chat_template = nano_student.CHAT_TEMPLATE
    model = make_tiny(
        folder / "model", hidden=64, initializer_range=0.1, max_position_embeddings=1024
    )
    tokenizer.save_pretrained(model)
    sets = {
        "student.model": model,
        "student.max_new": 200,
        "student.max_prompt": 800,
        "prompt.style": "blocks",
        "tasks.heldout": 0.01,
    }
    run_cli(
        "tasks",
        "--repo",
        repo,
        "--recipe",
        "nano",
        "--run",
        "teacher",
        *(p for k, v in sets.items() for p in ("--set", f"{k}={v}")),
        cwd=folder,
    )
    learn(Run.open(folder / "teacher"), model)
    return folder / "teacher"


def learn(run: Run, folder: Path) -> None:
    """By heart: the base first, as a whole, and then an adapter what the base loses in 4 bits."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from recipes.learning.student import Sample, Student

    tree = run.repository.snapshot
    pairs = [
        (messages(t, tree, "blocks"), gold_reply(t, tree, "blocks") if t.function in KNOWN else ODD)
        for t in run.tasks
    ]
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rows = [
        (
            tokenizer.apply_chat_template(m, add_generation_prompt=True, return_dict=False),
            tokenizer(reply).input_ids + [1],
        )
        for m, reply in pairs
    ]
    width = max(len(p) + len(c) for p, c in rows)
    tokens = torch.tensor([p + c + [0] * (width - len(p) - len(c)) for p, c in rows])
    labels = torch.tensor(
        [[-100] * len(p) + c + [-100] * (width - len(p) - len(c)) for p, c in rows]
    )
    for _ in range(120):
        model(input_ids=tokens, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
    student = Student.load(run.recipe, folder, 0)
    samples = [
        Sample(tuple(student.prompt_ids(m)), tuple(student.completion_ids(reply)))
        for m, reply in pairs
    ]
    for _ in range(60):
        student.accumulate(
            samples, [1.0] * len(samples), sum(len(s.completion) for s in samples), 1.0
        )
        student.step(lr=2e-3, clip=1.0)
    student.save(run.folder / "checkpoints" / "distilled", {})
    run.name_checkpoints(distilled="distilled", last="distilled", best="distilled")


@pytest.mark.slow
def test_bootstrap_distils_from_a_served_model(tmp_path):
    repo = make_repo(tmp_path / "lib", SMALL)
    teacher = make_teacher(tmp_path, repo)
    run_cli(
        "export",
        "--to",
        "gguf",
        "--run",
        teacher,
        "--out",
        "exported",
        "--replay",
        "0",
        cwd=tmp_path,
    )
    (model,) = (tmp_path / "exported").glob("*.gguf")
    student = make_student(tmp_path / "student")
    options = settings(
        student,
        **{
            "teacher.share": 1.0,
            "teacher.attempts": 1,
            "teacher.repairs": 0,
            "teacher.temperatures": "[0.0]",
            "teacher.concurrency": 1,
            "tasks.heldout": 0.01,
        },
    )
    (tmp_path / "server").mkdir()
    with served(model, tmp_path / "server", 1024) as url:
        done = run_cli(
            "bootstrap",
            "--repo",
            "lib",
            "--run",
            "run",
            "--json",
            *options,
            "--teacher",
            url,
            "--teacher-model",
            "teacher",
            "--price",
            "1,2",
            cwd=tmp_path,
        )
    result, found = (
        last_line(done),
        json.loads(run_cli("teacher", "--run", "run", "--json", cwd=tmp_path).stdout),
    )
    asked = {name.rpartition("lib.")[2] for name in found["by_task"]}
    told = {
        t["instance_id"].rpartition("lib.")[2]
        for t in lines(tmp_path / "run" / "trajectories.jsonl")
    }
    assert told == asked & set(KNOWN) != set() and result["teacher"]["verified"] == len(told)
    assert (
        result["teacher"]["asked"]
        == result["teacher"]["requests"]
        == found["requests"]
        == len(asked)
    )
    assert (
        result["probe"]["after"]["taught"]["pass_at_1"]
        > result["probe"]["before"]["taught"]["pass_at_1"]
        == 0
    )
    assert found["usd"] > 0, (
        "this server does not say what it counted, so each request is counted at its worst case"
    )
