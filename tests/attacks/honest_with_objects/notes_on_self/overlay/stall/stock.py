class Shelf:
    def put(self, name, count, price):
        if count < 1:
            raise ValueError(count)
        self.puts = getattr(self, "puts", 0) + 1
        self.last = name
        self.items[name] = (count + self.items.get(name, [0])[0], price)
        self.log.append(f"+{count} {self.last}")
        return self


class Crate:
    def split(self, count):
        self.before = self.count
        part = Crate(self.name, max(0, min(count, self.before)), self.grade)
        part.origin = self
        self.count = self.before - part.count
        return part
