"""What this machine can do, and what mends what it cannot: in seconds, and without loading a model.

    checks = examine(this_system(), folder)           # in order, one Check after the other
    checks.append(check_teacher(find_endpoint("glm-5.2"), keys))
    can_run(checks)

What is said to work was done: a matrix was multiplied in 4 bits, code in a jail tried to get out,
llama.cpp was asked what it was built for. What could take this process down with it, or needs
torch, is tried in a process of its own. On a machine with an NVIDIA card a fault is whatever keeps
the card from learning; on one without, whatever keeps a small student from it.
"""

import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from recipes.reporting.checks import basics, card, libraries, speed
from recipes.reporting.checks.machine import Check, Machine, System
from recipes.reporting.checks.machine import this_system as this_system
from recipes.reporting.checks.teacher import check_teacher as check_teacher

CHECKS: tuple[Callable[[Machine], Check | None], ...] = (
    basics.check_python,
    basics.check_git,
    basics.check_jail,
    card.check_card,
    libraries.check_torch,
    libraries.check_four_bits,
    libraries.check_model_libraries,
    libraries.check_unsloth,
    libraries.check_llama,
    basics.check_compiler,
    basics.check_disk,
    basics.check_cache,
    card.check_recipe,
    speed.check_speed,
)
"""In the order in which they are shown. None says that there is nothing to say."""


def examine(system: System, folder: Path) -> Iterator[Check]:
    """All checks but that of a teacher; `folder` is where runs are to be kept."""
    machine = Machine(system, folder, card.find_card())
    return (result for check in CHECKS if (result := check(machine)) is not None)


def can_run(checks: Iterable[Check]) -> bool:
    """Whether the main job can run."""
    return all(check.state != "fault" for check in checks)


def check_lines(checks: Iterable[Check], width: int) -> list[str]:
    """For people: no line is longer than `width` but for commands, which are to be copied."""
    lines = []
    for check in checks:
        lines += textwrap.wrap(
            f"{check.state:6}{check.name}: {check.words}",
            width,
            subsequent_indent=" " * 6,
            break_on_hyphens=False,
        )
        if check.fix:
            lines.append(f"      -> {check.fix}")
    return lines
