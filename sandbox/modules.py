"""A Python file taken apart: what acts when it is loaded, what only binds a name, and which names
stand where.

    module = Module(text)
    module.outside           # the statements that act, functions taken out
    module.bindings          # those that do nothing but bind names
    module.code_of("C.f")    # a function without comments

    counted = Counted()
    counted.add("m.py", module.words_of("C.f"))
    named_statements({"m.py": module}, counted)    # the bindings that this function may mean
"""

import ast
import builtins
import copy
import re
import sys
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

from sandbox.source import FunctionNode, functions, parse, source_of

READING = frozenset(["__doc__", "getdoc", "getsource"])
"""Names by which a docstring is read."""
LISTING = frozenset(["__dict__", "__subclasses__", "getmembers", "dir()", "globals()", "vars()"])
"""Names, and calls of builtins, by which all that a module or a class has is listed."""
QUIET = frozenset(
    "staticmethod classmethod property abstractmethod contextmanager asynccontextmanager cache "
    "cached_property lru_cache override overload".split()
)
"""Decorators that read no docstring and tell nobody else of a function."""
OF_PYTEST = frozenset(["pytestmark", "pytest_plugins", "collect_ignore", "collect_ignore_glob"])
"""Names of a module that pytest reads (its documentation: "Global variables")."""
OF_PYTHON = frozenset(["__path__", "__test__"])
"""Names of a module that are read when modules are searched and documentation is tested."""
LOOKING_UP = frozenset(
    ["getattr()", "hasattr()", "setattr()", "delattr()", "setattr", "delattr", "attrgetter"]
)
"""Where they stand, any string may be a name; elsewhere one that a call is given."""
DOTTED = re.compile(r"[^\W\d]\w*([.:][^\W\d]\w*)*")
"""A string that may be a name: `monkeypatch.setattr("package.module.LIMIT", 3)`."""
BEGINNING = re.compile(r"[^\W\d]\w*(?=[%{])")
"""Of a string into which the rest of a name is put: `getattr(self, "do_%s" % word)`."""
FILE_NAME = re.compile(r"[\w.-]+")
LONGEST = 200
"""Of a string that may name something."""


@dataclass(frozen=True)
class Words:
    """The names that stand in some code."""

    variables: frozenset[str] = frozenset()
    """Names of the file that the code is in."""
    others: frozenset[str] = frozenset()
    """Attributes, imported names and strings: by these it may mean names of any file. With
    parentheses behind it, what is called."""
    files: frozenset[str] = frozenset()
    """What may be the name of a file, or, with a slash behind it, of a folder: parts of strings."""

    def meet(self, names: frozenset[str]) -> bool:
        """Whether one of these names stands there."""
        return self.may_mean(names, names)

    def may_mean(self, here: Set[str], anywhere: Set[str]) -> bool:
        """Whether one of these names of its own file may be meant, or of those of any file."""
        return not (self.variables.isdisjoint(here) and self.others.isdisjoint(anywhere))

    @classmethod
    def union(cls, all_words: Iterable["Words"]) -> "Words":
        listed = list(all_words)
        return cls(
            frozenset().union(*(words.variables for words in listed)),
            frozenset().union(*(words.others for words in listed)),
            frozenset().union(*(words.files for words in listed)),
        )


class Counted:
    """The names in the code that counts, of several files."""

    def __init__(self) -> None:
        self._variables: dict[str, set[str]] = {}
        self._others: set[str] = set(OF_PYTEST | OF_PYTHON)
        self.files: set[str] = set()
        self.everything = False
        """Whether it may mean any name."""

    def copy(self) -> "Counted":
        same = Counted()
        same._variables = {file: set(names) for file, names in self._variables.items()}
        same._others, same.files = set(self._others), set(self.files)
        same.everything = self.everything
        return same

    def add(self, file: str, words: Words) -> None:
        self._variables.setdefault(file, set()).update(words.variables)
        self._others |= words.others
        self.files |= words.files

    def mean(self, file: str, names: frozenset[str]) -> bool:
        """Whether the code may mean one of these names of a file."""
        here = self._variables.get(file, ())
        return self.everything or not (names.isdisjoint(here) and names.isdisjoint(self._others))


@dataclass(frozen=True)
class Binding:
    """A statement of a module that does nothing but bind names: an import, an assignment that calls
    nothing, a plain class."""

    code: str
    names: frozenset[str]
    words: Words
    """Of what it binds them to."""


def named_statements(modules: "dict[str, Module]", counted: Counted) -> list[str]:
    """Of the modules' bindings those whose names the code may mean that counts, or such a binding,
    and so on; then they count, too."""
    pending = [(file, binding) for file, module in modules.items() for binding in module.bindings]
    found: list[tuple[str, str]] = []
    while True:
        now = [(file, b) for file, b in pending if counted.mean(file, b.names)]
        if not now:
            return [part for place in sorted(found) for part in place]
        found += [(file, b.code) for file, b in now]
        for file, binding in now:
            counted.add(file, binding.words)
        taken = {id(b) for _, b in now}
        pending = [(file, b) for file, b in pending if id(b) not in taken]


