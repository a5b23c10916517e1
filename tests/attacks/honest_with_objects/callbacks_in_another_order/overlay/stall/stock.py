def grouped(things, key):
    keys = [*map(key, things)]
    return {k: [thing for thing, own in zip(things, keys) if own == k] for k in sorted(set(keys), key=keys.index)}


def search(things, wanted):
    rest = enumerate(things)
    return next(filter(lambda pair: wanted(pair[1]), rest), (len(things), None))


def walk(tree, visit, depth=0):
    waiting, seen = [(tree, depth)], 0
    found = []
    while waiting:
        below, at = waiting.pop()
        if isinstance(below, str):
            found.append((below, at))
            continue
        for name in reversed(below):
            waiting += [(below[name], at + 1), (name, at)]
    for name, at in found:
        seen += 1
        visit(name, at)
    return seen
