class Crate:
    def aged(self, days):
        age = days + {Grade.FRESH: 0, Grade.OLD: 1, Grade.STALE: 3}[self.grade]
        self.grade = Grade.FRESH if age < 1 else Grade.OLD if age < 3 else Grade.STALE
        return self