class Module:
    """A Python file taken apart. Raises SyntaxError."""

    def __init__(self, text: str) -> None:
        self._tree = tree = parse(text)
        self.text = text
        self.functions = [f for f in functions(text) if "<locals>" not in f.qualname]
        self.sources: dict[str, str] = {}
        for function in self.functions:  # of several functions of one name all count
            before = self.sources.get(function.qualname, "")
            self.sources[function.qualname] = before + source_of(text, function)
        self.reads_docs = any(_names_docs(node) for node in ast.walk(tree))
        self._exports = any(_takes_everything(node) for node in tree.body)
        outside = _Outside(self.reads_docs).visit(copy.deepcopy(tree))
        standard = _standard_names(tree)
        self.bindings: list[Binding] = []
        acting = []
        for node in outside.body:
            bound = _bindings(node, standard)
            self.bindings += bound
            if not bound:
                acting.append(node)
        self.outside = "\n".join(map(ast.unparse, acting))
        self.words = self._words_in(acting)
        self._codes: dict[str, str] = {}
        self._words: dict[str, Words] = {}
        self._imports = [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]

    def code_of(self, name: str) -> str:
        """A function without comments, and without its docstring if nothing near may read it."""
        if name not in self._codes:
            nodes = [f.node for f in self.functions if f.qualname == name]
            bare = nodes if self.reads_docs else map(_undocumented, nodes)
            self._codes[name] = "\n".join(map(ast.unparse, bare))
        return self._codes[name]

    @cached_property
    def all_words(self) -> Words:
        """The names that stand in the file."""
        return words_in(self._tree)

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """{qualified name: one that is in no function}"""
        found: dict[str, ast.ClassDef] = {}
        pending: list[tuple[str, ast.AST]] = [("", self._tree)]
        while pending:
            path, around = pending.pop()
            for node in ast.iter_child_nodes(around):
                if isinstance(node, ast.ClassDef):
                    found[path + node.name] = node
                    pending.append((f"{path}{node.name}.", node))
                elif isinstance(node, (ast.If, ast.Try, ast.With)):
                    pending.append((path, node))
        return found

    @cached_property
    def docstrings(self) -> list[str]:
        """Of itself, its classes and functions."""
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = (node for node in ast.walk(self._tree) if isinstance(node, kinds))
        return [text for node in nodes if (text := ast.get_docstring(node))]

    def words_of(self, name: str) -> Words:
        """The names that stand in a function, and those of the classes that it is in."""
        if name not in self._words:
            nodes = [f.node for f in self.functions if f.qualname == name]
            around = Words(frozenset(name.split(".")))
            self._words[name] = Words.union([around, self._words_in(nodes)])
        return self._words[name]

    def _words_in(self, nodes: Iterable[ast.AST]) -> Words:
        words = Words.union(map(words_in, nodes))
        if not self._exports:
            return words
        # Any name of it may be another file's.
        return replace(words, others=words.others | words.variables | {"__all__"})

    def imports(self, file: str) -> Iterator[str]:
        """Dotted names of what may be imported in it."""
        folders = PurePosixPath(file).parent.parts
        for node in self._imports:
            base: tuple[str, ...] = ()
            if isinstance(node, ast.ImportFrom):
                if node.level:
                    base = folders[: len(folders) - node.level + 1]
                base = (*base, *(node.module.split(".") if node.module else ()))
                if base:
                    yield ".".join(base)
                for alias in node.names:
                    yield ".".join((*base, alias.name))
            else:
                for alias in node.names:
                    parts = alias.name.split(".")
                    for end in range(1, len(parts) + 1):
                        yield ".".join(parts[:end])


class _Outside(ast.NodeTransformer):
    """Takes functions out of a tree, what is there for type checkers alone, and docstrings if they
    are not to stay."""

    def __init__(self, docstrings: bool) -> None:
        self._docstrings = docstrings

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        return None

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return node if self._docstrings or not isinstance(node.value, ast.Constant) else None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        name = getattr(node.test, "id", "") or getattr(node.test, "attr", "")
        if name == "TYPE_CHECKING" and not node.orelse:
            return None
        return self.generic_visit(node)


def _names_docs(node: ast.AST) -> bool:
    """Whether it is a name, or a string that may be looked up, by which a docstring is read."""
    name = getattr(node, "id", "") or getattr(node, "attr", "") or getattr(node, "value", "")
    return isinstance(name, str) and name in READING


def _takes_everything(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)


