def tidy(words):
    before = len(words)
    words[:] = sorted(set(words))
    return before - len(words)
