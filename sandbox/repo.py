"""The user's repository: which commit, which interpreter, and a snapshot that everything afterwards
works on.

The work tree itself is only ever read. What is seen is the last commit plus the uncommitted
changes, that is, the files as they lie there; `Repository.dirty` says whether the two differ. Which
of them are the project's, and what else comes along because tests may need it, is said in
`project.py`. The snapshot (`snapshot.py`) lives in the cache folder under the hash of its content,
so a run goes on with what it began with however the work tree moves. What is asked of the project's
interpreter is in `interpreter.py`.
"""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from sandbox.cache import cache_folder, hold, remove
from sandbox.errors import HarnessError, UsageError
from sandbox.interpreter import (
    ask_interpreter,
    find_interpreter,
    import_names,
    installed_copies,
    needed_folders,
    path_inside,
)
from sandbox.jail.choice import jail_notice, open_jail
from sandbox.jail.jail import tasks_allowed
from sandbox.jail.layout import INSTALL_HINT, Layout, is_below
from sandbox.project import look
from sandbox.quiet_git import Absent, ask, blobs
from sandbox.snapshot import files_of, hash_files, open_to_the_jail, take_snapshot

PYTEST_NEEDS = {
    "pytest",
    "_pytest",
    "pluggy",
    "iniconfig",
    "packaging",
    "pygments",
    "exceptiongroup",
    "tomli",
}
"""Import names that pytest itself loads: a project that is one of these would judge itself."""
COMMIT_FILES = 256
"""Files of a commit that are read at a time."""


@dataclass(frozen=True)
class Repository:
    """A snapshot of the user's repository and how to run its tests. Plain data; `to_dict` goes in
    run.json."""

    root: str
    """The folder of the work tree."""
    commit: str
    """The last commit's hash."""
    dirty: bool
    """Whether the work tree differs from that commit."""
    tree: str
    """Hash of the snapshot's content."""
    python: str
    """The project's interpreter."""
    python_version: str
    folders: tuple[str, ...]
    """What the interpreter needs to see in the jail."""
    path: tuple[str, ...]
    """`sys.path` inside."""
    masked: tuple[str, ...]
    """Installed copies of the project, hidden in the jail."""
    carried: tuple[str, ...] = ()
    """What of the snapshot is not the project's (git ignores it); a folder of which that is true
    as a whole ends in "/"."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """Sentences for a person: what of the work tree is left out, and why."""

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Repository":
        lists = {k: tuple(data[k]) for k in ("folders", "path", "masked")}
        lists |= {k: tuple(data.get(k, ())) for k in ("carried", "notes")}
        return cls(**{**data, **lists})

    def carried_as(self, path: str) -> str:
        """The entry of `carried` that this path of the snapshot is or lies in; "" where it is the
        project's."""
        folders = (f"{parent}/" for parent in PurePosixPath(path).parents)
        return next((place for place in (path, *folders) if place in self._carried), "")

    @cached_property
    def _carried(self) -> frozenset[str]:
        return frozenset(self.carried)

    @property
    def project_files(self) -> list[str]:
        """Paths of the snapshot's files that are the project's, links left out."""
        return [
            path
            for path, kind in files_of(self.snapshot)
            if kind == "file" and not self.carried_as(path)
        ]

    @property
    def snapshot(self) -> Path:
        """The folder of the snapshot."""
        return cache_folder() / "trees" / self.tree

    @property
    def bytecode(self) -> Path:
        """The folder of pytest's cache files for the snapshot's tests; they fit one version of the
        interpreter."""
        return cache_folder() / "bytecode" / f"{self.tree}-{self.python_version}"

    def layout(self, preload: tuple[str, ...] = ()) -> Layout:
        """What a jail for this repository shows."""
        return Layout(
            root=Path(self.root),
            tree=self.snapshot,
            python=Path(self.python),
            preload=preload,
            bytecode=self.bytecode if self.bytecode.is_dir() else None,
            folders=tuple(map(Path, self.folders)),
            masked=tuple(map(Path, self.masked)),
        )


