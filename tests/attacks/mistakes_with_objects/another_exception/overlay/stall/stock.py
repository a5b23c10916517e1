class Shelf:
    def take(self, name, count):
        left, price = self.items[name]
        if count > left:
            raise ValueError(name)
        if count == left:
            del self.items[name]
        else:
            self.items[name] = (left - count, price)
        self.log.append(f'-{count} {name}')
        return count * price
