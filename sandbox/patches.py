"""Unified diffs, made and applied in memory, strictly: the context must match at the lines the diff names.

Exactness is wanted: a gold edit that applies somewhere else would be another edit.
"""
import difflib
import re

HUNK = re.compile(r"^@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
NO_NEWLINE = "\\ No newline at end of file"


class PatchError(ValueError):
    """The patch cannot be read or does not apply; `str(error)` says where."""


def make(before: str, after: str, path: str) -> str:
    """The unified diff that turns `before` into `after` (git's form, `a/` and `b/` prefixes)."""
    def lines(text: str) -> list[str]:
        parts = text.split("\n")
        return [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])

    out = []
    for line in difflib.unified_diff(lines(before), lines(after), f"a/{path}", f"b/{path}"):
        out.append(line if line.endswith("\n") else f"{line}\n{NO_NEWLINE}\n")
    return "".join(out)


def paths(patch: str) -> list[str]:
    """The files that the patch changes."""
    return [path for path, _ in _files(patch)]


def apply(files: dict[str, str], patch: str, reverse: bool = False) -> dict[str, str]:
    """The changed files, or with `reverse` the files as they were before. `files` holds the text of each file that the
    patch names; a new file may be absent. Raises PatchError."""
    return {path: _apply_hunks(files.get(path, ""), hunks, path, reverse) for path, hunks in _files(patch)}


def _files(patch: str) -> list[tuple[str, list]]:
    """[(path, [(first old line, first new line, [(sign, text)])])]; raises PatchError."""
    files, hunks, left_old, left_new = [], None, 0, 0
    old_name = None
    for number, line in enumerate(patch.split("\n"), 1):
        if left_old > 0 or left_new > 0 or line == NO_NEWLINE:
            if not hunks or line == NO_NEWLINE and not hunks[-1][2]:
                raise PatchError(f"line {number} of the patch is out of place")
            sign, text = (line[:1] or " "), line[1:]
            if line == NO_NEWLINE:
                last_sign, last_text = hunks[-1][2][-1]
                hunks[-1][2][-1] = (last_sign, last_text[:-1])
                continue
            if sign not in " +-":
                raise PatchError(f"line {number} of the patch is neither context nor a change")
            left_old -= sign in " -"
            left_new -= sign in " +"
            hunks[-1][2].append((sign, text + "\n"))
        elif line.startswith("--- "):
            old_name = line[4:].split("\t")[0].strip()
        elif line.startswith("+++ ") and old_name is not None:
            name = line[4:].split("\t")[0].strip()
            if name == "/dev/null":
                raise PatchError(f"the patch deletes {old_name}, and deleting files is not supported")
            hunks = []
            files.append((name[2:] if name.startswith("b/") else name, hunks))
        elif match := HUNK.match(line):
            if hunks is None:
                raise PatchError(f"line {number} of the patch is a hunk without a file")
            old_start, left_old, new_start, left_new = (int(g) if g is not None else 1 for g in match.groups())
            hunks.append((old_start, new_start, []))
    if not files or any(not hunks for _, hunks in files) or left_old or left_new:
        raise PatchError("it is not a complete unified diff")
    return files


def _apply_hunks(text: str, hunks: list, path: str, reverse: bool) -> str:
    parts = text.split("\n")
    lines = [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
    gone, come = ("+", "-") if reverse else ("-", "+")
    out, position = [], 0
    for old_start, new_start, changes in hunks:
        start = new_start if reverse else old_start
        old = [line for sign, line in changes if sign in (" ", gone)]
        at = start - 1 if old else start
        if at < position or lines[at:at + len(old)] != old:
            raise PatchError(f"the patch does not apply to {path} at line {start}")
        out += lines[position:at] + [line for sign, line in changes if sign in (" ", come)]
        position = at + len(old)
    return "".join(out + lines[position:])
