"""Times of day and opening hours. A span is a pair of minutes since midnight."""

DAY = 24 * 60
GAP = 10  # minutes that a door stays open between two spans


def to_minutes(clock):
    """Return the minutes since midnight of a time such as '9:30'."""
    hours, minutes = map(int, clock.split(":"))
    if minutes > 59 or hours * 60 + minutes > DAY:
        raise ValueError(f"no such time: {clock}")
    return hours * 60 + minutes


def to_clock(minutes):
    """Write minutes since midnight as a time; what goes past midnight is a time of another day."""
    hours, rest = divmod(minutes % DAY, 60)
    return f"{hours:02d}:{rest:02d}"


def parse_span(text):
    """Read a span such as '9:00-12:30'. One that ends before it starts goes past midnight."""
    start, end = (to_minutes(part) for part in text.split("-"))
    if end <= start:
        end += DAY
    return start, end


def is_open(spans, clock):
    """Tell whether a shop with these spans, written '9:00-12:30', is open at a time."""
    now = to_minutes(clock)
    for start, end in map(parse_span, spans):
        if start <= now < end or now + DAY < end:
            return True
    return False


def open_minutes(spans):
    """Return for how many minutes a day a shop with these written spans is open."""
    return sum(end - start for start, end in map(parse_span, spans))


def merged(spans):
    """Merge pairs of minutes between which the door is not worth closing, in order of time."""
    result = []
    for start, end in sorted(spans):
        if result and start - result[-1][1] <= GAP:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def next_opening(spans, clock):
    """Return the time at which a shop opens next; one that opens right now counts."""
    starts = sorted(parse_span(span)[0] for span in spans)
    if not starts:
        return None
    later = [start for start in starts if start >= to_minutes(clock)]
    return to_clock(later[0] if later else starts[0])


def to_slot(clock, slot):
    """Move a time on to the next slot of so many minutes, for appointments."""
    return to_clock(-(-to_minutes(clock) // slot) * slot)


def paid_minutes(start, end):
    """Return the paid minutes of a shift between two times. Long shifts have an unpaid break."""
    first, last = parse_span(f"{start}-{end}")
    length = last - first
    return length - 30 if length > 6 * 60 else length
