# coding: utf-7
def clamp(x, low, high=100):
    return +AGE-
