"""`export`: the student, or the tasks, as files that other programs read.

result = export(run, ExportOptions("gguf", "best", None, "q8_0", count=8), emit)
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.events import Emit, notes_to
from recipes.exports import folder as exporting
from recipes.exports.options import ExportOptions
from recipes.exports.replay import export_model
from recipes.runfolder.opening import announce_jail
from recipes.session import Session, open_judge

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.runfolder.run import Run


@dataclass(frozen=True)
class Exported:
    """What an export came to."""

    folder: Path
    checkpoint: str | None
    """The folder's name of the one that was exported; None of tasks alone."""
    replay: dict | None
    """What `exporting.compare` said; None where nothing was replayed."""
    holds_model: bool
    """Whether it is a model, which can be replayed."""

    @property
    def is_lost(self) -> bool:
        """Whether the export falls short of its checkpoint."""
        return bool(self.replay and self.replay["lost"])

    def lines(self) -> list[str]:
        """For a person."""
        names = ", ".join(sorted(p.name for p in self.folder.iterdir()))
        replayed = exporting.lines(self.replay) if self.holds_model else []
        return [f"Exported to {self.folder}: {names}", *replayed]

    def to_dict(self) -> dict:
        files = (p for p in self.folder.rglob("*") if p.is_file())
        return {
            "checkpoint": self.checkpoint,
            "out": str(self.folder),
            "files": sorted(str(p.relative_to(self.folder)) for p in files),
            "replay": self.replay,
        }


def export(run: Run, options: ExportOptions, emit: Emit) -> Exported:
    """Write the files aside, replay what holds a model, and put them in their place. Raises
    UsageError where the folder is taken or the run has no such checkpoint."""
    with run.keep(options.checkpoint) if options.takes_checkpoint else nullcontext() as kept:
        name = kept.name if kept else None
        folder = options.out or run.folder / "export" / "-".join(
            filter(None, (options.target, name))
        )
        exporting.refuse_taken(folder)
        if not options.takes_model:
            with exporting.new_folder(folder) as aside:
                _write_tasks(run, options.target, aside, kept, emit)
            return Exported(folder, name, None, holds_model=False)
        assert name is not None
        announce_jail(emit)
        with open_judge(run, emit) as judge, exporting.new_folder(folder) as aside:
            session = Session(run, judge, emit)
            replay = export_model(session, name, aside, options)
    return Exported(folder, name, replay, holds_model=True)


def _write_tasks(run: Run, target: str, folder: Path, checkpoint: Path | None, emit: Emit) -> None:
    """The tasks of a run, as data, as an environment or to train on."""
    from sandbox.cache import make_room

    run.restore_snapshots()
    make_room(notes_to(emit))
    exporting.task_export(target).write(run, folder, checkpoint)
