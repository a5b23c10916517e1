"""`doctest`: the body of a function is taken out, and its tests are the examples that stand in the
documentation, whether the project runs them as tests or not (`sandbox/tasks/examples.py`): those of
docstrings in its own file, and of files of words. The gold edit is the body.

Which example runs through which function is measured, as it is for the suite. The tests are made of
the intact text, so no edit changes what they expect.

**What is shown.** The docstrings that the examples stand in lose all of theirs in the broken state,
and some come back as the tests that may be shown: a hidden one is in no text that a student sees,
nor are the files of words that tell it (`Task.told_in`). What a docstring says in words stays.
"""

from dataclasses import replace
from pathlib import Path

from sandbox import patches
from sandbox.errors import UsageError
from sandbox.judge.leaks import files_that_say
from sandbox.source import blanked, find, read_text
from sandbox.suite_runs import Runs
from sandbox.survey import Survey
from sandbox.tasks.candidates import Candidate, fit_functions
from sandbox.tasks.examples import Example, examples_of, without_examples
from sandbox.tasks.ground import Ground, instance_id
from sandbox.tasks.kinds import LEAST_NOTICED, Draft, Kind
from sandbox.tasks.kinds.blank import is_filled_in
from sandbox.tasks.made_tests import Made, file_of_tests, free_path
from sandbox.tasks.task import Task

ABOUT = "Examples of the documentation, each as a test."
DOES_NOT_PASS = "example that does not pass twice as it stands"


def drafts(ground: Ground) -> list[Draft]:
    """One of each function that examples run through."""
    sources = [file for file in ground.survey.defining if ground.is_source(file)]
    examples, reasons = examples_of(ground.repository, sources)
    ground.excluded.take(reasons, reasons.names)
    if not examples or ground.observer is None:
        return []
    found = _Found(ground, examples)
    try:
        runs = ground.observer.runs("examples", found.files)
    except UsageError as error:
        ground.excluded.add(f"examples of the documentation cannot be run: {error}")
        return []
    seen = _as_a_suite(ground.survey, runs)
    for node, example in found.by_node.items():
        if node not in seen.passing:
            ground.excluded.add(DOES_NOT_PASS, f"{example.place} ({example.number})")
    fit = fit_functions(ground.repository, seen, ground.is_source)
    made = (found.draft(candidate, seen) for candidate in fit)
    return [draft for draft in made if draft is not None]


def _as_a_suite(survey: Survey, runs: Runs) -> Survey:
    """What was seen of the examples, in place of what was seen of the suite."""
    seen = Survey.of(replace(runs, files={}))
    return replace(
        survey,
        passing=seen.passing,
        failing=(),
        calls=seen.calls,
        functions=seen.functions,
        seconds=seen.seconds,
    )


class _Found:
    """The project's examples, and where each stands."""

    def __init__(self, ground: Ground, examples: list[Example]) -> None:
        self._ground = ground
        self._places: dict[tuple[str, str], set[str]] = {}
        by_file: dict[str, list[Example]] = {}
        for example in examples:
            self._places.setdefault(example.said, set()).add(example.file)
            by_file.setdefault(example.file, []).append(example)
        self.files: dict[str, str] = {}
        """{path: text} of one made file for each that has examples."""
        self.by_node: dict[str, Example] = {}
        for file, some in by_file.items():
            path = free_path(ground.repository, f"examples-{file}")
            tests = _made(some)
            self.files[path] = file_of_tests(ABOUT, tests)
            self.by_node |= {f"{path}::{t.name}": e for t, e in zip(tests, some)}

    def draft(self, candidate: Candidate, seen: Survey) -> Draft | None:
        """None where all that runs through it stands in other modules."""
        own = [
            example
            for example in map(self.by_node.__getitem__, candidate.tests)
            if self._of_python(example) <= {candidate.file}
        ]
        once = list({example.said: example for example in own}.values())
        if not once:
            return None
        name = instance_id("doctest", candidate.file, candidate.function.qualname)
        path, tests = free_path(self._ground.repository, name), _made(once)
        given = {path: file_of_tests(ABOUT, tests)}
        seconds = sum(seen.seconds[test] for test in candidate.tests)

        def make() -> Task:
            nodes = tuple(f"{path}::{test.name}" for test in tests)
            return replace(
                self._task(name, candidate, once),
                FAIL_TO_PASS=nodes,
                test_patch=patches.make_new(given[path], path),
                test_seconds=round(seconds, 4),
            )

        return Draft(name, make, given=given)

    def _of_python(self, example: Example) -> set[str]:
        return {file for file in self._places[example.said] if file.endswith(".py")}

    def _task(self, name: str, candidate: Candidate, examples: list[Example]) -> Task:
        """Without its tests."""
        ground, file, function = self._ground, candidate.file, candidate.function
        intact = read_text(ground.repository.snapshot / file)
        said = {example.said for example in examples}
        owners = {e.owner for e in self.by_node.values() if e.file == file and e.said in said}
        plain = without_examples(intact, {function.qualname, *owners})
        place = find(plain, function.qualname)
        assert place is not None  # docstrings alone have changed
        patch = patches.make(blanked(plain, place), intact, file)
        texts = {f for one in said for f in self._places[one] if not f.endswith(".py")}
        texts |= set(files_that_say(ground.repository.snapshot, map("".join, said)))
        task = ground.task("doctest", name, file, function.qualname, patch, ())
        return replace(task, told_in=tuple(sorted(texts)))


def _made(examples: list[Example]) -> list[Made]:
    """Their tests, no two of one name."""
    made: dict[str, Made] = {}
    for example in examples:
        test = example.made()
        assert test is not None  # `examples_of` gives no others
        while test.name in made:
            test = replace(test, name=f"{test.name}_")
        made[test.name] = test
    return list(made.values())


def statement(task: Task, tree: Path, failures: dict[str, str], message: str) -> str:
    return (
        f"The body of `{task.function}` in `{task.file}` is missing. Write it so that it does what "
        "the examples of its documentation show."
    )


KIND = Kind(
    "documented example",
    drafts,
    statement,
    is_filled_in,
    tells_failures=False,
    shows_body=False,
    least_noticed=LEAST_NOTICED,
)
