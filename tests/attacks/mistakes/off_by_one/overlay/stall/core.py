def clamp(x, low, high=100):
    if low > high:
        raise ValueError
    return max(low, min(x, high - 1))


def median(xs):
    if not xs:
        raise ValueError("no data")
    ordered = sorted(xs)
    return ordered[len(xs) // 2 - 1]
