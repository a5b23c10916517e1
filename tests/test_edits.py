"""What is read from a reply, and what the gate lets through."""

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import patches, source
from sandbox.errors import UsageError
from sandbox.judge.edits import from_overlay, from_patch, from_reply
from sandbox.judge.gate import InvalidEdit, gate, is_test_path, splice
from sandbox.tasks.task import Task
from tests.conftest import ROOT

CORE = '''"""Shapes and words."""
import math
from typing import List


LIMIT = 10


def area(r):
    """Return the area of a circle."""
    return math.pi * r ** 2


class Box:
    """A box of things."""

    size = 3

    def __init__(self, things: List[int]):
        self.things = things

    def total(self, start=0):
        """Return the sum of the things."""
        return sum(self.things, start)

    @property
    def first(self):
        return self.things[0]


def words(text):
    """Return the words."""
    return text.split()
'''
FILES = {
    "shapes/__init__.py": "",
    "shapes/core.py": CORE,
    "shapes/other.py": "x = 1\n",
    "tests/test_core.py": "def test():\n    pass\n",
    "conftest.py": "",
    "shapes/conftest.py": "",
    "shapes/test_inside.py": "",
    "shapes/inside_test.py": "",
    "setup.py": "",
    "notes.txt": "n\n",
    "setup.cfg": "[tool:pytest]\n",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    os.symlink("core.py", folder / "shapes/link.py")
    os.symlink("shapes", folder / "linked")
    (folder / "shapes/folder.py").mkdir()
    return folder


def make_task(text: str, function: str, file: str = "shapes/core.py") -> Task:
    """The function's body taken out of `text`."""
    broken = source.blanked(text, source.find(text, function))
    return Task(
        instance_id="t",
        kind="blank",
        split="train",
        repo="r",
        base_commit="c",
        file=file,
        function=function,
        patch=patches.make(broken, text, file),
        FAIL_TO_PASS=("tests/test_core.py::test",),
        PASS_TO_PASS=(),
        shown=(),
        problem_statement="",
        test_seconds=0.1,
    )


AREA, TOTAL, WORDS = (make_task(CORE, name) for name in ("area", "Box.total", "words"))


def broken_of(task: Task, text: str = CORE) -> dict[str, str]:
    return patches.apply({task.file: text}, task.patch, reverse=True)


def reply_to(task: Task, reply: str, style: str = "blocks") -> str:
    """The task's file after the reply."""
    edit = from_reply(reply, task, broken_of(task), style)
    assert set(edit) == {task.file}
    return edit[task.file]


def fenced(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}\n```\n"


def result_of(text: str, expression: str):
    namespace = {}
    exec(compile(text, "core.py", "exec"), namespace)
    return eval(expression, namespace)


def others(text: str, but: str) -> dict[str, str]:
    """{qualified name: source} of all functions but one."""
    return {
        f.qualname: source.source_of(text, f) for f in source.functions(text) if f.qualname != but
    }


# ------------------------------------------------------------------------- replies: whole functions


def test_a_whole_function_takes_the_place_of_its_namesake():
    text = reply_to(
        AREA, "The area is pi r squared.\n\n" + fenced("def area(r):\n    return math.pi * r * r")
    )
    assert text == CORE.replace(
        '    """Return the area of a circle."""\n    return math.pi * r ** 2',
        "    return math.pi * r * r",
    )


def test_the_last_complete_block_counts():
    text = reply_to(
        AREA,
        fenced("def area(r):\n    return 1")
        + "No, wrong.\n"
        + fenced("def area(r):\n    return 2")
        + "Or perhaps\n```python\ndef area(r):\n    return 3\n",
    )
    assert result_of(text, "area(1)") == 2


def test_a_block_that_was_cut_off_is_not_used():
    with pytest.raises(InvalidEdit, match="no complete python block"):
        reply_to(AREA, "```python\ndef area(r):\n    return math.pi * r * r\n")


@pytest.mark.parametrize("language", ["python", "py", ""])
def test_the_ways_to_open_a_block(language):
    assert result_of(reply_to(AREA, fenced("def area(r):\n    return 5", language)), "area(1)") == 5


def test_a_block_of_another_language_is_not_used():
    with pytest.raises(InvalidEdit):
        reply_to(AREA, fenced("def area(r):\n    return 5", "text"))


