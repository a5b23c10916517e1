"""The measures of the town: grams, sacks, ells and barrels."""

from townkit.parsing import parse_duration

UNITS = {
    "g": ("weight", 1),
    "lot": ("weight", 15),
    "kg": ("weight", 1000),
    "sack": ("weight", 24000),
    "cm": ("length", 1),
    "ell": ("length", 60),
    "rod": ("length", 450),
}
BARRELS = (120, 50, 10)


def measured(text):
    """Read a measure such as '2 kg' or '3ell' as (kind, number of its smallest unit)."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(number) :].strip()
    if unit not in UNITS or not number.isdigit():
        raise ValueError(f"no measure: {text!r}")
    kind, size = UNITS[unit]
    return kind, int(number) * size


def converted(number, unit, other):
    """Convert a number of one unit into another of UNITS.

    Raises ValueError where there is no way to do it.
    """
    kind, size = UNITS[unit]
    if UNITS[other][0] != kind:
        raise ValueError(f"{unit} cannot be converted into {other}")
    return number * size / UNITS[other][1]


def in_units(number, units):
    """Split a number of the smallest unit among units, largest first: a dict without zeros."""
    parts = {}
    for unit in sorted(units, key=lambda unit: UNITS[unit][1], reverse=True):
        count, number = divmod(number, UNITS[unit][1])
        if count:
            parts[unit] = count
    return parts


def show_length(centimetres):
    """Write a length in rods, ells and centimetres, as the town's surveyor does."""
    parts = in_units(centimetres, ["rod", "ell", "cm"])
    return " ".join(f"{count} {unit}" for unit, count in parts.items()) or "0 cm"


def barrels(litres):
    """Return how many barrels of each of the sizes BARRELS hold so much; the last is not full."""
    counts = []
    for size in BARRELS:
        counts.append(litres // size)
        litres %= size
    if litres:
        counts[-1] += 1
    return counts


def scaled(recipe, people):
    """Scale a recipe for four people, a dict of name to count; nothing is halved."""
    return {name: -(-count * people // 4) for name, count in recipe.items()}


def speed(kilometres, duration):
    """Return the speed of a cart, in whole kilometres an hour; the duration is such as '1h30'.

    Raises ValueError where no time has passed.
    """
    minutes = parse_duration(duration)
    if minutes == 0:
        raise ValueError("nobody is that fast")
    return kilometres * 60 // minutes


def weather_word(celsius, wind=0):
    """Return the word for a temperature on the town's weather board. Wind makes it feel colder.

    It is frost below 0, cool below 12, and hot above 22.
    """
    felt = celsius - wind // 10
    if felt < 0:
        return "frost"
    if felt < 12:
        return "cool"
    return "mild" if felt <= 22 else "hot"
