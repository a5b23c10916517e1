from townkit.tables import (
    column,
    cross_table,
    filled_down,
    group_sums,
    joined,
    newest_rows,
    top_rows,
    turned_over,
)

PEOPLE = [
    {"name": "Ada", "street": "Mill Lane", "age": 41, "dogs": 1},
    {"name": "Ben", "street": "High Street", "age": 35, "dogs": 0},
    {"name": "Cleo", "street": "Mill Lane", "age": 35, "dogs": 2},
]


def test_column_values():
    assert column(PEOPLE, "age") == [41, 35, 35]


def test_column_missing():
    assert column([{"a": 1}, {}], "a") == [1, ""]
    assert column([{"a": 1}, {}], "a", 0) == [1, 0]


def test_column_none_is_a_value():
    assert column([{"a": None}, {"b": 1}], "a", 5) == [None, 5]


def test_column_no_rows():
    assert column([], "age") == []


def test_group_sums_sums():
    assert group_sums(PEOPLE, "street", "dogs") == {"Mill Lane": 3, "High Street": 0}
    assert group_sums(PEOPLE, "age", "dogs") == {41: 1, 35: 2}


def test_group_sums_no_value():
    assert group_sums([{"k": "x", "n": 2}, {"k": "x"}, {"k": "y"}], "k", "n") == {"x": 2, "y": 0}


def test_group_sums_no_key():
    assert group_sums([{"n": 2}, {"k": None, "n": 3}, {"k": "x", "n": 4}], "k", "n") == {"x": 4}


def test_group_sums_empty_key():
    assert group_sums([{"k": "", "n": 1}, {"k": 0, "n": 2}, {"k": "", "n": 3}], "k", "n") == {
        "": 4,
        0: 2,
    }


def test_group_sums_no_rows():
    assert group_sums([], "k", "n") == {}


def test_top_rows_top():
    assert top_rows([{"n": 1}, {"n": 3}, {"n": 2}], "n", 2) == [{"n": 3}, {"n": 2}]
    assert top_rows([{"n": 1}, {"n": 3}], "n", 1) == [{"n": 3}]


def test_top_rows_tie_with_last():
    assert top_rows(
        [{"n": 5, "a": 1}, {"n": 3, "a": 2}, {"n": 5, "a": 3}, {"n": 3, "a": 4}], "n", 1
    ) == [{"n": 5, "a": 1}, {"n": 5, "a": 3}]
    assert len(top_rows(PEOPLE, "age", 2)) == 3


def test_top_rows_few_rows():
    assert top_rows([{"n": 1}, {"n": 2}], "n", 5) == [{"n": 2}, {"n": 1}]
    assert top_rows([{"n": 1}, {"n": 2}], "n", 2) == [{"n": 2}, {"n": 1}]


def test_top_rows_no_rows():
    assert top_rows([], "n", 3) == []


def test_joined_known():
    assert joined([{"id": 1, "a": "x"}], [{"id": 1, "b": "y"}], "id") == [
        {"id": 1, "b": "y", "a": "x"}
    ]


def test_joined_unknown():
    assert joined([{"id": 1}, {"id": 2}], [{"id": 2, "b": 5}, {"id": 3, "b": 6}], "id") == [
        {"id": 1},
        {"id": 2, "b": 5},
    ]


def test_joined_both_say():
    assert joined([{"id": 1, "a": "left"}], [{"id": 1, "a": "right"}], "id") == [
        {"id": 1, "a": "left"}
    ]


def test_joined_several_right():
    assert joined([{"id": 1}], [{"id": 1, "b": 1}, {"id": 1, "b": 2}], "id") == [{"id": 1, "b": 2}]


def test_joined_several_left():
    assert joined([{"id": 1, "n": 1}, {"id": 1, "n": 2}], [{"id": 1, "b": 7}], "id") == [
        {"id": 1, "b": 7, "n": 1},
        {"id": 1, "b": 7, "n": 2},
    ]


def test_filled_down_empty():
    assert filled_down(
        [{"day": "mon", "n": 1}, {"day": "", "n": 2}, {"day": "tue", "n": 3}, {"n": 4}], "day"
    ) == [
        {"day": "mon", "n": 1},
        {"day": "mon", "n": 2},
        {"day": "tue", "n": 3},
        {"n": 4, "day": "tue"},
    ]


def test_filled_down_first_is_empty():
    assert filled_down([{"day": ""}, {"day": "mon"}], "day") == [{"day": ""}, {"day": "mon"}]
    assert filled_down([{"n": 1}], "day") == [{"n": 1, "day": ""}]


def test_filled_down_other_columns():
    assert filled_down([{"a": "x", "b": "y"}, {"a": "", "b": ""}], "a") == [
        {"a": "x", "b": "y"},
        {"a": "x", "b": ""},
    ]


def test_filled_down_rows_stay():
    rows = [{"a": "x"}, {"a": ""}]
    filled_down(rows, "a")
    assert rows == [{"a": "x"}, {"a": ""}]


def test_turned_over_full():
    assert turned_over([["a", "b"], ["c", "d"], ["e", "f"]]) == [["a", "c", "e"], ["b", "d", "f"]]


def test_turned_over_short():
    assert turned_over([["a", "b", "c"], ["d"]]) == [["a", "d"], ["b", ""], ["c", ""]]
    assert turned_over([["a"], ["b", "c"]]) == [["a", "b"], ["", "c"]]


def test_turned_over_empty_line():
    assert turned_over([[], ["a"]]) == [["", "a"]]


def test_turned_over_none():
    assert turned_over([]) == []
    assert turned_over([[]]) == []


def test_newest_rows_again():
    assert newest_rows(
        [{"id": 1, "n": "old"}, {"id": 2, "n": "x"}, {"id": 1, "n": "new"}], "id"
    ) == [{"id": 1, "n": "new"}, {"id": 2, "n": "x"}]


def test_newest_rows_all_differ():
    assert newest_rows([{"id": 2}, {"id": 1}], "id") == [{"id": 2}, {"id": 1}]


def test_newest_rows_order():
    assert newest_rows(
        [{"id": 3, "n": 1}, {"id": 2, "n": 2}, {"id": 2, "n": 3}, {"id": 3, "n": 4}], "id"
    ) == [{"id": 3, "n": 4}, {"id": 2, "n": 3}]


def test_newest_rows_none():
    assert newest_rows([], "id") == []


def test_cross_table_counts():
    assert cross_table(
        [{"a": "x", "b": 1}, {"a": "x", "b": 1}, {"a": "x", "b": 2}, {"a": "y", "b": 1}], "a", "b"
    ) == {"x": {1: 2, 2: 1}, "y": {1: 1}}


def test_cross_table_people():
    assert cross_table(PEOPLE, "street", "age") == {
        "Mill Lane": {41: 1, 35: 1},
        "High Street": {35: 1},
    }


def test_cross_table_same_column():
    assert cross_table([{"a": 1}, {"a": 2}, {"a": 1}], "a", "a") == {1: {1: 2}, 2: {2: 1}}


def test_cross_table_none():
    assert cross_table([], "a", "b") == {}
