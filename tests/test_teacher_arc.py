"""The command line with an API teacher, from dry run to distilled student: what it pays, what it
tells, what never leaves, and what a kill costs."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sandbox.tasks.gold import gold_reply
from sandbox.tasks.task import read_tasks
from tests.conftest import CALC, ROOT, git, make_repo, run_cli
from tests.teacher_server import AGAIN, ServerProcess, TeacherServer
from tests.test_arc import last_line, lines, make_student, settings
from tests.test_crash import kill
from tests.test_secrets import CLOUD_ID, CLOUD_SECRET, PASSWORD, PRIVATE_KEY, TOKEN

KEY = "sk-of-this-test-6b1f02c9d4e87a35"
WITH_KEY = {"COLDSTART_TEACHER_KEY": KEY}
PRICE = ("1.40", "0.26", "4.40")


@pytest.mark.slow
def test_bad_usage(tmp_path):
    make_repo(tmp_path / "p", {"a.py": "", "test_a.py": "def test():\n    pass\n"})
    for options, says in [
        (["--teacher", "glm-5"], "Did you mean 'glm-5.2'"),
        (["--teacher", "glm-5.2"], "--terms-acknowledged"),
        (["--max-usd", "2"], "Name an API teacher"),
        (["--teacher", "glm-5.2", "--terms-acknowledged"], "export COLDSTART_TEACHER_KEY="),
        (["--teacher", "http://127.0.0.1:1/v1"], "--teacher-model"),
        (
            ["--teacher", "openrouter", "--terms-acknowledged"],
            "price of z-ai/glm-5.2 at openrouter is not known",
        ),
    ]:
        done = run_cli(
            "bootstrap",
            "--repo",
            "p",
            "--recipe",
            "nano",
            "--run",
            "run",
            *options,
            cwd=tmp_path,
            check=2,
        )
        assert says in done.stderr, done.stderr
    assert (
        run_cli("teacher", "--run", "run", cwd=tmp_path).stdout
        == "No API teacher has been asked in run.\n"
    )
    assert last_line(run_cli("teacher", "--run", "run", "--json", cwd=tmp_path))["usd"] == 0.0


# ----------------------------------------------------------------------------------- with a student


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a small repository and a student, for which the repository's tasks have been
    mined and probed in `probed`."""
    folder = tmp_path_factory.mktemp("place")
    make_repo(folder / "calc", CALC)
    student = make_student(folder / "student")
    options = settings(
        student,
        **{
            "teacher.share": 1.0,
            "teacher.pause": 0.02,
            "teacher.stall": 2.0,
            "distil.steps": 40,
            "distil.replay": 0.5,
        },
    )
    folder.joinpath("options.json").write_text(json.dumps(options))
    run_cli(
        "bootstrap",
        "--repo",
        "calc",
        "--run",
        "probed",
        *options,
        "--teacher",
        "http://127.0.0.1:9/v1",
        "--teacher-model",
        "m",
        "--dry-run",
        cwd=folder,
    )
    return folder


@pytest.fixture
def run(place, tmp_path) -> Path:
    """A copy of the run that has been mined and probed."""
    subprocess.run(["cp", "-r", place / "probed", tmp_path / "run"], check=True)
    return tmp_path / "run"


def answers(run: Path) -> dict[str, list[str]]:
    """{what a prompt begins with: the repository's own answer and another one} for all tasks of a
    run."""
    tree = (
        Path(os.environ["XDG_CACHE_HOME"])
        / "coldstart"
        / "trees"
        / json.loads((run / "run.json").read_text())["repository"]["tree"]
    )
    return {
        task.problem_statement: [
            gold_reply(task, tree, "blocks"),
            gold_reply(task, tree, "blocks").replace("):\n", "):\n    pass\n", 1),
        ]
        for task in read_tasks(run / "tasks.jsonl")
    }


