"""Writing to the user's work tree, or to a branch beside it: the one place where coldstart changes
a repository.

    where = WorkTree(root)
    where.check_unchanged(before)                     # {path: text} as the snapshot had it
    where.dirty(before)                               # the paths that differ from the last commit
    where.write(after)  # or: where.commit(before, after, "branch", "message")

Only files that are there are replaced, each at once and with its permissions. `commit` writes
objects and one new branch; it touches neither the work tree nor the index nor HEAD, runs no hook,
no filter and nothing else that a configuration names, and does not sign. Where git keeps other line
ends than it writes to the work tree, a file that differs in nothing else is as in the last commit,
and the new commit has the ends that git keeps. Texts are as `source.read_text` gives them; paths
are relative to `root`, which may lie below the top of the work tree.
"""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.errors import UsageError
from sandbox.quiet_git import ENVIRONMENT, ask, differs, message_of, start
from sandbox.source import read_text, to_bytes

if TYPE_CHECKING:
    import git  # it takes a while to load, and most commands do without


class WorkTree:
    """The work tree that `root` is, or is a folder of."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_unchanged(self, before: dict[str, str]) -> None:
        """Raise UsageError where a file is no longer what was worked on."""
        for path, text in before.items():
            file = self.root / path
            if file.is_symlink() or not file.is_file() or read_text(file) != text:
                raise UsageError(
                    f"{file} has changed in the meantime, so nothing was written. Give the command "
                    "again."
                )

    def dirty(self, before: dict[str, str]) -> list[str]:
        """Those of the files that are not as in the last commit: changed, or never committed."""
        return [path for path, text in before.items() if not self._is_committed(path, text)]

    def write(self, after: dict[str, str]) -> None:
        """Replace the files. Raises OSError where the disk is full or a folder is closed; a file is
        then as before or as it is to be."""
        for path, text in after.items():
            file = self.root / path
            aside = file.with_name(f".{file.name}.coldstart")
            try:
                aside.write_bytes(to_bytes(text))
                shutil.copystat(file, aside)
                os.utime(aside)  # it is changed now, and compiled files beside it are stale
                os.replace(aside, file)
            finally:
                aside.unlink(missing_ok=True)

    def check_branch(self, name: str) -> None:
        """Raise UsageError where a branch of this name cannot be made."""
        ref = f"refs/heads/{name}" if name[:1] != "-" else name
        if start(self.root, "check-ref-format", ref).returncode:
            raise UsageError(f"{name!r} is no name that git allows for a branch.")
        heads = ask(self.root, "for-each-ref", "--format=%(refname:strip=2)%00", "refs/heads")
        for head in filter(None, (line.strip("\n") for line in heads)):
            if head == name or head.startswith(f"{name}/") or name.startswith(f"{head}/"):
                raise UsageError(
                    f"{self.root} has a branch {head} already. Name another one with --branch."
                )

    def commit(self, before: dict[str, str], after: dict[str, str], name: str, message: str) -> str:
        """A new branch `name`: the last commit, and on top of it one with these files; returns the
        commit's hash. The author is the user, by git's configuration. Raises UsageError where a
        file is not as in the last commit, or the branch is there already."""
        import git

        if unclean := self.dirty(before):
            raise UsageError(
                f"{', '.join(unclean)}: not as in the last commit, so a commit on top of that "
                "would not be what was verified. Commit or stash your changes first, or use "
                "--apply."
            )
        self.check_branch(name)
        with self._repository() as repository:
            head = repository.head.commit
            blobs = {
                self._path_in(repository, path).encode(): _stored(
                    repository, "blob", self._as_kept(path, before.get(path, ""), text)
                )
                for path, text in after.items()
            }
            tree = repository.tree(_with_blobs(repository, head.tree.binsha, blobs).hex())
            commit = git.Commit.create_from_tree(
                repository, tree, message, parent_commits=[head], head=False
            )
            repository.create_head(name, commit)
            return commit.hexsha

    @contextmanager
    def _repository(self) -> "Iterator[git.Repo]":
        import git

        repository = git.Repo(self.root, search_parent_directories=True)
        repository.git.update_environment(**ENVIRONMENT)
        try:
            yield repository
        except (git.GitError, git.ODBError, BrokenPipeError, ValueError) as error:
            # What git can do and the package cannot: other hashes, another store of references.
            why = f"{type(error).__name__}: {error}"
            raise UsageError(
                f"No branch can be made in {self.root} ({why}). Nothing of it is changed; --apply "
                "writes to the work tree."
            ) from None
        finally:
            repository.close()

    def _path_in(self, repository: "git.Repo", path: str) -> str:
        top = repository.working_tree_dir
        assert top is not None
        return (self.root.resolve() / path).relative_to(Path(top).resolve()).as_posix()

    def _committed(self, path: str) -> bytes | None:
        """The file's bytes in the last commit; None where it is not in there."""
        if not (listed := ask(self.root, "ls-tree", "-z", "HEAD", "--", path)):
            return None
        done = start(self.root, "cat-file", "blob", listed[0].split("\t")[0].split(" ")[2])
        if done.returncode:
            raise UsageError(f"git cannot read {self.root / path}: {message_of(done)}")
        return done.stdout

    def _is_committed(self, path: str, text: str) -> bool:
        kept = self._committed(path)
        if kept is None or kept == to_bytes(text):
            return kept is not None
        same = kept.replace(b"\r\n", b"\n") == to_bytes(text).replace(b"\r\n", b"\n")
        return same and not differs(self.root, path)

    def _as_kept(self, path: str, before: str, after: str) -> bytes:
        """The bytes of `after` for the last commit's place of `before`, with its line ends."""
        data = to_bytes(after)
        if "\r\n" in before and b"\r\n" not in (self._committed(path) or b"\r\n"):
            return data.replace(b"\r\n", b"\n")
        return data


def _with_blobs(repository: "git.Repo", tree: bytes, blobs: dict[bytes, bytes]) -> bytes:
    """The id of a copy of this tree in which these blobs stand in the place of those before; {path
    below the tree: id}.

    Made from the stored object itself (entries of mode, space, name, a null byte, id), so that odd
    names and modes stay what they are.
    """
    data, at = bytearray(repository.odb.stream(tree).read()), 0
    while at < len(data):
        end = data.index(0, at)
        name, entry = bytes(data[at:end]).partition(b" ")[2], slice(end + 1, end + 1 + len(tree))
        below = {
            path.removeprefix(name + b"/"): blob
            for path, blob in blobs.items()
            if path.startswith(name + b"/")
        }
        if below:
            data[entry] = _with_blobs(repository, bytes(data[entry]), below)
        data[entry] = blobs.get(name, data[entry])
        at = entry.stop
    return _stored(repository, "tree", bytes(data))


def _stored(repository: "git.Repo", kind: str, data: bytes) -> bytes:
    """The id of the object, written where it is not there yet."""
    from gitdb import IStream

    return repository.odb.store(IStream(kind.encode(), len(data), io.BytesIO(data))).binsha
