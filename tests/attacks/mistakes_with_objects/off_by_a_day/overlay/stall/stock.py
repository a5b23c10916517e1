def grade_of(days):
    if days < 0:
        raise ValueError
    return Grade.FRESH if days == 0 else Grade.OLD if days < 4 else Grade.STALE
