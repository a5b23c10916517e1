"""The first phase of bootstrap: tasks from the tests of the run's repositories, into tasks.jsonl.

    mine_tasks(run, emit)

It goes on where it was cut off, and does nothing where it is done. Of a run that takes up an
earlier one, what that one measured of the tasks that are the same is taken over
(`sandbox/tasks/earlier.py`).
"""

from __future__ import annotations

from collections.abc import Callable
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
            mined = _mined(run, place, earlier, emit)
            names = {w: [place.called(n) for n in of_one] for w, of_one in mined.left_out.items()}
            excluded.take(mined.excluded, names)
            new = tuple(t.instance_id for t in mined.tasks)
            since = since.plus(mined.since or Since(mined=new), place.called)
            tasks += [place.named(task) for task in mined.tasks]
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


def _mined(run: Run, place: Place, earlier: Run | None, emit: Emit) -> Mined:
    """The tasks of one repository, but for those that hold a secret."""
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
        Earlier.of(before.folder, before.repository.snapshot) if before else None,
        _secrets(place, emit),
    )
    if not place.alone:  # else it is the run's own file
        jsonl.rewrite(place.folder / "tasks.jsonl", [t.to_dict() for t in mined.tasks])
    return mined


def _secrets(place: Place, emit: Emit) -> Callable[[dict], str]:
    """Why a task is not kept that holds what looks like a secret: that is not to be learned, sent,
    or copied to the run folder."""
    from recipes.teachers.secrets import SecretFilter, texts_of

    secrets = SecretFilter(place.repository)

    def reason(task: dict) -> str:
        why = secrets.reason(texts_of(task))
        if why:
            emit(SecretFound(place.called(task["instance_id"]), why))
        return HELD_BACK if why else ""

    return reason
