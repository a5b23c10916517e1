def clamp(x, low, high=100):
    while True:
        pass
    return None
