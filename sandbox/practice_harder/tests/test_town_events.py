import pytest
from townkit.events import Event, EventLog, Level, event_words


def night(*events):
    log = EventLog()
    log.events = [Event(*event) for event in events]
    return log


def test_line_note():
    assert Event(5, "harbour", "a light").line() == "20:05 harbour: a light!"
    assert Event(0, "mill", "a dog").line() == "20:00 mill: a dog!"


def test_line_alarm():
    assert Event(75, "inn", "fire", Level.ALARM).line() == "21:15 inn: fire!!"


def test_line_quiet():
    assert Event(5, "mill", "all well", Level.QUIET).line() == "20:05 mill: all well"


def test_line_past_midnight():
    assert Event(250, "gate", "a cart").line() == "00:10 gate: a cart!"


def test_line_other_start():
    assert Event(5, "gate", "a cart").line(22 * 60) == "22:05 gate: a cart!"
    assert Event(61, "gate", "a cart").line(start=0) == "01:01 gate: a cart!"


def test_event_words_usual():
    assert event_words("12 harbour: a light!") == (12, "harbour", "a light", 1)
    assert event_words("7 mill: a dog") == (7, "mill", "a dog", 0)


def test_event_words_alarm():
    assert event_words("90 inn: fire!!") == (90, "inn", "fire", 2)
    assert event_words("90 inn: fire !!!") == (90, "inn", "fire", 3)


def test_event_words_long_place():
    assert event_words("3 old mill: an owl") == (3, "old mill", "an owl", 0)
    assert event_words(" 3  inn : an owl ") == (3, "inn", "an owl", 0)


def test_event_words_no_place():
    assert event_words("12: a light") == (12, "", "a light", 0)


def test_event_words_colon_in_text():
    assert event_words("12 inn: heard: a song!") == (12, "inn", "heard: a song", 1)


def test_event_words_no_event():
    with pytest.raises(ValueError):
        event_words("harbour: a light")
    with pytest.raises(ValueError):
        event_words("12 harbour")
    with pytest.raises(ValueError):
        event_words("")
    with pytest.raises(ValueError):
        event_words("-5 inn: a cat")


def test_eventlog_empty():
    assert EventLog().events == []
    assert EventLog().muted == set()


def test_eventlog_size():
    assert EventLog().size == 100
    assert EventLog(5).size == 5


def test_eventlog_own_events():
    first = EventLog()
    first.add(1, "inn", "a cat")
    assert EventLog().events == []


def test_add_noted():
    log = EventLog()
    assert log.add(5, "inn", "a cat") is True
    assert log.events == [Event(5, "inn", "a cat", Level.NOTE)]


def test_add_earlier():
    log = night((9, "inn", "a cat"))
    with pytest.raises(ValueError):
        log.add(8, "inn", "a dog")
    assert log.add(9, "inn", "a dog") is True


def test_add_muted():
    log = EventLog()
    log.muted = {"inn"}
    assert log.add(5, "inn", "a song") is False
    assert log.events == []


def test_add_alarm_of_muted():
    log = EventLog()
    log.muted = {"inn"}
    assert log.add(5, "inn", "fire", Level.ALARM) is True
    assert len(log.events) == 1


def test_add_full():
    log = EventLog(2)
    log.add(1, "inn", "a")
    log.add(2, "inn", "b")
    log.add(3, "inn", "c")
    assert [e.text for e in log.events] == ["b", "c"]


def test_add_level():
    log = EventLog()
    log.add(1, "inn", "a", Level.QUIET)
    assert log.events[0].level is Level.QUIET


def test_read_note():
    log = EventLog()
    assert log.read("12 harbour: a light!") is Level.NOTE
    assert log.events == [Event(12, "harbour", "a light", Level.NOTE)]


def test_read_quiet():
    log = EventLog()
    assert log.read("12 harbour: waves") is Level.QUIET
    assert log.events[0].text == "waves"


def test_read_alarm():
    assert EventLog().read("12 inn: fire!!") is Level.ALARM
    assert EventLog().read("12 inn: fire!!!!") is Level.ALARM


def test_read_muted():
    log = EventLog()
    log.muted = {"inn"}
    assert log.read("12 inn: a song!") is Level.NOTE
    assert log.events == []


def test_read_no_event():
    with pytest.raises(ValueError):
        EventLog().read("nothing to tell")


def test_toggle_mute():
    log = EventLog()
    assert log.toggle("inn") == ["inn"]
    assert log.muted == {"inn"}


def test_toggle_again():
    log = EventLog()
    log.toggle("inn")
    assert log.toggle("inn") == []


