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
