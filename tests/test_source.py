"""Functions as text: taking a body out and putting it back loses nothing, on the standard library's
own code."""

import ast
import gc
import random
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox import source

FILES = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))


@pytest.mark.parametrize(
    "path",
    random.Random(0).sample([p for p in FILES if p.stat().st_size < 40_000], 15),
    ids=lambda p: p.name,
)
def test_taking_out_and_putting_back(path):
    text = source.read_text(path)
    found = source.functions(text)
    for function in random.Random(path.name).sample(found, min(4, len(found))):
        if source.find(text, function.qualname).first != function.first or not source.body_nodes(
            function
        ):
            continue
        broken = source.blanked(text, function)
        hole = source.find(broken, function.qualname)
        assert ast.get_docstring(hole.node) == ast.get_docstring(function.node)
        assert ast.dump(hole.node.args) == ast.dump(function.node.args)
        assert [ast.unparse(n) for n in source.body_nodes(hole)] == [source.BLANK_BODY]
        assert source.with_function(broken, hole, source.source_of(text, function)) == text
        before, inside, rest = source.around_body(text, function)
        assert before + inside + rest == text and before.endswith(("\n", ": "))
        assert source.reindent(inside, "    ") + "\n" == source.body_of(text, function)
        refilled = source.with_body(broken, hole, source.body_of(text, function))
        assert ast.dump(source.parse(refilled)) == ast.dump(source.parse(text))


def test_windows_line_ends_are_kept():
    text = "def f(x):\r\n    return x\r\n\r\ndef g():\r\n    return 1\r\n"
    new = source.with_body(text, source.find(text, "f"), "    y = x\n    return y\n")
    assert new == "def f(x):\r\n    y = x\r\n    return y\r\n\r\ndef g():\r\n    return 1\r\n"


def test_other_encodings_are_kept():
    data = "# coding: latin-1\ndef f():\n    return 'é'\n\ndef g():\n    return 1\n".encode(
        "latin-1"
    )
    text = source.decode(data)
    new = source.with_body(text, source.find(text, "g"), "    return 2")
    assert source.to_bytes(new) == data.replace(b"return 1", b"return 2")


CODINGS = [
    "# -*- coding: {} -*-\n",
    "\n# vim: set fileencoding={} :\n",
    "#!/usr/bin/python\r\n#coding:\t{}\r\n",
    "\x0c # coding={}",
    "# a\n# coding: {}\n",
    "# codingg: coding:{}\n",
    "# coding: {}\n# coding: utf-8\n",
]
NOT_CODINGS = [
    "x = 1  # coding: {}\n",
    "# a\n# b\n# coding: {}\n",
    "'''\n# coding: {}\n'''\n",
    "# encoding {}\n",
]
ENCODINGS = [
    "latin-1",
    "Latin_1",
    "latin-1-unix",
    "iso-8859-15",
    "cp1252",
    "koi8-r",
    "shift_jis",
    "cp932",
    "euc_jp",
    "gb18030",
    "big5",
    "utf-8",
    "UTF8",
    "utf-8-unix",
    "ascii",
]


@given(
    st.sampled_from(CODINGS + NOT_CODINGS),
    st.sampled_from(
        [
            *ENCODINGS,
            "utf-7",
            "utf-16",
            "rot13",
            "no-such-thing",
            "cp500",
            "iso2022_jp",
            "unicode_escape",
            "idna",
        ]
    ),
    st.booleans(),
    st.binary(max_size=40),
)
@example(CODINGS[0], "cp932", False, b"\n\x81\xe0 \x81\xe6\n\x87\x90\n\x8b\x41")
def test_a_file_is_the_same_after_a_journey(head, name, mark, data):
    """Whatever it says of itself, and whatever is in it."""
    data = b"\xef\xbb\xbf" * mark + head.format(name, name).encode() + data
    text = source.decode(data)
    assert source.to_bytes(text) == data == source.as_sent(text).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("head", CODINGS)
