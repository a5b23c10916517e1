"""A teacher for the cold tasks: the repository's own code, or an API teacher that a person hired.
What the tests verify of its answers is learned (trajectories.jsonl).

    dry_run(session)        # what would be sent, and what it would cost
    teach(session)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from recipes import phases
from recipes.events import Progress
from recipes.reporting import tables
from recipes.rollouts.rollout import TOLERATED
from recipes.runfolder.taking_up import FROM
from recipes.session import CHUNK, Session
from recipes.teachers.events import (
    NothingSent,
    NotTaught,
    ReferenceAnswers,
    RepliesMissing,
    SessionsRead,
    Spent,
    Taught,
    Unsolved,
)
from sandbox.errors import HarnessError, UsageError
from sandbox.tasks.task import Task

if TYPE_CHECKING:
    from recipes.teachers.conversation import ApiTeacher, Lesson
    from recipes.teachers.options import Hired
    from recipes.teachers.plan import Plan
    from recipes.teachers.secrets import AnyFilter

TRAJECTORIES = "trajectories.jsonl"
ASKING = "asking the teacher"


class Stopping(Protocol):
    """Whether a person wants a step to end before it is done."""

    @property
    def requested(self) -> bool: ...

    def check(self) -> None:
        """Raises KeyboardInterrupt where it is requested."""


def cold_for_teacher(session: Session) -> list[Task]:
    """Those that the teacher may answer. The reference teacher is the gold edit: where there is none,
    it has nothing to say."""
    from recipes.teachers.choose import choose_cold

    states = {p.instance_id: p.state for p in tables.read_probes(session.run, phases.BEFORE.name)}
    is_model = session.hired or session.run.content.get("teacher")
    chosen = choose_cold(
        [t for t in session.tasks if t.patch or is_model],
        states,
        session.recipe.teacher.share,
        session.recipe.seed,
    )
    known = _learned_before(session)
    return [t for t in chosen if t.instance_id not in known]


def _learned_before(session: Session) -> set[str]:
    """The tasks whose answers by the same teacher were learned in a run that this one takes up, and
    which are as they were: fine-tuned on them again after every commit, a student knows them by
    heart, and nothing else."""
    content = session.run.content
    before = content.get(FROM)
    now = session.hired.to_dict() if session.hired else content.get("teacher")
    if before is None or _named(before.get("teacher")) != _named(now):
        return set()
    return set(before["taught"]) - set(content["since"]["new_tasks"])


def _named(teacher: dict | None) -> tuple[str, str] | None:
    """(name, model) of an API teacher as run.json has it."""
    return (teacher["endpoint"]["name"], teacher["endpoint"]["model"]) if teacher else None


def dry_run(session: Session) -> dict:
    """Say what the API teacher would be sent and what it would cost, write the prompts to
    RUN/prompts, and return the same as data."""
    hired = _hired(session)
    planned = _plan(session, cold_for_teacher(session), _secret_filter(session))
    session.emit(NothingSent(_write_prompts(session, planned)))
    return {
        "name": hired.endpoint.name,
        "model": hired.endpoint.model,
        "requests": 0,
        "usd": 0.0,
        "asked": 0,
        "verified": 0,
        "plan": {**planned.to_dict(), "max_usd": hired.max_usd},
    }


def _write_prompts(session: Session, planned: Plan) -> Path:
    """The folder with a file a prompt."""
    folder = session.run.folder / "prompts"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.txt"):
        old.unlink()
    for name, prompt in planned.prompts.items():
        (folder / f"{name}.txt").write_text(prompt[0]["content"], encoding="utf-8")
    return folder


def teach(session: Session) -> None:
    """Ask the teacher for the cold tasks; what the tests verify becomes trajectories.jsonl,
    beside rollouts of the student's own."""
    if session.run.is_done(phases.TEACH.name):
        return
    chosen = cold_for_teacher(session)
    if session.hired is None:
        session.emit(ReferenceAnswers())
    ask = _ask_reference if session.hired is None else _ask_api_teacher
    if session.hired is not None and session.hired.endpoint.is_sessions:
        ask = _look_through_sessions
    with session.stopping() as stopping, session.run.step(phases.TEACH.name):
        asked = ask(session, chosen, stopping)
        _add_replay(session)
    session.emit(Taught(asked, len(_taught(session))))


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
        "asked": asked if spent["requests"] == 0 else len(spent["by_task"]),
        "verified": verified,
    }


def _taught(session: Session) -> list[dict]:
    """The verified answers of teachers."""
    return [r for r in session.run.read(TRAJECTORIES) if r["source"] != "student"]


def _trajectory(task: Task, messages: list[dict[str, str]], source: str) -> dict:
    """A line of trajectories.jsonl: `messages` end with a verified answer."""
    return {"messages": messages, "instance_id": task.instance_id, "source": source, "reward": 1.0}


# ----------------------------------------------------------------------------- the reference teacher


