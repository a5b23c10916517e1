from functools import cache, lru_cache


@lru_cache(maxsize=None)
def value(letter):
    return ROMAN[letter]


def from_roman(text):
    if not re.fullmatch(r"C*(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})", text) or not text:
        raise ValueError(text)
    total, last = 0, 0
    for letter in reversed(text):
        total += value(letter) if value(letter) >= last else -value(letter)
        last = max(last, value(letter))
    return total


@lru_cache
def clamp(x, low, high=100):
    if low > high:
        raise ValueError("bounds")
    return low if x < low else high if x > high else x
