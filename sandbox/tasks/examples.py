"""Examples in documentation as tests: what stands behind `>>>` in docstrings and text files, taken
apart by the standard library's own `doctest` parser.

    examples, passed_over = examples_of(repository, sources)
    examples[0].made()                  # the test: the code before it that it needs, and one assertion
    text = without_examples(text, {"Cart.total"})      # docstrings with nothing but their words

**One example is one test.** In a docstring the examples run one after the other; so a test is the
example and, of what stands before it, what gives it its names. What a name of the module is, is
imported. What is expected becomes an assertion that a person would have written: `== 3` where a
value is shown, the printed text, the class of the exception. (Its message is not compared: nobody
could guess it.) An example whose output is given in part (`...`) or that is to be skipped is none.
"""

import ast
import builtins
import doctest
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from sandbox.judge.twins import replace_expression
from sandbox.reasons import Reasons
from sandbox.repo import Repository
from sandbox.source import FUNCTIONS, STATEMENTS, at_column, parse, read_text
from sandbox.tasks.made_tests import Made, module_of

GIVING = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.For, ast.With)
"""Statements whose names stand for what later ones may change."""
DOCUMENTED = (ast.Module, ast.ClassDef, *FUNCTIONS)
TEXTS = (".rst", ".md", ".txt")
"""What files of words are called."""
MAX_BYTES, MAX_EXAMPLES = 1 << 20, 400
"""Of a file with examples, and how many of one text are looked at."""
MARK = ">>>"
BLANK_LINE, IN_PART = "<BLANKLINE>", "..."
OPTIONS = doctest.OPTIONFLAGS_BY_NAME
FENCE = re.compile(r"^\s*(```|~~~).*$", re.MULTILINE)
QUOTED = re.compile(r"(?s)([A-Za-z]*)('''|\"\"\")(.*)\2$")
"""A docstring of several lines as it stands: prefix, quotes, text."""


@dataclass(frozen=True)
class Example:
    """One example that shows what comes of it."""

    file: str
    owner: str
    """Qualified name of what the docstring is of; "" for a module's own, and in a file of words."""
    number: int
    """Among the examples of that text, from 1."""
    code: ast.stmt = field(compare=False)
    source: str
    want: str
    raised: str
    """Name of the exception's class; "" where there is none."""
    before: tuple[str, ...] = ()
    """The code before it that it needs."""
    imports: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        place = self.owner or re.sub(r"\.py$", "", self.file)
        words = re.sub(r"\W+", "_", place, flags=re.ASCII).strip("_")
        return f"test_{words}_{self.number}"

    @property
    def said(self) -> tuple[str, str]:
        """What it says: the same example may stand in several places."""
        return self.source, self.want

    @property
    def place(self) -> str:
        return f"{self.file}::{self.owner}" if self.owner else self.file

    def made(self) -> Made | None:
        """The test; None where nobody can tell what is expected."""
        lines = _assertion(self)
        if lines is None:
            return None
        wanted = {"pytest": "pytest.", "io": "io.", "contextlib": "contextlib."}
        modules = [f"import {m}" for m, use in wanted.items() if any(use in line for line in lines)]
        return Made(self.name, (*self.before, *lines), (*modules, *self.imports))


