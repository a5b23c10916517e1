def same(f):
    return None


@(
    same
)
def clamp(x, low, high=100):
    return None
