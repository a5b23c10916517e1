import itertools


def take_until(numbers, limit):
    count = total = 0
    if total >= limit:
        return count, total
    for count, number in enumerate(numbers, 1):
        total += number
        if total >= limit:
            break
    return count, total


def batches(items, size):
    if size <= 0:
        raise ValueError("size")
    end = object()
    source = iter(items)
    while (first := next(source, end)) is not end:
        yield [first, *(item for item in itertools.islice(source, size - 1))]
