"""Past commits undone: which of them, to what, and that the user's repository is only read."""

import difflib
import os
import shutil
import subprocess
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import UsageError
from sandbox.judge.gate import is_test_path
from sandbox.repo import open_repository
from sandbox.source import to_bytes
from sandbox.tasks.history import MAX_FILES, MAX_LINES, undo, undoings
from tests.conftest import git, make_repo
from tests.shop import make_shop
from tests.test_mine import state_of
from tests.test_quiet_git import speaking


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """(folder, {name: hash} of its commits)"""
    folder = tmp_path_factory.mktemp("shop")
    return folder, make_shop(folder)


def is_test(path: str) -> bool:
    return path.endswith(".py") and is_test_path(path)


def is_source(path: str) -> bool:
    return path.endswith(".py") and not is_test_path(path)


def undone(folder: Path, since: date | None = None):
    """([Undone], reasons)"""
    reasons = Counter()
    return list(
        undoings(
            open_repository(folder), is_source, is_test, since, reasons, lambda done, total: None
        )
    ), reasons


def commit(folder: Path, message: str, files: dict[str, str]) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD").strip()


# ------------------------------------------------------------------------------------------- which


def test_the_past_of_the_shop(shop):
    folder, commits = shop
    found, reasons = undone(folder)
    names = {hash: name for name, hash in commits.items()}
    assert [names[u.commit] for u in found] == [
        "squash",
        "plus",
        "tax",
        "checked",
        "rename",
        "counts",
        "split",
    ]
    assert reasons == {"commit that does not apply any more": 1}, (
        "a change that a later one has changed again"
    )
    by_name = {names[u.commit]: u for u in found}
    assert (
        by_name["squash"].message.startswith("An empty cart")
        and "Co-authored-by" in by_name["squash"].message
    )
    today = {path: (folder / path).read_text() for path in ("shop/money.py", "shop/cart.py")}
    assert by_name["squash"].broken.keys() == today.keys()
    # Made to shop/price.py, undone in shop/money.py, two lines from what has changed since.
    share = (
        "    share, odd = divmod(total, people)\n    return [share + 1] * odd + [share] * "
        "(people - odd)\n"
    )
    assert by_name["split"].broken == {
        "shop/money.py": today["shop/money.py"].replace(
            share, "    return [total // people] * people\n"
        )
    }
    assert by_name["tax"].broken == {
        "shop/money.py": today["shop/money.py"]
        .replace("price, rate=19", "price")
        .replace("price * rate", "price * 16")
    }
    assert by_name["rename"].broken == {
        "shop/cart.py": today["shop/cart.py"].replace("shop.money", "shop.price")
    }
    assert (
        "def add(self, name, price):\n" in by_name["counts"].broken["shop/cart.py"]
        and "largest(price for" in by_name["counts"].broken["shop/cart.py"]
    )


@pytest.mark.parametrize(
    "since, expected",
    [
        ("2024-03-12", ["squash"]),
        ("2024-03-13", []),
        ("2024-03-07", ["squash", "plus", "tax"]),
        ("2024-03-08", ["squash", "plus"]),
    ],
)
def test_since(shop, since, expected):
    folder, commits = shop
    names = {hash: name for name, hash in commits.items()}
    assert [names[u.commit] for u in undone(folder, date.fromisoformat(since))[0]] == expected


SOURCE = "".join(f"def f{i}():\n    return {i}\n\n\n" for i in range(20))
TEST = "def test():\n    pass\n"


def test_uncommitted_changes_are_today(tmp_path):
    make_repo(tmp_path, {"a.py": SOURCE, "test_a.py": TEST})
    commit(tmp_path, "c", {"a.py": SOURCE.replace("return 7", "return 77"), "test_a.py": TEST * 2})
    (tmp_path / "a.py").write_text(
        "import os\n\n"
        + SOURCE.replace("return 7\n", "return 77\n").replace("return 15", "return 16")
    )
    assert undone(tmp_path)[0][0].broken == {
        "a.py": "import os\n\n" + SOURCE.replace("return 15", "return 16")
    }
    (tmp_path / "a.py").write_text(SOURCE)
    assert undone(tmp_path) == ([], {"commit that does not apply any more": 1})


