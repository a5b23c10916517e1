"""Exports of a real student, replayed in the real jail by llama.cpp and PEFT: what comes out is
what was trained, and a loss is noticed.

The student learns the answers to a few tasks by heart here, in seconds, which is all that an export
needs.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

import coldstart
from recipes.exports import folder, model
from recipes.runfolder.run import Run
from sandbox.errors import UsageError
from sandbox.jsonl import valid
from tests.asked import messages
from tests.conftest import CALC, make_repo, run_cli
from tests.test_gguf import LONG, MODELS
from tests.tiny import load_tiny, make_tiny, make_tokenizer, tiny_recipe

LEARNED = ("add", "Counter.up", "Counter.twice", "area")
CHATML = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no "
    "system') }}{% endif %}"
    "[{{ m.role }}] {{ m.content }}{% if m.role == 'assistant' %}<eos>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a run in it whose student has learned LEARNED by heart."""
    folder = tmp_path_factory.mktemp("place")
    model, repo = (
        make_tiny(folder / "student", hidden=64, initializer_range=0.1),
        make_repo(folder / "calc", CALC),
    )
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    tokenizer.save_pretrained(model)
    sets = {
        "student.model": model,
        "student.max_new": 40,
        "student.max_prompt": 200,
        "tasks.heldout": 0.01,
    }
    run_cli(
        "tasks",
        "--repo",
        repo,
        "--recipe",
        "nano",
        "--run",
        "run",
        *(p for k, v in sets.items() for p in ("--set", f"{k}={v}")),
        cwd=folder,
    )
    learn(Run.open(folder / "run"), model)
    return folder


def learn(run: Run, model: Path, functions: tuple[str, ...] = LEARNED) -> None:
    """Fine-tune on the gold answers until they are the likeliest ones, and leave what a bootstrap
    leaves."""
    from recipes.learning.student import Sample, Student
    from sandbox.tasks.gold import gold_reply

    tree, tasks = run.repository.snapshot, [t for t in run.tasks if t.function in functions]
    student = Student.load(run.recipe, model, 0)
    pairs = [(messages(t, tree, "body"), gold_reply(t, tree, "body")) for t in tasks]
    samples = [
        Sample(tuple(student.prompt_ids(m)), tuple(student.completion_ids(reply)))
        for m, reply in pairs
    ]
    for _ in range(150):
        student.accumulate(
            samples, [1.0] * len(samples), sum(len(s.completion) for s in samples), 1.0
        )
        student.step(lr=4e-3, clip=1.0)
    run.append(
        "trajectories.jsonl",
        [
            {
                "messages": [*m, {"role": "assistant", "content": reply}],
                "instance_id": t.instance_id,
                "source": "reference",
                "reward": 1.0,
            }
            for t, (m, reply) in zip(tasks, pairs)
        ],
    )
    for phase, resolved in (("before", 0), ("after", 4)):
        run.append(
            "probe.jsonl",
            [
                {
                    "phase": phase,
                    "temperature": 0.7,
                    "instance_id": t.instance_id,
                    "k": 4,
                    "resolved": resolved,
                    "truncated": 0,
                }
                for t in tasks
            ],
        )
        run.mark_done(phase, 1.0)
    student.save(run.folder / "checkpoints" / "distilled", {})
    run.name_checkpoints(distilled="distilled", last="distilled", best="distilled")


def exported(place: Path, monkeypatch, *arguments: str, code: int = 0) -> dict:
    """The JSON of an export, by the real command in this process."""
    monkeypatch.chdir(place)
    done = CliRunner().invoke(coldstart.cli, ["export", "--run", "run", "--json", *arguments])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout.splitlines()[-1])


