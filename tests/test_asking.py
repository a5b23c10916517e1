"""Questions about the project's files, and their answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.tasks.asking import (
    MAX_COLUMNS,
    MAX_LINES,
    MAX_MATCHES,
    NO_FILE,
    NO_LINE,
    Read,
    Search,
    answered,
    asked,
)

LONG = "".join(f"line {n}\n" for n in range(1, 101))
FILES = {"b.py": "def b():\n    return 1\n", "a.py": LONG, "wide.txt": "x" * 500 + "\x1b\udc80\n"}


@pytest.mark.parametrize(
    "reply, question",
    [
        ("READ a.py", Read("a.py", 1, MAX_LINES)),
        ("  READ a.py:5-9 \n", Read("a.py", 5, 9)),
        ("READ a.py:5", Read("a.py", 5, 4 + MAX_LINES)),
        ("READ a:b.py", Read("a:b.py", 1, MAX_LINES)),
        ("SEARCH def  b", Search("def  b")),
        ("<think>\nWhere?\n</think>\n\nREAD a.py:0-2", Read("a.py", 1, 2)),
        *[
            (other, None)
            for other in ("READ", "SEARCH ", "READ a\nREAD b", "read a", "I READ a", "READa", "")
        ],
    ],
)
def test_what_asks(reply, question):
    assert asked(reply) == question


def test_answers():
    assert answered(Read("b.py"), FILES) == "b.py:1-2 of 2 lines\ndef b():\n    return 1"
    assert answered(Read("a.py", 99, 300), FILES) == "a.py:99-100 of 100 lines\nline 99\nline 100"
    assert answered(Read("a.py"), FILES).count("\n") == MAX_LINES
    assert (
        answered(Read("b.py", 7, 9), FILES)
        == answered(Read("b.py", 2, 1), FILES)
        == "b.py has 2 lines."
    )
    assert answered(Read("./b.py"), FILES) == answered(Read("c.py"), FILES) == NO_FILE
    assert answered(Search("return"), FILES) == "b.py:2: return 1"
    assert answered(Search("line 9"), FILES).split("\n")[-1] == "... and 1 more"
    assert answered(Search("nothing"), FILES) == NO_LINE


@given(st.text(), st.dictionaries(st.text(max_size=20), st.text(), max_size=4))
def test_answers_are_bounded_and_printable(text, files):
    files = {**FILES, **files}
    longest = max(map(len, files)) + MAX_COLUMNS + 30
    questions = [Search(text or "x"), *(Read(path) for path in files)]
    for text in (answered(question, files) for question in questions):
        assert len(text) <= max(MAX_LINES, MAX_MATCHES) * longest + longest
        assert all(len(line) <= longest for line in text.split("\n"))
    assert answered(Read("wide.txt"), FILES).isprintable() is False  # its two lines
    assert all(
        c.isprintable() for line in answered(Read("wide.txt"), FILES).split("\n") for c in line
    )
