import pytest
from townkit.parsing import (
    latest_release,
    parse_command,
    parse_duration,
    parse_order,
    parse_pages,
    parse_point,
    parse_record,
    parse_sections,
    release_parts,
    unquoted,
)


def test_parse_duration_both():
    assert parse_duration("1h30") == 90
    assert parse_duration("2h05") == 125


def test_parse_duration_hours():
    assert parse_duration("2h") == 120
    assert parse_duration("10h") == 600


def test_parse_duration_minutes():
    assert parse_duration("45") == 45
    assert parse_duration("90") == 90


def test_parse_duration_short():
    assert parse_duration("h20") == 20
    assert parse_duration("0h") == 0


def test_parse_duration_written_otherwise():
    assert parse_duration(" 1H15 ") == 75
    assert parse_duration(" 30 ") == 30


def test_parse_point_usual():
    assert parse_point("C7") == (6, 2)
    assert parse_point("A1") == (0, 0)


def test_parse_point_small_letter():
    assert parse_point("b12") == (11, 1)
    assert parse_point("z3") == (2, 25)


def test_parse_point_no_letter():
    with pytest.raises(ValueError):
        parse_point("77")
    with pytest.raises(ValueError):
        parse_point("")
    with pytest.raises(ValueError):
        parse_point("ä1")


def test_parse_point_no_row():
    with pytest.raises(ValueError):
        parse_point("C")
    with pytest.raises(ValueError):
        parse_point("C0")
    with pytest.raises(ValueError):
        parse_point("C-1")
    with pytest.raises(ValueError):
        parse_point("Cx")


def test_parse_record_two():
    assert parse_record("name: Ada; street: Mill Lane") == {"name": "Ada", "street": "Mill Lane"}


def test_parse_record_names():
    assert parse_record("Name:Ada;HOUSE : 7b") == {"name": "Ada", "house": "7b"}


def test_parse_record_colon_in_value():
    assert parse_record("open: 9:30; shut: 12") == {"open": "9:30", "shut": "12"}


def test_parse_record_odd_parts():
    assert parse_record("name: Ada;;  ;nothing") == {"name": "Ada"}
    assert parse_record("name:") == {"name": ""}


def test_parse_record_twice():
    assert parse_record("a: 1; a: 2") == {"a": "2"}


def test_parse_record_empty():
    assert parse_record("") == {}


def test_parse_sections_sections():
    assert parse_sections("[mill]\nheight = 12\n[inn]\nbeds = 8\nopen = yes") == {
        "mill": {"height": "12"},
        "inn": {"beds": "8", "open": "yes"},
    }


def test_parse_sections_before_the_first():
    assert parse_sections("name = town\n[mill]\nheight = 12") == {
        "main": {"name": "town"},
        "mill": {"height": "12"},
    }


def test_parse_sections_remarks():
    assert parse_sections("# all\n[mill] # old\nheight = 12 # ells\n\n") == {
        "mill": {"height": "12"}
    }


def test_parse_sections_again():
    assert parse_sections("[a]\nx = 1\n[b]\ny = 2\n[a]\nz = 3") == {
        "a": {"x": "1", "z": "3"},
        "b": {"y": "2"},
    }


def test_parse_sections_no_section():
    assert parse_sections("flag") == {"main": {"flag": ""}}
    assert parse_sections("a = 1\nb=2") == {"main": {"a": "1", "b": "2"}}


def test_parse_sections_odd():
    assert parse_sections("[a]\nflag\nsum = 1=1") == {"a": {"flag": "", "sum": "1=1"}}
    assert parse_sections("[a]") == {}


def test_parse_command_words():
    assert parse_command("move cart north") == ("move", ["cart", "north"], {})


def test_parse_command_options():
    assert parse_command("move cart to=mill speed=slow") == (
        "move",
        ["cart"],
        {"to": "mill", "speed": "slow"},
    )
    assert parse_command("send to=inn letter") == ("send", ["letter"], {"to": "inn"})


