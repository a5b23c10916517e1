"""A reply -> an edit -> the files that are judged: what is read from a model's answer, and what may
be edited at all.

An edit is a map from a path, relative to the repository, to the whole new text of that file in the
broken state.

**The reply** (`blocks`): a few words of reason, then either a fenced `python` block with whole
functions, each replacing the one of the same (qualified) name in the task's file, new imports and
helpers added at module level; or SEARCH/REPLACE blocks under the file's path, as aider writes them.
What a model writes beside that is no answer: thinking, quotations, other languages, examples of use
(`replies.py` takes a reply apart, `_Edit` says which blocks count). With `body` the whole reply is
the bare body of the task's function, where the task is about one; one fence around it, or the whole
function, does no harm.

**The gate**, before anything runs: only regular `.py` text that parses and that the file's encoding
can say, only files that are there already, never tests or what configures them: what is called so,
where the survey did not see that it is source (`Task.sources`). Where the task is about one
function only that function is taken from the edit and spliced into the broken file, with imports
and helpers that are new; whatever else the edit changed there is ignored. Where it is about whole
files (`Task.files`) these are taken as the edit has them, and no others.
"""

import ast
import builtins
import copy
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

from sandbox import patches
from sandbox.source import (
    FUNCTIONS,
    KEPT_BYTES,
    STATEMENTS,
    Function,
    alone,
    as_sent,
    body_nodes,
    decode,
    find,
    functions,
    parse,
    read_text,
    source_of,
    unwritable,
    with_body,
    with_function,
)
from sandbox.tasks.replies import (
    BROKEN,
    CHANGE,
    OPEN,
    OTHER,
    PYTHON,
    THINKING,
    Part,
    module_of,
    read,
)
from sandbox.tasks.task import Task

NOTHING = "the reply holds no complete python block with the function and no SEARCH/REPLACE block"
DEFINITIONS = (*FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom)
MAX_AGAIN = 4
"""Blocks of one reply that may take the place of others before them."""
NEVER_EDITED = {"conftest.py", "sitecustomize.py", "usercustomize.py"}
"""What configures everything beside it. The others of FORBIDDEN_NAMES may be source, too."""
FORBIDDEN_NAMES = NEVER_EDITED | {"setup.py", "noxfile.py", "tasks.py", "fabfile.py"}
TEST_FOLDERS = ("tests", "test", "testing")
MAX_BYTES = 1 << 20
MAX_ENTRIES = 1000
"""In the folder of an overlay."""


class InvalidEdit(Exception):
    """There is no usable edit; `str(error)` says why. The verdict is `invalid`."""


# ------------------------------------------------------------------------------------------ replies


def from_reply(
    reply: str, task: Task, broken: dict[str, str], style: str = "blocks"
) -> dict[str, str]:
    """The edit that a reply asks for. Raises InvalidEdit."""
    reply = reply.removeprefix("\ufeff").replace("\r\n", "\n")
    if style == "body" and not task.files:
        return _from_body(reply, task, broken)
    return _Edit(read(reply), task, broken).made()


class _Misfit(Exception):
    """A block of a reply is of no use; `str(error)` says why."""

    def __init__(self, weight: int, words: str) -> None:
        """`weight`: how near it came to being the answer."""
        super().__init__(words)
        self.weight = weight


@dataclass(frozen=True)
class _Code:
    """A block of Python, and what of it belongs into a file."""

    part: Part
    path: str
    functions: dict[str, Function]
    """Those that take the place of a namesake, by their qualified names in the file."""
    known: frozenset[str]
    """The names in the block of all that have one."""


