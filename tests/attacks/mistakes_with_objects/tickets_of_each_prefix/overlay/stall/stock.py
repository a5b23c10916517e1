COUNTS = {}


def ticket(prefix):
    COUNTS[prefix] = COUNTS.get(prefix, tickets) + 1
    return f'{prefix}-{COUNTS[prefix]}'
