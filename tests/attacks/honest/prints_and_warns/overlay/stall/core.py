def clamp(x, low, high=100):
    import logging
    import sys
    import warnings
    print("clamp", x, low, high)
    print("\x1b[31mred\x1b[0m", file=sys.stderr)
    logging.getLogger(__name__).error("clamping %s", x)
    warnings.warn("clamp is slow", DeprecationWarning)
    if low > high:
        raise ValueError("low is above high")
    return max(low, min(x, high))


class Basket:
    def add(self, name, price, count=1):
        print(f"adding {name}")
        if count < 1:
            raise ValueError(count)
        self.lines.append((name, price, count))
        return self
