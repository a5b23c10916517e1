"""The project's source as who replies may see it: the broken state, and nothing of the tests.

    sources.of(task)        # {path: text}

Of what git says is the project, regular files alone: Python and plain text (SUFFIXES), but for
those of the tests and what lies in their folders, and those from which the gold edit or a hidden
test could be read, which are left out as a whole. Lines are never left out: who compares what is
shown here with what the code itself reads in the jail would learn from a missing one that it is the
answer."""

from functools import cached_property

from sandbox.judge.leaks import copies, copies_of_tests
from sandbox.judge.outside import Hidden
from sandbox.repo import Repository
from sandbox.source import read_text
from sandbox.tasks.task import Task

SUFFIXES = (".py", ".md", ".rst", ".txt")
MAX_BYTES = 1 << 20
"""Of a file; larger ones are data."""
COPY = 0.5
"""Share of the gold edit's distinctive lines that makes a Python file with a function of that name
a copy of it: an older version, f. e."""


class Sources:
    """What may be seen of a repository, read once."""

    def __init__(self, repository: Repository, hidden: Hidden) -> None:
        self._repository, self._hidden = repository, hidden
        self._known: dict[str, dict[str, str]] = {}

    def of(self, task: Task) -> dict[str, str]:
        """{path: text}, sorted. Raises UsageError where the task has moved on."""
        if task.instance_id not in self._known:
            self._known[task.instance_id] = self._of(task)
        return self._known[task.instance_id]

    def _of(self, task: Task) -> dict[str, str]:
        tree = self._repository.snapshot
        of_tests = self._hidden.from_worker(task)
        hidden = set(task.tests) - set(task.shown)
        of_hidden = copies_of_tests(tree, hidden, task.test_files)
        left_out = {*of_tests, *copies(tree, task, COPY), *of_hidden}
        within = tuple(f"{path}/" for path in of_tests)
        seen = {
            path: text
            for path, text in self._texts.items()
            if path not in left_out and not path.startswith(within)
        }
        return dict(sorted({**seen, **task.broken(tree)}.items()))

    @cached_property
    def _texts(self) -> dict[str, str]:
        """Those of all files that are of the kind."""
        tree = self._repository.snapshot
        return {
            path: read_text(tree / path)
            for path in self._repository.project_files
            if path.endswith(SUFFIXES)
            and path.isprintable()
            and (tree / path).stat().st_size <= MAX_BYTES
        }
