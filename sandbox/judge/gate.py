"""The gate: what may be edited at all, decided before anything runs.

    files = gate(edit, task, repository.snapshot)      # raises InvalidEdit

An edit is a map from a path, relative to the repository, to the whole new text of that file in the
broken state (`edits.py` makes one of a reply, a patch or a folder).

Only regular `.py` text goes through that parses and that the file's encoding can say, only files
that are there already, never tests or what configures them: what is called so, where the survey did
not see that it is source (`Task.sources`). Where the task is about one function only that function
is taken from the edit and spliced into the broken file, with imports and helpers that are new;
whatever else the edit changed there is ignored. Where it is about whole files (`Task.files`) these
are taken as the edit has them, and no others.
"""

import re
from pathlib import Path, PurePosixPath

from sandbox.judge.merge import defined, with_additions
from sandbox.source import alone, find, parse, read_text, source_of, unwritable, with_function
from sandbox.tasks.task import Task

NEVER_EDITED = {"conftest.py", "sitecustomize.py", "usercustomize.py"}
"""What configures everything beside it. The others of FORBIDDEN_NAMES may be source, too."""
FORBIDDEN_NAMES = NEVER_EDITED | {"setup.py", "noxfile.py", "tasks.py", "fabfile.py"}
TEST_FOLDERS = ("tests", "test", "testing")
MAX_BYTES = 1 << 20


class InvalidEdit(Exception):
    """There is no usable edit; `str(error)` says why. The verdict is `invalid`."""


def gate(edit: dict[str, str], task: Task, tree: Path) -> dict[str, str]:
    """The files of the broken state with the allowed part of `edit` in them. Raises InvalidEdit."""
    broken = task.broken(tree)
    if not edit:
        raise InvalidEdit("the edit is empty")
    for path, text in edit.items():
        check_path(path, tree, task.sources)
        if path not in broken:
            raise InvalidEdit(f"it edits {path}; this task is about {', '.join(broken)} alone")
        if len(text) > MAX_BYTES:
            raise InvalidEdit(f"{path} is larger than {MAX_BYTES} bytes")
        if fault := unwritable(text):
            raise InvalidEdit(f"{path} {fault}")
    if not task.files and _only_its_function(edit[task.file], task, broken[task.file], tree):
        return {**broken, **edit}
    for path, text in edit.items():
        try:
            parse(text)
        except SyntaxError as error:
            raise InvalidEdit(f"{path} does not parse: {error.msg} (line {error.lineno})") from None
    if task.files:
        return {**broken, **edit}
    try:
        return {**broken, task.file: splice(edit[task.file], task, broken[task.file])}
    except (SyntaxError, RecursionError) as error:
        # It parses alone and not where it is put, or is nested so deep that it only just parses.
        raise InvalidEdit(f"the function cannot be put in its place ({error})") from None


def _only_its_function(text: str, task: Task, broken: str, tree: Path) -> bool:
    """Whether `text` is as `splice` would give it, because it differs from the broken file in the
    task's function alone: then no more than that function has to be read."""
    before = find(broken, task.function, read_text(tree / task.file))
    assert before is not None
    after = alone(text, broken, before)
    return after is not None and (bool(after.node.decorator_list) or not before.node.decorator_list)


def splice(text: str, task: Task, broken: str) -> str:
    """The broken file with the task's function from `text`, and with the imports and helpers that
    are new in `text`. Raises InvalidEdit; SyntaxError and RecursionError where the function cannot
    stand in its place."""
    function = find(text, task.function)
    if function is None:
        raise InvalidEdit(f"{task.file} no longer has the function {task.function}")
    place = find(broken, task.function)
    assert place is not None
    spliced = with_function(broken, place, source_of(text, function))
    if not unwritable(spliced):
        known = defined(parse(broken))
        spliced = with_additions(spliced, text, parse(text), known, task.function)
    if fault := unwritable(spliced):
        raise InvalidEdit(f"{task.file} {fault}")
    if find(spliced, task.function) is None:
        raise InvalidEdit("the function cannot be put in its place")
    return spliced


def check_path(path: str, tree: Path, sources: tuple[str, ...]) -> None:
    """Raises InvalidEdit where this file may not be edited. `sources`: files that are source
    whatever they are called."""
    pure = PurePosixPath(path)
    if (
        pure.is_absolute()
        or ".." in pure.parts
        or str(pure) != path
        or not re.fullmatch(r"[\w./+-]{1,1000}", path, re.ASCII)
        or any(len(part) > 255 for part in pure.parts)
    ):
        raise InvalidEdit(f"{path!r} is not a plain path below the repository")
    if pure.suffix != ".py":
        raise InvalidEdit(f"{path} is not a Python source file")
    if pure.name in NEVER_EDITED or looks_like_tests(path) and path not in sources:
        raise InvalidEdit(f"{path} is a test or configures how tests run, and may not be edited")
    if (
        any((tree / parent).is_symlink() for parent in [pure, *pure.parents])
        or not (tree / path).is_file()
    ):
        raise InvalidEdit(f"{path} is not a file of the repository")


def is_test_path(path: str) -> bool:
    """Whether this file belongs to the tests: by its name, or by the folder that it is in."""
    pure = PurePosixPath(path)
    return (
        pure.name == "conftest.py"
        or pure.name.startswith("test_")
        or pure.stem.endswith("_test")
        or pure.name == "tests.py"
        or any(part in TEST_FOLDERS for part in pure.parts[:-1])
    )


def looks_like_tests(path: str) -> bool:
    """Whether this file is called like one of the tests, or like what configures how they run."""
    return is_test_path(path) or PurePosixPath(path).name in FORBIDDEN_NAMES
