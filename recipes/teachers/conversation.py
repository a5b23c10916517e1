"""An API teacher's conversations about the tasks that the student cannot do yet.

It is asked over an endpoint (`client.py`), under a cap (`scheduler.py`), everything written down
(`ledger.py`), and shown nothing that may not leave (`secrets.py`). About one task:

1. the prompt of `prompts.py` in the style `blocks` begins an episode (`sandbox/episode.py`); 2. a
reply that the *visible* tests fail is answered with what they say of it, up to `repairs` times,
   each time for a whole new answer; once they pass, the verdict of all tests ends the episode;
3. after `repairs`, or once resolved, another episode is begun, warmer and with another seed:
   `attempts` of them at most, and no more than it takes for `solutions` resolved answers that
   differ as syntax trees, docstrings aside.

What is distilled is the first message and the resolved answer, without the wrong turns, in the
student's own format (`student_format.py`), and judged once more as it is then. A student whose
episodes have several turns learns the conversation, too, as it would have been its own: in its
format, and with what it would have been told. Reasoning, beside the answer or in it, stays in the
ledger unless the recipe wants it.

Nothing is remembered but the ledger: a run that was killed holds the same conversations again, and
the replies that it has paid for cost nothing the second time.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from recipes.learning.measure import derived_seed
from recipes.settings import TeacherSettings
from recipes.teachers.ledger import CUT_OFF, CapReached, Reply
from recipes.teachers.scheduler import RequestScheduler, Unanswered
from recipes.teachers.secrets import AnyFilter
from recipes.teachers.student_format import StudentFormat, normal_form
from sandbox.episode import Episode, Feedback, files_with, judge_reply
from sandbox.errors import HarnessError
from sandbox.jsonl import valid
from sandbox.judge.judges import AnyJudge
from sandbox.tasks.task import Task

STYLE = "blocks"
"""How a teacher's replies are written, whatever the student's style is."""


@dataclass(frozen=True)
class Lesson:
    """What the teacher came to on one task."""

    task: Task
    dialogues: tuple[list[dict[str, str]], ...]
    """Verified ones, as the student is to learn them."""
    why: str
    """Where there are none: the last reason."""
    unjudged: bool = False
    """Whether that is that the jail failed."""


class ApiTeacher:
    """Holds the conversations about many tasks at once: one event loop for what is sent, and a
    thread a conversation for its verdicts, so that the jails have as much to do as there is."""

    source = "teacher"

    def __init__(
        self,
        scheduler: RequestScheduler,
        judge: AnyJudge,
        secret_filter: AnyFilter,
        settings: TeacherSettings,
        student: StudentFormat,
        seed: int,
    ) -> None:
        self.scheduler, self._judge, self._filter = scheduler, judge, secret_filter
        self._settings, self._student, self._seed = settings, student, seed

    def teach(
        self, tasks: list[Task], prompts: dict[str, list[dict[str, str]]]
    ) -> Iterator[Lesson]:
        """The lessons in the order in which they end. `prompts`: {instance_id: the first message}.
        Raises what `RequestScheduler.ask` does, but for what concerns one task alone."""
        with asyncio.Runner() as runner:
            # A conversation does one thing at a time, so none waits for a thread.
            threads = ThreadPoolExecutor(self._settings.concurrency, "teacher")
            runner.get_loop().set_default_executor(threads)
            ended: asyncio.Queue[Lesson | None] = asyncio.Queue()
            everything = runner.get_loop().create_task(self._all(tasks, prompts, ended))
            try:
                while (lesson := runner.run(ended.get())) is not None:
                    yield lesson
                runner.run(_wait(everything))
            except (KeyboardInterrupt, GeneratorExit):
                self._judge.stop()  # the runner waits for its threads
                raise
            finally:
                everything.cancel()
                runner.run(_wait(asyncio.gather(everything, return_exceptions=True)))
                runner.run(self.scheduler.client.close())

    async def _all(
        self,
        tasks: list[Task],
        prompts: dict[str, list[dict[str, str]]],
        ended: "asyncio.Queue[Lesson | None]",
    ) -> None:
        places = asyncio.Semaphore(self._settings.concurrency)

        async def one(task: Task) -> None:
            async with places:
                ended.put_nowait(await self._lesson(task, prompts[task.instance_id]))

        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(one(task))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            ended.put_nowait(None)

    async def _lesson(self, task: Task, prompt: list[dict[str, str]]) -> Lesson:
        dialogues: list[list[dict[str, str]]] = []
        forms: set[str] = set()
        why, solutions = "", 0
        for attempt in range(self._settings.attempts):
            try:
                replies, why = await self._attempt(task, prompt, attempt)
            except Unanswered as fault:
                why = f"no answer: {fault}"
                continue
            except HarnessError as fault:
                if not dialogues:
                    return Lesson(task, (), str(fault), unjudged=True)
                break
            except CapReached:
                why = "the cap is reached"
                break
            if not replies:
                continue
            form = normal_form(
                files_with(replies[-1].content, task, self._judge.tree_of(task), STYLE)
            )
            if form in forms:
                continue
            forms.add(form)
            found = await self._for_the_student(task, replies)
            if not found:
                why = "it is resolved, but not in the form that the student writes"
                continue
            dialogues += found
            solutions += 1
            if solutions == self._settings.solutions:
                break
        return Lesson(task, tuple(dialogues), why)

    async def _attempt(
        self, task: Task, prompt: list[dict[str, str]], attempt: int
    ) -> tuple[list[Reply], str]:
        """One episode: (its replies, of which the last is resolved, "") or ([], why there is no
        such)."""
        replies: list[Reply] = []
        sample = derived_seed("teacher", self._seed, task.instance_id, attempt) % 2**31
        warmth = self._settings.temperatures
        temperature = warmth[min(attempt, len(warmth) - 1)]
        episode = Episode(self._judge, task, prompt, STYLE, turns=self._settings.repairs + 1)
        while True:
            body = self.scheduler.endpoint.body(episode.observe(), temperature, sample)
            asked = await self.scheduler.ask(task.instance_id, body, sample)
            books = self.scheduler.ledger
            if asked.reply.finish in CUT_OFF:
                status = "truncated" if asked.reply.finish == "length" else "filtered"
                books.judge(asked.request, status, "The reply was not ended by the teacher.")
                return [], f"the last reply was {status}"
            reply = Reply(**valid(asdict(asked.reply)))
            replies.append(reply)
            outcome = await asyncio.to_thread(episode.step, reply.content)
            books.judge(asked.request, outcome.status, outcome.reason)
            if outcome.status == "resolved":
                return replies, ""
            if not isinstance(outcome, Feedback):
                return [], f"the last reply was {outcome.status}"
            if self._filter.reason(outcome.text):
                return [], "what its tests say holds what looks like a secret"

    async def _for_the_student(
        self, task: Task, replies: list[Reply]
    ) -> list[list[dict[str, str]]]:
        """The dialogues to learn, the last reply judged as it is in them; none where it cannot be
        said in the student's format."""
        content = self._student.content(task, replies[-1], self._judge.tree_of(task))
        if content is None:
            return []
        verdict = await asyncio.to_thread(
            judge_reply, self._judge, task, content, self._student.style
        )
        if verdict.status != "resolved":
            return []
        found = [self._student.dialogue(task, content)]
        if len(replies) > 1 and self._student.turns > 1:
            before = [
                self._student.content(task, reply, self._judge.tree_of(task))
                for reply in replies[:-1]
            ]
            tried = [one for one in before if one is not None][1 - self._student.turns :]
            if episode := await asyncio.to_thread(self._as_episode, task, [*tried, content]):
                found.append(episode)
        return found

    def _as_episode(self, task: Task, contents: list[str]) -> list[dict[str, str]] | None:
        """The conversation that the student would have had with these replies; None where it would
        have ended before the last one."""
        chat, style = self._student.chats[task.instance_id], self._student.style
        episode = Episode(self._judge, task, chat, style, self._student.turns)
        messages = list(chat)
        for content in contents[:-1]:
            feedback = episode.answer(content)
            if feedback is None:
                return None
            messages += [
                {"role": "assistant", "content": content},
                {"role": "user", "content": feedback.text},
            ]
        if len(messages) == len(chat):
            return None
        return [*messages, {"role": "assistant", "content": contents[-1]}]


async def _wait(future: Awaitable[object]) -> None:
    """What `asyncio.Runner.run` takes: a coroutine."""
    await future
