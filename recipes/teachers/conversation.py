"""Teachers: who answers the tasks that the student cannot do yet.

The `reference` teacher answers with the repository's own code, in the reply format that a model
would use, and is verified in the jail like any other. It is what bootstrap asks when no API teacher
is named.

An API teacher (`ApiTeacher`) is asked over an endpoint (`endpoint.py`), under a cap, everything
written down (`ledger.py`), and shown nothing that may not leave (`secrets.py`). Its conversation
about one task:

1. the prompt of `prompts.py` in the style `blocks`; the reply is judged;
2. a reply that is not resolved is answered with what the *visible* tests say of it, up to `repairs`
   times, each time for a whole new
answer;
3. after `repairs`, or once resolved, the conversation is begun again, warmer and with another seed:
   `attempts` times at most, and no more than it takes for `solutions` resolved answers that differ
   as syntax trees, docstrings aside.

What is distilled is the first message and the resolved answer, without the wrong turns, in the
words and format that the student is asked in (for a student that writes bare bodies the body
alone), without what the teacher says of itself (`identity.py`), and judged once more as it is then.
Reasoning, beside the answer or in it, stays in the ledger unless the recipe wants it.

Nothing is remembered but the ledger: a run that was killed holds the same conversations again, and
the replies that it has paid for cost nothing the second time.
"""

import ast
import asyncio
import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from recipes.learning.measure import derived_seed
from recipes.settings import TeacherSettings
from recipes.teachers.endpoint import Asker, Unanswered
from recipes.teachers.identity import cut
from recipes.teachers.ledger import CapReached, Reply
from recipes.teachers.secrets import Guard
from sandbox.episode import files_with
from sandbox.errors import HarnessError
from sandbox.jsonl import valid
from sandbox.judge.gate import InvalidEdit
from sandbox.source import FUNCTIONS, body_nodes, body_of, find, parse
from sandbox.tasks.gold import gold_reply
from sandbox.tasks.replies import untagged, without_thinking
from sandbox.tasks.statements import secrets, what_fails
from sandbox.tasks.task import Task

REPAIR = """{what}

The code is still as it was in the first message. Answer again in the same format and as a whole, as if for the first time: say nothing of \
this attempt."""


class ReferenceTeacher:
    """Answers with the gold edit. Costs nothing and needs no network."""

    name = "reference"
    source = "reference"

    def __init__(self, tree: Path, style: str) -> None:
        self._tree, self._style = tree, style

    def reply(self, task: Task, messages: list[dict[str, str]]) -> str:
        """The answer to `messages`, which are about `task`."""
        return valid(gold_reply(task, self._tree, self._style))


def choose_cold(tasks: list[Task], states: dict[str, str], share: float, seed: int) -> list[Task]:
    """The tasks that the teacher may answer: `share` of those that are cold and for training, drawn
    by the seed.

    `states` maps instance_id to the probe's `cold`, `warm` or `mastered`.
    """
    cold = [t for t in tasks if t.split == "train" and states.get(t.instance_id) == "cold"]
    drawn = sorted(
        cold, key=lambda t: hashlib.sha256(f"{seed}/teach/{t.instance_id}".encode()).hexdigest()
    )
    chosen = {t.instance_id for t in drawn[: round(len(cold) * share)]}
    return [t for t in cold if t.instance_id in chosen]


def choose_replay(
    tasks: list[Task], rollouts: list[dict], taught: int, share: float, seed: int
) -> list[dict]:
    """The student's own rollouts that are learned beside `taught` dialogues, so many that they are
    `share` of all: resolved ones of tasks for training, no text twice, drawn by the seed, a second
    one of a task only when every task has one."""
    train = {t.instance_id for t in tasks if t.split == "train"}
    own = {
        (r["instance_id"], r["text"]): r
        for r in rollouts
        if r["status"] == "resolved" and r["instance_id"] in train
    }
    drawn = sorted(
        own,
        key=lambda key: derived_seed(
            "replay", seed, key[0], key[1].encode("utf-8", "surrogateescape")
        ),
    )
    rounds: dict[str, int] = {}
    order = []
    for name, text in drawn:
        rounds[name] = rounds.get(name, 0) + 1
        order.append((rounds[name], len(order), own[name, text]))
    return [rollout for _, _, rollout in sorted(order, key=lambda entry: entry[:2])][
        : round(taught * share / (1 - share))
    ]


