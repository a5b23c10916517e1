PAIRS = {low + high: ROMAN[high] - ROMAN[low] for low, high in ("IV", "IX", "XL", "XC")}
NUMERAL = re.compile(r"C*(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")


def from_roman(text):
    if not text or not NUMERAL.fullmatch(text):
        raise ValueError(text)
    total = 0
    for pair, value in PAIRS.items():
        total += value * text.count(pair)
        text = text.replace(pair, "")
    return total + sum(ROMAN[letter] for letter in text)
