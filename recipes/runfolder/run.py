"""The run folder: plain files that a person can read, each step finished on the disk before the
next relies on it.

    run = Run.create(folder, repository, recipe, versions)  # runs/<repo>-<UTC time>/
    run = Run.open(folder)                                   # or Run.latest(base)

run.json holds the resolved recipe, the repository, the versions, what samples, and the steps that
are done; it is replaced as a whole. What grows is appended a line at a time (`sandbox/jsonl.py`).
One process at a time takes a run further (`bootstrap`, `climb`, `selfdistil`): it holds run.lock.

    with run: ...                             # takes it further, alone
    # uses a checkpoint, also while another process takes the run further
    with run.keep("best") as folder: ...

Who uses a checkpoint only appends lines of its own (eval.jsonl, voice.jsonl, verdicts.jsonl) and
adds files that nobody else writes.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from recipes import phases
from recipes.runfolder import elsewhere, locks
from recipes.runfolder.content import FILE, disk_errors, new_content, read_content, refuse_taken
from recipes.runfolder.places import MORE, Place, places
from recipes.runfolder.taking_up import FROM
from recipes.settings import Recipe, from_dict
from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.repo import Repository, restore_snapshot
from sandbox.tasks.task import Task, read_tasks


class Run:
    """One run folder. The attributes are those of run.json."""

    def __init__(self, folder: Path, content: dict) -> None:
        self.folder, self.content = folder, content
        self._lock: TextIO | None = None

    # ---------------------------------------------------------------------------------- finding one

    @classmethod
    def create(
        cls,
        folder: Path,
        repository: Repository,
        recipe: Recipe,
        versions: dict[str, str],
        more: dict[str, Any] | None = None,
    ) -> "Run":
        """A new run in `folder`, which must be empty or absent; `more` goes into run.json, too.
        Raises UsageError."""
        refuse_taken(folder)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            run = cls(folder, new_content(repository, recipe, versions) | (more or {}))
            run.write()
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """An existing run. Raises UsageError where there is none, or one that is damaged or of
        another version."""
        return cls(folder, read_content(folder))

    @classmethod
    def latest(cls, base: Path) -> "Run":
        """The run that `base`/latest points at. Raises UsageError where there is none."""
        if not (base / "latest").exists():
            raise UsageError(
                "There is no run yet (no runs/latest here). Start one with: python coldstart.py "
                "bootstrap --repo DIR, or name one with --run DIR."
            )
        return cls.open((base / "latest").resolve())

    @staticmethod
    def new_folder(base: Path, *repositories: Repository) -> Path:
        """`base`/<repo>-<UTC time>, a name not in use."""
        named = "-".join(Path(repository.root).name for repository in repositories)
        stem = f"{named[:80]}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        names = [stem, *(f"{stem}-{n}" for n in range(2, 1000))]
        return next(base / name for name in names if not (base / name).exists())

    def point_latest_here(self) -> None:
        """Make `latest` beside this folder point at it."""
        link, aside = self.folder.parent / "latest", self.folder.parent / ".latest.new"
        aside.unlink(missing_ok=True)
        aside.symlink_to(self.folder.name)
        os.replace(aside, link)

    # -------------------------------------------------------------------------------- what it holds

    @property
    def recipe(self) -> Recipe:
        return from_dict(self.content["recipe"], where=str(self.folder / FILE))

    @property
    def repository(self) -> Repository:
        """The first, where it has several (`places`)."""
        return Repository.from_dict(self.content["repository"])

    @property
    def tasks(self) -> list[Task]:
        """Raises UsageError where mining has not ended."""
        if not self.is_done(phases.MINE.name):
            raise UsageError(
                f"{self.folder} has no tasks yet. Mine them with: python coldstart.py tasks --repo "
                f"DIR --run {self.folder}"
            )
        return read_tasks(self.folder / "tasks.jsonl")

    @cached_property
    def places(self) -> list[Place]:
        """Its repositories, and where what is known of each lies."""
        more = map(Repository.from_dict, self.content.get(MORE, ()))
        return places(self.folder, [self.repository, *more])

    @property
    def repo_options(self) -> str:
        """How a command names its repositories."""
        return " ".join(f"--repo {place.repository.root}" for place in self.places)

    def tree_of(self, task: Task) -> Path:
        """The snapshot of the repository that a task is of."""
        return self.place_of(task).repository.snapshot

    def place_of(self, task: Task) -> Place:
        return next(place for place in self.places if place.alone or place.name == task.repo)

    def restore_snapshots(self) -> None:
        """Make sure that they are there, and stay. Raises UsageError as `restore_snapshot`."""
        for place in self.places:
            restore_snapshot(place.repository)

    def read(self, name: str) -> list[dict]:
        """The lines of one of its JSONL files. Raises UsageError where it is damaged."""
        try:
            return jsonl.read(self.folder / name)
        except ValueError as error:
            raise UsageError(
                f"The run is damaged: {error}. Restore the file from a backup, or start a new run."
            ) from None

    @property
    def taught(self) -> set[str]:
        """The tasks that a teacher's verified answer was learned for, here or in a run that this
        one takes up; what the student learned again of its own rollouts was not taught."""
        earlier = self.content.get(FROM, {}).get("taught", ())
        lines = self.read("trajectories.jsonl")
        return {r["instance_id"] for r in lines if r["source"] != "student"} | set(earlier)

    @property
    def set_aside(self) -> dict[str, str]:
        """{instance_id: why} of tasks that the jail failed on again and again: the run goes on
        without them."""
        return self.content.get("set_aside", {})

    # ------------------------------------------------------------------------------ what is written

    def write(self) -> None:
        with disk_errors(self.folder):
            jsonl.write_aside(
                self.folder / FILE, (json.dumps(self.content, indent=2) + "\n").encode()
            )

    def append(self, name: str, records: list[dict]) -> None:
        with disk_errors(self.folder):
            jsonl.append(self.folder / name, records)

    def keep_only(self, name: str, records: list[dict]) -> None:
        """Replace one of its JSONL files: how lines are dropped that belong to a step that was cut
        off."""
        with disk_errors(self.folder):
            jsonl.rewrite(self.folder / name, records)

    def is_done(self, step: str) -> bool:
        return step in self.content["done"]

    def mark_done(self, step: str, seconds: float) -> None:
        self.content["done"].append(step)
        self.add_seconds(step, seconds)

    def add_seconds(self, step: str, seconds: float) -> None:
        self.content["seconds"][step] = round(self.content["seconds"].get(step, 0.0) + seconds, 1)
        self.write()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step and mark it done at its end; the time of a step that was cut off is added
        too."""
        started = time.monotonic()
        try:
            yield
        except BaseException:
            self.add_seconds(name, time.monotonic() - started)
            raise
        self.mark_done(name, time.monotonic() - started)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of the block to the account of seconds of a run that this process takes
        further."""
        started = time.monotonic()
        try:
            yield
        finally:
            if self._lock is not None:
                self.add_seconds(name, time.monotonic() - started)

    # ---------------------------------------------------------------------------------- checkpoints

    def checkpoint(self, name: str) -> Path:
        """The folder of a checkpoint; `best` and `last` are names for others. Raises UsageError
        where there is none."""
        folder = self.folder / "checkpoints" / self.content["checkpoints"].get(name, name)
        if not re.fullmatch(r"[\w-]+", name) or not folder.is_dir():
            folders = (p.name for p in (self.folder / "checkpoints").glob("*") if "." not in p.name)
            known = ", ".join(sorted({*self.content["checkpoints"], *folders})) or "none yet"
            raise UsageError(f"{self.folder} has no checkpoint {name!r}. Known: {known}.")
        return folder

    @contextmanager
    def keep(self, name: str) -> Iterator[Path]:
        """The folder of a checkpoint as it is named now, or of an adapter that was trained
        elsewhere; it is not deleted before the block ends. Raises UsageError where there is
        none."""
        with locks.naming(self.folder):
            self.content = Run.open(self.folder).content
            if elsewhere.is_folder(name):
                checkpoints = self.folder / "checkpoints"
                name = elsewhere.take_in(checkpoints, Path(name), self.checkpoint("last"))
            folder = self.checkpoint(name)
            kept = locks.keep(folder)
        with kept:
            yield folder

    def name_checkpoints(self, **names: str) -> None:
        """Let `last`, `best`, `distilled` mean these folders, and delete the folders that no name
        means any more and nobody keeps."""
        with locks.naming(self.folder):
            self.content["checkpoints"].update(names)
            self.write()
            for folder in (self.folder / "checkpoints").iterdir():
                if folder.name not in self.content["checkpoints"].values() and not locks.is_kept(
                    folder
                ):
                    shutil.rmtree(folder, ignore_errors=True)

    # -------------------------------------------------------------------------------- one at a time

    @property
    def is_at_work(self) -> bool:
        """Whether a process takes it further at this moment."""
        return locks.is_taken(self.folder)

    def __enter__(self) -> "Run":
        self._lock = locks.take(self.folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._lock is not None
        self._lock.close()
        self._lock = None