@pytest.mark.parametrize(
    "code",
    [
        "class Box:\n    def total(self, start=0):\n        return 7",
        "def total(self, start=0):\n    return 7",
        "    def total(self, start=0):\n        return 7",
    ],
)
def test_a_method_inside_its_class_or_without_it(code):
    text = reply_to(TOTAL, fenced(code))
    assert result_of(text, "Box([1]).total()") == 7 and result_of(text, "Box([1]).first") == 1
    assert others(text, "Box.total") == others(CORE, "Box.total")


def test_new_imports_and_helpers_are_added():
    code = (
        "import re\nPATTERN = re.compile('o')\ndef words(text):\n    return [twice(w) for w in "
        "PATTERN.split(text)]\n\n\ndef twice(w):\n    return w * 2"
    )
    text = reply_to(WORDS, fenced(code))
    assert result_of(text, "words('aob')") == ["aa", "bb"]
    assert others(text, "words").items() >= others(CORE, "words").items()
    assert text.startswith('"""Shapes and words."""')


def test_one_import_statement_with_a_name_that_is_new():
    text = reply_to(
        WORDS,
        fenced(
            "from typing import List, Optional\n\ndef words(text: Optional[str]) -> List[str]:\n   "
            " return []"
        ),
    )
    assert "from typing import Optional\n" in text and text.count("import List") == 1
    assert result_of(text, "words(None)") == []


def test_what_is_there_already_is_not_defined_again():
    text = reply_to(
        WORDS, fenced("import math\nLIMIT = 99\n\n\ndef words(text):\n    return LIMIT\n")
    )
    assert text.count("import math") == 1 and result_of(text, "words('')") == 10


def test_a_function_that_uses_a_function_inside():
    text = reply_to(
        WORDS,
        fenced("def words(text):\n    def inner(t):\n        return [t]\n    return inner(text)"),
    )
    assert result_of(text, "words('a b')") == ["a b"]


def test_an_import_after_a_coding_line_leaves_it_where_it_counts():
    text = source.decode(
        "# coding: latin-1\ndef f():\n    '''Return é.'''\n    return 'é'\n\n\ndef g():\n    "
        "return 'é'\n".encode("latin-1")
    )
    task = make_task(text, "f")
    new = from_reply(
        fenced("import re\n\ndef f():\n    return re.escape('a')"), task, broken_of(task, text)
    )[task.file]
    namespace = {}
    exec(compile(source.to_bytes(new), "m.py", "exec"), namespace)
    assert namespace["f"]() == "a" and namespace["g"]() == "é"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I do not know.",
        "```python\n```\n",
        fenced("def other():\n    pass"),
        fenced("x = 1"),
        fenced("def area(r:\n    return 1"),
        fenced("def area(r):\nreturn 1"),
        "def area(r):\n    return 1\n",
        fenced("def area(r):\n    return '\0'"),
        "```",
        "``````",
    ],
)
def test_no_usable_edit(reply):
    with pytest.raises(InvalidEdit) as error:
        reply_to(AREA, reply)
    assert str(error.value)


# -------------------------------------------------------------------------- replies: SEARCH/REPLACE


def block(search: str, replace: str, path: str = "shapes/core.py") -> str:
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


def test_search_and_replace():
    text = reply_to(
        WORDS,
        "Mended:\n\n" + block("    raise NotImplementedError\n", "    return text.split(',')\n"),
    )
    assert text == CORE.replace("return text.split()", "return text.split(',')")


@pytest.mark.parametrize(
    "above",
    [
        "shapes/core.py\n",
        "`shapes/core.py`\n",
        "**shapes/core.py**\n",
        "shapes/core.py\n```python\n",
        "",
        "```\n",
    ],
)
def test_the_path_above_the_block(above):
    reply = (
        above
        + block("    raise NotImplementedError\n", "    return 1\n").partition("\n")[2]
        + ("```\n" if "```" in above else "")
    )
    assert result_of(reply_to(WORDS, reply), "words('')") == 1


@pytest.mark.parametrize(
    "search", ["    return nothing_like_this\n", "import\n", "    def \n", "\n", ""]
)
def test_the_search_text_must_occur_once(search):
    with pytest.raises(InvalidEdit, match="occurs 0 times"):
        reply_to(WORDS, block(search, "    return 1\n"))


def test_a_search_text_that_occurs_twice():
    text = "def f():\n    return 1\n\n\ndef g():\n    return 1\n\n\ndef h():\n    return 2\n"
    task = make_task(text, "h")
    with pytest.raises(InvalidEdit, match="occurs 2 times"):
        from_reply(block("    return 1\n", "    return 3\n"), task, broken_of(task, text))


