"""How good a checkpoint is beside the base that it grew from, and whether the difference is more
than chance.

    chosen = tasks_of(run.tasks, "heldout")                            # "heldout", "train" or "all"
    # {instance_id: TaskProbe} of what was measured before
    known = read(run, adapter, k, temperature)
    run.append(FILE, [record(adapter, k, temperature, p), ...])
    # {"probe": P, "base": P, "difference": {group: ...}}
    comparison = compare(run, base_probes, tuned_probes, temperature)
    comparison_lines(comparison, "cycle-0050", width)

Base and adapter answer the same tasks with the same random numbers, which are neither those of the
probes nor those by which the best checkpoint is chosen. A line of eval.jsonl is one task of one of
the two, named by the digest of its weights, so that what was measured once is never measured again.
"""

import math
import textwrap
from pathlib import Path

from recipes.learning.measure import (
    TaskProbe,
    interval,
    mcnemar,
    paired_interval,
    pass_at_k,
    summarise,
)
from recipes.reporting.tables import GROUP_WORDS, GROUPS, SHOWN_GROUPS, grouped, probe_of
from recipes.runfolder import checkpoint
from recipes.runfolder.run import Run
from sandbox.errors import UsageError
from sandbox.tasks.task import SORTS, Task

FILE, CONTROL = "eval.jsonl", "control.jsonl"
BASE = "base"
SEED_STEP = 2
"""Added to the recipe's seed: 0 is for the probes, 1 for choosing the best checkpoint."""
SIGNIFICANT = 0.05
SPLITS = ("heldout", "all", "train")
WORDS = {
    "better": "better, by more than chance explains",
    "worse": "WORSE, by more than chance explains",
    "noise": "inside the noise, so no improvement is shown",
}
CONTROL_WORDS = {
    "better": "better than that, by more than chance explains",
    "worse": "WORSE than that, by more than chance explains",
    "noise": "inside the noise, so no improvement over that is shown",
}


def name_of(folder: Path) -> str:
    """What eval.jsonl calls the adapter of a checkpoint. Raises UsageError where it is missing or
    damaged."""
    return checkpoint.read(folder)["sha256"][checkpoint.ADAPTER][:16]


def samples(k: int | None, temperature: float, default: int) -> int:
    """How many samples a task gets. Raises UsageError for several at temperature 0."""
    if temperature == 0 and (k or 1) > 1:
        raise UsageError(
            "At temperature 0 all samples of a task are the same one: leave --k out, or raise "
            "--temperature."
        )
    return 1 if temperature == 0 else k or default


def tasks_of(tasks: list[Task], split: str) -> list[Task]:
    """The tasks of a split. Raises UsageError where there are none."""
    chosen = [t for t in tasks if split in ("all", t.split)]
    if not chosen:
        raise UsageError("The run has no task in this split. Name another with --split.")
    return chosen


def read(run: Run, adapter: str, k: int, temperature: float) -> dict[str, TaskProbe]:
    """What is known of an adapter: {instance_id: TaskProbe}."""
    return {r["instance_id"]: probe_of(r) for r in _lines(run, FILE, adapter, k, temperature)}


def read_tokens(run: Run, adapter: str, k: int, temperature: float) -> dict[str, list[int]]:
    """The same: {instance_id: tokens that the student wrote in each rollout}, of several turns."""
    lines = _lines(run, FILE, adapter, k, temperature)
    return {r["instance_id"]: r["tokens"] for r in lines if "tokens" in r}


def read_control(run: Run, adapter: str, k: int, temperature: float) -> dict[str, int]:
    """What is known of the control (`control.py`): {instance_id: trials, of k, that solved it}."""
    lines = _lines(run, CONTROL, adapter, k, temperature)
    return {r["instance_id"]: r["resolved"] for r in lines}


def _lines(run: Run, file: str, adapter: str, k: int, temperature: float) -> list[dict]:
    wanted = {"adapter": adapter, "k": k, "temperature": temperature}
    return [r for r in run.read(file) if all(r[key] == v for key, v in wanted.items())]


def record(adapter: str, k: int, temperature: float, probe: TaskProbe) -> dict:
    """A line of eval.jsonl."""
    return {
        "adapter": adapter,
        "k": k,
        "temperature": temperature,
        "instance_id": probe.instance_id,
        "resolved": probe.resolved,
        "truncated": probe.truncated,
        **({"turns": probe.turns, "first": probe.first} if probe.turns else {}),
    }


def compare(run: Run, base: list[TaskProbe], tuned: list[TaskProbe], temperature: float) -> dict:
    """{"probe": P, "base": P, "difference": {group: {"pass_at_1", "ci95", "mcnemar", "verdict"}}}
    of two lists about the same tasks.

    The P are those of DESIGN.md, section 10, with `ci95_at_k` (of pass@k) beside. `difference` has
    the groups that hold tasks; `mcnemar` is a p-value where k is 1, else None; `verdict` is
    `better` or `worse` where the interval leaves 0 out (and p is below 0.05), else `noise`.
    """
    old, new, seed = grouped(run, base), grouped(run, tuned), run.recipe.seed
    return {
        "probe": {g: _summary(new[g], temperature, seed) for g in GROUPS},
        "base": {g: _summary(old[g], temperature, seed) for g in GROUPS},
        "difference": {g: _difference(old[g], new[g], seed) for g in GROUPS if new[g]},
    }