def open_repository(folder: str | Path, python: str | None = None) -> Repository:
    """Look at the work tree in `folder` and take its snapshot. Raises UsageError with a
    sentence."""
    root = Path(os.path.abspath(folder))
    if not root.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    commit = _last_commit(root)
    interpreter = find_interpreter(root, python)
    facts = ask_interpreter(interpreter)
    folders = needed_folders(root, facts)
    seen = look(root, folders)
    names = import_names(seen.project)
    if clash := sorted(names & PYTEST_NEEDS):
        raise UsageError(
            f"{root} is {clash[0]}, which pytest itself is built on: it would be judging itself. "
            "coldstart cannot work on this project."
        )
    inside_path = [str(root)] + ([str(root / "src")] if (root / "src").is_dir() else [])
    path = [path_inside(folder, root, facts) for folder in facts["path"]]
    return Repository(
        root=str(root),
        commit=commit,
        dirty=seen.dirty,
        tree=take_snapshot(root, seen.files),
        python=str(interpreter),
        python_version=".".join(map(str, facts["version"])),
        folders=tuple(folders),
        path=tuple(dict.fromkeys(inside_path + path)),
        masked=tuple(installed_copies(names, facts["path"])),
        carried=seen.carried,
        notes=seen.notes,
    )


def restore_snapshot(repository: Repository) -> None:
    """Make sure that the snapshot is there, and stays: take it again if it was pruned, or the
    cache emptied. That can be done while the work tree is still the same; and if there were no
    uncommitted changes, from the commit as long as git has it.

    Raises UsageError where the interpreter is gone or the work tree has moved on.
    """
    if not Path(repository.python).exists():
        raise UsageError(
            f"The interpreter of this run, {repository.python}, is gone. Recreate it, or start a "
            "new run."
        )
    hold(repository.snapshot)
    if repository.snapshot.is_dir():
        return
    root = Path(repository.root)
    if not root.is_dir() or (
        _snapshot_now(root, repository.folders) != repository.tree
        and not _taken_from_commit(repository)
    ):
        raise UsageError(
            f"The snapshot of this run is no longer in {cache_folder()}, and {repository.root} has "
            "changed since. "
            "Start a new run with: python coldstart.py tasks --repo " + repository.root
        )


def files_moved_on(repository: Repository) -> list[str] | None:
    """The project's files in the work tree, where what lies there is no longer the snapshot; None
    where it is. Nothing is copied. Raises UsageError where the work tree cannot be read."""
    root = Path(repository.root)
    if not root.is_dir():
        raise UsageError(f"{root} is gone.")
    seen = look(root, repository.folders)
    return None if hash_files(root, seen.files) == repository.tree else seen.project


def _snapshot_now(root: Path, folders: tuple[str, ...]) -> str:
    return take_snapshot(root, look(root, folders).files)


def _taken_from_commit(repository: Repository) -> bool:
    """Take the snapshot again from its commit, with what git ignores as it lies there now; whether
    that gave the very same."""
    if repository.dirty:
        return False
    with tempfile.TemporaryDirectory(prefix="coldstart-") as folder:
        tree = Path(folder)
        try:
            _write_commit(repository, tree)
            files = files_of(tree)
            if hash_files(tree, files) == repository.tree:
                return take_snapshot(tree, files) == repository.tree
        except (OSError, Absent, UsageError):  # a commit that is gone; a link in a file's way
            return False
    return False


def _write_commit(repository: Repository, tree: Path) -> None:
    """Write the files of the commit, and what git ignores, to `tree`; links last, so that nothing
    is written through one."""
    root, links = Path(repository.root), {}
    seen = look(root, repository.folders)
    for path, kind in set(seen.files) - {
        (path, kind) for path in seen.project for kind in ("file", "link")
    }:
        if kind == "link":
            links[path] = os.readlink(root / path)
        else:
            executable = (root / path).stat().st_mode & 0o100
            _write_file(tree / path, (root / path).read_bytes(), bool(executable))
    for mode, path, data in _files_of_commit(root, repository.commit):
        if mode == "120000":
            links[path] = os.fsdecode(data)
        else:
            _write_file(tree / path, data, mode == "100755")
    for path, target in links.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, tree / path)


