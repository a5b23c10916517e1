"""The control beside every claim about episodes: as many tokens as independent single attempts.

    for instance_id, solved in best_of_attempts(session, pairs, tokens, temperature): ...

For each episode of a task a trial takes single attempts, one after the other, until one passes the
tests that the prompt shows, or they have as many tokens as the student wrote in the episode. The
trial solves the task if that one is resolved. (Where none passes, none is.) So both have the same
tokens and may look at the same tests: an episode that does not beat it is no improvement. The last
attempt of a trial may reach over its tokens, in favour of the control.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipes.session import CHUNK, RolloutBar, Session
from sandbox.errors import HarnessError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.rollouts.engine import Completion
    from sandbox.judge.verdict import Verdict
    from sandbox.tasks.task import Task

SEED_STEP = 3
"""Added to the recipe's seed: beside those of probes, of the best checkpoint and of `eval`."""


@dataclass
class Trials:
    """Those of one task."""

    task: Task
    prompt: list[int]
    left: list[int]
    """Tokens that are left to each one that goes on."""
    solved: int = 0
    failed: bool = False
    """Whether the jail failed."""

    def take(
        self, attempts: list[Completion], verdicts: list[Verdict | HarnessError | None]
    ) -> None:
        """One attempt for each trial that goes on; None: it was cut off."""
        self.failed |= any(isinstance(verdict, HarnessError) for verdict in verdicts)
        going: list[int] = []
        for left, attempt, verdict in zip(self.left, attempts, verdicts):
            if chosen := _passing(self.task, verdict):
                self.solved += chosen.status == "resolved"
            elif left > len(attempt.ids):
                going.append(left - len(attempt.ids))
        self.left = [] if self.failed else going


def best_of_attempts(
    session: Session,
    pairs: list[tuple[Task, list[int]]],
    tokens: dict[str, list[int]],
    temperature: float,
) -> Iterator[tuple[str, int]]:
    """(instance_id, how many trials solve the task) of (task, prompt ids) pairs, as they are
    measured. `tokens`: {instance_id: of each episode, what the student wrote}. A task on which the
    jail failed is left out."""
    most = max(map(len, tokens.values()), default=1)
    bar = RolloutBar(session.emit, "measuring the control", len(pairs) * most)
    for start in range(0, len(pairs), CHUNK):
        chunk = [
            Trials(t, prompt, tokens[t.instance_id]) for t, prompt in pairs[start : start + CHUNK]
        ]
        number = 0
        while going := [trials for trials in chunk if trials.left]:
            _round(session, going, number, temperature)
            number += 1
        bar.add(len(chunk) * most)
        yield from ((c.task.instance_id, c.solved) for c in chunk if not c.failed)
    bar.end()


def _round(session: Session, going: list[Trials], number: int, temperature: float) -> None:
    """One attempt more for each trial."""
    from recipes.learning.measure import derived_seed

    recipe = session.recipe
    seed = recipe.seed + SEED_STEP
    # As many of each prompt as its trials need at most; those of the others are not looked at.
    groups = session.engine.sample(
        [trials.prompt for trials in going],
        max(len(trials.left) for trials in going),
        temperature,
        recipe.student.max_new,
        [derived_seed("control", seed, trials.task.instance_id, number) for trials in going],
    )
    attempts = [group[: len(trials.left)] for trials, group in zip(going, groups)]
    replies = [
        (trials.task, session.student.text(attempt.ids))
        for trials, some in zip(going, attempts)
        for attempt in some
        if attempt.finished
    ]
    verdicts = iter(session.judge_replies(replies))
    for trials, some in zip(going, attempts):
        trials.take(some, [next(verdicts) if a.finished else None for a in some])


def _passing(task: Task, verdict: Verdict | HarnessError | None) -> Verdict | None:
    """The verdict where it is one, and the shown tests passed."""
    if verdict is None or isinstance(verdict, HarnessError):
        return None
    return verdict if all(verdict.tests.get(t) == "passed" for t in task.shown) else None
