def median(xs):
    class Pile(list):
        @property
        def middle(self):
            half, odd = divmod(len(self), 2)
            return self[half] if odd else (self[half - 1] + self[half]) / 2

    if not xs:
        raise ValueError("an empty pile")
    return Pile(sorted(xs)).middle


class Basket:
    def total(self, discount=0):
        class Till:
            __slots__ = ("sum",)

            def __init__(self):
                self.sum = 0

            def ring(self, line):
                self.sum += line[1] * line[2]

        till = Till()
        for line in self.lines:
            till.ring(line)
        return till.sum * (100 - discount) / 100
