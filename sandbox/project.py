"""What of a work tree is the project: what git says, and never a guess by a folder's name.

    seen = look(root, environments)
    seen.project              # paths below root of what is the project's
    seen.carried, seen.files  # what comes along with it, and both: all that a snapshot takes

- *The project* is what git tracks, submodules that are checked out included, and what is neither
  tracked nor ignored. It may lie in a folder of a larger work tree.
- *Never* a virtual environment, tracked or not; nor a repository of its own that git does not
  track, nor a run of coldstart that git does not track; nor bytecode.
- *Carried*: tests often need what git ignores (a generated module, a compiled one, small data).
  It comes along where that is cheap and is not the project: no task is made of it and nothing of
  it is traced. What is large is left out without being read, and what was built of the project
  because it holds copies of it; `notes` names both.
"""

import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.jail.layout import is_below
from sandbox.quiet_git import ask, differs

ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
"""What tells that a folder holds an environment of installed packages."""
RUN_KEYS = {"format", "repository", "recipe"}
"""Of the run.json of a run of ours."""
CACHES = {
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".tox",
    ".nox",
    ".eggs",
    "node_modules",
    ".hypothesis",
    ".ipynb_checkpoints",
}
"""Names of what tools keep for themselves: asked only of folders that git ignores."""
BUILT = {"build", "dist"}
"""Names of what packaging makes: it holds copies of the project, in which an answer could be read.
Asked only of folders that git ignores as a whole."""
CACHE_MARK = "CACHEDIR.TAG"
BYTECODE = (".pyc", ".pyo")
MAX_FILE, MAX_FOLDER, MAX_FILES = 8 << 20, 64 << 20, 2000
"""Bytes of an ignored file that comes along, bytes and files of an ignored folder."""
NAMED = 3
"""Files that one sentence names."""


@dataclass(frozen=True)
class Seen:
    """What lies in a work tree."""

    project: list[str]
    """Paths of the project's files and links."""
    files: list[tuple[str, str]]
    """(path, "file" | "link") of all that a snapshot takes, in the order of `in_order`."""
    carried: tuple[str, ...]
    """What of it is not the project's; a folder of which that is true as a whole ends in "/"."""
    notes: tuple[str, ...]
    """Sentences for a person: what is left out, and why."""
    dirty: bool
    """Whether the project differs from the last commit."""


def look(root: Path, environments: Iterable[str] = ()) -> Seen:
    """Look at the work tree that `root` is, or is a folder of. `environments`: folders in it of
    the interpreter's own, which are known to be no part of the project.

    Raises UsageError where git cannot be asked, or knows of nothing in `root`.
    """
    listed = _listed(root)
    if not (listed.tracked or listed.untracked):
        _refuse_unknown(root)
    folders = _Folders(root, environments)
    notes = _Notes(root, listed.notes)
    project = [
        *_kept(folders, listed.tracked, notes),
        *_kept(folders, _not_ours(folders, listed.untracked, notes), notes),
    ]
    untracked = set(listed.untracked)
    dirty = listed.dirty or any(path in untracked for path, _ in project)
    files, carried = _carried(folders, listed.ignored, notes)
    return Seen(
        [path for path, _ in project],
        in_order(project + files),
        tuple(sorted(carried)),
        notes.sentences(),
        dirty,
    )


