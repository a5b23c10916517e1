"""The kinds of task. One is a file here, called like the kind, and a line in KINDS; nothing else
knows which there are.

    KINDS["blank"]                     # words for `--help`; nothing is loaded
    kind_of("blank").drafts(ground)    # what there is to be measured, from a `Ground`
    kind_of(task.kind).statement(task, tree, failures, message)

The file has a `KIND`. How it breaks the code and whether it knows a gold edit is in the tasks that
its drafts make: `Task.patch`, empty where nobody knows the answer. So is what of a reply counts:
`Task.function`, or `Task.files` where an edit may change files as a whole. How many drafts it makes
of one thing is its own affair.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.tasks.task import Task

KINDS = {
    "blank": "a function's body is missing",
    "mutate": "one small mistake in a function",
    "revert": "a past commit is undone",
    "failing": "tests that fail today",
    "compose": "two or three mistakes at once",
    "doctest": "a missing body, told by examples of the documentation",
    "record": "a missing body, told by what it was seen to do",
    "series": "past commits that belong together are undone",
}
"""{kind: what is wrong, in a few words}, in the order in which they are mined."""


LEAST_NOTICED = 0.5
"""Of a kind whose tests are made: the share of drawn mistakes (`noticing.py`) that they must
notice. With less, most wrong answers would be rewarded. Some mutants do what the original does, so
that good tests notice some 70 to 90 %."""


class Unfit(Exception):
    """What was to become a task is none; `str(error)` is the reason that is counted."""


@dataclass(frozen=True)
class Draft:
    """A task to be."""

    instance_id: str
    make: Callable[[], Task | None]
    """The task with its tests not sorted into FAIL_TO_PASS and PASS_TO_PASS yet; without a gold
    edit as they should be found. None where there is nothing of this name. Raises Unfit."""
    message: str = ""
    """What a person said of it, for the statement: a commit's message."""
    given: Mapping[str, str] = field(default_factory=dict)
    """{path: text} of the tests that are made for it (`Task.test_files`)."""


def function_is_fixed(task: Task) -> str:
    return f"`{task.function}` is mended."


@dataclass(frozen=True)
class Kind:
    """What mining, validation, statements and prompts ask of a kind."""

    made_of: str
    """What one task is made of, in a word: "No function of ... can be made a task"."""
    drafts: Callable[..., list[Draft]]
    """(ground: `sandbox.tasks.ground.Ground`) -> everything that is worth measuring, in an order
    that is always the same. Why other things are not is added to `ground.excluded`."""
    statement: Callable[[Task, Path, dict[str, str], str], str]
    """(task, tree, failures, message) -> the problem statement: `tree` is intact, `failures` is
    pytest's text for failing tests of the broken state, by node id, `message` the draft's. It holds
    none of `statements.secrets`."""
    fixed: Callable[[Task], str] = function_is_fixed
    """(task) -> what a reply with the gold edit says first."""
    tells_failures: bool = True
    """Whether the statement wants `failures`; they cost a run with tracebacks."""
    shows_body: bool = True
    """Whether the broken function has a body that is worth a look."""
    least_noticed: float = 0.0
    """Share of drawn mistakes in the function that the tests must notice; 0: it is not measured."""
    partly_mended: Callable[[Task, Path], list[dict[str, str]]] | None = None
    """(task, tree) -> {path: text} of states in which a part of it is mended, all of which the
    tests must refuse; None where there are no parts."""


def kind_of(name: str) -> Kind:
    """The kind of this name (`Task.kind`). Raises UsageError where there is none."""
    if name not in KINDS:
        raise UsageError(
            f"There is no kind of task called {name!r}, only {', '.join(KINDS)}. Tasks that say so "
            "come from another version of coldstart: mine again with a new run."
        )
    return import_module(f"{__name__}.{name}").KIND  # here, so that --help loads none of them
