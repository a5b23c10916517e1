"""The user's repository: what a snapshot holds, which interpreter is found, and the sentence for
what cannot be used."""

import json
import os
import shutil
import site
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import repo as repo_module
from sandbox.errors import UsageError
from sandbox.jail.inside import landlock
from sandbox.repo import Repository, check_jail, open_repository, restore_snapshot
from sandbox.snapshot import content_hash, files_of, take_snapshot
from tests.conftest import git, make_repo

FILES = {
    "pkg/__init__.py": "",
    "pkg/core.py": "x = 1\n",
    "tests/test_core.py": "def test():\n    pass\n",
    "run.sh": "#!/bin/sh\n",
}


def names_in(folder: Path) -> set[str]:
    return {
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if not p.is_dir() or p.is_symlink()
    }


def snapshot_of(repository: Repository) -> set[str]:
    return names_in(repository.snapshot)


def refused(folder, python=None) -> str:
    """The sentence."""
    with pytest.raises(UsageError) as error:
        open_repository(folder, python)
    return str(error.value)


def make_venv(folder: Path, ours: bool = True) -> Path:
    """A virtual environment's interpreter; with `ours` it sees the packages of the one that runs
    the tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    if ours:
        packages = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
        (site_packages(folder) / "ours.pth").write_text("\n".join(packages) + "\n")
    return folder / "bin" / "python"


def site_packages(venv: Path) -> Path:
    return next(venv.glob("lib/python*/site-packages"))


# ------------------------------------------------------------------------------------- the snapshot


def test_links_inside_are_kept_and_others_dropped(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    (tmp_path / "secret").write_text("secret")
    for name, target in {
        "inside": "pkg/core.py",
        "folder": "pkg",
        "up": "../secret",
        "absolute": tmp_path / "secret",
        "self": root / "run.sh",
        "pkg/down": "../run.sh",
        "pkg/out": "../../secret",
        "dangling": "nothing",
    }.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe")
    repository = open_repository(root)
    assert snapshot_of(repository) == {*FILES, "inside", "folder", "pkg/down", "dangling"}
    assert repository.notes == (
        "absolute, pkg/out, self and 1 more are left out: they lead out of the project.",
    )
    assert os.readlink(repository.snapshot / "pkg/down") == "../run.sh"


def test_modes_and_bytes(tmp_path):
    root = make_repo(tmp_path / "p", {**FILES, "odd name é.txt": b"\xff\x00\r\n"})
    (root / "run.sh").chmod(0o750)
    (root / "pkg/core.py").chmod(0o600)
    tree = open_repository(root).snapshot
    assert (tree / "run.sh").stat().st_mode & 0o777 == 0o755 and (
        tree / "pkg/core.py"
    ).stat().st_mode & 0o777 == 0o644
    assert (tree / "odd name é.txt").read_bytes() == b"\xff\x00\r\n"


def test_the_same_tree_has_the_same_hash_and_another_one_another(tmp_path):
    root = make_repo(tmp_path / "p", FILES)

    def tree() -> str:
        return open_repository(root).tree

    first = open_repository(root)
    assert tree() == first.tree == content_hash(first.snapshot)
    assert take_snapshot(first.snapshot, files_of(first.snapshot)) == first.tree
    seen = {first.tree}
    for change in (
        lambda: (root / "pkg/core.py").write_text("x = 2\n"),
        lambda: (root / "run.sh").chmod(0o755),
        lambda: (root / "new.py").write_text(""),
        lambda: (root / "new.py").rename(root / "other.py"),
        lambda: (root / "link").symlink_to("run.sh"),
        lambda: ((root / "link").unlink(), (root / "link").symlink_to("other.py")),
    ):
        change()
        assert tree() not in seen
        seen.add(tree())
    os.utime(root / "run.sh", (0, 0))
    (root / "build").mkdir()
    assert tree() in seen


def test_uncommitted_changes_are_seen_and_said(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    clean = open_repository(root)
    (root / "pkg/core.py").write_text("x = 2\n")
    dirty = open_repository(root)
    assert (clean.dirty, dirty.dirty) == (False, True) and clean.commit == dirty.commit == git(
        root, "rev-parse", "HEAD"
    ).strip()
    assert (dirty.snapshot / "pkg/core.py").read_text() == "x = 2\n"
    (root / "pkg/core.py").write_text("x = 1\n")
    (root / "new.py").write_text("")
    assert open_repository(root).dirty


def test_plain_data_there_and_back(tmp_path):
    import json

    repository = open_repository(make_repo(tmp_path / "p", FILES))
    data = json.loads(json.dumps(repository.to_dict()))
    assert Repository.from_dict(data) == repository
    earlier = {k: v for k, v in data.items() if k not in ("carried", "notes")}
    assert Repository.from_dict(earlier) == repository, "a run from before goes on"


def test_a_snapshot_comes_back_while_the_tree_is_the_same(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    repository = open_repository(root)
    before = names_in(repository.snapshot)
    shutil.rmtree(repository.snapshot)
    restore_snapshot(repository)
    assert (
        names_in(repository.snapshot) == before
        and content_hash(repository.snapshot) == repository.tree
    )


def test_a_snapshot_that_is_there_is_used_however_the_tree_moves(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    repository = open_repository(root)
    shutil.rmtree(root)
    restore_snapshot(repository)
    assert names_in(repository.snapshot) == set(FILES)


@pytest.mark.parametrize("below", ["", "part"])
def test_a_snapshot_comes_back_from_its_commit(tmp_path, below):
    files = {**FILES, "run.sh": "#!/bin/sh\n", "sub/b.bin": b"\0\xff\n", ".gitignore": "data/\n"}
    top = make_repo(
        tmp_path / "p",
        {
            "beside.py": "",
            **{f"{below}/{path}".lstrip("/"): content for path, content in files.items()},
        },
    )
    root = top / below
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("pkg/core.py")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "more")
    (root / "data").mkdir()
    (root / "data/numbers.txt").write_text("1 2 3\n")
    repository = open_repository(root)
    before = names_in(repository.snapshot)
    assert "data/numbers.txt" in before and not repository.dirty
    (root / "pkg/core.py").write_text("x = 3\n")
    git(root, "commit", "-qam", "later")
    (root / "new.py").write_text("y = 1\n")
    shutil.rmtree(repository.snapshot)
    restore_snapshot(repository)
    assert names_in(repository.snapshot) == before
    assert content_hash(repository.snapshot) == repository.tree


def test_what_git_ignores_now_is_in_the_commits_way(tmp_path):
    root = make_repo(tmp_path / "p", {**FILES, "data/a.txt": "1\n"})
    repository = open_repository(root)
    git(root, "rm", "-qr", "data")
    (root / "data").write_text("a file\n")
    (root / ".gitignore").write_text("data\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "no folder any more")
    shutil.rmtree(repository.snapshot)
    with pytest.raises(UsageError, match="has changed since"):
        restore_snapshot(repository)


@pytest.mark.parametrize("move", ["change", "delete"])
def test_a_snapshot_is_lost_with_its_tree(tmp_path, move):
    root = make_repo(tmp_path / "p", FILES)
    (root / "pkg/core.py").write_text("x = 2\n")
    repository = open_repository(root)
    shutil.rmtree(repository.snapshot)
    if move == "delete":
        shutil.rmtree(root)
    else:
        (root / "pkg/core.py").write_text("x = 3\n")
    with pytest.raises(UsageError, match="has changed since.*Start a new run"):
        restore_snapshot(repository)


def test_an_interpreter_that_is_gone(tmp_path):
    repository = open_repository(make_repo(tmp_path / "p", FILES))
    with pytest.raises(UsageError, match="is gone"):
        restore_snapshot(replace(repository, python=str(tmp_path / "python")))


# ---------------------------------------------------------------------------------- the interpreter


def test_the_interpreter_in_the_order_that_is_stated(tmp_path, monkeypatch):
    root = make_repo(tmp_path / "p", FILES)
    assert open_repository(root).python == sys.executable
    active, venv, hidden, named = (
        make_venv(f)
        for f in (tmp_path / "active", root / "venv", root / ".venv", tmp_path / "named")
    )
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    assert open_repository(root, str(named)).python == str(named)
    assert open_repository(root).python == str(hidden)
    shutil.rmtree(root / ".venv")
    assert open_repository(root).python == str(venv)
    shutil.rmtree(root / "venv")
    assert open_repository(root).python == str(active)
    shutil.rmtree(tmp_path / "active")
    repository = open_repository(root)
    assert repository.python == sys.executable and repository.python_version == ".".join(
        map(str, sys.version_info[:3])
    )


def test_an_interpreter_by_its_name_on_the_path(tmp_path, monkeypatch):
    root = make_repo(tmp_path / "p", FILES)
    python = make_venv(tmp_path / "named")
    monkeypatch.setenv("PATH", f"{python.parent}:{os.environ['PATH']}")
    assert open_repository(root, "python").python == str(python)


def test_an_installed_copy_of_the_project_is_masked(tmp_path):
    root = make_repo(tmp_path / "p", {**FILES, "src/inner/__init__.py": "", "single.py": ""})
    for name in (
        "src/acme/billing/__init__.py",
        "src/acme/mail/send.py",
        "node_modules/other/__init__.py",
    ):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("")
    packages = site_packages(make_venv(root / ".venv").parent.parent)
    for name in ("pkg", "inner", "other", "acme/billing", "acme/other"):
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").write_text("")
    for name in ("single.py", "acme/mail/send.py", "acme/mail/other.py"):
        (packages / name).parent.mkdir(exist_ok=True)
        (packages / name).write_text("")
    repository = open_repository(root)
    assert set(repository.masked) == {
        str(packages / name)
        for name in ("pkg", "inner", "single.py", "acme/billing", "acme/mail/send.py")
    }


# ------------------------------------------------------------------------------ what cannot be used


def test_not_a_folder(tmp_path):
    assert "is not a folder" in refused(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    assert "is not a folder" in refused(tmp_path / "file")


def test_not_a_git_repository(tmp_path):
    if subprocess.run(["git", "rev-parse"], cwd=tmp_path, capture_output=True).returncode == 0:
        pytest.skip("the folder of temporary files lies in a git repository")
    assert "is not a git repository" in refused(tmp_path) and "git init" in refused(tmp_path)


def test_no_commits(tmp_path):
    said = refused(make_repo(tmp_path / "p", FILES, commit=False))
    assert "has no commits yet" in said and "git commit" in said


def test_a_bare_repository(tmp_path):
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    assert "bare" in refused(tmp_path / "bare.git")


def test_a_damaged_repository(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    for path in (root / ".git" / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"")
    assert str(root) in refused(root)


def test_no_such_interpreter(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    assert "there is no such interpreter" in refused(root, str(tmp_path / "python9"))
    assert "there is no such interpreter" in refused(root, "python-that-is-nowhere")


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\nexit 1\n",
        "#!/bin/sh\necho hello\n",
        "#!/no/such/shell\n",
        "#!/bin/sh\necho '{}'\n",
        "#!/bin/sh\necho 1\n",
    ],
)
def test_what_is_no_interpreter(tmp_path, script):
    root = make_repo(tmp_path / "p", FILES)
    python = tmp_path / "python"
    python.write_text(script)
    python.chmod(0o755)
    said = refused(root, str(python))
    assert "does not work as a Python interpreter" in said and "--python" in said


def test_an_old_interpreter(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho \'{"version": [3, 8, 19], "prefixes": [], "path": [], "pytest": true}\'\n'
    )
    python.chmod(0o755)
    assert "3.8.19" in refused(root, str(python)) and "3.9 or newer" in refused(root, str(python))


def test_pytest_is_missing_in_the_project_s_interpreter(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    python = make_venv(root / ".venv", ours=False)
    said = refused(root)
    assert (
        "pytest is not installed in the project's interpreter" in said
        and f"{python} -m pip install pytest" in said
    )


def test_an_unreadable_file(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root can read everything")
    root = make_repo(tmp_path / "p", FILES)
    (root / "pkg/core.py").chmod(0)
    assert "cannot be read" in refused(root)


def test_a_project_that_pytest_is_built_on(tmp_path):
    assert "judging itself" in refused(
        make_repo(tmp_path / "p", {"src/pluggy/__init__.py": "", "tests/test_a.py": ""})
    )


def test_an_interpreter_that_keeps_its_packages_at_home(tmp_path, monkeypatch):
    root = make_repo(tmp_path / "p", FILES)
    monkeypatch.setenv("HOME", str(Path(site.__file__).parent))
    assert "virtual environment" in refused(root)


def test_an_interpreter_that_the_jail_of_root_cannot_reach(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("the jail of others runs as themselves")
    root = make_repo(tmp_path / "p", FILES)
    make_venv(root / ".venv").parent.parent.chmod(0o700)
    assert "closed to others" in refused(root) and f"chmod o+rx {root}/.venv" in refused(root)


@pytest.fixture
def false_bwrap(monkeypatch):
    """Makes a script of this text the only bubblewrap there is; root's jail must get through to
    it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)

        def write(text: str) -> None:
            Path(folder, "bwrap").write_text(text)
            Path(folder, "bwrap").chmod(0o755)
            monkeypatch.setenv("PATH", folder)

        yield write


