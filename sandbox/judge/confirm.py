"""What confirms an edit that has passed the screen, each layer where the one before said yes.

- `originals`: the named tests again, in a process that has loaded nothing of the project;
- `passed_twins`: tests with one expectation changed (`twins.py`), each of which must fail;
- `Outside`, for hard tasks: the tests with none of the edit's code in their process, and fresh
  inputs (`black_box.py`).

The originals run in a fork where the screen was of another tier, with a network, mounts and process
ids of its own, so that nothing of an earlier rollout can be found; else by a fresh process in its
own jail. So it is, too, for soft tasks that are held out, for what is measured on these is to come
from no process with a history; and for soft tasks in the jail without namespaces.
"""

from functools import cached_property
from pathlib import Path, PurePosixPath

from sandbox.judge.alternatives import accepted
from sandbox.judge.black_box import Tests, Worker, deciding, drawn_calls, on_fresh_inputs
from sandbox.judge.leaks import copies
from sandbox.judge.outcomes import key_of, read_reply
from sandbox.judge.processes import Processes, wants_fresh
from sandbox.judge.screening import FunctionPatch, Screening
from sandbox.judge.settings import Suite
from sandbox.judge.twins import readable_tests, test_functions, with_other_literals
from sandbox.repo import Repository
from sandbox.snapshot import files_of
from sandbox.source import find, read_text
from sandbox.tasks.task import Task

OUTSIDE = "Judged from outside, where tests and edit share no process"


def originals(
    processes: Processes, task: Task, files: dict[str, str], screened: dict
) -> tuple[str, str, dict[str, str]]:
    """(status, reason, outcomes) of the named tests once more, in a process that has loaded nothing
    of the project; what the screen found where that was fresh."""
    if screened["tier"] == "fresh":
        return read_reply(screened, task.tests)
    request = processes.request(task, files)
    fork_will_do = screened["tier"] == "in-process" and not wants_fresh(task)
    again = processes.ask_forked(request) if fork_will_do else processes.ask_fresh(request)
    status, reason, tests = read_reply(again, task.tests)
    if status != "resolved":
        reason = f"The tests passed once and not again in a fresh process: {reason}"
    return status, reason, tests


def passed_twins(screening: Screening, task: Task, files: dict[str, str]) -> list[str]:
    """The twins that do not fail as they must."""
    if not task.twin_tests:
        return []
    twins = task.twin_files(screening.repository.snapshot)
    reply = run_twins(screening, task, {**files, **twins}, task.twin_tests)
    outcomes = read_reply(reply, task.twin_tests)[2]
    return [test for test in task.twin_tests if outcomes.get(test) != "failed"]


def run_twins(
    screening: Screening, task: Task, files: dict[str, str], tests: tuple[str, ...]
) -> dict:
    """The runner's reply for these tests of the task; `files` has test files, too."""
    patches = screening.function_patches(files, {**task.named, **test_functions(tests)})
    request = {**screening.processes.request(task, files), "ids": list(tests)}
    return screening.run_changed(request, patches)


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
        """(status; why the edit does not hold when it is judged from outside, or why it does
        although its answers are others, else ""; share of the fresh inputs on which it agrees with
        the gold edit). Raises HarnessError where a jail failed."""
        snapshot = self._processes.repository.snapshot
        jails = self._processes.jails
        keeper, forker = jails.of_thread("in-process"), jails.of_thread("forked")
        request = self._processes.complete(self._processes.request(task, {}))
        seed = key_of(self._processes.repository.tree, task, files)
        tests = Tests(keeper, request, function_key(snapshot, task), self._processes.count)
        calls = drawn_calls(task, seed)
        inputs = deciding(task, calls, tests.gold(calls))
        changed = {
            "files": files,
            "remove": self._hidden.from_worker(task) + copies(snapshot, task),
            "path": keeper.ready["path"],
            "worker": {"file": task.file, "function": task.function},
        }
        worker = Worker(forker, {**request, **changed})
        try:
            return self._ask(task, tests, worker, inputs, seed)
        except BaseException:  # both may be in the middle of a conversation
            worker.abandon()
            jails.discard_all()
            raise
        finally:
            worker.close()
            self._processes.count(worker.reply)

    def _ask(
        self, task: Task, tests: Tests, worker: Worker, inputs: list[tuple[dict, dict]], seed: str
    ) -> tuple[str, str, float | None]:
        """What `judge` gives, once the worker answers."""
        asked: list[tuple[dict, dict]] = []

        def ask(call: dict) -> dict:
            asked.append((call, answer := worker.answer(call)))
            return answer

        status, reason, _ = read_reply(tests.run(ask), task.tests)
        if worker.fault:
            status, reason = worker.fault[0], f"the edit's process {worker.fault[1]}."
        if status != "resolved":
            return status, f"{OUTSIDE}: {reason}", None
        fresh = on_fresh_inputs(worker, inputs)
        if fresh.status == "failed" and not worker.fault:
            # The gold edit's answer may be one of several that the tests accept.
            why = accepted(
                tests, asked, inputs, fresh.answers, worker.answer, self._other_literals, seed
            )
            if why:
                reason = (
                    f"{reason} From outside, too. On fresh inputs it answers as the reference does "
                    f"in {fresh.agreement:.0%} of {len(inputs)}, and {why}."
                )
                return "resolved", reason, fresh.agreement
        return fresh.status, fresh.reason, fresh.agreement

    def _other_literals(self, ids: list[str], seed: str) -> list[FunctionPatch]:
        """The patches that give these tests other literals; [] where that cannot be done."""
        files: dict[str, str] = {}
        snapshot = self._processes.repository.snapshot
        for file, (text, names) in readable_tests(ids, snapshot).items():
            if (changed := with_other_literals(text, names, seed)) is not None:
                files[file] = changed
        return self._screening.function_patches(files, test_functions(ids)) or []


def function_key(snapshot: Path, task: Task) -> list:
    """What the `in-process` jail knows the task's function by: file, first line, name."""
    function = find(read_text(snapshot / task.file), task.function)
    assert function is not None
    return [task.file, function.first, task.function.rpartition(".")[2]]


class Hidden:
    """What the worker must not see of the tree, for it says what the tests expect."""

    def __init__(self, repository: Repository, suite: Suite) -> None:
        self._snapshot = repository.snapshot
        self._test_files, self._roles = suite.test_files, suite.roles

    def from_worker(self, task: Task) -> list[str]:
        """Test files, and the folders they are in, but for source in these. Paths relative to the
        tree."""
        own = _needed_for(task)
        hidden = []
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
