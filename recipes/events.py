"""What happens in a run, as plain data. Learning code hands events to an `emit`; the command line
shows them.

    session.emit(Progress("probing", 3, 40))
    session.emit(SetAside("blank-1a2b", "the jail failed three times"))
    session.emit(Note("The jail is Landlock's."))
    judge = Judge(repository, limits, on_note=notes_to(emit))  # of sandbox/, which knows no events

`str(event)` is what a person reads, in full. On a terminal one line is drawn again and again
(`Standing`, `Progress`), and of what that line shows only the news are said beside it
(`event.news`). What happens in one loop alone stands beside that loop (`climb_events.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sandbox.reasons import counted, name_lines

Tone = Literal["", "good", "bad"]
"""Whether a person will be glad of it."""


@dataclass(frozen=True)
class Event:
    """Something that a person may want to know."""

    @property
    def news(self) -> str:
        """What is said of it on a terminal, where `Standing` shows the rest; "" for nothing."""
        return str(self)

    @property
    def tone(self) -> Tone:
        return ""


OnProgress = Callable[[str, int, int], None]
"""What is told of progress where no events are known: what, done, total."""
Emit = Callable[[Event], None]
"""What events are handed to."""


@dataclass(frozen=True)
class Progress(Event):
    """`done` of `total` steps of `what` are done."""

    what: str
    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.what} {self.done}/{self.total}"


@dataclass(frozen=True)
class Standing(Event):
    """How a loop stands, for the one line of a terminal that is drawn again and again. It is no
    news: the loop's other events say all of it, too."""

    parts: tuple[tuple[str, ...], ...] = ()
    """What the line is made of, the most important first, each as it is put where there is room,
    then ever shorter; "" leaves it out. None where the loop has ended."""
    seconds_left: float | None = None

    def __str__(self) -> str:
        return ", ".join(part[0] for part in self.parts)


@dataclass(frozen=True)
class Note(Event):
    """A sentence of a part that has no event of its own."""

    text: str

    def __str__(self) -> str:
        return self.text


def notes_to(emit: Emit) -> Callable[[str], None]:
    """What takes the sentences of a part that knows no events."""
    return lambda text: emit(Note(text))


def progress_to(emit: Emit) -> OnProgress:
    """What takes (what, done, total) of a part that knows no events."""
    return lambda what, done, total: emit(Progress(what, done, total))


# ------------------------------------------------------------------------------ opening a run


@dataclass(frozen=True)
class RunStarted(Event):
    """A new run has a folder."""

    folder: str
    repository: str
    commit: str
    python: str
    python_version: str
    recipe: str

    def __str__(self) -> str:
        return (
            f"Run {self.folder}: {self.repository} at {self.commit[:10]}, its tests run by "
            f"{self.python} (Python {self.python_version}); recipe {self.recipe}."
        )


@dataclass(frozen=True)
class RunContinued(Event):
    """The latest run goes on, which nobody had named."""

    folder: str

    def __str__(self) -> str:
        return f"Going on with {self.folder}. (--new starts another run.)"


@dataclass(frozen=True)
class RunTakenUp(Event):
    """A new run begins where an earlier one of the repository ended."""

    folder: str
    commit: str
    checkpoint: str
    """The earlier run's best, "" where it had none yet."""

    def __str__(self) -> str:
        student = f"its student ({self.checkpoint}) and " if self.checkpoint else ""
        return (
            f"It takes up {self.folder} (at {self.commit[:10]}): {student}what was measured there "
            "of tasks that are the same today."
        )


@dataclass(frozen=True)
class UncommittedChanges(Event):
    """The work tree is not that of the last commit. `use`: what is done with it."""

    repository: str
    use: str

    def __str__(self) -> str:
        return (
            f"{self.repository} has uncommitted changes: the last commit plus these changes is "
            f"what {self.use}."
        )


# ----------------------------------------------------------------------------- tasks and prompts


