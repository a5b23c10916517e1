def median(xs):
    if not xs:
        raise ValueError("no data")
    ordered, half = sorted(xs), len(xs) // 2
    return ordered[half] if len(xs) % 2 else (ordered[half - 1] + ordered[half]) // 2


class Basket:
    def total(self, discount=0):
        return round(sum(price * count for _, price, count in self.lines) * (1 - discount / 100))
