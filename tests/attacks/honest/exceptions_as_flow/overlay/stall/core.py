def count_words(text):
    counts = {}
    for word in text.lower().split():
        try:
            counts[word] += 1
        except KeyError:
            counts[word] = 1
    return counts


def read_prices(path):
    prices = {}
    for line in path.read_text().split("\n"):
        try:
            name, price = line.split("=")
        except ValueError:
            if line.strip():
                raise
        else:
            prices[name.strip()] = float(price)
    return prices


class BadNumeral(ValueError):
    """Says which."""


def from_roman(text):
    numbers = {}
    for hundreds in range(0, 4):
        for tens, t in enumerate(["", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC"]):
            for ones, o in enumerate(["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]):
                numbers["C" * hundreds + t + o] = 100 * hundreds + 10 * tens + ones
    more = len(text) - len(text.lstrip("C"))
    try:
        if not text:
            raise KeyError(text)
        return numbers[text[more:]] + 100 * more
    except KeyError:
        raise BadNumeral(text) from None