def teach(run: Path, url: str, *options, **more) -> subprocess.CompletedProcess:
    return run_cli(
        "bootstrap",
        "--run",
        run,
        "--teacher",
        url,
        "--teacher-model",
        "m",
        "--price",
        ",".join(PRICE),
        "--json",
        *options,
        cwd=run.parent,
        **{"check": None, "env": WITH_KEY, **more},
    )


@pytest.mark.slow
def test_from_dry_run_to_distilled_student(run, tmp_path):
    with TeacherServer(tmp_path / "server", answers=answers(run), key=KEY) as server:
        dry = last_line(teach(run, server.url, "--dry-run", check=0, env={}))
        assert server.log() == [] and dry["teacher"]["requests"] == 0
        planned = dry["teacher"]["plan"]
        prompts = {path.stem: path.read_text() for path in (run / "prompts").iterdir()}
        assert planned["cold"] == planned["prompts"] == len(prompts) > 2
        assert planned["usd"][0] < planned["usd"][1] and planned["max_usd"] == 1.0
        done = teach(run, server.url)
        result, log = last_line(done), server.log()
        assert {record["body"]["messages"][0]["content"] for record in log} == set(
            prompts.values()
        ), "a prompt that the dry run did not show"
        trajectories = lines(run / "trajectories.jsonl")
        assert {t["source"] for t in trajectories} == {"teacher"} and {
            t["instance_id"] for t in trajectories
        } == set(prompts)
        assert len(trajectories) > len(prompts), "one answer each, though there are two"
        assert result["teacher"]["verified"] == result["teacher"]["asked"] == len(
            prompts
        ) and result["teacher"]["requests"] == len(log)
        assert (
            result["probe"]["after"]["taught"]["pass_at_k"]
            > 0
            == result["probe"]["before"]["all"]["pass_at_1"]
        )
        spent = last_line(run_cli("teacher", "--run", run, "--json", cwd=tmp_path))
        billed = [sum(record["billed"][i] for record in log) for i in range(3)]
        assert list(spent["tokens"].values()) == billed and spent["requests"] == spent[
            "replies"
        ] == len(log)
        by_hand = ((billed[0] - billed[1]) * 1.40 + billed[1] * 0.26 + billed[2] * 4.40) / 1e6
        assert abs(spent["usd"] - by_hand) < 1e-12 and spent["usd"] == result["teacher"][
            "usd"
        ] == sum(s["usd"] for s in spent["by_model"].values())
        assert (
            set(spent["by_task"]) == set(prompts) and spent["by_run"]["run"]["usd"] == spent["usd"]
        )
        assert run_cli("teacher", "--run", run, cwd=tmp_path).stdout.count("task blank-") >= len(
            prompts
        )
        assert "already" in teach(run, server.url, check=2).stderr and len(server.log()) == len(log)


def is_taught(run: Path) -> bool:
    return "teach" in json.loads((run / "run.json").read_text())["done"]


