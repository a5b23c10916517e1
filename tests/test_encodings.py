"""Sources in other encodings than UTF-8: their bytes stay their own, and stop nobody."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from recipes.exports.dataset import write as write_dataset
from recipes.learning.tokens import open_tokenizer
from recipes.runfolder.places import Place
from recipes.teachers.ledger import Ledger, Replies, Reply, Request
from sandbox import jsonl, patches
from sandbox.judge.edits import from_overlay, from_patch, from_reply
from sandbox.judge.gate import InvalidEdit, gate
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.source import blanked, decode, find, read_text, to_bytes
from sandbox.tasks.gold import gold_reply
from sandbox.tasks.mine import MiningOptions, mine
from sandbox.tasks.prompts import Budget, build
from sandbox.worktree import WorkTree
from tests.asked import messages
from tests.conftest import git, make_repo, run_cli
from tests.test_arc import last_line, lines
from tests.test_edits import make_task
from tests.tiny import load_tiny, make_tiny

GREETING = '''# -*- coding: latin-1 -*-
"""Gr\u00fc\u00dfe."""


def greet(name, word="Gr\u00fc\u00df Gott"):
    """Gr\u00fc\u00dfe jemanden, h\u00f6flich."""
    if not name:
        return word
    return f"{word}, {name}!"


def plain(word):
    """Buchstaben ohne Umlaute."""
    count = 0
    for letter in word:
        if letter not in "\u00e4\u00f6\u00fc":
            count += 1
    return count
'''
KANA = '''# coding: cp932
def name(sign):
    """\u540d\u524d"""
    return {"\u8868": "\u3072\u3087\u3046", "\u7b49": "\u2252"}.get(sign, "\uff1f" + sign)
'''
TESTS = '''# coding: latin-1
from words.greeting import greet, plain


def test_greet():
    assert greet("J\u00f6rg") == "Gr\u00fc\u00df Gott, J\u00f6rg!"


def test_word():
    assert greet("", "M\u00fc") == "M\u00fc"


def test_plain():
    assert "\u00e9" and plain("sch\u00f6n") == 4


def test_nothing():
    assert plain("") == 0
'''
KANA_TESTS = '''# coding: cp932
from words.kana import name


def test_name():
    assert name("\u8868") == "\u3072\u3087\u3046"


def test_other():
    assert name("x") == "\uff1fx"
'''
FILES = {
    "words/__init__.py": b"",
    "words/greeting.py": GREETING.encode("latin-1"),
    "words/kana.py": KANA.encode("cp932"),
    "tests/test_greeting.py": TESTS.encode("latin-1"),
    "tests/test_kana.py": KANA_TESTS.encode("cp932"),
    # Not read as UTF-8, and not said to be anything else.
    "notes.txt": "\u00fc\n".encode("latin-1"),
}
FILE = "words/greeting.py"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return make_repo(tmp_path_factory.mktemp("words"), FILES)


@pytest.fixture(scope="module")
def mined(words, tmp_path_factory):
    """(repository, tasks by name)"""
    repository = open_repository(words)
    found = mine(
        repository,
        Limits(workers=2),
        tmp_path_factory.mktemp("mined"),
        MiningOptions(kinds=("blank", "mutate")),
        lambda *_: None,
    )
    return repository, {task.instance_id: task for task in found.tasks}


@pytest.fixture(scope="module")
def judge(mined):
    with Judge(
        mined[0],
        Limits(workers=1, recheck=0.0),
        Suite(test_files=("tests/test_greeting.py", "tests/test_kana.py")),
    ) as judge:
        yield judge


def fenced(code: str) -> str:
    return f"```python\n{code}```\n"


RIGHT = (
    'def greet(name, word="Gr\u00fc\u00df Gott"):\n'
    '    """Gr\u00fc\u00dfe jemanden, h\u00f6flich."""\n'
    '    return f"{word}, {name}!" if name else word\n'
)


# --------------------------------------------------------------------------------- mined and judged


def test_tasks_with_twins_and_mutants(mined):
    repository, tasks = mined
    assert {
        "blank-words.greeting.greet",
        "blank-words.greeting.plain",
        "blank-words.kana.name",
    } <= set(tasks)
    assert any(task.kind == "mutate" and task.file == FILE for task in tasks.values())
    for task in tasks.values():
        assert task.twin_tests, f"{task.instance_id}: no test could be changed"
        for path, text in [
            *task.twin_files(repository.snapshot).items(),
            *task.broken(repository.snapshot).items(),
        ]:
            before, after = FILES[path].split(b"\n"), to_bytes(text).split(b"\n")
            assert before[0] == after[0] and decode(to_bytes(text)) == text
    twins = tasks["blank-words.greeting.greet"].twin_files(repository.snapshot)
    twin = twins["tests/test_greeting.py"]
    assert "J\u00f6rg!x" in twin or "M\u00fcx" in twin, "the change is not where it was meant to be"


@pytest.mark.slow
def test_the_gold_edit_of_each_is_verified(mined, judge):
    repository, tasks = mined
    for task in tasks.values():
        reply = gold_reply(task, repository.snapshot, "blocks")
        edit = from_reply(reply, task, task.broken(repository.snapshot))
        assert to_bytes(edit[task.file]) == FILES[task.file]
        verdict = judge.judge(task, edit)
        assert (verdict.status, verdict.tier) == ("resolved", "in-process"), verdict


@pytest.mark.parametrize(
    "code",
    [
        RIGHT,
        RIGHT.replace("\u00fc", "\\xfc"),
        "import re\n\n\n\u00dc = '\u00fc'\n\n\n"
        + RIGHT.replace("else word", "else re.sub('u', \u00dc, word)"),
    ],
)
def test_letters_of_a_reply_become_the_file_s_own_bytes(mined, judge, code):
    """By every tier: the whole file is written into the tree where more than a body has changed."""
    repository, tasks = mined
    task = tasks["blank-words.greeting.greet"]
    edit = from_reply(fenced(code), task, task.broken(repository.snapshot))
    verdict = judge.judge(task, edit)
    assert verdict.status == "resolved" and verdict.tier == (
        "forked" if "import" in code else "in-process"
    ), verdict
    data = to_bytes(gate(edit, task, repository.snapshot)[FILE])
    assert data.startswith(b"# -*- coding: latin-1 -*-\n")
    assert (b'"Gr\xfc\xdf Gott"' in data) == ("\\xfc" not in code)


def test_what_fails_is_told_in_letters(mined, judge):
    task = mined[1]["blank-words.greeting.greet"]
    wrong = from_reply(fenced(RIGHT.replace("!", "?")), task, task.broken(mined[0].snapshot))
    reply = judge.run(
        {
            "files": wrong,
            "ids": ["tests/test_greeting.py::test_greet"],
            "text": True,
            "timeout": 20.0,
        }
    )
    assert "Gr\u00fc\u00df Gott, J\u00f6rg?" in reply["text"]["tests/test_greeting.py::test_greet"]


@pytest.mark.parametrize(
    "style, reply",
    [
        ("blocks", fenced(RIGHT.replace("!", "\u2192"))),
        ("body", "    return '\u2192'\n"),
        ("blocks", fenced("ARROW = '\u2192'\n\n\n" + RIGHT)),
    ],
)
def test_what_the_file_cannot_say(mined, judge, style, reply):
    repository, tasks = mined
    task = tasks["blank-words.greeting.greet"]
    with pytest.raises(InvalidEdit) as error:
        gate(
            from_reply(reply, task, task.broken(repository.snapshot), style),
            task,
            repository.snapshot,
        )
    assert str(error.value) == f"{FILE} is latin-1, and '\u2192' (U+2192) cannot be written in it"
    # A later answer that it can say counts.
    if style == "blocks":
        assert (
            judge.judge(
                task, from_reply(reply + fenced(RIGHT), task, task.broken(repository.snapshot))
            ).status
            == "resolved"
        )
    text = read_text(repository.snapshot / FILE)
    for edit in (text.replace("{name}!", "{name}\u2192"), text + "\nARROW = '\u2192'\n"):
        with pytest.raises(InvalidEdit, match="is latin-1, and '\u2192'"):
            gate({FILE: edit}, task, repository.snapshot)


def test_search_and_replace_and_whole_files(mined):
    task = mined[1]["blank-words.greeting.greet"]
    broken = task.broken(mined[0].snapshot)
    reply = (
        f'{FILE}\n<<<<<<< SEARCH\n    """Gr\u00fc\u00dfe jemanden, h\u00f6flich."""\n'
        f'    raise NotImplementedError\n=======\n    return "\u00e4"\n>>>>>>> REPLACE\n'
    )
    assert b'    return "\xe4"\n' in to_bytes(from_reply(reply, task, broken)[FILE])
    # A file that is made one of another encoding is written in that one.
    reply = f"{FILE}\n<<<<<<< SEARCH\n# -*- coding: latin-1 -*-\n=======\n>>>>>>> REPLACE\n" + reply
    assert '    return "\u00e4"\n'.encode() in to_bytes(from_reply(reply, task, broken)[FILE])


def test_patches_of_bytes_and_of_text(mined, tmp_path):
    """What git makes holds each file's bytes; what a model writes and what is exported is text."""
    repository, tasks = mined
    broken = tasks["blank-words.greeting.greet"].broken(repository.snapshot)
    make_repo(tmp_path, {FILE: to_bytes(broken[FILE])})
    (tmp_path / FILE).write_bytes(FILES[FILE])
    made = subprocess.run(
        ["git", "diff"], cwd=tmp_path, capture_output=True, check=True
    ).stdout.decode("utf-8", "surrogateescape")
    text = patches.make(broken[FILE], GREETING, FILE)
    assert "\udcfc" in made and "\u00fc" in text
    for patch in (made, text):
        assert to_bytes(from_patch(patch, broken, repository.snapshot)[FILE]) == FILES[FILE]
    letters = patches.make(
        broken[FILE], broken[FILE].replace("raise NotImplementedError", "return '\u00e4'"), FILE
    )
    assert b"return '\xe4'" in to_bytes(from_patch(letters, broken, repository.snapshot)[FILE])
    (tmp_path / "overlay/words").mkdir(parents=True)
    (tmp_path / "overlay" / FILE).write_bytes(FILES[FILE])
    assert from_overlay(tmp_path / "overlay") == {FILE: GREETING}