def test_commits_of_another_kind(tmp_path):
    make_repo(tmp_path, {"a.py": SOURCE, "test_a.py": TEST, "gone.py": SOURCE})
    commit(tmp_path, "source alone", {"a.py": SOURCE.replace("return 1\n", "return -1\n")})
    commit(tmp_path, "tests alone", {"test_a.py": TEST * 2})
    commit(tmp_path, "a new file", {"b.py": SOURCE, "test_a.py": TEST * 3})
    git(tmp_path, "rm", "-q", "gone.py")
    commit(tmp_path, "a file is gone", {"test_a.py": TEST * 4})
    commit(tmp_path, "other files", {"setup.cfg": "[x]\n", "test_a.py": TEST * 5})
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "nothing")
    os.symlink("a.py", tmp_path / "link.py")
    commit(tmp_path, "a link", {"test_a.py": TEST * 6})
    assert undone(tmp_path) == ([], {})


def test_a_commit_that_is_too_large(tmp_path):
    files = {f"m{i}.py": SOURCE for i in range(MAX_FILES + 1)} | {
        "big.py": "x = 0\n" * 600,
        "test_a.py": TEST,
    }
    make_repo(tmp_path, files)
    commit(
        tmp_path,
        "many files",
        {name: SOURCE.replace("return 1\n", "return 0\n") for name in files if name.startswith("m")}
        | {"test_a.py": TEST * 2},
    )
    commit(
        tmp_path,
        "many lines",
        {
            "big.py": "x = 0\n" * 300 + "y = 0\n" * (MAX_LINES + 1) + "x = 0\n" * 300,
            "test_a.py": TEST * 3,
        },
    )
    assert undone(tmp_path) == ([], {"commit that changes too much": 2})


def test_a_folder_of_a_larger_repository(tmp_path):
    make_repo(
        tmp_path,
        {
            "project/a.py": SOURCE,
            "project/test_a.py": TEST,
            "project-2/a.py": SOURCE,
            "project-2/test_a.py": TEST,
        },
    )
    inside = commit(
        tmp_path,
        "inside",
        {"project/a.py": SOURCE.replace("return 7", "return 77"), "project/test_a.py": TEST * 2},
    )
    commit(
        tmp_path,
        "beside",
        {
            "project-2/a.py": SOURCE.replace("return 7", "return 77"),
            "project-2/test_a.py": TEST * 2,
        },
    )
    found, _ = undone(tmp_path / "project")
    assert [(u.commit, u.broken) for u in found] == [(inside, {"a.py": SOURCE})]


@pytest.mark.parametrize(
    "text",
    [
        SOURCE.replace("\n", "\r\n"),
        "# -*- coding: latin-1 -*-\n# \udce9\n" + SOURCE,
        SOURCE.rstrip("\n"),
    ],
)
def test_bytes_stay(tmp_path, text):
    make_repo(tmp_path, {"a.py": text.encode("utf-8", "surrogateescape"), "test_a.py": TEST})
    commit(tmp_path, "c", {"a.py": text.replace("return 7", "return 77"), "test_a.py": TEST * 2})
    assert to_bytes(undone(tmp_path)[0][0].broken["a.py"]) == text.encode(
        "utf-8", "surrogateescape"
    )


def test_a_message_that_is_not_text(tmp_path):
    make_repo(tmp_path, {"a.py": SOURCE, "test_a.py": TEST})
    (tmp_path / "a.py").write_text(SOURCE.replace("return 7", "return 77"))
    (tmp_path / "test_a.py").write_text(TEST * 2)
    (tmp_path / "message").write_bytes(b"caf\xe9 \xff\n")
    git(tmp_path, "add", "a.py", "test_a.py")
    git(tmp_path, "-c", "i18n.commitEncoding=utf-8", "commit", "-qF", "message")
    assert undone(tmp_path)[0][0].message.encode()


