"""`judge`: one edit of a person's to one task.

verdict = judge_edit(run, "blank-1a2b", EditSource(overlay=None, patch=file, reply=None), emit)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import Emit
from recipes.runfolder.opening import announce_jail, find_task
from recipes.session import open_judge
from sandbox.errors import HarnessError, UsageError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.runfolder.run import Run
    from sandbox.judge.gate import InvalidEdit
    from sandbox.judge.outcomes import Verdict
    from sandbox.tasks.task import Task


@dataclass(frozen=True)
class EditSource:
    """Where an edit is read from: exactly one of these."""

    overlay: Path | None
    """A folder of files that replace those of the broken state."""
    patch: Path | None
    """A unified diff against the broken state."""
    reply: Path | None
    """A reply as a model writes it."""

    def check(self) -> None:
        """Raises UsageError where it is none, or more than one."""
        if sum(path is not None for path in (self.overlay, self.patch, self.reply)) != 1:
            raise UsageError("Give exactly one of --overlay DIR, --patch FILE and --reply FILE.")

    def read(self, run: Run, task: Task) -> dict[str, str] | InvalidEdit:
        """{path: text} of the edit; the reason where it is none. Raises UsageError where it cannot
        be read."""
        from sandbox.episode import edit_of
        from sandbox.judge.edits import from_overlay, from_patch
        from sandbox.judge.gate import InvalidEdit

        tree = run.tree_of(task)
        try:
            if self.overlay is not None:
                if not self.overlay.is_dir():
                    raise UsageError(f"--overlay {self.overlay} is not a folder.")
                return from_overlay(self.overlay)
            if self.patch is not None:
                return from_patch(_text_of(self.patch), task.broken(tree), tree)
        except InvalidEdit as error:
            return error
        assert self.reply is not None, "see check"
        return edit_of(_text_of(self.reply), task, tree, run.recipe.prompt.style)


def judge_edit(run: Run, name: str, source: EditSource, emit: Emit) -> Verdict:
    """Judge an edit to the task of this name in the jail. Raises UsageError, HarnessError."""
    task = find_task(run, name)
    run.restore_snapshots()
    announce_jail(emit)
    edit = source.read(run, task)
    with open_judge(run, emit) as judge:
        (verdict,) = judge.judge_many([(task, edit)])
    if isinstance(verdict, HarnessError):
        raise verdict
    return verdict


def _text_of(path: Path) -> str:
    """The text of a person's file."""
    from sandbox.patches import text_of

    try:
        return text_of(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
