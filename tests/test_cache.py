"""The cache: its size is what the disk says, it stays within its bound, what is used or was paid
for stays, and what went comes back."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import coldstart
from recipes.reporting.checks.basics import check_cache
from recipes.reporting.checks.machine import Machine, System
from recipes.teachers.ledger import Replies, Reply
from sandbox import cache
from sandbox.repo import open_repository
from tests.conftest import CALC, ROOT, make_repo, run_cli

DAY = 24 * 3600
KIB = 1024 / cache.GIB
REQUEST = "0" * 64


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch) -> Path:
    """An empty cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    monkeypatch.delenv(cache.BOUND_NAME, raising=False)
    return cache.cache_folder()


def put(path: Path, kib: int, days: float = 0.0) -> Path:
    """A file, or a folder where the name has no dot inside, of so many KiB, last used so many days
    ago."""
    file = path if "." in path.name[1:] else path / "content"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(os.urandom(1024 * kib))
    at = time.time() - days * DAY
    os.utime(file, (at, at))
    os.utime(path, (at, at))
    return path


def cli(*arguments: str, code: int = 0) -> str:
    """What the command says, in this process."""
    done = CliRunner().invoke(coldstart.cli, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


def found(*arguments: str, code: int = 0) -> dict:
    return json.loads(cli("cache", "--json", *arguments, code=code).splitlines()[-1])


@contextmanager
def another(code: str):
    """A second process that has run this code, and waits; killed at the end."""
    run = (
        "import sys\nfrom pathlib import Path\nfrom sandbox.cache import hold\n"
        f"{code}\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", run],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def on_disk(folder: Path) -> int:
    """Bytes, by another program than ours."""
    done = subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def ready(process: subprocess.Popen) -> None:
    assert process.stdout.readline() == "ready\n"


# ------------------------------------------------------------ how large it is


def test_its_size_is_what_the_disk_says(tmp_path, own):
    repository = open_repository(make_repo(tmp_path / "calc", CALC))
    large = put(tmp_path / "elsewhere.bin", 900)
    gguf = put(own / "gguf/student.gguf", 300)
    os.link(gguf, own / "gguf/again.gguf")
    os.symlink(large, own / "gguf/link.gguf")
    put(own / "gguf/.student-x1", 20)
    put(own / "students/nano-1", 50)
    (own / "students/nano-1/outside").symlink_to(tmp_path)
    put(own / "unknown/thing", 30)
    facts = found()
    parts = facts["parts"]
    assert facts["bytes"] == on_disk(own) == sum(part["bytes"] for part in parts.values())
    assert facts["folder"] == str(own)
    assert {name: part["entries"] for name, part in parts.items() if part["entries"]} == {
        "trees": 1,
        "gguf": 3,
        "students": 1,
        "other": 1,
    }
    assert facts["parts"]["trees"]["in_use"] == 1 and facts["bound"] == 20 << 30
    assert 300 << 10 <= facts["parts"]["gguf"]["bytes"] < 400 << 10
    assert repository.snapshot.is_dir()


def test_there_is_none_yet(own):
    assert found()["bytes"] == 0 and "0.0 MiB" in cli("cache")
    assert found("--empty", "--yes")["deleted"] == {"bytes": 0, "parts": {}} and not own.exists()
    assert "Deleted: nothing." in cli("cache", "--empty", "--yes")


def test_people_are_told_the_same(own):
    put(own / "gguf/a.gguf", 2048)
    put(own / "teacher/replies.sqlite", 1024)
    put(own / "unknown/thing", 3072)
    said = cli("cache")
    assert str(own) in said and "students as llama.cpp reads them            1      2.0 MiB" in said
    assert "COLDSTART_CACHE_GB" in said and "20.0 GiB" in said
    check = check_cache(Machine(System("debian")))
    words = check.words
    assert check.state == "ok" and "students as llama.cpp reads them 2.0 MiB" in words
    assert "replies of API teachers, paid for 1.0 MiB" in words
    assert "what is half made, and everything else 3.0 MiB" in words
    assert "never pruned" in words and "--empty-replies" in words and "snapshots" not in words


def test_doctor_says_where_it_is_too_large(own, monkeypatch):
    put(own / "gguf/a.gguf", 200)
    monkeypatch.setenv(cache.BOUND_NAME, str(100 * KIB))
    machine = Machine(System("debian"))
    check = check_cache(machine)
    assert check.state == "note"
    assert "cache --empty" in check.fix and cache.BOUND_NAME in check.fix
    monkeypatch.setenv(cache.BOUND_NAME, "plenty")
    check = check_cache(machine)
    assert check.state == "fault" and "'plenty'" in check.words


@pytest.mark.parametrize("said", ["0", "-1", "nan", "inf", "1e308", "ten", "10 GB"])
def test_a_bound_that_means_nothing(tmp_path, monkeypatch, said):
    monkeypatch.setenv(cache.BOUND_NAME, said)
    assert f"COLDSTART_CACHE_GB is {said!r}, and must be a number above 0" in cli("cache", code=2)
    make_repo(tmp_path / "calc", CALC)
    monkeypatch.chdir(tmp_path)
    assert "must be a number above 0" in cli("tasks", "--repo", "calc", "--recipe", "nano", code=2)
    assert not (tmp_path / "runs").exists()


# ------------------------------------------------------------ pruning

AGES = st.integers(0, 12).map(lambda quarters: quarters / 4)
"""Days."""
KINDS = ["trees", "surveys", "students", "gguf", "teacher", ".half"]
ENTRIES = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 60), AGES, st.booleans()), max_size=8
)


