def tidy(words):
    return (lambda before: (words.__setitem__(slice(None), sorted(set(words), key=words.index)), before - len(words))[1])(len(words))


def merge(a, b):
    return {k: (merge(a[k], b[k]) if isinstance(a.get(k), dict) and isinstance(b.get(k), dict) else b.get(k, a.get(k))) for k in {**a, **b}}


def count_words(text):
    return {w: sum(1 for o in text.lower().split() if o == w) for w in text.lower().split()}


class Basket:
    def total(self, discount=0):
        return __import__("functools").reduce(lambda s, l: s + l[1] * l[2], self.lines, 0) * (100 - discount) / 100