def _write_file(file: Path, data: bytes, executable: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    file.chmod(0o755 if executable else 0o644)


def _files_of_commit(root: Path, commit: str) -> Iterator[tuple[str, str, bytes]]:
    """(mode, path below `root`, content) of what a commit has there, some in memory at a time.
    Raises Absent, UsageError."""
    listed = [entry.split("\t", 1) for entry in ask(root, "ls-tree", "-r", "-z", commit)]
    for start in range(0, len(listed), COMMIT_FILES):
        some = [(*facts.split(" "), path) for facts, path in listed[start : start + COMMIT_FILES]]
        for (mode, _, _, path), data in zip(some, blobs(root, [name for _, _, name, _ in some])):
            yield mode, path, data


# ---------------------------------------------------------------------------------------------- git


def _last_commit(root: Path) -> str:
    """Its hash. Raises UsageError where there is none, or no work tree."""
    try:
        state = "".join(ask(root, "rev-parse", "--is-bare-repository", "--is-inside-work-tree"))
    except UsageError:
        if (
            any(os.path.lexists(folder / ".git") for folder in (root, *root.parents))
            or (root / "HEAD").exists()
        ):
            raise
        raise UsageError(
            f"{root} is not a git repository. Make it one: git init && git add -A && git commit -m "
            "start"
        ) from None
    bare, inside = (word == "true" for word in state.split())
    if bare or not inside:
        raise UsageError(
            f"{root} is {'a bare' if bare else 'no work tree of a'} git repository; "
            "a work tree with files is needed."
        )
    commit = "".join(ask(root, "rev-parse", "--quiet", "--verify", "HEAD", fine=(0, 1))).strip()
    if not commit:
        raise UsageError(f"{root} has no commits yet. Make one: git add -A && git commit -m start")
    return commit


# ----------------------------------------------------------------------------------------- the jail


def keep_bytecode(repository: Repository, files: dict[str, bytes]) -> None:
    """Store pytest's cache files for the snapshot's tests ({path: content}), to be laid over it
    from now on."""
    hold(repository.bytecode)
    if repository.bytecode.is_dir():
        return
    repository.bytecode.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".making-", dir=repository.bytecode.parent))
    try:
        hold(aside)
        _write_bytecode(repository, files, aside)
    finally:
        remove(aside)


def _write_bytecode(repository: Repository, files: dict[str, bytes], aside: Path) -> None:
    for relative, data in files.items():
        target = aside / relative
        if not is_below(os.path.normpath(target), str(aside)):
            raise HarnessError(f"A cache file of pytest has the odd name {relative!r}.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o644)
    open_to_the_jail(aside)
    with suppress(OSError):  # another process was first
        os.replace(aside, repository.bytecode)


def check_jail(repository: Repository) -> str:
    """Start a jail and try to get out of it, as `try_jail` does.

    Returns what a person should know of the jail, "" where it is that of bubblewrap. Raises
    UsageError where there is no working jail.
    """
    try_jail(repository)
    return jail_notice()


def try_jail(repository: Repository) -> str:
    """Start a jail and try to get out of it: the network, a file of the host, its processes, the
    kernel's settings, namespaces; and to run more processes and threads than it may.

    Returns in words which limits the kernel holds by itself here. Raises UsageError that says what
    to install or allow where there is no working jail, or what got out.
    """
    secret = cache_folder() / f".secret-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        secret.write_text("a file of the host\n")
        facts = {
            "port": listener.getsockname()[1],
            "secret": str(secret),
            "pid": os.getpid(),
            "tasks": tasks_allowed(),
            "command": Path(f"/proc/{os.getpid()}/cmdline").read_bytes().decode("utf-8", "replace"),
        }
        request = {
            "escapes": facts,
            "files": {},
            "ids": [],
            "path": [],
            "timeout": 30.0,
            "memory_mb": 2048,
        }
        try:
            with open_jail(repository.layout(), tier="fresh") as jail:
                reply = jail.ask(request)
                in_group = jail.group is not None
        except HarnessError as error:
            hint = jail_notice() or INSTALL_HINT
            raise UsageError(f"No working jail: {error} {hint}") from None
        finally:
            secret.unlink()
    if not {"escapes", "tasks"} <= reply.keys():
        raise UsageError("No working jail: what was started in it did not answer.")
    if reply["escapes"]:
        raise UsageError(
            f"No working jail: code in it got out ({', '.join(reply['escapes'])}). coldstart will "
            "not run a model's code "
            "on this machine."
        )
    return limits_in_words(reply["tasks"], tasks_allowed(), in_group)


def limits_in_words(tasks: int, allowed: int, in_group: bool) -> str:
    """`tasks`: how many processes and threads the kernel let a jail have that tried more than are
    allowed; `in_group`: whether the jail has a cgroup of its own."""
    by_kernel, by_looking = ["memory of one process, its files and time"], []
    if tasks <= allowed:
        by_kernel.insert(0, f"{tasks} processes and threads")
    else:
        by_looking.append("processes")
    (by_kernel if in_group else by_looking).append("memory of all processes")
    words = f"limits by the kernel: {', '.join(by_kernel)}"
    if by_looking:
        words += f"; by a watchdog, which looks now and then: {', '.join(by_looking)}"
    return words