@pytest.mark.parametrize(
    "path", ["shapes/other.py", "tests/test_core.py", "/etc/passwd.py", "../core.py"]
)
def test_a_block_for_another_file(path):
    with pytest.raises(InvalidEdit):
        reply_to(WORDS, block("    raise NotImplementedError\n", "    return 1\n", path))


def test_a_search_block_that_was_cut_off():
    with pytest.raises(InvalidEdit):
        reply_to(
            WORDS,
            block("    raise NotImplementedError\n", "    return 1\n").replace(
                ">>>>>>> REPLACE\n", ""
            ),
        )


def test_a_search_block_and_then_a_function():
    """The place that is named by both gets what comes from the function: both were written, and the
    file still holds one."""
    text = reply_to(
        WORDS, block("LIMIT = 10\n", "LIMIT = 11\n") + fenced("def words(text):\n    return LIMIT")
    )
    assert result_of(text, "words('')") == 11


# --------------------------------------------------------------------------- replies: the bare body


@pytest.mark.parametrize(
    "reply",
    [
        "    return 8",
        "    return 8\n",
        "return 8\n",
        "  return 8\n",
        "\n    return 8\n\n\n",
        "    x = 8\n    return x\n",
        "    # why\n    return 8",
        "return 8\r\n",
    ],
)
def test_a_bare_body_at_any_indentation(reply):
    text = reply_to(TOTAL, reply, "body")
    assert result_of(text, "Box([1]).total()") == 8
    assert ast.get_docstring(source.find(text, "Box.total").node) == "Return the sum of the things."
    assert others(text, "Box.total") == others(CORE, "Box.total")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "  \n\n",
        "return (",
        "    return 1\n\nx = 2\n",
        "    return 1\n\ndef other():\n    pass\n",
        "'''",
        "    return 1\n   return 2\n",
        "# nothing\n",
    ],
)
def test_no_body(reply):
    with pytest.raises(InvalidEdit) as error:
        reply_to(WORDS, reply, "body")
    assert str(error.value)


# ------------------------------------------------------------------ replies: nothing else is raised

BITS = st.sampled_from(
    [
        "```python\n",
        "```\n",
        "```",
        "\n",
        "\r",
        "\r\n",
        "\t",
        "\x0c",
        "\0",
        "\\\n",
        " ",
        "    ",
        "é",
        "\udc80",
        "\ud800",
        "'''",
        '"""',
        "'",
        "#",
        "def area(r):\n",
        "    return 1\n",
        "return 1",
        "class Box:\n",
        "    def total(self, start=0):\n",
        "        return 2\n",
        "@property\n",
        "lambda: 0",
        "import re\n",
        "from typing import List, Optional\n",
        "from __future__ import annotations\n",
        "from x import *\n",
        "async ",
        "if 1:\n",
        "x = (\n",
        ")",
        "shapes/core.py\n",
        "<<<<<<< SEARCH\n",
        "=======\n",
        ">>>>>>> REPLACE\n",
        "    raise NotImplementedError\n",
        "LIMIT = 10\n",
        "x: int = 1\n",
        "f'{r}'",
        "def words(text):\n",
        "pass\n",
        "global LIMIT\n",
        "# coding: utf-16\n",
        "; ",
        "else:\n",
    ]
)
SCRIBBLE = st.one_of(
    st.text(max_size=60),
    st.lists(BITS, max_size=14).map("".join),
    st.lists(BITS, max_size=10).map(
        lambda bits: "```python\ndef area(r):\n" + "".join(bits) + "\n```\n"
    ),
)
MUCH = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MUCH
@given(SCRIBBLE, st.sampled_from(["blocks", "body"]), st.sampled_from([AREA, TOTAL, WORDS]))
def test_whatever_a_model_writes_is_an_edit_or_invalid(reply, style, task):
    try:
        edit = from_reply(reply, task, broken_of(task), style)
    except InvalidEdit:
        return
    assert set(edit) == {task.file} and isinstance(edit[task.file], str)


