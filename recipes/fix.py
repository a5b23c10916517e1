"""`fix`: tests that fail now, and edits by the student that mend them.

    search = Search(repository, limits, recipe, names, samples=16, seconds=None, open_engine=open_engine)
    # of failing tests that are about one function, fixed or not
    for outcome in search.outcomes(): ...
    search.changed  # {path: (text before, text now)} of all fixes together

Failing tests that are about the same function are one task. For each the student writes ROUND edits
at a time, and these are judged; what is *verified* (`sandbox/judge/fixing.py` says what that
takes) ends the search, and of several the smallest diff is taken. The next task is then looked at
on the tree with that fix in it, so fixes build on each other, and what a fix mends beside its own
tests is not mended twice.

A student that writes bare bodies (`prompt.style = "body"`) is given each of the functions that the
test is about as a task of its own: it sees signature and docstring and writes the body anew.
"""

import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from recipes.learning.measure import derived_seed
from recipes.rollouts.engine import Engine
from recipes.settings import Recipe
from sandbox import patches
from sandbox.cache import make_room
from sandbox.episode import files_with
from sandbox.errors import HarnessError
from sandbox.judge.fixing import (
    Proof,
    choose_failing,
    failing_tasks,
    one_function,
    verify,
    with_files,
)
from sandbox.judge.gate import InvalidEdit
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits, Verdict
from sandbox.node_ids import function_of
from sandbox.repo import Repository
from sandbox.source import read_text
from sandbox.survey import Progress, Survey, survey
from sandbox.tasks.prompts import Budget, build
from sandbox.tasks.task import Task

ROUND = 8
"""Edits that are written and judged together."""


@dataclass(frozen=True)
class Attempt:
    """An edit by the student that changes something."""

    files: dict[str, str]
    """The changed files, whole."""
    patch: str
    verdict: Verdict
    proof: Proof | None = None
    """What it was verified against; None where the verdict is not `resolved`, or a smaller edit was
    verified before."""

    @property
    def fixed(self) -> bool:
        return self.proof is not None and self.proof.holds

    @property
    def size(self) -> tuple[int, int]:
        """Lines that it adds or takes away, and characters of the diff."""
        lines = [
            line
            for line in self.patch.split("\n")
            if line[:1] in ("+", "-") and line[:4] not in ("+++ ", "--- ")
        ]
        return len(lines), len(self.patch)

    def remaining(self, task: Task) -> tuple[str, ...]:
        """The tests that do not pass with it."""
        return tuple(t for t in task.tests if self.verdict.tests.get(t) != "passed") + (
            self.proof.broken if self.proof else ()
        )

    def nearness(self, task: Task) -> tuple:
        """A sort key: the most of the tests that failed pass, then the most of all tests, then the
        smallest diff first."""
        left = self.remaining(task)
        return sum(t in left for t in task.FAIL_TO_PASS), len(left), *self.size


@dataclass(frozen=True)
class Outcome:
    """What became of the failing tests that are about one function."""

    task: Task
    best: Attempt | None
    """The smallest verified edit, else the nearest one; None where no edit changed anything."""
    counts: dict[str, int]
    """Edits by verdict, `truncated` ones among them."""

    @property
    def fixed(self) -> bool:
        return self.best is not None and self.best.fixed

    @property
    def samples(self) -> int:
        return sum(self.counts.values())

    def to_dict(self) -> dict:
        """Plain data for machines."""
        found = {
            "tests": list(self.task.FAIL_TO_PASS),
            "functions": list(self.task.about),
            "fixed": self.fixed,
            "samples": self.samples,
            "counts": self.counts,
            "patch": self.best.patch if self.best else "",
        }
        if self.fixed:
            proof = self.best.proof
            return {
                **found,
                "verified": {
                    "changed": list(proof.changed),
                    "failed_before": len(self.task.FAIL_TO_PASS),
                    "same_functions": len(self.task.PASS_TO_PASS),
                    "others": len(proof.tests) - len(proof.silent),
                    "silent": len(proof.silent),
                },
            }
        return {
            **found,
            "remaining": list(self.best.remaining(self.task))
            if self.best
            else list(self.task.FAIL_TO_PASS),
        }


