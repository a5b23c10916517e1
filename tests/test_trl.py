"""The folder for TRL: its trainer really trains there, in two processes side by side on the CPU,
and its rewards are ours."""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.exports.open_run import open_run
from recipes.runfolder.checkpoint import ADAPTER
from recipes.runfolder.run import Run
from tests.conftest import run_cli
from tests.test_export import LEARNED, place, rows_of  # noqa: F401  (place is a fixture)

pytestmark = pytest.mark.slow
needs_trl = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("trl", "accelerate", "datasets")),
    reason="the packages trl, accelerate and datasets are not installed",
)
PROCESSES, GROUPS, GROUP = 2, 4, 8
CLIMB = {
    "groups": GROUPS,
    "group_size": GROUP,
    "temperature": 0.7,
    "lr": 1e-3,
    "warmup": 1,
    "eval_every": 2,
}


def export_of(place: Path, name: str, turns: int) -> Path:  # noqa: F811
    """The folder for TRL of a copy of the run that takes small steps."""
    run, out = place / f"run-{name}", place / f"trl-{name}"
    shutil.copytree(place / "run", run)
    content = json.loads((run / "run.json").read_text())
    content["recipe"]["student"]["turns"] = turns
    content["recipe"]["climb"] |= CLIMB
    content["recipe"]["probe"]["k"] = 2
    (run / "run.json").write_text(json.dumps(content))
    run_cli("export", "--to", "trl", "--run", run, "--out", out, cwd=place)
    return out


