"""The training data of the nano student: the Python standard library, cut small.

Nothing is downloaded. The standard library of the running interpreter is parsed and two kinds of
material are kept:

- functions   whole short functions with the first line of their docstring, 25 % of the samples;
- fragments   expressions and runs of one to four statements, each turned into a function of its
              own whose parameters are the names it reads, 75 % of the samples.

A sample is drawn anew every time: names are exchanged for other names of the library, some
constants for other constants, and the docstring is mostly a *hint*: names, constants and operators
of the body, in order or shuffled, some left out. A sample looks like this:

    def split_mode(path, limit):
        \"\"\"path split '/' limit add 1\"\"\"
        return path.split('/', limit + 1)

So the model learns the syntax of Python and to use what the docstring mentions, and it never sees a
sentence that asks for something: what "at most" means is left to those who teach it later. No task
and no phrase of any repository outside of the standard library is in here.

The prompt of a sample is the line of `def` and the docstring, its completion the indented body as
`ast.unparse` writes it, so every body the model ever sees is formatted in one way.

Traps: the library's own tests are left out, because many distributions ship Python without them and
the data would then depend on how Python was packaged. Files that do not parse (some of lib2to3 are
written for Python 2 on purpose) are skipped. Everything iterated over is sorted or in the order of
the source, for sets of strings change their order from process to process.
"""

import ast
import builtins
import keyword
import os
import random
import re
import sysconfig
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

BUILTINS = frozenset(dir(builtins))
SKIPPED_FOLDERS = frozenset(
    {
        "__pycache__",
        "dist-packages",
        "encodings",
        "idlelib",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
    }
)
FUNCTION_SHARE = 0.25
HINT_SHARE_OF_FUNCTIONS = 0.7
HINT_SHARE_OF_FRAGMENTS = 0.9

# A fragment must make sense on its own: nothing that defines, imports, raises or manages resources.
UNWANTED_NODES = (
    ast.Lambda,
    ast.Await,
    ast.Yield,
    ast.YieldFrom,
    ast.FunctionDef,
    ast.ClassDef,
    ast.AsyncFunctionDef,
    ast.Import,
    ast.ImportFrom,
    ast.Global,
    ast.Nonlocal,
    ast.JoinedStr,
    ast.Try,
    ast.With,
    ast.Delete,
    ast.NamedExpr,
    ast.Starred,
    ast.Raise,
    ast.AsyncFor,
    ast.Assert,
)
UNWANTED_CALLS = frozenset(
    {
        "eval",
        "exec",
        "getattr",
        "globals",
        "hasattr",
        "id",
        "open",
        "print",
        "repr",
        "setattr",
        "super",
        "vars",
    }
)
EXPRESSIONS = (
    ast.BinOp,
    ast.Compare,
    ast.BoolOp,
    ast.ListComp,
    ast.Subscript,
    ast.IfExp,
    ast.DictComp,
    ast.SetComp,
    ast.Call,
)
BLOCKS = (ast.If, ast.For, ast.With, ast.Try, ast.While)
STATEMENTS = (ast.Assign, ast.AugAssign, ast.If, ast.For, ast.Return)
OPERATORS = (ast.operator, ast.cmpop, ast.boolop)


@dataclass(frozen=True)
class Corpus:
    """What was kept of the standard library; samples are drawn from it with `draw_sample`."""

    functions: list[tuple[str, str]]
    """(source without docstring and annotations, first line of the docstring or "")"""
    fragments: list[str]
    """source of an expression or of statements, with its names replaced by v0, v1, ..."""
    names: list[str]
    """common short lower-case names, the most common first"""
    literals: list[str]
    """common short strings; punctuation is repeated, so that it is drawn often"""