def rows_of(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def modelfile(text: str) -> list[tuple[str, str]]:
    """The instructions of a Modelfile, as Ollama reads them: comments, names, values that may stand
    in one or three quotes."""
    found = re.findall(
        r'^(?:#[^\n]*|(?P<name>[A-Z]+) +(?:"""(?P<long>.*?)"""|(?P<plain>[^\n]*)))$',
        text,
        re.M | re.S,
    )
    assert found and re.fullmatch(r'(?:#[^\n]*\n|[A-Z]+ +(?:""".*?"""|[^\n]*)\n)+', text, re.S), (
        text
    )
    return [(name, long or plain) for name, long, plain in found if name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("ollama",), ("gguf",), ("gguf", "--quantisation", "q4_k_m"), ("peft",)],
    ids="-".join,
)
def test_an_export_solves_what_its_checkpoint_solves(place, monkeypatch, arguments):
    out = place / "-".join(arguments)
    result = exported(place, monkeypatch, "--to", *arguments, "--out", str(out))
    replay = result["replay"]
    assert replay["n"] == replay["checkpoint"] == len(LEARNED) and not replay["lost"], replay
    assert replay["export"] >= (3 if "q4_k_m" in arguments else 4), replay
    assert result["checkpoint"] == "distilled" and set(result["files"]) == {
        p.name for p in out.iterdir()
    }
    assert not [p for p in place.glob(".*.new-*")], "something was left beside the export"


@pytest.mark.slow
@pytest.mark.parametrize("target, spoil", [("ollama", "write_adapter"), ("gguf", "write_merged")])
def test_an_export_that_lost_its_adapter_is_noticed(place, monkeypatch, target, spoil):
    import torch

    real = getattr(model, spoil)

    def without_adapter(student, path, *more):
        snapshot = student.snapshot()
        with torch.no_grad():
            for tensor in student.adapter.tensors().values():
                tensor.zero_()
        real(student, path, *more)
        student.rollback(snapshot)

    monkeypatch.setattr(model, spoil, without_adapter)
    replay = exported(place, monkeypatch, "--to", target, "--out", f"lost-{target}", code=1)[
        "replay"
    ]
    assert replay["checkpoint"] == len(LEARNED) and replay["export"] == 0 and replay["lost"]
    assert "do not use it" in "\n".join(folder.lines(replay))


@pytest.mark.slow
def test_the_adapter_loads_on_its_base_as_the_modelfile_names_them(place, monkeypatch):
    import llama_cpp

    exported(place, monkeypatch, "--to", "ollama", "--out", "model", "--replay", "0")
    told = modelfile((place / "model" / "Modelfile").read_text())
    assert [name for name, _ in told[:3]] == ["FROM", "ADAPTER", "TEMPLATE"]
    files = {name: place / "model" / value for name, value in told[:2]}
    assert all(file.is_file() for file in files.values()) and ("PARAMETER", 'stop "<eos>"') in told
    assert ("PARAMETER", "num_ctx 240") in told
    prompt = rows_of(place / "run" / "trajectories.jsonl")[0]["messages"]
    answers = []
    for lora in (None, str(files["ADAPTER"])):
        server = llama_cpp.Llama(str(files["FROM"]), lora_path=lora, n_ctx=240, verbose=False)
        answers.append(
            server.create_completion(prompt[0]["content"], max_tokens=40, temperature=0.0)[
                "choices"
            ][0]["text"]
        )
        server.close()
    assert answers[1] == prompt[1]["content"] != answers[0]


@pytest.mark.slow
def test_the_card_holds_the_runs_numbers_and_peft_loads_the_folder(place, monkeypatch):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    exported(place, monkeypatch, "--to", "peft", "--out", "adapter", "--replay", "2")
    card = (place / "adapter" / "README.md").read_text()
    assert (
        card.startswith("---\n") and "| before | training, taught | 4 | 4 | 0.7 | 0.000 |" in card
    )
    assert "| after | training, taught | 4 | 4 | 0.7 | 1.000 |" in card
    assert "Replayed 2 tasks" in card and str(place) not in card
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(place / "student"), place / "adapter"
    )
    assert any(p.abs().sum() > 0 for name, p in model.named_parameters() if "lora_B" in name)


@pytest.mark.slow
def test_tasks_and_trajectories_as_plain_data(place, monkeypatch):
    from sandbox import patches
    from sandbox.source import read_text

    result = exported(place, monkeypatch, "--to", "dataset", "--out", "data")
    assert result["replay"] is None and {
        "chat-train.jsonl",
        "tasks-train.jsonl",
        "README.md",
    } <= set(result["files"])
    run = Run.open(place / "run")
    rows = {name: rows_of(place / "data" / name) for name in result["files"] if "jsonl" in name}
    for records in rows.values():
        assert (
            len({tuple((key, type(value)) for key, value in record.items()) for record in records})
            == 1
        ), "types differ"
    for record in rows["tasks-train.jsonl"]:
        task = next(t for t in run.tasks if t.instance_id == record["instance_id"])
        assert record["split"] == "train" and json.loads(record["FAIL_TO_PASS"]) == list(
            task.FAIL_TO_PASS
        )
        intact = {task.file: read_text(run.repository.snapshot / task.file)}
        broken = patches.apply(intact, record["break_patch"])
        assert (
            broken == task.broken(run.repository.snapshot)
            and patches.apply(broken, record["patch"]) == intact
        )
    assert [len(record["messages"]) for record in rows["chat-train.jsonl"]] == [2] * len(LEARNED)


