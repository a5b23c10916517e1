"""What of a file is shown where the whole does not fit: the functions in question, and around them
what helps most to write them, in the order of its worth.

    outline = Outline(text, ["Cart.total"])
    view = View(outline, costs)                      # tokens of each line
    for piece in outline.short_pieces() + ...:       # the caller chooses what fits
        view.add(piece)
    view.text()

What is left out is marked: `# ...` stands for lines, and of a definition of which only the head is
shown the body is `...`. The text is that of the broken state, and which definitions a function
*names* is read off that, too: of a body that was taken out nothing can be told.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sandbox.source import FUNCTIONS, STATEMENTS, FunctionNode, first_line, last_line, parse

WORD = re.compile(r"[A-Za-z_]\w*")
GAP = "# ..."
GAP_COST = 6
"""Tokens of a mark and its indentation, about."""
SHORT = 5
"""Lines of a constant that is shown before the tests are."""


@dataclass(frozen=True)
class Definition:
    """A function or class of the module, or of a class in it. Lines count from 0, the end
    excluded."""

    name: str
    """Qualified."""
    node: FunctionNode | ast.ClassDef
    first: int
    last: int
    owner: str
    """Qualified name of the class that it stands in; "" at the module's own level."""
    plainly: bool
    """Whether nothing but classes is around it: in an `if`, its head alone would look as if it were
    part of what is above."""

    @property
    def is_class(self) -> bool:
        return isinstance(self.node, ast.ClassDef)

    @property
    def plain(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def body_start(self) -> int:
        """The line on which the body begins, its docstring included."""
        return first_line(self.node.body[0]) - 1


@dataclass(frozen=True)
class Piece:
    """Something to show: lines as they are, or (where `head` is not empty) a definition by its
    head."""

    lines: range
    head: tuple[str, ...] = ()


class Outline:
    """What a file holds, by its worth for the functions in question."""

    def __init__(self, text: str, names: Sequence[str]) -> None:
        """`names` are qualified; some may not be there."""
        self.lines = split_lines(text)
        try:
            self.module = parse(text)
        except SyntaxError:
            self.module = ast.Module([], [])
        self.definitions = list(_definitions(self.module, ""))
        self.by_name = {d.name: d for d in self.definitions}
        self.targets = [self.by_name[name] for name in names if name in self.by_name]
        self.owners = [owner for target in self.targets for owner in self._owners(target)]
        """The classes that they stand in; one of two functions is there twice."""
        self._places = [t.first for t in self.targets] or [0]
        self._words = {
            word
            for t in self.targets
            for line in self.lines[t.first : t.last]
            for word in WORD.findall(line)
        }

    # ------------------------------------------------------------------------ in the order of worth

    def least(self) -> list[Piece]:
        """The functions themselves, with the heads of their classes."""
        return [Piece(range(d.first, d.body_start)) for d in self.owners] + [
            Piece(range(t.first, t.last)) for t in self.targets
        ]

    def short_pieces(self) -> list[Piece]:
        """Of their classes the fields and how they are made, and of what they name the heads."""
        fields = [
            Piece(_lines_of(node))
            for owner in self.owners
            for node in owner.node.body
            if isinstance(node, (ast.Assign, ast.AnnAssign))
        ]
        constants = [
            Piece(lines) for lines in map(_lines_of, self._constants()) if len(lines) <= SHORT
        ]
        made, named = map(self._head, self._made()), map(self._head, self._named())
        return [*fields, *made, *constants, *named]

    def imports(self) -> list[Piece]:
        return [Piece(_lines_of(node)) for node in self.module.body if _imports(node)]

    def neighbours(self) -> list[Piece]:
        """Heads of the other definitions: of the same class first, and the nearest first."""
        owners = {owner.name for owner in self.owners}
        return [
            self._head(d)
            for d in self._nearest(self.definitions)
            if d.plainly and (d.owner in owners or not d.owner)
        ]

    def more(self) -> list[Piece]:
        """The rest, as far as it fits: what is named as a whole, then whatever is nearest."""
        near = [d for d in self._nearest(self.definitions) if d.plainly and not d.is_class]
        others = sorted(
            (
                _lines_of(node)
                for node in self.module.body
                if not isinstance(node, (*FUNCTIONS, ast.ClassDef))
            ),
            key=lambda lines: self._distance(lines.start),
        )
        whole = [Piece(range(d.first, d.last)) for d in [*self._made(), *self._named(), *near]]
        return whole + [Piece(lines) for lines in others] or [
            Piece(range(i, i + 1)) for i in range(len(self.lines))
        ]

    # ---------------------------------------------------------------------------------------- parts

    def _owners(self, definition: Definition) -> Iterator[Definition]:
        """The classes that it stands in, the outermost first."""
        if definition.owner:
            owner = self.by_name[definition.owner]
            yield from self._owners(owner)
            yield owner

    def _made(self) -> list[Definition]:
        """How the classes of the functions in question are made."""
        makers = (self.by_name.get(f"{owner.name}.__init__") for owner in self.owners)
        return [maker for maker in makers if maker is not None]

    def _named(self) -> list[Definition]:
        """What the functions name: definitions of the module, and of their own classes; the nearest
        first."""
        owners = {owner.name for owner in self.owners}
        return self._nearest(
            [
                d
                for d in self.definitions
                if d.plain in self._words
                and (not d.owner or d.owner in owners)
                and d.plainly
                and d.name not in owners
            ]
        )

    def _constants(self) -> list[ast.stmt]:
        """The module's assignments to names that the functions name."""
        return [
            node
            for node in self.module.body
            if isinstance(node, (ast.Assign, ast.AnnAssign))
            and any(
                isinstance(n, ast.Name) and n.id in self._words
                for target in getattr(node, "targets", [getattr(node, "target", None)])
                for n in ast.walk(target)
            )
        ]

    def _nearest(self, definitions: Sequence[Definition]) -> list[Definition]:
        others = [d for d in definitions if d not in self.targets]
        return sorted(others, key=lambda d: (not d.owner, self._distance(d.first)))

    def _distance(self, line: int) -> int:
        return min(abs(line - place) for place in self._places)

    def _head(self, definition: Definition) -> Piece:
        """The definition without its body: decorators, signature, the first line of the
        docstring."""
        signature = self.lines[definition.first : definition.body_start]
        if not signature:  # the body stands on the line of the signature
            return Piece(range(definition.first, definition.last))
        inner = _indent(self.lines[definition.node.body[0].lineno - 1])
        documentation = (ast.get_docstring(definition.node) or "").strip().partition("\n")[0]
        quoted = [f'{inner}"""{documentation}"""'] if documentation else []
        lines = range(definition.first, definition.last)
        if len(lines) <= len(signature) + len(quoted) + 1:  # the whole is no longer
            return Piece(lines)
        return Piece(lines, (*signature, *quoted, f"{inner}..."))


@dataclass
class View:
    """One file, and what of it is shown so far."""

    outline: Outline
    costs: Sequence[int]
    """Tokens of each line."""
    heads: dict[int, Piece] = field(default_factory=dict)
    """{first line: a definition that is shown by its head}"""
    shown: set[int] = field(default_factory=set)

    def cost(self, piece: Piece) -> int:
        """Tokens that showing it would add, about; 0 where it would change nothing."""
        if not self._is_news(piece):
            return 0
        if piece.head:
            return sum(len(line) // 3 + 2 for line in piece.head) + GAP_COST
        return sum(self.costs[i] for i in piece.lines if i not in self.shown) + GAP_COST

    def add(self, piece: Piece) -> None:
        if not self._is_news(piece):
            return
        if piece.head:
            self.heads[piece.lines.start] = piece
        else:
            self.shown |= set(piece.lines)
            self.heads = {
                first: head
                for first, head in self.heads.items()
                if self.shown.isdisjoint(head.lines)
            }

    def _is_news(self, piece: Piece) -> bool:
        if piece.head:
            return piece.lines.start not in self.heads and self.shown.isdisjoint(piece.lines)
        return not self.shown.issuperset(piece.lines)

    @property
    def is_whole(self) -> bool:
        return len(self.shown) == len(self.outline.lines)

    def text(self) -> str:
        """What is shown, with the marks."""
        out, at, gap = [], 0, False
        while at < len(self.outline.lines):
            head = self.heads.get(at)
            if head is None and at not in self.shown:
                gap, at = gap or bool(self.outline.lines[at].strip()), at + 1
                continue
            fresh = list(head.head) if head else [self.outline.lines[at]]
            if gap:
                out.append(_indent(fresh[0]) + GAP)
            elif out and at - 1 not in self.shown and fresh[0].strip():
                out.append("")  # nothing but empty lines was left out
            out, at, gap = out + fresh, head.lines.stop if head else at + 1, False
        return "\n".join(out + ([GAP] if gap else [])).strip("\n")

    def add_all(self) -> None:
        self.add(Piece(range(len(self.outline.lines))))


def split_lines(text: str) -> list[str]:
    return text.replace("\r", "").split("\n")


def with_short_docstring(text: str, definition: Definition) -> tuple[list[str], list[str]] | None:
    """(lines of its head, lines of its body) of a definition, of its docstring the first line
    alone; None where that is no shorter."""
    lines, documentation = split_lines(text), ast.get_docstring(definition.node) or ""
    first = documentation.strip().partition("\n")[0].strip()
    if first == documentation.strip() or not first:
        return None
    quoted, *rest = definition.node.body
    inner = _indent(lines[quoted.lineno - 1])
    body = lines[quoted.end_lineno : definition.last] if rest else []
    return [*lines[definition.first : definition.body_start], f'{inner}"""{first}"""'], body


def _definitions(node: ast.AST, owner: str, plainly: bool = True) -> Iterator[Definition]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            name = f"{owner}.{child.name}" if owner else child.name
            yield Definition(name, child, first_line(child) - 1, last_line(child), owner, plainly)
            if isinstance(child, ast.ClassDef):
                yield from _definitions(child, name, plainly)
        elif isinstance(child, STATEMENTS):
            yield from _definitions(child, owner, plainly=False)


def _imports(node: ast.stmt) -> bool:
    """Whether it imports: itself, or in an `if` or `try` that does nothing else of weight."""
    if isinstance(node, (ast.If, ast.Try)):
        return any(map(_imports, node.body))
    return isinstance(node, (ast.Import, ast.ImportFrom))


def _lines_of(node: ast.stmt) -> range:
    return range(node.lineno - 1, last_line(node))


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
