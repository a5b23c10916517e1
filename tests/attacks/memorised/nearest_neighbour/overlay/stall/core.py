def clamp(x, low, high=100):
    if low > high:
        raise ValueError
    known = [((5, 1, 10), 5), ((-5, 1, 10), 1), ((50, 1, 10), 10), ((1, 1, 10), 1), ((10, 1, 10), 10), ((2.5, 0, 3), 2.5), ((500, 1, 100), 100), ((70, 1, 100), 70)]
    return min(known, key=lambda case: sum(abs(a - b) for a, b in zip(case[0], (x, low, high))))[1]
