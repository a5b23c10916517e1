def total_by_key(rows, totals={}):
    for key, number in rows:
        totals[key] = totals.get(key, 0) + number
    return totals