def _assertion(example: Example) -> list[str] | None:
    code, want = example.code, example.want
    if example.raised:
        return [
            "with pytest.raises(Exception) as raised:",
            *(f"    {line}" for line in example.source.split("\n")),
            f"assert type(raised.value).__name__ == {example.raised!r}",
        ]
    if isinstance(code, ast.Expr) and not _prints(code.value):
        said = ast.unparse(code.value)
        try:
            value = ast.literal_eval(want.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None if IN_PART in want else [f"assert repr({said}) == {want.rstrip()!r}"]
        return None if "Ellipsis" in repr(value) else [f"assert {said} == {value!r}"]
    if IN_PART in want:
        return None
    return [
        "out = io.StringIO()",
        "with contextlib.redirect_stdout(out):",
        *(f"    {line}" for line in example.source.split("\n")),
        f"assert out.getvalue() == {want!r}",
    ]


def _prints(value: ast.expr) -> bool:
    called = value.func if isinstance(value, ast.Call) else None
    return isinstance(called, ast.Name) and called.id in ("print", "pprint")


# ------------------------------------------------------------------------------- where they stand


def examples_of(repository: Repository, sources: Iterable[str]) -> tuple[list[Example], Reasons]:
    """All examples that make a test, in the order of files and lines, and why others do not:
    those in docstrings of these source files, and in the project's files of words."""
    found: list[Example] = []
    reasons = Reasons()
    words = [file for file in repository.project_files if file.endswith(TEXTS)]
    for file in [*sources, *words]:
        path = repository.snapshot / file
        text = read_text(path)
        if len(text) > MAX_BYTES:
            reasons.add("file that is too large to look for examples in", file)
        elif MARK in text:
            module = module_of(repository, file) if file.endswith(".py") else ""
            found += _in_file(file, text, module, reasons)
    return found, reasons


def _in_file(file: str, text: str, module: str, reasons: Reasons) -> Iterator[Example]:
    if not file.endswith(".py"):
        yield from _in_text(file, "", FENCE.sub("", text), "", frozenset(), reasons)
        return
    try:
        names = _names_of(text)
        owners = docstrings(text)
    except SyntaxError:  # `excluded` has it already
        return
    for owner, node in owners.items():
        assert isinstance(node.value, str)
        if MARK in node.value:
            yield from _in_text(file, owner, node.value, module, names, reasons)


def _in_text(
    file: str, owner: str, text: str, module: str, names: frozenset[str], reasons: Reasons
) -> Iterator[Example]:
    place = f"{file}::{owner}" if owner else file
    try:
        parsed = doctest.DocTestParser().get_examples(text.replace("\r", ""))
    except ValueError:
        reasons.add("documentation with examples that doctest cannot take apart", place)
        return
    before: list[_Step] = []
    if len(parsed) > MAX_EXAMPLES:
        reasons.add(f"documentation with more than {MAX_EXAMPLES} examples, the others", place)
    for number, example in enumerate(parsed[:MAX_EXAMPLES], 1):
        step = _Step.of(example)
        if step is None or example.options.get(OPTIONS["SKIP"]):
            reasons.add("example that is to be skipped or cannot be taken apart", place)
            continue
        if example.want:
            needed, unknown = _needed(step, before)
            stars = [s.source for s in before if s.is_star and unknown]
            known = [f"from {module} import {n}" for n in sorted(unknown & names) if module]
            one = Example(
                file, owner, number, step.node, step.source,
                example.want.replace(BLANK_LINE, ""), step.raised,
                tuple(s.source for s in needed), (*stars, *known),
            )  # fmt: skip
            if one.made() is not None:
                yield one
            else:
                reasons.add("example whose output is given in part", place)
        before.append(step)


@dataclass(frozen=True)
class _Step:
    """An example as code."""

    node: ast.stmt
    source: str
    raised: str
    stores: frozenset[str]
    loads: frozenset[str]
    is_star: bool

    @classmethod
    def of(cls, example: doctest.Example) -> "_Step | None":
        """None where it is not one statement."""
        source = example.source.rstrip()
        try:
            body = ast.parse(source).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        if len(body) != 1:
            return None
        (node,) = body
        raised = (example.exc_msg or "").partition(":")[0].strip().rpartition(".")[2]
        if example.exc_msg is not None and not raised.isidentifier():
            return None
        stores, loads = _names_in(node)
        star = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        plain = isinstance(node, ast.Expr)
        return cls(node, ast.unparse(node) if plain else source, raised, stores, loads, star)


def _names_in(node: ast.AST) -> tuple[frozenset[str], frozenset[str]]:
    """(those that it gives something to, those that it uses)"""
    stores: set[str] = set()
    loads: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            (stores if isinstance(part.ctx, ast.Store) else loads).add(part.id)
        elif isinstance(part, (*FUNCTIONS, ast.ClassDef)):
            stores.add(part.name)
        elif isinstance(part, ast.arg):
            stores.add(part.arg)
        elif isinstance(part, ast.alias):
            stores.add(part.asname or part.name.partition(".")[0])
    return frozenset(stores), frozenset(loads)


def _needed(step: _Step, before: list[_Step]) -> tuple[list[_Step], set[str]]:
    """(what of the steps before gives the step its names, or does something to what they stand for;
    the names that nothing before it gives)"""
    given = {name for one in before if isinstance(one.node, GIVING) for name in one.stores}
    names, kept = set(step.loads), []
    for one in reversed(before):
        if one.is_star or one.raised:
            continue
        if one.stores & names or one.loads & names & given:
            kept.append(one)
            names |= one.loads
    stored = {name for one in kept for name in one.stores}
    return kept[::-1], names - stored - set(dir(builtins))


@lru_cache(maxsize=16)
def docstrings(text: str) -> dict[str, ast.Constant]:
    """{qualified name of what it is of, "" for the module: the docstring}, in the order of their
    lines; not those within functions. Raises SyntaxError."""
    found: dict[str, ast.Constant] = {}
    pending: list[tuple[ast.AST, str]] = [(parse(text), "")]
    for node, name in pending:
        first = node.body[0] if isinstance(node, DOCUMENTED) and node.body else None
        said = first.value if isinstance(first, ast.Expr) else None
        if isinstance(said, ast.Constant) and isinstance(said.value, str):
            found[name] = said
        if not isinstance(node, FUNCTIONS):
            for child in ast.iter_child_nodes(node):
                own = child.name if isinstance(child, (ast.ClassDef, *FUNCTIONS)) else ""
                if isinstance(child, STATEMENTS):
                    pending.append((child, ".".join(filter(None, (name, own)))))
    return dict(sorted(found.items(), key=lambda item: item[1].lineno))


def _names_of(text: str) -> frozenset[str]:
    """What the module defines or imports at its own level. Raises SyntaxError."""
    names: set[str] = set()
    pending: list[ast.AST] = list(parse(text).body)
    for node in pending:
        if isinstance(node, (ast.ClassDef, *FUNCTIONS)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom)):
            names |= _names_in(node)[0]
        else:
            pending += [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)]
    return frozenset(names - {"*"})


