"""What of a work tree is the project, what comes along with it, and what is left out and said."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.project import MAX_FILE, MAX_FILES, MAX_FOLDER
from sandbox.repo import Repository, open_repository, restore_snapshot
from tests.conftest import git, make_repo, run_cli
from tests.test_repo import make_venv, refused, site_packages, snapshot_of

FILES = {"pkg/__init__.py": "", "pkg/core.py": "x = 1\n", "test_core.py": "def test():\n    pass\n"}
RUN = json.dumps({"format": 1, "repository": {}, "recipe": {}})


def add(root: Path, *names: str, text: str = "x\n") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def sparse(file: Path, size: int) -> None:
    """A file of this size that takes no room; to read it would take for ever."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.truncate(file, size)


def project_of(repository: Repository) -> set[str]:
    return {path for path in snapshot_of(repository) if not repository.carried_as(path)}


def said(repository: Repository) -> str:
    return "\n".join(repository.notes)


# --------------------------------------------------------------------------------- the project


def test_what_git_tracks_or_would_track_whatever_it_is_called(tmp_path):
    tracked = {
        "build/plan.py",
        "dist/core.py",
        "jobs/run.json",
        "jobs/load.py",
        "runs/latest/a.py",
        "node_modules/a.py",
        ".tox/a.py",
        "pkg/.eggs/a.py",
        "env/a.py",
        "venv/b.py",
    }
    new = {"out/run.json", "out/new.py", ".nox/new.py", "lib/build/new.py"}
    root = make_repo(
        tmp_path / "p",
        {
            **FILES,
            **dict.fromkeys(tracked, "x = 1\n"),
            "runs/latest/run.json": "{}",
            "env/CACHEDIR.TAG": "",
        },
    )
    clean = open_repository(root)
    add(root, *new)
    add(root, "out/run.json", text=json.dumps({"format": 1, "hour": 3}))
    repository = open_repository(root)
    everything = {*FILES, *tracked, *new, "runs/latest/run.json", "env/CACHEDIR.TAG"}
    assert snapshot_of(repository) == project_of(repository) == everything
    assert repository.notes == repository.carried == () and repository.dirty and not clean.dirty


def test_a_tracked_file_that_gitignore_matches_is_the_project_s(tmp_path):
    root = make_repo(tmp_path / "p", {**FILES, ".gitignore": "/gen/\n*.ini\n"})
    add(root, "gen/kept.py", "gen/other.py", "gen/deep/more.py", "a.ini", "b.ini")
    git(root, "add", "-f", "gen/kept.py", "a.ini")
    git(root, "commit", "-qm", "more")
    repository = open_repository(root)
    assert project_of(repository) == {*FILES, ".gitignore", "gen/kept.py", "a.ini"}
    assert repository.carried == ("b.ini", "gen/deep/", "gen/other.py")
    assert repository.carried_as("gen/deep/more.py") == "gen/deep/"
    assert set(repository.project_files) == project_of(repository)


def test_what_is_on_the_disk_counts(tmp_path):
    root = make_repo(tmp_path / "p", {**FILES, "gone.py": "", "a/b.py": "", "c": "", "d/e.py": ""})
    (root / "gone.py").unlink()
    (root / "a").rename(root / "z")
    (root / "a").symlink_to("z")
    (root / "c").unlink()
    add(root, "c/f.py", "pkg/stray.pyc")
    repository = open_repository(root)
    assert snapshot_of(repository) == {*FILES, "a", "z/b.py", "c/f.py", "d/e.py"}
    assert repository.dirty and repository.notes == ()


