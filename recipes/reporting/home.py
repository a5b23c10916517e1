"""What `coldstart.py` says without a command: where the latest run stands and what to do next, or
how to begin."""

from __future__ import annotations

from pathlib import Path

BEGIN = """There is no run here yet. From nothing to a first result:

  python coldstart.py demo practice
      a practice repository to try it on
  python coldstart.py bootstrap --repo practice
      past the cold start; --repo DIR: your own repository
  python coldstart.py climb
      goes on from there by the tests alone, with no teacher

`doctor` says what works on this machine, --help has all commands."""
MORE = "`status` has more of it, and --help all commands."


def home_lines(runs: Path) -> list[str]:
    """Of the runs in this folder. Raises UsageError where the latest one is damaged."""
    from recipes.reporting.outcome import sentence
    from recipes.reporting.status import run_facts, where_it_stands
    from recipes.runfolder.run import Run

    if not (runs / "latest").exists():
        return BEGIN.split("\n")
    run = Run.latest(runs)
    facts = run_facts(run)
    measured = list(facts["probes"])[1:]
    said = [sentence(run, measured[-1])] if measured else []
    return [*where_it_stands(facts), *said, "", *f"Next: {facts['next']}".split("\n"), "", MORE]
