"""The functions of a repository as a run saw them: `functions.json` in the run folder. By it a
later run knows which of today's functions are the same, and which were born or have changed since.

    now = Inventory.of(tree, files)
    earlier.sides(now)          # {function of today: "train" | "heldout"}, where it had a side
    earlier.changed(now)        # functions of today that are new, or whose code is

A function is `file::qualified name`. It is the same one as before where

- it stands in the same file under the same name, whatever its code is now; or
- it has the same qualified name in another file, and is gone from where it stood; or
- it has the same code, name, docstring, comments and layout aside, where that is code enough
  (ENOUGH) to tell: one that was renamed, moved, or copied.

Where more than one earlier function fits, and one of them was held out, it is held out.
"""

import ast
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sandbox import jsonl
from sandbox.errors import UsageError
from sandbox.source import Function, body_nodes, functions, read_text
from sandbox.tasks.content import digest
from sandbox.tasks.split import HELDOUT

FILE = "functions.json"
ENOUGH = 16
"""Nodes of the syntax tree that a function's body needs to be known again by its code alone."""


@dataclass(frozen=True)
class Seen:
    """A function as a run saw it."""

    code: str
    """A hash of arguments, decorators and body."""
    tells: bool
    """Whether that is code enough to know it by."""
    side: str = ""
    """Of the split; "" where no task has been about it."""
    gone: bool = False
    """It was there in an earlier run alone."""


@dataclass(frozen=True)
class Inventory:
    """{`file::qualified name`: what was seen of it}"""

    functions: Mapping[str, Seen]

    @classmethod
    def of(cls, tree: Path, files: Iterable[str]) -> "Inventory":
        """The functions of these Python files; of one that cannot be read, none."""
        found: dict[str, Seen] = {}
        for file in files:
            try:
                inside = functions(read_text(tree / file))
            except (OSError, SyntaxError):
                continue
            found |= {
                f"{file}::{f.qualname}": _seen(f) for f in inside if "<locals>" not in f.qualname
            }
        return cls(found)

    @classmethod
    def read(cls, folder: Path) -> "Inventory":
        """Of a run. Raises UsageError where it has none."""
        file = folder / FILE
        try:
            return cls(
                {name: Seen(**entry) for name, entry in json.loads(file.read_text()).items()}
            )
        except (OSError, ValueError, TypeError):
            raise UsageError(
                f"{file} is missing or damaged: a run that an earlier version of coldstart mined, "
                "or one whose mining has not ended, cannot be taken up. Start a new run with: "
                "python coldstart.py bootstrap --new --repo DIR"
            ) from None

    def write(self, folder: Path) -> None:
        entries = {name: vars(seen) for name, seen in sorted(self.functions.items())}
        jsonl.write_aside(folder / FILE, (json.dumps(entries, indent=0) + "\n").encode())

    def with_sides(self, sides: Mapping[str, str], earlier: "Inventory | None") -> "Inventory":
        """Each with its side, and those of an earlier run that have one and are gone: they may come
        back."""
        before = earlier.sides(self) if earlier else {}
        now = {
            name: replace(seen, side=sides.get(name) or before.get(name, ""))
            for name, seen in self.functions.items()
        }
        lost = {
            name: replace(seen, gone=True)
            for name, seen in (earlier.functions.items() if earlier else ())
            if seen.side and name not in now
        }
        return Inventory(lost | now)

    def sides(self, now: "Inventory") -> dict[str, str]:
        """{function of `now`: the side that it had here}, where it had one."""
        found: dict[str, str] = {}
        for name in now.functions:
            here = self.functions.get(name)
            same = [here] if here and here.side else self._same(name, now)
            if sides := {seen.side for seen in same} - {""}:
                found[name] = HELDOUT if HELDOUT in sides else sides.pop()
        return found

    def changed(self, now: "Inventory") -> set[str]:
        """The functions of `now` that were not here, or with other code."""
        return {
            name
            for name, seen in now.functions.items()
            if not seen.gone
            and not any(old.code == seen.code and not old.gone for old in self._same(name, now))
        }

    def compare(self, now: "Inventory") -> dict[str, int]:
        """How many functions of `now` have changed and how many are new, and how many of those here
        are gone."""
        other = self.changed(now)
        there = {name for name, seen in self.functions.items() if not seen.gone}
        kept = {seen.code for seen in now.functions.values() if seen.tells}
        gone = {n for n in there - set(now.functions) if self.functions[n].code not in kept}
        return {"changed": len(other & there), "new": len(other - there), "gone": len(gone)}

    def _same(self, name: str, now: "Inventory") -> list[Seen]:
        """What `name` of `now` may have been here."""
        seen = now.functions[name]
        by_code = self._by_code.get(seen.code, ()) if seen.tells else ()
        here = [self.functions[name]] if name in self.functions else []
        moved = [
            self.functions[old]
            for old in self._by_name.get(_qualname(name), ())
            if old not in now.functions or now.functions[old].gone
        ]
        return [*here, *(() if here else moved), *by_code]

    @cached_property
    def _by_code(self) -> dict[str, list[Seen]]:
        found: dict[str, list[Seen]] = {}
        for seen in self.functions.values():
            found.setdefault(seen.code, []).append(seen)
        return found

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.functions:
            found.setdefault(_qualname(name), []).append(name)
        return found


def _qualname(name: str) -> str:
    return name.partition("::")[2]


def _seen(function: Function) -> Seen:
    node, body = function.node, body_nodes(function)
    parts = [node.args, *node.decorator_list, *body]
    size = sum(1 for part in body for _ in ast.walk(part))
    return Seen(digest(map(ast.dump, parts)), size >= ENOUGH)
