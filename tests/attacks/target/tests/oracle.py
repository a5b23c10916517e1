"""What the tests compare with: slow, and surely right."""


def median_by_counting(xs):
    pile = sorted(xs)
    while len(pile) > 2:
        pile = pile[1:-1]
    return sum(pile) / len(pile)
