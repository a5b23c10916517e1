"""A reply -> an edit -> the files that are judged: what is read from a model's answer, and what may be edited at all.

An edit is a map from a path, relative to the repository, to the whole new text of that file in the broken state.

**The reply** (`blocks`): a few words of reason, then either a fenced `python` block with whole functions, each replacing the
one of the same (qualified) name in the task's file, new imports and helpers added at module level; or SEARCH/REPLACE blocks
under the file's path, as aider writes them. The last complete block for a place counts. With `body` the whole reply is the
bare body of the task's function, where the task is about one.

**The gate**, before anything runs: only regular `.py` text that parses, only files that are there already, never tests or
what configures them: what is called so, where the survey did not see that it is source
(`Task.sources`). Where the task is about one function only that function is taken from the edit and
spliced into the broken file, with imports and helpers that are new; whatever else the edit changed
there is ignored. Where it is about whole files (`Task.files`) these are taken as the edit has them,
and no others.
"""
import ast
import copy
import os
import re
import textwrap
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from sandbox import patches
from sandbox.source import (FUNCTIONS, STATEMENTS, alone, body_nodes, find, functions, parse, read_text, source_of, with_body,
                            with_function)
from sandbox.tasks import Task

OPENING, CLOSING = re.compile(r"[ \t]*```[ \t]*(\w*)"), re.compile(r"[ \t]*```[ \t]*")
SEARCH, DIVIDER, REPLACE = re.compile(r"<{5,9} SEARCH"), re.compile(r"={5,9}"), re.compile(r">{5,9} REPLACE[ \t]*")
NEVER_EDITED = {"conftest.py", "sitecustomize.py", "usercustomize.py"}
"""What configures everything beside it. The others of FORBIDDEN_NAMES may be source, too."""
FORBIDDEN_NAMES = NEVER_EDITED | {"setup.py", "noxfile.py", "tasks.py", "fabfile.py"}
TEST_FOLDERS = ("tests", "test", "testing")
MAX_BYTES = 1 << 20
MAX_ENTRIES = 1000
"""In the folder of an overlay."""


class InvalidEdit(Exception):
    """There is no usable edit; `str(error)` says why. The verdict is `invalid`."""


# -------------------------------------------------------------------------------------------------------- replies

def from_reply(reply: str, task: Task, broken: dict[str, str], style: str = "blocks") -> dict[str, str]:
    """The edit that a reply asks for. Raises InvalidEdit."""
    if style == "body" and not task.files:
        return {task.file: _with_bare_body(reply, task, broken[task.file])}
    lines = reply.replace("\r\n", "\n").split("\n")
    texts = dict(broken)
    changed = _apply_search_replace(lines, texts, task)
    for code in _python_blocks(lines):
        # The task's own file first; in the others a block counts where it names one of their functions.
        for path in dict.fromkeys((task.file, *texts)):
            text = _with_functions(code, texts[path], task)
            if text is not None:
                texts[path] = text
                changed.add(path)
                break
    if not changed:
        raise InvalidEdit("the reply holds no complete python block with the function and no SEARCH/REPLACE block")
    return {path: texts[path] for path in sorted(changed)}


def _python_blocks(lines: list[str]) -> Iterator[str]:
    """The code between fences, but for what holds SEARCH/REPLACE blocks."""
    at = 0
    while at < len(lines):
        opening = OPENING.match(lines[at])
        end = _next(CLOSING, lines, at + 1) if opening else at
        if end is None:
            return                                    # nor is there an end for a fence further down
        if opening and opening[1] in ("python", "py", "") and not any(_search_replace_blocks(lines[at + 1:end])):
            yield "".join(line + "\n" for line in lines[at + 1:end])
        at = end + 1


