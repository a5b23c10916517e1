import enum
from fractions import Fraction


class Answer(enum.IntEnum):
    NO = 0
    YES = 1


class Money(int):
    """Whole coins."""


def clamp(x, low, high=100):
    if low > high:
        raise ValueError("bounds")
    return float(max(low, min(x, high)))


def median(xs):
    if not xs:
        raise ValueError("no data")
    ordered = sorted(xs)
    return Fraction(ordered[(len(xs) - 1) // 2] + ordered[len(xs) // 2]) / 2


def is_leap(year):
    return bool(Answer(year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)))


class Basket:
    @staticmethod
    def instalments(amount, parts):
        return [Money((amount + parts - 1 - i) // parts) for i in range(parts)]
