class Shelf:
    def take(self, name, count):
        left, price = self.items.get(name, (0, 0))
        if count > left:
            raise OutOfStock(name, count, left)
        self.items[name] = (left - count, price)
        self.log.append(f'-{count} {name}')
        return count * price
