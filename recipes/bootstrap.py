"""The stages of bootstrap, in the order of `stages.py`: tasks from the repository's own tests;
which of them the student never solves; a teacher for these alone (`teach.py`); fine-tuning on what
the tests verified; the same probe again.

    mine_tasks(run, screen)
    for stage in stages.left(run.content["done"]):
        take(session, stage)

Each goes on where it was cut off, and does nothing where it is done.
"""

from recipes import stages
from recipes.reporting import tables
from recipes.session import RolloutBar, Session, limits_of
from recipes.teachers.teach import teach
from sandbox.errors import UsageError
from sandbox.reasons import counted, in_words, name_lines

HELD_BACK = "task that holds what looks like a secret"
"""Why such a one is left out."""


def mine_tasks(run, screen) -> None:
    """Step 1: tasks.jsonl, from the repository's own tests."""
    from sandbox.cache import make_room
    from sandbox.tasks.mine import MiningOptions, mine

    if run.is_done(stages.MINE.name):
        return
    recipe = run.recipe
    with run.step(stages.MINE.name):
        mined = mine(
            run.repository,
            limits_of(recipe),
            run.folder,
            MiningOptions(
                heldout=recipe.tasks.heldout,
                limit=recipe.tasks.limit,
                seed=recipe.seed,
                kinds=recipe.tasks.kinds,
                since=recipe.tasks.since,
            ),
            screen.progress,
        )
        tasks, excluded = without_secrets(run, mined.tasks, mined.excluded, screen)
        if not tasks:
            raise UsageError(
                f"{run.repository.root} gives no valid task: " + in_words(excluded, mined.left_out)
            )
        run.keep_only("tasks.jsonl", [t.to_dict() for t in tasks])
        secret = {HELD_BACK: [t.instance_id for t in mined.tasks if t not in tasks]}
        left_out = mined.left_out | (secret if HELD_BACK in excluded else {})
        run.content["excluded"], run.content["left_out"] = excluded, left_out
    make_room(screen.say)
    counts = {split: sum(t.split == split for t in tasks) for split in ("train", "heldout")}
    screen.say(
        f"{len(tasks)} tasks mined: {counts['train']} for training, {counts['heldout']} held out. "
        + (f"Left out: {counted(excluded)}." if excluded else "")
    )
    if left_out:
        screen.say("\n".join(name_lines(left_out)))


def without_secrets(
    run, tasks: list, excluded: dict[str, int], screen
) -> tuple[list, dict[str, int]]:
    """The tasks that hold nothing that looks like a secret, and the reasons why others are left
    out: a secret is not to be learned, sent, or copied to the run folder."""
    from recipes.teachers.secrets import SecretFilter, texts_of

    secrets = SecretFilter(run.repository)
    held = {t.instance_id: why for t in tasks if (why := secrets.reason(texts_of(t.to_dict())))}
    if not held:
        return tasks, excluded
    for name, why in held.items():
        screen.say(f"{name} is left out: {why}.")
    run.keep_only(
        "mining.jsonl",
        [
            {"instance_id": r["instance_id"], "task": None, "reason": HELD_BACK}
            if r["instance_id"] in held
            else r
            for r in run.read("mining.jsonl")
        ],
    )
    return [t for t in tasks if t.instance_id not in held], {**excluded, HELD_BACK: len(held)}


def take(session: Session, stage: stages.Stage) -> None:
    """One stage of bootstrap, but for mining, which comes before a student is at work: a probe,
    or else its entry of STEPS."""
    if stage.is_probe:
        probe(session, stage.name)
    else:
        STEPS[stage](session)