@pytest.mark.parametrize("style", ["blocks", "body"])
@pytest.mark.parametrize(
    "expression",
    [
        "1" + " + 1" * 1500,
        "(" * 150 + ")" * 150,
        "x" + ".a" * 1500,
        "-" * 1500 + "1",
        "[" * 5000,
        "not " * 3000 + "1",
    ],
)
def test_deep_nesting_is_an_edit_or_invalid(style, expression):
    body = f"    return {expression}\n"
    reply = body if style == "body" else fenced("def area(r):\n" + body)
    try:
        edit = from_reply(reply, AREA, broken_of(AREA), style)
    except InvalidEdit:
        return
    assert expression in edit[AREA.file]


@pytest.mark.parametrize(
    "reply",
    [
        "return 1\rx = 2",
        "x = 'a\rb'\nreturn x",
        "return 1\r",
        "# a\rreturn 1",
        "x = 1" + "\r" * 40 + "return 2",
    ],
)
def test_a_bare_carriage_return_is_an_edit_or_invalid(tree, reply):
    """Python ends a line at one, so it moves the numbers of all lines below it."""
    for style, text in (
        ("body", reply),
        ("blocks", fenced("def area(r):\n    " + reply.replace("\n", "\n    "))),
    ):
        try:
            new = gate(from_reply(text, AREA, broken_of(AREA), style), AREA, tree)[AREA.file]
        except InvalidEdit:
            continue
        after = [ast.unparse(node) for node in ast.parse(new).body]
        assert set(after) >= {
            ast.unparse(node)
            for node in ast.parse(CORE).body
            if getattr(node, "name", "") != "area"
        }


