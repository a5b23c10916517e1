"""A teacher for the cold tasks: the repository's own code, or an API teacher that a person hired.
What the tests verify of its answers is learned (trajectories.jsonl).

    dry_run(session)        # what would be sent, and what it would cost
    teach(session)
"""

from collections import Counter

from recipes import stages
from recipes.events import Note, Progress, notes_to
from recipes.reporting import tables
from recipes.rollouts.rollout import TOLERATED
from recipes.session import CHUNK, Session
from sandbox.errors import HarnessError
from sandbox.reasons import counted


def cold_for_teacher(session: Session) -> list:
    """The reference teacher is the gold edit: where there is none, it has nothing to say."""
    from recipes.teachers.conversation import choose_cold

    states = {p.instance_id: p.state for p in tables.read_probes(session.run, stages.BEFORE.name)}
    is_model = session.hired or session.run.content.get("teacher")
    return choose_cold(
        [t for t in session.tasks if t.patch or is_model],
        states,
        session.recipe.teacher.share,
        session.recipe.seed,
    )


def dry_run(session: Session) -> dict:
    """Say what the API teacher would be sent and what it would cost, write the prompts to
    RUN/prompts, and return the same as data."""
    planned = _plan(session)
    folder = session.run.folder / "prompts"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.txt"):
        old.unlink()
    for name, prompt in planned.prompts.items():
        (folder / f"{name}.txt").write_text(prompt[0]["content"], encoding="utf-8")
    session.emit(Note(f"Nothing was sent. What would be sent first of all is in {folder}."))
    return {
        "name": session.hired.endpoint.name,
        "model": session.hired.endpoint.model,
        "requests": 0,
        "usd": 0.0,
        "asked": 0,
        "verified": 0,
        "plan": {**planned.to_dict(), "max_usd": session.hired.max_usd},
    }


def _plan(session: Session):
    from recipes.teachers.options import plan

    planned = plan(
        cold_for_teacher(session),
        session.tree,
        session.hired.endpoint,
        session.recipe.teacher,
        session.guard,
    )
    for line in planned.lines(session.hired):
        session.emit(Note(line))
    return planned


def teach(session: Session) -> None:
    """Ask the teacher for the cold tasks; what the tests verify becomes trajectories.jsonl,
    beside rollouts of the student's own."""
    if session.run.is_done(stages.TEACH.name):
        return
    chosen = cold_for_teacher(session)
    if session.hired is None:
        session.emit(
            Note(
                "No API teacher is named, so the reference teacher answers: with the repository's "
                "own code, verified like any "
                "other."
            )
        )
    with session.stopping() as patience, session.run.step(stages.TEACH.name):
        asked = (
            _ask_reference(session, chosen, patience)
            if session.hired is None
            else _ask_api_teacher(session, chosen, patience)
        )
        _add_replay(session)
    session.emit(
        Note(
            f"{asked} cold tasks were given to the teacher; the tests verified "
            f"{len(_taught(session))} answers."
        )
    )


def _taught(session: Session) -> list[dict]:
    """The verified answers of teachers."""
    return [r for r in session.run.read("trajectories.jsonl") if r["source"] != "student"]


def _ask_reference(session: Session, chosen: list, patience) -> int:
    """Ask for the gold edits of all tasks; returns how many these are."""
    from recipes.teachers.conversation import ReferenceTeacher

    known = {r["instance_id"] for r in session.run.read("trajectories.jsonl")}
    teacher = ReferenceTeacher(session.tree, session.recipe.prompt.style)
    pending = [t for t in chosen if t.instance_id not in known]
    session.run.append("trajectories.jsonl", [])
    unjudged: dict[str, str] = {}
    for start in range(0, len(pending), CHUNK):
        asked = [(t, session.chats[t.instance_id]) for t in pending[start : start + CHUNK]]
        replies = [(t, m, teacher.reply(t, m)) for t, m in asked]
        verdicts = session.judge_replies([(t, reply) for t, _, reply in replies])
        session.run.append(
            "trajectories.jsonl",
            [
                {
                    "messages": [*m, {"role": "assistant", "content": reply}],
                    "instance_id": t.instance_id,
                    "source": teacher.source,
                    "reward": verdict.reward,
                }
                for (t, m, reply), verdict in zip(replies, verdicts)
                if not isinstance(verdict, HarnessError) and verdict.status == "resolved"
            ],
        )
        unjudged |= {
            t.instance_id: str(v)
            for (t, _, _), v in zip(replies, verdicts)
            if isinstance(v, HarnessError)
        }
        _say_unjudged(session, unjudged, len(pending))
        session.emit(Progress("asking the teacher", start + len(asked), len(pending)))
        patience.check()
    return len(chosen)


