class TooFew(ValueError):
    def __init__(self, name, count):
        super().__init__("too few", name)
        self.count = count


class NoneLeft(OutOfStock):
    """With a hint."""


def grade_of(days):
    if days < 0:
        raise TooFew('days', days)
    return Grade.STALE if days >= 3 else Grade.OLD if days >= 1 else Grade.FRESH


class Shelf:
    def put(self, name, count, price):
        if count <= 0:
            raise TooFew(name, count)
        have, _ = self.items.get(name) or (0, None)
        self.items.update({name: (have + count, price)})
        self.log += [f"+{count} {name}"]
        return self

    def take(self, name, count):
        have = self.items.get(name, (0, 0))
        if have[0] < count:
            error = NoneLeft(name, count, have[0])
            error.add_to = "the list"
            raise error from KeyError(name)
        self.items[name] = have[0] - count, have[1]
        if self.items[name][0] == 0:
            self.items.pop(name)
        self.log.extend([f"-{count} {name}"])
        return count * have[1]