def test_python_does_not_warn_a_person_of_what_a_model_wrote():
    code = (
        "from sandbox.source import functions\nfunctions('def area(r):\\n    return "
        "\\'\\\\d\\' "
        "if r is 1 else 1if r else 2')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------------------------- the gate: paths

ODD = [
    "/etc/passwd.py",
    "/shapes/core.py",
    "../shapes/core.py",
    "shapes/../shapes/core.py",
    "shapes//core.py",
    "./shapes/core.py",
    "shapes/core.py/",
    "shapes\\core.py",
    "shapes/co re.py",
    "shapes/core.py\n",
    "shapes/\x1bcore.py",
    "",
    ".",
    "-shapes/core.py\0",
    "shapes/cöre.py",
    "~/core.py",
]
NOT_TO_EDIT = [
    "tests/test_core.py",
    "conftest.py",
    "shapes/conftest.py",
    "shapes/test_inside.py",
    "shapes/inside_test.py",
    "setup.py",
    "sitecustomize.py",
    "usercustomize.py",
    "notes.txt",
    "setup.cfg",
    "pytest.ini",
    "pyproject.toml",
    "shapes/core.pyc",
    "evil.pth",
    "shapes/core",
    "shapes/new.py",
    "math.py",
    "shapes",
    "shapes/folder.py",
    "shapes/link.py",
    "linked/core.py",
    "shapes/other.py",
    "shapes/__init__.py",
]


@pytest.mark.parametrize("path", ODD + NOT_TO_EDIT)
def test_paths_that_may_not_be_edited(tree, path):
    with pytest.raises(InvalidEdit) as error:
        gate({"shapes/core.py": CORE, path: "x = 1\n"}, AREA, tree)
    assert str(error.value)
    with pytest.raises(InvalidEdit):
        gate({path: CORE}, AREA, tree)


def test_an_empty_edit(tree):
    with pytest.raises(InvalidEdit):
        gate({}, AREA, tree)


@pytest.mark.parametrize(
    "path, is_test",
    [
        ("tests/helper.py", True),
        ("a/test/b.py", True),
        ("a/testing/b.py", True),
        ("a/b_test.py", True),
        ("a/tests.py", True),
        ("a/conftest.py", True),
        ("a/test_b.py", True),
        ("a/latest.py", False),
        ("a/attest.py", False),
        ("contest.py", False),
        ("tester/a.py", False),
    ],
)
def test_what_belongs_to_the_tests(path, is_test):
    assert is_test_path(path) is is_test


# -------------------------------------------------------------------------------- the gate: content


def through(tree, text: str, task: Task = AREA) -> str:
    return gate({task.file: text}, task, tree)[task.file]


def test_the_gold_edit_gives_the_intact_file(tree):
    for task in (AREA, TOTAL, WORDS):
        assert gate({task.file: CORE}, task, tree) == {task.file: CORE}


def test_only_the_function_is_taken(tree):
    changed = (
        CORE.replace("r ** 2", "r * r")
        .replace("text.split()", "'changed'")
        .replace("LIMIT = 10", "LIMIT = 99")
        .replace("size = 3", "size = 4")
        .replace("sum(self.things, start)", "0")
        .replace("import math", "import cmath as math")
    )
    assert through(tree, changed) == CORE.replace("r ** 2", "r * r")
    assert through(
        tree, "import math\n\n\ndef area(r):\n    return math.pi * r * r\n"
    ) == CORE.replace(
        '    """Return the area of a circle."""\n    return math.pi * r ** 2',
        "    return math.pi * r * r",
    )


def test_new_helpers_and_imports_pass(tree):
    text = through(
        tree,
        CORE.replace(
            "import math\n",
            "import math\nimport re\n\nPI = 3\n\n\ndef square(x):\n    return x * x\n",
        ).replace("math.pi * r ** 2", "PI * square(r)"),
    )
    assert result_of(text, "area(2)") == 12 and "import re\n" in text
    assert others(text, "area").items() >= others(CORE, "area").items()


def test_calls_of_the_module_are_not_made_twice(tree):
    calls = "math.sqrt(4)\nmath.floor(\n    1.5)\n"
    core = CORE.replace("LIMIT = 10\n", "LIMIT = 10\n" + calls)
    edit = (
        core.replace("r ** 2", "square(r)")
        .replace("size = 3", "size = 4")
        .replace(
            "LIMIT = 10\n", "LIMIT = 10\n\ndef square(x):\n    return x * x\n\nmath.ceil(1.5)\n"
        )
    )
    text = splice(edit, AREA, core)
    assert calls in text and [
        text.count(f"math.{name}(") for name in ("sqrt", "floor", "ceil")
    ] == [1, 1, 1]
    assert result_of(text, "area(2)") == 12.566370614359172


@pytest.mark.parametrize(
    "text, says",
    [
        ("def area(r:\n", "does not parse"),
        ("def other():\n    pass\n", "no longer has the function area"),
        ("x = '\0'\n", "does not parse"),
        ("", "no longer has"),
        ("class area:\n    pass\n", "no longer has"),
        (CORE + "# " + "x" * (1 << 20), "larger than"),
    ],
)
def test_text_that_is_refused(tree, text, says):
    with pytest.raises(InvalidEdit, match=says):
        through(tree, text)


def test_deep_nesting_is_no_way_out_of_the_gate(tree):
    try:
        through(tree, CORE.replace("math.pi * r ** 2", "1" + " + 1" * 1500))
    except InvalidEdit:
        pass


SOURCES = st.lists(
    st.sampled_from(
        [
            "import re\n",
            "from typing import List, Optional\n",
            "from os import *\n",
            "LIMIT = 1\n",
            "NEW = [\n1]\n",
            "x: int = 2\n",
            "a = b = 3\n",
            "def area(r):\n    return 1\n",
            "def area(r):\n\treturn 1\n",
            "@print\ndef area(r): return 1; x = 2\n",
            "async def area(r):\n  '''d\n  e'''\n  return 1\n",
            "def words(text):\n    return 'changed'\n",
            "def new(x):\n    return x\n",
            "class Box:\n    def total(self): return 'changed'\n    class area: pass\n",
            "class New:\n  def area(self):\n    pass\n",
            "if True:\n   def area(r):\n      return '''\n a\n'''\n",
            "try:\n    import re\nexcept ImportError:\n    re = None\n",
            "'''text'''\n",
            "import math; y = '''\n'''\n",
            "\x0c\n",
            "\\\n",
            "# coding: utf-8\n",
            "del words\n",
            "words = None\n",
            "LIMIT += 1\n",
            "for area in []: pass\n",
            "def area(\n  r,\n):\n  # c\n  return (\n1)\n",
            "area = lambda r: 0\n",
            "from __future__ import annotations\n",
        ]
    ),
    max_size=8,
).map("".join)


@MUCH
@given(SOURCES)
def test_what_passes_the_gate_parses_and_leaves_every_other_function_alone(tree, text):
    try:
        new = through(tree, text)
    except InvalidEdit:
        return
    assert ast.parse(new)
    assert source.find(new, "area") is not None
    after = others(new, "area")
    assert {name: after.get(name) for name in others(CORE, "area")} == others(CORE, "area")
    names = [f.qualname for f in source.functions(new)]
    assert all(names.count(name) == 1 for name in others(CORE, "area"))


def test_other_line_ends_are_kept(tree, tmp_path):
    text = CORE.replace("\n", "\r\n")
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes/core.py").write_bytes(text.encode())
    task = make_task(text, "area")
    assert through(tmp_path, text, task) == text
    new = through(tmp_path, "import re\nimport math\n\n\ndef area(r):\n    return 1\n", task)
    assert new.count("\n") == new.count("\r\n") and result_of(new, "area(1)") == 1


def reading_seconds(reply: str) -> float:
    """Of the processor, until the reply was refused."""
    began = time.process_time()
    with pytest.raises(InvalidEdit):
        reply_to(AREA, reply)
    return time.process_time() - began


@pytest.mark.parametrize(
    "reply",
    [
        lambda n: "<<<<<<< SEARCH\n=======\n" * 2 * n,
        lambda n: "<<<<<<< SEARCH\n" * 4 * n,
        lambda n: "```python\n" * 4 * n,
        lambda n: "\n" * 4 * n + "```\n<<<<<<< SEARCH\n" * 2 * n,
        lambda n: "```\n<<<<<<< SEARCH\n=======\n```\n" * n,
    ],
    ids=["marks", "search", "fences", "both", "in fences"],
)
def test_whatever_is_in_a_reply_the_time_to_read_it_grows_with_its_length_alone(reply):
    """Eight times the length would take 64 times as long if each line looked at all the others."""
    short, long = (min(reading_seconds(reply(n)) for _ in range(3)) for n in (1_000, 8_000))
    assert long < 24 * short


# ----------------------------------------------------------------------------- patches and overlays


def test_a_patch_against_the_broken_state(tree):
    broken = broken_of(AREA)
    new = broken["shapes/core.py"].replace("raise NotImplementedError", "return 3")
    edit = from_patch(patches.make(broken["shapes/core.py"], new, "shapes/core.py"), broken, tree)
    assert edit == {"shapes/core.py": new}


@pytest.mark.parametrize(
    "patch",
    [
        "",
        "nonsense",
        "--- a/shapes/core.py\n+++ b/shapes/core.py\n@@ -1,2 +1,2 @@\n nothing like it\n-x\n+y\n",
        "--- a/tests/test_core.py\n+++ b/tests/test_core.py\n@@ -1,2 +1,2 @@\n def test():\n-    "
        "pass\n+    return\n",
        "--- a/../x.py\n+++ b/../x.py\n@@ -0,0 +1 @@\n+x = 1\n",
        "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x = 1\n",
        "--- a/shapes/core.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
        "--- a/notes.txt\n+++ b/notes.txt\n@@ -1 +1 @@\n-n\n+m\n",
        "--- a/shapes/core.py\n+++ b/shapes/core.py\n\\ No newline at end of file\n",
        "--- a/shapes/core.py\n+++ b/shapes/core.py\n@@ -0,0 +0,0 @@\n\\ No newline at end of "
        "file\n",
        f"--- a/shapes/core.py\n+++ b/shapes/core.py\n@@ -{'1' * 5000} +1 @@\n-x\n+y\n",
        f"--- /dev/null\n+++ b/{'a' * 300}.py\n@@ -0,0 +1 @@\n+x = 1\n",
        f"--- /dev/null\n+++ b/{'a/' * 3000}a.py\n@@ -0,0 +1 @@\n+x = 1\n",
    ],
)
def test_patches_that_do_not_apply_or_may_not(tree, patch):
    with pytest.raises(InvalidEdit) as error:
        from_patch(patch, broken_of(AREA), tree)
    assert str(error.value)


@pytest.mark.parametrize(
    "old, new",
    [
        ("tests/test_core.py",) * 2,
        ("i/tests/test_core.py", "w/tests/test_core.py"),
        ("x/tests/test_core.py", "y/tests/test_core.py"),
        ("shapes/core.py", "tests/test_core.py"),
        ("old/shapes/core.py", "../shapes/core.py"),
        ("./conftest.py",) * 2,
        ("b/conftest.py",) * 2,
        ("b/../shapes/core.py",) * 2,
        ("/etc/passwd",) * 2,
        ("a//etc/passwd", "b//etc/passwd"),
        ("shapes/core.py", "setup.py"),
        ('"a/shapes/\\143ore.py/../../setup.py"',) * 2,
    ],
)
def test_however_a_patch_names_it_a_file_is_allowed_or_not(tree, tmp_path, old, new):
    """None of these is read as the task's own file, whose lines they hold."""
    tree = shutil.copytree(tree, tmp_path / "tree", symlinks=True)
    broken = broken_of(AREA)
    text = broken["shapes/core.py"]
    patch = patches.make(text, text.replace("raise NotImplementedError", "return 3"), "m.py")
    patch = patch.replace("--- a/m.py", f"--- {old}").replace("+++ b/m.py", f"+++ {new}")
    for path in ("tests/test_core.py", "conftest.py", "setup.py"):
        (tree / path).write_text(text)
    with pytest.raises(InvalidEdit):
        from_patch(patch, broken, tree)


def test_a_file_that_a_patch_changes_twice(tree):
    """As in a series of commits: one after the other."""
    broken = broken_of(AREA)
    first = broken["shapes/core.py"]
    second = first.replace("raise NotImplementedError", "x = r\n    raise NotImplementedError")
    steps = [first, second, second.replace("raise NotImplementedError", "return x")]
    series = [patches.make(*pair, "shapes/core.py") for pair in zip(steps, steps[1:])]
    assert from_patch("".join(series), broken, tree) == {"shapes/core.py": steps[-1]}
    with pytest.raises(InvalidEdit, match="does not apply"):
        from_patch("".join(reversed(series)), broken, tree)


def test_a_patch_in_an_encoded_e_mail(tree):
    patch = patches.make(CORE, CORE.replace("= 10", "= 11"), "shapes/core.py").replace("=", "=3D")
    with pytest.raises(InvalidEdit, match="does not apply.*base64; save it as plain text"):
        from_patch("Content-Transfer-Encoding: base64\n\n" + patch, broken_of(AREA), tree)


def test_an_overlay_of_files(tmp_path):
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes/core.py").write_bytes("é\r\n".encode("latin-1"))
    edit = from_overlay(tmp_path)
    assert set(edit) == {"shapes/core.py"} and source.to_bytes(
        edit["shapes/core.py"]
    ) == "é\r\n".encode("latin-1")


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "dangling link", "pipe"])
def test_an_overlay_with_anything_else(tmp_path, kind):
    overlay, place = tmp_path / "overlay", tmp_path / "overlay/shapes/core.py"
    place.parent.mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file.py").write_text("x")
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(
            {
                "link to a file": tmp_path / "secret/file.py",
                "link to a folder": tmp_path / "secret",
            }.get(kind, tmp_path / "gone")
        )
    with pytest.raises(InvalidEdit, match="core.py is"):
        from_overlay(overlay)