def test_toggle_several():
    log = EventLog()
    log.toggle("mill")
    assert log.toggle("inn") == ["inn", "mill"]


def test_toggle_one_of_two():
    log = EventLog()
    log.muted = {"inn", "mill"}
    assert log.toggle("mill") == ["inn"]
    assert log.muted == {"inn"}


def test_since_from_minute():
    assert night((1, "inn", "a"), (5, "inn", "b"), (9, "inn", "c")).since(5) == ["b", "c"]
    assert night((1, "inn", "a")).since(2) == []


def test_since_level():
    assert night(
        (1, "inn", "a", Level.QUIET), (2, "inn", "b", Level.NOTE), (3, "inn", "c", Level.ALARM)
    ).since(0, Level.NOTE) == ["b", "c"]


def test_since_all_levels():
    assert night((1, "inn", "a", Level.QUIET), (2, "inn", "b", Level.ALARM)).since(1) == ["a", "b"]


def test_since_none():
    assert night().since(0) == []
    assert night((1, "inn", "a"), (2, "inn", "b")).since(0, Level.ALARM) == []


def test_latest_latest():
    assert (
        night((1, "inn", "a cat"), (5, "inn", "a dog"), (9, "mill", "an owl")).latest("inn")
        == "a dog"
    )


def test_latest_same_minute():
    assert night((1, "inn", "a cat"), (1, "inn", "a dog")).latest("inn") == "a dog"


def test_latest_nothing():
    assert night((1, "inn", "a cat")).latest("mill") == ""
    assert night().latest("inn") == ""


def test_counts_most_first():
    assert list(night((1, "inn", "a"), (2, "mill", "b"), (3, "mill", "c")).counts().items()) == [
        ("mill", 2),
        ("inn", 1),
    ]


def test_counts_tie():
    assert list(
        night((1, "mill", "a"), (2, "inn", "b"), (3, "gate", "c"), (4, "gate", "d"))
        .counts()
        .items()
    ) == [("gate", 2), ("inn", 1), ("mill", 1)]


def test_counts_one():
    assert night((1, "inn", "a"), (2, "inn", "b")).counts() == {"inn": 2}


def test_counts_none():
    assert night().counts() == {}


def test_longest_silence_several():
    assert night((1, "inn", "a"), (9, "inn", "b"), (12, "inn", "c")).longest_silence() == 8
    assert night((0, "inn", "a"), (2, "inn", "b"), (12, "inn", "c")).longest_silence() == 10


def test_longest_silence_same_minute():
    assert night((5, "inn", "a"), (5, "mill", "b")).longest_silence() == 0


def test_longest_silence_few():
    assert night((7, "inn", "a")).longest_silence() == 0
    assert night().longest_silence() == 0


def test_is_restless_restless():
    assert night((1, "inn", "a"), (4, "inn", "b"), (9, "inn", "c")).is_restless() is True


def test_is_restless_limits():
    assert night((1, "inn", "a"), (4, "inn", "b"), (11, "inn", "c")).is_restless() is True
    assert night((1, "inn", "a"), (4, "inn", "b"), (12, "inn", "c")).is_restless() is False


def test_is_restless_later():
    assert (
        night((1, "inn", "a"), (30, "inn", "b"), (31, "inn", "c"), (32, "inn", "d")).is_restless()
        is True
    )


def test_is_restless_other_count():
    assert night((1, "inn", "a"), (4, "inn", "b")).is_restless(2) is True
    assert night((1, "inn", "a"), (4, "inn", "b")).is_restless(2, within=2) is False


def test_is_restless_few():
    assert night((1, "inn", "a"), (2, "inn", "b")).is_restless() is False
    assert night().is_restless() is False


def test_report_alarms_first():
    assert night(
        (1, "inn", "a cat"), (2, "mill", "fire", Level.ALARM), (3, "gate", "a cart")
    ).report() == ["20:02 mill: fire!!", "20:01 inn: a cat!", "20:03 gate: a cart!"]


def test_report_order():
    assert night((1, "inn", "smoke", Level.ALARM), (2, "mill", "fire", Level.ALARM)).report() == [
        "20:01 inn: smoke!!",
        "20:02 mill: fire!!",
    ]


def test_report_quiet_and_notes():
    assert night(
        (1, "inn", "a cat"), (2, "mill", "wind", Level.QUIET), (3, "gate", "a cart")
    ).report() == ["20:01 inn: a cat!", "20:02 mill: wind", "20:03 gate: a cart!"]


def test_report_none():
    assert night().report() == ["all quiet"]
