"""Twins: a test with one expectation changed, so that the right code must fail it.

    # the same file, names and order; None where nothing can be changed
    text = twin_file(text, ["TestMedian.test_even"], seed)

A candidate that passes a twin has made the assertion meaningless, or has read the answer from the
test: `tampered`. Where an expectation holds a literal, that literal becomes another of its kind (3
-> 4, 'ab' -> 'abx', True -> False); else the expected side of a comparison becomes one that equals
nothing; an exception that is expected becomes one that nobody raises; what is left (`assert f(x)`)
is negated. Whether the gold edit really fails a twin is measured when it is mined, never assumed.

    text = with_other_literals(text, ["test_any_divisor"], seed)

The same test of something else: it holds for the right code if what it says is true of other
values.
"""

import ast
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sandbox import patches
from sandbox.judge.fuzz import perturbed
from sandbox.node_ids import function_of
from sandbox.source import (
    FUNCTIONS,
    Function,
    at_column,
    body_nodes,
    find,
    parse,
    read_text,
    reads_as_python,
    sayable,
)

Located = ast.expr | ast.stmt
"""A node that knows its place in the text."""
NEVER_RAISED = "ZeroDivisionError if {0} is not ZeroDivisionError else BlockingIOError"
NOTHING: Mapping[str, str] = {}
"""No files beside those of a tree."""
SIMPLE = (ast.Assert, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)
UNITTEST_EQUAL = {
    "assertEqual",
    "assertEquals",
    "assertAlmostEqual",
    "assertListEqual",
    "assertDictEqual",
    "assertTupleEqual",
    "assertSetEqual",
    "assertSequenceEqual",
    "assertCountEqual",
    "assertMultiLineEqual",
    "assertIs",
}
UNITTEST_TRUTH = {
    "assertTrue": "assertFalse",
    "assertFalse": "assertTrue",
    "assertIsNone": "assertIsNotNone",
    "assertIsNotNone": "assertIsNone",
    "assertIn": "assertNotIn",
    "assertNotIn": "assertIn",
}


def twin_file(text: str, tests: list[str], seed: str) -> str | None:
    """`text` with one expectation changed in each of the named test functions where that can be
    done; None where in none.

    `tests` are qualified names. Which expectation it is in a test that has several is drawn by the
    seed.
    """
    changes: list[tuple[Located, str]] = []
    for name in tests:
        function = find(text, name)
        options = list(expectations(function)) if function else []
        if options:
            changes.append(random.Random(f"{seed}/{name}").choice(options))
    if not changes:
        return None
    for node, new in sorted(
        changes, key=lambda change: (change[0].lineno, change[0].col_offset), reverse=True
    ):
        text = replace_expression(text, node, new)
    try:
        parse(text)
    except SyntaxError:
        return None
    return text


def with_other_literals(text: str, tests: list[str], seed: str) -> str | None:
    """`text` with up to three of the literals of each named test function changed, each in all of
    its places; None where there are none. A test that still says something true says it of other
    values: that is for who runs it to find out."""
    changes: dict[tuple[int, int], tuple[ast.Constant, str]] = {}
    for name in tests:
        function = find(text, name)
        literals = _literals(function) if function else []
        values = list({(type(n.value), n.value): n.value for n in literals}.values())
        ((others, _),) = perturbed([(values, {})], f"{seed}/{name}", 1)
        other = {(type(old), old): new for old, new in zip(values, others)}
        for node in literals:
            new = other[type(node.value), node.value]
            if new != node.value:
                changes[node.lineno, node.col_offset] = (node, f"({new!r})")
    if not changes:
        return None
    for _, (node, new) in sorted(changes.items(), reverse=True):
        text = replace_expression(text, node, new)
    return text if reads_as_python(text) else None


def _literals(function: Function) -> list[ast.Constant]:
    """The numbers and texts in a test's body, but for those within f-strings."""
    found = []
    for part in body_nodes(function):
        within = {
            id(n) for s in ast.walk(part) if isinstance(s, ast.JoinedStr) for n in ast.walk(s)
        }
        found += [
            node
            for node in ast.walk(part)
            if id(node) not in within
            and isinstance(node, ast.Constant)
            and type(node.value) in (int, float, str, bytes)
        ]
    return found


def twin_files(
    tests: Iterable[str], tree: Path, seed: str, given: Mapping[str, str] = NOTHING
) -> dict[str, str]:
    """{path: text} of the test files, in the tree or in `given`, with one expectation changed in
    each of these tests where that can be done."""
    files = {}
    for file, (text, names) in readable_tests(tests, tree, given).items():
        if (changed := twin_file(text, names, seed)) is not None:
            files[file] = changed
    return files


