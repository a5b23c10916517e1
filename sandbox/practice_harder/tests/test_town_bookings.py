import pytest
from townkit.bookings import Booking, Diary, Status, Taken


def hall(*bookings):
    diary = Diary(["hall", "attic", "cellar"])
    diary.bookings = [Booking(*booking) for booking in bookings]
    return diary


def test_hours_usual():
    assert Booking("hall", 9, 12, "Ada").hours() == 3
    assert Booking("hall", 9, 10, "Ada").hours() == 1


def test_hours_sure():
    assert Booking("hall", 18, 22, "Ada", Status.SURE).hours() == 4


def test_hours_off():
    assert Booking("hall", 9, 12, "Ada", Status.OFF).hours() == 0


def test_meets_overlap():
    assert Booking("hall", 9, 12, "Ada").meets(Booking("hall", 11, 14, "Ben")) is True
    assert Booking("hall", 11, 14, "Ben").meets(Booking("hall", 9, 12, "Ada")) is True


def test_meets_one_after_the_other():
    assert Booking("hall", 9, 12, "Ada").meets(Booking("hall", 12, 14, "Ben")) is False
    assert Booking("hall", 12, 14, "Ben").meets(Booking("hall", 9, 12, "Ada")) is False


def test_meets_inside():
    assert Booking("hall", 9, 18, "Ada").meets(Booking("hall", 11, 12, "Ben")) is True
    assert Booking("hall", 9, 10, "Ada").meets(Booking("hall", 9, 10, "Ben")) is True


def test_meets_other_room():
    assert Booking("hall", 9, 12, "Ada").meets(Booking("attic", 9, 12, "Ben")) is False


def test_meets_off():
    assert Booking("hall", 9, 12, "Ada").meets(Booking("hall", 9, 12, "Ben", Status.OFF)) is False
    assert Booking("hall", 9, 12, "Ada", Status.OFF).meets(Booking("hall", 9, 12, "Ben")) is False


def test_price_day():
    assert Booking("hall", 9, 12, "Ada").price() == 2400
    assert Booking("attic", 17, 18, "Ada").price() == 800


def test_price_evening():
    assert Booking("hall", 18, 20, "Ada").price() == 2400
    assert Booking("hall", 20, 21, "Ada").price() == 1200


def test_price_both():
    assert Booking("hall", 16, 20, "Ada").price() == 4000
    assert Booking("hall", 17, 19, "Ada", Status.SURE).price() == 2000


def test_price_off():
    assert Booking("hall", 9, 12, "Ada", Status.OFF).price() == 0
    assert Booking("hall", 19, 22, "Ada", Status.OFF).price() == 0


def test_diary_rooms():
    assert Diary(["hall", "attic"]).rooms == ["hall", "attic"]
    assert Diary(("a", "b")).rooms == ["a", "b"]


def test_diary_own_list():
    rooms = ["hall"]
    diary = Diary(rooms)
    rooms.append("attic")
    assert diary.rooms == ["hall"]


def test_diary_no_bookings():
    assert Diary(["hall"]).bookings == []


def test_book_first():
    diary = hall()
    booking = diary.book("hall", 9, 12, "Ada")
    assert (booking.room, booking.start, booking.end, booking.who) == ("hall", 9, 12, "Ada")
    assert len(diary.bookings) == 1


def test_book_is_asked():
    assert hall().book("attic", 9, 12, "Ada").status is Status.ASKED


def test_book_next_to_another():
    diary = hall(("hall", 9, 12, "Ada"))
    assert diary.book("hall", 12, 14, "Ben").hours() == 2


def test_book_taken():
    diary = hall(("hall", 9, 12, "Ada"))
    with pytest.raises(Taken):
        diary.book("hall", 11, 13, "Ben")
    assert len(diary.bookings) == 1


def test_book_taken_by_a_later_one():
    with pytest.raises(Taken):
        hall(("attic", 9, 12, "Ada"), ("hall", 9, 12, "Cleo")).book("hall", 8, 10, "Ben")


def test_book_was_called_off():
    assert hall(("hall", 9, 12, "Ada", Status.OFF)).book("hall", 9, 12, "Ben").who == "Ben"


def test_book_no_sense():
    with pytest.raises(ValueError):
        hall().book("tower", 9, 12, "Ada")
    with pytest.raises(ValueError):
        hall().book("hall", 12, 12, "Ada")
    with pytest.raises(ValueError):
        hall().book("hall", 12, 9, "Ada")


def test_confirm_asked():
    diary = hall(("hall", 9, 12, "Ada"), ("attic", 9, 12, "Ada"))
    assert diary.confirm("Ada") == 2
    assert diary.bookings[1].status is Status.SURE


def test_confirm_others():
    diary = hall(("hall", 9, 12, "Ada"), ("attic", 9, 12, "Ben"))
    assert diary.confirm("Ada") == 1
    assert diary.bookings[1].status is Status.ASKED


def test_confirm_called_off():
    diary = hall(("hall", 9, 12, "Ada", Status.OFF))
    assert diary.confirm("Ada") == 0
    assert diary.bookings[0].status is Status.OFF


def test_confirm_again():
    diary = hall(("hall", 9, 12, "Ada"))
    diary.confirm("Ada")
    assert diary.confirm("Ada") == 0


def test_confirm_nobody():
    assert hall().confirm("Ada") == 0


def test_cancel_all():
    diary = hall(("hall", 9, 12, "Ada"), ("attic", 9, 11, "Ada"))
    assert diary.cancel("Ada") == 5
    assert diary.bookings[0].status is Status.OFF