class _Edit:
    """What the blocks of one reply make of the broken files, one after the other.

    What does not parse, does not fit or is about nothing of the task is passed over as long as
    something else fits. The last block for a place counts: a function takes the place of its
    namesake, whatever has become of that; a SEARCH/REPLACE block whose search text is gone, and
    stood in the broken file, takes the place of the blocks that changed it there. A function
    without a body, as it was before, or of another file is a quotation where anything else is
    written for its place.
    """

    def __init__(self, parts: list[Part], task: Task, broken: dict[str, str]) -> None:
        self.task, self.broken, self.texts = task, broken, dict(broken)
        self.done: list[tuple[_Code | Part, str]] = []
        """What counts so far, and the path of each."""
        self.misfits: list[_Misfit] = []
        self._others: list[str] = []
        """Python that is about nothing of the task."""
        self._again = MAX_AGAIN
        self._places: dict[int, frozenset[tuple[str, int]]] = {}
        self._steps = [step for part in parts if (step := self._step(part)) is not None]

    def made(self) -> dict[str, str]:
        """The changed files. Raises InvalidEdit."""
        for step in map(self._without_quotations, self._steps):
            try:
                self._apply(step)
            except _Misfit as misfit:
                self._in_place_of_others(step, misfit)
        if not self.done:
            words = [str(m) for m in sorted(self.misfits, key=lambda m: m.weight)]
            raise InvalidEdit(words[-1] if words else NOTHING)
        with suppress(SyntaxError, _Misfit):
            self._add_helpers()
        return {path: self.texts[path] for path in sorted({path for _, path in self.done})}

    @property
    def has_function(self) -> bool:
        return any(isinstance(step, _Code) for step in self._steps)

    def _step(self, part: Part) -> "_Code | Part | None":
        """What is to be tried of a part, if anything; why not, is noted."""
        if part.kind == CHANGE:
            return part
        if part.kind == PYTHON:
            if (code := self._code(part)) is not None:
                return code
            self._others.append(part.code)
            if names := ", ".join(f.qualname for f in _outer(functions(part.code))):
                self._note(1, f"the python block has {names}, and not {self._wanted}")
        elif part.kind == BROKEN:
            self._note(
                3 if self._defined_in(part.content) else 0,
                f"the python block does not parse: {part.fault}",
            )
        elif part.kind == OTHER and self._defined_in(part.content):
            self._note(2, f"{NOTHING}: the function stands in a block of another language")
        elif part.kind == THINKING and self._defined_in(part.text):
            self._note(2, f"{NOTHING}: the function stands in its thinking alone")
        elif part.kind == OPEN:
            self._note(1, f"{NOTHING}: a block in it has no end")
        return None

    def _note(self, weight: int, words: str) -> None:
        self.misfits.append(_Misfit(weight, words))

    @property
    def _wanted(self) -> str:
        return "a function of these files" if self.task.files else self.task.function

    def _defined_in(self, content: str) -> bool:
        """Whether the task's function may be meant, though it is no Python."""
        name = self.task.function.rpartition(".")[2]
        return re.search(rf"\bdef\s+{re.escape(name)}\b", content) is not None

    # ------------------------------------------------------------------------------------ functions

    def _code(self, part: Part) -> _Code | None:
        """The functions of a block that belong into one of the files: the one that it names, or the
        task's own, or another."""
        named = {f.qualname: f for f in _outer(functions(part.code))}
        said = filter(None, (resolved(path, self.broken) for path in part.paths))
        for path in dict.fromkeys((*said, self.task.file, *self.broken)):
            meant, text = _as_methods(named, self.task.named.get(path, ())), self.broken[path]
            try:
                own = {name: f for name, f in meant.items() if find(text, name) is not None}
            except SyntaxError:  # only SEARCH/REPLACE blocks can mend that file
                continue
            if own and (self.task.files or self.task.function in own):
                return _Code(part, path, own, frozenset(f.qualname for f in own.values()))
        return None

    def _without_quotations(self, step: "_Code | Part") -> "_Code | Part":
        if isinstance(step, Part):
            return step
        kept = {
            name: f
            for name, f in step.functions.items()
            if (step.path, name) not in self._meant or self._is_meant(step, name)
        }
        return replace(step, functions={} if self._replaces and not self._meant else kept)

    @cached_property
    def _meant(self) -> set[tuple[str, str]]:
        """The functions that a block gives which is more than a quotation."""
        return {
            (step.path, name)
            for step in self._steps
            if isinstance(step, _Code)
            for name in step.functions
            if self._is_meant(step, name)
        }

    def _is_meant(self, code: _Code, name: str) -> bool:
        function, was = code.functions[name], find(self.broken[code.path], name)
        if code.part.path_alone and not any(resolved(p, self.broken) for p in code.part.paths):
            return False
        return not all(map(_is_blank, function.node.body)) and not _is_alike(function, was)

    def _apply_code(self, code: _Code) -> str:
        text, source, path = self.texts[code.path], code.part.code, code.path
        try:
            for name, function in code.functions.items():
                if (target := find(text, name)) is None:
                    raise _Misfit(4, f"{path} has no {name} once the blocks before are in it")
                text = self._fit(path, with_function(text, target, source_of(source, function)))
            given = {f.qualname for f in _outer(functions(source))}
            helpers = {
                name for name in given - code.known if "." not in name and find(text, name) is None
            }
            known = (_defined(parse(self.broken[path])) | given) - helpers
            text = self._fit(
                path, _with_additions(text, source, parse(source), known, self.task.function)
            )
        except SyntaxError as error:
            raise _Misfit(4, f"the function cannot be put in its place: {error.msg}") from None
        self.texts[path] = text
        return path

    def _add_helpers(self) -> None:
        """Add what blocks that are about nothing of the task define, as far as the functions need
        it and nothing else gives it: the last definition of each name."""
        givers = {
            name: (number, node)
            for number, source in enumerate(self._others)
            for node in parse(source).body
            if isinstance(node, (*DEFINITIONS, ast.Assign, ast.AnnAssign))
            for name in _names_of(node)
        }
        for path in {path for _, path in self.done} if givers else ():
            text = self.texts[path]
            pending = [
                f.node
                for step, at in self.done
                if isinstance(step, _Code) and at == path
                for f in step.functions.values()
            ]
            known, needed = _defined(parse(text)) | set(dir(builtins)), {}
            while pending:
                for name in (_unknown_names(pending.pop()) - known) & givers.keys() - needed.keys():
                    needed[name] = givers[name]
                    pending.append(givers[name][1])
            for number in sorted({number for number, _ in needed.values()}, reverse=True):
                nodes = {id(node): node for at, node in needed.values() if at == number}
                module = ast.Module(sorted(nodes.values(), key=lambda node: node.lineno), [])
                given = {name for name, (at, _) in needed.items() if at == number}
                text = _with_additions(
                    text, self._others[number], module, _defined(module) - given, self.task.function
                )
            self.texts[path] = self._fit(path, text)

    # ------------------------------------------------------------------------------- SEARCH/REPLACE

    @cached_property
    def _replaces(self) -> bool:
        return any(isinstance(step, Part) for step in self._steps)

    def _apply_change(self, part: Part) -> str:
        counts = {}
        for path in self._paths_for(part):
            for search, replacement in part.changes:
                if (count := occurrences(self.texts[path], search)) == 1:
                    self.texts[path] = _exchanged(self.texts[path], search, replacement)
                    return path
                counts.setdefault(count, path)
        count = max(counts)
        raise _Misfit(3, f"the search text for {counts[count]} occurs {count} times, not once")

    def _paths_for(self, part: Part) -> list[str]:
        """The file that a SEARCH/REPLACE block names; without a name the task's own, then any."""
        found = [path for name in part.paths if (path := resolved(name, self.broken))]
        if not found and part.path_alone:
            raise _Misfit(
                3, f"a SEARCH/REPLACE block names {part.paths[0]}, which this task does not edit"
            )
        return found[:1] or list(dict.fromkeys((self.task.file, *self.broken)))

    # -------------------------------------------------------------------------- one after the other

    def _apply(self, step: "_Code | Part") -> None:
        """Raises _Misfit, and nothing has changed then."""
        if isinstance(step, Part):
            self.done.append((step, self._apply_change(step)))
        elif step.functions:
            self.done.append((step, self._apply_code(step)))

    @staticmethod
    def _fit(path: str, text: str) -> str:
        """The text, if the file's encoding can say it. Raises _Misfit."""
        if fault := unwritable(text):
            raise _Misfit(4, f"{path} {fault}")
        return text

    def _in_place_of_others(self, step: "_Code | Part", misfit: _Misfit) -> None:
        """Try the step without what is in its way; where that is no use everything is as before."""
        done, texts = self.done, self.texts
        if self._again and (isinstance(step, _Code) or self._place(step)):
            self._again -= 1
            rest = [self._left_of(other, path, step) for other, path in done]
            self.done, self.texts = [], dict(self.broken)
            for other in filter(None, rest):
                with suppress(_Misfit):
                    self._apply(other)
            with suppress(_Misfit):
                return self._apply(step)
            self.done, self.texts = done, texts
        self.misfits.append(misfit)

    def _left_of(
        self, other: "_Code | Part", path: str, step: "_Code | Part"
    ) -> "_Code | Part | None":
        """What stays of a block where a later one takes its place."""
        if isinstance(step, _Code):  # the file may not parse with the others in it
            return None if isinstance(other, Part) and path == step.path else other
        if isinstance(other, Part):
            return None if self._place(step) & self._place(other) else other
        kept = {
            name: f
            for name, f in other.functions.items()
            if not self._place(step) & _place(path, find(self.broken[path], name))
        }
        return replace(other, functions=kept) if kept else None

    def _place(self, part: Part) -> frozenset[tuple[str, int]]:
        """(path, line) of what a SEARCH/REPLACE block is about in the broken files."""
        if id(part) not in self._places:
            self._places[id(part)] = frozenset()
            with suppress(_Misfit):
                for path in self._paths_for(part):
                    for search, _ in part.changes:
                        if (
                            not self._places[id(part)]
                            and occurrences(self.broken[path], search) == 1
                        ):
                            first = _line_of(self.broken[path], search)
                            lines = range(first + 1, first + 1 + search.count("\n"))
                            self._places[id(part)] = frozenset((path, line) for line in lines)
        return self._places[id(part)]


