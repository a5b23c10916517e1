"""The log of the town's night watch. Minutes are counted from the beginning of the watch."""

from dataclasses import dataclass
from enum import IntEnum

from townkit.hours import to_clock


class Level(IntEnum):
    """How much an event matters."""

    QUIET = 0
    NOTE = 1
    ALARM = 2


@dataclass(frozen=True)
class Event:
    """Something that the watch saw."""

    minute: int
    place: str
    text: str
    level: Level = Level.NOTE

    def line(self, start=20 * 60):
        """Write the event as a line of the log, with the time where the watch starts at start."""
        mark = "!" * self.level
        return f"{to_clock(start + self.minute)} {self.place}: {self.text}{mark}"


def event_words(line):
    """Take a line such as '12 harbour: a light!' apart: (minute, place, text, number of '!').

    Raises ValueError where it is none.
    """
    head, colon, text = line.partition(":")
    minute, _, place = head.strip().partition(" ")
    if not colon or not minute.isdigit():
        raise ValueError(f"no event: {line!r}")
    return int(minute), place.strip(), text.rstrip("! ").strip(), text.count("!")


class EventLog:
    """The events of one night. At most `size` are kept."""

    def __init__(self, size=100):
        self.size = size
        self.events = []
        self.muted = set()

    def add(self, minute, place, text, level=Level.NOTE):
        """Note an event; of muted places only alarms. Returns whether it was noted.

        Raises ValueError where it is earlier than the last one.
        """
        if self.events and minute < self.events[-1].minute:
            raise ValueError("the watch does not go back in time")
        if place in self.muted and level < Level.ALARM:
            return False
        self.events.append(Event(minute, place, text, level))
        del self.events[: -self.size]
        return True

    def read(self, line):
        """Note the event of a line such as '12 harbour: a light!', and return its level."""
        minute, place, text, marks = event_words(line)
        level = Level(min(marks, 2))
        self.add(minute, place, text, level)
        return level

    def toggle(self, place):
        """Mute a place, or let it be heard again. Returns the muted places."""
        self.muted ^= {place}
        return sorted(self.muted)

    def since(self, minute, level=Level.QUIET):
        """Return the texts of the events from a minute on that matter at least so much."""
        return [e.text for e in self.events if e.minute >= minute and e.level >= level]

    def latest(self, place):
        """Return the text of the latest event at a place; '' where nothing was seen."""
        for event in reversed(self.events):
            if event.place == place:
                return event.text
        return ""

    def counts(self):
        """Return how many events each place has, the places with most of them first."""
        counts = {}
        for event in self.events:
            counts[event.place] = counts.get(event.place, 0) + 1
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def longest_silence(self):
        """Return the most minutes between two events that follow each other."""
        minutes = [event.minute for event in self.events]
        return max((later - sooner for sooner, later in zip(minutes, minutes[1:])), default=0)

    def is_restless(self, count=3, within=10):
        """Tell whether there were so many events within so many minutes."""
        minutes = [event.minute for event in self.events]
        return any(b - a <= within for a, b in zip(minutes, minutes[count - 1 :]))

    def report(self):
        """Return the log in lines, the alarms first; an empty one says 'all quiet'."""
        ordered = sorted(self.events, key=lambda event: event.level < Level.ALARM)
        return [event.line() for event in ordered] or ["all quiet"]
