class Shelf:
    def merged(self, other):
        made = Shelf(label=self.label)
        made.items = {
            name: (a + b, min(p, q))
            for name in [*self.items, *(n for n in other.items if n not in self.items)]
            for a, p in [self.items.get(name, (0, other.items.get(name, (0, 0))[1]))]
            for b, q in [other.items.get(name, (0, p))]
        }
        return made

    def worth(self):
        total = 0
        for name in self.items:
            count, price = self.items[name]
            total += count * price
        return total
