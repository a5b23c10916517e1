"""A run that takes up an earlier one of the same repository, which has moved on since: it begins
with the earlier one's student, its split, and what was measured of the tasks that are the same.

    recipe = recipe_of(options, earlier)          # the earlier run's, where nothing else was said
    content = taken_up(earlier)                   # `from` in the new run's run.json
    take_student(run)                             # checkpoint `inherited`, once
    take_probes(run)                              # solve rates of the tasks taken over, once
    changes_in_words(run)                         # how the work tree differs from what a run saw

The earlier run is only read.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recipes import phases
from sandbox.errors import UsageError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.runfolder.opening import RunOptions
    from recipes.runfolder.places import Place
    from recipes.runfolder.run import Run
    from recipes.settings import Recipe
    from sandbox.repo import Repository

INHERITED = "inherited"
"""The checkpoint that such a run begins with."""
FROM = "from"
"""In run.json: {"run", "commit", "tree", "checkpoint", "taught", "teacher"} of the earlier one."""


def recipe_of(options: RunOptions, earlier: Run) -> Recipe:
    """The recipe of a run that takes up another. Raises UsageError where that one's student could
    not go on in it."""
    from recipes.settings import changed

    if options.recipe != "auto":
        recipe = options.load()
    else:
        recipe = changed(earlier.content["recipe"], options.settings, str(earlier.folder))
    old = earlier.recipe
    for name, ours, theirs in (
        ("student.model", recipe.student.model, old.student.model),
        ("student.lora_rank", recipe.student.lora_rank, old.student.lora_rank),
        ("student.lora_alpha", recipe.student.lora_alpha, old.student.lora_alpha),
        ("seed", recipe.seed, old.seed),
    ):
        if ours != theirs:
            raise UsageError(
                f"{earlier.folder} has {name} {theirs!r}, and a run that takes it up goes on with "
                "its "
                f"student: it cannot have {ours!r}. Leave that out, or start a new run without "
                "--from."
            )
    return recipe


def taken_up(earlier: Run) -> dict:
    """What run.json says of the run that is taken up. Raises UsageError where its mining has not
    ended."""
    from sandbox.tasks.inventory import Inventory

    for place in earlier.places:
        Inventory.read(place.folder)
    return {
        "run": str(earlier.folder.resolve()),
        "commit": earlier.repository.commit,
        "tree": earlier.repository.tree,
        "checkpoint": earlier.content["checkpoints"].get("best", ""),
        "taught": sorted(earlier.taught),
        "teacher": earlier.content.get("teacher"),
    }


def check_same_repositories(repositories: Sequence[Repository], earlier: Run) -> None:
    """Raises UsageError where none of the work trees is of a repository of the earlier run."""
    old = [place.repository for place in earlier.places]
    if not any(_is_same(now, before) for now in repositories for before in old):
        raise UsageError(
            f"{earlier.folder} is a run of {old[0].root} at {old[0].commit[:10]}, and "
            f"{repositories[0].root} has no such commit: it is another repository, or a clone "
            "without its history."
        )


def _is_same(now: Repository, before: Repository) -> bool:
    """Whether both are one repository: by its folder, or because the earlier commit is in it."""
    from sandbox.quiet_git import ask

    if now.root == before.root:
        return True
    try:
        ask(Path(now.root), "cat-file", "-e", f"{before.commit}^{{commit}}")
    except UsageError:
        return False
    return True


def place_before(place: Place, earlier: Run | None) -> Place | None:
    """Where the earlier run has the same repository; None where it did not learn from it."""
    places = earlier.places if earlier else []
    return next((old for old in places if _is_same(place.repository, old.repository)), None)


def earlier_of(run: Run) -> Run | None:
    """The run that this one takes up, if any. Raises UsageError where it is gone."""
    from recipes.runfolder.run import Run

    if FROM not in run.content:
        return None
    folder = Path(run.content[FROM]["run"])
    if not (folder / "run.json").is_file():
        raise UsageError(
            f"{run.folder} takes up {folder}, which is gone. Restore it, or start a new run with: "
            f"python coldstart.py bootstrap --new {run.repo_options}"
        )
    return Run.open(folder)


def take_student(run: Run) -> None:
    """Copy the earlier run's best checkpoint, where it has one and this has not been done."""
    wanted = run.content.get(FROM, {}).get("checkpoint")
    if not wanted or INHERITED in run.content["checkpoints"]:
        return
    earlier = earlier_of(run)
    assert earlier is not None  # run.json names it
    target = run.folder / "checkpoints" / INHERITED
    with earlier.keep("best") as folder:
        run.content[FROM]["checkpoint"] = folder.name
        shutil.rmtree(target, ignore_errors=True)  # of a copy that was cut off
        shutil.copytree(folder, target)
    run.name_checkpoints(**{INHERITED: INHERITED})


def take_probes(run: Run) -> None:
    """Take over how often the student solved each task that is the same, as the earlier run's last
    probe found, if that measured this very student in the way that this run's recipe asks for."""
    earlier = earlier_of(run)
    if earlier is None or any(r["phase"] == phases.BEFORE.name for r in run.read("probe.jsonl")):
        return
    last = _probe_of_best(earlier)
    ours, theirs = run.recipe, earlier.recipe
    same = (ours.probe, ours.student, ours.prompt) == (theirs.probe, theirs.student, theirs.prompt)
    if last is None or not same:
        return
    taken = set(taken_over(run))
    records = [
        {**record, "phase": phases.BEFORE.name, "taken_over": True}
        for record in earlier.read("probe.jsonl")
        if record["phase"] == last and record["instance_id"] in taken
    ]
    run.append("probe.jsonl", records)


def taken_over(run: Run) -> list[str]:
    """The tasks of the run with what an earlier one had measured of them."""
    new = set(run.content.get("since", {}).get("new_tasks", ()))
    return [t.instance_id for t in run.tasks if t.instance_id not in new]


def _probe_of_best(run: Run) -> str | None:
    """The last probe, where it measured what is the run's best checkpoint now."""
    probes = [name for name in run.content["done"] if phases.is_probe(name)]
    best = phases.cycle_of_checkpoint(run.content["checkpoints"].get("best", ""))
    if best is None or not probes or probes[-1] == phases.BEFORE.name:
        return None
    return probes[-1] if (phases.cycle_of(probes[-1]) or 0) >= best else None


# ----------------------------------------------------------------------------- what has changed


def changes_in_words(run: Run) -> str:
    """How the work trees differ from what the run saw, and how to take that up; "" where they do
    not, or cannot be read."""
    moved = [said for place in run.places if (said := _moved_on(place))]
    if not moved:
        return ""
    return (
        f"{' '.join(moved)} The run goes on with what it saw. To take up what is there now, with "
        "this "
        f"student:\n  python coldstart.py bootstrap --from {run.folder}"
    )


def _moved_on(place: Place) -> str:
    from sandbox.repo import files_moved_on
    from sandbox.tasks.ground import Ground
    from sandbox.tasks.inventory import FILE, Inventory

    root = Path(place.repository.root)
    try:
        files = files_moved_on(place.repository)
    except UsageError:  # the run goes on with its snapshot all the same
        return ""
    if files is None or not (place.folder / FILE).is_file():
        return ""
    is_source = Ground(place.repository, place.survey).is_source
    now = Inventory.of(root, filter(is_source, files))
    counts = Inventory.read(place.folder).compare(now)
    words = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
    return f"{root} has moved on since this run was mined (functions: {words or 'all the same'})."
