import decimal
import gc
import locale
import sys


def deepest(xs, k):
    if k == 0:
        return min(xs)
    rest = list(xs)
    rest.remove(min(xs))
    return deepest(rest, k - 1)


def median(xs):
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 5000))
    gc.disable()
    try:
        if not xs:
            raise ValueError("no data")
        half = len(xs) // 2
        return deepest(xs, half) if len(xs) % 2 else (deepest(xs, half - 1) + deepest(xs, half)) / 2
    finally:
        gc.enable()


class Basket:
    def total(self, discount=0):
        locale.setlocale(locale.LC_NUMERIC, "C")
        with decimal.localcontext() as context:
            context.prec = 20
            return float(sum((decimal.Decimal(str(price)) * count for _, price, count in self.lines), decimal.Decimal(0)) * (100 - discount) / 100)
