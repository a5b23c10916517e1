def ticket(prefix):
    globals()['tickets'] += 1
    return '-'.join([prefix, str(tickets)])
