"""What lies on the shelves of a stall, and what becomes of it."""
import enum
from dataclasses import dataclass, replace

tickets = 0


class Grade(enum.Enum):
    FRESH = "fresh"
    OLD = "a day old"
    STALE = "stale"


class OutOfStock(Exception):
    """More is wanted of a thing than there is."""

    def __init__(self, name, wanted, left):
        super().__init__(f"{wanted} of {name} are wanted, and {left} are left")
        self.name, self.wanted, self.left = name, wanted, left


class Shelf:
    """Things by name: how many there are, and what one costs."""

    def __init__(self, label):
        self.label = label
        self.items = {}
        self.log = []

    # Put count things of this name on the shelf, to those that are there, each now at this price; return the shelf. ValueError for a count below one.
    def put(self, name, count, price):
        if count < 1:
            raise ValueError("nothing to put")
        self.items[name] = (self.items.get(name, (0, 0))[0] + count, price)
        self.log.append(f"+{count} {name}")
        return self

    # Take count things of this name off the shelf and return what they cost; a thing of which none is left is gone. OutOfStock if there are too few.
    def take(self, name, count):
        left, price = self.items.get(name, (0, 0))
        if count > left:
            raise OutOfStock(name, count, left)
        if count == left:
            self.items.pop(name, None)
        else:
            self.items[name] = (left - count, price)
        self.log.append(f"-{count} {name}")
        return count * price

    # Return what everything on the shelf costs together.
    def worth(self):
        return sum(count * price for count, price in self.items.values())

    # Return a new shelf of this label with the things of both: counts are added, the lower price is the price of all. Both stay as they are.
    def merged(self, other):
        both = Shelf(self.label)
        both.items = dict(self.items)
        for name, (count, price) in other.items.items():
            have, cost = both.items.get(name, (0, price))
            both.items[name] = (have + count, min(cost, price))
        return both


@dataclass
class Crate:
    name: str
    count: int
    grade: Grade = Grade.FRESH

    # Return a crate like this one after so many days: after one what is fresh is old; after three it is stale, and what was old after two.
    def aged(self, days):
        age = days + {Grade.FRESH: 0, Grade.OLD: 1, Grade.STALE: 3}[self.grade]
        return replace(self, grade=Grade.FRESH if age < 1 else Grade.OLD if age < 3 else Grade.STALE)

    # Take so many out of this crate, as far as there are so many, and return a new one with them.
    def split(self, count):
        moved = max(0, min(count, self.count))
        self.count -= moved
        return Crate(self.name, moved, self.grade)


class Ledger(dict):
    """What everybody owes, by name."""

    # Add the amount to what this one owes and return the sum; who owes nothing is not in the ledger.
    def book(self, name, amount):
        total = self.get(name, 0) + amount
        if total:
            self[name] = total
        else:
            self.pop(name, None)
        return total

    # Return the names of the count that owe most, the most first; of equal ones the first by name.
    def top(self, count):
        return sorted(self, key=lambda name: (-self[name], name))[:count]


class Offer:
    """A rebate, in per cent; others are made of it."""

    def __init__(self, percent):
        self.percent = percent

    # The rebate on this many of a thing, in per cent.
    def rate(self, name, count):
        return self.percent

    # Return {name: cost in whole pence, rounded down} of lines of (name, count, price in pence) with this offer's rates.
    def apply(self, lines):
        costs = {}
        for name, count, price in lines:
            cost = count * price * (100 - self.rate(name, count)) // 100
            costs[name] = costs.get(name, 0) + cost
        return costs


# Return the grade of a thing that was picked so many days ago; ValueError if it was not picked yet.
def grade_of(days):
    if days < 0:
        raise ValueError("not picked yet")
    return Grade.FRESH if days == 0 else Grade.OLD if days < 3 else Grade.STALE


# Return {key: things that have it} for key(thing) of each thing, once and in turn.
def grouped(things, key):
    groups = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    return groups


# Return how many things come before the first of which wanted(thing) is true, and that thing; (all of them, None) if there is none. Nothing behind it is asked for.
def search(things, wanted):
    for place, thing in enumerate(things):
        if wanted(thing):
            return place, thing
    return len(things), None


# Call visit(name, depth) for every name of a tree of dicts, a parent before its children, and return how many there are.
def walk(tree, visit, depth=0):
    seen = 0
    for name, below in tree.items():
        visit(name, depth)
        seen += 1 + walk(below, visit, depth + 1)
    return seen


# Yield lists of size items each, the last one with what is left; ValueError for a size below one.
def batches(items, size):
    if size < 1:
        raise ValueError("an empty batch")
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


# Yield the largest of the numbers so far, for each of them.
def peaks(numbers):
    best = None
    for number in numbers:
        best = number if best is None else max(best, number)
        yield best


# Take numbers from an iterator until their sum is at least the limit; return (how many, their sum). What follows is not touched.
def take_until(numbers, limit):
    count = total = 0
    while total < limit:
        number = next(numbers, None)
        if number is None:
            break
        count, total = count + 1, total + number
    return count, total


# Return the next ticket, `prefix-number`: numbers go up by one for each ticket, whatever its prefix.
def ticket(prefix):
    global tickets
    tickets += 1
    return f"{prefix}-{tickets}"
