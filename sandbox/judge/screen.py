"""The screen: named tests with an edit in the tree, in the fastest tier that may run them.

`in-process` takes an edit that stays inside bodies of functions, `forked` any other
(`bubblewrap.Jail`).

A fast verdict must be what a fresh process would have said: a share of them (`Limits.recheck`,
drawn by the hash of the edit) is run by one as well, and one difference makes a fresh process judge
the task from then on. A tier whose jail fails, where a slower one's does not, is given up.
"""

from collections.abc import Callable

from sandbox.errors import HarnessError
from sandbox.judge.outcomes import key_of, read_reply
from sandbox.judge.processes import Processes
from sandbox.source import bodies_changed, imports, read_text
from sandbox.tasks.task import Task


class Screen:
    """Which process runs what."""

    def __init__(self, processes: Processes, on_note: Callable[[str], None]) -> None:
        """`on_note` hears, in words, when a tier is given up."""
        self.processes, self.repository = processes, processes.repository
        self.has_in_process, self.fresh_alone = bool(processes.test_files), set()
        """Whether the fastest tier is in use; the tasks that a fresh process judges alone."""
        self._note = on_note

    def run(self, task: Task, files: dict[str, str], swaps: list[dict] | None) -> dict:
        """The runner's reply and its "tier": the fastest that may judge these files and has not
        been caught at a difference. `swaps`: as for `run_changed`."""
        request = self.processes.request(task, files)
        if task.instance_id in self.fresh_alone:
            return self.processes.ask_fresh(request)
        fast = self.run_changed(request, swaps)
        drawn = int(key_of(self.repository.tree, task, files)[:8], 16)
        if drawn >= self.processes.limits.recheck * 2**32:
            return fast
        fresh = self.processes.ask_fresh(request)
        # On a busy machine one of them may be too slow: that says nothing.
        if not {"timeout"} & {*fast, *fresh} and read_reply(fast, task.tests) != read_reply(
            fresh, task.tests
        ):
            self.fresh_alone.add(task.instance_id)
            self._note(
                f"{task.instance_id}: the {fast['tier']} tier and a fresh process do not agree on "
                "an edit, so fresh processes judge its edits from now on."
            )
        return fresh

    def run_changed(self, request: dict, swaps: list[dict] | None) -> dict:
        """The runner's reply from the faster tier that may run the request's files; `swaps` are the
        functions in which they differ from the intact tree, None where that is not all."""
        fault = None
        if self.has_in_process and swaps is not None:
            try:
                reply = self.processes.ask_in_process({**request, "swaps": swaps})
                if "unfit" not in reply:
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

    def swaps(self, files: dict[str, str], names: dict[str, list[str]]) -> list[dict] | None:
        """Those of the named functions that these files change, as `inside/in_process.py` takes
        them; None where there is another change, or no jail to take them."""
        if not self.has_in_process:
            return None
        swaps = []
        for path, text in files.items():
            if not (self.repository.snapshot / path).is_file():
                return None
            intact = read_text(self.repository.snapshot / path)
            changed = bodies_changed(intact, text, names.get(path, []))
            if changed is None:
                return None
            swaps += [
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
        return swaps
