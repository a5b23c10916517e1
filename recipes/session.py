"""One run at work: its student, what samples, who judges, and the prompts, each opened when it is
first needed. It knows nothing of the loops, which are `bootstrap.py`, `climb.py`, `evaluate.py`.

    with open_judge(run, emit) as judge:
        session = Session(run, judge, emit, hired)
        session.student, session.engine, session.prompts, session.judge_replies(pairs)

`emit` is handed what a person may want to know (`events.py`). A loop that can stop between two
steps asks `session.stopping()` whether it is to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes import phases
from recipes.events import (
    Emit,
    NotAskable,
    Note,
    Progress,
    PromptsTooLong,
    SetAside,
    notes_to,
    progress_to,
)
from recipes.rollouts.engine import count_nothing
from recipes.shutdown import GracefulShutdown
from sandbox.errors import HarnessError, UsageError

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.curriculum import Stage
    from recipes.learning.measure import TaskProbe
    from recipes.learning.student import Student
    from recipes.rollouts.conversations import Conversations
    from recipes.rollouts.rollout import Engine, Rollout, Sampling
    from recipes.runfolder.places import Place
    from recipes.runfolder.run import Run
    from recipes.settings import Recipe
    from recipes.teachers.options import Hired
    from sandbox.judge.judges import AnyJudge
    from sandbox.judge.verdict import Judge, Limits, Verdict
    from sandbox.tasks.prompts import Budget, Prompt
    from sandbox.tasks.task import Task

    JudgeReplies = Callable[[list[tuple[Any, str]], str], list[Verdict | HarnessError]]

CHUNK = 24
"""Tasks whose rollouts are sampled together, at most."""
CHUNK_TOKENS = 12_288
"""The same in tokens, on the CPU. A probe that is cut off begins its last chunk again, so that its
draws are those of a probe that was not: a chunk is to take no more than about a minute."""


def open_judge(
    run: Run, emit: Emit, workers: int = 0, memory: Callable[[Place], Path] | None = None
) -> AnyJudge:
    """Who judges the edits of a run; to be closed. `workers`: jails at the same time, as the recipe
    says where 0; `memory`: the file of verdicts that are known for each repository, the run's own
    where None."""
    from sandbox.cache import make_room
    from sandbox.judge.judges import Judges
    from sandbox.tasks.task import given_tests

    run.restore_snapshots()
    make_room(notes_to(emit))
    limits, tasks = limits_of(run.recipe), run.tasks
    limits = replace(limits, workers=workers) if workers else limits
    judges = {
        place.name: _judge_of(
            place,
            limits,
            given_tests(t for t in tasks if place.alone or t.repo == place.name),
            memory(place) if memory else place.folder / "verdicts.jsonl",
            emit,
        )
        for place in run.places
    }
    return Judges(judges) if len(judges) > 1 else judges.popitem()[1]


def _judge_of(
    place: Place, limits: Limits, given: dict[str, str], memory: Path, emit: Emit
) -> Judge:
    from sandbox.judge.verdict import Judge

    return Judge(
        place.repository, limits, place.survey.suite(given), memory=memory, on_note=notes_to(emit)
    )


def limits_of(recipe: Recipe) -> Limits:
    from sandbox.judge.verdict import Limits

    return Limits(
        workers=recipe.judge.workers,
        timeout=recipe.judge.timeout,
        memory_mb=recipe.judge.memory_mb,
        recheck=recipe.judge.recheck,
    )


class RolloutBar:
    """A bar that counts rollouts as they are written, from the first one on."""

    def __init__(self, emit: Emit, what: str, total: int, done: int = 0) -> None:
        self._emit, self._what, self._total, self._done = emit, f"{what}, rollouts", total, done
        self.add(0)

    def add(self, ended: int) -> None:
        """The last one counts when all are judged (`end`)."""
        self._done += ended
        done = max(0, min(self._done, self._total - 1))
        self._emit(Progress(self._what, done, self._total))

    def end(self) -> None:
        self._emit(Progress(self._what, self._total, self._total))


class Session:
    """The student at work on one run, and those that it works with."""

    def __init__(
        self,
        run: Run,
        judge: AnyJudge | None,
        emit: Emit,
        hired: Hired | None = None,
        stopping: Callable[[], GracefulShutdown] = GracefulShutdown,
    ) -> None:
        """`judge` may be None where nothing is judged; `hired`: the API teacher, if there is one;
        `stopping` opens what hears Ctrl-C while a loop is at work."""
        self.run, self.recipe, self._judge = run, run.recipe, judge
        self.emit, self.hired, self.stopping = emit, hired, stopping
        self.tree_of, self._all_tasks = run.tree_of, run.tasks
        self._student: Student | None = None
        self._engine: Engine | None = None
        self.prompt_facts: dict = {}
        """How much the prompts show (`prompts.summary`), once they have been built."""
        self._chats: dict[int, dict[str, list[dict]]] = {}
        self._prompts: dict[int, dict[str, list[int]]] = {}
        """By the turns of an episode, for a prompt says what may be asked."""
        self._other_prompts: dict[str, list[int]] = {}
        self._other_judges: dict[str, JudgeReplies] = {}

    @property
    def judge(self) -> AnyJudge:
        assert self._judge is not None, "nothing is judged in this session"
        return self._judge

    @property
    def student(self) -> Student:
        if self._student is None:
            from recipes.learning.loader import loader_of
            from recipes.learning.student import Student
            from recipes.learning.threads import threads_of

            path = self.model_path()
            student = replace(
                self.recipe.student,
                threads=threads_of(self.run),
                loader=loader_of(self.run, path, self.emit),
            )
            self.recipe = replace(self.recipe, student=student)
            # The memory is planned with the engine that the run began with.
            engine = self.run.content.get("engine", self.recipe.rollout.engine)
            recipe = replace(self.recipe.roomy, rollout=replace(self.recipe.rollout, engine=engine))
            self._student = Student.load(recipe, path, self.recipe.seed)
            self._record_source(path)
        while self._student.notes:  # some come later, when memory has run out
            self.emit(Note(self._student.notes.pop(0)))
        return self._student

    def _record_source(self, path: str) -> None:
        """Where it is another model than the recipe names, the run says which."""
        from recipes.learning.student import same_model

        assert self._student is not None
        source = self._student.source
        if not same_model(source, path) and self.run.content.get("loaded") != source:
            self.run.content["loaded"] = source
            self.run.write()

    def model_path(self) -> str:
        from recipes.learning.local_model import is_made_here, local_model
        from sandbox.cache import make_room

        model, seed = self.recipe.student.model, self.recipe.seed
        if not is_made_here(model):
            return model
        with self.run.timed(phases.STUDENT):
            made = local_model(model, seed, progress_to(self.emit))
        make_room(notes_to(self.emit))
        return made

    @property
    def tasks(self) -> list[Task]:
        """The tasks of the run, but for those that have been set aside."""
        return [t for t in self._all_tasks if t.instance_id not in self.run.set_aside]

    @contextmanager
    def at_stage(self, stage: Stage) -> Iterator[None]:
        """The recipe is that of a stage for a while. Stages are not taken within each other."""
        _ = self.student  # which settles what the recipe leaves open
        whole = self.recipe
        self.recipe = stage.recipe_of(whole)
        try:
            yield
        finally:
            self.recipe = whole

    @property
    def chats(self) -> dict[str, list[dict]]:
        """{instance_id: messages} of the tasks that can be put within the recipe's longest
        prompt."""
        turns = self.recipe.student.turns
        if turns not in self._chats:
            self._chats[turns] = self._built(self._all_tasks, self.tree_of, turns)
            if not self._chats[turns]:
                if self.prompt_facts.get("unaskable") and not self.prompt_facts["left_out"]:
                    raise UsageError(
                        f"None of the tasks can be put in prompts of style "
                        f"{self.recipe.prompt.style}. Mine other kinds, or take another style."
                    )
                raise UsageError(
                    f"No task's function fits into a prompt of {self._budget.tokens} tokens. Give "
                    "a new run more with --set student.max_prompt=N, or choose another recipe."
                )
        return self._chats[turns]

    @property
    def _budget(self) -> Budget:
        from sandbox.tasks.prompts import Budget

        return Budget.of(self.student, self.recipe.student.max_prompt)

    def _built(
        self, tasks: list[Task], tree_of: Callable[[Task], Path], turns: int
    ) -> dict[str, list[dict]]:
        from sandbox.tasks.prompts import build, unaskable

        style, budget = self.recipe.prompt.style, self._budget
        cannot, built = unaskable(tasks, tree_of, style), {}
        for task in (t for t in tasks if t.instance_id not in cannot):
            built[task.instance_id] = build(task, tree_of(task), style, budget, turns)
            self.emit(Progress("building prompts", len(built), len(tasks) - len(cannot)))
        if tasks is self._all_tasks and not self.prompt_facts:
            self._say_extents(built, cannot)
        return {name: prompt.messages for name, prompt in built.items() if prompt}

    def _say_extents(self, built: dict[str, Prompt | None], cannot: dict[str, str]) -> None:
        """How much the prompts of the run's own tasks show, and which have none."""
        from sandbox.tasks.prompts import extents_in_words, summary

        prompts, most = list(built.values()), self.recipe.student.max_prompt
        self.prompt_facts = summary(prompts, most, len(cannot))
        if self.prompt_facts != self.run.content.get("prompts"):
            self.emit(Note(extents_in_words(prompts, most)))
        if cannot:
            self.emit(NotAskable(self.recipe.prompt.style, tuple(cannot.items())))
        if lost := tuple(name for name, prompt in built.items() if not prompt):
            self.emit(PromptsTooLong(lost, most))

    @property
    def prompts(self) -> dict[str, list[int]]:
        """{instance_id: prompt ids} of the same, and of the other tasks that `add` was told of."""
        turns = self.recipe.student.turns
        if turns not in self._prompts:
            ids = {name: self.student.prompt_ids(chat) for name, chat in self.chats.items()}
            self._prompts[turns] = ids | self._other_prompts
        return self._prompts[turns]

    def add(self, tasks: list[Any], chats: dict[str, list[dict]], judge: JudgeReplies) -> None:
        """Tasks that are not of the run's repository, of one turn: how each is put, and who says
        what a reply to it is worth, given its style."""
        ids = {name: self.student.prompt_ids(messages) for name, messages in chats.items()}
        self._other_prompts |= ids
        for prompts in self._prompts.values():
            prompts |= ids
        self._other_judges |= {task.instance_id: judge for task in tasks}

    def other_chats(self, tasks: list[Task], tree: Path) -> dict[str, list[dict]]:
        """As `chats`, of tasks of another repository."""
        return self._built(tasks, lambda task: tree, turns=1)

    @property
    def engine(self) -> Engine:
        """What samples; the run keeps the one that it began with, so that a continued run writes
        the same."""
        if self._engine is None:
            from recipes.rollouts import choosing
            from sandbox.cache import cache_folder, make_room

            name = self.run.content.get("engine")
            if name is None:
                name, why = choosing.choose(self.student, self.recipe.roomy)
                self.emit(Note(why))
                self.run.content["engine"] = name
                self.run.write()
            for note in choosing.notes(name, self.student, self.recipe.roomy):
                self.emit(Note(note))
            gguf, on_progress, recipe = cache_folder() / "gguf", progress_to(self.emit), self.recipe
            self._engine = choosing.open_engine(name, self.student, recipe.roomy, gguf, on_progress)
            make_room(notes_to(self.emit))
        return self._engine

    def check_policy(self) -> None:
        """Refuse to go on where what samples is not what is trained; with the adapter as it is
        now."""
        from recipes.rollouts.choosing import check_policy

        check_policy(self.engine, list(self.prompts.values()), self.recipe)

    def by_split(self, split: str) -> list[Task]:
        return [t for t in self.tasks if t.split == split and t.instance_id in self.prompts]

    def judge_replies(
        self, pairs: Iterable[tuple[Task, str]], style: str | None = None
    ) -> list[Verdict | HarnessError]:
        """Verdicts for (task, reply text) pairs, written in the student's style if no other is
        named; a HarnessError in the place of each that the jail failed on again and again."""
        from sandbox.episode import judge_replies

        style = style or self.recipe.prompt.style
        by_judge: dict[JudgeReplies | None, list[int]] = {}
        pairs = list(pairs)
        for place, (task, _) in enumerate(pairs):
            by_judge.setdefault(self._other_judges.get(task.instance_id), []).append(place)
        verdicts: dict[int, Verdict | HarnessError] = {}
        for other, places in by_judge.items():
            some = [pairs[place] for place in places]
            found = other(some, style) if other else judge_replies(self.judge, some, style)
            verdicts |= zip(places, found)
        return [verdicts[place] for place in range(len(pairs))]

    def measure(
        self,
        pairs: list[tuple[Task, list[int]]],
        sampling: Sampling,
        seed: int,
        on_ended: Callable[[int], None] = count_nothing,
    ) -> Iterator[tuple[TaskProbe | None, list[Rollout]]]:
        """Rollouts of each (task, prompt ids), judged, as `measure.probe` yields them."""
        from recipes.learning.measure import probe

        judge, chunk = self.judge_replies, self.chunk(sampling.n)
        with self.conversations() as talk:
            yield from probe(self.engine, pairs, sampling, seed, judge, chunk, on_ended, talk)

    def conversations(self) -> AbstractContextManager[Conversations | None]:
        """What the student is told between the turns of its rollouts; None where these have one."""
        from recipes.rollouts.conversations import open_conversations

        return open_conversations(self.student.tokens, self.judge, self.recipe, self._other_judges)

    @property
    def probing(self) -> Sampling:
        """How the recipe has its student measured."""
        from recipes.rollouts.rollout import Sampling

        settings = self.recipe.probe
        return Sampling(settings.k, settings.temperature, self.recipe.student.max_new)

    def chunk(self, k: int) -> int:
        """Tasks that are sampled together."""
        if self.student.device.type == "cuda":
            return CHUNK
        student = self.recipe.student
        return max(1, min(CHUNK, CHUNK_TOKENS // (k * student.turns * student.max_new)))

    def set_aside(self, groups: list[list[Rollout]]) -> None:
        """The run goes on without the tasks whose rollouts the jail could not judge. Only at the
        end of a step: if that ends early because the machine is at fault, the tasks are not."""
        from recipes.rollouts.rollout import failures_of

        if failures := failures_of(groups):
            self.run.content["set_aside"] = {**self.run.set_aside, **failures}
            self.run.write()
        for name, why in failures.items():
            self.emit(SetAside(name, why))

    def drop(self, file: str, cut_off: Callable[[dict], bool]) -> None:
        """Drop the lines of a step that was cut off before they counted."""
        records = self.run.read(file)
        kept = [r for r in records if not cut_off(r)]
        if len(kept) < len(records):
            self.run.keep_only(file, kept)
