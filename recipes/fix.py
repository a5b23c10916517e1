"""`fix`: tests that fail now, and edits by the student that mend them.

    search = open_search(run, checkpoint, options, emit)
    for outcome in search.outcomes(): ...  # of failing tests that are about one function
    write_fixes(search.changed, work_tree_of(search), options, confirm, emit)

Failing tests that are about the same function are one task. For each the student writes ROUND edits
at a time, and these are judged; what is *verified* (`sandbox/judge/fixing.py` says what that
takes) ends the search, and of several the smallest diff is taken. The next task is then looked at
on the tree with that fix in it, so fixes build on each other, and what a fix mends beside its own
tests is not mended twice.

A student that writes bare bodies (`prompt.style` `body`, `rewrite` or `fim`) is given each of the
functions that the test is about as a task of its own, and writes the body anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import BranchCommitted, Emit, FilesWritten, NothingWritten, notes_to
from recipes.fixing.attempts import Outcome
from recipes.fixing.options import FixOptions
from recipes.fixing.search import Search, SearchOptions
from recipes.fixing.writer import open_engine
from recipes.runfolder.opening import check_jail_and_tree
from recipes.session import limits_of
from sandbox.cache import make_room
from sandbox.errors import UsageError
from sandbox.reasons import listed
from sandbox.repo import open_repository
from sandbox.worktree import WorkTree

if TYPE_CHECKING:
    from recipes.runfolder.run import Run

Confirm = Callable[[str, str], None]
"""Asks a person before something is done, by a question and a participle of what is done. Raises
UsageError where the answer is no."""


def open_search(run: Run, checkpoint: Path, options: FixOptions, emit: Emit) -> Search:
    """The search that the options describe, by the student of this checkpoint."""
    known = {place.repository.root: place.repository.python for place in run.places}
    if options.repo is None and len(known) > 1:
        raise UsageError(f"Which repository? Name it with --repo: {listed(known)}.")
    root = os.path.abspath(options.repo) if options.repo else run.repository.root
    repository = open_repository(options.repo or root, known.get(root))
    make_room(notes_to(emit))
    if options.branch:
        WorkTree(Path(repository.root)).check_branch(options.branch)
    check_jail_and_tree(repository, repository.root, "is mended", emit)
    return Search(
        repository,
        limits_of(run.recipe),
        run.recipe,
        SearchOptions(options.names, options.samples, options.minutes and 60 * options.minutes),
        lambda chats: open_engine(run, checkpoint, chats, emit),
        emit,
    )


def work_tree_of(search: Search) -> WorkTree:
    """Where a person works on the repository."""
    return WorkTree(Path(search.repository.root))


def write_fixes(
    changed: dict[str, tuple[str, str]],
    tree: WorkTree,
    options: FixOptions,
    confirm: Confirm,
    emit: Emit,
) -> dict:
    """Do with the fixes, {path: (text before, text now)}, what the options say; returns {"applied",
    "branch", "commit"}."""
    before = {path: old for path, (old, _) in changed.items()}
    after = {path: new for path, (_, new) in changed.items()}
    nothing = {"applied": False, "branch": None, "commit": None}
    if not changed:
        return nothing
    if options.apply_it:
        tree.check_unchanged(before)
        if (dirty := tree.dirty(before)) and not options.yes:
            question = (
                f"{', '.join(dirty)}: there are uncommitted changes, which the fix is made on top "
                "of. Write to the work tree?"
            )
            confirm(question, "written")
        tree.write(after)
        emit(FilesWritten(tuple(after)))
        return {**nothing, "applied": True}
    if options.branch:
        message = f"Mend {', '.join(after)}\n\nWritten by a model, verified by the tests.\n"
        commit = tree.commit(before, after, options.branch, message)
        emit(BranchCommitted(options.branch, commit))
        return {**nothing, "branch": options.branch, "commit": commit}
    emit(NothingWritten())
    return nothing


def facts(run: Run, checkpoint: str, search: Search, outcomes: list[Outcome]) -> dict:
    """What a machine reads of a search that has ended."""
    return {
        "run": str(run.folder),
        "checkpoint": checkpoint,
        "repo": search.repository.root,
        "failing": list(search.failing),
        "left": list(search.left),
        "left_out": search.left_out,
        "outcomes": [o.to_dict() for o in outcomes],
    }