def _say_unjudged(session: Session, unjudged: dict[str, str], asked: int) -> None:
    """Name the tasks whose answers the jail could not judge. Raises HarnessError where they are
    more than a tenth of those asked."""
    if len(unjudged) > TOLERATED * asked:
        raise HarnessError(
            f"The jail failed on the teacher's answers to {len(unjudged)} of {asked} tasks, so "
            "this stops here: "
            f"{next(iter(unjudged.values()))} What was done is kept."
        )
    for name, why in unjudged.items():
        session.emit(Note(f"{name} is not taught: {why}"))
    unjudged.clear()


def _ask_api_teacher(session: Session, chosen: list, patience) -> int:
    """Hold conversations about all tasks that may be sent, as far as the money goes, and return
    how many these are. Those of a run that was cut off are held again, at no cost."""
    from recipes.teachers.conversation import ApiTeacher, Bench
    from recipes.teachers.endpoint import Asker, Client
    from recipes.teachers.ledger import Ledger, Replies, as_pico, read_summary
    from sandbox.cache import cache_folder

    recipe, settings, planned, lessons = session.recipe, session.recipe.teacher, _plan(session), {}
    bench = Bench(
        session.judge_replies,
        lambda task, files: session.judge.run(
            {
                "files": files,
                "ids": list(task.shown),
                "text": True,
                "timeout": session.judge.limits.timeout + 10 * task.test_seconds,
            }
        ),
        session.judge.stop,
    )
    with (
        Replies(cache_folder() / "teacher") as replies,
        Ledger.open(session.run.folder / "teacher.sqlite", replies) as ledger,
    ):
        asker = Asker(
            Client(session.hired.endpoint, session.hired.key, settings.stall),
            ledger,
            replies,
            as_pico(session.hired.max_usd),
            settings.tries,
            settings.pause,
            recipe.seed,
            lambda: patience.requested,
            notes_to(session.emit),
        )
        teacher = ApiTeacher(
            asker,
            settings,
            recipe.prompt.style,
            recipe.seed,
            session.tree,
            bench,
            session.guard,
            session.chats,
        )
        for lesson in teacher.teach(
            [t for t in chosen if t.instance_id in planned.prompts], planned.prompts
        ):
            lessons[lesson.task.instance_id] = lesson
            session.emit(Progress("asking the teacher", len(lessons), len(planned.prompts)))
        patience.check()
        asker.check()
    _say_unjudged(
        session,
        {name: lesson.why for name, lesson in lessons.items() if lesson.unjudged},
        len(lessons),
    )
    session.run.keep_only(
        "trajectories.jsonl",
        [
            {
                "messages": dialogue,
                "instance_id": t.instance_id,
                "source": teacher.source,
                "reward": 1.0,
            }
            for t in chosen
            if t.instance_id in lessons
            for dialogue in lessons[t.instance_id].dialogues
        ],
    )
    if unsolved := Counter(lesson.why for lesson in lessons.values() if not lesson.dialogues):
        session.emit(Note(f"Without a verified answer: {counted(unsolved)}."))
    spent = read_summary(session.run.folder)
    session.emit(
        Note(
            f"{session.hired.endpoint.name} was sent {spent['requests']} requests, for "
            f"${spent['usd']:.4f} of at most "
            f"${session.hired.max_usd:.2f}."
        )
    )
    return len(lessons)


def _add_replay(session: Session) -> None:
    """Rollouts that the student itself got right before, so that learning from the teacher does
    not cost it what it could do."""
    from recipes.teachers.conversation import choose_replay

    taught = _taught(session)
    rollouts = [r for r in session.run.read("rollouts.jsonl") if r["phase"] == stages.BEFORE.name]
    own = choose_replay(
        session.tasks, rollouts, len(taught), session.recipe.distil.replay, session.recipe.seed
    )
    if own:
        session.run.keep_only(
            "trajectories.jsonl",
            taught
            + [
                {
                    "messages": [
                        *session.chats[r["instance_id"]],
                        {"role": "assistant", "content": r["text"]},
                    ],
                    "instance_id": r["instance_id"],
                    "source": "student",
                    "reward": 1.0,
                }
                for r in own
            ],
        )


def teacher_facts(session: Session) -> dict:
    """{"name", "requests", "usd", "asked", "verified"}"""
    from recipes.teachers.ledger import read_summary

    asked, named = len(cold_for_teacher(session)), session.run.content.get("teacher")
    verified = len({r["instance_id"] for r in _taught(session)})
    if named is None:
        return {
            "name": "reference",
            "requests": asked,
            "usd": 0.0,
            "asked": asked,
            "verified": verified,
        }
    spent = read_summary(session.run.folder)
    return {
        "name": named["endpoint"]["name"],
        "model": named["endpoint"]["model"],
        "requests": spent["requests"],
        "usd": spent["usd"],
        "asked": len(spent["by_task"]),
        "verified": verified,
    }
