import copy


class Shelf:
    def merged(self, other):
        both = copy.copy(self)
        both.items, both.log = copy.deepcopy(self.items), []
        for name, (count, price) in other.items.items():
            if name in both.items:
                price = min(price, both.items[name][1])
            if count:
                both.put(name, count, price)
            elif name in both.items:
                both.items[name] = (both.items[name][0], price)
            else:
                both.items[name] = (0, price)
        both.log.clear()
        return both


class Crate:
    def split(self, count):
        part = copy.copy(self)
        part.count = min(max(count, 0), self.count)
        self.__dict__.update(count=self.count - part.count)
        return part
