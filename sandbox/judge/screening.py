"""The screen: named tests with an edit in the tree, in the fastest tier that may run them.

`in-process` takes an edit that stays inside bodies of functions, `forked` any other
(`sandbox/jail/jail.py`).

A fast verdict must be what a fresh process would have given: a share of them (`Limits.recheck`,
drawn by the hash of the edit) is run by one as well, and one difference makes a fresh process judge
the task from then on. A tier whose jail fails, where a slower one's does not, is given up.
"""

from collections.abc import Callable, Mapping
from typing import TypedDict

from sandbox.errors import HarnessError
from sandbox.judge.outcomes import key_of, read_reply
from sandbox.judge.processes import Processes
from sandbox.judge.twins import NOTHING
from sandbox.source import bodies_changed, imports, read_text
from sandbox.tasks.task import Task


class FunctionPatch(TypedDict):
    """A function with another body, as `inside/function_patches.py` puts it in place."""

    file: str
    chain: list[str]
    """Its qualified name, part by part."""
    line: int
    """The first one, decorators included."""
    old: str
    new: str
    imports: str
    """Those of its module."""


class Screening:
    """Decides which process runs the named tests."""

    def __init__(self, processes: Processes, on_note: Callable[[str], None]) -> None:
        """`on_note` hears, in words, when a tier is given up."""
        self.processes, self.repository = processes, processes.repository
        self.has_in_process = bool(processes.suite.test_files)
        """Whether the fastest tier is in use."""
        self.fresh_alone: set[str] = set()
        """Ids of the tasks that a fresh process judges alone."""
        self._note = on_note

    def run(self, task: Task, files: dict[str, str], patches: list[FunctionPatch] | None) -> dict:
        """The runner's reply and its "tier": the fastest that may judge these files and has not
        been caught at a difference. `patches`: as for `run_changed`."""
        request = self.processes.request(task, files)
        if task.instance_id in self.fresh_alone:
            return self.processes.ask_fresh(request)
        fast = self.run_changed(request, patches)
        drawn = int(key_of(self.repository.tree, task, files)[:8], 16)
        if drawn >= self.processes.limits.recheck * 2**32:
            return fast
        fresh = self.processes.ask_fresh(request)
        # On a busy machine one of them may be too slow, which shows nothing.
        if not {"timeout"} & {*fast, *fresh} and read_reply(fast, task.tests) != read_reply(
            fresh, task.tests
        ):
            self.fresh_alone.add(task.instance_id)
            self._note(
                f"{task.instance_id}: the {fast['tier']} tier and a fresh process do not agree on "
                "an edit, so fresh processes judge its edits from now on."
            )
        return fresh

    def run_changed(self, request: dict, patches: list[FunctionPatch] | None) -> dict:
        """The runner's reply from the faster tier that may run the request's files. `patches` are
        the functions in which they differ from the intact tree, None where that is not all."""
        fault = None
        if self.has_in_process and patches is not None:
            try:
                reply = self.processes.ask_in_process({**request, "function_patches": patches})
                if "unsupported" not in reply:
                    return {**reply, "tier": "in-process"}
            except HarnessError as error:
                if self.processes.closing:
                    raise
                fault = error
        reply = self.processes.ask_forked(request)
        # Where the slower ones had failed at it, too, that would say nothing of this tier.
        if fault and self.has_in_process:
            self.has_in_process = False
            self._note(
                "A jail that keeps the tests collected has failed twice in a row, so "
                f"verdicts take longer from now on: {fault}"
            )
        return reply

    def function_patches(
        self, files: dict[str, str], names: dict[str, list[str]], given: Mapping[str, str] = NOTHING
    ) -> list[FunctionPatch] | None:
        """The patches that make these files of the intact tree, where they change bodies of the
        named functions alone ({file: qualified names}); None where there is another change, or no
        jail to take them. `given`: files that are there beside those of the tree
        (`Task.test_files`)."""
        if not self.has_in_process:
            return None
        patches: list[FunctionPatch] = []
        for path, text in files.items():
            if path not in given and not (self.repository.snapshot / path).is_file():
                return None
            intact = given.get(path) or read_text(self.repository.snapshot / path)
            changed = bodies_changed(intact, text, names.get(path, []))
            if changed is None:
                return None
            patches += [
                {
                    "file": path,
                    "chain": function.qualname.split("."),
                    "line": function.first,
                    "old": old,
                    "new": new,
                    "imports": imports(intact),
                }
                for function, old, new in changed
            ]
        return patches
