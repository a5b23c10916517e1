from collections import defaultdict


def total_by_key(rows):
    totals = defaultdict(int)
    for key, number in rows:
        totals[key] += number
    return totals