@settings(max_examples=60)
@given(ENTRIES, st.integers(1, 200))
def test_afterwards_it_is_within_its_bound_or_nothing_can_go(entries, most):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", folder)
        own, held, ages = cache.cache_folder(), [], {}
        for number, (part, kib, days, in_use) in enumerate(entries):
            special = {".half": f"trees/.making-{number}", "teacher": "teacher"}
            path = put(own / special.get(part, f"{part}/e{number}"), kib, days)
            if in_use:
                cache.hold(path)
                held.append(path)
            ages[path] = -1.0 if path in held else days
        done = cache.prune(most * 1024)
        left = {path for path in ages if path.exists()}
        whole = on_disk(own) if own.exists() else 0
        # Folders of markers may be made meanwhile, and folders of parts shrink.
        assert abs(done.size - whole) <= 4096 * (len(entries) + 8)
        assert {*held, own / "teacher"} & ages.keys() <= left
        half = {path for path in ages if path.name.startswith(".")}
        assert half - left == {path for path in half if ages[path] >= 1}
        could_go = left - half - {*held, own / "teacher"}
        assert done.size <= most * 1024 or not could_go
        gone = ages.keys() - left - half
        oldest_left = max((ages[path] for path in could_go), default=0)
        assert all(ages[path] >= oldest_left for path in gone)
        for path in held:
            cache.release(path)


def test_the_longest_unused_goes_first_and_use_counts(own, monkeypatch):
    old, used, new = (
        put(own / f"students/nano-{name}", 100, days)
        for name, days in (("old", 3), ("used", 9), ("new", 1))
    )
    for _ in range(2):
        cache.hold(used)
        cache.release(used)
        marker = own / "used/students/nano-used"
        assert marker.stat().st_mtime > time.time() - 60
        os.utime(marker, (0, 0))
    cache.hold(used)
    cache.release(used)
    said = []
    made = own / "gguf/made.gguf"
    cache.hold(made)
    cache.make_room(said.append)
    assert not said, "nothing was made yet"
    put(made, 100)
    monkeypatch.setenv(cache.BOUND_NAME, str(350 * KIB))
    cache.make_room(said.append)
    assert not old.exists() and used.exists() and new.exists() and made.exists()
    assert len(said) == 1 and said[0].startswith("The cache had outgrown its 0.3 MiB")
    assert "students made or unpacked here (1): 0.1 MiB" in said[0]
    cache.make_room(said.append)
    assert len(said) == 1
    monkeypatch.setenv(cache.BOUND_NAME, str(50 * KIB))
    cache.hold(own / "gguf/other.gguf")
    put(own / "gguf/other.gguf", 10)
    cache.make_room(said.append)
    assert [path.name for path in (own / "students").iterdir()] == [] and made.exists()
    cache.make_room(said.append)
    assert len(said) == 2, "nothing was made since"
    assert "(3)" not in said[0] and "stay, which" not in said[0]
    assert "students made or unpacked here (2)" in said[1]
    assert "0.1 MiB stay, which are in use" in said[1]


def test_what_lies_over_a_snapshot_goes_with_it(own):
    tree, bytecode = put(own / "trees/abc", 10, 5), put(own / "bytecode/abc-3.11.7", 10, 5)
    cache.hold(tree)
    cache.prune(0)
    assert tree.exists() and bytecode.exists()
    cache.release(tree)
    cache.prune(0)
    assert not tree.exists() and not bytecode.exists()