def resolved(path: str, paths: Iterable[str]) -> str | None:
    """Which of the paths a reply means by this one; its folders may be left out where one alone
    ends so."""
    path = path.replace("\\", "/").removeprefix("./")
    ends = [known for known in paths if known == path or known.endswith(f"/{path}")]
    return path if path in ends else ends[0] if len(ends) == 1 else None


def _outer(found: Iterable[Function]) -> list[Function]:
    return [f for f in found if "<locals>" not in f.qualname]


def _as_methods(named: dict[str, Function], wanted: Iterable[str]) -> dict[str, Function]:
    """The same where a method may have been shown without its class."""
    found = dict(named)
    for name in wanted:
        short = next((n for n in found if name.endswith(f".{n}")), None)
        if short is not None and name not in found:
            found[name] = found.pop(short)
    return found


def _is_blank(node: ast.stmt) -> bool:
    """Whether a statement does nothing, or stands for what is missing."""
    if isinstance(node, ast.Raise):
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return isinstance(kind, ast.Name) and kind.id == "NotImplementedError"
    says_a_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return says_a_constant or isinstance(node, ast.Pass)


def _is_alike(a: Function, b: Function) -> bool:
    """Whether they have the same arguments and the same body, docstrings aside."""
    try:
        forms = [[ast.dump(n) for n in (f.node.args, *body_nodes(f))] for f in (a, b)]
        return forms[0] == forms[1]
    except RecursionError:  # nested too deep to be told
        return False


