"""How long climbing takes on this machine, by what the run itself has measured there.

cycle_seconds(run)                     # by its cycles; None before the first
expected_cycle_seconds(run, update)    # by its probe and its fine-tuning
duration(4000.0)                       # "67 min"
"""

from dataclasses import dataclass
from statistics import fmean

from recipes import phases
from recipes.reporting.tables import read_probes
from recipes.runfolder.run import Run


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def cycle_seconds(run: Run) -> float | None:
    """Mean of the cycles so far, with what measuring the held-out tasks took; None without one."""
    cycles, seconds = len(run.read("metrics.jsonl")), run.content["seconds"]
    return seconds[phases.CLIMB.name] / cycles if cycles and phases.CLIMB.name in seconds else None


@dataclass(frozen=True)
class Update:
    """What decides how long a cycle learns."""

    steps: int
    """Steps that fine-tuning took."""
    prompt: float
    """Mean tokens of a prompt."""
    shares: bool
    """Whether a prompt is read once for all its completions."""


def expected_cycle_seconds(run: Run, update: Update) -> float | None:
    """A cycle, by the seconds that the last probe took for a rollout and fine-tuning for a token;
    its share of measuring the held-out tasks included. Groups are taken to be of warm tasks as far
    as there are any, for these are drawn most and alone teach. None where the run's files show no
    such speed."""
    recipe, seconds, phase = run.recipe, run.content["seconds"], phases.bootstrapped()
    written = _written(run)
    if not written or phase not in seconds:
        return None
    train = {t.instance_id for t in run.tasks if t.split == "train"}
    warm = sum(p.instance_id in train and p.state == "warm" for p in read_probes(run, phase))
    size, groups = recipe.climb.group_size, min(recipe.climb.groups, len(train))
    learned = recipe.distil.batch * update.steps * (update.prompt + fmean(written))
    prompts = 1 if update.shares else size
    tokens = min(groups, warm) * (prompts * update.prompt + size * fmean(written))
    learning = seconds.get(phases.DISTIL.name, 0.0) * tokens / learned if learned else 0.0
    sampling = seconds[phase] / len(written) * size * groups
    return sampling + learning + heldout_seconds(run)


def heldout_seconds(run: Run) -> float:
    """What measuring the held-out tasks takes, a cycle, by the seconds that the last probe took for
    a rollout; 0 where the run's files show no such speed."""
    written, seconds = _written(run), run.content["seconds"].get(phases.bootstrapped(), 0.0)
    rollouts = run.recipe.probe.k * sum(t.split == "heldout" for t in run.tasks)
    return seconds / max(1, len(written)) * rollouts / run.recipe.climb.eval_every


def _written(run: Run) -> list[int]:
    """Tokens of each rollout of the last probe before climbing."""
    phase = phases.bootstrapped()
    return [r["tokens"] for r in run.read("rollouts.jsonl") if r["phase"] == phase]
