"""What run.json remembers of the self-distillation that was begun last.

    begun = SelfDistillation.of(run)       # None where there is none, or the run has gone on since
    begun.steps_done(run), begun.steps

It is the one place that says who learns from whom, for the names that a person gave may come to
mean other folders on the way.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from recipes import phases
from recipes.curriculum import END
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from recipes.runfolder.run import Run

KEY = "selfdistil"
"""In run.json."""
FILE = "selfdistil.jsonl"
"""One line a step, of all self-distillations of the run one after the other."""
TEACHER = "selfdistil_teacher"
"""Among the names of checkpoints: so its folder is kept."""


@dataclass
class SelfDistillation:
    """One of them."""

    teacher_checkpoint: str
    """Whom it learns from, as it was asked for."""
    checkpoint: str
    """Who learns, as it was asked for."""
    teacher: str
    """The folder that this was when it began."""
    origin: str
    """The same of who learns."""
    first: int
    """Steps that earlier ones of this run have in FILE."""
    steps: int
    """That it is to take."""
    before: float | None = None
    """Mean divergence to the teacher, nats a token, when it began; None: not measured yet."""
    after: float | None = None
    """The same when it had taken all its steps."""
    method: str = phases.SELFDISTIL.name
    """What is done: that, or what may be done in its place (`recipes/retention.py`)."""

    @classmethod
    def of(cls, run: Run) -> SelfDistillation | None:
        """The last one, if nothing has been learned behind it."""
        if KEY not in run.content:
            return None
        begun = cls(**run.content[KEY])
        last = run.content["checkpoints"]["last"]
        return begun if last == begun.origin or phases.steps_of(last) is not None else None

    @classmethod
    def begin(
        cls,
        run: Run,
        teacher_checkpoint: str,
        checkpoint: str,
        steps: int,
        method: str = phases.SELFDISTIL.name,
    ) -> SelfDistillation:
        """A new one: the run goes on from `checkpoint`. Raises UsageError where there is none of
        the two, or both are the same."""
        teacher, origin = (run.checkpoint(name).name for name in (teacher_checkpoint, checkpoint))
        if teacher == origin:
            raise UsageError(
                f"Who is to learn and whom from are the same checkpoint, {teacher}: there is "
                "nothing to learn. Climb first, or name others with --checkpoint and "
                "--teacher-checkpoint."
            )
        first = len(run.read(FILE))
        begun = cls(teacher_checkpoint, checkpoint, teacher, origin, first, steps, method=method)
        run.content[KEY] = asdict(begun)
        run.name_checkpoints(**{"last": origin, TEACHER: teacher})
        return begun

    def write(self, run: Run) -> None:
        """As it is now."""
        run.content[KEY] = asdict(self)
        run.write()

    def steps_done(self, run: Run) -> int:
        """By the checkpoint that the run would go on from."""
        last = run.content["checkpoints"]["last"]
        return 0 if last == self.origin else (phases.steps_of(last) or 0) - self.first

    @property
    def ended(self) -> bool:
        return self.after is not None

    @property
    def is_by_hand(self) -> bool:
        """Whether a person asked for it, and not the end of a stage, which climb goes on with."""
        return self.checkpoint != END

    @property
    def arguments(self) -> str:
        """Of the command that goes on with it."""
        return (
            f"--teacher-checkpoint {self.teacher_checkpoint} --checkpoint {self.checkpoint} "
            f"--steps {self.steps}"
        )

    def __str__(self) -> str:
        """What came of it, for a person."""
        if self.before is None or self.after is None:
            return f"{self.origin} learns from {self.teacher}"
        distance = f"KL {self.before:.4f} before, {self.after:.4f} after, nats a token"
        if self.method != phases.SELFDISTIL.name:
            return f"{self.origin}, {self.method}: {distance}, to {self.teacher}"
        said = f"{self.origin} learned from {self.teacher} in {self.steps} steps: {distance}"
        if self.after > self.before:
            said += " (it went away from it: selfdistil.lr is too high for so small a distance)"
        return said
