"""A teacher that has answered already: `--teacher sessions:DIR`, a folder of old sessions of coding
agents. Where one of them has written a task's function, that is tried as an answer.

    pieces = read_sessions(Path("~/.claude/projects/-home-me-myproj"))
    candidates(task, pieces)                      # sources of the function, the latest first

What is read (all files below the folder; the formats are those of the programs' own files and
documents):

- `*.jsonl` of Claude Code: the tools Write, Edit and MultiEdit (`file_path`; `content`,
  `new_string`);
- `*.jsonl` of Codex CLI: `apply_patch`, as a tool of its own or in a shell command;
- `*.traj` of SWE-agent and `*.json` of mini-swe-agent: the diff that was submitted
  (`info.submission`), and files that a shell command writes (`cat > PATH <<'EOF'`).

A session holds what was changed and seldom the whole file, so what is looked for is a piece of text
with the whole function in it. Nothing of a session is believed: the tests say which answers are
right.
"""

import ast
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.source import find, reindent, source_of
from sandbox.tasks.task import Task

KINDS = (".jsonl", ".json", ".traj")
WRITING = ("content", "new_string", "new_str", "file_text")
"""Names under which tools are given the text that they write."""
PATCH = re.compile(r"\*\*\* Begin Patch\n(.*?)(?:\n\*\*\* End Patch|\Z)", re.S)
PATCHED = re.compile(r"\*\*\* (?:Add|Update) File: (.+)")
WRITTEN = re.compile(
    r"cat\s+(?:>\s*(\S+)\s*<<\s*['\"]?(\w+)['\"]?|<<\s*['\"]?(\w+)['\"]?\s*>\s*(\S+))\n(.*?)\n(?:\2|\3)\b",
    re.S,
)


@dataclass(frozen=True)
class Piece:
    """A piece of a file, as an agent wrote it."""

    path: str
    """As the session names it."""
    text: str


def read_sessions(folder: Path) -> list[Piece]:
    """All pieces in the order of the files' names. A file that is none of these is passed over."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in KINDS and path.is_file())
    return [piece for file in files for record in _records(file) for piece in _pieces(record)]


def _records(file: Path) -> Iterator[Any]:
    """The lines of a file, or all of it as one."""
    text = file.read_text(encoding="utf-8", errors="replace")
    for part in text.splitlines() if file.suffix == ".jsonl" else [text]:
        try:
            yield json.loads(part)
        except (ValueError, RecursionError):
            continue


def _pieces(record: Any) -> Iterator[Piece]:
    """In whatever depth: these formats differ in what stands around a tool's call, and agree in how
    a path and a text are named."""
    waiting = [record]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += reversed(node)
        elif isinstance(node, dict):
            path = node.get("file_path") or node.get("path")
            if isinstance(path, str):
                yield from _of_tool(path, node)
            if isinstance(diff := node.get("submission"), str):
                yield from _of_diff(diff)
            waiting += reversed(list(node.values()))
        elif isinstance(node, str):
            yield from _of_patch(node)
            yield from (Piece(m[1] or m[4], m[5]) for m in WRITTEN.finditer(node))
            if node.startswith("{") and "apply_patch" in node:  # arguments, as a text of JSON
                try:
                    waiting.append(json.loads(node))
                except (ValueError, RecursionError):
                    continue


def _of_tool(path: str, call: dict) -> Iterator[Piece]:
    """What a call of a tool writes; several edits may stand in one."""
    edits = call.get("edits")
    parts = edits if isinstance(edits, list) else []
    for edit in [call, *(part for part in parts if isinstance(part, dict))]:
        for name in WRITING:
            if isinstance(edit.get(name), str):
                yield Piece(path, edit[name])


def _of_patch(text: str) -> Iterator[Piece]:
    """Codex' own format of a patch."""
    for patch in PATCH.findall(text) if "*** Begin Patch" in text else ():
        path = ""
        lines: list[str] = []
        for line in [*patch.split("\n"), "*** End"]:
            if line.startswith(("***", "@@")):
                if path and lines:
                    yield Piece(path, "\n".join(lines))
                named = PATCHED.match(line)
                path, lines = (named[1].strip() if named else path), []
            elif line[:1] in ("+", " ", ""):
                lines.append(line[1:])


def _of_diff(diff: str) -> Iterator[Piece]:
    """The new side of each hunk of a unified diff."""
    path = ""
    lines: list[str] = []
    for line in [*diff.split("\n"), "@@"]:
        if line.startswith(("@@", "diff --git", "--- ")):
            if path and lines:
                yield Piece(path, "\n".join(lines))
            lines = []
        elif line.startswith("+++ "):
            path = line[4:].partition("\t")[0].removeprefix("b/")
        elif line[:1] in ("+", " ", ""):
            lines.append(line[1:])


# ---- what answers a task -------------------------------------------------------------------------


def candidates(task: Task, pieces: Iterable[Piece]) -> list[str]:
    """Sources of the task's function, without indentation, each once, the latest first; [] for a
    task that is about more than one function."""
    if task.files:
        return []
    found: dict[str, None] = {}
    for piece in reversed(list(pieces)):
        if _is_of(piece.path, task.file) and (source := _function_in(piece.text, task.function)):
            found.setdefault(source)
    return list(found)


def _is_of(path: str, file: str) -> bool:
    """Whether a session's path is this file of the repository's: absolute, or as it is there."""
    return path == file or path.endswith("/" + file)


def _function_in(text: str, qualname: str) -> str:
    """The function's source where the whole of it stands in the text; else ""."""
    name = qualname.rpartition(".")[2]
    whole = textwrap.dedent(text)
    for wanted in (qualname, name):
        try:
            if function := find(whole, wanted):
                return reindent(source_of(whole, function), "").strip("\n")
        except (SyntaxError, ValueError):
            break
    return _cut_out(text.split("\n"), name)


def _cut_out(lines: list[str], name: str) -> str:
    """The lines from a `def` to the end of its block, where they are Python by themselves."""
    head = re.compile(rf"(\s*)(?:async\s+)?def\s+{re.escape(name)}\s*\(")
    for first, line in enumerate(lines):
        if not (begins := head.match(line)):
            continue
        indent, last = len(begins[1]), first + 1
        while last < len(lines) and (not lines[last].strip() or _indent(lines[last]) > indent):
            last += 1
        source = textwrap.dedent("\n".join(lines[first:last])).strip("\n")
        try:
            (node,) = ast.parse(source).body
        except (SyntaxError, ValueError):
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return source
    return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
