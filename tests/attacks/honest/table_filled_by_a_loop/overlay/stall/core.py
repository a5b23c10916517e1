LEAP = {}
for century_year in range(400):
    LEAP[century_year] = century_year % 4 == 0 and century_year % 100 != 0
LEAP[0] = True


def is_leap(year):
    return LEAP[year % 400]
