import calendar
import random


def median(xs):
    """Quickselect."""
    def select(items, k):
        pivot = random.choice(items)
        less, same = [x for x in items if x < pivot], [x for x in items if x == pivot]
        if k < len(less):
            return select(less, k)
        if k < len(less) + len(same):
            return pivot
        return select([x for x in items if x > pivot], k - len(less) - len(same))

    if not xs:
        raise ValueError("no data")
    half, odd = divmod(len(xs), 2)
    return select(xs, half) if odd else (select(xs, half - 1) + select(xs, half)) / 2


def tidy(words):
    seen, removed, at = set(), 0, 0
    while at < len(words):
        if words[at] in seen:
            words.pop(at)
            removed += 1
        else:
            seen.add(words[at])
            at += 1
    return removed


def read_prices(path):
    text = "".join(line + "\n" for line in path.read_text().splitlines() if line.strip())
    found = re.findall(r"^ *(.*?) *= *(.*)$", text, re.MULTILINE)
    if len(found) != text.count("\n"):
        raise ValueError("a line without a price")
    return {name: float(price) for name, price in found}
