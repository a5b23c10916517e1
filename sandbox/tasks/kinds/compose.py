"""`compose`: two or three small mistakes at once, in different functions that one test runs
through, in one file or several. The gold edit is the original of them all. Harder than one: what
fails has more than one cause, and a student that mends the first is told of the second (episodes).

Every function is in one task at most. Each mistake alone makes a test fail, as measured.
"""

from dataclasses import replace
from pathlib import Path

from sandbox import patches
from sandbox.source import find, read_text, source_of, with_function
from sandbox.tasks.candidates import Candidate
from sandbox.tasks.ground import Ground, instance_id
from sandbox.tasks.kinds import Draft, Kind, Unfit
from sandbox.tasks.statements import functions_in_words, in_parts, secrets
from sandbox.tasks.task import Task, draw

SIZES = (2, 3, 2)
"""Mistakes of the first, second, third task, and so on."""


def drafts(ground: Ground) -> list[Draft]:
    """Of functions that share a test, drawn by the seed; other files before the same one."""
    order = sorted(ground.candidates, key=lambda c: draw(ground.seed, *_key(c)))
    free = {_key(c): c for c in order}
    found: list[Draft] = []
    for first in order:
        if _key(first) not in free:
            continue
        group = _together(first, list(free.values()), SIZES[len(found) % len(SIZES)])
        if len(group) > 1:
            found.append(_draft(ground, group))
            for one in group:
                del free[_key(one)]
    if order and not found:
        ground.excluded.add("function that shares no test with another one")
    return found


def _key(candidate: Candidate) -> tuple[str, str]:
    return candidate.file, candidate.function.qualname


def _together(first: Candidate, others: list[Candidate], size: int) -> list[Candidate]:
    """Up to `size` functions, the first among them, with a test that runs through all."""
    group, shared = [first], set(first.tests)
    while len(group) < size:
        fit = [c for c in others if c not in group and shared & set(c.tests)]
        fit = [c for c in fit if not any(_nested(c, known) for known in group)]
        if not fit:
            break
        files = {c.file for c in group}
        best = max(fit, key=lambda c: (c.file not in files, len(shared & set(c.tests))))
        group.append(best)
        shared &= set(best.tests)
    return group


def _nested(one: Candidate, other: Candidate) -> bool:
    """Whether one stands in the other."""
    a, b = one.function, other.function
    return one.file == other.file and a.first <= b.last and b.first <= a.last


def _draft(ground: Ground, group: list[Candidate]) -> Draft:
    group = sorted(group, key=_key)
    first = group[0]
    names = "+".join(c.function.qualname for c in group)
    name = instance_id("compose", first.file, names)

    def make() -> Task:
        tree = ground.repository.snapshot
        broken: dict[str, str] = {}
        for candidate in group:
            text = broken.get(candidate.file) or read_text(tree / candidate.file)
            broken[candidate.file] = _with_mistake(text, candidate, ground.seed)
        patch = "".join(
            patches.make(text, read_text(tree / file), file)
            for file, text in sorted(broken.items())
        )
        tests = {test for candidate in group for test in candidate.tests}
        task = ground.task("compose", name, *_key(first), patch, ground.specific_tests(tests))
        return _about(ground, task, tuple(sorted(broken)), group)

    return Draft(name, make)


def _about(ground: Ground, task: Task, files: tuple[str, ...], group: list[Candidate]) -> Task:
    names = tuple("::".join(_key(candidate)) for candidate in group)
    return replace(task, files=files, functions=names, sources=ground.sources(files))


def _with_mistake(text: str, candidate: Candidate, seed: int) -> str:
    """The file with the function's first mutant in it. Raises Unfit."""
    from sandbox.tasks.mutate import mutants  # libcst takes a while to load

    name = candidate.function.qualname
    function = find(text, name)
    if function is None:
        raise Unfit("function that is lost when another one changes")
    made = mutants(text, function, f"{seed}/{candidate.file}::{name}", 1)
    if not made:
        raise Unfit("function with nothing to mutate")
    return made[0].text


def statement(task: Task, tree: Path, failures: dict[str, str], message: str) -> str:
    parts = [
        f"{functions_in_words(task)} do not do what they should, each by a mistake of its own, and "
        "tests fail. Find the mistakes and mend them all."
    ]
    return in_parts(parts, task, failures, secrets(task, tree))


def partly_mended(task: Task, tree: Path) -> list[dict[str, str]]:
    """{path: text} of the states in which one of the mistakes is left."""
    gold, broken = task.gold(tree), task.broken(tree)
    states = []
    for about in task.about:
        file, _, name = about.partition("::")
        wrong, right = find(broken[file], name), find(gold[file], name)
        assert wrong is not None and right is not None  # the task was made of both
        left = with_function(gold[file], right, source_of(broken[file], wrong))
        states.append({**gold, file: left})
    return states


def are_mended(task: Task) -> str:
    return f"{functions_in_words(task)} are mended."


KIND = Kind("group of functions", drafts, statement, are_mended, partly_mended=partly_mended)
