"""The run folder: made, found, refused, and whole after a crash."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.runfolder import checkpoint
from recipes.runfolder.content import FORMAT
from recipes.runfolder.run import Run
from recipes.settings import load
from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.repo import Repository
from tests.conftest import ROOT

REPOSITORY = Repository(
    root="/somewhere/project",
    commit="c0ffee",
    dirty=False,
    tree="0" * 24,
    python="/usr/bin/python3",
    python_version="3.11.2",
    folders=("/usr",),
    path=("/somewhere/project",),
    masked=(),
)


def make_run(folder: Path) -> Run:
    return Run.create(folder, REPOSITORY, load("nano", ["seed=3"]), {"python": "3.11"})


@pytest.fixture
def run(tmp_path) -> Run:
    return make_run(tmp_path / "runs" / "one")


def refused(act, *arguments, **named) -> str:
    with pytest.raises(UsageError) as error:
        act(*arguments, **named)
    return str(error.value)


# ------------------------------------------------------------------------------- making and finding


def test_what_was_made_is_what_is_opened(run):
    again = Run.open(run.folder)
    assert (
        again.content == json.loads((run.folder / "run.json").read_text())
        and again.content["format"] == FORMAT
    )
    assert again.recipe == run.recipe == load("nano", ["seed=3"]) and again.repository == REPOSITORY
    assert not again.is_done("mine") and again.read("metrics.jsonl") == []


def test_a_folder_that_holds_something_else_is_not_touched(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "is not empty and is not a run" in refused(make_run, tmp_path)
    assert "is not empty and is not a run" in refused(make_run, tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and (
        tmp_path / "file"
    ).read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert make_run(tmp_path / "empty").folder == tmp_path / "empty"


def test_what_a_crash_left_of_a_run_that_was_being_made_is_no_hindrance(run, tmp_path):
    os.rename(run.folder / "run.json", run.folder / ".run.json.new")
    again = make_run(run.folder)
    assert Run.open(run.folder).recipe == again.recipe and [
        p.name for p in run.folder.iterdir()
    ] == ["run.json"]


def test_latest(tmp_path):
    base = tmp_path / "runs"
    assert "There is no run yet" in refused(Run.latest, base)
    for name in ("one", "two", "one"):
        run = Run.open(base / name) if (base / name).exists() else make_run(base / name)
        run.point_latest_here()
        assert Run.latest(base).folder.samefile(base / name)
    assert os.readlink(base / "latest") == "one", "the link would not survive a move of the folder"


def test_latest_points_at_what_is_gone(tmp_path, run):
    run.point_latest_here()
    os.rename(run.folder, tmp_path / "elsewhere")
    assert "There is no run" in refused(Run.latest, run.folder.parent)


def test_a_new_folder_is_named_after_the_project_and_is_nobody_else_s(tmp_path):
    names = []
    for _ in range(3):
        folder = Run.new_folder(tmp_path, REPOSITORY)
        folder.mkdir()
        names.append(folder.name)
    assert len(set(names)) == 3 and all(name.startswith("project-2") for name in names)


# ---------------------------------------------------------------------------------- what is refused


def test_no_run_here(tmp_path):
    assert "There is no run in" in refused(Run.open, tmp_path)
    assert "There is no run in" in refused(Run.open, tmp_path / "nothing")


def change(run: Run, **values) -> None:
    run.content.update(values)
    (run.folder / "run.json").write_text(
        json.dumps({k: v for k, v in run.content.items() if v is not None})
    )


@pytest.mark.parametrize("version", [FORMAT + 1, 0, "1", None])
def test_a_run_of_another_version(run, version):
    change(run, format=version)
    said = refused(Run.open, run.folder)
    assert "another version" in said if version is not None else "damaged" in said


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "{}", '{"format": 1}', "\0\0\0"])
def test_a_damaged_run(run, text):
    (run.folder / "run.json").write_text(text)
    said = refused(Run.open, run.folder)
    assert "run.json is damaged" in said and "start a new run" in said


def test_a_run_that_is_not_text(run):
    (run.folder / "run.json").write_bytes(b"\xff\xfe")
    assert "run.json is damaged" in refused(Run.open, run.folder)


@pytest.mark.parametrize(
    "values",
    [
        {"repository": {}},
        {"repository": []},
        {"repository": None},
        {"repository": {**REPOSITORY.to_dict(), "more": 1}},
        {"recipe": None},
        {"recipe": 3},
        {"done": None},
        {"done": 3},
        {"seconds": None},
        {"seconds": []},
        {"checkpoints": None},
        {"checkpoints": []},
    ],
)
def test_a_run_whose_parts_are_damaged(run, values):
    change(run, **values)
    assert "damaged" in refused(Run.open, run.folder)


def test_a_run_whose_recipe_has_a_key_that_is_not_known(run):
    run.content["recipe"]["climb"]["cycels"] = 3
    change(run)
    said = refused(Run.open, run.folder)
    assert "run.json" in said and "climb.cycels" in said


def test_tasks_before_they_are_mined_and_after_they_are_damaged(run):
    assert "has no tasks yet" in refused(lambda: run.tasks)
    run.mark_done("mine", 1.0)
    for text in ("{not json}\n", '{"instance_id": "x"}\n', "[]\n", "3\n"):
        (run.folder / "tasks.jsonl").write_text(text)
        assert "tasks.jsonl is damaged" in refused(lambda: run.tasks)
    for text in ("", "{", "[]", "{}"):
        (run.folder / "survey.json").write_text(text)
        assert "survey.json is missing or damaged" in refused(lambda: run.places[0].survey)


# ------------------------------------------------------------------------------------ one at a time

HOLD = (
    "import sys; from pathlib import Path; from recipes.runfolder.run import Run\nwith "
    "Run.open(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
)


def test_one_process_at_a_time(run):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, run.folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "held\n"
        assert "Another coldstart process is at work" in refused(run.__enter__)
        Run.open(run.folder)  # reading is free
        other.kill()
        other.wait()
        with run:
            pass
        with run:
            assert "Another coldstart process" in refused(Run.open(run.folder).__enter__)
    finally:
        other.kill()
        other.communicate()


KEEP = """import sys; from pathlib import Path; from recipes.runfolder.run import Run
with Run.open(Path(sys.argv[1])).keep("best") as folder:
    print(folder.name, flush=True); sys.stdin.read()"""


def test_a_checkpoint_that_another_process_uses_is_not_deleted(run):
    def names() -> list[str]:
        return sorted(p.name for p in (run.folder / "checkpoints").iterdir())

    for name in ("cycle-0001", "cycle-0002", "cycle-0003"):
        checkpoint.write(
            run.folder / "checkpoints" / name,
            lambda folder: [
                (folder / f).write_text(f)
                for f in (checkpoint.ADAPTER, checkpoint.CONFIG, checkpoint.OPTIMISER)
            ],
            {},
        )
    stale = Run.open(run.folder)
    run.name_checkpoints(best="cycle-0001", last="cycle-0002", distilled="cycle-0003")
    with (
        run,
        stale.keep("best") as folder,
    ):  # beside who holds the run, and with the names as they are now
        assert folder.name == "cycle-0001"
    other = subprocess.Popen(
        [sys.executable, "-c", KEEP, run.folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "cycle-0001\n"
        run.name_checkpoints(best="cycle-0002", distilled="cycle-0002")
        assert names() == ["cycle-0001", "cycle-0002"], (
            "what is used was deleted, or what is not used was left"
        )
        other.kill()
        other.wait()
        run.name_checkpoints()
        assert names() == ["cycle-0002"]
    finally:
        other.kill()
        other.communicate()
    (run.folder / "checkpoints" / "cycle-0002" / checkpoint.COUNTERS).unlink()
    assert "damaged" in refused(run.keep("best").__enter__) and "no checkpoint" in refused(
        run.keep("cycle-0001").__enter__
    )


APPEND = """import sys; from pathlib import Path; from sandbox import jsonl
for number in range(300):
    jsonl.append(Path(sys.argv[1]), [{"by": sys.argv[2], "number": number, "text": "x" * 20000}])"""


@pytest.mark.slow
def test_two_processes_add_lines_to_one_file(run):
    file = run.folder / "verdicts.jsonl"
    both = [subprocess.Popen([sys.executable, "-c", APPEND, file, name], cwd=ROOT) for name in "ab"]
    assert [process.wait() for process in both] == [0, 0]
    found = run.read("verdicts.jsonl")
    assert all([r["number"] for r in found if r["by"] == name] == list(range(300)) for name in "ab")


# ------------------------------------------------------------------------------------------- lines


def test_lines_are_added_and_read(run):
    run.append("metrics.jsonl", [{"a": 1}, {"b": "é\n\u2028"}])
    run.append("metrics.jsonl", [{"c": [0.1, None]}])
    assert Run.open(run.folder).read("metrics.jsonl") == [
        {"a": 1},
        {"b": "é\n\u2028"},
        {"c": [0.1, None]},
    ]
    assert (run.folder / "metrics.jsonl").read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("torn", [b"{", b'{"b": 2}', b'{"b": "\xc3', b"\0\0\0"])
def test_a_torn_last_line_is_dropped(run, torn):
    run.append("metrics.jsonl", [{"a": 1}])
    with open(run.folder / "metrics.jsonl", "ab") as file:
        file.write(torn)
    assert run.read("metrics.jsonl") == [{"a": 1}]
    run.append("metrics.jsonl", [{"c": 3}])
    assert (run.folder / "metrics.jsonl").read_bytes() == b'{"a": 1}\n{"c": 3}\n'


def test_a_file_that_is_torn_and_nothing_else(run):
    (run.folder / "metrics.jsonl").write_bytes(b'{"a"')
    assert run.read("metrics.jsonl") == []
    run.append("metrics.jsonl", [{"c": 3}])
    assert run.read("metrics.jsonl") == [{"c": 3}]


@pytest.mark.parametrize("line", [b"{not json}", b"\0\0", b"3", b"[]", b"null", b"\xff"])
def test_a_damaged_line_is_named(run, line):
    (run.folder / "metrics.jsonl").write_bytes(b'{"a": 1}\n' + line + b'\n{"b": 2}\n')
    said = refused(run.read, "metrics.jsonl")
    assert "damaged" in said and "line 2" in said and "metrics.jsonl" in said


def test_keep_only(run):
    run.append("metrics.jsonl", [{"a": i} for i in range(5)])
    run.keep_only("metrics.jsonl", [{"a": 1}])
    assert (run.folder / "metrics.jsonl").read_bytes() == b'{"a": 1}\n'
    run.keep_only("metrics.jsonl", [])
    assert run.read("metrics.jsonl") == []


def test_steps_and_seconds_are_on_the_disk_at_once(run):
    run.add_seconds("mine", 1.04)
    run.mark_done("mine", 2.0)
    again = Run.open(run.folder)
    assert (
        again.is_done("mine")
        and not again.is_done("before")
        and again.content["seconds"] == {"mine": pytest.approx(3.0, abs=0.11)}
    )


# -------------------------------------------------------------------------------------- checkpoints


def test_names_of_checkpoints(run):
    for name in ("distilled", "cycle-0001", "cycle-0002", "cycle-0003.tmp-12"):
        (run.folder / "checkpoints" / name).mkdir(parents=True)
    run.name_checkpoints(distilled="distilled", best="distilled", last="cycle-0002")
    again = Run.open(run.folder)
    assert (
        again.checkpoint("last").name == "cycle-0002"
        and again.checkpoint("best").name == again.checkpoint("distilled").name == "distilled"
    )
    assert {p.name for p in (run.folder / "checkpoints").iterdir()} == {"distilled", "cycle-0002"}
    again.name_checkpoints(best="cycle-0002")
    assert Run.open(run.folder).checkpoint("best").name == "cycle-0002"


@pytest.mark.parametrize("name", ["cycle-0009", "../..", "", ".", "..", "best/../..", "a/b"])
def test_an_unknown_checkpoint(run, name):
    (run.folder / "checkpoints" / "distilled").mkdir(parents=True)
    run.name_checkpoints(distilled="distilled", best="distilled")
    said = refused(run.checkpoint, name)
    assert f"no checkpoint {name!r}" in said and "best, distilled" in said


def test_no_checkpoint_at_all(run):
    assert "none yet" in refused(run.checkpoint, "best")


# ------------------------------------------------------------------- a disk that takes nothing more

FULL = """
import resource, signal, sys
from pathlib import Path
from recipes.runfolder.run import Run
from sandbox.errors import UsageError

