def total_by_key(rows):
    totals = {rows[0][0]: 0}
    for key, number in rows:
        totals[key] = totals.get(key, 0) + number
    return totals