@pytest.mark.parametrize(
    "name",
    [
        "trees/.making-1",
        "bytecode/.making-2",
        "students/.nano-1-x",
        "gguf/.student-1",
        ".secret-17",
        ".gone-1-teacher",
    ],
)
def test_what_is_half_made_goes_after_a_day(own, name):
    old, held = put(own / name, 1, 1.1), put(own / f"{name}h", 1, 1.1)
    young = put(own / f"{name}y", 1, 0.9)
    with another(f"hold(Path({str(held)!r}))") as process:
        ready(process)
        cache.prune(1 << 40)
    top = "/" not in name
    assert not old.exists() and young.exists() and (top or held.exists())


def test_a_person_who_empties_it_leaves_what_is_being_made(own):
    old, young = put(own / "students/.nano-1-x", 1, 0.1), put(own / "students/.nano-2-x", 1)
    facts = found("--empty", "--yes")
    assert not old.exists() and young.exists() and facts["deleted"]["parts"] == {"other": 1}
    assert facts["left"] == {"students/.nano-2-x": "somebody may be making it at this moment"}


def test_markers_of_what_is_gone_do_not_pile_up(own):
    for number in range(5):
        cache.hold(own / f"trees/{number}")
        cache.release(own / f"trees/{number}")
    kept = own / "trees/kept"
    cache.hold(kept)
    cache.prune(0)
    assert [path.name for path in (own / "used/trees").iterdir()] == ["kept"]


def test_a_part_that_is_a_link_is_left_alone(tmp_path, own):
    model = put(tmp_path / "disk/a.gguf", 100, 9)
    own.mkdir(parents=True)
    (own / "gguf").symlink_to(tmp_path / "disk")
    cache.prune(0)
    cli("cache", "--empty", "--yes")
    assert model.exists() and found()["bytes"] < 50_000


# ------------------------------------------------------------ other processes


def test_what_another_process_uses_stays_until_it_dies(tmp_path, own):
    root = make_repo(tmp_path / "calc", CALC)
    code = (
        f"from sandbox.repo import open_repository\nprint(open_repository({str(root)!r}).snapshot)"
    )
    with another(code) as process:
        snapshot = Path(process.stdout.readline().strip())
        ready(process)
        assert snapshot.is_dir() and snapshot.is_relative_to(own)
        idle = put(own / "students/nano-1", 5)
        facts = found("--empty", "--yes")
        assert facts["left"] == {f"trees/{snapshot.name}": "in use"}
        assert facts["deleted"]["parts"] == {"students": 1}
        assert snapshot.is_dir() and not idle.exists() and facts["parts"]["trees"]["in_use"] == 1
        cache.prune(0)
        assert snapshot.is_dir()
        assert f"Left is trees/{snapshot.name}: in use." in cli("cache", "--empty", "--yes")
        process.send_signal(signal.SIGKILL)
        process.wait()
        cache.prune(0)
        assert not snapshot.exists()


def test_who_waited_while_an_entry_was_deleted_holds_the_next_one(own):
    marker = own / "used/trees/abc"
    marker.parent.mkdir(parents=True)
    with open(marker, "w") as deleting:
        fcntl.flock(deleting, fcntl.LOCK_EX)
        with another(f"hold(Path({str(own / 'trees/abc')!r}))") as process:
            time.sleep(0.5)  # it waits by now, or comes late and need not
            marker.unlink()
            fcntl.flock(deleting, fcntl.LOCK_UN)
            ready(process)
            put(own / "trees/abc", 1)
            assert cache.entries()[0].in_use and cache.prune(0).left == {"trees/abc": "in use"}


# ------------------------------------------------------------ what was paid for


def test_paid_replies_go_only_where_they_are_named(own):
    reply = Reply("the answer", "", "stop", 1, 0, 1)
    with Replies(own / "teacher") as replies:
        replies.keep(REQUEST, reply, 5, "run", 1)
        assert found("--empty-replies", "--yes")["left"] == {"teacher": "in use"}
    cache.prune(0)
    facts = found("--empty", "--yes")
    assert facts["left"] == {} and facts["parts"]["teacher"]["entries"] == 1
    with Replies(own / "teacher") as replies:
        assert replies.find(REQUEST) == reply
    kept = put(own / "students/nano-1", 5)
    facts = found("--empty-replies", "--yes")
    assert facts["deleted"]["parts"] == {"teacher": 1} and facts["parts"]["teacher"]["entries"] == 0
    assert kept.exists() and not (own / "teacher").exists()
    with Replies(own / "teacher") as replies:
        assert replies.find(REQUEST) is None