# ------------------------------------------------------------------------------------ conversations


@dataclass(frozen=True)
class Bench:
    """What the sandbox does for a teacher. `judge` and `visible` block, and are called from one
    thread at a time."""

    judge: Callable[[list[tuple[Task, str]], str], list]
    """Verdicts for (task, reply) pairs in a style; a HarnessError in the place of one that there is
    none of."""
    visible: Callable[[Task, dict[str, str]], dict]
    """The runner's reply (`inside/runner.py`), with pytest's text, for the tests of a task that may
    be shown, on these files."""
    stop: Callable[[], None]
    """Gives up what the other two are doing, from any thread, for good."""


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
    """Holds the conversations about many tasks at once."""

    source = "teacher"

    def __init__(
        self,
        asker: Asker,
        settings: TeacherSettings,
        style: str,
        seed: int,
        tree: Path,
        bench: Bench,
        guard: Guard,
        chats: dict[str, list[dict[str, str]]],
    ) -> None:
        """`style`: the student's; `chats`: {instance_id: what the student is asked}, which may show
        less than what the teacher is."""
        self._chats = chats
        self._asker, self._settings, self._style, self._seed, self._tree, self._guard = (
            asker,
            settings,
            style,
            seed,
            tree,
            guard,
        )
        self._bench, self._waiting = bench, []
        self._bench_is_free = asyncio.Lock()

    def teach(
        self, tasks: list[Task], prompts: dict[str, list[dict[str, str]]]
    ) -> Iterator[Lesson]:
        """The lessons in the order in which they end. Raises what `Asker.ask` does, but for what
        concerns one task alone."""
        with asyncio.Runner() as runner:
            ended: asyncio.Queue = asyncio.Queue()
            everything = runner.get_loop().create_task(self._all(tasks, prompts, ended))
            try:
                while (lesson := runner.run(ended.get())) is not None:
                    yield lesson
                runner.run(_wait(everything))
            except (KeyboardInterrupt, GeneratorExit):
                self._bench.stop()  # the runner waits for its threads
                raise
            finally:
                everything.cancel()
                runner.run(_wait(asyncio.gather(everything, return_exceptions=True)))
                runner.run(self._asker.client.close())

    async def _all(
        self, tasks: list[Task], prompts: dict[str, list[dict[str, str]]], ended: asyncio.Queue
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
        dialogues, forms, why = [], set(), ""
        for attempt in range(self._settings.attempts):
            try:
                reply, why = await self._attempt(task, prompt, attempt)
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
            if reply is None:
                continue
            form = normal_form(self._files(task, reply.content))
            if form in forms:
                continue
            forms.add(form)
            dialogue = await self._for_the_student(task, reply)
            if dialogue is None:
                why = "it is resolved, but not in the form that the student writes"
                continue
            dialogues.append(dialogue)
            if len(dialogues) == self._settings.solutions:
                break
        return Lesson(task, tuple(dialogues), why)

    async def _attempt(
        self, task: Task, prompt: list[dict[str, str]], attempt: int
    ) -> tuple[Reply | None, str]:
        """(a resolved answer, "") or (None, why there is none)."""
        sample = derived_seed("teacher", self._seed, task.instance_id, attempt) % 2**31
        temperature = self._settings.temperatures[
            min(attempt, len(self._settings.temperatures) - 1)
        ]
        conversation, why = list(prompt), ""
        for turn in range(self._settings.repairs + 1):
            asked = await self._asker.ask(
                task.instance_id,
                self._asker.endpoint.body(conversation, temperature, sample),
                sample,
            )
            if asked.reply.finish in ("length", "content_filter", "sensitive"):
                status = "truncated" if asked.reply.finish == "length" else "filtered"
                self._asker.ledger.judge(
                    asked.request, status, "The reply was not ended by the teacher."
                )
                return None, f"the last reply was {status}"
            reply = Reply(**valid(asdict(asked.reply)))
            verdict = await self._judged(task, reply.content, "blocks")
            self._asker.ledger.judge(asked.request, verdict.status, verdict.reason)
            if verdict.status == "resolved":
                return reply, ""
            why = f"the last reply was {verdict.status}"
            if turn == self._settings.repairs or verdict.status == "tampered":
                break
            failure = REPAIR.format(what=await self._what_fails(task, reply.content, verdict))
            if self._guard.objection(failure):
                return None, "what its tests say holds what looks like a secret"
            said = without_thinking(reply.content)[1] or reply.content
            conversation += [
                {"role": "assistant", "content": said},
                {"role": "user", "content": failure},
            ]
        return None, why

    async def _for_the_student(self, task: Task, reply: Reply) -> list[dict[str, str]] | None:
        """The dialogue to learn, judged as it is; None where the answer cannot be said in the
        student's format."""
        thought, answer = without_thinking(reply.content)
        thoughts = filter(None, (untagged(reply.reasoning), thought))
        thought, content = cut("\n\n".join(thoughts)), cut(answer)
        if self._style == "body" and not task.files:
            try:
                text = self._files(task, content)[task.file]
            except InvalidEdit:
                return None
            function = find(text, task.function)
            content = body_of(text, function) if body_nodes(function) else ""
        elif self._settings.reasoning and thought:
            content = f"<think>\n{thought}\n</think>\n\n{content}"
        verdict = await self._judged(task, content, self._style)
        return (
            [*self._chats[task.instance_id], {"role": "assistant", "content": content}]
            if verdict.status == "resolved"
            else None
        )

    # ---------------------------------------------------------------------------------- the sandbox

    def _files(self, task: Task, content: str) -> dict[str, str]:
        """The files with the answer's edit in them. Raises InvalidEdit."""
        return files_with(content, task, self._tree, "blocks")

    async def _judged(self, task: Task, content: str, style: str):
        """The verdict; what waits while the sandbox is at work is judged together next. Raises
        HarnessError where the jail failed on it again and again."""
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append((mine, task, content, style))
        async with self._bench_is_free:
            while not mine.done():
                style = self._waiting[0][3]
                batch = [entry for entry in self._waiting if entry[3] == style]
                self._waiting = [entry for entry in self._waiting if entry[3] != style]
                verdicts = await asyncio.to_thread(
                    self._bench.judge, [(task, content) for _, task, content, _ in batch], style
                )
                for (future, *_), verdict in zip(batch, verdicts):
                    if not future.done():
                        future.set_result(verdict)
        if isinstance(mine.result(), HarnessError):
            raise mine.result()
        return mine.result()

    async def _what_fails(self, task: Task, content: str, verdict) -> str:
        """What the teacher may know of a reply that is not resolved: only what the tests that it
        was shown say."""
        if verdict.status == "invalid":
            return f"This answer cannot be used: {verdict.reason}"
        if verdict.status == "timeout":
            return "With this answer the tests do not end in time."
        async with self._bench_is_free:
            said = await asyncio.to_thread(self._bench.visible, task, self._files(task, content))
        outcomes = said.get("outcomes", {})
        failing = tuple(test for test in task.shown if outcomes.get(test) != "passed")
        if not failing:
            return (
                "With this answer the tests that you were shown pass, and others of the same "
                "code fail."
            )
        told = what_fails(
            replace(task, shown=failing), said.get("text", {}), secrets(task, self._tree)
        )
        return f"With this answer tests fail:\n\n{told}"


async def _wait(future) -> None:
    """What `asyncio.Runner.run` takes: a coroutine."""
    await future


def normal_form(files: dict[str, str]) -> str:
    """A text that is the same for files that differ in layout, comments and docstrings alone."""
    trees = []
    for path, text in sorted(files.items()):
        tree = copy.deepcopy(parse(text))
        for node in ast.walk(tree):
            if (
                isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS))
                and ast.get_docstring(node, clean=False) is not None
            ):
                del node.body[0]
        trees.append(f"{path}\n{ast.dump(tree)}")
    return "\n".join(trees)