@pytest.mark.slow
def test_datasets_and_trl_take_them_as_they_are(place, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
    exported(place, monkeypatch, "--to", "dataset", "--out", "read")
    tasks, chat = (
        datasets.load_dataset(
            "json", data_files=str(place / "read" / name), cache_dir=str(place / "datasets")
        )["train"]
        for name in ("tasks-train.jsonl", "chat-train.jsonl")
    )
    assert tasks[0]["FAIL_TO_PASS"] and chat[0]["messages"][1]["role"] == "assistant"
    named = datasets.load_dataset(str(place / "read"), "tasks", cache_dir=str(place / "datasets"))
    assert {split: len(rows) for split, rows in named.items()} == {"train": 5, "test": 1}
    trl = pytest.importorskip("trl", reason="the package trl is not installed")
    settings = trl.SFTConfig(
        output_dir=str(place / "trained"),
        max_steps=2,
        per_device_train_batch_size=2,
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
        max_length=240,
        disable_tqdm=True,
    )
    trained = trl.SFTTrainer(
        model=str(place / "student"), args=settings, train_dataset=chat
    ).train()
    assert trained.global_step == 2 and trained.training_loss > 0


class Served:
    """A GGUF file behind the chat-completions protocol, on loopback, answered by llama.cpp in its
    greedy way."""

    def __init__(self, file: Path) -> None:
        import llama_cpp

        model = llama_cpp.Llama(str(file), n_ctx=240, verbose=False)

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answer = json.dumps(
                    model.create_chat_completion(body["messages"], max_tokens=40, temperature=0.0)
                ).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("vf-eval") is None,
    reason="the package verifiers is not installed (vf-eval is not on the PATH)",
)
def test_verifiers_evaluates_the_exported_model_on_the_exported_tasks(place, monkeypatch):
    files = exported(place, monkeypatch, "--to", "verifiers", "--out", "environment")["files"]
    assert {
        "pyproject.toml",
        "README.md",
        "coldstart_calc/taskset.py",
        "coldstart_calc/tasks.jsonl",
    } <= set(files)
    model = exported(place, monkeypatch, "--to", "gguf", "--out", "served", "--replay", "0")
    with Served(place / "served" / model["files"][0]) as server:
        done = subprocess.run(
            [
                "vf-eval",
                "coldstart-calc",
                "--env.agent.runtime.type",
                "subprocess",
                "--client.base-url",
                server.url,
                "--client.api-key-var",
                "NO_KEY",
                "-m",
                "student",
                "--no-push",
                "--no-rich",
                "--output-dir",
                place / "evaluated",
            ],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "PYTHONPATH": str(place / "environment"), "NO_KEY": "none"},
        )
    assert done.returncode == 0, done.stderr
    traces = rows_of(next((place / "evaluated").glob("*/traces.jsonl")))
    found = {
        trace["task"]["key"]: trace["traces"][0]["rewards"]["resolved"]["score"] for trace in traces
    }
    assert found == {
        t.instance_id: float(t.function in LEARNED)
        for t in Run.open(place / "run").tasks
        if t.split == "train"
    }, done.stderr


@pytest.mark.slow
def test_the_environment_holds_prompts_and_no_answers(place, monkeypatch):
    exported(place, monkeypatch, "--to", "verifiers", "--out", "prompts")
    rows = rows_of(place / "prompts" / "coldstart_calc" / "tasks.jsonl")
    tasks = {t.instance_id: t for t in Run.open(place / "run").tasks}
    assert {row["id"]: row["split"] for row in rows} == {name: t.split for name, t in tasks.items()}
    answers = [
        line["messages"][1]["content"] for line in rows_of(place / "run" / "trajectories.jsonl")
    ]
    package = "".join(p.read_text() for p in (place / "prompts").rglob("*") if p.is_file())
    assert all("def " in row["prompt"] for row in rows) and not any(
        answer.strip() in package for answer in answers
    )
    assert (
        tomllib.loads((place / "prompts" / "pyproject.toml").read_text())["project"]["name"]
        == "coldstart-calc"
    )


