"""REINFORCE on the repository's own tests, cycle after cycle (`reinforce.py`): no teacher any more.

done = climb(session, cycles=50, minutes=None)
"""

import time

from recipes import stages
from recipes.reporting import tables
from recipes.reporting.alarm import alarm
from recipes.session import RolloutBar, Session
from sandbox.errors import HarnessError


def climb(session: Session, cycles: int, minutes: float | None) -> int:
    """REINFORCE until the run has `cycles` cycles; returns how many it has."""
    from recipes.learning.reinforce import ClimbState, cycle, in_words

    run, recipe = session.run, session.recipe
    counters = session.student.restore(run.checkpoint("last"))
    state = ClimbState.from_dict(counters.get("climb", {}))
    _forget_after(session, state.cycle, counters.get("metrics"))
    if recipe.climb.kl:
        session.student.freeze_reference(run.checkpoint("distilled"))
    started = time.monotonic()
    session.check_policy()
    if state.best_pass_at_1 is None and (found := _heldout(session)):
        state.is_best(found["heldout"]["pass_at_1"])
    with session.screen.patience() as patience, run.timed(stages.CLIMB.name):
        while state.cycle < cycles and (
            minutes is None or time.monotonic() - started < 60 * minutes
        ):
            train = session.by_split("train")
            if not train:
                raise HarnessError(
                    "Every task for training has been set aside, because the jail failed on it."
                )
            of_cycle = recipe.climb.group_size * min(recipe.climb.groups, len(train))
            bar = RolloutBar(session.screen, "climbing", of_cycle * cycles, of_cycle * state.cycle)
            result = cycle(
                session.engine,
                train,
                session.prompts,
                state,
                recipe,
                session.judge_replies,
                bar.add,
            )
            session.set_aside([result.rollouts])
            line, best = dict(result.metrics), False
            name = stages.checkpoint_after(result.cycle)
            if result.cycle % recipe.climb.eval_every == 0 or result.cycle == cycles:
                found = _heldout(session)
                line |= tables.heldout_metrics(found)
                best = not found or state.is_best(found["heldout"]["pass_at_1"])
            run.append(
                "rollouts.jsonl",
                [
                    {"phase": stages.CLIMB.name, "cycle": result.cycle, **r.record()}
                    for r in result.rollouts
                ],
            )
            session.student.save(
                run.folder / "checkpoints" / name, {"climb": state.to_dict(), "metrics": line}
            )
            run.name_checkpoints(last=name, **({"best": name} if best else {}))
            before = alarm(run.read("metrics.jsonl"))
            run.append("metrics.jsonl", [line])
            session.screen.say(in_words(result) + tables.heldout_words(line, best))
            if (warning := alarm(run.read("metrics.jsonl"))) and not before:
                session.screen.say(warning)
            patience.check()
    return state.cycle


def _forget_after(session: Session, cycle: int, line: dict | None) -> None:
    """Bring metrics.jsonl and rollouts.jsonl in step with the checkpoint that climbing goes on
    from."""
    session.drop("rollouts.jsonl", lambda r: r["phase"] == stages.CLIMB.name and r["cycle"] > cycle)
    metrics = [m for m in session.run.read("metrics.jsonl") if m["cycle"] < cycle]
    if line is not None:
        session.run.keep_only("metrics.jsonl", [*metrics, line])


def _heldout(session: Session) -> dict:
    """How good it is on the held-out tasks, always on the same seeds, which are not those of
    the probes: {group: summary} for `heldout` and its hard and soft ones; {} without such
    tasks."""
    from recipes.learning.measure import probe, summarise

    pairs = [(t, session.prompts[t.instance_id]) for t in session.by_split("heldout")]
    if not pairs:
        return {}
    settings, found, unmeasured = session.recipe.probe, [], []
    bar = RolloutBar(session.screen, "measuring held-out tasks", settings.k * len(pairs))
    for measured, group in probe(
        session.engine,
        pairs,
        settings.k,
        settings.temperature,
        session.recipe.student.max_new,
        session.recipe.seed + 1,
        session.judge_replies,
        session.chunk(settings.k),
        bar.add,
    ):
        if measured:
            found.append(measured)
        else:
            unmeasured.append(group)
    bar.end()
    session.set_aside(unmeasured)
    groups = tables.grouped(session.run, sorted(found, key=lambda p: p.instance_id))
    return {
        name: summarise(groups[name], settings.temperature, session.recipe.seed)
        for name in ("heldout", *tables.APART["heldout"])
    }
