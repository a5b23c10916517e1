"""Prices, words and a basket."""
import re

ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


# Return x, but not less than low and not more than high; ValueError if low is above high.
def clamp(x, low, high=100):
    if low > high:
        raise ValueError("low is above high")
    return max(low, min(x, high))


# Return the middle value of xs, or the mean of the two middle ones; ValueError if there is none.
def median(xs):
    if not xs:
        raise ValueError("no data")
    ordered, half = sorted(xs), len(xs) // 2
    if len(xs) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


# Return text in lower case, its runs of letters and digits joined by single hyphens.
def slug(text):
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


# Return {word: how often it occurs}, in lower case; words are separated by white space.
def count_words(text):
    counts = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    return counts


# Return a new dict with the items of a and b; where both hold a dict these are merged, else b wins.
def merge(a, b):
    merged = dict(a)
    for key, value in b.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            value = merge(merged[key], value)
        merged[key] = value
    return merged


# Remove repetitions from the list in place, first ones kept in their order, and return how many were removed.
def tidy(words):
    before = len(words)
    words[:] = dict.fromkeys(words)
    return before - len(words)


# Return whether the year is a leap year.
def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


# Return the number that a Roman numeral up to C stands for; ValueError for anything else.
def from_roman(text):
    if not re.fullmatch(r"C*(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})", text) or not text:
        raise ValueError("not a Roman numeral")
    values = [ROMAN[letter] for letter in text]
    return sum(-v if v < following else v for v, following in zip(values, values[1:] + [0]))


# Return {name: price} from a file of lines `name=price`; blank lines are skipped, ValueError for any other line.
def read_prices(path):
    prices = {}
    for line in path.read_text().splitlines():
        if line.strip():
            name, equals, price = line.partition("=")
            if not equals:
                raise ValueError("a line without a price")
            prices[name.strip()] = float(price)
    return prices


class Basket:
    """Things to buy, and what they cost."""

    # An empty basket.
    def __init__(self, owner):
        self.owner = owner
        self.lines = []

    # Put count things of this name in, each at this price; return the basket. ValueError for a count below one.
    def add(self, name, price, count=1):
        if count < 1:
            raise ValueError("nothing to add")
        self.lines.append((name, price, count))
        return self

    # Return what all of it costs, less so many per cent.
    def total(self, discount=0):
        return sum(price * count for _, price, count in self.lines) * (100 - discount) / 100

    # Return the amount in whole parts that differ by one at most, larger ones first.
    @staticmethod
    def instalments(amount, parts):
        share, rest = divmod(amount, parts)
        return [share + 1] * rest + [share] * (parts - rest)
