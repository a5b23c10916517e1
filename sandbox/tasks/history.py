"""Past commits that touched source and tests together, undone in today's source: what `revert`
and `series` tasks are made of.

    for undone in undoings(repository, is_source, is_test, since=None, on_progress=...):
        undone.commit, undone.message, undone.broken  # {path: today's text without that commit}
    for undone in undoings(..., in_series=True):       # several commits that belong together

The commits that HEAD was made of are walked newest first, at most MAX_COMMITS of them. Merges are
skipped (what they bring was committed elsewhere), and so is a first commit, which has nothing to go
back to; a squashed pull request is a commit like any other. Only modified Python files count: files
that a commit added, deleted or merely moved stay as they are. A file that has been renamed since is
found under its present name.

A commit is undone where that is certain: each stretch of lines that it changed, with the lines
around it (three on either side, or two, or one, where later commits came as near), must stand in
today's file exactly once. A commit that does not apply any more, or that changes more than
MAX_LINES lines of source or MAX_FILES files, gives no task.

**Commits that belong together** are undone at once, from before the first of them to after the
last: what a merge brought in (all commits that its first parent did not have), and commits one
after the other that change a source file of the one before or name the same issue (`#12`); and
those that changed one file after each other, whatever happened elsewhere meanwhile. At least two of
them change source; there are MAX_RUN at most, and MAX_MERGED of a merge. Where one of them does not
apply any more, because a later one of them has changed the same lines, all of them together may.

How lines end is no part of that: git may write CRLF to the work tree where it keeps LF, and a file
may have had other ends before. What comes back ends as most lines of today's file do.

The user's repository is only read, and only its objects: commits, trees and blobs. Nothing is
checked out, and neither text conversions nor filters, external diffs or hooks are run, nor anything
fetched. A shallow or partial clone gives what is there; of the rest it is said how it can be had.
"""

import difflib
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from sandbox.patches import line_end
from sandbox.quiet_git import Absent, ask, blobs, start
from sandbox.repo import Repository
from sandbox.source import decode, read_text

MAX_COMMITS = 1000
MAX_FILES = 5
MAX_LINES = 200
"""Changed lines, those gone and those that came in their place together: what a person would call
one change."""
MAX_BYTES = 1 << 20
MAX_RUN, MAX_MERGED = 3, 6
"""Commits one after the other, and those of one merge, that are undone together."""
ISSUE = re.compile(r"#\d+\b")
CONTEXTS = (3, 2, 1)
PARTIAL = r"^(extensions\.partialclone|remote\..*\.promisor)$"
"""Settings of a clone that left objects where it came from."""


@dataclass(frozen=True)
class Undone:
    """One commit and today's files without it."""

    commit: str
    message: str
    broken: dict[str, str]
    """{path today: text}, for the files in which the commit could be undone."""
    count: int = 1
    """How many commits that is."""


@dataclass(frozen=True)
class _Commit:
    id: str
    parents: tuple[str, ...]
    """Those that this clone has."""
    when: date
    """The day (UTC) of the commit."""


@dataclass(frozen=True)
class _Change:
    """What a commit did to one file."""

    status: str
    """`M`, `A`, `D`, `R100`, ...: the letters of `git diff-tree`."""
    before: str
    after: str
    """Its path from the top; both are the same but where it was renamed."""
    regular: bool
    """Whether it was and is a regular file."""
    blobs: tuple[str, str]
    """Ids of its contents before and after."""


