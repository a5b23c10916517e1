"""What a mutant changes: a table of mutation operators, each a small function.

    for site in sites(source):                   # every place in a function that an operator knows
        site.operator, site.start, site.end, site.new

An operator is a function that is given a node and the text around it (`Body`) and yields what could
stand there instead, and one line of `OPERATORS`. Signature, decorators, docstring, annotations,
f-strings and the messages of exceptions are never changed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

Position = tuple[int, int]
"""(line from 1, column from 0)"""
Change = tuple[Position, Position, str]
"""(start, end, what stands there then)"""

BOUNDARY = {
    cst.LessThan: "<=",
    cst.LessThanEqual: "<",
    cst.GreaterThan: ">=",
    cst.GreaterThanEqual: ">",
}
FLIPPED = {
    cst.LessThan: ">",
    cst.LessThanEqual: ">=",
    cst.GreaterThan: "<",
    cst.GreaterThanEqual: "<=",
    cst.Equal: "!=",
    cst.NotEqual: "==",
    cst.In: "not in",
    cst.NotIn: "in",
    cst.Is: "is not",
    cst.IsNot: "is",
}
ARITHMETIC = {
    cst.Add: "-",
    cst.Subtract: "+",
    cst.Multiply: "+",
    cst.Divide: "//",
    cst.FloorDivide: "/",
    cst.Modulo: "//",
    cst.Power: "*",
    cst.LeftShift: ">>",
    cst.RightShift: "<<",
    cst.BitAnd: "|",
    cst.BitOr: "&",
    cst.BitXor: "&",
}
AUGMENTED = {
    cst.AddAssign: "-=",
    cst.SubtractAssign: "+=",
    cst.MultiplyAssign: "+=",
    cst.DivideAssign: "//=",
    cst.FloorDivideAssign: "/=",
    cst.ModuloAssign: "//=",
    cst.LeftShiftAssign: ">>=",
    cst.RightShiftAssign: "<<=",
    cst.BitAndAssign: "|=",
    cst.BitOrAssign: "&=",
    cst.BitXorAssign: "&=",
}
SIBLINGS = {
    a: b
    for pair in (
        "min max",
        "any all",
        "startswith endswith",
        "lstrip rstrip",
        "upper lower",
        "floor ceil",
        "keys values",
        "find rfind",
        "ljust rjust",
        "issubset issuperset",
        "union intersection",
        "append extend",
        "add discard",
        "popleft pop",
        "sin cos",
    )
    for a, b in (pair.split(), reversed(pair.split()))
}
EXCEPTIONS = {
    "ValueError": "TypeError",
    "TypeError": "ValueError",
    "KeyError": "IndexError",
    "IndexError": "KeyError",
    "AttributeError": "KeyError",
    "RuntimeError": "ValueError",
    "OSError": "ValueError",
    "ZeroDivisionError": "ValueError",
    "OverflowError": "ValueError",
    "StopIteration": "IndexError",
    "FileNotFoundError": "FileExistsError",
    "ImportError": "AttributeError",
    "UnicodeDecodeError": "LookupError",
}
SYMMETRIC = {"max", "min", "gcd", "isclose"}
"""Calls whose first two arguments may change places without any effect."""
LEFT_ALONE = {
    cst.Annotation,
    cst.ConcatenatedString,
    cst.Decorator,
    cst.FormattedString,
    cst.Parameters,
    cst.Raise,
}
"""Nothing in these is changed; what an exception is called is read off the `raise` itself."""
SHOWN_AS = {0xDC00 + byte: 0xF0000 + byte for byte in range(0x80, 0x100)}
"""libcst takes no surrogates: while it reads, a byte that did not decode is a character for private
use."""


@dataclass(frozen=True)
class Site:
    """A place and what could stand there. Positions are those of the parsed text."""

    operator: str
    start: Position
    end: Position
    new: str


@dataclass
class Body:
    """The text of a function, and where each of its nodes stands."""

    lines: list[str]
    positions: Mapping[cst.CSTNode, CodeRange]
    statements: Sequence[cst.CSTNode]
    """Of the function itself, without its docstring."""
    endless: set[cst.CSTNode] = field(default_factory=set)
    """The tests of its `while` loops: `while True` is a way of writing, not a constant that
    somebody got wrong."""

    def span(self, node: cst.CSTNode) -> tuple[Position, Position]:
        """Without the whitespace, comments and parentheses around it."""
        at = self.positions[node]
        return (at.start.line, at.start.column), (at.end.line, at.end.column)

    def code(self, node: cst.CSTNode) -> str:
        return between(self.lines, *self.span(node))

    def change(self, node: cst.CSTNode, new: str) -> Change:
        """Something else in the node's place."""
        return (*self.span(node), new)

    def mapped(self, node: cst.CSTNode, table: Mapping[Any, str]) -> Iterator[Change]:
        if type(node) in table:
            yield self.change(node, table[type(node)])

    def shifted(self, bound: cst.BaseExpression, by: str) -> Change:
        """The bound and so much more or less."""
        binds = (cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.Integer)
        code = self.code(bound)
        plain = isinstance(bound, binds) and not bound.lpar
        return self.change(bound, f"{code} {by}" if plain else f"({code}) {by}")


