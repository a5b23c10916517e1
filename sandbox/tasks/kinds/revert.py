"""`revert`: the source half of a past commit that also touched tests is undone at today's commit
(`sandbox/tasks/history.py`). The gold edit is the commit's change. Commits that lead to the same
broken state are one, the newest.

The statement tells the commit's message. Of that stay subject and text: fenced and indented code,
diffs and trailers (`Signed-off-by:` and the like) are cut; and a message that says a secret is left
out as a whole.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from sandbox import patches
from sandbox.judge.gate import splice
from sandbox.reasons import listed
from sandbox.source import find, functions, read_text, source_of
from sandbox.tasks.ground import Ground, instance_id
from sandbox.tasks.history import Undone, undoings
from sandbox.tasks.kinds import Draft, Kind, Unfit, function_is_fixed
from sandbox.tasks.statements import functions_in_words, holds, in_parts, secrets
from sandbox.tasks.task import Task

MAX_MESSAGE = 1500
"""Characters of a commit message."""
FENCE = re.compile(r"^[ \t]*(```|~~~).*?(^[ \t]*\1[^\n]*$|\Z)", re.DOTALL | re.MULTILINE)
CODE_LINE = re.compile(
    r"( {4}|\t|diff --git |index [0-9a-f]+\.\.|--- |\+\+\+ |@@ |[+-](?! \S)|>>> |\.\.\. )"
)
TRAILER = re.compile(
    r"(?i)([a-z]+(-[a-z]+)*-(by|to|id)|cc|fixes|closes|refs|see|link|bug|issue|conflicts)\s*:\s*\S"
    r"|\(cherry picked from "
)


def drafts(ground: Ground) -> list[Draft]:
    """One of each commit that can be undone, newest first; of those that lead to the same state the
    newest."""
    return drafts_of(ground, "revert")


def drafts_of(ground: Ground, kind: str, in_series: bool = False) -> list[Draft]:
    """Drafts of this kind; `in_series`: of commits that belong together."""

    def is_test(path: str) -> bool:
        return path.endswith(".py") and ground.survey.is_test(path)

    result: dict[tuple, Draft] = {}
    for undone in undoings(
        ground.repository,
        ground.is_source,
        is_test,
        ground.since,
        ground.excluded,
        partial(ground.on_progress, "reading the history"),
        in_series,
    ):
        place = undone.commit[:10] + (f"-{undone.count}" if in_series else "")
        name = instance_id(kind, min(undone.broken), place)
        draft = Draft(name, partial(_task, ground, undone, name, kind), undone.message)
        result.setdefault(tuple(sorted(undone.broken.items())), draft)
    return list(result.values())


def _task(ground: Ground, undone: Undone, name: str, kind: str) -> Task:
    tree, survey = ground.repository.snapshot, ground.survey
    changed, tests, patch = [], set(), ""
    for file, broken in sorted(undone.broken.items()):
        intact, now = read_text(tree / file), ground.functions(file)
        try:
            before = {f.qualname: source_of(broken, f) for f in functions(broken)}
        except SyntaxError:
            raise Unfit("commit without which the source does not parse") from None
        differing = [
            f
            for f in now
            if "<locals>" not in f.qualname and source_of(intact, f) != before.get(f.qualname)
        ]
        patch += patches.make(broken, intact, file)
        changed += [(file, f.qualname) for f in differing]
        tests |= {test for f in differing for test in survey.callers.get((file, f.first), ())}
    if not tests:
        raise Unfit("commit whose functions no passing test calls")
    task = ground.task(kind, name, *changed[0], patch, ground.specific_tests(tests))
    if len(changed) == len(undone.broken) == 1 and _is_spliced(task, tree):
        return task
    about = dict.fromkeys(f"{file}::{function}" for file, function in changed)
    files = tuple(sorted(undone.broken))
    return replace(task, files=files, functions=tuple(about), sources=ground.sources(files))


def _is_spliced(task: Task, tree: Path) -> bool:
    """Whether its one function is all that mends the file."""
    broken, gold = task.broken(tree)[task.file], task.gold(tree)[task.file]
    return find(broken, task.function) is not None and splice(gold, task, broken) == gold


def statement(task: Task, tree: Path, failures: dict[str, str], message: str) -> str:
    secret = secrets(task, tree)
    files = [f"`{file}`" for file in task.files]
    place = listed(files) if files else functions_in_words(task)
    parts = [f"A change is missing from {place}. Make it, so that the tests pass."]
    if description := described(message, secret):
        quoted = "\n".join(f"> {line}".rstrip() for line in description.split("\n"))
        parts.append(f"It was described so:\n\n{quoted}")
    return in_parts(parts, task, failures, secret)


def described(message: str, secret: Iterable[str] = ()) -> str:
    """Subject and text of a commit message, without code, diffs and trailers; "" where it says a
    secret or nothing."""
    kept: list[str] = []
    for line in FENCE.sub("", message.replace("\r\n", "\n")).split("\n"):
        if not CODE_LINE.match(line) and not TRAILER.match(line.strip()):
            kept.append(line.rstrip())
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()[:MAX_MESSAGE].rstrip()
    return "" if holds(text, secret) else text


def is_made_again(task: Task) -> str:
    return "The change is made again." if task.files else function_is_fixed(task)


KIND = Kind("commit", drafts, statement, is_made_again)