def test_both_at_once(own):
    put(own / "teacher/replies.sqlite", 5)
    put(own / "trees/abc", 5)
    facts = found("--empty", "--empty-replies", "--yes")
    assert facts["deleted"]["parts"] == {"teacher": 1, "trees": 1}


@pytest.mark.parametrize(
    "option, words",
    [
        ("--empty", "snapshots of repositories (1)"),
        ("--empty-replies", "must then be paid for again"),
    ],
)
def test_nobody_can_be_asked(own, option, words):
    put(own / "teacher/replies.sqlite", 5)
    put(own / "trees/abc", 5)
    said = cli("cache", option, code=2)
    assert words in said and "Nobody can be asked here, so nothing was deleted; --yes" in said
    assert (own / "teacher/replies.sqlite").exists() and (own / "trees/abc").exists()


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_person_is_asked(own, answer):
    entry = put(own / "trees/abc", 5)
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "w") as terminal:
        terminal.write(answer + "\n")
        terminal.flush()
        done = subprocess.run(
            [sys.executable, str(ROOT / "coldstart.py"), "cache", "--empty"],
            stdin=theirs,
            capture_output=True,
            text=True,
        )
        os.close(theirs)
    assert done.returncode == (0 if answer == "y" else 2) and "Delete that? [y/N]" in done.stdout
    assert entry.exists() == (answer == "n")


# ------------------------------------------------------------ made again


@pytest.mark.slow
def test_a_run_goes_on_when_everything_was_pruned(tmp_path, own):
    make_repo(tmp_path / "calc", CALC)
    stale = put(own / "students/nano-old", 400, 9)
    bound = {cache.BOUND_NAME: str(350 * KIB)}
    new = ("tasks", "--repo", "calc", "--recipe", "nano", "--limit", "1")
    said = run_cli(*new, "--run", "runs/one", cwd=tmp_path, env=bound).stdout
    assert (
        said.count("The cache had outgrown") == 1 and "students made or unpacked here (1)" in said
    )
    assert not stale.exists()
    snapshot, bytecode = (list((own / part).iterdir()) for part in ("trees", "bytecode"))
    assert len(snapshot) == len(bytecode) == 1, "what it used itself is still there"
    assert found("--empty", "--yes")["left"] == {} and not snapshot[0].exists()
    (tmp_path / "reply").write_text("    return a + b\n")
    first = (tmp_path / "runs/one/tasks.jsonl").read_text().splitlines()[0]
    judged = run_cli(
        "judge",
        json.loads(first)["instance_id"],
        "--run",
        "runs/one",
        "--reply",
        "reply",
        "--json",
        cwd=tmp_path,
        check=None,
    )
    assert json.loads(judged.stdout.splitlines()[-1])["status"] in ("resolved", "failed")
    assert snapshot[0].is_dir()
    # The suite runs again where its compiled tests are gone, though what it showed is still known.
    run_cli(*new, "--run", "runs/two", cwd=tmp_path)
    assert bytecode[0].is_dir()
    for file in bytecode[0].rglob("*.pyc"):
        file.unlink()
    bytecode[0].rename(tmp_path / "gone")
    run_cli(*new, "--run", "runs/three", cwd=tmp_path)
    assert list(bytecode[0].rglob("*.pyc"))


@pytest.mark.slow
def test_a_student_for_llama_cpp_is_written_again(tmp_path, own):
    from recipes.rollouts.gguf import export_base
    from tests.tiny import load_tiny, make_tiny, make_tokenizer

    make_tiny(tmp_path / "model")
    make_tokenizer().save_pretrained(tmp_path / "model")
    student = load_tiny(tmp_path / "model")
    base = export_base(student, own / "gguf")
    before = base.read_bytes()
    cache.prune(0)
    assert base.exists(), "this process uses it"
    cache.release(base)
    cache.prune(0)
    assert not base.exists()
    assert export_base(student, own / "gguf") == base and base.read_bytes() == before
    for folder in ("gguf", "used/gguf"):
        assert [path.name for path in (own / folder).iterdir()] == [base.name]
