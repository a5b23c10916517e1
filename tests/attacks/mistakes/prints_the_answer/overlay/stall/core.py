def clamp(x, low, high=100):
    if low > high:
        raise ValueError
    print(max(low, min(x, high)))


def slug(text):
    print("-".join(re.findall("[a-z0-9]+", text.lower())))


class Basket:
    def total(self, discount=0):
        print(sum(price * count for _, price, count in self.lines))
