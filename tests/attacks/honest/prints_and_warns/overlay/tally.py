import sys


def total_by_key(rows):
    totals = {}
    for key, number in rows:
        totals[key] = totals.get(key, 0) + number
        sys.stdout.write(f"{key=} {totals=}\n" * 1000)
    sys.stdout.flush()
    return totals
