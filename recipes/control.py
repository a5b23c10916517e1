"""The control beside every claim about episodes: as many tokens as independent single attempts.

    solved = best_of_attempts(session, pairs, tokens, temperature)     # {instance_id: of k trials}

For each episode of a task a trial takes single attempts, one after the other, until they have as many
tokens as the student wrote in the episode; of these the first that passes the tests that the prompt
shows is the one that counts. (Where none does, none is resolved.) So both have the same tokens and
may look at the same tests: an episode that does not beat it is no improvement. The last attempt of a
trial may reach over its tokens, in favour of the control.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from recipes.session import RolloutBar, Session
from sandbox.errors import HarnessError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.rollouts.engine import Completion
    from sandbox.tasks.task import Task

SEED_STEP = 3
"""Added to the recipe's seed: beside those of probes, of choosing the best checkpoint and of `eval`."""


def best_of_attempts(
    session: Session,
    pairs: list[tuple[Task, list[int]]],
    tokens: dict[str, list[int]],
    temperature: float,
) -> Iterator[tuple[str, int]]:
    """(instance_id, how many trials solve the task) of (task, prompt ids) pairs, as they are
    measured. `tokens`: {instance_id: of each episode, what the student wrote}. A task on which the
    jail failed is left out."""
    from recipes.learning.measure import derived_seed

    recipe = session.recipe
    turns, episodes = recipe.student.turns, max(map(len, tokens.values()), default=0)
    most, size = episodes * (turns + 1), session.chunk(episodes)
    bar = RolloutBar(session.emit, "measuring the control", most * len(pairs))
    for start in range(0, len(pairs), size):
        part = pairs[start : start + size]
        seeds = [
            derived_seed("control", recipe.seed + SEED_STEP, task.instance_id) for task, _ in part
        ]
        groups = session.engine.sample(
            [prompt for _, prompt in part],
            most,
            temperature,
            recipe.student.max_new,
            seeds,
            bar.add,
        )
        for (task, _), group in zip(part, groups):
            solved = _solved(session, task, group, tokens[task.instance_id])
            if solved is not None:
                yield task.instance_id, solved
    bar.end()


def _solved(
    session: Session, task: Task, attempts: list[Completion], tokens: list[int]
) -> int | None:
    texts = [session.student.text(a.ids) if a.finished else None for a in attempts]
    written = list(dict.fromkeys(text for text in texts if text is not None))
    verdicts: dict[str | None, Any] = dict(
        zip(written, session.judge_replies([(task, text) for text in written]))
    )
    if any(isinstance(verdict, HarnessError) for verdict in verdicts.values()):
        return None
    left = list(zip(attempts, texts))
    solved = 0
    for budget in tokens:
        trial = []
        while left and budget > 0:
            attempt, text = left.pop(0)
            budget -= len(attempt.ids)
            trial.append(verdicts.get(text))
        passing = [v for v in trial if v and _passes_shown(task, v)]
        solved += bool(passing) and passing[0].status == "resolved"
    return solved


def _passes_shown(task: Task, verdict: Any) -> bool:
    return all(verdict.tests.get(test) == "passed" for test in task.shown)