# ------------------------------------------------------------------------- operators and constants


def comparison_boundary(body: Body, node: cst.ComparisonTarget) -> Iterator[Change]:
    """`<` becomes `<=`, `>=` becomes `>`, and the other way round."""
    return body.mapped(node.operator, BOUNDARY)


def comparison_flipped(body: Body, node: cst.ComparisonTarget) -> Iterator[Change]:
    """`==` becomes `!=`, `<` becomes `>`, `in` becomes `not in`, `is` becomes `is not`, and the
    other way round."""
    return body.mapped(node.operator, FLIPPED)


def and_or_swapped(body: Body, node: cst.BooleanOperation) -> Iterator[Change]:
    """`and` becomes `or`, and the other way round."""
    yield body.change(node.operator, "or" if isinstance(node.operator, cst.And) else "and")


def arithmetic_operator(body: Body, node: cst.BinaryOperation) -> Iterator[Change]:
    """`+` becomes `-`, `*` becomes `+`, `/` becomes `//`, `**` becomes `*`, `&` becomes `|`, and so
    on."""
    texts = (cst.SimpleString, cst.FormattedString, cst.ConcatenatedString)
    if not isinstance(node.left, texts) and not isinstance(node.right, texts):
        yield from body.mapped(node.operator, ARITHMETIC)


def augmented_assignment(body: Body, node: cst.AugAssign) -> Iterator[Change]:
    """`+=` becomes `-=` or `=`, `*=` becomes `+=`, `|=` becomes `&=`, and so on."""
    yield from body.mapped(node.operator, AUGMENTED)
    yield body.change(node.operator, "=")


def off_by_one(body: Body, node: cst.Integer) -> Iterator[Change]:
    """A whole number one up or down."""
    if node.value.isdecimal() and len(node.value) < 10:
        yield body.change(node, str(int(node.value) + 1))
        if int(node.value) > 0:
            yield body.change(node, str(int(node.value) - 1))


def boolean_constant(body: Body, node: cst.Name) -> Iterator[Change]:
    """`True` becomes `False`, and the other way round."""
    if node.value in ("True", "False") and node not in body.endless:
        yield body.change(node, "False" if node.value == "True" else "True")


def string_constant(body: Body, node: cst.SimpleString) -> Iterator[Change]:
    """A string without its last character; an empty one becomes a space."""
    code, quote = body.code(node), node.quote
    if "\\" in code or len(quote) == 3:
        return
    start = len(node.prefix) + len(quote)
    content = code[start : -len(quote)][:-1] if node.raw_value else " "
    yield body.change(node, code[:start] + content + quote)


# -------------------------------------------------------------------------------------- conditions


def condition_negated(body: Body, node: cst.If | cst.While | cst.IfExp) -> Iterator[Change]:
    """The test of an `if`, `while` or conditional expression gets or loses a `not`. Comparisons
    have operators of their own."""
    test = node.test
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        if not test.expression.lpar:
            yield body.change(test, body.code(test.expression))
    elif isinstance(test, (cst.Name, cst.Call, cst.Attribute, cst.Subscript)):
        if not (isinstance(test, cst.Name) and test.value in ("True", "False")):
            yield body.change(test, f"not {body.code(test)}")
    elif isinstance(test, cst.BooleanOperation):
        yield body.change(test, f"not ({body.code(test)})")


# ------------------------------------------------------------------------------------------- calls


def argument_order(body: Body, node: cst.Call) -> Iterator[Change]:
    """The first two arguments of a call change places."""
    arguments = _positional(node)
    if len(arguments) < 2 or _called(node) in SYMMETRIC:
        return
    first, second = arguments[:2]
    a, b = body.code(first), body.code(second)
    if not first.lpar and not second.lpar and a != b:
        (start, middle), (resumed, end) = body.span(first), body.span(second)
        yield start, end, b + between(body.lines, middle, resumed) + a


def sibling_function(body: Body, node: cst.Call) -> Iterator[Change]:
    """`min` becomes `max`, `any` becomes `all`, `startswith` becomes `endswith`, `floor` becomes
    `ceil`, and so on."""
    name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
    if _called(node) in SIBLINGS:
        yield body.change(name, SIBLINGS[_called(node)])