# -------------------------------------------------------------------------- tasks about whole files

OTHER = (
    "from shapes.core import area\n\n\ndef twice(r):\n    return 2 * area(r)\n\n\ndef "
    "words(n):\n    return n\n"
)


@pytest.fixture
def wide(tree, tmp_path):
    """(tree, a task about two whole files)"""
    shutil.copytree(tree, tmp_path / "wide", symlinks=True)
    (tmp_path / "wide/shapes/other.py").write_text(OTHER)
    broken = {
        "shapes/core.py": CORE.replace("r ** 2", "r * 2"),
        "shapes/other.py": OTHER.replace("2 * area", "3 * area"),
    }
    patch = "".join(
        patches.make(broken[path], text, path)
        for path, text in (("shapes/core.py", CORE), ("shapes/other.py", OTHER))
    )
    return tmp_path / "wide", replace(
        make_task(CORE, "area"),
        kind="revert",
        patch=patch,
        files=("shapes/core.py", "shapes/other.py"),
        functions=("shapes/core.py::area", "shapes/other.py::twice"),
    )


def test_whole_files_are_taken_as_they_are(wide):
    tree, task = wide
    broken = task.broken(tree)
    assert (
        sorted(broken) == ["shapes/core.py", "shapes/other.py"]
        and "3 * area" in broken["shapes/other.py"]
    )
    assert gate(task.gold(tree), task, tree) == {"shapes/core.py": CORE, "shapes/other.py": OTHER}
    changed = CORE.replace("LIMIT = 10", "LIMIT = 11").replace("text.split()", "text.split(',')")
    assert gate({"shapes/core.py": changed}, task, tree) == {**broken, "shapes/core.py": changed}
    assert gate({"shapes/other.py": "x = 1\n"}, task, tree) == {
        **broken,
        "shapes/other.py": "x = 1\n",
    }


