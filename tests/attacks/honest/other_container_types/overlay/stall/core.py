from collections import Counter, OrderedDict


def count_words(text):
    return Counter(text.lower().split())


def merge(a, b):
    merged = OrderedDict(a)
    for key in b:
        merged[key] = merge(a[key], b[key]) if isinstance(a.get(key), dict) and isinstance(b[key], dict) else b[key]
    return merged


def read_prices(path):
    return OrderedDict((name.strip(), float(price)) for name, price in (line.split("=") for line in path.read_text().splitlines() if line.strip()))