# ------------------------------------------------------------------------------------ without a run


def test_bytes_that_are_no_utf8_do_not_reach_other_readers():
    assert valid({"a\ud800": ["x\udc80y", ("\ud83d",)], "b": 1.0, "c": None}) == {
        "a?": ["x?y", ["?"]],
        "b": 1.0,
        "c": None,
    }


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = make_tiny(tmp_path_factory.mktemp("models") / "tiny")
    make_tokenizer().save_pretrained(folder)
    return load_tiny(folder)


@pytest.mark.parametrize(
    "template, system",
    [(CHATML, True), (NO_SYSTEM, False), (None, False)],
    ids=["chatml", "no system", "none"],
)
def test_the_template_puts_around_a_question_what_the_tokenizer_puts(
    student, monkeypatch, template, system
):
    monkeypatch.setattr(student.tokens.tokenizer, "chat_template", template)
    text = dict(modelfile(model.modelfile(student, tiny_recipe())))["TEMPLATE"]
    assert ("{{ if .System }}" in text) == system

    def as_ollama_fills_it(prompt: str, system: str = "") -> str:
        filled = re.sub(
            r"{{ if .System }}(.*?){{ else }}(.*?){{ end }}",
            lambda m: m[1] if system else m[2],
            text,
            flags=re.S,
        )
        return (
            filled.partition("{{ .Response }}")[0]
            .replace("{{ .System }}", system)
            .replace("{{ .Prompt }}", prompt)
        )

    def as_trained(*messages) -> str:
        return student.tokens.tokenizer.decode(
            student.prompt_ids([{"role": role, "content": content} for role, content in messages])
        )

    question = "def f(x):\n    pass\n"
    assert as_ollama_fills_it(question) == as_trained(("user", question))
    if system:
        assert as_ollama_fills_it(question, "Be brief.") == as_trained(
            ("system", "Be brief."), ("user", question)
        )
        assert text.endswith("{{ .Response }}<|im_end|>\n")


@pytest.mark.parametrize("name", MODELS)
def test_the_merged_model_computes_what_the_trainer_computes(tmp_path, name):
    from recipes.rollouts.choosing import policy_gap
    from recipes.rollouts.file_engine import FileEngine, Files
    from recipes.rollouts.gguf import write_merged

    kind, more = MODELS[name]
    student = load_tiny(make_tiny(tmp_path / "model", kind, **more))
    write_merged(student, tmp_path / "merged.gguf")
    engine = FileEngine(
        student, Files(tmp_path / "merged.gguf", None, student.end_ids), LONG + 16, 1
    )
    try:
        assert policy_gap(engine, [list(range(2, 2 + LONG)), list(range(300, 340))], 1.0) < 0.01
    finally:
        engine.close()


@pytest.mark.parametrize("template", [CHATML, NO_SYSTEM, None], ids=["chatml", "no system", "none"])
@pytest.mark.parametrize("begins", [True, False], ids=["first token", "no first token"])
def test_a_server_of_the_file_makes_the_same_tokens_of_a_question(tmp_path, template, begins):
    from tokenizers.processors import TemplateProcessing

    from recipes.rollouts.file_engine import FileEngine, Files, FileStudent
    from recipes.rollouts.gguf import write_base

    make_tiny(tmp_path / "model")
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    tokenizer.chat_template = template
    if begins:
        tokenizer.bos_token = "<pad>"
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<pad> $A", special_tokens=[("<pad>", 0)]
        )
    tokenizer.save_pretrained(tmp_path / "model")
    student = load_tiny(tmp_path / "model")
    write_base(student, tmp_path / "base.gguf")
    files = Files(tmp_path / "base.gguf", None, student.end_ids)
    engine = FileEngine(FileStudent(files), files, 64, 1)
    try:
        question = [{"role": "user", "content": "def f(x, y):\n    return x"}]
        ids = student.prompt_ids(question)
        assert model.engine_prompt(engine, student, question) == ids and (ids[0] == 0) == (
            begins and template != CHATML
        )
    finally:
        engine.close()


