"""A real model at the other end: a teacher that knows the answers is exported, served by llama.cpp's own server, and asked over HTTP by a
bootstrap, from its first probe to the distilled student."""
import json
from pathlib import Path

import pytest
from tokenizers import Regex, pre_tokenizers

from recipes import nano
from recipes.prompts import gold_reply, messages
from recipes.run import Run
from tests.conftest import CALC, make_repo, run_cli
from tests.serving import served
from tests.test_arc import last_line, lines, make_student, settings
from tests.tiny import make_tiny, make_tokenizer

KNOWN = ("add", "Counter.up", "area")
ODD = "I do not know."


def make_teacher(folder: Path, repo: Path) -> Path:
    """A run whose student has learned by heart what a teacher would be asked about `repo`: the answers to KNOWN, and that it does not know
    the others."""
    tokenizer = make_tokenizer(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(nano.SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))
    tokenizer.chat_template = nano.CHAT_TEMPLATE
    model = make_tiny(folder / "model", hidden=64, initializer_range=0.1, max_position_embeddings=2048)
    tokenizer.save_pretrained(model)
    sets = {"student.model": model, "student.max_new": 200, "student.max_prompt": 1500, "prompt.style": "blocks", "tasks.heldout": 0.01}
    run_cli("tasks", "--repo", repo, "--recipe", "nano", "--run", "teacher", *(p for k, v in sets.items() for p in ("--set", f"{k}={v}")),
            cwd=folder)
    learn(Run.open(folder / "teacher"), model)
    return folder / "teacher"


def learn(run: Run, model: Path) -> None:
    from recipes.student import Sample, Student

    tree, student = run.repository.snapshot, Student.load(run.recipe, model, 0)
    pairs = [(messages(t, tree, "blocks"), gold_reply(t, tree, "blocks") if t.function in KNOWN else ODD) for t in run.tasks]
    samples = [Sample(tuple(student.prompt_ids(m)), tuple(student.completion_ids(reply))) for m, reply in pairs]
    for _ in range(150):
        student.accumulate(samples, [1.0] * len(samples), sum(len(s.completion) for s in samples), 1.0)
        student.step(lr=4e-3, clip=1.0)
    student.save(run.folder / "checkpoints" / "distilled", {})
    run.name_checkpoints(distilled="distilled", last="distilled", best="distilled")


@pytest.mark.slow
def test_bootstrap_distils_from_a_served_model(tmp_path):
    repo = make_repo(tmp_path / "calc", CALC)
    teacher = make_teacher(tmp_path, repo)
    run_cli("export", "--to", "gguf", "--run", teacher, "--out", "exported", "--replay", "0", cwd=tmp_path)
    (model,) = (tmp_path / "exported").glob("*.gguf")
    student = make_student(tmp_path / "student")
    options = settings(student, **{"teacher.share": 1.0, "teacher.attempts": 1, "teacher.repairs": 0, "teacher.temperatures": "[0.0]", "tasks.heldout": 0.01})
    (tmp_path / "server").mkdir()
    with served(model, tmp_path / "server", 2048) as url:
        done = run_cli("bootstrap", "--repo", "calc", "--run", "run", "--json", *options, "--teacher", url, "--teacher-model", "teacher",
                       "--price", "1,2", cwd=tmp_path)
    result = last_line(done)
    told = {t["instance_id"].rpartition("calc.core.")[2] for t in lines(tmp_path / "run" / "trajectories.jsonl")}
    import sqlite3
    print(sqlite3.connect(tmp_path / "run" / "teacher.sqlite").execute("SELECT task, verdict, reason FROM requests").fetchall())
    assert told == set(KNOWN) and result["teacher"]["verified"] == len(KNOWN)
    assert result["teacher"]["asked"] == result["teacher"]["requests"] == 5
    assert result["probe"]["after"]["taught"]["pass_at_1"] > result["probe"]["before"]["taught"]["pass_at_1"] == 0
    found = json.loads(run_cli("teacher", "--run", "run", "--json", cwd=tmp_path).stdout)
    assert found["requests"] == result["teacher"]["requests"] and found["tokens"]["in"] > 100 * found["requests"] and found["usd"] > 0
