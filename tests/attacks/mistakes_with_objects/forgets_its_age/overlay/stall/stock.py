class Crate:
    def aged(self, days):
        return replace(self, grade=Grade.FRESH if days < 1 else Grade.OLD if days < 3 else Grade.STALE)