def range_bound(body: Body, node: cst.Call) -> Iterator[Change]:
    """`range` ends one earlier or later."""
    arguments = _positional(node)
    if _called(node) == "range" and len(arguments) in (1, 2):
        yield body.shifted(arguments[-1], "- 1")
        yield body.shifted(arguments[-1], "+ 1")


def slice_bound(body: Body, node: cst.Slice) -> Iterator[Change]:
    """A bound of a slice is left out, or off by one."""
    lower, upper = node.lower, node.upper
    if lower is not None and not lower.lpar:
        yield body.change(lower, "")
        if not isinstance(lower, cst.Integer):
            yield body.shifted(lower, "+ 1")
    if upper is not None and not upper.lpar and not isinstance(upper, cst.Integer):
        yield body.shifted(upper, "- 1")


def default_value(body: Body, node: cst.Call | cst.Return | cst.Assign) -> Iterator[Change]:
    """`a or b` becomes `a`, `.get(key, default)` becomes `.get(key)`."""
    if isinstance(node, cst.Call):
        arguments = _positional(node)
        if _called(node) == "get" and len(arguments) == len(node.args) == 2:
            key, default = arguments
            if not key.rpar and not default.rpar:
                yield body.span(key)[1], body.span(default)[1], ""
        return
    value = node.value
    if isinstance(value, cst.BooleanOperation) and isinstance(value.operator, cst.Or):
        if not value.lpar and not value.left.lpar:
            yield body.change(value, body.code(value.left))


def _called(node: cst.Call) -> str:
    """The last part of the called function's name; "" where it has none."""
    name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
    return name.value if isinstance(name, cst.Name) else ""


def _positional(node: cst.Call) -> list[cst.BaseExpression]:
    """The arguments before the first that is named or unpacked."""
    plain = []
    for argument in node.args:
        if argument.keyword is not None or argument.star:
            break
        plain.append(argument.value)
    return plain


# -------------------------------------------------------------------------------------- statements


def return_value_dropped(body: Body, node: cst.Return) -> Iterator[Change]:
    """`return x` becomes `return`."""
    is_none = isinstance(node.value, cst.Name) and node.value.value == "None"
    if node.value is not None and not is_none and len(body.statements) != 1:
        yield body.change(node, "return")


def loop_exit(body: Body, node: cst.Break | cst.Continue) -> Iterator[Change]:
    """`break` becomes `continue`, and the other way round."""
    yield body.change(node, "continue" if isinstance(node, cst.Break) else "break")


def exception_type(body: Body, node: cst.Raise | cst.ExceptHandler) -> Iterator[Change]:
    """Another built-in exception is raised or caught."""
    kind = node.type if isinstance(node, cst.ExceptHandler) else node.exc
    if isinstance(node, cst.Raise) and isinstance(kind, cst.Call):
        kind = kind.func
    if isinstance(kind, cst.Name) and kind.value in EXCEPTIONS:
        yield body.change(kind, EXCEPTIONS[kind.value])


def statement_dropped(body: Body, node: cst.IndentedBlock) -> Iterator[Change]:
    """A call, an assignment to an attribute or item, an augmented assignment, or an `if` that
    leaves early, is gone. Whole lines, with what stands behind the statement on the last of them;
    comments above it stay. A block keeps at least a `pass`."""
    for statement in filter(_may_go, node.body):
        start, end = body.span(statement)
        # A compound statement's position may end at the start of the line after it.
        last = end[0] - 1 if end[1] == 0 else end[0]
        line, above = body.lines[last - 1], start[0] - 1
        if body.lines[start[0] - 1][: start[1]].strip():
            continue
        if len(node.body) == 1:
            yield start, (last, len(line) - line.endswith("\r")), "pass"
        else:
            yield (above, len(body.lines[above - 1])), (last, len(line)), ""


def early_return(body: Body, node: cst.IndentedBlock) -> Iterator[Change]:
    """The `return` after a loop slips into it. The return behind a loop at the indentation of the
    loop's body."""
    for loop, after in zip(node.body, node.body[1:]):
        if not isinstance(loop, (cst.For, cst.While)) or loop.orelse is not None:
            continue
        if not isinstance(loop.body, cst.IndentedBlock) or not _returns(after):
            continue
        inner, (start, end) = body.span(loop.body.body[0])[0], body.span(after)
        indent = body.lines[inner[0] - 1][: inner[1]]
        outer = body.lines[start[0] - 1][: start[1]]
        if start[0] == end[0] and not indent.strip() and indent.startswith(outer):
            yield start, start, indent[start[1] :]


