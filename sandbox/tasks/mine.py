"""Tasks from a repository: run the suite, see which test calls which function, break something,
keep what the tests notice.

How it is broken is the affair of each kind of task (`kinds/`); which functions are worth it is in
`candidates.py`. What makes a candidate a valid task is in `validate.py`: it is measured, in the
jail.

Which tests see which function comes from one traced run of the suite (`survey.py`); a task names
only tests that call its function, the most specific `candidates.MAX_TESTS` of them.

**The split** is by function: all that is born of one function is on one side. Functions that one
task is about together are split together.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.reasons import in_words
from sandbox.repo import Repository
from sandbox.survey import Progress, Survey, survey
from sandbox.tasks.ground import Ground
from sandbox.tasks.kinds import KINDS, kind_of
from sandbox.tasks.task import Task, draw, split_by_function, units
from sandbox.tasks.validate import validate


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


def mine(
    repository: Repository,
    limits: Limits,
    folder: Path,
    share: float,
    limit: int,
    seed: int,
    on_progress: Progress,
    kinds: tuple[str, ...] = ("blank",),
    since: str = "",
) -> Mined:
    """Mine the repository; what is measured is written to `folder` as it comes, and a second call
    goes on from there.

    `share` of the functions is held out; `limit` > 0 stops at so many tasks, drawn by the seed;
    `since` (YYYY-MM-DD) bounds the history. Raises UsageError where there is nothing to work with.
    """
    found = _surveyed(repository, limits, folder / "survey.json", on_progress)
    records_file = folder / "mining.jsonl"
    try:
        records = jsonl.read(records_file)
    except ValueError as error:
        raise UsageError(
            f"{records_file} is damaged ({error}). Delete it; the tasks will be measured again."
        ) from None
    day = date.fromisoformat(since) if since else None
    ground = Ground(repository, found, seed, day, on_progress)
    asked = [kind_of(name) for name in KINDS if name in kinds]
    drafts, excluded = [draft for kind in asked for draft in kind.drafts(ground)], ground.excluded
    excluded.take(found.excluded, found.left_out)
    if not drafts:
        what = " or ".join(dict.fromkeys(kind.made_of for kind in asked))
        raise UsageError(
            f"No {what} of {repository.root} can be made a task: "
            + in_words(excluded, excluded.names)
        )
    if limit:
        drafts.sort(key=lambda draft: draw(seed, draft.instance_id))
    known = {r["instance_id"] for r in records}
    pending = [draft for draft in drafts if draft.instance_id not in known]
    with Judge(
        repository,
        limits,
        Suite(preload=found.modules, test_files=found.test_files, roles=found.roles),
    ) as judge:
        chunks = validate(judge, pending, seed, on_progress)
        while (
            not (limit and sum(r["task"] is not None for r in records) >= limit)
            and (chunk := next(chunks, None)) is not None
        ):
            jsonl.append(records_file, chunk)
            records += chunk
    valid = [Task.from_dict(r["task"]) for r in records if r["task"]][: limit or None]
    valid.sort(key=lambda t: t.instance_id)
    unit = units(t.about for t in valid)
    split = split_by_function(list(unit.values()), share, seed)
    for record in records:
        if not record["task"]:
            excluded.add(record["reason"], record["instance_id"])
    tasks = [replace(t, split=split[unit[t.about[0]]]) for t in valid]
    return Mined(tasks, dict(excluded), found, excluded.names)


def _surveyed(repository: Repository, limits: Limits, file: Path, on_progress: Progress) -> Survey:
    if file.exists():
        try:
            return Survey.from_dict(json.loads(file.read_text()))
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{file} is damaged. Delete it; the suite will be run again."
            ) from None
    with Judge(repository, limits) as judge:
        found = survey(judge, on_progress)
    jsonl.write_aside(file, json.dumps(found.to_dict()).encode())
    return found