def trained(
    folder: Path, out: Path, *more: str, processes: int = PROCESSES, flag="multi_gpu", code: int = 0
) -> str:
    """What `accelerate launch` of the exported script says; --multi_gpu starts processes where
    there is no card, too."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", f"--{flag}"),
            *("--num_processes", str(processes), "--num_machines", "1", "--mixed_precision", "no"),
            *(str(folder / "train.py"), "--out", str(out), *more),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "TRL_EXPERIMENTAL_SILENCE": "1"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def logged(out: Path, process: int) -> list[dict]:
    """The updates that this process logged."""
    return [line for line in rows_of(out / f"log-{process}.jsonl") if "loss" in line]


@pytest.fixture(scope="module")
def folder(place) -> Path:  # noqa: F811
    return export_of(place, "single", turns=1)


@pytest.fixture(scope="module")
def turns(place) -> Path:  # noqa: F811
    return export_of(place, "turns", turns=2)


@pytest.fixture(scope="module")
def steps(folder) -> Path:
    """Where two processes have taken two steps."""
    trained(folder, folder / "two", "--steps", "2", "--save-every", "1", "--rows", "4")
    return folder / "two"


@needs_trl
def test_two_processes_are_one_training(steps):
    first, second = (logged(steps, process) for process in range(PROCESSES))
    assert [line["step"] for line in first] == [1, 2]
    for name in ("loss", "grad_norm", "adapter_sum", "reward", "learning_rate"):
        assert [line[name] for line in first] == [line[name] for line in second], name
    assert max(line["grad_norm"] for line in first) > 0
    file = "adapter/adapter_model.safetensors"
    assert (steps / file).read_bytes() != (steps.parent / file).read_bytes()
    evaluated = [line for line in rows_of(steps / "log-0.jsonl") if "eval_reward" in line]
    assert [line["step"] for line in evaluated] == [2]


@needs_trl
def test_rewards_are_ours(steps, place):  # noqa: F811
    run = Run.open(place / "run-single")
    splits = {t.instance_id: t.split for t in run.tasks}
    lines = [
        line
        for process in range(PROCESSES)
        for line in rows_of(steps / f"rollouts-{process}.jsonl")
    ]
    written = [line for line in lines if line["status"] != "truncated"]
    with open_run(place / "run-single", memory=place / "apart.jsonl") as opened:
        verdicts = opened.verdicts([(r["instance_id"], r["text"]) for r in written])
    assert [(r["status"], r["reward"]) for r in written] == [(v.status, v.reward) for v in verdicts]
    assert all(r["reward"] == 0.0 for r in lines if r["status"] == "truncated")
    learned_from = [r for r in lines if r["split"] == "train"]
    assert len(learned_from) == 2 * GROUPS * GROUP
    assert {splits[r["instance_id"]] for r in learned_from} == {"train"}
    assert {splits[r["instance_id"]] for r in lines if r["split"] == "heldout"} == {"heldout"}
    assert {r["reward"] for r in learned_from} == {0.0, 1.0}
    for step in (1, 2):
        now = Counter(r["instance_id"] for r in learned_from if r["step"] == step)
        assert set(now.values()) == {GROUP} and len(now) == GROUPS
    means = [line["reward"] for line in logged(steps, 0)]
    ours = [[r["reward"] for r in learned_from if r["step"] == step] for step in (1, 2)]
    assert means == pytest.approx([sum(rewards) / len(rewards) for rewards in ours])
    assert not (place / "run-single" / "verdicts.jsonl").exists(), "the run was written to"


@needs_trl
def test_what_was_trained_there_is_measured_here(steps, place, tmp_path):  # noqa: F811
    shutil.copytree(place / "run-single", tmp_path / "run")
    command = "eval", "--run", "run", "--checkpoint", steps / "adapter", "--k", 2, "--json"
    told = json.loads(run_cli(*command, cwd=tmp_path).stdout.splitlines()[-1])
    assert told["checkpoint"].startswith("elsewhere-")
    copy = tmp_path / "run" / "checkpoints" / told["checkpoint"] / ADAPTER
    assert copy.read_bytes() == (steps / "adapter" / ADAPTER).read_bytes()
    assert told["probe"]["heldout"]["n"] and told["probe"] != told["base"]


@needs_trl
def test_it_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(folder, steps):
    shutil.copytree(steps, folder / "cut")
    shutil.rmtree(folder / "cut" / "checkpoint-2")
    trained(folder, folder / "cut", "--steps", "2", "--save-every", "1", "--rows", "4", "--resume")
    for process in range(PROCESSES):
        again, before = (logged(out, process) for out in (folder / "cut", steps))
        for name in ("step", "loss", "grad_norm", "adapter_sum", "reward"):
            assert [line[name] for line in again] == [line[name] for line in before], name
    file = "adapter/adapter_model.safetensors"
    assert (folder / "cut" / file).read_bytes() == (steps / file).read_bytes()


def exported_module(file: Path):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def train(folder):
    return exported_module(folder / "train.py")


@needs_trl
@given(
    tasks=st.integers(1, 9), groups=st.integers(1, 9), steps=st.integers(1, 30), seed=st.integers()
)
def test_every_task_has_its_turn(train, tasks, groups, steps, seed):
    groups = min(groups, tasks)
    rows = [{"instance_id": str(number)} for number in range(tasks)]
    order = [row["instance_id"] for row in train.in_turn(rows, groups, steps, seed)]
    for step in range(steps):
        assert len(set(order[step * groups : (step + 1) * groups])) == groups
    counts = [order.count(row["instance_id"]) for row in rows]
    assert len(order) == steps * groups and max(counts) - min(counts) <= 1
    more = train.in_turn(rows, groups, steps + 3, seed)  # of a training that goes on for longer
    assert [row["instance_id"] for row in more][: len(order)] == order


@needs_trl
def test_what_would_train_on_something_else_is_refused(train, folder, steps, place, monkeypatch):  # noqa: F811
    from recipes.exports.open_student import open_student, templated

    with pytest.raises(SystemExit, match="--resume"):
        train.last_checkpoint(argparse.Namespace(out=steps, resume=False))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(SystemExit, match="--multi_gpu"):
        train.refuse_one_for_several(1)
    _, tokens = open_student(place / "run-single", folder / "adapter", 1)
    tokenizer, rows = templated(tokens), rows_of(folder / "tasks-train.jsonl")
    train.refuse_other_tokens(tokenizer, tokens, rows)
    tokenizer.chat_template += "x"
    with pytest.raises(SystemExit, match="other tokens"):
        train.refuse_other_tokens(tokenizer, tokens, rows)
    tokens.tokenizer.chat_template = None  # then messages stand one after the other
    train.refuse_other_tokens(templated(tokens), tokens, rows)


@needs_trl
def test_two_processes_play_episodes(turns, place):  # noqa: F811
    folder = turns
    trained(folder, folder / "out", "--steps", "1", "--rows", "4")
    lines = [
        line
        for process in range(PROCESSES)
        for line in rows_of(folder / f"out/rollouts-{process}.jsonl")
    ]
    learned_from = [r for r in lines if r["split"] == "train"]
    assert {r["turns"] for r in learned_from} == {1, 2}
    discount = Run.open(place / "run-turns").recipe.climb.discount
    solved = [r for r in learned_from if r["status"] == "resolved"]
    assert solved and all(r["reward"] == discount ** (r["turns"] - 1) for r in solved)
    first, second = (logged(folder / "out", process) for process in range(PROCESSES))
    assert [r["loss"] for r in first] == [r["loss"] for r in second]
    assert first[0]["adapter_sum"] == second[0]["adapter_sum"]


class Scripted:
    """Writes what it is told to, in TRL's place: one list of replies for each rollout."""

    def __init__(self, replies: list[list[list[int]]]) -> None:
        self.replies, self.asked = replies, []

    def _generate_single_turn(self, prompts, images, fields, num_generations):
        self.asked.append(prompts)
        going = [replies for replies in self.replies if replies]
        assert len(prompts) == len(going) and num_generations == 1
        return [replies.pop(0) for replies in going], None


