"""What the shown tests say of an edit: feedback between the turns of an episode.

    shown = showing.run(task, files)           # in a thread of the judge's processes

They run in a `forked` jail in which there is nothing else of the tests: no other test, in source or
bytecode, no copy of the gold edit that lies about, nothing that only other tests need (`visible.py`).
So whatever the edit reads there and says, in whatever encoding, is no hidden test's and not the
gold edit's: what is told depends on neither, and there is no list of forbidden lines, for who says
a guess and sees whether it is kept back would learn of it.

Whether a task's shown tests run with so little is measured, once, with the gold edit: all must pass.
(Where there is none: they must fail as they do with everything there.) Where they do not, more is
left of the tests' files; and where that will not do either, they run among all the tests, and it is
told only whether they all pass.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from sandbox.judge.gate import InvalidEdit, gate
from sandbox.judge.leaks import copies, copies_of_tests
from sandbox.judge.outcomes import key_of, read_reply
from sandbox.judge.outside import Hidden
from sandbox.judge.processes import Processes
from sandbox.judge.visible import View, narrow, wide
from sandbox.snapshot import files_of
from sandbox.source import read_text
from sandbox.tasks.assertions import assertion_of
from sandbox.tasks.task import Task

Cut = Callable[[Iterable[str], Iterable[str], dict[str, str], Iterable[str]], View]


@dataclass(frozen=True)
class Shown:
    """What became of the shown tests with an edit."""

    failing: tuple[str, ...]
    """Node ids, in the task's order; () where all passed."""
    text: dict[str, str]
    """What pytest says of each that failed; {} where that may not be told. It comes from a process
    that the edit shares: it may be anything."""
    before: str = ""
    """What pytest says where the tests could not be collected."""
    timeout: bool = False
    is_told: bool = True
    """Whether it may be told which of them fail."""


@dataclass(frozen=True)
class _Place:
    """What of the tests there is where a task's shown tests run."""

    files: dict[str, str]
    removed: tuple[str, ...]
    """Files, and folders that are gone as a whole."""


class Showing:
    """Runs the shown tests of tasks, and remembers what they said of an edit."""

    def __init__(self, processes: Processes, hidden: Hidden) -> None:
        self._processes, self._hidden = processes, hidden
        self._tree = processes.repository.snapshot
        self._places: dict[str, _Place | None] = {}
        self._known: dict[str, Shown] = {}
        self._read: dict[str, str] = {}

    def run(self, task: Task, files: dict[str, str]) -> Shown:
        """What the shown tests say with these files in the tree, which the gate let through; of the
        same edit always the same. Raises HarnessError."""
        key = key_of(self._processes.repository.tree, task, files)
        if key not in self._known:
            self._known[key] = self._run(task, files)
        return self._known[key]

    def _run(self, task: Task, files: dict[str, str]) -> Shown:
        if task.instance_id not in self._places:
            self._places[task.instance_id] = self._place(task)
        place = self._places[task.instance_id]
        reply = self._ask(task, files, place)
        status, _, outcomes = read_reply(reply, task.shown)
        failing = tuple(test for test in task.shown if outcomes.get(test) != "passed")
        if status == "timeout" or place is None:
            return Shown(failing, {}, timeout=status == "timeout", is_told=place is not None)
        return Shown(failing, _texts(reply), _before(reply))

    def _ask(self, task: Task, files: dict[str, str], place: _Place | None) -> dict:
        asked = {**self._processes.request(task, files), "ids": list(task.shown), "text": True}
        if place is not None:
            asked.update(files={**place.files, **files}, remove=list(place.removed))
        return self._processes.ask_forked(asked)

    def _place(self, task: Task) -> _Place | None:
        """The least in which the shown tests run; None where they do in no place without others."""
        return next((p for cut in (narrow, wide) if self._fits(task, p := self._cut(task, cut))), None)

    def _cut(self, task: Task, cut: Cut) -> _Place:
        listed = set(self._hidden.from_worker(task))
        own = [path for path, _ in files_of(self._tree) if listed & _above(path)]
        texts = {p: self._text(p) for p in own if p.endswith(".py") and self._is_file(p)}
        hidden = set(task.tests) - set(task.shown)
        view = cut(task.shown, hidden, texts, [p for p in own if p not in texts])
        copied = {*copies(self._tree, task), *copies_of_tests(self._tree, hidden)}
        kept = (view.files.keys() | view.others) - copied
        whole = listed - {place for path in kept for place in _above(path)}
        single = {path for path in own if path not in kept and not whole & _above(path)}
        files = {path: text for path, text in view.files.items() if path in kept}
        return _Place(files, tuple(sorted(whole | single | copied)))

    def _is_file(self, path: str) -> bool:
        return (self._tree / path).is_file() and not (self._tree / path).is_symlink()

    def _text(self, path: str) -> str:
        if path not in self._read:
            self._read[path] = read_text(self._tree / path)
        return self._read[path]

    def _fits(self, task: Task, place: _Place) -> bool:
        """Whether the shown tests do in this place what they do among all."""
        try:
            gold = gate(task.gold(self._tree), task, self._tree) if task.patch else None
        except InvalidEdit:
            return False
        if gold is not None:
            return read_reply(self._ask(task, gold, place), task.shown)[0] == "resolved"
        broken = task.broken(self._tree)
        alone, among = (self._ask(task, broken, where) for where in (place, None))
        return read_reply(alone, task.shown) == read_reply(among, task.shown) and all(
            assertion_of(_texts(alone).get(t, "")) == assertion_of(_texts(among).get(t, ""))
            for t in task.shown
        )


def _above(path: str) -> set[str]:
    """It, and the folders that it lies in."""
    return {path, *map(str, PurePosixPath(path).parents)}


def _texts(reply: dict) -> dict[str, str]:
    """{test: pytest's text}, of a report that may be anything."""
    said = reply.get("text")
    pairs = said.items() if isinstance(said, dict) else ()
    return {test: text for test, text in pairs if isinstance(text, str)}


def _before(reply: dict) -> str:
    said = reply.get("collect_errors")
    return said[0] if isinstance(said, list) and said and isinstance(said[0], str) else ""
