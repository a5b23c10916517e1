import pytest
from townkit.units import (
    barrels,
    converted,
    in_units,
    measured,
    scaled,
    show_length,
    speed,
    weather_word,
)


def test_measured_blank():
    assert measured("2 kg") == ("weight", 2000)
    assert measured("12 cm") == ("length", 12)


def test_measured_no_blank():
    assert measured("3ell") == ("length", 180)
    assert measured("500g") == ("weight", 500)


def test_measured_units():
    assert measured("4 lot") == ("weight", 60)
    assert measured("2 sack") == ("weight", 48000)
    assert measured("1 rod") == ("length", 450)


def test_measured_no_unit():
    with pytest.raises(ValueError):
        measured("5")
    with pytest.raises(ValueError):
        measured("3 miles")


def test_measured_no_number():
    with pytest.raises(ValueError):
        measured("kg")
    with pytest.raises(ValueError):
        measured("half kg")
    with pytest.raises(ValueError):
        measured("-3 kg")


def test_converted_down():
    assert converted(2, "kg", "g") == 2000.0
    assert converted(2, "ell", "cm") == 120.0


def test_converted_up():
    assert converted(500, "g", "kg") == 0.5
    assert converted(90, "cm", "ell") == 1.5


def test_converted_sideways():
    assert converted(2, "sack", "lot") == 3200.0
    assert converted(3, "rod", "ell") == 22.5


def test_converted_other_kind():
    with pytest.raises(ValueError):
        converted(1, "kg", "cm")
    with pytest.raises(ValueError):
        converted(5, "ell", "g")


def test_converted_same():
    assert converted(7, "lot", "lot") == 7.0
    assert converted(0, "kg", "g") == 0.0


def test_in_units_split():
    assert in_units(1250, ["g", "kg"]) == {"kg": 1, "g": 250}
    assert in_units(49030, ["kg", "sack", "lot"]) == {"sack": 2, "kg": 1, "lot": 2}


def test_in_units_zeros():
    assert in_units(24015, ["sack", "kg", "lot"]) == {"sack": 1, "lot": 1}
    assert in_units(500, ["kg", "g"]) == {"g": 500}


def test_in_units_rest_is_lost():
    assert in_units(1250, ["kg"]) == {"kg": 1}
    assert in_units(70, ["ell"]) == {"ell": 1}


def test_in_units_nothing():
    assert in_units(0, ["g", "kg"]) == {}
    assert in_units(5, []) == {}


def test_show_length_all():
    assert show_length(532) == "1 rod 1 ell 22 cm"
    assert show_length(1000) == "2 rod 1 ell 40 cm"


def test_show_length_parts():
    assert show_length(60) == "1 ell"
    assert show_length(450) == "1 rod"
    assert show_length(455) == "1 rod 5 cm"
    assert show_length(120) == "2 ell"


def test_show_length_small():
    assert show_length(59) == "59 cm"
    assert show_length(1) == "1 cm"


def test_show_length_nothing():
    assert show_length(0) == "0 cm"


def test_barrels_full():
    assert barrels(120) == [1, 0, 0]
    assert barrels(240) == [2, 0, 0]
    assert barrels(170) == [1, 1, 0]
    assert barrels(180) == [1, 1, 1]


def test_barrels_rest():
    assert barrels(125) == [1, 0, 1]
    assert barrels(55) == [0, 1, 1]
    assert barrels(49) == [0, 0, 5]


def test_barrels_small():
    assert barrels(3) == [0, 0, 1]
    assert barrels(10) == [0, 0, 1]
    assert barrels(11) == [0, 0, 2]


def test_barrels_nothing():
    assert barrels(0) == [0, 0, 0]


def test_scaled_more():
    assert scaled({"egg": 4, "roll": 8}, 8) == {"egg": 8, "roll": 16}
    assert scaled({"egg": 4}, 6) == {"egg": 6}


def test_scaled_fewer():
    assert scaled({"egg": 4, "roll": 8}, 2) == {"egg": 2, "roll": 4}


def test_scaled_rounding():
    assert scaled({"egg": 3}, 2) == {"egg": 2}
    assert scaled({"egg": 1, "roll": 5}, 5) == {"egg": 2, "roll": 7}


def test_scaled_four():
    assert scaled({"egg": 3, "bun": 1}, 4) == {"egg": 3, "bun": 1}


def test_scaled_nobody():
    assert scaled({"egg": 3}, 0) == {"egg": 0}
    assert scaled({}, 9) == {}


def test_speed_hours():
    assert speed(12, "2h") == 6
    assert speed(30, "1h30") == 20


def test_speed_minutes():
    assert speed(5, "30") == 10
    assert speed(1, "20") == 3


def test_speed_not_whole():
    assert speed(10, "1h01") == 9
    assert speed(7, "2h") == 3


def test_speed_no_time():
    with pytest.raises(ValueError):
        speed(5, "0")
    with pytest.raises(ValueError):
        speed(5, "0h00")


def test_speed_slow():
    assert speed(0, "45") == 0
    assert speed(1, "2h") == 0


def test_weather_word_no_wind():
    assert weather_word(-5) == "frost"
    assert weather_word(5) == "cool"
    assert weather_word(15) == "mild"
    assert weather_word(30) == "hot"


def test_weather_word_limits():
    assert weather_word(0) == "cool"
    assert weather_word(12) == "mild"
    assert weather_word(22) == "mild"
    assert weather_word(23) == "hot"


def test_weather_word_just_below():
    assert weather_word(-1) == "frost"
    assert weather_word(11) == "cool"


def test_weather_word_wind():
    assert weather_word(5, 60) == "frost"
    assert weather_word(12, 10) == "cool"
    assert weather_word(25, 30) == "mild"


def test_weather_word_little_wind():
    assert weather_word(12, 9) == "mild"
    assert weather_word(0, 9) == "cool"
    assert weather_word(12, 19) == "cool"