def test_a_fix_keeps_the_encoding(words, tmp_path):
    make_repo(tmp_path, FILES)
    before, after = read_text(tmp_path / FILE), GREETING.replace("!", " \u00dc!")
    tree = WorkTree(tmp_path)
    commit = tree.commit({FILE: before}, {FILE: after}, "mended", "m")
    tree.write({FILE: after})
    assert (tmp_path / FILE).read_bytes() == after.encode("latin-1")
    assert subprocess.run(
        ["git", "show", f"{commit}:{FILE}"], cwd=tmp_path, capture_output=True, check=True
    ).stdout == after.encode("latin-1")
    assert git(tmp_path, "status", "--porcelain").split() == ["M", FILE]


def test_in_ambiguous_lines_the_bytes_count():
    """In code page 932 some signs have two codes, and Python writes one of them."""
    data = KANA.encode("cp932").replace(
        "\u2252".encode("cp932"), b"\x87\x90"
    ) + "# \u8868\n".encode("cp932")
    text = decode(data)
    assert to_bytes(text) == data and "\u540d\u524d" in text
    assert text.endswith("# \u8868\n") and "\u2252" not in text
    task = make_task(text, "name", "kana.py")
    new = from_reply(
        fenced("def name(sign):\n    return '\u8868'\n"),
        task,
        {"kana.py": blanked(text, find(text, "name"))},
    )["kana.py"]
    said = "# coding: cp932\ndef name(sign):\n    return '\u8868'\n# \u8868\n"
    assert to_bytes(new) == said.encode("cp932")


