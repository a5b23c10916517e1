import itertools


def batches(items, size):
    def more():
        return list(itertools.islice(source, size))

    if size < 1:
        raise ValueError("no size")
    source = iter(items)
    yield from iter(more, [])


def peaks(numbers):
    yield from itertools.accumulate(numbers, max)
