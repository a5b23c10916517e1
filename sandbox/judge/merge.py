"""What a module defines, and how the imports and helpers of another text are added to it.

defined(module)                       # the names that its own statements give
with_additions(text, source, module, known, qualname)
"""

import ast
import copy

from sandbox.source import FUNCTIONS, STATEMENTS, Function, find, parse

DEFINITIONS = (*FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom)


def defined(module: ast.Module) -> set[str]:
    """Names that the module's own statements define or import."""
    return {name for node in module.body for name in names_of(node)}


def names_of(node: ast.AST) -> set[str]:
    """Names that one statement defines or imports, with those in its blocks."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {_bound_name(alias) for alias in node.names}
    if isinstance(node, ast.Assign):
        return {
            n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)
        }
    if isinstance(node, (ast.AnnAssign, ast.AugAssign)) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return {
        name
        for child in ast.iter_child_nodes(node)
        if isinstance(child, STATEMENTS)
        for name in names_of(child)
    }


def _bound_name(alias: ast.alias) -> str:
    """The name that an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def with_additions(
    text: str, source: str, module: ast.Module, known: set[str], qualname: str
) -> str:
    """`text` with what `module` imports and defines under names that are not `known`: imports after
    its own, the rest above the function, where what the module defines up to there can be used.
    `module`: statements of `source`. Raises SyntaxError where `text` does not parse."""
    imports = _new_imports(module, known)
    definitions = _new_definitions(text, source.split("\n"), module, known)
    if not imports and not definitions:
        return text
    lines = text.split("\n")
    end = "\r" if lines[0].endswith("\r") else ""
    parsed = parse(text)
    top = _end_of_imports(parsed, lines)
    place = max(top, _line_above(parsed, find(text, qualname)))
    above = [line.rstrip("\r") + end for block in definitions for line in [*block, "", ""]]
    return "\n".join(
        lines[:top] + [line + end for line in imports] + lines[top:place] + above + lines[place:]
    )


def _new_imports(module: ast.Module, known: set[str]) -> list[str]:
    """Its imports of names that are not known. One statement may import names that are there
    already beside new ones."""
    statements = []
    for node in module.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            added = copy.copy(node)
            added.names = [alias for alias in node.names if _bound_name(alias) not in known]
            if added.names and getattr(node, "module", "") != "__future__":
                statements.append(ast.unparse(added))
    return statements


def _new_definitions(
    text: str, lines: list[str], module: ast.Module, known: set[str]
) -> list[list[str]]:
    """The lines of each other statement that defines names which are not known, or that changes
    what such statements have defined. `lines`: those of the module's text."""
    imported = {
        name
        for node in module.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in names_of(node)
    }
    definitions: list[list[str]] = []
    added: set[str] = set()
    for node in module.body:
        names = names_of(node)
        if isinstance(node, (ast.Import, ast.ImportFrom)) or names & known:
            continue
        if names or _changed(node) & (imported if isinstance(node, ast.Expr) else added):
            block = lines[first_line(node) - 1 : node.end_lineno]
            # A call that stands there already is not made twice.
            if names or "\n".join(["", *block, ""]) not in f"\n{text}\n":
                definitions.append(block)
            added |= names
    return definitions


def _changed(node: ast.stmt) -> set[str]:
    """Names of what the statement sets something in, or calls a method of."""
    parts: list[ast.expr] = []
    for n in ast.walk(node):
        if isinstance(n, (ast.Subscript, ast.Attribute)) and isinstance(n.ctx, ast.Store):
            parts.append(n.value)
        elif isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute):
            parts.append(n.func.value)
    return {part.id for part in parts if isinstance(part, ast.Name)}


def first_line(node: ast.stmt) -> int:
    """The line, from 1, in which a statement begins, decorators included."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def _line_above(module: ast.Module, function: Function | None) -> int:
    """The last line before the statement of the module that holds the function; 0 where there is
    none."""
    if function is None:
        return 0
    for node in module.body:
        first = first_line(node)
        if first <= function.first <= (node.end_lineno or first):
            return first - 1
    return 0


def _end_of_imports(module: ast.Module, lines: list[str]) -> int:
    """The last line of the module's docstring and leading imports."""
    end = at_top = 0
    for node in module.body:
        is_docstring = (
            node is module.body[0]
            and isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
        )
        if is_docstring or isinstance(node, (ast.Import, ast.ImportFrom)):
            end = node.end_lineno or end
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            break
    # A coding line counts in the first two lines only, so nothing is put above the comments at the
    # top.
    while end == 0 and at_top < len(lines) and lines[at_top].startswith("#"):
        at_top += 1
    return end or at_top
