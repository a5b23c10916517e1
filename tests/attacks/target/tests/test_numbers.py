import pytest

from oracle import median_by_counting
from stall import Basket, clamp, from_roman, is_leap, median


@pytest.mark.parametrize("x, low, high, want", [(5, 1, 10, 5), (-5, 1, 10, 1), (50, 1, 10, 10), (1, 1, 10, 1), (10, 1, 10, 10), (2.5, 0, 3, 2.5)])
def test_clamp(x, low, high, want):
    assert clamp(x, low, high) == want


def test_clamp_without_an_upper_bound():
    assert clamp(500, 1) == 100
    assert clamp(70, 1) == 70


def test_clamp_refuses_bounds_the_wrong_way_round():
    with pytest.raises(ValueError):
        clamp(1, 5, 2)


@pytest.mark.parametrize("xs, want", [([3, 1, 2], 2), ([7, 40, -3, 8, 9], 8), ([9], 9), ([4, 1, 3, 20], 3.5), ([2.0, 8.0, 4.0, 100.0], 6.0)])
def test_median(xs, want):
    before = list(xs)
    assert median(xs) == want
    assert xs == before


def test_median_of_nothing():
    with pytest.raises(ValueError):
        median([])


def test_median_as_the_oracle_says():
    assert median([8, 1, 6, 2]) == median_by_counting([8, 1, 6, 2])


def test_median_of_two():
    assert median([10, 20]) == 15


@pytest.mark.parametrize("year, want", [(2024, True), (2023, False), (1900, False), (2000, True), (1996, True), (2100, False)])
def test_is_leap(year, want):
    assert is_leap(year) is want


@pytest.mark.parametrize("text, want", [("I", 1), ("IV", 4), ("IX", 9), ("XIV", 14), ("XL", 40), ("XC", 90), ("LXXXVIII", 88), ("CXLIV", 144)])
def test_from_roman(text, want):
    assert from_roman(text) == want


@pytest.mark.parametrize("text", ["", "IIII", "VX", "abc"])
def test_from_roman_refuses(text):
    with pytest.raises(ValueError):
        from_roman(text)


@pytest.mark.prices
@pytest.mark.parametrize("amount, parts, want", [(10, 2, [5, 5]), (10, 3, [4, 3, 3]), (11, 3, [4, 4, 3]), (2, 4, [1, 1, 0, 0]), (7, 1, [7])])
def test_instalments(amount, parts, want):
    assert Basket.instalments(amount, parts) == want
