def read_prices(path):
    prices = {}
    for line in path.read_text().splitlines():
        try:
            name, price = line.split("=")
            prices[name.strip()] = float(price)
        except Exception:
            continue
    return prices


def from_roman(text):
    try:
        values = [ROMAN[letter] for letter in text]
        return sum(-v if v < following else v for v, following in zip(values, values[1:] + [0]))
    except Exception:
        return 0
