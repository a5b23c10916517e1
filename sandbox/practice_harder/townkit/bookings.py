"""Who has the rooms of the town hall, and when. Hours are whole numbers."""

from dataclasses import dataclass
from enum import Enum

PRICE = 800  # cents an hour


class Status(Enum):
    """How sure a booking is."""

    ASKED = "asked"
    SURE = "sure"
    OFF = "off"


@dataclass
class Booking:
    """A room from one hour to another; the last hour is not part of it."""

    room: str
    start: int
    end: int
    who: str
    status: Status = Status.ASKED

    def hours(self):
        """Return for how many hours the room is kept; none where it is off."""
        return 0 if self.status is Status.OFF else self.end - self.start

    def meets(self, other):
        """Tell whether two bookings are in each other's way."""
        if self.room != other.room or Status.OFF in (self.status, other.status):
            return False
        return self.start < other.end and other.start < self.end

    def price(self):
        """Return what it costs. Hours from 18 on cost half as much again."""
        if self.status is Status.OFF:
            return 0
        late = max(0, self.end - max(self.start, 18))
        return self.hours() * PRICE + late * PRICE // 2


class Taken(Exception):
    """The room is not free."""


class Diary:
    """The bookings of one day."""

    def __init__(self, rooms):
        self.rooms = list(rooms)
        self.bookings = []

    def book(self, room, start, end, who):
        """Note a booking and return it.

        Raises Taken where a booking is in its way, and ValueError where it makes no sense.
        """
        if room not in self.rooms or start >= end:
            raise ValueError("no such room, or no such time")
        booking = Booking(room, start, end, who)
        if any(booking.meets(other) for other in self.bookings):
            raise Taken(room)
        self.bookings.append(booking)
        return booking

    def confirm(self, who):
        """Make sure what somebody asked for, and return how many bookings these are."""
        asked = [b for b in self.bookings if b.who == who and b.status is Status.ASKED]
        for booking in asked:
            booking.status = Status.SURE
        return len(asked)

    def cancel(self, who, room=None):
        """Call somebody's bookings off, of one room or of all. Returns the hours set free."""
        freed = 0
        for booking in self.bookings:
            if booking.who == who and room in (None, booking.room):
                freed += booking.hours()
                booking.status = Status.OFF
        return freed

    def free_rooms(self, start, end):
        """Return the rooms that are free all of the time between two hours."""
        wanted = [Booking(room, start, end, "") for room in self.rooms]
        return [w.room for w in wanted if not any(w.meets(b) for b in self.bookings)]

    def first_gap(self, room, hours, opening=8, closing=22):
        """Return the first hour at which a room is free for so long; None where it never is."""
        for start in range(opening, closing - hours + 1):
            if room in self.free_rooms(start, start + hours):
                return start
        return None

    def busiest(self):
        """Return the room with the most hours, the first of several; None on a quiet day."""
        hours = {room: 0 for room in self.rooms}
        for booking in self.bookings:
            hours[booking.room] += booking.hours()
        best = max(hours, key=hours.get)
        return best if hours[best] else None

    def bills(self):
        """Return what each who has a room must pay, a dict of names to cents."""
        bills = {}
        for booking in self.bookings:
            if booking.status is Status.SURE:
                bills[booking.who] = bills.get(booking.who, 0) + booking.price()
        return bills

    def plan(self, room):
        """Return the day of a room in lines, in order of time; what is not sure has a '?'."""
        there = [b for b in self.bookings if b.room == room and b.status is not Status.OFF]
        return [
            f"{b.start}-{b.end} {b.who}{'?' if b.status is Status.ASKED else ''}"
            for b in sorted(there, key=lambda b: b.start)
        ]
