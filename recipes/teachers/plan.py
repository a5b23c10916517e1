"""What an API teacher would be sent, and what that would cost, before anything is sent.

planned = plan(cold_tasks, tree_of, hired.endpoint, settings, secret_filter)
planned.prompts, planned.withheld, planned.tokens, planned.usd
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recipes.settings import TeacherSettings
from recipes.teachers.endpoint import Endpoint
from recipes.teachers.events import TeacherPlan
from recipes.teachers.ledger import usd
from recipes.teachers.options import Hired
from recipes.teachers.secrets import AnyFilter
from sandbox.tasks.prompts import BYTES_PER_TOKEN, Budget, build
from sandbox.tasks.task import Task

TYPICAL_OUT = 600
"""Tokens that an answer of a few words and one function has, for the lower end of an estimate."""
REPAIR_TOKENS = 1000
"""That a failure adds to a conversation at most, beside the reply that failed."""


@dataclass(frozen=True)
class Plan:
    """What an API teacher would be sent, and what that would cost."""

    prompts: dict[str, list[dict[str, str]]]
    """{instance_id: the first message of its conversations}"""
    withheld: dict[str, str]
    """{instance_id: why nothing of it may be sent}"""
    tokens: int
    """In all prompts together, at BYTES_PER_TOKEN."""
    usd: tuple[float, float] | None
    """From every task solved at once by answers of TYPICAL_OUT tokens, to every attempt and every
    repair at its worst case. None where the price is unknown."""

    def event(self, hired: Hired) -> TeacherPlan:
        """For a person, before anything is sent."""
        tasks = len(self.prompts)
        return TeacherPlan(
            hired.endpoint,
            hired.max_usd,
            tasks,
            self.tokens,
            self.usd,
            self.withheld,
            hired.max_requests,
        )

    def to_dict(self) -> dict:
        return {
            "cold": len(self.prompts) + len(self.withheld),
            "prompts": len(self.prompts),
            "withheld": self.withheld,
            "tokens": self.tokens,
            "usd": self.usd and list(self.usd),
        }


def plan(
    tasks: list[Task],
    tree_of: Callable[[Task], Path],
    endpoint: Endpoint,
    settings: TeacherSettings,
    secret_filter: AnyFilter,
) -> Plan:
    """What `tasks` would lead to. `tree_of`: the snapshot of a task."""
    prompts, withheld, budget = {}, {}, Budget.estimated(settings.max_prompt)
    for task in tasks:
        built = build(task, tree_of(task), "blocks", budget)
        if built is None:
            withheld[task.instance_id] = (
                f"its function alone does not fit into {budget.tokens} tokens (teacher.max_prompt)"
            )
        elif why := secret_filter.reason_of_task(task) or secret_filter.reason(
            built.messages[0]["content"]
        ):
            withheld[task.instance_id] = why
        else:
            prompts[task.instance_id] = built.messages
    sizes = [
        len(prompt[0]["content"].encode("utf-8", "replace")) // BYTES_PER_TOKEN
        for prompt in prompts.values()
    ]
    costs = None
    if endpoint.price is not None:
        costs = _least(sizes, endpoint, settings), _most(list(prompts.values()), endpoint, settings)
    return Plan(prompts, withheld, sum(sizes), costs)


def _least(sizes: list[int], endpoint: Endpoint, settings: TeacherSettings) -> float:
    """US dollars where each prompt, of so many tokens, is answered rightly at once."""
    return usd(sum(settings.solutions * endpoint.cost(size, 0, TYPICAL_OUT) for size in sizes))


def _most(
    prompts: list[list[dict[str, str]]], endpoint: Endpoint, settings: TeacherSettings
) -> float:
    """US dollars where every attempt takes every repair, each at its worst case."""
    most = 0
    for prompt in prompts:
        for turn in range(settings.repairs + 1):
            before = endpoint.cost(turn * (endpoint.max_output + REPAIR_TOKENS), 0, 0)
            worst = endpoint.worst(endpoint.body(prompt, 0.0, 0))
            most += settings.attempts * (worst + before)
    return usd(most)