def in_order(files: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sorted, each once: of every folder what lies in it, then its folders."""

    def key(file: tuple[str, str]) -> list[tuple[bool, str]]:
        *folders, name = file[0].split("/")
        return [*((True, folder) for folder in folders), (False, name)]

    return sorted(set(files), key=key)


# ------------------------------------------------------------------------------------ listed


@dataclass
class _Listed:
    """Paths that git lists; folders end in "/"."""

    tracked: list[str] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    dirty: bool = False
    notes: list[str] = field(default_factory=list)


def _listed(root: Path, below: str = "") -> _Listed:
    """What git says of `root`/`below`, and of the submodules in there."""
    folder, listed = root / below, _Listed()
    modules: dict[str, None] = {}
    tracked: dict[str, None] = {}  # in the middle of a merge a path is there thrice
    for entry in ask(folder, "ls-files", "-z", "--stage"):
        facts, _, path = entry.partition("\t")
        (modules if facts.startswith("160000") else tracked)[below + path] = None
    listed.tracked = list(tracked)
    others = ("ls-files", "-z", "--others", "--exclude-standard")
    listed.untracked = [below + path for path in ask(folder, *others)]
    if listed.tracked or listed.untracked or modules:
        # Asked in a folder that an outer one ignores, git would give up.
        ignored = ask(folder, *others, "--ignored", "--directory")
        listed.ignored = [below + path for path in ignored]
    listed.dirty = differs(folder)
    for module in modules:
        if (root / module).is_symlink() or not os.path.lexists(root / module / ".git"):
            listed.notes.append(
                f"{shown(module)}/ is left out: it is a submodule that is not "
                "checked out. (git submodule update --init)"
            )
            continue
        inner = _listed(root, f"{module}/")
        listed.tracked += inner.tracked
        listed.untracked += inner.untracked
        listed.ignored += inner.ignored
        listed.notes += inner.notes
        listed.dirty |= inner.dirty
    return listed


def _refuse_unknown(root: Path) -> None:
    """Git lists nothing: raise UsageError where that is because it ignores what is there."""
    if not ask(root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard"):
        return
    top = "".join(ask(root, "rev-parse", "--show-toplevel")).removesuffix("\n")
    if os.path.realpath(top) == os.path.realpath(root):
        raise UsageError(
            f"git tracks no file of {root} and ignores all that is there, so there is "
            "no project to see. Change its .gitignore, then: git add -A && git commit"
        )
    raise UsageError(
        f"{root} lies in the git repository {top}, which tracks nothing of it and "
        "ignores all that is there, so there is no project to see. Make it a "
        f"repository of its own: cd {root} && git init && git add -A && "
        "git commit -m start"
    )


# ------------------------------------------------------------------------------------ folders


def is_environment(folder: str | Path) -> bool:
    """Whether packages are installed in this folder."""
    return any(os.path.lexists(os.path.join(folder, mark)) for mark in ENVIRONMENT_MARKS)


class _Folders:
    """What the folders below a root are, each looked at once. Paths are relative to the root,
    which itself is a plain folder whatever it is: what git tracks in it is the project."""

    def __init__(self, root: Path, environments: Iterable[str]) -> None:
        self.root = root
        self._environments = set(map(str, environments))
        self._known: dict[str, tuple[str, str]] = {"": ("", "")}
        self._ours: dict[str, bool] = {"": False}

    def kind(self, folder: str) -> tuple[str, str]:
        """(what, where) of the outermost folder on the way that is no plain one: an "environment"
        or a "link"; ("", "") where there is none."""
        if folder not in self._known:
            self._known[folder] = self.kind(os.path.dirname(folder))
            if self._known[folder] == ("", "") and (own := self._own_kind(folder)):
                self._known[folder] = (own, folder)
        return self._known[folder]

    def _own_kind(self, folder: str) -> str:
        full = os.path.join(self.root, folder)
        if os.path.islink(full):
            return "link"
        return "environment" if full in self._environments or is_environment(full) else ""

    def is_ours(self, folder: str) -> bool:
        """Whether coldstart wrote this folder, or one that it lies in."""
        if folder not in self._ours:
            full = os.path.join(self.root, folder)
            self._ours[folder] = (
                self.is_ours(os.path.dirname(folder))
                or _is_run(full)
                or _is_run(os.path.join(full, "latest"))
            )
        return self._ours[folder]

    def entry(self, path: str) -> str:
        """ "file", "link", or why a snapshot cannot take what lies there: "gone", "outside" for a
        link that leads out of the tree or into an environment, "other"."""
        full = os.path.join(self.root, path)
        try:
            mode = os.lstat(full).st_mode
        except OSError:
            return "gone"
        if stat.S_ISLNK(mode):
            named = os.readlink(full)
            target = os.path.normpath(os.path.join(os.path.dirname(full), named))
            if os.path.isabs(named) or not is_below(target, str(self.root)):
                return "outside"
            within = "" if target == str(self.root) else os.path.relpath(target, self.root)
            return "outside" if self.kind(within)[0] == "environment" else "link"
        if not stat.S_ISREG(mode) or path.endswith(BYTECODE):
            return "other"
        return "file"


def _is_run(folder: str) -> bool:
    """Whether its run.json is one that coldstart wrote; others have files of that name, too."""
    try:
        content = json.loads(Path(folder, "run.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and RUN_KEYS <= content.keys()


# ------------------------------------------------------------------------------------ the project


def _kept(folders: _Folders, paths: list[str], notes: "_Notes") -> Iterator[tuple[str, str]]:
    """Those of the project's paths that a snapshot takes, with their kinds."""
    for path in paths:
        kind, place = folders.kind(os.path.dirname(path))
        if kind == "environment":
            notes.say(f"{shown(place)}/ is left out: it is a virtual environment.")
        elif not kind:
            entry = folders.entry(path)
            if entry in ("file", "link"):
                yield path, entry
            elif entry == "outside":
                notes.link(path)


def _not_ours(folders: _Folders, untracked: list[str], notes: "_Notes") -> list[str]:
    """Those of the untracked paths that are neither repositories of their own nor runs of ours.
    Where the root is an environment itself, none: what is installed cannot be told apart."""
    if is_environment(folders.root):
        if untracked:
            notes.say(
                f"{folders.root} is a virtual environment itself, so only what git tracks "
                "in it is the project."
            )
        return []
    plain = []
    for path in untracked:
        if not path.endswith("/"):
            if not folders.is_ours(os.path.dirname(path)):
                plain.append(path)
        elif folders.kind(path[:-1])[0] != "environment":
            notes.say(
                f"{shown(path)} is left out: it is a git repository of its own, which this "
                "one does not track."
            )
    return plain


# ------------------------------------------------------------------------------------ carried


def _carried(
    folders: _Folders, ignored: list[str], notes: "_Notes"
) -> tuple[list[tuple[str, str]], list[str]]:
    """(files, entries of `Seen.carried`) of what comes along of the ignored paths."""
    if is_environment(folders.root):
        return [], []
    files: list[tuple[str, str]] = []
    carried: list[str] = []
    loose: dict[str, list[str]] = {}
    last = None
    for path in sorted(ignored):
        if last is not None and path.startswith(last):
            continue  # git lists what is in the folder, too
        if not path.endswith("/"):
            loose.setdefault(os.path.dirname(path), []).append(path)
            continue
        last = path
        if os.path.basename(path[:-1]) in BUILT:
            notes.say(
                f"{shown(path)} is left out: git ignores it, and what is built holds copies "
                "of the project; tests that need it fail in the jail."
            )
        elif taken := _come_along(folders, path, _walk(folders, path[:-1]), notes):
            files += taken
            carried.append(path)
    for folder, paths in loose.items():
        if not folders.kind(folder)[0] and not folders.is_ours(folder):
            taken = _come_along(folders, folder, iter(paths), notes)
            files += taken
            carried += [path for path, _ in taken]
    return files, carried


def _walk(folders: _Folders, folder: str) -> Iterator[str]:
    """The files and links of an ignored folder, without what tools keep for themselves. A folder
    that cannot be read ends in a slash."""
    pending = [folder]
    while pending:
        folder = pending.pop()
        full = os.path.join(folders.root, folder)
        if (
            os.path.basename(folder) in CACHES
            or folders.kind(folder)[0]
            or folders.is_ours(folder)
            or os.path.lexists(os.path.join(full, CACHE_MARK))
        ):
            continue
        try:
            with os.scandir(full) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(f"{folder}/{entry.name}")
                    elif entry.name != ".git":  # a file that names a place outside
                        yield f"{folder}/{entry.name}"
        except OSError:
            yield f"{folder}/"


def _come_along(
    folders: _Folders, place: str, paths: Iterator[str], notes: "_Notes"
) -> list[tuple[str, str]]:
    """Those of the ignored paths of one place that a snapshot takes: none, and no more of them
    looked at, once they are too many. `place` ends in "/" where all of it is ignored; elsewhere a
    large file is no reason to leave out what lies beside it."""
    taken, large, closed, size = [], [], [], 0
    for path in paths:
        entry = "" if path.endswith("/") else folders.entry(path)
        full = os.path.join(folders.root, path)
        if not entry or entry == "file" and not os.access(full, os.R_OK):
            closed.append(path)
        elif entry == "link":
            taken.append((path, entry))
        elif entry == "file":
            own = os.lstat(full).st_size
            if own > MAX_FILE:
                large.append((path, own))
            else:
                taken.append((path, entry))
            if own <= MAX_FILE or place.endswith("/"):
                size += own
        if size > MAX_FOLDER or len(taken) > MAX_FILES:
            how = f"{MAX_FOLDER >> 20} MiB" if size > MAX_FOLDER else f"{MAX_FILES:,} files"
            notes.too_much(place, how)
            return []
    notes.large(sorted(large))
    notes.closed(sorted(closed))
    return taken


class _Notes:
    """Sentences on what is left out."""

    def __init__(self, root: Path, before: list[str]) -> None:
        self._root, self._sentences = root, dict.fromkeys(before)
        self._links: list[str] = []

    def say(self, sentence: str) -> None:
        self._sentences[sentence] = None

    def link(self, path: str) -> None:
        self._links.append(path)

    def too_much(self, place: str, how: str) -> None:
        if place.endswith("/"):
            self.say(
                f"{shown(place)} is left out: git ignores it, and it holds more than {how}; "
                "tests that need it fail in the jail."
            )
        else:
            where = f"{shown(place)}/" if place else str(self._root)
            self.say(
                f"The files in {where} that git ignores are left out: they are more than "
                f"{how}; tests that need them fail in the jail."
            )

    def large(self, files: list[tuple[str, int]]) -> None:
        if files:
            names = [f"{shown(path)} ({size >> 20} MiB)" for path, size in files]
            self.say(
                f"{_enumerated(names)} left out: git ignores {_it(files)}, and more than "
                f"{MAX_FILE >> 20} MiB is much to copy; tests that need {_it(files)} fail in "
                "the jail."
            )

    def closed(self, paths: list[str]) -> None:
        if paths:
            self.say(
                f"{_enumerated(list(map(shown, paths)))} left out: git ignores {_it(paths)}, "
                f"and you may not read {_it(paths)}."
            )

    def sentences(self) -> tuple[str, ...]:
        if self._links:
            they = "it leads" if len(self._links) == 1 else "they lead"
            self.say(
                f"{_enumerated(list(map(shown, self._links)))} left out: {they} out of the project."
            )
        return tuple(self._sentences)


def shown(path: str) -> str:
    """The path as it can be shown on any terminal, whatever is in it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def _it(things: list) -> str:
    return "it" if len(things) == 1 else "them"


def _enumerated(names: list[str]) -> str:
    """`a is`, `a and b are`, `a, b, c and 4 more are`"""
    words = names[:NAMED] + ([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])
    if len(words) == 1:
        return f"{words[0]} is"
    return f"{', '.join(words[:-1])} and {words[-1]} are"
