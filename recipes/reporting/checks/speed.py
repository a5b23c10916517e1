"""How long a run takes here."""

from recipes.reporting.checks.machine import Check, Machine, ok
from recipes.reporting.times import cycle_seconds, duration
from recipes.runfolder.run import Run
from sandbox.errors import UsageError


def check_speed(machine: Machine) -> Check:
    """By the cycles of the latest run: no model is loaded here, so nothing else is measured."""
    words = "not known before a run has climbed here: climb says it when it begins"
    try:
        run = Run.latest(machine.folder)
        seconds = cycle_seconds(run)
    except UsageError:
        return ok("a cycle", words)
    if seconds is None:
        return ok("a cycle", words)
    cycles = run.recipe.climb.cycles
    return ok(
        "a cycle",
        f"about {duration(seconds)} in {run.folder} (recipe {run.recipe.name}), so "
        f"{duration(cycles * seconds)} for the {cycles} of that recipe",
    )
