import itertools


def grouped(things, key):
    return {k: list(run) for k, run in itertools.groupby(things, key)}
