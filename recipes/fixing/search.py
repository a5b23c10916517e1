"""The search for edits that mend one repository's failing tests.

search = Search(repository, limits, recipe, SearchOptions(names, samples=16), open_engine)
for outcome in search.outcomes(): ...  # of failing tests that are about one function
search.changed                         # {path: (text before, text now)} of all fixes together
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

from recipes.events import Emit, Event, notes_to, progress_to
from recipes.fixing.attempts import Attempt, Outcome
from recipes.fixing.writer import OpenEngine, Reply, Writer
from recipes.settings import Recipe
from sandbox import patches
from sandbox.cache import make_room
from sandbox.episode import files_with
from sandbox.errors import HarnessError
from sandbox.judge.fixing import choose_failing, failing_tasks, one_function, verify, with_files
from sandbox.judge.gate import InvalidEdit
from sandbox.judge.verdict import Judge, Limits
from sandbox.node_ids import function_of
from sandbox.repo import Repository
from sandbox.source import read_text
from sandbox.survey import Survey, survey
from sandbox.tasks.styles import BARE
from sandbox.tasks.task import Task

ROUND = 8
"""Edits that are written and judged together."""


@dataclass(frozen=True)
class SearchOptions:
    """What is looked for, and for how long."""

    names: tuple[str, ...] = ()
    """Of failing tests, as `choose_failing` takes them; all where none is named."""
    samples: int = 16
    """Edits for each task, at most."""
    seconds: float | None = None
    """No further round is begun after these."""


def _silent(event: Event) -> None:
    """Show nobody."""


class Search:
    """The search for fixes of one repository's failing tests."""

    def __init__(
        self,
        repository: Repository,
        limits: Limits,
        recipe: Recipe,
        options: SearchOptions,
        open_engine: OpenEngine,
        emit: Emit = _silent,
    ) -> None:
        """`open_engine` is given the conversations that the student is to continue first of all,
        and is called once, if anything fails."""
        self.repository = self._original = repository
        self.limits, self.recipe, self.options = limits, recipe, options
        self.failing: tuple[str, ...] = ()
        """Those of the chosen tests that fail at first."""
        self.left: tuple[str, ...] = ()
        """Those that fail still."""
        self.left_out: dict[str, str] = {}
        """{failing test function: why nothing was tried}"""
        self._writer = Writer(recipe, open_engine, emit)
        self._progress, self._note = progress_to(emit), notes_to(emit)
        self._ends = None if options.seconds is None else time.monotonic() + options.seconds
        self._began = False
        self._tried: set[str] = set()
        self._paths: set[str] = set()

    @property
    def changed(self) -> dict[str, tuple[str, str]]:
        """{path: (text before, text now)} of all fixes together."""
        before, now = self._original.snapshot, self.repository.snapshot
        return {
            path: (read_text(before / path), read_text(now / path)) for path in sorted(self._paths)
        }

    def outcomes(self) -> Iterator[Outcome]:
        """One for each task that could be tried. Raises UsageError, HarnessError."""
        first = self._survey(self.repository)
        self.failing = self.left = choose_failing(first, self.options.names)
        shown: Survey | None = first
        try:
            while shown is not None:
                shown = yield from self._first_fix(shown)
        finally:
            self._writer.close()

    def _survey(self, repository: Repository) -> Survey:
        with Judge(repository, self.limits) as judge:
            return survey(judge, self._progress)

    def _first_fix(self, shown: Survey) -> Generator[Outcome, None, Survey | None]:
        """Outcomes on the tree as it is now, up to the first fix; returns what the suite shows with
        that in the tree, None where there is no fix any more."""
        pending = tuple(t for t in self.left if function_of(t) not in self._tried)
        if not pending or self._over:
            return None
        with Judge(self.repository, self.limits, shown.suite(), on_note=self._note) as judge:
            failing = failing_tasks(judge, shown, pending, self.recipe.seed, self._progress)
            self.left_out |= failing.left_out
            self._tried |= set(failing.left_out)
            for task in failing.tasks:
                if self._over:
                    return None
                self._tried |= set(map(function_of, task.FAIL_TO_PASS))
                outcome = self._seek(judge, shown, task)
                if outcome.fixed:
                    outcome, now = self._with_suite(outcome, shown)
                yield outcome
                if outcome.fixed:
                    return now
        return None

    def _with_suite(self, outcome: Outcome, shown: Survey) -> tuple[Outcome, Survey]:
        """The outcome after the suite has run with the fix in the tree, which is then the tree; not
        fixed where the suite objects."""
        fix = outcome.fix
        repository = with_files(self.repository, fix.files)
        make_room(self._note)
        now = self._survey(repository)
        failing = set(now.failing)
        broken = tuple(t for t in (*outcome.task.FAIL_TO_PASS, *shown.passing) if t in failing)
        if broken:
            best = replace(fix, proof=replace(fix.proven, broken=broken))
            return replace(outcome, best=best), now
        self.repository, self.left = repository, tuple(t for t in self.left if t in failing)
        self._paths |= set(fix.files)
        return outcome, now

    @property
    def _over(self) -> bool:
        """Whether the time is over; one round is written in any case."""
        return self._began and self._ends is not None and time.monotonic() > self._ends

    def _seek(self, judge: Judge, shown: Survey, task: Task) -> Outcome:
        """Round after round, until an edit is verified."""
        variants = one_function(task) if self.recipe.prompt.style in BARE else [task]
        prompts = self._writer.prompts(variants, judge.repository.snapshot)
        counts: Counter[str] = Counter()
        known: dict[str, Attempt] = {}
        for start in range(0, self.options.samples, ROUND) if prompts else ():
            if start and self._over:
                break
            self._began = True
            bar, count = self._bar(task, start, len(prompts)), self.options.samples - start
            replies, cut_off = self._writer.write(prompts, start, min(ROUND, count), judge, bar)
            counts["truncated"] += cut_off
            for attempt in self._judged(judge, replies, counts):
                known.setdefault(attempt.patch, attempt)
            resolved = [a for a in known.values() if a.verdict.status == "resolved" and not a.proof]
            for attempt in sorted(resolved, key=lambda a: a.size):
                proved = replace(attempt, proof=verify(judge, shown, task, attempt.files))
                known[attempt.patch] = proved
                if proved.fixed:
                    return Outcome(task, proved, dict(+counts))
        nearest = min(known.values(), key=lambda a: a.nearness(task), default=None)
        return Outcome(task, nearest, dict(+counts))

    def _bar(self, task: Task, start: int, variants: int) -> Callable[[int], None]:
        """What counts the edits of a round as they are written: those of several variants of the
        task stand for one another."""
        test = task.FAIL_TO_PASS[0].partition('[')[0].rpartition('::')[2]
        ended, samples = 0, self.options.samples

        def count(more: int) -> None:
            nonlocal ended
            ended += more
            done = min(start + ended // variants, samples)
            self._progress(f"writing edits for {test}", done, samples)

        count(0)
        return count

    def _judged(
        self, judge: Judge, replies: list[Reply], counts: Counter[str]
    ) -> Iterator[Attempt]:
        """The edits of these replies that change something, with their verdicts, which are
        counted."""
        tree = judge.repository.snapshot
        edits: list[tuple[Task, dict[str, str] | InvalidEdit]] = []
        for reply in replies:
            try:
                files = files_with(reply.text, reply.task, tree, self.recipe.prompt.style)
                edits.append((reply.task, files))
            except InvalidEdit as error:
                edits.append((reply.task, error))
        for reply, (_, edit), verdict in zip(replies, edits, judge.judge_many(edits)):
            if isinstance(verdict, HarnessError):
                counts["not judged, because the jail failed"] += 1
                continue
            counts[verdict.status] += 1
            if isinstance(edit, InvalidEdit):
                continue
            before = {path: read_text(tree / path) for path in edit}
            files = {path: text for path, text in edit.items() if text != before[path]}
            if files:
                patch = "".join(
                    patches.make(before[path], text, path) for path, text in sorted(files.items())
                )
                yield Attempt(files, patch, verdict, reply.episode)
