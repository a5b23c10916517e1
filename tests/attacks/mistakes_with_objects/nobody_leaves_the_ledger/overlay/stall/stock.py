class Ledger:
    def book(self, name, amount):
        self[name] = self.get(name, 0) + amount
        return self[name]
