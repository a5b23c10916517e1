from collections import Counter, defaultdict, namedtuple
from typing import NamedTuple

Taken = namedtuple("Taken", "count total")


class Found(NamedTuple):
    place: int
    thing: object


def grouped(things, key):
    groups = defaultdict(list)
    for thing in things:
        groups[key(thing)].append(thing)
    return groups


def take_until(numbers, limit):
    found = Taken(0, 0)
    for number in iter(lambda: next(numbers, None) if found.total < limit else None, None):
        found = Taken(found.count + 1, found.total + number)
    return found


def search(things, wanted):
    return Found(*next(((n, t) for n, t in enumerate(things) if wanted(t)), (len(things), None)))


class Offer:
    def apply(self, lines):
        costs = Counter()
        for name, count, price in lines:
            costs[name] += price * count * (100 - self.rate(name, count)) // 100
        return costs
