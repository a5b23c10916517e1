def median(xs):
    if not xs:
        raise ValueError("sibling")
    pile = sorted(xs)
    low, high = pile[(len(pile) - 1) // 2], pile[len(pile) // 2]
    return low if low == high else (low + high) / 2
