"""Amounts of money, in cents."""

COINS = (200, 100, 50, 20, 10)
TRAY = 3  # coins of a kind that fit into the tray


def rounded(cents, step):
    """Round an amount to the nearest multiple of step, as shops do with small coins."""
    return (cents + step // 2) // step * step


def parse_price(text):
    """Read a price from a tag, such as '3.50', '12' or '3.-', as cents."""
    whole, dot, part = text.strip().partition(".")
    if part == "-":
        part = "00"
    if not whole.isdigit() or len(part) != (2 if dot else 0):
        raise ValueError(f"not a price: {text!r}")
    return int(whole) * 100 + int(part or 0)


def show_price(cents):
    """Write an amount the way it stands on the town's price tags."""
    whole, rest = divmod(abs(cents), 100)
    sign = "-" if cents < 0 else ""
    return f"{sign}{whole}.{rest:02d}" if rest else f"{sign}{whole}.-"


def split_bill(cents, people):
    """Split a bill into whole cents, one amount a person; the shares add up to the bill.

    Raises ValueError where nobody is there to pay.
    """
    if people < 1:
        raise ValueError("there is nobody to pay")
    share, rest = divmod(cents, people)
    return [share + 1] * rest + [share] * (people - rest)


def split_by_weight(cents, weights):
    """Split an amount in proportion to weights. What rounding leaves goes to the heaviest."""
    total = sum(weights)
    shares = [cents * weight // total for weight in weights]
    shares[weights.index(max(weights))] += cents - sum(shares)
    return shares


def quantity_price(cents, quantity):
    """Return the price of several pieces of one thing, where every fourth piece is half price."""
    halves = quantity // 4
    return cents * (quantity - halves) + cents // 2 * halves


def with_tip(cents, percent):
    """Add a tip to a bill. The tip is always a full number of ten-cent pieces."""
    return cents + -(-cents * percent // 1000) * 10


def change_coins(cents):
    """Pay out change from the tray of COINS, largest first.

    Returns the coins and what is still owed after them.
    """
    coins = []
    for coin in COINS:
        count = min(cents // coin, TRAY)
        coins += [coin] * count
        cents -= coin * count
    return coins, cents


def best_offer(offers):
    """Return the name of the cheapest of the offers, a dict of name to price."""
    return min(sorted(offers), key=offers.get, default=None)


def late_fee(cents, days):
    """Return the fee on a bill that is paid days late: two percent a week begun, at most half."""
    if days <= 0:
        return 0
    weeks = (days + 6) // 7
    return min(cents * 2 * weeks // 100, cents // 2)
