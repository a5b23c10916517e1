"""How much the tests of a task notice: the share of small mistakes in its function (`mutate.py`)
with which one of them fails.

    shares = noticed(judge, tasks, seed)      # a share, None where nothing can be mutated

Tests that were made, of examples or of what was seen, may say next to nothing. Some mutants are no
mistakes at all, for they do what the original does; so no share can be wanted to be 1."""

from sandbox.errors import HarnessError
from sandbox.judge.outcomes import read_reply
from sandbox.judge.verdict import Judge
from sandbox.source import find, read_text
from sandbox.tasks.task import Task

DRAWN = 8
"""Mutants of a function, at most."""


def noticed(judge: Judge, tasks: list[Task], seed: int) -> list[float | None | HarnessError]:
    """For each task about one function the share of its drawn mutants that its tests notice. A
    mutant that never ends is noticed. A HarnessError stands for a task whose jail failed."""
    from sandbox.tasks.mutate import mutants  # libcst takes a while to load

    tree = judge.repository.snapshot
    states: list[tuple[Task, dict[str, str]]] = []
    for task in tasks:
        intact = read_text(tree / task.file)
        function = find(intact, task.function)
        assert function is not None  # the task was made of it
        drawn = mutants(intact, function, f"{seed}/{task.file}::{task.function}", DRAWN)
        states += [(task, {task.file: mutant.text}) for mutant in drawn]
    found: dict[str, list[bool]] = {}
    failed: dict[str, HarnessError] = {}
    for (task, _), reply in zip(states, judge.measuring.screen_many(states)):
        if isinstance(reply, HarnessError):
            failed[task.instance_id] = reply
        else:
            sees = read_reply(reply, task.tests)[0] != "resolved"
            found.setdefault(task.instance_id, []).append(sees)
    shares = {name: sum(sees) / len(sees) for name, sees in found.items()}
    return [failed.get(t.instance_id) or shares.get(t.instance_id) for t in tasks]
