"""Mutants: what each operator does, that nothing else of the file changes, and that duplicates are
thinned."""

import ast
import difflib
import os
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.source import find, functions, source_of, to_bytes
from sandbox.tasks.mutate import MAX_LINES, mutants
from sandbox.tasks.mutation_operators import OPERATORS, sites
from tests.conftest import ROOT

ALL = 10_000


def changes(
    body: str, operator: str, signature: str = "a, b, *more, c=0, **named"
) -> set[tuple[str, str]]:
    """{(before, after)} of all that the operator can do in a function with this body."""
    text = f"def f({signature}):\n" + textwrap.indent(body, "    ")
    lines = text.split("\n")

    def between(site):
        part = lines[site.start[0] - 1 : site.end[0]]
        part[-1] = part[-1][: site.end[1]]
        part[0] = part[0][site.start[1] :]
        return "\n".join(part)

    return {(between(site), site.new) for site in sites(text) if site.operator == operator}


@pytest.mark.parametrize(
    "operator, body, expected",
    [
        ("comparison boundary", "return a < b or a >= 3\n", {("<", "<="), (">=", ">")}),
        (
            "comparison flipped",
            "return a == b or a in b or a is not b or a < b\n",
            {("==", "!="), ("in", "not in"), ("is not", "is"), ("<", ">")},
        ),
        ("comparison flipped", "return a not in b\n", {("not in", "in")}),
        (
            "condition negated",
            "if a:\n    return 1 if not b else 2\nwhile a and b:\n    pass\n",
            {("a", "not a"), ("not b", "b"), ("a and b", "not (a and b)")},
        ),
        ("condition negated", "if a < b:\n    return 1\nwhile True:\n    pass\n", set()),
        ("and/or swapped", "return a and b\n", {("and", "or")}),
        (
            "arithmetic operator",
            "return a + b * 2 - b / 3 // 4 % 5 ** 6 << 1 & a\n",
            {
                ("+", "-"),
                ("*", "+"),
                ("-", "+"),
                ("/", "//"),
                ("//", "/"),
                ("%", "//"),
                ("**", "*"),
                ("<<", ">>"),
                ("&", "|"),
            },
        ),
        ("arithmetic operator", "return 'a' + b\n", set()),
        (
            "augmented assignment",
            "a += b\na *= 2\n",
            {("+=", "-="), ("+=", "="), ("*=", "+="), ("*=", "=")},
        ),
        ("off by one", "return a[0] + 12 + 0x10 + 1.5\n", {("0", "1"), ("12", "13"), ("12", "11")}),
        (
            "boolean constant",
            "while True:\n    return False, f(x=True)\n",
            {("False", "True"), ("True", "False")},
        ),
        (
            "string constant",
            "'''doc'''\nreturn 'ab', b'c', \"\", 'a\\n', f'{a}', 'x' 'y', '''z'''\n",
            {("'ab'", "'a'"), ("b'c'", "b''"), ('""', '" "')},
        ),
        (
            "argument order",
            "return f(a, b) + g(a, 1, c=2) + h(a, a) + max(a, b) + i(*a, b)\n",
            {("a, b", "b, a"), ("a, 1", "1, a")},
        ),
        (
            "sibling function",
            "return min(a) + math.floor(b)\n",
            {("min", "max"), ("floor", "ceil")},
        ),
        (
            "range bound",
            "return range(a), range(1, len(b)), range(a + 1)\n",
            {
                ("a", "a - 1"),
                ("a", "a + 1"),
                ("len(b)", "len(b) - 1"),
                ("len(b)", "len(b) + 1"),
                ("a + 1", "(a + 1) - 1"),
                ("a + 1", "(a + 1) + 1"),
            },
        ),
        (
            "slice bound",
            "return a[1:], a[b:c]\n",
            {("1", ""), ("b", ""), ("b", "b + 1"), ("c", "c - 1")},
        ),
        (
            "default value",
            "x = a or 1\nreturn named.get(a, b) or c\n",
            {("a or 1", "a"), (", b", ""), ("named.get(a, b) or c", "named.get(a, b)")},
        ),
        ("return value dropped", "if a:\n    return None\nreturn b\n", {("return b", "return")}),
        ("return value dropped", "return b\n", set()),
        ("early return", "for x in a:\n    b += x\nreturn b\n", {("", "    ")}),
        ("early return", "for x in a:\n    b += x\nelse:\n    b = 1\nreturn b\n", set()),
        (
            "statement dropped",
            "x = 1\na.b = x\na[0] = x\na += 1\nb.c()\nif a:\n    return 1\nif b:\n    x = 2\ndel "
            "a\nreturn x\n",
            {
                ("\n    a.b = x", ""),
                ("\n    a[0] = x", ""),
                ("\n    a += 1", ""),
                ("\n    b.c()", ""),
                ("\n    if a:\n        return 1", ""),
                ("\n    del a", ""),
            },
        ),
        (
            "statement dropped",
            "for x in a:\n    # why\n    b.c(\n        x)  # how\nreturn b\n",
            {("b.c(\n            x)  # how", "pass")},
        ),
        (
            "loop exit",
            "for x in a:\n    if x:\n        break\n    continue\n",
            {("break", "continue"), ("continue", "break")},
        ),
        (
            "exception type",
            "try:\n    raise ValueError('no')\nexcept KeyError:\n    raise Odd\n",
            {("ValueError", "TypeError"), ("KeyError", "IndexError")},
        ),
    ],
)
def test_what_an_operator_does(operator, body, expected):
    assert changes(body, operator) == expected


