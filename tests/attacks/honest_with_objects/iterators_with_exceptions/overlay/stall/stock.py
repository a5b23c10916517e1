def take_until(numbers, limit):
    taken = []
    try:
        while sum(taken) < limit:
            taken.append(next(numbers))
    except StopIteration:
        pass
    return len(taken), sum(taken)


def peaks(numbers):
    source = iter(numbers)
    try:
        best = next(source)
        while True:
            yield best
            best = max(best, next(source))
    except StopIteration:
        return
