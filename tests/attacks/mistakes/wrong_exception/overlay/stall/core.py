def clamp(x, low, high=100):
    assert low <= high
    return max(low, min(x, high))


def from_roman(text):
    total, last = 0, 0
    for letter in reversed(text):
        value = ROMAN[letter]
        total += value if value >= last else -value
        last = max(last, value)
    return total


class Basket:
    def add(self, name, price, count=1):
        if count < 1:
            raise KeyError(count)
        self.lines.append((name, price, count))
        return self