class Search:
    """The search for fixes of one repository's failing tests."""

    def __init__(
        self,
        repository: Repository,
        limits: Limits,
        recipe: Recipe,
        names: tuple[str, ...],
        samples: int,
        seconds: float | None,
        open_engine: Callable[[list[list[dict]]], Engine],
        on_progress: Progress = lambda *_: None,
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`names`: see `choose_failing`; `samples` of each task, at most; no further round is begun
        after `seconds`. `open_engine` is given the conversations that the student is to continue
        first of all, and is called once, if anything fails."""
        self.repository = self._original = repository
        self.limits, self.recipe, self.names, self.samples = limits, recipe, names, samples
        self.failing: tuple[str, ...] = ()
        """Those of the chosen tests that fail at first."""
        self.left: tuple[str, ...] = ()
        """Those that fail still."""
        self.left_out: dict[str, str] = {}
        """{failing test function: why nothing was tried}"""
        self._open_engine, self._engine, self._progress, self._note = (
            open_engine,
            None,
            on_progress,
            on_note,
        )
        self._ends = None if seconds is None else time.monotonic() + seconds
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
        found = self._survey(self.repository)
        self.failing = self.left = choose_failing(found, self.names)
        try:
            while found is not None:
                found = yield from self._first_fix(found)
        finally:
            if self._engine is not None:
                self._engine.close()

    def _survey(self, repository: Repository) -> Survey:
        with Judge(repository, self.limits) as judge:
            return survey(judge, self._progress)

    def _first_fix(self, found: Survey) -> Iterator[Outcome]:
        """Outcomes on the tree as it is now, up to the first fix; returns what the suite shows with
        that in the tree, None where there is no fix any more."""
        pending = tuple(t for t in self.left if function_of(t) not in self._tried)
        if not pending or self._over:
            return None
        with Judge(
            self.repository,
            self.limits,
            Suite(preload=found.modules, test_files=found.test_files, roles=found.roles),
            on_note=self._note,
        ) as judge:
            failing = failing_tasks(judge, found, pending, self.recipe.seed, self._progress)
            self.left_out |= failing.left_out
            self._tried |= set(failing.left_out)
            for task in failing.tasks:
                if self._over:
                    return None
                self._tried |= set(map(function_of, task.FAIL_TO_PASS))
                outcome = self._seek(judge, found, task)
                if outcome.fixed:
                    outcome, now = self._with_suite(outcome, found)
                yield outcome
                if outcome.fixed:
                    return now
        return None

    def _with_suite(self, outcome: Outcome, found: Survey) -> tuple[Outcome, Survey]:
        """The outcome after the suite has run with the fix in the tree, which is then the tree; not
        fixed where the suite objects."""
        repository = with_files(self.repository, outcome.best.files)
        make_room(self._note)
        now = self._survey(repository)
        failing = set(now.failing)
        broken = tuple(t for t in (*outcome.task.FAIL_TO_PASS, *found.passing) if t in failing)
        if broken:
            best = replace(outcome.best, proof=replace(outcome.best.proof, broken=broken))
            return replace(outcome, best=best), now
        self.repository, self.left = repository, tuple(t for t in self.left if t in failing)
        self._paths |= set(outcome.best.files)
        return outcome, now

    @property
    def _over(self) -> bool:
        """Whether the time is over; one round is written in any case."""
        return self._began and self._ends is not None and time.monotonic() > self._ends

    def _seek(self, judge: Judge, found: Survey, task: Task) -> Outcome:
        """Round after round, until an edit is verified."""
        style, student = self.recipe.prompt.style, self.recipe.student
        variants = one_function(task) if style == "body" else [task]
        prompts = self._prompts(variants, judge.repository.snapshot)
        counts, attempts = Counter(), {}
        for start in range(0, self.samples, ROUND) if prompts else ():
            if start and self._over:
                break
            self._began = True
            bar = self._bar(task, start, len(prompts))
            seeds = [
                derived_seed("fix", self.recipe.seed, v.instance_id, v.function, start)
                for v, _ in prompts
            ]
            groups = self._engine.sample(
                [ids for _, ids in prompts],
                min(ROUND, self.samples - start),
                self.recipe.probe.temperature,
                student.max_new,
                seeds,
                bar,
            )
            replies = [
                (v, self._engine.student.text(c.ids))
                for (v, _), group in zip(prompts, groups)
                for c in group
                if c.finished
            ]
            counts["truncated"] += sum(not c.finished for group in groups for c in group)
            for attempt in self._judged(judge, replies, counts):
                attempts.setdefault(attempt.patch, attempt)
            resolved = [
                a for a in attempts.values() if a.verdict.status == "resolved" and a.proof is None
            ]
            for attempt in sorted(resolved, key=lambda a: a.size):
                proved = replace(attempt, proof=verify(judge, found, task, attempt.files))
                attempts[attempt.patch] = proved
                if proved.fixed:
                    return Outcome(task, proved, dict(+counts))
        return Outcome(
            task,
            min(attempts.values(), key=lambda a: a.nearness(task), default=None),
            dict(+counts),
        )

    def _bar(self, task: Task, start: int, variants: int) -> Callable[[int], None]:
        """What counts the edits of a round as they are written: those of several variants of the
        task stand for one another."""
        what, ended = (
            f"writing edits for {task.FAIL_TO_PASS[0].partition('[')[0].rpartition('::')[2]}",
            0,
        )

        def count(more: int) -> None:
            nonlocal ended
            ended += more
            self._progress(what, min(start + ended // variants, self.samples), self.samples)

        count(0)
        return count

    def _prompts(self, variants: list[Task], tree: Path) -> list[tuple[Task, list[int]]]:
        """(task, prompt ids), but for those of which not even the least fits."""
        style, most = self.recipe.prompt.style, self.recipe.student.max_prompt
        if self._engine is None:
            # What writes is opened with prompts at hand, by which its tokenizer is checked: here by
            # their estimated length.
            first = [build(variant, tree, style, Budget.estimated(most)) for variant in variants]
            self._engine = self._open_engine([prompt.messages for prompt in first if prompt])
        budget = Budget.of(self._engine.student, most)
        prompts = [(variant, build(variant, tree, style, budget)) for variant in variants]
        if any(prompt is None for _, prompt in prompts):
            self._note(
                f"{variants[0].FAIL_TO_PASS[0]}: not even the function alone fits into {most} "
                "tokens, which is what the student "
                "was trained on at most."
            )
        return [
            (variant, self._engine.student.prompt_ids(prompt.messages))
            for variant, prompt in prompts
            if prompt
        ]

    def _judged(
        self, judge: Judge, replies: list[tuple[Task, str]], counts: Counter
    ) -> Iterator[Attempt]:
        """The edits of these replies that change something, with their verdicts, which are counted."""
        tree, edits = judge.repository.snapshot, []
        for variant, text in replies:
            try:
                files = files_with(text, variant, tree, self.recipe.prompt.style)
                edits.append((variant, files))
            except InvalidEdit as error:
                edits.append((variant, error))
        for (_, edit), verdict in zip(edits, judge.judge_many(edits)):
            if isinstance(verdict, HarnessError):
                counts["not judged, because the jail failed"] += 1
                continue
            counts[verdict.status] += 1
            if isinstance(edit, InvalidEdit):
                continue
            before = {path: read_text(tree / path) for path in edit}
            files = {path: text for path, text in edit.items() if text != before[path]}
            if files:
                yield Attempt(
                    files,
                    "".join(
                        patches.make(before[path], text, path)
                        for path, text in sorted(files.items())
                    ),
                    verdict,
                )


def lines(outcome: Outcome, width: int) -> list[str]:
    """What a person is told of an outcome, beside the diff."""
    return [
        part
        for sentence in _told(outcome)
        for part in textwrap.wrap(sentence, width, break_long_words=False, break_on_hyphens=False)
    ]


def _told(outcome: Outcome) -> list[str]:
    task, best = outcome.task, outcome.best
    tests = _counted(len(task.FAIL_TO_PASS), "failing test")
    first = function_of(task.FAIL_TO_PASS[0])
    more = sorted(set(map(function_of, task.FAIL_TO_PASS)) - {first})
    title = first + (f" and {len(more)} more" if more else "")
    if outcome.fixed:
        proof = best.proof
        others = _counted(len(proof.tests) - len(proof.silent), "other test")
        said = [
            f"Mended: {title} ({_counted(outcome.samples, 'edit')} tried; the smallest that holds "
            "adds or takes away "
            f"{_counted(best.size[0], 'line')}).",
            f"Verified in the jail: the {tests} and "
            f"{_counted(len(task.PASS_TO_PASS), 'other test')} of the same functions; all of "
            f"these again in a fresh process; {others} beside them that can see the change "
            f"({', '.join(proof.changed)}); and two runs "
            "of the suite.",
        ]
        if proof.silent:
            said.append(
                f"{_counted(len(proof.silent), 'other test')} cannot be run without the rest of "
                "the suite, and said nothing."
            )
        return said
    said = [
        f"Not solved: {title}. {_counted(outcome.samples, 'edit')} tried"
        + (
            f" ({', '.join(f'{count} {status}' for status, count in sorted(outcome.counts.items()))})"
            if outcome.counts
            else ""
        )
        + "."
    ]
    if best is None:
        return [*said, "No edit was usable and changed anything."]
    left = best.remaining(task)
    if not best.verdict.tests:
        return [*said, f"The nearest attempt, which is no fix: {best.verdict.reason}"]
    return [
        *said,
        f"The nearest attempt, which is no fix, leaves {_counted(len(left), 'test')} failing: "
        f"{', '.join(left[:5])}" + (f" and {len(left) - 5} more." if len(left) > 5 else "."),
    ]


def summary_lines(search: Search) -> list[str]:
    """What the whole search has come to."""
    if not search.failing:
        return [
            "What was named passes already: there is nothing to mend."
            if search.names
            else "No test fails: there is nothing to mend."
        ]
    said = [f"{test} was not tried: {why}." for test, why in search.left_out.items()]
    mended = len(search.failing) - len(search.left)
    return [*said, f"{mended} of {_counted(len(search.failing), 'failing test')} mended."]


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}" + ("" if count == 1 else "s")


def open_writer(run, checkpoint: Path, chats: list[list[dict]], screen):
    """What writes the edits of `fix`: llama.cpp, from files that are exported where they are not
    there yet; else the training model."""
    from importlib.util import find_spec

    from sandbox.cache import cache_folder

    settings, base_folder, why = (
        run.recipe.student,
        cache_folder() / "gguf",
        "llama-cpp-python or gguf is not installed",
    )
    able = find_spec("llama_cpp") and find_spec("gguf")
    if able:
        from recipes.rollouts import gguf_cache
        from recipes.rollouts.file_engine import FileEngine, FileStudent

        if files := gguf_cache.find(run.folder, checkpoint, base_folder):
            return FileEngine(FileStudent(files), files, settings.longest, settings.threads)
    screen.say(
        "The student is loaded with torch"
        + (": only this once, to write its files for llama.cpp." if able else ".")
    )
    from recipes.session import Session

    student = Session(run, None, screen).student
    student.restore(checkpoint)
    if able:
        try:
            files = gguf_cache.export(
                student,
                run.folder,
                checkpoint,
                base_folder,
                chats,
                settings.longest,
                screen.progress,
            )
            make_room(screen.say)
            return FileEngine(FileStudent(files), files, settings.longest, settings.threads)
        except gguf_cache.NotExportable as error:
            why = str(error)
    from recipes.rollouts.model_engine import ModelEngine

    screen.say(f"The training model writes the edits itself, because {why}.")
    return ModelEngine(student)
