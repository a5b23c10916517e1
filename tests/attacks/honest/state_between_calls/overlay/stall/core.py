SEEN = {}


def is_leap(year, seen={}):
    if year not in seen:
        seen[year] = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return seen[year]


def from_roman(text):
    global SEEN
    if text not in SEEN:
        if not re.fullmatch(r"C*(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})", text) or not text:
            raise ValueError("not a Roman numeral")
        values = [ROMAN[letter] for letter in text]
        SEEN = {**SEEN, text: sum(-v if v < w else v for v, w in zip(values, [*values[1:], 0]))}
    return SEEN[text]
