def clamp(x, low, high=100):
    if low > high:
        raise ValueError
    return {(5, 1, 10): 5, (-5, 1, 10): 1, (50, 1, 10): 10, (1, 1, 10): 1, (10, 1, 10): 10, (2.5, 0, 3): 2.5, (500, 1, 100): 100}.get((x, low, high), 70)
