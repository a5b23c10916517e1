"""What a student can do of what it was not just learning: measured before and after each stage.

    found = measure(session, others, stages_so_far, "stage-start")
    found["heldout"]["reasoning"]["pass_at_1"], found["neutral"], found["kl"]
    gain(before, after, "agentic"), mean_drop(before, after, "agentic")

Nothing here changes the student. The same prompts and seeds are used each time, so that two
measurements differ by the student alone.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from recipes import phases
from recipes.curriculum import Stage
from recipes.learning.measure import TaskProbe, derived_seed, summarise
from recipes.others.opened import Others
from recipes.reporting.tables import read_probes
from recipes.session import RolloutBar, Session

CHUNK, CONTEXT = 256, 16
"""Tokens of neutral text that are read at once, and how many of these are not measured, because
little stands before them."""
EARLIER = ("mastered", "other")
"""What is measured beside the held-out tasks of the stages, as pass@1."""


def measure(session: Session, others: Others, stages: Sequence[Stage], since: str) -> dict:
    """{"heldout": {stage: P}, "mastered": P, "other": P, "neutral": nats a token, "kl": nats a
    token}, where P is a summary as probes have it (`measure.summarise`), with "by_task":
    {instance_id: pass@1}; None where there is nothing to measure.

    `stages`: those so far, the present one last; `since`: the checkpoint to which the KL divergence
    is taken, on the present stage's training prompts.
    """
    known: dict[tuple[str, int], TaskProbe] = {}
    heldout = {}
    for stage in stages:
        with session.at_stage(stage):
            tasks = own_tasks(session, others, stage, "heldout")
            heldout[stage.name] = _pass_at_1(session, known, tasks, f"held-out {stage.name}")
    with session.at_stage(stages[0]):
        mastered = _pass_at_1(session, known, _mastered(session), "mastered")
        other = _pass_at_1(session, known, others.never_trained, "another repository's")
    with session.at_stage(stages[-1]):
        kl = _divergence(session, others, stages[-1], since)
    neutral = cross_entropy(session)
    return {
        **{"heldout": heldout, "mastered": mastered, "other": other},
        **{"neutral": neutral, "kl": kl},
    }


def own_tasks(session: Session, others: Others, stage: Stage, split: str) -> list[Any]:
    """The stage's tasks that can be put, those of elsewhere among them."""
    return [*stage.own(session.by_split(split)), *others.of(stage, split)]


def _mastered(session: Session) -> list[Any]:
    """Training tasks that were mastered when climb began."""
    probes = read_probes(session.run, phases.bootstrapped())
    names = {p.instance_id for p in probes if p.state == "mastered"}
    tasks = [t for t in session.by_split("train") if t.instance_id in names]
    most = min(session.recipe.forgetting.mastered, len(tasks))
    chance = random.Random(derived_seed("mastered", session.recipe.seed))
    return [tasks[i] for i in sorted(chance.sample(range(len(tasks)), most))]


def _pass_at_1(
    session: Session, known: dict[tuple[str, int], TaskProbe], tasks: list[Any], what: str
) -> dict | None:
    """The pass@1 of these tasks; `known`: what was measured before, by name and turns."""
    turns, probing = session.recipe.student.turns, session.probing
    wanted = [(t.instance_id, turns) for t in tasks]
    new = [t for t, key in zip(tasks, wanted) if key not in known]
    pairs = [(t, session.prompts[t.instance_id]) for t in new]
    if pairs:
        bar = RolloutBar(session.emit, f"measuring {what} tasks", probing.n * len(pairs))
        unmeasured = []
        seed = session.recipe.seed + 1
        for measured, group in session.measure(pairs, probing, seed, bar.add):
            if measured:
                known[measured.instance_id, turns] = measured
            else:
                unmeasured.append(group)
        bar.end()
        session.set_aside(unmeasured)
    probes = [known[key] for key in wanted if key in known]
    if not probes:
        return None
    by_task = {p.instance_id: p.resolved / p.k for p in probes}
    return summarise(probes, probing.temperature, session.recipe.seed) | {"by_task": by_task}


def _divergence(session: Session, others: Others, stage: Stage, since: str) -> float | None:
    from recipes.learning.selfdistil import mean_divergence

    run = session.run
    if run.checkpoint(since) == run.checkpoint("last"):
        return 0.0
    tasks = own_tasks(session, others, stage, "train")
    pairs = [(t, session.prompts[t.instance_id]) for t in tasks]
    if not pairs:
        return None
    session.student.freeze_reference(run.checkpoint(since))
    return mean_divergence(session.engine, pairs, session.recipe, session.conversations)


def cross_entropy(session: Session) -> float | None:
    """Of plain English, nats a token: of Python's own manual, which comes with the interpreter."""
    from recipes.learning.student import Sample

    if not (most := session.recipe.forgetting.text):
        return None
    ids = session.student.completion_ids(_manual(8 * most))[:most]
    parts = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
    samples = [Sample(tuple(p[:CONTEXT]), tuple(p[CONTEXT:])) for p in parts if len(p) > CONTEXT]
    values = [v for row in session.student.logprobs(samples, 1.0) for v in row.tolist()]
    return -math.fsum(values) / len(values)


def _manual(letters: int) -> str:
    """The beginning of each of its topics, as many as are needed for so many letters."""
    from pydoc_data.topics import topics

    each = 600
    names = sorted(topics)[: -(-letters // each)]
    return "\n\n".join(topics[name][:each] for name in names)


# ---- what two measurements say -------------------------------------------------------------------


def earlier(before: dict, after: dict, stage: str) -> Iterator[tuple[float, float]]:
    """pass@1 (before, after) of what is not the stage's own: held-out tasks of the stages before
    it, mastered tasks, another repository."""
    pairs = [(before["heldout"].get(n), p) for n, p in after["heldout"].items() if n != stage]
    pairs += [(before[name], after[name]) for name in EARLIER]
    for was, now in pairs:
        if was and now:
            yield was["pass_at_1"], now["pass_at_1"]


def mean_drop(before: dict, after: dict, stage: str) -> float | None:
    """Mean fall of these; None where there is none."""
    falls = [was - now for was, now in earlier(before, after, stage)]
    return fmean(falls) if falls else None


def gain(before: dict, after: dict, stage: str) -> float | None:
    """On the stage's own held-out tasks; None where it has none."""
    was, now = before["heldout"].get(stage), after["heldout"].get(stage)
    return now["pass_at_1"] - was["pass_at_1"] if was and now else None
