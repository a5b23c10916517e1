"""What is said of an edit that the shown tests fail, short: every token of it costs a small
student.

what_fails(shown)       # of `sandbox/judge/showing.py`
"""

from sandbox.jsonl import valid
from sandbox.judge.showing import Shown
from sandbox.tasks.assertions import assertion_of, normal

MAX_TESTS = 3
"""Failing tests that are named."""
MAX_LINES = 4
"""Of the assertion of each: the first, which says what was compared, and the last ones."""
MAX_NAME = 120
"""Characters of a test's name, its parameters among them."""
MAX_CHARACTERS = 800
"""Of all that is said of an edit."""


def what_fails(shown: Shown) -> str:
    """The tests that fail, and the last lines of what each of them asserts."""
    if not shown.is_told:
        return "With this answer not all of the tests pass that you were shown."
    if shown.before and not shown.text:
        lines = _least(assertion_of(shown.before))
        return "\n  ".join(["With this answer the tests cannot be loaded:", *lines])
    entries = []
    for test in shown.failing[:MAX_TESTS]:
        lines = _least(assertion_of(shown.text.get(test, "")))
        name = normal(test)[:MAX_NAME]
        entries.append("\n  ".join([f"- `{name}`" + (":" if lines else ""), *lines]))
    more = len(shown.failing) - MAX_TESTS
    return "\n".join(["These tests fail:", *entries, *([f"- and {more} more"] if more > 0 else [])])


def cut(words: str) -> str:
    """The words, of MAX_CHARACTERS at most, and no bytes in them that did not decode."""
    words = valid(words)
    return words if len(words) <= MAX_CHARACTERS else words[: MAX_CHARACTERS - 4].rstrip() + " ..."


def _least(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MAX_LINES else [lines[0], *lines[1 - MAX_LINES :]]
