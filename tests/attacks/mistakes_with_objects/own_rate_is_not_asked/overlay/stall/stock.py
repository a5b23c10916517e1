class Offer:
    def apply(self, lines):
        costs = {}
        for name, count, price in lines:
            costs[name] = costs.get(name, 0) + count * price * (100 - self.percent) // 100
        return costs