def twin_patch(files: dict[str, str], tree: Path, given: Mapping[str, str] = NOTHING) -> str:
    """`Task.twin_patch` for the files of `twin_files`."""
    return "".join(
        patches.make(given.get(path) or read_text(tree / path), text, path)
        for path, text in sorted(files.items())
    )


def test_functions(tests: Iterable[str]) -> dict[str, list[str]]:
    """{file: qualified names} of the functions that these node ids stand for."""
    by_file: dict[str, list[str]] = {}
    for test in tests:
        file, _, name = function_of(test).partition("::")
        names = by_file.setdefault(file, [])
        if (qualname := name.replace("::", ".")) not in names:
            names.append(qualname)
    return by_file


def test_texts(
    tests: Iterable[str], tree: Path, given: Mapping[str, str] = NOTHING
) -> dict[str, tuple[str, list[str]]]:
    """{file: (text, qualified names)} as `test_functions`, of the Python files that are there: in
    the tree, or in `given` (`Task.test_files`)."""
    return {
        file: (given.get(file) or read_text(tree / file), names)
        for file, names in test_functions(tests).items()
        if file.endswith(".py") and (file in given or (tree / file).is_file())
    }


def readable_tests(
    tests: Iterable[str], tree: Path, given: Mapping[str, str] = NOTHING
) -> dict[str, tuple[str, list[str]]]:
    """As `test_texts`, but for files that our own Python cannot read: the project's may be newer.
    Of their tests there are no twins, and no prompt shows them."""
    found = test_texts(tests, tree, given)
    return {file: both for file, both in found.items() if reads_as_python(both[0])}


def expectations(function: Function) -> Iterator[tuple[Located, str]]:
    """(node, what to put in its place) for all that the test expects."""
    arguments = {a.arg for a in (*function.node.args.args, *function.node.args.kwonlyargs)}
    first = body_nodes(function)[:1]
    for node, new in _expressions(function):
        if isinstance(node, ast.Name) and node.id in arguments and isinstance(first[0], SIMPLE):
            # The test was given it: changed before anything else, so that who reads the caller's
            # variables reads the twin's.
            yield first[0], f"{node.id} = {new}; {ast.unparse(first[0])}"
        else:
            yield node, new


def _expressions(function: Function) -> Iterator[tuple[ast.expr, str]]:
    for node in _own_nodes(function.node):
        if isinstance(node, ast.Assert):
            yield _changed_assertion(node.test)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            if name in UNITTEST_EQUAL and len(node.args) >= 2:
                yield _changed_side(node.args[0], node.args[1])
            elif name in UNITTEST_TRUTH and isinstance(node.func.value, ast.Name):
                yield node.func, f"{ast.unparse(node.func.value)}.{UNITTEST_TRUTH[name]}"
            elif name in ("raises", "assertRaises") and node.args:
                expected = ast.unparse(node.args[0])
                yield node.args[0], f"({NEVER_RAISED.format(f'({expected})')})"


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a test, without those of the functions defined inside it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _own_nodes(child)


def _changed_assertion(test: ast.expr) -> tuple[ast.expr, str]:
    if (
        isinstance(test, ast.Compare)
        and len(test.ops) == 1
        and isinstance(test.ops[0], (ast.Eq, ast.Is))
    ):
        return _changed_side(test.left, test.comparators[0])
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test, f"({ast.unparse(test.operand)})"
    return test, f"(not ({ast.unparse(test)}))"


def _changed_side(left: ast.expr, right: ast.expr) -> tuple[ast.expr, str]:
    """The side of an equation that is expected, changed: the one that calls less."""
    expected = min(
        (right, left),
        key=lambda side: sum(isinstance(n, (ast.Call, ast.Await)) for n in ast.walk(side)),
    )
    literals = [
        n
        for n in ast.walk(expected)
        if isinstance(n, ast.Constant) and type(n.value) in (bool, int, float, str, bytes)
    ]
    if literals and not any(isinstance(n, ast.JoinedStr) for n in ast.walk(expected)):
        return literals[-1], _other(literals[-1])
    return expected, f"({ast.unparse(expected)}, 'another')"


def _other(literal: ast.Constant) -> str:
    """A literal of the same kind with another value."""
    value = literal.value
    if isinstance(value, bool):
        return repr(not value)
    if isinstance(value, (int, float)):
        return f"({value + 1!r})"
    assert isinstance(value, (str, bytes))
    return repr(value + "x") if isinstance(value, str) else repr(value + b"x")


def replace_expression(text: str, node: Located, new: str) -> str:
    """`text` with the expression at `node`'s place replaced."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    lines = text.split("\n")
    first, last = node.lineno - 1, node.end_lineno - 1
    before = at_column(lines[first], node.col_offset)[0]
    after = at_column(lines[last], node.end_col_offset)[1]
    lines[first : last + 1] = [before + sayable(new, text) + after]
    return "\n".join(lines)