def _unknown_names(node: ast.AST) -> set[str]:
    """Names that it uses and does not define itself."""
    used, own = set(), set()
    for n in ast.walk(node):
        if isinstance(n, ast.Name):
            (used if isinstance(n.ctx, ast.Load) else own).add(n.id)
        elif isinstance(n, ast.arg):
            own.add(n.arg)
        elif isinstance(n, ast.alias):
            own.add(n.asname or n.name.partition(".")[0])
        elif isinstance(name := getattr(n, "name", None), str):
            own.add(name)
    return used - own


def occurrences(text: str, search: str) -> int:
    """How often these lines stand in the text, whatever its line ends; where they do not as whole
    lines, how often with something before the first."""
    return _found(text, search)[0] if search.strip() else 0


def _line_of(text: str, search: str) -> int:
    """The line in which they begin, from 0."""
    return text.replace("\r\n", "\n").count("\n", 0, _found(text, search)[1])


def _found(text: str, search: str) -> tuple[int, int]:
    """(how often, where it begins first, with plain line ends); (0, -1) where it is not there."""
    plain = text.replace("\r\n", "\n")
    ended = plain if plain.endswith("\n") else f"{plain}\n"
    for whole, sought in (
        (f"\n{plain}", f"\n{search}"),
        (f"\n{ended}", f"\n{search}"),
        (plain, search),
    ):
        if (first := whole.find(sought)) >= 0:
            once = whole.find(sought, first + 1) < 0
            return 1 if once else max(2, whole.count(sought)), first
    return 0, -1


