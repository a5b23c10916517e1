def batches(items, size):
    if size < 1:
        raise ValueError
    yield from map(list, zip(*[iter(items)] * size))
