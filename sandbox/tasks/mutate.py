"""Mutants: one small change to a function's body that a person could have made. Everything else
stays byte for byte.

    for mutant in mutants(text, function, seed="0/lib/text.py::words", count=3):
        mutant.operator, mutant.before, mutant.after      # "comparison boundary", "<", "<="
        mutant.text                                       # the whole file with that one change

`OPERATORS` says what is changed. Only the function's own lines are parsed (libcst keeps track of
where each token stands), and the change is put into them as text, so line ends, comments, coding
lines and bytes that are not UTF-8 stay as they are. Signature, decorators, docstring, annotations,
f-strings and the messages of exceptions are never changed.

**Which of them.** The seed draws. Duplicates are thinned before anything runs: of the mutants of
one function no two change the same place, and no two take away the same text, so that no one answer
("put the `<` back") mends two of them; as long as there are operators that have not been used, none
is used twice. Mutants that behave like the original need no rule: no test notices them.
"""

import ast
import hashlib
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from sandbox.source import Function, source_of

OPERATORS = {
    "comparison boundary": "`<` becomes `<=`, `>=` becomes `>`, and the other way round",
    "comparison flipped": "`==` becomes `!=`, `<` becomes `>`, `in` becomes `not in`, `is` becomes "
    "`is not`, and the other way round",
    "condition negated": "the test of an `if`, `while` or conditional expression gets or loses a "
    "`not`",
    "and/or swapped": "`and` becomes `or`, and the other way round",
    "arithmetic operator": "`+` becomes `-`, `*` becomes `+`, `/` becomes `//`, `**` becomes `*`, "
    "`&` becomes `|`, and so on",
    "augmented assignment": "`+=` becomes `-=` or `=`, `*=` becomes `+=`, `|=` becomes `&=`, and "
    "so on",
    "off by one": "a whole number one up or down",
    "boolean constant": "`True` becomes `False`, and the other way round",
    "string constant": "a string without its last character; an empty one becomes a space",
    "argument order": "the first two arguments of a call change places",
    "sibling function": "`min` becomes `max`, `any` becomes `all`, `startswith` becomes "
    "`endswith`, `floor` becomes `ceil`, and so on",
    "range bound": "`range` ends one earlier or later",
    "slice bound": "a bound of a slice is left out, or off by one",
    "default value": "`a or b` becomes `a`, `.get(key, default)` becomes `.get(key)`",
    "return value dropped": "`return x` becomes `return`",
    "early return": "the `return` after a loop slips into it",
    "statement dropped": "a call, an assignment to an attribute or item, an augmented assignment, "
    "or an `if` that leaves early, is gone",
    "loop exit": "`break` becomes `continue`, and the other way round",
    "exception type": "another built-in exception is raised or caught",
}
MAX_LINES = 400
"""A longer function is left alone: nobody could be asked to look through it for one token."""

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
SHOWN_AS = {0xDC00 + byte: 0xF0000 + byte for byte in range(0x80, 0x100)}
"""libcst takes no surrogates: while it reads, a byte that did not decode is a character for private
use."""


@dataclass(frozen=True)
class Mutant:
    """One change, and the file with it."""

    operator: str
    before: str
    after: str
    text: str


@dataclass(frozen=True)
class Site:
    """A place and what could stand there. Positions are (line, column) of the parsed text, lines
    from 1."""

    operator: str
    start: tuple[int, int]
    end: tuple[int, int]
    new: str


def mutants(text: str, function: Function, seed: str, count: int) -> list[Mutant]:
    """At most `count` mutants of the function, drawn by the seed and thinned as said above; []
    where it cannot be taken apart."""
    source = source_of(text, function)
    if function.last - function.first >= MAX_LINES:
        return []
    # A method alone is not a module; under an `if` it is one, and no byte of it has to be moved.
    wrapper = "if 1:\n" if source[:1] in (" ", "\t") else ""
    alone = f"{wrapper}{source}\n"
    found, lines = sites(alone), alone.split("\n")
    order = sorted(found, key=lambda s: _drawn(f"{seed}/{s.operator}/{s.start}/{s.new}"))
    chosen: list[tuple[Site, Mutant]] = []
    for repeat in (False, True):
        for site in order:
            if len(chosen) >= count:
                break
            before = _between(lines, site.start, site.end)
            if any(
                _overlap(site, other)
                or before.strip() == mutant.before.strip()
                or (site.operator == other.operator and not repeat)
                for other, mutant in chosen
            ):
                continue
            changed = _replaced(lines, site)
            if _parses(changed):
                whole = [
                    *text.split("\n")[: function.first - 1],
                    changed[len(wrapper) : -1],
                    *text.split("\n")[function.last :],
                ]
                chosen.append((site, Mutant(site.operator, before, site.new, "\n".join(whole))))
    return [mutant for _, mutant in chosen]