def _exchanged(text: str, search: str, replacement: str) -> str:
    """The text with other lines in the place of these, which end as the first of these did."""
    first, lines = _line_of(text, search), text.split("\n")
    start = lines[first].removesuffix("\r")
    start = start[: len(start) - len(search.partition("\n")[0])]
    *fresh, rest = (start + replacement).split("\n")
    end = "\r" if lines[first].endswith("\r") else ""
    below = lines[first + search.count("\n") :]
    if rest or not below:  # it began within a line, or ends the file
        below = [rest + (below[0] if below else ""), *below[1:]]
    new = "\n".join([*lines[:first], *(line + end for line in fresh), *below])
    stays = text.endswith("\n") or lines[-1:] == below[-1:]
    return new if stays else new.removesuffix("\n").removesuffix("\r")


def _place(path: str, function: Function) -> frozenset[tuple[str, int]]:
    return frozenset((path, line) for line in range(function.first, function.last + 1))


# -------------------------------------------------------------------------------------- bare bodies


def _from_body(reply: str, task: Task, broken: dict[str, str]) -> dict[str, str]:
    """The edit of a reply that is a bare body, or holds one."""
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
    if not all(isinstance(node, DEFINITIONS) for node in body_nodes(find(new, task.function))):
        return None
    try:
        edit = _Edit([Part(PYTHON, reply, reply, module_of(reply))], task, broken)
    except SyntaxError:
        return None
    return edit.made() if edit.has_function else None


def _with_bare_body(reply: str, task: Task, text: str) -> str:
    function = find(text, task.function)
    if not reply.strip():
        raise InvalidEdit("the reply is empty")
    new = with_body(text, function, reply.rstrip())
    if fault := unwritable(new):
        raise InvalidEdit(f"{task.file} {fault}")
    try:
        after = find(new, task.function)
    except SyntaxError as error:
        raise InvalidEdit(f"the body does not parse: {error.msg}") from None
    if after is None or len(parse(new).body) != len(parse(text).body) or not body_nodes(after):
        raise InvalidEdit("the reply is not the body of one function")
    return new


# -------------------------------------------------------------------------------------- other doors


def from_patch(patch: str, broken: dict[str, str], tree: Path) -> dict[str, str]:
    """The edit that a person's unified diff against the broken state makes: one of text, as a model
    writes it, or one of the files' own bytes, as git makes it, read as UTF-8 with surrogates for
    what is none. Raises InvalidEdit."""
    edit: dict[str, str] = {}
    in_bytes = KEPT_BYTES.search(patch) is not None
    try:
        for section in patches.sections(patch):
            path = section.path(lambda name: os.path.isfile(os.path.join(tree, name)))
            _check_path(path, tree, tuple(broken))  # of these the gate knows what they are
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
    edit, found = {}, list(islice(folder.rglob("*"), MAX_ENTRIES + 1))
    if len(found) > MAX_ENTRIES:
        raise InvalidEdit(
            f"{folder} holds more than {MAX_ENTRIES} files and folders; an edit is a few files"
        )
    for path in sorted(found):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise InvalidEdit(f"{relative} is a link; an edit is made of regular files")
        if path.is_file():
            edit[relative] = read_text(path)
        elif not path.is_dir():
            raise InvalidEdit(f"{relative} is not a regular file")
    return edit


# --------------------------------------------------------------------------------------------- gate


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
        if fault := unwritable(text):
            raise InvalidEdit(f"{path} {fault}")
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
    except (
        SyntaxError,
        RecursionError,
    ) as error:  # it parses alone and not where it is put, or only just
        raise InvalidEdit(f"the function cannot be put in its place ({error})") from None


def _only_its_function(text: str, task: Task, broken: str, tree: Path) -> bool:
    """Whether `text` is as `splice` would give it, because it differs from the broken file in the
    task's function alone: then no more than that function has to be read."""
    was = find(broken, task.function, read_text(tree / task.file))
    now = alone(text, broken, was)
    return now is not None and (bool(now.node.decorator_list) or not was.node.decorator_list)


def splice(text: str, task: Task, broken: str) -> str:
    """The broken file with the task's function from `text`, and with the imports and helpers that
    are new in `text`."""
    function = find(text, task.function)
    if function is None:
        raise InvalidEdit(f"{task.file} no longer has the function {task.function}")
    source = source_of(text, function)
    spliced = with_function(broken, find(broken, task.function), source)
    if not unwritable(spliced):
        spliced = _with_additions(
            spliced, text, parse(text), _defined(parse(broken)), task.function
        )
    if fault := unwritable(spliced):
        raise InvalidEdit(f"{task.file} {fault}")
    if find(spliced, task.function) is None:
        raise InvalidEdit("the function cannot be put in its place")
    return spliced


