"""The phases of a run, in their order, and what each is called: in files and to a person. Who needs
a phase's name, or what comes next, asks here.

    for phase in phases.left(done): take(session, phase)  # what a continued run does not skip
    phases.following(done, cycles, planned, begun)         # the phase to go on with
    phases.probe_after(4), phases.cycle_of("climb-0004")   # "climb-0004", 4

Each phase of bootstrap is taken once; run.json then lists it in `done`, which most functions here
are given. Climb is never done: it goes on from its last cycle, and each command that climbs ends
with a probe of its own. Self-distillation is taken at will, between two climbs, and goes on only
where it was begun.

A new phase of bootstrap is an entry of PHASES and of `bootstrap.STEPS`; a probe needs the first
alone.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """One of them. Runs that exist have its name written down: it is never changed."""

    name: str
    """In run.json (`done`, `seconds`); of what samples also `phase` in probe.jsonl and
    rollouts.jsonl."""
    command: str
    """The command that takes it."""
    doing: str = ""
    """What is going on while it is not done, for a person; of bootstrap's phases."""
    tick: str = ""
    """Of a probe alone: what a chart calls the student that it measures."""

    @property
    def is_probe(self) -> bool:
        return bool(self.tick)


PHASES = (
    MINE := Phase("mine", "bootstrap", "tasks are being mined"),
    BEFORE := Phase("before", "bootstrap", "the student is being probed", tick="before"),
    TEACH := Phase("teach", "bootstrap", "the teacher is being asked"),
    DISTIL := Phase("distil", "bootstrap", "the student is being fine-tuned"),
    AFTER := Phase("after", "bootstrap", "the student is being probed again", tick="taught"),
    CLIMB := Phase("climb", "climb"),
)
SELFDISTIL = Phase("selfdistil", "selfdistil")
"""Beside them: no run has to take it."""
STEPPED = (SELFDISTIL.name, "replay", "average")
"""It, and what may be done in its place between two stages of climb."""
FORGETTING = "forgetting"
"""In `seconds`: measuring what was forgotten, before and after a stage."""
STUDENT = "student"
"""In `seconds` beside the phases: making the student on the spot, whenever that was needed."""
NOW = "now"
"""What a chart calls the student that a probe of climb measures."""


# ----------------------------------------------------------------------------- what comes next


def left(done: list[str]) -> list[Phase]:
    """The phases of bootstrap that are not done, in order: a continued run skips the others, and
    one with none left is bootstrapped."""
    return [s for s in PHASES if s.command != CLIMB.command and s.name not in done]


def following(done: list[str], cycles: int, planned: int, begun: bool = False) -> Phase | None:
    """The phase that a run with so many cycles goes on with; None where it has climbed as far as
    its recipe plans, and was probed there. `begun`: whether a self-distillation has steps left."""
    if waiting := left(done):
        return waiting[0]
    if begun:
        return SELFDISTIL
    ended = cycles >= planned and any(cycle_of(name) is not None for name in done)
    return None if ended else CLIMB


def in_words(done: list[str], cycles: int, planned: int) -> str:
    """Where a run stands, for a person. More cycles than the recipe plans may have been asked for;
    how many, only the command that climbs knows."""
    if waiting := left(done):
        return f"{waiting[0].command}: {waiting[0].doing}"
    of_planned = f" of {planned}" if cycles <= planned else ""
    return f"bootstrapped, {cycles}{of_planned} cycles climbed"


# ------------------------------------------------------------------------------------- probes


def bootstrap_probes() -> list[Phase]:
    """In order. The first measures the base, the last what climb begins with."""
    return [s for s in PHASES if s.is_probe]


def bootstrapped() -> str:
    """The name of the probe that measures what climb begins with."""
    return bootstrap_probes()[-1].name


def probe_after(cycle: int) -> str:
    """The name of the probe that is taken when climb has ended with this cycle, 0 or more."""
    return f"{CLIMB.name}-{cycle:04d}"


def cycle_of(probe: str) -> int | None:
    """The cycle of such a name; None of any other."""
    match = re.fullmatch(rf"{CLIMB.name}-([0-9]+)", probe)
    return int(match[1]) if match else None


def is_probe(name: str) -> bool:
    return cycle_of(name) is not None or any(s.name == name for s in bootstrap_probes())


def place(probe: str) -> int:
    """Where a probe stands on the axis of cycles: that of climb at its cycle, the last one of
    bootstrap at 0, those before it below. Raises ValueError for what is no probe."""
    if (cycle := cycle_of(probe)) is not None:
        return cycle
    names = [s.name for s in bootstrap_probes()]
    return names.index(probe) - (len(names) - 1)


def tick(probe: str) -> str:
    """What a chart calls the student that this probe measures."""
    return next((s.tick for s in bootstrap_probes() if s.name == probe), NOW)


# -------------------------------------------------------------------------------- checkpoints


def checkpoint_after(cycle: int) -> str:
    """The folder of the checkpoint that a cycle leaves; cycle 0 stands for the end of
    fine-tuning."""
    return f"cycle-{cycle:04d}" if cycle else "distilled"


def cycle_of_checkpoint(folder: str) -> int | None:
    """The cycle of such a folder; None of any other."""
    match = re.fullmatch(r"cycle-([0-9]+)", folder)
    return int(match[1]) if match else 0 if folder == checkpoint_after(0) else None


def stepped_checkpoint(method: str, steps: int) -> str:
    """The folder of the checkpoint that self-distillation leaves, or what is done in its place;
    `steps`: of all of the run."""
    return f"{method}-{steps:04d}"


def steps_of(folder: str) -> int | None:
    """The steps of such a folder; None of any other."""
    match = re.fullmatch(rf"({'|'.join(STEPPED)})-([0-9]+)", folder)
    return int(match[2]) if match else None