def _drawn(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


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
        finder = _Finder(source)
        finder.look_into(MetadataWrapper(module, unsafe_skip_copy=True), function)
    except (cst.ParserSyntaxError, UnicodeError, RecursionError):
        return []
    return finder.found


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    part = lines[start[0] - 1 : end[0]]
    part[-1] = part[-1][: end[1]]
    part[0] = part[0][start[1] :]
    return "\n".join(part)


def _replaced(lines: list[str], site: Site) -> str:
    (first, left), (last, right) = site.start, site.end
    return "\n".join(
        [
            *lines[: first - 1],
            lines[first - 1][:left] + site.new + lines[last - 1][right:],
            *lines[last:],
        ]
    )


def _overlap(a: Site, b: Site) -> bool:
    return a.start < b.end and b.start < a.end or a.start == b.start


def _parses(source: str) -> bool:
    try:
        ast.parse(source.translate(SHOWN_AS))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


class _Finder(cst.CSTVisitor):
    """Collects the sites of one function."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, source: str) -> None:
        super().__init__()
        self.lines, self.found = source.split("\n"), []
        self._only_statement, self._endless = False, None

    def look_into(self, wrapper: MetadataWrapper, function: cst.FunctionDef) -> None:
        with self.resolve(wrapper):
            statements, block = function.body.body, isinstance(function.body, cst.IndentedBlock)
            if block and function.get_docstring(clean=False) is not None:
                statements = statements[1:]
            self._only_statement = len(statements) == 1
            if block:
                self._block(function.body, statements)
            for statement in statements:
                statement.visit(self)

    # --------------------------------------------------------------------------------------- places

    def _span(self, node: cst.CSTNode) -> tuple[tuple[int, int], tuple[int, int]]:
        """Without the whitespace, comments and parentheses around it."""
        at = self.get_metadata(PositionProvider, node)
        return (at.start.line, at.start.column), (at.end.line, at.end.column)

    def _code(self, node: cst.CSTNode) -> str:
        return _between(self.lines, *self._span(node))

    def _add(self, operator: str, node: cst.CSTNode, new: str) -> None:
        self.found.append(Site(operator, *self._span(node), new))

    def _mapped(self, operator: str, node: cst.CSTNode, table: dict) -> None:
        if type(node) in table:
            self._add(operator, node, table[type(node)])

    # ------------------------------------------------------------------------ what is never changed

    def visit_Annotation(self, node: cst.Annotation) -> bool:
        return False

    def visit_FormattedString(self, node: cst.FormattedString) -> bool:
        return False

    def visit_ConcatenatedString(self, node: cst.ConcatenatedString) -> bool:
        return False

    def visit_Decorator(self, node: cst.Decorator) -> bool:
        return False

    def visit_Parameters(self, node: cst.Parameters) -> bool:
        return False

    def visit_Expr(self, node: cst.Expr) -> bool:
        return not isinstance(node.value, cst.SimpleString)

    def visit_Raise(self, node: cst.Raise) -> bool:
        kind = node.exc.func if isinstance(node.exc, cst.Call) else node.exc
        self._exception(kind)
        return False

    # ---------------------------------------------------------------------- operators and constants

    def visit_ComparisonTarget(self, node: cst.ComparisonTarget) -> None:
        self._mapped("comparison boundary", node.operator, BOUNDARY)
        self._mapped("comparison flipped", node.operator, FLIPPED)

    def visit_BooleanOperation(self, node: cst.BooleanOperation) -> None:
        self._add(
            "and/or swapped", node.operator, "or" if isinstance(node.operator, cst.And) else "and"
        )

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:
        texts = (cst.SimpleString, cst.FormattedString, cst.ConcatenatedString)
        if not isinstance(node.left, texts) and not isinstance(node.right, texts):
            self._mapped("arithmetic operator", node.operator, ARITHMETIC)

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        self._mapped("augmented assignment", node.operator, AUGMENTED)
        self._add("augmented assignment", node.operator, "=")

    def visit_Integer(self, node: cst.Integer) -> None:
        if node.value.isdecimal() and len(node.value) < 10:
            self._add("off by one", node, str(int(node.value) + 1))
            if int(node.value) > 0:
                self._add("off by one", node, str(int(node.value) - 1))

    def visit_Name(self, node: cst.Name) -> None:
        if node.value in ("True", "False") and node is not self._endless:
            self._add("boolean constant", node, "False" if node.value == "True" else "True")

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        code, content = self._code(node), node.raw_value
        if "\\" in code or len(node.quote) == 3:
            return
        start = len(node.prefix) + len(node.quote)
        self._add(
            "string constant",
            node,
            code[:start] + (code[start : -len(node.quote)][:-1] if content else " ") + node.quote,
        )

    # ----------------------------------------------------------------------------------- conditions

    def visit_If(self, node: cst.If) -> None:
        self._condition(node.test)

    def visit_While(self, node: cst.While) -> None:
        self._endless = (
            node.test
        )  # `while True` is a way of writing, not a constant that somebody got wrong
        self._condition(node.test)

    def visit_IfExp(self, node: cst.IfExp) -> None:
        self._condition(node.test)

    def _condition(self, test: cst.BaseExpression) -> None:
        """Comparisons have operators of their own."""
        if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
            if not test.expression.lpar:
                self._add("condition negated", test, self._code(test.expression))
        elif isinstance(test, (cst.Name, cst.Call, cst.Attribute, cst.Subscript)) and getattr(
            test, "value", ""
        ) not in ("True", "False"):
            self._add("condition negated", test, f"not {self._code(test)}")
        elif isinstance(test, cst.BooleanOperation):
            self._add("condition negated", test, f"not ({self._code(test)})")

    # ---------------------------------------------------------------------------------------- calls

    def visit_Call(self, node: cst.Call) -> None:
        function = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
        name = function.value if isinstance(function, cst.Name) else ""
        if name in SIBLINGS:
            self._add("sibling function", function, SIBLINGS[name])
        plain = [a.value for a in node.args if a.keyword is None and not a.star]
        if len(plain) != len(node.args):
            plain = plain[
                : next(i for i, a in enumerate(node.args) if a.keyword is not None or a.star)
            ]
        if len(plain) >= 2 and name not in SYMMETRIC:
            self._swap(*plain[:2])
        if name == "range" and len(plain) in (1, 2):
            self._add("range bound", plain[-1], self._shifted(plain[-1], "- 1"))
            self._add("range bound", plain[-1], self._shifted(plain[-1], "+ 1"))
        if (
            name == "get"
            and len(plain) == len(node.args) == 2
            and not plain[0].rpar
            and not plain[1].rpar
        ):
            self.found.append(
                Site("default value", self._span(plain[0])[1], self._span(plain[1])[1], "")
            )

    def _swap(self, first: cst.BaseExpression, second: cst.BaseExpression) -> None:
        a, b = self._code(first), self._code(second)
        if first.lpar or second.lpar or a == b:
            return
        (start, middle), (middle_2, end) = self._span(first), self._span(second)
        self.found.append(
            Site("argument order", start, end, b + _between(self.lines, middle, middle_2) + a)
        )

    def _shifted(self, bound: cst.BaseExpression, by: str) -> str:
        simple = (
            isinstance(bound, (cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.Integer))
            or bound.lpar
        )
        return (
            f"{self._code(bound)} {by}"
            if simple and not bound.lpar
            else f"({self._code(bound)}) {by}"
        )

    def visit_Slice(self, node: cst.Slice) -> None:
        if node.lower is not None and not node.lower.lpar:
            self._add("slice bound", node.lower, "")
            if not isinstance(node.lower, cst.Integer):
                self._add("slice bound", node.lower, self._shifted(node.lower, "+ 1"))
        if (
            node.upper is not None
            and not node.upper.lpar
            and not isinstance(node.upper, cst.Integer)
        ):
            self._add("slice bound", node.upper, self._shifted(node.upper, "- 1"))

    # ----------------------------------------------------------------------------------- statements

    def visit_Return(self, node: cst.Return) -> None:
        self._default(node.value)
        if (
            node.value is not None
            and getattr(node.value, "value", "") != "None"
            and not self._only_statement
        ):
            self._add("return value dropped", node, "return")

    def visit_Assign(self, node: cst.Assign) -> None:
        self._default(node.value)

    def _default(self, value: cst.BaseExpression | None) -> None:
        if (
            isinstance(value, cst.BooleanOperation)
            and isinstance(value.operator, cst.Or)
            and not value.lpar
            and not value.left.lpar
        ):
            self._add("default value", value, self._code(value.left))

    def visit_Break(self, node: cst.Break) -> None:
        self._add("loop exit", node, "continue")

    def visit_Continue(self, node: cst.Continue) -> None:
        self._add("loop exit", node, "break")

    def visit_ExceptHandler(self, node: cst.ExceptHandler) -> None:
        self._exception(node.type)

    def _exception(self, kind: cst.BaseExpression | None) -> None:
        if isinstance(kind, cst.Name) and kind.value in EXCEPTIONS:
            self._add("exception type", kind, EXCEPTIONS[kind.value])

    # --------------------------------------------------------------------------------------- blocks

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:
        self._block(node, node.body)

    def _block(self, block: cst.IndentedBlock, statements) -> None:
        """What may be dropped of a block's statements, and the returns that may slip into the loop
        above them."""
        for statement in statements:
            if self._may_go(statement):
                self._drop(statement, alone=len(block.body) == 1)
        for loop, after in zip(statements, statements[1:]):
            self._slip(loop, after)

    def _may_go(self, statement: cst.BaseStatement) -> bool:
        if isinstance(statement, cst.If):
            body = statement.body.body
            last = body[-1].body[-1] if isinstance(body[-1], cst.SimpleStatementLine) else body[-1]
            return statement.orelse is None and isinstance(
                last, (cst.Return, cst.Raise, cst.Continue, cst.Break)
            )
        if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
            return False
        small = statement.body[0]
        if isinstance(small, cst.Assign):
            return all(isinstance(t.target, (cst.Attribute, cst.Subscript)) for t in small.targets)
        return (
            isinstance(small, (cst.AugAssign, cst.Del))
            or isinstance(small, cst.Expr)
            and isinstance(small.value, (cst.Call, cst.Await))
        )

    def _drop(self, statement: cst.BaseStatement, alone: bool) -> None:
        """Whole lines, with what stands behind it on the last of them; comments above it stay. A
        block keeps at least a `pass`."""
        start, end = self._span(statement)
        # A compound statement's position may end at the start of the line after it.
        if end[1] == 0:
            end = (end[0] - 1, 0)
        last = len(self.lines[end[0] - 1])
        if self.lines[start[0] - 1][: start[1]].strip():
            return
        if alone:
            self.found.append(
                Site(
                    "statement dropped",
                    start,
                    (end[0], last - self.lines[end[0] - 1].endswith("\r")),
                    "pass",
                )
            )
        else:
            self.found.append(
                Site(
                    "statement dropped",
                    (start[0] - 1, len(self.lines[start[0] - 2])),
                    (end[0], last),
                    "",
                )
            )

    def _slip(self, loop: cst.BaseStatement, after: cst.BaseStatement) -> None:
        """The return behind a loop at the indentation of the loop's body."""
        if (
            not isinstance(loop, (cst.For, cst.While))
            or loop.orelse is not None
            or not isinstance(loop.body, cst.IndentedBlock)
        ):
            return
        if not isinstance(after, cst.SimpleStatementLine) or not isinstance(
            after.body[0], cst.Return
        ):
            return
        inner, (start, end) = self._span(loop.body.body[0])[0], self._span(after)
        indent = self.lines[inner[0] - 1][: inner[1]]
        if (
            start[0] == end[0]
            and not indent.strip()
            and indent.startswith(self.lines[start[0] - 1][: start[1]])
        ):
            self.found.append(Site("early return", start, start, indent[start[1] :]))
