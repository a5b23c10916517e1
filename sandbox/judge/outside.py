"""Judging a hard task from outside: the tests run with none of the edit's code in their process,
the edit answers fresh inputs, and what the right code does is heard (`black_box.py`,
`recording.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

from sandbox.errors import HarnessError
from sandbox.judge import neutral
from sandbox.judge.alternatives import accepted
from sandbox.judge.black_box import (
    MIN_DECIDED,
    Tests,
    Worker,
    agree,
    changed_its_mind,
    deciding,
    drawn_calls,
    on_fresh_inputs,
)
from sandbox.judge.gate import gate
from sandbox.judge.leaks import copies
from sandbox.judge.neutral import Answer, call_in, has_handles, read_answer
from sandbox.judge.outcomes import key_of, read_reply
from sandbox.judge.recording import MAX_CALLS, Heard, kept, seen_in
from sandbox.judge.screening import FunctionPatch, Screening
from sandbox.judge.settings import Suite
from sandbox.judge.twins import readable_tests, test_functions, with_other_literals
from sandbox.project import shown
from sandbox.repo import Repository
from sandbox.snapshot import files_of
from sandbox.source import find, read_text
from sandbox.tasks.task import Task

OUTSIDE = "Judged from outside, where tests and edit share no process"
DRAWS = 3
"""How often fresh inputs are drawn at most, where too few of them decide."""
SAID = 300
"""Characters of what a worker says that a reason quotes."""


@dataclass(frozen=True)
class Recorded:
    """What the right code was heard to do, or why it could not be heard."""

    calls: tuple[list, ...] = ()
    """As of `Task.recorded`; () where there is a reason."""
    state: tuple[str, ...] = ()
    why: str = ""


class Outside:
    """Judges edits to hard tasks from outside.

    (a) The tests run on the intact tree, in a process with none of the edit's code in it; the
    function there is a stub, and a worker with the edit and no tests answers its calls. (b) The
    worker answers fresh inputs, and its answers are compared here with the gold edit's, which was
    asked before the worker began: its time is not to pass meanwhile. (c) Where they are others, the
    tests may accept both (`alternatives.py`).
    """

    def __init__(self, screening: Screening, hidden: "Hidden") -> None:
        self._screening, self._processes, self._hidden = screening, screening.processes, hidden

    def judge(self, task: Task, files: dict[str, str]) -> tuple[str, str, float | None]:
        """(status, reason, share of the fresh inputs on which it agrees with the gold edit) for an
        edit that has passed everything else; the share is None where none of them decides. Raises
        HarnessError."""
        seed = key_of(self._processes.repository.tree, task, files)
        with self._conversation(task, files, seen_in(task.recorded)) as (tests, begin):
            inputs = fresh_inputs(task, tests, seed)
            return self._ask(task, tests, begin(), inputs, seed)

    def record(self, task: Task) -> Recorded:
        """What the right code does under the task's tests, as far as it can be heard from outside.
        Raises HarnessError."""
        found = self._heard(task, watch=True)
        # What it keeps beside its arguments, or what the tests change there, crosses with them.
        return self._heard(replace(task, state=found.state)) if found.state else found

    def repeat(self, task: Task) -> Recorded:
        """The calls of the task once more, as they are kept, where they come out the same, and
        where fresh inputs decide something; else why not. Raises HarnessError."""
        first, task = task.recorded, replace(task, recorded=kept(task.recorded))
        # The gold edit as the gate lets it through.
        files = gate(task.gold(self._snapshot), task, self._snapshot)
        seed = key_of(self._processes.repository.tree, task, files)
        heard = Heard()
        with self._conversation(task, files, seen_in(task.recorded)) as (tests, begin):
            inputs = fresh_inputs(task, tests, seed)
            if len(inputs) < MIN_DECIDED:
                return Recorded(why="fresh inputs decide nothing")
            status, reason, _ = self._ask(task, tests, begin(), inputs, seed, heard)
        if status != "resolved":
            return Recorded(why=f"the right code does not pass from outside: {reason}")
        again = heard.calls
        if len(again) != len(first) or not all(map(_repeats, again, first)):
            return Recorded(why="its calls do not come out the same twice")
        return Recorded(task.recorded, task.state)

    def _heard(self, task: Task, watch: bool = False) -> Recorded:
        heard = Heard()
        with self._conversation(task, {}, None, watch) as (tests, begin):
            worker = begin()
            reply = tests.run(heard.between(worker.answer))
            why = reply.get("trouble") or heard.trouble or reply.get("unsupported", "")
            state = {*task.state, *heard.changed, *reply.get("changed", ())}
            if worker.fault:
                why = f"the right code's process {worker.fault[1]}"
        status, reason, _ = read_reply(reply, task.tests)
        if not why and status != "resolved":
            why = f"the right code does not pass from outside: {reason}"
        if not why and not heard.calls:
            why = "the tests do not call it while they run"
        return Recorded(tuple(heard.calls), tuple(sorted(state)), why)

    @property
    def _snapshot(self) -> Path:
        return self._processes.repository.snapshot

    @contextmanager
    def _conversation(
        self, task: Task, files: dict[str, str], allowed: dict | None, watch: bool = False
    ) -> Iterator[tuple[Tests, Callable[[], Worker]]]:
        """The tests, and what starts a worker with these files: both in this thread's jails.
        `allowed`: what an answer may name; None: anything."""
        jails, snapshot = self._processes.jails, self._snapshot
        keeper, forker = jails.of_thread("in-process"), jails.of_thread("forked")
        request = self._processes.complete(self._processes.request(task, {}))
        hidden = self._hidden.from_worker(task) + copies(snapshot, task)
        crossing = {"allowed": allowed, "state": list(task.state), "watch": watch}
        text, name = read_text(snapshot / task.file), task.function.rpartition(".")[2]
        intact = find(text, task.function)
        edited = find(files.get(task.file, text), task.function)
        assert intact is not None and edited is not None
        tests = Tests(
            keeper,
            {**request, **crossing, "hidden": hidden},
            [task.file, intact.first, name],
            self._processes.count,
        )
        where = {
            **{"file": task.file, "function": task.function, "name": name},
            **{"line": edited.first, "decorated": bool(intact.node.decorator_list)},
            **crossing,
        }
        asked = {"files": files, "remove": hidden, "path": keeper.ready["path"], "worker": where}
        begun: list[Worker] = []

        def begin() -> Worker:
            begun.append(Worker(forker, {**request, **asked}))
            return begun[0]

        try:
            yield tests, begin
        except BaseException:  # both may be in the middle of a conversation
            for worker in begun:
                worker.abandon()
            jails.discard_all()
            raise
        finally:
            for worker in begun:
                worker.close()
                self._processes.count(worker.reply)

    def _ask(
        self,
        task: Task,
        tests: Tests,
        worker: Worker,
        inputs: list[tuple[dict, Answer]],
        seed: str,
        heard: Heard | None = None,
    ) -> tuple[str, str, float | None]:
        """What `judge` gives, once the worker answers. `heard` listens to it."""
        asked: list[dict] = []
        said: list[tuple[dict, Answer]] = []

        def ask(message: dict) -> dict:
            answer = worker.answer(message)
            if message.get("request") == "call":
                asked.append(call := call_in(message))
                some = len(said) < MAX_CALLS and "request" not in answer
                if some and not has_handles(call):
                    said.append((call, read_answer(call, answer)))
            return answer

        reply = tests.run(heard.between(ask) if heard else ask)
        # It has collected other tests than the process that mined; while mining, the task is soft.
        if "unsupported" in reply and heard is None:
            raise HarnessError(f"the tests cannot be asked from outside: {reply['unsupported']}")
        status, reason, _ = read_reply(reply, task.tests)
        if worker.fault:
            status, reason = worker.fault[0], f"the edit's process {worker.fault[1]}."
        elif reply.get("trouble"):
            status, reason = "failed", f"{shown(str(reply['trouble'])[:SAID])}."
        if status != "resolved":
            return status, f"{OUTSIDE}: {reason}", None
        if why := changed_its_mind(worker, said, seed):
            return "failed", why, None
        fresh = on_fresh_inputs(worker, inputs)
        if fresh.status == "failed" and not worker.fault and not any(map(has_handles, asked)):
            # The gold edit's answer may be one of several that the tests accept.
            others = partial(self._other_literals, task)
            why = accepted(tests, asked, inputs, fresh.answers, worker, others, seed)
            if why:
                reason = (
                    f"{reason} From outside, too. On fresh inputs it answers as the reference does "
                    f"in {fresh.agreement:.0%} of {len(inputs)}, and {why}."
                )
                return "resolved", reason, fresh.agreement
        return fresh.status, fresh.reason, fresh.agreement

    def _other_literals(self, task: Task, ids: list[str], seed: str) -> list[FunctionPatch]:
        """The patches that give these tests other literals; [] where that cannot be done."""
        files: dict[str, str] = {}
        snapshot = self._processes.repository.snapshot
        given = task.test_files
        for file, (text, names) in readable_tests(ids, snapshot, given).items():
            if (changed := with_other_literals(text, names, seed)) is not None:
                files[file] = changed
        return self._screening.function_patches(files, test_functions(ids), given) or []


def fresh_inputs(task: Task, tests: Tests, seed: str) -> list[tuple[dict, Answer]]:
    """The inputs of this seed that decide, with the gold edit's answers, which is asked before a
    worker begins: its time is not to pass meanwhile. Raises HarnessError."""
    inputs: list[tuple[dict, Answer]] = []
    for number in range(DRAWS):
        calls = drawn_calls(task, f"{seed}/{number}" if number else seed)
        inputs = deciding(task, calls, tests.gold(calls))
        if len(inputs) >= MIN_DECIDED:
            break
    return inputs


def _repeats(one: list, other: list) -> bool:
    """Whether two recorded calls are the same and were answered in the same way."""
    (call, answer), (before, answered) = one, other
    return neutral.key_of(call) == neutral.key_of(before) and agree(
        read_answer(call, answer), read_answer(before, answered)
    )


class Hidden:
    """What the worker must not see of the tree, for it says what the tests expect."""

    def __init__(self, repository: Repository, suite: Suite) -> None:
        self._snapshot = repository.snapshot
        self._test_files, self._roles = suite.test_files, suite.roles

    def from_worker(self, task: Task) -> list[str]:
        """Test files, and the folders they are in, but for source in these; and where else it can
        be read what the task's tests expect. Paths relative to the tree."""
        own = _needed_for(task)
        hidden = [*task.test_files, *task.told_in]
        for folder, paths in self._of_tests.items():
            if folder and not any(self._is_source(path) or path in own for path in paths):
                hidden.append(folder)
            else:
                hidden += [p for p in paths if not self._is_source(p) and p not in own]
        return hidden

    @cached_property
    def _of_tests(self) -> dict[str, list[str]]:
        """{folder of tests: what lies in it}, and under "" the tests that lie elsewhere."""
        found: dict[str, list[str]] = {"": []}
        for path, _ in files_of(self._snapshot):
            if folder := self._roles.folder_of(path):
                found.setdefault(folder, []).append(path)
            elif path in self._test_files or path.endswith(".py"):
                found[""].append(path)
        return found

    def _is_source(self, path: str) -> bool:
        by_result = path in self._test_files and not (self._roles.known and path.endswith(".py"))
        return path.endswith(".py") and not by_result and not self._roles.is_test(path)


def _needed_for(task: Task) -> set[str]:
    """The files that an edit may change, and those of the packages they are in."""
    files = {task.file, *task.files}
    folders = {folder for file in files for folder in PurePosixPath(file).parents}
    return files | {f"{folder}/__init__.py" for folder in folders}