# ----------------------------------------------------------------------------------- read by others

HALF = [{"role": "user", "content": "\udcfc and \ud83d"}]


def test_prompts_hold_letters_and_no_halves(mined, tmp_path):
    repository, tasks = mined
    said = messages(tasks["blank-words.greeting.greet"], repository.snapshot)[0]["content"]
    assert "Gr\u00fc\u00dfe jemanden, h\u00f6flich." in said and (
        "J\u00f6rg" in said or "M\u00fc" in said
    )
    make_repo(
        tmp_path,
        {"a.py": b"def f():\n    return 1\n", "tests/test_core.py": "def test():\n    pass\n"},
    )
    task = replace(
        make_task("def f():\n    return 1\n", "f", "a.py"), problem_statement="\ud83d!\n\n\udcfc!"
    )
    for style in ("blocks", "compact"):
        asked = build(task, tmp_path, style, Budget.estimated(10**6)).messages[0]["content"]
        assert asked.encode() and asked.startswith("?!\n\n?!")


def test_tokenizers_take_whatever_a_file_holds(tmp_path):
    folder = make_tiny(tmp_path / "tiny")
    student, files = load_tiny(folder), open_tokenizer(str(folder))
    plain = [{"role": "user", "content": "? and ?"}]
    for model in (student, files):
        assert model.prompt_ids(HALF) == model.prompt_ids(plain)
        assert model.token_counts(("\udcfc", "x", "")) == [*model.token_counts(["?", "x"]), 0]
    assert student.completion_ids("\ud83d") == student.completion_ids("?")
    assert student.token_counts([]) == []


