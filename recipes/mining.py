"""The first phase of bootstrap: tasks from the tests of the run's repositories, into tasks.jsonl.

    mine_tasks(run, emit)

It goes on where it was cut off, and does nothing where it is done. Of a run that takes up an
earlier one, what that one measured of the tasks that are the same is taken over
(`sandbox/tasks/earlier.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipes import phases
from recipes.events import Emit, SecretFound, TasksMined, notes_to, progress_to
from recipes.runfolder.taking_up import earlier_of, place_before
from recipes.session import limits_of
from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.reasons import Reasons, in_words, listed

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.runfolder.places import Place
    from recipes.runfolder.run import Run
    from sandbox.tasks.mine import Mined
    from sandbox.tasks.task import Task

HELD_BACK = "task that holds what looks like a secret"
"""Why such a one is left out."""


def mine_tasks(run: Run, emit: Emit) -> None:
    """Step 1: tasks.jsonl, from the repositories' own tests."""
    from sandbox.cache import make_room
    from sandbox.tasks.earlier import Since

    if run.is_done(phases.MINE.name):
        return
    earlier, excluded, since = earlier_of(run), Reasons(), Since()
    tasks: list[Task] = []
    with run.step(phases.MINE.name):
        for place in run.places:
            mined, kept = _mined(run, place, earlier, emit)
            names = {w: [place.called(n) for n in of_one] for w, of_one in mined.left_out.items()}
            excluded.take(mined.excluded, names)
            own = {t.instance_id for t in kept}
            since = since.plus(mined.since or Since(mined=tuple(sorted(own))), own, place.called)
            tasks += [place.named(task) for task in kept]
        if not tasks:
            roots = listed(place.repository.root for place in run.places)
            raise UsageError(f"{roots} gives no valid task: {in_words(excluded, excluded.names)}")
        run.keep_only("tasks.jsonl", [t.to_dict() for t in tasks])
        run.content["excluded"], run.content["left_out"] = dict(excluded), excluded.names
        if earlier:
            run.content["since"] = since.to_dict()
    make_room(notes_to(emit))
    counts = {split: sum(t.split == split for t in tasks) for split in ("train", "heldout")}
    became = run.content.get("since")
    emit(TasksMined(counts["train"], counts["heldout"], dict(excluded), excluded.names, became))


def _mined(run: Run, place: Place, earlier: Run | None, emit: Emit) -> tuple[Mined, list[Task]]:
    """(what mining gave, the tasks that hold no secret) of one repository."""
    from sandbox.tasks.earlier import Earlier
    from sandbox.tasks.mine import MiningOptions, mine

    recipe, before = run.recipe, place_before(place, earlier)
    place.folder.mkdir(parents=True, exist_ok=True)
    mined = mine(
        place.repository,
        limits_of(recipe),
        place.folder,
        MiningOptions(
            heldout=recipe.tasks.heldout,
            limit=recipe.tasks.limit,
            seed=recipe.seed,
            kinds=recipe.tasks.kinds,
            since=recipe.tasks.since,
        ),
        progress_to(emit),
        Earlier.of(before.folder) if before else None,
    )
    kept = _without_secrets(place, mined, emit)
    if not place.alone:  # else it is the run's own file
        jsonl.rewrite(place.folder / "tasks.jsonl", [t.to_dict() for t in kept])
    return mined, kept


def _without_secrets(place: Place, mined: Mined, emit: Emit) -> list[Task]:
    """The tasks that hold nothing that looks like a secret; `mined` then says why others are left
    out: a secret is not to be learned, sent, or copied to the run folder."""
    from recipes.teachers.secrets import SecretFilter, texts_of
    from sandbox.tasks.earlier import read_records

    secrets = SecretFilter(place.repository)
    held = {
        t.instance_id: why for t in mined.tasks if (why := secrets.reason(texts_of(t.to_dict())))
    }
    if not held:
        return mined.tasks
    for name, why in held.items():
        emit(SecretFound(place.called(name), why))
    file = place.folder / "mining.jsonl"
    without = {"task": None, "reason": HELD_BACK}
    jsonl.rewrite(
        file, [{**r, **without} if r["instance_id"] in held else r for r in read_records(file)]
    )
    mined.excluded[HELD_BACK] = len(held)
    mined.left_out[HELD_BACK] = list(held)
    return [t for t in mined.tasks if t.instance_id not in held]