def test_parse_command_case():
    assert parse_command("MOVE Cart To=Mill") == ("move", ["Cart"], {"To": "Mill"})


def test_parse_command_equals_in_value():
    assert parse_command("note text=a=b") == ("note", [], {"text": "a=b"})


def test_parse_command_verb_alone():
    assert parse_command("  wait ") == ("wait", [], {})
    assert parse_command("") == ("", [], {})


def test_release_parts_plain():
    assert release_parts("r3.2") == (3, 2, "")
    assert release_parts("r12.10") == (12, 10, "")


def test_release_parts_letter():
    assert release_parts("r3.2b") == (3, 2, "b")
    assert release_parts("r10.0x") == (10, 0, "x")


def test_release_parts_no_minor():
    assert release_parts("r4") == (4, 0, "")
    assert release_parts("r4c") == (4, 0, "c")


def test_release_parts_order():
    assert sorted(["r3.10", "r3.2b", "r3.2", "r2.9"], key=release_parts) == [
        "r2.9",
        "r3.2",
        "r3.2b",
        "r3.10",
    ]


def test_latest_release_latest():
    assert latest_release(["r1.2", "r2.0", "r1.9"]) == "r2.0"
    assert latest_release(["r1.9", "r1.10"]) == "r1.10"


def test_latest_release_letters():
    assert latest_release(["r1.2b", "r1.2a", "r1.2"]) == "r1.2b"


def test_latest_release_drafts():
    assert latest_release(["r1.0", "r2.0x"]) == "r1.0"
    assert latest_release(["r3x", "r2.5c", "r2.5"]) == "r2.5c"


def test_latest_release_none():
    assert latest_release([]) == ""
    assert latest_release(["r1x"]) == ""


def test_parse_order_counts():
    assert parse_order("3 x bun, 2 x roll") == {"bun": 3, "roll": 2}


def test_parse_order_one():
    assert parse_order("bun, 2 x roll") == {"bun": 1, "roll": 2}
    assert parse_order("bun") == {"bun": 1}


def test_parse_order_again():
    assert parse_order("3 x bun, roll, 2 x bun, roll") == {"bun": 5, "roll": 2}


def test_parse_order_names():
    assert parse_order("2 x rye bread,box") == {"rye bread": 2, "box": 1}


def test_parse_order_empty():
    assert parse_order("") == {}
    assert parse_order("bun, ,") == {"bun": 1}


def test_parse_pages_single():
    assert parse_pages("7") == [7]
    assert parse_pages("3,1,2") == [3, 1, 2]


def test_parse_pages_span():
    assert parse_pages("1-3,7") == [1, 2, 3, 7]
    assert parse_pages("2-2") == [2]


def test_parse_pages_backwards():
    assert parse_pages("5-3") == [5, 4, 3]
    assert parse_pages("1,9-7,4") == [1, 9, 8, 7, 4]


def test_parse_pages_again():
    assert parse_pages("1-2,2-3") == [1, 2, 2, 3]


def test_parse_pages_blanks():
    assert parse_pages("1 - 3, 5") == [1, 2, 3, 5]


def test_unquoted_quoted():
    assert unquoted("'mill'") == "mill"
    assert unquoted('"the inn"') == "the inn"


def test_unquoted_plain():
    assert unquoted("mill") == "mill"
    assert unquoted("anna") == "anna"


def test_unquoted_one_quote():
    assert unquoted("'mill") == "'mill"
    assert unquoted("mill'") == "mill'"
    assert unquoted("'mill\"") == "'mill\""
    assert unquoted("'") == "'"


def test_unquoted_doubled():
    assert unquoted("'the smith''s'") == "the smith's"
    assert unquoted('"a ""b"" c"') == 'a "b" c'
    assert unquoted("\"it''s\"") == "it''s"


def test_unquoted_nothing_inside():
    assert unquoted("''") == ""
