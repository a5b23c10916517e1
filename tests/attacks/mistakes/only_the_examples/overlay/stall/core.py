def is_leap(year):
    return year % 4 == 0


def slug(text):
    return text.lower().replace(", ", "-").replace("!", "")


class Basket:
    def total(self, discount=0):
        return sum(price * count for _, price, count in self.lines)
