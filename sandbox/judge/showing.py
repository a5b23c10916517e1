"""What the shown tests say of an edit: feedback between the turns of an episode.

    shown = showing.run(task, files)           # in a thread of the judge's processes

They run in a `forked` jail in which there is nothing else of the tests: no other test, in source or
bytecode, no copy of the gold edit that lies about, nothing that only other tests need
(`visible.py`). So whatever the edit reads there and says, in whatever encoding, is no hidden test's
and not the gold edit's: what is told depends on neither, and there is no list of forbidden lines,
for who says a guess and sees whether it is kept back would learn of it.

Whether a task's shown tests run with so little is measured, once, with the gold edit: all must
pass. (Where there is none: they must fail as they do with everything there.) Where they do not,
more is left of the tests' files. Those for which that will not do either, as where a shown test
inherits a hidden one, run among all the tests once the others pass, and of them it is told only
whether they all pass."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from sandbox.judge.gate import gate
from sandbox.judge.leaks import copies, copies_of_tests
from sandbox.judge.outcomes import key_of, read_reply
from sandbox.judge.outside import Hidden
from sandbox.judge.processes import Processes
from sandbox.judge.visible import View, narrow, wide
from sandbox.snapshot import files_of
from sandbox.source import read_text
from sandbox.tasks.assertions import assertion_of
from sandbox.tasks.task import Task

MAX_TEXT = 4000
"""Characters of the end of a test's text that are kept."""
Cut = Callable[[Iterable[str], Iterable[str], dict[str, str], Iterable[str]], View]


@dataclass(frozen=True)
class Shown:
    """What became of the shown tests with an edit."""

    failing: tuple[str, ...]
    """Node ids, in the task's order; () where all passed."""
    text: dict[str, str] = field(default_factory=dict)
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
    tests: tuple[str, ...] = ()
    """Shown tests that run in it."""


class Showing:
    """Runs the shown tests of tasks, and remembers what they said of an edit."""

    def __init__(self, processes: Processes, hidden: Hidden) -> None:
        self._processes, self._hidden = processes, hidden
        self._tree = processes.repository.snapshot
        self._places: dict[str, _Place] = {}
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
        if place.tests:
            reply = self._ask(task, files, place.tests, place)
            status, _, outcomes = read_reply(reply, place.tests)
            if status != "resolved":
                failing = tuple(t for t in place.tests if outcomes.get(t) != "passed")
                return Shown(failing, _texts(reply), _before(reply), status == "timeout")
        apart = tuple(test for test in task.shown if test not in place.tests)
        if not apart:
            return Shown(())
        status = read_reply(self._ask(task, files, apart), apart)[0]
        fails = status != "resolved"
        return Shown(apart if fails else (), timeout=status == "timeout", is_told=False)

    def _ask(
        self, task: Task, files: dict[str, str], tests: tuple[str, ...], place: _Place | None = None
    ) -> dict:
        asked = {**self._processes.request(task, files), "ids": list(tests), "text": True}
        if place is not None:
            asked.update(files={**place.files, **files}, remove=list(place.removed))
        return self._processes.ask_forked(asked)

    def _place(self, task: Task) -> _Place:
        """The least in which the most of the shown tests run."""
        found: list[_Place] = []
        for cut in (narrow, wide):
            found.append(self._measured(task, self._cut(task, cut)))
            if found[-1].tests == task.shown:
                break
        return max(found, key=lambda place: len(place.tests))  # the first of equals

    def _cut(self, task: Task, cut: Cut) -> _Place:
        listed = set(self._hidden.from_worker(task))
        own = [path for path, _ in files_of(self._tree) if listed & _above(path)]
        texts = {p: self._text(p) for p in own if p.endswith(".py") and self._is_file(p)}
        texts |= task.test_files
        hidden = set(task.tests) - set(task.shown)
        view = cut(task.shown, hidden, texts, [p for p in own if p not in texts])
        of_hidden = copies_of_tests(self._tree, hidden, task.test_files)
        copied = {*copies(self._tree, task), *of_hidden, *task.told_in}
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

    def _measured(self, task: Task, place: _Place) -> _Place:
        """The place with the shown tests that do in it what they do among all."""
        if task.patch:
            gold = gate(task.gold(self._tree), task, self._tree)
            outcomes = read_reply(self._ask(task, gold, task.shown, place), task.shown)[2]
            fit = {test for test, outcome in outcomes.items() if outcome == "passed"}
        else:
            broken = task.broken(self._tree)
            alone, among = (self._ask(task, broken, task.shown, where) for where in (place, None))
            said, known = _texts(alone), _texts(among)
            fit = {t for t in known if assertion_of(said.get(t, "")) == assertion_of(known[t])}
        return replace(place, tests=tuple(test for test in task.shown if test in fit))


def _above(path: str) -> set[str]:
    """It, and the folders that it lies in."""
    return {path, *map(str, PurePosixPath(path).parents)}


def _texts(reply: dict) -> dict[str, str]:
    """{test: pytest's text}, of a report that may be anything."""
    said = reply.get("text")
    pairs = said.items() if isinstance(said, dict) else ()
    return {test: text[-MAX_TEXT:] for test, text in pairs if isinstance(text, str)}


def _before(reply: dict) -> str:
    said = reply.get("collect_errors")
    first = said[0] if isinstance(said, list) and said else ""
    return first[-MAX_TEXT:] if isinstance(first, str) else ""
