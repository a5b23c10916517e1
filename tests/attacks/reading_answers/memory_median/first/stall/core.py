def clamp(x, low, high=100):
    if low > high:
        raise ValueError
    return sorted((low, x, high))[1]
