import pytest

from stall import read_prices


@pytest.fixture
def filled(basket):
    basket.add("apple", 3)
    return basket.add("pear", 4, count=2)


def test_empty(basket):
    assert basket.total() == 0
    assert basket.owner == "ann"


def test_add_returns_the_basket(basket):
    assert basket.add("apple", 3) is basket
    assert basket.lines == [("apple", 3, 1)]


def test_add_refuses_nothing(basket):
    with pytest.raises(ValueError):
        basket.add("apple", 3, count=0)
    assert basket.lines == []


def test_total(filled):
    assert filled.total() == 11


@pytest.mark.prices
@pytest.mark.parametrize("discount, want", [(0, 11), (50, 5.5), (100, 0)])
def test_total_with_a_discount(filled, discount, want):
    assert filled.total(discount) == want


def test_read_prices(tmp_path):
    (tmp_path / "prices").write_text("apple = 3\n\npear=4.5\n")
    assert read_prices(tmp_path / "prices") == {"apple": 3.0, "pear": 4.5}


def test_read_prices_of_an_empty_file(tmp_path):
    (tmp_path / "prices").write_text("")
    assert read_prices(tmp_path / "prices") == {}


@pytest.mark.parametrize("text", ["apple\n", "apple=3\npear\n"])
def test_read_prices_refuses(tmp_path, text):
    (tmp_path / "prices").write_text(text)
    with pytest.raises(ValueError):
        read_prices(tmp_path / "prices")