@dataclass(frozen=True)
class TasksMined(Event):
    """Mining has ended."""

    train: int
    heldout: int
    excluded: dict[str, int]
    """How much was left out, by reason."""
    left_out: dict[str, list[str]]
    """{reason: names}, where the reason has none in it."""
    since: dict | None = None
    """What became of an earlier run's tasks (`Since.to_dict`)."""

    def __str__(self) -> str:
        words = (
            f"{self.train + self.heldout} tasks mined: {self.train} for training, "
            f"{self.heldout} held out. "
        )
        if self.since:
            words += (
                f"{self.since['taken_over']} are as they were and were not measured again, "
                f"{self.since['mined']} are new or changed, {self.since['gone']} are gone. "
            )
        words += f"Left out: {counted(self.excluded)}." if self.excluded else ""
        return "\n".join([words, *(name_lines(self.left_out) if self.left_out else [])])


@dataclass(frozen=True)
class SecretFound(Event):
    """A task is left out, because it holds what looks like a secret."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} is left out: {self.why}."


@dataclass(frozen=True)
class PromptsWritten(Event):
    """Every task's prompt is a file in `folder`."""

    extents: str
    """How much the prompts show, as a sentence."""
    folder: str

    def __str__(self) -> str:
        return f"{self.extents} They are in {self.folder}."


@dataclass(frozen=True)
class PromptsTooLong(Event):
    """These tasks have no prompt of so many tokens."""

    names: tuple[str, ...]
    tokens: int

    def __str__(self) -> str:
        return (
            f"Left out, because not even the function itself fits into {self.tokens} tokens: "
            f"{', '.join(self.names)}. --set student.max_prompt=N gives a new run more room."
        )


@dataclass(frozen=True)
class NotAskable(Event):
    """These tasks cannot be put in the recipe's style."""

    style: str
    reasons: tuple[tuple[str, str], ...]
    """(task, why: words before the names of such tasks)"""

    def __str__(self) -> str:
        by_reason: dict[str, list[str]] = {}
        for name, why in self.reasons:
            by_reason.setdefault(why, []).append(name)
        parts = [f"{why}: {', '.join(names)}" for why, names in by_reason.items()]
        return (
            f"Left out, because prompts of style {self.style} cannot say them. {'. '.join(parts)}."
        )


@dataclass(frozen=True)
class SetAside(Event):
    """The run goes on without a task, because the jail failed on it."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} is set aside for the rest of this run: {self.why}"

    @property
    def tone(self) -> Tone:
        return "bad"


@dataclass(frozen=True)
class Unmeasured(Event):
    """A task has no place in a comparison, because the jail failed on it."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} is left out: {self.why}"


@dataclass(frozen=True)
class AnswersTooLong(Event):
    """Verified answers that the student could not write."""

    count: int
    max_new: int
    """Tokens that it may write."""

    def __str__(self) -> str:
        return (
            f"{self.count} verified answers are longer than the {self.max_new} tokens that the "
            "student may write, and are left out."
        )


# ------------------------------------------------------------------------------------------ fix


@dataclass(frozen=True)
class FunctionTooLong(Event):
    """A failing test about a function that fits into no prompt."""

    test: str
    tokens: int

    def __str__(self) -> str:
        return (
            f"{self.test}: not even the function alone fits into {self.tokens} tokens, which is "
            "what the student was trained on at most."
        )


@dataclass(frozen=True)
class StudentLoaded(Event):
    """The student is loaded with torch; where llama.cpp can write, to export it."""

    to_export: bool

    def __str__(self) -> str:
        return "The student is loaded with torch" + (
            ": only this once, to write its files for llama.cpp." if self.to_export else "."
        )


@dataclass(frozen=True)
class TrainingModelWrites(Event):
    """Edits are not written by llama.cpp."""

    why: str

    def __str__(self) -> str:
        return f"The training model writes the edits itself, because {self.why}."


@dataclass(frozen=True)
class FilesWritten(Event):
    """The work tree has the fixes."""

    paths: tuple[str, ...]

    def __str__(self) -> str:
        return f"Written: {', '.join(self.paths)}"


@dataclass(frozen=True)
class BranchCommitted(Event):
    """A new branch has the fixes."""

    branch: str
    commit: str

    def __str__(self) -> str:
        return f"Branch {self.branch}: {self.commit[:10]}"


@dataclass(frozen=True)
class NothingWritten(Event):
    """There are fixes, and nobody said where they are to go."""

    def __str__(self) -> str:
        return (
            "Nothing was written: --apply writes it to the work tree, --branch NAME commits it "
            "beside that."
        )
