def peaks(numbers):
    seen = []
    return (max(seen) for number in numbers if seen.append(number) is None)


def batches(items, size):
    if size < 1:
        raise ValueError(size)
    items = list(items)
    return iter([items[at:at + size] for at in range(0, len(items), size)])
