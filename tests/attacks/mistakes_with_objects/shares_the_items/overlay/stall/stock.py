class Shelf:
    def merged(self, other):
        both = Shelf(self.label)
        both.items = self.items
        for name, (count, price) in other.items.items():
            have, cost = both.items.get(name, (0, price))
            both.items[name] = (have + count, min(cost, price))
        return both
