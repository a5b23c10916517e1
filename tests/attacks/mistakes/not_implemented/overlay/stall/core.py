def clamp(x, low, high=100):
    raise NotImplementedError


def read_prices(path):
    raise NotImplementedError


class Basket:
    def total(self, discount=0):
        pass
