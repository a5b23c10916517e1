"""A git that cannot or will not read: its own words at every door, and exit code 2."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from recipes.teachers.secrets import ignored_files
from sandbox.errors import UsageError
from sandbox.quiet_git import ask, differs
from sandbox.repo import open_repository
from sandbox.tasks.history import undoings
from sandbox.worktree import WorkTree
from tests.conftest import CALC, git, make_repo, run_cli

CORE = "calc/core.py"
MENDED = {CORE: CALC[CORE].replace("return a + b", "return b + a")}


@pytest.fixture
def repository(tmp_path):
    return open_repository(make_repo(tmp_path / "calc", CALC))


DOORS = {
    "open": lambda repository: open_repository(repository.root),
    "history": lambda repository: list(
        undoings(repository, str.isascii, str.isascii, None, Counter(), lambda *_: None)
    ),
    "ignored": lambda repository: ignored_files(repository, ["a.log"]),
    "branch": lambda repository: WorkTree(Path(repository.root)).check_branch("mend"),
    "dirty": lambda repository: WorkTree(Path(repository.root)).dirty({CORE: CALC[CORE]}),
    "commit": lambda repository: WorkTree(Path(repository.root)).commit(
        {CORE: CALC[CORE]}, MENDED, "mend", "Mend"
    ),
}


def refused(repository, door: str) -> str:
    """What is said at a door."""
    with pytest.raises(UsageError) as error:
        DOORS[door](repository)
    return str(error.value)


def speaking(folder: Path, script: str, monkeypatch) -> None:
    """Put a git before the real one that runs this script, in which $GIT is the real one."""
    real = shutil.which("git")
    (folder / "bin").mkdir()
    (folder / "bin" / "git").write_text(f"#!/bin/sh\nGIT={real}\n{script}\n")
    (folder / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


def give_away(root: Path, monkeypatch) -> None:
    """The repository is another one's from now on: really so, where we may do that."""
    if os.geteuid() == 0:
        for path in [root, *root.rglob("*")]:
            os.lchown(path, 12345, 12345)
    else:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")


@pytest.mark.parametrize("door", DOORS)
def test_a_repository_of_another_owner(repository, monkeypatch, door):
    give_away(Path(repository.root), monkeypatch)
    said = refused(repository, door)
    assert "detected dubious ownership" in said and "safe.directory" in said
    assert repository.root in said and "exit code" not in said and "BrokenPipe" not in said


def test_another_owner_on_the_command_line(repository, monkeypatch, tmp_path):
    give_away(Path(repository.root), monkeypatch)
    done = run_cli(
        "tasks",
        "--repo",
        repository.root,
        "--recipe",
        "nano",
        "--kinds",
        "revert",
        cwd=tmp_path,
        check=2,
    )
    assert "detected dubious ownership" in done.stderr and done.stderr.startswith("coldstart: git")


@pytest.mark.parametrize("door", DOORS)
def test_no_git(repository, monkeypatch, tmp_path, door):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refused(repository, door)
    assert "git cannot be started (No such file or directory)" in said
    assert "Is git installed" in said


@pytest.mark.parametrize("door", DOORS)
def test_a_git_that_fails_without_a_word(repository, monkeypatch, tmp_path, door):
    speaking(tmp_path, '[ "$3" = check-ref-format ] && exec $GIT "$@"\nexit 9', monkeypatch)
    assert "ended with exit code 9 and said nothing" in refused(repository, door)


GERMAN = """
$GIT "$@" 2>/dev/null
code=$?
[ $code = 0 ] || echo "Schwerwiegend: Kein Git-Repository (oder ein Elternverzeichnis)" >&2
exit $code
"""


def test_a_git_that_speaks_another_language(repository, monkeypatch, tmp_path):
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    speaking(tmp_path, '[ "$LC_ALL" = C ] && exec $GIT "$@"' + GERMAN, monkeypatch)
    with pytest.raises(UsageError, match="fatal: "):
        ask(tmp_path / "plain", "ls-files")
    shutil.rmtree(tmp_path / "bin")
    speaking(tmp_path, GERMAN, monkeypatch)
    with pytest.raises(UsageError, match="is not a git repository. Make it one: git init"):
        open_repository(tmp_path / "plain")
    assert open_repository(repository.root).tree == repository.tree


def test_a_work_tree_whose_repository_is_gone_is_not_to_be_made_one(repository, tmp_path):
    git(Path(repository.root), "worktree", "add", "-q", tmp_path / "beside")
    shutil.rmtree(Path(repository.root) / ".git")
    with pytest.raises(UsageError, match="git cannot read .*: not a git repository: .*worktrees"):
        open_repository(tmp_path / "beside")


def test_a_folder_that_may_not_be_entered(repository, tmp_path):
    """It is not git that cannot be started."""
    with pytest.raises(UsageError, match="git cannot read .*cannot change to"):
        ask(tmp_path / "gone", "ls-files")


def test_one_path_that_differs(repository):
    root = Path(repository.root)
    for name in ("a[b].py", "ab.py"):
        (root / name).write_text("x = 1\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "more")
    (root / "ab.py").write_text("x = 2\n")
    assert differs(root) and differs(root, "ab.py") and not differs(root, "a[b].py")
    assert not differs(root / "calc") and not differs(root / "calc", "core.py")