def test_a_damaged_history(tmp_path):
    make_repo(tmp_path, {"a.py": SOURCE, "test_a.py": TEST})
    repository = open_repository(tmp_path)
    shutil.rmtree(tmp_path / ".git/objects")
    (tmp_path / ".git/objects").mkdir()
    with pytest.raises(UsageError, match="cannot read the history"):
        list(undoings(repository, is_source, is_test, None, Counter(), lambda done, total: None))


# ----------------------------------------------------------------------- clones that are not plain

SHALLOW = (
    "commit that is not all there: this clone is shallow (git fetch --unshallow brings the rest)"
)
PARTIAL = (
    "commit that is not all there: this clone is partial (git fetch --refetch --no-filter "
    "brings the rest)"
)


def clone_of(folder: Path, to: Path, *options: str) -> Path:
    subprocess.run(["git", "clone", "-q", *options, f"file://{folder}", to], check=True)
    return to


@pytest.mark.parametrize("depth, names", [(1, []), (3, ["squash"]), (99, None)])
def test_a_shallow_clone(shop, tmp_path, depth, names):
    folder, commits = shop
    found, reasons = undone(clone_of(folder, tmp_path / "clone", "--depth", str(depth)))
    if names is None:
        assert (found, reasons) == undone(folder), "a clone that is deep enough is a whole one"
    else:
        assert [u.commit for u in found] == [commits[name] for name in names]
        assert reasons == {SHALLOW: 1}


@pytest.fixture
def partial(tmp_path):
    """(origin, a clone of it that has the files of the last commit alone)"""
    origin = make_repo(tmp_path / "origin", {"a.py": SOURCE, "test_a.py": TEST})
    commit(origin, "one", {"a.py": SOURCE.replace("return 7", "return 77"), "test_a.py": TEST * 2})
    commit(origin, "two", {"a.py": SOURCE.replace("return 7", "return 78"), "test_a.py": TEST * 3})
    git(origin, "config", "uploadpack.allowFilter", "true")
    return origin, clone_of(origin, tmp_path / "clone", "--filter=blob:none")


@pytest.mark.parametrize("gone, old", [(False, False), (True, False), (False, True)])
def test_a_partial_clone(partial, tmp_path, monkeypatch, gone, old):
    """What it lacks is not fetched, whether its remote is there or not, nor by a git that does not
    know the variable for that."""
    origin, clone = partial
    if old:
        speaking(tmp_path, 'unset GIT_NO_LAZY_FETCH; exec $GIT "$@"', monkeypatch)
    if gone:
        origin.rename(origin.parent / "elsewhere")
    before = state_of(clone)
    assert undone(clone) == ([], {PARTIAL: 2}) and state_of(clone) == before


def test_a_partial_clone_that_was_completed(partial):
    """By what is said to do."""
    origin, clone = partial
    git(clone, *PARTIAL.partition("(git ")[2].partition(" brings")[0].split())
    assert undone(clone) == undone(origin) and len(undone(origin)[0]) == 1


