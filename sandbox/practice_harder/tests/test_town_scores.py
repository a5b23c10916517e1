from townkit.scores import (
    award,
    elected,
    finish_times,
    improved,
    judged,
    league_points,
    pairings,
    places,
    streak,
    word_points,
)


def test_award_middle():
    assert award(95) == "gold"
    assert award(80) == "silver"
    assert award(65) == "bronze"
    assert award(10) == "-"


def test_award_limits():
    assert award(90) == "gold"
    assert award(75) == "silver"
    assert award(60) == "bronze"


def test_award_just_below():
    assert award(89) == "silver"
    assert award(74) == "bronze"
    assert award(59) == "-"


def test_award_extremes():
    assert award(100) == "gold"
    assert award(0) == "-"


def test_judged_enough():
    assert judged([5, 7, 9, 8]) == 15
    assert judged([1, 2, 3, 4, 5]) == 9


def test_judged_few():
    assert judged([5, 7, 9]) == 21
    assert judged([4]) == 4


def test_judged_ties():
    assert judged([9, 9, 1, 1]) == 10
    assert judged([3, 3, 3, 3, 3]) == 9


def test_judged_none():
    assert judged([]) == 0


def test_places_all_differ():
    assert places({"Ada": 9, "Ben": 12, "Cleo": 7}) == {"Ada": 2, "Ben": 1, "Cleo": 3}


def test_places_tie():
    assert places({"Ada": 9, "Ben": 9, "Cleo": 7}) == {"Ada": 2, "Ben": 2, "Cleo": 3}
    assert places({"Ada": 9, "Ben": 12, "Cleo": 9}) == {"Ada": 3, "Ben": 1, "Cleo": 3}


def test_places_all_equal():
    assert places({"a": 1, "b": 1, "c": 1}) == {"a": 3, "b": 3, "c": 3}


def test_places_below_zero():
    assert places({"a": -2, "b": 0}) == {"a": 2, "b": 1}


def test_places_none():
    assert places({}) == {}


def test_league_points_home():
    assert league_points(["2:1", "0:3", "1:1"]) == 4
    assert league_points(["10:9"]) == 3


def test_league_points_away():
    assert league_points(["2:1", "0:3", "1:1"], False) == 5
    assert league_points(["2:1", "3:2"], at_home=False) == 8


def test_league_points_draws():
    assert league_points(["0:0", "2:2"]) == 2
    assert league_points(["1:1"], False) == 1


def test_league_points_none():
    assert league_points([]) == 0
    assert league_points([], False) == 0


def test_streak_end():
    assert streak("WWLDD") == "2 x D"
    assert streak("LWWW") == "3 x W"


def test_streak_one():
    assert streak("WWL") == "1 x L"
    assert streak("D") == "1 x D"


def test_streak_all_the_same():
    assert streak("WWWW") == "4 x W"


def test_streak_again():
    assert streak("WLWWLWW") == "2 x W"


def test_streak_none():
    assert streak("") == ""


def test_elected_most():
    assert elected(["Ada", "Ben", "Ben", "Cleo"]) == "Ben"


def test_elected_tie():
    assert elected(["Ben", "Ada", "Ada", "Ben"]) == "Ben"
    assert elected(["Cleo", "Ada"]) == "Cleo"


def test_elected_late():
    assert elected(["Ada", "Ben", "Cleo", "Cleo"]) == "Cleo"


def test_elected_one():
    assert elected(["Ada"]) == "Ada"


def test_elected_none():
    assert elected([]) is None


def test_improved_largest_first():
    assert improved({"Ada": 3, "Ben": 5}, {"Ada": 4, "Ben": 9}) == ["Ben", "Ada"]


def test_improved_worse():
    assert improved({"Ada": 3, "Ben": 5, "Cleo": 1}, {"Ada": 2, "Ben": 5, "Cleo": 2}) == ["Cleo"]


def test_improved_newcomer():
    assert improved({"Ada": 3}, {"Ada": 4, "Ben": 2, "Cleo": 0}) == ["Ben", "Ada"]


def test_improved_tie():
    assert improved({"b": 1, "a": 1, "c": 0}, {"b": 2, "c": 1, "a": 2}) == ["a", "b", "c"]


def test_improved_gone():
    assert improved({"Ada": 3}, {}) == []


def test_finish_times_staggered():
    assert finish_times({"Ada": 0, "Ben": 30}, {"Ada": 100, "Ben": 120}) == [
        ("Ben", 90),
        ("Ada", 100),
    ]


def test_finish_times_no_start():
    assert finish_times({"Ben": 50}, {"Ada": 70, "Ben": 90}) == [("Ben", 40), ("Ada", 70)]


def test_finish_times_not_arrived():
    assert finish_times({"Ada": 0, "Ben": 5}, {"Ben": 25}) == [("Ben", 20)]


def test_finish_times_tie():
    assert finish_times({}, {"Cleo": 60, "Ada": 60, "Ben": 59}) == [
        ("Ben", 59),
        ("Ada", 60),
        ("Cleo", 60),
    ]


def test_finish_times_none():
    assert finish_times({"Ada": 3}, {}) == []


def test_word_points_short():
    assert word_points("inn") == 5
    assert word_points("mill") == 7
    assert word_points("oak") == 4


def test_word_points_long():
    assert word_points("market") == 12
    assert word_points("harbour") == 14
    assert word_points("aerial") == 10


def test_word_points_five():
    assert word_points("trees") == 8
    assert word_points("adieu") == 6


def test_word_points_case_and_marks():
    assert word_points("INN") == 5
    assert word_points("o'clock") == 12
    assert word_points("low-tide") == 14


def test_word_points_empty():
    assert word_points("") == 0
    assert word_points("--") == 0


def test_pairings_even():
    assert pairings(["a", "b", "c", "d"]) == [("a", "d"), ("b", "c")]
    assert pairings(["a", "b"]) == [("a", "b")]


def test_pairings_odd():
    assert pairings(["a", "b", "c"]) == [("a", "c"), ("b", "free")]
    assert pairings(["a", "b", "c", "d", "e"]) == [("a", "e"), ("b", "d"), ("c", "free")]


def test_pairings_one():
    assert pairings(["a"]) == [("a", "free")]


def test_pairings_none():
    assert pairings([]) == []
