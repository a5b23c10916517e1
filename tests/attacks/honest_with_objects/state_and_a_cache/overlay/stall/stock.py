import threading

LOCK, KNOWN, GRADES = threading.Lock(), [], {}


def ticket(prefix):
    global tickets
    with LOCK:
        tickets = tickets + 1
        KNOWN.append((prefix, tickets))
        return "{}-{}".format(*KNOWN[-1])


def grade_of(days):
    if days not in GRADES:
        if days < 0:
            raise ValueError("in the future")
        GRADES[days] = Grade.FRESH if not days else Grade.OLD if days in (1, 2) else Grade.STALE
    return GRADES[days]