def _check_path(path: str, tree: Path, sources: tuple[str, ...]) -> None:
    """Raises InvalidEdit. `sources`: files that are source whatever they are called."""
    pure = PurePosixPath(path)
    if (
        pure.is_absolute()
        or ".." in pure.parts
        or str(pure) != path
        or not re.fullmatch(r"[\w./+-]{1,1000}", path, re.ASCII)
        or any(len(part) > 255 for part in pure.parts)
    ):
        raise InvalidEdit(f"{path!r} is not a plain path below the repository")
    if pure.suffix != ".py":
        raise InvalidEdit(f"{path} is not a Python source file")
    if pure.name in NEVER_EDITED or looks_like_tests(path) and path not in sources:
        raise InvalidEdit(f"{path} is a test or configures how tests run, and may not be edited")
    if (
        any((tree / parent).is_symlink() for parent in [pure, *pure.parents])
        or not (tree / path).is_file()
    ):
        raise InvalidEdit(f"{path} is not a file of the repository")


def is_test_path(path: str) -> bool:
    """Whether this file belongs to the tests: by its name, or by the folder that it is in."""
    pure = PurePosixPath(path)
    return (
        pure.name == "conftest.py"
        or pure.name.startswith("test_")
        or pure.stem.endswith("_test")
        or pure.name == "tests.py"
        or any(part in TEST_FOLDERS for part in pure.parts[:-1])
    )


def looks_like_tests(path: str) -> bool:
    """Whether this file is called like one of the tests, or like what configures how they run."""
    return is_test_path(path) or PurePosixPath(path).name in FORBIDDEN_NAMES


# ---------------------------------------------------------------------------------------- additions


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
        return {
            n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)
        }
    if isinstance(node, (ast.AnnAssign, ast.AugAssign)) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return {
        name
        for child in ast.iter_child_nodes(node)
        if isinstance(child, STATEMENTS)
        for name in _names_of(child)
    }


def _with_additions(
    text: str, source: str, module: ast.Module, known: set[str], qualname: str
) -> str:
    """`text` with what `module` imports and defines under names that are not `known`: imports after
    its own, the rest above the function, where what the module defines up to there can be used."""
    lines, imports, definitions, fresh = source.split("\n"), [], [], set()
    imported = {
        name
        for node in module.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in _names_of(node)
    }
    for node in module.body:
        names = _names_of(node)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            # One statement may import names that are there already beside new ones.
            added = copy.copy(node)
            added.names = [
                a for a in node.names if (a.asname or a.name.partition(".")[0]) not in known
            ]
            if added.names and getattr(node, "module", "") != "__future__":
                imports.append(ast.unparse(added))
        elif not names & known and (
            names or _changed(node) & (imported if isinstance(node, ast.Expr) else fresh)
        ):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            block = lines[first - 1 : node.end_lineno]
            if (
                names or "\n".join(["", *block, ""]) not in f"\n{text}\n"
            ):  # a call that stands there already is not made twice
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
    return "\n".join(
        text_lines[:top]
        + [line + end for line in imports]
        + text_lines[top:place]
        + above
        + text_lines[place:]
    )


def _changed(node: ast.stmt) -> set[str]:
    """Names of what the statement sets something in, or calls a method of."""
    parts = [
        n
        for n in ast.walk(node)
        if isinstance(n, (ast.Subscript, ast.Attribute)) and isinstance(n.ctx, ast.Store)
    ]
    parts += [
        n.func
        for n in ast.walk(node)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
    ]
    return {part.value.id for part in parts if isinstance(part.value, ast.Name)}


def _line_above(module: ast.Module, function) -> int:
    """The last line before the statement of the module that holds the function; 0 where there is
    none."""
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
        is_docstring = (
            node is module.body[0]
            and isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
        )
        if is_docstring or isinstance(node, (ast.Import, ast.ImportFrom)):
            end = node.end_lineno
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            break
    # A coding line counts in the first two lines only, so nothing is put above the comments at the
    # top.
    while end == 0 and at_top < len(lines) and lines[at_top].startswith("#"):
        at_top += 1
    return end or at_top
