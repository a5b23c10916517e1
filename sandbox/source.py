"""Functions as text in a file: find one, take its body out, put another one in. Nothing else in the
file changes.

Text is `str` as read by `read_text`: a file is decoded as its coding line or byte order mark says
(PEP 263; else UTF-8), and `to_bytes` encodes it back in the same way. Bytes that do not decode are
kept as surrogates, line ends and the byte order mark stay what they are.
"""

import ast
import codecs
import io
import re
import sys
import textwrap
import threading
import tokenize
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# A model's code may hold what Python only warns about; these warnings are not about a file of ours.
warnings.filterwarnings("ignore", category=SyntaxWarning, module="<unknown>")

# Python 3.11 counts how deep a syntax tree is for the whole process: two threads at once raise
# SystemError now and then.
_PARSING = threading.Lock()
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)
"""Statements, and what holds statements in one."""
BLANK_BODY = "raise NotImplementedError"
CODING = re.compile(
    r"(?:[ \t\f]*(?:#[^\n]*)?\n)??[ \t\f]*#[^\n]*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)"
)
"""What of the first two lines says the encoding, as Python itself reads it."""
LIKE_ASCII = bytes(set(range(128)) - {ord("\\")}), b"\\x41 \\u0041 +AGE-", b"\x1b$B$\"\x1b(B"
"""Bytes that say the same in ASCII and in an encoding whose files can be edited line by line."""
UTF_8 = "utf-8"
KEPT_BYTES = re.compile("[\udc80-\udcff]+")
SAYS_UTF_8 = re.compile(r"[ \t\f]*#(?:(?!coding).)*coding[:=][ \t]*utf-8(?![-_.\w])")
"""A coding line (PEP 263) of the encoding that a file has without one."""


@dataclass(frozen=True)
class Function:
    """Where a function stands in a file. Lines count from 1, ends included."""

    qualname: str
    node: FunctionNode
    first: int
    """Its first line, decorators included: what `co_firstlineno` says."""
    last: int
    indent: str


def decode(data: bytes) -> str:
    """The text of a file, as its coding line says. What `to_bytes` would not give back is kept as
    surrogates, byte for byte: bytes that do not decode, and a line that can be encoded in two ways.
    """
    encoding = _encoding_of(b"\n".join(data.split(b"\n", 2)[:2]).decode("latin-1"))
    text = data.decode(encoding, "surrogateescape")
    if encoding == UTF_8 or _encoded(text, encoding) == data:
        return text
    return "\n".join(_decoded_line(line, encoding) for line in data.split(b"\n"))


def _decoded_line(line: bytes, encoding: str) -> str:
    text = line.decode(encoding, "surrogateescape")
    return text if _encoded(text, encoding) == line else line.decode("ascii", "surrogateescape")


def _encoded(text: str, encoding: str) -> bytes | None:
    try:
        return text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        return None


def read_text(path: Path) -> str:
    return decode(path.read_bytes())


def to_bytes(text: str) -> bytes:
    """The bytes of a file of this text, as its own coding line says. Raises UnicodeEncodeError
    where that encoding cannot say it, or where it would be read as another text."""
    encoding = _encoding_of(text)
    decoded = text if encoding == UTF_8 else KEPT_BYTES.sub("", text)
    if encoding != UTF_8:
        read = decoded.encode(encoding).decode(encoding, "replace")
        if read != decoded:
            other = next((i for i, (a, b) in enumerate(zip(decoded, read)) if a != b), 0)
            raise UnicodeEncodeError(encoding, decoded, other, other + 1, "it is read as another")
    return text.encode(encoding, "surrogateescape")


def as_sent(text: str) -> str:
    """The file's bytes as the text that UTF-8 makes of them, surrogates for what is none: how
    whoever knows nothing of coding lines is sent a file."""
    return to_bytes(text).decode(UTF_8, "surrogateescape")


def unwritable(text: str) -> str:
    """What of the text the file's encoding cannot say, for a person, to put behind its name; ""
    where it can say all. Of UTF-8 the parser tells more."""
    try:
        to_bytes(text)
    except UnicodeEncodeError as error:
        if error.encoding != UTF_8:
            character = error.object[error.start]
            return f"is {named_encoding(text)}, and {character!r} (U+{ord(character):04X}) cannot be written in it"
    return ""


def sayable(code: str, text: str) -> str:
    """Python code with backslashes for what a file of this text cannot say in its encoding."""
    encoding = _encoding_of(text)
    return code.encode(encoding, "backslashreplace").decode(encoding) if encoding != UTF_8 else code


def _encoding_of(text: str) -> str:
    """What the coding line of a file says, where that is an encoding in which it can be edited: one
    in which ASCII is ASCII. Else UTF-8, the bytes that are none kept as surrogates."""
    named = named_encoding(text)
    return _codec(named) if named else UTF_8


