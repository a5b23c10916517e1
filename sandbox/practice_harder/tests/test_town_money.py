import pytest
from townkit.money import (
    best_offer,
    change_coins,
    late_fee,
    parse_price,
    quantity_price,
    rounded,
    show_price,
    split_bill,
    split_by_weight,
    with_tip,
)


def test_rounded_to_five():
    assert rounded(12, 5) == 10
    assert rounded(13, 5) == 15
    assert rounded(20, 5) == 20


def test_rounded_halfway():
    assert rounded(25, 10) == 30
    assert rounded(150, 100) == 200
    assert rounded(35, 10) == 40


def test_rounded_small():
    assert rounded(0, 5) == 0
    assert rounded(2, 5) == 0
    assert rounded(3, 5) == 5


def test_rounded_owed():
    assert rounded(-12, 5) == -10
    assert rounded(-13, 5) == -15
    assert rounded(-25, 10) == -20


def test_parse_price_with_cents():
    assert parse_price("3.50") == 350
    assert parse_price("12.05") == 1205


def test_parse_price_whole():
    assert parse_price("12") == 1200
    assert parse_price(" 7 ") == 700


def test_parse_price_dash():
    assert parse_price("3.-") == 300
    assert parse_price("40.-") == 4000


def test_parse_price_digits_of_cents():
    with pytest.raises(ValueError):
        parse_price("3.5")
    with pytest.raises(ValueError):
        parse_price("3.505")
    with pytest.raises(ValueError):
        parse_price("3.")


def test_parse_price_no_price():
    with pytest.raises(ValueError):
        parse_price("free")
    with pytest.raises(ValueError):
        parse_price("-3.50")
    with pytest.raises(ValueError):
        parse_price("")
    with pytest.raises(ValueError):
        parse_price(".50")


def test_show_price_with_cents():
    assert show_price(350) == "3.50"
    assert show_price(1299) == "12.99"


def test_show_price_whole():
    assert show_price(1200) == "12.-"
    assert show_price(100) == "1.-"


def test_show_price_small():
    assert show_price(5) == "0.05"
    assert show_price(0) == "0.-"
    assert show_price(70) == "0.70"


def test_show_price_debts():
    assert show_price(-350) == "-3.50"
    assert show_price(-200) == "-2.-"
    assert show_price(-1) == "-0.01"


def test_split_bill_even():
    assert split_bill(900, 3) == [300, 300, 300]
    assert split_bill(1000, 4) == [250, 250, 250, 250]


def test_split_bill_rest():
    assert split_bill(1000, 3) == [334, 333, 333]
    assert split_bill(1001, 3) == [334, 334, 333]


def test_split_bill_more_people_than_cents():
    assert split_bill(2, 4) == [1, 1, 0, 0]
    assert split_bill(0, 2) == [0, 0]


def test_split_bill_alone():
    assert split_bill(755, 1) == [755]


def test_split_bill_nobody():
    with pytest.raises(ValueError):
        split_bill(500, 0)
    with pytest.raises(ValueError):
        split_bill(500, -1)


def test_split_by_weight_even():
    assert split_by_weight(900, [1, 2]) == [300, 600]
    assert split_by_weight(600, [1, 1, 1]) == [200, 200, 200]


def test_split_by_weight_rest_to_heaviest():
    assert split_by_weight(1000, [1, 2, 3]) == [166, 333, 501]
    assert split_by_weight(100, [3, 2, 1]) == [51, 33, 16]


def test_split_by_weight_equal_weights():
    assert split_by_weight(100, [1, 1, 1]) == [34, 33, 33]
    assert split_by_weight(500, [2, 3, 3]) == [125, 188, 187]


def test_split_by_weight_no_weight():
    assert split_by_weight(100, [0, 4]) == [0, 100]
    assert split_by_weight(100, [4, 0, 3]) == [58, 0, 42]


def test_quantity_price_few():
    assert quantity_price(100, 1) == 100
    assert quantity_price(100, 3) == 300


def test_quantity_price_four():
    assert quantity_price(100, 4) == 350
    assert quantity_price(100, 5) == 450
    assert quantity_price(100, 8) == 700


def test_quantity_price_odd_price():
    assert quantity_price(75, 4) == 262
    assert quantity_price(99, 8) == 692
    assert quantity_price(75, 3) == 225


def test_quantity_price_none():
    assert quantity_price(100, 0) == 0


def test_with_tip_even():
    assert with_tip(1000, 10) == 1100
    assert with_tip(2000, 5) == 2100


def test_with_tip_ten_cent_pieces():
    assert with_tip(1010, 10) == 1120
    assert with_tip(999, 10) == 1099
    assert with_tip(2001, 10) == 2211


def test_with_tip_no_tip():
    assert with_tip(1234, 0) == 1234
    assert with_tip(0, 10) == 0


def test_with_tip_tiny():
    assert with_tip(50, 1) == 60
    assert with_tip(100, 10) == 110
    assert with_tip(110, 10) == 130


def test_change_coins_one_each():
    assert change_coins(380) == ([200, 100, 50, 20, 10], 0)
    assert change_coins(200) == ([200], 0)
    assert change_coins(70) == ([50, 20], 0)


def test_change_coins_several():
    assert change_coins(440) == ([200, 200, 20, 20], 0)
    assert change_coins(590) == ([200, 200, 100, 50, 20, 20], 0)


def test_change_coins_tray_is_empty():
    assert change_coins(1000) == ([200, 200, 200, 100, 100, 100, 50, 50], 0)
    assert change_coins(1140) == (
        [200, 200, 200, 100, 100, 100, 50, 50, 50, 20, 20, 20, 10, 10, 10],
        0,
    )
    assert change_coins(2000) == (
        [200, 200, 200, 100, 100, 100, 50, 50, 50, 20, 20, 20, 10, 10, 10],
        860,
    )


def test_change_coins_small():
    assert change_coins(45) == ([20, 20], 5)
    assert change_coins(9) == ([], 9)
    assert change_coins(0) == ([], 0)


def test_best_offer_cheapest():
    assert best_offer({"mill": 300, "inn": 250, "farm": 400}) == "inn"
    assert best_offer({"b": 2, "a": 3}) == "b"


def test_best_offer_tie():
    assert best_offer({"mill": 250, "inn": 250}) == "inn"
    assert best_offer({"b": 9, "c": 5, "a": 5}) == "a"


def test_best_offer_one():
    assert best_offer({"inn": 120}) == "inn"


def test_best_offer_none():
    assert best_offer({}) is None


def test_late_fee_weeks():
    assert late_fee(10000, 7) == 200
    assert late_fee(10000, 21) == 600


def test_late_fee_week_begun():
    assert late_fee(10000, 1) == 200
    assert late_fee(10000, 8) == 400
    assert late_fee(10000, 14) == 400


def test_late_fee_limit():
    assert late_fee(10000, 7 * 25) == 5000
    assert late_fee(10000, 176) == 5000
    assert late_fee(200, 365) == 100


def test_late_fee_in_time():
    assert late_fee(10000, 0) == 0
    assert late_fee(10000, -30) == 0


def test_late_fee_cents():
    assert late_fee(149, 7) == 2
    assert late_fee(151, 7) == 3