def test_text_is_what_python_reads(head, name):
    for letters in ("\u00e9\u00fc\u00df", "\u0416\u0443", "\u4e2d\u65e5\u8868", "abc"):
        said = head.format(name, name) + f"\nz = '{letters}'; y = 1\n"
        if source.unwritable(said):
            continue
        text = source.decode(source.to_bytes(said))
        tree = ast.parse(source.to_bytes(said))
        assert text == said and tree.body[0].value.value == letters
        # Columns of the tree lead to the same place.
        assert (
            source.at_column(text.split("\n")[tree.body[1].lineno - 1], tree.body[1].col_offset)[1]
            == "y = 1"
        )


def test_a_line_that_is_not_the_first_one_says_nothing_of_the_encoding():
    for head in NOT_CODINGS:
        assert source.decode(head.format("latin-1").encode() + b"# \xc3\xbc\n").endswith(
            "# \u00fc\n"
        )


@pytest.mark.parametrize(
    "name",
    [
        "utf-7",
        "iso2022_jp",
        "unicode_escape",
        "raw_unicode_escape",
        "hz",
        "cp500",
        "utf-16",
        "no-such-thing",
    ],
)
def test_where_ascii_is_not_ascii_the_bytes_are_kept(name):
    """Lines and columns would not be the file's own."""
    data = f"# coding: {name}\nx = '+AAo-'; y = '\\x0a\\u000a ~{{<:~}} \x1b$B$\"\x1b(B'\n".encode()
    assert source.decode(data) == data.decode() and source.to_bytes(data.decode()) == data


@pytest.mark.parametrize(
    "name, said, left_out",
    [
        ("latin-1", "\u00fc", "\u2192"),
        ("cp1251", "\u0416", "\u00fc"),
        ("euc_jp", "\u3042", "\u00a5"),
        ("ascii", "u", "\u00fc"),
        ("utf-8", "\u2192", None),
        ("UTF8", "\u2192", None),
        ("gb18030", "\u2192", None),
    ],
)
def test_what_an_encoding_cannot_say(name, said, left_out):
    """In EUC-JP a yen sign would come back as a backslash."""
    assert source.unwritable(f"# coding: {name}\nx = '{said}'\n") == ""
    if left_out:
        text = f"# coding: {name}\nx = '{said}{left_out}'\n"
        what = f"'{left_out}' (U+{ord(left_out):04X})"
        assert source.unwritable(text) == f"is {name}, and {what} cannot be written in it"
        with pytest.raises(SyntaxError):
            source.parse(text)


def test_a_body_beside_a_signature_of_other_letters():
    said = "# coding: latin-1\ndef f(a='\u00e9\u00e9'): '''\u00fc'''; return 'x'\n"
    text = source.decode(said.encode("latin-1"))
    assert source.body_of(text, source.find(text, "f")) == "    return 'x'\n"
    assert source.head_of(text, source.find(text, "f")) == "def f(a='\u00e9\u00e9'): '''\u00fc'''"


def test_a_body_beside_the_signature():
    text = "class A:\n    def f(self): return 1\n"
    assert (
        source.blanked(text, source.find(text, "A.f"))
        == "class A:\n    def f(self):\n        raise NotImplementedError\n"
    )
    assert source.body_of(text, source.find(text, "A.f")) == "    return 1\n"


def test_what_stands_around_a_body():
    cases = {
        "def f(): return 1  # why\nx = 1\n": ("def f(): ", "return 1  # why", "\nx = 1\n"),
        "def f():\n    # why\n    return 1": ("def f():\n    # why\n", "    return 1", ""),
        "def f():\n    'D.'\n\n    return 1\n": ("def f():\n    'D.'\n", "\n    return 1", "\n"),
        "def f():\r\n    return 1\r\nx = 1": ("def f():\r\n", "    return 1", "\r\nx = 1"),
        "def f():\n    'D.'\nx = 1": ("def f():\n    'D.'\n", "", "\nx = 1"),
        "def f(\n    a,\n): return a\n": ("def f(\n    a,\n): ", "return a", "\n"),
        "def f():\n    @d\n    def g(): 1\n": ("def f():\n", "    @d\n    def g(): 1", "\n"),
    }
    for text, parts in cases.items():
        assert source.around_body(text, source.find(text, "f")) == parts


def test_strings_inside_a_body_are_not_moved():
    text = "class A:\n    def f(self):\n        return 1\n"
    new = source.with_body(text, source.find(text, "A.f"), '    x = """a\n  b"""\n    return x\n')
    assert new == 'class A:\n    def f(self):\n        x = """a\n  b"""\n        return x\n'


