class Ledger:
    def top(self, count):
        return [name for _, name in sorted(((amount, name) for name, amount in self.items()), reverse=True)][:count]