def with_control(
    run: Run, compared: dict, episodes: list[TaskProbe], trials: dict[str, int]
) -> dict:
    """The comparison with `pass_at_1_control` in each group of "probe", and "control": {group:
    what episodes are more than it, as in "difference"}. `trials`: as of `read_control`."""
    control = [TaskProbe(p.instance_id, p.k, trials[p.instance_id], 0) for p in episodes]
    old, new, seed = grouped(run, control), grouped(run, episodes), run.recipe.seed
    probe = {
        group: {**p, "pass_at_1_control": _mean_pass(old[group])}
        for group, p in compared["probe"].items()
    }
    beside = {g: _difference(old[g], new[g], seed) for g in GROUPS if new[g]}
    return {**compared, "probe": probe, "control": beside}


def _mean_pass(probes: list[TaskProbe]) -> float | None:
    return math.fsum(p.resolved / p.k for p in probes) / len(probes) if probes else None


def _summary(probes: list[TaskProbe], temperature: float, seed: int) -> dict:
    return {
        **summarise(probes, temperature, seed),
        "ci95_at_k": list(interval([pass_at_k(p.k, p.resolved, p.k) for p in probes], seed)),
    }


def _difference(base: list[TaskProbe], tuned: list[TaskProbe], seed: int) -> dict:
    old, new = (
        [p.resolved / p.k for p in sorted(probes, key=lambda p: p.instance_id)]
        for probes in (base, tuned)
    )
    low, high = paired_interval(old, new, seed)
    p = mcnemar([v == 1 for v in old], [v == 1 for v in new]) if tuned[0].k == 1 else None
    verdict = (
        "noise"
        if low <= 0 <= high or p is not None and p >= SIGNIFICANT
        else "better"
        if low > 0
        else "worse"
    )
    return {
        "pass_at_1": (math.fsum(new) - math.fsum(old)) / len(new),
        "ci95": [low, high],
        "mcnemar": p,
        "verdict": verdict,
    }


def _shown(comparison: dict) -> list[str]:
    """The groups that a person is told of: all tasks of a sort only where no other group
    has the same ones."""
    groups = [group for group in SHOWN_GROUPS if group in comparison["difference"]]
    sizes = {group: comparison["probe"][group]["n"] for group in groups}
    return [
        group
        for group in groups
        if group not in SORTS
        or all(sizes[other] < sizes[group] for other in groups if other.endswith(f"_{group}"))
    ]


def _control_lines(comparison: dict, group: str) -> list[str]:
    beside = comparison.get("control", {}).get(group)
    if beside is None:
        return []
    low, high = beside["ci95"]
    return [
        f"  {'control':11} pass@1 {comparison['probe'][group]['pass_at_1_control']:.3f}: as many "
        "tokens as single attempts, of which the tests that the prompt shows choose. Episodes "
        f"{beside['pass_at_1']:+.3f} [{low:+.3f}, {high:+.3f}]: {CONTROL_WORDS[beside['verdict']]}."
    ]


def comparison_lines(comparison: dict, name: str, width: int) -> list[str]:
    """The comparison for a person, a paragraph a group."""
    out = []
    for group in _shown(comparison):
        difference = comparison["difference"][group]
        p = comparison["probe"][group]
        samples = "1 sample" if p["k"] == 1 else f"{p['k']} samples"
        out += [
            "",
            f"{GROUP_WORDS[group]}: {p['n']} tasks, {samples} each, temperature "
            f"{p['temperature']:g} (in brackets: 95 % intervals)",
        ]
        rows = [(BASE, comparison["base"][group]), (name, p)]
        for arm, q in rows:
            words = (
                f"  {arm:11} pass@1 {q['pass_at_1']:.3f} [{q['ci95'][0]:.3f}, {q['ci95'][1]:.3f}]"
            )
            if q["k"] > 1:
                words += (
                    f"  pass@{q['k']} {q['pass_at_k']:.3f} [{q['ci95_at_k'][0]:.3f}, "
                    f"{q['ci95_at_k'][1]:.3f}]"
                )
            out.append(words)
            if "turns" in q:
                out.append(
                    f"  {'':11} pass@1 {q['pass_at_1_turn_1']:.3f} after the first turn; "
                    f"{q['turns']:.2f} turns"
                )
        low, high = difference["ci95"]
        test = "" if difference["mcnemar"] is None else f", McNemar p = {difference['mcnemar']:.3g}"
        out.append(
            f"  {'difference':11} pass@1 {difference['pass_at_1']:+.3f} [{low:+.3f}, "
            f"{high:+.3f}]{test}: "
            f"{WORDS[difference['verdict']]}."
        )
        out += _control_lines(comparison, group)
    if "voice" in comparison:
        out.append("")
    for arm, voice in comparison.get("voice", {}).items():
        names = ", ".join(f"{name} {count}" for name, count in voice["names"].items())
        out.append(
            f"  {arm:11} {voice['named']} of {voice['questions']} answers about itself name a "
            "teacher or vendor"
            f"{names and f' ({names})'}."
        )
    return [
        part
        for line in out
        for part in textwrap.wrap(line, width, subsequent_indent=" " * 14) or [""]
    ]