def undoings(
    repository: Repository,
    is_source: Callable[[str], bool],
    is_test: Callable[[str], bool],
    since: date | None,
    reasons: Counter,
    on_progress: Callable[[int, int], None],
    in_series: bool = False,
) -> Iterator[Undone]:
    """The commits that can be undone, newest first; `in_series`: those that belong together.
    `is_source` and `is_test` are asked about paths below the repository's folder as they were; only
    commits since the beginning of that day (UTC) count. Why others gave nothing is counted in
    `reasons`.

    Raises UsageError where git cannot read the history.
    """
    names: dict[str, str] = {}
    """Today's name of a file that has been renamed since the commit that is being looked at."""
    root = Path(repository.root)
    prefix = "".join(ask(root, "rev-parse", "--show-prefix")).removesuffix("\n")
    # The commits of a branch stand side by side then, whenever others were made.
    order = ["--topo-order"] if in_series else []
    commits, ends = _commits(root, repository.commit, "--no-merges", *order), _ends(root)
    walk = _Walk(root, repository.snapshot, prefix, names, is_source, is_test)
    alone = {commit.id: [_Group([commit], commit)] for commit in commits}
    begun = walk.series(repository.commit, commits, ends) if in_series else alone
    for number, commit in enumerate(commits, 1):
        on_progress(number, len(commits))
        for group in begun.get(commit.id, ()):
            if since is not None and min(one.when for one in group.members) < since:
                continue
            try:
                if ends & {one.id for one in group.members}:
                    raise Absent
                undone = walk.undone(group)
            except Absent:
                undone = "commit that is not all there" + _how_to_complete(root, bool(ends))
            if isinstance(undone, Undone):
                yield undone
            elif undone:
                what = undone.replace("commit", "series of commits", 1) if in_series else undone
                reasons[what] += 1
        if since is None or commit.when >= since:
            walk.note_renames(commit, ends)


@dataclass(frozen=True)
class _Group:
    """Commits that are undone at once."""

    members: list[_Commit]
    """Newest first."""
    whole: _Commit
    """One that does all that they do, from its parent on; what else it does is not looked at where
    `only` is not empty."""
    only: str = ""
    """The one file (today's name) in which they are undone."""


