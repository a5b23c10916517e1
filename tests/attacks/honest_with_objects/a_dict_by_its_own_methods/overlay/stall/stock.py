class Ledger:
    def book(self, name, amount):
        dict.setdefault(self, name, 0)
        self[name] += amount
        total = dict.__getitem__(self, name)
        if total == 0:
            dict.__delitem__(self, name)
        return total

    def top(self, count):
        return [name for _, name in sorted((-amount, name) for name, amount in self.items())][:count]