def _ask_reference(session: Session, chosen: list[Task], stopping: Stopping) -> int:
    """Ask for the gold edits of all tasks; returns how many these are."""
    known = {r["instance_id"] for r in session.run.read(TRAJECTORIES)}
    pending = [t for t in chosen if t.instance_id not in known]
    session.run.append(TRAJECTORIES, [])
    for start in range(0, len(pending), CHUNK):
        chunk = pending[start : start + CHUNK]
        unjudged = _ask_for_gold(session, chunk)
        _say_unjudged(session, unjudged, len(pending))
        session.emit(Progress(ASKING, start + len(chunk), len(pending)))
        stopping.check()
    return len(chosen)


def _ask_for_gold(session: Session, tasks: list[Task]) -> dict[str, str]:
    """Write down the gold edits that the tests verify; {instance_id: why} of those that the jail
    could not judge."""
    from recipes.teachers.reference import ReferenceTeacher

    teacher = ReferenceTeacher(session.tree_of, session.recipe.prompt.style)
    replies = [(t, teacher.reply(t, session.chats[t.instance_id])) for t in tasks]
    verified, unjudged = [], {}
    for (task, reply), verdict in zip(replies, session.judge_replies(replies)):
        if isinstance(verdict, HarnessError):
            unjudged[task.instance_id] = str(verdict)
        elif verdict.status == "resolved":
            answer = {"role": "assistant", "content": reply}
            messages = [*session.chats[task.instance_id], answer]
            verified.append(_trajectory(task, messages, teacher.source))
    session.run.append(TRAJECTORIES, verified)
    return unjudged


def _say_unjudged(session: Session, unjudged: dict[str, str], asked: int) -> None:
    """Name the tasks whose answers the jail could not judge. Raises HarnessError where they are
    more than a tenth of those asked."""
    if len(unjudged) > TOLERATED * asked:
        raise HarnessError(
            f"The jail failed on the teacher's answers to {len(unjudged)} of {asked} tasks, so "
            f"this stops here: {next(iter(unjudged.values()))} What was done is kept."
        )
    for name, why in unjudged.items():
        session.emit(NotTaught(name, why))


# -------------------------------------------------------------------------------------- old sessions


def _look_through_sessions(session: Session, chosen: list[Task], stopping: Stopping) -> int:
    """Try what agents once wrote for these tasks; returns how many there was something for. Nothing
    is sent, and what was judged once is remembered, so a step that was cut off begins anew."""
    from recipes.teachers.sessions import candidates, read_sessions

    folder, settings = _hired(session).endpoint.folder, session.recipe.teacher
    pieces, checker = read_sessions(folder), _secret_filter(session)
    found = {t.instance_id: candidates(t, pieces)[: settings.attempts] for t in chosen}
    tried = [t for t in chosen if found[t.instance_id]]
    session.emit(SessionsRead(folder, len(pieces), len(tried), len(chosen)))
    lines: list[dict] = []
    for number, task in enumerate(tried, 1):
        lines += _verified_of(session, task, found[task.instance_id], checker)
        session.emit(Progress("trying what sessions hold", number, len(tried)))
        stopping.check()
    session.run.keep_only(TRAJECTORIES, lines)
    return len(tried)


def _verified_of(
    session: Session, task: Task, sources: list[str], checker: AnyFilter
) -> list[dict]:
    """Trajectories of the first `teacher.solutions` of these sources that the tests verify."""
    from recipes.teachers.ledger import NOT_COUNTED, Reply
    from recipes.teachers.student_format import StudentFormat
    from sandbox.tasks.prompts import fenced

    student = StudentFormat(session.recipe.prompt.style, session.chats)
    contents = {
        content: None
        for source in sources
        if not checker.reason(source)
        and (
            content := student.content(
                task, Reply(fenced(source), "", "stop", *NOT_COUNTED), session.tree_of(task)
            )
        )
    }
    verdicts = session.judge_replies([(task, content) for content in contents])
    verified = [
        _trajectory(task, student.dialogue(task, content), "teacher")
        for content, verdict in zip(contents, verdicts)
        if not isinstance(verdict, HarnessError) and verdict.status == "resolved"
    ]
    return verified[: session.recipe.teacher.solutions]


# -------------------------------------------------------------------------------------- API teachers


def _ask_api_teacher(session: Session, chosen: list[Task], stopping: Stopping) -> int:
    """Hold conversations about all tasks that may be sent, as far as the money goes, and return
    how many these are. Those of a run that was cut off are held again, at no cost."""
    checker = _secret_filter(session)
    planned = _plan(session, chosen, checker)
    tasks = [t for t in chosen if t.instance_id in planned.prompts]
    missing = _missing(session, tasks)
    tasks = [t for t in tasks if t.instance_id not in missing]
    with _open_teacher(session, checker, stopping) as teacher:
        lessons: dict[str, Lesson] = {}
        for lesson in teacher.teach(tasks, planned.prompts):
            lessons[lesson.task.instance_id] = lesson
            session.emit(Progress(ASKING, len(lessons), len(tasks)))
        stopping.check()
        teacher.scheduler.check()
    unjudged = {name: lesson.why for name, lesson in lessons.items() if lesson.unjudged}
    _say_unjudged(session, unjudged, len(lessons))
    _keep_dialogues(session, [lessons[t.instance_id] for t in tasks if t.instance_id in lessons])
    if unsolved := Counter(lesson.why for lesson in lessons.values() if not lesson.dialogues):
        session.emit(Unsolved(unsolved))
    session.emit(_spent(session))
    if missing:
        _refuse_missing(session, planned, missing, len(tasks))
    return len(lessons)


