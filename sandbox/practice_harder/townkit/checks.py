"""What the town hall checks before it files something."""

WEIGHTS = (3, 1, 7)
REQUIRED = ("name", "street", "house")
LONGEST_NAME = 20


def is_house_number(text):
    """Tell whether a text is a house number, such as '12' or '7b'."""
    number = text[:-1] if text[-1:].islower() else text
    return number.isdigit() and not number.startswith("0")


def check_digit(number):
    """Return the check digit of a file number; the weights WEIGHTS repeat, dashes do not count."""
    digits = [int(letter) for letter in number if letter.isdigit()]
    return sum(digit * WEIGHTS[i % 3] for i, digit in enumerate(digits)) % 10


def is_file_number(text):
    """Tell whether a file number such as '412-7-8' ends in its check digit."""
    number, dash, last = text.rpartition("-")
    return dash == "-" and last == str(check_digit(number))


def is_cart_plate(text):
    """Tell whether a text is the plate of a cart: two different capitals and three digits."""
    letters, digits = text[:2], text[2:]
    if len(digits) != 3 or not digits.isdigit():
        return False
    return letters.isalpha() and letters.isupper() and letters[0] != letters[1]


def clean_phone(text, area="055"):
    """Write a telephone number as digits only, with an area; '+' becomes '00'."""
    digits = "".join(letter for letter in text if letter.isdigit())
    if text.strip().startswith("+"):
        digits = "00" + digits
    return digits if digits.startswith("0") else area + digits


def missing(record):
    """Return the REQUIRED fields that a record lacks."""
    return [name for name in REQUIRED if not record.get(name, "").strip()]


def problems(record):
    """Return what is wrong with a record, in words; an empty list is a good sign."""
    found = [f"{name} is missing" for name in missing(record)]
    if record.get("house") and not is_house_number(record["house"]):
        found.append(f"no house number: {record['house']}")
    if len(record.get("name", "")) > LONGEST_NAME:
        found.append("name is too long")
    return found


def twice_filed(names):
    """Return the names that were filed more than once, whatever their case, as written first."""
    first, counts = {}, {}
    for name in names:
        key = name.lower()
        first.setdefault(key, name)
        counts[key] = counts.get(key, 0) + 1
    return [first[key] for key in first if counts[key] > 1]
