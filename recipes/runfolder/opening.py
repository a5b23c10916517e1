"""Which run a command works on, and what a person should know before it begins.

with continue_or_start(options, emit) as run: ...  # locked: it is taken further
run = find_run(folder)                             # of a command that only reads it
task = find_task(run, "blank-1a2b")
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipes import phases
from recipes.events import Emit, Note, RunContinued, RunStarted, UncommittedChanges, notes_to
from sandbox.errors import UsageError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.runfolder.run import Run
    from recipes.settings import Recipe
    from sandbox.repo import Repository
    from sandbox.tasks.task import Task

RUNS = Path("runs")
PROGRAM = "  python coldstart.py "
"""How a line begins that is a command."""
LATEST = RUNS / "latest" / "run.json"
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "unsloth", "llama-cpp-python", "gguf")
"""What decides a run's numbers."""


@dataclass(frozen=True)
class RunOptions:
    """What a person says of the run on the command line; None is what was not said."""

    repo: Path | None = None
    python: str | None = None
    """The project's interpreter."""
    recipe: str = "auto"
    """A name in recipes/ or the path of a TOML file."""
    overrides: tuple[str, ...] = ()
    """`key=value`, as --set has them."""
    seed: int | None = None
    new: bool = False
    """Start a new run even where one could be continued."""
    kinds: str | None = None
    """Of tasks, separated by commas."""
    since: str | None = None
    """YYYY-MM-DD, for tasks from history."""
    limit: int | None = None
    """Tasks, at most."""
    run_folder: Path | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        """--set, --kinds, --since, --limit and --seed, as --set has them."""
        named = {
            "tasks.limit": self.limit,
            "tasks.since": self.since and json.dumps(self.since),
            "tasks.kinds": self.kinds
            and json.dumps([kind.strip() for kind in self.kinds.split(",")]),
            "seed": self.seed,
        }
        return (
            *self.overrides,
            *(f"{key}={value}" for key, value in named.items() if value is not None),
        )

    def load(self) -> Recipe:
        """The recipe that this asks for. Raises UsageError."""
        from recipes.settings import load

        return load(self.recipe, self.settings)


@contextmanager
def continue_or_start(options: RunOptions, emit: Emit) -> Iterator[Run]:
    """The run that a command works on, locked: the one that was named, the latest one of the same
    repository and recipe, or a new one."""
    named = options.run_folder
    if named is not None and (named / "run.json").exists():
        run = _continued(named, options, emit)
    else:
        run = _latest_or_new(options, emit)
    with run:
        yield run


def _continued(folder: Path, options: RunOptions, emit: Emit) -> Run:
    """The run that was named, if what else was said agrees with it."""
    from recipes.runfolder.run import Run
    from sandbox.cache import make_room
    from sandbox.repo import restore_snapshot

    run = Run.open(folder)
    repo = options.repo
    if repo is not None and Path(os.path.abspath(repo)) != Path(run.repository.root):
        raise UsageError(
            f"{folder} is a run of {run.repository.root}, not of {repo}. Name another folder with "
            "--run."
        )
    if (options.recipe != "auto" or options.settings) and options.load() != run.recipe:
        raise UsageError(
            f"{folder} was started with another recipe or other settings, and a run keeps those "
            "that it began with. Leave --recipe, --set and --seed out, or name another folder with "
            "--run."
        )
    restore_snapshot(run.repository)
    make_room(notes_to(emit))
    announce_jail(emit)
    return run


def _latest_or_new(options: RunOptions, emit: Emit) -> Run:
    from recipes.runfolder.run import Run
    from sandbox.cache import make_room
    from sandbox.repo import open_repository

    if options.repo is None:
        raise UsageError("Which repository? Name it with --repo DIR.")
    recipe = options.load()
    repository = open_repository(options.repo, options.python)
    make_room(notes_to(emit))
    check_jail_and_tree(repository, str(options.repo), "coldstart sees", emit)
    folder = options.run_folder
    run = None if options.new or folder is not None else _latest_of(repository, recipe)
    if run is not None:
        emit(RunContinued(str(run.folder)))
    else:
        run = Run.create(folder or Run.new_folder(RUNS, repository), repository, recipe, versions())
        emit(
            RunStarted(
                str(run.folder),
                repository.root,
                repository.commit,
                repository.python,
                repository.python_version,
                recipe.name,
            )
        )
    if folder is None:
        run.point_latest_here()
    return run


def _latest_of(repository: Repository, recipe: Recipe) -> Run | None:
    """The latest run, where it is of the same tree and recipe and not yet bootstrapped."""
    from recipes.runfolder.run import Run

    if not LATEST.exists():
        return None
    run = Run.latest(RUNS)
    same = run.repository == repository and run.content["recipe"] == json.loads(
        json.dumps(recipe.to_dict())
    )
    return run if same and phases.left(run.content["done"]) else None


def find_run(folder: Path | None) -> Run:
    """The run in this folder, else the latest. Raises UsageError where there is none."""
    from recipes.runfolder.run import Run

    return Run.latest(RUNS) if folder is None else Run.open(folder)


def shown(folder: Path) -> str:
    """The folder as a person is shown it: from here, where it lies below."""
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def command_line(run: Run, command: str, options: str = "") -> str:
    """A command on this run, to be copied. bootstrap alone has to be told which one it is, and all
    where it is not the latest."""
    latest = LATEST.parent
    is_latest = latest.exists() and run.folder.exists() and latest.samefile(run.folder)
    named = command == phases.MINE.command or not is_latest
    words = [command, f"--run {shown(run.folder)}" if named else "", options]
    return PROGRAM + " ".join(word for word in words if word)


def find_task(run: Run, name: str) -> Task:
    """Raises UsageError where the run has no such task."""
    known = {t.instance_id: t for t in run.tasks}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise UsageError(
            f"{run.folder} has no task {name!r}."
            + (f" Did you mean {' or '.join(near)}?" if near else "")
        )
    return known[name]


def check_jail_and_tree(repository: Repository, name: str, use: str, emit: Emit) -> None:
    """Try the jail, and say what of it and of the work tree a person might miss, or not expect.
    `use`: what is done with changes that are not committed. Raises UsageError where no jail works.
    """
    from sandbox.repo import check_jail

    if notice := check_jail(repository):
        emit(Note(notice))
    if repository.dirty:
        emit(UncommittedChanges(name, use))
    for note in repository.notes:
        emit(Note(note))


def announce_jail(emit: Emit) -> None:
    """Say it where the jail is not the one that a person expects."""
    from sandbox.jail.choice import jail_notice

    if notice := jail_notice():
        emit(Note(notice))


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers; nothing is imported for it."""
    from importlib.metadata import PackageNotFoundError, version

    known = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in PACKAGES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            continue
    return known