def _missing(session: Session, tasks: list[Task]) -> list[str]:
    """Names of tasks whose replies a person has not pasted yet; [] of any other teacher."""
    from recipes.teachers.pasted import FolderClient

    endpoint = _hired(session).endpoint
    if not endpoint.is_folder:
        return []
    return FolderClient(endpoint).missing(task.instance_id for task in tasks)


def _refuse_missing(session: Session, planned: Plan, missing: list[str], there: int) -> None:
    """What was verified is kept; the step is not done before all replies are there. Raises
    UsageError."""
    from recipes.teachers.pasted import FolderClient

    folder = FolderClient(_hired(session).endpoint).folder
    prompts = _write_prompts(session, planned)
    session.emit(RepliesMissing(folder, prompts, tuple(missing), there))
    raise UsageError(
        f"{len(missing)} replies are missing in {folder}. Paste them, and give the same command "
        "again."
    )


def _hired(session: Session) -> Hired:
    """The run's API teacher."""
    assert session.hired is not None
    return session.hired


def _secret_filter(session: Session) -> AnyFilter:
    from recipes.teachers.secrets import SecretFilter, SecretFilters

    filters = {place.name: SecretFilter(place.repository) for place in session.run.places}
    return SecretFilters(filters) if len(filters) > 1 else filters.popitem()[1]


def _plan(session: Session, tasks: list[Task], secret_filter: AnyFilter) -> Plan:
    """What would be sent of these tasks, said to the person."""
    from recipes.teachers.plan import plan

    settings, hired = session.recipe.teacher, _hired(session)
    planned = plan(tasks, session.tree_of, hired.endpoint, settings, secret_filter)
    session.emit(planned.event(hired))
    return planned


@contextmanager
def _open_teacher(
    session: Session, secret_filter: AnyFilter, stopping: Stopping
) -> Iterator[ApiTeacher]:
    """The API teacher with the run's ledger open."""
    from recipes.teachers.conversation import ApiTeacher
    from recipes.teachers.ledger import Ledger, Replies, as_pico
    from recipes.teachers.scheduler import RequestScheduler, SchedulerOptions
    from recipes.teachers.senders import sender_of
    from recipes.teachers.student_format import StudentFormat
    from sandbox.cache import cache_folder

    recipe, settings, hired = session.recipe, session.recipe.teacher, _hired(session)
    if hired.endpoint.is_folder:  # a person is asked once
        settings = replace(settings, attempts=1, repairs=0, solutions=1)
    options = SchedulerOptions(
        as_pico(hired.max_usd),
        settings.tries,
        settings.pause,
        recipe.seed,
        stopped=lambda: stopping.requested,
        emit=session.emit,
        max_requests=hired.max_requests,
    )
    turns = recipe.student.turns
    student = StudentFormat(recipe.prompt.style, session.chats, settings.reasoning, turns)
    with (
        Replies(cache_folder() / "teacher") as replies,
        Ledger.open(session.run.folder / "teacher.sqlite", replies) as ledger,
    ):
        scheduler = RequestScheduler(
            sender_of(hired.endpoint, hired.key, settings), ledger, replies, options
        )
        yield ApiTeacher(scheduler, session.judge, secret_filter, settings, student, recipe.seed)


def _keep_dialogues(session: Session, lessons: list[Lesson]) -> None:
    from recipes.teachers.conversation import ApiTeacher

    session.run.keep_only(
        TRAJECTORIES,
        [
            _trajectory(lesson.task, dialogue, ApiTeacher.source)
            for lesson in lessons
            for dialogue in lesson.dialogues
        ],
    )


def _spent(session: Session) -> Spent:
    from recipes.teachers.ledger import read_summary

    hired, spent = _hired(session), read_summary(session.run.folder)
    return Spent(hired.endpoint.name, spent["requests"], spent["usd"], hired.max_usd)


# ------------------------------------------------------------------------------- the student's own


def _add_replay(session: Session) -> None:
    """Rollouts that the student itself got right before, so that learning from the teacher does
    not cost it what it could do."""
    from recipes.teachers.choose import choose_replay

    taught = _taught(session)
    rollouts = [r for r in session.run.read("rollouts.jsonl") if r["phase"] == phases.BEFORE.name]
    own = choose_replay(
        session.tasks, rollouts, len(taught), session.recipe.distil.replay, session.recipe.seed
    )
    if not own:
        return
    tasks = {t.instance_id: t for t in session.tasks}
    replayed = [
        _trajectory(
            tasks[r["instance_id"]],
            [
                *session.chats[r["instance_id"]],
                *r.get("episode", ()),
                {"role": "assistant", "content": r["text"]},
            ],
            "student",
        )
        for r in own
    ]
    session.run.keep_only(TRAJECTORIES, taught + replayed)