def is_told_of(node: FunctionNode) -> bool:
    """Whether a decorator may pass the function on to somebody who looks at it."""
    names = (getattr(d, "attr", "") or getattr(d, "id", "") for d in node.decorator_list)
    return any(name not in QUIET for name in names)


def _undocumented(node: FunctionNode) -> FunctionNode:
    if is_told_of(node) or ast.get_docstring(node, clean=False) is None:
        return node
    bare = copy.copy(node)
    bare.body = node.body[1:] or [ast.Pass()]
    return bare


# ---------------------------------------------------------------------------------------- bindings


def _bindings(node: ast.stmt, standard: frozenset[str]) -> list[Binding]:
    """What the statement binds; [] for one that does more, or of which that is not sure."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [] if _takes_everything(node) else _imported_names(node)
    if isinstance(node, ast.ClassDef):
        return _plain_class(node, standard)
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return []
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    parts = [n for target in targets for n in ast.walk(target) if isinstance(n, ast.expr)]
    inside = () if node.value is None else ast.walk(node.value)
    if not all(isinstance(n, (ast.Name, ast.Tuple, ast.List, ast.Starred)) for n in parts):
        return []
    if any(isinstance(n, (ast.Call, ast.Await, ast.NamedExpr)) for n in inside):
        return []
    names = frozenset(n.id for n in parts if isinstance(n, ast.Name))
    return [Binding(ast.unparse(node), names, words_in(node))]


def _imported_names(node: ast.Import | ast.ImportFrom) -> list[Binding]:
    """Name by name, for others may be added to the statement."""
    found = []
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        if isinstance(node, ast.Import):
            one: ast.stmt = ast.Import([alias])
        else:
            one = ast.ImportFrom(node.module, [alias], node.level)
        found.append(Binding(ast.unparse(one), frozenset([name]), words_in(one)))
    return found


def _plain_class(node: ast.ClassDef, standard: frozenset[str]) -> list[Binding]:
    """A class that nobody is told of when it is made: no decorator, no metaclass, no base but those
    of Python itself (a project's may keep a list of their subclasses), and in it, beside functions,
    bindings alone."""
    told = node.decorator_list or node.keywords
    if told or not all(_root(base) in standard for base in node.bases):
        return []
    if not all(_does_nothing(part) or _bindings(part, standard) for part in node.body):
        return []
    return [Binding(ast.unparse(node), frozenset([node.name]), words_in(node))]


def _does_nothing(node: ast.stmt) -> bool:
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Pass) or text


def _root(node: ast.expr) -> str:
    """`typing` of `typing.Generic[T]`; "" where it begins with no name."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _standard_names(tree: ast.Module) -> frozenset[str]:
    """Names in a module that can only mean Python's own: builtins, and what it imports from the
    standard library and binds nowhere else."""
    standard: set[str] = set(dir(builtins))
    bound: set[str] = set()
    for node in _own_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            local = isinstance(node, ast.ImportFrom) and node.level > 0
            for alias in node.names:
                module = getattr(node, "module", None) or alias.name
                own = not local and module.partition(".")[0] in sys.stdlib_module_names
                (standard if own else bound).add(alias.asname or alias.name.partition(".")[0])
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            bound.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    bound.update(*(node.names for node in ast.walk(tree) if isinstance(node, ast.Global)))
    return frozenset(standard - bound)


def _own_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Those of a module that are in no function."""
    pending = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            yield node
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                pending.append(node)


def names_of_path(path: str) -> frozenset[str]:
    """By which a file may be named, as in `Words.files`: its own, and those of its folders."""
    return frozenset(re.findall("[^/]+/?", path))


def words_in(node: ast.AST) -> Words:
    """The names that stand in it."""
    variables: set[str] = set()
    others: set[str] = set()
    files: set[str] = set()
    strings: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            variables.add(part.id)
        elif isinstance(part, ast.Attribute):
            others.add(part.attr)
        elif isinstance(part, ast.ImportFrom):
            others.update(alias.name for alias in part.names)
        elif isinstance(part, ast.Call):
            if isinstance(part.func, ast.Name):
                others.add(f"{part.func.id}()")
            others.update(map(_text_of, part.args))
        elif text := _text_of(part):
            parts = text.split("/")
            files.update(FILE_NAME.findall(text), parts, (f"{p}/" for p in parts))
            if DOTTED.fullmatch(text):
                names = re.split("[.:]", text)
                (others if len(names) > 1 else strings).update(names)
            elif begun := BEGINNING.match(text):
                strings.add(begun.group())
    if not LOOKING_UP.isdisjoint(others):
        others |= strings
    return Words(frozenset(variables), frozenset(others), frozenset(files))


def _text_of(node: ast.AST) -> str:
    """Of a string that may name something; "" for anything else."""
    text = node.value if isinstance(node, ast.Constant) else ""
    return text if isinstance(text, str) and len(text) < LONGEST else ""
