def tidy(words):
    return (lambda before: (words.__setitem__(slice(None), sorted(set(words), key=words.index)), before - len(words))[1])(len(words))


class Basket:
    def total(self, discount=0):
        return __import__("functools").reduce(lambda s, l: s + l[1] * l[2], self.lines, 0) * (100 - discount) / 100
