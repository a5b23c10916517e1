from townkit.checks import (
    check_digit,
    clean_phone,
    is_cart_plate,
    is_file_number,
    is_house_number,
    missing,
    problems,
    twice_filed,
)


def test_is_house_number_plain():
    assert is_house_number("12") is True
    assert is_house_number("7") is True


def test_is_house_number_letter():
    assert is_house_number("7b") is True
    assert is_house_number("120c") is True


def test_is_house_number_zero():
    assert is_house_number("0") is False
    assert is_house_number("012") is False
    assert is_house_number("10") is True


def test_is_house_number_wrong():
    assert is_house_number("b7") is False
    assert is_house_number("7B") is False
    assert is_house_number("7bc") is False
    assert is_house_number("7-9") is False


def test_is_house_number_empty():
    assert is_house_number("") is False
    assert is_house_number("b") is False


def test_check_digit_three():
    assert check_digit("412") == 7
    assert check_digit("100") == 3


def test_check_digit_weights_repeat():
    assert check_digit("4127") == 8
    assert check_digit("0001") == 3
    assert check_digit("00001") == 1


def test_check_digit_dashes():
    assert check_digit("41-27") == 8
    assert check_digit("4-1-2") == 7


def test_check_digit_round():
    assert check_digit("55") == 0
    assert check_digit("") == 0


def test_is_file_number_right():
    assert is_file_number("412-7-8") is True
    assert is_file_number("41-3") is True
    assert is_file_number("100-3") is True


def test_is_file_number_wrong():
    assert is_file_number("412-7-7") is False
    assert is_file_number("412-7-88") is False
    assert is_file_number("41-03") is False


def test_is_file_number_no_dash():
    assert is_file_number("413") is False
    assert is_file_number("0") is False


def test_is_file_number_empty():
    assert is_file_number("") is False
    assert is_file_number("412-") is False


def test_is_cart_plate_right():
    assert is_cart_plate("AB123") is True
    assert is_cart_plate("ZA007") is True


def test_is_cart_plate_same_letters():
    assert is_cart_plate("AA123") is False


def test_is_cart_plate_small():
    assert is_cart_plate("ab123") is False
    assert is_cart_plate("Ab123") is False


def test_is_cart_plate_digits():
    assert is_cart_plate("AB12") is False
    assert is_cart_plate("AB1234") is False
    assert is_cart_plate("ABC12") is False
    assert is_cart_plate("ABx23") is False


def test_is_cart_plate_letters():
    assert is_cart_plate("A1234") is False
    assert is_cart_plate("12345") is False
    assert is_cart_plate("") is False
    assert is_cart_plate("A-123") is False


def test_clean_phone_area():
    assert clean_phone("12 34 56") == "055123456"
    assert clean_phone("7-89") == "055789"


def test_clean_phone_own_area():
    assert clean_phone("044 / 123") == "044123"
    assert clean_phone("0123") == "0123"


def test_clean_phone_abroad():
    assert clean_phone("+31 20 555") == "003120555"
    assert clean_phone(" +44") == "0044"


def test_clean_phone_other_area():
    assert clean_phone("123", "066") == "066123"
    assert clean_phone("0123", area="066") == "0123"


def test_clean_phone_empty():
    assert clean_phone("") == "055"


def test_missing_none():
    assert missing({"name": "Ada", "street": "Mill Lane", "house": "7"}) == []


def test_missing_some():
    assert missing({"name": "Ada"}) == ["street", "house"]
    assert missing({"house": "7", "street": "Mill Lane"}) == ["name"]


def test_missing_blank():
    assert missing({"name": " ", "street": "Mill Lane", "house": ""}) == ["name", "house"]


def test_missing_empty():
    assert missing({}) == ["name", "street", "house"]


def test_problems_empty():
    assert problems({}) == ["name is missing", "street is missing", "house is missing"]


def test_problems_none():
    assert problems({"name": "Ada", "street": "Mill Lane", "house": "7b"}) == []


def test_problems_house():
    assert problems({"name": "Ada", "street": "Mill Lane", "house": "b7"}) == [
        "no house number: b7"
    ]


def test_problems_missing():
    assert problems({"name": "Ada", "house": "7"}) == ["street is missing"]
    assert problems({"name": "Ada", "street": "Mill Lane", "house": ""}) == ["house is missing"]


def test_problems_long_name():
    assert problems({"name": "A" * 21, "street": "Mill Lane", "house": "7"}) == ["name is too long"]
    assert problems({"name": "A" * 20, "street": "Mill Lane", "house": "7"}) == []


def test_problems_several():
    assert problems({"name": "Ada Miller of the Old Mill", "house": "x"}) == [
        "street is missing",
        "no house number: x",
        "name is too long",
    ]


def test_twice_filed_twice():
    assert twice_filed(["Ada", "Ben", "Ada"]) == ["Ada"]


def test_twice_filed_case():
    assert twice_filed(["ada", "Ben", "ADA", "BEN"]) == ["ada", "Ben"]


def test_twice_filed_three_times():
    assert twice_filed(["Ada", "Ada", "Ada"]) == ["Ada"]


def test_twice_filed_order():
    assert twice_filed(["Ben", "Ada", "Ada", "Ben"]) == ["Ben", "Ada"]


def test_twice_filed_none():
    assert twice_filed(["Ada", "Ben"]) == []
    assert twice_filed([]) == []
