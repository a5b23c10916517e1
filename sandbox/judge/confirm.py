"""What confirms an edit that has passed the screen, each layer where the one before said yes.

- `originals`: the named tests again, in a process that has loaded nothing of the project;
- `passed_twins`: tests with one expectation changed (`twins.py`), each of which must fail;
- `outside.py`, for hard tasks: the tests with none of the edit's code in their process, and fresh
  inputs.

The originals run in a fork where the screen was of another tier, with a network, mounts and process
ids of its own, so that nothing of an earlier rollout can be found; else by a fresh process in its
own jail. So it is, too, for soft tasks that are held out, for what is measured on these is to come
from no process with a history; and for soft tasks in the jail without namespaces.
"""

from sandbox.judge.outcomes import read_reply
from sandbox.judge.processes import Processes, wants_fresh
from sandbox.judge.screening import Screening
from sandbox.judge.twins import test_functions
from sandbox.tasks.task import Task


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
    named = {**task.named, **test_functions(tests)}
    patches = screening.function_patches(files, named, task.test_files)
    request = {**screening.processes.request(task, files), "ids": list(tests)}
    return screening.run_changed(request, patches)