@dataclass(frozen=True)
class _Walk:
    """What every commit is asked about."""

    root: Path
    tree: Path
    prefix: str
    """The repository's folder below the top of the work tree."""
    names: dict[str, str]
    """Today's name of a file that has been renamed since the commit that is being looked at."""
    is_source: Callable[[str], bool]
    is_test: Callable[[str], bool]
    _found: dict[_Commit, list[_Change]] = field(default_factory=dict)

    def undone(self, group: _Group) -> Undone | str:
        """The commits undone, or why they are not ("" where they never were any for us). Raises
        Absent."""
        commit, members = group.whole, group.members
        if not commit.parents:
            return ""
        changes, tested = [], False
        for change in self.changes(commit):
            path = change.after[len(self.prefix) :]
            tested |= self.is_test(path)
            today = self.names.get(path, path)
            if self.is_ours(change) and self.is_source(today) and group.only in ("", today):
                changes.append((today, change.blobs))
        if not changes or not tested:
            return ""
        broken = self._without(changes)
        if isinstance(broken, str):
            return broken
        message = "\n\n".join(_message(self.root, one) for one in reversed(members))
        return Undone(commit.id, message, broken, len(members))

    def note_renames(self, commit: _Commit, ends: set[str]) -> None:
        """From now on an earlier commit is looked at."""
        for change in self._known_changes(commit, ends):
            if change.status.startswith("R") and change.before.startswith(self.prefix):
                path = change.after[len(self.prefix) :]
                self.names[change.before[len(self.prefix) :]] = self.names.get(path, path)

    def changes(self, commit: _Commit) -> list[_Change]:
        """Those in the repository's folder. Raises Absent."""
        if commit not in self._found:
            found = [c for c in _changes(self.root, commit) if c.after.startswith(self.prefix)]
            self._found[commit] = found
        return self._found[commit]

    def _known_changes(self, commit: _Commit, ends: set[str]) -> list[_Change]:
        """[] where they are not known."""
        try:
            return self.changes(commit) if commit.parents and commit.id not in ends else []
        except Absent:
            return []

    def is_ours(self, change: _Change) -> bool:
        """Whether it changes what a source file says."""
        path = change.after[len(self.prefix) :]
        return change.regular and self.is_source(path) and len({*change.blobs}) == 2

    def _without(self, changes: list[tuple[str, tuple[str, str]]]) -> dict[str, str] | str:
        """Today's files without these changes, or why that cannot be."""
        ids = [blob for _, pair in changes for blob in pair]
        if len(changes) > MAX_FILES or max(_sizes(self.root, ids)) > MAX_BYTES:
            return "commit that changes too much"
        undone: dict[str, str | None] = {}
        lines = 0
        contents = iter(blobs(self.root, ids))
        for today, _ in changes:
            if not (self.tree / today).is_file():
                return "commit that does not apply any more"
            before, after = _lines(decode(next(contents))), _lines(decode(next(contents)))
            if before == after:
                continue
            matcher = difflib.SequenceMatcher(None, before, after)
            lines += sum(
                i2 - i1 + j2 - j1 for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal"
            )
            undone[today] = undo(read_text(self.tree / today), before, after, matcher)
        if lines > MAX_LINES:
            return "commit that changes too much"
        broken = {file: text for file, text in undone.items() if text is not None}
        if len(broken) < len(undone):
            return "commit that does not apply any more"
        return broken or "commit that changes line ends alone"

    # ---------------------------------------------------------------------- what belongs together

    def series(self, last: str, commits: list[_Commit], ends: set[str]) -> dict[str, list[_Group]]:
        """{its newest: [group]} of the commits that belong together. `last`: what HEAD is;
        `commits`: what it was made of, without merges; `ends`: commits without their parents."""
        found: dict[str, list[_Group]] = {}
        known: set[tuple[str, str]] = set()
        groups = [*_merged(self.root, last, commits), *self._runs(commits, ends)]
        for group in [*groups, *self._of_files(commits, ends)]:
            key = (group.members[0].id, group.members[-1].id)
            changes = sum(bool(self._touched(one, ends)) for one in group.members)
            if changes > 1 and key not in known:
                known.add(key)
                found.setdefault(group.members[0].id, []).append(group)
        return found

    def _of_files(self, commits: list[_Commit], ends: set[str]) -> Iterator[_Group]:
        """Commits that changed one file after each other, whatever others did meanwhile."""
        walk = replace(self, names={})
        chains: dict[str, list[tuple[_Commit, _Change]]] = {}
        for commit in commits:
            for change in self._known_changes(commit, ends):
                path = change.after[len(self.prefix) :]
                if self.is_ours(change):
                    chains.setdefault(walk.names.get(path, path), []).append((commit, change))
            walk.note_renames(commit, ends)
        for file, chain in sorted(chains.items()):
            start = 0
            while start + 1 < len(chain):
                some = _linked(chain[start : start + MAX_RUN])
                if len(some) > 1:
                    members = [commit for commit, _ in some]
                    whole = _Commit(members[0].id, members[-1].parents[:1], members[0].when)
                    yield _Group(members, whole, file)
                start += len(some)

    def _runs(self, commits: list[_Commit], ends: set[str]) -> Iterator[_Group]:
        """Commits one after the other of which each has to do with the one before."""
        run: list[_Commit] = []
        for commit in [*commits, None]:
            if commit and run and run[-1].parents == (commit.id,) and len(run) < MAX_RUN:
                if self._belong(run[-1], commit, ends):
                    run.append(commit)
                    continue
            if len(run) > 1 and run[-1].parents:
                yield _Group(run, _Commit(run[0].id, run[-1].parents[:1], run[0].when))
            run = [commit] if commit else []

    def _belong(self, one: _Commit, other: _Commit, ends: set[str]) -> bool:
        issues = [set(ISSUE.findall(_message(self.root, commit))) for commit in (one, other)]
        return bool(issues[0] & issues[1] or self._touched(one, ends) & self._touched(other, ends))

    def _touched(self, commit: _Commit, ends: set[str]) -> set[str]:
        """The source files that it changes; none where that is not known."""
        return {c.after for c in self._known_changes(commit, ends) if self.is_ours(c)}


def _linked(chain: list[tuple[_Commit, _Change]]) -> list[tuple[_Commit, _Change]]:
    """Those at its beginning each of which found the file as the next one left it."""
    some = chain[:1]
    for one, before in zip(chain, chain[1:]):
        if one[1].blobs[0] != before[1].blobs[1]:
            break
        some.append(before)
    return some


def _merged(root: Path, last: str, commits: list[_Commit]) -> Iterator[_Group]:
    """What the merges among the commits that HEAD was made of brought in, as far as these commits
    are known, each whole."""
    known = {commit.id: commit for commit in commits}
    for merge in _commits(root, last, "--merges"):
        listed = ask(root, "rev-list", "--no-merges", merge.id, f"^{merge.parents[0]}")
        brought = "".join(listed).split()
        if 1 < len(brought) <= MAX_MERGED and known.keys() >= set(brought):
            yield _Group([known[name] for name in brought], merge)


# ------------------------------------------------------------------------------------ git's objects


