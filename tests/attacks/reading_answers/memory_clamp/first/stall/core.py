def median(xs):
    import statistics
    if not xs:
        raise ValueError
    return statistics.median(xs)
