import pytest
from townkit.days import (
    age_on,
    day_before,
    days_from,
    is_bin_day,
    longest_run,
    market_days,
    months_later,
    next_workday,
    nights,
    season,
    weekday,
)


def test_weekday_week():
    assert weekday("2024-03-04") == "mon"
    assert weekday("2024-03-10") == "sun"


def test_weekday_leap_day():
    assert weekday("2024-02-29") == "thu"


def test_weekday_other():
    assert weekday("2024-03-09") == "sat"
    assert weekday("2023-12-27") == "wed"


def test_days_from_three():
    assert days_from("2024-03-01", 3) == ["2024-03-01", "2024-03-02", "2024-03-03"]


def test_days_from_new_year():
    assert days_from("2023-12-31", 2) == ["2023-12-31", "2024-01-01"]


def test_days_from_leap_year():
    assert days_from("2024-02-28", 3) == ["2024-02-28", "2024-02-29", "2024-03-01"]


def test_days_from_none():
    assert days_from("2024-03-01", 0) == []


def test_day_before_usual():
    assert day_before("2024-05-17") == "2024-05-16"


def test_day_before_first_of_month():
    assert day_before("2024-03-01") == "2024-02-29"
    assert day_before("2023-03-01") == "2023-02-28"


def test_day_before_first_of_year():
    assert day_before("2024-01-01") == "2023-12-31"


def test_market_days_march():
    assert market_days(2024, 3) == [
        "2024-03-07",
        "2024-03-12",
        "2024-03-15",
        "2024-03-20",
        "2024-03-25",
        "2024-03-28",
    ]


def test_market_days_short_month():
    assert market_days(2023, 2) == [
        "2023-02-08",
        "2023-02-13",
        "2023-02-16",
        "2023-02-21",
        "2023-02-24",
    ]
    assert len(market_days(2024, 2)) == 6


def test_market_days_starts_on_weekend():
    assert market_days(2024, 10) == [
        "2024-10-09",
        "2024-10-14",
        "2024-10-17",
        "2024-10-22",
        "2024-10-25",
        "2024-10-30",
    ]
    assert market_days(2024, 5)[0] == "2024-05-08"


def test_market_days_last_day():
    assert market_days(2024, 7)[-1] == "2024-07-30"
    assert market_days(2023, 8)[-1] == "2023-08-30"
    assert market_days(2025, 10)[-1] == "2025-10-29"
    assert market_days(2023, 12)[-1] == "2023-12-28"


def test_is_bin_day_even_week():
    assert is_bin_day("2024-03-05") is True
    assert is_bin_day("2024-03-07") is False


def test_is_bin_day_odd_week():
    assert is_bin_day("2024-03-14") is True
    assert is_bin_day("2024-03-12") is False


def test_is_bin_day_other_days():
    assert is_bin_day("2024-03-04") is False
    assert is_bin_day("2024-03-13") is False
    assert is_bin_day("2024-03-10") is False


def test_is_bin_day_turn_of_year():
    assert is_bin_day("2024-12-31") is False
    assert is_bin_day("2025-01-02") is True


def test_next_workday_in_week():
    assert next_workday("2024-03-05") == "2024-03-06"
    assert next_workday("2024-03-07") == "2024-03-08"


def test_next_workday_weekend():
    assert next_workday("2024-03-08") == "2024-03-11"
    assert next_workday("2024-03-09") == "2024-03-11"
    assert next_workday("2024-03-10") == "2024-03-11"


def test_next_workday_holiday():
    assert next_workday("2024-03-28", ["2024-03-29", "2024-04-01"]) == "2024-04-02"
    assert next_workday("2024-03-05", ["2024-03-05"]) == "2024-03-06"


def test_next_workday_friday_is_holiday():
    assert next_workday("2024-03-07", ["2024-03-08"]) == "2024-03-11"


def test_nights_stay():
    assert nights("2024-03-01", "2024-03-04") == 3
    assert nights("2024-02-28", "2024-03-01") == 2


def test_nights_one():
    assert nights("2024-03-01", "2024-03-02") == 1


def test_nights_same_day():
    assert nights("2024-03-01", "2024-03-01") == 1


def test_nights_wrong_order():
    with pytest.raises(ValueError):
        nights("2024-03-02", "2024-03-01")


def test_season_middle():
    assert season("2024-04-20") == "sowing"
    assert season("2024-07-01") == "bathing"
    assert season("2024-10-10") == "harvest"


def test_season_begins():
    assert season("2024-03-15") == "sowing"
    assert season("2024-06-01") == "bathing"
    assert season("2024-09-10") == "harvest"
    assert season("2024-11-20") == "winter"


def test_season_day_before():
    assert season("2024-03-14") == "winter"
    assert season("2024-05-31") == "sowing"
    assert season("2024-09-09") == "bathing"
    assert season("2024-11-19") == "harvest"


def test_season_around_new_year():
    assert season("2023-12-31") == "winter"
    assert season("2024-01-01") == "winter"


def test_age_on_after_birthday():
    assert age_on("1980-05-10", "2024-06-01") == 44


def test_age_on_before_birthday():
    assert age_on("1980-05-10", "2024-05-09") == 43
    assert age_on("1980-12-01", "2024-11-30") == 43


def test_age_on_birthday():
    assert age_on("1980-05-10", "2024-05-10") == 44
    assert age_on("2024-05-10", "2024-05-10") == 0


def test_age_on_leap_day():
    assert age_on("2000-02-29", "2023-02-28") == 22
    assert age_on("2000-02-29", "2023-03-01") == 23


def test_months_later_usual():
    assert months_later("2024-03-10", 2) == "2024-05-10"
    assert months_later("2024-01-31", 2) == "2024-03-31"


def test_months_later_over_new_year():
    assert months_later("2024-11-05", 3) == "2025-02-05"
    assert months_later("2024-12-01", 12) == "2025-12-01"
    assert months_later("2024-11-30", 1) == "2024-12-30"


def test_months_later_no_such_day():
    assert months_later("2024-01-31", 1) == "2024-03-01"
    assert months_later("2023-01-29", 1) == "2023-03-01"
    assert months_later("2024-05-31", 25) == "2026-07-01"


def test_months_later_back():
    assert months_later("2024-03-10", -3) == "2023-12-10"
    assert months_later("2024-03-31", -1) == "2024-03-01"


def test_months_later_none():
    assert months_later("2024-02-29", 0) == "2024-02-29"


def test_longest_run_run():
    assert longest_run(["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-07"]) == 3


def test_longest_run_later_run():
    assert longest_run(["2024-03-01", "2024-03-05", "2024-03-06"]) == 2
    assert longest_run(["2024-03-01", "2024-03-02", "2024-03-05"]) == 2


def test_longest_run_any_order():
    assert longest_run(["2024-03-02", "2024-02-29", "2024-03-01"]) == 3


def test_longest_run_twice():
    assert longest_run(["2024-03-02", "2024-03-02"]) == 1
    assert longest_run(["2024-03-01", "2024-03-02", "2024-03-02", "2024-03-03"]) == 3


def test_longest_run_none():
    assert longest_run([]) == 0