@pytest.mark.long
@pytest.mark.slow
def test_a_killed_bootstrap_pays_once(place, run, tmp_path):
    """Killed while it is taught, at random instants; then its lessons are those of a run that was
    left alone."""
    settings = {
        "answers": answers(run),
        "rate": 0.2,
        "faults": AGAIN,
        "after": 0.05,
        "delay": 0.1,
        "stall": 3.0,
    }
    subprocess.run(["cp", "-r", run, tmp_path / "whole"], check=True)
    with ServerProcess(tmp_path / "server-1", **{**settings, "rate": 0.0}) as server:
        teach(tmp_path / "whole", server.url)
    with ServerProcess(tmp_path / "server-2", **settings) as server:
        draw, kills = random.Random(3), 0
        while kills < 5:
            command = [
                sys.executable,
                str(ROOT / "coldstart.py"),
                "bootstrap",
                "--run",
                str(run),
                "--teacher",
                server.url,
                "--teacher-model",
                "m",
                "--price",
                "1,2",
                "--max-usd",
                "9",
            ]
            process = subprocess.Popen(
                command,
                cwd=tmp_path,
                env={**os.environ, **WITH_KEY},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            seen, wanted = len(server.log()), draw.choice([1, 2, 3])
            while (
                process.poll() is None and len(server.log()) < seen + wanted and not is_taught(run)
            ):
                time.sleep(0.005)
            time.sleep(0.2 * draw.random())
            over = is_taught(run)
            kill(process)
            if over:
                break
            kills += 1
        assert kills >= 2, "it was too quick to be killed"
        teach(run, server.url, "--max-usd", "9")
        log = server.log()
    assert (run / "trajectories.jsonl").read_bytes() == (
        tmp_path / "whole" / "trajectories.jsonl"
    ).read_bytes()
    answered = [record["request"] for record in log if not record["fault"]]
    assert len(answered) - len(set(answered)) <= 8 * kills
    with sqlite3.connect(run / "teacher.sqlite") as base:
        spent = base.execute("SELECT sum(cost) FROM tries").fetchone()[0]
    assert (
        9 * 10**12
        >= spent
        >= sum((r["billed"][0] + 2 * r["billed"][2]) * 10**6 for r in log if r["billed"])
    )


@pytest.mark.slow
def test_an_interruption(run, tmp_path):
    """A second Ctrl-C does not wait for the replies that are under way: it ends soon, says so, and
    leaves them counted."""
    with TeacherServer(tmp_path / "server", delay=60.0) as server:
        command = [
            sys.executable,
            str(ROOT / "coldstart.py"),
            "bootstrap",
            "--run",
            str(run),
            "--teacher",
            server.url,
            "--teacher-model",
            "m",
            "--price",
            "1,2",
        ]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, **WITH_KEY},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until = time.monotonic() + 60
        while not server.log() and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert process.poll() is None, "what is paid for is waited for"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and "Interrupted" in errors and "Traceback" not in errors, (
        errors
    )
    with sqlite3.connect(run / "teacher.sqlite") as base:
        assert base.execute("SELECT state, cost = worst FROM tries").fetchall() == [("lost", 1)]


