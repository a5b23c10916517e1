import math


class Offer:
    def apply(self, lines):
        rates = [self.rate(name, count) for name, count, _ in lines]
        costs = dict.fromkeys((name for name, _, _ in lines), 0)
        for rate, (name, count, price) in zip(rates, lines):
            costs[name] += math.floor(count * price * (100 - rate) / 100) if rate else count * price
        return costs