def probe(session: Session, phase: str) -> None:
    """k rollouts of every task: probe.jsonl and rollouts.jsonl, task by task as they are
    judged."""
    from recipes.learning import measure

    if session.run.is_done(phase):
        return
    if phase != stages.BEFORE.name:
        session.student.restore(session.run.checkpoint("best"))
    settings = session.recipe.probe
    wanted = [t for t in session.tasks if t.instance_id in session.prompts]
    session.run.content["prompts"] = session.prompt_facts
    known = _keep_whole_chunks(session, phase, wanted)
    pending = [(t, session.prompts[t.instance_id]) for t in wanted if t.instance_id not in known]
    with session.screen.patience() as patience, session.run.step(phase):
        session.check_policy()
        total, done = settings.k * len(wanted), settings.k * len(known)
        bar, unmeasured = RolloutBar(session.screen, f"probing ({phase})", total, done), []
        for found, group in measure.probe(
            session.engine,
            pending,
            settings.k,
            settings.temperature,
            session.recipe.student.max_new,
            session.recipe.seed,
            session.judge_replies,
            session.chunk(settings.k),
            bar.add,
        ):
            session.run.append("rollouts.jsonl", [{"phase": phase, **r.record()} for r in group])
            if found:
                session.run.append(
                    "probe.jsonl",
                    [
                        {
                            "phase": phase,
                            "temperature": settings.temperature,
                            "instance_id": found.instance_id,
                            "k": found.k,
                            "resolved": found.resolved,
                            "truncated": found.truncated,
                        }
                    ],
                )
            else:
                unmeasured.append(group)
            patience.check()
        bar.end()
        session.set_aside(unmeasured)
    if phase == stages.BEFORE.name:
        train = {t.instance_id for t in session.by_split("train")}
        words = tables.cut_off_sentence(
            [p for p in tables.read_probes(session.run, phase) if p.instance_id in train],
            session.recipe.student.max_new,
        )
        if words:
            session.screen.say(words)


def _keep_whole_chunks(session: Session, phase: str, wanted: list) -> set[str]:
    """The tasks that are measured already. What was recorded of a chunk that was cut off is
    dropped, and will be sampled again beside the same other tasks: so it comes out the same, to
    the last bit."""
    recorded = {r["instance_id"] for r in session.run.read("probe.jsonl") if r["phase"] == phase}
    size, known = session.chunk(session.recipe.probe.k), set()
    for start in range(0, len(wanted), size):
        chunk = {t.instance_id for t in wanted[start : start + size]}
        if not chunk <= recorded:
            break
        known |= chunk
    for file in ("probe.jsonl", "rollouts.jsonl"):
        session.drop(file, lambda r: r["phase"] == phase and r["instance_id"] not in known)
    return known


def anything_solved(session: Session, phase: str) -> bool:
    """Whether a task for training was solved at least once: what REINFORCE needs."""
    train = {t.instance_id for t in session.tasks if t.split == "train"}
    return any(p.resolved for p in tables.read_probes(session.run, phase) if p.instance_id in train)


def distil(session: Session) -> None:
    """Fine-tune on the verified trajectories."""
    from recipes.learning import distil as distillation
    from recipes.learning.student import Sample

    if session.run.is_done(stages.DISTIL.name):
        return
    trajectories = session.run.read("trajectories.jsonl")
    pairs = [
        Sample(
            tuple(session.student.prompt_ids(t["messages"][:-1])),
            tuple(session.student.completion_ids(t["messages"][-1]["content"])),
        )
        for t in trajectories
    ]
    examples = [e for e in pairs if len(e.completion) <= session.recipe.student.max_new]
    if len(examples) < len(pairs):
        session.screen.say(
            f"{len(pairs) - len(examples)} verified answers are longer than the "
            f"{session.recipe.student.max_new} tokens that "
            "the student may write, and are left out."
        )
    folder = session.run.folder / "checkpoints"
    start = (
        session.student.restore(session.run.checkpoint("last"))["step"]
        if "last" in session.run.content["checkpoints"]
        else 0
    )
    with session.screen.patience() as patience, session.run.step(stages.DISTIL.name):
        if not examples:
            session.screen.say(
                "No verified answer is left, so there is nothing to distil: the student stays "
                "as it is."
            )
        for now in (
            distillation.distil(
                session.student, examples, session.recipe.distil, session.recipe.seed, start
            )
            if examples
            else ()
        ):
            session.screen.progress("fine-tuning", now.step, now.steps)
            if (
                now.step % session.recipe.distil.save_every == 0 or patience.asked
            ) and now.step < now.steps:
                name = f"distil-{now.step:04d}"
                session.student.save(folder / name, {"step": now.step})
                session.run.name_checkpoints(last=name)
                patience.check()
        name = stages.checkpoint_after(0)
        session.student.save(folder / name, {"step": session.recipe.distil.steps})
        session.run.name_checkpoints(distilled=name, last=name, best=name)


STEPS = {stages.TEACH: teach, stages.DISTIL: distil}
"""What takes a stage that is no probe."""
