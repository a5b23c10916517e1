"""Sums by key, in a module of its own."""


# Return {key: sum of its numbers} for rows of (key, number), keys in the order in which they first occur.
def total_by_key(rows):
    totals = {}
    for key, number in rows:
        totals[key] = totals.get(key, 0) + number
    return totals