def named_encoding(text: str) -> str:
    """What the coding line says; "" where there is none."""
    match = CODING.match(text)  # not behind a byte order mark: that says UTF-8
    return match[1] if match else ""


@lru_cache(maxsize=64)
def _codec(name: str) -> str:
    """The encoding that Python takes for this name in a coding line."""
    short = name[:12].lower().replace("_", "-")
    for known, others in ((UTF_8, ()), ("iso-8859-1", ("latin-1", "iso-latin-1"))):
        if any(short == n or short.startswith(f"{n}-") for n in (known, *others)):
            return known
    try:
        like_ascii = all(data.decode(name).encode("ascii") == data for data in LIKE_ASCII) and all(
            data.decode("ascii").encode(name) == data for data in LIKE_ASCII
        )
    except (LookupError, UnicodeError):
        return UTF_8
    return codecs.lookup(name).name if like_ascii else UTF_8


def at_column(line: str, column: int) -> tuple[str, str]:
    """A line cut at a column of the syntax tree, which counts bytes of UTF-8 in any file."""
    data = line.encode(UTF_8, "surrogateescape")
    before, after = data[:column], data[column:]
    return before.decode(UTF_8, "surrogateescape"), after.decode(UTF_8, "surrogateescape")


@lru_cache(maxsize=16)
def parse(text: str) -> ast.Module:
    """The syntax tree, the file's own coding line honoured: shared, so not to be changed. Raises
    SyntaxError (null bytes and deep nesting included)."""
    return _parsed(text)


def _parsed(text: str) -> ast.Module:
    if "\r" in text.replace("\r\n", ""):
        # To Python it ends a line, to everything else here it does not.
        raise SyntaxError("a bare carriage return")
    try:
        with _PARSING:
            return ast.parse(to_bytes(text))
    except (ValueError, RecursionError, MemoryError, LookupError) as error:
        raise SyntaxError(str(error)) from None


def reads_as_python(text: str) -> bool:
    """Whether our own Python can take the text apart."""
    try:
        parse(text)
    except SyntaxError:
        return False
    return True


def unreadable(error: SyntaxError, theirs: str) -> str:
    """Why a file cannot be taken apart, for a person: what to put behind its name. `theirs`: the
    version of the project's own Python, `3.13.0`."""
    if error.lineno is None:  # it is not the parser that refuses it
        return f"cannot be taken apart ({error.msg})"
    ours, newer = "{}.{}".format(*sys.version_info), ".".join(theirs.split(".")[:2])
    why = f"cannot be parsed by Python {ours} (line {error.lineno}: {error.msg})"
    if tuple(map(int, newer.split("."))) <= sys.version_info[:2]:
        return why
    return (
        f"{why}, which runs coldstart; the project's own is Python {theirs}: start coldstart "
        f"with Python {newer}"
    )


@lru_cache(maxsize=32)
def functions(text: str) -> list[Function]:
    """All functions in the file, nested ones and methods included, in the order of their lines.
    Raises SyntaxError."""
    lines = text.split("\n")
    result: list[Function] = []
    # A stack of its own: what a model writes may be nested deeper than Python may call.
    pending: list[tuple[ast.AST, str]] = [(parse(text), "")]
    while pending:
        node, path = pending.pop()
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, STATEMENTS):  # no expression holds a statement
                continue
            inner = path
            if isinstance(child, FUNCTIONS):
                line = lines[child.lineno - 1]
                indent = line[: len(line) - len(line.lstrip())]
                first, last = first_line(child), last_line(child)
                result.append(Function(path + child.name, child, first, last, indent))
                inner = f"{path}{child.name}.<locals>."
            elif isinstance(child, ast.ClassDef):
                inner = f"{path}{child.name}."
            pending.append((child, inner))
    return sorted(result, key=lambda f: (f.first, f.last))


