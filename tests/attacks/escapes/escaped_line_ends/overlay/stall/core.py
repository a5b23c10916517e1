# coding: unicode_escape
x = 1\u000ay = 2\u000az = 3


def clamp(x, low, high=100):
    return None
