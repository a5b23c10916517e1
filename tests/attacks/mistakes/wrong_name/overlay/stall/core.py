def median(xs):
    if not xs:
        raise ValueError("no data")
    return statistics.median(xs)


class Basket:
    def add(self, name, price, count=1):
        self.items.append((name, price, count))
        return self