def test_a_student_without_a_vocabulary_is_not_for_ollama(student, monkeypatch, tmp_path):
    from tokenizers import pre_tokenizers

    monkeypatch.setattr(
        student.tokens.tokenizer.backend_tokenizer, "pre_tokenizer", pre_tokenizers.Metaspace()
    )
    with pytest.raises(UsageError, match="--to peft"):
        model.write("ollama", student, tmp_path, tmp_path, tmp_path, tiny_recipe(), "q8_0")


def test_files_that_do_not_load_cannot_be_replayed(student, tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and nothing more")
    with (
        pytest.raises(UsageError, match="--replay 0"),
        model.opened("gguf", student, tmp_path, tiny_recipe()),
    ):
        pass


def test_a_template_that_hides_the_question_is_refused(student, monkeypatch):
    monkeypatch.setattr(
        student.tokens.tokenizer, "chat_template", "{{ messages[0].content | upper }}"
    )
    with pytest.raises(UsageError, match="--to gguf"):
        model.around(student)


def test_what_is_replayed(tmp_path, calc):
    from tests.written_run import write_run

    run = write_run(tmp_path / "run", calc)
    names = [t.instance_id for t in run.tasks]

    def probed(phase: str, resolved: dict[str, int]) -> None:
        run.append(
            "probe.jsonl",
            [
                {
                    "phase": phase,
                    "temperature": 0.7,
                    "instance_id": name,
                    "k": 4,
                    "resolved": r,
                    "truncated": 0,
                }
                for name, r in resolved.items()
            ],
        )

    probed("climb-0009", dict(zip(names, (0, 4, 2, 4))))
    assert {t.instance_id for t in folder.choose_tasks(run, run.tasks, 2)} == {names[1], names[3]}
    assert [t.instance_id for t in folder.choose_tasks(run, run.tasks, 8)][2:] == [names[2]]
    probed("before", {names[1]: 1})
    probed("climb-0009", {names[0]: 4})
    assert names[1] not in {t.instance_id for t in folder.choose_tasks(run, run.tasks, 1)}, (
        "it was not cold before"
    )


def test_a_folder_that_is_taken_and_one_that_fails(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").write_text("x")
    with pytest.raises(UsageError, match="--out"), folder.new_folder(tmp_path / "taken"):
        pass
    with pytest.raises(OSError), folder.new_folder(tmp_path / "new") as aside:
        (aside / "half").write_text("x")
        raise OSError(28, "No space left on device")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


@pytest.mark.slow
def test_what_cannot_be_asked(tmp_path):
    assert (
        "There is no run"
        in run_cli("export", "--to", "gguf", "--run", "nothing", cwd=tmp_path, check=2).stderr
    )
    assert "--to" in run_cli("export", cwd=tmp_path, check=2).stderr
    told = run_cli("export", "--help", cwd=tmp_path).stdout
    assert all(target in told for target in folder.TARGETS)


def test_every_target_of_tasks_has_its_module():
    for target in folder.TASK_TARGETS:
        assert callable(folder.task_export(target).write)
    with pytest.raises(KeyError):
        folder.task_export("ollama")


@pytest.mark.slow
def test_an_episode_is_played_through_the_environment(place, monkeypatch):
    shutil.copytree(place / "run", place / "turns")
    content = json.loads((place / "turns" / "run.json").read_text())
    content["recipe"]["student"]["turns"] = 3
    (place / "turns" / "run.json").write_text(json.dumps(content))
    exported(place, monkeypatch, "--to", "verifiers", "--out", "played", "--run", "turns")
    package = place / "played" / "coldstart_calc"
    origin = json.loads((package / "origin.json").read_text())
    task = next(t for t in Run.open(place / "turns").tasks if t.function == "add")
    # In a process of its own, as the other program's is.
    script = f"""
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("verdict", {str(package / "verdict.py")!r})
verdict = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verdict)
asked = {origin["coldstart"]!r}, {origin["run"]!r}, {task.instance_id!r}
replies, said = [], []
for reply in ("    return 77\\n", "READ nothing.py", "    return 78\\n"):
    replies.append(reply)
    said.append(verdict.answer(*asked, list(replies)))
again = verdict.answer(*asked, list(replies))
print(json.dumps([said, again, verdict.verdict(*asked, replies[-1])]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (first, second, third), again, (status, reward) = json.loads(done.stdout)
    assert "77" in first and "Answer again" in first and "no such file" in second
    assert third is None and again is None and (status, reward) == ("failed", 0.0)