def _search_replace_blocks(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """(number of the block's first line, search text, replacement)"""
    end = -1
    while (first := _next(SEARCH, lines, end + 1)) is not None:
        divider = _next(DIVIDER, lines, first + 1)
        end = _next(REPLACE, lines, divider + 1) if divider is not None else None
        if end is None:
            return
        yield first, *("".join(line + "\n" for line in part) for part in (lines[first + 1:divider], lines[divider + 1:end]))


def _next(mark: re.Pattern, lines: list[str], start: int) -> int | None:
    """The first line from `start` on that is such a mark and nothing else. Every line is looked at a few times at most, whatever a model
    writes: a pattern over the whole reply can be made to take hours."""
    return next((at for at in range(start, len(lines)) if mark.fullmatch(lines[at])), None)


def _with_bare_body(reply: str, task: Task, text: str) -> str:
    function = find(text, task.function)
    if not reply.strip():
        raise InvalidEdit("the reply is empty")
    new = with_body(text, function, reply.rstrip())
    try:
        after = find(new, task.function)
    except SyntaxError as error:
        raise InvalidEdit(f"the body does not parse: {error.msg}") from None
    if after is None or len(parse(new).body) != len(parse(text).body) or not body_nodes(after):
        raise InvalidEdit("the reply is not the body of one function")
    return new


def _with_functions(code: str, text: str, task: Task) -> str | None:
    """`text` with the functions of `code` in place and its new imports and helpers added; None where none belongs there."""
    code = textwrap.dedent(code)
    try:
        module, original = parse(code), parse(text)
    except SyntaxError as error:
        raise InvalidEdit(f"the python block does not parse: {error.msg} (line {error.lineno})") from None
    replaced = False
    plain = task.function.rpartition(".")[2]
    named = {f.qualname: f for f in functions(code) if "<locals>" not in f.qualname}
    known = _defined(original) | set(named)
    if task.function not in named and plain in named and "." in task.function:
        named[task.function] = named.pop(plain)      # a method shown without its class
    for qualname, function in named.items():
        target = find(text, qualname)
        if target is not None:
            text = with_function(text, target, source_of(code, function))
            replaced = True
    if not replaced:
        return None
    helpers = {name for name in named if "." not in name and find(text, name) is None}
    return _with_additions(text, code, module, known - helpers, task.function)


def _apply_search_replace(lines: list[str], texts: dict[str, str], task: Task) -> set[str]:
    """Apply the blocks in `texts`, in place; returns the changed paths. The search text must occur exactly once."""
    changed = set()
    for first, search, replace in _search_replace_blocks(lines):
        path = _path_above(lines, first) or task.file
        if path not in texts:
            raise InvalidEdit(f"a SEARCH/REPLACE block names {path}, which this task does not edit")
        if "\r\n" in texts[path]:
            search, replace = (part.replace("\n", "\r\n") for part in (search, replace))
        count = texts[path].count(search) if search.strip() else 0
        if count != 1:
            raise InvalidEdit(f"the search text for {path} occurs {count} times, not once")
        texts[path] = texts[path].replace(search, replace)
        changed.add(path)
    return changed


def _path_above(lines: list[str], first: int) -> str | None:
    """The file named on the last line above the block that begins in line `first`, fences and empty lines left out."""
    while first > 0 and not lines[first - 1]:
        first -= 1
    for line in reversed(lines[max(0, first - 3):first]):
        line = line.strip().strip("`*# ").removeprefix("python").strip()
        if line.endswith(".py") and " " not in line:
            return line
        if line and not line.startswith("`"):
            return None
    return None


# -------------------------------------------------------------------------------------------------------- other doors

def from_patch(patch: str, broken: dict[str, str], tree: Path) -> dict[str, str]:
    """The edit that a person's unified diff against the broken state makes. Raises InvalidEdit."""
    edit: dict[str, str] = {}
    try:
        for section in patches.sections(patch):
            path = section.path(lambda name: os.path.isfile(os.path.join(tree, name)))
            _check_path(path, tree, tuple(broken))     # of these the gate knows what they are
            text = edit.get(path, broken.get(path))
            text = read_text(tree / path) if text is None else text
            edit[path] = patches.fit(text, section.hunks, path)
    except patches.PatchError as error:
        raise InvalidEdit(f"{error}{patches.hint(patch)}") from None
    return edit


def from_overlay(folder: Path) -> dict[str, str]:
    """The edit that a folder of files makes. Raises InvalidEdit for links, what is not a regular file, and far too many of them."""
    edit, found = {}, list(islice(folder.rglob("*"), MAX_ENTRIES + 1))
    if len(found) > MAX_ENTRIES:
        raise InvalidEdit(f"{folder} holds more than {MAX_ENTRIES} files and folders; an edit is a few files")
    for path in sorted(found):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise InvalidEdit(f"{relative} is a link; an edit is made of regular files")
        if path.is_file():
            edit[relative] = read_text(path)
        elif not path.is_dir():
            raise InvalidEdit(f"{relative} is not a regular file")
    return edit


# -------------------------------------------------------------------------------------------------------- gate

def gate(edit: dict[str, str], task: Task, tree: Path) -> dict[str, str]:
    """The files of the broken state with the allowed part of `edit` in them. Raises InvalidEdit."""
    broken = task.broken(tree)
    if not edit:
        raise InvalidEdit("the edit is empty")
    for path, text in edit.items():
        _check_path(path, tree, task.sources)
        if path not in broken:
            raise InvalidEdit(f"it edits {path}; this task is about {', '.join(broken)} alone")
        if len(text) > MAX_BYTES:
            raise InvalidEdit(f"{path} is larger than {MAX_BYTES} bytes")
    if not task.files and _only_its_function(edit[task.file], task, broken[task.file], tree):
        return {**broken, **edit}
    for path, text in edit.items():
        try:
            parse(text)
        except SyntaxError as error:
            raise InvalidEdit(f"{path} does not parse: {error.msg} (line {error.lineno})") from None
    if task.files:
        return {**broken, **edit}
    try:
        return {**broken, task.file: splice(edit[task.file], task, broken[task.file])}
    except (SyntaxError, RecursionError) as error:   # it parses alone and not where it is put, or only just
        raise InvalidEdit(f"the function cannot be put in its place ({error})") from None


def _only_its_function(text: str, task: Task, broken: str, tree: Path) -> bool:
    """Whether `text` is as `splice` would give it, because it differs from the broken file in the task's function alone: then no more than
    that function has to be read."""
    was = find(broken, task.function, read_text(tree / task.file))
    now = alone(text, broken, was)
    return now is not None and (bool(now.node.decorator_list) or not was.node.decorator_list)


def splice(text: str, task: Task, broken: str) -> str:
    """The broken file with the task's function from `text`, and with the imports and helpers that are new in `text`."""
    function = find(text, task.function)
    if function is None:
        raise InvalidEdit(f"{task.file} no longer has the function {task.function}")
    source = source_of(text, function)
    spliced = with_function(broken, find(broken, task.function), source)
    spliced = _with_additions(spliced, text, parse(text), _defined(parse(broken)), task.function)
    if find(spliced, task.function) is None:
        raise InvalidEdit("the function cannot be put in its place")
    return spliced


def _check_path(path: str, tree: Path, sources: tuple[str, ...]) -> None:
    """Raises InvalidEdit. `sources`: files that are source whatever they are called."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or str(pure) != path or not re.fullmatch(r"[\w./+-]{1,1000}", path, re.ASCII) or \
            any(len(part) > 255 for part in pure.parts):
        raise InvalidEdit(f"{path!r} is not a plain path below the repository")
    if pure.suffix != ".py":
        raise InvalidEdit(f"{path} is not a Python source file")
    if pure.name in NEVER_EDITED or looks_like_tests(path) and path not in sources:
        raise InvalidEdit(f"{path} is a test or configures how tests run, and may not be edited")
    if any((tree / parent).is_symlink() for parent in [pure, *pure.parents]) or not (tree / path).is_file():
        raise InvalidEdit(f"{path} is not a file of the repository")


def is_test_path(path: str) -> bool:
    """Whether this file belongs to the tests: by its name, or by the folder that it is in."""
    pure = PurePosixPath(path)
    return pure.name == "conftest.py" or pure.name.startswith("test_") or pure.stem.endswith("_test") or pure.name == "tests.py" or \
        any(part in TEST_FOLDERS for part in pure.parts[:-1])


def looks_like_tests(path: str) -> bool:
    """Whether this file is called like one of the tests, or like what configures how they run."""
    return is_test_path(path) or PurePosixPath(path).name in FORBIDDEN_NAMES


# -------------------------------------------------------------------------------------------------------- additions

def _defined(module: ast.Module) -> set[str]:
    """Names that the module's own statements define or import."""
    names = set()
    for node in module.body:
        names.update(_names_of(node))
    return names


def _names_of(node: ast.stmt) -> set[str]:
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name.partition(".")[0]) for alias in node.names}
    if isinstance(node, ast.Assign):
        return {n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    if isinstance(node, (ast.AnnAssign, ast.AugAssign)) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return {name for child in ast.iter_child_nodes(node) if isinstance(child, STATEMENTS)
            for name in _names_of(child)}


def _with_additions(text: str, source: str, module: ast.Module, known: set[str], qualname: str) -> str:
    """`text` with what `module` imports and defines under names that are not `known`: imports after its own, the rest above the
    function, where what the module defines up to there can be used."""
    lines, imports, definitions, fresh = source.split("\n"), [], [], set()
    imported = {name for node in module.body if isinstance(node, (ast.Import, ast.ImportFrom)) for name in _names_of(node)}
    for node in module.body:
        names = _names_of(node)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            # One statement may import names that are there already beside new ones.
            added = copy.copy(node)
            added.names = [a for a in node.names if (a.asname or a.name.partition(".")[0]) not in known]
            if added.names and getattr(node, "module", "") != "__future__":
                imports.append(ast.unparse(added))
        elif not names & known and (names or _changed(node) & (imported if isinstance(node, ast.Expr) else fresh)):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            block = lines[first - 1:node.end_lineno]
            if names or "\n".join(["", *block, ""]) not in f"\n{text}\n":       # a call that stands there already is not made twice
                definitions.append(block)
            fresh |= names
    if not imports and not definitions:
        return text
    text_lines = text.split("\n")
    end = "\r" if text_lines[0].endswith("\r") else ""
    parsed = parse(text)
    top = _end_of_imports(parsed, text_lines)
    place = max(top, _line_above(parsed, find(text, qualname)))
    above = [line.rstrip("\r") + end for block in definitions for line in [*block, "", ""]]
    return "\n".join(text_lines[:top] + [line + end for line in imports] + text_lines[top:place] + above + text_lines[place:])


def _changed(node: ast.stmt) -> set[str]:
    """Names of what the statement sets something in, or calls a method of."""
    parts = [n for n in ast.walk(node) if isinstance(n, (ast.Subscript, ast.Attribute)) and isinstance(n.ctx, ast.Store)]
    parts += [n.func for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    return {part.value.id for part in parts if isinstance(part.value, ast.Name)}


def _line_above(module: ast.Module, function) -> int:
    """The last line before the statement of the module that holds the function; 0 where there is none."""
    if function is None:
        return 0
    for node in module.body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        if first <= function.first <= node.end_lineno:
            return first - 1
    return 0


def _end_of_imports(module: ast.Module, lines: list[str]) -> int:
    """The last line of the module's docstring and leading imports."""
    end = at_top = 0
    for node in module.body:
        is_docstring = node is module.body[0] and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring or isinstance(node, (ast.Import, ast.ImportFrom)):
            end = node.end_lineno
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            break
    # A coding line counts in the first two lines only, so nothing is put above the comments at the top.
    while end == 0 and at_top < len(lines) and lines[at_top].startswith("#"):
        at_top += 1
    return end or at_top