@pytest.mark.parametrize("path", ODD + [path for path in NOT_TO_EDIT if path != "shapes/other.py"])
def test_of_whole_files_no_others_may_be_edited(wide, path):
    tree, task = wide
    for edit in ({path: "x = 1\n"}, {"shapes/core.py": CORE, path: "x = 1\n"}):
        with pytest.raises(InvalidEdit):
            gate(edit, task, tree)
        with pytest.raises(InvalidEdit):
            gate(
                edit,
                replace(
                    task,
                    files=(*task.files, path)
                    if path in ("conftest.py", "tests/test_core.py", "setup.py", "shapes/link.py")
                    else task.files,
                ),
                tree,
            )


@pytest.mark.parametrize(
    "text, says",
    [
        ("def area(r:\n", "does not parse"),
        ("x = '\0'\n", "does not parse"),
        ("# " + "x" * (1 << 20), "larger than"),
        ("x = '\ud800'\n", "does not parse"),
        ("x = 1\ry = 2\n", "does not parse"),
    ],
)
def test_whole_files_that_are_refused(wide, text, says):
    tree, task = wide
    with pytest.raises(InvalidEdit, match=says):
        gate({"shapes/other.py": text}, task, tree)


def test_a_reply_about_whole_files(wide):
    tree, task = wide
    broken = task.broken(tree)
    reply = (
        "Both:\n\n"
        + block("    return 3 * area(r)\n", "    return 2 * area(r)\n", "shapes/other.py")
        + fenced("def area(r):\n    return math.pi * r ** 2")
    )
    edit = from_reply(reply, task, broken)
    assert edit["shapes/other.py"] == OTHER and "r ** 2" in edit["shapes/core.py"]
    # A function goes to the file that has one of its name; the task's own file is asked first.
    assert from_reply(fenced("def twice(r):\n    return 4"), task, broken).keys() == {
        "shapes/other.py"
    }
    assert from_reply(fenced("def words(x):\n    return 4"), task, broken).keys() == {
        "shapes/core.py"
    }
    # Whatever style the recipe has, whole files are answered in blocks.
    assert from_reply(reply, task, broken, "body") == edit
    for bad in (
        block("x\n", "y\n", "shapes/third.py"),
        fenced("def third():\n    return 4"),
        "    return 1\n",
    ):
        with pytest.raises(InvalidEdit):
            from_reply(bad, task, broken, "body")