def test_every_operator_is_described_and_tried():
    tried = {
        mark.args[0]
        for case in test_what_an_operator_does.pytestmark
        for mark in [type("M", (), {"args": c})() for c in case.args[1]]
    }
    assert tried == {operator.name for operator in OPERATORS} and len(OPERATORS) >= 10
    assert all(operator.changes.__doc__ for operator in OPERATORS)


@pytest.mark.parametrize(
    "body",
    [
        "'''a < b and 1'''\npass\n",
        "x: List[1] = a\n",
        "raise ValueError(1, 'text')\n",
        "return f'{a + 1}'\n",
    ],
)
def test_what_is_never_changed(body):
    assert {o.name for o in OPERATORS if changes(body, o.name)} <= {"exception type"}


def test_signature_and_decorators_are_never_changed():
    text = "@cache(maxsize=1)\ndef f(a=1, b='x', *, c=True):\n    return g(a)\n"
    assert mutants(text, find(text, "f"), "s", ALL) == []


# ---------------------------------------------------------------------------- everything else stays

ODD = {
    "plain": "import os\n\n\nclass A:\n    def f(self, a):\n        '''Doc.'''\n        # why\n    "
    "    if a < 1:  # so\n            return  -1\n\n        return  a + 1 # end\n\n    "
    "def g(self):\n        pass\n",
    "CRLF": "def f(a):\r\n    # why\r\n    a += 1\r\n    if a > 2:\r\n        return a - 2\r\n    "
    "return a\r\n",
    "latin-1": "# -*- coding: latin-1 -*-\ndef f(a):\n    # \udce9\udcff\n    x = '\udce9' + a\n   "
    " return x[1:]\n",
    "UTF-8": "def f(a):\n    é = 'ß\U0001f600' + a; b = a < 3  # ∂\n    return é or b\n",
    "tabs": "class A:\n\tdef f(self, a):\n\t\tfor x in a:\n\t\t\tself.n += x\n\t\treturn self.n\n",
    "strings over lines": "class A:\n    def f(self, a):\n        x = '''\nno indent\n   < "
    "3\n'''\n        y = (a +\n  1)\n        return x or y\n",
    "no end": "def f(a):\n    return a + 1 or None",
    "one line": "def f(a): return a + 1 if a < 2 else 0\n",
    "form feed": "x = 1\n\x0c\ndef f(a):\n    return a + 1 - 2\n",
    "nested": "def f(a):\n    @g(1)\n    def inner(b=2):\n        '''in'''\n        return b < a\n "
    "   return inner(3, 4)\n",
    "new syntax": "async def f(a):\n    match a:\n        case [1, *_]:\n            return await "
    "g(a, 2)\n    async for x in a:\n        if (y := x) > 3:\n            break\n   "
    " return y\n",
}


