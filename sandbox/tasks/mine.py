"""Tasks from a repository: run the suite, see which test calls which function, break something,
keep what the tests notice.

How it is broken is the affair of each kind of task (`kinds/`); which functions are worth it is in
`candidates.py`. What makes a candidate a valid task is in `validate.py`: it is measured, in the
jail.

Which tests see which function comes from one traced run of the suite (`survey.py`); a task names
only tests that call its function, the most specific `candidates.MAX_TESTS` of them.

**The split** is by function (`split.py`).

**A repository that has moved on** is mined beside what an earlier run saw of it (`Earlier`): a task
whose content is the same (`content.py`) is taken over with all that was measured of it, and a
function stays on its side (`inventory.py`).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.judge.verdict import Judge, Limits
from sandbox.reasons import in_words
from sandbox.repo import Repository
from sandbox.survey import Progress, Survey, survey
from sandbox.tasks.content import Contents
from sandbox.tasks.earlier import Earlier, Known, Since, read_records
from sandbox.tasks.ground import Ground
from sandbox.tasks.inventory import Inventory
from sandbox.tasks.kinds import KINDS, Draft, kind_of
from sandbox.tasks.observing import Observer
from sandbox.tasks.split import sides_of
from sandbox.tasks.task import Task, draw
from sandbox.tasks.validate import validate

Screen = Callable[[dict], str]
"""Of a task's fields."""
ON_BOTH_SIDES = "task about functions of which one is held out and one is for training"


@dataclass(frozen=True)
class Mined:
    """What mining gave."""

    tasks: list[Task]
    excluded: dict[str, int]
    """What was left out, by reason."""
    survey: Survey
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """{reason of `excluded`: names of what was left out for it}, where the reason has none in it:
    tests by their node ids, functions as `file::name`, files, candidates by the task's name."""
    since: Since | None = None
    """What became of an earlier run's tasks, where there was one."""


@dataclass(frozen=True)
class MiningOptions:
    """Which tasks are wanted."""

    heldout: float = 0.2
    """Share of the functions that is held out."""
    limit: int = 0
    """Where it is above 0, mining stops at so many tasks, drawn by the seed."""
    seed: int = 0
    kinds: tuple[str, ...] = ("blank",)
    since: str = ""
    """YYYY-MM-DD: no commit before that day is looked at; "" bounds nothing."""


def mine(
    repository: Repository,
    limits: Limits,
    folder: Path,
    options: MiningOptions,
    on_progress: Progress,
    earlier: Earlier | None = None,
    screen: Screen | None = None,
) -> Mined:
    """Mine the repository, as it has moved on since an `earlier` run if there is one; what is
    measured is written to `folder` as it comes, and a second call goes on from there. `screen`: why
    a valid task is not to be kept all the same; "" keeps it. Raises UsageError where there is
    nothing to work with."""
    suite = _surveyed(repository, limits, folder / "survey.json", on_progress)
    records_file = folder / "mining.jsonl"
    records = read_records(records_file)
    day = date.fromisoformat(options.since) if options.since else None
    observer = Observer(repository, limits, suite, folder, on_progress)
    ground = Ground(repository, suite, options.seed, day, on_progress, observer=observer)
    drafts = _drafts(ground, options, earlier)
    done = {r["instance_id"] for r in records}
    pending = [draft for draft in drafts if draft.instance_id not in done]
    given = {path: text for draft in pending for path, text in draft.given.items()}
    with Judge(repository, limits, suite.suite(given)) as judge:
        contents = Contents(repository, suite, limits, options.seed)
        known = Known(contents, earlier)
        chunks = validate(
            judge, pending, options.seed, on_progress, known, lambda: _wanted(records, options)
        )
        for chunk in chunks:
            chunk = [_screened(record, screen) for record in chunk]
            jsonl.append(records_file, chunk)
            records += chunk
    excluded = ground.excluded
    for record in records:
        if not record["task"]:
            excluded.add(record["reason"], record["instance_id"])
    tasks = _split(ground, records, options, earlier, folder)
    since = Since.of(records, tasks, earlier, excluded.names) if earlier else None
    return Mined(tasks, dict(excluded), suite, excluded.names, since)


def _drafts(ground: Ground, options: MiningOptions, earlier: Earlier | None) -> list[Draft]:
    """The candidates of all kinds, in the order in which they are tried; `ground.excluded` then
    says what is none."""
    kinds = [kind_of(name) for name in KINDS if name in options.kinds]
    drafts = [draft for kind in kinds for draft in kind.drafts(ground)]
    ground.excluded.take(ground.survey.excluded, ground.survey.left_out)
    if not drafts:
        what = " or ".join(dict.fromkeys(kind.made_of for kind in kinds))
        raise UsageError(
            f"No {what} of {ground.repository.root} can be made a task: "
            + in_words(ground.excluded, ground.excluded.names)
        )
    if options.limit:
        # What was a task stays one, where only so many are wanted.
        first = set(earlier.tasks if earlier else ())
        drafts.sort(key=lambda d: (d.instance_id not in first, draw(options.seed, d.instance_id)))
    return drafts


def _wanted(records: list[dict], options: MiningOptions) -> int | None:
    """How many more tasks; None where all are."""
    found = sum(r["task"] is not None for r in records)
    return max(0, options.limit - found) if options.limit else None


def _screened(record: dict, screen: Screen | None) -> dict:
    """Without its task, where that is not to be kept: it is not to be on the disk, either."""
    why = screen(record["task"]) if screen and record["task"] else ""
    return {**record, "task": None, "reason": why} if why else record


def _split(
    ground: Ground,
    records: list[dict],
    options: MiningOptions,
    earlier: Earlier | None,
    folder: Path,
) -> list[Task]:
    """The valid tasks, each on its side; writes down which side the functions are on."""
    valid = [Task.from_dict(r["task"]) for r in records if r["task"]][: options.limit or None]
    valid.sort(key=lambda t: t.instance_id)
    files = filter(ground.is_source, ground.repository.project_files)
    now = Inventory.of(ground.repository.snapshot, files)
    known = earlier.functions.sides(now) if earlier else {}
    sides = sides_of([t.about for t in valid], options.heldout, options.seed, known)
    tasks = []
    for task in valid:
        if len(both := {sides[name] for name in task.about}) == 2:
            ground.excluded.add(ON_BOTH_SIDES, task.instance_id)
        else:
            tasks.append(replace(task, split=both.pop()))
    now.with_sides(sides, earlier.functions if earlier else None).write(folder)
    return tasks


def _surveyed(repository: Repository, limits: Limits, file: Path, on_progress: Progress) -> Survey:
    if file.exists():
        try:
            return Survey.from_dict(json.loads(file.read_text()))
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{file} is damaged. Delete it; the suite will be run again."
            ) from None
    with Judge(repository, limits) as judge:
        suite = survey(judge, on_progress)
    jsonl.write_aside(file, json.dumps(suite.to_dict()).encode())
    return suite