def test_a_submodule_is_the_project_s(tmp_path):
    other = make_repo(tmp_path / "other", {"lib.py": "x = 1\n", ".gitignore": "made.py\n"})
    root = make_repo(tmp_path / "p", FILES)
    allowed = ("-c", "protocol.file.allow=always")
    git(root, *allowed, "submodule", "add", "-q", str(other), "third/party")
    git(root, "commit", "-qam", "submodule")
    assert not open_repository(root).dirty
    add(root, "third/party/made.py")
    carried = open_repository(root)
    assert carried.carried == ("third/party/made.py",) and not carried.dirty
    add(root, "third/party/new.py")
    repository = open_repository(root)
    inside = {"third/party/lib.py", "third/party/.gitignore", "third/party/new.py"}
    assert project_of(repository) == {*FILES, ".gitmodules", *inside} and repository.dirty
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "-q", str(root), str(copy))
    bare = open_repository(copy)
    assert project_of(bare) == {*FILES, ".gitmodules"} and not bare.dirty
    assert said(bare).startswith("third/party/ is left out: it is a submodule that is not checked")


def test_a_folder_of_a_larger_work_tree(tmp_path):
    files = {"other.py": "", ".gitignore": "made.py\n", "one/a.py": ""}
    root = make_repo(tmp_path / "larger", files)
    add(root, "one/made.py", "one/sub/made.py", "made.py", "two/b.py")
    repository = open_repository(root / "one")
    assert project_of(repository) == {"a.py"} and repository.carried == ("made.py", "sub/")
    assert not repository.dirty, "what lies beside the folder does not count"
    assert project_of(open_repository(root / "two")) == {"b.py"}


