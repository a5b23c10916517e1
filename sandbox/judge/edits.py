"""Where an edit comes from: a model's reply, a person's patch, a folder of files.

    edit = from_reply(text, task, task.broken(tree), "blocks")     # {path: the file's new text}

All of them raise InvalidEdit where there is no usable edit. What of an edit is allowed is another
question: `gate.py`.

**A reply in blocks**: a few words of reason, then either a fenced `python` block with whole
functions, each replacing the one of the same (qualified) name in the task's file, new imports and
helpers added at module level; or SEARCH/REPLACE blocks under the file's path, as aider writes them.
What a model writes beside that is no answer: thinking, quotations, other languages, examples of use
(`replies.py` takes a reply apart, `blocks.py` says which blocks count, `applying.py` puts these
into the files).

**A reply as a body**: the whole reply is the bare body of the task's function, where the task is
about one; one fence around it, or the whole function, does no harm.

**A reply as a middle** (style `fim`): every character of it is put where the body was, as an editor
would put it; so indentation counts, and a fence is a mistake.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from sandbox import patches
from sandbox.judge.applying import Application
from sandbox.judge.blocks import Blocks
from sandbox.judge.gate import InvalidEdit, check_path
from sandbox.judge.merge import DEFINITIONS
from sandbox.source import (
    KEPT_BYTES,
    Function,
    as_sent,
    body_nodes,
    decode,
    find,
    parse,
    read_text,
    unwritable,
    with_body,
)
from sandbox.tasks.fim import Around
from sandbox.tasks.replies import BROKEN, PYTHON, THINKING, Part, module_of, read
from sandbox.tasks.styles import is_bare_body, is_middle
from sandbox.tasks.task import Task

MAX_ENTRIES = 1000
"""In the folder of an overlay."""


def from_reply(
    reply: str, task: Task, broken: dict[str, str], style: str = "blocks"
) -> dict[str, str]:
    """The edit that a reply asks for. `style`: one of `styles.STYLES`. Raises InvalidEdit."""
    reply = reply.removeprefix("\ufeff").replace("\r\n", "\n")
    if is_middle(style, task):
        return _from_middle(reply, task, broken[task.file])
    if is_bare_body(style, task):
        return _from_body(reply, task, broken)
    return Application(Blocks(read(reply), task, broken), task, broken).changed_files()


def _from_middle(reply: str, task: Task, text: str) -> dict[str, str]:
    """The edit of a reply that stands where the function's body was. Nothing else may stand there:
    an editor would not take it out again."""
    if not reply.strip():
        raise InvalidEdit("the reply is empty")
    around = Around.of(text, task.function)
    new = around.filled(reply)
    after = _checked(new, task, text)
    lines = new.split("\n")
    end = len(lines) - around.suffix.count("\n")
    if after.first != around.function.first or after.last > end:
        raise InvalidEdit("the reply is not the body of one function")
    if any(line.strip() and not line.lstrip().startswith("#") for line in lines[after.last : end]):
        raise InvalidEdit("the reply goes on behind the body")
    return {task.file: new}


def _from_body(reply: str, task: Task, broken: dict[str, str]) -> dict[str, str]:
    """The edit of a reply that is a bare body, or holds one."""
    fault = InvalidEdit("the reply is empty")
    for body in _bodies(reply):
        try:
            new = _with_bare_body(body, task, broken[task.file])
        except InvalidEdit as error:
            fault = error
            continue
        return _with_whole_function(body, new, task, broken) or {task.file: new}
    raise fault


def _bodies(reply: str) -> Iterator[str]:
    """What may be the body: the reply as it stands, what is left of it without thinking, and what
    stands in its one block."""
    yield reply
    parts = read(reply)
    rest = [part for part in parts if part.kind != THINKING]
    if len(rest) < len(parts):
        yield "".join(part.text for part in rest).lstrip("\n")
    blocks = [part.content for part in rest if part.kind in (PYTHON, BROKEN)]
    if len(blocks) == 1:
        yield blocks[0]


def _with_whole_function(
    reply: str, new: str, task: Task, broken: dict[str, str]
) -> dict[str, str] | None:
    """The edit of a reply that is the whole function, with its imports and helpers: as a body,
    which made `new`, it would define a function of its own name and do nothing. None where it is
    none."""
    function = find(new, task.function)
    assert function is not None
    if not all(isinstance(node, DEFINITIONS) for node in body_nodes(function)):
        return None
    try:
        blocks = Blocks([Part(PYTHON, reply, reply, module_of(reply))], task, broken)
    except SyntaxError:
        return None
    return Application(blocks, task, broken).changed_files() if blocks.has_function else None


def _with_bare_body(reply: str, task: Task, text: str) -> str:
    """The file with this body in its function. Raises InvalidEdit."""
    function = find(text, task.function)
    assert function is not None
    if not reply.strip():
        raise InvalidEdit("the reply is empty")
    new = with_body(text, function, reply.rstrip())
    _checked(new, task, text)
    return new


def _checked(new: str, task: Task, text: str) -> Function:
    """The task's function in `new`, the file with the new body in it. Raises InvalidEdit where that
    cannot be written or read, or where what was put in is not one body."""
    if fault := unwritable(new):
        raise InvalidEdit(f"{task.file} {fault}")
    try:
        after = find(new, task.function)
    except SyntaxError as error:
        raise InvalidEdit(f"the body does not parse: {error.msg}") from None
    if after is None or len(parse(new).body) != len(parse(text).body) or not body_nodes(after):
        raise InvalidEdit("the reply is not the body of one function")
    return after


def from_patch(patch: str, broken: dict[str, str], tree: Path) -> dict[str, str]:
    """The edit that a person's unified diff against the broken state makes: one of text, as a model
    writes it, or one of the files' own bytes, as git makes it, read as UTF-8 with surrogates for
    what is none. Raises InvalidEdit."""
    edit: dict[str, str] = {}
    in_bytes = KEPT_BYTES.search(patch) is not None
    try:
        for section in patches.sections(patch):
            path = section.path(lambda name: os.path.isfile(os.path.join(tree, name)))
            check_path(path, tree, tuple(broken))  # of these the gate knows what they are
            text = edit.get(path, broken.get(path))
            text = read_text(tree / path) if text is None else text
            edit[path] = _fitted(text, section, path, in_bytes)
    except patches.PatchError as error:
        raise InvalidEdit(f"{error}{patches.hint(patch)}") from None
    return edit


def _fitted(text: str, section: patches.Section, path: str, in_bytes: bool) -> str:
    """The file's text with the hunks of a patch that is in its characters, or else in its bytes."""
    if not in_bytes:
        with suppress(patches.PatchError):
            return patches.fit(text, section.hunks, path)
    changed = patches.fit(as_sent(text), section.hunks, path)
    return decode(changed.encode("utf-8", "surrogateescape"))


def from_overlay(folder: Path) -> dict[str, str]:
    """The edit that a folder of files makes. Raises InvalidEdit for links, what is not a regular
    file, and far too many of them."""
    found = list(islice(folder.rglob("*"), MAX_ENTRIES + 1))
    if len(found) > MAX_ENTRIES:
        raise InvalidEdit(
            f"{folder} holds more than {MAX_ENTRIES} files and folders; an edit is a few files"
        )
    edit: dict[str, str] = {}
    for path in sorted(found):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise InvalidEdit(f"{relative} is a link; an edit is made of regular files")
        if path.is_file():
            edit[relative] = read_text(path)
        elif not path.is_dir():
            raise InvalidEdit(f"{relative} is not a regular file")
    return edit