NEAR = '''"""A module."""
import functools


@functools.cache
def plain(x):
    return x


class Outer:
    class Inner:
        def method(self, a=1):
            if a:
                return 2

        def other(self):
            pass

    if True:
        async def late(self): return 1
    else:
        def late(self):
            return 2

x = plain(1)
'''
LINES = [
    "",
    "@functools.cache",
    "def plain(x):",
    "    return x",
    "        def method(self, a=1):",
    "            return 1",
    "    pass",
    "\tpass",
    "            '''",
    "    (",
    "    )",
    "    return 1 \\",
    "\\",
    "else:",
    "            else:",
    "    # a comment",
    "# coding: latin-1",
    "\0",
    "    def plain(x):",
    "class plain: pass",
    "        async def late(self): return 3",
    "    def other(self): yield",
    "\x0c",
    "    é = 'é'",
    "        def late(self): return 4; x = 1",
    "            def method(self): return 5",
    "    x = [",
    "    ]",
    "  pass",
    "\r",
    "\t" * 8 + "def method(self): return 6",
]


@given(
    st.sampled_from(["plain", "Outer.Inner.method", "Outer.Inner.other", "Outer.late"]),
    st.lists(st.sampled_from(LINES), max_size=5),
    st.integers(0, 3),
    st.integers(0, 3),
)
@example("plain", [""], 0, 0)
@example("Outer.Inner.method", ["\t" * 8 + "def method(self): return 6"], 0, 0)
def test_a_function_read_alone_is_the_one_of_the_whole_file(name, new, above, below):
    was, lines = source.find(NEAR, name), NEAR.split("\n")
    body = lines[was.first - 1 : was.last]
    text = "\n".join(
        lines[: was.first - 1]
        + body[:above]
        + new
        + body[max(above, len(body) - below) :]
        + lines[was.last :]
    )
    alone = source.alone(text, NEAR, was)
    if alone is not None:
        whole = source.find(text, name)
        assert (alone.first, alone.last, alone.indent) == (whole.first, whole.last, whole.indent)
        assert ast.dump(alone.node, include_attributes=True) == ast.dump(
            whole.node, include_attributes=True
        )


@pytest.mark.parametrize(
    "name, body",
    [
        ("plain", "return x + 1"),
        ("Outer.Inner.method", "def inner():\n    return 1\nreturn inner()"),
        ("Outer.late", "pass"),
    ],
)
def test_an_edit_to_one_function_is_read_alone(name, body):
    was = source.find(NEAR, name)
    text = source.with_body(NEAR, was, body)
    assert source.alone(text, NEAR, was) is not None
    assert source.alone(text.replace("x = plain(1)", "x = plain(2)"), NEAR, was) is None


def test_a_coding_line_is_honoured():
    for first, read_alone in (
        ("# coding: latin-1", False),
        ("# a comment", True),
        ("# -*- coding: utf-8 -*-", True),
        ("# coding=utf-8-sig", False),
        ("# coding: latin-1, not coding: utf-8", False),
    ):
        text = f"{first}\n\ndef f():\n    return 3\n"
        assert (
            source.alone(text.replace("3", "4"), text, source.find(text, "f")) is not None
        ) == read_alone


def test_decorators_stay_where_an_edit_has_none():
    text = "import functools\n\n\n@functools.cache\ndef f(x):\n    return x\n"
    assert source.with_function(
        text, source.find(text, "f"), "def f(x):\n    return 2"
    ) == text.replace("return x", "return 2")


@pytest.mark.slow
def test_threads_parse_at_the_same_time():
    """Garbage that runs code of its own lets another thread in while a tree is made, which CPython
    3.11 does not bear."""

    class Garbage:
        def __del__(self):
            for _ in range(50):
                pass

    def parse_often(number):
        for i in range(4):
            for _ in range(30):
                garbage = Garbage()
                garbage.itself = garbage
            source.parse(f"{text}\n# {number} {i}")

    text = Path(ast.__file__).read_text()
    before = sys.getswitchinterval(), gc.get_threshold()
    try:
        sys.setswitchinterval(1e-6)
        gc.set_threshold(200)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(parse_often, range(4)))
    finally:
        sys.setswitchinterval(before[0])
        gc.set_threshold(*before[1])