def test_search_and_replace_where_lines_end_otherwise(tmp_path):
    text = CORE.replace("\n", "\r\n")
    task = replace(
        make_task(text, "area"), files=("shapes/core.py",), functions=("shapes/core.py::area",)
    )
    broken = broken_of(task, text)
    edit = from_reply(
        block("    raise NotImplementedError\n", "    x = r\n    return x\n"), task, broken
    )["shapes/core.py"]
    assert edit == broken["shapes/core.py"].replace(
        "raise NotImplementedError\r\n", "x = r\r\n    return x\r\n"
    )


def test_a_task_without_a_gold_edit(wide):
    tree, task = wide
    task = replace(task, kind="failing", patch="")
    assert (
        task.broken(tree) == {"shapes/core.py": CORE, "shapes/other.py": OTHER}
        and task.gold(tree) == {}
    )
    assert from_patch(
        patches.make(OTHER, OTHER + "\n\nx = 1\n", "shapes/other.py"), task.broken(tree), tree
    ) == {"shapes/other.py": OTHER + "\n\nx = 1\n"}
    with pytest.raises(UsageError, match="no longer in the repository's snapshot"):
        replace(task, files=("shapes/gone.py",)).broken(tree)


@MUCH
@given(SCRIBBLE)
def test_whatever_a_model_writes_about_whole_files_is_an_edit_or_invalid(reply):
    task = replace(
        AREA, files=("shapes/core.py", "shapes/other.py"), functions=("shapes/core.py::area",)
    )
    try:
        edit = from_reply(reply, task, {"shapes/core.py": CORE, "shapes/other.py": OTHER})
    except InvalidEdit:
        return
    assert edit.keys() <= set(task.files) and all(isinstance(text, str) for text in edit.values())


def test_tasks_are_the_same_after_a_journey(wide):
    _, task = wide
    for each in (task, AREA):
        assert Task.from_dict(json.loads(json.dumps(each.to_dict()))) == each
    assert "files" not in AREA.to_dict() and task.to_dict()["files"] == (
        "shapes/core.py",
        "shapes/other.py",
    )
    assert AREA.about == ("shapes/core.py::area",) and AREA.named == {"shapes/core.py": ["area"]}
    assert task.named == {"shapes/core.py": ["area"], "shapes/other.py": ["twice"]}
