"""Functions as text: taking a body out and putting it back loses nothing, on the standard library's own code."""
import ast
import gc
import random
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import source

FILES = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))


@pytest.mark.parametrize("path", random.Random(0).sample([p for p in FILES if p.stat().st_size < 40_000], 15), ids=lambda p: p.name)
def test_taking_out_and_putting_back(path):
    text = source.read_text(path)
    found = source.functions(text)
    for function in random.Random(path.name).sample(found, min(4, len(found))):
        if source.find(text, function.qualname).first != function.first or not source.body_nodes(function):
            continue
        broken = source.blanked(text, function)
        hole = source.find(broken, function.qualname)
        assert ast.get_docstring(hole.node) == ast.get_docstring(function.node)
        assert ast.dump(hole.node.args) == ast.dump(function.node.args)
        assert [ast.unparse(n) for n in source.body_nodes(hole)] == [source.BLANK_BODY]
        assert source.with_function(broken, hole, source.source_of(text, function)) == text
        refilled = source.with_body(broken, hole, source.body_of(text, function))
        assert ast.dump(source.parse(refilled)) == ast.dump(source.parse(text))


def test_windows_line_ends_are_kept():
    text = "def f(x):\r\n    return x\r\n\r\ndef g():\r\n    return 1\r\n"
    new = source.with_body(text, source.find(text, "f"), "    y = x\n    return y\n")
    assert new == "def f(x):\r\n    y = x\r\n    return y\r\n\r\ndef g():\r\n    return 1\r\n"


def test_other_encodings_are_kept():
    data = "# coding: latin-1\ndef f():\n    return 'é'\n\ndef g():\n    return 1\n".encode("latin-1")
    text = source.decode(data)
    new = source.with_body(text, source.find(text, "g"), "    return 2")
    assert source.to_bytes(new) == data.replace(b"return 1", b"return 2")


def test_a_body_beside_the_signature():
    text = "class A:\n    def f(self): return 1\n"
    assert source.blanked(text, source.find(text, "A.f")) == "class A:\n    def f(self):\n        raise NotImplementedError\n"
    assert source.body_of(text, source.find(text, "A.f")) == "    return 1\n"


def test_strings_inside_a_body_are_not_moved():
    text = "class A:\n    def f(self):\n        return 1\n"
    new = source.with_body(text, source.find(text, "A.f"), '    x = """a\n  b"""\n    return x\n')
    assert new == 'class A:\n    def f(self):\n        x = """a\n  b"""\n        return x\n'


def test_decorators_stay_where_an_edit_has_none():
    text = "import functools\n\n\n@functools.cache\ndef f(x):\n    return x\n"
    assert source.with_function(text, source.find(text, "f"), "def f(x):\n    return 2") == text.replace("return x", "return 2")


def test_threads_parse_at_the_same_time():
    """Garbage that runs code of its own lets another thread in while a tree is made, which CPython 3.11 does not bear."""
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
