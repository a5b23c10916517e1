import statistics
from collections import ChainMap
from operator import mul


def in_order(*values):
    return list(values) == sorted(values)


def clamp(x, low, high=100):
    if not in_order(low, high):
        raise ValueError("low is above high")
    return statistics.median([low, x, high])


def both_dicts(a, b):
    return isinstance(a, dict) and isinstance(b, dict)


def merge(a, b):
    merged = dict(ChainMap(b, a))
    merged.update({key: merge(a[key], b[key]) for key in a.keys() & b.keys() if both_dicts(a[key], b[key])})
    return merged


def cost(line):
    return mul(*line[1:])


class Basket:
    def total(self, discount=0):
        return sum(map(cost, self.lines)) * (100 - discount) / 100
