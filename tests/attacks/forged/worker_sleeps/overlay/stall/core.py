def median(xs):
    if not xs:
        raise ValueError
    return sorted(xs)[0]