run, act = Run.open(Path(sys.argv[1])), sys.argv[2]
before = (run.folder / "run.json").read_bytes()
run.append("metrics.jsonl", [{"a": 1}])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
many = [{"a": "x" * 50}] * 50
try:
    {"append": lambda: run.append("metrics.jsonl", many), "keep_only": lambda: run.keep_only("metrics.jsonl", many),
     "mark_done": lambda: run.mark_done("mine", 1.0), "add_seconds": lambda: run.add_seconds("mine", 1.0),
     "name_checkpoints": lambda: run.name_checkpoints(), "write": lambda: run.write(),
     "create": lambda: Run.create(run.folder.parent / "another", run.repository, run.recipe, {})}[act]()
    print("no error")
except UsageError as error:
    print(error)
assert (run.folder / "run.json").read_bytes() == before
assert Run.open(run.folder).read("metrics.jsonl")[0] == {"a": 1}
"""


@pytest.mark.parametrize(
    "act",
    ["append", "keep_only", "mark_done", "add_seconds", "name_checkpoints", "write", "create"],
)
def test_a_full_disk_is_a_sentence_and_nothing_is_lost(run, act):
    (run.folder / "checkpoints").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FULL, run.folder, act], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (
        "cannot be written: File too large" in done.stdout
        and "give the same command again" in done.stdout
    )
    assert [r for r in Run.open(run.folder).read("metrics.jsonl")[:1]] == [{"a": 1}]


def test_what_a_full_disk_tore_is_dropped(run):
    done = subprocess.run(
        [sys.executable, "-c", FULL, run.folder, "append"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    run.append("metrics.jsonl", [{"b": 2}])
    lines = run.read("metrics.jsonl")
    assert lines[0] == {"a": 1} and lines[-1] == {"b": 2}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(run):
    run.folder.chmod(0o500)
    try:
        assert "cannot be written: Permission denied" in refused(
            run.append, "metrics.jsonl", [{"a": 1}]
        )
        assert "cannot be written" in refused(run.mark_done, "mine", 1.0)
        assert "cannot be written" in refused(make_run, run.folder / "below")
    finally:
        run.folder.chmod(0o700)


def test_a_file_in_the_way_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written: Not a directory" in refused(make_run, tmp_path / "file" / "run")


def test_one_line_always_has_the_same_bytes():
    assert jsonl.dumps({"b": 1, "a": "é"}) == '{"b": 1, "a": "\\u00e9"}'


def test_an_adapter_that_was_trained_elsewhere_becomes_a_checkpoint(run, tmp_path, monkeypatch):
    ours = {"r": 16, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"], "peft_type": "LORA"}

    def fill(folder: Path, numbers: str, **settings) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / checkpoint.ADAPTER).write_text(numbers)
        (folder / checkpoint.CONFIG).write_text(json.dumps({**ours, **settings}))
        return folder

    assert "no checkpoint" in refused(run.keep(str(tmp_path)).__enter__)
    checkpoint.write(run.folder / "checkpoints" / "own", lambda aside: fill(aside, "0"), {})
    run.name_checkpoints(last="own", best="own")
    theirs = fill(tmp_path / "adapter", "1", target_modules=["v_proj", "q_proj"], revision=None)
    monkeypatch.chdir(tmp_path)
    for name in (str(theirs), "adapter", "./adapter"):
        with run.keep(name) as folder:
            assert folder.parent == run.folder / "checkpoints" and folder.name != "own"
            assert (folder / checkpoint.ADAPTER).read_text() == "1"
            checkpoint.read(folder)
            run.name_checkpoints()
            assert folder.is_dir(), "what is used was deleted"
    (folder / checkpoint.OPTIMISER).write_text("of somebody else")
    with pytest.raises(UsageError, match=f"damaged .{checkpoint.OPTIMISER}"):
        checkpoint.read(folder)
    run.name_checkpoints()
    assert [p.name for p in (run.folder / "checkpoints").iterdir()] == ["own"]
    fill(theirs, "1", lora_alpha=16)
    assert "lora_alpha: 16 and not 32" in refused(run.keep("adapter").__enter__)
    (theirs / checkpoint.CONFIG).write_text("[]")
    assert "damaged" in refused(run.keep("adapter").__enter__)
    (theirs / checkpoint.CONFIG).unlink()
    assert f"no {checkpoint.CONFIG}" in refused(run.keep("adapter").__enter__)
    assert "no checkpoint 'none'" in refused(run.keep("none").__enter__)
    assert checkpoint.ADAPTER in refused(run.keep("no/folder").__enter__)
