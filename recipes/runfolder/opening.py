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
from typing import TYPE_CHECKING, Any

from recipes import phases
from recipes.events import (
    Emit,
    Note,
    RunContinued,
    RunStarted,
    RunTakenUp,
    UncommittedChanges,
    notes_to,
)
from recipes.runfolder.places import MORE
from recipes.runfolder.taking_up import (
    FROM,
    check_same_repositories,
    recipe_of,
    take_student,
    taken_up,
)
from sandbox.errors import UsageError
from sandbox.reasons import listed

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

    repos: tuple[Path, ...] = ()
    """The repositories to learn from."""
    from_run: Path | None = None
    """An earlier run of the repository, to be taken up (`taking_up.py`)."""
    python: tuple[str, ...] = ()
    """The project's interpreter; of several repositories one for all, or one each."""
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
        take_student(run)
        yield run


def _continued(folder: Path, options: RunOptions, emit: Emit) -> Run:
    """The run that was named, if what else was said agrees with it."""
    from recipes.runfolder.run import Run
    from sandbox.cache import make_room

    run = Run.open(folder)
    named = [os.path.abspath(repo) for repo in options.repos]
    roots = [place.repository.root for place in run.places]
    if options.from_run is not None:
        _check_taken_up(run, options.from_run)
    if named and sorted(named) != sorted(roots):
        raise UsageError(
            f"{folder} is a run of {listed(roots)}, not of {listed(options.repos)}. "
            "Name another folder with --run."
        )
    if (options.recipe != "auto" or options.settings) and options.load() != run.recipe:
        raise UsageError(
            f"{folder} was started with another recipe or other settings, and a run keeps those "
            "that it began with. Leave --recipe, --set and --seed out, or name another folder with "
            "--run."
        )
    run.restore_snapshots()
    make_room(notes_to(emit))
    announce_jail(emit)
    return run


def _latest_or_new(options: RunOptions, emit: Emit) -> Run:
    from recipes.runfolder.run import Run
    from sandbox.cache import make_room
    from sandbox.repo import open_repository

    earlier = None if options.from_run is None else Run.open(options.from_run)
    where = _where(options, earlier)
    recipe = recipe_of(options, earlier) if earlier else options.load()
    taken: dict[str, Any] = {FROM: taken_up(earlier)} if earlier else {}
    repositories = [open_repository(repo, python) for repo, python in where]
    if earlier:
        check_same_repositories(repositories, earlier)
    make_room(notes_to(emit))
    for (repo, _), repository in zip(where, repositories):
        check_jail_and_tree(repository, str(repo), "coldstart sees", emit)
    folder = options.run_folder
    run = None if options.new or folder is not None else _latest_of(repositories, recipe, earlier)
    if run is not None:
        emit(RunContinued(str(run.folder)))
    else:
        folder_of_run = folder or Run.new_folder(RUNS, *repositories)
        if more := [repository.to_dict() for repository in repositories[1:]]:
            taken[MORE] = more
        run = Run.create(folder_of_run, repositories[0], recipe, versions(), taken)
        for repository in repositories:
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
        if earlier:
            emit(
                RunTakenUp(
                    str(earlier.folder), earlier.repository.commit, taken[FROM]["checkpoint"]
                )
            )
    if folder is None:
        run.point_latest_here()
    return run


def _where(options: RunOptions, earlier: Run | None) -> list[tuple[Path, str | None]]:
    """(folder, interpreter) of each repository. Raises UsageError where none is named, or one
    twice."""
    if not options.repos and not earlier:
        raise UsageError("Which repository? Name it with --repo DIR.")
    known = {p.repository.root: p.repository.python for p in earlier.places} if earlier else {}
    repos = options.repos or tuple(map(Path, known))
    if len({os.path.abspath(repo) for repo in repos}) < len(repos):
        raise UsageError("--repo names the same folder twice.")
    if len(options.python) not in (0, 1, len(repos)):
        raise UsageError(
            f"--python is given {len(options.python)} times for {len(repos)} repositories: give it "
            "once, or once for each --repo."
        )
    pythons = options.python * (len(repos) if len(options.python) == 1 else 1)
    named = dict(zip(repos, pythons))
    return [(repo, named.get(repo) or known.get(os.path.abspath(repo))) for repo in repos]


def _check_taken_up(run: Run, wanted: Path) -> None:
    """Raises UsageError where the run takes up none, or another."""
    taken = run.content.get(FROM, {}).get("run")
    if taken != str(wanted.resolve()):
        raise UsageError(
            f"{run.folder} takes up {taken or 'no other run'}, not {wanted}. Leave --from out, or "
            "name another folder with --run."
        )


def _latest_of(repositories: list[Repository], recipe: Recipe, earlier: Run | None) -> Run | None:
    """The latest run, where it is of the same trees and recipe, takes up the run that is wanted,
    and is not yet bootstrapped."""
    from recipes.runfolder.run import Run

    if not LATEST.exists():
        return None
    run = Run.latest(RUNS)
    same = [place.repository for place in run.places] == repositories and run.content[
        "recipe"
    ] == json.loads(json.dumps(recipe.to_dict()))
    taken = run.content.get(FROM, {}).get("run")
    same = same and (earlier is None or taken == str(earlier.folder.resolve()))
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
