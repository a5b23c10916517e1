"""Writing to a user's repository: the files that are meant, and nothing else."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.source import read_text
from sandbox.worktree import WorkTree
from tests.conftest import CALC, git, make_repo

CORE = "calc/core.py"
MENDED = CALC[CORE].replace("return a + b", "return b + a")


def digests(root: Path, without: tuple[str, ...] = ()) -> dict[str, str]:
    """{path: hash of content and mode} of every file below `root`, the folders of these names left
    out."""
    return {
        str(p.relative_to(root)): hashlib.sha256(
            p.read_bytes() + str(p.stat().st_mode).encode()
        ).hexdigest()
        for p in root.rglob("*")
        if p.is_file() and not {*p.relative_to(root).parts} & {*without}
    }


@pytest.fixture
def repo(tmp_path) -> Path:
    return make_repo(tmp_path / "calc", CALC)


def test_a_commit_touches_neither_work_tree_nor_index_nor_head(repo):
    (repo / CORE).chmod(0o755)
    (repo / "notes.txt").write_text("mine\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "more")
    (repo / "notes.txt").write_text("staged\n")
    git(repo, "add", "notes.txt")
    (repo / "notes.txt").write_text("and changed\n")
    before, head = (
        digests(repo, without=("objects", "refs", "logs")),
        git(repo, "rev-parse", "HEAD"),
    )
    commit = WorkTree(repo).commit({CORE: CALC[CORE]}, {CORE: MENDED}, "fix/add", "Mend add")
    assert digests(repo, without=("objects", "refs", "logs")) == before
    assert (
        git(repo, "rev-parse", "HEAD") == head
        and git(repo, "rev-parse", "fix/add").strip() == commit
    )
    assert git(repo, "rev-parse", "fix/add~1") == head
    assert (
        git(repo, "show", f"fix/add:{CORE}") == MENDED
        and git(repo, "show", "fix/add:notes.txt") == "mine\n"
    )
    assert (
        git(repo, "diff", "--stat", "--summary", "HEAD", "fix/add").split("\n")[0].split()[0]
        == CORE
    )
    assert (
        "mode change" not in git(repo, "diff", "--summary", "HEAD", "fix/add")
        and git(repo, "fsck", "--strict") == ""
    )
    git(repo, "checkout", "-q", "--force", "fix/add")
    assert read_text(repo / CORE) == MENDED and os.access(repo / CORE, os.X_OK)


def test_a_commit_from_a_folder_below_the_top(tmp_path):
    top = make_repo(
        tmp_path / "top",
        {**{f"part/{name}": text for name, text in CALC.items()}, "other/calc/core.py": "other\n"},
    )
    WorkTree(top / "part").commit({CORE: CALC[CORE]}, {CORE: MENDED}, "fix", "Mend")
    assert git(top, "diff", "--name-only", "HEAD", "fix").split() == ["part/calc/core.py"]


def test_a_commit_wants_clean_files_and_a_new_name(repo):
    tree = WorkTree(repo)
    git(repo, "branch", "taken")
    for name in (
        git(repo, "branch", "--show-current").strip(),
        "taken",
        "taken/more",
        "no name",
        "-x",
        "a..b",
        "@{-1}",
    ):
        with pytest.raises(UsageError, match="branch"):
            tree.commit({CORE: CALC[CORE]}, {CORE: MENDED}, name, "Mend")
    (repo / CORE).write_text(CALC[CORE] + "\n# more\n")
    with pytest.raises(UsageError, match="not as in the last commit"):
        tree.commit({CORE: read_text(repo / CORE)}, {CORE: MENDED}, "fresh", "Mend")
    assert git(repo, "branch", "--format=%(refname:short)").split().count("fresh") == 0


def test_dirty_files_and_files_that_moved_on(repo):
    tree, before = WorkTree(repo), {CORE: CALC[CORE]}
    tree.check_unchanged(before)
    assert tree.dirty(before) == []
    changed = {CORE: CALC[CORE] + "\n", "calc/new.py": "x = 1\n"}
    for path, text in changed.items():
        (repo / path).write_text(text)
    assert tree.dirty(changed) == [CORE, "calc/new.py"]
    tree.check_unchanged(changed)
    with pytest.raises(UsageError, match="has changed in the meantime"):
        tree.check_unchanged(before)
    (repo / CORE).unlink()
    with pytest.raises(UsageError, match="has changed in the meantime"):
        tree.check_unchanged(before)


def test_files_are_replaced_with_their_permissions_and_line_ends(repo):
    (repo / CORE).chmod(0o750)
    (repo / CORE).write_bytes(b"# \xff\r\nx = 1\r\n")
    before = digests(repo)
    WorkTree(repo).write({CORE: read_text(repo / CORE).replace("1", "2")})
    assert (repo / CORE).read_bytes() == b"# \xff\r\nx = 2\r\n" and (
        repo / CORE
    ).stat().st_mode & 0o777 == 0o750
    after = digests(repo)
    assert {path for path in after if after[path] != before.get(path)} == {CORE} and set(
        after
    ) == set(before)


def kept_in(repo: Path, branch: str) -> bytes:
    """The file as git keeps it."""
    command = ["git", "cat-file", "blob", f"{branch}:{CORE}"]
    return subprocess.run(command, cwd=repo, check=True, capture_output=True).stdout


def test_line_ends_that_git_keeps_otherwise(repo):
    """git writes CRLF to the work tree and keeps LF: nothing is changed, and LF is committed."""
    git(repo, "config", "core.autocrlf", "true")
    for path in (CORE, "tests/test_core.py"):
        (repo / path).unlink()
    git(repo, "checkout", "-q", "--", ".")
    tree, before = WorkTree(repo), {CORE: read_text(repo / CORE)}
    assert "\r\n" in before[CORE] and tree.dirty(before) == []
    tree.commit(before, {CORE: MENDED.replace("\n", "\r\n")}, "fix", "Mend")
    assert kept_in(repo, "fix") == MENDED.encode()
    assert git(repo, "diff", "--name-only", "HEAD", "fix").split() == [CORE]
    changed = {CORE: before[CORE] + "# more\r\n"}
    (repo / CORE).write_bytes(changed[CORE].encode())
    assert tree.dirty(changed) == [CORE]
    git(repo, "checkout", "-q", "--", ".")
    git(repo, "config", "core.autocrlf", "false")
    os.utime(repo / CORE, (1, 1))  # so that git looks at the file again
    assert tree.dirty(before) == [CORE], "here other line ends are a change like any other"


def test_line_ends_that_git_keeps_as_they_are(repo):
    crlf = CALC[CORE].replace("\n", "\r\n")
    (repo / CORE).write_bytes(crlf.encode())
    git(repo, "commit", "-qam", "CRLF")
    assert WorkTree(repo).dirty({CORE: crlf}) == []
    WorkTree(repo).commit({CORE: crlf}, {CORE: MENDED.replace("\n", "\r\n")}, "fix", "Mend")
    assert kept_in(repo, "fix") == MENDED.replace("\n", "\r\n").encode()


def test_a_file_of_the_last_commit_that_is_not_there(repo):
    """As in a partial clone: git's own words."""
    blob = git(repo, "rev-parse", f"HEAD:{CORE}").strip()
    (repo / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UsageError, match=f"git cannot read .*{CORE}: .*bad file|{blob}"):
        WorkTree(repo).dirty({CORE: CALC[CORE]})


def test_a_repository_that_the_package_cannot_write(tmp_path):
    """A sentence, and the files can be written all the same."""
    root = tmp_path / "calc"
    git(tmp_path, "init", "-q", "--object-format=sha256", "calc")
    make_repo(root, CALC)
    tree, before = WorkTree(root), {CORE: CALC[CORE]}
    assert tree.dirty(before) == []
    with pytest.raises(UsageError, match="No branch can be made in .*--apply"):
        tree.commit(before, {CORE: MENDED}, "fix", "Mend")
    tree.write({CORE: MENDED})
    assert tree.dirty({CORE: MENDED}) == [CORE]
