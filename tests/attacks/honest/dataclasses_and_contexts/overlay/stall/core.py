import contextlib
import dataclasses


@dataclasses.dataclass(frozen=True, order=True)
class Range:
    low: float
    high: float

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError("low is above high")

    def __contains__(self, x):
        return self.low <= x <= self.high


def clamp(x, low, high=100):
    span = Range(low, high)
    return x if x in span else span.low if x < span.low else span.high


@contextlib.contextmanager
def checking(count):
    if count < 1:
        raise ValueError("nothing to add")
    yield


class Basket:

    def add(self, name, price, count=1):
        with checking(count):
            self.lines.append((name, price, count))
        return self
