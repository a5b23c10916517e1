"""What may leave this machine: planted secrets of all kinds are found, wherever they stand, and
honest code is let through."""

import base64
import json
import random
import string

import pytest

from recipes.teachers.secrets import SecretFilter, ignored_files, texts_of
from sandbox.errors import UsageError
from sandbox.repo import open_repository
from sandbox.tasks.task import Task
from tests.conftest import CALC, ROOT, git, make_repo, run_cli

DRAW = random.Random(7)


def letters(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(DRAW.choice(alphabet) for _ in range(count))


CLOUD_ID, CLOUD_SECRET = (
    "AKIA" + letters(16, string.ascii_uppercase + "234567"),
    letters(40, string.ascii_letters + string.digits + "/+"),
)
PRIVATE_KEY = "\n".join(
    [
        "-----BEGIN RSA PRIVATE KEY-----",
        *(letters(64, string.ascii_letters + string.digits + "+/") for _ in range(8)),
        "-----END RSA PRIVATE KEY-----",
    ]
)
TOKEN = "ghp_" + letters(36)
PASSWORD = "V7-" + letters(12)
SECRETS = {
    "a cloud key id": f'KEY = "{CLOUD_ID}"',
    "a cloud key": f'aws_secret_access_key = "{CLOUD_SECRET}"',
    "both": f'connect("{CLOUD_ID}", "{CLOUD_SECRET}")',
    "a private key": PRIVATE_KEY,
    "a private key in one line": repr(PRIVATE_KEY),
    "a token": f'TOKEN = "{TOKEN}"',
    "a token in a header": f'{{"Authorization": "Bearer {TOKEN}"}}',
    "a chat token": f'"xoxb-{letters(12, string.digits)}-{letters(12, string.digits)}-{letters(24)}"',
    "a payment key": f'"sk_live_{letters(24)}"',
    "a model provider's key": f'"sk-proj-{letters(74)}T3BlbkFJ{letters(74)}"',
    "a password": f'password = "{PASSWORD}"',
    "a password in a dict": f'{{"password": "{PASSWORD}"}}',
    "an API key": f'api_key = "{letters(32, string.hexdigits.lower())}"',
    "a database address": f'"postgres://admin:{PASSWORD}@db.prod.acme.io/x"',
    "a token in base64": base64.b64encode(f"token={TOKEN}".encode()).decode(),
    "a package index token": f'"pypi-AgEIcHlwaS5vcmc{letters(150)}"',
}


@pytest.fixture(scope="module")
def with_secrets(tmp_path_factory):
    """(repository, secrets): secrets in a file that is tracked, in two that git ignores and in one
    that is called .env."""
    folder = tmp_path_factory.mktemp("with_secrets")
    make_repo(
        folder,
        {
            **CALC,
            ".gitignore": "local_*.py\n*.log\ntracked_too.py\n",
            "key.txt": PRIVATE_KEY + "\n",
        },
    )
    (folder / "tracked_too.py").write_text("def f():\n    return 1\n")
    git(folder, "add", "-f", "tracked_too.py")
    git(folder, "commit", "-qm", "more")
    (folder / "local_settings.py").write_text(f'PASSWORD = "{PASSWORD}"\n')
    (folder / ".env").write_text(
        "# a comment that is long\nDATABASE=plain-but-mine-42\nMODULE=calc.core\nSHORT=abc\n"
        "export WORD: 'quoted words here'\n"
    )
    repository = open_repository(folder)
    return repository, SecretFilter(repository)


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_and_not_said(with_secrets, kind):
    _, secrets = with_secrets
    for text in (
        SECRETS[kind],
        f"The body of `f` is missing.\n\n```python\nimport os\n{SECRETS[kind]}\n\n\ndef f():\n    "
        "...\n```\n",
    ):
        why = secrets.reason(text)
        assert why.startswith("it holds"), kind
        assert not any(
            secret in why for secret in (CLOUD_ID, CLOUD_SECRET, TOKEN, PASSWORD, PRIVATE_KEY)
        )


def test_what_stands_in_files_that_are_kept_back(with_secrets):
    _, secrets = with_secrets
    assert secrets.reason("E  assert 'plain-but-mine-42' == ''") == "it holds a secret of .env"
    assert secrets.reason("said: quoted words here.") == "it holds a secret of .env"
    assert (
        secrets.reason(f"E  assert {PASSWORD!r} is None")
        == "it holds a secret of local_settings.py"
    )
    assert (
        secrets.reason("x = '" + PRIVATE_KEY.split("\n")[3] + "'") == "it holds a secret of key.txt"
    )
    assert secrets.reason("from calc.core import abc  # a comment that is long") == "", (
        "others say it, too, or it is too short"
    )


def test_files_that_are_never_shown(with_secrets):
    repository, secrets = with_secrets

    def task(file="calc/core.py", shown=("tests/test_core.py::test_add",), **more):
        return Task(
            "t", "blank", "train", "r", "c", file, "add", "", shown, (), shown, "", 0.1, **more
        )

    assert secrets.reason_of_task(task()) == ""
    assert ".gitignore" in secrets.reason_of_task(
        task("local_settings.py")
    ) and "tracked_too.py" in secrets.reason_of_task(task("tracked_too.py"))
    assert ".env" in secrets.reason_of_task(task(shown=(".env::x",)))
    assert "local_settings.py" in secrets.reason_of_task(
        task(files=("calc/core.py", "local_settings.py"), functions=("calc/core.py::add",))
    )
    assert secrets.ignored == {"local_settings.py", "tracked_too.py"} and secrets.env_like == {
        ".env"
    }


def test_a_line_that_is_marked_is_let_through(with_secrets):
    _, secrets = with_secrets
    for secret in (f'TOKEN = "{TOKEN}"', 'password = "not-one-at-all"', f'KEY = "{CLOUD_ID}"'):
        assert (
            secrets.reason(secret) and secrets.reason(f"{secret}  # pragma: allowlist secret") == ""
        )


@pytest.mark.slow
def test_honest_code_is_let_through(with_secrets):
    """All of this project's own source."""
    _, secrets = with_secrets
    why = {
        path.name: secrets.reason(path.read_text())
        for folder in ("sandbox", "recipes")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    assert {name: reason for name, reason in why.items() if reason} == {}
    assert secrets.reason("") == "" and secrets.reason("\udc80 no UTF-8") == ""


def test_git_that_cannot_be_asked(with_secrets, tmp_path, monkeypatch):
    repository, _ = with_secrets
    assert ignored_files(repository, ["calc/core.py", "a.log", "local_ü.py"]) == {
        "a.log",
        "local_ü.py",
    }
    (tmp_path / "git").write_text("#!/bin/sh\nexit 128\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="nothing may leave"):
        ignored_files(repository, ["a.log"])
    (tmp_path / "git").unlink()
    with pytest.raises(UsageError, match="nothing may leave"):
        ignored_files(repository, ["a.log"])


def test_all_texts_of_a_record():
    assert set(texts_of({"a": ["b", ("c", {"d": "e"})], "f": 3, "g": None}).split("\n")) >= set(
        "abcdeg"
    )


@pytest.mark.slow
def test_as_many_tasks_as_are_wanted_come_without_those_that_hold_one(tmp_path):
    holder = (
        f'def sign(x):\n    """Return x, signed."""\n    key = "{CLOUD_ID}"\n    return x + key\n'
    )
    check = "from calc.keys import sign\n\n\ndef test_sign():\n    assert sign('a')[0] == 'a'\n"
    make_repo(tmp_path / "calc", {**CALC, "calc/keys.py": holder, "tests/test_keys.py": check})
    command = "tasks --repo calc --recipe nano --run run --limit 5 --seed 1 --json".split()
    told = json.loads(run_cli(*command, cwd=tmp_path).stdout.splitlines()[-1])
    assert sum(told["counts"]["blank"].values()) == 5
    assert told["excluded"]["task that holds what looks like a secret"] == 1
    for file in (tmp_path / "run").iterdir():
        assert CLOUD_ID not in file.read_text(), file
