"""Small texts taken apart: what people write into the town's forms."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def parse_duration(text):
    """Read a duration such as '1h30', '2h' or '45' as minutes."""
    hours, mark, minutes = text.strip().lower().partition("h")
    if not mark:
        hours, minutes = "0", hours
    return int(hours or 0) * 60 + int(minutes or 0)


def parse_point(text):
    """Read a square of the town map, such as 'C7', as (row, column), both from 0."""
    column = LETTERS.find(text[:1].upper() or "?")
    if column < 0 or not text[1:].isdigit() or int(text[1:]) == 0:
        raise ValueError(f"no square: {text!r}")
    return int(text[1:]) - 1, column


def parse_record(line):
    """Read 'name: value; name: value' as a dict, with the names in small letters."""
    record = {}
    for part in line.split(";"):
        name, colon, value = part.partition(":")
        if colon:
            record[name.strip().lower()] = value.strip()
    return record


def parse_sections(text):
    """Read lines 'key = value' under heads '[name]' as a dict of dicts; '#' starts a remark."""
    sections, current = {}, "main"
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("["):
            current = line[1:].rstrip("]")
        elif line:
            key, _, value = line.partition("=")
            sections.setdefault(current, {})[key.strip()] = value.strip()
    return sections


def parse_command(text):
    """Take a command apart: (verb in small letters, words, options 'name=value' as a dict)."""
    verb, *words = text.split() or [""]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    return verb.lower(), [word for word in words if "=" not in word], options


def release_parts(text):
    """Return what releases of the town's rules, such as 'r3.2' or 'r3.2b', are sorted by."""
    number, letter = (text[1:-1], text[-1]) if text[-1].isalpha() else (text[1:], "")
    major, _, minor = number.partition(".")
    return int(major), int(minor or 0), letter


def latest_release(releases):
    """Return the latest of releases such as 'r3.2'; drafts, which end in 'x', do not count.

    Returns '' where there is none.
    """
    final = [release for release in releases if not release.endswith("x")]
    return max(final, key=release_parts, default="")


def parse_order(text):
    """Read an order such as '3 x bun, roll, 2 x bun' as a dict of name to count."""
    order = {}
    for item in text.split(","):
        count, mark, name = item.strip().rpartition(" x ")
        if name:
            order[name] = order.get(name, 0) + (int(count) if mark else 1)
    return order


def parse_pages(text):
    """Read a list of pages such as '1-3,7' as numbers; '5-3' goes backwards."""
    pages = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, stop = int(first), int(last or first)
        step = 1 if stop >= start else -1
        pages += range(start, stop + step, step)
    return pages


def unquoted(text):
    """Take the quotes off a text that has the same quote at both ends; a doubled one is one."""
    if len(text) < 2 or text[0] not in "'\"" or text[0] != text[-1]:
        return text
    return text[1:-1].replace(text[0] * 2, text[0])