@pytest.mark.long
@pytest.mark.slow
def test_what_the_student_could_do_is_learned_again(run, tmp_path):
    """Its own resolved rollouts stand beside the teacher's answers, and count as nobody's
    teaching."""
    own = next(task for task in read_tasks(run / "tasks.jsonl") if task.split == "train")
    rollouts = [
        {**r, "text": f"    own = {r['index'] // 2}\n", "status": "resolved", "reward": 1.0}
        if r["instance_id"] == own.instance_id
        else r
        for r in lines(run / "rollouts.jsonl")
    ]
    probes = [
        {**p, "resolved": p["k"]} if p["instance_id"] == own.instance_id else p
        for p in lines(run / "probe.jsonl")
    ]
    for name, records in (("rollouts", rollouts), ("probe", probes)):
        (run / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with TeacherServer(tmp_path / "server", answers=answers(run)) as server:
        result = last_line(teach(run, server.url))
    trajectories = lines(run / "trajectories.jsonl")
    assert own.instance_id not in {
        t["instance_id"] for t in trajectories if t["source"] == "teacher"
    }
    assert sorted(
        (t["instance_id"], t["messages"][-1]["content"], t["reward"])
        for t in trajectories
        if t["source"] == "student"
    ) == [(own.instance_id, f"    own = {number}\n", 1.0) for number in range(2)]
    assert result["teacher"]["verified"] == len(
        {t["instance_id"] for t in trajectories if t["source"] == "teacher"}
    )


# ------------------------------------------------------------------------------------------ secrets

CLIENT = f'''"""A client."""
ACCESS = "{CLOUD_ID}"


def host(name):
    """Return the address of a host."""
    if not name:
        raise ValueError("no name")
    return name.lower() + ".example.org"


def sign(text):
    """Return the text with a signature."""
    secret_key = "{CLOUD_SECRET}"
    return text + str(len(secret_key))
'''
TEXTS = '''"""Texts."""


def title(text):
    """Return the text as a title."""
    words = text.split()
    return " ".join(word.capitalize() for word in words)


def initials(text):
    """Return the first letters."""
    return "".join(word[0] for word in text.split())


def masked(text):
    """Return the text with all but its end hidden."""
    return "*" * (len(text) - 2) + text[-2:]
'''
TEST_CLIENT = '''from web.client import host, sign


def test_host():
    assert host("A") == "a.example.org"


def test_sign():
    assert sign("a") == "a40"
'''
TEST_TEXTS = f'''from pathlib import Path

from web.texts import initials, masked, title

PEM = """{PRIVATE_KEY}"""


def test_title():
    assert title("a b") == "A B"


def test_title_of_nothing():
    assert title("") == ""


def test_initials():
    assert initials("ab cd") == "ac"


def test_masked():
    assert masked("{TOKEN}") == "*" * 38 + "{TOKEN[-2:]}"


def test_title_of_the_settings():
    words = dict(line.split("=") for line in (Path(__file__).parent.parent / ".env").read_text().split())
    assert title(words["WORD"]) == words["WORD"].capitalize()
'''


@pytest.mark.slow
def test_planted_secrets_stay_where_they_are(place, tmp_path):
    secrets = [
        CLOUD_ID,
        CLOUD_SECRET,
        TOKEN,
        "not-for-others-77",
        PASSWORD,
        *PRIVATE_KEY.split("\n")[1:-1],
    ]
    make_repo(
        tmp_path / "web",
        {
            "web/__init__.py": "",
            "web/client.py": CLIENT,
            "web/texts.py": TEXTS,
            "tests/test_client.py": TEST_CLIENT,
            "tests/test_texts.py": TEST_TEXTS,
            ".gitignore": ".env\nlocal.py\n",
        },
    )
    (tmp_path / "web" / ".env").write_text("WORD=not-for-others-77\n")
    (tmp_path / "web" / "local.py").write_text(f'PASSWORD = "{PASSWORD}"\n')
    assert git(tmp_path / "web", "status", "--porcelain") == ""
    options = json.loads((place / "options.json").read_text())
    with TeacherServer(tmp_path / "server", default="I do not know.") as server:
        done = run_cli(
            "bootstrap",
            "--repo",
            "web",
            "--run",
            "run",
            *options,
            "--set",
            "teacher.attempts=2",
            "--teacher",
            server.url,
            "--teacher-model",
            "m",
            "--price",
            "1,2",
            cwd=tmp_path,
            check=None,
            env={**WITH_KEY, "COLDSTART_TRACEBACK": "1"},
        )
        bodies = [json.dumps(record, ensure_ascii=False) for record in server.log()]
    assert bodies, "nothing was sent at all"
    assert "is left out: it holds" in done.stdout or "is not sent: it holds" in done.stdout, (
        done.stdout
    )
    everything = {
        "what was sent": "".join(bodies),
        "what was said": done.stdout + done.stderr,
        **{
            str(path): path.read_bytes().decode("utf-8", "replace")
            for path in (tmp_path / "run").rglob("*")
            if path.is_file()
        },
    }
    assert {
        (where, secret[:9])
        for where, text in everything.items()
        for secret in secrets
        if secret in text
    } == set()
    # What holds no secret was asked about, with the wrong answers and all that its tests said of
    # them.
    asked = {
        record["body"]["messages"][0]["content"].split("`")[1] for record in map(json.loads, bodies)
    }
    assert asked and "sign" not in asked and "masked" not in asked


# ------------------------------------------------------------------------------------------ the key

SPY = '''import glob


def test_the_jail_knows_no_key():
    seen = ""
    for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
        try:
            seen += open(path, "rb").read().decode("utf-8", "replace")
        except OSError:
            pass
    assert "COLDSTART" not in seen and "sk-of" not in seen
'''


@pytest.mark.slow
def test_the_key_is_nowhere(place, tmp_path):
    """Not in the run folder, the cache, the logs, a traceback, nor in the environment or command
    line of any process that it starts."""
    make_repo(
        tmp_path / "calc",
        {
            **CALC,
            "tests/test_spy.py": SPY + "\n\ndef test_spied_add():\n    from calc.core import add\n"
            "    test_the_jail_knows_no_key()\n    assert add(2, 2) == 4\n",
        },
    )
    options, found, seen = json.loads((place / "options.json").read_text()), set(), set()
    over = threading.Event()

    def watch():
        while not over.is_set():
            for pid in family(os.getpid()):
                for name in ("environ", "cmdline"):
                    try:
                        text = Path(f"/proc/{pid}/{name}").read_bytes()
                        command = Path(f"/proc/{pid}/cmdline").read_bytes()
                    except OSError:
                        continue
                    seen.add(pid)
                    # What the command itself was started with nobody can take back.
                    if KEY.encode() in text and not (
                        name == "environ" and b"coldstart.py" in command
                    ):
                        found.add((name, command))
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with TeacherServer(
            tmp_path / "server",
            answers={"`add`": ["```python\ndef add(a, b):\n    return a + b\n```"]},
            rate=0.3,
            faults=(*AGAIN, "400"),
            stall=2.5,
        ) as server:
            done = run_cli(
                "bootstrap",
                "--repo",
                "calc",
                "--run",
                "run",
                *options,
                "--teacher",
                server.url,
                "--teacher-model",
                "m",
                "--price",
                "1,2",
                cwd=tmp_path,
                check=None,
                env={**WITH_KEY, "COLDSTART_TRACEBACK": "1", "OPENAI_LOG": "debug"},
            )
            assert any(record["fault"] for record in server.log())
            assert all(
                record["headers"]["authorization"] == f"Bearer {KEY}" for record in server.log()
            )
        refused = {}
        for fault in ("401", "429-quota"):
            with TeacherServer(tmp_path / f"server-{fault}", script=[fault] * 99) as server:
                command = [
                    sys.executable,
                    str(ROOT / "coldstart.py"),
                    "bootstrap",
                    "--repo",
                    "calc",
                    "--run",
                    f"run-{fault}",
                    *options,
                    "--set",
                    f"seed={fault[:3]}",
                    "--teacher",
                    server.url,
                    "--teacher-model",
                    "m",
                    "--price",
                    "1,2",
                ]
                refused[fault] = subprocess.run(
                    command,
                    cwd=tmp_path,
                    capture_output=True,
                    text=True,
                    env={**os.environ, **WITH_KEY, "COLDSTART_TRACEBACK": "1"},
                )
    finally:
        over.set()
        watcher.join()
    assert {fault: process.returncode for fault, process in refused.items()} == dict.fromkeys(
        refused, 2
    )
    assert all("Traceback" in process.stderr for process in refused.values()), (
        "this is what is to be looked at"
    )
    said = (
        done.stdout
        + done.stderr
        + "".join(process.stdout + process.stderr for process in refused.values())
    )
    assert KEY not in said and KEY[:12] not in said
    assert not found and len(seen) > 10, found
    for folder in (tmp_path, Path(os.environ["XDG_CACHE_HOME"])):
        holding = [
            path
            for path in folder.rglob("*")
            if path.is_file()
            and not path.is_symlink()
            and "server" not in path.parts[-2]
            and KEY.encode() in path.read_bytes()
        ]
        assert holding == []
    assert any("test_spy" in str(task) for task in lines(tmp_path / "run" / "tasks.jsonl")), (
        "the spy was no test of a task"
    )


def family(pid: int) -> list[int]:
    """The processes below this one."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(
                    int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]), []
                ).append(int(name))
            except (OSError, ValueError):
                continue
    found, new = [], [pid]
    while new:
        new = [child for parent in new for child in children.get(parent, ())]
        found += new
    return found
