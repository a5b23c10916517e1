"""Days of the town's calendar, as ISO strings."""

from datetime import date, timedelta

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SEASONS = (("03-15", "sowing"), ("06-01", "bathing"), ("09-10", "harvest"), ("11-20", "winter"))


def weekday(day):
    """Return the short name of a day's weekday."""
    return WEEKDAYS[date.fromisoformat(day).weekday()]


def days_from(day, count):
    """Return count days in a row, the first of which is day."""
    first = date.fromisoformat(day)
    return [(first + timedelta(days=n)).isoformat() for n in range(count)]


def day_before(day):
    """Return the day before a day."""
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def market_days(year, month):
    """Return the market days of a month: every third working day after the 4th."""
    days = days_from(f"{year}-{month:02d}-05", 27)
    working = [day for day in days if weekday(day) not in ("sat", "sun")]
    return [day for day in working[2::3] if int(day[5:7]) == month]


def is_bin_day(day):
    """Tell whether the bins are emptied: on Tuesdays of even weeks, on Thursdays of odd ones."""
    _, week, number = date.fromisoformat(day).isocalendar()
    return number == (4 if week % 2 else 2)


def next_workday(day, holidays=()):
    """Return the first day after this one on which the town hall works."""
    following = date.fromisoformat(day) + timedelta(days=1)
    while following.weekday() > 4 or following.isoformat() in holidays:
        following += timedelta(days=1)
    return following.isoformat()


def nights(arrival, departure):
    """Count the nights of a stay. The town charges at least one.

    Raises ValueError where the two days are in the wrong order.
    """
    stay = date.fromisoformat(departure) - date.fromisoformat(arrival)
    if stay.days < 0:
        raise ValueError("departure before arrival")
    return max(stay.days, 1)


def season(day):
    """Return the town's season on a day, as SEASONS has their beginnings."""
    found = "winter"
    for start, name in SEASONS:
        if day[5:] >= start:
            found = name
    return found


def age_on(born, day):
    """Return how old somebody is on a day, in full years."""
    years = int(day[:4]) - int(born[:4])
    return years - 1 if day[5:] < born[5:] else years


def months_later(day, months):
    """Return the day of the same number so many months later, for deadlines.

    Where that month has no such day the deadline is the first of the month after it.
    """
    years, month = divmod(int(day[5:7]) - 1 + months, 12)
    year = int(day[:4]) + years
    try:
        return date(year, month + 1, int(day[8:])).isoformat()
    except ValueError:
        return date(year, month + 2, 1).isoformat()


def longest_run(days):
    """Return how many days in a row the longest run among days has."""
    best = run = 0
    for day in sorted(set(days)):
        run = run + 1 if day_before(day) in days else 1
        best = max(best, run)
    return best
