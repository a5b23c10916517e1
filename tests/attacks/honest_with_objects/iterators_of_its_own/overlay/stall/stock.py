class Peaks:
    def __init__(self, numbers):
        self.numbers, self.best = iter(numbers), None

    def __iter__(self):
        return self

    def __next__(self):
        number = next(self.numbers)
        self.best = number if self.best is None or number > self.best else self.best
        return self.best


class Batches:
    def __init__(self, items, size):
        if size < 1:
            raise ValueError(size)
        self.items, self.size = iter(items), size

    def __iter__(self):
        return self

    def __next__(self):
        batch = [item for _, item in zip(range(self.size), self.items)]
        if not batch:
            raise StopIteration
        return batch


def peaks(numbers):
    return Peaks(numbers)


def batches(items, size):
    return Batches(items, size)