def test_the_ledger_takes_whatever_an_endpoint_says(tmp_path):
    body = {"model": "m", "messages": HALF}
    with (
        Replies(tmp_path / "shared") as replies,
        Ledger.open(tmp_path / "teacher.sqlite", replies) as ledger,
    ):
        number = ledger.reserve(Request("0" * 64, "t", "http://x/v1", body), 1, 10)
        reply = Reply("\ud83d!", "\udcfc", "stop", 1, 0, 1)
        replies.keep("0" * 64, reply, 1, ledger.id, number)
        ledger.settle(number, reply, 1)
        ledger.judge("0" * 64, "invalid", "it names \ud83d.py")
        ledger.fail(ledger.reserve(Request("1" * 64, "t", "http://x/v1", body), 1, 10), "\ud83d", 0)
        assert ledger.reply("0" * 64) == replies.find("0" * 64) == Reply("?!", "?", "stop", 1, 0, 1)


class _Run:
    """What of a run is exported."""

    def __init__(self, repository, tasks, folder: Path) -> None:
        self.tasks, self._folder = tasks, folder
        self.places = [Place("shop", repository, folder, alone=True)]

    def tree_of(self, task) -> Path:
        return self.places[0].repository.snapshot

    def read(self, name: str) -> list[dict]:
        return jsonl.read(self._folder / name)


def test_what_is_exported_is_utf_8(mined, tmp_path):
    repository, tasks = mined
    jsonl.append(
        tmp_path / "trajectories.jsonl",
        [{"messages": HALF, "instance_id": "t", "source": "teacher", "reward": 1}],
    )
    write_dataset(_Run(repository, list(tasks.values()), tmp_path), tmp_path)
    for file in ("tasks-train.jsonl", "chat-train.jsonl"):
        for line in (tmp_path / file).read_text(encoding="utf-8").splitlines():
            assert json.dumps(json.loads(line), ensure_ascii=False).encode()
    exported = "".join(path.read_text() for path in tmp_path.glob("tasks-*.jsonl"))
    assert "Gr\\u00fc\\u00df Gott" in exported


@pytest.mark.slow
def test_what_a_command_says_is_utf_8(tmp_path):
    """Of a folder whose name is none, too, and of a reply that is none."""
    words = make_repo(tmp_path / os.fsdecode(b"w\xfcrter"), FILES)
    mined = last_line(
        run_cli(
            "tasks",
            "--repo",
            words,
            "--recipe",
            "nano",
            "--set",
            'prompt.style="blocks"',
            "--run",
            "run",
            "--json",
            cwd=tmp_path,
        )
    )
    assert (
        any(task["function"] == "greet" for task in mined["tasks"])
        and json.dumps(mined, ensure_ascii=False).encode()
    )
    run_cli("export", "--run", "run", "--to", "dataset", "--out", "data", cwd=tmp_path)
    assert "# Tasks of w?rter" in (tmp_path / "data" / "README.md").read_text()
    (tmp_path / "reply").write_bytes(fenced(RIGHT).encode("latin-1"))
    assert (
        last_line(
            run_cli(
                "judge",
                "blank-words.greeting.greet",
                "--run",
                "run",
                "--reply",
                "reply",
                "--json",
                cwd=tmp_path,
                check=1,
            )
        )["status"]
        == "invalid"
    )
    (tmp_path / "reply").write_text("# coding: latin-1\n" + fenced(RIGHT), encoding="utf-8")
    assert (
        last_line(
            run_cli(
                "judge",
                "blank-words.greeting.greet",
                "--run",
                "run",
                "--reply",
                "reply",
                "--json",
                cwd=tmp_path,
            )
        )["status"]
        == "resolved"
    )


@pytest.mark.slow
@pytest.mark.parametrize("style", ["blocks", "body"])
def test_a_bootstrap_with_such_sources(words, tmp_path, style):
    folder = make_tiny(tmp_path / "tiny", max_position_embeddings=4096)
    settings = {
        "student.model": folder,
        "student.max_new": 500,
        "student.max_prompt": 3000,
        "probe.k": 1,
        "distil.steps": 1,
        "distil.batch": 1,
        "teacher.share": 1.0,
        "tasks.heldout": 0,
        "prompt.style": style,
    }
    options = [
        part
        for key, value in settings.items()
        for part in (
            "--set",
            f'{key}="{value}"' if isinstance(value, (str, Path)) else f"{key}={value}",
        )
    ]
    done = run_cli(
        "bootstrap",
        "--repo",
        words,
        "--run",
        "run",
        "--recipe",
        "nano",
        *options,
        "--json",
        cwd=tmp_path,
        check=None,
    )
    found = last_line(done)
    assert done.returncode in (0, 1)
    assert found["teacher"]["asked"] == found["teacher"]["verified"] == 3
    learned = {
        record["instance_id"]: record["messages"]
        for record in lines(tmp_path / "run" / "trajectories.jsonl")
    }
    assert "h\u00f6flich" in learned["blank-words.greeting.greet"][0]["content"]
    assert all(json.dumps(messages, ensure_ascii=False).encode() for messages in learned.values())