def first_line(node: ast.stmt) -> int:
    """The first line of a statement, its decorators included."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def last_line(node: ast.stmt | ast.expr) -> int:
    assert node.end_lineno is not None  # the parser always gives it
    return node.end_lineno


@lru_cache(maxsize=64)
def find(text: str, qualname: str, near: str = "") -> Function | None:
    """The last function of this qualified name, the one that counts at run time. Raises
    SyntaxError.

    Most texts differ in this function alone from another one, `near`, that has been read: then it
    is read `alone`.
    """
    was = find(near, qualname) if near else None
    now = alone(text, near, was) if was else None
    return now or next((f for f in reversed(functions(text)) if f.qualname == qualname), None)


def alone(text: str, near: str, was: Function) -> Function | None:
    """The function of the same name in `text`, read by itself, where `text` is `near` with other
    lines in place of the function `was`, and these are one function and nothing else. None where
    that is not so, or cannot be told without reading everything.

    `text` parses then as `near` does: what stands around is the same, and whole lines that are one
    statement at the same indentation are that wherever they stand.
    """
    lines, others = text.split("\n"), near.split("\n")
    above, last = was.first - 1, len(lines) - (len(others) - was.last)
    if lines[:above] != others[:above] or lines[last:] != others[was.last :] or last <= above:
        return None
    # Line ends of another kind would be changed by `with_function`, and a coding line, which counts
    # in the first two lines of a file, would not be honoured; but it may say what goes without
    # saying.
    if (
        "\r" in text
        or above < 2
        or not lines[above].startswith(was.indent)
        or any("coding" in line and not SAYS_UTF_8.match(line) for line in lines[:2])
    ):
        return None
    try:
        part = _parsed("\n".join(["if 1:" if was.indent else "", *lines[above:last], ""]))
    except SyntaxError:
        return None
    outer = part.body[0] if was.indent else part
    statements = outer.body if isinstance(outer, (ast.If, ast.Module)) else []
    if len(part.body) != 1 or len(statements) != 1 or not isinstance(statements[0], FUNCTIONS):
        return None
    node = statements[0]
    if (first_line(node), node.end_lineno) != (2, last - above + 1):
        return None
    if (node.col_offset, node.name) != (len(was.indent), was.node.name):
        return None
    ast.increment_lineno(node, above - 1)
    return Function(was.qualname, node, was.first, last, was.indent)


@lru_cache(maxsize=512)
def imports(text: str) -> str:
    """The names that the module imports at its own level, as one import statement; "" where it
    imports none. Raises SyntaxError."""
    names: set[str] = set()
    pending: list[ast.AST] = list(parse(text).body)
    for node in pending:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(
                alias.asname or alias.name.partition(".")[0]
                for alias in node.names
                if alias.name != "*"
            )
        elif not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            pending += [
                child for child in ast.iter_child_nodes(node) if isinstance(child, STATEMENTS)
            ]
    return "import " + ", ".join(sorted(names)) if names else ""


def body_nodes(function: Function) -> list[ast.stmt]:
    """The statements of its body without the docstring."""
    body = function.node.body
    return body[1:] if ast.get_docstring(function.node, clean=False) is not None else body


def source_of(text: str, function: Function) -> str:
    """Its lines as they stand, decorators included."""
    return "\n".join(text.split("\n")[function.first - 1 : function.last])


def head_of(text: str, function: Function) -> str:
    """Signature and docstring as they stand, decorators included, ending without a line end."""
    lines = text.split("\n")
    body = body_nodes(function)
    if not body:
        return source_of(text, function)
    start = body[0]
    if first_line(start) > _line_before(function):
        return "\n".join(lines[function.first - 1 : _line_before(function)])
    # The body stands on the line where the signature or docstring ends.
    line = at_column(lines[start.lineno - 1], start.col_offset)[0].rstrip(" \t;")
    return "\n".join([*lines[function.first - 1 : start.lineno - 1], line])


def _line_before(function: Function) -> int:
    """The last line of the signature or, where there is one, of the docstring."""
    node = function.node
    if ast.get_docstring(node, clean=False) is not None:
        return last_line(node.body[0])
    ends = [node.lineno, *(getattr(n, "end_lineno", 0) for n in ast.walk(node.args))]
    if node.returns is not None:
        ends.append(last_line(node.returns))
    # A closing parenthesis may stand on a line of its own; the colon is on the last line before the
    # body.
    return max(*ends, first_line(node.body[0]) - 1)


def body_of(text: str, function: Function) -> str:
    """The body without signature and docstring, indented by four spaces, ending with a line end."""
    nodes = body_nodes(function)
    lines = text.split("\n")
    if nodes[0].lineno > _line_before(function):
        source = "\n".join(lines[_line_before(function) : function.last])
    else:
        source = at_column(lines[nodes[0].lineno - 1], nodes[0].col_offset)[1]
    return reindent(source.replace("\r", ""), "    ") + "\n"


def around_body(text: str, function: Function) -> tuple[str, str, str]:
    """(the file up to the body, the body as it stands, the rest of the file), which together are
    the file. The body begins with a line of its own, or behind the signature where it stands beside
    that; the line end behind it belongs to the rest. Where there is nothing but a docstring the
    body is empty, and a line end comes in front of it."""
    lines, body = text.split("\n"), body_nodes(function)
    rest = "\n".join(["", *lines[function.last :]]) if function.last < len(lines) else ""
    start = body[0].lineno - 1 if body else 0
    beside = at_column(lines[start], body[0].col_offset) if body else ("", "")
    if beside[0].strip() and first_line(body[0]) == body[0].lineno:
        before = "\n".join([*lines[:start], beside[0]])
        inside = "\n".join([beside[1], *lines[start + 1 : function.last]])
    else:
        place = _line_before(function) if body else function.last
        before = "".join(f"{line}\n" for line in lines[:place])
        inside = "\n".join(lines[place : function.last])
    if rest and inside.endswith("\r"):
        inside, rest = inside[:-1], f"\r{rest}"
    return before, inside, rest


def with_body(text: str, function: Function, body: str) -> str:
    """The file with this function's body (docstring kept) replaced by `body`, at whatever
    indentation that one has."""
    inner = function.indent + "    "
    existing = body_nodes(function)
    if existing and existing[0].lineno > function.node.lineno:
        line = text.split("\n")[existing[0].lineno - 1]
        inner = line[: len(line) - len(line.lstrip())]
    return _replace_lines(
        text, function, head_of(text, function).replace("\r", "") + "\n" + reindent(body, inner)
    )


def with_function(text: str, function: Function, source: str) -> str:
    """The file with this function replaced by `source`, a whole definition at whatever indentation.

    Where `source` has no decorators the function keeps its own: an edit is to the function, not to
    what wraps it.
    """
    source = reindent(source, function.indent)
    if not source.lstrip().startswith("@"):
        kept = text.split("\n")[function.first - 1 : function.node.lineno - 1]
        source = "\n".join([*(line.rstrip("\r") for line in kept), source])
    return _replace_lines(text, function, source)


def blanked(text: str, function: Function) -> str:
    """The file with this function's body taken out; signature and docstring stay."""
    return with_body(text, function, BLANK_BODY)


