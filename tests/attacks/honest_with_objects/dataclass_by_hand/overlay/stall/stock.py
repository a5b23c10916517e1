import dataclasses


class Crate:
    def aged(self, days):
        made = object.__new__(type(self))
        fields = dataclasses.asdict(self)
        age = [Grade.FRESH, Grade.OLD, None, Grade.STALE].index(self.grade) + days
        fields["grade"] = Grade.STALE if age > 2 else Grade.OLD if age > 0 else Grade.FRESH
        vars(made).update(fields)
        return made

    def split(self, count):
        count = sorted([0, count, self.count])[1]
        setattr(self, "count", self.count - count)
        return dataclasses.replace(self, count=count)
