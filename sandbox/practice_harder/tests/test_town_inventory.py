import pytest
from townkit.inventory import Inventory, Item


def stocked():
    store = Inventory()
    store.add("rope", 5, 300)
    store.add("Lamp", 2, 1250)
    store.add("sack", 8, 40)
    store.put_on("A1", "rope", "sack")
    return store


def test_value_several():
    assert Item("rope", 5, 300).value() == 1500


def test_value_none():
    assert Item("rope", 0, 300).value() == 0


def test_value_no_price():
    assert Item("rope", 5).value() == 0


def test_value_one():
    assert Item("lamp", 1, 1250).value() == 1250


def test_is_low_on_shelf():
    assert Item("rope", 3, shelf="A1").is_low() is True
    assert Item("rope", 4, shelf="A1").is_low() is False


def test_is_low_on_floor():
    assert Item("rope", 6).is_low() is True
    assert Item("rope", 7).is_low() is False


def test_is_low_other_limit():
    assert Item("rope", 5, shelf="B2").is_low(5) is True
    assert Item("rope", 6, shelf="B2").is_low(5) is False
    assert Item("rope", 10).is_low(limit=5) is True


def test_is_low_none():
    assert Item("rope").is_low(0) is True
    assert Item("rope", 1, shelf="A1").is_low(0) is False


def test_inventory_starts_empty():
    assert Inventory().items == {}


def test_inventory_small_names():
    store = Inventory()
    store.add("Rope")
    assert list(store.items) == ["rope"]


def test_inventory_each_has_its_own():
    first = Inventory()
    first.add("rope")
    assert Inventory().items == {}


def test_item_known():
    assert stocked().item("rope").count == 5
    assert stocked().item("rope").shelf == "A1"


def test_item_case_and_blanks():
    assert stocked().item(" LAMP ").cents == 1250
    assert stocked().item("Sack").name == "sack"


def test_item_unknown():
    with pytest.raises(KeyError):
        stocked().item("boat")


def test_item_of_empty_store():
    with pytest.raises(KeyError):
        Inventory().item("rope")


def test_item_taken_out():
    store = stocked()
    store.take("lamp", 2)
    assert store.item("lamp").count == 0


def test_add_new():
    store = Inventory()
    assert store.add("rope", 4) == 4
    assert store.items["rope"].count == 4


def test_add_more():
    store = stocked()
    assert store.add("rope", 2) == 7
    assert store.add("rope") == 8


def test_add_case():
    store = stocked()
    assert store.add(" ROPE", 1) == 6
    assert sorted(store.items) == ["lamp", "rope", "sack"]


def test_add_price():
    store = stocked()
    store.add("rope", 1, 350)
    assert store.item("rope").cents == 350


def test_add_price_stays():
    store = stocked()
    store.add("rope")
    assert store.item("rope").cents == 300


def test_add_free_of_charge():
    store = stocked()
    store.add("rope", 1, 0)
    assert store.item("rope").cents == 0


def test_add_nothing():
    with pytest.raises(ValueError):
        stocked().add("rope", 0)
    with pytest.raises(ValueError):
        stocked().add("rope", -2)


def test_take_some():
    store = stocked()
    assert store.take("rope", 2) == 2
    assert store.item("rope").count == 3


def test_take_one():
    store = stocked()
    assert store.take("Lamp") == 1
    assert store.item("lamp").count == 1


def test_take_too_many():
    store = stocked()
    assert store.take("lamp", 5) == 2
    assert store.item("lamp").count == 0


def test_take_none_left():
    store = stocked()
    store.take("lamp", 2)
    assert store.take("lamp") == 0


def test_take_unknown():
    with pytest.raises(KeyError):
        stocked().take("boat")


def test_put_on_one():
    store = stocked()
    assert store.put_on("B2", "lamp") == ["lamp"]
    assert store.item("lamp").shelf == "B2"


def test_put_on_moved():
    store = stocked()
    assert store.put_on("B2", "sack") == ["sack"]
    assert store.put_on("A1") == ["rope"]


def test_put_on_joined():
    assert stocked().put_on("A1", "Lamp") == ["lamp", "rope", "sack"]


def test_put_on_empty():
    assert stocked().put_on("C3") == []


def test_put_on_unknown():
    with pytest.raises(KeyError):
        stocked().put_on("A1", "boat")


def test_to_order_floor_first():
    assert stocked().to_order() == ["lamp"]


def test_to_order_higher_limit():
    assert stocked().to_order(5) == ["lamp", "rope"]
    assert stocked().to_order(8) == ["lamp", "rope", "sack"]


def test_to_order_tie():
    store = stocked()
    store.take("rope", 3)
    assert store.to_order() == ["lamp", "rope"]


def test_to_order_nothing():
    assert stocked().to_order(0) == []
    assert Inventory().to_order() == []


def test_worth_all():
    assert stocked().worth() == 4320


def test_worth_shelf():
    assert stocked().worth("A1") == 1820
    assert stocked().worth("floor") == 2500


def test_worth_empty_shelf():
    assert stocked().worth("Z9") == 0
    assert Inventory().worth() == 0


def test_worth_after_taking():
    store = stocked()
    store.take("rope", 4)
    assert store.worth("A1") == 620


def test_rename_new_name():
    store = stocked()
    item = store.rename("rope", "cord")
    assert (item.name, item.count, item.cents, item.shelf) == ("cord", 5, 300, "A1")


def test_rename_old_is_gone():
    store = stocked()
    store.rename("Rope", "cord")
    assert sorted(store.items) == ["cord", "lamp", "sack"]


def test_rename_added_up():
    store = stocked()
    assert store.rename("rope", "sack").count == 13
    assert store.worth() == 6400


def test_rename_case():
    store = stocked()
    store.rename("rope", " Sack ")
    assert sorted(store.items) == ["lamp", "sack"]


def test_rename_same_name():
    store = stocked()
    assert store.rename("rope", "rope").count == 5


def test_rename_unknown():
    with pytest.raises(KeyError):
        stocked().rename("boat", "ship")


def test_fill_up_needed():
    assert stocked().fill_up({"rope": 9, "lamp": 3}) == {"rope": 4, "lamp": 1}


def test_fill_up_enough():
    assert stocked().fill_up({"rope": 5, "sack": 2, "lamp": 4}) == {"lamp": 2}


def test_fill_up_new():
    assert stocked().fill_up({"boat": 2, "rope": 6}) == {"boat": 2, "rope": 1}
    assert Inventory().fill_up({"rope": 1}) == {"rope": 1}


def test_fill_up_none():
    assert stocked().fill_up({}) == {}
    assert stocked().fill_up({"boat": 0}) == {}
