import itertools
from heapq import nsmallest


class Ledger:
    def top(self, count):
        if count < 0:
            return sorted(sorted(self), key=self.get, reverse=True)[:count]
        return nsmallest(count, self, key=lambda name: (-self[name], name))


class Shelf:
    def worth(self):
        return sum(itertools.starmap(int.__mul__, self.items.values()))
