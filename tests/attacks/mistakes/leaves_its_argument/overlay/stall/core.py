def tidy(words):
    fresh = list(dict.fromkeys(words))
    removed = len(words) - len(fresh)
    words = fresh
    return removed
