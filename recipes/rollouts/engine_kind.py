"""What is known of an engine before it is opened. `recipes/rollouts/engines` lists them.

kind = engine_kind("llama.cpp")
kind.missing_package() or kind.wrong_build(cuda) or kind.obstacle(student, recipe)  # why not, or ""
engine = kind.open(student, recipe, folder)
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module, util
from pathlib import Path
from typing import Protocol

from recipes.events import OnProgress
from recipes.learning.adapter import Adapter
from recipes.learning.limits import MemoryLimits
from recipes.learning.policy import Policy
from recipes.learning.shape import Shape
from recipes.learning.student_tokens import StudentTokens
from recipes.rollouts.engine import Engine, ReadStudent
from recipes.rollouts.engines import ENGINES
from recipes.settings import Recipe

FALLBACK = list(ENGINES)[-1]
"""The engine that samples any student."""


class TrainedStudent(ReadStudent, Protocol):
    """What engines and exports ask of the student that is trained (`recipes.learning.student`)."""

    @property
    def name(self) -> str: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def tokens(self) -> StudentTokens: ...

    @property
    def adapter(self) -> Adapter: ...

    @property
    def limits(self) -> MemoryLimits: ...


@dataclass(frozen=True)
class EngineMemory:
    """What an engine takes beside the student, bytes."""

    held: dict[str, int] = field(default_factory=dict)
    """{what, for a person: size} of what is there at all times."""
    sampling: int = 0
    """What is there while it samples alone: learning takes turns with it."""


def takes_nothing(shape: Shape, recipe: Recipe, cuda: bool) -> EngineMemory:
    """The memory of an engine that takes next to none."""
    return EngineMemory()


def nothing_in_the_way(student: TrainedStudent, recipe: Recipe) -> str:
    """The obstacle of an engine that samples any student."""
    return ""


def any_build(cuda: bool) -> str:
    """Of an engine whose package has only one build."""
    return ""


def no_notes(student: TrainedStudent) -> list[str]:
    """Of an engine of which a person need not know anything."""
    return []


class Opener(Protocol):
    """Opens an engine."""

    def __call__(
        self,
        student: TrainedStudent,
        recipe: Recipe,
        folder: Path,
        on_progress: OnProgress | None = None,
    ) -> Engine:
        """`folder` is where files of bases are kept. Raises UsageError."""


@dataclass(frozen=True)
class EngineKind:
    """What choosing, the memory's estimate and a run ask of an engine."""

    words: str
    """What samples, for a sentence: "Rollouts are sampled by ..."."""
    open: Opener
    memory: Callable[[Shape, Recipe, bool], EngineMemory] = takes_nothing
    """(the model's shape, recipe, whether on a card) -> what it takes beside the student."""
    obstacle: Callable[[TrainedStudent, Recipe], str] = nothing_in_the_way
    """Why it cannot sample this student on this machine, in words for the middle of a sentence;
    empty if it can. Asked only where all packages are there."""
    wrong_build: Callable[[bool], str] = any_build
    """(whether on a card) -> why its package as it was built is of no use there, and what to do;
    empty if it is. Asked as `obstacle` is."""
    notes: Callable[[TrainedStudent], list[str]] = no_notes
    """Sentences that a person should know about it."""
    packages: dict[str, str] = field(default_factory=dict)
    """{module: what pip calls its package} of what it needs beside what the student needs."""
    fits: str = "it fits into memory beside the student"
    """Why it was taken, where it was free to choose; `{size}` is what it holds."""
    too_large: str = "it would take {size}, more than fits beside the student"
    """Why it was not, for the middle of a sentence."""

    def missing_package(self) -> str:
        """What pip calls a package that it needs and that is not installed; empty if all are."""
        return next(
            (name for module, name in self.packages.items() if util.find_spec(module) is None), ""
        )


def engine_kind(name: str) -> EngineKind:
    """The engine of this name in ENGINES."""
    return import_module(f"recipes.rollouts.engines.{ENGINES[name]}").ENGINE