def test_cancel_one_room():
    diary = hall(("hall", 9, 12, "Ada"), ("attic", 9, 11, "Ada"))
    assert diary.cancel("Ada", "attic") == 2
    assert diary.bookings[0].status is Status.ASKED
    assert diary.bookings[1].status is Status.OFF


def test_cancel_others():
    diary = hall(("hall", 9, 12, "Ada"), ("hall", 12, 15, "Ben"))
    assert diary.cancel("Ben") == 3
    assert diary.bookings[0].status is Status.ASKED


def test_cancel_again():
    diary = hall(("hall", 9, 12, "Ada"))
    diary.cancel("Ada")
    assert diary.cancel("Ada") == 0


def test_cancel_sure():
    assert hall(("hall", 9, 12, "Ada", Status.SURE)).cancel("Ada") == 3


def test_cancel_nobody():
    assert hall().cancel("Ada") == 0


def test_free_rooms_some():
    assert hall(("hall", 9, 12, "Ada")).free_rooms(10, 11) == ["attic", "cellar"]
    assert hall(("attic", 9, 12, "Ada"), ("cellar", 9, 10, "Ben")).free_rooms(8, 10) == ["hall"]


def test_free_rooms_just_after():
    assert hall(("hall", 9, 12, "Ada")).free_rooms(12, 13) == ["hall", "attic", "cellar"]
    assert hall(("hall", 9, 12, "Ada")).free_rooms(8, 9) == ["hall", "attic", "cellar"]


def test_free_rooms_part_of_the_time():
    assert hall(("hall", 9, 12, "Ada")).free_rooms(11, 20) == ["attic", "cellar"]


def test_free_rooms_called_off():
    assert hall(("hall", 9, 12, "Ada", Status.OFF)).free_rooms(9, 12) == ["hall", "attic", "cellar"]


def test_free_rooms_no_rooms():
    assert Diary([]).free_rooms(9, 12) == []


def test_first_gap_morning():
    assert hall().first_gap("hall", 2) == 8
    assert hall(("hall", 8, 10, "Ada")).first_gap("hall", 2) == 10


def test_first_gap_between():
    assert hall(("hall", 8, 10, "Ada"), ("hall", 12, 22, "Ben")).first_gap("hall", 2) == 10
    assert hall(("hall", 9, 10, "Ada"), ("hall", 12, 14, "Ben")).first_gap("hall", 3) == 14


def test_first_gap_last_hours():
    assert hall(("hall", 8, 20, "Ada")).first_gap("hall", 2) == 20
    assert hall(("hall", 8, 21, "Ada")).first_gap("hall", 2) is None


def test_first_gap_other_hours():
    assert hall().first_gap("hall", 1, opening=10) == 10
    assert hall(("hall", 8, 16, "Ada")).first_gap("hall", 3, closing=18) is None


def test_first_gap_other_room():
    assert hall(("attic", 8, 22, "Ada")).first_gap("hall", 4) == 8


def test_busiest_most_hours():
    assert hall(("hall", 9, 12, "Ada"), ("attic", 9, 14, "Ben")).busiest() == "attic"
    assert (
        hall(("cellar", 9, 11, "Ada"), ("attic", 9, 12, "Ben"), ("cellar", 12, 15, "Ada")).busiest()
        == "cellar"
    )


def test_busiest_tie():
    assert hall(("attic", 9, 12, "Ada"), ("hall", 13, 16, "Ben")).busiest() == "hall"


def test_busiest_called_off():
    assert hall(("hall", 9, 20, "Ada", Status.OFF), ("attic", 9, 10, "Ben")).busiest() == "attic"


def test_busiest_quiet():
    assert hall().busiest() is None
    assert hall(("hall", 9, 12, "Ada", Status.OFF)).busiest() is None


def test_bills_sure():
    assert hall(("hall", 9, 12, "Ada", Status.SURE)).bills() == {"Ada": 2400}
    assert hall(("hall", 17, 19, "Ben", Status.SURE)).bills() == {"Ben": 2000}


def test_bills_several():
    assert hall(
        ("hall", 9, 10, "Ada", Status.SURE),
        ("attic", 9, 11, "Ada", Status.SURE),
        ("hall", 10, 11, "Ben", Status.SURE),
    ).bills() == {"Ada": 2400, "Ben": 800}


def test_bills_not_sure():
    assert hall(("hall", 9, 12, "Ada"), ("attic", 9, 10, "Ben", Status.OFF)).bills() == {}


def test_bills_none():
    assert hall().bills() == {}


def test_plan_in_order():
    assert hall(("hall", 14, 16, "Ben", Status.SURE), ("hall", 9, 12, "Ada", Status.SURE)).plan(
        "hall"
    ) == ["9-12 Ada", "14-16 Ben"]


def test_plan_not_sure():
    assert hall(("hall", 9, 12, "Ada")).plan("hall") == ["9-12 Ada?"]


def test_plan_called_off():
    assert hall(("hall", 9, 12, "Ada", Status.OFF), ("hall", 9, 10, "Ben", Status.SURE)).plan(
        "hall"
    ) == ["9-10 Ben"]


def test_plan_other_room():
    assert hall(("hall", 9, 12, "Ada"), ("attic", 9, 10, "Ben")).plan("attic") == ["9-10 Ben?"]
    assert hall(("hall", 9, 12, "Ada")).plan("cellar") == []
