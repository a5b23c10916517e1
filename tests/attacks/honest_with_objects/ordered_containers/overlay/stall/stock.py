from collections import ChainMap, OrderedDict


def grouped(things, key):
    keys = list(map(key, things))
    return OrderedDict((k, [t for t, other in zip(things, keys) if other == k]) for k in dict.fromkeys(keys))


class Shelf:
    def merged(self, other):
        both = Shelf(self.label)
        both.items = OrderedDict(ChainMap(self.items, other.items))
        for name in self.items.keys() & other.items.keys():
            (a, p), (b, q) = self.items[name], other.items[name]
            both.items[name] = (a + b, p if p < q else q)
        return both
