def clamp(x, low, high=100):
    def at_least(bound):
        return lambda value: bound if value < bound else value

    def at_most(bound):
        return lambda value: bound if value > bound else value

    if low > high:
        raise ValueError("no room")
    return at_least(low)(at_most(high)(x))


class Basket:
    def add(self, name, price, count=1):
        def put():
            nonlocal done
            self.lines.append((name, price, count))
            done = True

        done = False
        if count >= 1:
            put()
        if not done:
            raise ValueError(count)
        return self
