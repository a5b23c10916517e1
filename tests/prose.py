"""Markdown as a reader counts it: words and sentences."""

import re

SPAN = re.compile(r"`([^`]+)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"!?\[([^]]*)\]\([^)]*\)")
ENDS = re.compile(r"(?<=[.!?])[*)\"]*\s+")
"""Between two sentences, of which one may begin with the name of a program in small letters. A
semicolon and a colon end none."""
ITEM = re.compile(r"^\s*(?:[-*]|\d+\.) ")


def words(text: str) -> list[str]:
    """What stands between blanks and has a letter or a figure: so code, sample output, tables and
    the words that describe a picture all count, and where a link leads does not."""
    return [word for word in text.split() if re.search(r"[A-Za-z0-9]", word)]


def sentences(text: str) -> list[str]:
    """Those of paragraphs, items of lists and headings; a cell of a table is one, too. Without
    blocks of code and descriptions of pictures."""
    text = re.sub(r"<[^>]+>|^!\[.*\)$", "", FENCE.sub("", text), flags=re.M)
    text = LINK.sub(r"\1", text)
    return [s for part in _parts(text) for s in ENDS.split(part) if words(s)]


def _parts(text: str) -> list[str]:
    """What ends without a full stop, too."""
    parts: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            parts += [[cell] for cell in line.split("|")] + [[]]
        elif not line.strip() or line.startswith("#"):
            parts += [[line], []]
        elif ITEM.match(line):
            parts.append([ITEM.sub("", line)])
        else:
            parts[-1].append(line)
    return [" ".join(" ".join(part).split()) for part in parts]