@pytest.mark.parametrize("name", ODD)
def test_nothing_else_of_the_file_changes(name):
    text = ODD[name]
    function = next(f for f in functions(text) if f.qualname.rpartition(".")[2] == "f")
    found = mutants(text, function, "s", ALL)
    assert found
    for mutant in found:
        matcher = difflib.SequenceMatcher(
            None, text.split("\n"), mutant.text.split("\n"), autojunk=False
        )
        touched = [(i1, i2) for tag, i1, i2, _, _ in matcher.get_opcodes() if tag != "equal"]
        assert touched and all(
            function.first - 1 <= i1 and i2 <= function.last for i1, i2 in touched
        ), mutant
        assert ast.parse(to_bytes(mutant.text)) and find(mutant.text, function.qualname) is not None
        # The change is the one that is said: with it taken back, the bytes are the old ones.
        starts = [i for i in range(len(mutant.text) + 1) if mutant.text.startswith(mutant.after, i)]
        assert any(
            mutant.text[:i] + mutant.before + mutant.text[i + len(mutant.after) :] == text
            for i in starts
        )


def test_a_file_that_cannot_be_taken_apart_gives_none():
    for text in (
        "def f(a):\n    return \udce9 + 1\n",
        "def f(a):\n    return a + 1\n".replace("a + 1", "-" * 3000 + "a"),
        "def f(a):\n" + "    a += 1\n" * MAX_LINES,
    ):
        try:
            function = find(text, "f")
        except SyntaxError:
            assert sites(text) == []
            continue
        assert mutants(text, function, "s", 3) == []


# ------------------------------------------------------------------------------- which, and thinned

LONG = '''def f(a, b):
    total = 0
    for x in a:
        if x < 0 and x < b or x < 5:
            continue
        total += x * 2 + 1
        if total > 10:
            break
    total -= 1
    return max(total, 0) or b[1:]
'''


def drawn(seed: str, count: int = 3, text: str = LONG):
    return mutants(text, find(text, "f"), seed, count)


def test_the_seed_draws():
    found = {tuple((m.operator, m.before, m.after) for m in drawn(str(seed))) for seed in range(20)}
    assert len(found) > 10 and all(len(chosen) == 3 for chosen in found)
    assert drawn("a") == drawn("a")
    assert [m.text for m in drawn("a", 5)][:3] == [m.text for m in drawn("a", 3)]


@given(st.text(max_size=8), st.integers(1, 30))
def test_no_answer_mends_two_mutants_of_a_function(seed, count):
    found = drawn(seed, count)
    assert (
        len(found) <= count
        and len({m.text for m in found}) == len(found)
        and LONG not in {m.text for m in found}
    )
    assert len({m.before.strip() for m in found}) == len(found), "the same text to put back"
    operators = [m.operator for m in found]
    assert len(set(operators[:3])) == min(3, len(found)), (
        "an operator twice while others had not been used"
    )
    # Never two in one place: where the texts differ, no two of them differ.
    places = []
    for m in found:
        start = len(os.path.commonprefix([LONG, m.text]))
        end = len(LONG) - len(
            os.path.commonprefix([LONG[: start - 1 : -1], m.text[: start - 1 : -1]])
        )
        assert not any(
            start < other_end and other_start < end or start == other_start
            for other_start, other_end in places
        )
        places.append((start, end))


def test_mutants_of_a_method_are_of_that_method():
    text = (
        "class A:\n    def f(self, a):\n        return a + 1\n\n\nclass B:\n    def f(self, "
        "a):\n        return a - 1\n"
    )
    function = find(text, "B.f")
    for mutant in mutants(text, function, "s", ALL):
        assert source_of(mutant.text, find(mutant.text, "A.f")) == source_of(
            text, find(text, "A.f")
        )
        assert source_of(mutant.text, find(mutant.text, "B.f")) != source_of(text, function)


def test_libcst_is_not_loaded_before_a_mutant_is_wanted():
    code = "import sys, sandbox.tasks.mine; print('libcst' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
        ).stdout
        == "False\n"
    )