def read_standard_library(on_file: Callable[[int, int], None] | None = None) -> Corpus:
    """Parse the standard library of this interpreter; `on_file(done, total)` after each file."""
    functions: dict[str, str] = {}
    fragments: dict[str, None] = {}
    names: Counter[str] = Counter()
    files = library_files(Path(sysconfig.get_paths()["stdlib"]))
    for done, path in enumerate(files, start=1):
        tree = parse_file(path)
        if tree is not None:
            for source, docstring in short_functions(tree):
                functions.setdefault(source, docstring)
            names.update(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
            fragments.update(dict.fromkeys(fragments_of(tree)))
        if on_file:
            on_file(done, len(files))
    if not functions or not fragments:
        raise RuntimeError(
            "The nano student is made from the source of Python's standard library, "
            "and this interpreter has none (a zipped or stripped installation?)."
        )
    return Corpus(
        list(functions.items()), list(fragments), common_names(names), common_literals(fragments)
    )


def library_files(library: Path) -> list[Path]:
    """The library's own modules in a fixed order: no installed packages, no tests, no tables of
    data."""
    files = []
    for folder, subfolders, filenames in os.walk(library):
        subfolders[:] = sorted(set(subfolders) - SKIPPED_FOLDERS)
        files += [
            Path(folder, filename) for filename in sorted(filenames) if filename.endswith(".py")
        ]
    return files


def parse_file(path: Path) -> ast.Module | None:
    """The syntax tree, or None where the file is not Python of this version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in string literals
            return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return None


# ---------------------------------------------------------------------------------------- functions


def short_functions(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(source, first line of the docstring) of each function with a body of at most eight lines.

    Takes docstrings, decorators and annotations out of `tree`.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        docstring = ast.get_docstring(node) or ""
        body = node.body[1:] if docstring else node.body
        if not body or not is_plain_body(body):
            continue
        node.decorator_list, node.returns, node.body = [], None, body
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        yield ast.unparse(node), docstring.split("\n")[0][:90]


def is_plain_body(body: list[ast.stmt]) -> bool:
    nested = (
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Import,
        ast.ImportFrom,
        ast.Global,
        ast.Nonlocal,
    )
    if any(isinstance(node, nested) for statement in body for node in ast.walk(statement)):
        return False
    text = "\n".join(map(ast.unparse, body))
    if text in ("pass", "...", "raise NotImplementedError") or text.count("self.") > 3:
        return False
    return 6 <= len(text) <= 320 and text.count("\n") < 8


def sample_function(corpus: Corpus, rng: random.Random) -> tuple[str, str]:
    """One function with other names and constants, as (prompt, completion)."""
    source, docstring = rng.choice(corpus.functions)
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    renamed = rename_variables(function, corpus.names, rng)
    for old, new in renamed.items():
        docstring = re.sub(rf"\b{re.escape(old)}\b", new, docstring)
    replace_integers(function, rng)
    if not docstring or rng.random() < HINT_SHARE_OF_FUNCTIONS:
        docstring = function_hint(function.body, rng)
    docstring = docstring.replace('"""', "'''").replace("\\", "").rstrip('"')
    return prompt_of(function.name, ast.unparse(function.args), docstring), indent(function.body)


def rename_variables(
    function: ast.FunctionDef, names: list[str], rng: random.Random
) -> dict[str, str]:
    """Rename most parameters and local variables in place; returns {old: new}."""
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    own = [node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)]
    own += sorted(
        {
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
    )
    own = [
        name for name in dict.fromkeys(own) if name not in BUILTINS and name not in ("self", "cls")
    ]
    drawn = zip(own, rng.sample(names, len(own)))
    renamed = {
        old: new for old, new in drawn if rng.random() < 0.8 and new not in used and new not in own
    }
    Renamer(renamed).visit(function)
    return renamed


def replace_integers(function: ast.FunctionDef, rng: random.Random) -> None:
    replacement: dict[int, int] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            if node.value not in replacement:
                other = rng.choice([rng.randrange(10), rng.randrange(100), rng.randrange(10, 1000)])
                replacement[node.value] = other if rng.random() < 0.5 else node.value
            node.value = replacement[node.value]


def function_hint(body: list[ast.stmt], rng: random.Random) -> str:
    """A third to all of the words that the body is made of, mostly in the order of the tree."""
    words = list(
        dict.fromkeys(
            word for statement in body for node in ast.walk(statement) for word in words_of(node)
        )
    )
    if not words:
        return ""
    kept = rng.sample(range(len(words)), rng.randint(max(1, len(words) // 3), len(words)))
    words = [words[i] for i in sorted(kept)]
    if rng.random() < 0.3:
        rng.shuffle(words)
    return " ".join(words)[:120]


def words_of(node: ast.AST) -> list[str]:
    """The words by which a hint can mention this node alone."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if (
        isinstance(node, ast.Constant)
        and type(node.value) in (int, str)
        and len(str(node.value)) < 16
    ):
        return [repr(node.value)]
    if isinstance(node, (*OPERATORS, ast.stmt, ast.ListComp, ast.IfExp, ast.Subscript)):
        return [type(node).__name__.lower()]
    return []


# ---------------------------------------------------------------------------------------- fragments


def fragments_of(tree: ast.Module) -> Iterator[str]:
    """Expressions and runs of statements that stand on their own, with names v0, v1, ...

    Attributes of `self` in `tree` are turned into plain names first.
    """
    tree = SelfRemover().visit(tree)
    modules = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, EXPRESSIONS) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            if has_size(node, 4, 40) and stands_alone(node, modules):
                yield from canonical(node)
        elif isinstance(node, ast.FunctionDef):
            for run in statement_runs(node):
                module = ast.Module(run, type_ignores=[])
                if has_size(module, 8, 70) and stands_alone(module, modules):
                    yield from canonical(module)


class SelfRemover(ast.NodeTransformer):
    """self.total -> total"""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            name = node.attr.lstrip("_")
            return ast.Name("x" if not name or keyword.iskeyword(name) else name, node.ctx)
        return node


class Renamer(ast.NodeTransformer):
    def __init__(self, new_names: dict[str, str]) -> None:
        self.new_names = new_names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.new_names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.new_names.get(node.arg, node.arg)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        if node.name is not None:
            node.name = self.new_names.get(node.name, node.name)
        return self.generic_visit(node)


def has_size(node: ast.AST, least: int, most: int) -> bool:
    """Whether the tree has `least` to `most` nodes, counting no further than needed."""
    return least <= sum(1 for _ in islice(ast.walk(node), most + 1)) <= most


def statement_runs(function: ast.FunctionDef) -> Iterator[list[ast.stmt]]:
    """One to four consecutive statements of any block of the function, with `return` only at the
    end."""
    blocks = [function.body] + [
        node.body for node in ast.walk(function) if isinstance(node, BLOCKS)
    ]
    for block in blocks:
        for start in range(len(block)):
            for stop in range(start + 1, min(start + 4, len(block)) + 1):
                run = block[start:stop]
                if not isinstance(run[-1], STATEMENTS):
                    break
                yield run
                if isinstance(run[-1], ast.Return):
                    break


def stands_alone(fragment: ast.AST, modules: set[str]) -> bool:
    """Whether the fragment uses only local names, builtins, methods and short constants."""
    nodes = list(ast.walk(fragment))
    if not any(isinstance(node, ast.For) for node in nodes):
        if any(isinstance(node, (ast.While, ast.Break, ast.Continue)) for node in nodes):
            return False
    return all(is_simple(node, modules) for node in nodes)


def is_simple(node: ast.AST, modules: set[str]) -> bool:
    if isinstance(node, UNWANTED_NODES):
        return False
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            return node.func.id in BUILTINS and node.func.id not in UNWANTED_CALLS
        return isinstance(node.func, ast.Attribute)
    if isinstance(node, ast.Attribute):
        return node.attr.islower() and not node.attr.startswith("_")
    if isinstance(node, ast.Name):
        if node.id in BUILTINS:
            return isinstance(node.ctx, ast.Load)
        return node.id.islower() and not node.id.startswith("_") and node.id not in modules
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return len(node.value) <= 12 and node.value.isascii()
        return not isinstance(node.value, (bytes, complex)) and len(str(node.value)) <= 5
    return not isinstance(node, ast.keyword) or node.arg is not None


def canonical(fragment: ast.AST) -> Iterator[str]:
    """The fragment's source with its names numbered, so that each shape is kept once; nothing if
    unfit."""
    source = ast.unparse(fragment)
    if len(source) > 150 or source.count("\n") > 5:
        return
    tree = ast.parse(source)
    numbered: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in BUILTINS:
            numbered.setdefault(node.id, f"v{len(numbered)}")
    if 1 <= len(numbered) <= 5:
        yield ast.unparse(Renamer(numbered).visit(tree))


def sample_fragment(corpus: Corpus, rng: random.Random) -> tuple[str, str]:
    """One fragment as a function with drawn names and constants, as (prompt, completion)."""
    tree = ast.parse(rng.choice(corpus.fragments))
    ConstantReplacer(corpus.literals, rng).visit(tree)
    order = list(
        dict.fromkeys(
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id not in BUILTINS
        )
    )
    new_names = dict(zip(order, rng.sample(corpus.names, len(order))))
    parameters = [new_names[name] for name in parameters_of(tree, order)]
    Renamer(new_names).visit(tree)
    hint = fragment_hint(tree, rng) if rng.random() < HINT_SHARE_OF_FRAGMENTS else ""
    if isinstance(tree.body[0], ast.Expr):
        tree.body = [ast.Return(tree.body[0].value)]
    elif not isinstance(tree.body[-1], ast.Return) and (result := result_of(tree.body[-1])):
        tree.body.append(ast.Return(ast.Name(result, ast.Load())))
    name = rng.choice(corpus.names)
    if rng.random() < 0.5:
        name += "_" + rng.choice(corpus.names)
    if rng.random() < 0.5:
        rng.shuffle(parameters)
    return prompt_of(name, ", ".join(parameters), hint), indent(tree.body)


class ConstantReplacer(ast.NodeTransformer):
    """Exchange each integer and string for another one, three times in five, alike within a
    fragment."""

    def __init__(self, literals: list[str], rng: random.Random) -> None:
        self.literals, self.rng = literals, rng
        self.replacement: dict[object, Any] = {}

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        old = node.value
        if type(old) not in (int, str):
            return node
        if old not in self.replacement:
            self.replacement[old] = old if self.rng.random() < 0.4 else self.draw(type(old))
        return ast.Constant(self.replacement[old])

    def draw(self, kind: type) -> int | str:
        if kind is str:
            return self.rng.choice(self.literals)
        return self.rng.choice(
            [self.rng.randrange(10), self.rng.randrange(10, 100), self.rng.randrange(100)]
        )


def parameters_of(tree: ast.Module, names: list[str]) -> list[str]:
    """The names that are read before they are bound, nearly: those never stored, or first added
    to."""

    def stored(kinds: tuple[type, ...]) -> set[str]:
        return {
            target.id
            for node in ast.walk(tree)
            if isinstance(node, kinds)
            for target in ast.walk(node)
            if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
        }

    added_to = {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    }
    assigned = stored((ast.Assign,))
    anywhere = stored((ast.AST,))
    return [
        name
        for name in names
        if name not in anywhere or (name in added_to and name not in assigned)
    ]


def result_of(statement: ast.stmt) -> str | None:
    """The variable that a statement was written for: the last one it binds or adds to."""
    result = None
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            result = node.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("append", "add", "update", "extend") and isinstance(
                node.func.value, ast.Name
            ):
                result = node.func.value.id
    return result


def fragment_hint(tree: ast.Module, rng: random.Random) -> str:
    """The words of the fragment in the order of the source, with 0 to 40 % of them dropped."""
    words = [word for word in words_in_order(tree) if len(word) < 14]
    if rng.random() < 0.5:
        words = list(dict.fromkeys(words))
    dropped = rng.choice([0, 0, 0.15, 0.4])
    words = [word for word in words if rng.random() >= dropped]
    if rng.random() < 0.3:
        rng.shuffle(words)
    return " ".join(words)[:110].replace('"""', "'''").replace("\\", "").rstrip('"')


def words_in_order(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Constant):
        yield repr(node.value)
    elif isinstance(node, (*OPERATORS, ast.unaryop, ast.For, ast.If, ast.ListComp, ast.IfExp)):
        yield type(node).__name__.lower()
    for child in ast.iter_child_nodes(node):
        yield from words_in_order(child)
    if isinstance(node, ast.Attribute):
        yield node.attr


# ------------------------------------------------------------------------------------------ samples


def draw_sample(corpus: Corpus, rng: random.Random) -> tuple[str, str]:
    """One training pair: (prompt, completion)."""
    if rng.random() < FUNCTION_SHARE:
        return sample_function(corpus, rng)
    return sample_fragment(corpus, rng)


def prompt_of(name: str, parameters: str, docstring: str) -> str:
    return f'def {name}({parameters}):\n    """{docstring}"""\n'


def indent(body: list[ast.stmt]) -> str:
    """The statements as a function body: indented by four, each line ended."""
    lines = "\n".join(
        ast.unparse(ast.fix_missing_locations(statement)) for statement in body
    ).split("\n")
    return "".join(f"    {line}\n" for line in lines)


def common_names(counts: Counter[str]) -> list[str]:
    return [
        name
        for name, _ in counts.most_common(900)
        if name.isascii()
        and name.isalpha()
        and name.islower()
        and len(name) <= 8
        and name not in BUILTINS
        and name not in ("self", "cls")
    ]


def common_literals(fragments: dict[str, None]) -> list[str]:
    counts: Counter[str] = Counter()
    for source in fragments:
        counts.update(
            node.value
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Constant)
            and type(node.value) is str
            and 1 <= len(node.value) <= 8
            and node.value.isprintable()
            and not set("\\\"'") & set(node.value)
        )
    return [literal for literal, _ in counts.most_common(500)] + list(",-./:;_+*#=|!?") * 4