def test_what_an_episode_is_told_is_not_learned(turns, place, tmp_path, monkeypatch):  # noqa: F811
    from recipes.exports.open_student import open_student

    monkeypatch.syspath_prepend(str(turns))
    episodes = exported_module(turns / "episodes.py")
    _, tokens = open_student(place / "run-turns", turns / "adapter", 1)
    (row,) = (r for r in rows_of(turns / "tasks-train.jsonl") if r["instance_id"].endswith(".add"))
    row["prompt"][-1]["instance_id"] = row["instance_id"]
    asked, wrong, right, cut = (
        tokens.prompt_ids(row["prompt"]),
        tokens.completion_ids("    return 77\n"),
        tokens.completion_ids("    return a + b\n"),
        tokens.completion_ids("    return a")[:-1],
    )
    trainer = Scripted([[wrong, right], [right], [cut]])
    with open_run(place / "run-turns", memory=tmp_path / "verdicts.jsonl") as opened:
        played = episodes.play_episodes(opened, tokens)([row["prompt"]] * 3, trainer)
    ids, mask = played["completion_ids"], played["env_mask"]
    told = ids[0][len(wrong) : -len(right)]
    assert ids == [wrong + told + right, right, cut] and "77" in tokens.text(told)
    assert mask[0] == [1] * len(wrong) + [0] * len(told) + [1] * len(right)
    assert mask[1:] == [[1] * len(right), [1] * len(cut)]
    assert trainer.asked == [[asked] * 3, [asked + wrong + told]]
    assert played["prompt_ids"] == [asked] * 3 and played["turns"] == [2, 1, 1]
    assert played["reply"] == ["    return a + b\n", "    return a + b\n", None]
    assert played["failure"] == ["", "", ""] and played["logprobs"] is None


def test_what_the_jail_failed_on_has_no_reward(folder, place, tmp_path):  # noqa: F811
    reward = exported_module(folder / "reward.py")
    with open_run(place / "run-single", memory=tmp_path / "verdicts.jsonl") as opened:
        resolved = reward.reward_of(opened, None, tmp_path / "rollouts.jsonl")
        name = next(iter(opened.tasks))

        def rewards(failures: int, truncated: int) -> list[float | None]:
            count = failures + truncated
            return resolved(
                completion_ids=[[]] * count,
                instance_id=[name] * count,
                trainer_state=argparse.Namespace(global_step=0),
                reply=["x"] * failures + [None] * truncated,
                failure=["no jail"] * failures + [""] * truncated,
            )

        assert rewards(1, 10) == [None] + [0.0] * 10
        lines = rows_of(tmp_path / "rollouts.jsonl")
        assert [line["status"] for line in lines] == ["harness_error"] + ["truncated"] * 10
        with pytest.raises(RuntimeError, match="no jail"):
            rewards(2, 10)


def test_the_folder_holds_prompts_and_no_answers(folder, place):  # noqa: F811
    run = Run.open(place / "run-single")
    rows = {split: rows_of(folder / f"tasks-{split}.jsonl") for split in ("train", "heldout")}
    for split, lines in rows.items():
        assert {row["instance_id"] for row in lines} == {
            t.instance_id for t in run.tasks if t.split == split
        }
    answers = [line["messages"][1]["content"] for line in run.read("trajectories.jsonl")]
    files = [p for p in folder.rglob("*") if p.suffix in (".jsonl", ".json", ".md", ".py", ".txt")]
    text = "".join(p.read_text() for p in files if p.parent == folder)
    assert len(answers) == len(LEARNED) and not any(a.strip() in text for a in answers)
    assert (folder / "adapter/adapter_model.safetensors").read_bytes() == (
        run.checkpoint("best") / "adapter_model.safetensors"
    ).read_bytes()


def test_a_run_without_a_checkpoint_has_nothing_to_begin_with(place):  # noqa: F811
    done = run_cli(
        *("export", "--to", "trl", "--run", "run", "--checkpoint", "none", "--out", "x"),
        cwd=place,
        check=2,
    )
    assert "no checkpoint" in done.stderr and not (place / "x").exists()