def test_a_repository_of_its_own_that_is_not_tracked(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    make_repo(root / "clone", {"a.py": ""})
    repository = open_repository(root)
    assert snapshot_of(repository) == set(FILES) and not repository.dirty
    assert said(repository) == (
        "clone/ is left out: it is a git repository of its own, which this one does not track."
    )


@pytest.mark.parametrize("ignored", ["inner/", "*"])
def test_a_folder_that_an_outer_repository_ignores(tmp_path, ignored):
    outer = make_repo(tmp_path / "outer", {"a.py": ""})
    add(outer, ".gitignore", text=f"{ignored}\n")
    add(outer, "inner/deep/core.py")
    for folder in (outer / "inner", outer / "inner" / "deep"):
        sentence = refused(folder)
        assert f"{folder} lies in the git repository {outer}, which tracks nothing" in sentence
        assert f"cd {folder} && git init" in sentence
    git(outer / "inner", "init", "-q")
    assert "has no commits yet" in refused(outer / "inner")


def test_a_repository_that_ignores_all_of_itself(tmp_path):
    root = make_repo(tmp_path / "p", {".git-keep": ""}, commit=False)
    (root / ".git-keep").unlink()
    git(root, "commit", "-q", "--allow-empty", "-m", "start")
    assert open_repository(root).notes == (), "an empty one is just empty"
    add(root, ".gitignore", "core.py", text="*\n")
    assert f"git tracks no file of {root} and ignores all that is there" in refused(root)


# --------------------------------------------------------------------------------- environments


def test_an_environment_is_never_the_project_s(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {**FILES, "ours/pyvenv.cfg": "", "ours/lib/a.py": "", ".gitignore": "hidden/\n*.so\n"},
    )
    add(
        root,
        "tools/py/pyvenv.cfg",
        "tools/py/lib/a.py",
        "tools/py/lib/b.so",
        "tools/run.py",
        "c/conda-meta/history",
        "c/lib/python3.11/a.py",
        "hidden/pyvenv.cfg",
        "hidden/a.py",
    )
    for name, target in (("short", "tools/py"), ("shorter", "c/lib")):
        (root / name).symlink_to(target)
    repository = open_repository(root)
    assert snapshot_of(repository) == {*FILES, ".gitignore", "tools/run.py"}
    assert repository.carried == ()
    for name in ("ours", "tools/py", "c"):
        assert f"{name}/ is left out: it is a virtual environment." in repository.notes
    assert "hidden" not in said(repository), "what git ignores nobody misses"


def test_an_environment_that_nobody_committed_is_no_change(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    make_venv(root / "env311")
    assert not open_repository(root, str(root / "env311/bin/python")).dirty


def test_in_an_environment_the_project_is_what_git_tracks(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    add(root, "pyvenv.cfg", "lib/python3.11/a.py", "new.py")
    repository = open_repository(root)
    assert snapshot_of(repository) == set(FILES)
    assert "is a virtual environment itself, so only what git tracks" in said(repository)


def facts_of(tmp_path: Path, prefix: Path, *path: Path) -> str:
    """An interpreter that says this of itself."""
    facts = {
        "version": [3, 11, 2],
        "prefixes": [str(prefix)],
        "path": list(map(str, path)),
        "pytest": True,
    }
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n")
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize("mark", ["env/conda-meta/history", "env/pyvenv.cfg", "env/unmarked"])
def test_an_interpreter_in_the_project_s_folder(tmp_path, mark):
    """Its packages stay visible where they lie, and are no part of the project, marked or not."""
    root = make_repo(tmp_path / "p", FILES)
    packages = root / "env" / "lib" / "site-packages"
    add(root, mark, "env/lib/site-packages/other.py")
    python = facts_of(tmp_path, root / "env", packages, root / "pkg", root)
    repository = open_repository(root, python)
    assert repository.folders == (str(root / "env"),) and snapshot_of(repository) == set(FILES)
    assert str(packages) in repository.path and str(root / "pkg") in repository.path
    shutil.rmtree(repository.snapshot)
    restore_snapshot(repository)
    assert snapshot_of(repository) == set(FILES)


def test_an_interpreter_that_is_the_project_s_folder(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    sentence = refused(root, facts_of(tmp_path, root, root / "lib"))
    assert "among the project's files" in sentence and "python -m venv .venv" in sentence


def test_a_project_that_is_opened_through_a_link(tmp_path):
    """Its editable install leads to the folder's real name: not shown in the jail but as a copy."""
    root = make_repo(tmp_path / "p", {**FILES, "python/edit/__init__.py": ""})
    link = tmp_path / "link"
    link.symlink_to("p")
    packages = site_packages(make_venv(tmp_path / "v").parent.parent)
    (packages / "edit.pth").write_text(f"{root}/python\n")
    repository = open_repository(link, str(tmp_path / "v/bin/python"))
    assert repository.root == str(link) and f"{link}/python" in repository.path
    shown = (*repository.folders, *repository.path)
    assert not any(folder.startswith(str(root)) for folder in shown)


# --------------------------------------------------------------------------------- what comes along


def test_what_git_ignores_comes_along_and_is_not_the_project_s(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            **FILES,
            ".gitignore": "_version.py\ndata/\nmade*\n.*cache\n"
            "__pycache__/\nruns/\nnode_modules/\nlogs/\n",
        },
    )
    kept = {"pkg/_version.py", "data/a.txt", "data/deep/b.py", "made.so", "data/jobs/run.json"}
    add(
        root,
        *kept,
        "pkg/__pycache__/a.pyc",
        "pkg/made.pyc",
        "data/.git/config",
        "data/sub/.git",
        "data/node_modules/a.js",
        "node_modules/a.js",
        "logs/CACHEDIR.TAG",
        "logs/a.txt",
        "data/env/conda-meta/history",
        "data/env/a.py",
        ".pytest_cache/v/x",
        ".other.cache",
    )
    add(root, "runs/r/run.json", "data/out/run.json", text=RUN)
    add(root, "runs/r/tasks.jsonl", "data/out/tasks.jsonl")
    (root / "data/link").symlink_to("../pkg")
    (root / "data/out.txt").symlink_to("../../secret")
    repository = open_repository(root)
    assert project_of(repository) == {*FILES, ".gitignore"} and not repository.dirty
    assert snapshot_of(repository) - project_of(repository) == {*kept, "data/link", ".other.cache"}
    assert repository.carried == (".other.cache", "data/", "made.so", "pkg/_version.py")
    assert repository.notes == ()


def test_what_was_built_of_the_project_holds_copies_and_is_left_out(tmp_path):
    root = make_repo(tmp_path / "p", {**FILES, ".gitignore": "build/\ndist/\n", "one/a.py": ""})
    add(root, "build/lib/pkg/core.py", "dist/p.whl", "one/build/lib/a.py")
    repository = open_repository(root)
    assert snapshot_of(repository) == {*FILES, ".gitignore", "one/a.py"}
    why = "is left out: git ignores it, and what is built holds copies of the project; tests that"
    named = [note.partition(" ")[0] for note in repository.notes]
    assert named == ["build/", "dist/", "one/build/"]
    assert all(why in note for note in repository.notes)
    git(root, "add", "-f", "build/lib/pkg/core.py")
    assert "build/lib/pkg/core.py" in project_of(open_repository(root))


def test_a_run_of_ours_in_the_project_s_folder_is_left_out(tmp_path):
    root = make_repo(tmp_path / "p", FILES)
    add(root, "runs/p-1/run.json", "elsewhere/run.json", text=RUN)
    add(root, "runs/p-1/rollouts.jsonl", "runs/notes.txt", "elsewhere/tasks.jsonl")
    (root / "runs/latest").symlink_to("p-1")
    repository = open_repository(root)
    assert snapshot_of(repository) == set(FILES) and not repository.dirty
    git(root, "add", "runs/notes.txt", "elsewhere/tasks.jsonl")
    git(root, "commit", "-qm", "mine")
    tracked = {"runs/notes.txt", "elsewhere/tasks.jsonl"}
    assert snapshot_of(open_repository(root)) == {*FILES, *tracked}


def test_what_is_large_is_neither_read_nor_copied_and_is_named(tmp_path):
    ignored = "data/\nmany/\nmixed/\n*.bin\n*.txt\n"
    root = make_repo(tmp_path / "p", {**FILES, ".gitignore": ignored})
    sparse(root / "data/all/huge", 1 << 40)
    sparse(root / "pkg/weights.bin", 1 << 40)
    sparse(root / "pkg/small.bin", MAX_FILE)
    sparse(root / "mixed/large", MAX_FILE + 1)
    add(root, "mixed/small", *(f"many/{i % 7}/{i}" for i in range(MAX_FILES + 1)))
    add(root, *(f"pkg/sub/{i}.txt" for i in range(MAX_FILES + 1)), "pkg/sub/__init__.py")
    repository = open_repository(root)
    assert repository.carried == ("mixed/", "pkg/small.bin")
    carried = snapshot_of(repository) - project_of(repository)
    assert carried == {"mixed/small", "pkg/small.bin"}
    fail = "tests that need {} fail in the jail."
    assert sorted(repository.notes) == [
        f"The files in pkg/sub/ that git ignores are left out: they are more than 2,000 files; "
        f"{fail.format('them')}",
        f"data/ is left out: git ignores it, and it holds more than 64 MiB; {fail.format('it')}",
        f"many/ is left out: git ignores it, and it holds more than 2,000 files; "
        f"{fail.format('it')}",
        f"mixed/large (8 MiB) is left out: git ignores it, and more than 8 MiB is much to copy; "
        f"{fail.format('it')}",
        f"pkg/weights.bin (1048576 MiB) is left out: git ignores it, and more than 8 MiB is much "
        f"to copy; {fail.format('it')}",
    ]


def test_the_limits_are_kept_to_the_file(tmp_path):
    root = make_repo(tmp_path / "p", {**FILES, ".gitignore": "data/\nmany/\n"})
    for number in range(MAX_FOLDER // MAX_FILE):
        sparse(root / f"data/{number}", MAX_FILE)
    add(root, *(f"many/{i}" for i in range(MAX_FILES)))
    assert open_repository(root).carried == ("data/", "many/")
    add(root, "data/one", text="x")
    add(root, "many/one")
    assert open_repository(root).carried == ()


def test_names_of_every_kind(tmp_path):
    odd = {"new\nline.py", "tab\t.py", " é 名.py", os.fsdecode(b"\xff.py"), "[a]*.py", '"q".py'}
    root = make_repo(
        tmp_path / "p [v] é", {**FILES, **dict.fromkeys(odd, ""), ".gitignore": "made*\n"}
    )
    add(root, "made\n1.py", "pkg/made é/a.py")
    sparse(root / os.fsdecode(b"made\xff\x1b[0m"), MAX_FILE + 1)
    repository = open_repository(root)
    assert project_of(repository) == {*FILES, *odd, ".gitignore"} and not repository.dirty
    assert repository.carried == ("made\n1.py", "pkg/made é/")
    assert said(repository).startswith("made\\udcff\\x1b[0m (8 MiB) is left out")
    assert Repository.from_dict(json.loads(json.dumps(repository.to_dict()))) == repository


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_what_git_ignores_and_nobody_may_read_is_named(tmp_path):
    root = make_repo(tmp_path / "p", {**FILES, ".gitignore": "data/\n"})
    add(root, "data/open", "data/secret", "data/closed/a")
    for name in ("data/secret", "data/closed"):
        (root / name).chmod(0)
    try:
        repository = open_repository(root)
    finally:
        (root / "data/closed").chmod(0o755)
    assert repository.carried == ("data/",)
    assert "data/closed/ and data/secret are left out: git ignores them" in said(repository)


# --------------------------------------------------------------------------------- git, quietly


def test_nothing_that_the_repository_s_settings_name_is_run(tmp_path):
    other = make_repo(tmp_path / "other", {"lib.py": "x = 1\n"})
    root = make_repo(tmp_path / "p", FILES)
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "third")
    git(root, "commit", "-qam", "submodule")
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\necho \"$0 $*\" >> {tmp_path}/ran\nexec cat\n")
    trap.chmod(0o755)
    folders = {root: root / ".git", root / "third": root / ".git/modules/third"}
    for number, (folder, settings) in enumerate(folders.items()):
        one, other = f"one{number}", f"other{number}"
        for key in (
            f"filter.{one}.clean",
            f"filter.{one}.smudge",
            f"filter.{other}.process",
            "core.fsmonitor",
            "core.pager",
            "diff.external",
        ):
            git(folder, "config", key, str(trap))
        git(folder, "config", f"filter.{one}.required", "true")
        (settings / "info").mkdir(exist_ok=True)
        attributes = f"*.py filter={one}\n__init__.py filter={other}\n"
        (settings / "info/attributes").write_text(attributes)
        (settings / "hooks").mkdir(exist_ok=True)
        for hook in ("post-index-change", "reference-transaction"):
            shutil.copy(trap, settings / "hooks" / hook)
    for file in (root / "pkg/core.py", root / "pkg/__init__.py", root / "third/lib.py"):
        os.utime(file, (1, 1))  # git must look into them to know
    repository = open_repository(root)
    assert not (tmp_path / "ran").exists() and not repository.dirty
    add(root, "third/lib.py", text="x = 2\n")
    assert open_repository(root).dirty and not (tmp_path / "ran").exists()
    subprocess.run(["git", "status"], cwd=root, capture_output=True)
    ran = (tmp_path / "ran").read_text()
    assert len(ran.splitlines()) > 1, "git itself falls into the traps"


def test_without_git(tmp_path, monkeypatch):
    root = make_repo(tmp_path / "p", FILES)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git cannot be started"):
        open_repository(root, sys.executable)


# --------------------------------------------------------------------------------- on the screen


@pytest.mark.slow
def test_it_is_said_what_is_left_out(tmp_path):
    test = "from core import up\n\n\ndef test_up():\n    assert up(1) == 2\n"
    root = make_repo(
        tmp_path / "p",
        {
            "core.py": "def up(x):\n    return x + 1\n",
            "test_core.py": test,
            ".gitignore": "data/\n",
        },
    )
    sparse(root / "data/huge", 1 << 40)
    done = run_cli("tasks", "--repo", "p", "--recipe", "nano", cwd=tmp_path)
    note = "data/ is left out: git ignores it, and it holds more than 64 MiB; tests that need it"
    assert note in done.stdout and "1 tasks mined" in done.stdout
    again = run_cli("tasks", "--repo", "p", "--recipe", "nano", "--json", cwd=tmp_path)
    assert "Going on with" in again.stderr and note in again.stderr
    assert json.loads(again.stdout.splitlines()[-1])["notes"][0].startswith(note)
