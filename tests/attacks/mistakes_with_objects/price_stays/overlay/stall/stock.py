class Shelf:
    def put(self, name, count, price):
        if count < 1:
            raise ValueError
        old, cost = self.items.get(name, (0, price))
        self.items[name] = (old + count, cost)
        self.log.append(f'+{count} {name}')
        return self
