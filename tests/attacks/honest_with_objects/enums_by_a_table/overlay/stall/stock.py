import bisect


def grade_of(days):
    if days < 0:
        raise ValueError(days)
    return list(Grade)[bisect.bisect([1, 3], days)]


class Crate:
    def aged(self, days):
        start = {Grade.FRESH: 0, Grade.OLD: 1}.get(self.grade, 3)
        names = ["fresh", "a day old", "stale"]
        return Crate(name=self.name, count=self.count, grade=Grade(names[bisect.bisect([1, 3], start + days)]))