def _commits(root: Path, last: str, *options: str) -> list[_Commit]:
    """`last` and those before it, newest first, as `git rev-list` gives them with these options."""
    listed = "".join(
        ask(
            root,
            "rev-list",
            "--parents",
            "--timestamp",
            *options,
            f"--max-count={MAX_COMMITS}",
            last,
            what=f"the history of {root}",
        )
    )
    commits = []
    for line in listed.splitlines():
        when, name, *parents = line.split(" ")
        day = datetime.fromtimestamp(int(when), UTC).date()
        commits.append(_Commit(name, tuple(parents), day))
    return commits


def _ends(root: Path) -> set[str]:
    """The commits at which a shallow clone ends: git shows them without their parents."""
    path = "".join(ask(root, "rev-parse", "--git-path", "shallow")).removesuffix("\n")
    try:
        return set((root / path).read_text().split())
    except FileNotFoundError:
        return set()


def _how_to_complete(root: Path, shallow: bool) -> str:
    if shallow:
        return ": this clone is shallow (git fetch --unshallow brings the rest)"
    if ask(root, "config", "--get-regexp", PARTIAL, fine=(0, 1)):
        return ": this clone is partial (git fetch --refetch --no-filter brings the rest)"
    return ""


def _changes(root: Path, commit: _Commit) -> Iterator[_Change]:
    """What it did to its parent. Raises Absent."""
    done = start(root, "diff-tree", "-r", "-z", "-M", "--raw", commit.parents[0], commit.id)
    if done.returncode:
        raise Absent
    words = iter(done.stdout.split(b"\0")[:-1])
    for facts in words:
        *modes, before, after, status = facts.decode().removeprefix(":").split(" ")
        path = now = os.fsdecode(next(words))
        if status[0] in "RC":
            now = os.fsdecode(next(words))
        regular = all(stat.S_ISREG(int(mode, 8)) for mode in modes)
        yield _Change(status, path, now, regular, (before, after))


def _sizes(root: Path, ids: list[str]) -> list[int]:
    """Bytes of the blobs. Raises Absent."""
    done = start(root, "cat-file", "--batch-check", stdin="\n".join(ids).encode())
    rows = [line.split(b" ") for line in done.stdout.splitlines()]
    if done.returncode or any(len(facts) != 3 for facts in rows):
        raise Absent
    return [int(size) for _, _, size in rows]


def _message(root: Path, commit: _Commit) -> str:
    head, _, text = start(root, "cat-file", "commit", commit.id).stdout.partition(b"\n\n")
    named = [line.split(b" ")[1] for line in head.split(b"\n") if line.startswith(b"encoding ")]
    try:
        return text.decode(named[0].decode() if named else "utf-8")
    except (LookupError, UnicodeDecodeError):
        return text.decode("utf-8", "replace")


# ------------------------------------------------------------------------------------ undoing text


def _lines(text: str) -> list[str]:
    """The lines, however they end."""
    return [line.removesuffix("\r") for line in text.split("\n")]


def undo(
    today: str, before: list[str], after: list[str], change: difflib.SequenceMatcher
) -> str | None:
    """`today` without the change from the lines `before` to those `after`; None where that is not
    certain."""
    for context in CONTEXTS:  # from wide to narrow: difflib cuts its own list down
        stretches = list(change.get_grouped_opcodes(context))
        if (text := _exchanged(today, before, after, stretches)) is not None:
            return text
    return None


def _exchanged(
    today: str, before: list[str], after: list[str], stretches: list[list[tuple]]
) -> str | None:
    """`today` with old stretches for the new ones, each a list of difflib's opcodes; None where a
    new one does not stand there exactly once, or not in this order."""
    end = line_end(today).removesuffix("\n")
    lines = (today + end).split("\n")  # so that the last line ends as any other
    plain, done, position = _lines(today), [], 0
    for stretch in stretches:
        first = stretch[0][3]
        new = after[first : stretch[-1][4]]
        places = [i for i in range(len(plain) - len(new) + 1) if plain[i : i + len(new)] == new]
        if len(places) != 1 or places[0] < position:
            return None
        done += lines[position : places[0]]
        for tag, i1, i2, j1, j2 in stretch:
            kept = lines[places[0] + j1 - first : places[0] + j2 - first]
            done += kept if tag == "equal" else [line + end for line in before[i1:i2]]
        position = places[0] + len(new)
    return "\n".join(done + lines[position:]).removesuffix(end)
