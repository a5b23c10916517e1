def add(shelf, name, count, price):
    if not count > 0:
        raise ValueError(f"cannot put {count}")
    known = shelf.items.get(name)
    shelf.items[name] = (count if known is None else known[0] + count, price)


def remove(items, name, count):
    if name not in items:
        if not count:
            return 0
        raise OutOfStock(name, count, 0)
    left, price = items[name]
    if left < count:
        raise OutOfStock(name, count, left)
    items[name] = (left - count, price)
    if not items[name][0]:
        del items[name]
    return price * count


class Shelf:
    def put(self, name, count, price):
        add(self, name, count, price)
        self.log.append('+{} {}'.format(count, name))
        return self

    def take(self, name, count):
        cost = remove(self.items, name, count)
        self.log.append('-{} {}'.format(count, name))
        return cost
