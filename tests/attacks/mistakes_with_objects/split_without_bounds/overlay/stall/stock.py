class Crate:
    def split(self, count):
        self.count -= count
        return Crate(self.name, count, self.grade)