def bodies_changed(
    before: str, after: str, qualnames: list[str]
) -> list[tuple[Function, str, str]] | None:
    """(function in `before`, its source there, its source in `after`) for those of the named
    functions that differ, where nothing but their bodies differs: signature, decorators, docstring
    and everything around them are the same. Else None. Raises SyntaxError."""
    old = list(filter(None, (find(before, name) for name in qualnames)))
    new = list(filter(None, (find(after, name, before) for name in qualnames)))
    if not len(old) == len(new) == len(qualnames) or _without(before, old) != _without(after, new):
        return None
    changed = []
    for was, now in zip(old, new):
        if type(was.node) is not type(now.node) or _frame(was.node) != _frame(now.node):
            return None
        if (source := source_of(before, was)) != (fresh := source_of(after, now)):
            changed.append((was, source, fresh))
    return changed


def _without(text: str, cut: list[Function]) -> list[str]:
    """The lines outside these functions, with a mark where each was."""
    lines = text.split("\n")
    for function in sorted(cut, key=lambda f: f.first, reverse=True):
        lines[function.first - 1 : function.last] = [function.qualname]
    return lines


def _frame(node: FunctionNode) -> list:
    """What of a function is not its body."""
    parts = [node.args, *node.decorator_list, *([node.returns] if node.returns else [])]
    return [*map(ast.dump, parts), ast.get_docstring(node, clean=False)]


def reindent(source: str, indent: str) -> str:
    """`source` moved so that its first statement has this indentation; the inside of multi-line
    strings is left alone."""
    source = source.strip("\n")
    lines, now = source.split("\n"), indentation(source)
    if now == indent:
        return source
    inside_string = _string_continuations(source)
    moved = []
    for number, line in enumerate(lines, 1):
        if number in inside_string or not line.strip():
            moved.append(line)
        else:
            moved.append(indent + (line[len(now) :] if line.startswith(now) else line.lstrip()))
    return "\n".join(moved)


def indentation(source: str) -> str:
    """That of the first statement: comments above it may stand anywhere."""
    lines = source.strip("\n").split("\n")
    first = next(
        (line for line in lines if line.strip() and not line.lstrip().startswith("#")), lines[0]
    )
    return first[: len(first) - len(first.lstrip())]


def _string_continuations(source: str) -> set[int]:
    """Numbers of the lines that begin inside a string."""
    inside: set[int] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(textwrap.dedent(source) + "\n").readline):
            if token.type == tokenize.STRING or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
                inside.update(range(token.start[0] + 1, token.end[0] + 1))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        # What does not tokenize does not parse either: the caller's own parse will say so.
        return inside
    return inside


def _replace_lines(text: str, function: Function, new: str) -> str:
    lines = text.split("\n")
    end = "\r" if lines[function.first - 1].endswith("\r") else ""
    fresh = [line.rstrip("\r") + end for line in new.split("\n")]
    if function.last == len(lines) and end:
        fresh[-1] = fresh[-1].rstrip("\r")
    return "\n".join(lines[: function.first - 1] + fresh + lines[function.last :])
