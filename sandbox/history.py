"""Past commits that touched source and tests together, undone in today's source: what `revert` tasks are made of.

    for undone in undoings(repository, is_source, is_test, since=None, on_progress=...):
        undone.commit, undone.message, undone.broken          # {path: today's text without that commit}

The commits that HEAD was made of are walked newest first, at most MAX_COMMITS of them. Merges are skipped (what they bring was
committed elsewhere), and so is a first commit, which has nothing to go back to; a squashed pull request is a commit like any other.
Only modified Python files count: files that a commit added, deleted or merely moved stay as they are. A file that has been renamed
since is found under its present name.

A commit is undone where that is certain: each stretch of lines that it changed, with the lines around it (three on either side, or two, or
one, where later commits came as near), must stand in today's file exactly once. A commit that does not apply any more, or that changes more
than MAX_LINES lines of source or MAX_FILES files, gives no task.

The user's repository is only read, and only its objects: commits, trees and blobs. Nothing is checked out, and neither text
conversions nor filters, external diffs or hooks are run, nor anything fetched.
"""
import difflib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.quiet_git import ENVIRONMENT
from sandbox.repo import Repository
from sandbox.source import decode, read_text

MAX_COMMITS = 1000
MAX_FILES = 5
MAX_LINES = 200
"""Changed lines, those gone and those that came in their place together: what a person would call one change."""
MAX_BYTES = 1 << 20
CONTEXTS = (3, 2, 1)


@dataclass(frozen=True)
class Undone:
    """One commit and today's files without it."""

    commit: str
    message: str
    broken: dict[str, str]
    """{path today: text}, for the files in which the commit could be undone."""


def undoings(repository: Repository, is_source: Callable[[str], bool], is_test: Callable[[str], bool], since: date | None,
             reasons: Counter, on_progress: Callable[[int, int], None]) -> Iterator[Undone]:
    """The commits that can be undone, newest first. `is_source` and `is_test` are asked about paths below the repository's folder as they
    were; only commits since the beginning of that day (UTC) count. Why others gave nothing is counted in `reasons`.

    Raises UsageError where git cannot read the history.
    """
    import git

    names: dict[str, str] = {}
    """Today's name of a file that has been renamed since the commit that is being looked at."""
    try:
        with git.Repo(repository.root, search_parent_directories=True) as repo:
            repo.git.update_environment(**ENVIRONMENT)
            below = os.path.relpath(os.path.realpath(repository.root), os.path.realpath(repo.working_tree_dir))
            prefix = "" if below == "." else below + "/"
            commits = list(repo.iter_commits(repository.commit, max_count=MAX_COMMITS, no_merges=True))
            for number, commit in enumerate(commits, 1):
                on_progress(number, len(commits))
                if since is not None and datetime.fromtimestamp(commit.committed_date, timezone.utc).date() < since:
                    continue
                try:
                    undone = _undone(repository.snapshot, commit, prefix, names, is_source, is_test)
                except (git.GitCommandError, git.BadObject, ValueError):
                    # A shallow or partial clone names objects that are not there.
                    undone = "commit that is not all there"
                if isinstance(undone, Undone):
                    yield undone
                elif undone:
                    reasons[undone] += 1
    except (git.GitCommandError, git.BadObject, ValueError) as error:
        raise UsageError(f"git cannot read the history of {repository.root}: {error}") from None


def _undone(tree: Path, commit, prefix: str, names: dict[str, str], is_source: Callable, is_test: Callable) -> Undone | str:
    """The commit undone, or why it is not ("" where it never was one for us). Notes its renames in `names`."""
    if not commit.parents:
        return ""
    changes, tested = [], False
    for diff in commit.parents[0].diff(commit):
        path = diff.b_path or diff.a_path
        if not path.startswith(prefix):
            continue
        path = path[len(prefix):]
        tested |= is_test(path)
        today = names.get(path, path)
        if diff.renamed_file and diff.a_path.startswith(prefix):
            names[diff.a_path[len(prefix):]] = today
        regular = stat.S_ISREG(diff.a_mode or 0) and stat.S_ISREG(diff.b_mode or 0)
        if regular and is_source(path) and is_source(today) and diff.a_blob != diff.b_blob:
            changes.append((today, diff))
    if not changes or not tested:
        return ""
    if len(changes) > MAX_FILES or any(max(d.a_blob.size, d.b_blob.size) > MAX_BYTES for _, d in changes):
        return "commit that changes too much"
    broken, lines = {}, 0
    for today, diff in changes:
        if not (tree / today).is_file():
            return "commit that does not apply any more"
        before, after = (decode(blob.data_stream.read()).split("\n") for blob in (diff.a_blob, diff.b_blob))
        matcher = difflib.SequenceMatcher(None, before, after)
        lines += sum(i2 - i1 + j2 - j1 for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal")
        broken[today] = undo(read_text(tree / today), matcher)
    if lines > MAX_LINES:
        return "commit that changes too much"
    if None in broken.values():
        return "commit that does not apply any more"
    message = commit.message if isinstance(commit.message, str) else commit.message.decode("utf-8", "replace")
    return Undone(commit.hexsha, message, broken)


def undo(today: str, change: difflib.SequenceMatcher) -> str | None:
    """`today` without a change between two lists of lines; None where that is not certain."""
    for context in CONTEXTS:                       # from wide to narrow: difflib cuts its own list down
        stretches = [(change.a[g[0][1]:g[-1][2]], change.b[g[0][3]:g[-1][4]]) for g in change.get_grouped_opcodes(context)]
        if (text := _exchanged(today, stretches)) is not None:
            return text
    return None


def _exchanged(today: str, stretches: list[tuple[list[str], list[str]]]) -> str | None:
    """`today` with old stretches for the new ones; None where a new one does not stand there exactly once, or not in this order."""
    lines, done, position = today.split("\n"), [], 0
    for old, new in stretches:
        places = [i for i in range(len(lines) - len(new) + 1) if lines[i:i + len(new)] == new]
        if len(places) != 1 or places[0] < position:
            return None
        done += lines[position:places[0]] + old
        position = places[0] + len(new)
    return "\n".join(done + lines[position:])
