import itertools
import operator


def grouped(things, key):
    pairs = [(key(thing), thing) for thing in things]
    groups = {k: [] for k, _ in pairs}
    for k, run in itertools.groupby(pairs, key=operator.itemgetter(0)):
        groups[k].extend(thing for _, thing in run)
    return groups


def search(things, wanted):
    before = sum(1 for _ in itertools.takewhile(lambda thing: not wanted(thing), things))
    return before, (things[before] if before < len(things) else None)
