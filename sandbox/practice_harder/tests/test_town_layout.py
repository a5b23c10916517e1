from townkit.layout import (
    aligned,
    banner,
    file_name,
    initials,
    listed,
    outline,
    receipt_line,
    shortened,
    wrapped,
)


def test_initials_two():
    assert initials("Ada Miller") == "A.M."
    assert initials("Ben") == "B."


def test_initials_small_words():
    assert initials("Anna von der Heide") == "A.H."
    assert initials("Luis de Souza") == "L.S."


def test_initials_blanks():
    assert initials("  Ada   Miller ") == "A.M."


def test_initials_none():
    assert initials("") == ""
    assert initials("the baker") == ""


def test_shortened_fits():
    assert shortened("market", 6) == "market"
    assert shortened("inn", 10) == "inn"


def test_shortened_cut():
    assert shortened("market day", 8) == "market.."
    assert shortened("harbour", 6) == "harb.."


def test_shortened_blank_before_cut():
    assert shortened("the old mill", 10) == "the old.."
    assert shortened("an inn", 5) == "an.."


def test_shortened_empty():
    assert shortened("", 4) == ""
    assert shortened("mill", 2) == ".."


def test_wrapped_lines():
    assert wrapped("the mill is shut on friday", 11) == ["the mill is", "  shut on", "  friday"]
    assert wrapped("a b c d", 3) == ["a b", "  c", "  d"]


def test_wrapped_exact():
    assert wrapped("to the inn", 6) == ["to the", "  inn"]
    assert wrapped("to the inn", 5) == ["to", "  the", "  inn"]


def test_wrapped_long_word():
    assert wrapped("the watchtower is old", 6) == ["the", "  watchtower", "  is", "  old"]


def test_wrapped_blanks():
    assert wrapped("  a   b\nc ", 20) == ["a b c"]


def test_wrapped_empty():
    assert wrapped("", 10) == []


def test_aligned_columns():
    assert aligned([["name", "age"], ["Ada", "41"], ["Benedict", "7"]]) == [
        "name      age",
        "Ada       41",
        "Benedict  7",
    ]


def test_aligned_gap():
    assert aligned([["a", "b"], ["cc", "d"]], 1) == ["a  b", "cc d"]
    assert aligned([["a", "b"], ["cc", "d"]], gap=4) == ["a     b", "cc    d"]


def test_aligned_end_of_line():
    assert aligned([["a", "b"], ["c", ""]]) == ["a  b", "c"]


def test_aligned_one_column():
    assert aligned([["a"], ["bbb"]]) == ["a", "bbb"]


def test_aligned_none():
    assert aligned([]) == []


def test_receipt_line_usual():
    assert receipt_line("bread", "2.80", 20) == "bread ......... 2.80"
    assert receipt_line("tea", "12.-", 16) == "tea ....... 12.-"


def test_receipt_line_long_name():
    assert receipt_line("a loaf of rye bread", "4.50", 20) == "a loaf of.. ... 4.50"


def test_receipt_line_fits_exactly():
    assert receipt_line("breads", "2.80", 14) == "breads .. 2.80"
    assert receipt_line("breads", "2.80", 15) == "breads ... 2.80"


def test_receipt_line_width():
    assert len(receipt_line("a loaf of rye bread", "4.50", 20)) == 20
    assert len(receipt_line("tea", "1.20", 30)) == 30


def test_listed_three():
    assert listed(["Ada", "Ben", "Cleo"]) == "Ada, Ben and Cleo"


def test_listed_two():
    assert listed(["Ada", "Ben"]) == "Ada and Ben"


def test_listed_one():
    assert listed(["Ada"]) == "Ada"


def test_listed_none():
    assert listed([]) == "nobody"


def test_file_name_words():
    assert file_name("Market Day 2024") == "market-day-2024"
    assert file_name("The Old Mill") == "the-old-mill"


def test_file_name_marks():
    assert file_name("bread, milk (fresh)!") == "bread-milk-fresh"
    assert file_name("--a--b--") == "a-b"


def test_file_name_ampersand():
    assert file_name("Hook & Son") == "hook-and-son"
    assert file_name("a&b") == "a-and-b"


def test_file_name_nothing_left():
    assert file_name("") == "untitled"
    assert file_name("?!") == "untitled"


def test_outline_levels():
    assert outline({"town": {"mill": {}, "inn": {"bar": {}}}}) == ["town", "-inn", "--bar", "-mill"]


def test_outline_alphabet():
    assert outline({"b": {}, "a": {"z": {}, "y": {}}}) == ["a", "-y", "-z", "b"]


def test_outline_deeper():
    assert outline({"a": {"b": {}}}, 2) == ["--a", "---b"]


def test_outline_empty():
    assert outline({}) == []


def test_banner_even():
    assert banner("inn", 9) == "== inn =="
    assert banner("mill", 12) == "=== mill ==="


def test_banner_odd():
    assert banner("inn", 10) == "=== inn =="
    assert banner("mill", 13) == "==== mill ==="


def test_banner_tight():
    assert banner("inn", 7) == "= inn ="
    assert banner("inn", 6) == "inn"


def test_banner_no_room():
    assert banner("market", 5) == "market"
    assert banner("market", 8) == "market"


def test_banner_empty():
    assert banner("", 6) == "==  =="