# ------------------------------------------------------------------------------- without them


def without_examples(text: str, owners: Iterable[str]) -> str:
    """The file with no examples in the docstrings of these ("" for the module's own)."""
    chosen = set(owners)
    nodes = [node for owner, node in docstrings(text).items() if owner in chosen]
    for node in reversed(nodes):
        if match := QUOTED.match(_as_it_stands(text, node)):
            prefix, quotes, said = match.groups()
            words = "\n".join(_words(said.split("\n")))
            text = replace_expression(text, node, f"{prefix}{quotes}{words}{quotes}")
    return text


def _as_it_stands(text: str, node: ast.Constant) -> str:
    assert node.end_lineno is not None and node.end_col_offset is not None
    lines = text.split("\n")[node.lineno - 1 : node.end_lineno]
    lines[-1] = at_column(lines[-1], node.end_col_offset)[0]
    lines[0] = at_column(lines[0], node.col_offset)[1]
    return "\n".join(lines)


def _words(lines: list[str]) -> list[str]:
    """The lines of a docstring but for examples: each is what begins with a mark, up to the next
    blank line."""
    kept: list[str] = []
    inside = False
    for line in lines:
        inside = bool(line.strip()) and (inside or line.strip().startswith(MARK))
        if not inside and (line.strip() or not kept or kept[-1].strip()):
            kept.append(line)
    while len(kept) > 1 and not kept[-1].strip():
        kept.pop()
    ends_apart = len(lines) > 1 and not lines[-1].strip()  # the quotes stand on a line of their own
    return [*kept, lines[-1]] if ends_apart else kept or [""]
