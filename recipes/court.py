"""What a run asks of the sandbox: its tasks, and somebody who judges.

    mine_tasks(run, screen)  # tasks.jsonl, where mining is not done yet
    with open_judge(run, screen) as court: ...

`screen` is whoever shows a person what happens; it has `say(sentence)` and `progress(what, done,
total)`.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recipes.stages import MINE
from sandbox.errors import UsageError
from sandbox.reasons import counted, name_lines, told

SECRET = "task that holds what looks like a secret"
"""Why such a one is left out."""


def mine_tasks(run, screen) -> None:
    """Step 1: tasks.jsonl, from the repository's own tests."""
    from sandbox.cache import make_room
    from sandbox.mine import mine

    if run.is_done(MINE.name):
        return
    recipe = run.recipe
    with run.step(MINE.name):
        mined = mine(
            run.repository,
            limits_of(recipe),
            run.folder,
            recipe.tasks.heldout,
            recipe.tasks.limit,
            recipe.seed,
            screen.progress,
            recipe.tasks.kinds,
            recipe.tasks.since,
        )
        tasks, excluded = without_secrets(run, mined.tasks, mined.excluded, screen)
        if not tasks:
            raise UsageError(
                f"{run.repository.root} gives no valid task: " + told(excluded, mined.left_out)
            )
        run.keep_only("tasks.jsonl", [t.to_dict() for t in tasks])
        secret = {SECRET: [t.instance_id for t in mined.tasks if t not in tasks]}
        left_out = mined.left_out | (secret if SECRET in excluded else {})
        run.content["excluded"], run.content["left_out"] = excluded, left_out
    make_room(screen.say)
    counts = {split: sum(t.split == split for t in tasks) for split in ("train", "heldout")}
    screen.say(
        f"{len(tasks)} tasks mined: {counts['train']} for training, {counts['heldout']} held out. "
        + (f"Left out: {counted(excluded)}." if excluded else "")
    )
    if left_out:
        screen.say("\n".join(name_lines(left_out)))


def without_secrets(
    run, tasks: list, excluded: dict[str, int], screen
) -> tuple[list, dict[str, int]]:
    """The tasks that hold nothing that looks like a secret, and the reasons why others are left
    out: a secret is not to be learned, sent, or copied to the run folder."""
    from recipes.outgoing import Guard, texts_of

    guard = Guard(run.repository)
    held = {t.instance_id: why for t in tasks if (why := guard.objection(texts_of(t.to_dict())))}
    if not held:
        return tasks, excluded
    for name, why in held.items():
        screen.say(f"{name} is left out: {why}.")
    run.keep_only(
        "mining.jsonl",
        [
            {"instance_id": r["instance_id"], "task": None, "reason": SECRET}
            if r["instance_id"] in held
            else r
            for r in run.read("mining.jsonl")
        ],
    )
    return [t for t in tasks if t.instance_id not in held], {**excluded, SECRET: len(held)}


def open_judge(run, screen):
    from sandbox.cache import make_room
    from sandbox.repo import restore_snapshot
    from sandbox.verdict import Judge

    restore_snapshot(run.repository)
    make_room(screen.say)
    return Judge(
        run.repository,
        limits_of(run.recipe),
        memory=run.folder / "verdicts.jsonl",
        preload=run.survey.modules,
        test_files=run.survey.test_files,
        on_note=screen.say,
        roles=run.survey.roles,
    )


@contextmanager
def open_replies(folder: Path) -> Iterator[Callable[[str, str], tuple[str, float]]]:
    """`judge(instance_id, reply text) -> (status, reward)` for a run's tasks, for a program that is
    none of ours; its threads may call it at once. What is to be said goes to standard error. Raises
    UsageError where there is no such run."""
    from recipes.run import Run
    from sandbox.episode import judge_reply

    class Said:
        @staticmethod
        def say(text: str) -> None:
            sys.stderr.write(f"{text}\n")

    run = Run.open(folder)
    tasks, style = {t.instance_id: t for t in run.tasks}, run.recipe.prompt.style
    with open_judge(run, Said) as judge:

        def judged(instance_id: str, text: str) -> tuple[str, float]:
            verdict = judge_reply(judge, tasks[instance_id], text, style)
            return verdict.status, verdict.reward

        yield judged


def limits_of(recipe):
    from sandbox.verdict import Limits

    return Limits(
        workers=recipe.judge.workers,
        timeout=recipe.judge.timeout,
        memory_mb=recipe.judge.memory_mb,
        recheck=recipe.judge.recheck,
    )
