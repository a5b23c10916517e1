from townkit.grids import (
    beside,
    field_size,
    mark_at,
    next_year,
    places_of,
    rim,
    trees_around,
    walk,
    walking_cost,
)

GARDEN = ["T..#", ".T.#", "~..."]
WOOD = ["TTT", "T.T", "..T"]


def test_mark_at_inside():
    assert mark_at(GARDEN, 0, 0) == "T"
    assert mark_at(GARDEN, 1, 3) == "#"
    assert mark_at(GARDEN, 2, 1) == "."


def test_mark_at_last():
    assert mark_at(GARDEN, 2, 3) == "."
    assert mark_at(WOOD, 2, 2) == "T"


def test_mark_at_outside():
    assert mark_at(WOOD, 3, 0) == "~"
    assert mark_at(WOOD, 0, 3) == "~"


def test_mark_at_negative():
    assert mark_at(WOOD, -1, 0) == "~"
    assert mark_at(WOOD, 0, -1) == "~"


def test_mark_at_no_map():
    assert mark_at([], 0, 0) == "~"


def test_beside_middle():
    assert beside(GARDEN, 1, 1) == "...."
    assert beside(WOOD, 1, 1) == "TT.T"


def test_beside_corner():
    assert beside(GARDEN, 0, 0) == "~..~"
    assert beside(GARDEN, 2, 3) == "#~~."


def test_beside_order():
    assert beside([".1.", "4.2", ".3."], 1, 1) == "1234"


def test_beside_outside():
    assert beside(["ab"], -1, 1) == "~~b~"
    assert beside(["ab"], 0, 2) == "~~~b"


def test_trees_around_middle():
    assert trees_around(WOOD, 1, 1) == 6
    assert trees_around(GARDEN, 1, 2) == 1


def test_trees_around_corner():
    assert trees_around(WOOD, 0, 0) == 2
    assert trees_around(GARDEN, 2, 3) == 0


def test_trees_around_own_place():
    assert trees_around(["..", ".T"], 1, 1) == 0
    assert trees_around(["TT", "TT"], 0, 0) == 3


def test_trees_around_below():
    assert trees_around(["...", "...", "TTT"], 1, 1) == 3
    assert trees_around(["T..", "T..", "T.."], 1, 1) == 3


def test_places_of_columns_first():
    assert places_of(["ab", "ba"], "a") == [(0, 0), (1, 1)]
    assert places_of(GARDEN, "#") == [(0, 3), (1, 3)]


def test_places_of_trees():
    assert places_of(GARDEN, "T") == [(0, 0), (1, 1)]
    assert places_of(WOOD, "T") == [(0, 0), (1, 0), (0, 1), (0, 2), (1, 2), (2, 2)]


def test_places_of_none():
    assert places_of(GARDEN, "x") == []
    assert places_of([], "T") == []


def test_walk_free():
    assert walk(GARDEN, 0, 1, "ES") == (1, 2)
    assert walk(GARDEN, 2, 1, "NN") == (0, 1)


def test_walk_hedge():
    assert walk(GARDEN, 0, 2, "E") == (0, 2)
    assert walk(GARDEN, 0, 2, "ES") == (1, 2)


def test_walk_water():
    assert walk(GARDEN, 2, 1, "W") == (2, 1)
    assert walk(GARDEN, 2, 1, "WN") == (1, 1)


def test_walk_edge():
    assert walk(GARDEN, 0, 0, "NW") == (0, 0)
    assert walk(GARDEN, 2, 3, "SEW") == (2, 2)


def test_walk_stays():
    assert walk(GARDEN, 1, 2, "") == (1, 2)


def test_field_size_fields():
    assert field_size(["aab", "abb", "cca"], 0, 0) == 3
    assert field_size(["aab", "abb", "cca"], 1, 2) == 3
    assert field_size(["aab", "abb", "cca"], 2, 0) == 2


def test_field_size_corner_does_not_touch():
    assert field_size(["ab", "ba"], 0, 0) == 1


def test_field_size_whole():
    assert field_size(["aa", "aa"], 1, 1) == 4


def test_field_size_bend():
    assert field_size(["aaa", "bba", "aaa"], 2, 0) == 7


def test_field_size_water():
    assert field_size(["~a", "~a"], 0, 0) == 0


def test_rim_square():
    assert rim(["abc", "hid", "gfe"]) == "abcdefgh"


def test_rim_two_lines():
    assert rim(["ab", "dc"]) == "abcd"


def test_rim_tall():
    assert rim(["abc", "jxd", "ixe", "hgf"]) == "abcdefghij"


def test_rim_wide():
    assert rim(["abcd", "jxxe", "ihgf"]) == "abcdefghij"
    assert rim(["ab", "fc", "ed"]) == "abcdef"


def test_rim_one_line():
    assert rim(["abc"]) == "abc"


def test_rim_none():
    assert rim([]) == ""


def test_walking_cost_straight():
    assert walking_cost((0, 0), (0, 4)) == 8
    assert walking_cost((3, 1), (0, 1)) == 6


def test_walking_cost_slanting():
    assert walking_cost((0, 0), (3, 3)) == 9
    assert walking_cost((2, 5), (4, 3)) == 6


def test_walking_cost_both():
    assert walking_cost((0, 0), (2, 5)) == 12
    assert walking_cost((6, 1), (1, 0)) == 11


def test_walking_cost_none():
    assert walking_cost((2, 2), (2, 2)) == 0


def test_next_year_grows():
    assert next_year(["T.T"]) == ["TTT"]
    assert next_year(["T.", ".T"]) == ["TT", "TT"]


def test_next_year_too_few():
    assert next_year(["T..", "..."]) == ["T..", "..."]


def test_next_year_too_many():
    assert next_year([".T.", "T.T", "..."]) == ["TTT", "T.T", "..."]
    assert next_year([".T.", "T.T", ".T."]) == ["TTT", "T.T", "TTT"]


def test_next_year_other_marks():
    assert next_year(["T#T", "T~T"]) == ["T#T", "T~T"]


def test_next_year_at_once():
    assert next_year(["T.T", "...", "T.T"]) == ["TTT", "T.T", "TTT"]


def test_next_year_none():
    assert next_year([]) == []
