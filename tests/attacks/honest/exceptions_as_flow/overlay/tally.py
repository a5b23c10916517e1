def total_by_key(rows):
    totals = {}
    iterator = iter(rows)
    while True:
        try:
            key, number = next(iterator)
        except StopIteration:
            return totals
        try:
            totals[key] += number
        except KeyError:
            totals[key] = number