def test_objects_that_are_lost(tmp_path):
    make_repo(tmp_path, {"a.py": SOURCE, "test_a.py": TEST})
    commit(tmp_path, "one", {"a.py": SOURCE.replace("return 7", "return 8"), "test_a.py": TEST * 2})
    blob = git(tmp_path, "rev-parse", "HEAD~1:a.py").strip()
    (tmp_path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    assert undone(tmp_path) == ([], {"commit that is not all there": 1})


@pytest.mark.parametrize(
    "options, attributes",
    [
        (["--config", "core.autocrlf=true"], ""),
        ([], "* text eol=crlf\n"),
        ([], "*.py text eol=crlf\n"),
        (["--config", "core.eol=crlf"], "* text=auto\n"),
    ],
)
def test_line_ends_that_git_writes_otherwise(tmp_path, options, attributes):
    """The same commits as in a plain clone, undone to the same lines."""
    files = {"a.py": SOURCE, "test_a.py": TEST, "b.py": SOURCE.rstrip("\n")}
    origin = make_repo(tmp_path / "origin", files)
    commit(origin, "one", {"a.py": SOURCE.replace("return 7", "return 77"), "test_a.py": TEST * 2})
    commit(origin, "two", {"b.py": "import os\n" + SOURCE + "x = 1", "test_a.py": TEST * 3})
    if attributes:
        commit(origin, "attributes", {".gitattributes": attributes})
    clone = clone_of(origin, tmp_path / "clone", *options)
    assert b"\r\n" in (clone / "a.py").read_bytes() and not open_repository(clone).dirty
    (plain, none), (found, reasons) = undone(origin), undone(clone)
    assert len(plain) == 2 and none == reasons == {}
    assert [u.commit for u in found] == [u.commit for u in plain]
    for ours, theirs in zip(found, plain):
        assert ours.broken == {p: t.replace("\n", "\r\n") for p, t in theirs.broken.items()}


def test_line_ends_that_have_changed_since(tmp_path):
    """A file that was kept with CRLF before: what is undone ends as today's lines do."""
    old = SOURCE.replace("\n", "\r\n")
    make_repo(tmp_path, {"a.py": old, "test_a.py": TEST})
    changed = old.replace("return 7\r", "return 77\r")
    commit(tmp_path, "one", {"a.py": changed, "test_a.py": TEST * 2})
    now = SOURCE.replace("return 7\n", "return 77\n")
    commit(tmp_path, "line ends", {"a.py": now, "test_a.py": TEST * 3})
    found, reasons = undone(tmp_path)
    assert [u.broken for u in found] == [{"a.py": SOURCE}]
    assert reasons == {"commit that changes line ends alone": 1}


def test_line_ends_of_both_kinds_stay(tmp_path):
    """Only the lines that come back have an end of ours: that of most lines."""
    mixed = SOURCE.replace("\n", "\r\n").replace("def f3():\r\n", "def f3():\n")
    make_repo(tmp_path, {"a.py": mixed, "test_a.py": TEST})
    changed = mixed.replace("return 3\r\n", "return 33\n")
    commit(tmp_path, "one", {"a.py": changed, "test_a.py": TEST * 2})
    assert undone(tmp_path)[0][0].broken == {"a.py": mixed}


def test_a_message_in_another_encoding(tmp_path):
    make_repo(tmp_path, {"a.py": SOURCE, "test_a.py": TEST})
    (tmp_path / "a.py").write_text(SOURCE.replace("return 7", "return 77"))
    (tmp_path / "test_a.py").write_text(TEST * 2)
    (tmp_path / "message").write_bytes(b"caf\xe9\n")
    git(tmp_path, "add", "a.py", "test_a.py")
    git(tmp_path, "-c", "i18n.commitEncoding=latin-1", "commit", "-qF", "message")
    assert undone(tmp_path)[0][0].message == "café\n"


# ---------------------------------------------------------------------------------------- only read


def test_nothing_of_the_repository_is_run_or_written(shop, tmp_path):
    folder, commits = shop
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, symlinks=True)
    repository = open_repository(copy)
    (tmp_path / "trap").write_text(f"#!/bin/sh\necho \"$0 $*\" >> {tmp_path}/ran\nexec cat\n")
    (tmp_path / "trap").chmod(0o755)
    for key in (
        "diff.external",
        "diff.trap.textconv",
        "diff.trap.command",
        "filter.trap.clean",
        "filter.trap.smudge",
        "filter.trap.process",
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "credential.helper",
        "gpg.program",
        "merge.trap.driver",
    ):
        git(copy, "config", key, str(tmp_path / "trap"))
    git(copy, "config", "log.showSignature", "true")
    (copy / ".git/info/attributes").write_text("*.py diff=trap filter=trap merge=trap\n")
    for hook in ("post-checkout", "pre-commit", "post-index-change", "reference-transaction"):
        (copy / ".git/hooks").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "trap", copy / ".git/hooks" / hook)
    before = state_of(copy)
    found = list(
        undoings(repository, is_source, is_test, None, Counter(), lambda done, total: None)
    )
    assert len(found) == 7 and not (tmp_path / "ran").exists()
    assert state_of(copy) == before
    # The traps work: git itself falls into them.
    subprocess.run(["git", "show", commits["plus"]], cwd=copy, capture_output=True)
    assert (tmp_path / "ran").exists()