def check_without_bubblewrap(repository: Repository) -> str:
    """What is said: by the second jail where this kernel has one, else by the refusal."""
    if landlock.version() >= landlock.MINIMUM:
        return check_jail(repository)
    with pytest.raises(UsageError, match="No working jail: ") as error:
        check_jail(repository)
    return str(error.value)


def test_without_bubblewrap_it_is_said_what_to_install(tmp_path, monkeypatch):
    repository = open_repository(make_repo(tmp_path / "p", FILES))
    assert check_jail(repository) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    said = check_without_bubblewrap(repository)
    assert "bubblewrap is not installed" in said and "apt install bubblewrap" in said


def test_a_bubblewrap_that_does_not_work_is_quoted(tmp_path, false_bwrap):
    repository = open_repository(make_repo(tmp_path / "p", FILES))
    false_bwrap("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    said = check_without_bubblewrap(repository)
    assert "setting up uid map: Permission denied" in said
    assert "Landlock" in said and "bubblewrap is not installed" not in said


def test_a_bubblewrap_that_starts_nothing_is_refused(tmp_path, false_bwrap):
    repository = open_repository(make_repo(tmp_path / "p", FILES))
    false_bwrap("#!/bin/sh\nexit 0\n")
    with pytest.raises(UsageError, match="No working jail: .*apt install bubblewrap"):
        check_jail(repository)


def test_the_escapes_that_are_tried_in_the_jail_work_outside_of_it(tmp_path):
    # Otherwise their failing inside would say nothing.
    secret = tmp_path / "secret"
    secret.write_text("x")
    script = (
        "import json, os, socket, sys; sys.path.insert(0, sys.argv[1]); import escapes\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "command = open('/proc/self/cmdline', 'rb').read().decode()\n"
        "print(json.dumps(escapes.succeeded({'port': listener.getsockname()[1], 'secret': "
        "sys.argv[2], 'pid': os.getpid(),"
        " 'command': command})))"
    )
    inside = Path(repo_module.__file__).parent / "jail" / "inside"
    done = subprocess.run(
        [sys.executable, "-c", script, str(inside), str(secret)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"network", "read a file", "write beside it", "see the parent"} <= set(
        json.loads(done.stdout)
    )
    assert secret.exists() and not secret.with_name("secret.escaped").exists()


def test_the_jail_is_tried_and_leaves_no_secret_behind(tmp_path, cache):
    repository = open_repository(make_repo(tmp_path / "p", {"a.py": ""}))
    check_jail(repository)
    assert not list((cache / "coldstart").glob(".secret-*"))
