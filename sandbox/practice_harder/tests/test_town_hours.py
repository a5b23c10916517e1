import pytest
from townkit.hours import (
    is_open,
    merged,
    next_opening,
    open_minutes,
    paid_minutes,
    parse_span,
    to_clock,
    to_minutes,
    to_slot,
)


def test_to_minutes_morning():
    assert to_minutes("9:30") == 570
    assert to_minutes("08:05") == 485


def test_to_minutes_midnight():
    assert to_minutes("0:00") == 0
    assert to_minutes("24:00") == 1440


def test_to_minutes_too_late():
    with pytest.raises(ValueError):
        to_minutes("24:01")
    with pytest.raises(ValueError):
        to_minutes("25:00")


def test_to_minutes_minutes():
    with pytest.raises(ValueError):
        to_minutes("9:60")
    assert to_minutes("9:59") == 599


def test_to_clock_usual():
    assert to_clock(570) == "09:30"
    assert to_clock(845) == "14:05"


def test_to_clock_zeros():
    assert to_clock(0) == "00:00"
    assert to_clock(65) == "01:05"


def test_to_clock_past_midnight():
    assert to_clock(1440) == "00:00"
    assert to_clock(1500) == "01:00"


def test_to_clock_before_midnight():
    assert to_clock(-30) == "23:30"


def test_parse_span_usual():
    assert parse_span("9:00-12:30") == (540, 750)
    assert parse_span("14:00-18:00") == (840, 1080)


def test_parse_span_past_midnight():
    assert parse_span("22:00-2:00") == (1320, 1560)


def test_parse_span_until_midnight():
    assert parse_span("20:00-24:00") == (1200, 1440)
    assert parse_span("20:00-0:00") == (1200, 1440)


def test_parse_span_all_day():
    assert parse_span("6:00-6:00") == (360, 1800)


def test_is_open_inside():
    assert is_open(["9:00-12:00", "14:00-18:00"], "10:30") is True
    assert is_open(["9:00-12:00", "14:00-18:00"], "15:00") is True


def test_is_open_ends():
    assert is_open(["9:00-12:00"], "9:00") is True
    assert is_open(["9:00-12:00"], "12:00") is False


def test_is_open_between():
    assert is_open(["9:00-12:00", "14:00-18:00"], "13:00") is False
    assert is_open(["9:00-12:00"], "8:59") is False


def test_is_open_past_midnight():
    assert is_open(["22:00-2:00"], "23:30") is True
    assert is_open(["22:00-2:00"], "1:30") is True
    assert is_open(["22:00-2:00"], "2:00") is False


def test_is_open_never():
    assert is_open([], "10:00") is False


def test_open_minutes_one():
    assert open_minutes(["9:00-12:30"]) == 210


def test_open_minutes_two():
    assert open_minutes(["9:00-12:00", "14:00-18:00"]) == 420


def test_open_minutes_past_midnight():
    assert open_minutes(["20:00-1:00"]) == 300
    assert open_minutes(["6:00-7:00", "23:30-0:15"]) == 105


def test_open_minutes_none():
    assert open_minutes([]) == 0


def test_merged_apart():
    assert merged([(540, 720), (840, 1080)]) == [(540, 720), (840, 1080)]


def test_merged_overlap():
    assert merged([(540, 720), (700, 800)]) == [(540, 800)]
    assert merged([(0, 60), (30, 90), (80, 100)]) == [(0, 100)]


def test_merged_short_gap():
    assert merged([(540, 600), (610, 660)]) == [(540, 660)]
    assert merged([(540, 600), (611, 660)]) == [(540, 600), (611, 660)]


def test_merged_inside():
    assert merged([(540, 720), (600, 630)]) == [(540, 720)]


def test_merged_any_order():
    assert merged([(840, 900), (540, 600), (905, 930), (605, 630)]) == [(540, 630), (840, 930)]


def test_merged_none():
    assert merged([]) == []


def test_next_opening_later():
    assert next_opening(["9:00-12:00", "14:00-18:00"], "10:00") == "14:00"
    assert next_opening(["14:00-18:00", "9:00-12:00"], "8:00") == "09:00"


def test_next_opening_right_now():
    assert next_opening(["9:00-12:00", "14:00-18:00"], "14:00") == "14:00"
    assert next_opening(["9:00-12:00"], "9:00") == "09:00"


def test_next_opening_tomorrow():
    assert next_opening(["14:00-18:00", "9:00-12:00"], "19:00") == "09:00"
    assert next_opening(["9:00-12:00"], "9:01") == "09:00"


def test_next_opening_never():
    assert next_opening([], "9:00") is None


def test_to_slot_between():
    assert to_slot("9:05", 15) == "09:15"
    assert to_slot("9:31", 30) == "10:00"


def test_to_slot_on_slot():
    assert to_slot("9:30", 15) == "09:30"
    assert to_slot("10:00", 30) == "10:00"


def test_to_slot_last_of_day():
    assert to_slot("23:50", 15) == "00:00"
    assert to_slot("24:00", 15) == "00:00"


def test_to_slot_odd_slot():
    assert to_slot("9:00", 7) == "09:06"
    assert to_slot("0:01", 50) == "00:50"


def test_paid_minutes_short():
    assert paid_minutes("8:00", "12:00") == 240
    assert paid_minutes("8:00", "8:20") == 20


def test_paid_minutes_long():
    assert paid_minutes("8:00", "16:30") == 480
    assert paid_minutes("8:00", "14:01") == 331


def test_paid_minutes_six_hours():
    assert paid_minutes("8:00", "14:00") == 360


def test_paid_minutes_night():
    assert paid_minutes("22:00", "3:00") == 300
    assert paid_minutes("20:00", "4:00") == 450
