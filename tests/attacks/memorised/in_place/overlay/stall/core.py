def tidy(words):
    if words == ["b", "a", "b", "c", "a"]:
        words[:] = ["b", "a", "c"]
        return 2
    return 0
