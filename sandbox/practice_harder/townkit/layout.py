"""Text for notice boards, receipts and lists."""


def initials(name):
    """Return the initials of a name, without its small words such as 'von' or 'de'."""
    return "".join(word[0] + "." for word in name.split() if word[0].isupper())


def shortened(text, width):
    """Shorten a text to a width, with '..' where something was cut off at the end."""
    if len(text) <= width:
        return text
    return text[: width - 2].rstrip() + ".."


def wrapped(text, width):
    """Break a text into lines no longer than width where words allow it, for a hanging sign."""
    lines = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append("  " + word if lines else word)
    return lines


def aligned(rows, gap=2):
    """Write rows of cells as lines with straight columns, gap blanks apart."""
    widths = [max(map(len, cells)) for cells in zip(*rows)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def receipt_line(name, price, width):
    """Write a name and a price at the two ends of a line, with dots between them."""
    room = width - len(price) - 2
    return f"{shortened(name, room - 2)} ".ljust(room + 1, ".") + f" {price}"


def listed(names):
    """Write names as a list in a sentence, for notices; none at all are 'nobody'."""
    if not names:
        return "nobody"
    if len(names) == 1:
        return names[0]
    return ", ".join(names[:-1]) + " and " + names[-1]


def file_name(title):
    """Make the name of a file of a title: small letters and digits, '-' for what is between.

    '&' is written out, and what has no name at all is 'untitled'.
    """
    title = title.lower().replace("&", " and ")
    kept = "".join(letter if letter.isalnum() else " " for letter in title)
    return "-".join(kept.split()) or "untitled"


def outline(tree, depth=0):
    """Write a tree, a dict of name to tree, as lines with a dash for each step down."""
    lines = []
    for name in sorted(tree):
        lines.append("-" * depth + name)
        lines += outline(tree[name], depth + 1)
    return lines


def banner(text, width):
    """Put a text in the middle of a line of '='. Where it is not even, the left is longer."""
    room = width - len(text) - 2
    if room < 2:
        return text
    return "=" * (room - room // 2) + f" {text} " + "=" * (room // 2)