def test_progress_is_told(shop):
    heard = []
    list(
        undoings(
            open_repository(shop[0]),
            is_source,
            is_test,
            None,
            Counter(),
            lambda done, total: heard.append((done, total)),
        )
    )
    assert heard[-1] == (12, 12) and len(heard) == 12


# ------------------------------------------------------------------------------------- undoing text


def without(today: str, before: str, after: str) -> str | None:
    old, new = before.split("\n"), after.split("\n")
    return undo(today, old, new, difflib.SequenceMatcher(None, old, new))


@pytest.mark.parametrize(
    "today, before, after, expected",
    [
        ("a\nb\nC\nd\ne", "a\nb\nc\nd\ne", "a\nb\nC\nd\ne", "a\nb\nc\nd\ne"),
        ("new\na\nb\nC\nd\ne", "a\nb\nc\nd\ne", "a\nb\nC\nd\ne", "new\na\nb\nc\nd\ne"),  # moved
        (
            "x\nb\nC\nd\ny",
            "a\nb\nc\nd\ne",
            "a\nb\nC\nd\ne",
            "x\nb\nc\nd\ny",
        ),  # other things near it have changed
        ("a\nx\nC\nd\ne", "a\nb\nc\nd\ne", "a\nb\nC\nd\ne", None),  # what is next to it has changed
        ("a\nb\nD\nd\ne", "a\nb\nc\nd\ne", "a\nb\nC\nd\ne", None),  # it has changed itself
        ("b\nC\nd\nb\nC\nd", "b\nc\nd", "b\nC\nd", None),  # twice
        ("a\nb\nd\ne", "a\nb\nc\nd\ne", "a\nb\nd\ne", "a\nb\nc\nd\ne"),  # lines were taken away
        ("a\nb\nc\nd\ne", "a\nb\nd\ne", "a\nb\nc\nd\ne", "a\nb\nd\ne"),  # lines were added
        (
            "a\nX\n1\n2\n3\n4\n5\n6\n7\n8\nY\nb",
            "a\nx\n1\n2\n3\n4\n5\n6\n7\n8\ny\nb",
            "a\nX\n1\n2\n3\n4\n5\n6\n7\n8\nY\nb",
            "a\nx\n1\n2\n3\n4\n5\n6\n7\n8\ny\nb",
        ),
        (
            "a\r\nb\r\nC\r\nd\r\ne\r\n",
            "a\nb\nc\nd\ne\n",
            "a\nb\nC\nd\ne\n",
            "a\r\nb\r\nc\r\nd\r\ne\r\n",
        ),
        ("a\r\nb\r\nc", "a\nb", "a\nb\nc", "a\r\nb"),  # the last line has no end
        ("a\r\nb", "a\nb\nc", "a\nb", "a\r\nb\r\nc"),
        (
            "8\nY\nb\na\nX\n1",
            "a\nx\n1\n2\n3\n4\n5\n6\n7\n8\ny\nb",
            "a\nX\n1\n2\n3\n4\n5\n6\n7\n8\nY\nb",
            None,
        ),  # in another order
    ],
)
def test_undoing(today, before, after, expected):
    assert without(today, before, after) == expected


LINES = st.lists(st.sampled_from("abcdefgh"), max_size=12).map("\n".join)


@given(LINES, LINES)
def test_undoing_the_last_change_gives_what_was_before_or_nothing(before, after):
    assert without(after, before, after) in (before, None)
