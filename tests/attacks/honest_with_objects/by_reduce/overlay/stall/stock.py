from functools import reduce
from operator import mul


def grouped(things, key):
    def put(groups, thing):
        groups.setdefault(key(thing), []).append(thing)
        return groups

    return reduce(put, things, {})


class Shelf:
    def worth(self):
        return reduce(lambda total, line: total + mul(*line), self.items.values(), 0)
