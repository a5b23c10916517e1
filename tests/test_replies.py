"""What models write around an answer: each reply here holds one right answer, or none."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import source
from sandbox.judge.edits import from_reply
from sandbox.judge.gate import InvalidEdit
from sandbox.tasks.replies import CHANGE, PYTHON, is_python, read, without_thinking
from tests.test_edits import (
    AREA,
    BITS,
    CORE,
    MUCH,
    TOTAL,
    WORDS,
    block,
    broken_of,
    make_task,
    others,
    reply_to,
    result_of,
    tree,
    wide,
)

__all__ = ["tree", "wide"]  # fixtures

RIGHT, WRONG = "def area(r):\n    return 5\n", "def area(r):\n    return 4\n"
MENDED = block("    raise NotImplementedError\n", "    return 5\n")


def fenced(code: str = RIGHT, info: str = "python", fence: str = "```", indent: str = "") -> str:
    lines = f"{fence}{info}\n{code}{fence}\n".split("\n")
    return "\n".join(indent + line if line else "" for line in lines)


def answer_of(reply: str):
    """What `area(1)` is once the reply is in place: 5 is right, 4 a draft or a quotation."""
    return result_of(reply_to(AREA, reply), "area(1)")


# ------------------------------------------------------------------------------------------- fences


@pytest.mark.parametrize("fence", ["```", "`````", "~~~", "~~~~"])
@pytest.mark.parametrize(
    "info",
    [
        "python",
        "Python",
        "PYTHON",
        "py",
        "PY",
        "python3",
        "py3",
        "Python 3",
        "python3.11",
        " python",
        "python  ",
        "ipython",
        'python title="shapes/core.py"',
        'title="shapes/core.py"',
        "filename=core.py",
        "{.python}",
        "{.python .numberLines}",
        "{#a .python}",
        "{python}",
        "python {1-3}",
        "python,ignore",
        "python:shapes/core.py",
        "python shapes/core.py",
        "language-python",
        "shapes/core.py",
        "./shapes/core.py",
        "core.py",
        "shapes/core.py:10-12",
        "# shapes/core.py",
        "",
        "  ",
    ],
)
def test_what_a_fence_may_say(fence, info):
    assert answer_of("Here:\n\n" + fenced(info=info, fence=fence)) == 5


@pytest.mark.parametrize(
    "info",
    [
        "bash",
        "text",
        "diff",
        "json",
        "console",
        "pycon",
        "pytb",
        "python-traceback",
        "python-repl",
        "cython",
        "bash run.py",
        "diff shapes/core.py",
        "text:shapes/core.py",
        "js title=core.py",
        "toml",
        "{.text}",
    ],
)
def test_other_languages_are_no_answer(info):
    assert not is_python(info)
    with pytest.raises(InvalidEdit, match="block of another language"):
        answer_of(fenced(info=info))
    assert answer_of(fenced() + "\nor\n\n" + fenced(WRONG, info)) == 5


@pytest.mark.parametrize(
    "reply",
    [
        fenced(indent="   "),
        fenced(indent="      "),
        fenced(indent="\t"),
        "1. So:\n\n" + fenced(indent="   "),
        "- ```python\n  def area(r):\n      return 5\n  ```\n",
        "1. ```python\n   def area(r):\n       return 5\n   ```\n2. Done.\n",
        "   ```python\ndef area(r):\n    return 5\n   ```\n",
        "```python\n    def area(r):\n        return 5\n    ```\n",
        "```python\n# why\n    def area(r):\n        return 5\n```\n",
        fenced().replace("5\n```", "5\n``````  "),
    ],
)
def test_fences_that_are_indented(reply):
    assert answer_of(reply) == 5


def test_what_an_indented_fence_holds_loses_its_indentation_in_strings_too():
    code = 'def area(r):\n    return """a\n  b\n\n    c   \n   \n"""\n'
    for reply in (fenced(code), "1. So:\n\n" + fenced(code, indent="   ")):
        assert answer_of(reply) == "a\n  b\n\n    c   \n   \n"


@pytest.mark.parametrize(
    "inner, outer",
    [
        ("```python", "```"),
        ("```", "```"),
        ("````", "```"),
        ("~~~", "~~~"),
        ("~~~ text", "~~~"),
        ("```", "~~~"),
        ("~~~", "````"),
    ],
)
@pytest.mark.parametrize("indent", ["", "  ", "    "])
def test_a_docstring_with_a_fence_of_its_own(inner, outer, indent):
    shown = f"{indent}{inner}\n{indent}area(1)\n{indent}{inner.split(' ')[0].rstrip('python')}\n"
    code = f'def area(r):\n    """Be five.\n\n{shown}\n{shown}    """\n    return 5\n'
    for reply in (
        fenced(code, fence=outer),
        fenced(code, fence=outer) + "\nUsage:\n\n" + fenced("area(1)\n"),
    ):
        text = reply_to(AREA, reply)
        assert result_of(text, "area(1)") == 5 and shown in result_of(text, "area.__doc__")


@pytest.mark.parametrize(
    "reply",
    [
        "```\nE   an error\n\nSo:\n\n" + fenced(),
        "```text\nan error\n\n" + fenced(),
        "```python\ndef area(\n\nNo:\n\n" + fenced(),
        "~~~\nnot closed\n\n" + fenced(),
        "~~~\nnot closed\n\n" + fenced() + "~~~\nnor this\n",
        "```markdown\nHere:\n\n" + fenced() + "```\n",
        "````md\nHere:\n\n" + fenced() + "````\n",
        "````\nHere:\n\n" + fenced() + "````\n",
        "```markdown\n" + fenced() + "\n```bash\nls\n```\n```\n",
        "```markdown\n" + MENDED + "```\n",
    ],
)
def test_fences_that_are_never_closed_or_hold_a_document(reply):
    assert answer_of(reply) == 5


@pytest.mark.parametrize(
    "reply",
    [
        "```python\n" + RIGHT,
        "````python\n" + RIGHT + "```\n",
        "~~~python\n" + RIGHT + "```\n",
        MENDED.replace(">>>>>>> REPLACE\n", ""),
        MENDED.replace("=======\n", ""),
    ],
)
def test_what_was_cut_off_is_not_used(reply):
    with pytest.raises(InvalidEdit, match="no complete python block.*a block in it has no end"):
        answer_of(reply)


# ---------------------------------------------------------------------- what else stands in a reply

BESIDE = [
    "```python\narea(1)\n```\n",
    "```python\n>>> area(1)\n5\n```\n",
    "```\n>>> area(1)\n5\n```\n",
    "```\npython -m pytest tests\n```\n",
    "```bash\npytest\n```\n",
    "```python\nfrom shapes.core import area\nprint(area(2))\n```\n",
    "```python\nreturn 4\n```\n",
    "```python\ndef test_area():\n    assert area(1) == 5\n```\n",
    "```python\ndef area(r):\n    return (\n```\n",
    "```python\ndef area(r):\n    ...\n```\n",
    "```python\ndef area(r): pass\n```\n",
    "```python\n    return 4\n```\n",
    '```python\ndef area(r):\n    """Return the area of a circle."""\n'
    '    raise NotImplementedError\n```\n',
    "```\nE   NotImplementedError\ntests/test_core.py:1: in f\n```\n",
    '```json\n{"a": 1}\n```\n',
    "```python\n# only words\n```\n",
    "```python\nx = area(3)\n\nclass T:\n    def area(self):\n        return 4\n```\n",
    "~~~ text\ndef area(r):\n    return 4\n~~~\n",
    "tests/test_core.py\n```python\ndef area(r):\n    return 4\n```\n",
    "```python\n# lib/other.py\ndef area(r):\n    return 4\n```\n",
]


@pytest.mark.parametrize("beside", BESIDE)
def test_quotations_and_usage(beside):
    for answer in (fenced(), MENDED):
        assert answer_of(f"{answer}\nThen:\n\n{beside}") == 5
        assert answer_of(f"{beside}\nSo:\n\n{answer}") == 5
        assert answer_of(f"{beside}\nSo:\n\n{answer}\nAgain:\n\n{beside}") == 5


def test_of_a_mutant_the_code_as_it_was_is_a_quotation():
    broken = {"shapes/core.py": CORE.replace("r ** 2", "r * 2")}
    was = 'def area(r):\n    return math.pi * r * 2\n'
    for reply in (
        "Now:\n\n" + fenced(was) + "\nMended:\n\n" + fenced(),
        fenced() + "\nIt was:\n\n" + fenced(was),
    ):
        assert result_of(from_reply(reply, AREA, broken)["shapes/core.py"], "area(1)") == 5
    alone = from_reply(fenced(was), AREA, broken)["shapes/core.py"]
    assert alone.count("r * 2") == 1, "alone it is an answer, and a wrong one"


@pytest.mark.parametrize(
    "reply, says",
    [
        (
            fenced("def area(r:\n    return 5\n"),
            "does not parse: '\\(' was never closed \\(line 1\\)",
        ),
        (
            fenced("x = (\n") + fenced("def area(r):\n    return 5 +\n") + fenced("y = )\n"),
            "does not parse: invalid syntax \\(line 2\\)",
        ),
        (fenced("def words(text):\n    return 5\n"), "has words, and not area"),
        (fenced("def words(text):\n    return 5\n") + fenced("def area(\n"), "never closed"),
        (fenced("area(1)\n"), "no complete python block"),
        ("", "no complete python block"),
        ("<think>\n" + fenced(), "stands in its thinking alone"),
        (fenced("def area(\n") + block("no such line\n", "x\n"), "occurs 0 times"),
        (
            block("    raise NotImplementedError\n", "x\n", "shapes/other.py")
            + fenced("area(1)\n"),
            "names shapes/other.py",
        ),
    ],
)
def test_why_a_reply_is_of_no_use(reply, says):
    with pytest.raises(InvalidEdit, match=says):
        answer_of(reply)


def test_the_last_one_for_a_place_counts():
    draft = block("    raise NotImplementedError\n", "    return 4\n")
    for first in (
        fenced(WRONG),
        draft,
        block("no such line\n", "x\n"),
        block("    raise NotImplementedError\n", "    return (\n"),
    ):
        for last in (fenced(), MENDED):
            assert answer_of(f"{first}\nNo:\n\n{last}") == 5
    # What is about another place stays.
    text = reply_to(
        AREA,
        block("LIMIT = 10\n", "LIMIT = 11\n")
        + fenced(WRONG)
        + block("    size = 3\n", "    size = 4\n")
        + MENDED,
    )
    assert [result_of(text, e) for e in ("area(1)", "LIMIT", "Box.size")] == [5, 11, 4]
    text = reply_to(AREA, fenced("def words(text):\n    return 6\n\n\n" + WRONG) + MENDED)
    assert [result_of(text, e) for e in ("area(1)", "words('')")] == [5, 6]


def test_what_another_block_defines_and_the_function_needs():
    helper = fenced(
        "import re\n\n\nFIVE = '5'\n\n\ndef five():\n"
        "    return int(re.findall(FIVE, '5')[0])\n\n\ndef unused():\n    pass\n"
    )
    for reply in (
        helper + fenced("def area(r):\n    return five()\n"),
        fenced("def area(r):\n    return five()\n") + helper,
    ):
        text = reply_to(AREA, reply)
        assert result_of(text, "area(1)") == 5
        assert "unused" not in text and text.count("import re") == 1
    # A name of the function's own, of the file or of Python is none that is needed.
    text = reply_to(
        AREA,
        fenced("def area(r):\n    words = max(LIMIT, r)\n    return words - 5\n")
        + fenced("LIMIT = 1\nmax = min\nwords = 2\n"),
    )
    assert result_of(text, "area(1)") == 5 and "max = min" not in text


def test_a_file_that_does_not_parse_is_mended_by_search_and_replace(wide):
    _, task = wide
    broken = {
        "shapes/core.py": "def area(r):\n    return (\n",
        "shapes/other.py": "def twice(r):\n    return 2\n",
    }
    edit = from_reply(
        block("    return (\n", "    return 5\n") + fenced("def twice(r):\n    return 3\n"),
        task,
        broken,
    )
    assert [
        result_of(edit[path], call)
        for path, call in (("shapes/core.py", "area(1)"), ("shapes/other.py", "twice(1)"))
    ] == [5, 3]
    with pytest.raises(InvalidEdit, match="has area, and not a function of these files"):
        from_reply(fenced(), task, broken)


def test_a_block_goes_to_the_file_that_is_named(wide):  # noqa: F811
    folder, task = wide
    broken = task.broken(folder)
    code = "def words(x):\n    return 4\n"
    assert from_reply(fenced(code), task, broken).keys() == {"shapes/core.py"}
    for reply in (
        fenced(code, "python:shapes/other.py"),
        fenced(code, "other.py"),
        "### `shapes/other.py`\n\n" + fenced(code),
        "In `other.py`:\n" + fenced(code),
        fenced("# shapes/other.py\n" + code),
    ):
        assert from_reply(reply, task, broken).keys() == {"shapes/other.py"}
    assert from_reply("lib/words.py\n" + fenced(code), task, broken).keys() == {"shapes/core.py"}, (
        "there is no other answer"
    )


def test_replies_of_other_encodings_and_line_ends():
    for reply in (fenced(), MENDED, "<think>\nx\n</think>\n" + fenced()):
        assert answer_of(reply.replace("\n", "\r\n")) == answer_of("\ufeff" + reply) == 5
    # A coding line of a block says nothing: the reply has come as text.
    assert (
        answer_of(
            fenced(
                "# -*- coding: latin-1 -*-\n# \u2192\ndef area(r):\n    return len('\u4e2d' * 5)\n"
            )
        )
        == 5
    )


# ----------------------------------------------------------------------------------- SEARCH/REPLACE


@pytest.mark.parametrize("size", range(5, 10))
@pytest.mark.parametrize("blanks", ["", " ", "\t "])
def test_marks(size, blanks):
    marks = [
        f"{mark}{blanks}\n"
        for mark in ("<" * size + " SEARCH", "=" * size, ">" * size + " REPLACE")
    ]
    said = (
        f"shapes/core.py\n{marks[0]}    raise NotImplementedError\n{marks[1]}    return 5\n"
        f"{marks[2]}"
    )
    for reply in (
        said,
        f"```python\n{said}```\n",
        f"```diff\n{said}```\n",
        "".join(f"   {line}\n" for line in f"```\n{said}```".split("\n")),
    ):
        assert answer_of(reply) == 5


def test_marks_of_several_lengths():
    said = (
        "shapes/core.py\n<<<<<<< SEARCH\n    raise NotImplementedError\n=====\n    return 5\n"
        ">>>>>> REPLACE\n"
    )
    assert (
        answer_of(said)
        == answer_of(
            block("LIMIT = 10\n", "LIMIT = 1\n") + said + block("    size = 3\n", "    size = 4\n")
        )
        == 5
    )


@pytest.mark.parametrize(
    "above",
    [
        "`shapes/core.py`:\n",
        "File: shapes/core.py\n",
        "**File: `shapes/core.py`**\n",
        "### shapes/core.py\n\n",
        "# shapes/core.py\n",
        "core.py\n",
        "In `shapes/core.py`:\n",
        "./shapes/core.py\n",
        "shapes\\core.py\n",
        "```python shapes/core.py\n",
        "```python:shapes/core.py\n",
        "```shapes/core.py\n",
        "shapes/core.py\n\n```\n",
        "Change it so:\n",
        "- `shapes/core.py`\n",
        "<file>shapes/core.py</file>\n",
        "[shapes/core.py]\n",
    ],
)
def test_ways_to_name_the_file(above, wide):  # noqa: F811
    said = MENDED.partition("\n")[2]
    assert answer_of(above + said + ("```\n" if "```" in above else "")) == 5
    folder, task = wide
    change = block("    return 3 * area(r)\n", "    return 5\n").partition("\n")[2] + (
        "```\n" if "```" in above else ""
    )
    edit = from_reply(above.replace("core.py", "other.py") + change, task, task.broken(folder))
    assert edit.keys() == {"shapes/other.py"}


HEADED = (
    'def f():\n    """Be.\n\nHead\n======\n    Head\n    =======\n    """\n'
    '    return 1\n\n\ndef g():\n    return 1\n'
)


@pytest.mark.parametrize("heading", ["=====", "======", "=======", "========="])
def test_a_heading_is_no_divider(heading):
    text = HEADED.replace("\n======\n", f"\n{heading}\n")
    task = make_task(text, "f")
    search = f"Head\n{heading}\n    Head\n    =======\n    \"\"\"\n    raise NotImplementedError\n"
    new = from_reply(
        block(search, search.replace("raise NotImplementedError", "return 5")),
        task,
        broken_of(task, text),
    )[task.file]
    assert new == text.replace("return 1", "return 5", 1)


@pytest.mark.parametrize(
    "text, search",
    [
        ("def f():\n    pass\n    x = 1\n    return x", "    return x\n"),
        ("a = 1\r\nb = 2\nc = 3\r\n", "b = 2\n"),
        ("a\nb\na\nb\na\n", "b\na\nb\n"),
        ("x = 1\nif x:\n    x = 1\n", "x = 1\n"),
        ("a = 1\r\n\r\nb = 2", "b = 2\n"),
    ],
)
def test_whole_lines_are_searched_for(text, search):
    """In a file without an end of its last line, with several kinds of them, and where the same
    stands within other lines."""
    task = make_task("def f():\n    return 1\n", "f")
    new = from_reply(block(search, "y\n"), task, {task.file: text})[task.file]
    at = text.replace("\r", "").index(search.rstrip("\n"))
    lines, first = text.split("\n"), text.replace("\r", "").count("\n", 0, at)
    end = "\r" if lines[first].endswith("\r") else ""
    assert new == "\n".join([*lines[:first], "y" + end, *lines[first + search.count("\n") :]])


# ----------------------------------------------------------------------------------------- thinking

TAGS = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<THINK>", "</THINK>"),
    ("[THINK]", "[/THINK]"),
    ("<thought>", "</thought>"),
]
DRAFTS = [
    "hm\n",
    fenced(WRONG),
    "```python\ndef area(r:\n",
    "```python\n" + WRONG,
    "a `</think>` b\n",
    "x.split('</think>')\n",
    "re.sub(r'<think>.*?</think>\\s*', '', x)\n",
    "<think>\nmore\n</think>\n",
    "shapes/core.py\n<<<<<<< SEARCH\n    raise NotImplementedError\n",
    block("    raise NotImplementedError\n", "    return 4\n"),
    "```\n",
    "~~~ text\n",
    "'''\n",
    "",
]


@pytest.mark.parametrize("opens, closes", TAGS)
@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("between", ["\n\n", "\n", ""])
def test_thinking_is_no_answer(opens, closes, draft, between):
    for answer in (fenced(), MENDED):
        for thought in (
            f"{opens}\n{draft}{closes}",
            f"{opens}{draft}so.{closes}",
            f"{draft}{closes}",
            f"\n{opens}\n{draft}\n  {closes}  ",
        ):
            assert answer_of(thought + between + answer) == 5
            _, rest = without_thinking(thought + between + answer)
            assert rest.strip("\n ") == answer.strip("\n "), "too little is cut, or too much"


def test_thinking_behind_or_within_an_answer():
    again = f"<think>\nLooking again.\n{fenced(WRONG)}"
    assert answer_of(fenced() + again + "</think>\nDone.\n") == answer_of(fenced() + again) == 5
    assert answer_of("Sure.\n" + again + "</think>\n" + fenced()) == 5
    assert without_thinking("Sure.\n<think>\na\n</think>\nSo.\n<think>b</think>\n") == (
        "a\nb",
        "Sure.\nSo.\n",
    )
    assert without_thinking("It was\na\n</think>\n\nSo.") == ("It was\na", "So.")
    assert without_thinking("<think>\n\n</think>\n\nSo.") == ("", "So.")
    assert without_thinking("<think>a") == ("a", "")


@pytest.mark.parametrize(
    "mention",
    [
        "x.split('</think>')",
        'up to "</think>"',
        "the tag `</think>`",
        "re.sub('</think>\\s*', '', x)",
        "re.sub(r'<think>.*</think>', '', x)",
    ],
)
def test_thinking_about_tags_is_not_ended_by_them(mention):
    with pytest.raises(InvalidEdit, match="thinking alone"):
        answer_of(f"<think>\nSo {mention}:\n\n{fenced(WRONG)}")


NO_THINKING = [
    'def area(r):\n    s = "<think>x</think>"\n    s.split("</think>")\n    return 5\n',
    'def area(r):\n    s = """\n<think>\n</think>\n"""\n    return 5\n',
    'def area(r):\n    s = """\n</think>\n```python\nx = 1\n```\n"""\n    return 5\n',
    'def area(r):\n    """Read up to\n    </think>\n    """\n    return 5\n',
]


@pytest.mark.parametrize("code", NO_THINKING)
def test_tags_in_code_and_prose_are_no_thinking(code):
    said = "It drops what stands between `<think>` and `</think>`, and \"</think>\" too.\n\n"
    for reply in (
        said + fenced(code),
        fenced(code, fence="````") + said,
        fenced(code) + "\nUsage:\n\n" + fenced("area(1)\n"),
    ):
        assert answer_of(reply) == 5 and without_thinking(reply) == ("", reply)
    body = code.partition("\n")[2]
    assert without_thinking(MENDED.replace("    return 5\n", body))[0] == ""
    assert result_of(reply_to(AREA, body, "body"), "area(1)") == 5


# -------------------------------------------------------------------------------------- bare bodies


@pytest.mark.parametrize(
    "reply",
    [
        "<think>\nx\n</think>\n    return 8",
        "x\n</think>\n    return 8\n",
        "```python\n    return 8\n```",
        "Here:\n\n```\nreturn 8\n```\nbye",
        "```python\n    return 8\r\n```",
        "def total(self, start=0):\n    return 8",
        "    def total(self, start=0):\n        return 8",
        "class Box:\n    def total(self, start=0):\n        return 8",
        "```python\nclass Box:\n    def total(self, start=0):\n        return 8\n```",
        "import re\n\n\ndef total(self, start=0):\n    return len(re.escape('abcdefgh'))\n",
        "<think>\n    return 9\n</think>\n```python\nreturn 8\n```",
        "# why\n    return 8\n",
        "    def total(self):\n        return 8\n    return total(self)",
    ],
)
def test_more_than_a_body(reply):
    text = reply_to(TOTAL, reply, "body")
    assert result_of(text, "Box([1]).total()") == 8
    assert others(text, "Box.total").items() >= others(CORE, "Box.total").items()


@pytest.mark.parametrize(
    "reply",
    [
        "```python\nreturn 8\n```\n```python\nreturn 9\n```",
        "<think>\n    return 8",
        "```python\nreturn 8",
        "```text\nreturn 8\n```",
        "def words(text):\n    return 8",
        "Return it:\n    return 8\n",
    ],
)
def test_what_is_no_body_or_not_surely_one(reply):
    try:
        text = reply_to(TOTAL, reply, "body")
    except InvalidEdit as error:
        assert str(error)
        return
    assert result_of(text, "Box([1]).total()") is None


# ------------------------------------------------------------------------------ whatever is written

MORE = st.one_of(
    BITS,
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<think>\n",
            "</think>\n",
            "~~~\n",
            "````python\n",
            "```text\n",
            "  ```\n",
            "<<<<< SEARCH\n",
            ">>>>> REPLACE \n",
            "=====\n",
            ">>> area(1)\n",
            "- ```py\n",
            "a.py\n",
            "```markdown\n",
        ]
    ),
)


@MUCH
@given(st.one_of(st.text(max_size=80), st.lists(MORE, max_size=16).map("".join)))
def test_the_parts_are_the_reply(reply):
    parts = read(reply)
    assert "".join(part.text for part in parts) == reply
    for part in parts:
        if part.kind == PYTHON:
            source.parse(part.code)
        assert (part.kind == CHANGE) == bool(part.changes)
    thought, answer = without_thinking(reply)
    assert thought or answer == reply or not thought.strip()


@MUCH
@given(
    st.lists(MORE, max_size=10).map("".join),
    st.sampled_from([AREA, TOTAL, WORDS]),
    st.sampled_from(["blocks", "body"]),
)
def test_whatever_stands_above_an_answer(scribble, task, style):
    try:
        edit = from_reply(scribble, task, broken_of(task), style)
    except InvalidEdit:
        return
    assert set(edit) == {task.file} and isinstance(edit[task.file], str)


LONG = {
    "openings": "```python\nx(\n" * 10_000 + "```\n",
    "in one": "```python\n" + "x = [1]\n" * 20_000 + "(\n```\n",
    "strings": "```python\n'''\n" * 10_000,
    "closed strings": "```python\nx = '''\n```\n'''\n" * 10_000,
    "one string": "```python\n" + "'" * 200_000 + "\n```\n",
    "ends": "</think>\n" * 20_000,
    "begins": "<think>\n" * 20_000,
    "drafts": "```python\nx(\n</think>\n" * 10_000,
    "lengths": "".join("`" * (3 + i % 600) + "py\n" for i in range(1200)),
    "documents": "```markdown\n```python\nx(\n```\n```\n" * 2500,
    "languages": "```text\n```python\n" * 10_000,
    "indented": "```python\n    x = 1\n    y\n```\n" * 5_000,
    "dividers": "<<<<<<< SEARCH\n" + "=======\n" * 20_000 + ">>>>>>> REPLACE\n",
    "changes": "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n" * 5_000,
    "again": "".join(
        block(f"LIMIT = {i}\n", f"LIMIT = {i + 1}\n") + block("LIMIT = 10\n", "LIMIT = 11\n")
        for i in range(10, 2000)
    ),
    "paths": "a.py/" * 40_000 + "\n```python\nx(\n```\n",
    "tildes": "~~~\n```\n" * 10_000,
    "blanks": " " * 200_000 + "```\n",
    "helpers": "```python\n"
    + "".join(f"def f{i}():\n    return f{i + 1}()\n" for i in range(1500))
    + "```\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("style", ["blocks", "body"])
@pytest.mark.parametrize("name", LONG)
def test_the_longest_reply_is_read_in_no_time(name, style):
    reply, began = LONG[name], time.process_time()
    try:
        reply_to(AREA, reply + fenced("def area(r):\n    return f0()\n"), style)
    except InvalidEdit:
        pass
    assert time.process_time() - began < 3
    began = time.process_time()
    assert "".join(part.text for part in read(reply)) == reply
    assert time.process_time() - began < 2


def test_the_function_as_it_is_gives_the_file_as_it_is():
    for task in (AREA, TOTAL, WORDS):
        code = source.reindent(source.source_of(CORE, source.find(CORE, task.function)), "")
        assert reply_to(task, "So:\n\n" + fenced(code + "\n")) == CORE
