import pytest
from townkit.routes import (
    bus_fare,
    dead_ends,
    districts,
    neighbours,
    reachable,
    route,
    tour_length,
    work_order,
)

ROADS = [("mill", "inn"), ("inn", "church"), ("church", "mill"), ("harbour", "inn")]
LANES = {"a": ["c", "b"], "b": ["d"], "c": ["d"], "d": ["e"], "f": ["a"]}


def test_neighbours_both_ends():
    assert neighbours(ROADS, "inn") == ["church", "harbour", "mill"]
    assert neighbours(ROADS, "church") == ["inn", "mill"]


def test_neighbours_one():
    assert neighbours(ROADS, "harbour") == ["inn"]


def test_neighbours_twice():
    assert neighbours([("b", "a"), ("a", "b"), ("a", "c")], "a") == ["b", "c"]


def test_neighbours_to_itself():
    assert neighbours([("a", "a"), ("a", "b")], "a") == ["b"]


def test_neighbours_none():
    assert neighbours(ROADS, "moon") == []


def test_dead_ends_one():
    assert dead_ends(ROADS) == ["harbour"]


def test_dead_ends_line():
    assert dead_ends([("b", "a"), ("b", "c")]) == ["a", "c"]


def test_dead_ends_star():
    assert dead_ends([("m", place) for place in "fcaebd"]) == ["a", "b", "c", "d", "e", "f"]


def test_dead_ends_two_roads_to_one_place():
    assert dead_ends([("a", "b"), ("b", "a"), ("b", "c"), ("c", "d")]) == ["a", "d"]


def test_dead_ends_circle():
    assert dead_ends([("a", "b"), ("b", "c"), ("c", "a")]) == []


def test_dead_ends_to_itself():
    assert dead_ends([("a", "a")]) == []


def test_reachable_many():
    assert reachable(LANES, "a") == ["b", "c", "d", "e"]
    assert reachable(LANES, "b") == ["d", "e"]


def test_reachable_start_by_circle():
    assert reachable({"a": ["b"], "b": ["a"]}, "a") == ["a", "b"]


def test_reachable_one_way():
    assert reachable(LANES, "d") == ["e"]
    assert reachable(LANES, "f") == ["a", "b", "c", "d", "e"]


def test_reachable_nothing():
    assert reachable(LANES, "e") == []
    assert reachable({}, "a") == []


def test_route_shortest():
    assert route(LANES, "f", "d") == ["f", "a", "c", "d"]
    assert route({"a": ["b", "c"], "b": ["c"], "c": ["d"]}, "a", "d") == ["a", "c", "d"]


def test_route_first_named():
    assert route(LANES, "a", "d") == ["a", "c", "d"]
    assert route({"a": ["x", "b"], "x": ["z"], "b": ["z"]}, "a", "z") == ["a", "x", "z"]


def test_route_at_goal():
    assert route(LANES, "a", "a") == ["a"]
    assert route({}, "x", "x") == ["x"]


def test_route_no_way():
    assert route(LANES, "e", "a") == []
    assert route({"a": ["b"], "b": ["a"]}, "a", "c") == []


def test_work_order_needs():
    assert work_order({"roof": ["walls"], "walls": ["cellar"]}) == ["cellar", "walls", "roof"]
    assert work_order({"a": ["c"], "b": [], "c": ["b"]}) == ["b", "c", "a"]


def test_work_order_free_steps():
    assert work_order({"paint": [], "dig": [], "mow": []}) == ["dig", "mow", "paint"]


def test_work_order_several():
    assert work_order({"feast": ["bake", "sweep"], "bake": ["fetch"]}) == [
        "fetch",
        "bake",
        "sweep",
        "feast",
    ]


def test_work_order_alphabet():
    assert work_order({"a": ["z"], "b": []}) == ["b", "z", "a"]


def test_work_order_circle():
    with pytest.raises(ValueError):
        work_order({"a": ["b"], "b": ["a"]})
    with pytest.raises(ValueError):
        work_order({"a": ["a"], "b": []})


def test_work_order_none():
    assert work_order({}) == []


def test_bus_fare_legs():
    assert bus_fare(["mill", "inn", "church"]) == 240
    assert bus_fare(["mill", "inn"]) == 120


def test_bus_fare_same_initial():
    assert bus_fare(["mill", "market"]) == 240
    assert bus_fare(["inn", "mill", "market", "church"]) == 480


def test_bus_fare_case():
    assert bus_fare(["Mill", "market"]) == 120


def test_bus_fare_one_stop():
    assert bus_fare(["mill"]) == 0
    assert bus_fare([]) == 0


def test_tour_length_sum():
    assert tour_length({("a", "b"): 3, ("b", "c"): 4}, ["a", "b", "c"]) == 7


def test_tour_length_both_ways():
    assert tour_length({("a", "b"): 3}, ["b", "a"]) == 3
    assert tour_length({("a", "b"): 3, ("c", "b"): 5}, ["a", "b", "c", "b"]) == 13


def test_tour_length_own_way():
    assert tour_length({("a", "b"): 3, ("b", "a"): 8}, ["b", "a"]) == 8


def test_tour_length_no_road():
    with pytest.raises(ValueError):
        tour_length({("a", "b"): 3}, ["a", "c"])
    with pytest.raises(ValueError):
        tour_length({("a", "b"): 3}, ["a", "b", "b"])


def test_tour_length_standing():
    assert tour_length({("a", "b"): 3}, ["a"]) == 0
    assert tour_length({}, []) == 0


def test_tour_length_level():
    assert tour_length({("a", "b"): 0}, ["b", "a"]) == 0


def test_districts_two():
    assert districts([("a", "b"), ("x", "y"), ("y", "z")]) == [["x", "y", "z"], ["a", "b"]]


def test_districts_one():
    assert districts(ROADS) == [["church", "harbour", "inn", "mill"]]


def test_districts_same_size():
    assert districts([("c", "d"), ("a", "b")]) == [["a", "b"], ["c", "d"]]


def test_districts_none():
    assert districts([]) == []
