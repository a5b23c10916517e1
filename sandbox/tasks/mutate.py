"""Mutants: one small change to a function's body that a person could have made. Everything else
stays byte for byte.

    for mutant in mutants(text, function, seed="0/lib/text.py::words", count=3):
        mutant.operator, mutant.before, mutant.after      # "comparison boundary", "<", "<="
        mutant.text                                       # the whole file with that one change

What is changed is said in `mutation_operators.py`. Only the function's own lines are parsed (libcst
keeps track of where each token stands), and the change is put into them as text, so line ends,
comments, coding lines and bytes that are not UTF-8 stay as they are. Signature, decorators,
docstring, annotations, f-strings and the messages of exceptions are never changed.

**Which of them.** The seed draws. Duplicates are thinned before anything runs: of the mutants of
one function no two change the same place, and no two take away the same text, so that no one answer
("put the `<` back") mends two of them; as long as there are operators that have not been used, none
is used twice. Mutants that behave like the original need no rule: no test notices them.
"""

import ast
import hashlib
from dataclasses import dataclass

from sandbox.source import Function, source_of
from sandbox.tasks.mutation_operators import SHOWN_AS, Site, between, sites

MAX_LINES = 400
"""A longer function is left alone: nobody could be asked to look through it for one token."""


@dataclass(frozen=True)
class Mutant:
    """One change, and the file with it."""

    operator: str
    before: str
    after: str
    text: str


def mutants(text: str, function: Function, seed: str, count: int) -> list[Mutant]:
    """At most `count` mutants of the function, drawn by the seed and thinned as said above; []
    where it cannot be taken apart."""
    source = source_of(text, function)
    if function.last - function.first >= MAX_LINES:
        return []
    # A method alone is not a module; under an `if` it is one, and no byte of it has to be moved.
    wrapper = "if 1:\n" if source[:1] in (" ", "\t") else ""
    alone = f"{wrapper}{source}\n"
    lines = alone.split("\n")
    order = sorted(sites(alone), key=lambda s: _drawn(f"{seed}/{s.operator}/{s.start}/{s.new}"))
    chosen: list[tuple[Site, Mutant]] = []
    for repeat in (False, True):
        for site in order:
            if len(chosen) >= count:
                break
            before = between(lines, site.start, site.end)
            if any(
                _overlap(site, other)
                or before.strip() == mutant.before.strip()
                or (site.operator == other.operator and not repeat)
                for other, mutant in chosen
            ):
                continue
            changed = _replaced(lines, site)
            if _parses(changed):
                whole = [
                    *text.split("\n")[: function.first - 1],
                    changed[len(wrapper) : -1],
                    *text.split("\n")[function.last :],
                ]
                chosen.append((site, Mutant(site.operator, before, site.new, "\n".join(whole))))
    return [mutant for _, mutant in chosen]


def _drawn(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def _replaced(lines: list[str], site: Site) -> str:
    (first, left), (last, right) = site.start, site.end
    return "\n".join(
        [
            *lines[: first - 1],
            lines[first - 1][:left] + site.new + lines[last - 1][right:],
            *lines[last:],
        ]
    )


def _overlap(a: Site, b: Site) -> bool:
    return a.start < b.end and b.start < a.end or a.start == b.start


def _parses(source: str) -> bool:
    try:
        ast.parse(source.translate(SHOWN_AS))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
