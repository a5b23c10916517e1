"""Task -> chat messages: what the student and the teacher are shown, and told to write.

`body`: signature and docstring of the function, answered with its bare body. `blocks`: the problem, the broken file, the tests
that may be shown, and the reply format of `sandbox/edits.py`. Neither ever holds the gold edit or a hidden test.
"""
from pathlib import Path

from sandbox.source import body_of, find, head_of, read_text, reindent, source_of
from sandbox.tasks import Task

MAX_FILE_CHARACTERS = 24_000
"""A longer file is shown as the function with its surroundings."""

REPLY_FORMAT = """Answer with a few words of reason and then one fenced python block that holds the whole function \
`{function}` (with its signature), and any new helper functions and imports it needs. Nothing else of the file. \
For an edit elsewhere in the file use a SEARCH/REPLACE block under the file's path instead:

{file}
<<<<<<< SEARCH
the lines as they are now
=======
the lines as they should be
>>>>>>> REPLACE"""


def messages(task: Task, tree: Path, style: str) -> list[dict[str, str]]:
    """The conversation that the model is to continue: [{"role", "content"}]."""
    broken = task.broken(tree)[task.file]
    if style == "body":
        return [{"role": "user", "content": reindent(head_of(broken, find(broken, task.function)), "") + "\n"}]
    parts = [task.problem_statement, f"`{task.file}`:\n```python\n{_excerpt(broken, task)}\n```"]
    if tests := shown_tests(task, tree):
        parts.append(f"Some of the tests that must pass:\n```python\n{tests}\n```")
    parts.append(REPLY_FORMAT.format(function=task.function, file=task.file))
    return [{"role": "user", "content": "\n\n".join(parts)}]


def gold_reply(task: Task, tree: Path, style: str) -> str:
    """The repository's own code as a model would have answered: what the reference teacher says."""
    intact = read_text(tree / task.file)
    function = find(intact, task.function)
    if style == "body":
        return body_of(intact, function)
    return f"The body of `{task.function}` is filled in.\n\n```python\n{reindent(source_of(intact, function), '')}\n```\n"


def shown_tests(task: Task, tree: Path) -> str:
    """Source of the test functions that may be shown, without repetition."""
    sources = []
    for test in task.shown:
        file, _, rest = test.partition("::")
        name = rest.partition("[")[0].replace("::", ".")
        text = read_text(tree / file)
        function = find(text, name) if file.endswith(".py") else None
        if function is not None:
            source = reindent(source_of(text, function), "")
            if source not in sources:
                sources.append(source)
    return "\n\n".join(sources)


def _excerpt(text: str, task: Task) -> str:
    """The file, or where it is long the lines around the function."""
    if len(text) <= MAX_FILE_CHARACTERS:
        return text.replace("\r", "").strip("\n")
    lines, function = text.replace("\r", "").split("\n"), find(text, task.function)
    first, last = function.first - 1, function.last
    size = sum(len(line) + 1 for line in lines[first:last])
    while (first > 0 or last < len(lines)) and size < MAX_FILE_CHARACTERS:
        if first > 0:
            first -= 1
            size += len(lines[first]) + 1
        if last < len(lines):
            size += len(lines[last]) + 1
            last += 1
    return "\n".join((["# ..."] if first else []) + lines[first:last] + (["# ..."] if last < len(lines) else []))
