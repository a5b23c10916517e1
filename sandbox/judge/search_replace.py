"""SEARCH/REPLACE blocks on plain text: where the search text stands, and what becomes of the file.

    occurrences(text, search)                # a block can be applied where that is 1
    replaced(text, search, replacement)

The search text and the replacement have plain line ends; the file keeps its own.
"""


def occurrences(text: str, search: str) -> int:
    """How often these lines stand in the text, whatever its line ends; where they do not as whole
    lines, how often with something before the first."""
    return _first_match(text, search)[0] if search.strip() else 0


def line_of(text: str, search: str) -> int:
    """The line in which they begin, from 0."""
    return text.replace("\r\n", "\n").count("\n", 0, _first_match(text, search)[1])


def _first_match(text: str, search: str) -> tuple[int, int]:
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


def replaced(text: str, search: str, replacement: str) -> str:
    """The text with other lines in the place of these, which end as the first of these did."""
    first, lines = line_of(text, search), text.split("\n")
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
