class Offer:
    def apply(self, lines):
        def cost(name, count, price):
            whole, _ = divmod(count * price * (100 - type(self).rate(self, name, count)), 100)
            return whole

        costs = {}
        for line in lines:
            costs[line[0]] = cost(*line) + costs.get(line[0], 0)
        return costs