def _returns(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(
        statement.body[0], cst.Return
    )


def _may_go(statement: cst.CSTNode) -> bool:
    """Whether a person could have forgotten it, and the rest would still be a function."""
    if isinstance(statement, cst.If):
        last: cst.CSTNode = statement.body.body[-1]
        if isinstance(last, cst.SimpleStatementLine):
            last = last.body[-1]
        leaves = isinstance(last, (cst.Return, cst.Raise, cst.Continue, cst.Break))
        return statement.orelse is None and leaves
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return False
    small = statement.body[0]
    if isinstance(small, cst.Assign):
        return all(isinstance(t.target, (cst.Attribute, cst.Subscript)) for t in small.targets)
    if isinstance(small, cst.Expr):
        return isinstance(small.value, (cst.Call, cst.Await))
    return isinstance(small, (cst.AugAssign, cst.Del))


# --------------------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Operator:
    """One kind of change."""

    name: str
    changes: Callable[[Body, Any], Iterator[Change]]
    """What it does. It is only given nodes of these types:"""
    nodes: tuple[type[cst.CSTNode], ...]


OPERATORS = (
    Operator("comparison boundary", comparison_boundary, (cst.ComparisonTarget,)),
    Operator("comparison flipped", comparison_flipped, (cst.ComparisonTarget,)),
    Operator("condition negated", condition_negated, (cst.If, cst.While, cst.IfExp)),
    Operator("and/or swapped", and_or_swapped, (cst.BooleanOperation,)),
    Operator("arithmetic operator", arithmetic_operator, (cst.BinaryOperation,)),
    Operator("augmented assignment", augmented_assignment, (cst.AugAssign,)),
    Operator("off by one", off_by_one, (cst.Integer,)),
    Operator("boolean constant", boolean_constant, (cst.Name,)),
    Operator("string constant", string_constant, (cst.SimpleString,)),
    Operator("argument order", argument_order, (cst.Call,)),
    Operator("sibling function", sibling_function, (cst.Call,)),
    Operator("range bound", range_bound, (cst.Call,)),
    Operator("slice bound", slice_bound, (cst.Slice,)),
    Operator("default value", default_value, (cst.Call, cst.Return, cst.Assign)),
    Operator("return value dropped", return_value_dropped, (cst.Return,)),
    Operator("early return", early_return, (cst.IndentedBlock,)),
    Operator("statement dropped", statement_dropped, (cst.IndentedBlock,)),
    Operator("loop exit", loop_exit, (cst.Break, cst.Continue)),
    Operator("exception type", exception_type, (cst.Raise, cst.ExceptHandler)),
)

_BY_NODE: dict[type[cst.CSTNode], list[Operator]] = {}
for _operator in OPERATORS:
    for _node in _operator.nodes:
        _BY_NODE.setdefault(_node, []).append(_operator)


class _Finder(cst.CSTVisitor):
    """Tries the operators on every node."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body
        self.found: list[Site] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.While):
            self.body.endless.add(node.test)
        if type(node) in _BY_NODE:
            self.try_on(node)
        if isinstance(node, cst.Expr):
            return not isinstance(node.value, cst.SimpleString)
        return type(node) not in LEFT_ALONE

    def try_on(self, node: cst.CSTNode) -> None:
        for operator in _BY_NODE.get(type(node), ()):
            for start, end, new in operator.changes(self.body, node):
                self.found.append(Site(operator.name, start, end, new))


def sites(source: str) -> list[Site]:
    """Every place in the one function of `source` (it may stand under an `if`) that an operator
    knows; [] where libcst cannot read it."""
    shown = source.translate(SHOWN_AS)
    try:
        module = cst.parse_module(shown)
        if module.code != shown:
            return []
        outer = module.body[0]
        function = outer.body.body[0] if isinstance(outer, cst.If) else outer
        if not isinstance(function, cst.FunctionDef):
            return []
        positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
        return _sites_of(function, source, positions)
    except (cst.ParserSyntaxError, UnicodeError, RecursionError):
        return []


def _sites_of(
    function: cst.FunctionDef, source: str, positions: Mapping[cst.CSTNode, Any]
) -> list[Site]:
    block, statements = function.body, list(function.body.body)
    is_block = isinstance(block, cst.IndentedBlock)
    if is_block and function.get_docstring(clean=False) is not None:
        del statements[0]
    finder = _Finder(Body(source.split("\n"), positions, statements))
    finder.try_on(block)
    for statement in statements:
        statement.visit(finder)
    return finder.found


def between(lines: list[str], start: Position, end: Position) -> str:
    """The text from `start` to `end`."""
    part = lines[start[0] - 1 : end[0]]
    part[-1] = part[-1][: end[1]]
    part[0] = part[0][start[1] :]
    return "\n".join(part)
